//! Credentials in, principal out; and tokens for those who ask.
//!
//! Who there is, and the generation of each account, is asked of the [`Directory`] at every request, so what ends there
//! ends here at once. State: the token key is a setting of the store, read once at start. The cache of verified passwords,
//! failures and sessions are in memory, bounded; the cache is keyed by an HMAC under a key that lives as long as the
//! process, so that it holds no password and no hash that could be tried offline.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Clock, Entropy};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::backoff::Backoff;
use super::password::{self, Verifier};
use super::session::Sessions;
use super::token::{Claims, Key, Reader};
use super::{ADMIN, Credentials, Kind, Principal, Scope, Secret};
use crate::directory::{Book, Directory, DirectoryError, Profile, RobotEntry, USER_ADMIN, UserEntry};
use crate::storage::Store;
use crate::storage::meta::{Act, Credential, MetaError, Via};
use crate::workers::Scope as Tasks;

/// The audience of our tokens, and the `service` of the challenge.
pub const SERVICE: &str = "portolan";

/// How robots' names begin unless it is set otherwise.
pub const ROBOT_PREFIX: &str = "robot$";

/// Log-ins that may wait for their turn on the password pool; more are told to come back.
const WAITING_LOG_INS: usize = 64;

/// Of these, places for one address: a stranger's flood leaves room for everyone else. A proxy is one address too, and
/// each place is free again after a few hundred milliseconds.
const WAITING_OF_ONE: usize = 16;

/// Verified passwords remembered at most.
const CACHE_ENTRIES: usize = 4096;

/// Minutes after which an unused session of a browser is over, unless it is set otherwise.
const SESSION_MINUTES: i64 = 60;

const TOKEN_KEY_SETTING: &str = "auth.token-key.1";

/// Why credentials did not make a principal.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong name or password, or a token that is not ours, expired, or older than the account's last change. Which of
    /// these is not said.
    #[error("these credentials are not valid (any more): log in again")]
    Invalid,
    /// Too many passwords are being checked at the moment.
    #[error("too many log-ins at the same moment: try again shortly")]
    Busy,
    /// Too many log-ins failed: the next one is looked at after so long.
    #[error("too many log-ins failed: try again in {} s", .0.as_secs().max(1))]
    Slow(Duration),
    /// The account could not be read.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The administrator's account could not be made.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it is good.
    pub expires_in: Duration,
    /// Since when.
    pub issued_at: Timestamp,
}

/// How long things are good.
#[derive(Clone, Copy, Debug)]
pub struct AuthRules {
    /// A token.
    pub token_ttl: Duration,
    /// A verified password in the cache.
    pub cache_ttl: Duration,
    /// Passwords checked at the same time.
    pub password_checks: usize,
}

/// What an authenticator is made of.
#[derive(Debug)]
pub struct OpenAuth {
    /// Holds the settings.
    pub store: Arc<Store>,
    /// Who there is.
    pub directory: Arc<Directory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Keys, salts, passwords.
    pub entropy: Arc<dyn Entropy>,
    /// Where passwords are checked.
    pub tasks: Tasks,
    /// How long things are good.
    pub rules: AuthRules,
}

/// Turns credentials into principals. One a node.
#[derive(Debug)]
pub struct Authenticator {
    parts: OpenAuth,
    tokens: Reader,
    sessions: Sessions,
    cache_key: Key,
    cache: Mutex<HashMap<[u8; 32], Duration>>,
    backoff: Mutex<Backoff>,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    shares: Shares,
    operator: Arc<str>,
}

/// Log-ins of each party that wait or are checked; no entry for those without.
type Shares = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A place of one party, until it is dropped.
#[derive(Debug)]
struct Share {
    party: IpAddr,
    shares: Shares,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = shares.get_mut(&self.party) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                shares.remove(&self.party);
            }
        }
    }
}

impl Authenticator {
    /// Reads the token key, or makes it, and sees to it that there is an administrator. `password` is what the operator
    /// set in the environment: it becomes the administrator's password if it is not already, which ends every token and
    /// session of before. Returns a password when one was made up: it is shown once and kept nowhere.
    ///
    /// # Errors
    /// [`AuthError::Meta`], [`AuthError::Directory`].
    pub async fn open(parts: OpenAuth, password: Option<Secret>) -> Result<(Self, Option<Secret>), AuthError> {
        let tokens = Self::open_token_key(&parts).await?;
        let (cache_key, session_key) = (Self::random_key(&parts)?, Self::random_key(&parts)?);
        let this = Self {
            tokens: Reader::new(tokens),
            sessions: Sessions::new(session_key),
            cache_key,
            cache: Mutex::default(),
            backoff: Mutex::default(),
            turns: Arc::new(Semaphore::new(parts.rules.password_checks.max(1))),
            waiting: Arc::new(Semaphore::new(WAITING_LOG_INS)),
            shares: Shares::default(),
            operator: "operator".into(),
            parts,
        };
        let made_up = this.open_admin(password).await?;
        Ok((this, made_up))
    }

    async fn open_admin(&self, set: Option<Secret>) -> Result<Option<Secret>, AuthError> {
        let directory = &self.parts.directory;
        let admin = directory.read(|book| book.user_by_id(USER_ADMIN).cloned());
        let stored = self.verifier_of(admin.as_ref()).await?;
        let is_there = admin.is_some();
        let (password, made_up) = match (set, &stored) {
            (Some(set), Some(verifier)) if is_there && self.verify(verifier.clone(), &set).await? => return Ok(None),
            (Some(set), _) => (set, None),
            (None, Some(_)) if is_there => return Ok(None),
            (None, _) => {
                let random = password::random(&*self.parts.entropy);
                (random.clone(), Some(random))
            }
        };
        let verifier = self.new_verifier(&password, None).await?;
        let (actor, request) = (Arc::from("portolan"), Arc::from("start"));
        let act = Act { actor, at: self.parts.clock.now(), request, via: Via::default() };
        let profile = Profile { real_name: "Administrator".into(), ..Profile::default() };
        directory
            .change(&act, |draft| match draft.book.user_by_id(USER_ADMIN) {
                Some(_) => draft.set_verifier(USER_ADMIN, verifier.clone()),
                None => draft.create_user(ADMIN, &profile, true, verifier.clone()).map(drop),
            })
            .await?;
        Ok(made_up)
    }

    async fn open_token_key(parts: &OpenAuth) -> Result<Key, AuthError> {
        if let Some(bytes) = parts.store.meta().setting(TOKEN_KEY_SETTING).await? {
            return Key::new(&bytes).ok_or_else(|| damaged(TOKEN_KEY_SETTING).into());
        }
        let mut bytes = vec![0; 32];
        parts.entropy.fill(&mut bytes);
        let key = Key::new(&bytes).ok_or_else(|| damaged(TOKEN_KEY_SETTING))?;
        parts.store.meta().put_setting(TOKEN_KEY_SETTING, bytes).await?;
        Ok(key)
    }

    fn random_key(parts: &OpenAuth) -> Result<Key, AuthError> {
        let mut bytes = [0; 32];
        parts.entropy.fill(&mut bytes);
        Key::new(&bytes).ok_or_else(|| damaged("a key of this process").into())
    }

    /// Who is asking. `party`: the address, or the network, the request came from, which has a share of the places
    /// where log-ins wait.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for credentials that were shown and are wrong; nothing shown is the anonymous principal.
    pub async fn authenticate(&self, credentials: &Credentials, party: Option<IpAddr>) -> Result<Principal, AuthError> {
        match credentials {
            Credentials::None => Ok(Principal::anonymous()),
            Credentials::LocalOperator => Ok(self.principal(Kind::Operator, &self.operator, Credential::Socket)),
            Credentials::Bearer(token) => self.by_token(token),
            Credentials::Session(id) => self.by_session(id),
            Credentials::Basic { name, password } => self.by_password(name, password, party).await,
        }
    }

    #[expect(clippy::unused_self, reason = "none but an authenticator makes principals")]
    fn principal(&self, kind: Kind, name: &Arc<str>, credential: Credential) -> Principal {
        let via = Via { credential, address: None };
        Principal { kind, name: Arc::clone(name), scopes: None, interactive: true, via, generation: 0 }
    }

    fn by_token(&self, token: &Secret) -> Result<Principal, AuthError> {
        let claims = self.tokens.open(token.reveal()).ok_or(AuthError::Invalid)?;
        let now = self.parts.clock.now();
        if &*claims.audience != SERVICE || claims.expires <= now {
            return Err(AuthError::Invalid);
        }
        let principal = match claims.account.as_deref() {
            None => Principal::anonymous(),
            Some(account) => {
                let (kind, id) = account.split_at_checked(1).ok_or(AuthError::Invalid)?;
                let id: u32 = id.parse().map_err(|_| AuthError::Invalid)?;
                let found = self.parts.directory.read(|book| match kind {
                    "u" => {
                        let user = live_user(book, id).filter(|user| user.stamp() == claims.generation)?;
                        Some(self.principal(Kind::User(id), &user.name, Credential::Token))
                    }
                    "r" => {
                        let robot = live_robot(book, id, now)?;
                        let is_same = robot.stamp() == claims.generation;
                        is_same.then(|| self.robot(book, robot, Credential::Token))
                    }
                    _ => None,
                });
                found.ok_or(AuthError::Invalid)?
            }
        };
        Ok(Principal { scopes: Some(Arc::clone(&claims.scopes)), interactive: false, ..principal })
    }

    fn by_session(&self, id: &Secret) -> Result<Principal, AuthError> {
        let (directory, now) = (&self.parts.directory, self.parts.clock.monotonic());
        let minutes = directory.read(|book| book.configured_number("session_timeout")).unwrap_or(SESSION_MINUTES);
        let idle = Duration::from_secs(u64::try_from(minutes).unwrap_or_default().saturating_mul(60));
        let (user, stamp) = self.sessions.find(id, idle, now).ok_or(AuthError::Invalid)?;
        let found = directory.read(|book| {
            let user = live_user(book, user).filter(|user| user.stamp() == stamp)?;
            Some(self.principal(Kind::User(user.is.id), &user.name, Credential::Session))
        });
        found.ok_or(AuthError::Invalid)
    }

    async fn by_password(&self, name: &str, password: &Secret, party: Option<IpAddr>) -> Result<Principal, AuthError> {
        // An empty password is never a password (CVE-2017-14623), and a huge one is work for us alone.
        if password.reveal().is_empty() || password.reveal().len() > password::MAX_LEN {
            return Err(AuthError::Invalid);
        }
        let now = self.parts.clock.now();
        let robot = self.parts.directory.read(|book| Some(book.robot_of(robot_name(book, name)?)?.is.is.id));
        if let Some(id) = robot {
            let found = self.by_robot_secret(id, password, now);
            // Under some prefixes a person's name is a robot's, too: neither shuts the other out.
            if found.is_ok() || self.parts.directory.read(|book| book.user(name).is_none()) {
                return found.inspect_err(|_| self.note(name, party, false));
            }
        }
        let user = self.parts.directory.read(|book| book.user(name).cloned());
        let key = user.as_ref().map(|user| self.cache_key_of(user, password));
        let is_out = user.as_ref().is_some_and(|user| user.is.disabled);
        if let (Some(user), Some(key)) = (&user, &key)
            && !is_out
            && self.is_cached(key)
        {
            return Ok(self.person(user));
        }
        let at = self.parts.clock.monotonic();
        if let Some(wait) = self.failures().wait(name, party, at) {
            return Err(AuthError::Slow(wait));
        }
        let _share = self.share(party)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| AuthError::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| AuthError::Busy)?;
        let verifier = self.verifier_of(user.as_ref()).await?;
        let is_right = self.verify(verifier.unwrap_or_else(Verifier::of_nobody), password).await?;
        let (Some(user), Some(key)) = (user, key.filter(|_| is_right && !is_out)) else {
            self.note(name, party, false);
            return Err(AuthError::Invalid);
        };
        // The account may have changed while the password was checked.
        if self.parts.directory.read(|book| book.user(name).is_none_or(|now| now.stamp() != user.stamp())) {
            return Err(AuthError::Invalid);
        }
        self.note(name, party, true);
        self.remember(key);
        Ok(self.person(&user))
    }

    fn by_robot_secret(&self, id: u32, secret: &Secret, now: Timestamp) -> Result<Principal, AuthError> {
        let shown: [u8; 32] = Sha256::digest(secret.reveal().as_bytes()).into();
        let found = self.parts.directory.read(|book| {
            let robot = book.robot_by_id(id)?;
            let is_right: bool = robot.is.is.secret.ct_eq(&shown).into();
            let robot = live_robot(book, id, now).filter(|_| is_right)?;
            Some(self.robot(book, robot, Credential::RobotSecret))
        });
        found.ok_or(AuthError::Invalid)
    }

    /// A person whose password was checked.
    fn person(&self, user: &UserEntry) -> Principal {
        let principal = self.principal(Kind::User(user.is.id), &user.name, Credential::Password);
        Principal { generation: user.stamp(), ..principal }
    }

    fn robot(&self, book: &Book, robot: &RobotEntry, credential: Credential) -> Principal {
        self.principal(Kind::Robot(robot.is.is.id), &full_name(book, robot).into(), credential)
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if nobody had failed yet.
    #[cfg(test)]
    pub(crate) fn forget_failures(&self) {
        *self.failures() = Backoff::default();
    }

    fn note(&self, name: &str, party: Option<IpAddr>, right: bool) {
        let at = self.parts.clock.monotonic();
        if right {
            self.failures().succeeded(name, party);
        } else {
            self.failures().failed(name, party, at);
        }
    }

    /// A place of the party's own share. Who has no address is the operator.
    fn share(&self, party: Option<IpAddr>) -> Result<Option<Share>, AuthError> {
        let Some(party) = party else { return Ok(None) };
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = shares.entry(party).or_default();
        if *taken >= WAITING_OF_ONE {
            return Err(AuthError::Busy);
        }
        *taken += 1;
        Ok(Some(Share { party, shares: Arc::clone(&self.shares) }))
    }

    fn cache_key_of(&self, user: &UserEntry, password: &Secret) -> [u8; 32] {
        // Lengths are fixed but the last: no two make one message. The generation ends entries of before.
        let mut message = Vec::with_capacity(16 + password.reveal().len());
        message.extend_from_slice(&user.stamp().to_be_bytes());
        message.extend_from_slice(&u64::from(user.is.id).to_be_bytes());
        message.extend_from_slice(password.reveal().as_bytes());
        self.cache_key.mac(&message)
    }

    fn is_cached(&self, key: &[u8; 32]) -> bool {
        let now = self.parts.clock.monotonic();
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(key).is_some_and(|until| *until > now)
    }

    fn remember(&self, key: [u8; 32]) {
        let now = self.parts.clock.monotonic();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_ENTRIES {
            cache.retain(|_, until| *until > now);
        }
        if cache.len() < CACHE_ENTRIES {
            cache.insert(key, now + self.parts.rules.cache_ttl);
        }
    }

    /// A token for `principal`, limited to `scopes`, which the gate granted. The token is no more than a limit: what
    /// its bearer may do is asked again at each use, so a right that ends, ends for its tokens too.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for one who shows a token: tokens make no tokens; and for an account that is no more.
    pub fn issue(&self, principal: &Principal, scopes: Vec<Scope>) -> Result<Issued, AuthError> {
        if principal.scopes.is_some() {
            return Err(AuthError::Invalid);
        }
        let issued_at = self.parts.clock.now();
        let (account, generation) = self
            .parts
            .directory
            .read(|book| match principal.kind {
                Kind::Anonymous => Some((None, 0)),
                // The operator's clients act for the administrator.
                Kind::Operator => live_user(book, USER_ADMIN).map(|user| (Some("u1".into()), user.stamp())),
                Kind::User(id) => live_user(book, id).map(|user| (Some(format!("u{id}").into()), user.stamp())),
                Kind::Robot(id) => {
                    live_robot(book, id, issued_at).map(|robot| (Some(format!("r{id}").into()), robot.stamp()))
                }
            })
            .ok_or(AuthError::Invalid)?;
        let expires = issued_at.plus(self.parts.rules.token_ttl);
        let claims = Claims { audience: SERVICE.into(), account, generation, expires, scopes: scopes.into() };
        let token = self.tokens.sign(&claims).ok_or(AuthError::Invalid)?;
        Ok(Issued { token, expires_in: self.parts.rules.token_ttl, issued_at })
    }

    /// How long a token is good.
    #[must_use]
    pub const fn token_ttl(&self) -> Duration {
        self.parts.rules.token_ttl
    }

    /// Begins a session of a browser for a person who showed a password; `None` for anyone else.
    #[must_use]
    pub fn begin_session(&self, principal: &Principal) -> Option<Secret> {
        let Kind::User(id) = principal.kind else { return None };
        if principal.via.credential != Credential::Password {
            return None;
        }
        // The account may have changed since its password was checked.
        let is_same = |user: &UserEntry| user.stamp() == principal.generation;
        self.parts.directory.read(|book| live_user(book, id).map(is_same)).filter(|is_same| *is_same)?;
        Some(self.sessions.begin(id, principal.generation, &*self.parts.entropy, self.parts.clock.monotonic()))
    }

    /// Ends a session.
    pub fn end_session(&self, id: &Secret) {
        self.sessions.end(id);
    }

    /// What a browser has to show beside its cookie when it changes something.
    #[must_use]
    pub fn second_token(&self, session: &Secret) -> String {
        self.sessions.second_token(session)
    }

    /// Whether it shows that.
    #[must_use]
    pub fn is_second_token(&self, session: &Secret, shown: &str) -> bool {
        self.sessions.is_second_token(session, shown)
    }

    /// What is to be kept of a new password, in the form [`crate::directory::Draft::set_verifier`] takes. Costs what
    /// checking one costs.
    ///
    /// # Errors
    /// [`AuthError::Busy`] when too many wait already, of `party` or of all; [`AuthError::Meta`].
    pub async fn new_verifier(&self, password: &Secret, party: Option<IpAddr>) -> Result<Vec<u8>, AuthError> {
        let (entropy, password) = (Arc::clone(&self.parts.entropy), password.clone());
        let _share = self.share(party)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| AuthError::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| AuthError::Busy)?;
        let made = self.parts.tasks.run_blocking("hash password", move || Verifier::new(&password, &*entropy)).await;
        let verifier = made.map_err(lost)?.map_err(|_| damaged("a password verifier"))?;
        postcard::to_stdvec(&verifier).map_err(|_| damaged("a password verifier").into())
    }

    /// Whether this is a person's password: asked before it is changed.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`] for a wrong one.
    pub async fn check_password(&self, user: u32, password: &Secret, party: Option<IpAddr>) -> Result<(), AuthError> {
        let name = self.parts.directory.read(|book| book.user_by_id(user).map(|user| Arc::clone(&user.name)));
        let name = name.ok_or(AuthError::Invalid)?;
        self.by_password(&name, password, party).await.map(drop)
    }

    /// Whether this is a person's password now: asked by who sets another for them. Failures are not counted.
    ///
    /// # Errors
    /// As [`Authenticator::new_verifier`].
    pub async fn is_password(&self, user: u32, password: &Secret, party: Option<IpAddr>) -> Result<bool, AuthError> {
        let user = self.parts.directory.read(|book| book.user_by_id(user).cloned());
        let Some(verifier) = self.verifier_of(user.as_ref()).await? else { return Ok(false) };
        let _share = self.share(party)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| AuthError::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| AuthError::Busy)?;
        self.verify(verifier, password).await
    }

    /// A new secret for a robot, and what its record keeps of it.
    #[must_use]
    pub fn new_robot_secret(&self) -> (Secret, [u8; 32]) {
        let secret = password::robot_secret(&*self.parts.entropy);
        let kept = robot_secret_kept(&secret);
        (secret, kept)
    }

    async fn verifier_of(&self, user: Option<&UserEntry>) -> Result<Option<Verifier>, AuthError> {
        let Some(user) = user else { return Ok(None) };
        let Some(bytes) = self.parts.directory.verifier(user).await? else { return Ok(None) };
        postcard::from_bytes(&bytes).map(Some).map_err(|_| damaged("a password verifier").into())
    }

    async fn verify(&self, verifier: Verifier, password: &Secret) -> Result<bool, AuthError> {
        let password = password.clone();
        let matches = self.parts.tasks.run_blocking("check password", move || verifier.matches(&password)).await;
        matches.map_err(lost)?.map_err(|_| damaged("a password verifier").into())
    }
}

/// What a robot's record keeps of its secret: that has 256 random bits, so a plain hash can't be tried.
#[must_use]
pub fn robot_secret_kept(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret.reveal().as_bytes()).into()
}

fn live_user(book: &Book, id: u32) -> Option<&UserEntry> {
    book.user_by_id(id).filter(|user| !user.is.disabled)
}

fn live_robot(book: &Book, id: u32, now: Timestamp) -> Option<&RobotEntry> {
    let robot = book.robot_by_id(id)?;
    let is_of_something = robot.scope.is_none_or(|scope| book.project_of(&scope).is_some());
    let is_expired = robot.is.is.expires.is_some_and(|until| until <= now);
    (is_of_something && !robot.is.is.disabled && !is_expired).then_some(robot)
}

/// How robots' names begin.
#[must_use]
pub fn robot_prefix(book: &Book) -> String {
    book.configured_text("robot_name_prefix").filter(|text| !text.is_empty()).unwrap_or_else(|| ROBOT_PREFIX.into())
}

/// The name by which a robot logs in: `robot$name`, or `robot$project+name` for one of a project.
#[must_use]
pub fn full_name(book: &Book, robot: &RobotEntry) -> String {
    let prefix = robot_prefix(book);
    match robot.scope.and_then(|scope| book.project_of(&scope)) {
        Some(project) => format!("{prefix}{}+{}", project.name, robot.is.name),
        None => format!("{prefix}{}", robot.is.name),
    }
}

/// What follows the prefix in a name by which a robot may log in.
fn robot_name<'n>(book: &Book, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(robot_prefix(book).as_str())
}

fn damaged(what: &str) -> MetaError {
    MetaError::Damaged(format!("{what} can't be read"))
}

fn lost(error: crate::workers::Lost) -> AuthError {
    MetaError::Engine(error.to_string()).into()
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;

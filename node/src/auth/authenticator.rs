//! Credentials in, principal out; and tokens for those who ask.
//!
//! State: the administrator's verifier and generation and the token key are settings of the store, read once at start.
//! The cache of verified passwords is this file's own, in memory, bounded, and keyed by an HMAC under a key that lives
//! as long as the process, so that it holds no password and no hash that could be tried offline.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Clock, Entropy};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::password::{self, Verifier};
use super::token::{Claims, Key, Reader};
use super::{ADMIN, Credentials, Kind, Principal, Scope, Secret};
use crate::storage::Store;
use crate::storage::meta::MetaError;
use crate::workers::Scope as Tasks;

/// The audience of our tokens, and the `service` of the challenge.
pub const SERVICE: &str = "portolan";

/// Log-ins that may wait for their turn on the password pool; more are told to come back.
const WAITING_LOG_INS: usize = 64;

/// Of these, places for one address: a stranger's flood leaves room for everyone else. A proxy is one address too, and
/// each place is free again after a few hundred milliseconds.
const WAITING_OF_ONE: usize = 16;

/// Verified passwords remembered at most.
const CACHE_ENTRIES: usize = 4096;

const ADMIN_SETTING: &str = "auth.admin.1";
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
    /// The account could not be read.
    #[error(transparent)]
    Meta(#[from] MetaError),
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
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Keys, salts, passwords.
    pub entropy: Arc<dyn Entropy>,
    /// Where passwords are checked.
    pub tasks: Tasks,
    /// How long things are good.
    pub rules: AuthRules,
}

#[derive(Clone, Serialize, Deserialize)]
struct Account {
    verifier: Verifier,
    generation: u64,
}

/// Turns credentials into principals. One a node.
#[derive(Debug)]
pub struct Authenticator {
    parts: OpenAuth,
    admin: Account,
    tokens: Reader,
    /// The administrator's name, shared by all its principals.
    admin_name: Arc<str>,
    cache_key: Key,
    cache: Mutex<HashMap<[u8; 32], Duration>>,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    shares: Shares,
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

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account(generation {})", self.generation)
    }
}

impl Authenticator {
    /// Reads the administrator's account, or makes it. `password` is what the operator set in the environment: it
    /// becomes the administrator's password if it is not already, which ends every token and session of before.
    /// Returns a password when one was made up: it is shown once and kept nowhere.
    ///
    /// # Errors
    /// [`AuthError::Meta`].
    pub async fn open(parts: OpenAuth, password: Option<Secret>) -> Result<(Self, Option<Secret>), AuthError> {
        let (admin, made_up) = Self::open_admin(&parts, password).await?;
        let tokens = Self::open_token_key(&parts).await?;
        let cache_key = Self::random_key(&parts)?;
        let turns = Arc::new(Semaphore::new(parts.rules.password_checks.max(1)));
        let waiting = Arc::new(Semaphore::new(WAITING_LOG_INS));
        let this = Self {
            parts,
            admin,
            tokens: Reader::new(tokens),
            admin_name: ADMIN.into(),
            cache_key,
            cache: Mutex::default(),
            turns,
            waiting,
            shares: Shares::default(),
        };
        Ok((this, made_up))
    }

    async fn open_admin(parts: &OpenAuth, set: Option<Secret>) -> Result<(Account, Option<Secret>), AuthError> {
        let stored: Option<Account> = match parts.store.meta().setting(ADMIN_SETTING).await? {
            Some(bytes) => Some(postcard::from_bytes(&bytes).map_err(|_| damaged(ADMIN_SETTING))?),
            None => None,
        };
        let (password, made_up) = match (set, &stored) {
            (Some(set), Some(account)) if verify(parts, &account.verifier, &set).await? => {
                return Ok((account.clone(), None));
            }
            (Some(set), _) => (set, None),
            (None, Some(account)) => return Ok((account.clone(), None)),
            (None, None) => {
                let random = password::random(&*parts.entropy);
                (random.clone(), Some(random))
            }
        };
        let entropy = Arc::clone(&parts.entropy);
        let verifier = parts.tasks.run_blocking("hash password", move || Verifier::new(&password, &*entropy)).await;
        let verifier = verifier.map_err(lost)?.map_err(|_| damaged(ADMIN_SETTING))?;
        let account = Account { verifier, generation: stored.map_or(1, |account| account.generation + 1) };
        let bytes = postcard::to_stdvec(&account).map_err(|_| damaged(ADMIN_SETTING))?;
        parts.store.meta().put_setting(ADMIN_SETTING, bytes).await?;
        Ok((account, made_up))
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
        Key::new(&bytes).ok_or_else(|| damaged("cache key").into())
    }

    /// Who is asking. `party`: the address, or the network, the request came from, which has a share of the places
    /// where log-ins wait.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for credentials that were shown and are wrong; nothing shown is the anonymous principal.
    pub async fn authenticate(&self, credentials: &Credentials, party: Option<IpAddr>) -> Result<Principal, AuthError> {
        match credentials {
            Credentials::None => Ok(Principal::anonymous()),
            Credentials::LocalOperator => Ok(self.administrator(None, true)),
            Credentials::Bearer(token) => self.by_token(token),
            Credentials::Basic { name, password } => self.by_password(name, password, party).await,
        }
    }

    fn administrator(&self, scopes: Option<Arc<[Scope]>>, interactive: bool) -> Principal {
        Principal { kind: Kind::Administrator, name: Arc::clone(&self.admin_name), scopes, interactive }
    }

    fn by_token(&self, token: &Secret) -> Result<Principal, AuthError> {
        let claims = self.tokens.open(token.reveal()).ok_or(AuthError::Invalid)?;
        if &*claims.audience != SERVICE || claims.expires <= self.parts.clock.now() {
            return Err(AuthError::Invalid);
        }
        match claims.account.as_deref() {
            None => Ok(Principal { scopes: Some(Arc::clone(&claims.scopes)), ..Principal::anonymous() }),
            Some(ADMIN) if claims.generation == self.admin.generation => {
                Ok(self.administrator(Some(Arc::clone(&claims.scopes)), false))
            }
            Some(_) => Err(AuthError::Invalid),
        }
    }

    async fn by_password(&self, name: &str, password: &Secret, party: Option<IpAddr>) -> Result<Principal, AuthError> {
        // An empty password is never a password (CVE-2017-14623), and a huge one is work for us alone.
        if password.reveal().is_empty() || password.reveal().len() > password::MAX_LEN {
            return Err(AuthError::Invalid);
        }
        let key = self.cache_key_of(name, password);
        if self.is_cached(&key) {
            return Ok(self.administrator(None, true));
        }
        let _share = self.share(party)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| AuthError::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| AuthError::Busy)?;
        let known = name == ADMIN;
        let verifier = if known { self.admin.verifier.clone() } else { Verifier::of_nobody() };
        if !(verify(&self.parts, &verifier, password).await? && known) {
            return Err(AuthError::Invalid);
        }
        self.remember(key);
        Ok(self.administrator(None, true))
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

    fn cache_key_of(&self, name: &str, password: &Secret) -> [u8; 32] {
        // Lengths first: no two (name, password) pairs make one message. The generation ends entries of before.
        let mut message = Vec::with_capacity(24 + name.len() + password.reveal().len());
        message.extend_from_slice(&self.admin.generation.to_be_bytes());
        message.extend_from_slice(&(name.len() as u64).to_be_bytes());
        message.extend_from_slice(name.as_bytes());
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
    /// [`AuthError::Invalid`] for one who shows a token: tokens make no tokens.
    pub fn issue(&self, principal: &Principal, scopes: Vec<Scope>) -> Result<Issued, AuthError> {
        if principal.scopes.is_some() {
            return Err(AuthError::Invalid);
        }
        let issued_at = self.parts.clock.now();
        let claims = Claims {
            audience: SERVICE.into(),
            account: match principal.kind {
                Kind::Anonymous => None,
                Kind::Administrator => Some(Arc::clone(&principal.name)),
            },
            generation: self.admin.generation,
            expires: issued_at.plus(self.parts.rules.token_ttl),
            scopes: scopes.into(),
        };
        let token = self.tokens.sign(&claims).ok_or(AuthError::Invalid)?;
        Ok(Issued { token, expires_in: self.parts.rules.token_ttl, issued_at })
    }
}

async fn verify(parts: &OpenAuth, verifier: &Verifier, password: &Secret) -> Result<bool, AuthError> {
    let (verifier, password) = (verifier.clone(), password.clone());
    let matches = parts.tasks.run_blocking("check password", move || verifier.matches(&password)).await;
    matches.map_err(lost)?.map_err(|_| damaged(ADMIN_SETTING).into())
}

fn damaged(setting: &str) -> MetaError {
    MetaError::Damaged(format!("the setting {setting} can't be read"))
}

fn lost(error: crate::workers::Lost) -> AuthError {
    MetaError::Engine(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::uploads::tests::Yard;
    use crate::world::RealEntropy;

    const PASSWORD: &str = "correct horse";

    async fn authenticator(rules: AuthRules) -> Authenticator {
        let yard = Yard::new();
        let clock: Arc<dyn Clock> = Arc::new(yard.clock.clone());
        let blobs = Arc::new(MemoryBlobs::new(Arc::clone(&clock)));
        let store = yard.store(Arc::new(MemoryMeta::default()), blobs);
        let parts = OpenAuth { store, clock, entropy: Arc::new(RealEntropy), tasks: Tasks::new(), rules };
        Authenticator::open(parts, Some(Secret::new(PASSWORD))).await.unwrap().0
    }

    fn rules() -> AuthRules {
        AuthRules { token_ttl: Duration::from_secs(300), cache_ttl: Duration::from_secs(60), password_checks: 1 }
    }

    fn basic(name: &str, password: &str) -> Credentials {
        Credentials::Basic { name: name.into(), password: Secret::new(password) }
    }

    #[tokio::test]
    async fn an_unknown_name_costs_a_hash_too() {
        let auth = authenticator(rules()).await;
        // The one turn is taken: whoever needs a hash has to wait for it, known name or not.
        let turn = auth.turns.clone().acquire_owned().await.unwrap();
        for name in [ADMIN, "nobody"] {
            let credentials = basic(name, "wrong");
            let mut asked = Box::pin(auth.authenticate(&credentials, None));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(asked.as_mut().poll(&mut context).is_pending(), "{name} was answered without a hash");
        }
        drop(turn);
        assert!(matches!(auth.authenticate(&basic("nobody", PASSWORD), None).await, Err(AuthError::Invalid)));
        assert!(auth.authenticate(&basic(ADMIN, PASSWORD), None).await.is_ok());
    }

    #[tokio::test]
    async fn more_log_ins_than_can_wait_are_told_to_come_back() {
        let auth = authenticator(rules()).await;
        let _turn = auth.turns.clone().acquire_owned().await.unwrap();
        let _all = auth.waiting.clone().acquire_many_owned(WAITING_LOG_INS as u32).await.unwrap();
        assert!(matches!(auth.authenticate(&basic(ADMIN, PASSWORD), None).await, Err(AuthError::Busy)));
    }

    #[tokio::test]
    async fn a_flood_from_one_address_locks_out_nobody_else() {
        let auth = authenticator(rules()).await;
        let turn = auth.turns.clone().acquire_owned().await.unwrap();
        let (stranger, other) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        let guess = basic(ADMIN, "guess");
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(auth.authenticate(&guess, stranger))).collect();
        let waiting =
            flood.iter_mut().map(|asked| asked.as_mut().poll(&mut context)).filter(std::task::Poll::is_pending).count();
        assert_eq!(waiting, WAITING_OF_ONE);
        let right = basic(ADMIN, PASSWORD);
        let mut admin = Box::pin(auth.authenticate(&right, other));
        assert!(admin.as_mut().poll(&mut context).is_pending(), "it has a place");
        drop(flood);
        drop(turn);
        assert!(admin.await.is_ok());
        assert!(auth.shares.lock().unwrap().is_empty(), "every place was given back");
    }

    #[tokio::test]
    async fn a_verified_password_is_remembered_for_a_while_and_no_longer() {
        let auth = authenticator(AuthRules { cache_ttl: Duration::ZERO, ..rules() }).await;
        auth.authenticate(&basic(ADMIN, PASSWORD), None).await.unwrap();
        let key = auth.cache_key_of(ADMIN, &Secret::new(PASSWORD));
        assert!(!auth.is_cached(&key), "it is over at once");
        let auth = authenticator(rules()).await;
        auth.authenticate(&basic(ADMIN, PASSWORD), None).await.unwrap();
        assert!(auth.is_cached(&auth.cache_key_of(ADMIN, &Secret::new(PASSWORD))));
        assert!(!auth.is_cached(&auth.cache_key_of("admi", &Secret::new(format!("n{PASSWORD}")))));
    }

    #[tokio::test]
    async fn a_token_ends_with_its_time_its_audience_and_its_generation() {
        let auth = authenticator(rules()).await;
        let admin = auth.authenticate(&Credentials::LocalOperator, None).await.unwrap();
        let issued = auth.issue(&admin, vec![Scope::Catalog]).unwrap();
        let bearer = Credentials::Bearer(Secret::new(issued.token));
        let by_token = auth.authenticate(&bearer, None).await.unwrap();
        assert!(by_token.scope_allows_catalog() && !by_token.scope_allows_administration());
        assert!(matches!(auth.issue(&by_token, vec![]), Err(AuthError::Invalid)), "a token makes no token");
        let claims = |change: &dyn Fn(&mut Claims)| {
            let mut claims = Claims {
                audience: SERVICE.into(),
                account: Some(ADMIN.into()),
                generation: auth.admin.generation,
                expires: issued.issued_at.plus(Duration::from_secs(10)),
                scopes: Arc::new([]),
            };
            change(&mut claims);
            Credentials::Bearer(Secret::new(auth.tokens.sign(&claims).unwrap()))
        };
        assert!(auth.authenticate(&claims(&|_| {}), None).await.is_ok());
        let ended: [&dyn Fn(&mut Claims); 4] =
            [&|c| c.expires = issued.issued_at, &|c| c.audience = "another".into(), &|c| c.generation += 1, &|c| {
                c.account = Some("someone".into())
            }];
        for change in ended {
            assert!(matches!(auth.authenticate(&claims(change), None).await, Err(AuthError::Invalid)));
        }
    }
}

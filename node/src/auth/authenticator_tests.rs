//! Stories of the authenticator: who is let in, for how long, and what ends it.

use protocol::ProjectName;
use protocol::record::governed::{Entity, MemberKey, Robot, User};
use protocol::record::value::Value;
use protocol::record::{Kind as RecordKind, RecordKey};
use protocol::view::Topic;

use super::*;
use crate::auth::Action;
use crate::directory::{Draft, NewProject, NewRobot, RobotChange};
use crate::policy::{Gate, Permission, rights, roles};
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::memory::MemoryMeta;
use crate::storage::uploads::tests::Yard;
use crate::world::RealEntropy;

const PASSWORD: &str = "correct horse";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authenticator and the directory it asks.
struct House {
    auth: Authenticator,
    directory: Arc<Directory>,
    gate: Gate,
    yard: Yard,
}

impl House {
    async fn new() -> Self {
        Self::with(rules()).await
    }

    async fn with(rules: AuthRules) -> Self {
        let yard = Yard::new();
        let clock: Arc<dyn Clock> = Arc::new(yard.clock.clone());
        let store = yard.store(Arc::new(MemoryMeta::default()), Arc::new(MemoryBlobs::new(Arc::clone(&clock))));
        let tasks = Tasks::new();
        let directory = Directory::open(Arc::clone(&store), tasks.clone()).await.unwrap();
        let entropy = Arc::new(RealEntropy);
        let parts = OpenAuth { store, directory: Arc::clone(&directory), clock, entropy, tasks, rules };
        let auth = Authenticator::open(parts, Some(Secret::new(PASSWORD))).await.unwrap().0;
        let gate = Gate::new(Arc::clone(&directory));
        Self { auth, directory, gate, yard }
    }

    async fn change<T>(&self, decide: impl Fn(&mut Draft<'_>) -> Result<T, DirectoryError>) -> T {
        let act = Act { actor: "test".into(), at: self.now(), request: "r".into(), via: Via::default() };
        self.directory.change(&act, decide).await.unwrap()
    }

    fn now(&self) -> Timestamp {
        self.yard.clock.now()
    }

    /// A person whose password is [`PASSWORD`].
    async fn person(&self, name: &str) -> u32 {
        let verifier = self.auth.new_verifier(&Secret::new(PASSWORD), None).await.unwrap();
        let profile = Profile { email: format!("{name}@example.org"), ..Profile::default() };
        self.change(|draft| draft.create_user(name, &profile, false, verifier.clone())).await
    }

    async fn project(&self, name: &str) -> ProjectName {
        let new = NewProject {
            name: name.parse().unwrap(),
            public: false,
            sparse: false,
            metadata: Default::default(),
            owner: None,
            quota: None,
            nonce: [name.len() as u8; 16],
        };
        self.change(|draft| draft.create_project(&new)).await;
        new.name
    }

    /// A robot that may pull in its project, or everywhere; its id, name and secret.
    async fn robot(&self, project: Option<&ProjectName>, days: Option<u32>) -> (u32, String, Secret) {
        let (secret, kept) = self.auth.new_robot_secret();
        let namespace = project.map_or("*", ProjectName::as_str);
        let new = NewRobot {
            name: "crane".into(),
            project: project.cloned(),
            permissions: vec![format!("{namespace} repository:pull")],
            days,
            description: String::new(),
            creator: "u1".into(),
            disabled: false,
            secret: kept,
        };
        let id = self.change(|draft| draft.create_robot(&new)).await;
        (id, self.directory.read(|book| full_name(book, book.robot_by_id(id).unwrap())), secret)
    }

    async fn enter(&self, credentials: &Credentials) -> Option<Principal> {
        self.auth.authenticate(credentials, None).await.ok()
    }

    async fn lets_in(&self, credentials: &Credentials) -> bool {
        self.enter(credentials).await.is_some()
    }

    /// Every way in that someone with a password or secret can open: it itself, a token, and for people a session.
    async fn ways(&self, name: &str, secret: &str) -> Vec<Credentials> {
        let shown = basic(name, secret);
        let principal = self.enter(&shown).await.unwrap();
        let token = Secret::new(self.auth.issue(&principal, vec![]).unwrap().token);
        let session = self.auth.begin_session(&principal).map(Credentials::Session);
        [shown, Credentials::Bearer(token)].into_iter().chain(session).collect()
    }

    async fn open_ways(&self, ways: &[Credentials]) -> Vec<bool> {
        let mut open = Vec::new();
        for way in ways {
            open.push(self.lets_in(way).await);
        }
        open
    }

    fn admin(&self) -> UserEntry {
        self.directory.read(|book| book.user_by_id(USER_ADMIN).cloned()).unwrap()
    }
}

fn rules() -> AuthRules {
    AuthRules { token_ttl: Duration::from_secs(300), cache_ttl: Duration::from_secs(60), password_checks: 1 }
}

fn basic(name: &str, password: &str) -> Credentials {
    Credentials::Basic { name: name.into(), password: Secret::new(password) }
}

fn address(n: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, n]))
}

#[tokio::test]
async fn an_unknown_name_costs_a_hash_too() {
    let house = House::new().await;
    let auth = &house.auth;
    let id = house.person("ann").await;
    house.change(|draft| draft.set_disabled(id, true)).await;
    // The one turn is taken: whoever needs a hash has to wait for it, known name or not.
    let turn = auth.turns.clone().acquire_owned().await.unwrap();
    for (name, password) in [(ADMIN, "wrong"), ("nobody", "wrong"), ("ann", PASSWORD)] {
        let credentials = basic(name, password);
        let mut asked = Box::pin(auth.authenticate(&credentials, None));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(asked.as_mut().poll(&mut context).is_pending(), "{name} was answered without a hash");
    }
    drop(turn);
    for (name, password) in [("nobody", PASSWORD), (ADMIN, ""), ("", PASSWORD), ("Admin", PASSWORD)] {
        assert!(matches!(auth.authenticate(&basic(name, password), None).await, Err(AuthError::Invalid)), "{name}");
    }
    assert!(auth.authenticate(&basic(ADMIN, PASSWORD), None).await.is_ok());
}

#[tokio::test]
async fn more_log_ins_than_can_wait_are_told_to_come_back() {
    let House { auth, .. } = House::new().await;
    let _turn = auth.turns.clone().acquire_owned().await.unwrap();
    let _all = auth.waiting.clone().acquire_many_owned(WAITING_LOG_INS as u32).await.unwrap();
    assert!(matches!(auth.authenticate(&basic(ADMIN, PASSWORD), None).await, Err(AuthError::Busy)));
    assert!(matches!(auth.new_verifier(&Secret::new(PASSWORD), None).await, Err(AuthError::Busy)), "new ones too");
}

#[tokio::test]
async fn a_flood_from_one_address_locks_out_nobody_else() {
    let House { auth, .. } = House::new().await;
    let turn = auth.turns.clone().acquire_owned().await.unwrap();
    let guess = basic(ADMIN, "guess");
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut flood: Vec<_> = (0..100).map(|_| Box::pin(auth.authenticate(&guess, address(1)))).collect();
    let waiting =
        flood.iter_mut().map(|asked| asked.as_mut().poll(&mut context)).filter(std::task::Poll::is_pending).count();
    assert_eq!(waiting, WAITING_OF_ONE);
    let right = basic(ADMIN, PASSWORD);
    let mut admin = Box::pin(auth.authenticate(&right, address(2)));
    assert!(admin.as_mut().poll(&mut context).is_pending(), "it has a place");
    drop(flood);
    drop(turn);
    assert!(admin.await.is_ok());
    assert!(auth.shares.lock().unwrap().is_empty(), "every place was given back");
}

#[tokio::test]
async fn who_guesses_waits_and_who_was_let_in_before_does_not() {
    let House { auth, yard, .. } = House::new().await;
    assert!(auth.authenticate(&basic(ADMIN, PASSWORD), address(1)).await.is_ok());
    for _ in 0..6 {
        assert!(matches!(auth.authenticate(&basic(ADMIN, "guess"), address(1)).await, Err(AuthError::Invalid)));
    }
    let wait = match auth.authenticate(&basic(ADMIN, "another"), address(1)).await {
        Err(AuthError::Slow(wait)) => wait,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait, Duration::from_secs(1));
    assert!(auth.authenticate(&basic(ADMIN, PASSWORD), address(1)).await.is_ok(), "it is remembered");
    yard.clock.step(wait);
    assert!(matches!(auth.authenticate(&basic(ADMIN, "another"), address(1)).await, Err(AuthError::Invalid)));
    yard.clock.step(Duration::from_secs(61));
    assert!(auth.authenticate(&basic(ADMIN, PASSWORD), address(1)).await.is_ok());
}

#[tokio::test]
async fn a_verified_password_is_remembered_for_a_while_and_no_longer() {
    let house = House::new().await;
    let (auth, password) = (&house.auth, Secret::new(PASSWORD));
    auth.authenticate(&basic(ADMIN, PASSWORD), None).await.unwrap();
    let admin = house.admin();
    assert!(auth.is_cached(&auth.cache_key_of(&admin, &password)));
    assert!(!auth.is_cached(&auth.cache_key_of(&admin, &Secret::new(format!("{PASSWORD} ")))));
    house.yard.clock.step(Duration::from_secs(60));
    assert!(!auth.is_cached(&auth.cache_key_of(&admin, &password)), "its time is over");
    auth.authenticate(&basic(ADMIN, PASSWORD), None).await.unwrap();
    let verifier = auth.new_verifier(&Secret::new("another"), None).await.unwrap();
    house.change(|draft| draft.set_verifier(USER_ADMIN, verifier.clone())).await;
    assert!(!auth.is_cached(&auth.cache_key_of(&house.admin(), &password)), "of a password that is no more");
    assert!(!house.lets_in(&basic(ADMIN, PASSWORD)).await);
    assert!(house.lets_in(&basic(ADMIN, "another")).await);
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_audience_and_its_generation() {
    let house = House::new().await;
    let auth = &house.auth;
    let admin = auth.authenticate(&Credentials::LocalOperator, None).await.unwrap();
    let issued = auth.issue(&admin, vec![Scope::Catalog]).unwrap();
    let bearer = Credentials::Bearer(Secret::new(issued.token));
    let by_token = auth.authenticate(&bearer, None).await.unwrap();
    assert!(by_token.scope_allows_catalog() && !by_token.scope_allows_administration());
    assert!(matches!(auth.issue(&by_token, vec![]), Err(AuthError::Invalid)), "a token makes no token");
    assert!(auth.begin_session(&by_token).is_none(), "nor a session");
    let claims = |change: &dyn Fn(&mut Claims)| {
        let mut claims = Claims {
            audience: SERVICE.into(),
            account: Some("u1".into()),
            generation: house.admin().stamp(),
            expires: issued.issued_at.plus(Duration::from_secs(10)),
            scopes: Arc::new([]),
        };
        change(&mut claims);
        Credentials::Bearer(Secret::new(auth.tokens.sign(&claims).unwrap()))
    };
    assert!(house.lets_in(&claims(&|_| {})).await);
    let ended: [&dyn Fn(&mut Claims); 7] = [
        &|c| c.expires = issued.issued_at,
        &|c| c.audience = "another".into(),
        &|c| c.generation += 1,
        &|c| c.account = Some("u2".into()),
        &|c| c.account = Some("r1".into()),
        &|c| c.account = Some("admin".into()),
        &|c| c.account = Some(String::new().into()),
    ];
    for change in ended {
        assert!(!house.lets_in(&claims(change)).await);
    }
    house.yard.clock.step(Duration::from_secs(300));
    assert!(!house.lets_in(&bearer).await, "five minutes are over");
}

#[tokio::test]
async fn who_is_shut_out_finds_every_way_closed() {
    let house = House::new().await;
    let id = house.person("ann").await;
    let ways = house.ways("ann", PASSWORD).await;
    assert_eq!(ways.len(), 3);
    assert_eq!(house.open_ways(&ways).await, [true; 3]);
    let known = house.enter(&ways[0]).await.unwrap();
    house.change(|draft| draft.set_disabled(id, true)).await;
    assert_eq!(house.open_ways(&ways).await, [false; 3]);
    assert!(house.auth.issue(&known, vec![]).is_err(), "also one who was let in just before");
    assert!(house.auth.begin_session(&known).is_none());
    house.change(|draft| draft.set_disabled(id, false)).await;
    assert_eq!(house.open_ways(&ways).await, [true, false, false], "what was handed out before stays closed");
}

#[tokio::test]
async fn a_new_password_and_the_end_of_an_account_close_every_way() {
    let house = House::new().await;
    let id = house.person("ann").await;
    let ways = house.ways("ann", PASSWORD).await;
    let verifier = house.auth.new_verifier(&Secret::new("another"), None).await.unwrap();
    house.change(|draft| draft.set_verifier(id, verifier.clone())).await;
    assert_eq!(house.open_ways(&ways).await, [false; 3]);
    let ways = house.ways("ann", "another").await;
    house.change(|draft| draft.delete_user(id)).await;
    assert_eq!(house.open_ways(&ways).await, [false; 3]);
    // Another person of that name is another person.
    assert_ne!(house.person("ann").await, id);
    assert_eq!(house.open_ways(&ways).await, [false; 3]);
}

#[tokio::test]
async fn a_session_ends_when_it_is_ended_or_unused() {
    let house = House::new().await;
    let admin = house.enter(&basic(ADMIN, PASSWORD)).await.unwrap();
    let (one, two) = (house.auth.begin_session(&admin).unwrap(), house.auth.begin_session(&admin).unwrap());
    assert_ne!(one, two);
    house.auth.end_session(&one);
    assert!(!house.lets_in(&Credentials::Session(one)).await);
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for _ in 0..3 {
        house.yard.clock.step(minutes(59));
        assert!(house.lets_in(&Credentials::Session(two.clone())).await);
    }
    house.change(|draft| draft.configure(&[("session_timeout".to_owned(), "5".to_owned())].into())).await;
    house.yard.clock.step(minutes(5));
    assert!(!house.lets_in(&Credentials::Session(two)).await, "five minutes are set now");
}

#[tokio::test]
async fn a_robot_that_is_disabled_refreshed_or_deleted_is_out_at_once() {
    let house = House::new().await;
    let (id, name, secret) = house.robot(None, None).await;
    assert_eq!(name, "robot$crane");
    let change = |change: RobotChange| house.change(move |draft| draft.change_robot(id, &change));
    let ways = house.ways(&name, secret.reveal()).await;
    assert_eq!(house.open_ways(&ways).await, [true; 2], "a robot has no session");
    change(RobotChange { disabled: Some(true), ..RobotChange::default() }).await;
    assert_eq!(house.open_ways(&ways).await, [false; 2]);
    change(RobotChange { disabled: Some(false), ..RobotChange::default() }).await;
    assert_eq!(house.open_ways(&ways).await, [true, false]);
    let (fresh, kept) = house.auth.new_robot_secret();
    change(RobotChange { secret: Some(kept), ..RobotChange::default() }).await;
    assert_eq!(house.open_ways(&ways).await, [false; 2]);
    let ways = house.ways(&name, fresh.reveal()).await;
    house.change(|draft| draft.delete_robot(id)).await;
    assert_eq!(house.open_ways(&ways).await, [false; 2]);
}

#[tokio::test]
async fn a_robot_whose_name_is_a_persons_shuts_nobody_out() {
    let house = House::new().await;
    let (robot, _, secret) = house.robot(None, None).await;
    let person = house.person("the-crane").await;
    let settings = [("robot_name_prefix".to_owned(), "\"the-\"".to_owned())].into();
    house.change(|draft| draft.configure(&settings)).await;
    let enter = async |secret: &str| house.enter(&basic("the-crane", secret)).await.map(|who| who.kind());
    assert_eq!(enter(PASSWORD).await, Some(Kind::User(person)));
    assert_eq!(enter(secret.reveal()).await, Some(Kind::Robot(robot)));
    assert_eq!(enter("wrong").await, None);
}

#[tokio::test]
async fn a_robot_lives_for_its_days() {
    let house = House::new().await;
    let (_, name, secret) = house.robot(None, Some(2)).await;
    house.yard.clock.step(DAY * 2 - Duration::from_secs(60));
    let ways = house.ways(&name, secret.reveal()).await;
    house.yard.clock.step(Duration::from_secs(60));
    assert_eq!(house.open_ways(&ways).await, [false; 2], "its token does not outlive it");
}

#[tokio::test]
async fn a_robot_ends_with_its_project_also_when_another_of_that_name_comes() {
    let house = House::new().await;
    let shop = house.project("shop").await;
    let (_, name, secret) = house.robot(Some(&shop), None).await;
    assert_eq!(name, "robot$shop+crane");
    let ways = house.ways(&name, secret.reveal()).await;
    house.change(|draft| draft.delete_project(&shop, false)).await;
    assert_eq!(house.open_ways(&ways).await, [false; 2]);
    let new = NewProject {
        name: shop.clone(),
        public: false,
        sparse: false,
        metadata: Default::default(),
        owner: None,
        quota: None,
        nonce: [99; 16],
    };
    house.change(|draft| draft.create_project(&new)).await;
    assert_eq!(house.open_ways(&ways).await, [false; 2]);
}

#[tokio::test]
async fn wrong_robot_secrets_are_told_nothing_and_counted() {
    let house = House::new().await;
    let (_, name, secret) = house.robot(None, None).await;
    let right = secret.reveal();
    // What is compared are hashes of one length, in constant time: how much of a guess is right shows nowhere.
    let long = format!("{right}x");
    for guess in ["x", &right[1..], &right[..right.len() - 1], long.as_str(), &right.to_lowercase()] {
        let outcome = house.auth.authenticate(&basic(&name, guess), address(1)).await;
        assert!(matches!(outcome, Err(AuthError::Invalid)));
    }
    assert!(house.auth.failures().wait(&name, address(1), house.yard.clock.monotonic()).is_none());
    assert!(house.auth.authenticate(&basic(&name, "x"), address(1)).await.is_err());
    assert!(house.auth.failures().wait(&name, address(1), house.yard.clock.monotonic()).is_some());
    assert!(house.lets_in(&basic(&name, right)).await, "a robot of many machines is shut out by none of them");
    for other in ["crane", "robot$", "robot$crane+", "robot$shop+crane", "ROBOT$crane"] {
        assert!(!house.lets_in(&basic(other, right)).await, "{other}");
    }
}

#[tokio::test]
async fn rights_that_end_end_for_those_who_are_logged_in() {
    let house = House::new().await;
    let (ann, shop) = (house.person("ann").await, house.project("shop").await);
    let crew = house.change(|draft| draft.create_group("crew", 3, "")).await;
    house.change(|draft| draft.set_group_members(crew, [ann].into())).await;
    let key = |entity| MemberKey { entity, repositories: None };
    let by_group = key(Entity::Group(crew));
    house.change(|draft| draft.add_member(&shop, &by_group, roles::DEVELOPER)).await;
    let repository: protocol::RepositoryName = "shop/app".parse().unwrap();
    let principal = house.enter(&basic("ann", PASSWORD)).await.unwrap();
    let scope = Scope::Repository { name: repository.clone(), actions: vec![Action::Pull, Action::Push] };
    let scopes = house.gate.grant(&principal, &[scope]);
    let token = Credentials::Bearer(Secret::new(house.auth.issue(&principal, scopes).unwrap().token));
    let may = async |action| {
        let by_token = house.enter(&token).await.unwrap();
        house.gate.allows(&by_token, action, &repository) && by_token.scope_allows(action, &repository)
    };
    assert!(may(Action::Push).await);
    // Taken out of the group: the token is good still, and opens nothing (CVE-2025-23208).
    house.change(|draft| draft.set_group_members(crew, [].into())).await;
    assert!(!may(Action::Push).await && !may(Action::Pull).await);
    let id = house.change(|draft| draft.add_member(&shop, &key(Entity::User(ann)), roles::MAINTAINER)).await;
    assert!(may(Action::Push).await);
    house.change(|draft| draft.change_member(&shop, id, roles::GUEST)).await;
    assert!(!may(Action::Push).await && may(Action::Pull).await, "a lesser role at once");
    house.change(|draft| draft.remove_member(&shop, id)).await;
    assert!(!may(Action::Pull).await);
}

#[tokio::test]
async fn who_is_no_administrator_any_more_has_to_log_in_again() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.change(|draft| draft.set_administrator(ann, true)).await;
    let ways = house.ways("ann", PASSWORD).await;
    assert!(house.gate.is_administrator(&house.enter(&ways[2]).await.unwrap()));
    house.change(|draft| draft.set_administrator(ann, false)).await;
    assert_eq!(house.open_ways(&ways).await, [true, false, false]);
    assert!(!house.gate.is_administrator(&house.enter(&ways[0]).await.unwrap()));
}

#[tokio::test]
async fn nobody_gives_a_robot_what_they_have_not() {
    let house = House::new().await;
    let (ann, shop, bank) = (house.person("ann").await, house.project("shop").await, house.project("bank").await);
    let key = MemberKey { entity: Entity::User(ann), repositories: None };
    house.change(|draft| draft.add_member(&shop, &key, roles::PROJECT_ADMIN)).await;
    let (robot, ..) = house.robot(Some(&shop), None).await;
    let (puller, ..) = house.robot(None, None).await;
    let pull = Permission::from_words("repository", "pull").unwrap();
    let push = Permission::from_words("repository", "push").unwrap();
    let gives =
        |who, permission, place: &str| house.directory.read(|book| rights::may_hand_on(book, who, permission, place));
    let places = ["/", "*", shop.as_str(), bank.as_str()];
    let all = |who, permission| places.map(|place| gives(who, permission, place));
    assert_eq!(all(Kind::User(USER_ADMIN), push), [true; 4]);
    assert_eq!(all(Kind::User(ann), push), [false, false, true, false]);
    assert_eq!(all(Kind::Robot(robot), pull), [false, false, true, false]);
    assert_eq!(all(Kind::Robot(robot), push), [false; 4]);
    assert_eq!(all(Kind::Robot(puller), pull), [false, true, true, true]);
    for permission in roles::PROJECT_VOCABULARY {
        assert!(gives(Kind::User(ann), *permission, "shop"), "its administrator gives {permission}");
    }
    // What is open to all is nobody's to keep for later.
    let public = crate::directory::ProjectChange { public: Some(true), ..Default::default() };
    house.change(|draft| draft.change_project(&bank, &public)).await;
    assert!(house.directory.read(|book| rights::allows(
        book,
        Kind::User(ann),
        pull,
        crate::policy::On::Project(&bank)
    )));
    assert!(!gives(Kind::User(ann), pull, "bank") && !gives(Kind::Anonymous, pull, "bank"));
}

#[tokio::test]
async fn who_was_logged_in_is_not_another_who_has_the_same_id() {
    let house = House::new().await;
    let ben = house.person("ben").await;
    let (robot, name, secret) = house.robot(None, None).await;
    let (bens, cranes) = (house.ways("ben", PASSWORD).await, house.ways(&name, secret.reveal()).await);
    let mesh_wide = |book: &Book, kind, name| Topic { scope: book.mesh_wide(), kind, key: RecordKey::named(name) };
    // Another site made others with these ids, and earlier: by them the ids mean those.
    let (created, generation) = (Timestamp(1), 1);
    let ann = User { id: ben, generation, created, administrator: true, ..User::default() };
    let topic = house.directory.read(|book| mesh_wide(book, RecordKind::USER, "ann"));
    house.directory.hear(topic, Value::User(ann));
    let spy = Robot { id: robot, generation, created, permissions: vec!["/ user:list".into()], ..Robot::default() };
    let topic = house.directory.read(|book| mesh_wide(book, RecordKind::ROBOT, "spy"));
    house.directory.hear(topic, Value::Robot(spy));
    assert_eq!(house.directory.read(|book| book.user_by_id(ben).map(|user| user.name.to_string())), Some("ann".into()));
    assert_eq!((house.open_ways(&bens).await, house.open_ways(&cranes).await), (vec![false; 3], vec![false; 2]));
    assert!(!house.lets_in(&basic("ann", PASSWORD)).await, "nor is ben's password ann's");
    house.directory.settle_ids().await.unwrap();
    assert!(house.lets_in(&basic("ben", PASSWORD)).await && !house.lets_in(&basic("ann", PASSWORD)).await);
    assert!(house.lets_in(&basic(&name, secret.reveal())).await);
    assert_eq!(house.open_ways(&bens[1..]).await, [false; 2], "what was logged in before stays out");
}

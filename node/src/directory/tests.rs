//! Stories of the directory over a real store.

use proptest::prelude::*;
use protocol::record::governed::{Entity, MemberKey, User};
use protocol::record::value::Value;
use protocol::record::{Kind, RecordKey, ScopeId};
use protocol::view::Topic;
use protocol::{ProjectName, Timestamp};

use super::*;
use crate::storage::Health;
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::memory::MemoryMeta;
use crate::storage::meta::redb::{OpenRedb, RedbMeta};
use crate::storage::meta::{Entry, MetaStore, Write, tests_author};
use crate::storage::uploads::tests::Yard;
use crate::workers::Scope;
use crate::world::RealDisk;
use crate::world::scratch::Scratch;

/// A directory over an engine that forgets.
pub(super) struct House {
    pub(super) directory: Arc<Directory>,
    store: Arc<Store>,
    _yard: Yard,
}

impl House {
    pub(super) async fn new() -> Self {
        Self::over(Arc::new(MemoryMeta::default())).await
    }

    async fn over(meta: Arc<dyn MetaStore>) -> Self {
        let (store, yard) = Self::store(meta);
        Self { directory: Directory::open(Arc::clone(&store), Scope::new()).await.unwrap(), store, _yard: yard }
    }

    pub(super) async fn of_block(block: IdBlock) -> Self {
        let (store, yard) = Self::store(Arc::new(MemoryMeta::default()));
        let directory = Directory::giving(block, Arc::clone(&store), Scope::new()).await.unwrap();
        Self { directory, store, _yard: yard }
    }

    fn store(meta: Arc<dyn MetaStore>) -> (Arc<Store>, Yard) {
        let yard = Yard::new();
        let blobs = Arc::new(MemoryBlobs::new(Arc::new(yard.clock.clone())));
        (yard.store(meta, blobs), yard)
    }

    pub(super) async fn robot(&self, name: &str) -> u32 {
        let new = NewRobot {
            name: name.into(),
            project: None,
            permissions: vec!["* repository:pull".into()],
            days: None,
            description: String::new(),
            disabled: false,
            creator: "u1".into(),
            secret: [1; 32],
        };
        self.change(|draft| draft.create_robot(&new)).await.unwrap()
    }

    async fn again(&self) -> Arc<Directory> {
        Directory::open(Arc::clone(&self.store), Scope::new()).await.unwrap()
    }

    pub(super) async fn change<T>(
        &self,
        decide: impl Fn(&mut Draft<'_>) -> Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        self.directory.change(&act(), decide).await
    }

    pub(super) async fn person(&self, name: &str) -> Result<u32, DirectoryError> {
        let profile = Profile { email: format!("{name}@example.org"), ..Profile::default() };
        self.change(|draft| draft.create_user(name, &profile, false, vec![1])).await
    }

    pub(super) async fn project(&self, name: &str) -> ProjectName {
        let new = new_project(name, 7);
        self.change(|draft| draft.create_project(&new)).await.unwrap();
        new.name
    }
}

fn act() -> Act {
    Act { actor: "test".into(), at: Timestamp(5), request: "r".into(), via: Via::default() }
}

fn new_project(name: &str, nonce: u8) -> NewProject {
    let (name, metadata, nonce) = (name.parse().unwrap(), Metadata::new(), [nonce; 16]);
    NewProject { name, public: false, sparse: false, metadata, owner: None, quota: None, nonce }
}

pub(super) fn member(entity: Entity) -> MemberKey {
    MemberKey { entity, repositories: None }
}

#[tokio::test]
async fn ids_are_never_given_out_again_also_after_a_restart() {
    let house = House::new().await;
    let first = house.person("ann").await.unwrap();
    house.change(|draft| draft.delete_user(first).or(Ok(()))).await.unwrap();
    let second = house.person("ben").await.unwrap();
    house.change(|draft| draft.delete_user(second)).await.unwrap();
    let profile = Profile { email: "c@example.org".into(), ..Profile::default() };
    let again = house.again().await;
    let third = again.change(&act(), |draft| draft.create_user("ann2", &profile, false, vec![])).await;
    assert_eq!(third.map_err(|error: DirectoryError| error.to_string()), Ok(second + 1));
}

#[tokio::test]
async fn names_and_addresses_are_one_persons() {
    let house = House::new().await;
    house.person("ann").await.unwrap();
    for taken in ["ann", "ANN"] {
        assert!(matches!(house.person(taken).await, Err(DirectoryError::Exists(_))), "{taken}");
    }
    let same = Profile { email: "Ann@Example.org".into(), ..Profile::default() };
    let other = house.change(|draft| draft.create_user("ben", &same, false, vec![])).await;
    assert!(matches!(other, Err(DirectoryError::Exists(_))));
    for bad in ["", "a b", "a:b", "a$b", "a+b", "a\0", "anonymous", "Operator", "Portolan"] {
        assert!(matches!(house.person(bad).await, Err(DirectoryError::Invalid(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn the_built_in_administrator_stays() {
    let house = House::new().await;
    assert_eq!(house.person("root").await.unwrap(), USER_ADMIN);
    let refused = [
        house.change(|draft| draft.delete_user(USER_ADMIN)).await,
        house.change(|draft| draft.set_disabled(USER_ADMIN, true)).await,
        house.change(|draft| draft.set_administrator(USER_ADMIN, false)).await,
    ];
    assert!(refused.iter().all(|outcome| matches!(outcome, Err(DirectoryError::Refused(_)))), "{refused:?}");
}

#[tokio::test]
async fn memberships_die_with_whom_they_are_of() {
    let house = House::new().await;
    house.person("root").await.unwrap();
    let (ann, shop) = (house.person("ann").await.unwrap(), house.project("shop").await);
    let crew = house.change(|draft| draft.create_group("crew", 3, "")).await.unwrap();
    house.change(|draft| draft.set_group_members(crew, [ann].into())).await.unwrap();
    for entity in [Entity::User(ann), Entity::Group(crew)] {
        house.change(|draft| draft.add_member(&shop, &member(entity), 2)).await.unwrap();
    }
    let members = || house.directory.read(|book| book.members(&book.project(&shop).unwrap().scope).count());
    let mine = || house.directory.read(|book| book.memberships(&book.project(&shop).unwrap().scope, ann).count());
    assert_eq!((members(), mine()), (2, 2));
    house.change(|draft| draft.delete_group(crew)).await.unwrap();
    assert_eq!((members(), mine()), (1, 1));
    let entry = house.directory.read(|book| book.user_by_id(ann).cloned()).unwrap();
    let verifier = house.directory.verifier(&entry).await;
    house.change(|draft| draft.delete_user(ann)).await.unwrap();
    assert_eq!((members(), mine()), (0, 0));
    assert!(verifier.unwrap().is_some());
    assert_eq!(house.directory.verifier(&entry).await.unwrap(), None, "nor is the password kept");
}

#[tokio::test]
async fn a_robot_of_the_system_may_nothing_in_a_later_project_of_that_name() {
    let house = House::new().await;
    let (shop, bank) = (house.project("shop").await, house.project("bank").await);
    let new = NewRobot {
        name: "ci".into(),
        project: None,
        permissions: [&shop, &bank].map(|project| format!("{project} repository:pull")).into(),
        days: None,
        description: String::new(),
        disabled: false,
        creator: "u1".into(),
        secret: [1; 32],
    };
    let id = house.change(|draft| draft.create_robot(&new)).await.unwrap();
    let holds = || house.directory.read(|book| book.robot_by_id(id).unwrap().is.is.permissions.clone());
    let generation = || house.directory.read(|book| book.robot_by_id(id).unwrap().is.is.generation);
    let before = generation();
    house.change(|draft| draft.delete_project(&shop, true)).await.unwrap();
    let again = new_project("shop", 8);
    house.change(|draft| draft.create_project(&again)).await.unwrap();
    assert_eq!(holds(), ["bank repository:pull"]);
    assert!(generation() > before, "its tokens of before are over");
    house.change(|draft| draft.delete_project(&bank, true)).await.unwrap();
    let change = |change: RobotChange| house.change(move |draft| draft.change_robot(id, &change));
    change(RobotChange { disabled: Some(true), ..RobotChange::default() }).await.unwrap();
    let nothing = RobotChange { permissions: Some(vec![]), ..RobotChange::default() };
    assert!(matches!(change(nothing).await, Err(DirectoryError::Invalid(_))), "nobody takes everything by hand");
}

#[tokio::test]
async fn what_must_end_log_ins_raises_the_generation() {
    let house = House::new().await;
    house.person("root").await.unwrap();
    let ann = house.person("ann").await.unwrap();
    let generation = || house.directory.read(|book| book.user_by_id(ann).unwrap().is.generation);
    let mut seen = vec![generation()];
    house.change(|draft| draft.set_verifier(ann, vec![2])).await.unwrap();
    seen.push(generation());
    house.change(|draft| draft.set_disabled(ann, true)).await.unwrap();
    seen.push(generation());
    house.change(|draft| draft.set_disabled(ann, false)).await.unwrap();
    house.change(|draft| draft.set_administrator(ann, true)).await.unwrap();
    assert_eq!(generation(), seen[2], "what gives ends nothing");
    house.change(|draft| draft.set_administrator(ann, false)).await.unwrap();
    seen.push(generation());
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[test]
fn a_person_said_in_a_projects_scope_is_nobody() {
    let mesh = MeshId::of(&tests_author().key());
    let mut book = Book::new(mesh);
    let scope = ScopeId::project(&mesh, &"shop".parse().unwrap(), &[7; 16]);
    let value = Value::User(User { id: 9, administrator: true, ..User::default() });
    for (at, scope, there) in [(1, scope, false), (2, book.mesh_wide(), true)] {
        let topic = Topic { scope, kind: Kind::USER, key: RecordKey::named("eve") };
        book.take(Entry { at, topic, value: Some(value.clone()) });
        assert_eq!((book.user("eve").is_some(), book.user_by_id(9).is_some()), (there, there));
    }
}

#[test]
fn of_two_accounts_with_one_id_the_end_of_one_leaves_the_other() {
    let mut book = Book::new(MeshId::of(&tests_author().key()));
    let said = |at, name, value: Option<User>| {
        let scope = ScopeId::mesh_wide(&MeshId::of(&tests_author().key()));
        let topic = Topic { scope, kind: Kind::USER, key: RecordKey::named(name) };
        Entry { at, topic, value: value.map(Value::User) }
    };
    let user = || Some(User { id: 9, ..User::default() });
    for entry in [said(1, "ann", user()), said(2, "ben", user()), said(3, "ann", None)] {
        book.take(entry);
    }
    assert_eq!(book.user_by_id(9).map(|user| &*user.name), Some("ben"));
}

#[test]
fn when_no_id_is_left_nothing_is_made() {
    let mut book = Book::new(MeshId::of(&tests_author().key()));
    book.given_out(IdOf::User, u32::MAX);
    book.given_out(IdOf::User, IdBlock::SIZE - 1);
    let profile = Profile { email: "ann@example.org".into(), ..Profile::default() };
    let made = Draft::new(&book, Timestamp(5)).create_user("ann", &profile, false, vec![]);
    assert!(matches!(made, Err(DirectoryError::Refused(_))), "{made:?}");
}

#[tokio::test]
async fn a_change_decided_on_an_old_book_is_decided_again() {
    let house = House::new().await;
    let other = house.again().await;
    house.person("ann").await.unwrap();
    // The other has not heard of ann: its first try is stale, its second sees her.
    let profile = Profile { email: "other@example.org".into(), ..Profile::default() };
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let outcome: Result<u32, DirectoryError> = other
        .change(&act(), |draft| {
            tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            draft.create_user("ann", &profile, false, vec![])
        })
        .await;
    assert!(matches!(outcome, Err(DirectoryError::Exists(_))), "{outcome:?}");
    assert_eq!(tries.into_inner(), 2);
    let considered: Result<u32, DirectoryError> =
        other.consider(|draft| draft.create_user("ben", &profile, false, vec![]));
    assert!(considered.is_ok() && other.read(|book| book.user("ben").is_none()), "asked, not done");
    // Nothing but a Write of the store changes it.
    let topic = Topic { scope: other.read(Book::mesh_wide), kind: Kind::USER, key: RecordKey::named("ann") };
    let amend =
        Amend { at: 0, writes: vec![Write::Delete(topic)], local: vec![], tell: vec![], due: Timestamp(9), act: act() };
    assert_eq!(MetaStore::amend(house.store.meta(), amend).await.unwrap(), Amended::Stale);
}

#[derive(Clone, Debug)]
enum Step {
    Person(u8),
    Leave(u8),
    Disable(u8, bool),
    Group(u8),
    Rename(u8, u8),
    Crew(u8, Vec<u8>),
    Disband(u8),
    Join(bool, u8, u8),
    Part(u8),
    Project(u8),
    Close(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..4_u8;
    prop_oneof![
        n().prop_map(Step::Person),
        n().prop_map(Step::Leave),
        (n(), any::<bool>()).prop_map(|(n, out)| Step::Disable(n, out)),
        n().prop_map(Step::Group),
        (n(), n()).prop_map(|(a, b)| Step::Rename(a, b)),
        (n(), prop::collection::vec(n(), 0..3)).prop_map(|(group, who)| Step::Crew(group, who)),
        n().prop_map(Step::Disband),
        (any::<bool>(), n(), n()).prop_map(|(person, who, role)| Step::Join(person, who, role)),
        n().prop_map(Step::Part),
        n().prop_map(Step::Project),
        n().prop_map(Step::Close),
    ]
}

impl House {
    /// Whether it may be done or not: what comes of it is in the book.
    async fn take(&self, step: &Step, nonce: u8) {
        let project: ProjectName = "shop0".parse().unwrap();
        let done = match step {
            Step::Person(n) => self.person(&format!("p{n}")).await.map(drop),
            Step::Leave(n) => self.change(|draft| draft.delete_user(u32::from(*n))).await,
            Step::Disable(n, out) => self.change(|draft| draft.set_disabled(u32::from(*n), *out)).await,
            Step::Group(n) => self.change(|draft| draft.create_group(&format!("g{n}"), 3, "")).await.map(drop),
            Step::Rename(a, b) => self.change(|draft| draft.rename_group(u32::from(*a), &format!("g{b}"))).await,
            Step::Crew(group, who) => {
                let who: std::collections::BTreeSet<_> = who.iter().map(|n| u32::from(*n)).collect();
                self.change(|draft| draft.set_group_members(u32::from(*group), who.clone())).await
            }
            Step::Disband(n) => self.change(|draft| draft.delete_group(u32::from(*n))).await,
            Step::Join(person, who, role) => {
                let who = u32::from(*who);
                let entity = if *person { Entity::User(who) } else { Entity::Group(who) };
                self.change(|draft| draft.add_member(&project, &member(entity), u32::from(*role))).await.map(drop)
            }
            Step::Part(n) => self.change(|draft| draft.remove_member(&project, u32::from(*n))).await,
            Step::Project(n) => {
                let new = new_project(&format!("shop{n}"), nonce);
                self.change(|draft| draft.create_project(&new)).await.map(drop)
            }
            Step::Close(n) => {
                let name = format!("shop{n}").parse().unwrap();
                self.change(|draft| draft.delete_project(&name, true)).await
            }
        };
        assert!(!matches!(done, Err(DirectoryError::Meta(_) | DirectoryError::Contended)), "{step:?}: {done:?}");
    }
}

/// The engine that keeps, on a disk of its own.
fn open_redb(dir: &Scratch, scope: &Scope) -> Arc<dyn MetaStore> {
    let meta = RedbMeta::open(OpenRedb {
        fs: Arc::new(RealDisk),
        path: dir.path("meta.redb"),
        cache: 1 << 20,
        sync: false,
        health: Health::new(),
        author: tests_author(),
        scope: scope.clone(),
    });
    Arc::new(meta.unwrap())
}

fn text(directory: &Directory) -> String {
    directory.read(|book| format!("{book:#?}"))
}

#[tokio::test]
async fn a_node_that_starts_again_has_the_book_of_before() {
    let dir = Scratch::new();
    let mut before: Option<String> = None;
    for start in 0..3_u8 {
        let scope = Scope::new();
        let house = House::over(open_redb(&dir, &scope)).await;
        if let Some(before) = &before {
            assert_eq!(text(&house.directory), *before, "start {start}");
        }
        let admin = if start == 0 { house.person("root").await.unwrap() } else { USER_ADMIN };
        let (shop, bank) = (house.project(&format!("shop{start}")).await, house.project(&format!("bank{start}")).await);
        let person = house.person(&format!("ann{start}")).await.unwrap();
        let crew = house.change(|draft| draft.create_group(&format!("crew{start}"), 3, "")).await.unwrap();
        house.change(|draft| draft.set_group_members(crew, [person, admin].into())).await.unwrap();
        let id = house.change(|draft| draft.put_role("looker", [format!("tag:list{start}")].into(), "")).await.unwrap();
        for (entity, role) in [(Entity::User(person), 2), (Entity::Group(crew), id)] {
            house.change(|draft| draft.add_member(&shop, &member(entity), role)).await.unwrap();
        }
        let part = MemberKey { entity: Entity::User(person), repositories: Some("team/**".into()) };
        house.change(|draft| draft.add_member(&bank, &part, 3)).await.unwrap();
        house.change(|draft| draft.set_quota(&shop, Some(4096))).await.unwrap();
        let robot = |name: &str, project: Option<&ProjectName>| NewRobot {
            name: format!("{name}{start}"),
            project: project.cloned(),
            permissions: vec![format!("{shop} repository:pull"), format!("{bank} repository:push")],
            days: Some(3),
            description: String::new(),
            disabled: false,
            creator: "u1".into(),
            secret: [start; 32],
        };
        for new in [robot("ci", Some(&shop)), robot("ferry", None), robot("gone", Some(&bank))] {
            house.change(|draft| draft.create_robot(&new)).await.unwrap();
        }
        let label = NewLabel { name: format!("hot{start}"), description: String::new(), color: String::new() };
        house.change(|draft| draft.create_label(Some(&shop), &label)).await.unwrap();
        // What went is not there again, and takes its own with it.
        house.change(|draft| draft.delete_project(&bank, true)).await.unwrap();
        house.change(|draft| draft.set_disabled(person, true)).await.unwrap();
        house.change(|draft| draft.set_verifier(person, vec![start])).await.unwrap();
        assert_eq!(text(&house.directory), text(&*house.again().await));
        before = Some(text(&house.directory));
        let entry = house.directory.read(|book| book.user_by_id(person).cloned()).unwrap();
        assert_eq!(house.directory.verifier(&entry).await.unwrap(), Some(vec![start]));
        drop(house);
        assert_eq!(scope.stop(std::time::Duration::from_secs(10)).await, 0, "the writer ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_change_at_once_each_is_done_whole_or_told_to_try_again() {
    let (dir, scope) = (Scratch::new(), Scope::new());
    let house = House::over(open_redb(&dir, &scope)).await;
    let others = [house.again().await, house.again().await];
    let work = |side: usize| {
        let directory = Arc::clone(&others[side]);
        scope.run("one side", async move {
            let mut made = Vec::new();
            for n in 0..40 {
                let name = format!("p{side}-{n}");
                let profile = Profile { email: format!("{name}@example.org"), ..Profile::default() };
                match directory.change(&act(), |draft| draft.create_user(&name, &profile, false, vec![])).await {
                    Ok(id) => made.push((id, name)),
                    Err(error) => assert!(matches!(error, DirectoryError::Contended), "{error}"),
                }
            }
            made
        })
    };
    let (one, two) = tokio::join!(work(0), work(1));
    let mut made = [one.unwrap(), two.unwrap()].concat();
    made.sort_unstable();
    assert!(made.len() >= 40 && made.windows(2).all(|pair| pair[0].0 != pair[1].0), "{made:?}");
    for directory in [house.again().await, others[0].clone(), others[1].clone()] {
        directory.refresh().await.unwrap();
        let mut known: Vec<_> =
            directory.read(|book| book.users().map(|user| (user.is.id, user.name.to_string())).collect());
        known.sort_unstable();
        assert_eq!(known, made, "what was answered, and nothing else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_others_are_always_faster_than_is_given_up() {
    let (dir, scope) = (Scratch::new(), Scope::new());
    let house = House::over(open_redb(&dir, &scope)).await;
    let slow = house.again().await;
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let profile = Profile { email: "late@example.org".into(), ..Profile::default() };
    let runtime = tokio::runtime::Handle::current();
    let outcome: Result<u32, DirectoryError> = slow
        .change(&act(), |draft| {
            let n = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // Someone else is done first, each time.
            tokio::task::block_in_place(|| runtime.block_on(house.person(&format!("quick{n}")))).unwrap();
            draft.create_user("late", &profile, false, vec![])
        })
        .await;
    assert!(matches!(outcome, Err(DirectoryError::Contended)), "{outcome:?}");
    assert_eq!(tries.into_inner(), TRIES, "not for ever");
    assert_eq!(slow.read(|book| (book.users().len(), book.user("late").is_some())), (TRIES, false));
    let late = slow.change(&act(), |draft| draft.create_user("late", &profile, false, vec![])).await;
    assert!(late.is_ok_and(|id: u32| id as usize == TRIES + 1), "nothing of the tries was kept");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_book_is_what_one_opened_anew_would_be(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            for (n, step) in steps.iter().enumerate() {
                house.take(step, n as u8).await;
            }
            let again = house.again().await;
            assert_eq!(text(&house.directory), text(&again));
        });
    }
}

#[tokio::test]
async fn the_end_of_an_account_tells_of_its_groups_and_long_lists_are_told_of_by_their_length() {
    let house = House::new().await;
    house.person("root").await.unwrap();
    let ann = house.person("ann").await.unwrap();
    let crew = house.change(|draft| draft.create_group("crew", 3, "")).await.unwrap();
    house.change(|draft| draft.set_group_members(crew, [ann].into())).await.unwrap();
    let told = async || {
        let events = house.store.meta().outbox(1000).await.unwrap();
        let told = events.into_iter().filter_map(|event| {
            if let crate::storage::meta::What::Governed(governed) = event.what { Some(*governed) } else { None }
        });
        told.collect::<Vec<_>>()
    };
    let before = told().await.len();
    house.change(|draft| draft.delete_user(ann)).await.unwrap();
    let after = told().await.split_off(before);
    let names: Vec<_> = after.iter().map(|one| (one.name.as_str(), one.after.is_some())).collect();
    assert_eq!(names, [("ann", false), ("crew", true)]);
    let members = |text: &Option<String>| {
        let value: serde_json::Value = serde_json::from_str(text.as_deref().unwrap()).unwrap();
        value["members"].clone()
    };
    assert_eq!(
        (members(&after[1].before), members(&after[1].after)),
        (serde_json::json!([ann]), serde_json::json!([]))
    );
    // More than an entry has room for: what was left out is marked, the rest stands.
    let role =
        house.change(|draft| draft.put_role("wide", (0..400).map(|n| format!("repository:{n}")).collect(), "all"));
    role.await.unwrap();
    let wide = told().await.pop().unwrap();
    let wide: serde_json::Value = serde_json::from_str(&wide.after.unwrap()).unwrap();
    assert!(wide["permissions"]["left_out_bytes"].as_u64().unwrap() > 4096, "{wide}");
    assert_eq!(wide["description"], "all");
}

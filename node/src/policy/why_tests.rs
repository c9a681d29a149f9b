//! What is told agrees with what is decided: over books of all kinds, also such as no node would write.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use protocol::RepositoryName;
use protocol::record::governed::{CustomRole, Group, MemberKey, Robot, User};
use protocol::record::value::{Life, Project, Settings, Value};
use protocol::record::{Kind as RecordKind, MeshId, RecordKey, ScopeId};
use protocol::view::Topic;

use super::super::rights::{EVERYWHERE, SYSTEM, robot_permission};
use super::*;
use crate::storage::meta::tests_author;

/// The projects there may be. Of `ghost` there never is more than what others say of it.
const PROJECTS: [&str; 3] = ["shop", "bank", "open"];
const GHOST: &str = "ghost";
const PATTERNS: [Option<&str>; 4] = [None, Some("app"), Some("team/**"), Some("*")];
const NOW: Timestamp = Timestamp(1000);

/// What is asked for in every book, besides one more that is drawn.
const ASKED: [Permission; 10] = [
    Permission::new(Resource::Project, Verb::Read),
    Permission::new(Resource::Project, Verb::Create),
    Permission::new(Resource::Repository, Verb::Pull),
    Permission::new(Resource::Repository, Verb::Push),
    Permission::new(Resource::Artifact, Verb::Delete),
    Permission::new(Resource::Tag, Verb::List),
    Permission::new(Resource::Label, Verb::List),
    Permission::new(Resource::Member, Verb::Create),
    Permission::new(Resource::User, Verb::List),
    Permission::new(Resource::Scan, Verb::ScannerPull),
];

fn mesh() -> MeshId {
    MeshId::of(&tests_author().key())
}

fn name(project: &str) -> ProjectName {
    project.parse().unwrap()
}

fn scope(project: &str) -> ScopeId {
    ScopeId::project(&mesh(), &name(project), &[7; 16])
}

fn mesh_wide(kind: RecordKind, name: &str) -> Topic {
    Topic { scope: ScopeId::mesh_wide(&mesh()), kind, key: RecordKey::named(name) }
}

fn words(permissions: &[Permission]) -> BTreeSet<String> {
    permissions.iter().map(ToString::to_string).collect()
}

fn project() -> impl Strategy<Value = (Topic, Value)> {
    (select(&PROJECTS[..]), any::<bool>()).prop_map(|(project, public)| {
        let settings = Settings { id: 1 + project.len() as u32, ..Settings::new(NOW, public, false) };
        let value = Project { name: name(project), nonce: [7; 16], life: Life::Open(settings) };
        (Topic::project(scope(project)), Value::Project(value))
    })
}

fn person() -> impl Strategy<Value = (Topic, Value)> {
    (1..5_u32, prop::bool::weighted(0.15), prop::bool::weighted(0.2)).prop_map(|(id, administrator, disabled)| {
        let user = User { id, administrator, disabled, ..User::default() };
        (mesh_wide(RecordKind::USER, &format!("p{id}")), Value::User(user))
    })
}

fn group() -> impl Strategy<Value = (Topic, Value)> {
    (1..3_u32, prop::collection::btree_set(0..6_u32, 0..4)).prop_map(|(id, members)| {
        let group = Group { id, members, ..Group::default() };
        (mesh_wide(RecordKind::GROUP, &format!("g{id}")), Value::Group(group))
    })
}

fn role() -> impl Strategy<Value = (Topic, Value)> {
    (6..9_u32, subsequence(&ASKED[..], 0..=ASKED.len())).prop_map(|(id, held)| {
        let role = CustomRole { id, permissions: words(&held), ..CustomRole::default() };
        (mesh_wide(RecordKind::ROLE, &format!("role{id}")), Value::Role(role))
    })
}

/// Also of projects that are not there, by roles that are not there, and by several or none.
fn member() -> impl Strategy<Value = (Topic, Value)> {
    let entity = prop_oneof![(0..6_u32).prop_map(Entity::User), (0..4_u32).prop_map(Entity::Group)];
    let place = (select(&PROJECTS[..]), select(&PATTERNS[..]));
    (place, entity, prop::collection::btree_set(1..10_u32, 0..3), 1..99_u32).prop_map(
        |((project, pattern), entity, roles, id)| {
            let key = MemberKey { entity, repositories: pattern.map(Into::into) };
            let topic = Topic { scope: scope(project), kind: RecordKind::MEMBER, key: key.to_key() };
            (topic, Value::Member(Member { id, roles, ..Member::default() }))
        },
    )
}

/// Also with permissions that are none of its project's.
fn robot() -> impl Strategy<Value = (Topic, Value)> {
    let held = (select(vec![SYSTEM, EVERYWHERE, "shop", "bank", "open", GHOST]), select(&ASKED[..]));
    let held = held.prop_map(|(namespace, permission)| robot_permission(namespace, permission));
    let place = prop::option::of(select(&PROJECTS[..]));
    let over = prop_oneof![Just(None), select(vec![Some(NOW), Some(Timestamp(NOW.0 + 1))])];
    (1..6_u32, place, prop::collection::btree_set(held, 0..12), prop::bool::weighted(0.2), over).prop_map(
        |(id, place, held, disabled, expires)| {
            let permissions = held.into_iter().collect();
            let robot = Robot { id, permissions, disabled, expires, ..Robot::default() };
            let key = RecordKey::named(&format!("r{id}"));
            let scope = place.map_or(ScopeId::mesh_wide(&mesh()), scope);
            (Topic { scope, kind: RecordKind::ROBOT, key }, Value::Robot(robot))
        },
    )
}

fn some<T: Strategy<Value = (Topic, Value)>>(of: T, most: usize) -> impl Strategy<Value = Vec<(Topic, Value)>> {
    prop::collection::vec(of, 0..most)
}

fn book() -> impl Strategy<Value = Book> {
    (some(project(), 5), some(person(), 6), some(group(), 4), some(role(), 4), some(member(), 12), some(robot(), 6))
        .prop_map(|(a, b, c, d, e, f)| Book::of(mesh(), [a, b, c, d, e, f].concat()))
}

fn everyone() -> impl Iterator<Item = Kind> {
    let people = (0..6).map(Kind::User);
    [Kind::Anonymous, Kind::Operator].into_iter().chain(people).chain((0..7).map(Kind::Robot))
}

/// Whether the account can log in, as [`crate::auth`] has it.
fn logs_in(book: &Book, who: Kind) -> bool {
    match who {
        Kind::Anonymous | Kind::Operator => true,
        Kind::User(id) => book.user_by_id(id).is_some_and(|user| !user.is.disabled),
        Kind::Robot(id) => book
            .robot_by_id(id)
            .is_some_and(|robot| !robot.is.is.disabled && robot.is.is.expires.is_none_or(|until| until > NOW)),
    }
}

fn told(book: &Book, who: Kind, asked: (Permission, On<'_>), sees_all: bool) -> Explanation {
    explain(book, NOW, ("someone", Some(who)), asked, sees_all)
}

fn facts<'e>(explanation: &'e Explanation, rule: &'e str) -> impl Iterator<Item = &'e str> {
    explanation.steps.iter().filter(move |step| step.rule == rule).map(|step| &*step.outcome)
}

/// What is told fits what is decided, and its parts fit each other.
fn agrees(book: &Book, who: Kind, permission: Permission, on: On<'_>) -> Result<(), TestCaseError> {
    let (full, narrow) = (told(book, who, (permission, on), true), told(book, who, (permission, on), false));
    let is_in = logs_in(book, who);
    let may = is_in && rights::allows(book, who, permission, on);
    prop_assert_eq!((full.allowed, narrow.allowed), (may, may), "{:?} {} {:?}: {:?}", who, permission, on, full);
    let rules: Vec<_> = full.steps.iter().map(|step| step.rule).collect();
    let end: &[&str] = if may { &["allowed"] } else { &["denied", "advice"] };
    prop_assert!(rules.ends_with(end), "{:?}", full);
    // Facts bear it out: without one that says so nothing is allowed, and with one something is.
    let because = if is_in { rights::because(book, who, permission, on) } else { None };
    let by_membership = facts(&full, "membership").any(|fact| fact.ends_with(" allows it"));
    let by_robot = facts(&full, "robot").any(|fact| fact.ends_with(" here") && !fact.ends_with(", not here"));
    match because {
        Some(Because::Member(_)) => prop_assert!(by_membership, "{:?}", full),
        Some(Because::Robot(_)) => prop_assert!(by_robot, "{:?}", full),
        Some(Because::Public) => {
            prop_assert!(facts(&full, "project").any(|fact| fact.contains("is public")), "{:?}", full);
        }
        Some(Because::Operator | Because::Administrator) => {}
        None => prop_assert!(!(by_robot || is_in && by_membership), "{:?} {} {:?}: {:?}", who, permission, on, full),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_told_is_what_is_decided(
        book in book(),
        resource in select(Resource::ALL),
        verb in select(Verb::ALL),
    ) {
        let projects: Vec<ProjectName> = PROJECTS.into_iter().chain([GHOST]).map(name).collect();
        let repositories: Vec<RepositoryName> = projects
            .iter()
            .flat_map(|project| ["app", "team/app"].map(|path| format!("{project}/{path}").parse().unwrap()))
            .collect();
        let on: Vec<On<'_>> = std::iter::once(On::System)
            .chain(projects.iter().map(On::Project))
            .chain(repositories.iter().map(On::Repository))
            .collect();
        for who in everyone() {
            for permission in ASKED.into_iter().chain([Permission::new(resource, verb)]) {
                for on in &on {
                    agrees(&book, who, permission, *on)?;
                }
            }
        }
    }

    #[test]
    fn a_project_one_may_not_see_is_told_of_as_one_that_is_not_there(book in book(), permission in select(&ASKED[..])) {
        let see = Permission::new(Resource::Project, Verb::Read);
        let said = |explanation: Explanation, project: &str| {
            let steps = explanation.steps.into_iter();
            steps.map(|step| (step.rule, step.outcome.replace(project, "NAME"))).collect::<Vec<_>>()
        };
        for (who, project) in everyone().flat_map(|who| PROJECTS.map(|project| (who, project))) {
            let (there, gone) = (name(project), name(GHOST));
            let may = |permission| rights::allows(&book, who, permission, On::Project(&there));
            // What its own record says a robot knows anyway.
            if may(see) || may(permission) || matches!(who, Kind::Robot(_)) {
                continue;
            }
            let of = |name: &ProjectName| told(&book, who, (permission, On::Project(name)), false);
            prop_assert_eq!(said(of(&there), project), said(of(&gone), GHOST), "{:?} {}", who, project);
        }
    }

    #[test]
    fn names_lead_to_the_accounts_they_are_of(book in book()) {
        for user in book.users() {
            prop_assert_eq!(account(&book, &user.name), Some(Kind::User(user.is.id)));
        }
        for robot in book.robots() {
            prop_assert_eq!(account(&book, &full_name(&book, robot)), Some(Kind::Robot(robot.is.is.id)));
        }
        for nobody in ["", "nobody", "robot$", "robot$nobody", "robot$shop+nobody", "robot$+", "p1 "] {
            prop_assert_eq!(account(&book, nobody), None);
        }
        let nobody = explain(&book, NOW, ("nobody", None), (ASKED[0], On::System), true);
        prop_assert!(!nobody.allowed && nobody.steps[0].outcome.contains("no account nobody"));
    }
}

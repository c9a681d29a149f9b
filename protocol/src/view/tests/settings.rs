//! Settings that contradict each other, usage, immutability.

use super::super::{Rank, Said, effective, is_immutable, refuse};
use super::*;
use crate::Tag;
use crate::record::governed::{CustomRole, Member, Quota, Robot, User};
use crate::record::value::{Denial, Value};

fn said(n: u8, value: Option<Value>) -> Said {
    Said { rank: Rank { epoch: 0, time: HybridTime(u64::from(n)), id: RecordId([n; 32]) }, value }
}

fn both(kind: Kind, one: Option<Value>, other: Option<Value>) -> Option<Value> {
    let found = effective(kind, vec![said(1, one.clone()), said(2, other.clone())]);
    assert_eq!(found, effective(kind, vec![said(2, other), said(1, one)]), "in any order");
    found
}

#[test]
fn a_member_removed_against_a_role_edit() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let eve = named(Kind::MEMBER, "eve");
    let of = |roles: &[u32]| Member { roles: roles.iter().copied().collect(), ..Member::default() };
    let role = |role| canonical::encode(&of(&[role]));
    let first = world.write(1, &eve, Some(&role(2)), &[]);
    let edit = world.write(1, &eve, Some(&role(1)), &[first]);
    world.write(2, &eve, None, &[first]);
    assert_eq!(world.live(&eve), Some(edit), "deletes never compete");
    assert_eq!(world.view.in_force(&world.set, &eve), None, "but no right is left");
    let prev = world.view.resolve(&eve);
    world.write(1, &eve, Some(&role(3)), &prev);
    let member = |roles: &[u32]| Some(Value::Member(of(roles)));
    assert_eq!(world.view.in_force(&world.set, &eve), member(&[3]));
    world.write(2, &eve, Some(&role(1)), &prev);
    assert_eq!(world.view.in_force(&world.set, &eve), member(&[1, 3]), "no more than both allow");
    assert_eq!(world.view.in_force(&world.set, &named(Kind::MEMBER, "nobody")), None);
}

#[test]
fn robots_may_what_all_permit() {
    let robot = |permissions: &[&str], disabled, expires: Option<u64>| {
        let permissions = permissions.iter().map(|&text| text.to_owned()).collect();
        let expires = expires.map(Timestamp);
        Some(Value::Robot(Robot { permissions, disabled, expires, ..Robot::default() }))
    };
    let found =
        both(Kind::ROBOT, robot(&["pull a", "push a"], false, None), robot(&["pull a", "pull b"], true, Some(5)));
    assert_eq!(found, robot(&["pull a"], true, Some(5)));
    let found = both(Kind::ROBOT, robot(&["x"], false, Some(9)), robot(&["x"], false, Some(5)));
    assert_eq!(found, robot(&["x"], false, Some(5)));
    assert_eq!(both(Kind::ROBOT, robot(&["x"], false, None), None), None);
}

#[test]
fn users_denials_visibility_and_the_rest() {
    let user = |administrator, disabled| Some(Value::User(User { administrator, disabled, ..User::default() }));
    assert_eq!(both(Kind::USER, user(true, false), user(false, true)), user(false, true));
    assert_eq!(both(Kind::USER, user(true, false), user(true, false)), user(true, false));
    assert_eq!(both(Kind::USER, user(true, false), None), None);

    let user = |generation| Some(Value::User(User { generation, ..User::default() }));
    assert_eq!(both(Kind::USER, user(2), user(7)), user(7), "what either ended is ended");
    let role = |permissions: &[&str]| {
        let permissions = permissions.iter().map(|&text| text.to_owned()).collect();
        Some(Value::Role(CustomRole { permissions, ..CustomRole::default() }))
    };
    assert_eq!(both(Kind::ROLE, role(&["tag:list", "tag:create"]), role(&["tag:list"])), role(&["tag:list"]));
    assert_eq!(both(Kind::ROLE, role(&["tag:list"]), None), None);

    let denial = |denied, reason: &str| Some(Value::Denial(Denial { denied, reason: reason.to_owned() }));
    assert_eq!(both(Kind::DENIAL, denial(true, "old"), denial(false, "new")), denial(true, "old"));
    assert_eq!(both(Kind::DENIAL, denial(true, "old"), None), denial(true, "old"), "a delete does not lift it");
    assert_eq!(both(Kind::DENIAL, None, denial(false, "fine")), denial(false, "fine"));
    assert_eq!(both(Kind::DENIAL, None, None), None);

    let project = |public, sparse| {
        let settings = Settings { public, sparse, ..open(TagMode::Converge, 0) };
        Some(Value::Project(Project { name: library(), nonce: NONCE, life: Life::Open(settings) }))
    };
    assert_eq!(both(Kind::PROJECT, project(false, false), project(true, true)), project(false, true));
    assert_eq!(both(Kind::PROJECT, project(true, false), None), project(true, false));

    let quota = |bytes| Some(Value::Quota(Quota { bytes, ..Quota::default() }));
    assert_eq!(both(Kind::QUOTA, quota(Some(1)), quota(None)), quota(None));
    assert_eq!(both(Kind::QUOTA, quota(Some(1)), None), quota(Some(1)));
}

#[test]
fn each_blob_and_manifest_weighs_once_and_over_quota_voids_nothing() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let quota = Topic { scope: scope(), kind: Kind::QUOTA, key: RecordKey::single() };
    world.write(0, &quota, Some(&canonical::encode(&Quota { bytes: Some(230), ..Quota::default() })), &[]);
    world.write(1, &manifest(1), Some(&pushed(&[], 3)), &[]);
    let usage = world.view.usage(&world.set, &scope());
    assert_eq!((usage.bytes, usage.is_over()), (130, false));
    let second = world.write(2, &manifest(2), Some(&pushed(&[1], 2)), &[]);
    let usage = world.view.usage(&world.set, &scope());
    assert_eq!((usage.bytes, usage.is_over()), (230, false), "two manifests, three blobs");
    let elsewhere = Topic { key: RecordKey::manifest(&"library/other".parse().unwrap(), &digest(1)), ..manifest(1) };
    world.write(1, &elsewhere, Some(&pushed(&[], 4)), &[]);
    let usage = world.view.usage(&world.set, &scope());
    assert_eq!((usage.bytes, usage.is_over()), (240, true), "one blob more, in another repository");
    assert_eq!(world.void(&second), None);
}

#[test]
fn immutable_tags_take_no_second_digest() {
    let tag = |name: &str| name.parse::<Tag>().unwrap();
    let patterns = ["v*".to_owned(), "release-?.?".to_owned(), "*-final*x".to_owned()];
    for name in ["v", "v1", "release-1.2", "a-final-x", "-finalx", "_-final-final.x"] {
        if let Ok(tag) = name.parse::<Tag>() {
            assert!(is_immutable(&patterns, &tag), "{name}");
        }
    }
    for name in ["latest", "release-1.23", "release-1.", "a-final-y"] {
        assert!(!is_immutable(&patterns, &tag(name)), "{name}");
    }
    let home = TagMode::Home(site(1));
    let (one, two) = (digest(1), digest(2));
    assert!(refuse(&home, &patterns, &tag("v1"), &[], &one).is_ok());
    assert!(refuse(&home, &patterns, &tag("v1"), &[one], &one).is_ok());
    assert_eq!(refuse(&home, &patterns, &tag("v1"), &[one], &two).unwrap_err().0, one);
    assert!(refuse(&home, &patterns, &tag("latest"), &[one], &two).is_ok());
    assert!(refuse(&TagMode::Converge, &patterns, &tag("v1"), &[one], &two).is_ok());
}

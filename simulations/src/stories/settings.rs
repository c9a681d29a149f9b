//! Members and other settings changed at two sites at once, and records of versions to come.

use std::sync::Arc;

use protocol::Timestamp;
use protocol::canonical;
use protocol::identity::Signature;
use protocol::ledger::Ledger;
use protocol::record::governed::Member;
use protocol::record::value::{Denial, Value};
use protocol::record::{
    Held, HybridTime, Kind, Parcel, Record, RecordId, RecordKey, Records, ScopeId, ValueHash, ValueRef,
};
use protocol::trust::Void;
use protocol::view::{Kept, Topic};

use super::islands::{Forged, Islands, image, key, named, repository, secret, tag_topic, view_of, void, voids};

// As Harbor counts its roles.
const ADMIN: u32 = 1;
const DEVELOPER: u32 = 2;
const GUEST: u32 = 3;
const MAINTAINER: u32 = 4;

fn member(scope: ScopeId, who: &str) -> Topic {
    Topic { scope, kind: Kind::MEMBER, key: RecordKey::named(who) }
}

fn set(islands: &mut Islands, at: &str, scope: ScopeId, role: Option<u32>) -> RecordId {
    let member = role.map(|role| Member { roles: [role].into(), ..Member::default() });
    islands.act(at, |ledger, now| ledger.set_member(scope, "ann", member.as_ref(), "admin", now)).unwrap()
}

fn role(ledger: &Ledger, scope: ScopeId) -> Vec<u32> {
    match ledger.view().in_force(ledger.set(), &member(scope, "ann")) {
        Some(Value::Member(member)) => member.roles.into_iter().collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_member_removed_against_a_role_edit_is_out_until_someone_decides() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let made = set(&mut islands, "root", scope, Some(DEVELOPER));
    islands.sync_all();
    let removed = set(&mut islands, "paris", scope, None);
    let edited = set(&mut islands, "oslo", scope, Some(MAINTAINER));
    islands.sync_all();
    islands.all_agree();
    islands.story().in_every_order(&[made, removed, edited], |ledger| {
        let view = ledger.view().topic(&member(scope, "ann"));
        assert_eq!((role(ledger, scope), view.heads, view.deletes), (vec![], 1, 1));
    });
    let decided = set(&mut islands, "south", scope, Some(GUEST));
    islands.sync_all();
    islands.story().in_every_order(&[made, removed, edited, decided], |ledger| {
        assert_eq!(role(ledger, scope), [GUEST]);
    });
}

#[test]
fn two_role_edits_at_once_leave_what_both_allow() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let lesser = set(&mut islands, "paris", scope, Some(GUEST));
    let greater = set(&mut islands, "oslo", scope, Some(ADMIN));
    let denial = Topic { scope, kind: Kind::DENIAL, key: RecordKey::hash(&[1; 32]) };
    let say = |denied| Denial { denied, reason: "CVE".into() };
    let denied = islands.act_value("paris", &denial, &say(true));
    let allowed = islands.act_value("oslo", &denial, &say(false));
    islands.sync_all();
    islands.story().in_every_order(&[lesser, greater, denied, allowed], |ledger| {
        assert_eq!(role(ledger, scope), [ADMIN, GUEST]);
        let in_force = ledger.view().in_force(ledger.set(), &denial);
        assert!(matches!(in_force, Some(Value::Denial(denial)) if denial.denied));
    });
}

#[test]
fn a_member_removed_against_a_push_of_hers_ends_admission_and_the_push_stands() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let made = set(&mut islands, "root", scope, Some(DEVELOPER));
    islands.sync_all();
    let removed = set(&mut islands, "paris", scope, None);
    let (tag, digest) = ("v1".parse().unwrap(), Some(image("ann's")));
    let push = islands.act("oslo", |ledger, now| ledger.tag(scope, &repository(), &tag, digest, "ann", now)).unwrap();
    islands.sync_all();
    islands.story().in_every_order(&[made, removed, push], |ledger| {
        assert_eq!((role(ledger, scope), named(ledger, scope, "v1")), (vec![], Some(image("ann's"))));
        // It can be listed.
        let record = ledger.set().get(&push).unwrap().record;
        assert_eq!(record.body().unwrap().actor, "ann");
        assert!(voids(ledger).is_empty());
    });
}

/// A record of a format this version does not know, as a later one signs it.
fn of_format_9(by: &str, scope: ScopeId, now: u64, value: &[u8]) -> Held {
    let named = ValueRef { hash: ValueHash::of(value), len: u32::try_from(value.len()).unwrap() };
    let time = HybridTime::at(Timestamp(now));
    let mut bytes = canonical::encode(&(9_u16, scope, time, key(by), Some(named), b"who knows".to_vec()));
    let Signature(signature) = secret(by).sign(&RecordId::of(&bytes).0);
    bytes.extend_from_slice(&signature);
    let record: Record = Parcel::parse(bytes).and_then(Parcel::open).unwrap();
    Held { record, value: Some(Arc::from(value)) }
}

#[test]
fn kinds_and_formats_of_a_later_version_travel_untouched_through_an_old_site() {
    let (mut islands, scope) = Islands::with_project(&["later", "old", "oslo"]);
    let trust = ScopeId::trust(islands.at("root").mesh());
    let tag = islands.tag("later", scope, "v1", "a");
    let seen = {
        islands.sync_all();
        islands.at("oslo").view().kept().clone()
    };
    // Both, in the project and among the records of trust.
    let mut strange: Vec<RecordId> = Vec::new();
    for scope in [scope, trust] {
        let topic = Topic { scope, kind: Kind(999), key: RecordKey::named("x") };
        strange.push(islands.act_value("later", &topic, &"a value of a kind to come"));
        let held = of_format_9("later", scope, islands.now, b"a value of a format to come");
        strange.push(held.record.id());
        let now = islands.now_at("later");
        islands.site_mut("later").ledger.take(held.record, held.value, now);
    }
    let sent: Vec<Held> = strange.iter().map(|id| islands.at("later").set().get(id).unwrap()).collect();
    // oslo hears of them from the old site alone, which was restarted in between.
    islands.sync("later", "old");
    islands.crash("old");
    islands.sync("old", "oslo");
    for held in &sent {
        let came = islands.at("oslo").set().get(&held.record.id()).expect("handed on");
        assert_eq!((came.record.as_bytes(), &came.value), (held.record.as_bytes(), &held.value));
    }
    assert!(*islands.at("oslo").view().kept() == seen, "they mean nothing here");
    let matter: Vec<RecordId> = strange.iter().copied().chain([tag]).collect();
    islands.story().in_every_order(&matter, |ledger| {
        assert!(*ledger.view().kept() == seen);
        assert!(strange.iter().all(|id| ledger.set().get(id).unwrap().value.is_some()));
    });
}

#[test]
fn a_value_of_a_later_version_is_void_and_a_predecessor_of_one_is_no_fault() {
    let (mut islands, scope) = Islands::with_project(&["later", "old"]);
    let first = islands.tag("later", scope, "v1", "a");
    let (topic, at) = (tag_topic(scope, "v1"), islands.now + 1);
    let value = b"a tag with fields to come";
    let strange = islands.forge("later", Forged { topic, value: Some(value), at, place: (5, 1), prev: vec![first] });
    let foreign = of_format_9("later", scope, islands.now, b"x");
    let prev = vec![strange, foreign.record.id()];
    let value = canonical::encode(&protocol::record::value::Tagged { digest: Some(image("b")), epoch: 0, home: false });
    let forged = Forged { topic: tag_topic(scope, "v1"), value: Some(&value), at, place: (6, 1), prev };
    let last = islands.forge("later", forged);
    let now = islands.now_at("later");
    let foreign_id = foreign.record.id();
    islands.site_mut("later").ledger.take(foreign.record, foreign.value, now);
    islands.pass(10);
    islands.sync("later", "old");
    islands.story().in_every_order(&[first, strange, foreign_id, last], |ledger| {
        assert_eq!((void(ledger, &strange), void(ledger, &last)), (Some(Void::Value), None));
        assert_eq!((named(ledger, scope, "v1"), view_of(ledger, scope, "v1").heads), (Some(image("b")), 1));
        assert!(ledger.view().kept().version(&foreign_id).is_none());
    });
}

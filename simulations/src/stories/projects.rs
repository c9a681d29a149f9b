//! Projects closed, made again, and filled beyond their quota while others did not know.

use protocol::ledger::WriteError;
use protocol::record::governed::Quota;
use protocol::record::value::{Life, Value};
use protocol::record::{Kind, RecordId, RecordKey, ScopeId};
use protocol::view::{Named, Topic};

use super::islands::{Islands, image, named, pushed, view_of, voids};

fn close(islands: &mut Islands, at: &str, scope: ScopeId) -> RecordId {
    islands.act(at, |ledger, now| ledger.close_project(scope, "admin", now)).unwrap()
}

fn means(ledger: &protocol::ledger::Ledger) -> Named {
    ledger.view().named(&"app".parse().unwrap())
}

#[test]
fn a_project_deleted_against_unseen_pushes_says_so_until_someone_has_looked() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let seen = islands.tag("paris", scope, "v1", "seen");
    islands.sync_all();
    let closing = close(&mut islands, "root", scope);
    let unseen = islands.tag("oslo", scope, "v2", "unseen");
    assert!(!islands.at("root").view().project(islands.at("root").set(), &scope).unwrap().unseen);
    islands.sync_all();
    islands.all_agree();
    let refused = islands.act("oslo", |ledger, now| {
        ledger.tag(scope, &super::islands::repository(), &"v3".parse().unwrap(), None, "ci", now)
    });
    assert_eq!(refused, Err(WriteError::NoProject));
    islands.story().in_every_order(&[seen, closing, unseen], |ledger| {
        let project = ledger.view().project(ledger.set(), &scope).unwrap();
        assert_eq!((project.closings, project.unseen), (vec![closing], true));
        assert_eq!((means(ledger).meant(), means(ledger).closed), (None, vec![scope]));
        assert!(named(ledger, scope, "v2").is_some() && voids(ledger).is_empty(), "no bytes go meanwhile");
    });
    // A person looks, and says: away with it.
    let again = close(&mut islands, "south", scope);
    islands.sync_all();
    islands.story().in_every_order(&[seen, closing, unseen, again], |ledger| {
        let project = ledger.view().project(ledger.set(), &scope).unwrap();
        assert!(!project.unseen && project.closings.len() == 2);
    });
}

#[test]
fn a_project_made_again_has_a_scope_of_its_own_and_an_undelete_of_the_old_is_a_conflict_of_names() {
    let (mut islands, old) = Islands::with_project(&["paris", "oslo"]);
    let seen = islands.tag("paris", old, "v1", "old");
    islands.sync_all();
    let closing = close(&mut islands, "root", old);
    let unseen = islands.tag("oslo", old, "v2", "into the old");
    islands.sync("root", "paris");
    let new = islands.project("paris", 9);
    let tag = islands.tag("paris", new, "v1", "new");
    islands.sync_all();
    assert_ne!(old, new);
    islands.story().in_every_order(&[seen, closing, unseen, tag], |ledger| {
        assert_eq!(means(ledger), Named { open: vec![new], closed: vec![old] });
        assert_eq!((named(ledger, new, "v1"), named(ledger, new, "v2")), (Some(image("new")), None));
    });
    islands.act("root", |ledger, now| ledger.reopen_project(old, "admin", now)).unwrap();
    islands.sync_all();
    islands.story().in_every_order(&[seen, closing, unseen, tag], |ledger| {
        assert_eq!(means(ledger), Named { open: vec![old, new], closed: Vec::new() }, "the first made is meant");
        assert_eq!(named(ledger, old, "v2"), Some(image("into the old")));
    });
}

#[test]
fn a_project_closed_at_two_sites_and_undeleted_by_one_that_knew_of_one_stays_closed() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let first = close(&mut islands, "paris", scope);
    let second = close(&mut islands, "oslo", scope);
    islands.act("paris", |ledger, now| ledger.reopen_project(scope, "admin", now)).unwrap();
    islands.tag("paris", scope, "v1", "a");
    islands.sync_all();
    islands.story().in_every_order(&[first, second], |ledger| {
        assert_eq!(ledger.view().project(ledger.set(), &scope).unwrap().closings, [second]);
        assert!(voids(ledger).is_empty());
    });
    islands.act("root", |ledger, now| ledger.reopen_project(scope, "admin", now)).unwrap();
    islands.story().in_every_order(&[first, second], |ledger| {
        assert_eq!(means(ledger).meant(), Some(scope));
        let project = ledger.read(&ledger.view().topic(&Topic::project(scope)).live.unwrap());
        assert!(matches!(project, Some(Value::Project(project)) if matches!(project.life, Life::Open(_))));
    });
}

#[test]
fn two_projects_of_one_name_are_shown_and_the_first_made_is_meant() {
    let mut islands = Islands::new();
    islands.site("paris");
    islands.site("oslo");
    let (one, two) = (islands.project("paris", 1), islands.project("oslo", 2));
    let tags = [islands.tag("paris", one, "v1", "one"), islands.tag("oslo", two, "v1", "two")];
    islands.sync_all();
    islands.story().in_every_order(&tags, |ledger| {
        assert_eq!(means(ledger).open, [one, two]);
        assert_eq!((named(ledger, one, "v1"), named(ledger, two, "v1")), (Some(image("one")), Some(image("two"))));
    });
}

#[test]
fn over_quota_after_a_merge_nothing_is_refused_retroactively() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let topic = Topic { scope, kind: Kind::QUOTA, key: RecordKey::single() };
    let quota = islands.act_value("root", &topic, &Quota { bytes: Some(150), ..Quota::default() });
    islands.sync_all();
    let mut matter = vec![quota];
    for site in ["paris", "oslo"] {
        matter.push(islands.push(site, scope, site, &pushed(100, &[])));
        matter.push(islands.tag(site, scope, site, site));
        let usage = islands.at(site).view().usage(islands.at(site).set(), &scope);
        assert!(!usage.is_over(), "each for itself is within");
    }
    islands.sync_all();
    islands.story().in_every_order(&matter, |ledger| {
        let usage = ledger.view().usage(ledger.set(), &scope);
        assert_eq!((usage.bytes, usage.quota, usage.is_over()), (200, Some(150), true));
        assert!(voids(ledger).is_empty());
        assert_eq!(
            (named(ledger, scope, "paris"), named(ledger, scope, "oslo")),
            (Some(image("paris")), Some(image("oslo")))
        );
    });
    // A delete makes room; so does a quota raised at one site while another is lowering it: the later holds.
    let digest = image("oslo");
    islands
        .act("oslo", |ledger, now| ledger.delete_manifest(scope, &super::islands::repository(), &digest, "x", now))
        .unwrap();
    let lowered = islands.act_value("north", &topic, &Quota { bytes: Some(1), ..Quota::default() });
    let raised = islands.act_value("south", &topic, &Quota { bytes: Some(1000), ..Quota::default() });
    islands.sync_all();
    islands.story().in_every_order(&[quota, lowered, raised], |ledger| {
        let usage = ledger.view().usage(ledger.set(), &scope);
        assert_eq!((usage.bytes, usage.quota), (100, Some(1000)));
        assert!(view_of(ledger, scope, "oslo").is_deleted());
    });
}

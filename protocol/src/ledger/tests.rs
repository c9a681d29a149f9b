//! Stories of one or two ledgers: what survives a crash, what waits, who notices that it was set back.

use std::collections::BTreeMap;

use super::*;
use crate::record::value::{Settings, Tagged};
use crate::record::{Action, RecordKey};
use crate::trust::{Grant, IdBlock, Over, Right};
use crate::{Digest, RepositoryName, Tag};

const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn later(ms: u64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

fn secret(node: u8) -> NodeSecret {
    NodeSecret::from_seed([node + 1; 32])
}

fn life(number: u64) -> Incarnation {
    Incarnation(number)
}

fn root() -> Ledger {
    let identity = Identity { secret: secret(0), root: secret(0).key(), grant: RecordId::NONE };
    Ledger::open(identity, [], life(1))
}

fn joined(node: u8, root: &mut Ledger) -> Ledger {
    use Action::{Administer, Delete, Push, Tag};
    let rights = [Push, Tag, Delete, Administer].map(|action| Right { action, over: Over::Everything }).to_vec();
    let grant = Grant {
        node: secret(node).key(),
        site: format!("site-{node}"),
        labels: BTreeMap::new(),
        rights,
        ids: IdBlock::default(),
        not_before: NOW,
        not_after: later(1),
        serial: 1,
    };
    let grant = root.grant(&grant, "admin", NOW).unwrap();
    let identity = Identity { secret: secret(node), root: secret(0).key(), grant };
    let mut ledger = Ledger::open(identity, [], life(u64::from(node) + 1));
    pass(root, &mut ledger, NOW);
    ledger
}

/// Hands over everything one holds.
fn pass(from: &Ledger, to: &mut Ledger, now: Timestamp) -> Vec<Reception> {
    from.set().iter().map(|held| to.take(held.record.clone(), held.value.clone(), now)).collect::<Vec<_>>()
}

fn sync(a: &mut Ledger, b: &mut Ledger, now: Timestamp) {
    pass(a, b, now);
    pass(b, a, now);
    a.wake(now);
    b.wake(now);
}

fn ids(ledger: &Ledger) -> Vec<RecordId> {
    ledger.set().iter().map(|held| held.record.id()).collect()
}

fn settings() -> Settings {
    Settings { public: true, sparse: false, created: NOW, mode: TagMode::Converge, epoch: 0, reopens: None }
}

fn app() -> (RepositoryName, Tag) {
    ("app/web".parse().unwrap(), "v1".parse().unwrap())
}

fn project(ledger: &mut Ledger) -> ScopeId {
    ledger.create_project(&"app".parse().unwrap(), [7; 16], settings(), "admin", NOW).unwrap()
}

fn tag(ledger: &mut Ledger, scope: ScopeId, content: &[u8], now: Timestamp) -> RecordId {
    let (repository, tag) = app();
    ledger.tag(scope, &repository, &tag, Some(Digest::sha256(content)), "ci", now).unwrap()
}

fn tagged(ledger: &Ledger, scope: ScopeId) -> Option<Digest> {
    let (repository, tag) = app();
    ledger.tagged(scope, &repository, &tag)
}

#[test]
fn a_ledger_opened_on_what_is_durable_is_the_one_that_wrote_it() {
    let mut ledger = root();
    let scope = project(&mut ledger);
    tag(&mut ledger, scope, b"a", later(1));
    let durable = ledger.entries();
    let mut again = Ledger::open(ledger.identity.clone(), durable, life(99));
    assert_eq!(ids(&again), ids(&ledger));
    assert_eq!(again.next(), ledger.next(), "the same life goes on");
    assert!(!again.must_begin());
    assert_eq!(tagged(&again, scope), Some(Digest::sha256(b"a")));
    // Also with a wall clock far behind: what it writes now is later than what it wrote.
    let before = ledger.set().iter().map(|held| held.record.time()).max().unwrap();
    let id = tag(&mut again, scope, b"b", Timestamp(0));
    assert!(again.set().get(&id).unwrap().record.time() > before);
    assert_eq!(tagged(&again, scope), Some(Digest::sha256(b"b")));
    assert!(again.is_view_sound());
}

#[test]
fn records_wait_for_their_authors_grant_and_for_their_time() {
    let mut root = root();
    let scope = project(&mut root);
    let mut site = joined(1, &mut root);
    pass(&root, &mut site, NOW);
    let id = tag(&mut site, scope, b"a", later(5000));
    let record = site.set().get(&id).unwrap();
    let mut stranger =
        Ledger::open(Identity { secret: secret(5), root: secret(0).key(), grant: RecordId::NONE }, [], life(1));
    let take = |to: &mut Ledger, now| to.take(record.record.clone(), record.value.clone(), now);
    assert_eq!(take(&mut stranger, later(5000)), Reception::Waits(Why::Author(secret(1).key())));
    assert_eq!(take(&mut stranger, later(5000)), Reception::Known);
    // A crash in between loses nothing of it.
    let mut stranger = Ledger::open(stranger.identity.clone(), stranger.entries(), life(1));
    pass(&root, &mut stranger, later(5000));
    assert_eq!(stranger.wake(later(5000)), [id]);
    assert_eq!(tagged(&stranger, scope), Some(Digest::sha256(b"a")));

    assert_eq!(take(&mut root, NOW), Reception::Waits(Why::Time(later(5000))));
    assert_eq!((root.wake(later(4999)), root.waiting().next()), (Vec::new(), Some(later(5000))));
    assert_eq!(root.wake(later(5000)), [id]);
    assert!(root.is_view_sound() && stranger.is_view_sound());
}

#[test]
fn what_lies_more_than_a_day_ahead_is_written_again_by_its_author() {
    const YEARS: u64 = 10 * 365 * 86_400_000;
    let mut root = root();
    let scope = project(&mut root);
    let mut site = joined(1, &mut root);
    pass(&root, &mut site, NOW);
    let early = tag(&mut site, scope, b"a", later(YEARS));
    let record = site.set().get(&early).unwrap();
    assert_eq!(root.take(record.record, record.value, NOW), Reception::TooFarAhead);
    // Its clock is put right.
    let again = site.step_back(life(77), later(10));
    assert_eq!(again.len(), 1);
    assert!(site.set().get(&early).is_none());
    sync(&mut root, &mut site, later(20));
    assert_eq!(tagged(&root, scope), Some(Digest::sha256(b"a")));
    assert_eq!(ids(&root), ids(&site));
    // Durably so.
    let site = Ledger::open(site.identity.clone(), site.entries(), life(5));
    assert_eq!(ids(&root), ids(&site));
    assert_eq!(site.next().incarnation, life(77));
}

#[test]
fn a_site_that_was_set_back_notices_and_begins_anew() {
    let mut root = root();
    let scope = project(&mut root);
    let mut site = joined(1, &mut root);
    pass(&root, &mut site, NOW);
    let snapshot = site.clone();
    tag(&mut site, scope, b"lost", later(1));
    sync(&mut root, &mut site, later(2));
    // The virtual machine goes back to its snapshot. It may get its own record back before anyone tells it.
    let mut told = snapshot.clone();
    assert!(!told.must_begin());
    pass(&root, &mut told, later(2));
    assert!(told.must_begin());
    let mut site = snapshot;
    let place = root.last_of(&site.key(), site.next().incarnation).unwrap();
    site.hear_of_self(place);
    assert!(site.must_begin());
    site.begin(life(50));
    tag(&mut site, scope, b"after", later(3));
    sync(&mut root, &mut site, later(4));
    assert_eq!(ids(&root), ids(&site));
    assert!(!root.is_flagged(&site.key()), "it never said two things at one place");
    assert!(
        root.view().topic(&Topic { scope, kind: Kind::TAG, key: RecordKey::tag(&app().0, &app().1) }).is_conflict()
    );
}

#[test]
fn two_boxes_under_one_key_are_flagged_until_a_new_life_begins() {
    let mut root = root();
    let scope = project(&mut root);
    let mut first = joined(1, &mut root);
    pass(&root, &mut first, NOW);
    let mut second = first.clone();
    tag(&mut first, scope, b"first", later(1));
    tag(&mut second, scope, b"second", later(2));
    sync(&mut root, &mut first, later(3));
    sync(&mut root, &mut second, later(3));
    assert!(root.is_flagged(&first.key()));
    assert_eq!(root.view().topic(&Topic { scope, kind: Kind::TAG, key: RecordKey::tag(&app().0, &app().1) }).heads, 2);
    sync(&mut root, &mut first, later(4));
    assert!(first.must_begin() && second.must_begin());
    first.begin(life(60));
    tag(&mut first, scope, b"third", later(5));
    sync(&mut root, &mut first, later(6));
    assert!(!root.is_flagged(&first.key()));
    assert_eq!(tagged(&root, scope), Some(Digest::sha256(b"third")));
    assert!(root.is_view_sound());
}

#[test]
fn a_site_writes_nothing_that_would_be_void() {
    let mut root = root();
    let scope = project(&mut root);
    let mut site = joined(1, &mut root);
    pass(&root, &mut site, NOW);
    let grant = Revocation { target: Target::Node(secret(1).key()), verdict: Verdict::Retired { farewell: None } };
    assert_eq!(site.revoke(&grant, "x", NOW), Err(WriteError::Void(Void::NoRight)));
    assert_eq!(site.entries().iter().filter(|entry| matches!(entry, Entry::Record(..))).count(), ids(&site).len());
    root.set_mode(scope, TagMode::Home("hq".into()), "admin", later(1)).unwrap();
    pass(&root, &mut site, later(1));
    let (repository, tag) = app();
    let refused = site.tag(scope, &repository, &tag, None, "ci", later(2));
    assert_eq!(refused, Err(WriteError::Home("hq".into())));
    root.close_project(scope, "admin", later(3)).unwrap();
    pass(&root, &mut site, later(3));
    assert_eq!(site.tag(scope, &repository, &tag, None, "ci", later(4)), Err(WriteError::NoProject));
}

#[test]
fn deleted_things_come_back_by_a_record_and_not_by_themselves() {
    let mut root = root();
    let scope = project(&mut root);
    let (repository, name) = app();
    let digest = Digest::sha256(b"a");
    tag(&mut root, scope, b"a", later(1));
    root.delete_manifest(scope, &repository, &digest, "admin", later(2)).unwrap();
    assert_eq!(tagged(&root, scope), None);
    let topic = Topic { scope, kind: Kind::TAG, key: RecordKey::tag(&repository, &name) };
    root.undelete(&topic, "admin", later(3)).unwrap();
    assert_eq!(tagged(&root, scope), Some(digest));
    assert_eq!(root.undelete(&topic, "admin", later(4)), Err(WriteError::NotDeleted));
    let id = root.view().topic(&topic).live.unwrap();
    assert!(matches!(root.read(&id), Some(Value::Tagged(Tagged { digest: Some(_), .. }))));
    root.close_project(scope, "admin", later(5)).unwrap();
    root.reopen_project(scope, "admin", later(6)).unwrap();
    assert_eq!(root.view().named(&"app".parse().unwrap()).meant(), Some(scope));
    assert_eq!(root.reopen_project(scope, "admin", later(7)), Err(WriteError::NotDeleted));
    assert!(root.is_view_sound());
}

use crate::trust::{Revocation, Target, Verdict};

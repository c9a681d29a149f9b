//! Stories of one or two ledgers: what survives a crash, what waits, who notices that it was set back.

use std::collections::BTreeMap;

use super::*;
use crate::record::value::{BlobClaim, Pushed, Settings, TagMode, Tagged, Value};
use crate::record::{Action, Kind, RecordKey, ScopeId};
use crate::trust::{
    Compromise, Endorsement, Grant, IdBlock, Lists, Over, Revocation, Right, Target, Verdict, list_digest,
};
use crate::{Digest, RepositoryName, Tag};

const NOW: Timestamp = Timestamp(1_795_000_000_000);
const YEARS: u64 = 10 * 365 * 86_400_000;

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

/// The root, a site that knows all it knows, and a project.
fn pair() -> (Ledger, Ledger, ScopeId) {
    let mut root = root();
    let scope = project(&mut root);
    let site = joined(1, &mut root);
    (root, site, scope)
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
    Settings::new(NOW, true, false)
}

fn app() -> (RepositoryName, Tag) {
    ("app/web".parse().unwrap(), "v1".parse().unwrap())
}

fn tag_topic(scope: ScopeId) -> Topic {
    Topic { scope, kind: Kind::TAG, key: RecordKey::tag(&app().0, &app().1) }
}

fn retired(node: u8) -> Revocation {
    Revocation { target: Target::Node(secret(node).key()), verdict: Verdict::Retired { farewell: None } }
}

fn project(ledger: &mut Ledger) -> ScopeId {
    ledger.create_project(&"app".parse().unwrap(), [7; 16], settings(), "admin", NOW).unwrap()
}

fn tag(ledger: &mut Ledger, scope: ScopeId, content: &[u8], now: Timestamp) -> RecordId {
    let (repository, tag) = app();
    ledger.tag(scope, &repository, &tag, Some(Digest::sha256(content)), "ci", now).unwrap()
}

fn moment(ledger: &Ledger, id: &RecordId) -> Timestamp {
    ledger.set().get(id).unwrap().record.time().moment()
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
fn starting_again_and_again_does_not_put_the_clock_ahead() {
    let mut ledger = root();
    let scope = project(&mut ledger);
    let mut durable = ledger.entries();
    for start in 1..10 {
        ledger = Ledger::open(ledger.identity.clone(), durable.clone(), life(99));
        assert!(!ledger.must_begin(), "a restart is no reason for a new life");
        let id = tag(&mut ledger, scope, &[start], later(u64::from(start)));
        assert_eq!(moment(&ledger, &id), later(u64::from(start)));
        durable.extend(ledger.entries());
    }
}

#[test]
fn what_was_withdrawn_and_comes_back_is_covered_by_what_was_written_for_it() {
    const HOUR: u64 = 3_600_000;
    let (mut root, mut site, scope) = pair();
    // An hour ahead: others have it wait.
    let early = tag(&mut site, scope, b"a", later(HOUR));
    pass(&site, &mut root, NOW);
    assert!(root.waiting().contains(&early));
    site.step_back(life(77), later(10));
    tag(&mut site, scope, b"b", later(20));
    sync(&mut root, &mut site, later(30));
    assert_eq!(tagged(&root, scope), Some(Digest::sha256(b"b")));
    // Its time comes, and it is said all the same.
    root.wake(later(2 * HOUR));
    sync(&mut root, &mut site, later(2 * HOUR));
    assert!(root.set().get(&early).is_some());
    assert_eq!(ids(&root), ids(&site));
    for ledger in [&root, &site] {
        assert_eq!(tagged(ledger, scope), Some(Digest::sha256(b"b")));
        assert!(ledger.is_view_sound());
    }
}

#[test]
fn records_wait_for_their_authors_grant_and_for_their_time() {
    let (mut root, mut site, scope) = pair();
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
    let (mut root, mut site, scope) = pair();
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
    // Durably so, and what it writes then is of now.
    let mut site = Ledger::open(site.identity.clone(), site.entries(), life(5));
    assert_eq!(ids(&root), ids(&site));
    assert_eq!(site.next().incarnation, life(77));
    let after = tag(&mut site, scope, b"b", later(30));
    assert_eq!(moment(&site, &after), later(30));
}

#[test]
fn a_wrong_clock_leaves_nothing_behind_neither_of_refused_writes_nor_of_others_records() {
    let mut root = root();
    let scope = project(&mut root);
    let (mut site, mut other) = (joined(1, &mut root), joined(2, &mut root));
    let mut durable = site.entries();
    assert!(site.revoke(&retired(2), "x", later(YEARS)).is_err());
    assert_eq!(site.step_back(life(70), later(10)), []);
    let first = tag(&mut site, scope, b"first", later(11));
    assert_eq!(moment(&site, &first), later(11));
    durable.extend(site.entries());
    let mut site = Ledger::open(site.identity.clone(), durable.clone(), life(5));
    let own = tag(&mut site, scope, b"a", later(20));
    assert_eq!(moment(&site, &own), later(20));
    // Another site with the same wrong clock is believed, and then no longer.
    let far = tag(&mut other, scope, b"b", later(YEARS));
    sync(&mut other, &mut site, later(YEARS));
    assert!(site.set().get(&far).is_some());
    assert_eq!(site.step_back(life(71), later(30)), []);
    assert!(site.set().get(&far).is_none());
    durable.extend(site.entries());
    assert!(Ledger::open(site.identity.clone(), durable, life(5)).set().get(&far).is_none());
}

#[test]
fn a_value_is_trimmed_where_no_view_depends_on_it_and_comes_back() {
    let mut root = root();
    let scope = project(&mut root);
    let digest = Digest::sha256(b"a");
    let blob = |n: u8| BlobClaim { digest: Digest::sha256(&[n]), size: 1, root: Some(crate::ContentRoot([n; 32])) };
    let pushed = Pushed {
        media_type: crate::MediaType::from_header("application/json").unwrap(),
        size: 1,
        root: crate::ContentRoot([1; 32]),
        children: Vec::new(),
        subject: None,
        blobs: (0..40).map(blob).collect(),
    };
    let mut push = |at| root.push(scope, &app().0, &digest, &pushed, "ci", later(at)).unwrap();
    let (first, second) = (push(1), push(2));
    let value = root.set().get(&first).unwrap().value;
    let seen = root.view().kept().clone();
    assert!(!root.trim(&second) && !root.trim(&RecordId::NONE));
    assert!(root.trim(&first) && !root.trim(&first));
    let mut root = Ledger::open(root.identity.clone(), root.entries(), life(9));
    assert_eq!((root.read(&first), *root.view().kept() == seen), (None, true));
    let record = root.set().get(&first).unwrap().record;
    assert_eq!(root.take(record.clone(), None, NOW), Reception::Known);
    assert_eq!(root.take(record.clone(), value.clone(), NOW), Reception::Filled);
    assert_eq!(root.take(record, value, NOW), Reception::Known);
    assert!(matches!(root.entries().as_slice(), [Entry::Record(_, Some(_))]));
    assert!(root.read(&first).is_some() && root.is_view_sound());
}

#[test]
fn what_comes_together_with_a_verdict_on_its_author_is_seen_by_what_follows_it() {
    let mut root = root();
    let scope = project(&mut root);
    let mut site = joined(1, &mut root);
    let mut other = joined(2, &mut root);
    let mut stranger = Ledger::open(Identity { secret: secret(5), ..other.identity.clone() }, [], life(1));
    pass(&other, &mut stranger, NOW);
    let early = tag(&mut site, scope, b"a", later(5000));
    let ending = Revocation { target: Target::Node(site.key()), verdict: Verdict::Narrowed { last: Vec::new() } };
    root.revoke(&ending, "admin", later(5000)).unwrap();
    // Of another tag, naming the one that is still to come.
    let value = crate::canonical::encode(&Tagged { digest: None, epoch: 0, home: false });
    let draft = Draft {
        scope,
        time: HybridTime::at(NOW),
        kind: Kind::TAG,
        key: RecordKey::tag(&app().0, &"v2".parse().unwrap()),
        value: Some(&value),
        position: other.next(),
        grant: other.identity.grant,
        actor: "",
        prev: vec![early],
    };
    let record = draft.sign(&other.identity.secret).unwrap();
    other.take(record.clone(), Some(Bytes::from(value.clone())), NOW);
    stranger.take(record, Some(Bytes::from(value)), NOW);
    for from in [&site, &root] {
        pass(from, &mut stranger, NOW);
    }
    assert_eq!(stranger.wake(later(5000)).len(), 2);
    assert!(stranger.is_view_sound());
}

#[test]
fn a_site_that_was_set_back_notices_and_begins_anew() {
    let (mut root, mut site, scope) = pair();
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
    assert!(root.view().topic(&tag_topic(scope)).is_conflict());
}

#[test]
fn two_boxes_under_one_key_are_flagged_until_a_new_life_begins() {
    let (mut root, mut first, scope) = pair();
    let mut second = first.clone();
    tag(&mut first, scope, b"first", later(1));
    tag(&mut second, scope, b"second", later(2));
    sync(&mut root, &mut first, later(3));
    sync(&mut root, &mut second, later(3));
    assert!(root.is_flagged(&first.key()));
    assert_eq!(root.view().topic(&tag_topic(scope)).heads, 2);
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
    let (mut root, mut site, scope) = pair();
    assert_eq!(site.revoke(&retired(1), "x", NOW), Err(WriteError::Void(Void::NoRight)));
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
    let (repository, _) = app();
    let digest = Digest::sha256(b"a");
    tag(&mut root, scope, b"a", later(1));
    root.delete_manifest(scope, &repository, &digest, "admin", later(2)).unwrap();
    assert_eq!(tagged(&root, scope), None);
    let topic = tag_topic(scope);
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

fn endorse(ledger: &mut Ledger, scope: ScopeId, node: NodeKey, list: u64, records: Vec<RecordId>) -> RecordId {
    ledger.endorse(scope, &Endorsement { node, list, records }, "admin", later(list)).unwrap()
}

#[test]
fn endorsements_of_a_node_nobody_accuses_cost_no_evaluation_and_a_verdict_finds_them() {
    let (mut root, mut site, scope) = pair();
    let (good, bad) = (tag(&mut site, scope, b"good", later(1)), tag(&mut site, scope, b"bad", later(2)));
    let node = site.key();
    // The lists come one by one.
    let mut ids: Vec<RecordId> = (0..1000).map(|list| endorse(&mut root, scope, node, list, vec![])).collect();
    ids.push(endorse(&mut root, scope, node, 5000, vec![good]));
    let before = site.evaluations;
    pass(&root, &mut site, later(5000));
    assert!(ids.iter().all(|id| site.set().get(id).is_some()));
    assert_eq!(site.evaluations, before);
    assert!(site.is_view_sound());
    // A verdict that names the last of them.
    let lists = Lists { by: root.key(), list: 5000, count: 1, digest: list_digest(&ids[1000..]) };
    let compromise = Compromise { since: NOW, scopes: [(scope, lists)].into(), endorsers: Vec::new() };
    let fall = Revocation { target: Target::Node(node), verdict: Verdict::Compromised(compromise) };
    let verdict = root.revoke(&fall, "admin", later(6000)).unwrap();
    pass(&root, &mut site, later(6000));
    assert_eq!(site.evaluations, before + 1);
    assert_eq!(tagged(&site, scope), Some(Digest::sha256(b"good")));
    let judge = |ledger: &Ledger| {
        let record = ledger.set().get(&bad).unwrap().record;
        ledger.trust().judge(&record, Some(Action::Tag), Some(&"app".parse().unwrap()))
    };
    assert_eq!(judge(&site), Err(Void::NotEndorsed(verdict)));
    // From here on each says something.
    endorse(&mut root, scope, node, 7000, vec![bad]);
    pass(&root, &mut site, later(7000));
    assert_eq!((site.evaluations, judge(&site)), (before + 2, Ok(())));
    assert!(site.is_view_sound());
}

#[test]
fn a_list_asked_of_a_site_counts_when_the_verdict_comes_and_the_view_notices() {
    let mut root = root();
    let scope = project(&mut root);
    let (mut home, mut fallen) = (joined(1, &mut root), joined(2, &mut root));
    pass(&root, &mut home, NOW);
    pass(&root, &mut fallen, NOW);
    let (good, bad) = (tag(&mut fallen, scope, b"good", later(1)), tag(&mut fallen, scope, b"bad", later(2)));
    pass(&fallen, &mut home, later(2));
    let endorsement = Endorsement { node: fallen.key(), list: 1, records: vec![good] };
    let refused = home.endorse(scope, &endorsement, "admin", later(3));
    assert_eq!(refused, Err(WriteError::Void(Void::NoRight)), "nobody asked it yet");
    let list = home.endorse_as_asked(scope, &endorsement, "admin", later(3)).unwrap();
    assert!(home.is_view_sound());
    let lists = Lists { by: home.key(), list: 1, count: 1, digest: list_digest(&[list]) };
    let compromise = Compromise { since: NOW, scopes: [(scope, lists)].into(), endorsers: Vec::new() };
    let fall = Revocation { target: Target::Node(fallen.key()), verdict: Verdict::Compromised(compromise) };
    root.revoke(&fall, "admin", later(4)).unwrap();
    sync(&mut root, &mut home, later(5));
    for ledger in [&root, &home] {
        assert_eq!(tagged(ledger, scope), Some(Digest::sha256(b"good")));
        assert!(ledger.set().get(&bad).is_some() && ledger.is_view_sound());
    }
}

//! What happens to people: told one by one.

use std::cell::Cell;
use std::sync::Arc;

use super::super::Topic;
use super::*;
use crate::record::{Held, MAX_PREV, Records};

#[test]
fn a_tag_overwritten_against_a_concurrent_push_under_converge() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let first = world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    let here = world.write(1, &tag("v1"), Some(&names(Some(2), 0, false)), &[first]);
    let there = world.write(2, &tag("v1"), Some(&names(Some(3), 0, false)), &[first]);
    assert!(world.of(&tag("v1")).is_conflict());
    assert_eq!(world.live(&tag("v1")), Some(there), "the later wins");
    assert!(world.standing(&here).head && !world.standing(&first).head);
    let prev = world.view.resolve(&tag("v1"));
    assert_eq!(prev.iter().copied().collect::<BTreeSet<_>>(), [here, there].into());
    let settled = world.write(1, &tag("v1"), Some(&names(Some(2), 0, false)), &prev);
    assert!(!world.of(&tag("v1")).is_conflict());
    assert_eq!(world.live(&tag("v1")), Some(settled));
}

#[test]
fn a_version_never_loses_to_what_it_follows_however_late_that_says_it_is() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    world.clock += 1_000_000;
    let ahead = world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    world.clock -= 900_000;
    let next = world.write(2, &tag("v1"), Some(&names(Some(2), 0, false)), &[ahead]);
    assert_eq!((world.live(&tag("v1")), world.of(&tag("v1")).heads), (Some(next), 1));
}

#[test]
fn a_tag_overwritten_against_a_concurrent_push_under_home() {
    let (mut world, _) = World::with_project(TagMode::Home(site(1)));
    let first = world.write(1, &tag("v1"), Some(&names(Some(1), 0, true)), &[]);
    let foreign = world.write(2, &tag("v1"), Some(&names(Some(2), 0, true)), &[first]);
    let home = world.write(1, &tag("v1"), Some(&names(Some(3), 0, true)), &[first]);
    assert_eq!(world.void(&foreign), Some(Void::NotHome));
    assert_eq!(world.view.voids(&world.set, &tag("v1")), [(foreign, Void::NotHome)]);
    assert_eq!((world.live(&tag("v1")), world.of(&tag("v1")).is_conflict()), (Some(home), false));
}

#[test]
fn a_home_moved_during_a_partition() {
    let (mut world, made) = World::with_project(TagMode::Home(site(1)));
    let first = world.write(1, &tag("v1"), Some(&names(Some(1), 0, true)), &[]);
    world.write(0, &Topic::project(scope()), Some(&project(open(TagMode::Home(site(2)), 1))), &[made]);
    // The new home writes, and the old one, which does not know yet, later.
    let new = world.write(2, &tag("v1"), Some(&names(Some(2), 1, true)), &[first]);
    let old = world.write(1, &tag("v1"), Some(&names(Some(3), 0, true)), &[first]);
    assert_eq!((world.void(&old), world.void(&new)), (None, None));
    assert_eq!(world.live(&tag("v1")), Some(new), "the greater epoch wins over time");
    assert!(world.of(&tag("v1")).is_conflict(), "and what the old home said is shown");
    // Both can't name the other's epoch.
    let wrong = world.write(1, &tag("v2"), Some(&names(Some(3), 1, true)), &[]);
    assert_eq!(world.void(&wrong), Some(Void::NotHome));
}

#[test]
fn two_homes_of_one_epoch_both_count_and_the_conflict_is_the_projects() {
    let (mut world, made) = World::with_project(TagMode::Converge);
    let (one, other) = (open(TagMode::Home(site(1)), 1), open(TagMode::Home(site(2)), 1));
    world.write(1, &Topic::project(scope()), Some(&project(one)), &[made]);
    world.write(2, &Topic::project(scope()), Some(&project(other)), &[made]);
    for n in [1, 2] {
        let id = world.write(n, &tag("v1"), Some(&names(Some(n as u64), 1, true)), &[]);
        assert_eq!(world.void(&id), None);
    }
    let third = world.write(3, &tag("v1"), Some(&names(Some(3), 1, true)), &[]);
    assert_eq!(world.void(&third), Some(Void::NotHome));
    let shown = world.view.project(&world.set, &scope()).unwrap();
    assert_eq!(shown.contested, [1]);
    assert!(world.of(&Topic::project(scope())).is_conflict());
}

#[test]
fn a_mode_switched_against_a_concurrent_push() {
    let (mut world, made) = World::with_project(TagMode::Converge);
    // Written under what the author knows to come; the project's record is not here yet.
    let early = world.write(1, &tag("v1"), Some(&names(Some(1), 1, true)), &[]);
    assert_eq!(world.void(&early), Some(Void::Epoch));
    let old = world.write(2, &tag("v1"), Some(&names(Some(2), 0, false)), &[]);
    assert_eq!(world.live(&tag("v1")), Some(old));
    world.write(0, &Topic::project(scope()), Some(&project(open(TagMode::Home(site(1)), 1))), &[made]);
    assert_eq!((world.void(&early), world.live(&tag("v1"))), (None, Some(early)));
    assert_eq!(world.void(&old), None, "it was written under the mode that was");
    assert!(world.of(&tag("v1")).is_conflict());
}

#[test]
fn tags_wait_for_their_project() {
    let mut world = World::new();
    world.judge.by_name.insert(node(2).key());
    let tagged = world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    let by_name = world.write(2, &manifest(1), Some(&pushed(&[], 0)), &[]);
    assert_eq!((world.void(&tagged), world.void(&by_name)), (Some(Void::Epoch), Some(Void::NoRight)));
    world.write(0, &Topic::project(scope()), Some(&project(open(TagMode::Converge, 0))), &[]);
    assert_eq!((world.void(&tagged), world.void(&by_name)), (None, None));
}

#[test]
fn a_tag_deleted_against_a_concurrent_push() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let first = world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    let push = world.write(1, &tag("v1"), Some(&names(Some(2), 0, false)), &[first]);
    let delete = world.write(2, &tag("v1"), Some(&names(None, 0, false)), &[first]);
    let found = world.of(&tag("v1"));
    assert_eq!((found.live, found.heads, found.deletes), (Some(push), 1, 1), "the push stays, the delete is listed");
    assert!(!found.is_conflict() && !found.is_deleted());
    let delete = world.write(2, &tag("v1"), Some(&names(None, 0, false)), &[push, delete]);
    assert!(world.of(&tag("v1")).is_deleted());
    let back = world.view.undelete(&tag("v1"));
    assert_eq!((back.prev, back.repeats), (vec![delete], Some(push)));
}

#[test]
fn a_delete_wants_its_own_right() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    world.judge.denied.insert((node(2).key(), Action::Delete));
    let push = world.write(2, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    let delete = world.write(2, &tag("v1"), Some(&names(None, 0, false)), &[push]);
    let own = world.write(2, &manifest(1), Some(&pushed(&[], 0)), &[]);
    let away = world.write(2, &manifest(1), None, &[own]);
    assert_eq!((world.void(&delete), world.void(&away)), (Some(Void::NoRight), Some(Void::NoRight)));
    assert_eq!((world.live(&tag("v1")), world.live(&manifest(1))), (Some(push), Some(own)));
}

#[test]
fn a_manifest_deleted_against_a_push_of_an_index_that_names_it() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let child = world.write(1, &manifest(1), Some(&pushed(&[], 2)), &[]);
    world.write(2, &manifest(2), Some(&pushed(&[1], 0)), &[]);
    world.write(1, &manifest(1), None, &[child]);
    let alive = world.view.alive(&world.set, &scope(), &repository());
    assert!(world.of(&manifest(1)).is_deleted());
    let through_index = alive[&digest(1)];
    assert_eq!((through_index.own, through_index.described), (false, Some(child)));
    assert!(alive[&digest(2)].own);
    // The index goes: so does what only it held.
    let prev = world.view.resolve(&manifest(2));
    world.write(1, &manifest(2), None, &prev);
    assert!(world.view.alive(&world.set, &scope(), &repository()).is_empty());
    assert_eq!(world.view.usage(&world.set, &scope()).bytes, 0);
}

#[test]
fn the_loser_of_a_tag_conflict_is_pinned_though_its_manifest_is_deleted() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    for n in [1, 2] {
        let own = world.write(1, &manifest(n), Some(&pushed(&[], 0)), &[]);
        world.write(n as usize, &tag("v1"), Some(&names(Some(n), 0, false)), &[]);
        world.write(1, &manifest(n), None, &[own]);
    }
    let digests = |alive: BTreeMap<Digest, _>| alive.into_keys().collect::<BTreeSet<_>>();
    assert_eq!(digests(world.view.alive(&world.set, &scope(), &repository())), [digest(2)].into());
    assert_eq!(digests(world.view.pinned(&world.set, &scope(), &repository())), [digest(1), digest(2)].into());
}

#[test]
fn the_same_digest_pushed_again_against_a_delete() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let first = world.write(1, &manifest(1), Some(&pushed(&[], 0)), &[]);
    let again = world.write(2, &manifest(1), Some(&pushed(&[], 0)), &[first]);
    world.write(1, &manifest(1), None, &[first]);
    assert_eq!(world.live(&manifest(1)), Some(again), "an acknowledged push is a version also if it changes nothing");
}

fn close(world: &World) -> Vec<u8> {
    let census = world.view.census(&scope());
    project_of(library(), NONCE, Life::Closed { seen: census.seen, fingerprint: census.fingerprint })
}

#[test]
fn a_project_deleted_against_unseen_pushes() {
    let (mut world, made) = World::with_project(TagMode::Converge);
    world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    let value = close(&world);
    let closed = world.write(0, &Topic::project(scope()), Some(&value), &[made]);
    let shown = world.view.project(&world.set, &scope()).unwrap();
    assert_eq!((shown.closings, shown.unseen), (vec![closed], false));
    world.write(2, &manifest(2), Some(&pushed(&[], 0)), &[]);
    assert!(world.view.project(&world.set, &scope()).unwrap().unseen);

    // Settings written at the same time don't reopen it; a record that names the closing does, even a covered one.
    world.write(3, &Topic::project(scope()), Some(&project(open(TagMode::Converge, 0))), &[made]);
    assert!(world.view.facts(&scope()).is_closed());
    assert_eq!(world.view.undelete(&Topic::project(scope())).reopens, [closed]);
    let prev = world.view.resolve(&Topic::project(scope()));
    let settings = Settings { reopens: Some(closed), ..open(TagMode::Converge, 0) };
    let reopened = world.write(0, &Topic::project(scope()), Some(&project(settings)), &prev);
    assert!(world.view.facts(&scope()).is_open());
    world.write(0, &Topic::project(scope()), Some(&project(open(TagMode::Converge, 0))), &[reopened]);
    assert!(world.view.facts(&scope()).is_open());
    assert!(!world.view.project(&world.set, &scope()).unwrap().unseen);
}

#[test]
fn a_project_made_again_and_one_made_twice() {
    let (mut world, made) = World::with_project(TagMode::Converge);
    let value = close(&world);
    world.write(0, &Topic::project(scope()), Some(&value), &[made]);
    let mut scopes = Vec::new();
    for (nonce, created) in [([1; 16], 9), ([2; 16], 8)] {
        let scope = ScopeId::project(&MESH, &library(), &nonce);
        let settings = Settings { created: Timestamp(created), ..open(TagMode::Converge, 0) };
        world.write(1, &Topic::project(scope), Some(&project_of(library(), nonce, Life::Open(settings))), &[]);
        scopes.push(scope);
    }
    let named = world.view.named(&library());
    assert_eq!(named.meant(), Some(scopes[1]), "the one made first");
    assert_eq!((named.open.len(), named.closed), (2, vec![scope()]));
    // Another's name in a scope is no name.
    let other = project_of("other".parse().unwrap(), NONCE, Life::Open(open(TagMode::Converge, 0)));
    let id = world.write(1, &Topic::project(scope()), Some(&other), &[]);
    assert_eq!(world.void(&id), Some(Void::Scope));
    assert_eq!(world.view.named(&"other".parse().unwrap()).meant(), None);
}

#[test]
fn a_circle_of_places_and_predecessors_hides_nothing() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let base = world.write(2, &tag("v1"), Some(&names(Some(9), 0, false)), &[]);
    let late = world.write_at(1, 20, &tag("v1"), Some(&names(Some(1), 0, false)), &[base]);
    let early = world.write_at(1, 10, &tag("v1"), Some(&names(Some(2), 0, false)), &[late]);
    let found = world.of(&tag("v1"));
    assert_eq!((found.heads, found.live), (2, Some(early)));
    assert!(world.standing(&late).circular && world.standing(&early).head && !world.standing(&base).head);
    let settled = world.write(2, &tag("v1"), Some(&names(Some(3), 0, false)), &[late]);
    assert_eq!((world.of(&tag("v1")).heads, world.live(&tag("v1"))), (1, Some(settled)), "naming one is naming all");
}

#[test]
fn a_predecessor_of_another_key_makes_its_follower_void_whenever_it_comes() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let position = Position { incarnation: Incarnation(3), seq: 1 };
    let value = names(Some(1), 0, false);
    let other = sign(3, position, 5, &tag("v2"), Some(&value), &[]);
    let follower = world.write(1, &tag("v1"), Some(&value), &[other.id()]);
    assert_eq!(world.void(&follower), None, "a missing ancestor is no error");
    let changed = world.take(&other, Some(&value));
    assert_eq!(world.void(&follower), Some(Void::Prev));
    assert_eq!(changed.topics, [tag("v1"), tag("v2")].into());
    assert!(world.standing(&other.id()).head, "and covers nothing there");
}

#[test]
fn what_a_compromised_author_covered_comes_back_and_what_is_endorsed_returns() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let honest = world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    let good = world.write(2, &tag("v1"), Some(&names(Some(2), 0, false)), &[honest]);
    let bad = world.write(2, &tag("v1"), Some(&names(Some(3), 0, false)), &[good]);
    assert_eq!(world.live(&tag("v1")), Some(bad));
    world.compromise(2, &[]);
    assert_eq!(world.live(&tag("v1")), Some(honest));
    assert_eq!(world.of(&tag("v1")).voids, 2);
    world.compromise(2, &[good]);
    assert_eq!((world.live(&tag("v1")), world.of(&tag("v1")).heads), (Some(good), 1));
    // Who followed the bad one covers, through it, what it had covered.
    let next = world.write(1, &tag("v1"), Some(&names(Some(4), 0, false)), &[bad]);
    assert_eq!((world.live(&tag("v1")), world.of(&tag("v1")).heads), (Some(next), 1));
}

#[test]
fn a_compromised_administrators_modes_go_and_with_them_the_tags_under_them() {
    let (mut world, made) = World::with_project(TagMode::Converge);
    let mode = project(open(TagMode::Home(site(2)), 1));
    world.write(2, &Topic::project(scope()), Some(&mode), &[made]);
    let old = world.write(1, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    world.judge.sites.insert(grant(3), site(2));
    let new = world.write(3, &tag("v1"), Some(&names(Some(2), 1, true)), &[old]);
    assert_eq!(world.live(&tag("v1")), Some(new));
    world.compromise(2, &[]);
    assert_eq!((world.void(&new), world.live(&tag("v1"))), (Some(Void::Epoch), Some(old)));
}

#[test]
fn a_grant_judged_anew_is_all_its_node_wrote() {
    use crate::trust::{Grant, IdBlock};
    let (mut world, _) = World::with_project(TagMode::Home(site(1)));
    let tagged = world.write(2, &tag("v1"), Some(&names(Some(1), 0, true)), &[]);
    let zero = Timestamp(0);
    let value = canonical::encode(&Grant {
        node: node(2).key(),
        site: site(1),
        labels: BTreeMap::new(),
        rights: Vec::new(),
        ids: IdBlock::default(),
        not_before: zero,
        not_after: zero,
        serial: 1,
    });
    let topic = Topic { scope: ScopeId::trust(&MESH), kind: Kind::GRANT, key: RecordKey::hash(&node(2).key().0) };
    let granted = world.write(0, &topic, Some(&value), &[]);
    world.judge.sites.insert(grant(2), site(1));
    let stale = Stale { grants: [granted].into(), ..Stale::default() };
    let changed = world.view.rejudge(&world.set, &world.judge, &stale);
    world.check();
    assert_eq!((world.void(&tagged), changed.topics), (None, [tag("v1")].into()));
}

/// Counts what is read of a set.
struct Counted<'a> {
    set: &'a RecordSet,
    read: Cell<u64>,
}

impl Counted<'_> {
    fn count(&self, ids: Vec<RecordId>) -> Vec<RecordId> {
        self.read.set(self.read.get() + 1 + ids.len() as u64);
        ids
    }
}

impl Records for Counted<'_> {
    fn get(&self, id: &RecordId) -> Option<Held> {
        self.read.set(self.read.get() + 1);
        self.set.get(id)
    }
    fn versions(&self, scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<RecordId> {
        self.count(self.set.versions(scope, kind, key))
    }
    fn followers(&self, id: &RecordId) -> Vec<RecordId> {
        self.count(self.set.followers(id))
    }
    fn keys(&self, scope: &ScopeId, kind: Kind) -> Vec<RecordKey> {
        self.set.keys(scope, kind)
    }
    fn written_by(&self, author: &NodeKey) -> Vec<(ScopeId, Kind, RecordKey)> {
        self.set.written_by(author)
    }
    fn at(&self, author: &NodeKey, position: Position) -> Vec<RecordId> {
        self.count(self.set.at(author, position))
    }
}

#[test]
fn ten_thousand_heads_of_a_captured_node() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let mut most = 0;
    let mut insert = |world: &mut World, record: Record, value: &[u8]| {
        world.set.insert(record.clone(), Some(Arc::from(value))).unwrap();
        let counted = Counted { set: &world.set, read: Cell::new(0) };
        world.view.insert(&counted, &world.judge, &record.id());
        most = most.max(counted.read.get());
    };
    let value = names(Some(1), 0, false);
    for n in 0..10_000 {
        // A new incarnation each: nothing covers anything.
        let position = Position { incarnation: Incarnation(n), seq: 1 };
        let record = sign(1, position, 2_000_000 + n, &tag("v1"), Some(&value), &[]);
        insert(&mut world, record, &value);
    }
    assert_eq!(world.of(&tag("v1")).heads, 10_000);
    world.clock = 3_000_000;
    let mut steps = 0;
    loop {
        steps += 1;
        world.clock += 1;
        let prev = world.view.resolve(&tag("v1"));
        let is_last = world.view.is_settled_by(&tag("v1"), &prev);
        let position = Position { incarnation: Incarnation(0), seq: steps };
        let record = sign(2, position, world.clock, &tag("v1"), Some(&value), &prev);
        insert(&mut world, record, &value);
        if is_last {
            break;
        }
    }
    world.check();
    assert_eq!((world.of(&tag("v1")).heads, steps), (1, 10_000_u64.div_ceil(MAX_PREV as u64 - 1)));
    // Each predecessor is read once to see whose version it is and once on the way down, and little else.
    assert!(most <= 3 * MAX_PREV as u64, "{most} reads for one record");
}

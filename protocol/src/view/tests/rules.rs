//! What is no version, what is void, and what a site may forget.

use super::super::Kept;
use super::*;

#[test]
fn what_is_not_known_is_no_version_of_anything() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let unknown = named(Kind(999), "x");
    let id = world.write(1, &unknown, Some(b"x"), &[]);
    assert_eq!(world.of(&unknown), TopicView::default());
    assert_eq!(world.view.kept().version(&id), None);
}

#[test]
fn values_and_keys_that_are_none_of_their_kind_are_void() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let mut void = |topic: &Topic, value: Option<&[u8]>| {
        let id = world.write(1, topic, value, &[]);
        world.void(&id)
    };
    assert_eq!(void(&tag("v1"), Some(&[0xff; 3])), Some(Void::Value));
    assert_eq!(void(&tag("v1"), None), Some(Void::Value), "a tag is deleted by a value that names its mode");
    assert_eq!(void(&Topic::project(scope()), None), Some(Void::Value));
    assert_eq!(void(&named(Kind::TAG, "x"), Some(&names(Some(1), 0, false))), Some(Void::Key));
    assert_eq!(void(&named(Kind::MANIFEST, "x"), None), Some(Void::Key));
    let second = named(Kind::PROJECT, "second");
    assert_eq!(void(&second, Some(&project(open(TagMode::Home(site(1)), 1)))), Some(Void::Key));
    assert_eq!(world.view.facts(&scope()).modes(1).count(), 0);
}

#[test]
fn a_covered_value_may_go_and_changes_nothing() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let covered = world.write(1, &manifest(1), Some(&pushed(&[], 60)), &[]);
    let small = world.write(1, &manifest(1), Some(&pushed(&[], 1)), &[covered]);
    let head = world.write(2, &manifest(1), Some(&pushed(&[], 60)), &[small]);
    let moved = world.write(2, &tag("v1"), Some(&names(Some(1), 0, false)), &[]);
    world.write(2, &tag("v1"), Some(&names(Some(2), 0, false)), &[moved]);
    let may = |world: &World, id: &RecordId| {
        world.view.may_trim(&crate::record::Records::get(&world.set, id).unwrap().record)
    };
    assert_eq!([&covered, &small, &head, &moved].map(|id| may(&world, id)), [true, false, false, false]);
    world.set.drop_value(&covered);
    world.view.rejudge(&world.set, &world.judge, &Stale { scopes: [scope()].into(), ..Stale::default() });
    world.check();
    assert_eq!(world.void(&covered), None);
    // Deleted: its last push still describes it, if an index keeps it alive.
    world.write(2, &manifest(1), None, &[head]);
    assert!(!may(&world, &head));
}

#[test]
fn a_value_seen_to_be_unreadable_is_remembered() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let id = world.write(1, &manifest(1), Some(&[0xff; 2000]), &[]);
    assert_eq!(world.void(&id), Some(Void::Value));
    world.set.drop_value(&id);
    world.view.rejudge(&world.set, &world.judge, &Stale { scopes: [scope()].into(), ..Stale::default() });
    assert_eq!(world.void(&id), Some(Void::Value));
}

#[test]
fn a_tag_without_its_value_waits_for_it() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let value = names(Some(1), 0, false);
    let position = Position { incarnation: Incarnation(1), seq: 1 };
    let record = sign(1, position, 5, &tag("v1"), Some(&value), &[]);
    world.take(&record, None);
    assert_eq!(world.void(&record.id()), Some(Void::Value));
    world.take(&record, Some(&value));
    assert_eq!((world.void(&record.id()), world.live(&tag("v1"))), (None, Some(record.id())));
}

#[test]
fn a_follower_elsewhere_is_told_also_when_another_record_brought_its_predecessor_into_the_view() {
    let (mut world, _) = World::with_project(TagMode::Converge);
    let place = |seq| Position { incarnation: Incarnation(9), seq };
    let value = pushed(&[], 0);
    let named_by = sign(1, place(2), 5, &manifest(1), Some(&value), &[]);
    let earlier = sign(1, place(1), 5, &manifest(1), Some(&value), &[]);
    let stray = world.write(2, &tag("v1"), Some(&names(Some(1), 0, false)), &[named_by.id()]);
    for record in [&named_by, &earlier] {
        world.set.insert(record.clone(), Some(value.as_slice().into())).unwrap();
    }
    // A version of the same manifest that the later one follows: the topic is computed with both.
    let last = sign(1, place(3), 5, &manifest(1), Some(&value), &[]);
    world.set.insert(last.clone(), Some(value.as_slice().into())).unwrap();
    for record in [&last, &earlier, &named_by] {
        world.view.insert(&world.set, &world.judge, &record.id());
    }
    world.check();
    assert_eq!(world.void(&stray), Some(Void::Prev));
}

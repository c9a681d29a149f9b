//! Tags and manifests written, moved and deleted at several sites at once, in each tag mode.

use protocol::canonical;
use protocol::ledger::{Ledger, Reception, WriteError};
use protocol::record::value::{BlobClaim, Pushed, TagMode, Tagged, Value};
use protocol::record::{RecordId, Records, ScopeId};
use protocol::trust::Void;
use protocol::view::{Kept, SecondDigest, TRIMMABLE, refuse};
use protocol::{ContentRoot, Digest};

use super::islands::{
    Forged, Islands, image, manifest_topic, named, pushed, repository, tag_topic, view_of, void, voids,
};

fn home(site: &str) -> TagMode {
    TagMode::Home(site.into())
}

fn try_tag(islands: &mut Islands, at: &str, scope: ScopeId, tag: &str, content: &str) -> Result<RecordId, WriteError> {
    let (tag, digest) = (tag.parse().unwrap(), Some(image(content)));
    islands.act(at, |ledger, now| ledger.tag(scope, &repository(), &tag, digest, "ci", now))
}

/// A tag record that names this epoch and mode, whatever the project says, following nothing.
fn forge_tag(
    islands: &mut Islands,
    by: &'static str,
    scope: ScopeId,
    tag: &str,
    said: (u32, bool),
    place: u64,
) -> RecordId {
    let value = canonical::encode(&Tagged { digest: Some(image("forged")), epoch: said.0, home: said.1 });
    let (topic, at) = (tag_topic(scope, tag), islands.now);
    islands.forge(by, Forged { topic, value: Some(&value), at, place: (place, 1), prev: Vec::new() })
}

/// What the heads of a tag name.
fn digests(ledger: &Ledger, scope: ScopeId, tag: &str) -> Vec<Digest> {
    let heads = ledger.view().kept().heads(&tag_topic(scope, tag), false, usize::MAX).into_iter();
    let named = |rank: protocol::view::Rank| match ledger.read(&rank.id) {
        Some(Value::Tagged(tagged)) => tagged.digest,
        _ => None,
    };
    heads.filter_map(named).collect()
}

fn is_alive(ledger: &Ledger, scope: ScopeId, content: &str) -> bool {
    ledger.view().alive(ledger.set(), &scope, &repository()).contains_key(&image(content))
}

fn delete_manifest(islands: &mut Islands, at: &str, scope: ScopeId, content: &str) -> Vec<RecordId> {
    let known: Vec<RecordId> = islands.at(at).set().iter().map(|held| held.record.id()).collect();
    let digest = image(content);
    islands.act(at, |ledger, now| ledger.delete_manifest(scope, &repository(), &digest, "ci", now)).unwrap();
    let all = islands.at(at).set().iter().map(|held| held.record.id());
    all.filter(|id| !known.contains(id)).collect()
}

#[test]
fn under_converge_a_tag_overwritten_against_a_concurrent_push_is_a_conflict_and_the_later_is_live() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let old = islands.tag("paris", scope, "v1", "old");
    islands.sync_all();
    let mut matter = vec![old];
    for site in ["paris", "oslo"] {
        matter.push(islands.push(site, scope, site, &pushed(10, &[])));
        matter.push(islands.tag(site, scope, "v1", site));
    }
    islands.sync_all();
    islands.all_agree();
    islands.story().in_every_order(&matter, |ledger| {
        let view = view_of(ledger, scope, "v1");
        assert_eq!((named(ledger, scope, "v1"), view.heads), (Some(image("oslo")), 2));
        let pinned = ledger.view().pinned(ledger.set(), &scope, &repository());
        assert!(["paris", "oslo"].iter().all(|content| pinned.contains_key(&image(content))), "both are kept");
    });
    // Someone decides for the earlier.
    let chosen = matter[2];
    matter.push(islands.act("root", |ledger, now| ledger.resolve(&chosen, "admin", now)).unwrap());
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!((named(ledger, scope, "v1"), view_of(ledger, scope, "v1").heads), (Some(image("paris")), 1));
    });
}

#[test]
fn under_home_one_site_commits_and_what_another_claims_is_void() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let mode = islands.mode("root", scope, home("paris"));
    islands.sync_all();
    assert_eq!(try_tag(&mut islands, "oslo", scope, "v1", "oslo"), Err(WriteError::Home("paris".into())));
    let first = islands.tag("paris", scope, "v1", "first");
    let second = islands.tag("paris", scope, "v1", "second");
    // oslo's node lies about being home, and about the mode.
    let lies = forge_tag(&mut islands, "oslo", scope, "v1", (1, true), 500);
    let converge = forge_tag(&mut islands, "oslo", scope, "v1", (1, false), 501);
    let future = forge_tag(&mut islands, "oslo", scope, "v1", (9, false), 502);
    islands.sync_all();
    islands.story().in_every_order(&[mode, first, second, lies, converge, future], |ledger| {
        assert_eq!((named(ledger, scope, "v1"), view_of(ledger, scope, "v1").heads), (Some(image("second")), 1));
        let expected = [(lies, Void::NotHome), (converge, Void::Epoch), (future, Void::Epoch)];
        assert_eq!(voids(ledger), expected.into());
    });
}

#[test]
fn a_home_moved_during_a_partition_leaves_the_new_homes_tag_live_and_the_old_homes_beside_it() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    islands.mode("root", scope, home("paris"));
    islands.sync_all();
    let moved = islands.mode("root", scope, home("oslo"));
    islands.sync("root", "oslo");
    let new = islands.tag("oslo", scope, "v1", "oslo");
    // paris has not heard, and writes later.
    let (old, other) = (islands.tag("paris", scope, "v1", "paris"), islands.tag("paris", scope, "v2", "paris"));
    islands.sync_all();
    islands.all_agree();
    let refused = try_tag(&mut islands, "paris", scope, "v1", "paris");
    assert_eq!(refused, Err(WriteError::Home("oslo".into())));
    let lie = forge_tag(&mut islands, "paris", scope, "v3", (2, true), 500);
    islands.story().in_every_order(&[moved, new, old, other, lie], |ledger| {
        let view = view_of(ledger, scope, "v1");
        assert_eq!((view.live, view.heads), (Some(new), 2), "the greater epoch wins, and both are shown");
        assert_eq!(named(ledger, scope, "v2"), Some(image("paris")));
        assert_eq!(voids(ledger), [(lie, Void::NotHome)].into());
    });
}

#[test]
fn a_mode_switched_against_a_concurrent_push_voids_nothing() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let before = islands.tag("oslo", scope, "v1", "before");
    islands.sync_all();
    let switched = islands.mode("root", scope, home("paris"));
    islands.sync("root", "paris");
    let at_home = islands.tag("paris", scope, "v1", "paris");
    let (same, alone) = (islands.tag("oslo", scope, "v1", "oslo"), islands.tag("oslo", scope, "v2", "oslo"));
    islands.sync_all();
    let matter = [before, switched, at_home, same, alone];
    islands.story().in_every_order(&matter, |ledger| {
        let view = view_of(ledger, scope, "v1");
        assert_eq!((view.live, view.heads, void(ledger, &same)), (Some(at_home), 2, None));
        assert_eq!(named(ledger, scope, "v2"), Some(image("oslo")));
    });
    // And back again.
    let back = islands.mode("root", scope, TagMode::Converge);
    islands.sync_all();
    let later = islands.tag("oslo", scope, "v1", "settled");
    islands.story().in_every_order(&[switched, at_home, same, alone, back, later], |ledger| {
        assert_eq!((named(ledger, scope, "v1"), view_of(ledger, scope, "v1").heads), (Some(image("settled")), 1));
        assert!(voids(ledger).is_empty());
    });
}

#[test]
fn two_homes_named_at_once_are_shown_as_contested_and_both_count() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let modes = [islands.mode("north", scope, home("paris")), islands.mode("south", scope, home("oslo"))];
    islands.sync("north", "paris");
    islands.sync("south", "oslo");
    let tags = [islands.tag("paris", scope, "v1", "paris"), islands.tag("oslo", scope, "v1", "oslo")];
    islands.sync_all();
    assert!(try_tag(&mut islands, "paris", scope, "v1", "x").is_err(), "the later choice is in force");
    islands.story().in_every_order(&[modes[0], modes[1], tags[0], tags[1]], |ledger| {
        let project = ledger.view().project(ledger.set(), &scope).unwrap();
        assert_eq!((project.contested, view_of(ledger, scope, "v1").heads), (vec![1], 2));
        assert!(voids(ledger).is_empty());
    });
}

#[test]
fn an_immutable_tag_takes_no_second_digest_at_its_home() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let patterns = vec!["v*".to_owned()];
    let may = |islands: &Islands, at: &str, mode: &TagMode, tag: &str, content: &str| {
        let names = digests(islands.at(at), scope, tag);
        refuse(mode, &patterns, &tag.parse().unwrap(), &names, &image(content))
    };
    islands.mode("root", scope, home("paris"));
    islands.sync_all();
    assert_eq!(may(&islands, "paris", &home("paris"), "v1", "a"), Ok(()));
    let first = islands.tag("paris", scope, "v1", "a");
    assert_eq!(may(&islands, "paris", &home("paris"), "v1", "a"), Ok(()), "the same again");
    assert_eq!(may(&islands, "paris", &home("paris"), "v1", "b"), Err(SecondDigest(image("a"))));
    assert_eq!(may(&islands, "paris", &home("paris"), "latest", "b"), Ok(()));
    assert_eq!(may(&islands, "paris", &TagMode::Converge, "v1", "b"), Ok(()));
    // The home moves while the old one has not heard: each takes one, and both are shown.
    let moved = islands.mode("root", scope, home("oslo"));
    islands.sync("root", "oslo");
    assert_eq!(may(&islands, "oslo", &home("oslo"), "v2", "of oslo"), Ok(()));
    let new = islands.tag("oslo", scope, "v2", "of oslo");
    assert_eq!(may(&islands, "paris", &home("paris"), "v2", "of paris"), Ok(()));
    let old = islands.tag("paris", scope, "v2", "of paris");
    islands.sync_all();
    islands.story().in_every_order(&[first, moved, new, old], |ledger| {
        let names = digests(ledger, scope, "v2");
        assert_eq!(names, [image("of oslo"), image("of paris")]);
        for content in ["of oslo", "of paris", "a third"] {
            assert!(refuse(&home("oslo"), &patterns, &"v2".parse().unwrap(), &names, &image(content)).is_err());
        }
        assert_eq!(named(ledger, scope, "v1"), Some(image("a")));
    });
}

#[test]
fn a_tag_deleted_against_a_concurrent_push_names_what_was_pushed() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let old = islands.tag("paris", scope, "v1", "old");
    let quiet = islands.tag("paris", scope, "v2", "nobody pushes");
    islands.sync_all();
    let (gone, also) = (islands.untag("paris", scope, "v1"), islands.untag("paris", scope, "v2"));
    let new = islands.tag("oslo", scope, "v1", "new");
    islands.sync_all();
    islands.story().in_every_order(&[old, quiet, gone, also, new], |ledger| {
        let view = view_of(ledger, scope, "v1");
        assert_eq!((view.live, view.heads, view.deletes), (Some(new), 1, 1), "a delete never competes");
        assert!(view_of(ledger, scope, "v2").is_deleted());
    });
    let again = islands.untag("oslo", scope, "v1");
    let back = islands.act("root", |ledger, now| ledger.undelete(&tag_topic(scope, "v2"), "admin", now)).unwrap();
    islands.sync_all();
    islands.story().in_every_order(&[gone, also, new, again, back], |ledger| {
        assert!(view_of(ledger, scope, "v1").is_deleted());
        assert_eq!(named(ledger, scope, "v2"), Some(image("nobody pushes")));
    });
}

#[test]
fn a_manifest_deleted_against_a_push_of_an_index_naming_it_stays_alive() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let child = islands.push("paris", scope, "child", &pushed(10, &[]));
    let tag = islands.tag("paris", scope, "v1", "child");
    islands.sync_all();
    let gone = delete_manifest(&mut islands, "paris", scope, "child");
    assert_eq!(gone.len(), 2, "one for the tag, one for the manifest");
    let index = islands.push("oslo", scope, "index", &pushed(20, &[image("child")]));
    let multi = islands.tag("oslo", scope, "multi", "index");
    islands.sync_all();
    islands.all_agree();
    islands.story().in_every_order(&[child, tag, gone[0], gone[1], index, multi], |ledger| {
        assert_eq!(named(ledger, scope, "v1"), None);
        let alive = ledger.view().alive(ledger.set(), &scope, &repository());
        let child_is = alive.get(&image("child")).copied().expect("reached from the index");
        assert_eq!((child_is.own, child_is.described), (false, Some(child)), "the covered push describes it");
    });
    // With the index it goes.
    let both = delete_manifest(&mut islands, "root", scope, "index");
    islands.sync_all();
    islands.story().in_every_order(&[gone[0], gone[1], index, multi, both[0], both[1]], |ledger| {
        assert!(ledger.view().alive(ledger.set(), &scope, &repository()).is_empty());
    });
}

#[test]
fn the_same_digest_pushed_again_against_a_delete_is_there() {
    let (mut islands, scope) = Islands::with_project(&["paris", "oslo"]);
    let first = islands.push("paris", scope, "image", &pushed(10, &[]));
    islands.sync_all();
    let gone = delete_manifest(&mut islands, "paris", scope, "image");
    // It changes nothing at oslo, and is a version all the same.
    let again = islands.push("oslo", scope, "image", &pushed(10, &[]));
    islands.sync_all();
    islands.story().in_every_order(&[first, gone[0], again], |ledger| {
        assert_eq!(ledger.view().topic(&manifest_topic(scope, &image("image"))).live, Some(again));
        assert!(is_alive(ledger, scope, "image"));
    });
    let last = delete_manifest(&mut islands, "root", scope, "image");
    islands.sync_all();
    islands.story().in_every_order(&[first, gone[0], again, last[0]], |ledger| {
        assert!(!is_alive(ledger, scope, "image"));
    });
}

#[test]
fn a_value_trimmed_at_one_site_changes_no_view_and_is_fetched_when_it_is_live_again() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris", "oslo"]);
    let blob = |n: u8| BlobClaim { digest: Digest::sha256(&[n]), size: 1, root: Some(ContentRoot([n; 32])) };
    let big = |size| Pushed { blobs: (0..40).map(blob).collect(), ..pushed(size, &[]) };
    let first = islands.push("paris", scope, "image", &big(100));
    islands.sync_all();
    let covering = islands.push("ci", scope, "image", &big(666));
    islands.sync_all();
    assert!(islands.at("oslo").set().get(&first).unwrap().record.value().unwrap().len > TRIMMABLE);
    let trim = |islands: &mut Islands, id| islands.act("oslo", |ledger, _| ledger.trim(id));
    assert!(!trim(&mut islands, &covering), "a head");
    assert!(trim(&mut islands, &first) && !trim(&mut islands, &first));
    islands.all_agree();
    islands.crash("oslo");
    islands.all_agree();
    assert_eq!(islands.at("oslo").read(&first), None, "also after a restart");
    // Who has it from oslo alone sees the same.
    let seen = islands.at("paris").view().kept().clone();
    islands.story_of(&["oslo"]).in_every_order(&[first, covering], |ledger| {
        assert!(*ledger.view().kept() == seen && ledger.read(&first).is_none());
    });
    // What covers it turns out to be a captured node's.
    let (list, lists) = islands.endorse("north", "ci", scope, &[]);
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.heal(&["north", "oslo"]);
    islands.story_of(&["oslo"]).in_every_order(&[first, covering, list[0], verdict], |ledger| {
        let view = ledger.view().topic(&manifest_topic(scope, &image("image")));
        assert_eq!((view.live, ledger.read(&first)), (Some(first), None), "live again, its value elsewhere");
    });
    assert_eq!(islands.fetch("oslo", "paris", &first), Reception::Filled);
    islands.sync("oslo", "paris");
    assert!(matches!(islands.at("oslo").read(&first), Some(Value::Pushed(pushed)) if pushed.size == 100));
    islands.agree(&["oslo", "paris"]);
    islands.crash("oslo");
    assert!(islands.at("oslo").read(&first).is_some());
    assert!(!trim(&mut islands, &first), "it is a head now");
}

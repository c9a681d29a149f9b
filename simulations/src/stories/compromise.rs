//! Nodes that fell into other hands: what they wrote last is taken back, what they wrote before stands.

use std::collections::BTreeSet;

use protocol::canonical;
use protocol::ledger::Ledger;
use protocol::record::value::Tagged;
use protocol::record::{MAX_PREV, RecordId, Records};
use protocol::trust::{Handshake, MAX_ENDORSED, Void};

use super::islands::{DAY, Forged, Islands, START, image, key, named, tag_topic, view_of, void, voids};

fn evil() -> Vec<u8> {
    canonical::encode(&Tagged { digest: Some(image("evil")), epoch: 0, home: false })
}

fn holds(ledger: &Ledger, id: &RecordId) -> bool {
    ledger.set().get(id).is_some()
}

#[test]
fn what_a_captured_node_overwrote_comes_back_and_nothing_is_lost_while_lists_are_on_their_way() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    islands.tag("ci", scope, "v1", "good 1");
    islands.tag("ci", scope, "v2", "good 2");
    islands.tag("paris", scope, "v3", "good 3");
    islands.sync_all();
    // The captured node overwrites everything, deletes, and writes as if it had done so long ago.
    let mut bad = vec![islands.tag("ci", scope, "v1", "evil"), islands.untag("ci", scope, "v2")];
    bad.push(islands.tag("ci", scope, "v3", "evil"));
    let (topic, value) = (tag_topic(scope, "v1"), evil());
    let back = Forged { topic, value: Some(&value), at: START - 30 * DAY, place: (666, 1), prev: Vec::new() };
    bad.push(islands.forge("ci", back));
    islands.sync("ci", "paris");
    assert_eq!(named(islands.at("paris"), scope, "v3"), Some(image("evil")));
    // The authority endorses what it had, and cuts the node off.
    let good = islands.written_by("north", "ci", scope);
    let (list, lists) = islands.endorse("north", "ci", scope, &good);
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.heal(&["north", "paris", "south", "root"]);
    assert_eq!(islands.handshake("paris", "ci"), Handshake::Refused);

    let matter: Vec<RecordId> = bad.iter().copied().chain(list.clone()).chain([verdict]).collect();
    islands.story().in_every_order_watched(
        &matter,
        |ledger| {
            let judged = holds(ledger, &list[0]) && holds(ledger, &verdict);
            let expected: BTreeSet<RecordId> = bad.iter().filter(|id| judged && holds(ledger, id)).copied().collect();
            assert_eq!(voids(ledger).into_keys().collect::<BTreeSet<_>>(), expected);
        },
        |ledger| {
            for (tag, content) in [("v1", "good 1"), ("v2", "good 2"), ("v3", "good 3")] {
                assert_eq!(named(ledger, scope, tag), Some(image(content)));
                assert!(!view_of(ledger, scope, tag).is_conflict());
            }
            assert!(bad.iter().all(|id| void(ledger, id) == Some(Void::NotEndorsed(verdict))));
        },
    );
}

#[test]
fn endorsing_restores_the_good_that_the_authority_had_not_seen() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    // Only paris got them before the node was captured.
    let good = islands.tag("ci", scope, "v1", "good");
    let other = islands.tag("ci", scope, "v2", "nobody vouches");
    islands.sync("ci", "paris");
    let (list, lists) = islands.endorse("north", "ci", scope, &[]);
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.heal(&["north", "paris", "south"]);
    assert_eq!(named(islands.at("paris"), scope, "v1"), None, "it is void, kept, and listed");
    assert_eq!(void(islands.at("paris"), &good), Some(Void::NotEndorsed(verdict)));
    // The other authority knows better, later.
    islands.pass(3 * DAY);
    let (later, _) = islands.endorse("south", "ci", scope, &[good]);
    islands.heal(&["north", "paris", "south"]);
    islands.story().in_every_order(&[good, other, list[0], verdict, later[0]], |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("good")));
        assert_eq!(named(ledger, scope, "v2"), None);
    });
}

#[test]
fn what_others_wrote_on_top_of_a_captured_nodes_tag_stands() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    let good = islands.tag("ci", scope, "v1", "good");
    islands.sync_all();
    let bad = islands.tag("ci", scope, "v1", "evil");
    islands.sync("ci", "paris");
    let top = islands.tag("paris", scope, "v1", "repaired by paris");
    let (list, lists) = islands.endorse("north", "ci", scope, &[good]);
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.heal(&["north", "paris"]);
    islands.story().in_every_order(&[good, bad, top, list[0], verdict], |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("repaired by paris")));
        let view = view_of(ledger, scope, "v1");
        assert_eq!((view.heads, view.voids), (1, 1), "the path from it to the good one runs through the void");
    });
}

#[test]
fn a_scope_the_verdict_does_not_name_is_unjudged_and_loses_nothing() {
    use protocol::trust::Judge;
    let (mut islands, scope) = Islands::with_project(&["ci"]);
    let other = islands.project("root", 8);
    islands.sync_all();
    let (here, there) = (islands.tag("ci", scope, "v1", "a"), islands.tag("ci", other, "v1", "b"));
    let (list, lists) = islands.endorse("north", "ci", scope, &[]);
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.story().in_every_order(&[here, there, list[0], verdict], |ledger| {
        assert_eq!((named(ledger, scope, "v1"), named(ledger, other, "v1")), (None, Some(image("b"))));
        assert!(ledger.trust().is_judged(&scope) && !ledger.trust().is_judged(&other));
        assert!(ledger.trust().is_compromised(&key("ci")));
    });
}

#[test]
fn the_site_that_wrote_most_tags_is_compromised_and_the_endorsed_ones_stay() {
    const GOOD: usize = MAX_ENDORSED + 100;
    const BAD: usize = 40;
    let (mut islands, scope) = Islands::with_project(&["ci"]);
    let mut good: Vec<RecordId> = Vec::new();
    for n in 0..GOOD {
        good.push(islands.tag("ci", scope, &format!("v{n}"), &format!("good {n}")));
    }
    islands.sync("ci", "north");
    assert_eq!(islands.written_by("north", "ci", scope).len(), GOOD);
    let mut bad: Vec<RecordId> = Vec::new();
    for n in 0..BAD {
        bad.push(islands.tag("ci", scope, &format!("v{n}"), "evil"));
    }
    let (list, lists) = islands.endorse("north", "ci", scope, &good);
    assert_eq!((list.len(), lists.count), (2, 2));
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    let matter = [list[0], list[1], verdict];
    islands.story().shuffled_only(2).in_every_order_watched(
        &matter,
        |ledger| {
            let complete = matter.iter().all(|id| holds(ledger, id));
            let expected = if complete { BAD } else { 0 };
            assert_eq!(voids(ledger).len(), expected, "half a list voids nothing");
        },
        |ledger| {
            assert!((0..GOOD).all(|n| named(ledger, scope, &format!("v{n}")) == Some(image(&format!("good {n}")))));
            assert!(bad.iter().all(|id| void(ledger, id) == Some(Void::NotEndorsed(verdict))));
        },
    );
}

#[test]
fn ten_thousand_heads_of_a_captured_node_are_resolved_in_steps_and_the_site_stays_usable() {
    const HEADS: u64 = 10_000;
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    islands.tag("paris", scope, "v1", "good");
    islands.sync("paris", "ci");
    // Each in a life of its own, following nothing: none covers another.
    let value = evil();
    for n in 0..HEADS {
        let (topic, at) = (tag_topic(scope, "v1"), islands.now);
        let forged = Forged { topic, value: Some(&value), at, place: (n + 1, 1), prev: Vec::new() };
        let held = islands.forged("ci", forged);
        let now = islands.now_at("paris");
        islands.site_mut("paris").ledger.take(held.record, held.value, now);
    }
    assert_eq!(view_of(islands.at("paris"), scope, "v1").heads, HEADS + 1);
    // Other tags of the project don't notice.
    islands.tag("paris", scope, "v2", "good 2");
    assert_eq!(named(islands.at("paris"), scope, "v2"), Some(image("good 2")));
    let mut steps = 0;
    while view_of(islands.at("paris"), scope, "v1").is_conflict() {
        let before = view_of(islands.at("paris"), scope, "v1").heads;
        islands.tag("paris", scope, "v1", "good");
        let after = view_of(islands.at("paris"), scope, "v1").heads;
        // Of the first step's predecessors none is paris's own, which it covers by its place.
        assert!(after == 1 || (MAX_PREV as u64 - 1..=MAX_PREV as u64).contains(&(before - after)));
        steps += 1;
    }
    assert_eq!(steps, HEADS.div_ceil(MAX_PREV as u64 - 1));
    assert_eq!(named(islands.at("paris"), scope, "v1"), Some(image("good")));
    // And then the verdict: one stroke.
    let (_, lists) = islands.endorse("north", "ci", scope, &[]);
    islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.send("north", "paris");
    let view = view_of(islands.at("paris"), scope, "v1");
    assert_eq!((view.heads, view.voids), (1, HEADS));
    assert!(islands.at("paris").is_view_sound());
}

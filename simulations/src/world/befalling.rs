//! That what befalls a site is what its name says: each mishap alone, on sites that nothing else befalls.

use super::*;

const NODE: NodeId = NodeId(4);
const YEAR: i64 = 365 * 86_400_000;

/// Five sites, the last of which is looked at, or as many as these faults need.
fn world(seed: u64, nodes: u32, faults: &str) -> World {
    let plan = "authorities = 1\nprojects = 1\nact_ms = 1000\nmeet_ms = 1000\nack_ms = 100\ndown_ms = 2000";
    let head = format!("about = \"\"\nnodes = {nodes}\nrun_ms = 120000\nheal_ms = 60000\n[sites]\n{plan}");
    World::new(Scenario::parse("small", &format!("{head}\n[faults]\n{faults}")).unwrap(), seed).unwrap()
}

/// What happens in the next seconds.
fn pass(world: &mut World, seconds: u64) -> Vec<Event> {
    let until = world.clock.monotonic() + Duration::from_secs(seconds);
    watch(world, |world| while world.clock.monotonic() < until && world.step() == Step::More {})
}

/// What happens meanwhile.
fn watch(world: &mut World, act: impl FnOnce(&mut World)) -> Vec<Event> {
    let from = world.log().entries().len();
    act(world);
    assert_eq!(world.violation, None);
    world.log().entries()[from..].iter().map(|entry| entry.event.clone()).collect()
}

fn befall(world: &mut World, mishap: Mishap) -> Vec<Event> {
    watch(world, |world| world.mishap(mishap))
}

fn speaks(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Sent { link, .. } if link.from == NODE))
}

fn written(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Wrote { node: NODE, .. })).count()
}

/// The records it found when it was opened, each time.
fn opened(events: &[Event]) -> Vec<usize> {
    let found = |event: &Event| {
        if let Event::Opened { node: NODE, found } = event { Some(found.len()) } else { None }
    };
    events.iter().filter_map(found).collect()
}

/// The lives in which it spoke.
fn lives(events: &[Event]) -> Vec<u64> {
    let life = |event: &Event| {
        if let Event::Said { node: NODE, life, .. } = event { Some(*life) } else { None }
    };
    events.iter().filter_map(life).collect()
}

fn has(events: &[Event], wanted: impl Fn(&Event) -> bool) -> bool {
    events.iter().any(wanted)
}

#[test]
fn a_crash_takes_a_site_down_and_it_comes_back_with_what_it_acknowledged() {
    let mut world = world(1, 5, "");
    let before = pass(&mut world, 20);
    assert!(speaks(&before) && written(&before) > 0);
    assert!(has(&befall(&mut world, Mishap::Crash(NODE)), |event| *event == Event::Crashed { node: NODE }));
    let down = pass(&mut world, 1);
    assert!(!speaks(&down) && written(&down) == 0);
    let after = pass(&mut world, 10);
    assert!(opened(&after)[0] >= written(&before));
    assert!(speaks(&after) && written(&after) > 0);
}

#[test]
fn a_rollback_is_a_start_on_an_older_state_in_a_new_life() {
    let mut world = world(1, 5, "");
    let before = pass(&mut world, 20);
    let event = befall(&mut world, Mishap::RollBack(NODE));
    assert!(has(&event, |event| matches!(event, Event::SetBack { node: NODE, alive: false, .. })));
    let after = pass(&mut world, 20);
    assert!(opened(&after)[0] < written(&before), "it found less than it had acknowledged");
    assert!(lives(&after).iter().any(|life| !lives(&before).contains(life)));
}

#[test]
fn a_revert_goes_unnoticed_until_a_peer_tells() {
    let mut world = world(1, 5, "");
    pass(&mut world, 20);
    let event = befall(&mut world, Mishap::Revert(NODE));
    assert!(has(&event, |event| matches!(event, Event::SetBack { node: NODE, alive: true, .. })));
    let after = pass(&mut world, 20);
    assert!(opened(&after).is_empty(), "it never started");
    assert!(has(&after, |event| matches!(event, Event::Began { node: NODE, .. })));
}

#[test]
fn who_dies_is_heard_of_no_more() {
    let mut world = world(1, 5, "");
    pass(&mut world, 20);
    let event = befall(&mut world, Mishap::Die(NODE));
    assert!(has(&event, |event| matches!(event, Event::Gone { node: NODE, .. })));
    let after = pass(&mut world, 300);
    assert!(!speaks(&after) && written(&after) == 0 && opened(&after).is_empty());
    assert!(has(&after, |event| matches!(event, Event::Shows { .. })));
    assert!(!has(&after, |event| matches!(event, Event::Shows { node: NODE, .. })));
    // The authority is looked after.
    assert_eq!(befall(&mut self::world(1, 5, ""), Mishap::Die(NodeId(1))), []);
}

#[test]
fn who_is_away_neither_speaks_nor_writes_and_goes_on_when_back() {
    let mut world = world(1, 5, "");
    pass(&mut world, 10);
    befall(&mut world, Mishap::Leave(NODE));
    let away = pass(&mut world, 20);
    assert!(!speaks(&away) && written(&away) == 0);
    befall(&mut world, Mishap::Return(NODE));
    let back = pass(&mut world, 10);
    assert!(speaks(&back) && written(&back) > 0);
    assert!(opened(&back).is_empty(), "it was away, and not down");
}

#[test]
fn a_full_disk_acknowledges_nothing_until_there_is_room() {
    let mut world = world(1, 5, "");
    pass(&mut world, 10);
    befall(&mut world, Mishap::Fill(NODE));
    let full = pass(&mut world, 15);
    assert_eq!(written(&full), 0);
    assert!(has(&full, |event| matches!(event, Event::Declined { node: NODE, why } if why == "the disk is full")));
    befall(&mut world, Mishap::MakeRoom(NODE));
    assert!(written(&pass(&mut world, 15)) > 0);
}

#[test]
fn a_clock_that_is_put_right_takes_back_what_it_wrote_in_the_future() {
    let mut world = world(1, 5, "");
    pass(&mut world, 10);
    befall(&mut world, Mishap::Jump(NODE, 10 * YEAR));
    let wrong = pass(&mut world, 10);
    assert!(written(&wrong) > 0);
    let back = befall(&mut world, Mishap::PutRight(NODE));
    let [Event::SteppedBack { node: NODE, withdrawn, written: again }] = back.as_slice() else {
        panic!("it took nothing back: {back:?}");
    };
    assert!(withdrawn.len() >= written(&wrong) && again.len() == withdrawn.len());
}

#[test]
fn who_comes_late_is_not_there_before() {
    let mut world = world(1, 5, "late = 1");
    let all = pass(&mut world, 300);
    let joined = all.iter().position(|event| *event == Event::JoinedMesh { node: NODE }).unwrap();
    let (before, after) = all.split_at(joined);
    assert!(!speaks(before) && written(before) == 0);
    assert!(speaks(after) && has(after, |event| matches!(event, Event::Shows { node: NODE, .. })));
}

#[test]
fn a_liar_is_caught_and_nobody_else_is_accused() {
    let mut world = world(1, 6, "liars = 1");
    let all = pass(&mut world, 300);
    let of_liar = |event: &Event| matches!(event, Event::Accused { peer: NodeId(2), misbehaves: true, .. });
    assert!(has(&all, of_liar));
    assert!(!has(&all, |event| matches!(event, Event::Accused { node, .. } if *node != NodeId(2)) && !of_liar(event)));
}

#[test]
fn the_silent_say_nothing() {
    let mut world = world(1, 6, "silent = 1");
    let all = pass(&mut world, 300);
    assert!(has(&all, |event| matches!(event, Event::Delivered { link, .. } if link.to == NodeId(2))));
    assert!(!has(&all, |event| matches!(event, Event::Sent { link, .. } if link.from == NodeId(2))));
}

#[test]
fn two_boxes_under_one_key_are_flagged_and_nobody_else_is() {
    let mut world = world(1, 6, "equivocators = 1");
    pass(&mut world, 60);
    let flagged = world.mesh.as_ref().unwrap().flagged();
    assert_eq!(flagged, [NodeId(2)].into());
}

#[test]
fn verdicts_are_of_every_kind_and_whoever_is_ended_need_not_agree() {
    let mut said = String::new();
    for seed in 0..25 {
        let mut world = World::new(Scenario::load("sites-verdicts").unwrap(), seed).unwrap();
        let all = pass(&mut world, 300);
        for event in &all {
            if let Event::Spoke { node, what } = event {
                said.push_str(&format!("{} {what}\n", node.0));
            }
            let Event::EndedSite { node, how } = event else { continue };
            said.push_str(&format!("{} {how}\n", if node.0 <= 2 { "authority" } else { "site" }));
            assert!(!has(&all, |event| matches!(event, Event::Shows { node: other, .. } if other == node)));
        }
    }
    for kind in [
        "site Retire(None) by 0",
        "site Retire(Some(",
        "site Narrow by 1",
        "site Compromise by 2",
        "authority Compromise by 0, with [2]",
        "authority Narrow by 0",
        "of one grant by 0",
        "lists by ",
        "0 suspended",
        "1 suspended 2",
        "0 lifted the suspensions of",
        "1 endorsed",
        "0 gave",
        "ended the old grant of",
    ] {
        assert!(said.contains(kind), "{kind}");
    }
}

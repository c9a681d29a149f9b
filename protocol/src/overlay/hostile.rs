//! Captured sites, and peers that break the rules.

use super::message::{Message, Why};
use super::town::*;
use super::*;
use crate::identity::NodeKey;

const MINUTE: Duration = Duration::from_secs(60);

/// A region of thirty captured and twenty-five honest sites, and three of twenty-five honest ones.
fn attacked(captured: usize, guarded: bool, seed: u8) -> Town {
    let places = (0..130).map(|n| place(if n < 55 { "r0" } else { ["r1", "r2", "r3"][n % 3] })).collect();
    let mut town = Town::new(places, seed, guarded);
    (0..captured).for_each(|site| town.actors[site] = Actor::Captured);
    (captured..30).for_each(|site| town.fall(site));
    town.run(10 * MINUTE);
    // Honest ones restart, into the crowd.
    for site in (30..130).step_by(3) {
        town.fall(site);
        town.rise(site);
        town.run(Duration::from_secs(10));
    }
    town.run(10 * MINUTE);
    town
}

fn holds(town: &Town, site: usize) -> (usize, usize, usize) {
    let held = town.neighbours(site);
    let honest = held.iter().filter(|(peer, _)| *peer >= 30).count();
    let own = held.iter().filter(|(_, held)| held.origin == Origin::Chosen).count();
    (honest, own, held.len())
}

// Known gap: honest sites of the captured region ask for the same slots as the captured, who ask more often. One of
// twenty-five was cut off in this run (1 of 100 in all); the bound below shows that, and is not what is wished for.
#[test]
fn thirty_captured_sites_of_one_region_take_over_no_site_of_another() {
    let town = attacked(30, true, 1);
    let mut cut_off = 0;
    for site in town.honest() {
        let (honest, own, all) = holds(&town, site);
        assert!(own >= 5 && all <= 12, "{site} chose {own} of {all}");
        assert!(site < 55 || honest >= 2, "{site} has {honest} honest ones of {all}");
        cut_off += usize::from(honest == 0);
    }
    assert!(cut_off <= 2, "{cut_off} of the captured region");
    let parts = parts(&town, &town.honest());
    assert_eq!(parts, 1 + cut_off, "all others hold together without the captured");
    assert!(town.faults.iter().all(|(_, by, _)| *by < 30), "{:?}", town.faults);
}

#[test]
fn one_captured_site_takes_one_place() {
    let town = attacked(1, true, 3);
    assert_eq!(parts(&town, &town.honest()), 1);
    for site in town.honest() {
        let (honest, own, all) = holds(&town, site);
        assert!(honest + 1 >= all && own >= 5);
    }
}

#[test]
fn without_the_guard_they_do() {
    let town = attacked(30, false, 1);
    let lost = town.honest().into_iter().filter(|site| holds(&town, *site).0 < 2).count();
    println!("{lost} of 100 taken over");
    assert!(lost > 25, "{lost}");
}

fn pair() -> (Town, NodeKey) {
    let mut town = Town::new(vec![place("one"); 3], 4, true);
    town.run(MINUTE);
    let peer = town.book.keys[1];
    (town, peer)
}

#[test]
fn what_can_not_be_is_a_fault_and_the_peer_is_shut_out() {
    let wrong = [
        (vec![], Fault::Encoding),
        (vec![9], Fault::Encoding),
        (vec![3; MAX_MESSAGE + 1], Fault::Encoding),
        (Message::Shuffled(Vec::new()).encode(), Fault::OutOfOrder),
    ];
    for (bytes, fault) in wrong {
        let (mut town, peer) = pair();
        town.with(0, |overlay, now, roster| {
            let effects = overlay.receive(peer, &bytes, now, roster);
            assert_eq!(effects, [Effect::Failed(peer, fault), Effect::Down(peer), Effect::Close(peer)]);
            effects
        });
        town.run(MINUTE);
        assert!(town.neighbours(0).iter().all(|(peer, _)| *peer != 1), "left alone for a while");
    }
}

#[test]
fn a_flood_is_cut_off_and_its_answers_are_bounded() {
    let (mut town, peer) = pair();
    let mut answered = 0;
    for _ in 0..100 {
        town.with(0, |overlay, now, roster| {
            let effects = overlay.receive(peer, &Message::Shuffle(vec![peer]).encode(), now, roster);
            answered += effects.iter().filter(|effect| matches!(effect, Effect::Send(..))).count();
            effects
        });
    }
    assert!((1..=8).contains(&answered), "{answered}");
    assert_eq!(town.faults, [(0, 1, Fault::Flood)]);
}

#[test]
fn connections_that_say_nothing_are_few_and_do_not_last() {
    let places = (0..200).map(|_| place("one")).collect();
    let mut town = Town::new(places, 5, true);
    (1..200).for_each(|site| town.fall(site));
    let keys = town.book.keys.clone();
    for key in &keys[1..] {
        town.with(0, |overlay, now, roster| overlay.connected(*key, false, now, roster));
    }
    assert_eq!(town.overlay(0).links.len(), MAX_WAITING);
    town.run(ANSWER_WITHIN + 2 * SECOND);
    assert!(town.overlay(0).links.values().all(|link| link.aim().is_some()), "only its own dials are left");
}

#[test]
fn alone_pushes_out_one_that_asked_once_a_minute_and_never_one_that_was_chosen() {
    let places = (0..40).map(|_| place("one")).collect();
    let mut town = Town::new(places, 6, true);
    town.run(10 * MINUTE);
    let site = (0..40).find(|site| town.neighbours(*site).len() >= 9).unwrap();
    let own = |town: &Town| holds(town, site).1;
    let chosen = own(&town);
    let strangers: Vec<NodeKey> = (0..40)
        .filter(|peer| *peer != site && town.neighbours(site).iter().all(|(held, _)| held != peer))
        .map(|peer| town.book.keys[peer])
        .collect();
    let (mut yes, mut downs) = (0, 0);
    for key in strangers {
        town.with(site, |overlay, now, roster| {
            let mut effects = overlay.connected(key, false, now, roster);
            effects.extend(overlay.receive(key, &Message::Ask(Why::Alone).encode(), now, roster));
            yes += effects.iter().filter(|effect| **effect == Effect::Up(key)).count();
            downs += effects.iter().filter(|effect| matches!(effect, Effect::Down(_))).count();
            effects
        });
    }
    assert_eq!((downs, own(&town)), (1, chosen));
    assert!(yes <= 12 - 8 + 1, "{yes}");
}

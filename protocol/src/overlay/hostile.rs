//! Captured sites, and peers that break the rules.

use super::guard::{Guard, Guards};
use super::message::{Message, Why};
use super::town::*;
use super::*;
use crate::identity::NodeKey;

const MINUTE: Duration = Duration::from_secs(60);

/// A region of captured and honest sites, and three of honest ones.
#[derive(Clone, Copy)]
struct Attack {
    captured: usize,
    beside: usize,
    elsewhere: usize,
    guards: Guards,
    seed: u8,
}

/// Sites and minutes, summed over the minutes that were watched.
#[derive(Debug, Default, PartialEq, Eq)]
struct Harm {
    /// An honest site had no honest neighbour.
    cut_off: usize,
    /// Minutes in which the honest ones were in parts.
    in_parts: usize,
    /// An honest site had chosen captured ones only.
    misled: usize,
}

impl Attack {
    const FULL: Self = Self { captured: 30, beside: 25, elsewhere: 75, guards: Guards::without(&[]), seed: 1 };

    const fn without(self, left_out: &'static [Guard]) -> Self {
        Self { guards: Guards::without(left_out), ..self }
    }

    /// Lets it go on for a time; in the middle honest ones restart into the crowd.
    fn settle(&self, time: Duration) -> Town {
        let here = self.captured + self.beside;
        let places = (0..here + self.elsewhere)
            .map(|n| place(if n < here { "r0" } else { ["r1", "r2", "r3"][n % 3] }))
            .collect();
        let mut town = Town::guarded(places, self.seed, self.guards);
        (0..self.captured).for_each(|site| town.actors[site] = Actor::Captured);
        town.run(time / 2);
        for site in (self.captured..here + self.elsewhere).step_by(3) {
            town.fall(site);
            town.rise(site);
            town.run(5 * SECOND);
        }
        town.run(time / 2);
        town
    }

    /// Honest neighbours, those the site chose, honest ones of these, all.
    fn holds(&self, town: &Town, site: usize) -> (usize, usize, usize, usize) {
        let held = town.neighbours(site);
        let honest = held.iter().filter(|(peer, _)| *peer >= self.captured).count();
        let own: Vec<_> = held.iter().filter(|(_, held)| held.origin == Origin::Chosen).collect();
        let good = own.iter().filter(|(peer, _)| *peer >= self.captured).count();
        (honest, own.len(), good, held.len())
    }

    /// What happens in so many more minutes.
    fn watch(&self, town: &mut Town, minutes: usize) -> Harm {
        let mut harm = Harm::default();
        for _ in 0..minutes {
            town.run(MINUTE);
            for site in town.honest() {
                let (honest, _, good, _) = self.holds(town, site);
                harm.cut_off += usize::from(honest == 0);
                harm.misled += usize::from(good == 0);
            }
            harm.in_parts += usize::from(parts(town, &town.honest()) > 1);
        }
        println!("{harm:?}");
        harm
    }

    /// The guards hold.
    fn fails(&self, settle: Duration, minutes: usize) {
        let mut town = self.settle(settle);
        let harm = self.watch(&mut town, minutes);
        assert_eq!((harm.cut_off, harm.in_parts), (0, 0), "sites cut off, minutes in parts");
        let here = self.captured + self.beside;
        for site in town.honest() {
            let (honest, own, _, all) = self.holds(&town, site);
            // One may have been pushed out just now, and its slot be lent or empty.
            assert!(own >= 4 && all <= 12, "{site} chose {own} of {all}");
            assert!(site < here || honest >= 2, "{site} has {honest} honest ones of {all}");
        }
        let remembered = town.honest().into_iter().map(|site| town.overlay(site).door.len()).max();
        assert!(remembered <= Some(MAX_TURNED_AWAY));
        assert!(town.faults.iter().all(|(_, by, _)| *by < self.captured), "{:?}", town.faults);
    }
}

#[test]
fn captured_sites_that_ask_each_second_cut_off_nobody() {
    Attack::FULL.fails(30 * MINUTE, 20);
}

#[test]
fn nor_with_other_luck() {
    Attack { seed: 2, ..Attack::FULL }.fails(30 * MINUTE, 20);
}

#[test]
fn where_places_go_to_who_comes_first_they_do() {
    let attack = Attack::FULL.without(&[Guard::Lots, Guard::Alone]);
    let mut town = attack.settle(10 * MINUTE);
    let harm = attack.watch(&mut town, 5);
    assert!(harm.cut_off > 0 && harm.in_parts > 0 && harm.misled >= 50, "{harm:?}");
}

#[test]
fn one_captured_site_takes_one_place() {
    let attack = Attack { captured: 1, beside: 15, elsewhere: 45, seed: 3, ..Attack::FULL };
    let town = attack.settle(10 * MINUTE);
    assert_eq!(parts(&town, &town.honest()), 1);
    for site in town.honest() {
        let (honest, own, _, all) = attack.holds(&town, site);
        assert!(honest + 1 >= all && own >= 4);
    }
}

#[test]
fn without_reserves_they_take_over_all_sites() {
    let attack = Attack::FULL.without(&[Guard::Shares]);
    let mut town = attack.settle(6 * MINUTE);
    let harm = attack.watch(&mut town, 2);
    assert!(harm.cut_off > 150 && harm.in_parts == 2, "{harm:?}");
}

/// Of the far sites that are dialled first where nobody but captured ones is remembered: honest ones, all.
fn dials_first(guards: Guards) -> (usize, usize) {
    let Attack { captured, beside, elsewhere, .. } = Attack::FULL;
    let places = (0..captured + beside + elsewhere)
        .map(|n| place(if n < captured + beside { "r0" } else { ["r1", "r2", "r3"][n % 3] }))
        .collect();
    let town = Town::new(places, 8);
    let gang: Vec<Remembered> =
        town.book.keys[..captured].iter().map(|key| Remembered { key: *key, met: false }).collect();
    let (mut honest, mut all) = (0, 0);
    for site in captured + beside..captured + beside + elsewhere {
        let mut overlay = Overlay::guarded(Slots::usual(), [site as u8; 32], guards);
        overlay.recall(gang.clone());
        for effect in overlay.tick(SECOND, &View(&town.book, site)) {
            if let Effect::Dial(peer) = effect {
                let peer = town.book.numbers[&peer];
                let is_far = town.book.places[peer].region != town.book.places[site].region;
                all += usize::from(is_far);
                honest += usize::from(is_far && peer >= captured);
            }
        }
    }
    (honest, all)
}

#[test]
fn every_other_one_that_is_tried_is_one_that_nobody_named() {
    let (honest, all) = dials_first(Guards::default());
    assert!(all >= 200 && honest * 6 >= all, "{honest} of {all}");
    let (honest, all) = dials_first(Guards::without(&[Guard::Roster]));
    assert!(all >= 200 && honest * 20 <= all, "{honest} of {all}");
}

/// How many of those that have no place free let in one that has no neighbour.
fn lets_in_the_alone(guards: Guards) -> (usize, usize) {
    let mut town = Town::guarded((0..80).map(|_| place("one")).collect(), 7, guards);
    town.fall(0);
    town.run(20 * MINUTE);
    let key = town.book.keys[0];
    let (mut full, mut let_in) = (0, 0);
    for site in 1..80 {
        if town.neighbours(site).len() < 12 {
            continue;
        }
        full += 1;
        town.with(site, |overlay, now, roster| {
            let mut effects = overlay.connected(key, false, now, roster);
            effects.extend(overlay.receive(key, &Message::Ask(Why::Alone).encode(), now, roster));
            let_in += usize::from(effects.contains(&Effect::Up(key)));
            effects
        });
    }
    println!("{let_in} of {full}");
    (let_in, full)
}

#[test]
fn one_that_is_alone_finds_a_place_wherever_all_are_taken() {
    let (let_in, full) = lets_in_the_alone(Guards::default());
    assert!(full > 20 && let_in == full);
    let (let_in, full) = lets_in_the_alone(Guards::without(&[Guard::Alone]));
    assert!(let_in * 3 < full * 2, "by lot only some do");
}

fn pair() -> (Town, NodeKey) {
    let mut town = Town::new(vec![place("one"); 3], 4);
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
    let mut town = Town::new(places, 5);
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
fn asking_again_gains_nothing_and_never_pushes_out_one_that_was_chosen() {
    let places = (0..60).map(|_| place("one")).collect();
    let mut town = Town::new(places, 6);
    town.run(10 * MINUTE);
    let site = (0..60).find(|site| town.neighbours(*site).len() >= 9).unwrap();
    let chosen = |town: &Town| town.neighbours(site).iter().filter(|(_, held)| held.origin == Origin::Chosen).count();
    let own = chosen(&town);
    let strangers: Vec<NodeKey> = (0..60)
        .filter(|peer| *peer != site && town.neighbours(site).iter().all(|(held, _)| held != peer))
        .map(|peer| town.book.keys[peer])
        .collect();
    let mut let_in = Vec::new();
    for round in 0..20 {
        let before = let_in.len();
        for key in &strangers {
            if town.overlay(site).neighbours().any(|(held, _)| held == key) {
                continue;
            }
            town.with(site, |overlay, now, roster| {
                let mut effects = overlay.connected(*key, false, now, roster);
                effects.extend(overlay.receive(*key, &Message::Ask(Why::Alone).encode(), now, roster));
                let_in.extend(effects.iter().filter(|effect| **effect == Effect::Up(*key)).map(|_| *key));
                if !effects.contains(&Effect::Up(*key)) {
                    effects.extend(overlay.closed(*key, now, roster));
                }
                effects
            });
        }
        assert!(round == 0 || let_in.len() == before, "{round}");
    }
    assert_eq!(chosen(&town), own);
}

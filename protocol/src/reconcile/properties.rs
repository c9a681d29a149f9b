//! What holds of any two sets.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::meeting::*;
use super::*;
use crate::record::{MeshId, ScopeId};

/// Times close together and far apart, so that edges of both kinds occur.
fn items() -> impl Strategy<Value = Vec<Item>> {
    let any = (0..40_u64, prop_oneof![Just(0_u32), Just(30), Just(45)], 0..6_u64);
    prop::collection::vec(any.prop_map(|(time, shift, n)| item(time << shift, n)), 0..300)
}

fn pace() -> impl Strategy<Value = Pace> {
    (1..40_usize, 2..40_usize, prop_oneof![Just(1_usize), 64..2000_usize, Just(MAX_MESSAGE)], 1..9_u32, 1..50_usize)
        .prop_map(|(list, branch, message, messages, batch)| Pace { list, branch, message, messages, batch })
}

fn sorted(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
    items.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Sessions until both hold the same. Each that ends without must have said so.
fn meet_until_equal(sites: &mut [Site; 2], paces: [Pace; 2]) -> usize {
    for round in 0..100_u8 {
        let traffic = meet(sites, pair(&[SCOPE], &[SCOPE], paces, round));
        assert_eq!((traffic.failed, traffic.finished), (None, true), "{:?}", traffic.ended);
        let mut sent = traffic.records.concat();
        assert!(traffic.records.iter().all(|records| records.is_sorted_by(|a, b| a > b)), "newest first");
        sent.sort_unstable();
        assert!(sent.is_sorted_by(|a, b| a < b), "nothing is sent twice, nor both ways");
        // Turns, of at most so many messages, and what stands around them.
        assert!(traffic.messages <= MAX_TURNS as usize * MAX_TURN_MESSAGES as usize + 8);
        if sites[0].items_of(&SCOPE) == sites[1].items_of(&SCOPE) {
            return usize::from(round) + 1;
        }
        for ended in &traffic.ended {
            assert!(matches!(ended[..], [(_, Outcome::Reconciled(Tally { partial: true, .. }))]), "{ended:?}");
        }
    }
    panic!("they never agree");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_end_with_the_union(common in items(), left in items(), right in items(), paces in [pace(), pace()]) {
        let union = sorted(common.iter().chain(&left).chain(&right).copied());
        let site = |own: &Vec<Item>| Site::of(sorted(common.iter().chain(own).copied()));
        let mut sites = [site(&left), site(&right)];
        meet_until_equal(&mut sites, paces);
        prop_assert_eq!(sites[0].items_of(&SCOPE), &union);
        prop_assert_eq!(sites[1].items_of(&SCOPE), &union);
        // Whoever begins.
        let mut sites = [site(&right), site(&left)];
        meet_until_equal(&mut sites, paces);
        prop_assert_eq!(sites[0].items_of(&SCOPE), &union);
    }

    #[test]
    fn one_run_is_enough_at_the_usual_pace(left in items(), right in items()) {
        let mut sites = [Site::of(sorted(left)), Site::of(sorted(right))];
        prop_assert_eq!(meet_until_equal(&mut sites, [Pace::default(); 2]), 1);
    }

    #[test]
    fn waiting_items_are_left_out(
        common in items(), left in items(), right in items(),
        waits in [items(), items()], paces in [pace(), pace()],
    ) {
        let waits = waits.map(|waits| waits.into_iter().take(20).collect::<BTreeSet<_>>());
        let site = |own: &Vec<Item>, waits: &BTreeSet<Item>| {
            let mut site = Site::of(sorted(common.iter().chain(own).copied().filter(|item| !waits.contains(item))));
            site.shelves.get_mut(&SCOPE).unwrap().waiting = waits.iter().copied().collect();
            site
        };
        let mut sites = [site(&left, &waits[0]), site(&right, &waits[1])];
        let union: BTreeSet<Item> = sites.iter().flat_map(|site| site.items_of(&SCOPE)).copied().collect();
        for round in 0..100 {
            let traffic = meet(&mut sites, pair(&[SCOPE], &[SCOPE], paces, round));
            prop_assert_eq!((traffic.failed, traffic.finished), (None, true));
            prop_assert!(traffic.records.concat().iter().all(|item| !waits[0].contains(item) && !waits[1].contains(item)));
            let partial = |(_, outcome): &(_, Outcome)| {
                matches!(outcome, Outcome::Reconciled(Tally { partial: true, .. }))
            };
            if !traffic.ended[0].iter().any(partial) {
                break;
            }
        }
        for (site, other) in [(0, 1), (1, 0)] {
            let own = &waits[site];
            let all = |item: &Item| !own.contains(item) && !waits[other].contains(item);
            let held: BTreeSet<Item> = sites[site].items_of(&SCOPE).iter().copied().filter(all).collect();
            prop_assert_eq!(held, union.iter().copied().filter(all).collect::<BTreeSet<_>>());
        }
    }
}

#[test]
fn scopes_come_in_order_and_only_those_both_may_see() {
    let mesh = MeshId([1; 32]);
    let [shown, hidden, unknown] = [[3; 32], [4; 32], [5; 32]].map(ScopeId);
    let order = agenda(&mesh, &[shown, hidden, shown, unknown, ScopeId::trust(&mesh)]);
    assert_eq!(order, [ScopeId::trust(&mesh), ScopeId::mesh_wide(&mesh), shown, hidden, unknown]);

    let mut sites = [Site::default(), Site::default()];
    for scope in [shown, hidden, ScopeId::trust(&mesh)] {
        sites[1].shelves.insert(scope, Shelf::of(vec![item(1, u64::from(scope.0[0]))]));
    }
    let allowed = [shown, ScopeId::mesh_wide(&mesh), ScopeId::trust(&mesh)];
    let traffic = meet(&mut sites, pair(&order, &allowed, [Pace::default(); 2], 1));
    let found = Outcome::Reconciled(Tally { sent: 0, coming: 1, ..Tally::default() });
    let outcomes = [found, Outcome::Equal, found, Outcome::NotYours, Outcome::NotYours];
    assert_eq!(traffic.ended[0], order.iter().copied().zip(outcomes).collect::<Vec<_>>());
    assert_eq!((traffic.finished, traffic.failed), (true, None));
    assert!(sites[0].items_of(&hidden).is_empty() && !sites[0].items_of(&shown).is_empty());
}

#[test]
fn what_arrives_during_a_run_is_left_to_the_next() {
    // The meeting takes records in at the end of a run only; a third site's record comes between two.
    let all: Vec<Item> = (0..500).map(|n| item(n << 30, n)).collect();
    let mut sites = [Site::of(all[..300].to_vec()), Site::of(all[200..400].to_vec())];
    meet_once(&mut sites);
    sites[0] = Site::of(all.clone());
    let traffic = meet_once(&mut sites);
    assert_eq!((traffic.records[0].len(), traffic.records[1].len()), (100, 0));
    assert_eq!(sites[1].items_of(&SCOPE), all);
}

#[test]
fn more_waiting_than_can_be_named_still_ends() {
    let all: Vec<Item> = (0..1000).map(|n| item(n << 30, n)).collect();
    let mut sites = [Site::of(Vec::new()), Site::of(all.clone())];
    sites[0].shelves.get_mut(&SCOPE).unwrap().waiting = all[..600].to_vec();
    let traffic = meet_once(&mut sites);
    assert_eq!(traffic.records[1].len(), 1000 - MAX_WAITING);
    assert_eq!(sites[0].items_of(&SCOPE), &all[600..]);
}

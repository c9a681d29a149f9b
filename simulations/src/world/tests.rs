//! Whole runs: what must hold holds, and what a scenario breaks is noticed.

use std::collections::BTreeSet;

use super::*;
use crate::invariants::Invariant;
use crate::report::Verdict;
use crate::scenario::FaultPlan;

fn run(scenario: &str, seed: u64) -> (Report, EventLog) {
    let mut world = World::new(Scenario::load(scenario).unwrap(), seed).unwrap();
    (world.run(), world.log().clone())
}

fn count(log: &EventLog, wanted: impl Fn(&Event) -> bool) -> usize {
    log.entries().iter().filter(|entry| wanted(&entry.event)).count()
}

#[test]
fn one_seed_is_one_run_and_another_seed_another() {
    // The large ones are of the same machines.
    for scenario in Scenario::names().into_iter().filter(|name| !["sites-middle", "sites-large"].contains(name)) {
        let (first, log) = run(scenario, 7);
        let (second, again) = run(scenario, 7);
        assert_eq!(log.first_difference(&again), None);
        assert_eq!(first, second);
        assert_ne!(first.hash, run(scenario, 8).0.hash, "{scenario}");
    }
}

#[test]
fn the_right_protocol_keeps_every_promise() {
    for seed in 0..20 {
        let (report, log) = run("commits", seed);
        assert_eq!(report.violation, None, "{report}");
        assert!(count(&log, |event| matches!(event, Event::Acknowledged { .. })) > 20);
        assert!(count(&log, |event| matches!(event, Event::Down { power_cut: true, .. })) > 3);
    }
}

#[test]
fn each_safeguard_left_out_breaks_what_it_guards_and_nothing_else() {
    let mut proven = BTreeSet::new();
    for scenario in Scenario::names().into_iter().map(|name| Scenario::load(name).unwrap()) {
        if !scenario.breaks.is_empty() && scenario.sites.is_none() {
            let verdict = Verdict::of(&scenario, 0..30).unwrap();
            assert!(verdict.is_good(), "{verdict}");
            proven.extend(scenario.breaks);
        }
    }
    let of_the_disk = [Invariant::WhatWasAcknowledgedIsThereAfterACrash, Invariant::ANameNeverHoldsOtherBytes];
    assert_eq!(proven, BTreeSet::from(of_the_disk));
}

/// Schedules of sites: 200 in all, with those that must break.
fn sites_agree(scenario: &str, seeds: std::ops::Range<u64>) {
    let verdict = Verdict::of(&Scenario::load(scenario).unwrap(), seeds).unwrap();
    assert!(verdict.is_good(), "{verdict}");
}

#[test]
fn sites_agree_after_plain_faults() {
    sites_agree("sites", 0..50);
}

#[test]
fn sites_agree_about_verdicts() {
    sites_agree("sites-verdicts", 0..30);
}

#[test]
fn sites_agree_after_being_set_back() {
    sites_agree("sites-rollback", 0..15);
    sites_agree("sites-revert", 0..10);
}

#[test]
fn sites_agree_after_their_clocks_are_put_right() {
    sites_agree("sites-clocks", 0..10);
    sites_agree("sites-clocks-hours", 0..10);
}

#[test]
fn sites_agree_in_spite_of_liars() {
    sites_agree("sites-liars", 0..15);
}

#[test]
fn sites_agree_after_coming_and_going() {
    sites_agree("sites-churn", 0..15);
}

#[test]
fn twenty_and_fifty_sites_agree() {
    sites_agree("sites-middle", 0..2);
    sites_agree("sites-large", 0..1);
}

#[test]
fn each_safeguard_of_sites_left_out_breaks_what_it_guards_and_nothing_else() {
    let mut proven = BTreeSet::new();
    for scenario in Scenario::names().into_iter().map(|name| Scenario::load(name).unwrap()) {
        if !scenario.breaks.is_empty() && scenario.sites.is_some() {
            let verdict = Verdict::of(&scenario, 0..7).unwrap();
            assert!(verdict.is_good(), "{verdict}");
            proven.extend(scenario.breaks);
        }
    }
    assert_eq!(proven, BTreeSet::from(Invariant::OF_SITES));
}

#[test]
fn a_site_that_never_judges_again_is_noticed_in_every_run() {
    for seed in 0..15 {
        let broken = run("sites-never-judging-again", seed).0.violation.map(|violation| violation.invariant);
        assert_eq!(broken, Some(Invariant::TheKeptViewIsTheViewOfAllRecords), "seed {seed}");
    }
}

#[test]
fn partitions_and_clogs_only_delay() {
    for scenario in ["partitions", "swizzle-clog"] {
        for seed in 0..10 {
            let (report, log) = run(scenario, seed);
            assert_eq!(report.violation, None, "{report}");
            assert!(count(&log, |event| matches!(event, Event::Answered { .. })) > 20);
        }
    }
}

#[test]
fn a_world_that_never_heals_is_noticed() {
    // A link that is joined by nobody: the retry can't help, and the question stays open.
    let mut scenario = Scenario::load("partitions").unwrap();
    scenario.faults = FaultPlan::default();
    let mut world = World::new(scenario, 1).unwrap();
    while world.log().entries().last().map(|entry| &entry.event) != Some(&Event::Healed) {
        world.step();
    }
    world.mishap(Mishap::Cut(Link { from: NodeId(0), to: NodeId(1) }));
    let broken = world.run().violation.unwrap().invariant;
    assert_eq!(broken, Invariant::AfterHealingEveryQuestionIsAnsweredInTime);
}

#[test]
fn the_wall_clock_of_a_node_jumps_and_time_goes_on() {
    let (report, log) = run("partitions", 1);
    assert!(count(&log, |event| matches!(event, Event::ClockJumped { .. })) > 0);
    assert_eq!(report.violation, None);
}

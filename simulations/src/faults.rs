//! When what breaks: the plan of a scenario, dated by the seed.
//!
//! All dates are drawn before the run begins, each kind of fault from its own fork, so that more power cuts do not move
//! the link cuts. Every fault that has an end has its end in the plan too.

use std::time::Duration;

use crate::disk::Fault;
use crate::network::{Link, NodeId};
use crate::rng::Rng;
use crate::scenario::Scenario;

/// Something that breaks, or stops being broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A node's power goes: what was not synced may be gone.
    PowerCut(NodeId),
    /// A node's process is killed: the page cache survives.
    Kill(NodeId),
    /// One of a disk's next operations fails.
    Disk(NodeId, u64, Fault),
    /// A link is cut.
    Cut(Link),
    /// A link is joined.
    Join(Link),
    /// A link is clogged.
    Clog(Link),
    /// A link runs again.
    Unclog(Link),
    /// A wall clock jumps by milliseconds.
    Jump(NodeId, i64),
    /// It is put right.
    PutRight(NodeId),
    /// A site loses what it has not synced.
    Crash(NodeId),
    /// A site is restored from an older state.
    RollBack(NodeId),
    /// A site is set back while it runs.
    Revert(NodeId),
    /// A site is gone for good.
    Die(NodeId),
    /// A site goes away.
    Leave(NodeId),
    /// It is back.
    Return(NodeId),
    /// A site joins.
    JoinMesh(NodeId),
    /// A site's disk is full.
    Fill(NodeId),
    /// It has room again.
    MakeRoom(NodeId),
    /// The root or an authority ends, suspends, endorses or renews something.
    Verdict,
}

/// The mishaps of a run, by kind and not by date.
#[must_use]
pub fn schedule(scenario: &Scenario, rng: &Rng) -> Vec<(Duration, Mishap)> {
    let plan = &scenario.faults;
    let run = Duration::from_millis(scenario.run_ms);
    let mut all = Vec::new();
    let mut at_nodes = |label: &str, count: u32, mishap: &mut dyn FnMut(NodeId, &mut Rng) -> Mishap| {
        let mut rng = rng.fork(label);
        for _ in 0..count {
            let at = rng.up_to(run);
            let node = any_node(scenario, &mut rng);
            all.push((at, mishap(node, &mut rng)));
        }
    };
    at_nodes("power cuts", plan.power_cuts, &mut |node, _| Mishap::PowerCut(node));
    at_nodes("kills", plan.kills, &mut |node, _| Mishap::Kill(node));
    at_nodes("disk faults", plan.disk_faults, &mut |node, rng| {
        let fault = [Fault::Io, Fault::NoSpace, Fault::ShortWrite][rng.index(3)];
        Mishap::Disk(node, 1 + rng.below(8), fault)
    });
    at_nodes("clock jumps", plan.clock_jumps, &mut |node, rng| {
        let by = i64::try_from(rng.below(plan.clock_jump_ms.saturating_add(1))).unwrap_or(i64::MAX);
        Mishap::Jump(node, if rng.chance(0.5) { by } else { -by })
    });
    at_nodes("crashes", plan.crashes, &mut |node, _| Mishap::Crash(node));
    at_nodes("rollbacks", plan.rollbacks, &mut |node, _| Mishap::RollBack(node));
    at_nodes("reverts", plan.reverts, &mut |node, _| Mishap::Revert(node));
    at_nodes("deaths", plan.deaths, &mut |node, _| Mishap::Die(node));
    at_nodes("verdicts", plan.verdicts, &mut |_, _| Mishap::Verdict);
    let late = scenario.nodes.saturating_sub(plan.late)..scenario.nodes;
    let mut joining = rng.fork("late");
    all.extend(late.map(|node| (joining.up_to(run), Mishap::JoinMesh(NodeId(node)))));
    if plan.clock_wrong_ms > 0 {
        let mut rng = rng.fork("clocks put right");
        let wrong: Vec<_> = all.iter().filter_map(|(at, mishap)| jumped(mishap).map(|node| (*at, node))).collect();
        let most = Duration::from_millis(plan.clock_wrong_ms);
        all.extend(wrong.into_iter().map(|(at, node)| (at + rng.up_to(most), Mishap::PutRight(node))));
    }
    all.extend(with_end(scenario, rng.fork("absences"), plan.absences, plan.away_ms, Mishap::Leave, Mishap::Return));
    all.extend(with_end(
        scenario,
        rng.fork("full disks"),
        plan.full_disks,
        plan.full_ms,
        Mishap::Fill,
        Mishap::MakeRoom,
    ));
    all.extend(link_cuts(scenario, rng.fork("link cuts")));
    for round in 0..plan.swizzles {
        all.extend(swizzle_clog(scenario, rng.fork(&format!("swizzle {round}"))));
    }
    all
}

fn jumped(mishap: &Mishap) -> Option<NodeId> {
    if let Mishap::Jump(node, _) = mishap { Some(*node) } else { None }
}

/// Something that befalls a node for a while.
fn with_end(
    scenario: &Scenario,
    mut rng: Rng,
    count: u32,
    most_ms: u64,
    begin: fn(NodeId) -> Mishap,
    end: fn(NodeId) -> Mishap,
) -> Vec<(Duration, Mishap)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let at = rng.up_to(Duration::from_millis(scenario.run_ms));
        let node = any_node(scenario, &mut rng);
        all.push((at, begin(node)));
        all.push((at + rng.up_to(Duration::from_millis(most_ms)), end(node)));
    }
    all
}

fn link_cuts(scenario: &Scenario, mut rng: Rng) -> Vec<(Duration, Mishap)> {
    let links = links(scenario);
    let mut all = Vec::new();
    for _ in 0..scenario.faults.link_cuts {
        let from = rng.up_to(Duration::from_millis(scenario.run_ms));
        let to = from + rng.up_to(Duration::from_millis(scenario.faults.cut_ms));
        if let Some(&link) = links.get(rng.index(links.len())) {
            all.push((from, Mishap::Cut(link)));
            all.push((to, Mishap::Join(link)));
        }
    }
    all
}

/// Clogs about half of the links one by one and releases them in another order: what FoundationDB found most bugs with.
fn swizzle_clog(scenario: &Scenario, mut rng: Rng) -> Vec<(Duration, Mishap)> {
    let start = rng.up_to(Duration::from_millis(scenario.run_ms));
    let half = Duration::from_millis(scenario.faults.swizzle_ms) / 2;
    let mut all = Vec::new();
    let mut clogged = links(scenario);
    clogged.retain(|_| rng.chance(0.5));
    for direction in [Mishap::Clog as fn(Link) -> Mishap, Mishap::Unclog] {
        let begin = start + if all.is_empty() { Duration::ZERO } else { half };
        rng.shuffle(&mut clogged);
        let steps = u32::try_from(clogged.len()).unwrap_or(u32::MAX).max(1);
        for (step, &link) in (0_u32..).zip(&clogged) {
            all.push((begin + half / steps * step, direction(link)));
        }
    }
    all
}

fn any_node(scenario: &Scenario, rng: &mut Rng) -> NodeId {
    NodeId(u32::try_from(rng.below(scenario.nodes.into())).unwrap_or_default())
}

fn links(scenario: &Scenario) -> Vec<Link> {
    let nodes = || (0..scenario.nodes).map(NodeId);
    nodes().flat_map(|from| nodes().filter(move |&to| to != from).map(move |to| Link { from, to })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(faults: &str) -> Scenario {
        let head =
            "about = \"\"\nnodes = 4\nrun_ms = 1000\nheal_ms = 10\n[commits]\nstep_ms = 1\ndown_ms = 1\n[faults]\n";
        Scenario::parse("x", &format!("{head}{faults}")).unwrap()
    }

    fn count(all: &[(Duration, Mishap)], wanted: impl Fn(&Mishap) -> bool) -> usize {
        all.iter().filter(|(_, mishap)| wanted(mishap)).count()
    }

    #[test]
    fn as_many_break_as_planned_and_all_begin_within_the_run() {
        let plan =
            "power_cuts = 3\nkills = 2\ndisk_faults = 4\nclock_jumps = 1\nclock_jump_ms = 9\nlink_cuts = 5\ncut_ms = 0";
        let all = schedule(&scenario(plan), &Rng::from_seed(1));
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::PowerCut(_))), 3);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Kill(_))), 2);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Disk(..))), 4);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Jump(..))), 1);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Cut(_))), 5);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Join(_))), 5);
        assert!(all.iter().all(|(at, _)| *at <= Duration::from_secs(1)));
    }

    fn of_sites(faults: &str) -> Vec<(Duration, Mishap)> {
        let sites = "authorities = 1\nprojects = 1\nact_ms = 1\nmeet_ms = 1\nack_ms = 1\ndown_ms = 1";
        let head = format!("about = \"\"\nnodes = 9\nrun_ms = 1000\nheal_ms = 10\n[sites]\n{sites}\n[faults]\n");
        schedule(&Scenario::parse("x", &format!("{head}{faults}")).unwrap(), &Rng::from_seed(1))
    }

    /// Of each that begins, the end follows for the same node, within a time.
    fn ends_in_time(all: &[(Duration, Mishap)], within_ms: u64, end_of: impl Fn(&Mishap) -> Option<Mishap>) {
        let begun = all.iter().filter_map(|(at, mishap)| end_of(mishap).map(|end| (*at, end)));
        for (from, end) in begun {
            let within = from..=from + Duration::from_millis(within_ms);
            assert!(all.iter().any(|(at, mishap)| *mishap == end && within.contains(at)), "{end:?}");
        }
    }

    #[test]
    fn as_much_befalls_sites_as_planned_within_the_run() {
        let plan = "crashes = 1\nrollbacks = 2\nreverts = 3\ndeaths = 4\nverdicts = 5\nlate = 2";
        let all = of_sites(plan);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Crash(_))), 1);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::RollBack(_))), 2);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Revert(_))), 3);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Die(_))), 4);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Verdict)), 5);
        // The last ones, each once.
        for late in [7, 8] {
            assert_eq!(count(&all, |mishap| *mishap == Mishap::JoinMesh(NodeId(late))), 1);
        }
        assert_eq!(all.len(), 17);
        assert!(all.iter().all(|(at, _)| *at <= Duration::from_secs(1)));
    }

    #[test]
    fn absences_full_disks_and_wrong_clocks_end_in_time() {
        let all = of_sites("absences = 3\naway_ms = 50\nfull_disks = 4\nfull_ms = 60");
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Leave(_))), 3);
        assert_eq!(count(&all, |mishap| matches!(mishap, Mishap::Fill(_))), 4);
        assert_eq!(all.len(), 14);
        ends_in_time(
            &all,
            50,
            |mishap| {
                if let Mishap::Leave(node) = mishap { Some(Mishap::Return(*node)) } else { None }
            },
        );
        ends_in_time(
            &all,
            60,
            |mishap| {
                if let Mishap::Fill(node) = mishap { Some(Mishap::MakeRoom(*node)) } else { None }
            },
        );
        let all = of_sites("clock_jumps = 5\nclock_jump_ms = 9\nclock_wrong_ms = 70");
        assert_eq!(all.len(), 10);
        ends_in_time(&all, 70, |mishap| jumped(mishap).map(Mishap::PutRight));
        assert_eq!(of_sites("clock_jumps = 5\nclock_jump_ms = 9").len(), 5, "else only when all is healed");
    }

    #[test]
    fn more_of_one_kind_does_not_move_another() {
        let cuts = |faults| {
            let mut all = schedule(&scenario(faults), &Rng::from_seed(1));
            all.retain(|(_, mishap)| matches!(mishap, Mishap::Cut(_) | Mishap::Join(_)));
            all
        };
        assert_eq!(cuts("link_cuts = 3\ncut_ms = 100"), cuts("link_cuts = 3\ncut_ms = 100\npower_cuts = 9"));
    }

    #[test]
    fn a_swizzle_releases_all_it_clogged_in_another_order() {
        let all = schedule(&scenario("swizzles = 1\nswizzle_ms = 100"), &Rng::from_seed(1));
        let pick = |clog: bool| -> Vec<Link> {
            all.iter()
                .filter_map(|(_, mishap)| match (mishap, clog) {
                    (Mishap::Clog(link), true) | (Mishap::Unclog(link), false) => Some(*link),
                    (_, _) => None,
                })
                .collect()
        };
        let (mut clogged, mut released) = (pick(true), pick(false));
        assert!(clogged.len() > 2);
        assert_ne!(clogged, released);
        clogged.sort_unstable();
        released.sort_unstable();
        assert_eq!(clogged, released);
    }
}

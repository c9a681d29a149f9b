//! What a power cut may leave behind.
//!
//! Every legal state is a walk of decisions: which pending directory changes survived, then, for each file that still
//! has a name, which length, then which version of each unsynced block. Whoever decides chooses the state: a seed draws
//! one, an odometer goes through all of them. Option 0 is always the oldest (lost), the last one the newest (survived).
//!
//! Nothing is owned here: states are built from a tree and leave it as it was.

use std::collections::{BTreeMap, BTreeSet};

use super::content::{Content, Length};
use super::tree::{NodeId, Tree};
use super::{CrashState, SimDisk};
use crate::rng::Rng;

/// What survives: enough to build the state.
#[derive(Clone, Debug)]
struct Plan {
    entries: BTreeSet<u64>,
    files: BTreeMap<NodeId, (Length, BTreeMap<u64, usize>)>,
}

/// Decides on `options` possibilities: an index under it.
type Decide<'a> = &'a mut dyn FnMut(usize) -> usize;

fn plan(tree: &Tree, decide: Decide<'_>) -> Plan {
    let mut entries = BTreeSet::new();
    let mut lost = BTreeSet::new();
    for pending in tree.pending() {
        let possible = !pending.needs.iter().any(|need| lost.contains(need));
        if possible && decide(2) == 1 {
            entries.insert(pending.id);
        } else {
            lost.insert(pending.id);
        }
    }
    let mut files = BTreeMap::new();
    let (survived, reachable) = tree.with_entries(&entries);
    for node in reachable {
        let Ok(file) = survived.file(node) else { continue };
        let lengths = file.content.lengths();
        let choice = if lengths.len() > 1 { decide(lengths.len()) } else { 0 };
        let Some(&length) = lengths.get(choice).or(lengths.last()) else { continue };
        let mut blocks = BTreeMap::new();
        for (block, options) in file.content.choices(length) {
            blocks.insert(block, if options > 1 { decide(options) } else { 0 });
        }
        files.insert(node, (length, blocks));
    }
    Plan { entries, files }
}

fn build(tree: &Tree, plan: &Plan) -> Tree {
    let (survived, _) = tree.with_entries(&plan.entries);
    let contents: BTreeMap<NodeId, Content> = plan
        .files
        .iter()
        .filter_map(|(&node, (length, blocks))| {
            Some((node, survived.file(node).ok()?.content.after_crash(*length, blocks)))
        })
        .collect();
    survived.restarted(contents)
}

/// One state, drawn. Most bugs need nearly all or nearly nothing to survive, so the draw leans that way half the time.
pub(super) fn draw(tree: &Tree, rng: &mut Rng) -> Tree {
    let survival = [0.02, 0.5, 0.5, 0.98][rng.index(4)];
    let mut decide = |options: usize| {
        if rng.chance(survival) { options - 1 } else { rng.index(options) }
    };
    build(tree, &plan(tree, &mut decide))
}

/// The states a power cut may leave after each operation: see [`SimDisk::crash_states`].
#[derive(Debug)]
pub struct CrashStates {
    snapshots: Vec<(usize, Tree)>,
    limit: usize,
    /// States to come for the snapshot at hand, last first.
    ready: Vec<Plan>,
    at: usize,
    started: bool,
    exhaustive: bool,
    seen: BTreeSet<[u8; 32]>,
}

impl CrashStates {
    pub(super) const fn new(snapshots: Vec<(usize, Tree)>, limit: usize) -> Self {
        Self { snapshots, limit, ready: Vec::new(), at: 0, started: false, exhaustive: true, seen: BTreeSet::new() }
    }

    /// Whether every legal state of every prefix met so far fitted in the limit.
    #[must_use]
    pub const fn is_exhaustive(&self) -> bool {
        self.exhaustive
    }

    fn plans(&mut self, tree: &Tree, after: usize) -> Vec<Plan> {
        if let Some(all) = every_plan(tree, self.limit) {
            return all;
        }
        self.exhaustive = false;
        some_plans(tree, self.limit, &Rng::from_seed(after as u64))
    }
}

impl Iterator for CrashStates {
    type Item = CrashState;

    fn next(&mut self) -> Option<CrashState> {
        loop {
            let (after, tree) = self.snapshots.get(self.at)?.clone();
            if !self.started {
                self.started = true;
                self.ready = self.plans(&tree, after);
                self.ready.reverse();
                // A state counts once for each prefix: what was acknowledged differs between them, so the same bytes
                // may be right after one and wrong after another.
                self.seen.clear();
            }
            let Some(plan) = self.ready.pop() else {
                self.at += 1;
                self.started = false;
                continue;
            };
            let state = build(&tree, &plan);
            if self.seen.insert(*state.fingerprint().as_bytes()) {
                return Some(CrashState { after, disk: SimDisk::from_tree(state) });
            }
        }
    }
}

/// All plans, by counting the decisions up like an odometer; `None` when there are more than `limit`.
fn every_plan(tree: &Tree, limit: usize) -> Option<Vec<Plan>> {
    let mut all = Vec::new();
    let mut script: Vec<usize> = Vec::new();
    loop {
        if all.len() == limit {
            return None;
        }
        let mut radices = Vec::new();
        all.push(plan(tree, &mut |options| {
            let choice = script.get(radices.len()).copied().unwrap_or(0);
            radices.push(options);
            choice
        }));
        script.resize(radices.len(), 0);
        loop {
            let (Some(digit), Some(radix)) = (script.pop(), radices.pop()) else { return Some(all) };
            if digit + 1 < radix {
                script.push(digit + 1);
                break;
            }
        }
    }
}

/// When there are too many: nothing survives, everything survives, one thing lost, one thing kept, then at random.
fn some_plans(tree: &Tree, limit: usize, rng: &Rng) -> Vec<Plan> {
    let (oldest, newest) = (|_: usize| 0_usize, |options: usize| options - 1);
    let mut decisions = 0;
    let mut all = vec![plan(tree, &mut { oldest })];
    all.push(plan(tree, &mut |options| {
        decisions += 1;
        newest(options)
    }));
    let mut order: Vec<usize> = (0..decisions).collect();
    rng.fork("order").shuffle(&mut order);
    // Half of what is left for the single deviations, so that random ones always have their share.
    for odd in order.into_iter().take(limit / 4) {
        for (rule, exception) in [(newest as fn(usize) -> usize, oldest as fn(usize) -> usize), (oldest, newest)] {
            let mut at = 0;
            all.push(plan(tree, &mut |options| {
                at += 1;
                if at == odd + 1 { exception(options) } else { rule(options) }
            }));
        }
    }
    let mut draws = rng.fork("draws");
    while all.len() < limit {
        let survival = [0.1, 0.5, 0.9][draws.index(3)];
        let mut decide = |options: usize| if draws.chance(survival) { options - 1 } else { draws.index(options) };
        let drawn = plan(tree, &mut decide);
        all.push(drawn);
    }
    all.truncate(limit);
    all
}

//! Two sessions stepped in pairs, and what passes between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::record::{HybridTime, RecordId, ScopeId};

pub(super) const SCOPE: ScopeId = ScopeId([7; 32]);

/// An item of this time; its id follows from time and number.
pub(super) fn item(time: u64, n: u64) -> Item {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&time.to_le_bytes()).update(&n.to_le_bytes());
    (HybridTime(time), RecordId(*hasher.finalize().as_bytes()))
}

/// One scope of a site: what it holds, what waits, and what arrived during a run.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    pub(super) items: Vec<Item>,
    pub(super) waiting: Vec<Item>,
    arrived: Vec<Item>,
    days: DayHashes,
}

/// A site.
#[derive(Clone, Default)]
pub(super) struct Site {
    pub(super) shelves: BTreeMap<ScopeId, Shelf>,
    nothing: Vec<Item>,
}

impl Shelf {
    pub(super) fn of(items: Vec<Item>) -> Self {
        let days = DayHashes::of(&items);
        Self { items, days, ..Self::default() }
    }

    fn take_in(&mut self) {
        let waiting: BTreeSet<Item> = self.waiting.iter().copied().collect();
        for item in self.arrived.drain(..).filter(|item| !waiting.contains(item)) {
            self.days.added(&item);
            self.items.push(item);
        }
        self.items.sort_unstable();
        self.items.dedup();
    }
}

impl Site {
    pub(super) fn of(items: Vec<Item>) -> Self {
        Self { shelves: [(SCOPE, Shelf::of(items))].into(), ..Self::default() }
    }

    pub(super) fn items_of(&self, scope: &ScopeId) -> &[Item] {
        self.shelves.get(scope).map_or(&[], |shelf| &shelf.items)
    }
}

impl Scopes for Site {
    fn root(&self, scope: &ScopeId) -> Root {
        let Some(shelf) = self.shelves.get(scope) else { return DayHashes::default().root(&self.nothing) };
        shelf.days.clone().root(&shelf.items)
    }

    fn items(&self, scope: &ScopeId) -> &dyn Items {
        self.shelves.get(scope).map_or(&self.nothing, |shelf| &shelf.items)
    }

    fn waiting(&self, scope: &ScopeId) -> Vec<Item> {
        self.shelves.get(scope).map(|shelf| shelf.waiting.clone()).unwrap_or_default()
    }
}

/// What passed.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) bytes: usize,
    pub(super) messages: usize,
    /// How often the direction changed, counted from the first message.
    pub(super) flights: usize,
    pub(super) largest: usize,
    /// Records each side sent, in order.
    pub(super) records: [Vec<Item>; 2],
    /// How runs ended, on each side.
    pub(super) ended: [Vec<(ScopeId, Outcome)>; 2],
    pub(super) failed: Option<Fault>,
    pub(super) finished: bool,
}

/// One session of two sites until neither has anything to say; the first initiates.
pub(super) fn meet(sites: &mut [Site; 2], mut sessions: [Session; 2]) -> Traffic {
    let mut traffic = Traffic::default();
    let mut queue: VecDeque<(usize, Effect)> = VecDeque::new();
    let mut last = None;
    queue.extend(sessions[0].start(&sites[0]).into_iter().map(|effect| (0, effect)));
    while let Some((from, effect)) = queue.pop_front() {
        let to = 1 - from;
        match effect {
            Effect::Message(bytes) => {
                traffic.bytes += bytes.len();
                traffic.messages += 1;
                traffic.largest = traffic.largest.max(bytes.len());
                if bytes != Message::Sent.encode() && last.replace(from) != Some(from) {
                    traffic.flights += 1;
                }
                assert!(traffic.messages < 10_000, "it never ends");
                let effects = sessions[to].receive(&bytes, &sites[to]);
                queue.extend(effects.into_iter().map(|effect| (to, effect)));
            }
            Effect::Send { scope, items } => {
                sites[to].shelves.entry(scope).or_default().arrived.extend(&items);
                traffic.records[from].extend(items);
                let effects = sessions[from].sent(&sites[from]);
                queue.extend(effects.into_iter().map(|effect| (from, effect)));
            }
            Effect::Ended { scope, outcome } => {
                sites[from].shelves.entry(scope).or_default().take_in();
                traffic.ended[from].push((scope, outcome));
            }
            Effect::Finished => traffic.finished = true,
            Effect::Failed(fault) => traffic.failed = Some(fault),
        }
    }
    traffic
}

pub(super) fn pair(agenda: &[ScopeId], allowed: &[ScopeId], paces: [Pace; 2], seed: u8) -> [Session; 2] {
    let [a, b] = paces;
    [Session::initiate(agenda.to_vec(), [seed; 32], a), Session::respond(allowed.to_vec(), [!seed; 32], b)]
}

/// One session over the one scope.
pub(super) fn meet_once(sites: &mut [Site; 2]) -> Traffic {
    meet(sites, pair(&[SCOPE], &[SCOPE], [Pace::default(); 2], 1))
}

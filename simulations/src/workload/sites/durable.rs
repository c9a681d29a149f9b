//! What a site has on its disk: entries, in transactions, of which some are synced.

use std::collections::BTreeSet;

use protocol::ledger::Entry;
use protocol::record::RecordId;

use crate::rng::Rng;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Durable {
    entries: Vec<Entry>,
    /// Where transactions end.
    ends: Vec<usize>,
    /// Where something was synced, ascending.
    syncs: Vec<usize>,
}

impl Durable {
    /// Adds a transaction; it is not synced.
    pub(super) fn append(&mut self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.entries.extend(entries);
            self.ends.push(self.entries.len());
        }
    }

    /// Syncs all there is.
    pub(super) fn sync(&mut self) {
        if self.synced() < self.entries.len() {
            self.syncs.push(self.entries.len());
        }
    }

    fn synced(&self) -> usize {
        self.syncs.last().copied().unwrap_or_default()
    }

    /// Loses what is not synced, or some of it: transactions are whole or gone, and none stands behind one that is gone.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let synced = self.synced();
        let mut ends: Vec<usize> = self.ends.iter().copied().filter(|end| *end >= synced).collect();
        ends.push(synced);
        // Mostly all of it is gone.
        let keep = if rng.chance(0.5) { synced } else { ends[rng.index(ends.len())] };
        self.truncate(keep);
        self.sync();
    }

    /// Goes back to an earlier sync. What the site was set up with is always there.
    pub(super) fn roll_back(&mut self, rng: &mut Rng) {
        let synced = self.synced();
        let keep = self.syncs.get(rng.index(self.syncs.len())).copied().unwrap_or(synced);
        self.truncate(keep);
    }

    /// Back to the last sync.
    pub(super) fn lose_unsynced(&mut self) {
        self.truncate(self.synced());
    }

    fn truncate(&mut self, keep: usize) {
        self.entries.truncate(keep);
        self.ends.retain(|end| *end <= keep);
        self.syncs.retain(|end| *end <= keep);
    }

    /// All of it.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    /// Records that a crash leaves.
    pub(super) fn held(&self) -> BTreeSet<RecordId> {
        let mut held = BTreeSet::new();
        for entry in self.entries.iter().take(self.synced()) {
            match entry {
                Entry::Record(record, _) => {
                    held.insert(record.id());
                }
                Entry::Withdrawn(ids) => held.retain(|id| !ids.contains(id)),
                Entry::Waits(..) | Entry::Owed(..) | Entry::Paid(_) | Entry::Bound(_) | Entry::Life(_) => {}
            }
        }
        held
    }
}

//! A wrong clock is put right: what it wrote in the future is withdrawn, owed, and written again as of now.

use super::{Entry, Ledger, Say};
use crate::Timestamp;
use crate::record::{HybridClock, HybridTime, Incarnation, Record, RecordId};

impl Ledger {
    /// The wall clock turned out to be far ahead, and was set back. Records of this site that lie in its future are
    /// withdrawn and written again in a new life. Nobody else has taken them, but where they lie less than a day ahead
    /// others let them wait, and will take them: what is written for one names it, and so covers it when it is back.
    /// Records of others wait.
    pub fn step_back(&mut self, life: Incarnation, now: Timestamp) -> Vec<RecordId> {
        let ahead = |record: &Record| record.time().moment() > now;
        let held: Vec<_> = self.set.iter().cloned().collect();
        let (future, present): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| ahead(&held.record));
        let latest = present.iter().map(|held| held.record.time()).max().unwrap_or_default();
        let right = HybridClock::resume(latest.max(HybridTime::at(now)));
        if future.is_empty() {
            if self.clock.last() > right.last() {
                self.clock = right;
            }
            return Vec::new();
        }
        let withdrawn = future.iter().map(|held| held.record.id()).collect();
        let own = self.identity.secret.key();
        let (mut mine, others): (Vec<_>, Vec<_>) = future.into_iter().partition(|held| held.record.author() == own);
        let entries = std::mem::take(&mut self.entries);
        let kept = present.into_iter().map(|held| Entry::Record(held.record, held.value));
        let waiting = std::mem::take(&mut self.waiting);
        let owed = std::mem::take(&mut self.owed);
        *self = Self::open(self.identity.clone(), kept, life);
        self.waiting = waiting;
        self.clock = right;
        self.entries = entries;
        self.entries.push(Entry::Life(life));
        self.entries.push(Entry::Withdrawn(withdrawn));
        for held in others {
            let _ = self.take(held.record, held.value, now);
        }
        mine.sort_by_key(|held| held.record.body().map(|body| body.position));
        self.owed = owed;
        for held in mine {
            self.entries.push(Entry::Owed(held.record.clone(), held.value.clone()));
            self.owed.push((held.record, held.value));
        }
        self.pay(now)
    }

    /// Writes again what a wrong clock wrote, as far as this site may by now: its grant may itself have been written by a
    /// wrong clock, and not be back yet.
    pub(super) fn pay(&mut self, now: Timestamp) -> Vec<RecordId> {
        let mut written = Vec::new();
        for (record, value) in std::mem::take(&mut self.owed) {
            let Some(say) = Say::again(&record, value.as_deref()) else { continue };
            if let Ok(id) = self.write_for(say, Some(record.id()), now) {
                self.entries.push(Entry::Paid(record.id()));
                written.push(id);
            } else {
                self.owed.push((record, value));
            }
        }
        written
    }

    /// Own records that wait to be written again.
    pub fn owed(&self) -> impl Iterator<Item = &Record> {
        self.owed.iter().map(|(record, _)| record)
    }
}

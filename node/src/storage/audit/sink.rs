//! What is no transaction on its way into the log: log-ins, refusals, pulls. And which types are not written at all.
//!
//! Owns a bounded queue in memory: what is in it when the process is killed is lost, as `docs/durability.md` says. Who
//! notes something never waits; when the queue is full the note is dropped and counted, and the log says how many were.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Timestamp;
use serde_json::json;

use super::entry::{Draft, Told};
use super::log::of_the_node;
use super::words::{EventType, Resource};
use crate::storage::meta::Operation;

/// Most entries that wait; each is at most a few kilobytes.
const WAITING: usize = 8192;

/// The way into the log for what is no transaction. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct AuditSink(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Draft>,
    /// Not written for want of room, and not told yet.
    dropped: u64,
    off: BTreeSet<EventType>,
    /// When the last note was made.
    latest: Timestamp,
}

impl AuditSink {
    /// An empty one, which takes everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something written, soon. Never waits for the disk.
    pub fn note(&self, draft: Draft) {
        let mut queue = self.queue();
        if queue.off.contains(&draft.told.event_type()) {
            return;
        }
        queue.latest = queue.latest.max(draft.act.at);
        if queue.waiting.len() < WAITING {
            queue.waiting.push_back(draft);
        } else {
            queue.dropped += 1;
        }
    }

    /// The types that are not written from now on, whatever their source. What the log says of itself always is.
    pub fn switch_off(&self, types: BTreeSet<EventType>) {
        self.queue().off = types.into_iter().filter(|off| !off.is_own()).collect();
    }

    /// The types that are not written.
    #[must_use]
    pub fn switched_off(&self) -> BTreeSet<EventType> {
        self.queue().off.clone()
    }

    /// Whether a type is written. Whoever makes many notes (pulls) may ask before making one.
    #[must_use]
    pub fn writes(&self, of: EventType) -> bool {
        !self.queue().off.contains(&of)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.waiting.is_empty() && queue.dropped == 0
    }

    /// The time of the last note.
    pub(super) fn latest(&self) -> Timestamp {
        self.queue().latest
    }

    /// The oldest that wait; and, when there is room again, how many did not get in.
    pub(super) fn take(&self, limit: usize) -> Vec<Draft> {
        let mut queue = self.queue();
        let count = queue.waiting.len().min(limit);
        let mut taken: Vec<_> = queue.waiting.drain(..count).collect();
        if queue.dropped > 0 && queue.waiting.is_empty() {
            let dropped = std::mem::take(&mut queue.dropped);
            let told = Told {
                after: Some(json!({ "dropped": dropped })),
                ..Told::done(Operation::Drop, Resource::Audit, "audit")
            };
            taken.push(Draft { act: of_the_node(queue.latest), told });
        }
        taken
    }

    /// Puts back what could not be written.
    pub(super) fn give_back(&self, drafts: Vec<Draft>) {
        let mut queue = self.queue();
        for draft in drafts.into_iter().rev() {
            if draft.told.operation == Operation::Drop {
                let told = draft.told.after.as_ref().and_then(|after| after["dropped"].as_u64());
                queue.dropped += told.unwrap_or_default();
            } else {
                queue.waiting.push_front(draft);
            }
        }
    }
}

//! Records that are here and not in the set: their time has not come, or their author is not known (yet). Durable like
//! the set, bounded, and named at the start of a reconciliation so that both sides leave them out.

use std::collections::BTreeMap;

use super::Bytes;
use crate::Timestamp;
use crate::identity::NodeKey;
use crate::record::{Record, RecordId};

/// Most records that wait at once. More are not kept: they come again.
pub const MAX_WAITING: usize = 10_000;

/// Most of them that wait for their author's grant: strangers must not keep out those who are only a little early.
pub const MAX_STRANGERS: usize = MAX_WAITING / 2;

/// What a record waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// For this moment.
    Time(Timestamp),
    /// For a grant of this node.
    Author(NodeKey),
}

/// The records that wait.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    records: BTreeMap<RecordId, (Record, Option<Bytes>, Why)>,
    /// How many of them wait for a grant.
    strangers: usize,
}

impl Waiting {
    /// Puts a record in, or notes that it waits for something else now; `false` when there is no room.
    pub(super) fn put(&mut self, record: Record, value: Option<Bytes>, why: Why) -> bool {
        let id = record.id();
        let before = self.remove(&id);
        let is_stranger = matches!(why, Why::Author(_));
        let has_room = self.records.len() < MAX_WAITING && !(is_stranger && self.strangers >= MAX_STRANGERS);
        if has_room {
            self.strangers += usize::from(is_stranger);
            self.records.insert(id, (record, value, why));
        } else if let Some((record, value, before)) = before {
            // It was here: it stays, as what it was.
            self.strangers += usize::from(matches!(before, Why::Author(_)));
            self.records.insert(id, (record, value, before));
        }
        has_room
    }

    pub(super) fn remove(&mut self, id: &RecordId) -> Option<(Record, Option<Bytes>, Why)> {
        let removed = self.records.remove(id);
        self.strangers -= usize::from(matches!(removed, Some((_, _, Why::Author(_)))));
        removed
    }

    /// Takes out those whose time has come or whose author is known.
    pub(super) fn due(&mut self, now: Timestamp, is_known: impl Fn(&NodeKey) -> bool) -> Vec<(Record, Option<Bytes>)> {
        let ready = |(_, _, why): &(Record, Option<Bytes>, Why)| match why {
            Why::Time(moment) => *moment <= now,
            Why::Author(author) => is_known(author),
        };
        let ids: Vec<RecordId> = self.records.iter().filter(|(_, entry)| ready(entry)).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.remove(id)).map(|(record, value, _)| (record, value)).collect()
    }

    /// Whether a record waits.
    #[must_use]
    pub fn contains(&self, id: &RecordId) -> bool {
        self.records.contains_key(id)
    }

    /// The records that wait, by id, and for what.
    pub fn iter(&self) -> impl Iterator<Item = (&Record, Why)> {
        self.records.values().map(|(record, _, why)| (record, *why))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The next moment one of them waits for.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        let moments = self.records.values().filter_map(|(_, _, why)| match why {
            Why::Time(moment) => Some(*moment),
            Why::Author(_) => None,
        });
        moments.min()
    }
}

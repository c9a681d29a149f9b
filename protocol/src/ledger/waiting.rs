//! Records that are here and not in the set: their time has not come, or their author is not known (yet). Durable like
//! the set, bounded, and named at the start of a reconciliation so that both sides leave them out.

use std::collections::BTreeMap;

use super::Bytes;
use crate::Timestamp;
use crate::identity::NodeKey;
use crate::record::{Record, RecordId};

/// Most records that wait at once. More are not kept: they come again.
pub const MAX_WAITING: usize = 10_000;

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
pub struct Waiting(BTreeMap<RecordId, (Record, Option<Bytes>, Why)>);

impl Waiting {
    /// Puts a record in, or notes that it waits for something else now; `false` when there is no room.
    pub(super) fn put(&mut self, record: Record, value: Option<Bytes>, why: Why) -> bool {
        let has_room = self.0.len() < MAX_WAITING || self.0.contains_key(&record.id());
        if has_room {
            self.0.insert(record.id(), (record, value, why));
        }
        has_room
    }

    pub(super) fn remove(&mut self, id: &RecordId) {
        self.0.remove(id);
    }

    /// Takes out those whose time has come or whose author is known.
    pub(super) fn due(&mut self, now: Timestamp, is_known: impl Fn(&NodeKey) -> bool) -> Vec<(Record, Option<Bytes>)> {
        let ready = |_: &RecordId, (_, _, why): &mut (Record, Option<Bytes>, Why)| match why {
            Why::Time(moment) => *moment <= now,
            Why::Author(author) => is_known(author),
        };
        self.0.extract_if(.., ready).map(|(_, (record, value, _))| (record, value)).collect()
    }

    /// Whether a record waits.
    #[must_use]
    pub fn contains(&self, id: &RecordId) -> bool {
        self.0.contains_key(id)
    }

    /// The records that wait, by id, and for what.
    pub fn iter(&self) -> impl Iterator<Item = (&Record, Why)> {
        self.0.values().map(|(record, _, why)| (record, *why))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next moment one of them waits for.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        let moments = self.0.values().filter_map(|(_, _, why)| match why {
            Why::Time(moment) => Some(*moment),
            Why::Author(_) => None,
        });
        moments.min()
    }
}

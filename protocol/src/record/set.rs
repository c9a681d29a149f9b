//! The set of records a site holds, as the machines read it.
//!
//! [`Records`] is what a store must answer; the node's stands on its database. [`RecordSet`] is the one in memory, for
//! the simulation and for whatever computes a view from scratch. It only grows; a value may go, its header never.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{HybridTime, Kind, Malformed, Position, Record, RecordId, RecordKey, ScopeId};
use crate::identity::NodeKey;

/// A record as it is held.
#[derive(Clone, Debug)]
pub struct Held {
    /// The header.
    pub record: Record,
    /// The value; `None` for a delete, and when this site dropped it.
    pub value: Option<Arc<[u8]>>,
}

/// A set of records. What is not there is no error: it may come.
pub trait Records {
    /// One record.
    fn get(&self, id: &RecordId) -> Option<Held>;

    /// All versions of a key, in any order.
    fn versions(&self, scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<RecordId>;

    /// The records that name this one, which need not be here, as a predecessor.
    fn followers(&self, id: &RecordId) -> Vec<RecordId>;

    /// The keys of a kind in a scope that have versions, ascending.
    fn keys(&self, scope: &ScopeId, kind: Kind) -> Vec<RecordKey>;

    /// The scopes and keys an author ever wrote to.
    fn written_by(&self, author: &NodeKey) -> Vec<(ScopeId, Kind, RecordKey)>;

    /// The records an author wrote at a place: one, or more when it said different things.
    fn at(&self, author: &NodeKey, position: Position) -> Vec<RecordId>;
}

/// A set in memory.
#[derive(Clone, Debug, Default)]
pub struct RecordSet {
    records: BTreeMap<RecordId, Held>,
    keys: BTreeMap<(ScopeId, Kind, RecordKey), BTreeSet<RecordId>>,
    followers: BTreeMap<RecordId, BTreeSet<RecordId>>,
    times: BTreeMap<ScopeId, BTreeSet<(HybridTime, RecordId)>>,
    authors: BTreeMap<(NodeKey, Position), BTreeSet<RecordId>>,
}

impl RecordSet {
    /// Takes a record in; `false` when it was there, which then gets back a value it had lost.
    ///
    /// # Errors
    /// [`Malformed::Value`] when the value is there and not the record's.
    pub fn insert(&mut self, record: Record, value: Option<Arc<[u8]>>) -> Result<bool, Malformed> {
        if value.is_some() || record.value().is_none() {
            record.check_value(value.as_deref())?;
        }
        let id = record.id();
        if let Some(held) = self.records.get_mut(&id) {
            if held.value.is_none() {
                held.value = value;
            }
            return Ok(false);
        }
        self.times.entry(record.scope()).or_default().insert((record.time(), id));
        if let Some(body) = record.body() {
            self.keys.entry((record.scope(), body.kind, body.key.clone())).or_default().insert(id);
            self.authors.entry((record.author(), body.position)).or_default().insert(id);
            for prev in &body.prev {
                self.followers.entry(*prev).or_default().insert(id);
            }
        }
        self.records.insert(id, Held { record, value });
        Ok(true)
    }

    /// Drops a value to save room; the header stays.
    pub fn drop_value(&mut self, id: &RecordId) {
        if let Some(held) = self.records.get_mut(id) {
            held.value = None;
        }
    }

    /// Every record, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.records.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The scopes there are records of.
    pub fn scopes(&self) -> impl Iterator<Item = ScopeId> {
        self.times.keys().copied()
    }

    /// The greatest place held of an author's life.
    #[must_use]
    pub fn last_of(&self, author: &NodeKey, incarnation: super::Incarnation) -> Option<Position> {
        let place = |seq| (*author, Position { incarnation, seq });
        self.authors.range(place(0)..=place(u64::MAX)).next_back().map(|((_, position), _)| *position)
    }

    /// The records of a scope, oldest first, by time and id.
    pub fn in_scope(&self, scope: &ScopeId) -> impl DoubleEndedIterator<Item = (HybridTime, RecordId)> {
        self.times.get(scope).into_iter().flatten().copied()
    }
}

impl Records for RecordSet {
    fn get(&self, id: &RecordId) -> Option<Held> {
        self.records.get(id).cloned()
    }

    fn versions(&self, scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<RecordId> {
        self.keys.get(&(*scope, kind, key.clone())).into_iter().flatten().copied().collect()
    }

    fn followers(&self, id: &RecordId) -> Vec<RecordId> {
        self.followers.get(id).into_iter().flatten().copied().collect()
    }

    fn keys(&self, scope: &ScopeId, kind: Kind) -> Vec<RecordKey> {
        let from = (*scope, kind, RecordKey::single());
        let of_kind = |(key, _): &(&(ScopeId, Kind, RecordKey), _)| key.0 == *scope && key.1 == kind;
        self.keys.range(from..).take_while(of_kind).map(|(key, _)| key.2.clone()).collect()
    }

    fn written_by(&self, author: &NodeKey) -> Vec<(ScopeId, Kind, RecordKey)> {
        let first = (*author, Position { incarnation: super::Incarnation(0), seq: 0 });
        let own = self.authors.range(first..).take_while(|(key, _)| key.0 == *author).flat_map(|(_, ids)| ids);
        let keys: BTreeSet<_> = own
            .filter_map(|id| {
                let record = &self.records.get(id)?.record;
                let body = record.body()?;
                Some((record.scope(), body.kind, body.key.clone()))
            })
            .collect();
        keys.into_iter().collect()
    }

    fn at(&self, author: &NodeKey, position: Position) -> Vec<RecordId> {
        self.authors.get(&(*author, position)).into_iter().flatten().copied().collect()
    }
}

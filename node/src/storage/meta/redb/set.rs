//! The records of one transaction as a set, which is how the machines of the mesh read them.
//!
//! Owns the first failure it met, nothing else. Nothing in a lone node needs it: what is said here is its own and each
//! version covers the last. It is here, and tested against the set in memory, for what judges records of others.
#![cfg_attr(not(test), expect(dead_code, reason = "a lone node judges no records of others"))]

use std::cell::RefCell;
use std::collections::BTreeSet;

use protocol::identity::NodeKey;
use protocol::record::{Held, Kind, Position, RecordId, RecordKey, Records, ScopeId};
use redb::ReadableTable;

use super::failure::Failure;
use super::records::{TopicRow, of_kind, places, read_number, topic};
use super::tables::{Rows, Tables};

/// The set of records of one transaction, for the machines. They know no failure: the first one met is kept, what met
/// it counts as absent, and whoever used this asks [`Set::end`] before relying on what came out.
#[derive(Debug)]
pub(super) struct Set<'a, T> {
    tables: &'a Tables<T>,
    failure: RefCell<Option<Failure>>,
}

impl<'a, T: ReadableTable<&'static [u8], &'static [u8]>> Set<'a, T> {
    /// The set in these tables.
    pub(super) const fn new(tables: &'a Tables<T>) -> Self {
        Self { tables, failure: RefCell::new(None) }
    }

    /// Whether everything could be read.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    fn or_absent<V: Default>(&self, found: Result<V, Failure>) -> V {
        found.unwrap_or_else(|failure| {
            self.failure.borrow_mut().get_or_insert(failure);
            V::default()
        })
    }

    /// The ids of the records whose numbers stand behind a prefix.
    fn behind(&self, table: &Rows<T>, prefix: &[u8]) -> Result<Vec<RecordId>, Failure> {
        let numbers = table.page(prefix, None, usize::MAX, |rest, _| {
            read_number(rest).map(Some).ok_or_else(|| "the number can't be read".into())
        })?;
        self.ids(&numbers.items)
    }

    fn ids(&self, numbers: &[u64]) -> Result<Vec<RecordId>, Failure> {
        numbers.iter().map(|number| Ok(self.tables.library().promised(*number)?.record.id())).collect()
    }

    fn versions_of(&self, key: &[u8]) -> Result<Vec<RecordId>, Failure> {
        let Some(row) = self.tables.topics.get::<TopicRow>(key)? else { return Ok(Vec::new()) };
        self.ids(&self.tables.versions.versions_of(row.number, usize::MAX)?)
    }

    fn followers_of(&self, id: &RecordId) -> Result<Vec<RecordId>, Failure> {
        match self.tables.library().number(id)? {
            Some(number) => self.behind(&self.tables.followers, &number.to_be_bytes()),
            None => Ok(Vec::new()),
        }
    }

    fn own(&self, author: &NodeKey) -> Result<Vec<(ScopeId, Kind, RecordKey)>, Failure> {
        let mut topics = BTreeSet::new();
        self.tables.places.scan(&author.0, None, |rest, _| {
            let number = rest.get(16..).and_then(read_number);
            let number = number.ok_or_else(|| self.tables.places.damaged(rest, "the place can't be read"))?;
            let record = self.tables.library().promised(number)?.record;
            topics.extend(record.body().map(|body| (record.scope(), body.kind, body.key.clone())));
            Ok(true)
        })?;
        Ok(topics.into_iter().collect())
    }

    fn keys_of(&self, scope: &ScopeId, kind: Kind) -> Result<Vec<RecordKey>, Failure> {
        let prefix = of_kind(scope, kind);
        let mut keys = BTreeSet::new();
        self.tables.topics.scan(&prefix, None, |rest, _| {
            let key = rest.get(2..).and_then(|key| RecordKey::from_bytes(key.to_vec()));
            keys.insert(key.ok_or_else(|| self.tables.topics.damaged(rest, "the topic can't be read"))?);
            Ok(true)
        })?;
        Ok(keys.into_iter().collect())
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Records for Set<'_, T> {
    fn get(&self, id: &RecordId) -> Option<Held> {
        self.or_absent(self.tables.library().get(id))
    }

    fn versions(&self, scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<RecordId> {
        self.or_absent(self.versions_of(&topic(scope, kind, key)))
    }

    fn followers(&self, id: &RecordId) -> Vec<RecordId> {
        self.or_absent(self.followers_of(id))
    }

    fn keys(&self, scope: &ScopeId, kind: Kind) -> Vec<RecordKey> {
        self.or_absent(self.keys_of(scope, kind))
    }

    fn written_by(&self, author: &NodeKey) -> Vec<(ScopeId, Kind, RecordKey)> {
        self.or_absent(self.own(author))
    }

    fn at(&self, author: &NodeKey, position: Position) -> Vec<RecordId> {
        self.or_absent(self.behind(&self.tables.places, &places(author, position)))
    }
}

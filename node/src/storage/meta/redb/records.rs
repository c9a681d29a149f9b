//! The records as rows: written in the transaction of what follows from them, read back as the machines of the mesh
//! read them.
//!
//! Owns no state. The keys are made so that a range of one table answers a question: the versions of a topic (newest
//! first), the followers of a record, what an author wrote at a place, a scope by time. A record is one row, its header
//! and its value, so that the value can be dropped later.
//!
//! Ids are long and in no order. So each gets a number here, counted from 1, also one that is named before it comes, and
//! each topic one; other tables point by number. What is written at one time then stands together, which halves what the
//! records take on the disk and most of what a commit has to copy. Numbers mean nothing to anybody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::identity::NodeKey;
use protocol::record::{Held, HybridTime, Kind, Position, Record, RecordId, RecordKey, ScopeId};
use protocol::view::Topic;
use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::tables::{self, Rows, Tables};
use super::writing::Writing;
use crate::storage::meta::Act;

/// Bytes of the length that stands before a header.
const LENGTH: usize = 4;
/// What follows a header whose value is here.
const VALUE: u8 = 1;
/// What follows one that has none, or whose value is gone.
const BARE: u8 = 0;

/// The row of a record.
fn stored(record: &Record, value: Option<&[u8]>) -> Vec<u8> {
    let header = record.as_bytes();
    // A header has a few KiB at most.
    let len = u32::try_from(header.len()).unwrap_or(u32::MAX).to_be_bytes();
    tables::join(&[&len, header, &[if value.is_some() { VALUE } else { BARE }], value.unwrap_or_default()])
}

/// Reads what [`stored`] wrote, and that the value is the one the header names.
fn read_stored(row: &[u8]) -> Result<Held, &'static str> {
    let (len, rest) = row.split_first_chunk::<LENGTH>().ok_or("the row is cut short")?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| "the header is too long")?;
    let (header, rest) = rest.split_at_checked(len).ok_or("the header is cut short")?;
    let record = Record::stored(header.to_vec()).ok_or("the header can't be read")?;
    let value = match rest.split_first() {
        Some((&VALUE, value)) => Some(value),
        Some((&BARE, [])) => None,
        Some(_) | None => return Err("the value can't be read"),
    };
    if value.is_some() {
        record.check_value(value).map_err(|_| "it has another value")?;
    }
    Ok(Held { record, value: value.map(Arc::from) })
}

/// What the keys of one kind of thing in a scope begin with.
pub(super) fn of_kind(scope: &ScopeId, kind: Kind) -> Vec<u8> {
    tables::join(&[&scope.0, &kind.0.to_be_bytes()])
}

/// A topic. Its key tells its length, so that no topic is the beginning of another.
pub(super) fn topic(scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<u8> {
    let bytes = key.as_bytes();
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    tables::join(&[&of_kind(scope, kind), &len, bytes])
}

/// Reads what [`topic`] wrote.
pub(super) fn read_topic(bytes: &[u8]) -> Option<Topic> {
    let (scope, rest) = bytes.split_first_chunk::<32>()?;
    let (kind, rest) = rest.split_first_chunk::<2>()?;
    let key = RecordKey::from_bytes(rest.get(2..)?.to_vec())?;
    Some(Topic { scope: ScopeId(*scope), kind: Kind(u16::from_be_bytes(*kind)), key })
}

/// What is kept of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopicRow {
    /// Its number.
    pub(super) number: u64,
    /// Its heads; the first is live.
    pub(super) heads: Vec<RecordId>,
}

/// A version of a topic. The greatest time sorts first.
fn version(topic: u64, time: HybridTime, number: u64) -> Vec<u8> {
    tables::join(&[&topic.to_be_bytes(), &(u64::MAX - time.0).to_be_bytes(), &(u64::MAX - number).to_be_bytes()])
}

/// Reads the number of the record behind the topic of a version.
fn read_version(rest: &[u8]) -> Option<u64> {
    let (_, number) = rest.split_first_chunk::<8>()?;
    Some(u64::MAX - u64::from_be_bytes(number.try_into().ok()?))
}

/// A record under one that it names as its predecessor.
fn follower(prev: u64, number: u64) -> Vec<u8> {
    tables::join(&[&prev.to_be_bytes(), &number.to_be_bytes()])
}

/// A record under its author and place.
fn place(author: &NodeKey, position: Position, number: u64) -> Vec<u8> {
    tables::join(&[&places(author, position), &number.to_be_bytes()])
}

/// What the records of an author at a place begin with.
pub(super) fn places(author: &NodeKey, position: Position) -> Vec<u8> {
    let Position { incarnation, seq } = position;
    tables::join(&[&author.0, &incarnation.0.to_be_bytes(), &seq.to_be_bytes()])
}

/// Reads a number at the end of a key.
pub(super) fn read_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// A record under its scope and time.
pub(super) fn moment(scope: &ScopeId, time: HybridTime, id: &RecordId) -> Vec<u8> {
    tables::join(&[&scope.0, &time.0.to_be_bytes(), &id.0])
}

/// Reads the id of what [`moment`] wrote.
pub(super) fn read_moment(key: &[u8]) -> Option<RecordId> {
    Some(RecordId(key.get(40..)?.try_into().ok()?))
}

/// The tables by which a record is found.
#[derive(Debug)]
pub(super) struct Library<'a, T> {
    pub(super) numbers: &'a Rows<T>,
    pub(super) records: &'a Rows<T>,
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Library<'_, T> {
    /// The number of a record, here or not; `None` when nothing ever named it.
    pub(super) fn number(&self, id: &RecordId) -> Result<Option<u64>, Failure> {
        let Some(number) = self.numbers.raw(&id.0)? else { return Ok(None) };
        read_number(&number).map(Some).ok_or_else(|| self.numbers.damaged(&id.0, "the number can't be read"))
    }

    fn at(&self, number: u64) -> Result<Option<Held>, Failure> {
        let key = number.to_be_bytes();
        let Some(row) = self.records.raw(&key)? else { return Ok(None) };
        read_stored(&row).map(Some).map_err(|why| self.records.damaged(&key, why))
    }

    /// A record that another row promises, by number.
    pub(super) fn promised(&self, number: u64) -> Result<Held, Failure> {
        self.at(number)?.ok_or_else(|| self.records.damaged(&number.to_be_bytes(), "the record is gone"))
    }

    /// A record.
    pub(super) fn get(&self, id: &RecordId) -> Result<Option<Held>, Failure> {
        let Some(number) = self.number(id)? else { return Ok(None) };
        let held = self.at(number)?;
        if held.as_ref().is_some_and(|held| held.record.id() != *id) {
            return Err(self.records.damaged(&number.to_be_bytes(), "it is another record"));
        }
        Ok(held)
    }

    /// A record that another row promises.
    pub(super) fn promised_id(&self, id: &RecordId) -> Result<Held, Failure> {
        self.get(id)?.ok_or_else(|| self.numbers.damaged(&id.0, "the record is gone"))
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Rows<T> {
    /// The versions of a topic, newest first, from the table of them.
    pub(super) fn versions_of(&self, topic: u64, limit: usize) -> Result<Vec<u64>, Failure> {
        let page = self.page(&topic.to_be_bytes(), None, limit, |rest, _| {
            read_version(rest).map(Some).ok_or_else(|| "the version can't be read".into())
        })?;
        Ok(page.items)
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Tables<T> {
    /// Where records are found.
    pub(super) const fn library(&self) -> Library<'_, T> {
        Library { numbers: &self.numbers, records: &self.records }
    }
}

impl Writing<'_> {
    /// Writes a version of a topic that follows all its heads, and covers all it names.
    pub(super) fn say(&mut self, topic: Topic, value: Option<&[u8]>, act: &Act) -> Result<RecordId, Failure> {
        let key = self::topic(&topic.scope, topic.kind, &topic.key);
        let mut row = self.topic_row(&key)?;
        let record = self
            .author
            .write(&mut self.pen, topic, value, &row.heads, act)
            .map_err(|error| Failure::Damaged(format!("a record can't be written: {error}")))?;
        self.keep(&record, value, row.number)?;
        let covered: BTreeSet<RecordId> = record.body().into_iter().flat_map(|body| body.prev.clone()).collect();
        row.heads.retain(|head| !covered.contains(head));
        row.heads.insert(0, record.id());
        self.tables.topics.put(&key, &row)?;
        Ok(record.id())
    }

    /// Keeps a version of another author that follows nothing, for tests of what a lone node never has.
    #[cfg(test)]
    pub(super) fn hear(&mut self, topic: &Topic, value: &[u8], act: &Act) -> Result<(), Failure> {
        let other = protocol::identity::NodeSecret::from_seed([8; 32]);
        let other = crate::storage::meta::Author::new(other, Arc::new(crate::world::RealEntropy));
        let mut pen = other.take_up(HybridTime::default());
        let record = other.write(&mut pen, topic.clone(), Some(value), &[], act).expect("a record");
        let key = self::topic(&topic.scope, topic.kind, &topic.key);
        let mut row = self.topic_row(&key)?;
        self.keep(&record, Some(value), row.number)?;
        row.heads.push(record.id());
        self.tables.topics.put(&key, &row)
    }

    /// What is kept of a topic, or of a new one.
    fn topic_row(&mut self, key: &[u8]) -> Result<TopicRow, Failure> {
        match self.tables.topics.get(key)? {
            Some(row) => Ok(row),
            None => Ok(TopicRow { number: self.count(), heads: Vec::new() }),
        }
    }

    /// The next number.
    const fn count(&mut self) -> u64 {
        self.totals.numbers += 1;
        self.totals.numbers
    }

    /// The number of a record, given to it when it has none.
    fn number(&mut self, id: &RecordId) -> Result<u64, Failure> {
        if let Some(number) = self.tables.library().number(id)? {
            return Ok(number);
        }
        let number = self.count();
        self.tables.numbers.put_raw(&id.0, &number.to_be_bytes())?;
        Ok(number)
    }

    /// Writes the rows of a record.
    fn keep(&mut self, record: &Record, value: Option<&[u8]>, topic: u64) -> Result<(), Failure> {
        let id = record.id();
        let number = self.number(&id)?;
        self.tables.records.put_raw(&number.to_be_bytes(), &stored(record, value))?;
        self.tables.moments.mark(&moment(&record.scope(), record.time(), &id))?;
        let Some(body) = record.body() else { return Ok(()) };
        self.tables.versions.mark(&version(topic, record.time(), number))?;
        self.tables.places.mark(&place(&record.author(), body.position, number))?;
        for prev in &body.prev {
            let prev = self.number(prev)?;
            self.tables.followers.mark(&follower(prev, number))?;
        }
        Ok(())
    }
}

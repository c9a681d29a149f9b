//! The records as rows: written in the transaction of what follows from them, read back as the machines of the mesh
//! read them.
//!
//! Owns no state. The keys are made so that a range of one table answers a question: the versions of a topic (newest
//! first), the followers of a record, what an author wrote at a place, a scope by time. A record is one row, its header
//! and its value, so that the value can be dropped later.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::identity::NodeKey;
use protocol::record::{Held, HybridTime, Kind, Position, Record, RecordId, RecordKey, ScopeId};
use redb::ReadableTable;

use super::failure::Failure;
use super::tables::{self, Rows, Tables};
use super::writing::Writing;
use crate::storage::meta::author::Topic;

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

/// Reads what [`stored`] wrote, and that it is the record of that name with the value it names.
fn read_stored(id: &RecordId, row: &[u8]) -> Result<Held, &'static str> {
    let (len, rest) = row.split_first_chunk::<LENGTH>().ok_or("the row is cut short")?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| "the header is too long")?;
    let (header, rest) = rest.split_at_checked(len).ok_or("the header is cut short")?;
    let record = Record::stored(header.to_vec()).ok_or("the header can't be read")?;
    if record.id() != *id {
        return Err("it is another record");
    }
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

/// A version of a topic. The greatest time sorts first, and among equal times the greatest id.
pub(super) fn version(topic: &[u8], time: HybridTime, id: &RecordId) -> Vec<u8> {
    tables::join(&[topic, &(u64::MAX - time.0).to_be_bytes(), &id.0.map(|byte| !byte)])
}

/// Reads the id behind the topic and the time of a version.
fn read_version(rest: &[u8]) -> Option<RecordId> {
    let (_, id) = rest.split_first_chunk::<8>()?;
    Some(RecordId(<[u8; 32]>::try_from(id).ok()?.map(|byte| !byte)))
}

/// A record under one that it names as its predecessor.
pub(super) fn follower(prev: &RecordId, id: &RecordId) -> Vec<u8> {
    tables::join(&[&prev.0, &id.0])
}

/// A record under its author and place.
pub(super) fn place(author: &NodeKey, position: Position, id: &RecordId) -> Vec<u8> {
    tables::join(&[&places(author, position), &id.0])
}

pub(super) fn places(author: &NodeKey, position: Position) -> Vec<u8> {
    let Position { incarnation, seq } = position;
    tables::join(&[&author.0, &incarnation.0.to_be_bytes(), &seq.to_be_bytes()])
}

/// A record under its scope and time.
pub(super) fn moment(scope: &ScopeId, time: HybridTime, id: &RecordId) -> Vec<u8> {
    tables::join(&[&scope.0, &time.0.to_be_bytes(), &id.0])
}

/// Reads what [`moment`] wrote.
pub(super) fn read_moment(key: &[u8]) -> Option<(ScopeId, HybridTime, RecordId)> {
    let (scope, rest) = key.split_first_chunk::<32>()?;
    let (time, id) = rest.split_first_chunk::<8>()?;
    Some((ScopeId(*scope), HybridTime(u64::from_be_bytes(*time)), read_id(id)?))
}

pub(super) fn read_id(bytes: &[u8]) -> Option<RecordId> {
    Some(RecordId(bytes.try_into().ok()?))
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Rows<T> {
    /// A record, from the table of them.
    pub(super) fn record(&self, id: &RecordId) -> Result<Option<Held>, Failure> {
        let Some(row) = self.raw(&id.0)? else { return Ok(None) };
        read_stored(id, &row).map(Some).map_err(|why| self.damaged(&id.0, why))
    }

    /// A record that another row promises.
    pub(super) fn promised_record(&self, id: &RecordId) -> Result<Held, Failure> {
        self.record(id)?.ok_or_else(|| self.damaged(&id.0, "the record is gone"))
    }

    /// The versions of a topic, newest first, from the table of them.
    pub(super) fn versions_of(&self, topic: &[u8], limit: usize) -> Result<Vec<RecordId>, Failure> {
        let page = self.page(topic, None, limit, |rest, _| {
            read_version(rest).map(Some).ok_or_else(|| "the version can't be read".into())
        })?;
        Ok(page.items)
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Tables<T> {
    /// The heads of a topic; the first is live.
    pub(super) fn heads_of(&self, topic: &[u8]) -> Result<Vec<RecordId>, Failure> {
        Ok(self.heads.get(topic)?.unwrap_or_default())
    }
}

impl Writing<'_> {
    /// Writes a version of a topic that follows all its heads, and becomes the only one.
    pub(super) fn say(
        &mut self,
        topic: Topic,
        value: Option<&[u8]>,
        act: &crate::storage::meta::Act,
    ) -> Result<RecordId, Failure> {
        let row = self::topic(&topic.scope, topic.kind, &topic.key);
        let mut heads = self.tables.heads_of(&row)?;
        let record = self
            .author
            .write(&mut self.pen, topic, value, &heads, act)
            .map_err(|error| Failure::Damaged(format!("a record can't be written: {error}")))?;
        self.keep(&record, value)?;
        let covered: BTreeSet<RecordId> = record.body().into_iter().flat_map(|body| body.prev.clone()).collect();
        heads.retain(|head| !covered.contains(head));
        heads.insert(0, record.id());
        self.tables.heads.put(&row, &heads)?;
        Ok(record.id())
    }

    /// Writes the rows of a record.
    pub(super) fn keep(&mut self, record: &Record, value: Option<&[u8]>) -> Result<(), Failure> {
        let id = record.id();
        self.tables.records.put_raw(&id.0, &stored(record, value))?;
        self.tables.moments.mark(&moment(&record.scope(), record.time(), &id))?;
        let Some(body) = record.body() else { return Ok(()) };
        let topic = topic(&record.scope(), body.kind, &body.key);
        self.tables.versions.mark(&version(&topic, record.time(), &id))?;
        self.tables.places.mark(&place(&record.author(), body.position, &id))?;
        for prev in &body.prev {
            self.tables.followers.mark(&follower(prev, &id))?;
        }
        Ok(())
    }
}

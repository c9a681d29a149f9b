//! How records and the view of them stand in the tables. Owns no state.
//!
//! Records and authors have numbers, given out once and never again, so that the many keys that name one are short.

use protocol::identity::NodeKey;
use protocol::record::{Held, HybridTime, Incarnation, Kind, Position, Record, RecordId, RecordKey, ScopeId};
use protocol::trust::Void;
use protocol::view::{Rank, Standing, Topic, TopicView};
use redb::ReadableTable;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::tables::{self, Rows, Tables};
use crate::storage::meta::rows;

/// Bytes of the length that stands before a header.
const LENGTH: usize = 4;
/// What follows a header whose value is here.
const VALUE: u8 = 1;
/// What follows one that has none, or whose value is gone.
const BARE: u8 = 0;

/// The row of a record.
pub(super) fn stored(record: &Record, value: Option<&[u8]>) -> Vec<u8> {
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
    Ok(Held { record, value: value.map(std::sync::Arc::from) })
}

/// What is kept of a record by its name, here or only named by others. Written once, and once more when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NumberRow {
    /// Its number.
    pub(super) number: u64,
    /// Where it stands, once it is here and this version can read it.
    pub(super) place: Option<Place>,
}

/// Where a version stands among those of its topic. Topic and author by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) topic: u64,
    pub(super) author: u64,
    pub(super) position: Position,
}

/// What is kept of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VersionRow {
    /// When, as its author says.
    pub(super) time: HybridTime,
    /// How it stands in the view, once it is in it.
    pub(super) seen: Option<Seen>,
}

/// A [`Standing`] without the record's own name and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    void: Option<Void>,
    epoch: u32,
    deletes: bool,
    head: bool,
    circular: bool,
}

impl VersionRow {
    pub(super) const fn of(standing: &Standing) -> Self {
        let Standing { void, rank, deletes, head, circular } = *standing;
        Self { time: rank.time, seen: Some(Seen { void, epoch: rank.epoch, deletes, head, circular }) }
    }

    /// How the version with this name stands.
    pub(super) fn standing(&self, id: RecordId) -> Option<Standing> {
        let Seen { void, epoch, deletes, head, circular } = self.seen?;
        Some(Standing { void, rank: Rank { epoch, time: self.time, id }, deletes, head, circular })
    }
}

/// What the keys of one kind of thing in a scope begin with.
pub(super) fn of_kind(scope: &ScopeId, kind: Kind) -> Vec<u8> {
    tables::join(&[&scope.0, &kind.0.to_be_bytes()])
}

/// A topic.
pub(super) fn topic(topic: &Topic) -> Vec<u8> {
    tables::join(&[&of_kind(&topic.scope, topic.kind), topic.key.as_bytes()])
}

/// Reads what [`topic`] wrote.
pub(super) fn read_topic(bytes: &[u8]) -> Option<Topic> {
    let (scope, rest) = bytes.split_first_chunk::<32>()?;
    let (kind, rest) = rest.split_first_chunk::<2>()?;
    let key = RecordKey::from_bytes(rest.to_vec())?;
    Some(Topic { scope: ScopeId(*scope), kind: Kind(u16::from_be_bytes(*kind)), key })
}

/// The parts of what is kept of a topic: side by side, so that a new version touches one page of it.
const VIEW: u8 = 0;
/// See [`VIEW`].
const VERSION: u8 = 1;
/// See [`VIEW`].
const HEAD: u8 = 2;

/// What holds of a topic.
pub(super) fn view(topic: u64) -> Vec<u8> {
    tables::join(&[&topic.to_be_bytes(), &[VIEW]])
}

/// What the versions of a topic begin with.
fn versions(topic: u64) -> Vec<u8> {
    tables::join(&[&topic.to_be_bytes(), &[VERSION]])
}

/// What the heads of a topic begin with, the deletes or the others.
fn heads(topic: u64, deletes: bool) -> Vec<u8> {
    tables::join(&[&topic.to_be_bytes(), &[HEAD, u8::from(deletes)]])
}

/// A head. The greatest sorts first.
pub(super) fn head(topic: u64, deletes: bool, rank: &Rank) -> Vec<u8> {
    let (epoch, time) = (u32::MAX - rank.epoch, u64::MAX - rank.time.0);
    tables::join(&[&heads(topic, deletes), &epoch.to_be_bytes(), &time.to_be_bytes(), &rank.id.0.map(|byte| !byte)])
}

/// Reads what stands behind the topic of a head.
fn read_head(rest: &[u8]) -> Option<Rank> {
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let (time, id) = rest.split_first_chunk::<8>()?;
    let id: [u8; 32] = id.try_into().ok()?;
    let (epoch, time) = (u32::MAX - u32::from_be_bytes(*epoch), HybridTime(u64::MAX - u64::from_be_bytes(*time)));
    Some(Rank { epoch, time, id: RecordId(id.map(|byte| !byte)) })
}

/// What the versions that an author's life has of a topic begin with.
pub(super) fn line(topic: u64, author: u64, incarnation: Incarnation) -> Vec<u8> {
    tables::join(&[&versions(topic), &author.to_be_bytes(), &incarnation.0.to_be_bytes()])
}

/// A version of a topic under its author and place.
pub(super) fn version(place: &Place, number: u64) -> Vec<u8> {
    let line = line(place.topic, place.author, place.position.incarnation);
    tables::join(&[&line, &place.position.seq.to_be_bytes(), &number.to_be_bytes()])
}

/// A record under one that it names as its predecessor.
pub(super) fn follower(prev: u64, number: u64) -> Vec<u8> {
    tables::join(&[&prev.to_be_bytes(), &number.to_be_bytes()])
}

/// A record under its author and place.
pub(super) fn place(author: u64, position: Position, number: u64) -> Vec<u8> {
    tables::join(&[&places(author, position), &number.to_be_bytes()])
}

/// What the records of an author at a place begin with.
pub(super) fn places(author: u64, position: Position) -> Vec<u8> {
    let Position { incarnation, seq } = position;
    tables::join(&[&author.to_be_bytes(), &incarnation.0.to_be_bytes(), &seq.to_be_bytes()])
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
        let Some(NumberRow { number, .. }) = self.numbers.get(&id.0)? else { return Ok(None) };
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
    /// The versions of a topic with their times, from the table of what is kept of topics.
    pub(super) fn versions_of(&self, topic: u64) -> Result<Vec<(HybridTime, u64)>, Failure> {
        let page = self.page(&versions(topic), None, usize::MAX, |rest, row| {
            let number = rest.get(24..).and_then(read_number).ok_or("the version can't be read")?;
            Ok(Some((rows::decode::<VersionRow>(row)?.time, number)))
        })?;
        Ok(page.items)
    }

    /// The heads of a topic, greatest first, the deletes or the others, from the same table.
    pub(super) fn heads_of(&self, topic: u64, deletes: bool, limit: usize) -> Result<Vec<Rank>, Failure> {
        let page = self.page(&heads(topic, deletes), None, limit, |rest, _| {
            read_head(rest).map(Some).ok_or_else(|| "the head can't be read".into())
        })?;
        Ok(page.items)
    }

    /// A row that is a number.
    pub(super) fn number(&self, key: &[u8]) -> Result<Option<u64>, Failure> {
        let Some(number) = self.raw(key)? else { return Ok(None) };
        read_number(&number).map(Some).ok_or_else(|| self.damaged(key, "the number can't be read"))
    }

    /// What holds of a topic, from the table of what is kept of topics.
    pub(super) fn view_of(&self, topic: u64) -> Result<Option<TopicView>, Failure> {
        self.get(&view(topic))
    }

    /// The numbers behind a prefix, at the end of the keys.
    pub(super) fn numbers_behind(&self, prefix: &[u8]) -> Result<Vec<u64>, Failure> {
        let page = self.page(prefix, None, usize::MAX, |rest, _| {
            read_number(rest).map(Some).ok_or_else(|| "the number can't be read".into())
        })?;
        Ok(page.items)
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Tables<T> {
    /// Where records are found.
    pub(super) const fn library(&self) -> Library<'_, T> {
        Library { numbers: &self.numbers, records: &self.records }
    }

    /// The number of an author who ever wrote anything that is here.
    pub(super) fn author_number(&self, author: &NodeKey) -> Result<Option<u64>, Failure> {
        self.authors.number(&author.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_sort_the_greatest_first_and_read_back() {
        let rank = |epoch, time, id| Rank { epoch, time: HybridTime(time), id: RecordId([id; 32]) };
        let falling = [rank(2, 1, 1), rank(1, 9, 0), rank(1, 8, 255), rank(1, 8, 7), rank(0, u64::MAX, 255)];
        let keys: Vec<_> = falling.iter().map(|rank| head(7, false, rank)).collect();
        assert!(keys.is_sorted());
        let prefix = heads(7, false);
        let read: Vec<_> = keys.iter().map(|key| read_head(key.strip_prefix(&*prefix).unwrap()).unwrap()).collect();
        assert_eq!(read, falling);
        assert!(head(7, true, &falling[0]) > keys[4], "deletes stand behind the others");
    }

    #[test]
    fn topics_read_back() {
        let scope = ScopeId([3; 32]);
        for topic in [Topic::project(scope), Topic::tag(scope, &"p/a".parse().unwrap(), &"t".parse().unwrap())] {
            assert_eq!(read_topic(&self::topic(&topic)), Some(topic));
        }
    }
}

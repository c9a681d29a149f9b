//! Taking entries into the index: rows, lists and counts, in one transaction of the caller's. Owns no state.

use std::collections::BTreeMap;

use redb::ReadableTable;

use super::super::AuditError;
use super::super::entry::{Entry, Outcome};
use super::{ALL, BLOCK, BLOCKS, LISTS, MEMBERS, PLACES, Place, failed};

/// How a block changes: by how many members, and the times of those that came.
#[derive(Clone, Copy, Debug)]
struct Change {
    members: i64,
    oldest: u64,
    newest: u64,
}

/// One transaction that takes entries in.
pub(super) struct Taking<'a> {
    places: redb::Table<'a, u64, &'static [u8]>,
    lists: redb::Table<'a, &'static str, u32>,
    members: redb::Table<'a, (u32, u64), ()>,
    blocks: redb::Table<'a, (u32, u64), (u32, u64, u64)>,
    known: BTreeMap<String, u32>,
    changes: BTreeMap<(u32, u64), Change>,
}

pub(super) const REFUSED: &str = "r:";

impl<'a> Taking<'a> {
    pub(super) fn begin(write: &'a redb::WriteTransaction) -> Result<Self, AuditError> {
        Ok(Self {
            places: write.open_table(PLACES).map_err(failed)?,
            lists: write.open_table(LISTS).map_err(failed)?,
            members: write.open_table(MEMBERS).map_err(failed)?,
            blocks: write.open_table(BLOCKS).map_err(failed)?,
            known: BTreeMap::new(),
            changes: BTreeMap::new(),
        })
    }

    /// The number of a list; a new one for a new name.
    fn list(&mut self, name: String) -> Result<u32, AuditError> {
        if let Some(list) = self.known.get(&name) {
            return Ok(*list);
        }
        let found = self.lists.get(&*name).map_err(failed)?.map(|found| found.value());
        let list = match found {
            Some(list) => list,
            None => {
                let next = self.lists.get("next").map_err(failed)?.map_or(1, |next| next.value());
                self.lists.insert("next", next + 1).map_err(failed)?;
                self.lists.insert(&*name, next).map_err(failed)?;
                next
            }
        };
        self.known.insert(name, list);
        Ok(list)
    }

    fn count(&mut self, list: u32, seq: u64, at: u64, members: i64) {
        let none = Change { members: 0, oldest: u64::MAX, newest: 0 };
        let change = self.changes.entry((list, seq / BLOCK)).or_insert(none);
        change.members += members;
        if members > 0 {
            (change.oldest, change.newest) = (change.oldest.min(at), change.newest.max(at));
        }
    }

    pub(super) fn add(&mut self, entry: &Entry, first: u64, offset: u64, len: usize) -> Result<(), AuditError> {
        let told = &entry.told;
        let place = Place {
            first,
            offset,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            at: entry.act.at,
            of_type: self.list(format!("t:{}", told.event_type().name()))?,
            user: self.list(format!("u:{}", entry.act.actor))?,
            project: match &told.scope {
                Some(scope) => self.list(format!("p:{scope}"))?,
                None => 0,
            },
            refused: told.outcome != Outcome::Done,
        };
        let bytes = postcard::to_stdvec(&place).map_err(failed)?;
        let again = self.places.insert(entry.seq, &bytes[..]).map_err(failed)?.is_some();
        if again {
            return Ok(());
        }
        for list in self.lists_of(&place)? {
            if list != ALL {
                self.members.insert((list, entry.seq), ()).map_err(failed)?;
            }
            self.count(list, entry.seq, place.at.0, 1);
        }
        Ok(())
    }

    fn lists_of(&mut self, place: &Place) -> Result<Vec<u32>, AuditError> {
        let mut lists = vec![ALL, place.of_type, place.user];
        if place.project != 0 {
            lists.push(place.project);
        }
        if place.refused {
            lists.push(self.list(REFUSED.into())?);
        }
        Ok(lists)
    }

    pub(super) fn forget(&mut self, first: u64, to: u64) -> Result<(), AuditError> {
        let mut next = first;
        loop {
            let found = {
                let mut range = self.places.range(next..=to).map_err(failed)?;
                let row = range.next().transpose().map_err(failed)?;
                row.map(|(seq, bytes)| (seq.value(), postcard::from_bytes::<Place>(bytes.value())))
            };
            let Some((seq, place)) = found else { return Ok(()) };
            let place = place.map_err(failed)?;
            self.places.remove(seq).map_err(failed)?;
            for list in self.lists_of(&place)? {
                if list != ALL {
                    self.members.remove((list, seq)).map_err(failed)?;
                }
                self.count(list, seq, 0, -1);
            }
            next = seq + 1;
        }
    }

    pub(super) fn end(mut self) -> Result<(), AuditError> {
        for (key, change) in std::mem::take(&mut self.changes) {
            let old = self.blocks.get(key).map_err(failed)?.map_or((0, u64::MAX, 0), |old| old.value());
            let members = u32::try_from(i64::from(old.0) + change.members).unwrap_or_default();
            if members == 0 {
                self.blocks.remove(key).map_err(failed)?;
            } else {
                let new = (members, old.1.min(change.oldest), old.2.max(change.newest));
                self.blocks.insert(key, new).map_err(failed)?;
            }
        }
        Ok(())
    }
}

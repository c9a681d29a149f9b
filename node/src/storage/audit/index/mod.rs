//! Finding entries without reading the log. Owns `audit/index.redb`, which can be made again from the files at any time.
//!
//! Each entry has a row with its place in the files, and stands in a list for its type, its user, its project and, when it
//! was refused, in one for that; what was done is the rest. For every list there is a count for each block of positions, so a page deep in a list
//! costs the blocks before it and not the entries. A question with one condition is answered from counts and lists; one
//! with several walks the shortest list and looks at rows, at most `SCAN` of them: [`Found::complete`] says whether that
//! was the end.

mod reader;
mod taking;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use protocol::Timestamp;
use protocol::record::ScopeId;
use protocol::seam::{Access, FileSystem};
use redb::{Database, ReadableDatabase, TableDefinition};
use serde::{Deserialize, Serialize};

use super::AuditError;
use super::entry::{Entry, Line, read};
use super::lines::{Lines, Next};
use super::log::{Segment, segments};
use super::words::Resource;
use crate::storage::meta::Operation;
use crate::storage::meta::redb::backend::OnDisk;
use taking::Taking;

pub use reader::Reader;

/// Positions counted together.
const BLOCK: u64 = 1024;

/// Entries taken in by one transaction.
const BATCH: usize = 4096;

/// Memory for pages of the index.
const CACHE: usize = 16 << 20;

/// The list everything stands in: its members are the rows.
const ALL: u32 = 0;

/// What was done: everything but the list of what was refused, so most entries need no second row. The number is one that
/// no list on disk comes to.
const DONE: u32 = u32::MAX;

const PLACES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("places");
const LISTS: TableDefinition<'_, &str, u32> = TableDefinition::new("lists");
const MEMBERS: TableDefinition<'_, (u32, u64), ()> = TableDefinition::new("members");
const BLOCKS: TableDefinition<'_, (u32, u64), (u32, u64, u64)> = TableDefinition::new("blocks");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

/// Text to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// All of it.
    Exactly(String),
    /// One of these.
    OneOf(Vec<String>),
    /// A part of it, in letters of any case.
    Contains(String),
}

impl Text {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exactly(all) => all == text,
            Self::OneOf(all) => all.iter().any(|one| one == text),
            Self::Contains(part) => text.to_lowercase().contains(&part.to_lowercase()),
        }
    }
}

/// Which entries are asked for. Every condition must hold; without any, all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these was done.
    pub operations: Option<Vec<Operation>>,
    /// To one of these kinds of things.
    pub kinds: Option<Vec<Resource>>,
    /// To which.
    pub resource: Option<Text>,
    /// By whom.
    pub username: Option<Text>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Whether it was done, or refused.
    pub succeeded: Option<bool>,
    /// In one of these projects, by scope: one made again under a name has nothing of the one before.
    pub projects: Option<Vec<ScopeId>>,
}

/// Which come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    #[default]
    NewestFirst,
    /// The oldest.
    OldestFirst,
}

/// A page of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The entries.
    pub entries: Vec<Entry>,
    /// How many there are in all; as far as was looked when not complete.
    pub total: u64,
    /// Whether all that was asked for was looked at.
    pub complete: bool,
}

/// Where taking in stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The file, by its first position.
    first: u64,
    /// Bytes of it that were read.
    offset: u64,
    /// Last position taken in.
    seq: u64,
    /// Purges up to here had their effect on the files before they were read.
    fresh: u64,
}

/// An entry's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    first: u64,
    offset: u64,
    len: u32,
    at: Timestamp,
    of_type: u32,
    user: u32,
    /// 0: none.
    project: u32,
    refused: bool,
}

/// The index. Writing takes `&mut`, so it has one writer; reading sees what was committed.
#[derive(Debug)]
pub struct AuditIndex {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    sync: bool,
    database: Option<Arc<Database>>,
}

fn failed(error: impl std::fmt::Display) -> AuditError {
    AuditError::Index(error.to_string())
}

impl AuditIndex {
    /// The index of the log in `dir`; opened when it is first needed. Without `sync` a power cut may cost making it again.
    #[must_use]
    pub const fn new(fs: Arc<dyn FileSystem>, dir: PathBuf, sync: bool) -> Self {
        Self { fs, dir, sync, database: None }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("index.redb")
    }

    fn open(&mut self) -> Result<Arc<Database>, AuditError> {
        if let Some(database) = &self.database {
            return Ok(Arc::clone(database));
        }
        let database = match self.open_file() {
            Ok(database) => database,
            Err(error) => {
                tracing::warn!(%error, "the index of the audit log is made again");
                self.fs.remove_file(&self.path())?;
                self.open_file()?
            }
        };
        let database = Arc::new(database);
        self.database = Some(Arc::clone(&database));
        Ok(database)
    }

    fn open_file(&self) -> Result<Database, AuditError> {
        let file = self.fs.open(&self.path(), Access::Create)?;
        let mut builder = redb::Builder::new();
        let database =
            builder.set_cache_size(CACHE).create_with_backend(OnDisk::new(file, self.sync)).map_err(failed)?;
        let write = database.begin_write().map_err(failed)?;
        write.open_table(PLACES).map_err(failed)?;
        write.open_table(LISTS).map_err(failed)?;
        write.open_table(MEMBERS).map_err(failed)?;
        write.open_table(BLOCKS).map_err(failed)?;
        write.open_table(STATE).map_err(failed)?;
        write.commit().map_err(failed)?;
        Ok(database)
    }

    /// Throws everything away.
    fn begin_again(&mut self, fresh: u64) -> Result<Arc<Database>, AuditError> {
        self.database = None;
        self.fs.remove_file(&self.path())?;
        let database = self.open()?;
        let write = database.begin_write().map_err(failed)?;
        put_cursor(&write, Cursor { fresh, ..Cursor::default() })?;
        write.commit().map_err(failed)?;
        Ok(database)
    }

    /// Takes in what the log has up to `head` and the index has not. Nobody purges meanwhile.
    ///
    /// # Errors
    /// [`AuditError`]; what was taken in stays, and the next call goes on.
    pub fn catch_up(&mut self, head: u64) -> Result<(), AuditError> {
        let outcome = self.take_in(head);
        if outcome.is_err() {
            // Opened anew next time: after a failed write nothing works with this one.
            self.database = None;
        }
        outcome
    }

    fn take_in(&mut self, head: u64) -> Result<(), AuditError> {
        let mut database = self.open()?;
        let mut cursor = cursor(&database)?;
        if cursor.seq == head && cursor.fresh > 0 {
            return Ok(());
        }
        let files = segments(&*self.fs, &self.dir)?;
        if cursor.seq > head || (cursor.seq == 0 && cursor.fresh == 0) || !self.goes_on(cursor, &files)? {
            database = self.begin_again(head)?;
            cursor = Cursor { fresh: head, ..Cursor::default() };
        }
        let begin = cursor.first;
        for file in files.iter().filter(|file| file.first >= begin) {
            let from = if file.first == cursor.first { cursor.offset } else { 0 };
            cursor = self.take_in_file(&database, file, from, cursor)?;
        }
        Ok(())
    }

    /// Whether the files are still those the cursor stands in.
    fn goes_on(&self, cursor: Cursor, files: &[Segment]) -> Result<bool, AuditError> {
        if cursor.seq == 0 || files.iter().any(|file| file.first == cursor.seq + 1) {
            return Ok(true);
        }
        let Some(file) = files.iter().find(|file| file.first == cursor.first) else { return Ok(false) };
        if cursor.offset >= file.len {
            return Ok(cursor.offset == file.len);
        }
        let open = self.fs.open(&self.dir.join(Segment::name(file.first)), Access::Read)?;
        match Lines::new(open, cursor.offset, file.len).next()? {
            Next::Line(line) => Ok(matches!(read(&line), Ok(Line::Entry(entry)) if entry.seq == cursor.seq + 1)),
            Next::Torn | Next::End => Ok(false),
        }
    }

    fn take_in_file(
        &self,
        database: &Database,
        file: &Segment,
        from: u64,
        mut cursor: Cursor,
    ) -> Result<Cursor, AuditError> {
        let open = self.fs.open(&self.dir.join(Segment::name(file.first)), Access::Read)?;
        let mut lines = Lines::new(open, from, file.len);
        loop {
            let write = database.begin_write().map_err(failed)?;
            let mut taken = 0;
            {
                let mut taking = Taking::begin(&write)?;
                while taken < BATCH {
                    let offset = lines.at();
                    let Next::Line(line) = lines.next()? else { break };
                    taken += 1;
                    cursor.offset = lines.at();
                    cursor.first = file.first;
                    match read(&line) {
                        Ok(Line::Entry(entry)) => {
                            cursor.seq = cursor.seq.max(entry.seq);
                            taking.add(&entry, file.first, offset, line.len())?;
                            if entry.seq > cursor.fresh {
                                self.after_purge(&mut taking, &entry)?;
                            }
                        }
                        Ok(Line::Stone(stone)) => cursor.seq = cursor.seq.max(stone.to),
                        // For verify to find; the others are still worth finding.
                        Err(_) => {}
                    }
                }
                taking.end()?;
            }
            if taken == 0 {
                write.abort().map_err(failed)?;
                return Ok(cursor);
            }
            put_cursor(&write, cursor)?;
            write.commit().map_err(failed)?;
        }
    }

    /// Has the rows of files a purge changed follow.
    fn after_purge(&self, taking: &mut Taking<'_>, entry: &Entry) -> Result<(), AuditError> {
        for signed in super::purge::of_entry(entry) {
            taking.forget(signed.first, signed.to)?;
            let path = self.dir.join(Segment::name(signed.first));
            let Some(len) = self.fs.file_len(&path)? else { continue };
            let mut lines = Lines::new(self.fs.open(&path, Access::Read)?, 0, len);
            loop {
                let offset = lines.at();
                let Next::Line(line) = lines.next()? else { break };
                if let Ok(Line::Entry(entry)) = read(&line) {
                    taking.add(&entry, signed.first, offset, line.len())?;
                }
            }
        }
        Ok(())
    }

    /// A reader of what is committed now; none before the first [`AuditIndex::catch_up`].
    ///
    /// # Errors
    /// [`AuditError::Index`].
    pub fn reader(&self) -> Result<Reader, AuditError> {
        let database = self.database.as_ref().ok_or_else(|| failed("it is not made yet"))?;
        let read = database.begin_read().map_err(failed)?;
        Ok(Reader {
            fs: Arc::clone(&self.fs),
            dir: self.dir.clone(),
            places: read.open_table(PLACES).map_err(failed)?,
            lists: read.open_table(LISTS).map_err(failed)?,
            members: read.open_table(MEMBERS).map_err(failed)?,
            blocks: read.open_table(BLOCKS).map_err(failed)?,
        })
    }
}

fn cursor(database: &Database) -> Result<Cursor, AuditError> {
    let read = database.begin_read().map_err(failed)?;
    let state = read.open_table(STATE).map_err(failed)?;
    let bytes = state.get("cursor").map_err(failed)?;
    Ok(bytes.and_then(|bytes| postcard::from_bytes(bytes.value()).ok()).unwrap_or_default())
}

fn put_cursor(write: &redb::WriteTransaction, cursor: Cursor) -> Result<(), AuditError> {
    let bytes = postcard::to_stdvec(&cursor).map_err(failed)?;
    write.open_table(STATE).map_err(failed)?.insert("cursor", &bytes[..]).map_err(failed)?;
    Ok(())
}

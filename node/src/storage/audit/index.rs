//! Finding entries without reading the log. Owns `audit/index.redb`, which can be made again from the files at any time.
//!
//! Each entry has a row with its place in the files, and stands in a list for its type, its user, its project and, when it
//! was refused, in one for that. For every list there is a count for each [`BLOCK`] positions, so a page deep in a list
//! costs the blocks before it and not the entries. A question with one condition is answered from counts and lists; one
//! with several walks the shortest list and looks at rows, at most [`SCAN`] of them: [`Found::complete`] says whether that
//! was the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::seam::{Access, File, FileSystem};
use protocol::{ProjectName, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::AuditError;
use super::entry::{Entry, Line, Outcome, read};
use super::lines::{Lines, Next};
use super::log::{Segment, segments};
use super::words::{EventType, Resource};
use crate::storage::meta::Operation;
use crate::storage::meta::redb::backend::OnDisk;

/// Positions counted together.
const BLOCK: u64 = 1024;

/// Most rows looked at for one question.
const SCAN: usize = 50_000;

/// Most entries read from the files for one question that looks into their names.
const SCAN_READ: usize = 10_000;

/// Most names of users a part of a name may stand for.
const USERS: usize = 1000;

/// Entries taken in by one transaction.
const BATCH: usize = 4096;

/// Memory for pages of the index.
const CACHE: usize = 16 << 20;

/// The list everything stands in: its members are the rows.
const ALL: u32 = 0;

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
    /// A part of it.
    Contains(String),
}

impl Text {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exactly(all) => all == text,
            Self::Contains(part) => text.contains(part.as_str()),
        }
    }
}

/// Which entries are asked for. Every condition must hold; without any, all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What was done.
    pub operation: Option<Operation>,
    /// To what kind of thing.
    pub kind: Option<Resource>,
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
    /// In one of these projects.
    pub projects: Option<Vec<ProjectName>>,
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
        Ok(Reader { fs: Arc::clone(&self.fs), dir: self.dir.clone(), read })
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

/// How a block changes: by how many members, and the times of those that came.
#[derive(Clone, Copy, Debug)]
struct Change {
    members: i64,
    oldest: u64,
    newest: u64,
}

/// One transaction that takes entries in.
struct Taking<'a> {
    places: redb::Table<'a, u64, &'static [u8]>,
    lists: redb::Table<'a, &'static str, u32>,
    members: redb::Table<'a, (u32, u64), ()>,
    blocks: redb::Table<'a, (u32, u64), (u32, u64, u64)>,
    known: BTreeMap<String, u32>,
    changes: BTreeMap<(u32, u64), Change>,
}

const REFUSED: &str = "r:";

impl<'a> Taking<'a> {
    fn begin(write: &'a redb::WriteTransaction) -> Result<Self, AuditError> {
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

    fn add(&mut self, entry: &Entry, first: u64, offset: u64, len: usize) -> Result<(), AuditError> {
        let told = &entry.told;
        let place = Place {
            first,
            offset,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            at: entry.act.at,
            of_type: self.list(format!("t:{}", told.event_type().name()))?,
            user: self.list(format!("u:{}", entry.act.actor))?,
            project: match &told.project {
                Some(project) => self.list(format!("p:{project}"))?,
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

    fn forget(&mut self, first: u64, to: u64) -> Result<(), AuditError> {
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

    fn end(mut self) -> Result<(), AuditError> {
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

/// What was committed at one moment.
#[derive(Debug)]
pub struct Reader {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    read: redb::ReadTransaction,
}

/// The lists a condition stands for; `None`: no condition.
type Lists = Option<BTreeSet<u32>>;

impl Reader {
    /// A page of what `filter` asks for.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn page(&self, filter: &Filter, order: Order, offset: u64, limit: usize) -> Result<Found, AuditError> {
        let conditions = self.conditions(filter)?;
        let base = self.shortest(&conditions)?;
        let others = conditions.iter().flatten().count() > usize::from(base.lists != [ALL]);
        let timed = filter.since.is_some() || filter.until.is_some();
        let rows = others || timed || filter.resource.is_some() || filter.succeeded == Some(true);
        let mut found = Found { complete: true, ..Found::default() };
        if !rows {
            found.total = base.blocks.values().sum();
        }
        let mut blocks: Vec<(u64, u64)> = base.blocks.iter().map(|(block, count)| (*block, *count)).collect();
        if order == Order::NewestFirst {
            blocks.reverse();
        }
        let mut looking = Looking { seen: 0, looked: 0, files: BTreeMap::new() };
        let most = if filter.resource.is_some() { SCAN_READ } else { SCAN };
        for (block, count) in blocks {
            if !rows && looking.seen + count <= offset {
                looking.seen += count;
                continue;
            }
            if !rows && found.entries.len() >= limit {
                break;
            }
            if timed && self.out_of_time(block, filter)? {
                continue;
            }
            if rows && looking.looked >= most {
                found.complete = false;
                break;
            }
            let mut members = self.members(&base.lists, block)?;
            if order == Order::NewestFirst {
                members.reverse();
            }
            for seq in members {
                self.look(seq, filter, rows.then_some(&conditions), (offset, limit), &mut looking, &mut found)?;
            }
        }
        if rows {
            found.total = looking.seen;
        }
        Ok(found)
    }

    /// Looks at one entry: counts it when it fits, and keeps it when it belongs to the page.
    fn look(
        &self,
        seq: u64,
        filter: &Filter,
        conditions: Option<&[Lists; 4]>,
        (offset, limit): (u64, usize),
        looking: &mut Looking,
        found: &mut Found,
    ) -> Result<(), AuditError> {
        looking.looked += 1;
        let wanted = looking.seen >= offset && found.entries.len() < limit;
        if conditions.is_none() && !wanted {
            looking.seen += 1;
            return Ok(());
        }
        let Some(place) = self.place(seq)? else { return Ok(()) };
        if let Some([types, users, projects, _]) = conditions {
            let within = |lists: &Lists, list| lists.as_ref().is_none_or(|lists| lists.contains(&list));
            let in_time = filter.since.is_none_or(|since| place.at >= since)
                && filter.until.is_none_or(|until| place.at <= until);
            let right = within(types, place.of_type) && within(users, place.user) && within(projects, place.project);
            if !right || !in_time || filter.succeeded.is_some_and(|succeeded| succeeded == place.refused) {
                return Ok(());
            }
        }
        if filter.resource.is_none() && !wanted {
            looking.seen += 1;
            return Ok(());
        }
        let Some(entry) = self.entry(seq, &place, looking)? else { return Ok(()) };
        if filter.resource.as_ref().is_some_and(|text| !text.fits(&entry.told.resource)) {
            return Ok(());
        }
        looking.seen += 1;
        if wanted {
            found.entries.push(entry);
        }
        Ok(())
    }

    /// One entry by its position.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn get(&self, seq: u64) -> Result<Option<Entry>, AuditError> {
        let mut looking = Looking { seen: 0, looked: 0, files: BTreeMap::new() };
        match self.place(seq)? {
            Some(place) => self.entry(seq, &place, &mut looking),
            None => Ok(None),
        }
    }

    fn conditions(&self, filter: &Filter) -> Result<[Lists; 4], AuditError> {
        let lists = self.read.open_table(LISTS).map_err(failed)?;
        let named = |name: &str| Ok::<_, AuditError>(lists.get(name).map_err(failed)?.map(|list| list.value()));
        let types = if filter.operation.is_none() && filter.kind.is_none() {
            None
        } else {
            let mut found = BTreeSet::new();
            for operation in Operation::ALL.into_iter().filter(|one| filter.operation.is_none_or(|all| all == *one)) {
                for kind in Resource::ALL.into_iter().filter(|one| filter.kind.is_none_or(|all| all == *one)) {
                    found.extend(named(&format!("t:{}", EventType { operation, kind }.name()))?);
                }
            }
            Some(found)
        };
        let users = match &filter.username {
            None => None,
            Some(Text::Exactly(name)) => Some(named(&format!("u:{name}"))?.into_iter().collect()),
            Some(Text::Contains(part)) => {
                let mut found = BTreeSet::new();
                for row in lists.range("u:".."u;").map_err(failed)? {
                    let (name, list) = row.map_err(failed)?;
                    if name.value().get(2..).is_some_and(|name| name.contains(part.as_str())) {
                        found.insert(list.value());
                    }
                    if found.len() == USERS {
                        break;
                    }
                }
                Some(found)
            }
        };
        let projects = match &filter.projects {
            None => None,
            Some(names) => {
                let mut found = BTreeSet::new();
                for name in names {
                    found.extend(named(&format!("p:{name}"))?);
                }
                Some(found)
            }
        };
        let refused = match filter.succeeded {
            Some(false) => Some(named(REFUSED)?.into_iter().collect()),
            Some(true) | None => None,
        };
        Ok([types, users, projects, refused])
    }

    /// The condition with the fewest entries, and how many it has in each block.
    fn shortest(&self, conditions: &[Lists; 4]) -> Result<Base, AuditError> {
        let mut best: Option<(u64, Base)> = None;
        for lists in conditions.iter().flatten() {
            let base = self.base(lists.iter().copied().collect())?;
            let total = base.blocks.values().sum();
            if best.as_ref().is_none_or(|(fewest, _)| total < *fewest) {
                best = Some((total, base));
            }
        }
        match best {
            Some((_, base)) => Ok(base),
            None => self.base(vec![ALL]),
        }
    }

    fn base(&self, lists: Vec<u32>) -> Result<Base, AuditError> {
        let table = self.read.open_table(BLOCKS).map_err(failed)?;
        let mut blocks = BTreeMap::new();
        for list in &lists {
            for row in table.range((*list, 0)..=(*list, u64::MAX)).map_err(failed)? {
                let (key, count) = row.map_err(failed)?;
                *blocks.entry(key.value().1).or_insert(0) += u64::from(count.value().0);
            }
        }
        Ok(Base { lists, blocks })
    }

    fn out_of_time(&self, block: u64, filter: &Filter) -> Result<bool, AuditError> {
        let table = self.read.open_table(BLOCKS).map_err(failed)?;
        let times = table.get((ALL, block)).map_err(failed)?.map_or((0, 0, u64::MAX), |times| times.value());
        let early = filter.since.is_some_and(|since| times.2 < since.0);
        Ok(early || filter.until.is_some_and(|until| times.1 > until.0))
    }

    /// The positions of a block that stand in any of the lists, in order.
    fn members(&self, lists: &[u32], block: u64) -> Result<Vec<u64>, AuditError> {
        let (from, to) = (block * BLOCK, block * BLOCK + BLOCK - 1);
        let mut members = Vec::new();
        if lists == [ALL] {
            for row in self.read.open_table(PLACES).map_err(failed)?.range(from..=to).map_err(failed)? {
                members.push(row.map_err(failed)?.0.value());
            }
            return Ok(members);
        }
        let table = self.read.open_table(MEMBERS).map_err(failed)?;
        for list in lists {
            for row in table.range((*list, from)..=(*list, to)).map_err(failed)? {
                members.push(row.map_err(failed)?.0.value().1);
            }
        }
        members.sort_unstable();
        Ok(members)
    }

    fn place(&self, seq: u64) -> Result<Option<Place>, AuditError> {
        let table = self.read.open_table(PLACES).map_err(failed)?;
        let bytes = table.get(seq).map_err(failed)?;
        bytes.map(|bytes| postcard::from_bytes(bytes.value()).map_err(failed)).transpose()
    }

    /// Reads an entry; none when a purge took it meanwhile.
    fn entry(&self, seq: u64, place: &Place, looking: &mut Looking) -> Result<Option<Entry>, AuditError> {
        let file = match looking.files.get(&place.first) {
            Some(file) => Arc::clone(file),
            None => {
                let Some(file) = open(&*self.fs, &self.dir, place.first)? else { return Ok(None) };
                looking.files.insert(place.first, Arc::clone(&file));
                file
            }
        };
        let mut line = vec![0; place.len as usize];
        let length = file.read_full_at(&mut line, place.offset)?;
        line.truncate(length);
        match read(&line) {
            Ok(Line::Entry(entry)) if entry.seq == seq => Ok(Some(*entry)),
            Ok(Line::Entry(_) | Line::Stone(_)) | Err(_) => Ok(None),
        }
    }
}

fn open(fs: &dyn FileSystem, dir: &Path, first: u64) -> Result<Option<Arc<dyn File>>, AuditError> {
    match fs.open(&dir.join(Segment::name(first)), Access::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The list, or lists, that are walked.
struct Base {
    lists: Vec<u32>,
    /// How many entries of them each block has.
    blocks: BTreeMap<u64, u64>,
}

/// Where a walk stands.
struct Looking {
    /// Entries that fit.
    seen: u64,
    /// Rows looked at.
    looked: usize,
    files: BTreeMap<u64, Arc<dyn File>>,
}

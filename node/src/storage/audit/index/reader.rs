//! Answering questions from the index. Reads what was committed at one moment; owns nothing but that view.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::seam::{Access, File, FileSystem};
use redb::ReadOnlyTable;

use super::super::AuditError;
use super::super::entry::{Entry, Line, read};
use super::super::log::Segment;
use super::super::words::{EventType, Resource};
use super::taking::REFUSED;
use super::{ALL, BLOCK, DONE, Filter, Found, Order, Place, Text, failed};
use crate::storage::meta::Operation;

/// Most rows looked at for one question.
const SCAN: usize = 50_000;

/// A list that is walked without looking for a shorter one.
const SHORT: u64 = 5000;

/// Most entries read from the files for one question that looks into their names.
const SCAN_READ: usize = 10_000;

/// Most names of users a part of a name may stand for.
const USERS: usize = 1000;

/// What was committed at one moment.
#[derive(Debug)]
pub struct Reader {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    pub(super) places: ReadOnlyTable<u64, &'static [u8]>,
    pub(super) lists: ReadOnlyTable<&'static str, u32>,
    pub(super) members: ReadOnlyTable<(u32, u64), ()>,
    pub(super) blocks: ReadOnlyTable<(u32, u64), (u32, u64, u64)>,
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
        let rows = others || timed || filter.resource.is_some();
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
        let mut blocks = blocks.into_iter();
        while let Some((block, count)) = blocks.next() {
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
            // Thin blocks are read together: seeking the list in each costs more than their members.
            let (mut ends, mut together) = ((block, block), count);
            while rows
                && !timed
                && base.lists != [DONE]
                && together < BLOCK
                && let Some((next, more)) = blocks.next()
            {
                ends = (ends.0.min(next), ends.1.max(next));
                together += more;
            }
            let mut members = self.members(&base.lists, ends)?;
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
        let named = |name: &str| self.named(name);
        let types = if filter.operations.is_none() && filter.kinds.is_none() {
            None
        } else {
            let mut found = BTreeSet::new();
            let wanted = |one: &Operation| filter.operations.as_ref().is_none_or(|these| these.contains(one));
            let of_kind = |one: &Resource| filter.kinds.as_ref().is_none_or(|these| these.contains(one));
            for operation in Operation::ALL.into_iter().filter(wanted) {
                for kind in Resource::ALL.into_iter().filter(of_kind) {
                    found.extend(named(&format!("t:{}", EventType { operation, kind }.name()))?);
                }
            }
            Some(found)
        };
        let users = match &filter.username {
            None => None,
            Some(Text::Exactly(name)) => Some(named(&format!("u:{name}"))?.into_iter().collect()),
            Some(Text::OneOf(names)) => {
                let mut found = BTreeSet::new();
                for name in names {
                    found.extend(named(&format!("u:{name}"))?);
                }
                Some(found)
            }
            Some(part @ Text::Contains(_)) => {
                let mut found = BTreeSet::new();
                for row in self.lists.range("u:".."u;").map_err(failed)? {
                    let (name, list) = row.map_err(failed)?;
                    if name.value().get(2..).is_some_and(|name| part.fits(name)) {
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
            Some(scopes) => {
                let mut found = BTreeSet::new();
                for scope in scopes {
                    found.extend(named(&format!("p:{scope}"))?);
                }
                Some(found)
            }
        };
        let outcomes = match filter.succeeded {
            Some(false) => Some(named(REFUSED)?.into_iter().collect()),
            Some(true) => Some(BTreeSet::from([DONE])),
            None => None,
        };
        Ok([types, users, projects, outcomes])
    }

    /// The number of a list; none when nothing stands in it yet.
    fn named(&self, name: &str) -> Result<Option<u32>, AuditError> {
        Ok(self.lists.get(name).map_err(failed)?.map(|list| list.value()))
    }

    /// The condition with the fewest entries, and how many it has in each block.
    fn shortest(&self, conditions: &[Lists; 4]) -> Result<Base, AuditError> {
        let mut best: Option<(u64, Base)> = None;
        for lists in conditions.iter().flatten() {
            // What was done is nearly everything: not even counted where another list is short.
            if lists.contains(&DONE) && best.as_ref().is_some_and(|(fewest, _)| *fewest <= SHORT) {
                continue;
            }
            let base = self.base(lists.iter().copied().collect())?;
            let total: u64 = base.blocks.values().sum();
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
        if lists == [DONE] {
            let mut blocks = self.counts(&[ALL])?;
            for (block, refused) in self.counts(self.named(REFUSED)?.as_slice())? {
                if let Some(count) = blocks.get_mut(&block) {
                    *count = count.saturating_sub(refused);
                }
            }
            blocks.retain(|_, count| *count > 0);
            return Ok(Base { lists, blocks });
        }
        let blocks = self.counts(&lists)?;
        Ok(Base { lists, blocks })
    }

    /// How many members of these lists each block has.
    fn counts(&self, lists: &[u32]) -> Result<BTreeMap<u64, u64>, AuditError> {
        let mut blocks = BTreeMap::new();
        for list in lists {
            for row in self.blocks.range((*list, 0)..=(*list, u64::MAX)).map_err(failed)? {
                let (key, count) = row.map_err(failed)?;
                *blocks.entry(key.value().1).or_insert(0) += u64::from(count.value().0);
            }
        }
        Ok(blocks)
    }

    fn out_of_time(&self, block: u64, filter: &Filter) -> Result<bool, AuditError> {
        let times = self.blocks.get((ALL, block)).map_err(failed)?.map_or((0, 0, u64::MAX), |times| times.value());
        let early = filter.since.is_some_and(|since| times.2 < since.0);
        Ok(early || filter.until.is_some_and(|until| times.1 > until.0))
    }

    /// The positions from one block to another that stand in any of the lists, in order.
    fn members(&self, lists: &[u32], (first, last): (u64, u64)) -> Result<Vec<u64>, AuditError> {
        if lists == [DONE] {
            let refused = self.members(self.named(REFUSED)?.as_slice(), (first, last))?;
            let mut members = self.members(&[ALL], (first, last))?;
            members.retain(|seq| refused.binary_search(seq).is_err());
            return Ok(members);
        }
        let (from, to) = (first * BLOCK, last * BLOCK + BLOCK - 1);
        let mut members = Vec::new();
        if lists == [ALL] {
            for row in self.places.range(from..=to).map_err(failed)? {
                members.push(row.map_err(failed)?.0.value());
            }
            return Ok(members);
        }
        for list in lists {
            for row in self.members.range((*list, from)..=(*list, to)).map_err(failed)? {
                members.push(row.map_err(failed)?.0.value().1);
            }
        }
        members.sort_unstable();
        Ok(members)
    }

    fn place(&self, seq: u64) -> Result<Option<Place>, AuditError> {
        let bytes = self.places.get(seq).map_err(failed)?;
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

//! The file under the database, through the seam of the disk.
//!
//! Owns the open file. What a crash loses is decided here: nothing before the last [`StorageBackend::sync_data`] that
//! returned, anything after it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use protocol::seam::{Access, File, FileSystem};
use redb::StorageBackend;

/// Opens the database file, which is there, and makes its name durable.
pub(super) fn open_file(fs: &dyn FileSystem, path: &Path, sync: bool) -> io::Result<Arc<dyn File>> {
    let file = fs.open(path, Access::Write)?;
    if sync {
        // A crash may have come between the moment it got its name and the sync of that.
        fs.sync_dir(parent(path))?;
    }
    Ok(file)
}

/// The directory a file stands in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Fills `out` from `offset` on; an error at the end of the file.
fn read_exact_at(file: &dyn File, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
    while !out.is_empty() {
        match file.read_at(out, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                out = &mut out[n..];
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What ended the use of an [`OnDisk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A write found no room. What was synced before is as certain as it was: the file may be opened again.
    NoRoom,
    /// A sync failed, or a write did for another reason: nothing is certain until a restart.
    Failed,
}

/// How an [`OnDisk`] ended, if it did. Kept by whoever may open the file again.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<OnceLock<End>>);

impl Fate {
    /// `None` while nothing failed. The first failure counts.
    pub(super) fn end(&self) -> Option<End> {
        self.0.get().copied()
    }
}

/// A database on the disk.
#[derive(Debug)]
pub(in crate::storage) struct OnDisk {
    file: Arc<dyn File>,
    sync: bool,
    /// Once a write or sync failed, nothing is written and nothing synced, whatever the engine tries.
    fate: Fate,
}

impl OnDisk {
    /// A database in `file`. Without `sync` nothing survives a power cut for sure (tests, throw-away nodes, and
    /// snapshots, which are synced once at their end).
    pub(in crate::storage) fn new(file: Arc<dyn File>, sync: bool) -> Self {
        Self { file, sync, fate: Fate::default() }
    }

    /// Where it will be seen how this one ended.
    pub(super) fn fate(&self) -> Fate {
        self.fate.clone()
    }

    fn ended(&self) -> io::Result<()> {
        match self.fate.end() {
            None => Ok(()),
            Some(End::NoRoom) => Err(io::ErrorKind::StorageFull.into()),
            Some(End::Failed) => Err(io::Error::other("an earlier write or sync failed")),
        }
    }

    fn change(&self, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.ended()?;
        change().inspect_err(|error| {
            let full = error.kind() == io::ErrorKind::StorageFull;
            let _ = self.fate.0.set(if full { End::NoRoom } else { End::Failed });
        })
    }
}

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact_at(&*self.file, offset, out)?;
        // Looked at after the read: a transaction that outlives the failure must not see pages that the database
        // opened after it has used again.
        self.ended()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ended()?;
        if !self.sync {
            return Ok(());
        }
        // For whatever reason, also for want of room: what a failed sync leaves behind nobody knows.
        self.file.sync().inspect_err(|_| {
            let _ = self.fate.0.set(End::Failed);
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.file.write_all_at(data, offset))
    }
}

/// A page of [`Frozen`].
const PAGE: usize = 4096;

/// A view of the file that keeps every write in memory: the database recovers in it after a failed write, and what is on
/// the disk stays as it is for the restart.
#[derive(Debug)]
pub(super) struct Frozen {
    file: Arc<dyn File>,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    /// Length as the database sees it.
    len: u64,
    /// From here on the file is not looked at: it was cut there, or ends there.
    base: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Frozen {
    /// A view of `file` as it is now.
    pub(super) fn new(file: Arc<dyn File>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, over: Mutex::new(Over { len, base: len, pages: BTreeMap::new() }) })
    }

    fn over(&self) -> MutexGuard<'_, Over> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page as the file has it.
    fn base(&self, page: u64, base: u64) -> io::Result<Box<[u8; PAGE]>> {
        let mut content = Box::new([0; PAGE]);
        let start = page * PAGE as u64;
        let there = usize::try_from(base.saturating_sub(start)).unwrap_or(PAGE).min(PAGE);
        read_exact_at(&*self.file, start, &mut content[..there])?;
        Ok(content)
    }

    /// Calls `part` for each page that `len` bytes from `offset` on touch: page, range in the page, range in the bytes.
    fn parts(
        offset: u64,
        len: usize,
        mut part: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = usize::try_from(at % PAGE as u64).unwrap_or_default();
            let n = (PAGE - within).min(len - done);
            part(at / PAGE as u64, within..within + n, done..done + n)?;
            done += n;
        }
        Ok(())
    }
}

impl StorageBackend for Frozen {
    fn len(&self) -> io::Result<u64> {
        Ok(self.over().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = self.over();
        if offset.saturating_add(out.len() as u64) > over.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Self::parts(offset, out.len(), |page, within, range| {
            match over.pages.get(&page) {
                Some(content) => out[range].copy_from_slice(&content[within]),
                None => out[range].copy_from_slice(&self.base(page, over.base)?[within]),
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut over = self.over();
        if len < over.len {
            over.base = over.base.min(len);
            over.pages.split_off(&len.div_ceil(PAGE as u64));
            let within = usize::try_from(len % PAGE as u64).unwrap_or_default();
            if let Some(last) = over.pages.get_mut(&(len / PAGE as u64)) {
                last[within..].fill(0);
            }
        }
        over.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = self.over();
        let base = over.base;
        Self::parts(offset, data.len(), |page, within, range| {
            let content = match over.pages.entry(page) {
                std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => free.insert(self.base(page, base)?),
            };
            content[within].copy_from_slice(&data[range]);
            Ok(())
        })
    }
}

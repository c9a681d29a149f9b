//! A disk in memory that counts syncs and can be told to fail, for the tests of this engine.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use protocol::seam::{Access, DirEntry, EntryKind, File, FileSystem, Space};

/// What the disk does from now on, and what it did.
#[derive(Debug, Default)]
pub(in crate::storage::meta) struct Dials {
    /// Syncs of files that were asked for.
    pub(in crate::storage::meta) syncs: AtomicU64,
    /// Once it has counted down to zero, every sync but this one succeeds again: what a kernel does.
    pub(in crate::storage::meta) fail_sync_in: AtomicU64,
    /// Milliseconds a sync takes.
    pub(in crate::storage::meta) sync_takes: AtomicU64,
    /// Bytes that were taken from the room there is.
    pub(in crate::storage::meta) used: AtomicU64,
    /// Writes that were asked for.
    pub(in crate::storage::meta) writes: AtomicU64,
    /// Once it has counted down to zero, one write finds no room.
    pub(in crate::storage::meta) full_write_in: AtomicU64,
    /// When set, writes answer that there is no room.
    pub(in crate::storage::meta) full: std::sync::atomic::AtomicBool,
}

/// Files in memory; directories are not told apart.
#[derive(Clone, Debug, Default)]
pub(in crate::storage::meta) struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Arc<MemoryFile>>>>,
    pub(in crate::storage::meta) dials: Arc<Dials>,
}

#[derive(Debug)]
struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    dials: Arc<Dials>,
}

impl MemoryDisk {
    /// A copy of a file's bytes.
    pub(in crate::storage::meta) fn bytes(&self, path: &Path) -> Vec<u8> {
        self.files.lock().unwrap()[path].bytes.lock().unwrap().clone()
    }

    /// Changes a file's bytes behind everybody's back.
    pub(in crate::storage::meta) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let file = Arc::new(MemoryFile { bytes: Mutex::new(bytes), dials: Arc::clone(&self.dials) });
        self.files.lock().unwrap().insert(path.into(), file);
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock().unwrap();
        let from = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.dials.writes.fetch_add(1, Ordering::SeqCst);
        let left = self.dials.full_write_in.load(Ordering::SeqCst);
        self.dials.full_write_in.store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 1 || self.dials.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut bytes = self.bytes.lock().unwrap();
        let (start, end) = (usize::try_from(offset).unwrap(), usize::try_from(offset).unwrap() + buf.len());
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(buf);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.dials.syncs.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(self.dials.sync_takes.load(Ordering::SeqCst)));
        let left = self.dials.fail_sync_in.load(Ordering::SeqCst);
        if left > 0 {
            self.dials.fail_sync_in.store(left - 1, Ordering::SeqCst);
            if left == 1 {
                return Err(io::Error::other("the disk lost it"));
            }
        }
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

impl FileSystem for MemoryDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut files = self.files.lock().unwrap();
        let there = files.get(path).cloned();
        match (access, there) {
            (Access::CreateNew, Some(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            (Access::Read | Access::Write, None) => Err(io::ErrorKind::NotFound.into()),
            (Access::Read | Access::Write | Access::Create, Some(file)) => Ok(file),
            (Access::Create | Access::CreateNew, None) => {
                let file = Arc::new(MemoryFile { bytes: Mutex::default(), dials: Arc::clone(&self.dials) });
                files.insert(path.into(), Arc::clone(&file));
                Ok(file)
            }
        }
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.file_len(to)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.lock().unwrap().remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let files = self.files.lock().unwrap();
        let here = files.iter().filter(|(name, _)| name.parent() == Some(path));
        let entry = |(name, file): (&PathBuf, &Arc<MemoryFile>)| DirEntry {
            name: name.file_name().unwrap().to_str().unwrap().into(),
            kind: EntryKind::File,
            len: file.bytes.lock().unwrap().len() as u64,
        };
        Ok(here.map(entry).collect())
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        Ok(self.files.lock().unwrap().get(path).map(|file| file.bytes.lock().unwrap().len() as u64))
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        const TOTAL: u64 = 1 << 40;
        Ok(Space { total: TOTAL, available: TOTAL - self.dials.used.load(Ordering::SeqCst) })
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, Access::Create)
    }
}

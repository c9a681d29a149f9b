//! A disk for tests: the real one, with calls counted and the failures a test asks for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use protocol::seam::{Access, DirEntry, File, FileSystem, Space};

use super::RealDisk;

/// The calls a test may let fail or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Read,
    Write,
    Sync,
    SyncDir,
    Rename,
}

#[derive(Debug)]
struct Fault {
    call: Call,
    // Part of the path the call is about.
    about: String,
    // Calls that still succeed.
    after: u64,
    kind: io::ErrorKind,
}

#[derive(Debug, Default)]
struct State {
    faults: Mutex<Vec<Fault>>,
    syncs: AtomicU64,
    dir_syncs: AtomicU64,
    // Whether a write that fails leaves half its bytes.
    torn: AtomicBool,
    space: Mutex<Option<Space>>,
    // While true, directory syncs wait.
    gate: Mutex<bool>,
    opened: Condvar,
}

/// The real disk, failing on demand. Clones share their faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faulty(Arc<State>);

#[derive(Debug)]
struct FaultyFile {
    disk: Faulty,
    path: PathBuf,
    inner: Arc<dyn File>,
}

impl Faulty {
    /// From the `after`-th such call on a path that contains `about` on, every one fails with `kind`.
    pub(crate) fn fail(&self, call: Call, about: &str, after: u64, kind: io::ErrorKind) {
        self.0.faults.lock().unwrap().push(Fault { call, about: about.into(), after, kind });
    }

    /// From now on a write that fails leaves half its bytes.
    pub(crate) fn tear(&self, torn: bool) {
        self.0.torn.store(torn, Ordering::SeqCst);
    }

    pub(crate) fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::SeqCst)
    }

    pub(crate) fn dir_syncs(&self) -> u64 {
        self.0.dir_syncs.load(Ordering::SeqCst)
    }

    pub(crate) fn set_space(&self, space: Option<Space>) {
        *self.0.space.lock().unwrap() = space;
    }

    pub(crate) fn hold_dir_syncs(&self, hold: bool) {
        *self.0.gate.lock().unwrap() = hold;
        self.0.opened.notify_all();
    }

    fn check(&self, call: Call, path: &Path) -> io::Result<()> {
        let mut faults = self.0.faults.lock().unwrap();
        let path = path.to_string_lossy();
        for fault in faults.iter_mut().filter(|fault| fault.call == call && path.contains(&fault.about)) {
            if fault.after == 0 {
                return Err(fault.kind.into());
            }
            fault.after -= 1;
        }
        Ok(())
    }

    fn wrap(&self, path: &Path, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultyFile { disk: self.clone(), path: path.into(), inner })
    }
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.check(Call::Read, &self.path)?;
        self.inner.read_at(buf, offset)
    }
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_cached_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.disk.check(Call::Write, &self.path) {
            if self.disk.0.torn.load(Ordering::SeqCst) {
                self.inner.write_all_at(&buf[..buf.len() / 2], offset)?;
            }
            return Err(error);
        }
        self.inner.write_all_at(buf, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.0.syncs.fetch_add(1, Ordering::SeqCst);
        self.disk.check(Call::Sync, &self.path)?;
        self.inner.sync()
    }
    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }
}

impl FileSystem for Faulty {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        self.check(Call::Open, path)?;
        Ok(self.wrap(path, RealDisk.open(path, access)?))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename, to)?;
        RealDisk.rename(from, to)
    }
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename, to)?;
        RealDisk.rename_no_replace(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.dir_syncs.fetch_add(1, Ordering::SeqCst);
        let mut held = self.0.gate.lock().unwrap();
        while *held {
            held = self.0.opened.wait(held).unwrap();
        }
        drop(held);
        self.check(Call::SyncDir, path)?;
        RealDisk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }
    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        RealDisk.file_len(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        match *self.0.space.lock().unwrap() {
            Some(space) => Ok(space),
            None => RealDisk.space(path),
        }
    }
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        RealDisk.lock(path)
    }
}

//! A disk in memory that keeps exactly what it promised, and no more.
//!
//! [`SimDisk`] implements [`FileSystem`] with the fault model of that trait at its most pessimistic:
//! - unsynced bytes of a file survive a crash in any subset of 4 KiB blocks, each in any version it had since the last
//!   sync; its length survives independently (length without bytes reads as zeros, bytes without length are cut);
//! - unsynced changes of a directory survive in any subset that keeps the order of changes of one name or one file; a
//!   rename is atomic within a directory, across directories both names may be found, never none;
//! - syncing a file does not sync its name, syncing a directory does not sync the name of the directory;
//! - a sync that fails leaves everything clean: later syncs answer well and persist nothing of it.
//!
//! A test runs its storage on [`SimDisk::file_system`] with [`SimDisk::record`] on, notes [`SimDisk::op_count`] at every
//! acknowledgement, and then recovers on every state of [`SimDisk::crash_states`]:
//!
//! ```
//! use protocol::seam::{Access, FileSystem};
//! use simulations::SimDisk;
//! use std::path::Path;
//!
//! let disk = SimDisk::new();
//! disk.record();
//! let file = disk.open(Path::new("/a"), Access::Create)?;
//! file.write_all_at(b"promised", 0)?;
//! file.sync()?;
//! disk.sync_dir(Path::new("/"))?;
//! let promised_at = disk.op_count();
//! for state in disk.crash_states(1000) {
//!     let found = state.disk.contents();
//!     assert!(state.after < promised_at || found[Path::new("/a")] == b"promised");
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What it does not model: hard links, symbolic links, permissions, tearing within a block, room taken by names.
//!
//! A disk is a cheap handle; all handles share one state under one lock. A crash ([`SimDisk::crash`]), a killed process
//! ([`SimDisk::kill`]) and the exhaustive list ([`SimDisk::crash_states`]) each make a *new* disk and leave this one as
//! it was: nobody holds a handle or a lock on the new one, its log is empty and its faults are gone.

mod content;
mod crash;
mod fault;
mod handle;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::seam::{Access, DirEntry, EntryKind, File, FileSystem, Space};

pub use crash::CrashStates;
pub use fault::{Fault, Injection, Op, OpKind, Outcome};

use crate::rng::Rng;
use handle::SimFile;
use tree::{Node, NodeId, Place, Tree};

/// Room on a disk unless told otherwise: enough that no test meets the end by accident.
const CAPACITY: u64 = 1 << 40;

/// A simulated disk. Clones are handles to the same one.
#[derive(Clone)]
pub struct SimDisk {
    core: Arc<Mutex<Core>>,
}

/// A state a power cut may leave.
#[derive(Clone, Debug)]
pub struct CrashState {
    /// How many operations of the log had begun: the cut came after that many.
    pub after: usize,
    /// The disk as the next process finds it.
    pub disk: SimDisk,
}

/// What the lock guards.
struct Core {
    tree: Tree,
    locks: BTreeSet<NodeId>,
    cold: BTreeSet<NodeId>,
    log: Vec<Op>,
    injections: Vec<Injection>,
    stop_after: Option<usize>,
    stopped: bool,
    /// The tree after each operation, once recording; the number is that of operations before it.
    snapshots: Option<Vec<(usize, Tree)>>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.core();
        f.debug_struct("SimDisk")
            .field("ops", &core.log.len())
            .field("settled", &core.tree.is_settled())
            .field("stopped", &core.stopped)
            .finish_non_exhaustive()
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk with plenty of room.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// An empty disk with room for this many bytes, in whole blocks of 4 KiB.
    #[must_use]
    pub fn with_capacity(capacity: u64) -> Self {
        Self::from_tree(Tree::new(capacity))
    }

    fn from_tree(tree: Tree) -> Self {
        let core = Core {
            tree,
            locks: BTreeSet::new(),
            cold: BTreeSet::new(),
            log: Vec::new(),
            injections: Vec::new(),
            stop_after: None,
            stopped: false,
            snapshots: None,
        };
        Self { core: Arc::new(Mutex::new(core)) }
    }

    /// This disk behind the seam.
    #[must_use]
    pub fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    // What happened.

    /// The operations so far that change the disk or what of it survives. Calls that change nothing (reads, opening
    /// what is there, names that are missing) are not among them.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        self.core().log.clone()
    }

    /// How many operations there were: what `after` of a [`CrashState`] is compared with.
    #[must_use]
    pub fn op_count(&self) -> usize {
        self.core().log.len()
    }

    /// Whether a power cut at this moment could take nothing away.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.core().tree.is_settled()
    }

    /// A hash of all names, lengths and bytes as a process sees them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        *self.core().tree.fingerprint().as_bytes()
    }

    /// Paths and lengths of all files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let core = self.core();
        let len = |node| core.tree.file(node).map_or(0, |file| file.content.len());
        core.tree.files().into_iter().map(|(path, node)| (PathBuf::from(path), len(node))).collect()
    }

    /// All files with their bytes, in order of path.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let core = self.core();
        core.tree
            .files()
            .into_iter()
            .filter_map(|(path, node)| {
                let content = &core.tree.file(node).ok()?.content;
                let mut bytes = vec![0; usize::try_from(content.len()).ok()?];
                content.read(&mut bytes, 0);
                Some((PathBuf::from(path), bytes))
            })
            .collect()
    }

    // What goes wrong.

    /// Lets `n` operations of the log happen in all; the next one and every call after it fail, as if the process had
    /// died in between. Take [`Self::crash`] or [`Self::kill`] to go on.
    pub fn stop_after(&self, n: usize) {
        self.core().stop_after = Some(n);
    }

    /// Every call from now on fails.
    pub fn stop(&self) {
        self.core().stopped = true;
    }

    /// Whether the process is dead: a call came after the last one allowed.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.core().stopped
    }

    /// Arms a fault. Several may be armed; each counts for itself and strikes once.
    pub fn inject(&self, injection: Injection) {
        self.core().injections.push(injection);
    }

    /// Makes the `nth` operation from now fail; 1 is the next.
    pub fn fail_nth(&self, nth: u64, fault: Fault) {
        self.inject(Injection { kind: None, nth, fault });
    }

    /// Disarms all faults that have not struck.
    pub fn heal(&self) {
        self.core().injections.clear();
    }

    /// Sets the size of the volume. It may be less than what is in use: nothing is lost, nothing more fits.
    pub fn set_capacity(&self, capacity: u64) {
        self.core().tree.capacity = capacity;
    }

    /// Flips a bit of the byte at `offset`, in the cache and on the platter alike.
    ///
    /// # Errors
    /// `NotFound` for a missing file, `InvalidInput` beyond its end or in a hole.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        let mut core = self.core();
        let node = core.tree.find(path)?;
        let flipped = core.tree.edit(node, |content, _| content.flip(offset, bit))?;
        flipped.then_some(()).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no byte there to flip"))
    }

    /// Marks a file as cold (not in the page cache: [`File::read_cached_at`] answers `WouldBlock`) or as warm again.
    ///
    /// # Errors
    /// `NotFound` for a missing file.
    pub fn set_cold(&self, path: &Path, cold: bool) -> io::Result<()> {
        let mut core = self.core();
        let node = core.tree.find(path)?;
        if cold {
            core.cold.insert(node);
        } else {
            core.cold.remove(&node);
        }
        Ok(())
    }

    /// Evicts clean pages. What a failed sync dropped is now read as the platter has it, in the running process.
    pub fn drop_caches(&self) {
        self.core().tree.edit_all(content::Content::drop_caches);
    }

    // How it ends.

    /// A disk as a power cut at this moment may leave it, as `rng` decides.
    #[must_use]
    pub fn crash(&self, rng: &mut Rng) -> Self {
        Self::from_tree(crash::draw(&self.core().tree, rng))
    }

    /// A disk as the next process finds it after this one was killed: the page cache survives, so nothing is lost; but
    /// nothing is synced by it either, and a later power cut may still take it.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self::from_tree(self.core().tree.reopened())
    }

    /// Starts to keep the tree after every operation, for [`Self::crash_states`]. Each costs a copy of the list of
    /// unsynced blocks of the file it touches, not of their bytes.
    pub fn record(&self) {
        let mut core = self.core();
        let start = (core.log.len(), core.tree.clone());
        core.snapshots.get_or_insert_with(|| vec![start]);
    }

    /// The states a power cut may leave, after each operation since [`Self::record`] (without it: at this moment),
    /// without repeats within one moment. A moment with fewer than `limit` legal states is gone through exhaustively; of
    /// one with more, `limit` are built: nothing kept, everything kept, one thing lost, one thing kept, and random ones,
    /// the same in every run.
    #[must_use]
    pub fn crash_states(&self, limit: usize) -> CrashStates {
        let core = self.core();
        let now = || vec![(core.log.len(), core.tree.clone())];
        CrashStates::new(core.snapshots.clone().unwrap_or_else(now), limit)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic in a test thread must not hide what another thread finds.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_node(&self, core: &mut Core, node: NodeId, path: &Path, writable: bool) -> io::Result<SimFile> {
        core.tree.add_handle(node)?;
        Ok(SimFile::new(self.clone(), node, path, writable))
    }

    fn move_file(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        let mut core = self.core();
        core.alive()?;
        let (source, target) = (core.tree.place(from)?, core.tree.place(to)?);
        let node = source.node.ok_or(io::ErrorKind::NotFound)?;
        core.tree.file(node)?;
        if let Some(old) = target.node {
            if !replace {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            core.tree.file(old)?;
            if old == node {
                // POSIX: two names of one file, which a crash amid a rename may leave: rename does nothing.
                return Ok(());
            }
        }
        core.perform(OpKind::Rename, from, Some(to), (0, 0), |tree, fault| match fault {
            Some(fault) => Err(fault.error()),
            None => tree.rename(&source, &target),
        })
    }
}

impl Core {
    fn alive(&self) -> io::Result<()> {
        if self.stopped { Err(io::Error::other("the process is dead (simulated)")) } else { Ok(()) }
    }

    /// Runs one operation: counts it, lets a fault strike, logs how it ended and keeps the tree when recording.
    fn perform<T>(
        &mut self,
        kind: OpKind,
        path: &Path,
        to: Option<&Path>,
        range: (u64, u64),
        operation: impl FnOnce(&mut Tree, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.stopped |= self.stop_after.is_some_and(|n| self.log.len() >= n);
        self.alive()?;
        let mut fault = None;
        for injection in &mut self.injections {
            // Each counts every operation, also those that another one fails.
            let struck = injection.strike(kind);
            fault = fault.or(struck);
        }
        self.injections.retain(|injection| injection.nth > 0);
        let result = operation(&mut self.tree, fault);
        let outcome = if result.is_ok() { Outcome::Done } else { Outcome::Failed };
        self.log.push(Op { kind, path: path.into(), to: to.map(Path::to_owned), range, outcome });
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.push((self.log.len(), self.tree.clone()));
        }
        result
    }

    fn create(&mut self, place: &Place, path: &Path) -> io::Result<NodeId> {
        self.perform(OpKind::Create, path, None, (0, 0), |tree, fault| match fault {
            Some(fault) => Err(fault.error()),
            None => tree.create_file(place),
        })
    }
}

impl FileSystem for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut core = self.core();
        core.alive()?;
        let place = core.tree.place(path)?;
        let node = match (place.node, access) {
            (Some(_), Access::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(node), Access::Read | Access::Write | Access::Create) => node,
            (None, Access::Create | Access::CreateNew) => core.create(&place, path)?,
            (None, Access::Read | Access::Write) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(self.open_node(&mut core, node, path, access != Access::Read)?))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut core = self.core();
        core.alive()?;
        let mut at = tree::ROOT;
        let mut so_far = PathBuf::from("/");
        for name in Tree::names(path)? {
            so_far.push(name);
            at = match core.tree.dir(at)?.live.get(name) {
                Some(&there) => there,
                None => core.perform(OpKind::CreateDir, &so_far, None, (0, 0), |tree, fault| match fault {
                    Some(fault) => Err(fault.error()),
                    None => tree.create_dir(at, name),
                })?,
            };
        }
        core.tree.dir(at).map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.move_file(from, to, true)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.move_file(from, to, false)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut core = self.core();
        core.alive()?;
        let place = core.tree.place(path)?;
        core.tree.file(place.node.ok_or(io::ErrorKind::NotFound)?)?;
        core.perform(OpKind::Remove, path, None, (0, 0), |tree, fault| match fault {
            Some(fault) => Err(fault.error()),
            None => tree.remove(&place),
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut core = self.core();
        core.alive()?;
        let node = core.tree.find(path)?;
        core.tree.dir(node)?;
        core.perform(OpKind::SyncDir, path, None, (0, 0), |tree, fault| match fault {
            Some(fault) => {
                tree.fail_sync_dir(node);
                Err(fault.error())
            }
            None => {
                tree.sync_dir(node);
                Ok(())
            }
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let core = self.core();
        core.alive()?;
        let dir = core.tree.dir(core.tree.find(path)?)?;
        dir.live
            .iter()
            .map(|(name, &node)| {
                let (kind, len) = match core.tree.node(node)? {
                    Node::File(file) => (EntryKind::File, file.content.len()),
                    Node::Dir(_) => (EntryKind::Directory, 0),
                };
                Ok(DirEntry { name: name.clone(), kind, len })
            })
            .collect()
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        let core = self.core();
        core.alive()?;
        match core.tree.find(path) {
            Ok(node) => Ok(Some(core.tree.file(node)?.content.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let core = self.core();
        core.alive()?;
        core.tree.find(path)?;
        Ok(Space { total: core.tree.capacity, available: core.tree.available() })
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut core = self.core();
        core.alive()?;
        let place = core.tree.place(path)?;
        let node = match place.node {
            Some(node) => node,
            None => core.create(&place, path)?,
        };
        core.tree.file(node)?;
        if !core.locks.insert(node) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Arc::new(self.open_node(&mut core, node, path, true)?.locked()))
    }
}

#[cfg(test)]
mod tests;

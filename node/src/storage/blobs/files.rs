//! Blobs as files: the default engine.
//!
//! ```text
//! blobs/<algorithm>/<first two hex>/<hex>        the bytes
//! blobs/<algorithm>/<first two hex>/<hex>.tree   the tree over them, above one group
//! trash/<milliseconds>-<algorithm>-<hex>[.tree]  removed, until its time is over
//! quarantine/<algorithm>-<hex>[.tree]            damaged, until a person looks
//! ```
//!
//! The fan-out directories are made, and their names synced, at start, so that a commit syncs one directory: that of its name.
//! Commits into one directory at the same time share a sync, but only one that began after their rename.
//!
//! A crash loses no committed blob. It may lose that a blob was removed: its row, which went first, is gone, and the next
//! scrub moves the file again. Or that one was quarantined: its row says so, and the file stays until a push replaces it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use protocol::seam::{Access, Clock, DirEntry, EntryKind, FileSystem};
use protocol::{Algorithm, Digest, Timestamp};

use super::handles::Handles;
use super::{Answer, BlobStore, BlobStoreError, Listed, OpenBlob, Staged};
use crate::storage::Health;
use crate::storage::uploads::is_full;
use crate::workers::{Lost, Scope};

const FAN_OUT: usize = 256;

/// Blobs in a data directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FileBlobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fs: Arc<dyn FileSystem>,
    blobs: PathBuf,
    trash: PathBuf,
    quarantine: PathBuf,
    clock: Arc<dyn Clock>,
    scope: Scope,
    health: Health,
    /// One for each fan-out directory, in the order of [`Inner::slot`].
    syncs: Vec<DirSync>,
    handles: Handles,
}

impl FileBlobs {
    /// Opens the blobs under `data`, making and syncing what directories are missing. Blocks on the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        data: &Path,
        clock: Arc<dyn Clock>,
        scope: Scope,
        health: Health,
    ) -> io::Result<Self> {
        let (blobs, trash, quarantine) = (data.join("blobs"), data.join("trash"), data.join("quarantine"));
        for algorithm in Algorithm::ALL {
            make_fan_out(&*fs, &blobs.join(algorithm.as_str()))?;
        }
        for dir in [&trash, &quarantine] {
            fs.create_dir_all(dir)?;
        }
        fs.sync_dir(&blobs)?;
        fs.sync_dir(data)?;
        let syncs = (0..FAN_OUT * Algorithm::ALL.len()).map(|_| DirSync::default()).collect();
        let handles = Handles::default();
        Ok(Self(Arc::new(Inner { fs, blobs, trash, quarantine, clock, scope, health, syncs, handles })))
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Inner) -> Result<T, BlobStoreError> + Send + 'static,
    ) -> Result<T, BlobStoreError> {
        let inner = Arc::clone(&self.0);
        self.0.scope.run_blocking(name, move || work(&inner)).await?
    }
}

/// Makes the directories `00` to `ff`. They are synced also when all are there: a start that made them may have been
/// killed before it did, or its sync failed, and no commit syncs what is above its own directory.
fn make_fan_out(fs: &dyn FileSystem, parent: &Path) -> io::Result<()> {
    fs.create_dir_all(parent)?;
    let here: BTreeSet<String> = fs.list(parent)?.into_iter().map(|entry| entry.name).collect();
    for name in (0..FAN_OUT).map(|n| format!("{n:02x}")).filter(|name| !here.contains(name)) {
        fs.create_dir_all(&parent.join(name))?;
    }
    fs.sync_dir(parent)
}

impl From<Lost> for BlobStoreError {
    fn from(lost: Lost) -> Self {
        Self::Io(io::Error::other(lost))
    }
}

fn disk(error: io::Error) -> BlobStoreError {
    if is_full(error.kind()) { BlobStoreError::Full } else { BlobStoreError::Io(error) }
}

fn tree_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tree");
    name.into()
}

/// Whether a file of that name was there to be moved.
fn moved(outcome: io::Result<()>) -> Result<bool, BlobStoreError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk(error)),
    }
}

impl Inner {
    fn slot(algorithm: Algorithm, first: u8) -> usize {
        let base = match algorithm {
            Algorithm::Sha256 => 0,
            Algorithm::Sha512 => FAN_OUT,
        };
        base + usize::from(first)
    }

    fn dir(&self, algorithm: Algorithm, first: u8) -> PathBuf {
        self.blobs.join(algorithm.as_str()).join(format!("{first:02x}"))
    }

    fn first(digest: &Digest) -> u8 {
        digest.hash().first().copied().unwrap_or_default()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir(digest.algorithm(), Self::first(digest)).join(digest.hex())
    }

    fn check_health(&self) -> Result<(), BlobStoreError> {
        self.health.read_only().map_or(Ok(()), |why| Err(BlobStoreError::ReadOnly(why.cause.clone())))
    }

    fn commit(&self, staged: Staged, replace: bool) -> Result<(), BlobStoreError> {
        self.check_health()?;
        let digest = *staged.digest();
        let path = self.path(&digest);
        let there = self.fs.file_len(&path)?;
        if !replace && there == Some(staged.size()) {
            // Vouched for: whoever brought it waited for its sync.
            staged.discard();
            return Ok(());
        }
        // Of another length it is damaged, whatever a row says.
        let replace = replace || there.is_some();
        match self.rename(&staged, &path, replace) {
            Ok(()) => {}
            Err(error) if !replace && error.kind() == io::ErrorKind::AlreadyExists => {
                staged.discard();
                return Ok(());
            }
            Err(error) => {
                // The tree may have moved already: what is left can't be gone on with.
                staged.discard();
                return Err(disk(error));
            }
        }
        staged.taken();
        self.sync_dir(digest.algorithm(), Self::first(&digest))
    }

    /// The tree first: a blob with its name has its tree.
    fn rename(&self, staged: &Staged, path: &Path, replace: bool) -> io::Result<()> {
        if let Some(tree) = staged.tree() {
            self.fs.rename(tree, &tree_of(path))?;
        }
        if replace { self.fs.rename(staged.path(), path) } else { self.fs.rename_no_replace(staged.path(), path) }?;
        self.handles.forget(staged.digest());
        Ok(())
    }

    fn sync_dir(&self, algorithm: Algorithm, first: u8) -> Result<(), BlobStoreError> {
        let Some(sync) = self.syncs.get(Self::slot(algorithm, first)) else { return Ok(()) };
        let dir = self.dir(algorithm, first);
        sync.run(|| {
            self.fs.sync_dir(&dir).map_err(|error| {
                let cause = format!("syncing {} failed: {error}", dir.display());
                self.health.fail(cause.as_str());
                cause
            })
        })
        .map_err(BlobStoreError::ReadOnly)
    }

    /// Moves a blob and its tree to `to`, the blob first: a tree alone is nothing anybody looks for.
    fn set_aside(&self, digest: &Digest, to: &Path) -> Result<bool, BlobStoreError> {
        let path = self.path(digest);
        let there = moved(self.fs.rename(&path, to))?;
        self.handles.forget(digest);
        moved(self.fs.rename(&tree_of(&path), &tree_of(to)))?;
        Ok(there)
    }

    fn remove(&self, digest: &Digest) -> Result<bool, BlobStoreError> {
        self.check_health()?;
        let name = format!("{}-{}-{}", self.clock.now().0, digest.algorithm(), digest.hex());
        self.set_aside(digest, &self.trash.join(name))
    }

    fn quarantine(&self, digest: &Digest) -> Result<bool, BlobStoreError> {
        self.check_health()?;
        self.set_aside(digest, &self.quarantine.join(format!("{}-{}", digest.algorithm(), digest.hex())))
    }

    fn revive(&self, digest: &Digest) -> Result<bool, BlobStoreError> {
        self.check_health()?;
        let name = format!("{}-{}", digest.algorithm(), digest.hex());
        let time = |entry: &DirEntry| {
            let (time, rest) = entry.name.split_once('-')?;
            if entry.kind == EntryKind::File && rest == name { time.parse::<u64>().ok() } else { None }
        };
        let Some(newest) = self.fs.list(&self.trash)?.iter().filter_map(time).max() else { return Ok(false) };
        let (from, path) = (self.trash.join(format!("{newest}-{name}")), self.path(digest));
        // The tree first: a blob with its name has its tree.
        moved(self.fs.rename(&tree_of(&from), &tree_of(&path)))?;
        if !moved(self.fs.rename(&from, &path))? {
            return Ok(false);
        }
        self.handles.forget(digest);
        self.sync_dir(digest.algorithm(), Self::first(digest))?;
        Ok(true)
    }

    fn empty_trash(&self, before: Timestamp) -> Result<(u64, u64), BlobStoreError> {
        self.check_health()?;
        let (mut files, mut bytes) = (0, 0);
        for entry in self.fs.list(&self.trash)? {
            let time = entry.name.split_once('-').and_then(|(time, _)| time.parse().ok()).map(Timestamp);
            if entry.kind != EntryKind::File || time.is_none_or(|time| time >= before) {
                continue;
            }
            if moved(self.fs.remove_file(&self.trash.join(&entry.name)))? && !entry.name.ends_with(".tree") {
                files += 1;
                bytes += entry.len;
            }
        }
        Ok((files, bytes))
    }

    fn list(&self, after: Option<Digest>, limit: usize) -> Result<(Vec<Listed>, bool), BlobStoreError> {
        let mut page = Vec::new();
        for algorithm in Algorithm::ALL {
            if after.is_some_and(|after| after.algorithm() > algorithm) {
                continue;
            }
            let start = after.filter(|after| after.algorithm() == algorithm).map_or(0, |after| Self::first(&after));
            for first in start..=u8::MAX {
                let mut found = self.list_dir(algorithm, first)?;
                found.retain(|listed| after.is_none_or(|after| listed.digest > after));
                found.sort_unstable();
                page.extend(found);
                if page.len() > limit {
                    page.truncate(limit);
                    return Ok((page, true));
                }
            }
        }
        Ok((page, false))
    }

    /// One fan-out directory. It is synced first, so that what is listed survives a power cut: a name may be left of a
    /// commit that never was answered, and a rebuild will point rows at it.
    fn list_dir(&self, algorithm: Algorithm, first: u8) -> Result<Vec<Listed>, BlobStoreError> {
        let entries = self.fs.list(&self.dir(algorithm, first))?;
        if !entries.is_empty() && self.health.read_only().is_none() {
            self.sync_dir(algorithm, first)?;
        }
        let listed = |entry: DirEntry| {
            let digest = format!("{algorithm}:{}", entry.name).parse::<Digest>().ok()?;
            let is_blob = entry.kind == EntryKind::File && Self::first(&digest) == first;
            is_blob.then_some(Listed { digest, size: entry.len })
        };
        Ok(entries.into_iter().filter_map(listed).collect())
    }
}

impl BlobStore for FileBlobs {
    fn commit(&self, staged: Staged, replace: bool) -> Answer<'_, ()> {
        Box::pin(self.run("commit blob", move |inner| inner.commit(staged, replace)))
    }

    fn open(&self, digest: &Digest) -> Result<Option<OpenBlob>, BlobStoreError> {
        let began = match self.0.handles.get(digest) {
            Ok(open) => return Ok(Some(open)),
            Err(began) => began,
        };
        match self.0.fs.open(&self.0.path(digest), Access::Read) {
            Ok(file) => {
                let open = OpenBlob { size: file.len()?, file };
                self.0.handles.keep(digest, &open, began);
                Ok(Some(open))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool> {
        let digest = *digest;
        Box::pin(self.run("remove blob", move |inner| inner.remove(&digest)))
    }

    fn quarantine<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool> {
        let digest = *digest;
        Box::pin(self.run("quarantine blob", move |inner| inner.quarantine(&digest)))
    }

    fn revive<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool> {
        let digest = *digest;
        Box::pin(self.run("revive blob", move |inner| inner.revive(&digest)))
    }

    fn empty_trash(&self, before: Timestamp) -> Answer<'_, (u64, u64)> {
        Box::pin(self.run("empty trash", move |inner| inner.empty_trash(before)))
    }

    fn list(&self, after: Option<Digest>, limit: usize) -> Answer<'_, (Vec<Listed>, bool)> {
        Box::pin(self.run("list blobs", move |inner| inner.list(after, limit)))
    }
}

/// Group commit of one directory's sync.
#[derive(Debug, Default)]
struct DirSync {
    state: Mutex<SyncState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    begun: u64,
    done: u64,
    failed: Option<String>,
}

impl DirSync {
    /// Returns once a sync that began after this call has ended well: `sync`, or another caller's.
    fn run(&self, sync: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let mut state = self.lock();
        let needed = state.begun + 1;
        while state.begun > state.done && state.failed.is_none() {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            if state.done >= needed {
                return Ok(());
            }
        }
        if let Some(cause) = &state.failed {
            // Never again after a failure: the kernel might say that all is well.
            return Err(cause.clone());
        }
        state.begun += 1;
        drop(state);
        let outcome = sync();
        let mut state = self.lock();
        match &outcome {
            Ok(()) => state.done = state.begun,
            Err(cause) => state.failed = Some(cause.clone()),
        }
        drop(state);
        self.ended.notify_all();
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, SyncState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::storage::uploads::UploadError;
    use crate::storage::uploads::tests::{Yard, begin, content};
    use crate::world::faulty::Call;

    fn open(yard: &Yard) -> FileBlobs {
        let (fs, clock) = (Arc::new(yard.disk.clone()), Arc::new(yard.clock.clone()));
        FileBlobs::open(fs, yard.dir.root(), clock, yard.scope.clone(), yard.health.clone()).unwrap()
    }

    /// Contents whose digests share a fan-out directory.
    fn neighbours(count: usize) -> Vec<Bytes> {
        let first = |bytes: &[u8]| Inner::first(&Digest::sha256(bytes));
        (0_u32..).map(|n| Bytes::from(n.to_string())).filter(|bytes| first(bytes) == 0x42).take(count).collect()
    }

    #[tokio::test]
    async fn the_layout_is_the_documented_one_and_opening_it_again_is_cheap() {
        let yard = Yard::new();
        let blobs = open(&yard);
        let bytes = content(70_000);
        let digest = Digest::sha256(&bytes);
        blobs.commit(yard.uploads.stage(bytes.into(), &digest).await.unwrap(), true).await.unwrap();
        let path = yard.dir.path("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
        assert!(path.exists() && tree_of(&path).exists());
        let syncs = yard.disk.dir_syncs();
        open(&yard);
        assert_eq!(yard.disk.dir_syncs() - syncs, 4, "none of the fan-out itself");
        blobs.quarantine(&digest).await.unwrap();
        assert!(yard.dir.path("quarantine").join(format!("sha256-{}.tree", digest.hex())).exists());
    }

    #[tokio::test]
    async fn commits_into_one_directory_share_syncs_and_none_goes_uncovered() {
        let yard = Yard::new();
        let blobs = open(&yard);
        let mut staged = Vec::new();
        for bytes in neighbours(9) {
            let digest = Digest::sha256(&bytes);
            staged.push(yard.uploads.stage(bytes, &digest).await.unwrap());
        }
        let before = yard.disk.dir_syncs();
        yard.disk.hold_dir_syncs(true);
        let renamed: Vec<PathBuf> = staged.iter().map(|staged| blobs.0.path(staged.digest())).collect();
        let commits: Vec<_> = staged
            .into_iter()
            .map(|staged| {
                let (scope, blobs) = (yard.scope.clone(), blobs.clone());
                let commit = async move { scope.run("commit", async move { blobs.commit(staged, true).await }).await };
                let mut commit = Box::pin(commit);
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(commit.as_mut().poll(&mut context).is_pending());
                commit
            })
            .collect();
        // One sync is under way, and every commit has renamed: those that did so after it began need another.
        while yard.disk.dir_syncs() == before || !renamed.iter().all(|path| path.exists()) {
            tokio::task::yield_now().await;
        }
        yard.disk.hold_dir_syncs(false);
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        let syncs = yard.disk.dir_syncs() - before;
        assert!((2..=8).contains(&syncs), "{syncs} syncs for 9 commits");
    }

    #[test]
    fn a_sync_that_began_before_does_not_count() {
        let sync = Arc::new(DirSync::default());
        let log = Arc::new(Mutex::new(Vec::new()));
        let inner = {
            let (sync, log) = (Arc::clone(&sync), Arc::clone(&log));
            move || {
                sync.run(|| {
                    log.lock().unwrap().push("second");
                    Ok(())
                })
            }
        };
        let mut second = None;
        let scope = Scope::new();
        let (tell, told) = std::sync::mpsc::channel();
        sync.run(|| {
            scope
                .thread("second", move || {
                    tell.send(inner()).unwrap();
                })
                .unwrap();
            log.lock().unwrap().push("first");
            second = Some(told);
            Ok(())
        })
        .unwrap();
        second.unwrap().recv().unwrap().unwrap();
        assert_eq!(*log.lock().unwrap(), ["first", "second"]);
    }

    #[tokio::test]
    async fn a_failed_directory_sync_acknowledges_nothing_and_ends_writing() {
        let yard = Yard::new();
        let blobs = open(&yard);
        let [a, b] = [&b"a"[..], b"b"].map(|bytes| (Bytes::from_static(bytes), Digest::sha256(bytes)));
        let waiting = yard.uploads.stage(b.0, &b.1).await.unwrap();
        let staged = yard.uploads.stage(a.0, &a.1).await.unwrap();
        yard.disk.fail(Call::SyncDir, "blobs", 0, io::ErrorKind::Other);
        assert!(matches!(blobs.commit(staged, true).await, Err(BlobStoreError::ReadOnly(_))));
        assert!(yard.health.read_only().is_some());
        yard.disk.heal();
        assert!(matches!(blobs.commit(waiting, true).await, Err(BlobStoreError::ReadOnly(_))));
        assert!(matches!(blobs.remove(&a.1).await, Err(BlobStoreError::ReadOnly(_))));
        let refused = yard.uploads.begin(begin(Algorithm::Sha256)).await;
        assert!(matches!(refused, Err(UploadError::ReadOnly(_))));
        assert!(blobs.open(&a.1).unwrap().is_some(), "what is here can still be read");
    }

    #[tokio::test]
    async fn bytes_of_another_length_give_way_also_when_vouched_for() {
        let yard = Yard::new();
        let blobs = open(&yard);
        let bytes = Bytes::from(content(100_000));
        let digest = Digest::sha256(&bytes);
        blobs.commit(yard.uploads.stage(bytes.clone(), &digest).await.unwrap(), false).await.unwrap();
        let path = blobs.0.path(&digest);
        std::fs::write(&path, b"cut short").unwrap();
        blobs.commit(yard.uploads.stage(bytes.clone(), &digest).await.unwrap(), false).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[tokio::test]
    async fn revived_bytes_are_served_in_place_of_what_was_open() {
        let yard = Yard::new();
        let blobs = open(&yard);
        let bytes = Bytes::from(content(100_000));
        let digest = Digest::sha256(&bytes);
        blobs.commit(yard.uploads.stage(bytes, &digest).await.unwrap(), false).await.unwrap();
        assert!(blobs.remove(&digest).await.unwrap());
        std::fs::write(blobs.0.path(&digest), b"cut short").unwrap();
        assert_eq!(blobs.open(&digest).unwrap().unwrap().size, 9);
        assert!(blobs.revive(&digest).await.unwrap());
        assert_eq!(blobs.open(&digest).unwrap().unwrap().size, 100_000);
    }

    #[tokio::test]
    async fn a_failed_rename_leaves_no_name_and_no_session() {
        let yard = Yard::new();
        let blobs = open(&yard);
        let bytes = content(100_000);
        let digest = Digest::sha256(&bytes);
        let id = yard.uploads.begin(begin(Algorithm::Sha256)).await.unwrap().id;
        let mut writer = yard.uploads.open(&id).await.unwrap();
        writer.append(bytes.into()).await.unwrap();
        let staged = writer.finish(&digest).await.unwrap();
        yard.disk.fail(Call::Rename, &digest.hex(), 1, io::ErrorKind::StorageFull);
        assert!(matches!(blobs.commit(staged, true).await, Err(BlobStoreError::Full)));
        assert!(blobs.open(&digest).unwrap().is_none());
        assert_eq!(yard.uploads.count(), 0);
        assert!(yard.health.read_only().is_none());
    }
}

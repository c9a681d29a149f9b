//! The facade over the engines: the one verified way in for bytes, the one for manifests, and garbage collection.
//!
//! Order of durability: staged bytes are synced before they get their name, the name is synced before a row points at
//! it, and a row is gone before its bytes lose their name. Commit and collection of one digest exclude each other by
//! the digest's lock; who comes second sees what the first left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::seam::Clock;
use protocol::{Digest, RepositoryName, Timestamp};

use super::blobs::{BlobStore, BlobStoreError, OpenBlob, Staged};
use super::health::Health;
use super::locks::DigestLocks;
use super::meta::{Act, BlobRow, Candidate, LinkBlob, MetaError, MetaStore, PublishManifest, Published, Verdict};
use super::room::Room;
use super::uploads::{UploadError, Uploads};

/// Candidates looked at between two looks at the clock.
const GC_BATCH: usize = 256;

/// Waits between tries of a write that found the queue full: longer, all together, than a full queue takes.
const BUSY_WAITS: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(300), Duration::from_millis(500)];

/// Why the store could not keep or give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The metadata engine.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The blob engine.
    #[error(transparent)]
    Blobs(#[from] BlobStoreError),
    /// The staging area.
    #[error(transparent)]
    Uploads(#[from] UploadError),
}

/// How long things wait for GC.
#[derive(Clone, Copy, Debug)]
pub struct Leases {
    /// A pushed or mounted blob waits this long for a manifest.
    pub blob: Duration,
    /// A blob said to exist stays at least this long.
    pub exists: Duration,
    /// Removed bytes stay in the trash this long.
    pub trash: Duration,
}

/// The engines a store is made of.
#[derive(Debug)]
pub struct Engines {
    /// What is known.
    pub meta: Arc<dyn MetaStore>,
    /// The bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Bytes on their way in.
    pub uploads: Uploads,
    /// Shared by all of them.
    pub health: Health,
    /// The ballast, for when deletes and GC find no room to commit.
    pub room: Room,
}

/// What is wrong with a blob, as far as its finder could see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Its bytes are not there, or not as many as its row says.
    Length,
    /// As many, but others, or the disk does not give them.
    Content,
}

/// What a run of garbage collection did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GcReport {
    /// Candidates looked at.
    pub examined: u64,
    /// Links removed whose bytes stay for others.
    pub unlinked: u64,
    /// Blobs freed.
    pub freed: u64,
    /// Their bytes (in the trash until its time is over, or until the disk is full).
    pub freed_bytes: u64,
    /// Candidates that wait for a lease to end.
    pub leased: u64,
    /// Files removed from the trash for good.
    pub trash_removed: u64,
    /// Their bytes.
    pub trash_bytes: u64,
}

/// Everything a node keeps.
#[derive(Debug)]
pub struct Store {
    engines: Engines,
    locks: DigestLocks,
    leases: Leases,
    clock: Arc<dyn Clock>,
}

/// Whether it is certain that the metadata took nothing. After a failure of the disk or the engine it is not: what was
/// written may be there after a restart, so its bytes stay.
fn nothing_written<T>(outcome: &Result<T, MetaError>, written: impl FnOnce(&T) -> bool) -> bool {
    match outcome {
        Ok(answer) => !written(answer),
        Err(MetaError::Full | MetaError::Busy) => true,
        Err(MetaError::ReadOnly(_) | MetaError::Damaged(_) | MetaError::Engine(_)) => false,
    }
}

impl Store {
    /// A store over `engines`.
    #[must_use]
    pub fn new(engines: Engines, leases: Leases, clock: Arc<dyn Clock>) -> Self {
        Self { engines, locks: DigestLocks::default(), leases, clock }
    }

    /// What is known.
    #[must_use]
    pub fn meta(&self) -> &dyn MetaStore {
        &*self.engines.meta
    }

    /// The bytes, for scrub and rebuild.
    #[must_use]
    pub(crate) fn blobs(&self) -> &dyn BlobStore {
        &*self.engines.blobs
    }

    /// Bytes on their way in.
    #[must_use]
    pub const fn uploads(&self) -> &Uploads {
        &self.engines.uploads
    }

    /// Whether the store may be written to.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.engines.health
    }

    /// Wall-clock time, as the store sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sees to it that a delete can be committed on a full disk: gives the ballast up when there is next to no room.
    pub fn make_room(&self) {
        if let Err(error) = self.engines.room.release_when_low() {
            tracing::warn!(%error, "no room could be made by giving up the ballast");
        }
    }

    /// Opens the bytes of a blob; `None` when they are not here.
    ///
    /// # Errors
    /// [`StoreError::Blobs`] when the disk fails.
    pub fn open(&self, digest: &Digest) -> Result<Option<OpenBlob>, StoreError> {
        Ok(self.engines.blobs.open(digest)?)
    }

    /// A blob as a pusher sees it, who will rely on it; see [`MetaStore::hold_blob`].
    ///
    /// # Errors
    /// [`StoreError::Meta`].
    pub async fn hold(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRow>, StoreError> {
        let until = self.clock.now().plus(self.leases.exists);
        Ok(self.meta().hold_blob(repository, digest, until, until.plus(self.leases.exists)).await?)
    }

    /// When a blob pushed now may be collected, if no manifest names it by then.
    #[must_use]
    pub fn lease_end(&self) -> Timestamp {
        self.clock.now().plus(self.leases.blob)
    }

    /// When content that loses its last holder now may be collected.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.clock.now().plus(self.leases.exists)
    }

    /// Makes staged bytes a blob of `repository`; `false` when its project is not there. When it returns `true`, the
    /// blob survives a power cut.
    ///
    /// What the metadata would refuse is asked before the bytes leave their session, which then stays for another try;
    /// should it refuse all the same, the session is over and the bytes go.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is promised, and nothing a row points at is missing.
    pub async fn commit_blob(&self, staged: Staged, repository: &RepositoryName, act: Act) -> Result<bool, StoreError> {
        let (digest, size, root) = (*staged.digest(), staged.size(), staged.root());
        let _lock = self.locks.lock(&digest).await;
        self.engines.uploads.admit()?;
        if self.meta().project(&repository.project()).await?.is_none() {
            return Ok(false);
        }
        self.place(staged).await?;
        let link = LinkBlob { repository: repository.clone(), digest, size, root, lease: self.lease_end(), act };
        let linked = self.link(link).await;
        if nothing_written(&linked, |linked| *linked) {
            self.leave_none(&digest).await;
        }
        Ok(linked?)
    }

    /// Links a blob; comes again while too many writes wait: the client's upload is over by now.
    async fn link(&self, link: LinkBlob) -> Result<bool, MetaError> {
        for wait in BUSY_WAITS {
            match self.meta().link_blob(link.clone()).await {
                Err(MetaError::Busy) => self.clock.sleep(wait).await,
                outcome => return outcome,
            }
        }
        self.meta().link_blob(link).await
    }

    /// Nothing was written about these bytes: they go, unless another holds them. The caller holds the digest's lock.
    async fn leave_none(&self, digest: &Digest) {
        let gone = async {
            if self.meta().held(digest).await?.is_none() {
                self.engines.blobs.remove(digest).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = gone.await {
            tracing::warn!(%digest, %error, "bytes no row points at stay until the next scrub");
        }
    }

    /// Gives staged bytes their name. A row vouches for bytes that are there already; without one, or when a scrub
    /// found them damaged, the bytes just verified take their place. The caller holds the digest's lock.
    async fn place(&self, staged: Staged) -> Result<(), StoreError> {
        let vouched = self.meta().held(staged.digest()).await?.is_some_and(|row| row.quarantined.is_none());
        Ok(self.engines.blobs.commit(staged, !vouched).await?)
    }

    /// Publishes a manifest: its bytes first, then everything that follows from it in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is promised.
    pub async fn publish(&self, publish: PublishManifest) -> Result<Published, StoreError> {
        let staged = self.engines.uploads.stage(publish.bytes.clone(), &publish.digest).await?;
        let digest = publish.digest;
        let _lock = self.locks.lock(&digest).await;
        self.place(staged).await?;
        let published = self.meta().publish_manifest(publish).await;
        if nothing_written(&published, |published| matches!(published, Published::Done { .. })) {
            self.leave_none(&digest).await;
        }
        Ok(published?)
    }

    /// Looks at every candidate that is due and takes what nobody needs. Runs beside pushes and pulls; its cost
    /// follows the garbage, not the store. `dry_run` only reports, judging each candidate as if it were the only one:
    /// bytes that two repositories let go at once are told as links only. Ends early, with what it did so far, once
    /// `stop` says so: asked before each candidate.
    ///
    /// # Errors
    /// [`StoreError`]; what was taken so far stays taken. A candidate whose rows are damaged is logged and left.
    pub async fn collect_garbage(
        &self,
        dry_run: bool,
        stop: impl Fn() -> bool + Send + Sync,
    ) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        if !dry_run {
            // First, for on a full disk it may be what lets the run commit at all; at the end its error counts.
            if let Err(error) = self.empty_trash(&mut report).await {
                tracing::warn!(%error, "the trash could not be emptied");
            }
        }
        let now = self.clock.now();
        let mut after = None;
        // A link may be a candidate more than once (its push, a later delete); a real run takes it the first time. As
        // many entries as there is garbage.
        let mut foreseen = BTreeSet::new();
        loop {
            if !dry_run {
                // A batch writes, and may itself be what makes room scarce.
                self.make_room();
            }
            let batch = self.meta().candidates(now, after.take(), GC_BATCH).await?;
            for candidate in &batch {
                if stop() {
                    return Ok(report);
                }
                if dry_run && !foreseen.insert((candidate.digest, candidate.repository.clone())) {
                    continue;
                }
                report.examined += 1;
                match self.collect_one(candidate, now, dry_run).await {
                    Ok(Verdict::Needed) => {}
                    Ok(Verdict::Leased(_)) => report.leased += 1,
                    Ok(Verdict::Unlink) => report.unlinked += 1,
                    Ok(Verdict::Free { size }) => {
                        report.freed += 1;
                        report.freed_bytes += size;
                    }
                    // It stays a candidate, and what comes after it is no worse for it.
                    Err(StoreError::Meta(MetaError::Damaged(what))) => {
                        tracing::error!(digest = %candidate.digest, %what, "a candidate can't be judged: left as it is");
                    }
                    Err(error) => return Err(error),
                }
            }
            if batch.len() < GC_BATCH {
                break;
            }
            after = batch.into_iter().last();
        }
        if !dry_run {
            self.empty_trash(&mut report).await?;
        }
        Ok(report)
    }

    /// Removes for good what was in the trash for its time; all of it while uploads are refused for want of room, when
    /// room is worth more than a second chance.
    async fn empty_trash(&self, report: &mut GcReport) -> Result<(), StoreError> {
        let now = self.clock.now();
        let before = if self.engines.room.admit().is_err() {
            // What went there in this very millisecond as well.
            Timestamp(now.0.saturating_add(1))
        } else {
            Timestamp(now.0.saturating_sub(u64::try_from(self.leases.trash.as_millis()).unwrap_or(u64::MAX)))
        };
        let (files, bytes) = self.engines.blobs.empty_trash(before).await?;
        report.trash_removed += files;
        report.trash_bytes += bytes;
        Ok(())
    }

    async fn collect_one(&self, candidate: &Candidate, now: Timestamp, dry_run: bool) -> Result<Verdict, StoreError> {
        if dry_run {
            return Ok(self.meta().judge(candidate, now).await?);
        }
        let _lock = self.locks.lock(&candidate.digest).await;
        let verdict = self.meta().collect(candidate, now).await?;
        if matches!(verdict, Verdict::Free { .. }) {
            self.engines.blobs.remove(&candidate.digest).await?;
        }
        Ok(verdict)
    }

    /// Takes a damaged blob out of service: row first, so that nobody is served while the bytes move aside. `row` is
    /// what the damage was seen under. It is judged again under the digest's lock, so that a blob pushed again
    /// meanwhile stays; returns whether it was taken out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn quarantine(
        &self,
        digest: &Digest,
        row: &BlobRow,
        damage: Damage,
        act: Act,
    ) -> Result<bool, StoreError> {
        let _lock = self.locks.lock(digest).await;
        if self.meta().held(digest).await?.as_ref() != Some(row) || row.quarantined.is_some() {
            return Ok(false);
        }
        let still = match damage {
            Damage::Length => !self.is_whole(digest, row)?,
            // A push keeps bytes of the right length that a row vouches for: they are those that were read.
            Damage::Content => true,
        };
        if still {
            self.meta().quarantine(digest, act).await?;
            self.engines.blobs.quarantine(digest).await?;
        }
        Ok(still)
    }

    /// Takes a blob out of service whose bytes a reader found missing, or of another length than its row says; returns
    /// whether it still was so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_out_if_not_whole(&self, digest: &Digest) -> Result<bool, StoreError> {
        let Some(row) = self.meta().held(digest).await? else { return Ok(false) };
        let act = Act { actor: "portolan".into(), at: self.now(), request: "read".into() };
        self.quarantine(digest, &row, Damage::Length, act).await
    }

    fn is_whole(&self, digest: &Digest, row: &BlobRow) -> Result<bool, StoreError> {
        Ok(self.engines.blobs.open(digest)?.is_some_and(|open| open.size == row.size))
    }

    /// For a rebuild: brings bytes back from the trash that a row points at and that are not whole where they should
    /// be; what is there instead moves aside. Returns whether there were any in the trash, of the right length.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn revive(&self, digest: &Digest, row: &BlobRow) -> Result<bool, StoreError> {
        let _lock = self.locks.lock(digest).await;
        self.engines.blobs.quarantine(digest).await?;
        Ok(self.engines.blobs.revive(digest).await? && self.is_whole(digest, row)?)
    }

    /// Links bytes found on the disk, for a rebuild; `false` when they are not there or the project is not. Their
    /// digest was checked, and their name was listed, so it survives a power cut.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn adopt(&self, link: LinkBlob) -> Result<bool, StoreError> {
        let _lock = self.locks.lock(&link.digest).await;
        if self.engines.blobs.open(&link.digest)?.is_none() {
            return Ok(false);
        }
        Ok(self.meta().link_blob(link).await?)
    }

    /// Removes bytes no row points at; returns whether there were any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn remove_orphan(&self, digest: &Digest) -> Result<bool, StoreError> {
        let _lock = self.locks.lock(digest).await;
        if self.meta().held(digest).await?.is_some() {
            return Ok(false);
        }
        Ok(self.engines.blobs.remove(digest).await?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::Algorithm;
    use protocol::seam::Space;

    use super::*;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::meta::Project;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::uploads::UploadId;
    use crate::storage::uploads::tests::{Yard, begin};

    struct Site {
        yard: Yard,
        meta: MemoryMeta,
        store: Arc<Store>,
        id: UploadId,
    }

    fn act() -> Act {
        Act { actor: "alice".into(), at: Timestamp(1), request: "r".into() }
    }

    fn repository() -> RepositoryName {
        "a/b".parse().unwrap()
    }

    fn digest() -> Digest {
        Digest::sha256(b"abc")
    }

    impl Site {
        /// A store with a session in which `abc` has come.
        async fn new() -> Self {
            let (yard, meta) = (Yard::new(), MemoryMeta::default());
            let blobs = Arc::new(MemoryBlobs::new(Arc::new(yard.clock.clone())));
            let store = yard.store(Arc::new(meta.clone()), blobs);
            let id = yard.uploads.begin(begin(Algorithm::Sha256)).await.unwrap().id;
            let mut writer = yard.uploads.open(&id).await.unwrap();
            writer.append(Bytes::from_static(b"abc")).await.unwrap();
            writer.checkpoint().await.unwrap();
            Self { yard, meta, store, id }
        }

        async fn make_project(&self) {
            let project = Project { name: repository().project(), public: false, sparse: false, created: Timestamp(0) };
            self.meta.create_project(project, act()).await.unwrap();
        }

        async fn put(&self) -> Result<bool, StoreError> {
            let staged = self.yard.uploads.open(&self.id).await.unwrap().finish(&digest()).await.unwrap();
            self.store.commit_blob(staged, &repository(), act()).await
        }

        fn has_bytes(&self) -> bool {
            self.store.open(&digest()).unwrap().is_some()
        }
    }

    #[tokio::test]
    async fn what_would_be_refused_leaves_the_session_for_another_try() {
        let site = Site::new().await;
        assert!(!site.put().await.unwrap(), "there is no project");
        assert!(!site.has_bytes());
        site.make_project().await;
        let staged = site.yard.uploads.open(&site.id).await.unwrap().finish(&digest()).await.unwrap();
        site.yard.disk.set_space(Some(Space { total: 1 << 40, available: 0 }));
        site.yard.clock.step(Duration::from_secs(1));
        let refused = site.store.commit_blob(staged, &repository(), act()).await;
        assert!(matches!(refused, Err(StoreError::Uploads(UploadError::Full(_)))), "{refused:?}");
        assert!(!site.has_bytes());
        site.yard.disk.set_space(None);
        site.yard.clock.step(Duration::from_secs(1));
        assert!(site.put().await.unwrap());
    }

    #[tokio::test]
    async fn what_the_metadata_refuses_leaves_no_bytes_and_a_full_queue_is_waited_for() {
        let site = Site::new().await;
        site.make_project().await;
        site.meta.refuse([MetaError::Full]);
        assert!(matches!(site.put().await, Err(StoreError::Meta(MetaError::Full))));
        assert!(!site.has_bytes());
        let site = Site::new().await;
        site.make_project().await;
        site.meta.refuse([MetaError::Busy, MetaError::Busy]);
        assert!(site.put().await.unwrap());
        site.meta.refuse([MetaError::Full]);
        let again = site.yard.uploads.stage(Bytes::from_static(b"abc"), &digest()).await.unwrap();
        assert!(site.store.commit_blob(again, &repository(), act()).await.is_err());
        assert!(site.has_bytes(), "a row holds them");
    }
}

#[cfg(test)]
mod collection_tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use protocol::seam::Space;

    use super::*;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::meta::Project;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::meta::redb::{OpenRedb, RedbMeta};
    use crate::storage::uploads::tests::Yard;
    use crate::world::scratch::Scratch;

    fn repository() -> RepositoryName {
        "a/b".parse().unwrap()
    }

    fn act() -> Act {
        Act { actor: "alice".into(), at: Timestamp(1), request: "r".into() }
    }

    async fn store(yard: &Yard, meta: Arc<dyn MetaStore>) -> Arc<Store> {
        let store = yard.store(meta, Arc::new(MemoryBlobs::new(Arc::new(yard.clock.clone()))));
        let project = Project { name: repository().project(), public: false, sparse: false, created: Timestamp(0) };
        assert!(store.meta().create_project(project, act()).await.unwrap());
        store
    }

    /// Pushes that many blobs of ten bytes which nobody will name, and lets their leases end.
    async fn garbage(yard: &Yard, store: &Store, count: usize) -> Vec<Digest> {
        let mut all = Vec::new();
        for n in 0..count {
            let bytes = Bytes::from(format!("{n:010}"));
            let digest = Digest::sha256(&bytes);
            let staged = yard.uploads.stage(bytes, &digest).await.unwrap();
            assert!(store.commit_blob(staged, &repository(), act()).await.unwrap());
            all.push(digest);
        }
        yard.clock.step(Duration::from_secs(3 * 3600));
        all
    }

    #[tokio::test]
    async fn a_full_disk_gets_its_bytes_back_at_once() {
        let yard = Yard::new();
        let store = store(&yard, Arc::new(MemoryMeta::default())).await;
        garbage(&yard, &store, 1).await;
        let report = store.collect_garbage(false, || false).await.unwrap();
        assert_eq!((report.freed, report.trash_removed), (1, 0), "with room to spare the trash has its time");
        garbage(&yard, &store, 0).await;
        let report = store.collect_garbage(false, || false).await.unwrap();
        assert_eq!((report.freed, report.trash_removed, report.trash_bytes), (0, 1, 10));
        garbage(&yard, &store, 2).await;
        yard.disk.set_space(Some(Space { total: 1 << 40, available: 0 }));
        let report = store.collect_garbage(true, || false).await.unwrap();
        assert_eq!((report.freed, report.trash_removed), (2, 0), "a dry run takes nothing");
        let report = store.collect_garbage(false, || false).await.unwrap();
        assert_eq!((report.freed, report.trash_removed, report.trash_bytes), (2, 2, 20));
    }

    #[tokio::test]
    async fn a_run_ends_when_asked() {
        let yard = Yard::new();
        let store = store(&yard, Arc::new(MemoryMeta::default())).await;
        garbage(&yard, &store, 5).await;
        let asked = AtomicUsize::new(0);
        let report = store.collect_garbage(false, || asked.fetch_add(1, Ordering::SeqCst) == 2).await.unwrap();
        assert_eq!((report.examined, report.freed), (2, 2));
        let report = store.collect_garbage(false, || false).await.unwrap();
        assert_eq!(report.freed, 3, "the next one goes on");
    }

    #[tokio::test]
    async fn a_damaged_candidate_holds_up_no_other() {
        let (yard, dir) = (Yard::new(), Scratch::new());
        let path = dir.path("meta.redb");
        let meta = RedbMeta::open(OpenRedb {
            fs: Arc::new(yard.disk.clone()),
            path: Path::new(&path).into(),
            cache: 1 << 20,
            sync: false,
            health: yard.health.clone(),
            scope: yard.scope.clone(),
        });
        let meta = meta.unwrap();
        let store = store(&yard, Arc::new(meta.clone())).await;
        let all = garbage(&yard, &store, 5).await;
        meta.damage_held(&all[1]).await;
        let report = store.collect_garbage(false, || false).await.unwrap();
        assert_eq!((report.examined, report.freed), (5, 4));
        let report = store.collect_garbage(false, || false).await.unwrap();
        assert_eq!((report.examined, report.freed), (1, 0), "it stays a candidate");
    }
}

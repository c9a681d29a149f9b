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
use crate::workers::Scope;

pub(crate) use super::reading::Small;

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

    /// Reads a blob of at most `most` bytes, whether a row points at it or not, and holds it against its name.
    ///
    /// # Errors
    /// [`StoreError::Blobs`] when it can't be opened, or the work was lost. Bytes the disk refuses are
    /// [`Small::Damaged`].
    pub(crate) async fn read_small(&self, digest: &Digest, most: u64, scope: &Scope) -> Result<Small, StoreError> {
        let Some(blob) = self.open(digest)? else { return Ok(Small::Absent) };
        Ok(Small::read(blob, digest, most, scope).await.map_err(BlobStoreError::from)?)
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
            // Also what a clock that was ahead said goes there later.
            Timestamp(u64::MAX)
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
        let act = Act { actor: "portolan".into(), at: self.now(), request: "read".into(), via: Default::default() };
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
mod collection_tests;
#[cfg(test)]
mod tests;

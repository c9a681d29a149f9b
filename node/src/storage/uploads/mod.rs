//! Bytes on their way in.
//!
//! An upload session is a file `uploads/<id>`, the tree over it `uploads/<id>.tree`, and a sidecar `uploads/<id>.session`
//! that says whose it is and how far its hash has come. The sidecar is replaced by rename after each PATCH and at
//! checkpoints within a long one, so a session survives kill -9: after a restart it reports the last checkpoint, never
//! more. A power cut may lose a session; nothing about one is promised across it.
//!
//! [`Staged`] is the proof that a file's bytes hash to a digest and are synced: only this room makes one, and
//! [`crate::storage::blobs::BlobStore::commit`] takes nothing else.

mod pen;
mod record;
mod session;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::seam::{Access, Clock, Entropy, File, FileSystem};
use protocol::{ContentRoot, Digest};

use super::{Health, Room};
use crate::workers::{Lost, Scope};
use pen::Pen;
use table::{Claim, Claimed, Home, Registered};

pub use session::{Begin, SessionInfo, UploadId, UploadIdError};
pub use writer::Writer;

/// Bytes that were hashed, compared with the digest asked for, and synced; not yet under their name.
///
/// Whoever holds it owns the files. Dropped, it leaves the session it came from as it was before its last request;
/// without a session it leaves nothing.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    tree: Option<PathBuf>,
    digest: Digest,
    size: u64,
    root: ContentRoot,
    claim: Claim,
}

impl Staged {
    /// The digest the bytes have.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Their number.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Their BLAKE3 root.
    #[must_use]
    pub const fn root(&self) -> ContentRoot {
        self.root
    }

    /// Where the bytes are.
    pub(in crate::storage) fn path(&self) -> &Path {
        &self.path
    }

    /// The tree beside them, when the blob is larger than one group.
    pub(in crate::storage) fn tree(&self) -> Option<&Path> {
        self.tree.as_deref()
    }

    /// Opens the bytes: for an engine that keeps them elsewhere than on this disk.
    pub(in crate::storage) fn open(&self) -> io::Result<Arc<dyn File>> {
        self.claim.home.fs.open(&self.path, Access::Read)
    }

    /// The files have got their names: the session is over. Blocks on the disk.
    pub(in crate::storage) fn taken(self) {
        self.claim.forget();
    }

    /// The session is over and its files are not needed. Blocks on the disk.
    pub(in crate::storage) fn discard(self) {
        self.claim.discard();
    }
}

/// Why bytes could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No such session, or it expired.
    #[error("there is no such upload session; it may have expired: start a new one")]
    Unknown,
    /// Another request is writing to it.
    #[error("another request is writing to this upload session")]
    Busy,
    /// As many sessions as the limits allow are open.
    #[error("too many upload sessions are open ({limit}): finish or cancel some")]
    TooMany {
        /// The limit met.
        limit: u64,
    },
    /// More bytes than one blob may have.
    #[error("a blob has at most {limit} bytes here")]
    TooLarge {
        /// The limit met.
        limit: u64,
    },
    /// The bytes hash to another digest than the client named. The session stays: name the right digest, or cancel.
    #[error("the bytes received have the digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client named.
        expected: Digest,
        /// What the bytes have.
        actual: Digest,
    },
    /// The disk is full, or past the mark at which uploads are refused. Other uploads are not affected.
    #[error("there is no room for uploads: {0}")]
    Full(String),
    /// The store takes no writes.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The disk failed in another way; this upload only.
    #[error("the disk failed: {0}")]
    Io(#[from] io::Error),
}

impl UploadError {
    /// What a failed write means for its upload.
    fn disk(error: io::Error) -> Self {
        match error.kind() {
            kind if is_full(kind) => Self::Full(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

/// Whether a write failed for want of room.
pub(in crate::storage) const fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

impl From<Lost> for UploadError {
    fn from(lost: Lost) -> Self {
        Self::Io(io::Error::other(lost))
    }
}

/// Bounds on uploads.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Largest blob.
    pub max_blob: u64,
    /// Sessions, all together.
    pub sessions: u64,
    /// Sessions of one principal. At this limit a new one takes the place of the longest forgotten empty one.
    pub per_principal: u64,
    /// A session is given up when nothing happens for so long.
    pub idle: Duration,
    /// And this long after it began, whatever happens.
    pub age: Duration,
}

/// What [`Uploads::recover`] needs.
#[derive(Debug)]
pub struct OpenUploads {
    /// The local disk.
    pub fs: Arc<dyn FileSystem>,
    /// The directory for sessions, on the file system of the blobs.
    pub dir: PathBuf,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where session ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// Owner of the blocking work.
    pub scope: Scope,
    /// Whether the store may be written to.
    pub health: Health,
    /// The gate that closes when the disk fills.
    pub room: Room,
    /// Bounds.
    pub limits: UploadLimits,
}

/// All upload sessions of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads(Arc<Home>);

impl Uploads {
    /// Takes up the sessions an earlier process left, and removes files no session needs. Blocks on the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn recover(open: OpenUploads) -> io::Result<Self> {
        Ok(Self(Arc::new(Home::open(open)?)))
    }

    /// Number of open sessions, those of one request included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// Whether there is room to go on: asked again before bytes leave their session.
    ///
    /// # Errors
    /// [`UploadError::Full`], [`UploadError::ReadOnly`].
    pub fn admit(&self) -> Result<(), UploadError> {
        self.0.check_room()
    }

    /// Begins a session; its sidecar is written when this returns, and the files of one that was given up for it are
    /// gone.
    ///
    /// # Errors
    /// [`UploadError::TooMany`], [`UploadError::Full`], [`UploadError::ReadOnly`], [`UploadError::Io`].
    pub async fn begin(&self, begin: Begin) -> Result<SessionInfo, UploadError> {
        let Registered { claim, record, given_up } = self.0.register(begin, false)?;
        let work = move || {
            if let Some(forgotten) = given_up {
                forgotten.discard();
            }
            match claim.home.write_sidecar(&record, true) {
                Ok(()) => Ok(record.info.clone()),
                Err(error) => {
                    claim.discard();
                    Err(error)
                }
            }
        };
        self.0.blocking("begin upload", work).await
    }

    /// A session begun, written and finished in one request: no sidecar, nothing left when it is dropped unfinished.
    ///
    /// # Errors
    /// As [`Uploads::begin`].
    pub async fn begin_once(&self, begin: Begin) -> Result<Writer, UploadError> {
        let Registered { claim, record, given_up } = self.0.register(begin, true)?;
        if let Some(forgotten) = given_up {
            self.discard("give up forgotten upload", forgotten).await?;
        }
        Ok(Writer::new(claim, record))
    }

    /// How far a session has come.
    ///
    /// # Errors
    /// [`UploadError::Unknown`].
    #[expect(clippy::unused_async, reason = "whether it waits for the disk is this room's business")]
    pub async fn info(&self, id: &UploadId) -> Result<SessionInfo, UploadError> {
        self.0.info(id)
    }

    /// Opens a session for writing. When its last writer was dropped in the middle, waits until that one has let go.
    ///
    /// # Errors
    /// [`UploadError::Unknown`]; [`UploadError::Busy`] while another writer has it.
    pub async fn open(&self, id: &UploadId) -> Result<Writer, UploadError> {
        let (claim, record) = self.claim(id, false).await?;
        Ok(Writer::new(claim, record))
    }

    async fn claim(&self, id: &UploadId, expired: bool) -> Result<(Claim, Arc<record::Record>), UploadError> {
        loop {
            let mut released = std::pin::pin!(self.0.released.notified());
            // Before the look, so that what ends after it is not missed.
            released.as_mut().enable();
            match self.0.claim(id, expired)? {
                Claimed::Here(claim, record) => return Ok((claim, record)),
                Claimed::Draining => released.await,
            }
        }
    }

    /// Ends a session and removes its bytes.
    ///
    /// # Errors
    /// As [`Uploads::open`].
    pub async fn cancel(&self, id: &UploadId) -> Result<(), UploadError> {
        let (claim, _) = self.claim(id, false).await?;
        self.discard("cancel upload", claim).await
    }

    async fn discard(&self, name: &'static str, claim: Claim) -> Result<(), UploadError> {
        let work = move || {
            claim.discard();
            Ok(())
        };
        self.0.blocking(name, work).await
    }

    /// Stages bytes that are in memory already and whose digest the caller computed: checks it again, syncs.
    ///
    /// # Errors
    /// [`UploadError::DigestMismatch`] and those of the disk.
    pub async fn stage(&self, bytes: bytes::Bytes, digest: &Digest) -> Result<Staged, UploadError> {
        self.0.check_room()?;
        let (claim, record) = self.0.loose(digest.algorithm())?;
        let digest = *digest;
        let work = move || {
            let mut pen = Pen::open(claim, record)?;
            pen.write(&bytes)?;
            pen.finish(&digest)
        };
        self.0.blocking("stage", work).await
    }

    /// Gives up sessions that expired; returns how many.
    ///
    /// # Errors
    /// [`UploadError::Io`] when the work was lost.
    pub async fn expire(&self) -> Result<u64, UploadError> {
        let mut given_up = 0;
        for id in self.0.expired() {
            // Taken by another call meanwhile: fine as well.
            let Ok((claim, _)) = self.claim(&id, true).await else { continue };
            self.discard("expire upload", claim).await?;
            given_up += 1;
        }
        Ok(given_up)
    }
}

//! Bytes on their way in.
//!
//! An upload session is a file `uploads/<id>`, the tree over it `uploads/<id>.tree`, and a sidecar `uploads/<id>.session`
//! that says whose it is and how far its hash has come. The sidecar is replaced by rename after each PATCH and at
//! checkpoints within a long one, so a session survives kill -9: after a restart it reports the last checkpoint, never
//! more. A power cut may lose a session; nothing about one is promised across it.
//!
//! [`Staged`] is the proof that a file's bytes hash to a digest and are synced: only this room makes one, and
//! [`crate::storage::blobs::BlobStore::commit`] takes nothing else.

use std::path::PathBuf;

use protocol::{ContentRoot, Digest};

/// Bytes that were hashed, compared with the digest asked for, and synced; not yet under their name.
///
/// Whoever holds it owns the files: commit them or drop them.
#[derive(Debug)]
pub struct Staged {
    pub(in crate::storage) path: PathBuf,
    /// The tree beside it, when the blob is larger than one group.
    pub(in crate::storage) tree: Option<PathBuf>,
    pub(in crate::storage) digest: Digest,
    pub(in crate::storage) size: u64,
    pub(in crate::storage) root: ContentRoot,
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
}

mod session;

pub use session::{Begin, SessionInfo, UploadId, UploadIdError};

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
    Io(#[from] std::io::Error),
}

/// All upload sessions of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {}

/// The one writer of a session: holds it until dropped, which ends its blocking task and leaves the session at its
/// last checkpoint.
#[derive(Debug)]
pub struct Writer {}

impl Uploads {
    /// Begins a session; its sidecar is written when this returns.
    ///
    /// # Errors
    /// [`UploadError::TooMany`], [`UploadError::Full`], [`UploadError::ReadOnly`], [`UploadError::Io`].
    pub async fn begin(&self, begin: Begin) -> Result<SessionInfo, UploadError> {
        todo!()
    }

    /// A session begun, written and finished in one request: no sidecar, nothing left when it is dropped unfinished.
    ///
    /// # Errors
    /// As [`Uploads::begin`].
    pub async fn begin_once(&self, begin: Begin) -> Result<Writer, UploadError> {
        todo!()
    }

    /// How far a session has come.
    ///
    /// # Errors
    /// [`UploadError::Unknown`].
    pub async fn info(&self, id: &UploadId) -> Result<SessionInfo, UploadError> {
        todo!()
    }

    /// Opens a session for writing.
    ///
    /// # Errors
    /// [`UploadError::Unknown`]; [`UploadError::Busy`] while another writer has it.
    pub async fn open(&self, id: &UploadId) -> Result<Writer, UploadError> {
        todo!()
    }

    /// Ends a session and removes its bytes.
    ///
    /// # Errors
    /// As [`Uploads::open`].
    pub async fn cancel(&self, id: &UploadId) -> Result<(), UploadError> {
        todo!()
    }

    /// Stages bytes that are in memory already and whose digest the caller computed: checks it again, syncs.
    ///
    /// # Errors
    /// [`UploadError::DigestMismatch`] and those of the disk.
    pub async fn stage(&self, bytes: bytes::Bytes, digest: &Digest) -> Result<Staged, UploadError> {
        todo!()
    }

    /// Gives up sessions that expired; returns how many.
    ///
    /// # Errors
    /// [`UploadError::Io`] when the directory can't be read.
    pub async fn expire(&self) -> Result<u64, UploadError> {
        todo!()
    }
}

impl Writer {
    /// The session, with the offset as of now.
    #[must_use]
    pub fn info(&self) -> &SessionInfo {
        todo!()
    }

    /// Queues the next bytes; waits while the disk is behind.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], or what the disk said to earlier bytes.
    pub async fn append(&mut self, bytes: bytes::Bytes) -> Result<(), UploadError> {
        todo!()
    }

    /// Ends a PATCH: everything appended is in the file and in the sidecar's hash state. Returns the session.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn checkpoint(self) -> Result<SessionInfo, UploadError> {
        todo!()
    }

    /// Ends the session: everything appended is hashed, compared with `expected` and synced.
    ///
    /// # Errors
    /// [`UploadError::DigestMismatch`] (the session stays as it was), or what the disk said.
    pub async fn finish(self, expected: &Digest) -> Result<Staged, UploadError> {
        todo!()
    }
}

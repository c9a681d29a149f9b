//! Blobs of a repository: read, check, delete.

use protocol::Digest;

use super::{Fault, Registry};
use crate::policy::{Delete, Permit, Pull, Push};
use crate::storage::blobs::OpenBlob;
use crate::storage::meta::{BlobRow, UnlinkedBlob};

/// Why there is no blob to give, or none could be deleted.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The repository does not hold it.
    #[error("this repository holds no blob of that digest")]
    Unknown,
    /// A scrub found its bytes damaged.
    #[error("the bytes of this blob were found damaged and set aside: push it again")]
    Damaged,
    /// A live manifest needs it.
    #[error("the manifest {by} needs this blob: delete that first")]
    Pinned {
        /// One such manifest.
        by: Digest,
    },
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A blob, checked to be part of the repository.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

impl Registry {
    /// Finds a blob without opening it (HEAD).
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn blob(&self, permit: &Permit<Pull>, digest: &Digest) -> Result<Blob, BlobError> {
        let row = self.store.meta().blob(permit.repository(), digest).await.map_err(Fault::from)?;
        Self::usable(digest, row)
    }

    /// As [`Registry::blob`] for one who is about to push and will rely on the answer: the blob stays long enough for
    /// the manifest to come.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn blob_for_push(&self, permit: &Permit<Push>, digest: &Digest) -> Result<Blob, BlobError> {
        let row = self.store.hold(permit.repository(), digest).await.map_err(Fault::from)?;
        Self::usable(digest, row)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn open_blob(&self, permit: &Permit<Pull>, digest: &Digest) -> Result<OpenBlob, BlobError> {
        let blob = self.blob(permit, digest).await?;
        match self.store.open(digest).map_err(Fault::from)? {
            Some(open) if open.size == blob.size => Ok(open),
            Some(open) => {
                tracing::error!(%digest, recorded = blob.size, found = open.size, "a blob has another length than its row says");
                Err(BlobError::Damaged)
            }
            None => {
                tracing::error!(%digest, "a blob's row has no bytes; run `portolan scrub`");
                Err(BlobError::Unknown)
            }
        }
    }

    fn usable(digest: &Digest, row: Option<BlobRow>) -> Result<Blob, BlobError> {
        let row = row.ok_or(BlobError::Unknown)?;
        if row.quarantined.is_some() {
            return Err(BlobError::Damaged);
        }
        Ok(Blob { digest: *digest, size: row.size })
    }

    /// Removes a blob from the repository. Its bytes go when nobody else holds them.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn delete_blob(
        &self,
        permit: &Permit<Delete>,
        digest: &Digest,
        request: &std::sync::Arc<str>,
    ) -> Result<(), BlobError> {
        let act = self.act(permit.principal(), request);
        self.store.make_room();
        let due = self.store.due();
        let outcome =
            self.store.meta().unlink_blob(permit.repository(), digest, due, act).await.map_err(Fault::from)?;
        match outcome {
            UnlinkedBlob::Done => Ok(()),
            UnlinkedBlob::Absent => Err(BlobError::Unknown),
            UnlinkedBlob::Pinned { by } => Err(BlobError::Pinned { by }),
        }
    }
}

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
        // Once more when it was collected, or pushed again, between the two looks.
        for _ in 0..2 {
            let blob = self.blob(permit, digest).await?;
            let found = self.store.open(digest).map_err(Fault::from)?;
            match found {
                Some(open) if open.size == blob.size => return Ok(open),
                Some(_) | None => {}
            }
            if self.take_out(digest).await? {
                let found = found.map(|open| open.size);
                tracing::error!(%digest, recorded = blob.size, ?found, "the bytes of a blob are not those of its row");
                return Err(BlobError::Damaged);
            }
        }
        Err(BlobError::Unknown)
    }

    /// From now on the blob counts as absent, so that HEAD says what GET says and a client brings the bytes again. A
    /// reader who hangs up does not stop it half-way. A store that takes no writes can't note it: the answer is the same.
    async fn take_out(&self, digest: &Digest) -> Result<bool, BlobError> {
        let (store, digest) = (std::sync::Arc::clone(&self.store), *digest);
        if store.health().read_only().is_some() {
            return Ok(true);
        }
        let work = async move { store.take_out_if_not_whole(&digest).await };
        Ok(self.scope.run("take out blob", work).await.map_err(Fault::from)?.map_err(Fault::from)?)
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
        let act = self.act(permit.actor(), request);
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

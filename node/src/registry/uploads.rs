//! Pushing blobs: sessions, mounts, the commit.
//!
//! A session belongs to the principal and the repository it was begun for; to anyone else it does not exist.

use std::sync::Arc;

use protocol::{Algorithm, Digest, RepositoryName};

use super::{Fault, Registry};
use crate::auth::Principal;
use crate::policy::{Gate, Permit, Pull, Push};
use crate::storage::meta::MountBlob;
use crate::storage::store::StoreError;
use crate::storage::uploads::{self as staging, Begin, SessionInfo, UploadId, Writer};

/// Most repositories tried as the source of an anonymous mount.
const MOUNT_SOURCES: usize = 32;

/// Why an upload did not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The project is not there, and a push does not make it.
    #[error("the project is not there, and this node makes none on push: create it first")]
    NoProject,
    /// A chunk starts elsewhere than where the session is.
    #[error("the next byte this session takes is {offset}: send from there")]
    OutOfOrder {
        /// Where the session is.
        offset: u64,
        /// Its id, so that the answer can say where to go on.
        id: UploadId,
    },
    /// A chunk's length differs from what its `Content-Range` says.
    #[error("Content-Range says {claimed} bytes and the body has {actual}")]
    WrongLength {
        /// What the header said.
        claimed: u64,
        /// What came.
        actual: u64,
    },
    /// The staging area.
    #[error(transparent)]
    Staging(#[from] staging::UploadError),
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Uploads(error) => Self::Staging(error),
            StoreError::Meta(_) | StoreError::Blobs(_) => Self::Fault(error.into()),
        }
    }
}

/// A blob that is now part of the repository, durable.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its digest.
    pub digest: Digest,
}

/// What came of a mount.
#[derive(Debug)]
pub enum Mounted {
    /// The blob is part of the repository.
    Done(Received),
    /// It could not be mounted, whatever the reason; a session was begun instead.
    Upload(SessionInfo),
}

impl Registry {
    /// Begins a session.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn begin_upload(
        &self,
        permit: &Permit<Push>,
        algorithm: Algorithm,
        request: &Arc<str>,
    ) -> Result<SessionInfo, UploadError> {
        self.check_project(permit, request).await?;
        Ok(self.store.uploads().begin(Self::begin(permit, algorithm)).await?)
    }

    /// Begins a session that lives for one request.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn begin_upload_once(
        &self,
        permit: &Permit<Push>,
        algorithm: Algorithm,
        request: &Arc<str>,
    ) -> Result<Writer, UploadError> {
        self.check_project(permit, request).await?;
        Ok(self.store.uploads().begin_once(Self::begin(permit, algorithm)).await?)
    }

    fn begin(permit: &Permit<Push>, algorithm: Algorithm) -> Begin {
        Begin { principal: Arc::clone(&permit.actor().name), repository: permit.repository().clone(), algorithm }
    }

    async fn check_project(&self, permit: &Permit<Push>, request: &Arc<str>) -> Result<(), UploadError> {
        let act = self.act(permit.actor(), request);
        match self.project_for_push(&permit.repository().project(), &act).await? {
            Some(_) => Ok(()),
            None => Err(UploadError::NoProject),
        }
    }

    /// How far a session has come.
    ///
    /// # Errors
    /// [`UploadError::Staging`] with `Unknown` also for a session of someone else or of another repository.
    pub async fn upload(&self, permit: &Permit<Push>, id: &UploadId) -> Result<SessionInfo, UploadError> {
        Self::owned(permit, self.store.uploads().info(id).await?)
    }

    /// Opens a session for writing.
    ///
    /// # Errors
    /// As [`Registry::upload`]; `Busy` while another request writes to it.
    pub async fn open_upload(&self, permit: &Permit<Push>, id: &UploadId) -> Result<Writer, UploadError> {
        // Whose it is comes first: one who may not know of it is not told that it is busy.
        self.upload(permit, id).await?;
        Ok(self.store.uploads().open(id).await?)
    }

    fn owned(permit: &Permit<Push>, info: SessionInfo) -> Result<SessionInfo, UploadError> {
        if info.principal == permit.actor().name && info.repository == *permit.repository() {
            Ok(info)
        } else {
            Err(staging::UploadError::Unknown.into())
        }
    }

    /// Gives a session up.
    ///
    /// # Errors
    /// As [`Registry::open_upload`].
    pub async fn cancel_upload(&self, permit: &Permit<Push>, id: &UploadId) -> Result<(), UploadError> {
        self.upload(permit, id).await?;
        Ok(self.store.uploads().cancel(id).await?)
    }

    /// Ends a session: the blob is part of the repository and durable when this returns. The work goes on when the
    /// client hangs up meanwhile: half a commit helps nobody.
    ///
    /// # Errors
    /// [`UploadError`]; on a wrong digest the session stays as it was.
    pub async fn finish_upload(
        &self,
        permit: &Permit<Push>,
        writer: Writer,
        expected: Digest,
        request: &Arc<str>,
    ) -> Result<Received, UploadError> {
        let (store, repository) = (Arc::clone(&self.store), permit.repository().clone());
        let act = self.act(permit.actor(), request);
        let commit = async move {
            let staged = writer.finish(&expected).await?;
            store.commit_blob(staged, &repository, act).await.map_err(UploadError::from)
        };
        match self.scope.run("commit blob", commit).await.map_err(Fault::from)?? {
            true => Ok(Received { digest: expected }),
            false => Err(UploadError::NoProject),
        }
    }

    /// Makes a blob of another repository part of this one. Without `from`, any repository the principal may pull from
    /// will do. Whatever the reason it can't be done, the answer is a new session: it tells nothing about `from`.
    ///
    /// # Errors
    /// [`UploadError`], as for a new session.
    pub async fn mount(
        &self,
        permit: &Permit<Push>,
        gate: &Gate,
        principal: &Principal,
        digest: &Digest,
        from: Option<&RepositoryName>,
        request: &Arc<str>,
    ) -> Result<Mounted, UploadError> {
        self.check_project(permit, request).await?;
        if let Some(from) = self.mount_source(gate, principal, digest, from).await? {
            let mount = MountBlob {
                from: from.repository().clone(),
                to: permit.repository().clone(),
                digest: *digest,
                lease: self.store.lease_end(),
                act: self.act(permit.actor(), request),
            };
            if self.store.meta().mount_blob(mount).await.map_err(Fault::from)?.is_some() {
                return Ok(Mounted::Done(Received { digest: *digest }));
            }
        }
        Ok(Mounted::Upload(self.store.uploads().begin(Self::begin(permit, digest.algorithm())).await?))
    }

    /// A permit to read the blob where it is. A token's scopes bound it as they bound a pull.
    async fn mount_source(
        &self,
        gate: &Gate,
        principal: &Principal,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Option<Permit<Pull>>, UploadError> {
        // The same look-up is made whether or not `from` may be read: the time it takes tells nothing.
        let holders = self.store.meta().blob_repositories(digest, MOUNT_SOURCES).await.map_err(Fault::from)?;
        for repository in from.into_iter().chain(holders.iter().filter(|_| from.is_none())) {
            // An anonymous mount names no source, so no token can carry its scope: the account's right decides.
            let allowed = match from {
                Some(_) => gate.permit::<Pull>(principal, repository).ok(),
                None => gate.permit_by_account::<Pull>(principal, repository),
            };
            if allowed.is_some() {
                return Ok(allowed);
            }
        }
        Ok(None)
    }
}

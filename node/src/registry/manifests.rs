//! Manifests: resolve, publish, delete.

use std::sync::Arc;

use bytes::Bytes;
use protocol::record::value::MAX_CHILDREN;
use protocol::{Digest, Manifest, MediaType, Reference, Tag, manifest};

use super::{Fault, Registry};
use crate::policy::{self, Delete, Permit, Pull};
use crate::storage::meta::{DeletedManifest, PublishManifest, Published, StoredManifest};
use crate::storage::store::StoreError;

/// Most tags one push may set.
const MAX_TAGS: usize = 100;

/// Why a manifest was not given, taken or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The repository holds none of that name.
    #[error("this repository holds no manifest of that name")]
    Unknown,
    /// The body is none we store.
    #[error(transparent)]
    Invalid(#[from] manifest::ManifestError),
    /// The body does not hash to the digest in the URL.
    #[error("the body has the digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the URL says.
        expected: Digest,
        /// What the body has.
        actual: Digest,
    },
    /// Blobs or children it names are not in this repository.
    #[error("the manifest names content this repository does not hold: push that first")]
    Missing {
        /// Blobs.
        blobs: Vec<Digest>,
        /// Children of an index.
        children: Vec<Digest>,
    },
    /// A descriptor claims another length than the content has.
    #[error("the manifest says {digest} has {claimed} bytes, it has {actual}")]
    WrongSize {
        /// The content.
        digest: Digest,
        /// The claim.
        claimed: u64,
        /// The length it has.
        actual: u64,
    },
    /// The project is not there, and a push does not make it.
    #[error("the project is not there, and this node makes none on push: create it first")]
    NoProject,
    /// Tags of the project are written elsewhere.
    #[error("tags of this project are written at {0} alone: do it there")]
    NotHome(String),
    /// A tag that had to be new is there.
    #[error("the tag {0} is there already")]
    TagExists(Tag),
    /// More tags than one push may set.
    #[error("one push sets at most {MAX_TAGS} tags, this one has {found}")]
    TooManyTags {
        /// The number found.
        found: usize,
    },
    /// More children than its record has room for.
    #[error("an index names at most {MAX_CHILDREN} manifests, fewer when their digests are long")]
    TooManyChildren,
    /// The project would use more than its quota.
    #[error(
        "the project uses {used} of its {limit} bytes and this would add {adds}: delete what is not needed any more, or \
         ask an administrator for a greater quota"
    )]
    OverQuota {
        /// Bytes it uses.
        used: u64,
        /// Bytes this would add.
        adds: u64,
        /// The quota.
        limit: u64,
    },
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<StoreError> for ManifestError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// A manifest someone pushes.
#[derive(Clone, Debug)]
pub struct Push {
    /// By which name: the digest it must have, or a tag.
    pub reference: Reference,
    /// More tags that shall name it (`?tag=`).
    pub tags: Vec<Tag>,
    /// What the client says it is.
    pub media_type: Option<MediaType>,
    /// The exact bytes.
    pub body: Bytes,
}

/// A manifest that is now part of the repository, durable.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Its digest.
    pub digest: Digest,
    /// The manifest it speaks about.
    pub subject: Option<Digest>,
    /// The tags that name it since.
    pub tags: Vec<Tag>,
}

/// A manifest that is deleted, durable.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// The tags that named it, and are gone with it.
    pub tags: Vec<Tag>,
    /// A live manifest that names it, so that it is served for as long as that is.
    pub kept_by: Option<Digest>,
}

impl Registry {
    /// The manifest a reference names.
    ///
    /// # Errors
    /// [`ManifestError::Unknown`].
    pub async fn manifest(
        &self,
        permit: &Permit<Pull>,
        reference: &Reference,
    ) -> Result<StoredManifest, ManifestError> {
        let found = self.store.meta().manifest(permit.repository(), reference).await.map_err(Fault::from)?;
        found.ok_or(ManifestError::Unknown)
    }

    /// Counts a pull: the manifest was given, and not by its name alone.
    pub fn count_pull(&self, permit: &Permit<Pull>, reference: &Reference, digest: &Digest) {
        self.pulls.count(permit.repository(), *digest, reference, self.clock.now());
    }

    /// Publishes a manifest: checked, complete, and durable when this returns. The work goes on when the client hangs
    /// up meanwhile.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing was written.
    pub async fn push_manifest(
        &self,
        permit: &Permit<policy::Push>,
        push: Push,
        request: &Arc<str>,
    ) -> Result<Pushed, ManifestError> {
        let parsed = Manifest::parse(&push.body, push.media_type.as_ref())?;
        let (digest, tags) = Self::name(&push)?;
        let act = self.act(permit.actor(), request);
        let project = self.project_for_push(&permit.repository().project(), &act).await?;
        let project = project.ok_or(ManifestError::NoProject)?;
        let publish = PublishManifest::of(permit.repository(), digest, &parsed, push.body, self.store.due(), act);
        let publish = PublishManifest {
            tags: tags.clone(),
            sparse: project.sparse,
            quota: self.quota_of(&project.name),
            ..publish
        };
        let subject = publish.subject;
        self.publish(publish).await?;
        Ok(Pushed { digest, subject, tags })
    }

    /// Publishes; the work goes on when the client hangs up meanwhile.
    pub(super) async fn publish(&self, publish: PublishManifest) -> Result<(), ManifestError> {
        let store = Arc::clone(&self.store);
        let published = self.scope.run("publish manifest", async move { store.publish(publish).await }).await;
        match published.map_err(Fault::from)?? {
            Published::Done { .. } => Ok(()),
            Published::Missing { blobs, children } => Err(ManifestError::Missing { blobs, children }),
            Published::WrongSize { digest, claimed, actual } => {
                Err(ManifestError::WrongSize { digest, claimed, actual })
            }
            Published::NoProject => Err(ManifestError::NoProject),
            Published::NotHome(site) => Err(ManifestError::NotHome(site)),
            Published::TooManyChildren => Err(ManifestError::TooManyChildren),
            Published::TagExists(tag) => Err(ManifestError::TagExists(tag)),
            Published::OverQuota { used, adds, limit } => Err(ManifestError::OverQuota { used, adds, limit }),
        }
    }

    /// The digest the body must have, and every tag of the push once.
    fn name(push: &Push) -> Result<(Digest, Vec<Tag>), ManifestError> {
        let mut tags = push.tags.clone();
        let digest = match &push.reference {
            Reference::Digest(expected) => {
                let actual = Digest::of(expected.algorithm(), &push.body);
                if actual != *expected {
                    return Err(ManifestError::DigestMismatch { expected: *expected, actual });
                }
                actual
            }
            Reference::Tag(tag) => {
                tags.insert(0, tag.clone());
                Digest::sha256(&push.body)
            }
        };
        let mut seen = std::collections::BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        if tags.len() > MAX_TAGS {
            return Err(ManifestError::TooManyTags { found: tags.len() });
        }
        Ok((digest, tags))
    }

    /// Deletes a manifest and the tags that name it.
    ///
    /// # Errors
    /// [`ManifestError::Unknown`].
    pub async fn delete_manifest(
        &self,
        permit: &Permit<Delete>,
        digest: &Digest,
        request: &Arc<str>,
    ) -> Result<Deleted, ManifestError> {
        let act = self.act(permit.actor(), request);
        self.store.make_room();
        let due = self.store.due();
        let outcome = self
            .store
            .meta()
            .delete_manifest(permit.repository(), digest, due, act.clone())
            .await
            .map_err(Fault::from)?;
        match outcome {
            DeletedManifest::Done { tags, kept_by } => {
                self.forget_labels(permit.repository(), digest, &act).await;
                Ok(Deleted { tags, kept_by })
            }
            DeletedManifest::Absent => Err(ManifestError::Unknown),
            DeletedManifest::NotHome(site) => Err(ManifestError::NotHome(site)),
        }
    }
}

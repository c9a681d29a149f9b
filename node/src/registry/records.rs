//! What the records tell a person: the history of a tag, conflicts, and the words that settle them.

use std::sync::Arc;

use bytes::Bytes;
use protocol::record::{Held, RecordId};
use protocol::{Digest, Manifest, Reference, RepositoryName, Tag, Timestamp, manifest};
use serde::{Deserialize, Serialize};

use super::{Fault, ManifestError, Registry};
use crate::policy::AdminPermit;
use crate::storage::meta::{
    Choice, ChooseHead, Chosen, Conflict, DecideTag, Decided, MetaError, PublishManifest, TagVersion, called,
};
use crate::storage::store::Small;

/// Most versions, or conflicts, in one answer.
const MOST: usize = 1000;

/// Why something was not shown, or not settled.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// Nothing was ever said of it.
    #[error("nothing was ever said of that here: check repository, tag and digest")]
    Unknown,
    /// There is nothing to undo or to choose.
    #[error(
        "there is nothing to settle: it is not deleted, and there is no conflict about it (`portolan conflicts list`)"
    )]
    Settled,
    /// No side of the conflict names that.
    #[error("no side of the conflict names that digest: choose one that `portolan conflicts list` shows")]
    NoHead,
    /// A tag is settled by what it shall name.
    #[error("that is a version of {0}:{1}: choose the digest it shall name")]
    NeedsDigest(RepositoryName, Tag),
    /// The manifest is not in the repository.
    #[error("the manifest {0} is not in this repository any more: push it again")]
    ManifestGone(Digest),
    /// The bytes of the manifest are not here, or are no manifest.
    #[error("the bytes of that manifest are not here any more: push it again")]
    BytesGone,
    /// What it needs is not here any more.
    #[error("that manifest can't come back: {0}")]
    Refused(ManifestError),
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ManifestError> for RecordsError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Fault(fault) => Self::Fault(fault),
            ManifestError::Invalid(_) | ManifestError::DigestMismatch { .. } => Self::BytesGone,
            ManifestError::Unknown
            | ManifestError::Missing { .. }
            | ManifestError::WrongSize { .. }
            | ManifestError::NoProject
            | ManifestError::NotHome(_)
            | ManifestError::TagExists(_)
            | ManifestError::TooManyTags { .. }
            | ManifestError::TooManyChildren
            | ManifestError::OverQuota { .. } => Self::Refused(error),
        }
    }
}

impl From<MetaError> for RecordsError {
    fn from(error: MetaError) -> Self {
        Self::Fault(error.into())
    }
}

/// One version, as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What the tag names by it; `None`: it deletes the tag, or does not speak of one.
    pub digest: Option<Digest>,
    /// Who is behind it.
    pub actor: String,
    /// When, in milliseconds since 1970.
    pub at: Timestamp,
    /// The record.
    pub record: String,
}

/// A conflict, as people and programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contested {
    /// What kind of thing it is about.
    pub kind: String,
    /// Which one: `repository:tag`, `repository@digest`, or the key as it stands.
    pub what: String,
    /// How many sides there are.
    pub sides: u64,
    /// The sides, the greatest first; of very many the first ones.
    pub heads: Vec<Said>,
}

impl Said {
    fn version(version: &TagVersion) -> Self {
        let TagVersion { digest, actor, at, record } = version;
        Self { digest: *digest, actor: actor.as_ref().to_owned(), at: *at, record: record.to_string() }
    }

    fn head(held: &Held) -> Self {
        TagVersion::read(held).map_or_else(|_| Self::other(held), |version| Self::version(&version))
    }

    /// A version of something else than a tag.
    fn other(held: &Held) -> Self {
        let record = &held.record;
        let actor = record.body().map(|body| body.actor.clone()).unwrap_or_default();
        Self { digest: None, actor, at: record.time().moment(), record: record.id().to_string() }
    }
}

impl Contested {
    fn new(conflict: &Conflict) -> Self {
        Self {
            kind: conflict.topic.kind.to_string(),
            what: called(&conflict.topic),
            sides: conflict.count,
            heads: conflict.heads.iter().map(Said::head).collect(),
        }
    }
}

impl Registry {
    /// Versions of a tag, newest first, at most `limit`; none when nothing was ever said of it.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`].
    pub async fn tag_history(
        &self,
        _permit: &AdminPermit,
        repository: &RepositoryName,
        tag: &Tag,
        limit: usize,
    ) -> Result<Vec<Said>, RecordsError> {
        let versions = self.store.meta().tag_history(repository, tag, limit.clamp(1, MOST)).await?;
        if versions.is_empty() {
            return Err(RecordsError::Unknown);
        }
        Ok(versions.iter().map(Said::version).collect())
    }

    /// Conflicts nobody has settled.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn conflicts(&self, _permit: &AdminPermit) -> Result<Vec<Contested>, Fault> {
        Ok(self.store.meta().conflicts(MOST).await?.iter().map(Contested::new).collect())
    }

    /// Settles what a tag names; answers with that.
    ///
    /// # Errors
    /// [`RecordsError`]; then nothing was written.
    pub async fn decide_tag(
        &self,
        permit: &AdminPermit,
        repository: RepositoryName,
        tag: Tag,
        choice: Choice,
        request: &Arc<str>,
    ) -> Result<Digest, RecordsError> {
        let act = self.act(permit.actor(), request);
        let due = self.store.due();
        match self.store.meta().decide_tag(DecideTag { repository, tag, choice, due, act }).await? {
            Decided::Done(digest) => Ok(digest),
            Decided::Unknown => Err(RecordsError::Unknown),
            Decided::Settled => Err(RecordsError::Settled),
            Decided::NoHead => Err(RecordsError::NoHead),
            Decided::ManifestGone(digest) => Err(RecordsError::ManifestGone(digest)),
            Decided::NotHome(site) => Err(RecordsError::Refused(ManifestError::NotHome(site))),
        }
    }

    /// Settles a conflict about anything but a tag for one of its sides, named by its record.
    ///
    /// # Errors
    /// [`RecordsError`]; then nothing was written.
    pub async fn choose_head(
        &self,
        permit: &AdminPermit,
        record: RecordId,
        request: &Arc<str>,
    ) -> Result<(), RecordsError> {
        let (act, due) = (self.act(permit.actor(), request), self.store.due());
        match self.store.meta().choose_head(ChooseHead { record, due, act }).await? {
            Chosen::Done => Ok(()),
            Chosen::Unknown => Err(RecordsError::Unknown),
            Chosen::Settled => Err(RecordsError::Settled),
            Chosen::Tag(repository, tag) => Err(RecordsError::NeedsDigest(repository, tag)),
        }
    }

    /// Lets a deleted manifest be part of its repository again, while its bytes are here: by a push of them.
    ///
    /// # Errors
    /// [`RecordsError`]; then nothing was written.
    pub async fn undelete_manifest(
        &self,
        permit: &AdminPermit,
        repository: &RepositoryName,
        digest: &Digest,
        request: &Arc<str>,
    ) -> Result<(), RecordsError> {
        let act = self.act(permit.actor(), request);
        let meta = self.store.meta();
        let project = meta.project(&repository.project()).await?.ok_or(RecordsError::Unknown)?;
        let Some(media_type) = meta.deleted_manifest(repository, digest).await? else {
            let is_here = meta.manifest(repository, &Reference::Digest(*digest)).await?.is_some();
            return Err(if is_here { RecordsError::Settled } else { RecordsError::Unknown });
        };
        let body = self.bytes_of(digest).await?.ok_or(RecordsError::BytesGone)?;
        let parsed = Manifest::parse(&body, Some(&media_type)).map_err(ManifestError::from)?;
        let publish = PublishManifest::of(repository, *digest, &parsed, body, self.store.due(), act);
        Ok(self.publish(PublishManifest { sparse: project.sparse, ..publish }).await?)
    }

    /// The bytes of a manifest nobody may hold any more; `None` when they are gone, or not what their name says.
    async fn bytes_of(&self, digest: &Digest) -> Result<Option<Bytes>, Fault> {
        Ok(match self.store.read_small(digest, manifest::MAX_BYTES as u64, &self.scope).await? {
            Small::Whole(bytes) => Some(bytes),
            Small::TooLarge | Small::Damaged | Small::Absent => None,
        })
    }
}

//! What listings for people show: repositories, artifacts and tags with their numbers, times and pulls. Owns no state.
//!
//! Numbers are given out from one counter of this node, are positive, fit 31 bits and are never used again. They are this
//! node's own: no record has them, and a rebuild gives out others.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{Digest, MediaType, ProjectName, RepositoryName, Tag, Timestamp};

use super::{Act, MetaError, MetaStore};

/// The last number there is to give out.
pub const MAX_ID: u32 = i32::MAX.unsigned_abs();

/// A part of a listing by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Items left out from the front.
    pub offset: u64,
    /// Most items.
    pub limit: usize,
}

/// A part of a listing and how long all of it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// How many the whole listing has.
    pub total: u64,
}

/// A repository, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryView {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: RepositoryName,
    /// When something was first pushed to it; 0 when the first word of it came from another site.
    pub created: Timestamp,
    /// When a manifest was last pushed to it, or it was described.
    pub updated: Timestamp,
    /// What people say of it.
    pub description: String,
    /// Artifacts that are listed, see [`ArtifactOrder::Newest`].
    pub artifacts: u64,
    /// All its manifests.
    pub manifests: u64,
    /// Its tags.
    pub tags: u64,
    /// Pulls, as far as they were noted.
    pub pulls: u64,
    /// The last one.
    pub last_pull: Option<Timestamp>,
}

/// The order of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryOrder {
    /// By name, ascending.
    Name,
    /// The one that got its number last, first.
    Newest,
}

/// Judges repositories by their names, for a listing that shows only some.
pub trait Wanted: std::fmt::Debug + Send + Sync {
    /// Whether the repository of this name is wanted. Called for each one looked at, so it must be quick.
    fn wants(&self, repository: &str) -> bool;
}

/// By what repositories that were looked for are ordered; equals by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryKey {
    /// Name.
    Name,
    /// The order in which they got their numbers.
    Created,
    /// When something last happened to them.
    Updated,
}

/// Repositories looked for.
#[derive(Clone, Debug)]
pub struct FindRepositories {
    /// What the name contains.
    pub contains: String,
    /// The projects looked in; `None`: all.
    pub projects: Option<Arc<BTreeSet<ProjectName>>>,
    /// Which of these are wanted; `None`: all.
    pub wanted: Option<Arc<dyn Wanted>>,
    /// Their order.
    pub by: RepositoryKey,
    /// The greatest first.
    pub descending: bool,
    /// The part of what is found.
    pub slice: Slice,
}

impl FindRepositories {
    /// Those whose name contains something, by name.
    #[must_use]
    pub fn containing(contains: String, slice: Slice) -> Self {
        Self { contains, projects: None, wanted: None, by: RepositoryKey::Name, descending: false, slice }
    }

    /// Whether a repository is among them, as far as its name says.
    #[must_use]
    pub fn takes(&self, repository: &str) -> bool {
        repository.contains(&self.contains) && self.wanted.as_ref().is_none_or(|wanted| wanted.wants(repository))
    }
}

/// Which artifacts of a repository are listed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactOrder {
    /// Those that stand for themselves, the one pushed last first: a manifest that speaks about no other, and that a tag
    /// names or no live manifest does.
    Newest,
    /// Every manifest, by digest.
    Digest,
}

/// A manifest of a repository, as it is shown. What else is to be shown of it stands in its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactView {
    /// Its number.
    pub id: u32,
    /// Its digest.
    pub digest: Digest,
    /// The media type it is served under.
    pub media_type: MediaType,
    /// Its artifact type, or the media type of its config.
    pub artifact_type: Option<MediaType>,
    /// What it speaks about.
    pub subject: Option<Digest>,
    /// Bytes of the manifest.
    pub size: u64,
    /// Bytes of the manifest, of the blobs it needs and of the children that were here when it was pushed.
    pub total: u64,
    /// When it was first pushed here.
    pub pushed: Timestamp,
    /// When it was last pulled, as far as that was noted.
    pub pulled: Option<Timestamp>,
}

/// A tag, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagView {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: Tag,
    /// What it names.
    pub digest: Digest,
    /// When it was last pushed, by its record.
    pub pushed: Timestamp,
    /// When it was last pulled, as far as that was noted.
    pub pulled: Option<Timestamp>,
}

/// Pulls of a manifest that were seen since the last were noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub digest: Digest,
    /// The tag by which it was pulled.
    pub tag: Option<Tag>,
    /// How often.
    pub count: u64,
    /// The last time.
    pub last: Timestamp,
}

/// What a project has, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectTotals {
    /// See [`super::MetaStore::project_bytes`].
    pub bytes: u64,
    /// Its repositories.
    pub repositories: u64,
}

/// How far the delete of a repository has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletedTo {
    /// Nothing is deleted.
    Nothing,
    /// The tags up to this one.
    Tag(Tag),
    /// All tags, and the manifests up to this one.
    Manifest(Digest),
}

/// Deletes a repository, in transactions of at most `most` tags and manifests each.
///
/// # Errors
/// [`MetaError`]; then a part may be deleted. [`DeletedRepository::NotHome`] also after a part, when tags went to another
/// site meanwhile.
pub async fn delete_in_steps(
    meta: &dyn MetaStore,
    name: &RepositoryName,
    most: usize,
    due: Timestamp,
    act: &Act,
) -> Result<DeletedRepository, MetaError> {
    let mut from = DeletedTo::Nothing;
    loop {
        match meta.delete_repository(name, (&from, most), due, act.clone()).await? {
            DeletedRepository::More(to) => from = to,
            // Somebody else deleted the rest.
            DeletedRepository::Absent if from != DeletedTo::Nothing => return Ok(DeletedRepository::Done),
            done @ (DeletedRepository::Done | DeletedRepository::Absent | DeletedRepository::NotHome(_)) => {
                return Ok(done);
            }
        }
    }
}

/// What came of [`super::MetaStore::delete_repository`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletedRepository {
    /// Deleted.
    Done,
    /// As far as this. Go on from there.
    More(DeletedTo),
    /// It was not there.
    Absent,
    /// A tag is in it, and tags of the project are written at this site alone. Nothing was written by this step.
    NotHome(String),
}

//! Intents: what the product wants to have happened, and what came of it. Owns no state.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::record::RecordId;
use protocol::{ContentRoot, Digest, Manifest, MediaType, RepositoryName, Tag, Timestamp};

use super::Act;

/// Intent: a blob whose bytes are durable becomes part of a repository.
#[derive(Clone, Debug)]
pub struct LinkBlob {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// Its BLAKE3 root.
    pub root: ContentRoot,
    /// Until when GC must not take it, whatever names it.
    pub lease: Timestamp,
    /// Who and when.
    pub act: Act,
}

/// Intent: a blob of one repository becomes part of another.
#[derive(Clone, Debug)]
pub struct MountBlob {
    /// The repository that links it; the caller has shown the right to read there.
    pub from: RepositoryName,
    /// Where it is wanted.
    pub to: RepositoryName,
    /// What.
    pub digest: Digest,
    /// As in [`LinkBlob`].
    pub lease: Timestamp,
    /// Who and when.
    pub act: Act,
}

/// Content a manifest needs to be here before it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The digest.
    pub digest: Digest,
    /// The length the descriptor claims.
    pub size: u64,
}

/// Intent: a manifest whose bytes are verified and durable becomes part of a repository, with its tags.
#[derive(Clone, Debug)]
pub struct PublishManifest {
    /// Where.
    pub repository: RepositoryName,
    /// The digest of `bytes`.
    pub digest: Digest,
    /// The exact bytes.
    pub bytes: Bytes,
    /// The BLAKE3 root of `bytes`.
    pub root: ContentRoot,
    /// The media type it is served under.
    pub media_type: MediaType,
    /// Tags that shall name it from now on.
    pub tags: Vec<Tag>,
    /// Whether none of these may name anything yet.
    pub tags_are_new: bool,
    /// Blobs that must be linked in this repository, and are pinned by it.
    pub blobs: Vec<Needed>,
    /// Blobs that are not missed when they are not here (non-distributable layers), and pinned whenever they come.
    pub optional_blobs: Vec<Digest>,
    /// Manifests it names as children. Each must be in this repository, unless `sparse`.
    pub children: Vec<Digest>,
    /// Whether absent blobs and children are fine. They are pinned all the same, for when they come.
    pub sparse: bool,
    /// The manifest it speaks about, which need not be here.
    pub subject: Option<Digest>,
    /// What a referrers listing shows.
    pub artifact_type: Option<MediaType>,
    /// What a referrers listing shows.
    pub annotations: BTreeMap<String, String>,
    /// The most bytes its project may use ([`super::MetaStore::project_bytes`]); `None`: no bound.
    pub quota: Option<u64>,
    /// Until when what is not needed any more stays: what a tag named before, and nothing else keeps.
    pub due: Timestamp,
    /// Who and when.
    pub act: Act,
}

impl PublishManifest {
    /// The intent for a manifest that was parsed from `bytes`, without tags, and complete.
    #[must_use]
    pub fn of(
        repository: &RepositoryName,
        digest: Digest,
        parsed: &Manifest,
        bytes: Bytes,
        due: Timestamp,
        act: Act,
    ) -> Self {
        let (required, optional): (Vec<_>, Vec<_>) =
            parsed.blobs().partition(|blob| !blob.media_type.is_non_distributable());
        Self {
            repository: repository.clone(),
            digest,
            root: protocol::tree::root_of(&bytes),
            media_type: parsed.kind().media_type(),
            tags: Vec::new(),
            tags_are_new: false,
            blobs: required.iter().map(|blob| Needed { digest: blob.digest, size: blob.size }).collect(),
            optional_blobs: optional.iter().map(|blob| blob.digest).collect(),
            children: parsed.children().iter().map(|child| child.digest).collect(),
            sparse: false,
            subject: parsed.subject().map(|subject| subject.digest),
            artifact_type: parsed.artifact_type().cloned(),
            annotations: parsed.annotations().clone(),
            quota: None,
            bytes,
            due,
            act,
        }
    }
}

/// What came of [`super::MetaStore::publish_manifest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// Written; `created` is false when the same manifest was there already.
    Done {
        /// Whether the repository did not hold it before.
        created: bool,
    },
    /// Content it needs is not in this repository. Nothing was written.
    Missing {
        /// Blobs not linked here, or quarantined.
        blobs: Vec<Digest>,
        /// Children not here.
        children: Vec<Digest>,
    },
    /// A descriptor claims another length than the content has. Nothing was written.
    WrongSize {
        /// The content.
        digest: Digest,
        /// The claim.
        claimed: u64,
        /// The length it has.
        actual: u64,
    },
    /// The project is not there. Nothing was written.
    NoProject,
    /// Tags of the project are written at this site alone. Nothing was written.
    NotHome(String),
    /// It names more manifests than a record has room for ([`protocol::record::value::MAX_CHILDREN`]). Nothing was written.
    TooManyChildren,
    /// A tag that had to be new names something. Nothing was written.
    TagExists(Tag),
    /// The project would use more than its quota. Nothing was written.
    OverQuota {
        /// Bytes it uses.
        used: u64,
        /// Bytes this would add: what of it is not published in the project yet.
        adds: u64,
        /// The quota.
        limit: u64,
    },
}

/// What came of [`super::MetaStore::delete_manifest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletedManifest {
    /// Deleted, with the tags that named it.
    Done {
        /// The tags that named it.
        tags: Vec<Tag>,
        /// A live manifest that names it, so that it stays and is served for as long as that does.
        kept_by: Option<Digest>,
    },
    /// It was not there.
    Absent,
    /// A tag names it, and tags of the project are written at this site alone. Nothing was written.
    NotHome(String),
}

/// What came of [`super::MetaStore::delete_tag`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletedTag {
    /// Gone; it named this.
    Done(Digest),
    /// It was not there.
    Absent,
    /// Tags of the project are written at this site alone. Nothing was written.
    NotHome(String),
}

/// What came of [`super::MetaStore::unlink_blob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnlinkedBlob {
    /// No longer part of the repository.
    Done,
    /// It was not part of it.
    Absent,
    /// A live manifest of the repository needs it. Nothing was written.
    Pinned {
        /// One such manifest.
        by: Digest,
    },
}

/// What a tag shall name, when a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One of several heads says so.
    Head(Digest),
    /// It is deleted and shall name again what it named last.
    Last,
}

/// Intent: a person settles what a tag names.
#[derive(Clone, Debug)]
pub struct DecideTag {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub tag: Tag,
    /// What it shall name.
    pub choice: Choice,
    /// As in [`PublishManifest`].
    pub due: Timestamp,
    /// Who and when.
    pub act: Act,
}

/// Intent: of several heads of anything but a tag, a person chooses one, whose word is repeated over all of them.
#[derive(Clone, Debug)]
pub struct ChooseHead {
    /// The head.
    pub record: RecordId,
    /// As in [`PublishManifest`].
    pub due: Timestamp,
    /// Who and when.
    pub act: Act,
}

/// What came of [`super::MetaStore::choose_head`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// It alone is a head now, by a record that repeats it.
    Done,
    /// There is no such record, or it can't be read.
    Unknown,
    /// It is no head of a conflict. Nothing was written.
    Settled,
    /// It speaks of this tag: [`super::MetaStore::decide_tag`] settles those. Nothing was written.
    Tag(RepositoryName, Tag),
}

/// What came of [`super::MetaStore::decide_tag`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It names this.
    Done(Digest),
    /// Nothing was ever said of the tag.
    Unknown,
    /// There is no conflict, or it is not deleted. Nothing was written.
    Settled,
    /// No head says that. Nothing was written.
    NoHead,
    /// That manifest is not in the repository (any more). Nothing was written.
    ManifestGone(Digest),
    /// Tags of the project are written at this site alone. Nothing was written.
    NotHome(String),
}

/// What came of [`super::MetaStore::take_in`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What is here since, or got its value.
    pub taken: Vec<RecordId>,
    /// What was left out: nobody here knows a grant of its author (yet).
    pub strangers: Vec<RecordId>,
}

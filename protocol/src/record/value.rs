//! What the values of records say, kind by kind.
//!
//! [`Value::read`] is total over what this version knows: anything else is a reason to call the record void, not to
//! refuse it, for a later version may know better. No state.

use serde::{Deserialize, Serialize};

use super::governed::{Configured, CustomRole, Group, Label, Labelled, Member, Metadata, Quota, Robot, User};
use super::{Kind, RecordId};
use crate::canonical::{self, NotCanonical};
use crate::trust::{Endorsement, Farewell, Grant, Revocation, Suspension};
use crate::{ContentRoot, Digest, MediaType, ProjectName, RepositoryName, Timestamp};

/// Most children a manifest's record lists; an index with more is refused at push, by name of this limit.
pub const MAX_CHILDREN: usize = 1024;

/// Who may write a project's tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TagMode {
    /// Every site with the right; concurrent writes are settled by time, and shown.
    Converge,
    /// The nodes of this site alone.
    Home(String),
}

/// A project's settings, or its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name, which the scope id binds.
    pub name: ProjectName,
    /// What opens the binding.
    pub nonce: [u8; 16],
    /// Open or closed.
    pub life: Life,
}

/// Whether a project is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// It is.
    Open(Settings),
    /// It was deleted; its scope stays closed unless someone reopens it naming this record.
    Closed {
        /// Live tags and manifests the deleter saw.
        seen: u64,
        /// [`crate::view::fingerprint`] of them.
        fingerprint: [u8; 32],
    },
}

/// Settings of an open project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether anyone may pull.
    pub public: bool,
    /// Whether a manifest may name content that is not here.
    pub sparse: bool,
    /// When the project was made.
    pub created: Timestamp,
    /// Who may write tags.
    pub mode: TagMode,
    /// Counts changes of `mode`, from 0.
    pub epoch: u32,
    /// The closing record this one undoes.
    pub reopens: Option<RecordId>,
    /// Its id.
    pub id: u32,
    /// The name of the user who owns it.
    pub owner: String,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Further settings.
    pub metadata: Metadata,
}

impl Settings {
    /// Those of a project that was made just then, with tags that every site may write.
    #[must_use]
    pub fn new(created: Timestamp, public: bool, sparse: bool) -> Self {
        Self {
            public,
            sparse,
            created,
            mode: TagMode::Converge,
            epoch: 0,
            reopens: None,
            id: 0,
            owner: String::new(),
            updated: created,
            metadata: Metadata::new(),
        }
    }
}

/// A version of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// What the tag names; `None`: it is deleted.
    pub digest: Option<Digest>,
    /// The epoch of the project's tag mode under which it was written.
    pub epoch: u32,
    /// Whether that was the mode `home`.
    pub home: bool,
}

/// A version of a manifest. A delete has no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Under which it is served.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
    /// The content root of its bytes, as its author claims.
    pub root: ContentRoot,
    /// Manifests it names, at most [`MAX_CHILDREN`].
    pub children: Vec<Digest>,
    /// The manifest it speaks about.
    pub subject: Option<Digest>,
    /// Blobs, with the roots the author claims. As many as fit; the others travel by digest alone.
    pub blobs: Vec<BlobClaim>,
}

/// What the author of a manifest record says of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobClaim {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its content root, where the author holds it.
    pub root: Option<ContentRoot>,
}

/// Content that must not be pulled, or may be again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Whether it is denied.
    pub denied: bool,
    /// Why.
    pub reason: String,
}

/// Which rules all sites compute by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The version.
    pub version: u32,
}

/// A policy: interpreted by its own issue; its rules version tells who can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The least rules version that knows how to read `body`.
    pub rules: u32,
    /// The repositories it is about.
    pub repository: Option<RepositoryName>,
    /// What it says.
    pub body: Vec<u8>,
}

/// A value this version can read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named as its content")]
pub enum Value {
    Grant(Grant),
    Revocation(Revocation),
    Endorsement(Endorsement),
    Suspension(Suspension),
    Farewell(Farewell),
    Project(Project),
    Tagged(Tagged),
    Pushed(Pushed),
    Member(Member),
    Robot(Robot),
    Role(CustomRole),
    User(User),
    Group(Group),
    Label(Label),
    Labelled(Labelled),
    Configured(Configured),
    Denial(Denial),
    Quota(Quota),
    Rules(Rules),
    Policy(Policy),
    /// Of a kind that this version carries without reading it.
    Opaque(Vec<u8>),
}

impl Value {
    /// Reads the value of a record of this kind.
    ///
    /// # Errors
    /// [`NotCanonical`]: the kind is known and these bytes are no value of it.
    pub fn read(kind: Kind, bytes: &[u8]) -> Result<Self, NotCanonical> {
        Ok(match kind {
            Kind::GRANT => Self::Grant(canonical::decode(bytes)?),
            Kind::REVOCATION => Self::Revocation(canonical::decode(bytes)?),
            Kind::ENDORSEMENT => Self::Endorsement(canonical::decode(bytes)?),
            Kind::SUSPENSION => Self::Suspension(canonical::decode(bytes)?),
            Kind::FAREWELL => Self::Farewell(canonical::decode(bytes)?),
            Kind::PROJECT => Self::Project(canonical::decode(bytes)?),
            Kind::TAG => Self::Tagged(canonical::decode(bytes)?),
            Kind::MANIFEST => Self::Pushed(canonical::decode(bytes)?),
            Kind::MEMBER => Self::Member(canonical::decode(bytes)?),
            Kind::ROBOT => Self::Robot(canonical::decode(bytes)?),
            Kind::ROLE => Self::Role(canonical::decode(bytes)?),
            Kind::USER => Self::User(canonical::decode(bytes)?),
            Kind::GROUP => Self::Group(canonical::decode(bytes)?),
            Kind::LABEL => Self::Label(canonical::decode(bytes)?),
            Kind::LABELLED => Self::Labelled(canonical::decode(bytes)?),
            Kind::CONFIGURATION => Self::Configured(canonical::decode(bytes)?),
            Kind::DENIAL => Self::Denial(canonical::decode(bytes)?),
            Kind::QUOTA => Self::Quota(canonical::decode(bytes)?),
            Kind::RULES => Self::Rules(canonical::decode(bytes)?),
            Kind::POLICY => Self::Policy(canonical::decode(bytes)?),
            _ => Self::Opaque(bytes.to_vec()),
        })
    }

    /// The one encoding of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Grant(value) => canonical::encode(value),
            Self::Revocation(value) => canonical::encode(value),
            Self::Endorsement(value) => canonical::encode(value),
            Self::Suspension(value) => canonical::encode(value),
            Self::Farewell(value) => canonical::encode(value),
            Self::Project(value) => canonical::encode(value),
            Self::Tagged(value) => canonical::encode(value),
            Self::Pushed(value) => canonical::encode(value),
            Self::Member(value) => canonical::encode(value),
            Self::Robot(value) => canonical::encode(value),
            Self::Role(value) => canonical::encode(value),
            Self::User(value) => canonical::encode(value),
            Self::Group(value) => canonical::encode(value),
            Self::Label(value) => canonical::encode(value),
            Self::Labelled(value) => canonical::encode(value),
            Self::Configured(value) => canonical::encode(value),
            Self::Denial(value) => canonical::encode(value),
            Self::Quota(value) => canonical::encode(value),
            Self::Rules(value) => canonical::encode(value),
            Self::Policy(value) => canonical::encode(value),
            Self::Opaque(bytes) => bytes.clone(),
        }
    }
}

//! Events: what happened, in the order of its commit. Owns no state; the engines keep them in their outbox.

use protocol::record::ScopeId;
use protocol::{Digest, ProjectName, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use super::Act;

/// Something that happened, in the order of its commit, waiting to be written to the audit log and told to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position: 1 or more; grows by one with each event, never reused.
    pub seq: u64,
    /// Who, when, under which request.
    pub act: Act,
    /// What.
    pub what: What,
    /// The scope of its project then: one made again under the name has another. `None`: of no project.
    pub scope: Option<ScopeId>,
}

impl What {
    /// The project it belongs to.
    #[must_use]
    pub fn project(&self) -> Option<ProjectName> {
        match self {
            Self::ProjectCreated { project, .. } => Some(project.clone()),
            Self::ManifestPushed { repository, .. }
            | Self::TagDeleted { repository, .. }
            | Self::ManifestDeleted { repository, .. }
            | Self::BlobUnlinked { repository, .. }
            | Self::TagDecided { repository, .. }
            | Self::RepositoryDescribed { repository }
            | Self::RepositoryDeleted { repository, .. } => Some(repository.project()),
            Self::Governed(governed) => governed.project.clone(),
            Self::BlobQuarantined { .. } | Self::ConflictSettled { .. } => None,
        }
    }
}

/// What an [`Event`] tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A project was made.
    ProjectCreated {
        /// Its name.
        project: ProjectName,
        /// Whether anyone may pull.
        public: bool,
    },
    /// A manifest was pushed, also one that was there already.
    ManifestPushed {
        /// Where.
        repository: RepositoryName,
        /// What.
        digest: Digest,
        /// Tags that name it since.
        tags: Vec<Tag>,
    },
    /// A tag was removed.
    TagDeleted {
        /// Where.
        repository: RepositoryName,
        /// Which.
        tag: Tag,
        /// What it named.
        digest: Digest,
    },
    /// A manifest was removed, with the tags that named it.
    ManifestDeleted {
        /// Where.
        repository: RepositoryName,
        /// What.
        digest: Digest,
        /// The tags.
        tags: Vec<Tag>,
    },
    /// A blob link was removed by a person.
    BlobUnlinked {
        /// Where.
        repository: RepositoryName,
        /// What.
        digest: Digest,
    },
    /// A scrub found damaged bytes.
    BlobQuarantined {
        /// What.
        digest: Digest,
    },
    /// A person settled what a tag names: a conflict, or a delete undone.
    TagDecided {
        /// Where.
        repository: RepositoryName,
        /// Which.
        tag: Tag,
        /// What it names since.
        digest: Digest,
    },
    /// A person settled a conflict about something else than a tag.
    ConflictSettled {
        /// What kind of thing, and which: as conflicts are listed.
        about: String,
        /// The record that was chosen.
        record: String,
    },
    /// Something about who may do what was made, changed or removed.
    Governed(Box<Governed>),
    /// A repository got another description.
    RepositoryDescribed {
        /// Which.
        repository: RepositoryName,
    },
    /// A repository was removed, with all that was in it.
    RepositoryDeleted {
        /// Which.
        repository: RepositoryName,
        /// How many manifests it held.
        manifests: u64,
        /// How many tags it had.
        tags: u64,
    },
}

/// A change to what governs the registry: the store keeps it as it was told, and knows no more of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governed {
    /// What kind of thing.
    pub kind: GovernedKind,
    /// What was done to it.
    pub operation: Operation,
    /// Which one: its name, for a member the user's or group's.
    pub name: String,
    /// The project it belongs to.
    pub project: Option<ProjectName>,
    /// What it was, as JSON; never a secret.
    pub before: Option<String>,
    /// What it is since, as JSON; never a secret.
    pub after: Option<String>,
}

/// What a [`Governed`] event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GovernedKind {
    /// A project.
    Project,
    /// A repository.
    Repository,
    /// A user.
    User,
    /// A group of users.
    Group,
    /// A user's or group's role in a project.
    Member,
    /// A robot account.
    Robot,
    /// A role.
    Role,
    /// The room a project may take.
    Quota,
    /// A label.
    Label,
    /// The configuration.
    Configuration,
    /// The audit log itself.
    Audit,
}

/// What was done to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// It was made.
    Create,
    /// It was changed.
    Update,
    /// It was removed.
    Delete,
    /// It was read by a client.
    Pull,
    /// Someone came in.
    Login,
    /// Someone left.
    Logout,
    /// It was found damaged and put aside.
    Quarantine,
    /// Old parts of it were removed.
    Purge,
    /// Parts of it were never written, for want of room.
    Drop,
    /// It was found cut or changed.
    Break,
}

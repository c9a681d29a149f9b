//! The words of the audit log: kinds of things and types of events, as Harbor's clients know them. Owns no state.

use serde::{Deserialize, Serialize};

use crate::storage::meta::{GovernedKind, Operation};

/// A kind of thing, by the name Harbor gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// A manifest.
    Artifact,
    /// A tag.
    Tag,
    /// A blob.
    Blob,
    /// Versions that stand beside each other.
    Conflict,
    /// A project.
    Project,
    /// A repository.
    Repository,
    /// A user.
    User,
    /// A group of users.
    UserGroup,
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

impl Resource {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Artifact,
        Self::Tag,
        Self::Blob,
        Self::Conflict,
        Self::Project,
        Self::Repository,
        Self::User,
        Self::UserGroup,
        Self::Member,
        Self::Robot,
        Self::Role,
        Self::Quota,
        Self::Label,
        Self::Configuration,
        Self::Audit,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Tag => "tag",
            Self::Blob => "blob",
            Self::Conflict => "conflict",
            Self::Project => "project",
            Self::Repository => "repository",
            Self::User => "user",
            Self::UserGroup => "usergroup",
            Self::Member => "member",
            Self::Robot => "robot",
            Self::Role => "role",
            Self::Quota => "quota",
            Self::Label => "label",
            Self::Configuration => "configuration",
            Self::Audit => "audit",
        }
    }

    /// Whether what is said of it may hold secrets.
    pub(super) const fn has_secrets(self) -> bool {
        matches!(self, Self::User | Self::Robot | Self::Configuration)
    }
}

impl From<GovernedKind> for Resource {
    fn from(kind: GovernedKind) -> Self {
        match kind {
            GovernedKind::Project => Self::Project,
            GovernedKind::Repository => Self::Repository,
            GovernedKind::User => Self::User,
            GovernedKind::Group => Self::UserGroup,
            GovernedKind::Member => Self::Member,
            GovernedKind::Robot => Self::Robot,
            GovernedKind::Role => Self::Role,
            GovernedKind::Quota => Self::Quota,
            GovernedKind::Label => Self::Label,
            GovernedKind::Configuration => Self::Configuration,
            GovernedKind::Audit => Self::Audit,
        }
    }
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Pull,
        Self::Login,
        Self::Logout,
        Self::Quarantine,
        Self::Purge,
        Self::Drop,
        Self::Break,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Pull => "pull",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Quarantine => "quarantine",
            Self::Purge => "purge",
            Self::Drop => "drop",
            Self::Break => "break",
        }
    }
}

/// What is switched off and purged together: `create_artifact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType {
    /// What was done.
    pub operation: Operation,
    /// To what.
    pub kind: Resource,
}

/// The types an operator may switch off or purge: Harbor's, then those of things Harbor logs under none of them.
const TYPES: [(Operation, Resource); 39] = [
    (Operation::Create, Resource::Artifact),
    (Operation::Delete, Resource::Artifact),
    (Operation::Pull, Resource::Artifact),
    (Operation::Create, Resource::Project),
    (Operation::Update, Resource::Project),
    (Operation::Delete, Resource::Project),
    (Operation::Delete, Resource::Repository),
    (Operation::Login, Resource::User),
    (Operation::Logout, Resource::User),
    (Operation::Create, Resource::User),
    (Operation::Delete, Resource::User),
    (Operation::Update, Resource::User),
    (Operation::Create, Resource::Robot),
    (Operation::Delete, Resource::Robot),
    (Operation::Update, Resource::Configuration),
    (Operation::Create, Resource::Member),
    (Operation::Delete, Resource::Member),
    (Operation::Update, Resource::Member),
    (Operation::Update, Resource::Robot),
    (Operation::Update, Resource::Repository),
    (Operation::Create, Resource::Tag),
    (Operation::Delete, Resource::Tag),
    (Operation::Update, Resource::Tag),
    (Operation::Delete, Resource::Blob),
    (Operation::Quarantine, Resource::Blob),
    (Operation::Update, Resource::Conflict),
    (Operation::Create, Resource::UserGroup),
    (Operation::Update, Resource::UserGroup),
    (Operation::Delete, Resource::UserGroup),
    (Operation::Create, Resource::Role),
    (Operation::Update, Resource::Role),
    (Operation::Delete, Resource::Role),
    (Operation::Create, Resource::Quota),
    (Operation::Update, Resource::Quota),
    (Operation::Delete, Resource::Quota),
    (Operation::Create, Resource::Label),
    (Operation::Update, Resource::Label),
    (Operation::Delete, Resource::Label),
    (Operation::Pull, Resource::Blob),
];

impl EventType {
    /// How many of them Harbor names: those that come first.
    pub const HARBORS: usize = 18;

    /// What an operator may switch off or purge, Harbor's types first. What the log says of itself is not among them.
    pub fn all() -> impl Iterator<Item = Self> {
        TYPES.into_iter().map(|(operation, kind)| Self { operation, kind })
    }

    /// Its name: `create_artifact`.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}_{}", self.operation.name(), self.kind.name())
    }

    /// The type of that name, in any case of letters; none for one that can't be switched off or purged.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        Self::all().find(|known| known.name() == name)
    }

    /// Whether it is the log's own word about itself, which nothing switches off or purges.
    #[must_use]
    pub fn is_own(self) -> bool {
        self.kind == Resource::Audit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_harbors_names() {
        let harbors = "create_artifact delete_artifact pull_artifact create_project update_project delete_project \
                       delete_repository login_user logout_user create_user delete_user update_user create_robot \
                       delete_robot update_configuration create_member delete_member update_member";
        let ours: Vec<_> = EventType::all().map(EventType::name).collect();
        assert!(harbors.split_whitespace().eq(ours.iter().take(EventType::HARBORS)));
        let mut distinct = ours.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ours.len());
        assert_eq!(EventType::parse(" Pull_Artifact ").unwrap().operation, Operation::Pull);
        assert_eq!(EventType::parse("purge_audit"), None);
        for kind in Resource::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for operation in Operation::ALL {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.name());
        }
    }
}

//! What may be done with what, in the words of Harbor's robot permissions, and what the built-in roles are made of.
//!
//! Everything here is constant: roles of an installation's own are data of the directory and are made of the same
//! [`Permission`]s. Nothing here decides; [`super::Gate`] does.

use std::fmt;

/// An enum whose variants are words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`.")] $variant,)+
        }

        impl $name {
            /// All there are, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads the word; `None` for any other.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What something is done with. [`Resource::Project`] in a project is the project itself.
    Resource {
        Accessory = "accessory",
        Artifact = "artifact",
        ArtifactAddition = "artifact-addition",
        ArtifactLabel = "artifact-label",
        AuditLog = "audit-log",
        Catalog = "catalog",
        Configuration = "configuration",
        ExportCve = "export-cve",
        GarbageCollection = "garbage-collection",
        ImmutableTag = "immutable-tag",
        JobserviceMonitor = "jobservice-monitor",
        Label = "label",
        LdapUser = "ldap-user",
        Log = "log",
        Member = "member",
        Metadata = "metadata",
        NotificationPolicy = "notification-policy",
        PreheatInstance = "preheat-instance",
        PreheatPolicy = "preheat-policy",
        Project = "project",
        PurgeAudit = "purge-audit",
        Quota = "quota",
        Registry = "registry",
        Replication = "replication",
        ReplicationAdapter = "replication-adapter",
        ReplicationPolicy = "replication-policy",
        Repository = "repository",
        Robot = "robot",
        Sbom = "sbom",
        Scan = "scan",
        ScanAll = "scan-all",
        Scanner = "scanner",
        SecurityHub = "security-hub",
        SystemVolumes = "system-volumes",
        Tag = "tag",
        TagRetention = "tag-retention",
        User = "user",
        UserGroup = "user-group",
    }
}

words! {
    /// What is done.
    Verb {
        Create = "create",
        Read = "read",
        Update = "update",
        Delete = "delete",
        List = "list",
        Pull = "pull",
        Push = "push",
        Operate = "operate",
        Stop = "stop",
        ScannerPull = "scanner-pull",
    }
}

/// The right to do one thing with one kind of thing, in a project or in the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// With what.
    pub resource: Resource,
    /// What.
    pub action: Verb,
}

impl Permission {
    /// A pair.
    #[must_use]
    pub const fn new(resource: Resource, action: Verb) -> Self {
        Self { resource, action }
    }

    /// Reads both words; `None` when either is none of ours.
    #[must_use]
    pub fn from_words(resource: &str, action: &str) -> Option<Self> {
        Some(Self::new(Resource::from_word(resource)?, Verb::from_word(action)?))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.action)
    }
}

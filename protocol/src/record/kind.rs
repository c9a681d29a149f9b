//! What a record may speak about, and what its author needs for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, RepositoryName, Tag};

/// Most bytes of a key: a repository name, a tag and what separates them fit twice.
pub const MAX_KEY: usize = 1024;

/// What a record speaks about. Numbers this version does not know are kept and handed on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind(pub u16);

/// What a grant can allow its holder to do to a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Receive and serve.
    Hold,
    /// Write manifests.
    Push,
    /// Write tags.
    Tag,
    /// Delete tags and manifests.
    Delete,
    /// Tell what an upstream's tag names.
    Observe,
    /// Tell what a scan found.
    Scan,
    /// Write projects, members, policies, denials.
    Administer,
    /// Grant, revoke, endorse.
    Issue,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $action:expr;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Every kind this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What its author must be allowed, apart from deletes, which want [`Action::Delete`] for tags and
            /// manifests; `None`: any node of the mesh may write it about itself, or the kind is not known.
            #[must_use]
            pub const fn action(self) -> Option<Action> {
                match self.0 {
                    $($number => $action,)*
                    _ => None,
                }
            }

            /// Whether this version can interpret it.
            #[must_use]
            pub const fn is_known(self) -> bool {
                matches!(self.0, $($number)|*)
            }

            const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A node is let in: with which rights, under which labels.
    GRANT = 1, "grant", Some(Action::Issue);
    /// A grant or a node ends, or ends in part.
    REVOCATION = 2, "revocation", Some(Action::Issue);
    /// Records of a node that stand although it is declared compromised.
    ENDORSEMENT = 3, "endorsement", Some(Action::Issue);
    /// An authority stops another until the root speaks.
    SUSPENSION = 4, "suspension", Some(Action::Issue);
    /// A node's own word on how far its records go.
    FAREWELL = 5, "farewell", None;
    /// Records may be removed with a named list of survivors. Reserved: no version acts on it yet.
    CUT = 6, "cut", Some(Action::Issue);
    /// What a site is called and where it is.
    SITE = 10, "site", Some(Action::Administer);
    /// A person.
    USER = 11, "user", Some(Action::Administer);
    /// Several persons.
    GROUP = 12, "group", Some(Action::Administer);
    /// Which version of the rules all sites compute by.
    RULES = 13, "rules", Some(Action::Issue);
    /// A setting of the whole mesh.
    CONFIGURATION = 14, "configuration", Some(Action::Administer);
    /// A project's settings and life.
    PROJECT = 20, "project", Some(Action::Administer);
    /// A person's or group's role in a project.
    MEMBER = 21, "member", Some(Action::Administer);
    /// An account for programs.
    ROBOT = 22, "robot", Some(Action::Administer);
    /// A named set of permissions.
    ROLE = 23, "role", Some(Action::Administer);
    /// A manifest of a repository.
    MANIFEST = 24, "manifest", Some(Action::Push);
    /// What a tag of a repository names.
    TAG = 25, "tag", Some(Action::Tag);
    /// Content that must not be pulled.
    DENIAL = 26, "denial", Some(Action::Administer);
    /// How many bytes a project may hold.
    QUOTA = 27, "quota", Some(Action::Administer);
    /// A label.
    LABEL = 28, "label", Some(Action::Administer);
    /// What a scan found.
    VERDICT = 29, "verdict", Some(Action::Scan);
    /// A policy.
    POLICY = 30, "policy", Some(Action::Administer);
    /// A registry to take content from.
    UPSTREAM = 31, "upstream", Some(Action::Administer);
    /// What an upstream's tag named when it was asked.
    UPSTREAM_TAG = 32, "upstream-tag", Some(Action::Observe);
    /// A key whose signatures count.
    TRUST_KEY = 33, "trust-key", Some(Action::Administer);
    /// Where to tell of events.
    WEBHOOK = 34, "webhook", Some(Action::Administer);
    /// A label on a manifest of a repository.
    LABELLED = 35, "labelled", Some(Action::Administer);
}

impl Kind {
    /// Whether it goes ahead of all others: what ends a right must not wait behind what somebody pushes.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(self, Self::REVOCATION | Self::SUSPENSION | Self::DENIAL)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "kind {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a record speaks about within its scope and kind: at most [`MAX_KEY`] bytes. Versions of one key follow and
/// contradict each other; versions of two never do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordKey(Vec<u8>);

impl RecordKey {
    /// The key of what a scope has one of: its project, the rules version.
    #[must_use]
    pub const fn single() -> Self {
        Self(Vec::new())
    }

    /// A key from raw bytes; `None` when there are too many.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX_KEY).then_some(Self(bytes))
    }

    /// A key of a name: of a member, a robot, a policy. Cut at [`MAX_KEY`] bytes, which no valid name reaches.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.as_bytes().iter().copied().take(MAX_KEY).collect())
    }

    /// The key of a hash: of the node or record spoken about.
    #[must_use]
    pub fn hash(hash: &[u8; 32]) -> Self {
        Self(hash.to_vec())
    }

    /// The key of a tag.
    #[must_use]
    pub fn tag(repository: &RepositoryName, tag: &Tag) -> Self {
        Self::below(repository, tag.as_str().as_bytes())
    }

    /// The key of a manifest.
    #[must_use]
    pub fn manifest(repository: &RepositoryName, digest: &Digest) -> Self {
        Self::below(repository, &digest.to_key())
    }

    /// No repository name contains a zero byte, so the first one separates.
    fn below(repository: &RepositoryName, rest: &[u8]) -> Self {
        let name = repository.as_str().as_bytes();
        let mut key = Vec::with_capacity(name.len() + 1 + rest.len());
        key.extend_from_slice(name);
        key.push(0);
        key.extend_from_slice(rest);
        Self(key)
    }

    /// The repository and the tag; `None` when it is no key of a tag.
    #[must_use]
    pub fn as_tag(&self) -> Option<(RepositoryName, Tag)> {
        let (repository, tag) = self.split()?;
        Some((repository, std::str::from_utf8(tag).ok()?.parse().ok()?))
    }

    /// The repository and the digest; `None` when it is no key of a manifest.
    #[must_use]
    pub fn as_manifest(&self) -> Option<(RepositoryName, Digest)> {
        let (repository, digest) = self.split()?;
        Some((repository, Digest::from_key(digest)?))
    }

    fn split(&self) -> Option<(RepositoryName, &[u8])> {
        let at = self.0.iter().position(|&byte| byte == 0)?;
        let text = std::str::from_utf8(&self.0[..at]).ok()?;
        let name: RepositoryName = text.parse().ok()?;
        // Names are read in docker's short form, too: a second key of the same tag would be a topic beside it.
        (name.as_str() == text).then_some((name, &self.0[at + 1..]))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_what_they_were_made_of() {
        let repository: RepositoryName = "library/app".parse().unwrap();
        let (tag, digest): (Tag, Digest) = ("v1".parse().unwrap(), Digest::sha256(b"x"));
        assert_eq!(RecordKey::tag(&repository, &tag).as_tag(), Some((repository.clone(), tag)));
        assert_eq!(RecordKey::manifest(&repository, &digest).as_manifest(), Some((repository, digest)));
        assert_eq!(RecordKey::named("x").as_tag(), None);
        assert!(RecordKey::from_bytes(vec![0; MAX_KEY + 1]).is_none());
    }

    #[test]
    fn a_tag_has_one_key() {
        let short = RecordKey::from_bytes(b"app\0v1".to_vec()).unwrap();
        assert_eq!(short.as_tag(), None, "the key of library/app:v1 says so in full");
        assert!(RecordKey::from_bytes(b"library/app\0v1".to_vec()).unwrap().as_tag().is_some());
    }

    #[test]
    fn kinds_have_names_and_unknown_ones_show_their_number() {
        assert_eq!(Kind::TAG.to_string(), "tag");
        assert_eq!(Kind(999).to_string(), "kind 999");
        assert!(Kind::CUT.is_known() && !Kind(999).is_known());
        assert_eq!(Kind(999).action(), None);
    }
}

//! What records say of people, programs and what they may do. No state.
//!
//! Names are keys of records, so two of one name are versions of one thing. Ids are small positive numbers that clients
//! of administration see (`i32`); they are part of what is said and are never given out twice by one node.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::RecordKey;
use crate::{Digest, RepositoryName, Timestamp};

/// A person's account. Its name is its key. How a password is checked is said by no record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: u32,
    /// Raised by each change that ends what was logged in before: a new password, a lesser right, a lock.
    pub generation: u64,
    /// Whether the person administers the system.
    pub administrator: bool,
    /// Whether the person is shut out for now.
    pub disabled: bool,
    /// Where to reach the person.
    pub email: String,
    /// What the person is called.
    pub real_name: String,
    /// Free text.
    pub comment: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// Several persons. Its name is its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: u32,
    /// Where its members are known: 1 LDAP, 2 HTTP, 3 OIDC, as Harbor counts them.
    pub origin: u8,
    /// Its distinguished name, for groups of a directory.
    pub dn: String,
    /// Ids of local users that belong to it.
    pub members: BTreeSet<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// Who is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Entity {
    /// A person, by id.
    User(u32),
    /// A group, by id.
    Group(u32),
}

/// A person's or group's role in a project, or in some of its repositories. A removal has no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The id of this membership.
    pub id: u32,
    /// Roles, by id: the member may do what **each** of them allows. One, unless versions contradict each other.
    pub roles: BTreeSet<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// What a membership is about, as its key says: the member, and the repositories it is limited to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberKey {
    /// Who.
    pub entity: Entity,
    /// A pattern over the repositories of the project; `None`: all of it, and the project itself.
    pub repositories: Option<String>,
}

impl MemberKey {
    /// The key of its record.
    #[must_use]
    pub fn to_key(&self) -> RecordKey {
        let (kind, id) = match self.entity {
            Entity::User(id) => ('u', id),
            Entity::Group(id) => ('g', id),
        };
        let pattern = self.repositories.as_deref().map_or_else(String::new, |pattern| format!("\0{pattern}"));
        RecordKey::named(&format!("{kind}{id}{pattern}"))
    }

    /// Reads a key; `None` when it is none of a membership.
    #[must_use]
    pub fn read(key: &RecordKey) -> Option<Self> {
        let text = std::str::from_utf8(key.as_bytes()).ok()?;
        let (who, repositories) = match text.split_once('\0') {
            Some((who, pattern)) => (who, Some(pattern.to_owned())),
            None => (text, None),
        };
        let id = |text: &str| text.parse().ok();
        let entity = match who.split_at_checked(1)? {
            ("u", rest) => Entity::User(id(rest)?),
            ("g", rest) => Entity::Group(id(rest)?),
            _ => return None,
        };
        let this = Self { entity, repositories };
        // "u01" is no second key of user 1.
        (this.to_key() == *key).then_some(this)
    }
}

/// An account for programs. Its name is its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Robot {
    /// Its id.
    pub id: u32,
    /// Raised by each change that ends what was logged in before.
    pub generation: u64,
    /// What it may do where: "namespace resource:action", ascending; the namespace is `/` for the system, `*` for all
    /// projects, or a project's name.
    pub permissions: Vec<String>,
    /// Whether it is shut out for now.
    pub disabled: bool,
    /// Until when it lives.
    pub expires: Option<Timestamp>,
    /// How many days it was given, for show; `None`: for ever.
    pub days: Option<u32>,
    /// SHA-256 of its secret, which has 256 random bits.
    pub secret: [u8; 32],
    /// Free text.
    pub description: String,
    /// Who made it.
    pub creator: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// A set of permissions that someone named. Its name is its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Its id, beyond those of the built-in roles.
    pub id: u32,
    /// "resource:action".
    pub permissions: BTreeSet<String>,
    /// Free text.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// A label. Its id is its key, for its name may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// `#RRGGBB`, or nothing.
    pub color: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
}

/// That a manifest has a label; which ones is its key. Without the label there is no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// When it was put on.
    pub at: Timestamp,
}

/// What a [`Labelled`] is about, as its key says. Each label has a key of its own: sites that put on different ones do not
/// contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelledKey {
    /// Where the manifest is.
    pub repository: RepositoryName,
    /// The manifest.
    pub digest: Digest,
    /// The label, by id.
    pub label: u32,
}

impl LabelledKey {
    /// The key of its record.
    #[must_use]
    pub fn to_key(&self) -> RecordKey {
        RecordKey::named(&format!("{}@{}\0{}", self.repository, self.digest, self.label))
    }

    /// Reads a key; `None` when it is none of a label on a manifest.
    #[must_use]
    pub fn read(key: &RecordKey) -> Option<Self> {
        let (what, label) = std::str::from_utf8(key.as_bytes()).ok()?.split_once('\0')?;
        let (repository, digest) = what.split_once('@')?;
        let this =
            Self { repository: repository.parse().ok()?, digest: digest.parse().ok()?, label: label.parse().ok()? };
        // Neither "07" nor a short name is a second key of the same.
        (this.to_key() == *key).then_some(this)
    }
}

/// How much a project may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Most bytes; `None`: no bound.
    pub bytes: Option<u64>,
    /// When it was set.
    pub updated: Timestamp,
}

/// A setting of the whole mesh. Its name is its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// What it is set to, as JSON.
    pub value: String,
}

/// Settings of a project that clients of administration know by name, as text.
pub type Metadata = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_on_a_manifest_has_one_key() {
        let digest = Digest::sha256(b"x");
        let key = LabelledKey { repository: "library/app".parse().unwrap(), digest, label: 7 };
        assert_eq!(LabelledKey::read(&key.to_key()), Some(key.clone()));
        for bad in ["", "library/app", "app@x\x007"] {
            assert_eq!(LabelledKey::read(&RecordKey::named(bad)), None, "{bad}");
        }
        for bad in
            [format!("library/app@{digest}\x0007"), format!("app@{digest}\x007"), format!("library/app@{digest}")]
        {
            assert_eq!(LabelledKey::read(&RecordKey::named(&bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_membership_has_one_key() {
        for (entity, repositories) in
            [(Entity::User(7), None), (Entity::Group(1), None), (Entity::User(7), Some("team/**".to_owned()))]
        {
            let key = MemberKey { entity, repositories };
            assert_eq!(MemberKey::read(&key.to_key()), Some(key));
        }
        for bad in ["", "u", "u01", "x1", "u1x", "é", "u-1"] {
            assert_eq!(MemberKey::read(&RecordKey::named(bad)), None, "{bad}");
        }
    }
}

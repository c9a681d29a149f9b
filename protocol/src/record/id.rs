//! Names that are hashes, and the numbers a record is counted by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ProjectName;
use crate::identity::NodeKey;

macro_rules! hash_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:.8}", blake3::Hash::from_bytes(self.0).to_hex().as_str())
            }
        }
    };
}

hash_name! {
    /// The name of a record: the hash of its header. The signature is not part of it.
    RecordId
}

hash_name! {
    /// The hash of a record's value.
    ValueHash
}

hash_name! {
    /// A mesh: the hash of its root key.
    MeshId
}

hash_name! {
    /// What is reconciled, granted and shown as one: the trust of a mesh, its mesh-wide settings, or one project.
    ScopeId
}

/// A text that is no name of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is named by 64 hexadecimal digits")]
pub struct NotARecordId;

impl FromStr for RecordId {
    type Err = NotARecordId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only as it is shown: one record has one name.
        let is_ours = |hash: &blake3::Hash| hash.to_hex().as_str() == text;
        blake3::Hash::from_hex(text).ok().filter(is_ours).map(|hash| Self(*hash.as_bytes())).ok_or(NotARecordId)
    }
}

impl RecordId {
    /// No record: what a root names as its grant.
    pub const NONE: Self = Self([0; 32]);

    /// The id of the record with this encoded header.
    #[must_use]
    pub fn of(header: &[u8]) -> Self {
        Self(hash("portolan record header 1", &[header]))
    }
}

impl ValueHash {
    /// The hash of these bytes as a value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        Self(hash("portolan record value 1", &[value]))
    }
}

impl MeshId {
    /// The mesh of a root.
    #[must_use]
    pub fn of(root: &NodeKey) -> Self {
        Self(hash("portolan mesh 1", &[&root.0]))
    }
}

impl ScopeId {
    /// Where grants and revocations stand: every site holds it, and reconciles it first.
    #[must_use]
    pub fn trust(mesh: &MeshId) -> Self {
        Self(hash("portolan scope trust 1", &[&mesh.0]))
    }

    /// Where settings stand that concern every site.
    #[must_use]
    pub fn mesh_wide(mesh: &MeshId) -> Self {
        Self(hash("portolan scope mesh-wide 1", &[&mesh.0]))
    }

    /// The scope of one life of a project. It binds the name: whoever shows the nonce proves which project it is, and
    /// nobody can open one project's scope under another's name, whatever rights they have there. The nonce is random,
    /// so the id tells nothing to those who don't hold the project.
    #[must_use]
    pub fn project(mesh: &MeshId, name: &ProjectName, nonce: &[u8; 16]) -> Self {
        Self(hash("portolan scope project 1", &[&mesh.0, nonce, name.as_str().as_bytes()]))
    }
}

/// One life of a node's counter: a random number drawn whenever the node may have lost sight of what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// Where a record stands among those of its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which life of the author's counter.
    pub incarnation: Incarnation,
    /// The place in it, from 1.
    pub seq: u64,
}

fn hash(context: &'static str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_binds_mesh_name_and_nonce() {
        let (mesh, other) = (MeshId([1; 32]), MeshId([2; 32]));
        let name = |text: &str| text.parse::<ProjectName>().unwrap();
        let scope = ScopeId::project(&mesh, &name("library"), &[3; 16]);
        assert_ne!(scope, ScopeId::project(&other, &name("library"), &[3; 16]));
        assert_ne!(scope, ScopeId::project(&mesh, &name("librar"), &[3; 16]));
        assert_ne!(scope, ScopeId::project(&mesh, &name("library"), &[4; 16]));
        assert_ne!(ScopeId::trust(&mesh), ScopeId::mesh_wide(&mesh));
    }
}

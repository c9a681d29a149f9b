//! The rows of the embedded engine, as they are written.
//!
//! A value is one version byte and a postcard body. It owns no state. A row that can't be read back is reported with its
//! table and key, never guessed at.

use protocol::record::ScopeId;
use protocol::{Digest, MediaType, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{BlobRow, Project};

/// The version every row is written in. A later program that writes another still reads this one.
const VERSION: u8 = 1;

/// A project that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ProjectRow {
    /// What the contract shows of it.
    pub(super) project: Project,
    /// Where the records of what is in it stand.
    pub(super) scope: ScopeId,
}

/// What a tag names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TagRow {
    /// The manifest.
    pub(super) digest: Digest,
    /// Its number.
    pub(super) id: u32,
    /// The time of the record that says so.
    pub(super) pushed: Timestamp,
    /// The last pull by it that was noted.
    pub(super) pulled: Option<Timestamp>,
}

/// A manifest of one repository; its bytes stand elsewhere, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ManifestRow {
    /// Under which it is served.
    pub(super) media_type: MediaType,
    /// Length in bytes.
    pub(super) size: u64,
    /// What it speaks about: where its referrers entry is found again.
    pub(super) subject: Option<Digest>,
    /// Its number.
    pub(super) id: u32,
    /// When it was first pushed.
    pub(super) pushed: Timestamp,
    /// Its last pull that was noted.
    pub(super) pulled: Option<Timestamp>,
    /// Its artifact type, or the media type of its config.
    pub(super) artifact_type: Option<MediaType>,
    /// With its blobs and children, in bytes.
    pub(super) total: u64,
}

/// What a manifest keeps alive in its repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PartsRow {
    /// Blobs it pins.
    pub(super) blobs: Vec<Digest>,
}

/// A blob as part of a repository.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LinkRow {
    /// Until when GC must not take it.
    pub(super) lease: Timestamp,
}

/// Bytes this site holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HeldRow {
    /// What the contract shows of it.
    pub(super) blob: BlobRow,
    /// While no repository holds it: not to be freed before.
    pub(super) keep: Timestamp,
}

/// A repository something was pushed to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RepositoryRow {
    /// When that first happened.
    pub(super) since: Timestamp,
    /// Its number.
    pub(super) id: u32,
    /// When a manifest last came, or a description.
    pub(super) updated: Timestamp,
    /// What people say of it.
    pub(super) description: String,
    /// Artifacts on the shelf.
    pub(super) artifacts: u64,
    /// Manifests.
    pub(super) manifests: u64,
    /// Tags.
    pub(super) tags: u64,
    /// Pulls that were noted.
    pub(super) pulls: u64,
    /// The last of them.
    pub(super) pulled: Option<Timestamp>,
}

/// What a project uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UsageRow {
    /// Bytes of what is published in it, each digest once.
    pub(super) bytes: u64,
    /// Its repositories.
    pub(super) repositories: u64,
}

/// What is in force of a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EntryRow {
    /// The number of its last change.
    pub(super) at: u64,
    /// Its value; `None`: nothing any more.
    pub(super) value: Option<Vec<u8>>,
}

/// Figures that are kept up with each intent, because finding them out would be a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Sum of the lengths of everything held.
    pub(super) bytes: u64,
    /// The position the next event gets.
    pub(super) next_event: u64,
    /// The last number given to a record or a topic.
    pub(super) numbers: u64,
    /// The number of the last change of an entry.
    pub(super) entries: u64,
    /// The last number given to a repository, an artifact or a tag.
    pub(super) ids: u32,
}

/// Writes a row; `None` when its type can't be written, which is a mistake in its type.
pub(super) fn encode<T: Serialize>(row: &T) -> Option<Vec<u8>> {
    postcard::to_extend(row, vec![VERSION]).ok()
}

/// Reads a row; the error says what is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    match value.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("row version {version} is not known")),
        None => Err("the row is empty".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_damage_is_told() {
        let row = TagRow { digest: Digest::sha256(b"x"), id: 1, pushed: Timestamp(2), pulled: None };
        let value = encode(&row).unwrap();
        assert_eq!(decode::<TagRow>(&value).unwrap().digest, row.digest);
        assert!(decode::<TagRow>(&value[..value.len() - 1]).is_err(), "cut short");
        assert!(decode::<TagRow>(&[]).is_err());
        let mut other = value;
        other[0] = 9;
        assert!(decode::<TagRow>(&other).unwrap_err().contains("version 9"));
    }
}

//! What is known of a session, and its sidecar file.
//!
//! The sidecar is written by the session's one writer and never synced: it is for kill -9. Its last 32 bytes are the
//! BLAKE3 hash of the rest, so half a sidecar is none.

use std::sync::Arc;

use protocol::tree::TreeState;
use protocol::{Algorithm, Hasher, RepositoryName, Timestamp};
use serde::{Deserialize, Serialize};

use super::session::{Begin, SessionInfo, UploadId};

/// Format of the sidecar. Another one is a session of another version of this program: given up.
const FORMAT: u8 = 1;

/// What happened to the session's file so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This process made it, or will.
    Ours,
    /// An earlier process made it. Its bytes may be lost in part (a power cut), and its name may be a second name of a
    /// blob committed just before the crash: it is read and hashed again, and never written to.
    Earlier,
}

/// A session as of its last checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) info: SessionInfo,
    pub(super) algorithm: Algorithm,
    /// State of the running hash at `info.offset`.
    pub(super) hash: Vec<u8>,
    /// State of the tree at the last boundary before it.
    pub(super) tree: TreeState,
    pub(super) origin: Origin,
}

#[derive(Serialize, Deserialize)]
struct Sidecar {
    format: u8,
    principal: Arc<str>,
    repository: RepositoryName,
    algorithm: String,
    offset: u64,
    created: Timestamp,
    expires: Timestamp,
    hash: Vec<u8>,
    tree: TreeState,
}

impl Record {
    /// A session of no bytes.
    pub(super) fn new(id: UploadId, begin: Begin, created: Timestamp, expires: Timestamp) -> Self {
        let Begin { principal, repository, algorithm } = begin;
        let info = SessionInfo { id, principal, repository, offset: 0, created, expires };
        let hash = Hasher::new(algorithm).save();
        Self { info, algorithm, hash, tree: TreeState { groups: 0, stack: Vec::new() }, origin: Origin::Ours }
    }

    /// The sidecar's content.
    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = postcard::to_stdvec(&Sidecar {
            format: FORMAT,
            principal: Arc::clone(&self.info.principal),
            repository: self.info.repository.clone(),
            algorithm: self.algorithm.as_str().into(),
            offset: self.info.offset,
            created: self.info.created,
            expires: self.info.expires,
            hash: self.hash.clone(),
            tree: self.tree.clone(),
        })?;
        let seal = blake3::hash(&bytes);
        bytes.extend_from_slice(seal.as_bytes());
        Ok(bytes)
    }

    /// Reads a sidecar an earlier process wrote; `None` when it is not one, whole and of this format.
    pub(super) fn decode(id: UploadId, bytes: &[u8]) -> Option<Self> {
        let (bytes, seal) = bytes.split_last_chunk::<32>()?;
        if blake3::hash(bytes) != *seal || bytes.first() != Some(&FORMAT) {
            return None;
        }
        let sidecar: Sidecar = postcard::from_bytes(bytes).ok()?;
        let algorithm = sidecar.algorithm.parse().ok()?;
        Hasher::restore(algorithm, &sidecar.hash)?;
        let Sidecar { principal, repository, offset, created, expires, hash, tree, .. } = sidecar;
        let info = SessionInfo { id, principal, repository, offset, created, expires };
        Some(Self { info, algorithm, hash, tree, origin: Origin::Earlier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_read_back_whole_or_not_at_all() {
        let id: UploadId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let begin =
            Begin { principal: "alice".into(), repository: "a/b".parse().unwrap(), algorithm: Algorithm::Sha512 };
        let mut record = Record::new(id.clone(), begin, Timestamp(5), Timestamp(9));
        record.info.offset = 70_000;
        record.tree = TreeState { groups: 1, stack: vec![[7; 32]] };
        let bytes = record.encode().unwrap();
        let back = Record::decode(id.clone(), &bytes).unwrap();
        assert_eq!((&back.info, &back.hash, &back.tree), (&record.info, &record.hash, &record.tree));
        assert_eq!((back.algorithm, back.origin), (Algorithm::Sha512, Origin::Earlier));
        for end in 0..bytes.len() {
            assert!(Record::decode(id.clone(), &bytes[..end]).is_none());
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Record::decode(id.clone(), &bad).is_none(), "{at}");
        }
    }
}

//! Paths and ranges as answers name them. Always relative: behind a proxy only the client knows the host.

use protocol::{Digest, RepositoryName};

use crate::registry::UploadId;

/// Where a session goes on: its id stands in the path.
#[must_use]
pub fn upload(repository: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// Where a blob can be pulled.
#[must_use]
pub fn blob(repository: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// Where a manifest can be pulled.
#[must_use]
pub fn manifest(repository: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{repository}/manifests/{digest}")
}

/// `Range` of a session that has `offset` bytes: the last byte, included. Nothing yet can't be said in this form;
/// clients expect `0-0` for it.
#[must_use]
pub fn progress(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!((progress(0), progress(1), progress(10)), ("0-0".into(), "0-0".into(), "0-9".into()));
        let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        assert_eq!(upload(&"nginx".parse().unwrap(), &id), format!("/v2/library/nginx/blobs/uploads/{id}"));
    }
}

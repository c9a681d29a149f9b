//! What holds at a site: the live view, computed from all records.

use crate::record::RecordId;

/// The fingerprint of a project's live tags and manifests: what a deleter says it saw.
#[must_use]
pub fn fingerprint(live: &[RecordId]) -> [u8; 32] {
    let mut ids = live.to_vec();
    ids.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("portolan project fingerprint 1");
    for id in &ids {
        hasher.update(&id.0);
    }
    *hasher.finalize().as_bytes()
}

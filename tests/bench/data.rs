//! What is pushed and pulled: pseudo-random bytes from a seed, so that nothing on the way can compress them or find
//! holes in them. A [`Source`] owns its long common part; the blobs made from it share that part and differ in their
//! last bytes, so a run makes hundreds of distinct large blobs while it generates and hashes the bytes once.

use std::sync::Arc;

use protocol::digest::{Algorithm, Digest, Hasher};
use serde_json::json;

/// Media type of the manifests pushed.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Bytes at the end of each blob that are its own.
const TAIL: usize = 16;

/// Distinct blobs of one length.
pub(crate) struct Source {
    base: Arc<[u8]>,
    hasher: Hasher,
    next: u64,
    seed: u64,
}

/// One blob: the part shared with its siblings, then its own end.
#[derive(Clone)]
pub(crate) struct Blob {
    base: Arc<[u8]>,
    tail: Vec<u8>,
    /// Its name.
    pub(crate) digest: Digest,
}

impl Source {
    /// A source of blobs of `len` bytes, the same ones for the same `seed` and `len`.
    pub(crate) fn new(seed: u64, len: usize) -> Self {
        Self::starting_with(&[], seed, len)
    }

    /// The same, with `prefix` in place of the first bytes.
    pub(crate) fn starting_with(prefix: &[u8], seed: u64, len: usize) -> Self {
        let mut bytes = vec![0; len.saturating_sub(TAIL)];
        let mut state = seed;
        for chunk in bytes.chunks_mut(8) {
            let word = splitmix(&mut state).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        for (byte, wanted) in bytes.iter_mut().zip(prefix) {
            *byte = *wanted;
        }
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&bytes);
        Self { base: bytes.into(), hasher, next: 0, seed }
    }

    /// The next blob, unlike all before it.
    pub(crate) fn blob(&mut self) -> Blob {
        let mut tail = [0; TAIL];
        tail[..8].copy_from_slice(&self.seed.to_le_bytes());
        tail[8..].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        let mut hasher = self.hasher.clone();
        hasher.update(&tail);
        Blob { base: Arc::clone(&self.base), tail: tail.to_vec(), digest: hasher.finish() }
    }

    /// The next `count` blobs.
    pub(crate) fn blobs(&mut self, count: usize) -> Vec<Blob> {
        (0..count).map(|_| self.blob()).collect()
    }
}

impl Blob {
    /// A blob of exactly these bytes.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::sha256(&bytes), base: bytes.into(), tail: Vec::new() }
    }

    /// The bytes, in two pieces.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.base, &self.tail]
    }

    /// How many bytes.
    pub(crate) fn len(&self) -> u64 {
        (self.base.len() + self.tail.len()) as u64
    }
}

/// An image, ready to be pushed.
pub(crate) struct Image {
    /// Its layers, then its configuration.
    pub(crate) blobs: Vec<Blob>,
    /// The manifest's bytes.
    pub(crate) manifest: Vec<u8>,
}

impl Image {
    /// An image of these layers.
    pub(crate) fn over(layers: Vec<Blob>) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = Blob::of(config.to_string().into_bytes());
        let descriptor = |kind: &str, blob: &Blob| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": blob.digest,
                "size": blob.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("config.v1+json", &config),
            "layers": layers.iter().map(|layer| descriptor("layer.v1.tar+gzip", layer)).collect::<Vec<_>>(),
        });
        let blobs = layers.into_iter().chain(std::iter::once(config)).collect();
        Self { blobs, manifest: manifest.to_string().into_bytes() }
    }

    /// The manifest's digest.
    pub(crate) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }
}

/// SplitMix64: a few operations a word, and good enough that no compressor gains anything.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_carries_the_digest_of_its_bytes_and_no_two_are_alike() {
        let mut source = Source::new(7, 1000);
        let (first, second) = (source.blob(), source.blob());
        assert_ne!(first.digest, second.digest);
        assert_eq!(first.len(), 1000);
        assert_eq!(Digest::sha256(&first.parts().concat()), first.digest);
        assert_eq!(Source::new(7, 1000).blob().digest, first.digest);
    }
}

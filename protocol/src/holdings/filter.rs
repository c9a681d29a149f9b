//! A filter over blob digests: says "perhaps" of what a site holds, "no" of most else, and names nothing.

use serde::{Deserialize, Serialize};

use super::{MAX_FILL_PERCENT, MAX_FILTER};
use crate::Digest;
use crate::identity::NodeKey;
use crate::record::ScopeId;

/// Bits for each blob: with 7 probes one in 120 answers "perhaps" is wrong.
const BITS: usize = 10;

/// Least bytes of a filter: in a smaller one chance alone could set too many bits.
const LEAST: usize = 128;

/// Most probes.
const PROBES: u8 = 7;

/// A Bloom filter, salted: the same blob sets other bits at another site and in another scope.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    bits: Vec<u8>,
    probes: u8,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} bytes, {} probes)", self.bits.len(), self.probes)
    }
}

impl Filter {
    /// The filter of these blobs. Beyond about 180,000 the rest is left out: nobody is told that they are here.
    #[must_use]
    pub fn of(blobs: &[Digest], scope: &ScopeId, site: &NodeKey) -> Self {
        let bytes = (blobs.len() * BITS).div_ceil(8).clamp(LEAST, MAX_FILTER);
        // Half of the bits are set when probes = bits / blobs * ln 2.
        let probes = (bytes * 8 * 69 / 100).checked_div(blobs.len()).unwrap_or(usize::from(PROBES));
        let probes = u8::try_from(probes).unwrap_or(PROBES).clamp(1, PROBES);
        let mut filter = Self { bits: vec![0; bytes], probes };
        for blob in blobs.iter().take(bytes * 8 * 69 / 100) {
            for bit in filter.places(blob, scope, site).collect::<Vec<_>>() {
                if let Some(byte) = filter.bits.get_mut(bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
        filter
    }

    /// Whether the blob may be among them.
    #[must_use]
    pub fn may_have(&self, blob: &Digest, scope: &ScopeId, site: &NodeKey) -> bool {
        self.places(blob, scope, site).all(|bit| self.bits.get(bit / 8).is_some_and(|byte| byte & 1 << (bit % 8) != 0))
    }

    /// Bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.bits.len()
    }

    pub(super) fn is_within_bounds(&self) -> bool {
        (LEAST..=MAX_FILTER).contains(&self.bits.len()) && (1..=PROBES).contains(&self.probes)
    }

    /// Whether so many bits are set that it says "perhaps" of everything.
    pub(super) fn claims_everything(&self) -> bool {
        let set: usize = self.bits.iter().map(|byte| byte.count_ones() as usize).sum();
        set * 100 > self.bits.len() * 8 * MAX_FILL_PERCENT
    }

    fn places(&self, blob: &Digest, scope: &ScopeId, site: &NodeKey) -> impl Iterator<Item = usize> + use<> {
        let mut hasher = blake3::Hasher::new_derive_key("portolan holdings filter 1");
        hasher.update(&scope.0).update(&site.0).update(&blob.to_key());
        let mut words = [[0; 8]; 2];
        let mut output = hasher.finalize_xof();
        words.iter_mut().for_each(|word| output.fill(word));
        let [first, step] = words.map(u64::from_le_bytes);
        let bits = (self.bits.len() * 8).max(1) as u64;
        (0..u64::from(self.probes)).map(move |n| {
            // Under the number of bits, which is an usize.
            usize::try_from(first.wrapping_add(n.wrapping_mul(step | 1)) % bits).unwrap_or(0)
        })
    }
}

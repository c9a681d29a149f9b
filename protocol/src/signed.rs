//! What a site says under its signature, as it travels in messages. Holds no state.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::identity::{self, NodeKey, NodeSecret, Signature};

/// A statement and the signature over it. Until [`Signed::is_by`] has said yes it is anyone's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What is said.
    pub said: T,
    // In halves: serde knows arrays up to 32.
    signature: [[u8; 32]; 2],
}

impl<T: Serialize> Signed<T> {
    /// Signs. The context says what kind of statement it is, so that none passes for another.
    #[must_use]
    pub fn new(said: T, context: &'static str, secret: &NodeSecret) -> Self {
        let Signature(bytes) = secret.sign(&digest(&said, context));
        let mut signature = [[0; 32]; 2];
        for (half, part) in signature.iter_mut().zip(bytes.chunks_exact(32)) {
            half.copy_from_slice(part);
        }
        Self { said, signature }
    }

    /// Whether this site said it, in this context.
    #[must_use]
    pub fn is_by(&self, site: &NodeKey, context: &'static str) -> bool {
        let mut bytes = [0; 64];
        for (part, half) in bytes.chunks_exact_mut(32).zip(&self.signature) {
            part.copy_from_slice(half);
        }
        identity::verify(site, &digest(&self.said, context), &Signature(bytes))
    }
}

fn digest<T: Serialize>(said: &T, context: &'static str) -> [u8; 32] {
    blake3::derive_key(context, &canonical::encode(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_holds_for_its_words_its_context_and_its_author_only() {
        let [secret, other] = [1, 2].map(|n| NodeSecret::from_seed([n; 32]));
        let signed = Signed::new(7_u64, "a", &secret);
        assert!(signed.is_by(&secret.key(), "a"));
        assert!(!signed.is_by(&secret.key(), "b"));
        assert!(!signed.is_by(&other.key(), "a"));
        assert!(!Signed { said: 8, ..signed.clone() }.is_by(&secret.key(), "a"));
        let read: Signed<u64> = canonical::decode(&canonical::encode(&signed)).unwrap();
        assert_eq!(read, signed);
    }
}

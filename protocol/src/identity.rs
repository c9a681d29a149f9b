//! Who signs: the ed25519 key of a node, and signatures that every site judges alike.
//!
//! Signatures follow ZIP 215 (<https://zips.z.cash/zip-0215>), which says for every edge case whether a signature is
//! valid. RFC 8032 leaves some open, and two sites that read it differently would hold different sets for ever; also,
//! only so do [`verify`] and [`verify_batch`] accept the same. Holds no state.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use rand_core::{TryCryptoRng, TryRng};
use serde::{Deserialize, Serialize};

/// The public key of a node: its name in everything signed. Any 32 bytes; those that are no point on the curve verify
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeKey(pub [u8; 32]);

/// The secret half. Never leaves the node; shows nothing when printed.
#[derive(Clone)]
pub struct NodeSecret(SigningKey);

/// An ed25519 signature, not yet judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// A text that is no node key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node key is 64 hexadecimal digits")]
pub struct NotAKey;

impl NodeSecret {
    /// The secret made from 32 random bytes, which the caller draws and keeps.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The bytes [`NodeSecret::from_seed`] makes it from.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn key(&self) -> NodeKey {
        NodeKey(VerificationKeyBytes::from(&self.0).into())
    }

    /// Signs; the same message gives the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

/// Whether `key` signed `message`.
#[must_use]
pub fn verify(key: &NodeKey, message: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_zebra::Signature::from_bytes(&signature.0);
    VerificationKey::try_from(key.0).is_ok_and(|key| key.verify(&signature, message).is_ok())
}

/// What [`verify`] says of each, at about half the cost when all are good.
///
/// The random coefficients of the batch equation are drawn from a hash over the whole batch: nobody can know them before
/// the batch is fixed, and a run can be replayed.
#[must_use]
pub fn verify_batch(signed: &[(NodeKey, &[u8], Signature)]) -> Vec<bool> {
    let mut whole = batch::Verifier::new();
    let mut seed = blake3::Hasher::new_derive_key("portolan batch verification coefficients 1");
    for (key, message, signature) in signed {
        seed.update(&key.0).update(&signature.0).update(blake3::hash(message).as_bytes());
        whole.queue((VerificationKeyBytes::from(key.0), ed25519_zebra::Signature::from_bytes(&signature.0), *message));
    }
    if whole.verify(Coefficients(seed.finalize_xof())).is_ok() {
        return vec![true; signed.len()];
    }
    signed.iter().map(|(key, message, signature)| verify(key, message, signature)).collect()
}

/// The extendable output of a hash as a source of unpredictable numbers.
struct Coefficients(blake3::OutputReader);

impl TryRng for Coefficients {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(into);
        Ok(())
    }
}

impl TryCryptoRng for Coefficients {}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.8}", blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl FromStr for NodeKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let key = blake3::Hash::from_hex(text).map_err(|_| NotAKey)?;
        if key.to_hex().as_str() == text { Ok(Self(*key.as_bytes())) } else { Err(NotAKey) }
    }
}

impl fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSecret of {:?}", self.key())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Encodings of points of small order: signatures under such keys are what implementations disagree about.
    const SMALL_ORDER: [[u8; 32]; 3] = {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xee;
        unreduced[31] = 0x7f;
        [[0; 32], identity, unreduced]
    };

    #[test]
    fn a_signature_holds_for_its_key_and_message_alone() {
        let secret = NodeSecret::from_seed([7; 32]);
        let signature = secret.sign(b"message");
        assert!(verify(&secret.key(), b"message", &signature));
        assert!(!verify(&secret.key(), b"massage", &signature));
        assert!(!verify(&NodeSecret::from_seed([8; 32]).key(), b"message", &signature));
        assert_eq!(NodeSecret::from_seed(secret.seed()).key(), secret.key());
        assert!(!format!("{secret:?}").contains("0707"), "a secret is not printed");
    }

    #[test]
    fn a_key_reads_as_it_prints() {
        let key = NodeSecret::from_seed([1; 32]).key();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(key.to_string().to_uppercase().parse::<NodeKey>(), Err(NotAKey));
        assert_eq!("".parse::<NodeKey>(), Err(NotAKey));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn single_and_batch_accept_the_same_set(
            cases in proptest::collection::vec((0u8..5, any::<[u8; 8]>(), 0u8..6, 0usize..64), 0..12)
        ) {
            let signed: Vec<(NodeKey, Vec<u8>, Signature)> = cases.into_iter().map(|(who, message, spoil, at)| {
                let secret = NodeSecret::from_seed([who; 32]);
                let mut signature = secret.sign(&message);
                let mut key = secret.key();
                match spoil {
                    0 => signature.0[at] ^= 1,
                    1 => key.0[at % 32] ^= 1,
                    2 => {
                        // Small order key and R with s = 0: valid by ZIP 215, refused by some other rules.
                        key = NodeKey(SMALL_ORDER[at % 3]);
                        signature = Signature([0; 64]);
                        signature.0[..32].copy_from_slice(&SMALL_ORDER[(at / 3) % 3]);
                    }
                    _ => {}
                }
                (key, message.to_vec(), signature)
            }).collect();
            let borrowed: Vec<_> = signed.iter().map(|(k, m, s)| (*k, m.as_slice(), *s)).collect();
            let singly: Vec<bool> = signed.iter().map(|(k, m, s)| verify(k, m, s)).collect();
            prop_assert_eq!(verify_batch(&borrowed), singly);
        }
    }
}

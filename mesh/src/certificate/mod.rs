//! The one certificate of a node: a throw-away TLS key, vouched for by the node's own key.
//!
//! The format is libp2p's (<https://github.com/libp2p/specs/blob/master/tls/tls.md>): self-signed, with a critical
//! extension that carries the node's public key and its signature over the TLS key. So a handshake proves a node key and
//! nothing else; whether that node is let in is decided behind it (`hello`). Times of validity are not looked at: the
//! TLS key lives as long as the process, and a box without a clock must be able to speak. Holds no state.

mod der;
#[cfg(test)]
mod tests;
mod tls;

use protocol::identity::{NodeKey, NodeSecret, Signature, verify};
use protocol::seam::Entropy;
use rustls::crypto::ring;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, SignatureVerificationAlgorithm};

use der::Reader;
pub(crate) use tls::proven;
pub use tls::{Expect, Tls};

/// Most bytes of a certificate that is read.
pub const MAX_CERTIFICATE: usize = 4096;

/// 1.3.6.1.4.1.53594.1.1
const EXTENSION: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// What the node signs, before the TLS key.
const PREFIX: &[u8] = b"libp2p-tls-handshake:";
/// An ed25519 key as the extension says it, in protobuf: type 1, 32 bytes.
const KEY: &[u8] = &[0x08, 0x01, 0x12, 0x20];
/// A PKCS#8 ed25519 key up to its 32 bytes.
const PKCS8: &[u8] = &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why a certificate proves no node key. Always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// No certificate of this shape.
    #[error("the certificate can't be read")]
    Encoding,
    /// It is larger than any of ours could be.
    #[error("the certificate is too large")]
    TooLarge,
    /// It says nothing of a node, or something that is to be understood and is not.
    #[error("the certificate names no node, or has a critical extension that is not known")]
    Extension,
    /// The node's key is of another kind than ed25519.
    #[error("the node key is not ed25519")]
    KeyType,
    /// The certificate is not signed by its own key.
    #[error("the certificate is not signed by its own key")]
    SelfSignature,
    /// The node did not sign this TLS key.
    #[error("the node did not sign this TLS key")]
    NodeSignature,
}

/// A certificate and the key it is for. The key stays in memory and goes with the process.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its key.
    pub key: PrivatePkcs8KeyDer<'static>,
}

impl Certificate {
    /// Makes one for a node.
    #[must_use]
    pub fn new(node: &NodeSecret, entropy: &dyn Entropy) -> Self {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        let throw_away = NodeSecret::from_seed(seed);
        let spki = spki(&throw_away.key());
        let signature = node.sign(&[PREFIX, &spki].concat());
        let der = write(&throw_away, &spki, &[extension(true, EXTENSION, &signed_key(&node.key(), &signature))]);
        let key = PrivatePkcs8KeyDer::from([PKCS8, &seed].concat());
        Self { der: CertificateDer::from(der), key }
    }
}

fn spki(key: &NodeKey) -> Vec<u8> {
    let algorithm = der::value(der::SEQUENCE, &[&der::value(der::OID, &[ED25519])]);
    der::value(der::SEQUENCE, &[&algorithm, &der::value(der::BIT_STRING, &[&[0], &key.0])])
}

fn signed_key(node: &NodeKey, signature: &Signature) -> Vec<u8> {
    let key = der::value(der::OCTET_STRING, &[KEY, &node.0]);
    der::value(der::SEQUENCE, &[&key, &der::value(der::OCTET_STRING, &[&signature.0])])
}

fn extension(critical: bool, oid: &[u8], content: &[u8]) -> Vec<u8> {
    let critical = if critical { der::value(der::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let content = der::value(der::OCTET_STRING, &[content]);
    der::value(der::SEQUENCE, &[&der::value(der::OID, &[oid]), &critical, &content])
}

/// A certificate signed by its own key.
fn write(throw_away: &NodeSecret, spki: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = der::value(der::SEQUENCE, &[&der::value(der::OID, &[ED25519])]);
    let name = [der::value(der::OID, &[COMMON_NAME]), der::value(der::UTF8, &[b"portolan"])];
    let name = der::value(der::SEQUENCE, &[&name[0], &name[1]]);
    let name = der::value(der::SEQUENCE, &[&der::value(der::SET, &[&name])]);
    // From 1975 to 4096, as libp2p has it: the certificate ends with the process.
    let from = der::value(der::UTC_TIME, &[b"750101000000Z"]);
    let until = der::value(der::GENERAL_TIME, &[b"40960101000000Z"]);
    // The number must be positive and differ between certificates of one name.
    let mut number = [0; 16];
    for (to, from) in number.iter_mut().zip(throw_away.key().0) {
        *to = from;
    }
    number[0] = number[0] & 0x3f | 0x40;
    let listed: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
    let tbs = der::value(
        der::SEQUENCE,
        &[
            &der::value(der::context(0), &[&der::value(der::INTEGER, &[&[2]])]),
            &der::value(der::INTEGER, &[&number]),
            &algorithm,
            &name,
            &der::value(der::SEQUENCE, &[&from, &until]),
            &name,
            spki,
            &der::value(der::context(3), &[&der::value(der::SEQUENCE, &listed)]),
        ],
    );
    let signature = throw_away.sign(&tbs);
    der::value(der::SEQUENCE, &[&tbs, &algorithm, &der::value(der::BIT_STRING, &[&[0], &signature.0])])
}

/// What a certificate says, read but for the node's signature.
struct Parts<'a> {
    tbs: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    spki: &'a [u8],
    spki_algorithm: &'a [u8],
    spki_key: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(der::only(bytes, der::SEQUENCE)?);
        let (inner, tbs) = outer.whole(der::SEQUENCE)?;
        let algorithm = outer.next(der::SEQUENCE)?;
        let signature = der::bits(outer.next(der::BIT_STRING)?)?;
        outer.end()?;
        let mut inner = Reader(inner);
        if der::only(inner.next(der::context(0))?, der::INTEGER)? != [2] {
            return None;
        }
        inner.next(der::INTEGER)?;
        if inner.next(der::SEQUENCE)? != algorithm {
            return None;
        }
        inner.next(der::SEQUENCE)?;
        inner.next(der::SEQUENCE)?;
        inner.next(der::SEQUENCE)?;
        let (key, spki) = inner.whole(der::SEQUENCE)?;
        // Unique ids of issuer and subject are deprecated and must not be there.
        let extensions = der::only(inner.next(der::context(3))?, der::SEQUENCE)?;
        inner.end()?;
        let mut key = Reader(key);
        let spki_algorithm = key.next(der::SEQUENCE)?;
        let spki_key = der::bits(key.next(der::BIT_STRING)?)?;
        key.end()?;
        Some(Self { tbs, algorithm, signature, spki, spki_algorithm, spki_key, extensions })
    }

    /// The content of the extension that names the node.
    fn signed_key(&self) -> Result<&'a [u8], NotProven> {
        let mut extensions = Reader(self.extensions);
        let mut found = None;
        while extensions.end().is_none() {
            let one = extensions.next(der::SEQUENCE).ok_or(NotProven::Encoding)?;
            let mut one = Reader(one);
            let mut read = || {
                let oid = one.next(der::OID)?;
                let critical = one.optional(der::BOOLEAN);
                let content = one.next(der::OCTET_STRING)?;
                one.end()?;
                Some((oid, critical, content))
            };
            let (oid, critical, content) = read().ok_or(NotProven::Encoding)?;
            if oid == EXTENSION {
                // Two of them could be read differently by others.
                if found.replace(content).is_some() {
                    return Err(NotProven::Extension);
                }
            } else if critical.is_some_and(|critical| critical != [0]) {
                return Err(NotProven::Extension);
            }
        }
        found.ok_or(NotProven::Extension)
    }

    /// Whether the certificate is signed by its own key.
    fn is_self_signed(&self) -> bool {
        let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == self.algorithm
                && known.public_key_alg_id().as_ref() == self.spki_algorithm
        };
        let known = ring::default_provider().signature_verification_algorithms.all;
        let mut known = known.iter().filter(fits);
        known.any(|known| known.verify_signature(self.spki_key, self.tbs, self.signature).is_ok())
    }
}

/// The node key a certificate proves for whoever holds its TLS key.
///
/// # Errors
/// [`NotProven`].
pub fn node_key(certificate: &[u8]) -> Result<NodeKey, NotProven> {
    if certificate.len() > MAX_CERTIFICATE {
        return Err(NotProven::TooLarge);
    }
    let parts = Parts::read(certificate).ok_or(NotProven::Encoding)?;
    let mut signed = Reader(der::only(parts.signed_key()?, der::SEQUENCE).ok_or(NotProven::Encoding)?);
    let mut read = || {
        let key = signed.next(der::OCTET_STRING)?;
        let signature = signed.next(der::OCTET_STRING)?;
        signed.end()?;
        Some((key, signature))
    };
    let (key, signature) = read().ok_or(NotProven::Encoding)?;
    let key = key.strip_prefix(KEY).and_then(|key| <[u8; 32]>::try_from(key).ok()).ok_or(NotProven::KeyType)?;
    let key = NodeKey(key);
    let signature = <[u8; 64]>::try_from(signature).map_err(|_| NotProven::NodeSignature)?;
    if !parts.is_self_signed() {
        return Err(NotProven::SelfSignature);
    }
    if !verify(&key, &[PREFIX, parts.spki].concat(), &Signature(signature)) {
        return Err(NotProven::NodeSignature);
    }
    Ok(key)
}

/// The TLS key of a certificate, for checking the signature over a handshake.
fn tls_key(certificate: &[u8]) -> Result<&[u8], NotProven> {
    Parts::read(certificate).map(|parts| parts.spki).ok_or(NotProven::Encoding)
}

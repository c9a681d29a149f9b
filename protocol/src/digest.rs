//! The OCI digest: the name of content.
//!
//! A [`Digest`] exists only when it is well formed (image-spec `descriptor.md`, "Digests"): a registered algorithm and
//! exactly its number of lower-case hexadecimal characters. Anything that becomes a file name is derived from the
//! bytes held here, never from the string a client sent, so a digest can't carry a path (CVE-2024-37032).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;
use sha2::digest::common::hazmat::{SerializableState, SerializedState};

/// A registered digest algorithm. Others are refused at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, the algorithm every implementation supports.
    Sha256,
    /// SHA-512, optional in the specification, supported here.
    Sha512,
}

impl Algorithm {
    /// Every supported algorithm, in the order of preference.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name used before the colon of a digest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a hash is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::UnsupportedAlgorithm),
        }
    }
}

/// Why a string is no digest. The text never repeats the input: it may be hostile and long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon between algorithm and hash.
    #[error("a digest is written algorithm:hex, for example sha256:e3b0…")]
    NoColon,
    /// An algorithm this registry does not support.
    #[error("unsupported digest algorithm: use sha256 or sha512")]
    UnsupportedAlgorithm,
    /// The hash has another length than the algorithm's.
    #[error("a {algorithm} digest has {} hexadecimal characters, this one has {found}", algorithm.len() * 2)]
    WrongLength {
        /// The algorithm named.
        algorithm: Algorithm,
        /// The number of characters found.
        found: usize,
    },
    /// A character outside `0-9a-f`.
    #[error("a digest is written in lower-case hexadecimal")]
    NotLowerHex,
}

/// The content address of a blob or manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    // Unused tail stays zero, so that the derived comparison is right.
    bytes: [u8; 64],
}

impl Digest {
    /// Longest text form: `sha512:` and 128 characters.
    pub const MAX_TEXT: usize = 7 + 128;

    /// Builds a digest from a finished hash.
    ///
    /// # Errors
    /// [`DigestError::WrongLength`] when `hash` is not as long as the algorithm's output.
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Result<Self, DigestError> {
        if hash.len() != algorithm.len() {
            return Err(DigestError::WrongLength { algorithm, found: hash.len() * 2 });
        }
        let mut bytes = [0; 64];
        bytes[..hash.len()].copy_from_slice(hash);
        Ok(Self { algorithm, bytes })
    }

    /// The digest of `content` under `algorithm`.
    #[must_use]
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The SHA-256 digest of `content`.
    #[must_use]
    pub fn sha256(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash, 32 or 64 bytes.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }

    /// The hash in lower-case hexadecimal: the only text from which file names are made.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut out = String::with_capacity(self.algorithm.len() * 2);
        push_hex(&mut out, self.hash());
        out
    }

    /// Compact form used as a database key: one byte for the algorithm, then the hash.
    #[must_use]
    pub fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + self.algorithm.len());
        key.push(match self.algorithm {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        });
        key.extend_from_slice(self.hash());
        key
    }

    /// Reads what [`Digest::to_key`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (tag, hash) = key.split_first()?;
        let algorithm = match tag {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return None,
        };
        Self::from_hash(algorithm, hash).ok()
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = s.split_once(':').ok_or(DigestError::NoColon)?;
        let algorithm: Algorithm = algorithm.parse()?;
        if hex.len() != algorithm.len() * 2 {
            return Err(DigestError::WrongLength { algorithm, found: hex.len() });
        }
        let mut bytes = [0; 64];
        for (slot, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *slot = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self { algorithm, bytes })
    }
}

const fn nibble(c: u8) -> Result<u8, DigestError> {
    match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(DigestError::NotLowerHex),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(Self::MAX_TEXT);
        text.push_str(self.algorithm.as_str());
        text.push(':');
        push_hex(&mut text, self.hash());
        f.write_str(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text where people read along (JSON, TOML), else the bytes of [`Digest::to_key`], half as long.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.to_key())
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl de::Visitor<'_> for Key {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a digest in its compact form")
            }

            fn visit_bytes<E: de::Error>(self, key: &[u8]) -> Result<Digest, E> {
                Digest::from_key(key).ok_or_else(|| E::custom("not a digest"))
            }
        }
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            deserializer.deserialize_bytes(Key)
        }
    }
}

/// A running hash whose state can be written down and taken up again, so that an upload survives a restart without
/// reading its bytes twice.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hash of nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes in the next bytes, in order.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(h) => h.update(bytes),
            State::Sha512(h) => h.update(bytes),
        }
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = self.algorithm();
        match self.0 {
            State::Sha256(h) => bytes[..32].copy_from_slice(&h.finalize()),
            State::Sha512(h) => bytes.copy_from_slice(&h.finalize()),
        }
        Digest { algorithm, bytes }
    }

    /// The state as bytes (about 105 for SHA-256, 210 for SHA-512).
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        match &self.0 {
            State::Sha256(h) => h.serialize().to_vec(),
            State::Sha512(h) => h.serialize().to_vec(),
        }
    }

    /// Takes up a saved state; `None` when the bytes are no state of that algorithm.
    #[must_use]
    pub fn restore(algorithm: Algorithm, saved: &[u8]) -> Option<Self> {
        // The library takes any count, and overflows when the length is worked out at the end.
        if blocks(algorithm, saved)? > MAX_BLOCKS {
            return None;
        }
        Some(Self(match algorithm {
            Algorithm::Sha256 => {
                let state = SerializedState::<sha2::Sha256>::try_from(saved).ok()?;
                State::Sha256(sha2::Sha256::deserialize(&state).ok()?)
            }
            Algorithm::Sha512 => {
                let state = SerializedState::<sha2::Sha512>::try_from(saved).ok()?;
                State::Sha512(sha2::Sha512::deserialize(&state).ok()?)
            }
        }))
    }
}

/// Most blocks a state that is taken up may have counted: half an exbibyte of SHA-256, an exbibyte of SHA-512. More than
/// any blob has, and so far below the 2^64 bits SHA-256 can count that no number of further bytes reaches them.
const MAX_BLOCKS: u128 = 1 << 53;

/// The number of blocks a saved state has taken in, which stands in little-endian order behind the chaining value.
fn blocks(algorithm: Algorithm, saved: &[u8]) -> Option<u128> {
    Some(match algorithm {
        Algorithm::Sha256 => u64::from_le_bytes(saved.get(32..40)?.try_into().ok()?).into(),
        Algorithm::Sha512 => u128::from_le_bytes(saved.get(64..80)?.try_into().ok()?),
    })
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_empty_blob_has_its_well_known_digest() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::sha256(b""));
    }

    #[test]
    fn what_is_no_digest_is_refused_with_its_reason() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for (text, why) in [
            ("", DigestError::NoColon),
            ("sha256", DigestError::NoColon),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", DigestError::UnsupportedAlgorithm),
            ("sha256:", DigestError::WrongLength { algorithm: Algorithm::Sha256, found: 0 }),
            ("sha256:../../etc/passwd", DigestError::WrongLength { algorithm: Algorithm::Sha256, found: 16 }),
            (upper.as_str(), DigestError::NotLowerHex),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn a_state_that_counts_more_than_there_can_be_is_refused() {
        for (algorithm, block, at) in [(Algorithm::Sha256, 64, 32), (Algorithm::Sha512, 128, 64)] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&vec![7; 5 * block + 1]);
            let mut saved = hasher.save();
            assert_eq!(blocks(algorithm, &saved), Some(5), "the count stands where it is looked for");
            for (byte, taken) in [(6, true), (7, false)] {
                saved[at + byte] = 0x10;
                let restored = Hasher::restore(algorithm, &saved);
                assert_eq!(restored.is_some(), taken, "{algorithm}, byte {byte}");
                // What is taken up can be finished: this overflowed.
                let _ = restored.map(Hasher::finish);
            }
            assert!(Hasher::restore(algorithm, &saved[..at]).is_none());
        }
    }

    proptest! {
        #[test]
        fn text_and_key_round_trip(content: Vec<u8>, long: bool) {
            let digest = Digest::of(if long { Algorithm::Sha512 } else { Algorithm::Sha256 }, &content);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            prop_assert_eq!(Digest::from_key(&digest.to_key()).unwrap(), digest);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,200}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn a_saved_state_goes_on_where_it_was(head: Vec<u8>, tail: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let mut first = Hasher::new(algorithm);
            first.update(&head);
            let mut second = Hasher::restore(algorithm, &first.save()).unwrap();
            second.update(&tail);
            let whole: Vec<u8> = head.iter().chain(&tail).copied().collect();
            prop_assert_eq!(second.finish(), Digest::of(algorithm, &whole));
        }

        #[test]
        fn hostile_states_are_refused_not_panicked_on(saved in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hasher::restore(Algorithm::Sha256, &saved);
            let _ = Hasher::restore(Algorithm::Sha512, &saved);
        }
    }
}

//! One encoding for everything that is signed, hashed or sent between sites.
//!
//! The format is postcard (<https://postcard.jamesmunns.com/wire-format>). By itself it reads more than it writes (a
//! number may be padded), so [`decode`] writes what it read and compares: a value has exactly one encoding, or its hash
//! would not be its name. Holds no state.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not the one encoding of a value of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the canonical encoding of {0}")]
pub struct NotCanonical(pub &'static str);

/// The encoding of a value.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Fails for types that do not know their length only; those of this crate do.
    postcard::to_stdvec(value).unwrap_or_default()
}

/// Reads the one encoding; bytes left over are an error.
///
/// # Errors
/// [`NotCanonical`].
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, NotCanonical> {
    let error = NotCanonical(std::any::type_name::<T>());
    let value = postcard::from_bytes(bytes).map_err(|_| error)?;
    if encode(&value) == bytes { Ok(value) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_number_and_bytes_left_over_are_refused() {
        assert_eq!(decode::<u32>(&[5]), Ok(5));
        assert!(decode::<u32>(&[0x85, 0]).is_err(), "postcard alone would read 5");
        assert!(decode::<u32>(&[5, 0]).is_err());
        assert!(decode::<Vec<u8>>(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "a length is no reason to make room");
    }
}

//! A reference: the tag or digest by which a manifest is asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, DigestError};
use crate::name::text_type;

/// Why a string is no tag or reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
    #[error("a tag is 1 to 128 letters, digits, '_', '.', '-', and starts with a letter, a digit or '_'")]
    Tag,
    /// It has a colon, so it should be a digest, and is not.
    #[error("not a digest: {0}")]
    Digest(DigestError),
}

/// A human-given name of a manifest within one repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Longest tag, in characters.
    pub const MAX: usize = 128;

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bytes = s.as_bytes();
        let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rest = |b: u8| first(b) || b == b'.' || b == b'-';
        match bytes.split_first() {
            Some((head, tail)) if bytes.len() <= Self::MAX && first(*head) && tail.iter().copied().all(rest) => {
                Ok(Self(s.into()))
            }
            _ => Err(ReferenceError::Tag),
        }
    }
}

text_type!(Tag);

/// What stands after `manifests/` in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A name that may move.
    Tag(Tag),
    /// A name that can't.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.contains(':') {
            s.parse().map(Self::Digest).map_err(ReferenceError::Digest)
        } else {
            s.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_follow_the_grammar() {
        for good in ["a", "latest", "_x", "1.2.3-rc.1", "A_B.c-d", &"t".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a:b", "é", "a\n", &"t".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_colon_means_a_digest() {
        assert!(matches!("sha256:00".parse::<Reference>(), Err(ReferenceError::Digest(_))));
        assert!(matches!("latest".parse::<Reference>(), Ok(Reference::Tag(_))));
    }

    proptest! {
        #[test]
        fn any_text_parses_to_itself_or_is_refused(text in ".{0,200}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}

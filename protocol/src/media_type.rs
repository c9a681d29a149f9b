//! Media types: text by which content says what it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::text_type;

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker schema 1, refused.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker schema 1, signed, refused.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// The empty JSON descriptor (image-spec, "Guidance for an Empty Descriptor").
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Why a string is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media type is type/subtype in at most 255 printable ASCII characters (RFC 6838 4.2)")]
pub struct MediaTypeError;

/// A media type without parameters, as RFC 6838 section 4.2 names them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// The media type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the value of a `Content-Type` header, whose parameters are dropped.
    ///
    /// # Errors
    /// [`MediaTypeError`] when what stands before the first `;` is no media type.
    pub fn from_header(value: &str) -> Result<Self, MediaTypeError> {
        value.split(';').next().unwrap_or_default().trim().parse()
    }

    /// A media type this program names itself.
    pub(crate) fn known(text: &'static str) -> Self {
        Self(text.into())
    }

    /// Whether a layer of this type need not be in the registry (image-spec, "Non-distributable Layers").
    #[must_use]
    pub fn is_non_distributable(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.nondistributable.v1.")
            || &*self.0 == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            || &*self.0 == "application/vnd.docker.image.rootfs.foreign.diff.tar"
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let word = |part: &str| {
            !part.is_empty()
                && part.len() <= 127
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match s.split_once('/') {
            Some((kind, subtype)) if word(kind) && word(subtype) => Ok(Self(s.into())),
            _ => Err(MediaTypeError),
        }
    }
}

text_type!(MediaType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_dropped_and_nonsense_refused() {
        assert_eq!(MediaType::from_header("application/json; charset=utf-8").unwrap().as_str(), "application/json");
        assert_eq!(OCI_INDEX.parse::<MediaType>().unwrap().as_str(), OCI_INDEX);
        for bad in ["", "json", "a/", "/b", "a/b/c", "a b/c", "a/b\r\nx: y", "é/b"] {
            assert!(bad.parse::<MediaType>().is_err(), "{bad:?}");
        }
    }
}

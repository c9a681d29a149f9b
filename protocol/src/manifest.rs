//! Manifests: what a body claims to be, checked once.
//!
//! A [`Manifest`] exists only when the body is one of the four kinds a registry stores (OCI image manifest and index,
//! Docker schema 2 manifest and list), says so itself, and can't be read as another (CVE-2021-41190). The exact bytes
//! stay with the caller: nothing here is ever written back.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::descriptor::Descriptor;
use crate::json::{self, JsonError};
use crate::media_type::{self, MediaType};

/// Largest manifest, in bytes. The specification asks that 4 MiB be accepted.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Most descriptors one manifest may hold.
pub const MAX_DESCRIPTORS: usize = 20_000;

const JSON_LIMITS: json::Limits = json::Limits { depth: 32, values: 400_000 };

/// What readers look for in a manifest and in its descriptors.
const NAMES: json::Names = json::Names {
    known: &[
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "digest",
        "size",
        "urls",
        "data",
        "platform",
        "fsLayers",
        "signatures",
    ],
    inside: &["config", "layers", "manifests", "subject"],
};

/// Which of the stored kinds a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestKind {
    /// OCI image manifest.
    Image,
    /// OCI image index.
    Index,
    /// Docker schema 2 image manifest.
    DockerImage,
    /// Docker manifest list.
    DockerList,
}

impl ManifestKind {
    fn from_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            media_type::OCI_MANIFEST => Some(Self::Image),
            media_type::OCI_INDEX => Some(Self::Index),
            media_type::DOCKER_MANIFEST => Some(Self::DockerImage),
            media_type::DOCKER_LIST => Some(Self::DockerList),
            _ => None,
        }
    }

    /// The media type under which manifests of this kind are served.
    #[must_use]
    pub fn media_type(self) -> MediaType {
        MediaType::known(match self {
            Self::Image => media_type::OCI_MANIFEST,
            Self::Index => media_type::OCI_INDEX,
            Self::DockerImage => media_type::DOCKER_MANIFEST,
            Self::DockerList => media_type::DOCKER_LIST,
        })
    }

    /// Whether it names other manifests rather than blobs.
    #[must_use]
    pub const fn is_index(self) -> bool {
        matches!(self, Self::Index | Self::DockerList)
    }
}

/// Why a body is no manifest this registry stores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`MAX_BYTES`].
    #[error("a manifest has at most {MAX_BYTES} bytes, this one has {found}")]
    TooLarge {
        /// The number of bytes found.
        found: usize,
    },
    /// Not acceptable JSON.
    #[error("the manifest is not acceptable JSON: {0}")]
    Json(JsonError),
    /// JSON, but not of the shape the specification gives.
    #[error("the manifest does not have the shape of the specification: {0}")]
    Shape(String),
    /// Docker schema 1.
    #[error("Docker image manifest schema 1 is not supported: push with a client newer than Docker 1.10")]
    Schema1,
    /// The type is none a registry stores.
    #[error("{0} is not a manifest type this registry stores: use an OCI image manifest or index, or Docker schema 2")]
    UnknownType(MediaType),
    /// `Content-Type` and the body's `mediaType` differ, or there is neither.
    #[error("Content-Type says {header} and the body says {body}: they must agree")]
    TypeMismatch {
        /// What the header said.
        header: MediaType,
        /// What the body said.
        body: MediaType,
    },
    /// Neither the header nor the body says what this is.
    #[error("neither Content-Type nor mediaType says what this manifest is")]
    NoType,
    /// Has the members of an image manifest and of an index.
    #[error("the body can be read as an image manifest and as an index: remove one of the two")]
    Ambiguous,
    /// More descriptors than are worth reading.
    #[error("a manifest names at most {MAX_DESCRIPTORS} other pieces of content, this one names {found}")]
    TooManyDescriptors {
        /// The number found.
        found: usize,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    artifact_type: Option<MediaType>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    // Present in schema 1 only.
    fs_layers: Option<serde::de::IgnoredAny>,
    signatures: Option<serde::de::IgnoredAny>,
}

/// What a registry needs to know of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    kind: ManifestKind,
    artifact_type: Option<MediaType>,
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads `body`, sent with `content_type`.
    ///
    /// # Errors
    /// [`ManifestError`]: each variant says what is wrong with the body in words for its sender.
    pub fn parse(body: &[u8], content_type: Option<&MediaType>) -> Result<Self, ManifestError> {
        if body.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge { found: body.len() });
        }
        json::check_names(body, JSON_LIMITS, NAMES).map_err(ManifestError::Json)?;
        let raw: Raw = serde_json::from_slice(body).map_err(|e| ManifestError::Shape(e.to_string()))?;
        let kind = Self::kind_of(&raw, content_type)?;
        Self::check_shape(&raw, kind)?;
        let manifest = Self {
            kind,
            artifact_type: raw.artifact_type,
            config: raw.config,
            layers: raw.layers.unwrap_or_default(),
            manifests: raw.manifests.unwrap_or_default(),
            subject: raw.subject,
            annotations: raw.annotations.unwrap_or_default(),
        };
        let found = manifest.layers.len() + manifest.manifests.len();
        if found > MAX_DESCRIPTORS {
            return Err(ManifestError::TooManyDescriptors { found });
        }
        Ok(manifest)
    }

    fn kind_of(raw: &Raw, content_type: Option<&MediaType>) -> Result<ManifestKind, ManifestError> {
        let schema1 =
            |m: &MediaType| [media_type::DOCKER_SCHEMA1, media_type::DOCKER_SCHEMA1_SIGNED].contains(&m.as_str());
        if content_type.is_some_and(schema1)
            || raw.schema_version == Some(1)
            || raw.fs_layers.is_some()
            || raw.signatures.is_some()
        {
            return Err(ManifestError::Schema1);
        }
        // `application/json` is what clients send that do not know better; the body then decides.
        let header = content_type.filter(|m| !matches!(m.as_str(), "application/json" | "application/octet-stream"));
        let named = match (header, &raw.media_type) {
            (Some(header), Some(body)) if header != body => {
                return Err(ManifestError::TypeMismatch { header: header.clone(), body: body.clone() });
            }
            (Some(one), _) => one,
            (None, Some(one)) => one,
            (None, None) => return Err(ManifestError::NoType),
        };
        ManifestKind::from_media_type(named.as_str()).ok_or_else(|| ManifestError::UnknownType(named.clone()))
    }

    fn check_shape(raw: &Raw, kind: ManifestKind) -> Result<(), ManifestError> {
        if raw.schema_version != Some(2) {
            return Err(ManifestError::Shape("schemaVersion must be 2".into()));
        }
        if (raw.layers.is_some() || raw.config.is_some()) && raw.manifests.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        if kind.is_index() {
            if raw.manifests.is_none() {
                return Err(ManifestError::Shape("an index has the member manifests".into()));
            }
        } else if raw.config.is_none() {
            return Err(ManifestError::Shape("an image manifest has the member config".into()));
        } else if raw.layers.is_none() {
            return Err(ManifestError::Shape("an image manifest has the member layers".into()));
        }
        if matches!(kind, ManifestKind::DockerImage | ManifestKind::DockerList) && raw.media_type.is_none() {
            return Err(ManifestError::Shape("a Docker schema 2 manifest names its mediaType".into()));
        }
        Ok(())
    }

    /// Which of the stored kinds it is.
    #[must_use]
    pub const fn kind(&self) -> ManifestKind {
        self.kind
    }

    /// The manifest this one speaks about.
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// Its annotations.
    #[must_use]
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Config and layers: the blobs of an image manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// Blobs that must be in the registry before the manifest is accepted.
    pub fn required_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs().filter(|d| !d.media_type.is_non_distributable())
    }

    /// The children of an index.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        &self.manifests
    }

    /// The artifact type a referrers listing shows: the manifest's own or, for an image manifest without one, its
    /// config's media type (distribution-spec, "Listing Referrers").
    #[must_use]
    pub fn artifact_type(&self) -> Option<&MediaType> {
        self.artifact_type.as_ref().or(match self.kind {
            ManifestKind::Image | ManifestKind::DockerImage => self.config.as_ref().map(|c| &c.media_type),
            ManifestKind::Index | ManifestKind::DockerList => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn oci(kind: &str) -> MediaType {
        kind.parse().unwrap()
    }

    fn image(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":0}},"layers":[]{extra}}}"#
        )
    }

    #[test]
    fn an_image_manifest_is_read() {
        let m = Manifest::parse(image("").as_bytes(), Some(&oci(media_type::OCI_MANIFEST))).unwrap();
        assert_eq!(m.kind(), ManifestKind::Image);
        assert_eq!(m.artifact_type().unwrap().as_str(), "application/vnd.oci.image.config.v1+json");
        assert_eq!(m.required_blobs().count(), 1);
    }

    #[test]
    fn a_body_with_two_readings_is_refused() {
        let both = image(r#","manifests":[]"#);
        for content_type in [media_type::OCI_MANIFEST, media_type::OCI_INDEX] {
            assert_eq!(Manifest::parse(both.as_bytes(), Some(&oci(content_type))), Err(ManifestError::Ambiguous));
        }
        let twice = image(r#","layers":[]"#);
        assert!(matches!(
            Manifest::parse(twice.as_bytes(), Some(&oci(media_type::OCI_MANIFEST))),
            Err(ManifestError::Json(_))
        ));
    }

    #[test]
    fn a_body_that_reads_otherwise_without_case_is_refused() {
        let oci_image = oci(media_type::OCI_MANIFEST);
        for extra in [r#","Layers":[]"#, r#","Manifests":[]"#, r#","manifest\u017f":[]"#, r#","FSLayers":[]"#] {
            let refused = Manifest::parse(image(extra).as_bytes(), Some(&oci_image));
            assert!(matches!(refused, Err(ManifestError::Json(_))), "{extra}: {refused:?}");
        }
        let config = image("").replace(r#""size":0"#, &format!(r#""size":0,"Digest":"{DIGEST}""#));
        assert!(matches!(Manifest::parse(config.as_bytes(), Some(&oci_image)), Err(ManifestError::Json(_))));
        // Annotations have names of their own.
        let annotated = image(r#","annotations":{"Digest":"a","digest":"b"},"x-own":{"Size":1}"#);
        assert!(Manifest::parse(annotated.as_bytes(), Some(&oci_image)).is_ok());
    }

    #[test]
    fn header_and_body_must_agree() {
        let says_index = image(&format!(r#","mediaType":"{}""#, media_type::OCI_INDEX));
        assert!(matches!(
            Manifest::parse(says_index.as_bytes(), Some(&oci(media_type::OCI_MANIFEST))),
            Err(ManifestError::TypeMismatch { .. })
        ));
        assert_eq!(Manifest::parse(image("").as_bytes(), None), Err(ManifestError::NoType));
        assert!(matches!(
            Manifest::parse(image("").as_bytes(), Some(&oci("application/vnd.cncf.helm.config.v1+json"))),
            Err(ManifestError::UnknownType(_))
        ));
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        let body = br#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#;
        assert_eq!(Manifest::parse(body, Some(&oci(media_type::DOCKER_SCHEMA1_SIGNED))), Err(ManifestError::Schema1));
        assert_eq!(Manifest::parse(body, None), Err(ManifestError::Schema1));
    }

    #[test]
    fn layers_that_need_not_be_here_are_not_asked_for() {
        let layer = format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip","digest":"{DIGEST}","size":1,"urls":["http://169.254.169.254/"]}}"#
        );
        let body = image("").replace(r#""layers":[]"#, &format!(r#""layers":[{layer}]"#));
        let m = Manifest::parse(body.as_bytes(), Some(&oci(media_type::OCI_MANIFEST))).unwrap();
        assert_eq!(m.blobs().count(), 2);
        assert_eq!(m.required_blobs().count(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Manifest::parse(&body, Some(&oci(media_type::OCI_MANIFEST)));
        }
    }
}

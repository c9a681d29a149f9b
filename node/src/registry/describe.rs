//! What a manifest and its config say of an artifact: its kind, its children, and what is worth showing. Reads what was
//! pushed, which is anyone's to have written. No state.

use std::collections::BTreeMap;

use protocol::{Digest, media_type};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::storage::meta::StoredManifest;

/// Longest config that is read to be shown, in bytes.
pub(super) const MAX_CONFIG: u64 = 256 * 1024;

/// Bytes of manifests and configs that are read for one answer.
const MAX_READ: u64 = 8 << 20;

/// Children of indexes that are looked up for one answer.
const MAX_CHILDREN: usize = 2000;

/// What may still be read for an answer.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    children: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: MAX_READ, children: MAX_CHILDREN }
    }
}

impl Room {
    pub(super) const fn takes(&mut self, size: u64) -> bool {
        let fits = size <= self.bytes;
        if fits {
            self.bytes -= size;
        }
        fits
    }

    pub(super) const fn takes_child(&mut self) -> bool {
        let fits = self.children > 0;
        if fits {
            self.children -= 1;
        }
        fits
    }
}

/// What a manifest says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// `IMAGE`, `CHART` and the like, as Harbor calls them.
    pub kind: String,
    /// The media type of its config; its own when it has none.
    pub media_type: String,
    /// What it says its artifact type is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its config, and the length of that.
    pub config: Option<(Digest, u64)>,
    /// The children of an index.
    pub children: Vec<Child>,
    /// What of its config is shown.
    pub extra: Map<String, Value>,
}

/// A child of an index.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Child {
    /// Its digest.
    pub digest: Digest,
    /// Its number; 0 when it is not here, or too many are.
    #[serde(skip)]
    pub id: u32,
    /// What it runs on.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// What the index says of it.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where else it may be.
    #[serde(default)]
    pub urls: Option<Vec<String>>,
}

/// What a child runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// The processor.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// Its version.
    #[serde(rename = "os.version")]
    pub os_version: String,
    /// What it must be able to do.
    #[serde(rename = "os.features")]
    pub os_features: Vec<String>,
    /// The processor's variant.
    pub variant: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    artifact_type: Option<String>,
    config: Option<Config>,
    // Read one by one: what one of them says wrong is not the others' fault.
    manifests: Vec<Value>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: String,
    digest: Digest,
    size: u64,
}

impl Described {
    /// Reads a manifest. What of it can't be read says nothing.
    #[must_use]
    pub fn read(stored: &StoredManifest) -> Self {
        let own = stored.media_type.as_str();
        let body: Body = serde_json::from_slice(&stored.bytes).unwrap_or_default();
        let is_index = matches!(own, media_type::OCI_INDEX | media_type::DOCKER_LIST);
        let config = body.config;
        let media_type = config.as_ref().map_or(own, |config| config.media_type.as_str()).to_owned();
        // The empty config says nothing of the kind.
        let said = body.artifact_type.as_deref().filter(|_| media_type == media_type::OCI_EMPTY);
        let kind = if is_index { "IMAGE".to_owned() } else { kind(said.unwrap_or(&media_type)) };
        let children = body.manifests.into_iter().filter_map(|child| serde_json::from_value(child).ok());
        Self {
            kind,
            children: children.collect(),
            media_type,
            artifact_type: body.artifact_type,
            annotations: body.annotations.unwrap_or_default(),
            config: config.map(|config| (config.digest, config.size)),
            extra: Map::new(),
        }
    }

    /// Whether it is one image, and no index of many.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.kind == "IMAGE" && self.config.is_some()
    }

    /// Whether it is a chart.
    #[must_use]
    pub fn is_chart(&self) -> bool {
        self.kind == "CHART" && self.config.is_some()
    }

    /// Whether something of its config is shown.
    pub(super) fn shows_config(&self) -> bool {
        self.is_image() || self.is_chart()
    }
}

/// What Harbor calls an artifact whose config has this media type.
fn kind(media_type: &str) -> String {
    match media_type {
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => "IMAGE".into(),
        "application/vnd.cncf.helm.config.v1+json" => "CHART".into(),
        "application/vnd.wasm.config.v1+json" => "WASM".into(),
        other => {
            // application/vnd.{organisation}.{type}.config.{version}
            let rest = other.strip_prefix("application/vnd.").and_then(|rest| rest.split_once('.'));
            let parts = rest.and_then(|(_, rest)| rest.rsplit_once(".config."));
            let named = parts.filter(|(name, version)| !name.is_empty() && !version.contains('.'));
            named.map_or_else(|| "UNKNOWN".into(), |(name, _)| name.to_uppercase())
        }
    }
}

/// What of a config is shown: of an image what Harbor shows, of a chart all.
pub(super) fn extra(kind: &str, config: &[u8]) -> Map<String, Value> {
    let Ok(mut config) = serde_json::from_slice::<Map<String, Value>>(config) else { return Map::new() };
    if kind != "IMAGE" {
        return config;
    }
    let shown = ["architecture", "author", "config", "created", "os"];
    shown.iter().filter_map(|name| config.remove_entry(*name)).collect()
}

/// The steps by which an image was built; `None` when its config is none.
pub(super) fn history(config: &[u8]) -> Option<Value> {
    let mut config: Map<String, Value> = serde_json::from_slice(config).ok()?;
    Some(config.remove("history").filter(Value::is_array).unwrap_or_else(|| Value::Array(Vec::new())))
}

/// What Harbor calls an artifact that speaks about another.
#[must_use]
pub fn accessory_kind(artifact_type: Option<&str>) -> &'static str {
    match artifact_type {
        Some("application/vnd.dev.cosign.artifact.sig.v1+json" | "application/vnd.dev.sigstore.bundle.v0.3+json") => {
            "signature.cosign"
        }
        Some("application/vnd.cncf.notary.signature") => "signature.notation",
        Some("application/vnd.goharbor.harbor.sbom.v1") => "sbom.harbor",
        Some(_) | None => "subject.accessory",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(media_type: &str, body: &Value) -> Described {
        let bytes = Bytes::from(body.to_string());
        let digest = Digest::sha256(&bytes);
        Described::read(&StoredManifest { digest, media_type: media_type.parse().unwrap(), bytes })
    }

    #[test]
    fn kinds_are_called_as_harbor_calls_them() {
        for (config, expected) in [
            ("application/vnd.oci.image.config.v1+json", "IMAGE"),
            ("application/vnd.docker.container.image.v1+json", "IMAGE"),
            ("application/vnd.cncf.helm.config.v1+json", "CHART"),
            ("application/vnd.cncf.model.config.v1+json", "MODEL"),
            ("application/vnd.unknown.config.v1+json", "UNKNOWN"),
            ("text/plain", "UNKNOWN"),
        ] {
            assert_eq!(kind(config), expected, "{config}");
        }
    }

    #[test]
    fn an_index_tells_what_its_children_run_on() {
        let child = Digest::sha256(b"child");
        let body = json!({ "manifests": [
            { "digest": child, "platform": { "os": "linux", "architecture": "arm64", "os.version": "1" } },
            { "digest": "nonsense" },
        ] });
        let described = read(media_type::OCI_INDEX, &body);
        assert_eq!((described.kind.as_str(), described.media_type.as_str()), ("IMAGE", media_type::OCI_INDEX));
        assert!(!described.is_image());
        let [only] = &described.children[..] else { panic!("{described:?}") };
        assert_eq!((only.digest, only.platform.as_ref().unwrap().os_version.as_str()), (child, "1"));
    }

    #[test]
    fn of_an_image_config_only_what_is_harmless_is_shown() {
        let config =
            json!({ "os": "linux", "architecture": "amd64", "history": [{ "created_by": "x" }], "rootfs": {} });
        let shown = extra("IMAGE", config.to_string().as_bytes());
        assert_eq!(Value::Object(shown), json!({ "os": "linux", "architecture": "amd64" }));
        assert_eq!(history(config.to_string().as_bytes()).unwrap()[0]["created_by"], "x");
        assert_eq!(history(b"{\"history\":7}"), Some(json!([])));
        assert_eq!((history(b"no"), extra("IMAGE", b"[]").len()), (None, 0));
    }

    #[test]
    fn an_answer_reads_no_more_than_it_has_room_for() {
        let mut room = Room::default();
        assert!(room.takes(MAX_READ) && !room.takes(1) && room.takes(0));
        assert_eq!((0..MAX_CHILDREN + 5).filter(|_| room.takes_child()).count(), MAX_CHILDREN);
    }

    proptest! {
        #[test]
        fn any_config_is_read_or_says_nothing(bytes in "[\\[\\]{}\":,a-z0-9]{0,60}", media_type in "[a-z./+-]{0,60}") {
            let _ = (extra("IMAGE", bytes.as_bytes()), history(bytes.as_bytes()), kind(&media_type));
        }
    }
}

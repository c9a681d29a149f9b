//! Documents: JSON at the border, and the manifests read from it.

use std::collections::BTreeSet;

use protocol::json::{Limits, check};
use protocol::manifest::{MAX_DESCRIPTORS, Manifest};
use protocol::{MediaType, media_type};
use serde_json::Value;

/// Small, so that inputs of some hundred bytes stand on both sides of every bound.
const LIMITS: Limits = Limits { depth: 6, values: 60 };

/// JSON is let in exactly when it is well formed, within bounds, and no object names a key twice.
pub fn json(data: &[u8]) {
    let verdict = check(data, LIMITS);
    let Ok(_) = serde_json::from_slice::<Value>(data) else {
        assert!(verdict.is_err(), "let in, and not JSON");
        return;
    };
    let seen = Seen::of(data);
    let good = !seen.twice && seen.depth <= LIMITS.depth && seen.values <= LIMITS.values;
    assert_eq!(verdict.is_ok(), good, "{verdict:?}, and {seen:?}");
}

/// What a second reader sees in well-formed JSON.
#[derive(Debug, Default)]
struct Seen {
    twice: bool,
    depth: usize,
    values: usize,
}

impl Seen {
    /// Reads characters, not structure: what follows a string says whether it is a key.
    fn of(data: &[u8]) -> Self {
        let mut seen = Self::default();
        let mut open: Vec<BTreeSet<String>> = Vec::new();
        let mut at = 0;
        while at < data.len() {
            let start = at;
            at += 1;
            match data[start] {
                b'{' | b'[' => {
                    open.push(BTreeSet::new());
                    seen.depth = seen.depth.max(open.len());
                    seen.values += 1;
                }
                b'}' | b']' => drop(open.pop()),
                b'"' => {
                    while at < data.len() && data[at] != b'"' {
                        at += if data[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                    seen.values += 1;
                    let after = data[at..].iter().find(|b| !b.is_ascii_whitespace());
                    if let (Some(b':'), Some(keys)) = (after, open.last_mut()) {
                        let key: Result<String, _> = serde_json::from_slice(&data[start..at]);
                        seen.twice |= key.is_ok_and(|key| !keys.insert(key));
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' => {}
                _ => {
                    while at < data.len() && !b" \t\r\n,:]}".contains(&data[at]) {
                        at += 1;
                    }
                    seen.values += 1;
                }
            }
        }
        seen
    }
}

/// Types a client may claim: the stored ones, the refused ones, and those that leave it to the body.
const CLAIMS: [&str; 10] = [
    "",
    media_type::OCI_MANIFEST,
    media_type::OCI_INDEX,
    media_type::DOCKER_MANIFEST,
    media_type::DOCKER_LIST,
    media_type::DOCKER_SCHEMA1,
    media_type::DOCKER_SCHEMA1_SIGNED,
    "application/json",
    "application/octet-stream",
    "application/vnd.cncf.helm.config.v1+json",
];

/// A body is a manifest of at most one kind, whatever its sender claims, and says to every reader what it says to us
/// (CVE-2021-41190).
pub fn manifest(data: &[u8]) {
    let mut kinds = BTreeSet::new();
    for claim in CLAIMS {
        let content_type = MediaType::from_header(claim).ok();
        let Ok(manifest) = Manifest::parse(data, content_type.as_ref()) else { continue };
        kinds.insert(manifest.kind());
        let Ok(Value::Object(body)) = serde_json::from_slice(data) else { panic!("accepted, and no JSON object") };
        let has = |member: &str| body.get(member).is_some_and(|value| !value.is_null());
        let list = |member: &str| body.get(member).and_then(Value::as_array).map_or(0, Vec::len);

        assert!(!Seen::of(data).twice, "accepted with a key that stands twice");
        assert!(body.keys().all(|key| !reads_as_another(key)), "a reader that ignores case sees more");
        assert!(!(has("manifests") && (has("layers") || has("config"))), "accepted with two readings");
        assert!(!has("fsLayers") && !has("signatures"), "schema 1 was accepted");
        assert_eq!(body.get("schemaVersion").and_then(Value::as_u64), Some(2));
        let served = manifest.kind().media_type();
        assert!(content_type.is_none_or(|claimed| claimed == served || CLAIMS[7..9].contains(&claimed.as_str())));
        assert!(!has("mediaType") || body.get("mediaType").and_then(Value::as_str) == Some(served.as_str()));

        assert_eq!(manifest.children().len(), list("manifests"));
        assert_eq!(manifest.blobs().count(), list("layers") + usize::from(has("config")));
        assert!(manifest.children().len() + manifest.blobs().count() <= MAX_DESCRIPTORS + 1);
        assert!(manifest.required_blobs().count() <= manifest.blobs().count());
        assert_eq!(manifest.kind().is_index(), has("manifests"));
        assert!(!manifest.kind().is_index() || manifest.blobs().count() == 0);
        assert_eq!(manifest.subject().is_some(), has("subject"));
        same_pointers(&body, &manifest);
    }
    assert!(kinds.len() <= 1, "one body is {kinds:?}");
}

/// Whether a reader that ignores case takes `key` for a member that decides what the body is. Most clients are written in
/// Go, whose JSON reader does.
fn reads_as_another(key: &str) -> bool {
    // The capitals of the long s and of the Kelvin sign are those of s and k.
    let upper = |text: &str| text.to_uppercase().replace('\u{212a}', "K");
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "digest", "size"]
        .iter()
        .any(|name| key != *name && upper(key) == upper(name))
}

/// Every descriptor we read is the one a reader of plain JSON sees, in the same order.
fn same_pointers(body: &serde_json::Map<String, Value>, manifest: &Manifest) {
    let many = |member: &str| body.get(member).and_then(Value::as_array).into_iter().flatten();
    let one = |member: &str| body.get(member).filter(|value| !value.is_null()).into_iter();
    let plain = one("config").chain(many("layers")).chain(many("manifests")).chain(one("subject"));
    let ours = manifest.blobs().chain(manifest.children()).chain(manifest.subject());
    let mut count = 0;
    for (plain, ours) in plain.zip(ours) {
        let text = |member: &str| plain.get(member).and_then(Value::as_str).unwrap_or_default();
        assert!(plain.as_object().is_some_and(|plain| plain.keys().all(|key| !reads_as_another(key))));
        assert_eq!(text("digest"), ours.digest.to_string());
        assert_eq!(text("mediaType"), ours.media_type.as_str());
        assert_eq!(plain.get("size").and_then(Value::as_u64), Some(ours.size));
        count += 1;
    }
    assert_eq!(count, manifest.blobs().chain(manifest.children()).chain(manifest.subject()).count());
}

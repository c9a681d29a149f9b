//! Pushing by raw HTTP, step by step, for stories about the steps themselves. Owns no state.

use serde_json::{Value, json};

use crate::image::digest_of;
use crate::web::{Answer, Web};

/// The media type of an OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an OCI image config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of an OCI layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Begins an upload session and returns where to go on.
#[track_caller]
pub fn begin(web: &Web, repository: &str) -> String {
    let answer = web.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], &[]).expect(202);
    answer.header("Location").to_owned()
}

/// Adds a query to a `Location`.
#[must_use]
pub fn with_query(location: &str, query: &str) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}{query}")
}

/// Pushes a blob by POST and PUT; returns its digest.
#[track_caller]
pub fn blob(web: &Web, repository: &str, bytes: &[u8]) -> String {
    let digest = digest_of(bytes);
    let to = with_query(&begin(web, repository), &format!("digest={digest}"));
    web.send("PUT", &to, &[("Content-Type", "application/octet-stream")], bytes).expect(201);
    digest
}

/// A descriptor.
#[must_use]
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len()})
}

/// An image manifest over a config and layers.
#[must_use]
pub fn image_manifest(config: &[u8], layers: &[&[u8]]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
    })
}

/// An index over manifests.
#[must_use]
pub fn index(children: &[&[u8]]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": children.iter().map(|child| descriptor(MANIFEST, child)).collect::<Vec<_>>(),
    })
}

/// Sends a manifest under a reference, as the type it says it is.
pub fn manifest(web: &Web, repository: &str, reference: &str, body: &[u8]) -> Answer {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let media_type = parsed["mediaType"].as_str().unwrap_or(MANIFEST).to_owned();
    web.send("PUT", &format!("/v2/{repository}/manifests/{reference}"), &[("Content-Type", &media_type)], body)
}

/// An image that was pushed.
#[derive(Clone, Debug)]
pub struct PushedImage {
    /// The digest of its manifest.
    pub digest: String,
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// Its config.
    pub config: Vec<u8>,
    /// Its layers.
    pub layers: Vec<Vec<u8>>,
}

/// Pushes a small image of one layer whose bytes follow from `seed`.
#[track_caller]
pub fn image(web: &Web, repository: &str, tag: &str, seed: &str) -> PushedImage {
    let config = json!({"architecture": "amd64", "os": "linux", "seed": seed}).to_string().into_bytes();
    let layer = format!("layer of {seed}").repeat(50).into_bytes();
    blob(web, repository, &config);
    blob(web, repository, &layer);
    let body = image_manifest(&config, &[&layer]).to_string().into_bytes();
    manifest(web, repository, tag, &body).expect(201);
    PushedImage { digest: digest_of(&body), manifest: body, config, layers: vec![layer] }
}

/// Makes a project.
#[track_caller]
pub fn project(web: &Web, name: &str, public: bool) {
    let metadata = json!({"public": public.to_string()});
    web.post_json("/api/v2.0/projects", &json!({"project_name": name, "metadata": metadata})).expect(201);
}

/// The code of the first error of an OCI error body, which must have a message.
#[track_caller]
pub fn error_code(answer: &Answer) -> String {
    let body = answer.json();
    let first = &body["errors"][0];
    assert!(first["message"].as_str().is_some_and(|m| m.len() > 10), "an error says what to do: {}", answer.text());
    first["code"].as_str().expect("an error has a code").to_owned()
}

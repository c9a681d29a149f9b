//! `…/manifests/<reference>`: resolve, publish, delete.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WARNING};
use http::{HeaderName, HeaderValue, StatusCode};
use protocol::manifest::MAX_BYTES;
use protocol::{Digest, MediaType, Reference, RepositoryName, Tag};

use super::super::Response;
use super::super::body::{Body, Receiving};
use super::super::call::Call;
use super::super::error::Error;
use super::{bare, is_known, location, not_modified, set, set_digest};
use crate::policy::{Delete, Pull, Push};
use crate::registry::{self, Pushed};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// A tag may move at any moment; a digest never does, but who may read it does.
const CACHE: &str = "no-cache";

/// `Accept` is not looked at: a registry has one form of a manifest, and refusing it helps nobody.
pub(super) async fn get(call: &Call, name: &RepositoryName, reference: &Reference) -> Result<Response, Error> {
    let permit = call.permit::<Pull>(name)?;
    let manifest = call.registry().manifest(&permit, reference).await?;
    if is_known(call, &manifest.digest) {
        return Ok(not_modified(&manifest.digest, CACHE));
    }
    if !call.is_head() {
        call.registry().count_pull(&permit, reference, &manifest.digest);
        call.registry().note_pull(&permit, reference, &manifest.digest, &call.id);
    }
    let length = manifest.bytes.len() as u64;
    let mut response = Response::new(if call.is_head() { Body::empty() } else { Body::full(manifest.bytes) });
    set_digest(&mut response, &manifest.digest);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(kind) = HeaderValue::from_str(manifest.media_type.as_str()) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    call.app.metrics().manifests_served.inc();
    Ok(response)
}

pub(super) async fn put(
    call: &Call,
    name: &RepositoryName,
    reference: &Reference,
    body: &mut Receiving,
) -> Result<Response, Error> {
    let permit = call.permit::<Push>(name)?;
    let tags = call.query()?.all("tag").map(str::parse).collect::<Result<Vec<Tag>, _>>()?;
    let media_type = content_type(call)?;
    if call.content_length().is_some_and(|length| length > MAX_BYTES as u64) {
        return Err(Error::too_large(MAX_BYTES as u64, "a manifest"));
    }
    let body = body.collect(MAX_BYTES, "a manifest").await?;
    let push = registry::Push { reference: reference.clone(), tags, media_type, body };
    let pushed = call.registry().push_manifest(&permit, push, &call.id).await?;
    Ok(created(name, &pushed))
}

fn created(name: &RepositoryName, pushed: &Pushed) -> Response {
    let mut response = bare(StatusCode::CREATED);
    set(&mut response, LOCATION, location::manifest(name, &pushed.digest));
    set_digest(&mut response, &pushed.digest);
    if let Some(subject) = &pushed.subject {
        set(&mut response, OCI_SUBJECT, subject.to_string());
    }
    for tag in &pushed.tags {
        if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
            response.headers_mut().append(OCI_TAG, tag);
        }
    }
    response
}

fn content_type(call: &Call) -> Result<Option<MediaType>, Error> {
    let Some(header) = call.headers().get(CONTENT_TYPE) else { return Ok(None) };
    let parsed = header.to_str().ok().map(MediaType::from_header);
    match parsed {
        Some(Ok(media_type)) => Ok(Some(media_type)),
        Some(Err(_)) | None => Err(Error::bad("MANIFEST_INVALID", "Content-Type is no media type")),
    }
}

pub(super) async fn delete(call: &Call, name: &RepositoryName, reference: &Reference) -> Result<Response, Error> {
    let permit = call.permit::<Delete>(name)?;
    let mut response = bare(StatusCode::ACCEPTED);
    match reference {
        Reference::Tag(tag) => call.registry().delete_tag(&permit, tag, &call.id).await?,
        Reference::Digest(digest) => {
            let deleted = call.registry().delete_manifest(&permit, digest, &call.id).await?;
            if let Some(warning) = deleted.kept_by.and_then(still_served) {
                response.headers_mut().insert(WARNING, warning);
            }
        }
    }
    Ok(response)
}

/// Tells who deleted a part of an index that it goes with the index. The form is the distribution specification's.
fn still_served(index: Digest) -> Option<HeaderValue> {
    let text = format!("299 - \"deleted; it is served until {index}, which names it, is deleted, too\"");
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

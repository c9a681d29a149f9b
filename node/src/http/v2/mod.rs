//! `/v2/`: the OCI distribution API.
//!
//! `answer` reads the path once ([`route`]), finds out who is asking, and calls the handler of route and method.
//!
//! `ns`: this listener serves what is stored here and asks no upstream. A read that names another registry by `ns` is
//! answered 404 (or with no referrers), so that a client goes on to that registry itself; our own name is taken as if it were absent.

mod base;
mod blobs;
mod catalog;
pub mod location;
mod manifests;
mod ranges;
mod referrers;
pub mod route;
mod tags;
mod uploads;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use protocol::Digest;

use super::Response;
use super::body::{Body, Receiving};
use super::call::Call;
use super::challenge::Challenge;
use super::error::Error;
use route::{Route, RouteError};

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const DOCKER_API: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// The route's label for the metrics, and the answer.
pub(super) async fn answer(call: &mut Call, body: &mut Receiving) -> (&'static str, Result<Response, Error>) {
    let parsed = Route::parse(call.path());
    let label = parsed.as_ref().map_or("unknown", Route::label);
    let route = match parsed {
        Ok(route) => route,
        Err(error) => return (label, refuse(call, error).await),
    };
    let action = call.action();
    let help = || match route.repository() {
        Some(name) => Challenge::repository(name, action),
        None if route == Route::Catalog => Challenge::catalog(),
        None => Challenge::default(),
    };
    if let Err(error) = call.identify(help).await {
        return (label, Err(error));
    }
    match foreign_namespace(call, &route) {
        Ok(None) => {}
        Ok(Some(answer)) => return (label, Ok(answer)),
        Err(error) => return (label, Err(error)),
    }
    (label, handle(call, &route, body).await)
}

/// A path that is none is told so at once; what depends on grammar is told only to those whose credentials are good.
async fn refuse(call: &mut Call, error: RouteError) -> Result<Response, Error> {
    if error != RouteError::Unknown {
        call.identify(Challenge::default).await?;
    }
    Err(error.into())
}

async fn handle(call: &Call, route: &Route, body: &mut Receiving) -> Result<Response, Error> {
    let method = call.method().clone();
    match (route, method) {
        (Route::Base, Method::GET | Method::HEAD) => base::get(call),
        (Route::Catalog, Method::GET | Method::HEAD) => catalog::get(call).await,
        (Route::Tags { name }, Method::GET | Method::HEAD) => tags::get(call, name).await,
        (Route::Referrers { name, digest }, Method::GET | Method::HEAD) => referrers::get(call, name, digest).await,
        (Route::Manifest { name, reference }, Method::GET | Method::HEAD) => {
            manifests::get(call, name, reference).await
        }
        (Route::Manifest { name, reference }, Method::PUT) => {
            Box::pin(manifests::put(call, name, reference, body)).await
        }
        (Route::Manifest { name, reference }, Method::DELETE) => manifests::delete(call, name, reference).await,
        (Route::Blob { name, digest }, Method::GET) => blobs::get(call, name, digest).await,
        (Route::Blob { name, digest }, Method::HEAD) => blobs::head(call, name, digest).await,
        (Route::Blob { name, digest }, Method::DELETE) => blobs::delete(call, name, digest).await,
        (Route::Uploads { name }, Method::POST) => Box::pin(uploads::post(call, name, body)).await,
        (Route::Upload { name, id }, Method::GET | Method::HEAD) => uploads::get(call, name, id).await,
        (Route::Upload { name, id }, Method::PATCH) => Box::pin(uploads::patch(call, name, id, body)).await,
        (Route::Upload { name, id }, Method::PUT) => Box::pin(uploads::put(call, name, id, body)).await,
        (Route::Upload { name, id }, Method::DELETE) => uploads::delete(call, name, id).await,
        (route, _) => Err(Error::method(route.methods())),
    }
}

/// See the module: `ns` that is not us. `None`: it is us, or nothing is said.
fn foreign_namespace(call: &Call, route: &Route) -> Result<Option<Response>, Error> {
    let reads = matches!(*call.method(), Method::GET | Method::HEAD);
    if !reads || call.head.uri.query().is_none_or(|query| !query.contains("ns=")) {
        return Ok(None);
    }
    let query = call.query()?;
    let Some(ns) = query.one("ns")? else { return Ok(None) };
    let base = call.base();
    if ns.is_empty() || call.host() == Some(ns) || base.split_once("://").is_some_and(|(_, host)| host == ns) {
        return Ok(None);
    }
    let code = match route {
        Route::Manifest { .. } => "MANIFEST_UNKNOWN",
        Route::Blob { .. } => "BLOB_UNKNOWN",
        Route::Base | Route::Catalog | Route::Upload { .. } | Route::Uploads { .. } => return Ok(None),
        // The specification has no 404 here: who asks for referrers that are elsewhere is told that none are here.
        Route::Referrers { .. } => return referrers::none().map(Some),
        Route::Tags { .. } => "NAME_UNKNOWN",
    };
    Err(Error::absent(code, "this node holds no content of that registry (ns): ask the registry itself"))
}

/// An answer without a body.
fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header whose text we made; what can't stand in a header (it never does) is left out.
fn set(response: &mut Response, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(name, value);
    }
}

/// `Docker-Content-Digest` and the matching `ETag`.
fn set_digest(response: &mut Response, digest: &Digest) {
    let tag = etag(digest);
    let bare = HeaderValue::from_str(tag.trim_matches('"'));
    if let Ok(value) = bare {
        response.headers_mut().insert(DOCKER_CONTENT_DIGEST, value);
    }
    set(response, http::header::ETAG, tag);
}

/// The entity tag of content: its digest.
fn etag(digest: &Digest) -> String {
    let mut tag = String::with_capacity(Digest::MAX_TEXT + 2);
    tag.push('"');
    let _ = std::fmt::Write::write_fmt(&mut tag, format_args!("{digest}"));
    tag.push('"');
    tag
}

/// Whether the client has it already (`If-None-Match`, RFC 9110 13.1.2; weak comparison).
fn is_known(call: &Call, digest: &Digest) -> bool {
    let Some(header) = call.header(http::header::IF_NONE_MATCH) else { return false };
    let ours = etag(digest);
    header.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == ours)
}

/// 304 for content the client has, with the `Cache-Control` that the 200 would have (RFC 9110 15.4.5).
fn not_modified(digest: &Digest, cache: &'static str) -> Response {
    let mut response = bare(StatusCode::NOT_MODIFIED);
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static(cache));
    set_digest(&mut response, digest);
    response
}

/// A JSON answer.
fn json(kind: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::full(bytes));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

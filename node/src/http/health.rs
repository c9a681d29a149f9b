//! `/livez`, `/readyz`, `/metrics`: for those who watch, without log-in.
//!
//! A node whose store became read-only stays ready: it still serves pulls, which is what an edge is for, and says
//! `read-only` in the body and in the metrics. It is not ready before it has recovered, and not while it drains.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};

use super::Response;
use super::body::Body;
use super::call::Call;
use super::error::Error;

pub(super) fn answer(call: &Call) -> Result<Response, Error> {
    if !matches!(*call.method(), Method::GET | Method::HEAD) {
        return Err(Error::method("GET, HEAD"));
    }
    Ok(match call.path() {
        "/metrics" => metrics(call),
        "/readyz" => ready(call),
        _ => text(StatusCode::OK, "alive\n"),
    })
}

fn ready(call: &Call) -> Response {
    if let Some(why) = call.app.readiness().not_ready() {
        return text(StatusCode::SERVICE_UNAVAILABLE, if why == "draining" { "draining\n" } else { "starting\n" });
    }
    let read_only = call.app.parts.health.read_only().is_some();
    text(StatusCode::OK, if read_only { "ready, read-only\n" } else { "ready\n" })
}

fn text(status: StatusCode, body: &'static str) -> Response {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn metrics(call: &Call) -> Response {
    let mut response = Response::new(Body::full(call.app.metrics().render()));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

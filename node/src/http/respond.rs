//! One request from its head to the head of its answer: id, route, who, handler, numbers, log.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Request};

use super::body::{Body, Receiving, Source};
use super::call::Call;
use super::error::Error;
use super::{AppState, Origin, Response, Surface, api, health, refusals, session, token, v2};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Answers a request. Never fails: what goes wrong is an answer too.
pub async fn respond(app: Arc<AppState>, origin: Arc<Origin>, request: Request<Source>) -> Response {
    let begun = app.parts.clock.monotonic();
    let (head, source) = request.into_parts();
    let brought = head.headers.get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = app.ids.take(brought);
    let mut exchange = origin.traffic.begin(app.metrics(), &id);
    let mut body = Receiving::new(source, app.parts.settings.idle);
    let many_streams = head.version == http::Version::HTTP_2;
    let mut call = Call::new(Arc::clone(&app), origin, head, id);

    let (label, outcome) = route(&mut call, &mut body).await;
    if body.taken() > 0 {
        app.metrics().bytes_in.inc_by(body.taken());
    }
    let unread = body.is_unread();
    if unread {
        call.origin.traffic.leave_unread();
    }
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => {
            refusals::note(&call, label, &error);
            render(&call, &error)
        }
    };
    if unread && !many_streams {
        // Said, so that the client sends nothing more on a connection that is about to close.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(id) = HeaderValue::try_from(&*call.id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    let took = app.parts.clock.monotonic().saturating_sub(begun);
    app.metrics().request(label, method_label(call.method()), response.status().as_u16(), took);
    log(&call, &response, took);
    let waits_for_reader = response.body().is_file() || (many_streams && !response.body().is_empty());
    if waits_for_reader && !call.is_head() {
        exchange.watch();
    }
    response.map(|body| body.within(exchange))
}

/// The route's label for the metrics, and the answer.
async fn route(call: &mut Call, body: &mut Receiving) -> (&'static str, Result<Response, Error>) {
    let path = call.path();
    if matches!(path, "/livez" | "/readyz" | "/metrics") {
        // Probes are answered everywhere; numbers only where the operator wants them.
        let elsewhere = path == "/metrics" && call.origin.telemetry_elsewhere;
        let here = call.origin.surface == Surface::Telemetry || !elsewhere;
        return ("telemetry", if here { health::answer(call) } else { Err(Error::no_route()) });
    }
    match call.origin.surface {
        Surface::Telemetry => return ("unknown", Err(Error::no_route())),
        Surface::Main | Surface::Socket => {}
    }
    if let Some(error) = refusals::read_only(call) {
        return ("read-only", Err(error));
    }
    if path.starts_with("/v2/") {
        v2::answer(call, body).await
    } else if path == "/service/token" {
        ("token", token::answer(call, body).await)
    } else if path.starts_with("/c/") {
        ("session", session::answer(call, body).await)
    } else if path.starts_with("/api/v2.0/") {
        ("api", api::dispatch::answer(call, body).await)
    } else {
        ("unknown", Err(Error::no_route()))
    }
}

fn render(call: &Call, error: &Error) -> Response {
    if let Some(cause) = error.logged_cause() {
        if error.status().is_server_error() {
            tracing::error!(request = &*call.id, cause, "a request failed");
        } else {
            tracing::debug!(request = &*call.id, cause, "a request was refused");
        }
    }
    let mut response = Response::new(Body::full(error.body(&call.id)));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    for (name, value) in error.headers() {
        headers.insert(name, value.clone());
    }
    if let Some(challenge) = error.challenge().and_then(|challenge| challenge.header(&call.base())) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// One line a request: what changed something or failed at `info`, the many reads at `debug`.
fn log(call: &Call, response: &Response, took: Duration) {
    let (method, path, status) = (call.method().as_str(), call.path(), response.status().as_u16());
    let (request, who, ms) = (&*call.id, &**call.principal.name(), took.as_secs_f64() * 1000.0);
    let reads = matches!(*call.method(), Method::GET | Method::HEAD);
    if response.status().is_server_error() {
        tracing::warn!(request, who, method, path, status, ms, "answered");
    } else if reads {
        tracing::debug!(request, who, method, path, status, ms, "answered");
    } else {
        tracing::info!(request, who, method, path, status, ms, "answered");
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

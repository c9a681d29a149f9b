//! `/service/token`: tokens for registry clients.
//!
//! GET with Basic credentials or none, as Docker does it, and POST with an OAuth2 password grant. What is asked for is
//! read leniently, since a token holds only what its bearer has a right to anyway; a token can't be used to get
//! another, so none ever grows or outlives itself.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Response;
use super::body::{Body, Receiving};
use super::call::Call;
use super::challenge::Challenge;
use super::error::Error;
use super::query::Query;
use crate::auth::{Credentials, Issued, Principal, Scope};
use crate::policy::MAX_SCOPES;

/// Longest form.
const MAX_FORM: usize = 16 * 1024;

pub(super) async fn answer(call: &mut Call, body: &mut Receiving) -> Result<Response, Error> {
    match *call.method() {
        Method::GET => get(call).await,
        Method::POST => post(call, body).await,
        _ => Err(Error::method("GET, POST")),
    }
}

async fn get(call: &mut Call) -> Result<Response, Error> {
    if matches!(call.credentials(), Ok(Credentials::Bearer(_))) {
        return Err(Error::unauthorized(Challenge::administration(), "a token can't be used to get another: log in"));
    }
    call.identify(Challenge::administration).await?;
    if matches!(call.credentials(), Ok(Credentials::Basic { .. })) {
        call.registry().note_login(&call.principal.actor(), &call.id);
    }
    let scopes = scopes(call.query()?.all("scope"));
    issue(call, &call.principal, &scopes)
}

async fn post(call: &Call, body: &mut Receiving) -> Result<Response, Error> {
    let bytes = body.collect_short(MAX_FORM, "a form").await?;
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(refused("invalid_request", "the form is no text")) };
    let form = Query::parse(Some(text))?;
    match form.one("grant_type")? {
        Some("password") => {}
        Some(_) => return Ok(refused("unsupported_grant_type", "use grant_type=password")),
        None => return Ok(refused("invalid_request", "grant_type is missing")),
    }
    let (Some(name), Some(password)) = (form.one("username")?, form.one("password")?) else {
        return Ok(refused("invalid_request", "username and password are needed"));
    };
    let checked = call.check(name, password).await;
    let principal = checked.map_err(|error| Error::authentication(error, Challenge::administration()))?;
    call.registry().note_login(&principal.actor(), &call.id);
    issue(call, &principal, &scopes(form.all("scope")))
}

fn issue(call: &Call, principal: &Principal, asked: &[Scope]) -> Result<Response, Error> {
    let granted = call.gate().grant(principal, asked);
    let issued = call.authenticator().issue(principal, granted);
    let issued = issued.map_err(|error| Error::authentication(error, Challenge::administration()))?;
    Ok(secret_json(StatusCode::OK, &token(&issued)?))
}

fn token(issued: &Issued) -> Result<serde_json::Value, Error> {
    let seconds = i64::try_from(issued.issued_at.as_secs()).map_err(Error::internal)?;
    let at = OffsetDateTime::from_unix_timestamp(seconds).map_err(Error::internal)?;
    let at = at.format(&Rfc3339).map_err(Error::internal)?;
    let expires_in = issued.expires_in.as_secs();
    Ok(json!({ "token": issued.token, "access_token": issued.token, "expires_in": expires_in, "issued_at": at }))
}

/// An error as OAuth2 writes them (RFC 6749 5.2).
fn refused(code: &'static str, why: &'static str) -> Response {
    secret_json(StatusCode::BAD_REQUEST, &json!({ "error": code, "error_description": why }))
}

fn secret_json(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::full(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads `scope` parameters, each of which may hold several, separated by spaces. What is no scope is left out.
fn scopes<'a>(parameters: impl Iterator<Item = &'a str>) -> Vec<Scope> {
    let words = parameters.flat_map(|text| text.split(' ')).filter(|word| !word.is_empty());
    words.take(MAX_SCOPES).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Action;
    use proptest::prelude::*;

    #[test]
    fn scopes_are_read_leniently() {
        let read = scopes(
            ["repository:a/b:push,pull,fly repository(plugin):c:*", "registry:catalog:*", "x", "repository:A:pull"]
                .into_iter(),
        );
        let want = vec![
            Scope::Repository { name: "a/b".parse().unwrap(), actions: vec![Action::Pull, Action::Push] },
            Scope::Repository {
                name: "library/c".parse().unwrap(),
                actions: vec![Action::Pull, Action::Push, Action::Delete],
            },
            Scope::Catalog,
        ];
        assert_eq!(read, want);
    }

    #[test]
    fn scopes_are_bounded() {
        let many = "repository:a:pull ".repeat(100);
        assert_eq!(scopes([many.as_str()].into_iter()).len(), MAX_SCOPES);
    }

    #[test]
    fn a_token_reads_as_docker_expects() {
        let issued = Issued {
            token: "t".into(),
            expires_in: std::time::Duration::from_secs(300),
            issued_at: protocol::Timestamp(1_700_000_000_123),
        };
        let value = token(&issued).unwrap();
        assert_eq!(value["issued_at"], "2023-11-14T22:13:20Z");
        assert_eq!((&value["token"], &value["expires_in"]), (&json!("t"), &json!(300)));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,120}") {
            let _ = scopes([text.as_str()].into_iter());
        }
    }
}

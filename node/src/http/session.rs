//! Sessions of browsers, as Harbor's portal begins and ends them: `/c/login`, `/c/log_out`. The table is
//! [`crate::auth`]'s; nothing is kept here.
//!
//! A session has a new name at each log-in, whatever cookie came along, and the one of before ends: a name that someone
//! else planted in the browser never becomes anyone's session.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};

use super::Response;
use super::api::dispatch::{CSRF, same_origin};
use super::body::{Body, Receiving};
use super::call::{Call, SESSION_COOKIE};
use super::challenge::Challenge;
use super::error::Error;
use super::query::Query;
use crate::auth::{AuthError, Credentials};

/// Longest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

pub(super) async fn answer(call: &mut Call, body: &mut Receiving) -> Result<Response, Error> {
    match (call.path(), call.method()) {
        ("/c/login", &Method::POST) => log_in(call, body).await,
        ("/c/login", _) => Err(Error::method("POST")),
        ("/c/log_out", &Method::GET) => log_out(call).await,
        ("/c/log_out", _) => Err(Error::method("GET")),
        _ => Err(Error::no_route()),
    }
}

async fn log_in(call: &Call, body: &mut Receiving) -> Result<Response, Error> {
    // Another site must not log a browser in as somebody of its choice.
    same_origin(call)?;
    let kind = call.header(CONTENT_TYPE).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED", "log in with a form"));
    }
    let bytes = body.collect_short(MAX_FORM, "a form").await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::bad("BAD_REQUEST", "the form is no text"))?;
    let form = Query::parse(Some(text))?;
    let (Some(name), Some(password)) = (form.one("principal")?, form.one("password")?) else {
        return Err(Error::bad("BAD_REQUEST", "principal and password are needed"));
    };
    let principal = call.check(name, password).await.map_err(|error| match error {
        // Without a challenge: a browser would ask for the password itself, and remember it.
        AuthError::Invalid => refused(),
        other @ (AuthError::Busy | AuthError::Slow(_) | AuthError::Meta(_) | AuthError::Directory(_)) => {
            Error::authentication(other, Challenge::administration())
        }
    })?;
    // A robot has no session.
    let session = call.authenticator().begin_session(&principal).ok_or_else(refused)?;
    end_old(call);
    call.registry().note_login(&principal.actor(), &call.id);
    let mut response = cookie(call, session.reveal(), None)?;
    if let Ok(token) = HeaderValue::try_from(call.authenticator().second_token(&session)) {
        response.headers_mut().insert(CSRF, token);
    }
    Ok(response)
}

async fn log_out(call: &mut Call) -> Result<Response, Error> {
    same_origin(call)?;
    if matches!(call.credentials(), Ok(Credentials::Session(_))) {
        call.identify(Challenge::administration).await?;
    }
    end_old(call);
    if !call.principal.is_anonymous() {
        call.registry().note_logout(&call.principal.actor(), &call.id);
    }
    cookie(call, "", Some(0))
}

fn refused() -> Error {
    Error::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong name or password")
}

/// Ends the session whose cookie came along.
fn end_old(call: &Call) {
    if let Ok(Credentials::Session(old)) = call.credentials() {
        call.authenticator().end_session(&old);
    }
}

/// 200 with the cookie, which no script can read and no other site's form sends along. It ends with the browser unless it
/// is to go at once.
fn cookie(call: &Call, id: &str, age: Option<u32>) -> Result<Response, Error> {
    // Over TLS whatever the public URL says, and behind a proxy that ends TLS by that URL.
    let secure = if call.origin.tls || call.base().starts_with("https://") { "; Secure" } else { "" };
    let age = age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let text = format!("{SESSION_COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    let mut value = HeaderValue::try_from(text).map_err(Error::internal)?;
    value.set_sensitive(true);
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(SET_COOKIE, value);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

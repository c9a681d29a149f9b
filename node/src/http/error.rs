//! An error as a client sees it: a status, OCI error codes, words a person can act on. What each error of the rooms becomes
//! stands in `rooms`. No state.
//!
//! The client gets a code and what to do; the cause goes to the log under the request id and nowhere else.

mod rooms;

use std::borrow::Cow;

use http::header::{ALLOW, CONTENT_RANGE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::challenge::Challenge;

/// One entry of the body.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The code, a word of the distribution specification where it has one.
    pub code: &'static str,
    /// For people.
    pub message: Cow<'static, str>,
    /// For programs.
    pub detail: Option<Value>,
}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    entries: Vec<Entry>,
    headers: Vec<(HeaderName, HeaderValue)>,
    challenge: Option<Challenge>,
    cause: Option<String>,
}

impl Error {
    /// An error with one entry.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let entries = vec![Entry { code, message: message.into(), detail: None }];
        Self(Box::new(Parts { status, entries, headers: Vec::new(), challenge: None, cause: None }))
    }

    /// 400 with a code.
    #[must_use]
    pub fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404 with a code.
    #[must_use]
    pub fn absent(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Nothing is at this path. The specification has no code of its own for that.
    #[must_use]
    pub fn no_route() -> Self {
        Self::absent("UNSUPPORTED", "there is nothing at this path")
    }

    /// 405, with what the path does take.
    #[must_use]
    pub fn method(allow: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "UNSUPPORTED",
            format!("this path does not take that method; it takes {allow}"),
        )
        .header(ALLOW, HeaderValue::from_static(allow))
    }

    /// 401, with what would help.
    #[must_use]
    pub fn unauthorized(challenge: Challenge, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
        error.0.challenge = Some(challenge);
        error
    }

    /// 403.
    #[must_use]
    pub fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", "this account may not do this; ask an administrator of the project")
    }

    /// 413.
    #[must_use]
    pub fn too_large(limit: u64, what: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", format!("{what} has at most {limit} bytes here"))
    }

    /// 416 for a download.
    #[must_use]
    pub fn range(size: u64) -> Self {
        let message = format!("the range lies outside the blob, which has {size} bytes");
        let error = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message);
        error.text_header(CONTENT_RANGE, format!("bytes */{size}"))
    }

    /// 500: something here failed; the log has `cause`.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let message = "this node failed at the request; its log says more under the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message).cause(cause)
    }

    /// 503, to be tried again after so many seconds.
    #[must_use]
    pub fn unavailable(after: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message).retry_after(after)
    }

    /// 429, to be tried again after so many seconds.
    #[must_use]
    pub fn too_many(after: u32, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message).retry_after(after)
    }

    fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    fn text_header(self, name: HeaderName, value: String) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => self.header(name, value),
            Err(_) => self,
        }
    }

    /// Adds what programs may read.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        if let Some(first) = self.0.entries.first_mut() {
            first.detail = Some(detail);
        }
        self
    }

    /// Adds what only the log is told.
    #[must_use]
    pub fn cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The entries of the body.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0.entries
    }

    /// What would help, for a 401.
    #[must_use]
    pub const fn challenge(&self) -> Option<&Challenge> {
        self.0.challenge.as_ref()
    }

    /// What the log is told.
    #[must_use]
    pub fn logged_cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Headers of the answer beside the challenge.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The JSON body; a request id tells the person whom to ask about a failure of ours.
    #[must_use]
    pub fn body(&self, request: &str) -> Vec<u8> {
        let ours = self.0.status.is_server_error();
        let entry = |e: &Entry| {
            let mut value = json!({ "code": e.code, "message": e.message });
            if ours {
                value["message"] = format!("{} (request {request})", e.message).into();
            }
            if let Some(detail) = &e.detail {
                value["detail"] = detail.clone();
            }
            value
        };
        let entries: Vec<_> = self.0.entries.iter().map(entry).collect();
        json!({ "errors": entries }).to_string().into_bytes()
    }
}

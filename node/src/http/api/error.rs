//! Errors of the administration interface, with the codes Harbor's clients look for; and reading bodies strictly.
//!
//! The shape of the body is [`crate::http::error`]'s, the same for every part of the node.

use http::header::ALLOW;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use crate::http::error::Error;

/// Longest body of a request, in bytes.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// 404: there is nothing at this path. Its code is another than that of a thing which is not there.
pub(crate) fn no_route() -> Error {
    Error::no_route()
}

/// 404: what the path names is not there, or not for this account to know.
pub(crate) fn not_found(what: &str) -> Error {
    Error::absent("NOT_FOUND", format!("{what} not found"))
}

/// 405, with what the path does take.
pub(crate) fn method(allow: &str) -> Error {
    let message = format!("this path does not take that method; it takes {allow}");
    let error = Error::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message);
    match HeaderValue::try_from(allow) {
        Ok(allow) => error.header(ALLOW, allow),
        Err(_) => error,
    }
}

/// 400.
pub(crate) fn bad_request(message: impl Into<String>) -> Error {
    Error::bad("BAD_REQUEST", message.into())
}

/// 403 for an account that may not.
pub(crate) fn forbidden() -> Error {
    Error::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this account may not do this; ask an administrator of the project")
}

/// 403 for what nobody may do as things stand.
pub(crate) fn denied(message: impl Into<String>) -> Error {
    Error::new(StatusCode::FORBIDDEN, "DENIED", message.into())
}

/// 409: it is there already.
pub(crate) fn conflict(message: impl Into<String>) -> Error {
    Error::new(StatusCode::CONFLICT, "CONFLICT", message.into())
}

/// 412: something else has to be done first.
pub(crate) fn precondition(message: impl Into<String>) -> Error {
    Error::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION", message.into())
}

/// 412: a rule of the project is against it.
pub(crate) fn policy_violation(message: impl Into<String>) -> Error {
    Error::new(StatusCode::PRECONDITION_FAILED, "PROJECTPOLICYVIOLATION", message.into())
}

/// 422: a parameter is out of its range.
pub(crate) fn unprocessable(message: impl Into<String>) -> Error {
    Error::new(StatusCode::UNPROCESSABLE_ENTITY, "UNPROCESSABLE_ENTITY", message.into())
}

/// Reads a body, of which at most [`MAX_BODY`] bytes were taken.
///
/// # Errors
/// 400 that names the field which is unknown or has the wrong type.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| bad_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::model::project::ProjectReq;

    #[test]
    fn errors_have_the_shape_and_the_codes_clients_know() {
        for (error, status, code) in [
            (no_route(), 404, "UNSUPPORTED"),
            (not_found("project x"), 404, "NOT_FOUND"),
            (method("GET, PUT"), 405, "METHOD_NOT_ALLOWED"),
            (bad_request("x"), 400, "BAD_REQUEST"),
            (forbidden(), 403, "FORBIDDEN"),
            (denied("x"), 403, "DENIED"),
            (conflict("x"), 409, "CONFLICT"),
            (precondition("x"), 412, "PRECONDITION"),
            (policy_violation("x"), 412, "PROJECTPOLICYVIOLATION"),
            (unprocessable("x"), 422, "UNPROCESSABLE_ENTITY"),
        ] {
            assert_eq!(error.status().as_u16(), status, "{code}");
            let body: serde_json::Value = serde_json::from_slice(&error.body("id")).unwrap();
            assert_eq!(body["errors"][0]["code"], code);
            assert!(body["errors"][0]["message"].is_string());
        }
        assert_eq!(method("GET, PUT").headers()[0].1, "GET, PUT");
    }

    #[test]
    fn a_body_is_read_strictly_and_the_field_at_fault_is_named() {
        assert!(body::<ProjectReq>(br#"{"project_name":"a","owner_id":1}"#).is_ok());
        for (bad, named) in [
            (r#"{"project_name":"a","admin":true}"#, "admin"),
            (r#"{"project_name":"a","metadata":{"owner":"x"}}"#, "owner"),
            (r#"{"project_name":"a","project_name":"b"}"#, "project_name"),
            (r#"{"project_name":1}"#, "integer"),
            ("", "EOF"),
        ] {
            let error = body::<ProjectReq>(bad.as_bytes()).unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            assert!(error.entries()[0].message.contains(named), "{bad}: {}", error.entries()[0].message);
        }
    }
}

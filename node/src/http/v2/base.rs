//! `GET /v2/`: this is a registry, and your credentials are good.
//!
//! One who shows nothing is asked to log in, because clients find the token service, and `docker login` finds out
//! whether a password is right, by this answer. Anonymous pulls go on from there with an anonymous token.

use http::{HeaderValue, StatusCode};

use super::super::Response;
use super::super::call::Call;
use super::super::challenge::Challenge;
use super::super::error::Error;
use super::{DOCKER_API, json};

pub(super) fn get(call: &Call) -> Result<Response, Error> {
    let version = HeaderValue::from_static("registry/2.0");
    if !call.shown {
        let error =
            Error::unauthorized(Challenge::default(), "log in, or ask the token service for an anonymous token");
        return Err(error.header(DOCKER_API, version));
    }
    let mut response = json("application/json", b"{}".to_vec());
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(DOCKER_API, version);
    Ok(response)
}

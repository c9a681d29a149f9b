//! Bearer tokens for one server, fetched as a client does: ask `/v2/`, follow the challenge with the password. Owns the
//! current token and takes a new one when half of its life is over, so that none expires under a request.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::Connection;
use crate::load::now;

/// Life of a token whose answer names none (distribution token specification).
const DEFAULT_LIFE: u64 = 60;

/// The source of one server's `Authorization` header.
pub(crate) struct Bearer {
    addr: SocketAddr,
    scope: String,
    basic: String,
    current: Mutex<Option<Current>>,
}

struct Current {
    header: Arc<str>,
    renew: Instant,
}

impl Bearer {
    /// Tokens of the user `admin` for pulling from and pushing to `repository`.
    pub(crate) fn new(addr: SocketAddr, repository: &str, password: &str) -> Self {
        let basic = format!("Basic {}", STANDARD.encode(format!("admin:{password}")));
        Self { addr, scope: format!("repository:{repository}:pull,push"), basic, current: Mutex::new(None) }
    }

    /// The value of the header.
    pub(crate) fn header(&self) -> io::Result<Arc<str>> {
        self.good_for(Duration::ZERO)
    }

    /// The value of the header, which won't change for `time`: asked for before a measurement, it keeps the renewal
    /// out of it. A token too short-lived for that is renewed each time.
    pub(crate) fn good_for(&self, time: Duration) -> io::Result<Arc<str>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref().filter(|current| now() + time < current.renew) {
            return Ok(Arc::clone(&current.header));
        }
        let (token, life) = self.fetch()?;
        let header: Arc<str> = format!("Bearer {token}").into();
        *current = Some(Current { header: Arc::clone(&header), renew: now() + Duration::from_secs(life) / 2 });
        Ok(header)
    }

    fn fetch(&self) -> io::Result<(String, u64)> {
        let mut connection = Connection::open(self.addr)?;
        let head = connection.request("GET", "/v2/", &[], &[])?;
        connection.body(&head, 64 * 1024)?;
        let challenge = head
            .headers("www-authenticate")
            .find(|challenge| challenge.starts_with("Bearer "))
            .ok_or_else(|| io::Error::other(format!("no Bearer challenge at /v2/ (status {})", head.status)))?;
        let realm = parameter(challenge, "realm").ok_or_else(|| io::Error::other("a challenge without realm"))?;
        let service = parameter(challenge, "service").unwrap_or_default();
        let target = format!("{}?service={}&scope={}", path_of(realm), escaped(service), escaped(&self.scope));
        let head = connection.request("GET", &target, &[("Authorization", &self.basic)], &[])?;
        let body = connection.body(&head, 64 * 1024)?;
        if head.status != 200 {
            let said = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!("status {} for a token: {said}", head.status)));
        }
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
        let token = token.ok_or_else(|| io::Error::other("an answer without a token"))?;
        Ok((token.to_owned(), answer["expires_in"].as_u64().unwrap_or(DEFAULT_LIFE)))
    }
}

/// A quoted parameter of a challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0)
}

/// The path and query of a URL that may be absolute. The host is always the server under measurement: a challenge can't
/// send the password, or the load, anywhere else.
pub(crate) fn path_of(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    }
}

/// Percent-encoding of a query's value.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_and_its_urls_are_read() {
        let challenge = r#"Bearer realm="http://a:1/service/token",service="portolan a""#;
        assert_eq!(path_of(parameter(challenge, "realm").unwrap()), "/service/token");
        assert_eq!(escaped(parameter(challenge, "service").unwrap()), "portolan%20a");
        assert_eq!((path_of("/v2/x?y"), path_of("http://a")), ("/v2/x?y", "/"));
    }
}

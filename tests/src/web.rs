//! A small HTTP client for what no registry client does: odd uploads, the admin API, readiness. Owns its agent.

use std::{fs, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Request, Response},
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Longer than any answer on loopback should take, shorter than a person's patience.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header as text, empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text, for messages and small answers.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// Panics with the whole answer unless its status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

/// A client bound to one base address; with a user it authenticates every request.
#[derive(Debug, Clone)]
pub struct Web {
    base: String,
    user: Option<(String, String)>,
    agent: Agent,
}

impl Web {
    /// A client for `base` (`http://host:port`), trusting only the authority in `root` when that is given.
    pub fn new(base: &str, root: Option<&Path>) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(LIMIT));
        if let Some(root) = root {
            let pem = fs::read(root).expect("the authority's certificate is there");
            let trusted = Certificate::from_pem(&pem).expect("the authority's certificate parses");
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::new_with_certs(&[trusted]))
                .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .build();
            config = config.tls_config(tls);
        }
        Self { base: base.to_owned(), user: None, agent: Agent::new_with_config(config.build()) }
    }

    /// The same client, authenticating as `user`.
    #[must_use]
    pub fn signed_in(&self, user: &str, password: &str) -> Self {
        Self { user: Some((user.to_owned(), password.to_owned())), ..self.clone() }
    }

    /// Sends a request; `target` is a path or, as in a `Location`, a whole address. `None` when no answer came.
    pub fn try_send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let address = if target.contains("://") { target.to_owned() } else { format!("{}{target}", self.base) };
        let mut request = Request::builder().method(method).uri(&address);
        if let Some((user, password)) = &self.user {
            let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
            request = request.header("Authorization", format!("Basic {pair}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Methods without a body must not announce one: some servers refuse a GET that carries a length.
        let answer: Result<Response<Body>, ureq::Error> = if matches!(method, "GET" | "HEAD" | "DELETE") {
            self.agent.run(request.body(()).expect("a well-formed request"))
        } else {
            self.agent.run(request.body(body).expect("a well-formed request"))
        };
        let mut answer = answer.ok()?;
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().ok()?;
        Some(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }

    /// Sends a request that has to be answered.
    #[track_caller]
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, target, headers, body).unwrap_or_else(|| panic!("no answer to {method} {target}"))
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], &[])
    }

    /// POST of JSON.
    #[track_caller]
    pub fn post_json(&self, target: &str, body: &serde_json::Value) -> Answer {
        self.send("POST", target, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }
}

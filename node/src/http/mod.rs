//! The HTTP edge: requests in, rooms below asked, answers out.
//!
//! [`Server`] owns the listeners and the connections. [`respond()`] takes one request through the same steps whatever it
//! asks for: an id, who is asking, which route, the handler, the numbers and the log line. A handler reaches the
//! registry only with a permit, so a route without authorisation does not compile. Nothing here decides what is
//! allowed or what is true; that is [`crate::policy`] and [`crate::registry`].

#[allow(dead_code, reason = "routes move here one after the other")]
mod api;
pub mod blocks;
pub mod body;
mod call;
pub mod challenge;
pub mod credentials;
pub mod error;
mod health;
mod intake;
pub mod operator;
pub mod page;
pub mod query;
mod refusals;
mod respond;
pub mod server;
mod session;
mod tls;
pub mod token;
pub mod traffic;
pub mod v2;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use protocol::seam::{Clock, Entropy};

use crate::auth::Authenticator;
use crate::policy::Gate;
use crate::registry::Registry;
use crate::storage::Health;
use crate::telemetry::{Metrics, RequestIds};
use crate::workers::Scope;

pub use api::{Term, path_of, terms_of};
pub use respond::respond;
pub use server::{BindError, Bound, Server};

/// An answer on its way out.
pub type Response = http::Response<body::Body>;

/// What an operator set about the edge.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `scheme://host[:port]` of the URL clients use, without a slash at the end; unset: what they put into `Host`.
    pub public_url: Option<String>,
    /// Time without a byte on a body after which it is given up.
    pub idle: Duration,
    /// Most items a page of a listing has.
    pub page: usize,
}

impl Settings {
    /// The settings of a configuration.
    #[must_use]
    pub fn new(http: &crate::config::Http, limits: &crate::config::Limits) -> Self {
        let public_url = http.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
        Self { public_url, idle: limits.idle_timeout.0, page: limits.page as usize }
    }
}

/// Whether the node takes requests, as `/readyz` tells it. Starts as "not yet".
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Everything is open and recovered.
    pub fn ready(&self) {
        self.0.fetch_max(1, Ordering::Relaxed);
    }

    /// A stop was asked for. There is no way back.
    pub fn draining(&self) {
        self.0.store(2, Ordering::Relaxed);
    }

    /// Why requests should go elsewhere; `None` when they should not.
    #[must_use]
    pub fn not_ready(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Relaxed) {
            0 => Some("starting"),
            1 => None,
            _ => Some("draining"),
        }
    }
}

/// What the edge is made of; `app` fills it in.
#[derive(Debug)]
pub struct Parts {
    /// The rules.
    pub registry: Registry,
    /// Who may.
    pub gate: Gate,
    /// Who is asking.
    pub authenticator: Arc<Authenticator>,
    /// Whether the store takes writes.
    pub health: Health,
    /// Where blocking reads run.
    pub scope: Scope,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What the operator set.
    pub settings: Settings,
}

/// Everything a handler can reach. One a node, shared by all connections.
#[derive(Debug)]
pub struct AppState {
    parts: Parts,
    ids: RequestIds,
    blocks: blocks::Blocks,
    readiness: Readiness,
}

impl AppState {
    /// The state of an edge made of `parts`; not ready until [`Readiness::ready`] was called.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let ids = RequestIds::new(&*parts.entropy);
        Arc::new(Self { parts, ids, blocks: blocks::Blocks::default(), readiness: Readiness::default() })
    }

    /// Whether the node takes requests.
    #[must_use]
    pub const fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The numbers.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// Time.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Everything.
    Main,
    /// Everything; who connects is the machine's own operator.
    Socket,
    /// `/livez`, `/readyz` and `/metrics`.
    Telemetry,
}

/// Where a request came in.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What is served there.
    pub surface: Surface,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// The listener's address, when it has one.
    pub local: Option<SocketAddr>,
    /// The client's.
    pub peer: Option<SocketAddr>,
    /// Whether `/livez`, `/readyz` and `/metrics` are elsewhere.
    pub telemetry_elsewhere: bool,
    /// The connection.
    pub traffic: Arc<traffic::Traffic>,
}

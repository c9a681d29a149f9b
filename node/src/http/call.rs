//! One request as a handler sees it: its head, who is asking, and the way to a permit.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, Method, request};
use protocol::RepositoryName;

use super::challenge::{self, Challenge};
use super::error::Error;
use super::query::{Query, QueryError};
use super::{AppState, Origin, Surface, credentials, intake};
use crate::auth::{Action, AuthError, Authenticator, Credentials, Principal, Secret};
use crate::policy::{CatalogPermit, Denied, Gate, Permit, Right};
use crate::registry::Registry;

/// The cookie that names a browser's session.
pub(super) const SESSION_COOKIE: &str = "sid";

/// One request, its body apart.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) app: Arc<AppState>,
    pub(super) origin: Arc<Origin>,
    pub(super) head: request::Parts,
    pub(super) id: Arc<str>,
    pub(super) principal: Principal,
    /// Whether credentials were shown at all; [`Call::identify`] found them good.
    pub(super) shown: bool,
}

impl Call {
    /// A request nobody has looked at yet: anonymous.
    pub(super) fn new(app: Arc<AppState>, origin: Arc<Origin>, head: request::Parts, id: Arc<str>) -> Self {
        Self { app, origin, head, id, principal: Principal::anonymous(), shown: false }
    }

    /// Finds out who is asking. `help` is what a client is told would help, when its credentials are no good.
    pub(super) async fn identify(&mut self, help: impl FnOnce() -> Challenge) -> Result<(), Error> {
        let credentials = match self.credentials() {
            Ok(credentials) => credentials,
            Err(malformed) => {
                self.app.metrics().authentication("refused");
                return Err(Error::unauthorized(help().invalid_token(), malformed.to_string()));
            }
        };
        let outcome = match self.authenticator().authenticate(&credentials, self.party()).await {
            // A browser shows its cookie long after the session is over.
            Err(AuthError::Invalid) if matches!(credentials, Credentials::Session(_)) => Ok(Principal::anonymous()),
            outcome => outcome,
        };
        self.count(&outcome);
        if let (Err(AuthError::Invalid), Credentials::Basic { name, .. }) = (&outcome, &credentials) {
            self.note_failed_login(name);
        }
        let principal = outcome.map_err(|error| Error::authentication(error, help()))?;
        self.principal = principal.from(self.address());
        self.shown = !matches!(credentials, Credentials::None | Credentials::Session(_));
        Ok(())
    }

    /// Finds out whose name and password a form holds. A wrong one is told of; what comes of a right one is the caller's
    /// to tell.
    pub(super) async fn check(&self, name: &str, password: &str) -> Result<Principal, AuthError> {
        let credentials = Credentials::Basic { name: name.to_owned(), password: Secret::new(password) };
        let outcome = self.authenticator().authenticate(&credentials, self.party()).await;
        self.count(&outcome);
        if matches!(outcome, Err(AuthError::Invalid)) {
            self.note_failed_login(name);
        }
        outcome.map(|principal| principal.from(self.address()))
    }

    fn count(&self, outcome: &Result<Principal, AuthError>) {
        self.app.metrics().authentication(match outcome {
            Ok(principal) if principal.is_anonymous() => "anonymous",
            Ok(_) => "accepted",
            Err(AuthError::Invalid) => "refused",
            Err(AuthError::Busy | AuthError::Slow(_)) => "busy",
            Err(AuthError::Meta(_) | AuthError::Directory(_)) => "failed",
        });
    }

    fn address(&self) -> Option<IpAddr> {
        self.origin.peer.map(|peer| peer.ip())
    }

    /// Has the audit log tell of a wrong password, shown under this name.
    fn note_failed_login(&self, name: &str) {
        let nobody = Principal::anonymous().from(self.address());
        self.registry().note_failed_login(name, &nobody.actor(), &self.id);
    }

    /// What the request brought. Two `Authorization` headers are two opinions, so none.
    pub(super) fn credentials(&self) -> Result<Credentials, credentials::Malformed> {
        let mut headers = self.head.headers.get_all(AUTHORIZATION).iter();
        match (headers.next(), headers.next()) {
            (None, _) if self.origin.surface == Surface::Socket => Ok(Credentials::LocalOperator),
            (None, _) => Ok(self.session().map_or(Credentials::None, Credentials::Session)),
            (Some(header), None) => credentials::parse(header.as_bytes()),
            (Some(_), Some(_)) => Err(credentials::Malformed),
        }
    }

    /// The session a browser's cookie names: for what browsers use, and not for registry clients.
    fn session(&self) -> Option<Secret> {
        if !["/api/", "/c/"].iter().any(|below| self.path().starts_with(below)) {
            return None;
        }
        let cookies = self.head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, id)| *name == SESSION_COOKIE && !id.is_empty()).map(|(_, id)| Secret::new(id)).next()
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.app.parts.registry
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.app.parts.gate
    }

    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.app.parts.authenticator
    }

    /// Who the request counts for: the client's address, or its network. The operator's socket has none.
    pub(super) fn party(&self) -> Option<IpAddr> {
        self.origin.peer.map(|peer| intake::whose(peer.ip()))
    }

    pub(super) fn method(&self) -> &Method {
        &self.head.method
    }

    pub(super) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The text of a header; `None` when it is absent or no text.
    pub(super) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(super) fn query(&self) -> Result<Query<'_>, QueryError> {
        Query::parse(self.head.uri.query())
    }

    /// The length the client says its body has.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(http::header::CONTENT_LENGTH).and_then(|text| text.parse().ok())
    }

    /// The host the client used, when it is one; HTTP/2 has it in the URL.
    pub(super) fn host(&self) -> Option<&str> {
        let authority = self.head.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| self.header(HOST)).filter(|host| challenge::is_host(host))
    }

    /// `scheme://host` under which the client knows this node.
    pub(super) fn base(&self) -> String {
        if let Some(url) = &self.app.parts.settings.public_url {
            return url.clone();
        }
        let scheme = if self.origin.tls { "https" } else { "http" };
        match (self.host(), self.origin.local) {
            (Some(host), _) => format!("{scheme}://{host}"),
            (None, Some(local)) => format!("{scheme}://{local}"),
            (None, None) => format!("{scheme}://localhost"),
        }
    }

    /// A permit for `R` in `name`, or what would help.
    pub(super) fn permit<R: Right>(&self, name: &RepositoryName) -> Result<Permit<R>, Error> {
        let permit = self.gate().permit::<R>(&self.principal, name);
        permit.map_err(|denied| self.denied(denied, || Challenge::repository(name, R::ACTION)))
    }

    /// As [`Call::permit`], for one question among several: no error, no challenge.
    pub(super) fn may<R: Right>(&self, name: &RepositoryName) -> Option<Permit<R>> {
        self.gate().permit::<R>(&self.principal, name).ok()
    }

    pub(super) fn permit_catalog(&self) -> Result<CatalogPermit, Error> {
        self.gate().permit_catalog(&self.principal).map_err(|denied| self.denied(denied, Challenge::catalog))
    }

    pub(super) fn denied(&self, denied: Denied, help: impl FnOnce() -> Challenge) -> Error {
        match denied {
            Denied::Challenge => {
                let help = if self.shown { help().insufficient() } else { help() };
                Error::unauthorized(help, Denied::Challenge.to_string())
            }
            Denied::Forbidden => Error::denied(),
            Denied::Absent => super::api::error::not_found("project"),
        }
    }

    /// What a method asks for, as far as a challenge is concerned.
    pub(super) fn action(&self) -> Action {
        match *self.method() {
            Method::GET | Method::HEAD => Action::Pull,
            Method::DELETE => Action::Delete,
            _ => Action::Push,
        }
    }
}

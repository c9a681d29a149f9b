//! The node a command acts on: the one of this machine through its socket, or another by URL.

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Global;
use super::failure::{Code, Failure, chain};
use super::login::{ADMIN, Login, Logins};
use crate::world::outbound::{Bounds, Destination, HttpClient, OutboundError, OutboundHttp, Trust};

/// The socket in the data directory through which the machine's operator talks to the node.
pub const SOCKET: &str = "portolan.sock";
/// Time for what answers at once.
pub(super) const SHORT: Duration = Duration::from_secs(30);
/// Time for what reads everything.
pub(super) const LONG: Duration = Duration::from_secs(7 * 24 * 3600);

/// Items asked for at a time.
const PAGE: usize = 100;
/// Pages of one list: a million items are more than a terminal wants.
const MAX_PAGES: usize = 10_000;
const CONNECT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 16 << 20;
const MAX_PASSWORD: u64 = 4096;

/// A node, and how to talk to it.
#[derive(Debug)]
pub(super) struct Connection {
    http: Box<dyn OutboundHttp>,
    to: Destination,
    authorization: Option<HeaderValue>,
    runtime: tokio::runtime::Runtime,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The body.
    pub(super) body: Bytes,
}

impl Connection {
    /// The node whose data directory this is.
    ///
    /// # Errors
    /// [`Failure`], when there is no runtime to be had.
    pub(super) fn local(data: &Path) -> Result<Self, Failure> {
        let http = Box::new(HttpClient::new(Trust::System));
        Self::with(http, Destination::Socket(data.join(SOCKET)), None)
    }

    /// The node at `url`.
    ///
    /// # Errors
    /// [`Failure`]: the URL is none, the password is missing, or would go out in clear text.
    pub(super) fn remote(url: &str, global: &Global) -> Result<Self, Failure> {
        let given = global.password_file.is_some() || std::env::var_os("PORTOLAN_PASSWORD").is_some();
        let saved = if given { None } else { Logins::read()?.of(url, global.user.as_deref()) };
        let login = match saved {
            Some(login) => login,
            None => {
                // Before a password is asked for that could not be sent.
                if !global.allow_plain {
                    guard(&destination(url)?)?;
                }
                let user = global.user.clone().unwrap_or_else(|| ADMIN.into());
                Login { user, password: password(global)?.into(), ca: None, allow_plain: false }
            }
        };
        Self::logged_in(url, global, &login)
    }

    /// The node at `url`, by these credentials.
    ///
    /// # Errors
    /// [`Failure`]: the URL is none, or the password would go out in clear text.
    pub(super) fn logged_in(url: &str, global: &Global, login: &Login) -> Result<Self, Failure> {
        let to = destination(url)?;
        if !global.allow_plain && !login.allow_plain {
            guard(&to)?;
        }
        let trust = match global.ca.as_ref().or(login.ca.as_ref()) {
            Some(path) => Trust::Only(std::fs::read(path).map_err(|error| unreadable(path, &error))?),
            None => Trust::System,
        };
        let authorization = basic(&login.user, login.password.reveal())?;
        Self::with(Box::new(HttpClient::new(trust)), to, Some(authorization))
    }

    /// Any destination, over any client.
    ///
    /// # Errors
    /// [`Failure`], when there is no runtime to be had.
    pub(super) fn with(
        http: Box<dyn OutboundHttp>,
        to: Destination,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Code::Unreachable, format!("no runtime: {error}")))?;
        Ok(Self { http, to, authorization, runtime })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        decode(&self.accepted(Method::GET, path, Bytes::new(), SHORT)?)
    }

    /// Has something done that answers with what it did.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, within: Duration) -> Result<T, Failure> {
        decode(&self.accepted(Method::POST, path, Bytes::new(), within)?)
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn send(&self, path: &str, document: &Value) -> Result<(), Failure> {
        self.accepted(Method::POST, path, document.to_string().into(), SHORT).map(drop)
    }

    /// Has something done that answers with nothing.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn post_empty(&self, path: &str) -> Result<(), Failure> {
        self.accepted(Method::POST, path, Bytes::new(), SHORT).map(drop)
    }

    /// Sends a JSON document and reads what came of it.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn send_for<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &Value,
        within: Duration,
    ) -> Result<T, Failure> {
        decode(&self.accepted(Method::POST, path, document.to_string().into(), within)?)
    }

    /// Every item of a list, page by page.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut all: Vec<Value> = Vec::new();
        for page in 1_usize..=MAX_PAGES {
            let more: Vec<Value> = self.get(&format!("{path}{joint}page={page}&page_size={PAGE}"))?;
            // A page that repeats the last one is the end too, whatever its length: never ask for ever.
            let repeated = !more.is_empty() && all.ends_with(&more);
            let ended = more.len() < PAGE || repeated;
            if !repeated {
                all.extend(more);
            }
            if ended {
                return Ok(all);
            }
        }
        Err(Failure::new(Code::Refused, format!("more than {} items", PAGE * MAX_PAGES)))
    }

    /// Changes something by a JSON document.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn put(&self, path: &str, document: &Value) -> Result<(), Failure> {
        self.accepted(Method::PUT, path, document.to_string().into(), SHORT).map(drop)
    }

    /// Changes a part of something by a JSON document and reads what came of it.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn patch_for<T: DeserializeOwned>(&self, path: &str, document: &Value) -> Result<T, Failure> {
        decode(&self.accepted(Method::PATCH, path, document.to_string().into(), SHORT)?)
    }

    /// Deletes something.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.accepted(Method::DELETE, path, Bytes::new(), SHORT).map(drop)
    }

    fn accepted(&self, method: Method, path: &str, body: Bytes, within: Duration) -> Result<Bytes, Failure> {
        let answer = self.ask(method, path, body, within)?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(self.refusal(&answer)) }
    }

    /// Any request, any answer.
    ///
    /// # Errors
    /// [`Failure`], when there is no answer.
    pub(super) fn ask(&self, method: Method, path: &str, body: Bytes, within: Duration) -> Result<Answer, Failure> {
        // A project whose name is a number is named, too, never counted.
        let mut request = Request::builder().method(method).uri(path).header("x-is-resource-name", "true");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        let bounds = Bounds { connect: CONNECT, total: within, body: MAX_ANSWER };
        let answer = self.runtime.block_on(self.http.request(&self.to, request, bounds));
        let answer = answer.map_err(|error| self.no_answer(&error))?;
        Ok(Answer { status: answer.status(), body: answer.into_body() })
    }

    fn no_answer(&self, error: &OutboundError) -> Failure {
        let cause = format!("{}: {}", self.name(), chain(error));
        match error {
            OutboundError::Connect(io) if io.kind() == io::ErrorKind::PermissionDenied => {
                Failure::new(Code::Denied, cause).next("the same command as the user the node runs as")
            }
            OutboundError::Connect(_) => Failure::new(Code::Unreachable, cause).next(match self.to {
                Destination::Socket(_) => "portolan serve, or --data DIR with the directory of a running node",
                Destination::Plain { .. } | Destination::Tls { .. } => "portolan doctor, on the node's machine",
            }),
            OutboundError::Tls(_) => Failure::new(Code::Tls, cause).next("--ca FILE with the certificate to believe"),
            OutboundError::Late(_) => Failure::new(Code::Late, cause).next("portolan doctor"),
            OutboundError::TooLarge(_) | OutboundError::Broken(_) => {
                Failure::new(Code::Unexpected, cause).next("portolan doctor")
            }
        }
    }

    pub(super) fn refusal(&self, answer: &Answer) -> Failure {
        let said = said(&answer.body).unwrap_or_else(|| format!("the node answered {}", answer.status));
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let next = match self.to {
                    Destination::Socket(_) => "the same command as the user the node runs as",
                    Destination::Plain { .. } | Destination::Tls { .. } => {
                        "portolan login URL, or --user NAME with the password by --password-file or PORTOLAN_PASSWORD"
                    }
                };
                Failure::new(Code::Denied, said).next(next)
            }
            StatusCode::NOT_FOUND => Failure::new(Code::NotFound, said),
            StatusCode::CONFLICT => Failure::new(Code::Conflict, said),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PRECONDITION_FAILED => {
                Failure::new(Code::Refused, said)
            }
            _ => Failure::new(Code::Refused, said).next("portolan status"),
        }
    }

    /// The node, as people know it.
    pub(super) fn name(&self) -> String {
        match &self.to {
            Destination::Socket(path) => path.display().to_string(),
            Destination::Plain { host, port } | Destination::Tls { host, port } => format!("{host}:{port}"),
        }
    }
}

/// What an error body says, with its code.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        code: String,
        message: String,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    let said: Vec<_> = errors.errors.iter().map(|one| format!("{} ({})", one.message, one.code)).collect();
    if said.is_empty() { None } else { Some(said.join("; ")) }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        let next = "portolan version, here and on the node: they may differ";
        Failure::new(Code::Unexpected, format!("the answer is not what this version expects: {error}")).next(next)
    })
}

pub(super) fn destination(url: &str) -> Result<Destination, Failure> {
    let wrong = || Failure::new(Code::Usage, format!("{url:?} is not the URL of a node")).next("https://HOST[:PORT]");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let userinfo = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if uri.path() != "/" || uri.query().is_some() || userinfo {
        return Err(wrong());
    }
    match uri.scheme_str() {
        Some("http") => Ok(Destination::Plain { host, port: uri.port_u16().unwrap_or(80) }),
        Some("https") => Ok(Destination::Tls { host, port: uri.port_u16().unwrap_or(443) }),
        Some(_) | None => Err(wrong()),
    }
}

/// Refuses a way on which a password could be read by others.
fn guard(to: &Destination) -> Result<(), Failure> {
    if let Destination::Plain { host, .. } = to
        && !is_this_machine(host)
    {
        let cause = format!("the password would go to {host} in clear text");
        return Err(Failure::new(Code::Usage, cause).next("an https:// URL, or --allow-plain"));
    }
    Ok(())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The password: from a file, from stdin (`-`), or from the environment. Never from a flag, which others can see.
pub(super) fn password(global: &Global) -> Result<String, Failure> {
    let text = match &global.password_file {
        Some(path) if path.as_os_str() == "-" => read_bounded(io::stdin().lock(), path)?,
        Some(path) => read_bounded(std::fs::File::open(path).map_err(|error| unreadable(path, &error))?, path)?,
        None => std::env::var("PORTOLAN_PASSWORD").map_err(|_| {
            Failure::new(Code::Usage, format!("no password for {}", global.user.as_deref().unwrap_or(ADMIN)))
                .next("portolan login URL, or --password-file FILE, --password-file - for stdin, or the variable PORTOLAN_PASSWORD")
        })?,
    };
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

pub(super) fn read_bounded(from: impl Read, path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    from.take(MAX_PASSWORD).read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Unreadable, format!("{}: {error}", path.display()))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, Failure> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let value = HeaderValue::try_from(format!("Basic {encoded}"));
    let mut value = value.map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
#[path = "connection_tests.rs"]
pub(crate) mod tests;

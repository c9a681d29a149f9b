//! Listeners and connections.
//!
//! [`Server::bind`] takes the addresses, [`Server::serve`] answers on them until the scope stops: then nothing new is
//! accepted, running requests get the time of `http.drain`, and what is left is cut. Everything a stranger can make
//! this file hold is bounded, in number and in time: connections, those of one address, handshakes, heads, streams,
//! idle connections, and answers nobody reads.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use protocol::seam::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::body::Source;
use super::intake::{Intake, Place};
use super::tls::{self, TlsError};
use super::traffic::{Look, Traffic};
use super::{AppState, Origin, Surface, operator, respond};
use crate::config::{Http, Limits};
use crate::workers::Scope;

/// Largest head of an HTTP/1.1 request, and largest block read of a body.
const HTTP1_BUFFER: usize = 128 * 1024;
/// Largest list of headers over HTTP/2.
const HTTP2_HEADERS: u32 = 32 * 1024;
/// Streams of one HTTP/2 connection at the same time.
const HTTP2_STREAMS: u32 = 100;
/// Streams a client may reset before they were accepted, and those we reset for its faults (rapid reset).
const HTTP2_RESETS: usize = 20;
/// What a client may send ahead of being read, on a stream and on a connection.
const HTTP2_WINDOWS: (u32, u32) = (1 << 20, 2 << 20);
/// What waits to be sent on one stream.
const HTTP2_SEND: usize = 256 * 1024;
/// How often a silent HTTP/2 client is asked whether it is there, and how long it may take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// A connection whose input was not read stays open for the client to read its answer: until the input pauses for so
/// long, for so long in all, and for so many bytes.
const LINGER: (Duration, Duration, usize) = (Duration::from_millis(500), Duration::from_secs(10), 8 << 20);
/// Connections kept apart for telemetry, and for the operator's socket, so that a full node can still be looked at.
const RESERVED: usize = 64;

/// Why a listener can't be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, or no address.
    #[error("can't listen on {address}: {source}")]
    Address {
        /// As configured.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// Passwords would cross the network in the clear.
    #[error(
        "{address} is reachable from other machines and has no TLS: set http.tls.cert and http.tls.key, or \
         http.plain = true behind a proxy that adds TLS"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// Certificate or key.
    #[error("http.tls: {0}")]
    Tls(#[from] TlsError),
}

/// The addresses taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The main listener.
    pub main: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The telemetry listener.
    pub telemetry: Option<SocketAddr>,
    /// The operator's socket.
    pub socket: Option<PathBuf>,
}

enum Listener {
    Tcp { listener: TcpListener, tls: Option<TlsAcceptor>, surface: Surface },
    Unix(UnixListener),
}

/// Listeners that are bound and not served yet.
pub struct Server {
    listeners: Vec<(Listener, Intake)>,
    bound: Bound,
    times: Times,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Times {
    head: Duration,
    idle: Duration,
    drain: Duration,
}

impl Server {
    /// Takes every address the configuration names, and `socket`, the operator's way in.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(
        http: &Http,
        limits: &Limits,
        socket: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BindError> {
        let times = Times { head: limits.head_timeout.0, idle: limits.idle_timeout.0, drain: http.drain.0 };
        let intake = Intake::new(limits.connections as usize, limits.connections_per_address as usize);
        let tls = http.tls.as_ref().map(|files| tls::config(files, clock)).transpose()?.map(TlsAcceptor::from);
        let (listener, main) = listen(&http.listen).await?;
        if tls.is_none() && !http.plain && !main.ip().is_loopback() {
            return Err(BindError::Exposed { address: main });
        }
        let mut bound = Bound { main, tls: tls.is_some(), telemetry: None, socket: None };
        let mut listeners = vec![(Listener::Tcp { listener, tls, surface: Surface::Main }, intake)];
        if let Some(address) = &http.telemetry_listen {
            let (listener, local) = listen(address).await?;
            bound.telemetry = Some(local);
            let listener = Listener::Tcp { listener, tls: None, surface: Surface::Telemetry };
            listeners.push((listener, Intake::new(RESERVED, RESERVED)));
        }
        if let Some(path) = socket {
            listeners.push((Listener::Unix(operator_socket(path)?), Intake::new(RESERVED, RESERVED)));
            bound.socket = Some(path.to_owned());
        }
        Ok(Self { listeners, bound, times })
    }

    /// The addresses taken, with the ports the system chose.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Answers on every listener, in tasks of `scope`, until it stops.
    pub fn serve(self, app: &Arc<AppState>, scope: &Scope) {
        let telemetry_elsewhere = self.bound.telemetry.is_some();
        for (listener, intake) in self.listeners {
            let door =
                Door { app: Arc::clone(app), scope: scope.clone(), intake, times: self.times, telemetry_elsewhere };
            match listener {
                Listener::Tcp { listener, tls, surface } => {
                    scope.spawn("accept", async move { door.tcp(listener, tls, surface).await });
                }
                Listener::Unix(listener) => scope.spawn("accept operator", async move { door.unix(listener).await }),
            }
        }
        let (app, stop) = (Arc::clone(app), scope.clone());
        scope.spawn("tell that we drain", async move {
            stop.stopping().await;
            app.readiness().draining();
        });
    }
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Address { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

fn operator_socket(path: &Path) -> Result<UnixListener, BindError> {
    operator::bind(path).map_err(|source| BindError::Address { address: path.display().to_string(), source })
}

/// One listener being served.
#[derive(Clone)]
struct Door {
    app: Arc<AppState>,
    scope: Scope,
    intake: Intake,
    times: Times,
    telemetry_elsewhere: bool,
}

impl Door {
    async fn tcp(self, listener: TcpListener, tls: Option<TlsAcceptor>, surface: Surface) {
        let local = listener.local_addr().ok();
        loop {
            let Some(room) = self.room().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.scope.stopping() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.recover(&error).await;
                    continue;
                }
            };
            let Some(place) = self.intake.place(room, Some(peer.ip())) else {
                self.app.metrics().refused("address_limit");
                tracing::debug!(%peer, "too many connections from this address");
                continue;
            };
            let origin = self.origin(surface, tls.is_some(), local, Some(peer));
            let (door, tls) = (self.clone(), tls.clone());
            self.scope.spawn("connection", async move { door.connection(stream, tls, origin, place).await });
        }
    }

    async fn unix(self, listener: UnixListener) {
        loop {
            let Some(room) = self.room().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.scope.stopping() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.recover(&error).await;
                    continue;
                }
            };
            let Some(place) = self.intake.place(room, None) else { continue };
            let origin = self.origin(Surface::Socket, false, None, None);
            let door = self.clone();
            self.scope.spawn("operator connection", async move { door.http(stream, None, origin, place).await });
        }
    }

    async fn room(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        tokio::select! {
            room = self.intake.room() => room,
            () = self.scope.stopping() => None,
        }
    }

    /// What failed is one connection, or the process is out of files: either way the listener goes on.
    async fn recover(&self, error: &std::io::Error) {
        tracing::warn!(%error, "a connection could not be accepted");
        self.app.clock().sleep(Duration::from_millis(100)).await;
    }

    fn origin(&self, surface: Surface, tls: bool, local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Arc<Origin> {
        let traffic = Traffic::new(Arc::clone(self.app.clock()));
        Arc::new(Origin { surface, tls, local, peer, telemetry_elsewhere: self.telemetry_elsewhere, traffic })
    }

    async fn connection(self, stream: TcpStream, tls: Option<TlsAcceptor>, origin: Arc<Origin>, place: Place) {
        // Small answers must not wait for an acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = tls else { return self.http(stream, None, origin, place).await };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(self.times.head, acceptor.accept(stream)) => shaken,
            () = self.scope.stopping() => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.http(stream, Some(h2), origin, place).await;
            }
            Ok(Err(error)) => {
                self.app.metrics().refused("handshake");
                tracing::debug!(peer = ?origin.peer, %error, "a TLS handshake failed");
            }
            Err(_) => {
                self.app.metrics().refused("handshake");
                tracing::debug!(peer = ?origin.peer, "a TLS handshake took too long");
            }
        }
    }

    /// Serves one connection to its end. `h2`: what was agreed on, if anything.
    async fn http<S>(self, stream: S, h2: Option<bool>, origin: Arc<Origin>, place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let metrics = Arc::clone(self.app.metrics());
        metrics.connections.inc();
        let builder = builder(self.times, h2, Streams(self.scope.clone()));
        let stream = TokioIo::new(Counted::new(stream, Arc::clone(&origin.traffic)));
        let (app, of) = (Arc::clone(&self.app), Arc::clone(&origin));
        let service = service_fn(move |request: Request<Incoming>| {
            let (app, of) = (Arc::clone(&app), Arc::clone(&of));
            async move { Ok::<_, std::convert::Infallible>(respond(app, of, request.map(Source::Wire)).await) }
        });
        let mut connection = Box::pin(builder.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = &mut connection => ended.map_err(|error| error.to_string()),
            why = self.watch(&origin.traffic) => {
                connection.as_mut().graceful_shutdown();
                self.wind_down(connection, why).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = ?origin.peer, error, "a connection ended early");
        }
        metrics.connections.dec();
        drop(place);
    }

    /// Lets a connection that was asked to end do so, for as long as the reason leaves it.
    async fn wind_down<C, E>(&self, connection: C, why: End) -> Result<(), String>
    where
        C: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let limit = match why {
            End::Stopping => self.times.drain,
            End::Idle => {
                self.app.metrics().refused("idle");
                Duration::from_secs(1)
            }
            End::Stalled => {
                self.app.metrics().refused("stalled");
                return Err("nobody read the answer for too long".into());
            }
        };
        match tokio::time::timeout(limit, connection).await {
            Ok(ended) => ended.map_err(|error| error.to_string()),
            Err(_) => Err("cut after the time for ending".into()),
        }
    }

    /// Returns when the connection has to end.
    async fn watch(&self, traffic: &Traffic) -> End {
        let mut before: Option<Look> = None;
        // Quick at first: a client that never asks for anything must not hold a place.
        let mut every = self.times.head;
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.scope.stopping() => return End::Stopping,
            }
            let now = traffic.look();
            if let Some(end) = judge(before, now, self.times.idle) {
                return end;
            }
            before = Some(now);
            every = self.times.idle;
        }
    }
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopping,
    Idle,
    Stalled,
}

/// Whether a connection must end, from two looks that lie `idle` apart (`before`: `None` on the first look, which comes
/// after the time for a head).
fn judge(before: Option<Look>, now: Look, idle: Duration) -> Option<End> {
    if now.requests == 0 {
        return Some(End::Idle);
    }
    // A slow reader moves bytes and is left alone; on a connection with many streams others may move them, so a body
    // that was not asked for anything for twice as long counts by itself.
    let still = before.is_some_and(|before| before.moved == now.moved);
    if (still && now.unread >= idle) || now.unread >= idle * 2 {
        return Some(End::Stalled);
    }
    // Not by bytes: the pings of HTTP/2 move some for ever, and ask for nothing.
    let unused = before.is_some_and(|before| before.requests == now.requests && before.active == 0);
    (unused && now.active == 0).then_some(End::Idle)
}

/// Every bound on the two protocols. A time limit without a timer would be silently no limit.
fn builder(times: Times, h2: Option<bool>, streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(times.head)
        .max_buf_size(HTTP1_BUFFER)
        .half_close(false)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADERS)
        .max_pending_accept_reset_streams(HTTP2_RESETS)
        .max_local_error_reset_streams(HTTP2_RESETS * 8)
        .max_send_buf_size(HTTP2_SEND)
        .initial_stream_window_size(HTTP2_WINDOWS.0)
        .initial_connection_window_size(HTTP2_WINDOWS.1);
    match h2 {
        Some(true) => builder.http2_only(),
        Some(false) => builder.http1_only(),
        None => builder,
    }
}

/// Runs the streams of HTTP/2 connections in the scope that owns them.
#[derive(Clone, Debug)]
struct Streams(Scope);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        self.0.spawn("stream", async move {
            stream.await;
        });
    }
}

/// A stream whose bytes are counted, and which closes so that a last answer arrives.
struct Counted<S> {
    inner: S,
    traffic: Arc<Traffic>,
    closing: Option<Closing>,
}

/// What is left of the time and the bytes for closing.
struct Closing {
    quiet: Pin<Box<tokio::time::Sleep>>,
    until: tokio::time::Instant,
    left: usize,
}

impl Closing {
    fn begin() -> Self {
        let now = tokio::time::Instant::now();
        Self { quiet: Box::pin(tokio::time::sleep(LINGER.0)), until: now + LINGER.1, left: LINGER.2 }
    }

    /// Reads and drops input; ready when there is none left, or no more of it is waited for.
    fn poll_drop<S: AsyncRead + Unpin>(&mut self, input: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8192];
        loop {
            let mut scrap = ReadBuf::new(&mut space);
            match Pin::new(&mut *input).poll_read(cx, &mut scrap) {
                Poll::Ready(Ok(())) if !scrap.filled().is_empty() => {
                    let Some(left) = self.left.checked_sub(scrap.filled().len()) else { return Poll::Ready(()) };
                    self.left = left;
                    let quiet = tokio::time::Instant::now() + LINGER.0;
                    self.quiet.as_mut().reset(quiet.min(self.until));
                }
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.quiet.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.traffic.moved(buf.filled().len() - before);
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// A socket closed with input in it resets the connection, and the reset takes the answer from a client that is
    /// still sending (a refused upload). So the input is read to its end, for a moment, once ours has ended.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            if !self.traffic.has_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let closing = this.closing.get_or_insert_with(Closing::begin);
        closing.poll_drop(&mut this.inner, cx).map(Ok)
    }
}

impl<S> Counted<S> {
    const fn new(inner: S, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic, closing: None }
    }

    fn count(&self, polled: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = &polled {
            self.traffic.moved(*written);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn look(moved: u64, requests: u64, active: usize, unread: u64) -> Look {
        Look { moved, requests, active, unread: Duration::from_secs(unread) }
    }

    #[test]
    fn who_never_asks_and_who_stops_asking_must_go() {
        assert_eq!(judge(None, look(5, 0, 0, 0), IDLE), Some(End::Idle));
        assert_eq!(judge(None, look(5, 1, 0, 0), IDLE), None);
        assert_eq!(judge(Some(look(5, 1, 0, 0)), look(5, 1, 0, 0), IDLE), Some(End::Idle));
        assert_eq!(judge(Some(look(5, 1, 0, 0)), look(9, 2, 0, 0), IDLE), None);
        assert_eq!(judge(Some(look(5, 1, 0, 0)), look(9, 1, 0, 0), IDLE), Some(End::Idle), "pings ask for nothing");
        assert_eq!(judge(Some(look(5, 1, 1, 0)), look(9, 1, 0, 0), IDLE), None, "it was busy a moment ago");
    }

    #[test]
    fn slow_is_no_fault_and_still_is() {
        assert_eq!(judge(Some(look(5, 1, 1, 0)), look(5, 1, 1, 10), IDLE), None, "a handler may take its time");
        assert_eq!(judge(Some(look(5, 1, 1, 0)), look(6, 1, 1, 70), IDLE), None, "bytes moved");
        assert_eq!(judge(Some(look(5, 1, 1, 0)), look(5, 1, 1, 70), IDLE), Some(End::Stalled));
        assert_eq!(judge(Some(look(5, 1, 1, 0)), look(9, 1, 1, 120), IDLE), Some(End::Stalled));
    }
}

//! A link over HTTP/2 over TLS over TCP, for where UDP does not pass: one request for each exchange. The task that
//! drives the connection owns it; the link owns the word that ends that task.
//!
//! HTTP/2 lets only the dialler begin a request. So it makes one that stays open, `/calls`, on whose answer the other
//! end says one byte for each exchange it wants to begin; the dialler then makes a request `/call`, and that is it. How
//! the link ended is said by the reset of `/calls`: a GOAWAY could be lost when TCP is reset behind it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{Method, Request, Response};
use protocol::identity::NodeKey;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_rustls::TlsStream;

use super::{Broken, Code, End, Facts, Lane, Limits, Link, Path, Setting, Source, Terms, stream};
use crate::certificate::proven;
use crate::guard::Guard;

/// Added to a [`Code`], so that it is none of HTTP/2's own.
pub const CODES: u32 = 0x706f_0000;

/// How long a closed connection stays to say so.
pub const LINGER: Duration = Duration::from_secs(1);

/// Most bytes of a request's head.
const MAX_HEADERS: u32 = 2048;

/// Bytes of a stream that wait to be sent.
const SEND_BUFFER: usize = 256 * 1024;

const EXCHANGE: &str = "/exchange";
const CALLS: &str = "/calls";
const CALL: &str = "/call";

/// The place of a stream among those allowed; given back when both its halves are gone.
type Place = Arc<OwnedSemaphorePermit>;

pub(super) struct Carrier {
    role: Role,
    /// Streams this side allows.
    slots: Arc<Semaphore>,
    window: watch::Sender<u32>,
    farewell: watch::Sender<Option<Code>>,
}

enum Role {
    Dialler(SendRequest<Bytes>),
    Dialled { asks: mpsc::Sender<Ask>, asking: Arc<Semaphore> },
}

/// An exchange the dialled side wants to begin. Counted until the dialler answers, also when nobody waits for it.
struct Ask {
    to: oneshot::Sender<(ToPeer, FromPeer)>,
    _asking: OwnedSemaphorePermit,
}

pub(super) struct ToPeer {
    to: SendStream<Bytes>,
    _place: Option<Place>,
}

pub(super) struct FromPeer {
    from: From,
    _place: Option<Place>,
}

enum From {
    Awaited(ResponseFuture),
    Body(RecvStream),
}

impl Carrier {
    pub(super) async fn open(&self) -> Result<(stream::ToPeer, stream::FromPeer), Broken> {
        let (to, from) = match &self.role {
            Role::Dialler(requests) => request(requests, EXCHANGE, None).await.ok_or(Broken::Ended(End::Lost))?,
            Role::Dialled { asks, asking } => {
                let lost = Broken::Ended(End::Lost);
                let asking = Arc::clone(asking).acquire_owned().await.map_err(|_| lost)?;
                let (to, answer) = oneshot::channel();
                asks.send(Ask { to, _asking: asking }).await.map_err(|_| lost)?;
                answer.await.map_err(|_| Broken::Reset)?
            }
        };
        Ok((stream::ToPeer::Tcp(to), stream::FromPeer::Tcp(from)))
    }

    pub(super) fn admit(&self, limits: &Limits) {
        self.slots.add_permits((limits.streams as usize).saturating_sub(self.slots.available_permits()));
        self.window.send_replace(limits.window);
    }

    pub(super) fn close(&self, code: Code) {
        self.farewell.send_replace(Some(code));
    }
}

/// Makes a request whose answer is awaited when it is read.
async fn request(requests: &SendRequest<Bytes>, path: &str, place: Option<Place>) -> Option<(ToPeer, FromPeer)> {
    let mut ready = requests.clone().ready().await.ok()?;
    let uri = format!("https://portolan{path}");
    let request = Request::builder().method(Method::POST).uri(uri).body(()).ok()?;
    let (answer, to) = ready.send_request(request, false).ok()?;
    Some((ToPeer { to, _place: place.clone() }, FromPeer { from: From::Awaited(answer), _place: place }))
}

impl ToPeer {
    pub(super) async fn send(&mut self, mut bytes: Bytes) -> Result<(), Broken> {
        while !bytes.is_empty() {
            self.to.reserve_capacity(bytes.len());
            let mut room = self.to.capacity();
            while room == 0 {
                room = match poll_fn(|cx| self.to.poll_capacity(cx)).await {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => return Err(Broken::Reset),
                };
            }
            let piece = bytes.split_to(room.min(bytes.len()));
            self.to.send_data(piece, false).map_err(|_| Broken::Reset)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), Broken> {
        self.to.send_data(Bytes::new(), true).map_err(|_| Broken::Reset)
    }

    pub(super) fn reset(&mut self) {
        self.to.send_reset(Reason::CANCEL);
    }
}

impl FromPeer {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if let From::Awaited(answer) = &mut self.from {
            let answer = answer.await.map_err(|_| Broken::Reset)?;
            self.from = From::Body(answer.into_body());
        }
        let From::Body(body) = &mut self.from else { return Err(Broken::Reset) };
        match body.data().await {
            Some(Ok(piece)) => {
                let _ = body.flow_control().release_capacity(piece.len());
                Ok(Some(piece))
            }
            Some(Err(_)) => Err(Broken::Reset),
            None => Ok(None),
        }
    }
}

/// Where streams of the peer come from.
pub(super) enum Streams {
    /// Requests, as the task takes them.
    Requests { queue: mpsc::Receiver<(SendStream<Bytes>, RecvStream)>, slots: Arc<Semaphore>, bounded: bool },
    /// Calls: bytes on the answer to `/calls`.
    Calls { calls: FromPeer, pending: usize, requests: SendRequest<Bytes>, slots: Arc<Semaphore> },
}

impl Streams {
    pub(super) async fn next(&mut self) -> Option<(stream::ToPeer, stream::FromPeer)> {
        let (to, from) = match self {
            Self::Requests { queue, slots, bounded } => {
                let (to, from) = queue.recv().await?;
                let place = if *bounded { Some(Arc::new(Arc::clone(slots).acquire_owned().await.ok()?)) } else { None };
                (ToPeer { to, _place: place.clone() }, FromPeer { from: From::Body(from), _place: place })
            }
            Self::Calls { calls, pending, requests, slots } => {
                while *pending == 0 {
                    *pending = calls.next().await.ok()??.len();
                }
                *pending -= 1;
                let place = Arc::clone(slots).acquire_owned().await.ok()?;
                request(requests, CALL, Some(Arc::new(place))).await?
            }
        };
        Some((stream::ToPeer::Tcp(to), stream::FromPeer::Tcp(from)))
    }
}

/// How the peer ended the link, by what it says when it resets `/calls`.
fn end_of(reason: Option<Reason>) -> End {
    let code = reason.and_then(|reason| u32::from(reason).checked_sub(CODES));
    code.filter(|code| *code < 1 << 16).map_or(End::Lost, |code| End::Theirs(Code(code)))
}

/// What TLS has proven.
struct Proven {
    peer: NodeKey,
    lane: Lane,
    remote: SocketAddr,
}

impl Proven {
    fn of(tls: &TlsStream<TcpStream>) -> Option<Self> {
        let (tcp, session) = tls.get_ref();
        let lane = Lane::of(session.alpn_protocol()?)?;
        Some(Self { peer: proven(session.peer_certificates())?, lane, remote: tcp.peer_addr().ok()? })
    }

    fn facts(&self, dialled: bool) -> Facts {
        Facts { peer: self.peer, remote: Some(self.remote), path: Path::Tcp, dialled }
    }
}

/// Bytes under way to this side before the peer is let in.
fn first_window(setting: &Setting) -> u32 {
    if setting.guards.has(Guard::Quiet) { Limits::STRANGER_WINDOW } else { setting.limits.window }
}

/// A link for the one that dialled.
pub(crate) async fn dialled(tls: TlsStream<TcpStream>, setting: &Setting) -> Option<Link> {
    let proven = Proven::of(&tls)?;
    let limits = setting.limits;
    let (requests, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(first_window(setting))
        .max_header_list_size(MAX_HEADERS)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(tls)
        .await
        .ok()?;
    let terms = Terms::new(proven.lane, setting);
    let (window, windows) = watch::channel(first_window(setting));
    let (farewell, said) = watch::channel(None);
    let slots = Arc::new(Semaphore::new(0));
    let (ToPeer { to, .. }, calls) = request(&requests, CALLS, None).await?;
    terms.tasks.spawn("connection of a link", drive(connection, to, terms.clone(), windows, said));
    let calling = Streams::Calls { calls, pending: 0, requests: requests.clone(), slots: Arc::clone(&slots) };
    let carrier = Carrier { role: Role::Dialler(requests), slots, window, farewell };
    Some(Link::new(proven.facts(true), terms, super::Carrier::Tcp(carrier), Source::Tcp(calling)))
}

/// A link for the one that was dialled.
pub(crate) async fn accepted(tls: TlsStream<TcpStream>, setting: &Setting) -> Option<Link> {
    let proven = Proven::of(&tls)?;
    let limits = setting.limits;
    // Requests, calls that are answered, and the one that stays open.
    let most = limits.streams.saturating_mul(2).saturating_add(1);
    let connection = h2::server::Builder::new()
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(first_window(setting))
        .max_concurrent_streams(most)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(tls)
        .await
        .ok()?;
    let terms = Terms::new(proven.lane, setting);
    let (window, windows) = watch::channel(first_window(setting));
    let (farewell, said) = watch::channel(None);
    let slots = Arc::new(Semaphore::new(Limits::STRANGER_STREAMS as usize));
    let (came, queue) = mpsc::channel(most as usize);
    let (asks, asked) = mpsc::channel(1);
    let serving = Serving { terms: terms.clone(), came, asked, waiting: VecDeque::new(), calls: None, early: 0 };
    terms.tasks.spawn("connection of a link", serving.serve(connection, windows, said));
    let bounded = setting.guards.has(Guard::Streams);
    let source = Source::Tcp(Streams::Requests { queue, slots: Arc::clone(&slots), bounded });
    let asking = Arc::new(Semaphore::new(limits.streams.max(1) as usize));
    let carrier = Carrier { role: Role::Dialled { asks, asking }, slots, window, farewell };
    Some(Link::new(proven.facts(false), terms, super::Carrier::Tcp(carrier), source))
}

/// Ready when the link is closed on this side.
async fn said(farewell: &mut watch::Receiver<Option<Code>>) -> Code {
    match farewell.wait_for(Option::is_some).await {
        Ok(code) => (*code).unwrap_or(Code::DONE),
        Err(_) => Code::DONE,
    }
}

/// Ready when the peer gives no sign of life; it is asked for one in each interval.
async fn silence(ping: Option<PingPong>, terms: Terms) {
    let Some(mut ping) = ping else { return std::future::pending().await };
    loop {
        terms.clock.sleep(terms.limits.keep_alive).await;
        tokio::select! {
            pong = ping.ping(Ping::opaque()) => if pong.is_err() { return std::future::pending().await },
            () = terms.clock.sleep(terms.limits.idle) => return,
        }
    }
}

/// What is there already: a connection may end in the same moment in which it brings the peer's last word.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn reason(code: Code) -> Reason {
    Reason::from(CODES.saturating_add(code.0))
}

/// The dialler's connection, until it ends.
async fn drive(
    mut connection: h2::client::Connection<TlsStream<TcpStream>, Bytes>,
    mut calls: SendStream<Bytes>,
    terms: Terms,
    mut windows: watch::Receiver<u32>,
    mut farewell: watch::Receiver<Option<Code>>,
) {
    let mut silent = Box::pin(silence(connection.ping_pong(), terms.clone()));
    loop {
        tokio::select! {
            reset = poll_fn(|cx| calls.poll_reset(cx)) => {
                terms.note(end_of(reset.ok()));
                return;
            }
            _ = &mut connection => {
                let word = at_once(poll_fn(|cx| calls.poll_reset(cx))).await;
                terms.note(end_of(word.and_then(Result::ok)));
                return;
            }
            Ok(()) = windows.changed() => connection.set_target_window_size(*windows.borrow_and_update()),
            code = said(&mut farewell) => {
                calls.send_reset(reason(code));
                break;
            }
            () = &mut silent => {
                terms.note(End::Lost);
                return;
            }
        }
    }
    tokio::select! {
        _ = connection => {}
        () = terms.clock.sleep(LINGER) => {}
    }
}

/// The other side's connection.
struct Serving {
    terms: Terms,
    came: mpsc::Sender<(SendStream<Bytes>, RecvStream)>,
    asked: mpsc::Receiver<Ask>,
    waiting: VecDeque<Ask>,
    calls: Option<(SendStream<Bytes>, RecvStream)>,
    /// Exchanges that came before the peer was let in.
    early: u32,
}

impl Serving {
    /// Until it ends.
    async fn serve(
        mut self,
        mut connection: h2::server::Connection<TlsStream<TcpStream>, Bytes>,
        mut windows: watch::Receiver<u32>,
        mut farewell: watch::Receiver<Option<Code>>,
    ) {
        let mut silent = Box::pin(silence(connection.ping_pong(), self.terms.clone()));
        let end = loop {
            tokio::select! {
                request = connection.accept() => match request {
                    Some(Ok((request, respond))) => self.take(request, respond),
                    Some(Err(_)) | None => {
                        break at_once(Self::hung_up(&mut self.calls)).await.unwrap_or(End::Lost);
                    }
                },
                Some(ask) = self.asked.recv(), if self.calls.is_some() => self.call(ask),
                end = Self::hung_up(&mut self.calls), if self.calls.is_some() => break end,
                Ok(()) = windows.changed() => connection.set_target_window_size(*windows.borrow_and_update()),
                code = said(&mut farewell) => {
                    match &mut self.calls {
                        Some((send, _)) => send.send_reset(reason(code)),
                        None => connection.abrupt_shutdown(reason(code)),
                    }
                    break End::Ours(code);
                }
                () = &mut silent => break End::Lost,
            }
        };
        self.terms.note(end);
        tokio::select! {
            () = async { while connection.accept().await.is_some() {} } => {}
            () = self.terms.clock.sleep(LINGER), if matches!(end, End::Ours(_)) => {}
            () = std::future::ready(()), if !matches!(end, End::Ours(_)) => {}
        }
    }

    fn take(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let path = request.uri().path().to_owned();
        let Ok(send) = respond.send_response(Response::new(()), false) else { return };
        let both = (send, request.into_body());
        match path.as_str() {
            EXCHANGE if self.may_come() => {
                // No more can wait than may be open.
                let _ = self.came.try_send(both);
            }
            CALLS if self.calls.is_none() => self.calls = Some(both),
            CALL => self.answer(both),
            _ => respond.send_reset(Reason::REFUSED_STREAM),
        }
    }

    /// A stranger's first exchange is kept, and none after it: its heads would stay in memory.
    fn may_come(&mut self) -> bool {
        let stranger = !self.terms.is_admitted() && self.terms.guards.has(Guard::Quiet);
        self.early += u32::from(stranger);
        !stranger || self.early <= Limits::STRANGER_STREAMS
    }

    fn call(&mut self, ask: Ask) {
        if let Some((send, _)) = &mut self.calls {
            let _ = send.send_data(Bytes::from_static(&[1]), false);
            self.waiting.push_back(ask);
        }
    }

    /// Whoever asked first and still waits gets it.
    fn answer(&mut self, (to, from): (SendStream<Bytes>, RecvStream)) {
        if let Some(ask) = self.waiting.pop_front() {
            let both = (ToPeer { to, _place: None }, FromPeer { from: From::Body(from), _place: None });
            // One that gave up drops it, and the dialler sees a stream that was given up.
            let _ = ask.to.send(both);
        }
    }

    /// How the dialler ended the link; what else it says there is passed over, at the pace of its window.
    async fn hung_up(calls: &mut Option<(SendStream<Bytes>, RecvStream)>) -> End {
        let Some((_, from)) = calls else { return std::future::pending().await };
        loop {
            match from.data().await {
                Some(Ok(piece)) => drop(from.flow_control().release_capacity(piece.len())),
                Some(Err(error)) => return end_of(error.reason().filter(|_| error.is_remote())),
                None => return End::Lost,
            }
        }
    }
}

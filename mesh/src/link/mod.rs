//! A link: a connection to a peer whose node key is proven, whatever carries it.
//!
//! Exchanges are streams: who opens one says a head, then both send frames until both have finished. Streams do not wait
//! for each other. All that is kept for a peer is bounded: streams at once, the length of a frame, bytes under way.
//! A link owns its connection: when its last clone is dropped it closes, and its streams with it.

pub mod frame;
pub mod memory;
pub mod quic;
mod stream;
pub mod tcp;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::identity::NodeKey;
use protocol::seam::Clock;
use tokio::sync::{Mutex, mpsc, watch};

use crate::tasks::Tasks;
pub use frame::BadFrame;
pub use stream::{Recv, Send};

/// Most bytes of a head.
pub const MAX_HEAD: usize = 4 * 1024;

/// How long the head of a stream may take once the stream is there.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

/// What a link is for. Each has a connection of its own, so that bulk never stands in the way of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A newcomer and its invitation: one bounded exchange.
    Join,
    /// Records, questions, status.
    Control,
    /// Blobs.
    Blob,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Join, Self::Control, Self::Blob];

    /// Its name in TLS, on QUIC and on TCP alike.
    #[must_use]
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Join => b"portolan/join/1",
            Self::Control => b"portolan/control/1",
            Self::Blob => b"portolan/blob/1",
        }
    }

    /// The lane of this name.
    #[must_use]
    pub fn of(alpn: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.alpn() == alpn)
    }

    /// Most bytes of a frame.
    #[must_use]
    pub const fn max_frame(self) -> usize {
        match self {
            Self::Join => 64 * 1024,
            Self::Control | Self::Blob => 256 * 1024,
        }
    }
}

/// What carries a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// QUIC over UDP.
    Quic,
    /// HTTP/2 over TLS over TCP.
    Tcp,
    /// Nothing but memory, in tests.
    Memory,
}

/// Why a link or a stream was ended, as a number that travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub u32);

impl Code {
    /// Nothing more is to be said.
    pub const DONE: Self = Self(0);
    /// The other end broke the protocol.
    pub const MALFORMED: Self = Self(1);
    /// No protocol version in common.
    pub const VERSION: Self = Self(2);
    /// Of another mesh.
    pub const FOREIGN: Self = Self(3);
    /// Not let in. Whether unknown, revoked or not yet valid is not said.
    pub const NOT_ADMITTED: Self = Self(4);
    /// Too many of these.
    pub const TOO_MANY: Self = Self(5);
    /// It took too long.
    pub const TOO_SLOW: Self = Self(6);
    /// Its rights ended while it was connected.
    pub const DROPPED: Self = Self(7);
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DONE => f.write_str("done"),
            Self::MALFORMED => f.write_str("malformed"),
            Self::VERSION => f.write_str("no version in common"),
            Self::FOREIGN => f.write_str("foreign mesh"),
            Self::NOT_ADMITTED => f.write_str("not admitted"),
            Self::TOO_MANY => f.write_str("too many"),
            Self::TOO_SLOW => f.write_str("too slow"),
            Self::DROPPED => f.write_str("dropped"),
            Self(other) => write!(f, "code {other}"),
        }
    }
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This side closed it.
    Ours(Code),
    /// The peer closed it.
    Theirs(Code),
    /// Nothing came for too long, or the connection broke.
    Lost,
}

/// Why nothing more comes from, or goes to, a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The link ended.
    #[error("the link ended: {0:?}")]
    Ended(End),
    /// The peer gave this stream up.
    #[error("the peer gave the stream up")]
    Reset,
    /// The peer sent what is no frame.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// What was to be sent is empty or too long for the lane, or an earlier send was given up half-way.
    #[error("this can't be sent")]
    Unsendable,
}

/// Bounds of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams the peer may have open at once.
    pub streams: u32,
    /// Bytes under way to this side on one stream.
    pub stream_window: u32,
    /// Bytes under way to this side on all of them.
    pub window: u32,
    /// Silence after which a sign of life is asked for.
    pub keep_alive: Duration,
    /// Silence after which the link is lost.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 64,
            stream_window: 4 << 20,
            window: 16 << 20,
            keep_alive: Duration::from_secs(5),
            idle: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// What a peer gets before it is let in.
    pub const STRANGER_STREAMS: u32 = 1;
    /// Bytes under way from a peer before it is let in.
    pub const STRANGER_WINDOW: u32 = 128 * 1024;
}

/// An exchange the peer began.
#[derive(Debug)]
pub struct Exchange {
    /// What it is about.
    pub head: Bytes,
    /// Where answers go.
    pub send: Send,
    /// Where more comes from.
    pub recv: Recv,
}

/// A connection to a peer whose key is proven. Cheap to clone.
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    facts: Facts,
    carrier: Carrier,
    arrived: Mutex<mpsc::Receiver<Exchange>>,
    end: watch::Sender<Option<End>>,
}

/// What is fixed for the life of a link.
#[derive(Clone, Copy, Debug)]
struct Facts {
    peer: NodeKey,
    remote: Option<SocketAddr>,
    path: Path,
    lane: Lane,
    dialled: bool,
    binding: [u8; 32],
}

enum Carrier {
    Quic(quic::Carrier),
    Tcp(tcp::Carrier),
    Memory(memory::Carrier),
}

/// What the task of a link works with.
#[derive(Clone)]
struct Driver {
    lane: Lane,
    limits: Limits,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    end: watch::Sender<Option<End>>,
    arrived: mpsc::Sender<Exchange>,
}

impl Driver {
    fn new(lane: Lane, limits: Limits, clock: Arc<dyn Clock>, tasks: Tasks) -> (Self, mpsc::Receiver<Exchange>) {
        let (arrived, queue) = mpsc::channel(limits.streams.max(1) as usize);
        (Self { lane, limits, clock, tasks, end: watch::Sender::new(None), arrived }, queue)
    }

    fn link(&self, facts: Facts, carrier: Carrier, queue: mpsc::Receiver<Exchange>) -> Link {
        Link(Arc::new(Shared { facts, carrier, arrived: Mutex::new(queue), end: self.end.clone() }))
    }

    fn streams(&self, send: stream::ToPeer, recv: stream::FromPeer) -> (Send, Recv) {
        let most = self.lane.max_frame();
        (Send::new(send, most, self.end.subscribe()), Recv::new(recv, most, self.end.subscribe()))
    }

    /// Reads the head of a stream the peer opened and puts it where [`Link::accept`] finds it. Waits for nobody: a
    /// stream more than allowed, or with a head that does not come, is given up.
    fn take_in(&self, send: stream::ToPeer, recv: stream::FromPeer) {
        let ((send, mut recv), driver) = (self.streams(send, recv), self.clone());
        self.tasks.spawn("head of a stream", async move {
            let late = driver.clock.sleep(HEAD_TIME);
            let head = tokio::select! {
                head = recv.next_within(MAX_HEAD) => head,
                () = late => return,
            };
            if let Ok(Some(head)) = head {
                let _ = driver.arrived.try_send(Exchange { head, send, recv });
            }
        });
    }

    /// Notes how the link ended; the first word counts.
    fn ended(&self, end: End) {
        note(&self.end, end);
    }
}

fn note(to: &watch::Sender<Option<End>>, end: End) -> bool {
    to.send_if_modified(|noted| {
        let first = noted.is_none();
        noted.get_or_insert(end);
        first
    })
}

/// Ready once the link has ended.
async fn ended(end: &mut watch::Receiver<Option<End>>) -> End {
    match end.wait_for(Option::is_some).await {
        Ok(end) => (*end).unwrap_or(End::Lost),
        Err(_) => End::Lost,
    }
}

impl Link {
    /// Who is at the other end: TLS has proven it.
    #[must_use]
    pub fn peer(&self) -> NodeKey {
        self.0.facts.peer
    }

    /// From where; `None` in memory.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.0.facts.remote
    }

    /// What carries it.
    #[must_use]
    pub fn path(&self) -> Path {
        self.0.facts.path
    }

    /// What it is for.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.0.facts.lane
    }

    /// Whether this side dialled.
    #[must_use]
    pub fn is_dialled(&self) -> bool {
        self.0.facts.dialled
    }

    /// A number both ends of this connection know and nobody else: signed, it can't be shown on another.
    #[must_use]
    pub fn binding(&self) -> &[u8; 32] {
        &self.0.facts.binding
    }

    /// Begins an exchange. Waits while the peer allows no more of them; give up by dropping the future.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn open(&self, head: &[u8]) -> Result<(Send, Recv), Broken> {
        if head.len() > MAX_HEAD {
            return Err(Broken::Unsendable);
        }
        let mut end = self.0.end.subscribe();
        let opened = async {
            match &self.0.carrier {
                Carrier::Quic(carrier) => carrier.open().await,
                Carrier::Tcp(carrier) => carrier.open().await,
                Carrier::Memory(carrier) => carrier.open().await,
            }
        };
        let (send, recv) = tokio::select! {
            biased;
            end = ended(&mut end) => return Err(Broken::Ended(end)),
            opened = opened => opened?,
        };
        let most = self.lane().max_frame();
        let mut send = Send::new(send, most, end.clone());
        let recv = Recv::new(recv, most, end);
        send.send(Bytes::copy_from_slice(head)).await?;
        Ok((send, recv))
    }

    /// The next exchange the peer began. One task at a time waits here.
    ///
    /// # Errors
    /// [`Broken::Ended`].
    pub async fn accept(&self) -> Result<Exchange, Broken> {
        let mut end = self.0.end.subscribe();
        let mut arrived = self.0.arrived.lock().await;
        tokio::select! {
            biased;
            end = ended(&mut end) => Err(Broken::Ended(end)),
            one = arrived.recv() => match one {
                Some(one) => Ok(one),
                None => Err(Broken::Ended(ended(&mut end).await)),
            },
        }
    }

    /// The peer was let in: it gets what the limits allow.
    pub(crate) fn admit(&self, limits: &Limits) {
        match &self.0.carrier {
            Carrier::Quic(carrier) => carrier.admit(limits),
            Carrier::Tcp(carrier) => carrier.admit(),
            Carrier::Memory(_) => {}
        }
    }

    /// Ends it at once: streams of both sides break, nothing that came is read any more.
    pub fn close(&self, code: Code) {
        if note(&self.0.end, End::Ours(code)) {
            self.0.carrier.close(code);
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        *self.0.end.borrow()
    }

    /// Ready once it has ended.
    pub async fn closed(&self) -> End {
        ended(&mut self.0.end.subscribe()).await
    }

    /// Whether both are the same link.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Something to wait with that does not keep the link.
    pub(crate) fn watch_end(&self) -> impl Future<Output = End> + std::marker::Send + 'static {
        let mut end = self.0.end.subscribe();
        async move { ended(&mut end).await }
    }
}

impl Carrier {
    fn close(&self, code: Code) {
        match self {
            Self::Quic(carrier) => carrier.close(code),
            Self::Tcp(carrier) => carrier.close(code),
            Self::Memory(carrier) => carrier.close(code),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if note(&self.end, End::Ours(Code::DONE)) {
            self.carrier.close(Code::DONE);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { peer, remote, path, lane, .. } = &self.0.facts;
        write!(f, "Link({lane:?} to {peer:?} at {remote:?} by {path:?})")
    }
}

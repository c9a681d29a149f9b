//! A link: a connection to a peer whose node key is proven, whatever carries it.
//!
//! Exchanges are streams: who opens one says a head, then both send frames until both have finished. Streams do not wait
//! for each other. All that is kept for a peer is bounded: streams at once, the length of a frame, bytes under way; and
//! so is the pace of streams and frames. A link owns its connection: when its last clone is dropped it closes, and its
//! streams with it.

mod driver;
mod end;
pub mod frame;
mod lane;
pub mod memory;
pub mod quic;
mod stream;
pub mod tcp;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use protocol::identity::NodeKey;
use tokio::sync::{Mutex, mpsc};

pub(crate) use driver::Setting;
use driver::{Source, Terms};
pub use end::{Broken, Code, End};
pub use frame::BadFrame;
pub use lane::{Lane, Limits, Path};
pub use stream::{Recv, STALL_TIME, Send};

/// Most bytes of a head.
pub const MAX_HEAD: usize = 4 * 1024;

/// How long the head of a stream may take once the stream is there.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

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

/// A link that somebody else keeps.
#[derive(Clone)]
pub(crate) struct Loose(Weak<Shared>);

struct Shared {
    facts: Facts,
    terms: Terms,
    carrier: Carrier,
    arrived: Mutex<mpsc::Receiver<Exchange>>,
}

/// What is fixed for the life of a link.
#[derive(Clone, Copy, Debug)]
struct Facts {
    peer: NodeKey,
    remote: Option<SocketAddr>,
    path: Path,
    dialled: bool,
}

enum Carrier {
    Quic(quic::Carrier),
    Tcp(tcp::Carrier),
    Memory(memory::Carrier),
}

impl Link {
    /// A link whose streams come from `source`.
    fn new(facts: Facts, terms: Terms, carrier: Carrier, source: Source) -> Self {
        let (arrived, queue) = mpsc::channel(terms.limits.streams.max(1) as usize);
        terms.tasks.spawn("streams of a link", terms.clone().drive(facts.dialled, source, arrived));
        Self(Arc::new(Shared { facts, terms, carrier, arrived: Mutex::new(queue) }))
    }

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
        self.0.terms.lane
    }

    /// Whether this side dialled.
    #[must_use]
    pub fn is_dialled(&self) -> bool {
        self.0.facts.dialled
    }

    /// Begins an exchange. Waits while the peer allows no more of them; give up by dropping the future.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn open(&self, head: &[u8]) -> Result<(Send, Recv), Broken> {
        if head.len() > MAX_HEAD {
            return Err(Broken::Unsendable);
        }
        let terms = &self.0.terms;
        let opened = async {
            match &self.0.carrier {
                Carrier::Quic(carrier) => carrier.open().await,
                Carrier::Tcp(carrier) => carrier.open().await,
                Carrier::Memory(carrier) => carrier.open().await,
            }
        };
        let (send, recv) = tokio::select! {
            biased;
            end = terms.ended() => return Err(Broken::Ended(end)),
            opened = opened => opened?,
        };
        let (mut send, recv) = (Send::new(send, terms.clone()), Recv::new(recv, terms.clone()));
        send.send(Bytes::copy_from_slice(head)).await?;
        Ok((send, recv))
    }

    /// The next exchange the peer began. One task at a time waits here.
    ///
    /// # Errors
    /// [`Broken::Ended`].
    pub async fn accept(&self) -> Result<Exchange, Broken> {
        let ended = self.0.terms.ended();
        let next = async {
            let mut arrived = self.0.arrived.lock().await;
            match arrived.recv().await {
                Some(one) => one,
                // The task of the link is gone, so its end is near.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            end = ended => Err(Broken::Ended(end)),
            one = next => Ok(one),
        }
    }

    /// The peer was let in: it gets what these limits allow, and no more than the link was made for.
    pub(crate) fn admit(&self, limits: &Limits) {
        if self.0.terms.admit() {
            match &self.0.carrier {
                Carrier::Quic(carrier) => carrier.admit(limits),
                Carrier::Tcp(carrier) => carrier.admit(limits),
                Carrier::Memory(carrier) => carrier.admit(limits),
            }
        }
    }

    /// Ends it at once: streams of both sides break, nothing that came is read any more.
    pub fn close(&self, code: Code) {
        self.0.close(code);
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.0.terms.end()
    }

    /// Ready once it has ended. Does not keep the link.
    pub fn closed(&self) -> impl Future<Output = End> + std::marker::Send + use<> {
        self.0.terms.ended()
    }

    /// Whether both are the same link.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether an exchange waits to be accepted.
    #[cfg(test)]
    pub(crate) fn has_arrived(&self) -> bool {
        self.0.arrived.try_lock().is_ok_and(|arrived| !arrived.is_empty())
    }

    /// A hold on it that does not keep it.
    pub(crate) fn loose(&self) -> Loose {
        Loose(Arc::downgrade(&self.0))
    }
}

impl Loose {
    /// Closes the link if it is still there.
    pub(crate) fn close(&self, code: Code) {
        if let Some(shared) = self.0.upgrade() {
            shared.close(code);
        }
    }

    /// Whether it is still open.
    pub(crate) fn is_open(&self) -> bool {
        self.0.upgrade().is_some_and(|shared| shared.terms.end().is_none())
    }
}

impl Shared {
    fn close(&self, code: Code) {
        if self.terms.note(End::Ours(code)) {
            match &self.carrier {
                Carrier::Quic(carrier) => carrier.close(code),
                Carrier::Tcp(carrier) => carrier.close(code),
                Carrier::Memory(carrier) => carrier.close(code),
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close(Code::DONE);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { peer, remote, path, dialled: _ } = &self.0.facts;
        write!(f, "Link({:?} to {peer:?} at {remote:?} by {path:?})", self.lane())
    }
}

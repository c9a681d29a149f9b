//! What stands between a carrier and a link: takes streams in, at the pace and in the number that is allowed.
//!
//! [`Terms`] is shared by the link, its streams and its tasks; it owns the word that ends them all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::seam::Clock;
use tokio::sync::{mpsc, watch};

use super::{End, Exchange, HEAD_TIME, Lane, Limits, MAX_HEAD, Recv, Send, memory, quic, stream, tcp};
use crate::guard::{Guard, Guards};
use crate::pace::Bucket;
use crate::tasks::Tasks;

/// What holds for a link and all its streams.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) lane: Lane,
    pub(super) limits: Limits,
    pub(super) guards: Guards,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    end: watch::Sender<Option<End>>,
    admitted: watch::Sender<bool>,
    frames: Arc<Mutex<Bucket>>,
}

/// What a link is made with, besides the connection.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) limits: Limits,
    pub(crate) guards: Guards,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
}

impl Terms {
    pub(super) fn new(lane: Lane, setting: &Setting) -> Self {
        let Setting { limits, guards, clock, tasks } = setting.clone();
        let frames = Arc::new(Mutex::new(Bucket::new(limits.frame_pace, clock.monotonic())));
        let (end, admitted) = (watch::Sender::new(None), watch::Sender::new(false));
        Self { lane, limits, guards, clock, tasks, end, admitted, frames }
    }

    /// Notes how the link ended; the first word counts. Whether this was it.
    pub(super) fn note(&self, end: End) -> bool {
        note(&self.end, end)
    }

    /// The word that ends the link.
    pub(super) fn word(&self) -> watch::Sender<Option<End>> {
        self.end.clone()
    }

    pub(super) fn end(&self) -> Option<End> {
        *self.end.borrow()
    }

    /// Ready once the link has ended.
    pub(super) fn ended(&self) -> impl Future<Output = End> + std::marker::Send + use<> {
        let mut end = self.end.subscribe();
        async move {
            match end.wait_for(Option::is_some).await {
                Ok(end) => (*end).unwrap_or(End::Lost),
                Err(_) => End::Lost,
            }
        }
    }

    /// Says that the peer was let in; whether it was not before.
    pub(super) fn admit(&self) -> bool {
        !self.admitted.send_replace(true)
    }

    /// Whether the peer was let in.
    pub(super) fn is_admitted(&self) -> bool {
        *self.admitted.borrow()
    }

    /// How long until the next frame may be read.
    pub(super) fn frame_wait(&self) -> Option<Duration> {
        if !self.guards.has(Guard::FramePace) {
            return None;
        }
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).take(self.clock.monotonic()).err()
    }

    /// Takes streams of the peer until the link ends. Before the peer is let in only one, and none where this side
    /// dialled.
    pub(super) async fn drive(self, dialled: bool, mut source: Source, arrived: mpsc::Sender<Exchange>) {
        let mut admitted = self.admitted.subscribe();
        let mut before = if dialled { 0 } else { Limits::STRANGER_STREAMS };
        let mut pace = Bucket::new(self.limits.stream_pace, self.clock.monotonic());
        let taking = async {
            loop {
                if before == 0 && self.guards.has(Guard::Quiet) {
                    if admitted.wait_for(|admitted| *admitted).await.is_err() {
                        return;
                    }
                } else {
                    before = before.saturating_sub(1);
                }
                while self.guards.has(Guard::StreamPace)
                    && let Err(wait) = pace.take(self.clock.monotonic())
                {
                    self.clock.sleep(wait).await;
                }
                let Some((send, recv)) = source.next().await else { return };
                self.take_in(send, recv, &arrived);
            }
        };
        tokio::select! {
            _ = self.ended() => {}
            () = taking => {}
        }
    }

    /// Reads the head of a stream the peer opened and puts it where the link's `accept` finds it. Waits for nobody: a
    /// stream more than allowed, or with a head that does not come, is given up.
    fn take_in(&self, send: stream::ToPeer, recv: stream::FromPeer, arrived: &mpsc::Sender<Exchange>) {
        let (send, mut recv) = (Send::new(send, self.clone()), Recv::new(recv, self.clone()));
        let (clock, arrived) = (Arc::clone(&self.clock), arrived.clone());
        self.tasks.spawn("head of a stream", async move {
            let late = clock.sleep(HEAD_TIME);
            let head = tokio::select! {
                head = recv.next_within(MAX_HEAD) => head,
                () = late => return,
            };
            if let Ok(Some(head)) = head {
                let _ = arrived.try_send(Exchange { head, send, recv });
            }
        });
    }
}

/// Notes how a link ended; the first word counts. Whether this was it.
pub(super) fn note(to: &watch::Sender<Option<End>>, end: End) -> bool {
    to.send_if_modified(|noted| {
        let first = noted.is_none();
        noted.get_or_insert(end);
        first
    })
}

/// Where streams of a peer come from.
pub(super) enum Source {
    Quic(quinn::Connection),
    Tcp(tcp::Streams),
    Memory(mpsc::Receiver<memory::Raw>),
}

impl Source {
    async fn next(&mut self) -> Option<(stream::ToPeer, stream::FromPeer)> {
        match self {
            Self::Quic(connection) => quic::next(connection).await,
            Self::Tcp(streams) => streams.next().await,
            Self::Memory(queue) => queue.recv().await.map(memory::streams),
        }
    }
}

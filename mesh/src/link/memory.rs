//! Links in memory, for tests of what stands above: with delay, and a wire that can be cut and mended.
//!
//! While the wire is cut nothing arrives and nothing is lost; both ends wait. Time is the clock's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use protocol::identity::NodeKey;
use protocol::seam::Clock;
use tokio::sync::{mpsc, watch};

use super::stream;
use super::{Broken, Code, Driver, End, Facts, Lane, Limits, Link, Path, note};
use crate::tasks::Tasks;

/// Most bytes of a piece.
const PIECE: usize = 16 * 1024;

/// Pieces under way on a stream.
const UNDER_WAY: usize = 16;

/// What lies between two ends.
#[derive(Clone, Debug)]
pub struct Wire {
    clock: Arc<dyn Clock>,
    delay: Arc<AtomicU64>,
    cut: watch::Sender<bool>,
}

impl Wire {
    /// Whole, without delay.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, delay: Arc::default(), cut: watch::Sender::new(false) }
    }

    /// How long what is sent from now on takes.
    pub fn delay(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// All passes again, what was held back too.
    pub fn mend(&self) {
        self.cut.send_replace(false);
    }

    /// The two ends of a link: that of `dialler`, whose peer is `other`, and that of `other`.
    #[must_use]
    pub fn link(&self, dialler: NodeKey, other: NodeKey, lane: Lane, limits: Limits) -> (Link, Link) {
        let depth = limits.streams.max(1) as usize;
        let ((to_other, at_other), (to_dialler, at_dialler)) = (mpsc::channel(depth), mpsc::channel(depth));
        let make = |queue: &mpsc::Sender<Raw>| {
            let (driver, arrived) = Driver::new(lane, limits, Arc::clone(&self.clock), Tasks::default());
            (driver, arrived, queue.clone())
        };
        let (near, far) = (make(&to_other), make(&to_dialler));
        let ends = [near.0.end.clone(), far.0.end.clone()];
        let finish = |(driver, arrived, to): (Driver, _, _), peer, dialled, mut queue: mpsc::Receiver<Raw>, far| {
            // Unlike TLS, memory has no secret of its own; what it says need only be the same at both ends.
            let facts = Facts { peer, remote: None, path: Path::Memory, lane, dialled, binding: [0x4d; 32] };
            let task = driver.clone();
            driver.tasks.spawn("streams of a link", async move {
                let mut end = task.end.subscribe();
                loop {
                    let raw = tokio::select! {
                        _ = super::ended(&mut end) => break,
                        raw = queue.recv() => raw,
                    };
                    let Some((send, recv)) = raw else { break };
                    task.take_in(stream::ToPeer::Memory(send), stream::FromPeer::Memory(recv));
                }
            });
            driver.link(facts, super::Carrier::Memory(Carrier { wire: self.clone(), to, far }), arrived)
        };
        let [near_end, far_end] = ends;
        (finish(near, other, true, at_dialler, far_end), finish(far, dialler, false, at_other, near_end))
    }

    async fn passes(&self) {
        let _ = self.cut.subscribe().wait_for(|cut| !cut).await;
    }
}

type Raw = (ToPeer, FromPeer);

pub(super) struct Carrier {
    wire: Wire,
    to: mpsc::Sender<Raw>,
    far: watch::Sender<Option<End>>,
}

impl Carrier {
    pub(super) async fn open(&self) -> Result<(stream::ToPeer, stream::FromPeer), Broken> {
        self.wire.passes().await;
        let ((own, other), (theirs, ours)) = (self.pipe(), self.pipe());
        self.to.send((theirs, other)).await.map_err(|_| Broken::Ended(End::Lost))?;
        Ok((stream::ToPeer::Memory(own), stream::FromPeer::Memory(ours)))
    }

    fn pipe(&self) -> (ToPeer, FromPeer) {
        let (to, from) = mpsc::channel(UNDER_WAY);
        (ToPeer { wire: self.wire.clone(), to }, FromPeer { wire: self.wire.clone(), from, late: None })
    }

    pub(super) fn close(&self, code: Code) {
        note(&self.far, End::Theirs(code));
    }
}

enum Piece {
    Data(Bytes),
    Finished,
}

pub(super) struct ToPeer {
    wire: Wire,
    to: mpsc::Sender<(Duration, Piece)>,
}

impl ToPeer {
    async fn put(&self, piece: Piece) -> Result<(), Broken> {
        let due = self.wire.clock.monotonic() + Duration::from_micros(self.wire.delay.load(Ordering::Relaxed));
        self.to.send((due, piece)).await.map_err(|_| Broken::Reset)
    }

    pub(super) async fn send(&mut self, mut bytes: Bytes) -> Result<(), Broken> {
        while !bytes.is_empty() {
            self.put(Piece::Data(bytes.split_to(bytes.len().min(PIECE)))).await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&mut self) -> Result<(), Broken> {
        self.put(Piece::Finished).await
    }
}

pub(super) struct FromPeer {
    wire: Wire,
    from: mpsc::Receiver<(Duration, Piece)>,
    /// Came, and is not due; or the end, for good.
    late: Option<(Duration, Piece)>,
}

impl FromPeer {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.late.is_none() {
            self.late = Some(self.from.recv().await.ok_or(Broken::Reset)?);
        }
        if let Some((due, _)) = &self.late {
            let left = due.saturating_sub(self.wire.clock.monotonic());
            if !left.is_zero() {
                self.wire.clock.sleep(left).await;
            }
        }
        self.wire.passes().await;
        match self.late.take() {
            Some((_, Piece::Data(bytes))) => Ok(Some(bytes)),
            Some((due, Piece::Finished)) => {
                self.late = Some((due, Piece::Finished));
                Ok(None)
            }
            None => Err(Broken::Reset),
        }
    }
}

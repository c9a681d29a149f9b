//! Links in memory, for tests of what stands above: with delay, and a wire that can be cut and mended.
//!
//! While the wire is cut nothing arrives and nothing is lost; both ends wait. Time is the clock's. The wire owns its
//! state; a link owns its ends of the streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use protocol::identity::NodeKey;
use protocol::seam::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::driver::note;
use super::{Broken, Code, End, Facts, Lane, Limits, Link, Path, Setting, Source, Terms, stream};
use crate::guard::{Guard, Guards};
use crate::tasks::Tasks;

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

    /// The two ends of a link whose peers let each other in: that of `dialler`, whose peer is `other`, and that of
    /// `other`.
    #[must_use]
    pub fn link(&self, dialler: NodeKey, other: NodeKey, lane: Lane, limits: Limits) -> (Link, Link) {
        let (near, far) = self.strangers(dialler, other, lane, limits, [Guards::default(); 2]);
        near.admit(&limits);
        far.admit(&limits);
        (near, far)
    }

    /// As [`Wire::link`], before anybody was let in.
    pub(crate) fn strangers(
        &self,
        dialler: NodeKey,
        other: NodeKey,
        lane: Lane,
        limits: Limits,
        guards: [Guards; 2],
    ) -> (Link, Link) {
        let depth = limits.streams.max(1) as usize;
        let ((to_other, at_other), (to_dialler, at_dialler)) = (mpsc::channel(depth), mpsc::channel(depth));
        let terms = guards.map(|guards| {
            let clock = Arc::clone(&self.clock);
            Terms::new(lane, &Setting { limits, guards, clock, tasks: Tasks::default() })
        });
        let slots = [0, Limits::STRANGER_STREAMS].map(|streams| Arc::new(Semaphore::new(streams as usize)));
        let [near, far] = terms;
        let [near_slots, far_slots] = slots;
        let carrier = |own: &Arc<Semaphore>, theirs: &Arc<Semaphore>, to, terms: &Terms| {
            super::Carrier::Memory(Carrier {
                wire: self.clone(),
                to,
                far: terms.word(),
                bounded: terms.guards.has(Guard::Streams),
                own: Arc::clone(own),
                theirs: Arc::clone(theirs),
            })
        };
        let near_carrier = carrier(&near_slots, &far_slots, to_other, &far);
        let far_carrier = carrier(&far_slots, &near_slots, to_dialler, &near);
        let facts = |peer, dialled| Facts { peer, remote: None, path: Path::Memory, dialled };
        (
            Link::new(facts(other, true), near, near_carrier, Source::Memory(at_dialler)),
            Link::new(facts(dialler, false), far, far_carrier, Source::Memory(at_other)),
        )
    }

    async fn passes(&self) {
        let _ = self.cut.subscribe().wait_for(|cut| !cut).await;
    }
}

/// The place of a stream among those allowed; given back when both its halves are gone at the side that allowed it.
type Place = Option<Arc<OwnedSemaphorePermit>>;

pub(super) struct Raw(ToPeer, FromPeer);

pub(super) fn streams(Raw(to, from): Raw) -> (stream::ToPeer, stream::FromPeer) {
    (stream::ToPeer::Memory(to), stream::FromPeer::Memory(from))
}

pub(super) struct Carrier {
    wire: Wire,
    to: mpsc::Sender<Raw>,
    far: watch::Sender<Option<End>>,
    bounded: bool,
    /// Streams this side allows.
    own: Arc<Semaphore>,
    /// Streams the other side allows.
    theirs: Arc<Semaphore>,
}

impl Carrier {
    pub(super) async fn open(&self) -> Result<(stream::ToPeer, stream::FromPeer), Broken> {
        let lost = Broken::Ended(End::Lost);
        self.wire.passes().await;
        let place = match self.bounded {
            true => Some(Arc::new(Arc::clone(&self.theirs).acquire_owned().await.map_err(|_| lost)?)),
            false => None,
        };
        let ((own, other), (theirs, ours)) = (self.pipe(None, place.clone()), self.pipe(place, None));
        self.to.send(Raw(theirs, other)).await.map_err(|_| lost)?;
        Ok((stream::ToPeer::Memory(own), stream::FromPeer::Memory(ours)))
    }

    fn pipe(&self, at_sender: Place, at_receiver: Place) -> (ToPeer, FromPeer) {
        let (to, from) = mpsc::channel(UNDER_WAY);
        let wire = self.wire.clone();
        (ToPeer { wire: wire.clone(), to, _place: at_sender }, FromPeer { wire, from, late: None, _place: at_receiver })
    }

    pub(super) fn admit(&self, limits: &Limits) {
        self.own.add_permits((limits.streams as usize).saturating_sub(self.own.available_permits()));
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
    _place: Place,
}

impl ToPeer {
    async fn put(&self, piece: Piece) -> Result<(), Broken> {
        let due = self.wire.clock.monotonic() + Duration::from_micros(self.wire.delay.load(Ordering::Relaxed));
        self.to.send((due, piece)).await.map_err(|_| Broken::Reset)
    }

    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.put(Piece::Data(bytes)).await
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
    _place: Place,
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

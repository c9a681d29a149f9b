//! The two halves of an exchange, over whatever carries the link. Each is owned by who holds it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::driver::Terms;
use super::frame::{self, Frames};
use super::{BadFrame, Broken, Code, memory, tcp};
use crate::guard::Guard;

/// How long a peer may take nothing at all while something is to be sent to it on a stream; then the stream is given up.
pub const STALL_TIME: Duration = Duration::from_secs(60);

/// Most bytes taken from a carrier at once.
const CHUNK: usize = 64 * 1024;

/// Bytes given to a carrier at once: the step by which a peer has to move within [`STALL_TIME`].
const PIECE: usize = 16 * 1024;

/// Bytes to the peer.
pub(super) enum ToPeer {
    Quic(quinn::SendStream),
    Tcp(tcp::ToPeer),
    Memory(memory::ToPeer),
}

/// Bytes from the peer.
pub(super) enum FromPeer {
    Quic(quinn::RecvStream),
    Tcp(tcp::FromPeer),
    Memory(memory::FromPeer),
}

/// Frames to the peer. Dropped before [`Send::finish`], the peer sees the stream broken, not ended; over TCP in both
/// directions.
pub struct Send {
    to: ToPeer,
    terms: Terms,
    /// Within a frame, or after the end: nothing more can be said.
    mute: bool,
    finished: bool,
}

impl Send {
    pub(super) fn new(to: ToPeer, terms: Terms) -> Self {
        Self { to, terms, mute: false, finished: false }
    }

    /// Sends a frame; waits while the peer takes nothing, up to [`STALL_TIME`]. A call that is given up half-way breaks
    /// the stream.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn send(&mut self, frame: Bytes) -> Result<(), Broken> {
        let most = self.terms.lane.max_frame();
        let header = frame::header(frame.len()).filter(|_| frame.len() <= most).ok_or(Broken::Unsendable)?;
        if std::mem::replace(&mut self.mute, true) {
            return Err(Broken::Unsendable);
        }
        let mut rest = frame;
        // Header and beginning go together: a piece of four bytes would cost a carrier more than this copy.
        let begin = rest.split_to(rest.len().min(PIECE - header.len()));
        self.put(Bytes::from([&header[..], &begin].concat())).await?;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE));
            self.put(piece).await?;
        }
        self.mute = false;
        Ok(())
    }

    async fn put(&mut self, piece: Bytes) -> Result<(), Broken> {
        let Self { to, terms, .. } = self;
        let stalled = terms.clock.sleep(STALL_TIME);
        tokio::select! {
            biased;
            end = terms.ended() => Err(Broken::Ended(end)),
            sent = to.send(piece) => sent,
            () = stalled, if terms.guards.has(Guard::Stall) => Err(Broken::Stalled),
        }
    }

    /// Says that this was all. It need not have arrived when this returns.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn finish(mut self) -> Result<(), Broken> {
        if self.mute {
            return Err(Broken::Unsendable);
        }
        self.finished = true;
        let Self { to, terms, .. } = &mut self;
        let stalled = terms.clock.sleep(STALL_TIME);
        match to {
            ToPeer::Quic(to) => to.finish().map_err(|_| Broken::Reset),
            ToPeer::Tcp(to) => to.finish(),
            ToPeer::Memory(to) => tokio::select! {
                biased;
                end = terms.ended() => Err(Broken::Ended(end)),
                sent = to.finish() => sent,
                () = stalled, if terms.guards.has(Guard::Stall) => Err(Broken::Stalled),
            },
        }
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        if !self.finished {
            match &mut self.to {
                // quinn would end the stream as if all had been said.
                ToPeer::Quic(to) => drop(to.reset(Code::DONE.0.into())),
                ToPeer::Tcp(to) => to.reset(),
                ToPeer::Memory(_) => {}
            }
        }
    }
}

impl ToPeer {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        match self {
            Self::Quic(to) => to.write_chunk(bytes).await.map_err(|_| Broken::Reset),
            Self::Tcp(to) => to.send(bytes).await,
            Self::Memory(to) => to.send(bytes).await,
        }
    }
}

/// Frames from the peer. Dropped, the peer is told that no more is read.
pub struct Recv {
    from: FromPeer,
    frames: Frames,
    terms: Terms,
    /// A frame whose turn has not come.
    early: Option<Bytes>,
    /// Bytes that may still come.
    budget: Option<u64>,
    bad: Option<Broken>,
}

impl Recv {
    pub(super) fn new(from: FromPeer, terms: Terms) -> Self {
        Self { from, frames: Frames::new(terms.guards), terms, early: None, budget: None, bad: None }
    }

    /// Bounds all that may still come on this stream, frames and their headers together, in bytes. Without it a peer may
    /// send for ever, at the pace of its reader.
    pub fn allow(&mut self, bytes: u64) {
        self.budget = Some(bytes);
    }

    /// The next frame; `None` when the peer has finished. May be given up and called again: nothing is lost. Who waits
    /// bounds the wait.
    ///
    /// # Errors
    /// [`Broken`]; then again the same.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        self.next_within(self.terms.lane.max_frame()).await
    }

    /// As [`Recv::next`], for a frame of at most so many bytes.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn next_within(&mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        let answer = self.read(most.min(self.terms.lane.max_frame())).await;
        self.bad = answer.as_ref().err().copied();
        answer
    }

    async fn read(&mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(end) = self.terms.end() {
                return Err(Broken::Ended(end));
            }
            if self.early.is_none() {
                self.early = self.frames.next(most)?;
            }
            if self.early.is_some() {
                let Some(wait) = self.terms.frame_wait() else { return Ok(self.early.take()) };
                tokio::select! {
                    _ = self.terms.ended() => {}
                    () = self.terms.clock.sleep(wait) => {}
                }
                continue;
            }
            let piece = tokio::select! {
                biased;
                end = self.terms.ended() => return Err(Broken::Ended(end)),
                piece = self.from.next() => piece?,
            };
            let Some(piece) = piece else {
                self.frames.end()?;
                return Ok(None);
            };
            if self.terms.guards.has(Guard::Budget)
                && let Some(left) = &mut self.budget
            {
                *left = left.checked_sub(piece.len() as u64).ok_or(BadFrame::Endless)?;
            }
            self.frames.push(&piece);
        }
    }
}

impl FromPeer {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::Quic(from) => match from.read_chunk(CHUNK, true).await {
                Ok(piece) => Ok(piece.map(|piece| piece.bytes)),
                Err(_) => Err(Broken::Reset),
            },
            Self::Tcp(from) => from.next().await,
            Self::Memory(from) => from.next().await,
        }
    }
}

impl fmt::Debug for Send {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Send")
    }
}

impl fmt::Debug for Recv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recv")
    }
}

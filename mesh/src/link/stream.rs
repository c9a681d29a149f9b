//! The two halves of an exchange, over whatever carries the link. Each is owned by who holds it.

use std::fmt;
use std::future::poll_fn;

use bytes::Bytes;
use tokio::sync::watch;

use super::frame::{self, Frames};
use super::{Broken, Code, End, ended, memory};

/// Most bytes taken from a carrier at once.
const CHUNK: usize = 64 * 1024;

/// Bytes to the peer.
pub(super) enum ToPeer {
    Quic(quinn::SendStream),
    Tcp(h2::SendStream<Bytes>),
    Memory(memory::ToPeer),
}

/// Bytes from the peer. The place among those allowed at once, where the carrier does not count them itself, is given
/// back with it.
pub(super) enum FromPeer {
    Quic(quinn::RecvStream),
    Tcp(h2::RecvStream, Option<tokio::sync::OwnedSemaphorePermit>),
    Memory(memory::FromPeer),
}

/// Frames to the peer. Dropped before [`Send::finish`], the peer sees the stream broken, not ended.
pub struct Send {
    to: ToPeer,
    most: usize,
    end: watch::Receiver<Option<End>>,
    /// Within a frame, or after the end: nothing more can be said.
    mute: bool,
    finished: bool,
}

impl Send {
    pub(super) fn new(to: ToPeer, most: usize, end: watch::Receiver<Option<End>>) -> Self {
        Self { to, most, end, mute: false, finished: false }
    }

    /// Sends a frame; waits while the peer takes nothing. A call that is given up half-way breaks the stream.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn send(&mut self, frame: Bytes) -> Result<(), Broken> {
        let header = frame::header(frame.len()).filter(|_| frame.len() <= self.most).ok_or(Broken::Unsendable)?;
        if std::mem::replace(&mut self.mute, true) {
            return Err(Broken::Unsendable);
        }
        let Self { to, end, .. } = self;
        tokio::select! {
            biased;
            end = ended(end) => return Err(Broken::Ended(end)),
            sent = async {
                to.send(Bytes::copy_from_slice(&header)).await?;
                to.send(frame).await
            } => sent?,
        }
        self.mute = false;
        Ok(())
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
        match &mut self.to {
            ToPeer::Quic(to) => to.finish().map_err(|_| Broken::Reset),
            ToPeer::Tcp(to) => to.send_data(Bytes::new(), true).map_err(|_| Broken::Reset),
            ToPeer::Memory(to) => to.finish().await,
        }
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        if !self.finished {
            match &mut self.to {
                // quinn would end the stream as if all had been said.
                ToPeer::Quic(to) => drop(to.reset(Code::DONE.0.into())),
                ToPeer::Tcp(to) => to.send_reset(h2::Reason::CANCEL),
                ToPeer::Memory(_) => {}
            }
        }
    }
}

impl ToPeer {
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Broken> {
        match self {
            Self::Quic(to) => to.write_chunk(bytes).await.map_err(|_| Broken::Reset),
            Self::Tcp(to) => {
                while !bytes.is_empty() {
                    to.reserve_capacity(bytes.len());
                    let mut room = to.capacity();
                    while room == 0 {
                        room = match poll_fn(|cx| to.poll_capacity(cx)).await {
                            Some(Ok(room)) => room,
                            Some(Err(_)) | None => return Err(Broken::Reset),
                        };
                    }
                    let piece = bytes.split_to(room.min(bytes.len()));
                    to.send_data(piece, false).map_err(|_| Broken::Reset)?;
                }
                Ok(())
            }
            Self::Memory(to) => to.send(bytes).await,
        }
    }
}

/// Frames from the peer. Dropped, the peer is told that no more is read.
pub struct Recv {
    from: FromPeer,
    frames: Frames,
    most: usize,
    end: watch::Receiver<Option<End>>,
    bad: Option<Broken>,
}

impl Recv {
    pub(super) fn new(from: FromPeer, most: usize, end: watch::Receiver<Option<End>>) -> Self {
        Self { from, frames: Frames::default(), most, end, bad: None }
    }

    /// The next frame; `None` when the peer has finished. May be given up and called again: nothing is lost. Who waits
    /// bounds the wait.
    ///
    /// # Errors
    /// [`Broken`]; then again the same.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        self.next_within(self.most).await
    }

    /// As [`Recv::next`], for a frame of at most so many bytes.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn next_within(&mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        let answer = self.read(most.min(self.most)).await;
        self.bad = answer.as_ref().err().copied();
        answer
    }

    async fn read(&mut self, most: usize) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(end) = *self.end.borrow() {
                return Err(Broken::Ended(end));
            }
            if let Some(frame) = self.frames.next(most)? {
                return Ok(Some(frame));
            }
            let piece = tokio::select! {
                biased;
                end = ended(&mut self.end) => return Err(Broken::Ended(end)),
                piece = self.from.next() => piece?,
            };
            let Some(piece) = piece else {
                self.frames.end()?;
                return Ok(None);
            };
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
            Self::Tcp(from, _) => match from.data().await {
                Some(Ok(piece)) => {
                    let _ = from.flow_control().release_capacity(piece.len());
                    Ok(Some(piece))
                }
                Some(Err(_)) => Err(Broken::Reset),
                None => Ok(None),
            },
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

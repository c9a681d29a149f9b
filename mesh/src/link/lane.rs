//! What a link is for, what carries it, and the bounds it has. Holds no state.

use std::time::Duration;

use crate::pace::Pace;

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

    /// Its name in TLS, whatever carries it.
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

/// Bounds of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams the peer may have open at once.
    pub streams: u32,
    /// Bytes under way to this side on one stream. Known to the peer from the start, and of no use to it before it is let
    /// in: all streams together have [`Limits::STRANGER_WINDOW`] until then.
    pub stream_window: u32,
    /// Bytes under way on all streams, to this side and from it.
    pub window: u32,
    /// Streams of the peer that are taken; those above wait.
    pub stream_pace: Pace,
    /// Frames of the peer that are read, on all streams together; those above wait.
    pub frame_pace: Pace,
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
            stream_pace: Pace { per_second: 1_000, burst: 1_000 },
            frame_pace: Pace { per_second: 10_000, burst: 10_000 },
            keep_alive: Duration::from_secs(5),
            idle: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// Streams a peer that dialled may have open before it is let in; one that was dialled may have none.
    pub const STRANGER_STREAMS: u32 = 1;

    /// Bytes under way from a peer before it is let in.
    pub const STRANGER_WINDOW: u32 = 128 * 1024;

    /// Streams of a peer that may only renew its grant and hand over what it wrote.
    pub const RENEWING_STREAMS: u32 = 4;

    /// Bytes under way from a peer that may only renew.
    pub const RENEWING_WINDOW: u32 = 1 << 20;

    /// What is left of them for a peer that may only renew.
    #[must_use]
    pub fn renewing(self) -> Self {
        Self {
            streams: self.streams.min(Self::RENEWING_STREAMS),
            window: self.window.min(Self::RENEWING_WINDOW),
            ..self
        }
    }
}

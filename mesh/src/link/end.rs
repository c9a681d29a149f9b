//! How links and streams end, as values. Holds no state.

use std::fmt;

use super::frame::BadFrame;

/// Why a link or a stream was ended, as a number that travels. It is all a peer is told that is not let in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub u32);

impl Code {
    /// Nothing more is to be said.
    pub const DONE: Self = Self(0);
    /// The other end broke the protocol.
    pub const MALFORMED: Self = Self(1);
    /// No protocol version in common, or not the greatest.
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
    /// What was said is of, or to, another node than TLS has proven.
    pub const MISBOUND: Self = Self(8);
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
            Self::MISBOUND => f.write_str("misbound"),
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
    /// The peer took nothing for [`STALL_TIME`](super::STALL_TIME).
    #[error("the peer takes nothing")]
    Stalled,
    /// The peer sent what is no frame.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// What was to be sent is empty or too long for the lane, or an earlier send was given up half-way.
    #[error("this can't be sent")]
    Unsendable,
}

impl Broken {
    /// What the peer is told when the link is closed for this.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Frame(_) => Code::MALFORMED,
            Self::Stalled => Code::TOO_SLOW,
            Self::Ended(_) | Self::Reset | Self::Unsendable => Code::DONE,
        }
    }
}

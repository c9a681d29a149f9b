//! How a new record gets round: pushed along a few links, announced on the rest.
//!
//! After Plumtree (Leitão, Pereira, Rodrigues, "Epidemic Broadcast Trees", 2007), with what many authors, scopes and liars
//! ask for:
//!
//! - A record is **pushed** at once to neighbours whose link is eager, and **announced** by a short hash to the others, in
//!   batches. Who hears of one and does not get it soon asks for it. What is large is only announced, so that it crosses
//!   each link's far end once.
//! - Each site keeps a few eager links *towards* itself ([`Plan::feeds`]), of those that proved quick; it asks the others
//!   to stop. Several feeds cost that many copies and bridge what one that withholds would cut off. A feed that says
//!   nothing while others do is replaced.
//! - Before a record or a hash goes to a neighbour, the neighbour's right to its scope is asked ([`Roster::may_hold`]).
//!   Eager links are kept per audience, since a scope travels among its members alone.
//! - **Urgent** records (revocation, denial) go first, and to every neighbour that may have them.
//! - Budgets per neighbour, both ways: what would be too much at once waits; a neighbour that falls behind is left to
//!   reconciliation ([`Effect::Meet`]), which is the guarantee. Nothing here is: everything may be lost.
//!
//! Persist before deliver: a record is handed on when its owner says it is kept ([`Broadcast::took`]), not before.

mod link;
mod machine;
mod message;
mod tree;
mod wanted;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::identity::NodeKey;
use crate::record::{Parcel, RecordId, ScopeId};

#[cfg(doc)]
use crate::roster::Roster;
pub use machine::Broadcast;
pub use message::{Message, NotAMessage, Sheet, Short};

/// Most bytes of a message: a record of the largest size and what stands around it.
pub const MAX_MESSAGE: usize = 128 * 1024;

/// Most ids in a message.
pub const MAX_IDS: usize = 512;

/// How many bytes of records are put together in one message, unless one record needs more.
pub const BATCH: usize = 32 * 1024;

/// A record with its value of more bytes than this is announced only.
pub const INLINE: u32 = 4 * 1024;

/// Most records that wait to be pushed to a neighbour, of each class; it is left to reconciliation when there are more.
pub const MAX_QUEUE: usize = 2048;

/// Most records announced by one neighbour that this site looks out for.
pub const MAX_WANTED: usize = 2048;

/// Most records handed to the owner and not yet answered for.
pub const MAX_ARRIVING: usize = 8192;

/// Most audiences told apart; scopes of others share the links of everyone's.
pub const MAX_TREES: usize = 256;

/// Up to so many records that came by reconciliation at once are announced.
pub const MAX_REPORTED: usize = 64;

/// How many asked-for records a neighbour may fail to send in a row before it is found to announce what it has not.
pub const MAX_UNANSWERED: u32 = 256;

/// A record, as far as handing it on needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub id: RecordId,
    /// Whose it may be.
    pub scope: ScopeId,
    /// Its size on the wire, header and value.
    pub bytes: u32,
    /// Whether it goes first ([`Kind::is_urgent`](crate::record::Kind::is_urgent)).
    pub urgent: bool,
}

/// The records this site holds, by the short names used here.
pub trait Held {
    /// The record of that name.
    fn find(&self, short: &Short) -> Option<Notice>;
}

/// How a record came to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was written here, or had waited here.
    Here,
    /// A neighbour pushed it.
    Pushed(NodeKey),
    /// It came by reconciliation, with others of its age: it is announced, unless there are many ([`MAX_REPORTED`]), and
    /// pushed to nobody.
    Reconciled(NodeKey),
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send these records: [`Message::Push`]. What is no longer there is left out.
    Push {
        /// To whom.
        to: NodeKey,
        /// Which, in this order.
        records: Vec<RecordId>,
        /// On the stream for what is urgent, which is read first.
        urgent: bool,
    },
    /// Send this message.
    Send {
        /// To whom.
        to: NodeKey,
        /// An encoded [`Message`].
        bytes: Vec<u8>,
    },
    /// Check these, keep them, then say so by [`Broadcast::took`], or by [`Broadcast::refused`].
    Deliver {
        /// Who sent them.
        from: NodeKey,
        /// Not here yet, as far as was known; each with the value that came along.
        parcels: Vec<(Parcel, Option<Vec<u8>>)>,
    },
    /// Read nothing more from that neighbour's stream of ordinary records until then.
    Pause {
        /// Whom.
        peer: NodeKey,
        /// Until when.
        until: Duration,
    },
    /// Reconcile with that neighbour: one of the two fell behind the other.
    Meet(NodeKey),
    /// The neighbour did wrong; it is to be cut off.
    Failed(NodeKey, Fault),
}

/// What a neighbour did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no message, or too many.
    #[error("the neighbour sent bytes that are no message of the broadcast")]
    Message,
    /// A record that can't be read.
    #[error("the neighbour sent a malformed record")]
    Record,
    /// It announces what it does not send.
    #[error("the neighbour announces records that it does not send when asked")]
    Unanswered,
}

/// How a site takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Links kept eager towards this site, at least 1.
    pub feeds: usize,
    /// How long announcements are gathered.
    pub gather: Duration,
    /// How long an announced record may take to come by itself.
    pub patience: Duration,
    /// How long one that was asked for may take.
    pub answer: Duration,
    /// Bytes a second of ordinary records sent to one neighbour.
    pub give: u32,
    /// Bytes a second of ordinary records taken from one neighbour.
    pub take: u32,
}

impl Plan {
    /// Of an ordinary site.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            feeds: 3,
            gather: Duration::from_millis(200),
            patience: Duration::from_millis(400),
            answer: Duration::from_millis(1500),
            give: 512 * 1024,
            take: 1024 * 1024,
        }
    }

    /// Of a site whose traffic is paid by the byte: each record comes once, and reconciliation mends the rest.
    #[must_use]
    pub const fn metered() -> Self {
        Self {
            feeds: 1,
            gather: Duration::from_secs(30),
            patience: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            give: 64 * 1024,
            take: 128 * 1024,
        }
    }
}

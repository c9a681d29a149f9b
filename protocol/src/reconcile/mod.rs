//! How two sites agree on the records of a scope.
//!
//! The items of a scope are the times and ids of its records, ascending ([`Items`]). Two sites that hold the same find
//! out with one hash ([`DayHashes`]). When they don't, they compare sums over ranges, split what is unequal, and list
//! what is small (Meyer, "Range-Based Set Reconciliation", 2023), until each knows which of its records the other lacks.
//! Those it sends, newest first. There is no horizon: a newcomer is a site whose ranges are empty, and gets them whole.
//!
//! - [`overview`] finds which of many scopes differ; [`Meetings`] says with whom to reconcile at the same time.
//! - [`Session`] is the machine a connection holds: scopes in order, each in one run, the messages, what to send.
//! - A run is keyed with nonces of both sides, so that nobody can write records whose sums or short ids collide. What
//!   collides all the same is found by the next run, under other nonces.
//! - Everything a peer sends is bounded: bytes of a message, messages and ranges of a turn, turns of a run, runs of a
//!   scope. What a run can't cover it leaves to the next, and says so ([`Tally::partial`]).
//!
//! No I/O, no clock, no randomness here: a session draws its nonces from a seed that is given to it, and a peer that
//! falls silent is for the caller's timers. State lives in [`Session`] and [`DayHashes`] only.

mod days;
mod index;
mod items;
mod meetings;
mod message;
mod outbox;
pub mod overview;
mod run;
mod session;
mod wire;

#[cfg(test)]
mod counts;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod meeting;
#[cfg(test)]
mod properties;

pub use days::{DayHashes, Root};
pub use items::{Edge, Item, Items, Span};
pub use meetings::{Began, Meetings};
pub use message::{Entry, Message, Nonce, NotAMessage, Open, Short, Sum, Turn, What};
pub use run::{Fault, Pace, Tally};
pub use session::{Effect, Outcome, Scopes, Session, agenda};

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most messages of a turn.
pub const MAX_TURN_MESSAGES: u32 = 8;

/// Most ranges a turn speaks of.
pub const MAX_TURN_ENTRIES: usize = 16 * 1024;

/// Turns of both sides together after which a run ends with what it has found.
pub const MAX_TURNS: u32 = 64;

/// Most ranges found unequal that wait for this side's turn; the oldest beyond are left to a later run.
pub const MAX_OPEN: usize = 32 * 1024;

/// Most short ids in one list.
pub const MAX_LIST: usize = 256;

/// Most waiting ids named in a run; only the oldest are when there are more, and the others may be sent in vain.
pub const MAX_WAITING: usize = 256;

/// Most single records remembered for sending in one run; the oldest beyond are left to a later run.
pub const MAX_SINGLES: usize = 64 * 1024;

/// How often a run is repeated that found nothing although the roots differ.
pub const MAX_REPEATS: u32 = 2;

/// Most scopes of a session.
pub const MAX_SCOPES: usize = 16 * 1024;

//! Who a site keeps connections with.
//!
//! After HyParView (Leitão, Pereira, Rodrigues, "HyParView", 2007), adapted: every site knows the whole roster by the
//! grants, so only who is *up* is learned, by trying, and nobody tells others that a site is gone. [`Overlay`] is the
//! machine of one site; it says whom to dial, whom to leave, what to send, and who is a neighbour.
//!
//! - A connection becomes a neighbourhood when one side asks and the other says yes. Slots are reserved for each [`Kind`]
//!   of peer, judged by its grant, and of each kind at least half are for peers this site chose itself. So neither one
//!   captured node nor many of one kind can take all places of a site. What can't be filled is lent to others, and taken
//!   back when it can.
//! - Places for those that ask go by lot: each key has a secret rank at each site, and a better one takes the place of a
//!   worse one. Who was refused or pushed out has no chance there for [`TURNED_AWAY`]. So the places of honest sites are
//!   in proportion to how many they are, however often others ask. One place is kept for those that have no neighbour of
//!   another region, with lots drawn anew each [`ALONE_STAY`]: who has no luck has another chance soon.
//! - Of those this site tries, every other one is looked for in the roster, not among those that peers named; where a kind
//!   is so rare there that a few looks do not find one, a named one is tried after all.
//! - Of each narrow audience a site keeps its successor on the ring of members, and two members in all: what may travel
//!   between members only reaches all of them. Those that don't fit the slots have extra ones, used in turn.
//! - Whom to try next is known by the passive view, bounded for each kind and for each peer it was heard from, and by
//!   walks over the roster. A site that does not answer is away: tried again later and later, by this site, no more.
//!
//! What the transport owes this machine: it authenticates peers; it keeps one connection to a peer, and when both sides
//! dialled, the one that the lower key began; it calls [`Overlay::connected`] for each connection it settles on (again
//! when one replaces another: both sides then ask anew), [`Overlay::closed`] for the last one so reported and never for
//! one that [`Effect::Close`] named, and answers each [`Effect::Dial`] with `connected` or `dial_failed`. Sites that ask
//! each other at once are neighbours without a further word.
//!
//! No I/O, no clock, no randomness here. State lives in [`Overlay`] only.

mod answer;
mod away;
mod door;
mod fill;
mod guard;
mod link;
mod machine;
mod message;
mod passive;
mod ring;
mod search;
mod slots;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod town;

use std::time::Duration;

pub use link::{Neighbour, Origin};
pub use machine::{Effect, Fault, Overlay};
pub use passive::Remembered;
pub use slots::{Kind, Slots};

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 1024;

/// Most keys of a shuffle that are taken; half as many are sent.
pub const MAX_SHUFFLE: usize = 16;

/// Most keys that come with a refusal.
pub const MAX_OTHERS: usize = 6;

/// Most peers in the passive view.
pub const MAX_PASSIVE: usize = 60;

/// Most peers whose silence or refusal is remembered.
pub const MAX_AWAY: usize = 256;

/// Most connections of peers that have not asked yet, or were refused and are still there.
pub const MAX_WAITING: usize = 16;

/// Most dials and questions of this site that are open at once.
pub const MAX_PENDING: usize = 6;

/// Entries of the roster looked at in one tick.
pub const LOOKS_A_TICK: usize = 32;

/// How long a question may stay unanswered, and a peer connected without a question.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a dial may take.
pub const DIAL_WITHIN: Duration = Duration::from_secs(60);

/// A shuffle is begun about this often.
pub const SHUFFLE_EVERY: Duration = Duration::from_secs(60);

/// A far or near neighbour is exchanged about this often.
pub const IMPROVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// A metered site shuffles and improves this many times more seldom.
pub const METERED_SLOWER: u32 = 10;

/// How long a peer that was refused or pushed out is not let in; it does not ask before.
pub const TURNED_AWAY: Duration = Duration::from_secs(10 * 60);

/// Most peers turned away that are remembered.
pub const MAX_TURNED_AWAY: usize = 256;

/// How long the lots of those that ask for places are the same.
pub const LOTS_STAY: Duration = Duration::from_secs(60 * 60);

/// The same of the place for those without a neighbour, or without one of another region.
pub const ALONE_STAY: Duration = Duration::from_secs(10 * 60);

/// How long a link for an audience is kept before another audience has its turn.
pub const AUDIENCE_STAY: Duration = Duration::from_secs(60);

/// For how long a member of an audience is visited before another is.
pub const AUDIENCE_VISIT: Duration = Duration::from_secs(3 * 60);

/// How often links for audiences are looked over when nothing has happened.
pub const AUDIENCE_EVERY: Duration = Duration::from_secs(10);

/// How soon a change of neighbours is handed out to be persisted, at the soonest.
pub const REMEMBER_EVERY: Duration = Duration::from_secs(60);

/// The same of a change in the passive view alone, which changes all the time: flash wears out.
pub const REMEMBER_PASSIVE_EVERY: Duration = Duration::from_secs(10 * 60);

/// The longest time a peer that failed is left alone; the draw makes it up to half as long again.
pub const MAX_BACKOFF: Duration = Duration::from_secs(10 * 60);

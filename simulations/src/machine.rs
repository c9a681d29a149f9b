//! What runs in the world's network: a machine that is told what happened and answers with what to do.
//!
//! A machine owns its state and nothing else: time is told to it, sending and waiting are effects that the world
//! carries out, so that a run depends on the seed alone. The world does not crash machines
//! yet: their state lasts as long as the world.

use std::fmt::Debug;
use std::time::Duration;

use crate::event_log::Event;
use crate::network::NodeId;

/// Something for the world to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message; it may never arrive.
    Send {
        /// The receiver.
        to: NodeId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Call [`Machine::on_timer`] after this time.
    Wake {
        /// How long.
        after: Duration,
        /// Given back as it is.
        token: u64,
    },
    /// Write to the event log: what the invariants look at.
    Log(Event),
}

/// A participant.
pub trait Machine: Debug {
    /// A message arrived.
    fn on_message(&mut self, now: Duration, from: NodeId, bytes: &[u8]) -> Vec<Effect>;

    /// A timer ended. The world calls this once with token 0 to begin with.
    fn on_timer(&mut self, now: Duration, token: u64) -> Vec<Effect>;
}

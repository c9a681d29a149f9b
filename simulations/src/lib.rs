//! A seeded world in which Portolan is broken on purpose.
//!
//! Everything a node takes from the outside through `protocol::seam` has a simulated twin here: time ([`SimClock`]),
//! randomness ([`SimEntropy`]) and the disk ([`SimDisk`]); beside them stands a network of messages. The twins can be
//! used alone, as the storage tests do, or live in a [`World`], where one seed decides everything that happens and a run
//! that fails is had again from its number.

pub mod clock;
pub mod disk;
pub mod event_log;
pub mod faults;
pub mod fleet;
pub mod invariants;
pub mod machine;
pub mod network;
pub mod report;
pub mod rng;
pub mod scenario;
#[cfg(test)]
mod stories;
pub mod workload;
pub mod world;

pub use clock::SimClock;
pub use disk::SimDisk;
pub use network::SimNetwork;
pub use rng::{Rng, SimEntropy};
pub use world::World;

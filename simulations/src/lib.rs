//! A seeded world in which Portolan is broken on purpose.
//!
//! Everything a node takes from the outside through `protocol::seam` has a simulated twin here: time ([`SimClock`]),
//! randomness ([`SimEntropy`]), the disk ([`SimDisk`]), and a network of messages. All of it is decided by one seed: a
//! run that fails is replayed from its number.

pub mod clock;
pub mod disk;
pub mod rng;

pub use clock::SimClock;
pub use disk::SimDisk;
pub use rng::{Rng, SimEntropy};

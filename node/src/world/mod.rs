//! The real world behind the seams: disk, clock, randomness, and requests to others.
//!
//! Nothing else in the node asks the operating system for these. The room holds no state of its own: what a crash loses
//! is what the caller did not sync.

mod clock;
mod disk;
mod entropy;
#[cfg(test)]
pub(crate) mod faulty;
mod no_sync;
pub mod outbound;
#[cfg(test)]
pub(crate) mod scratch;
#[cfg(test)]
pub(crate) mod stepped;
#[cfg(test)]
pub(crate) mod until;

pub use clock::RealClock;
pub use disk::RealDisk;
pub use entropy::RealEntropy;
pub use no_sync::NoSync;

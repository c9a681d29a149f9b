//! Time and randomness.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::time::Timestamp;

/// A wait that ends by itself.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a node knows of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Wall-clock time. May jump; never use it for durations.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment of this process. Never goes backwards.
    fn monotonic(&self) -> Duration;

    /// A future that is ready after `time` of monotonic time.
    fn sleep(&self, time: Duration) -> Sleep;
}

/// Where unpredictable bytes come from: ids, keys, passwords, nonces.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills `out` with bytes nobody can predict (the operating system's generator), or, in a simulation, with bytes
    /// that the seed decides.
    fn fill(&self, out: &mut [u8]);
}

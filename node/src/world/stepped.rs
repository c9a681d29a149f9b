//! A clock for tests: it stands until it is stepped, and whoever sleeps on it steps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Clock, Sleep};

/// Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stepped(Arc<AtomicU64>);

impl Stepped {
    pub(crate) fn step(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, time: Duration) -> Sleep {
        self.step(time);
        Box::pin(std::future::ready(()))
    }
}

//! What tests stand on: a clock moved by hand, seeds, and waits that end.

use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::identity::NodeSecret;
use protocol::seam::{Clock, Entropy, Sleep};
use tokio::sync::watch;

/// What the wall clock of [`Hand`] says at its start.
pub(crate) const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub(crate) struct Hand(Arc<watch::Sender<Duration>>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Duration::from_secs(1))))
    }

    pub(crate) fn seam(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        NOW.plus(*self.0.borrow())
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let (due, mut moved) = (self.monotonic() + time, self.0.subscribe());
        Box::pin(async move {
            if moved.wait_for(|now| *now >= due).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The same bytes each time.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) u8);

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

pub(crate) fn secret(node: u8) -> NodeSecret {
    NodeSecret::from_seed([node; 32])
}

/// What comes, or a failed test: nothing here takes long unless it hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes too long")
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets all other tasks run until none has anything left to do. Only where no I/O is awaited.
pub(crate) async fn settled() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

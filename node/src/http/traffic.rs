//! What a connection is doing, so that one that does nothing can be told from one that is slow.
//!
//! [`Traffic`] belongs to one connection: the server looks at it now and then ([`super::server`]), the connection's
//! stream counts bytes into it, and each request leaves an [`Exchange`] in it for as long as its answer takes. Without
//! it a client could hold streams open for ever by never reading, which neither HTTP/1.1 nor HTTP/2 servers notice by
//! themselves: a body nobody reads is a body nobody polls.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::seam::Clock;

use crate::telemetry::Metrics;

/// One connection.
#[derive(Debug)]
pub struct Traffic {
    clock: Arc<dyn Clock>,
    moved: AtomicU64,
    requests: AtomicU64,
    active: AtomicUsize,
    unread: AtomicBool,
    sending: Mutex<Vec<Arc<AtomicU64>>>,
}

/// What a look at a connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Grows with each byte either way.
    pub moved: u64,
    /// Requests begun so far.
    pub requests: u64,
    /// Requests whose answer is not wholly handed over.
    pub active: usize,
    /// The longest time for which a response body was not asked for more.
    pub unread: Duration,
}

impl Traffic {
    /// A connection that just began.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            moved: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            unread: AtomicBool::new(false),
            sending: Mutex::new(Vec::new()),
        })
    }

    /// Counts bytes that moved, either way.
    pub fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A request was answered before all of its body was read: the connection will end with input left.
    pub fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether input was left unread.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// How things stand.
    #[must_use]
    pub fn look(&self) -> Look {
        let now = self.now();
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.retain(|last| Arc::strong_count(last) > 1);
        let oldest = sending.iter().map(|last| last.load(Ordering::Relaxed)).min().unwrap_or(now);
        Look {
            moved: self.moved.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            active: self.active.load(Ordering::Relaxed),
            unread: Duration::from_millis(now.saturating_sub(oldest)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>, metrics: &Arc<Metrics>, request: &Arc<str>) -> Exchange {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        metrics.in_flight.inc();
        Exchange { traffic: Arc::clone(self), metrics: Arc::clone(metrics), request: Arc::clone(request), last: None }
    }
}

/// One request, until the last byte of its answer was handed to the connection.
#[derive(Debug)]
pub struct Exchange {
    traffic: Arc<Traffic>,
    metrics: Arc<Metrics>,
    request: Arc<str>,
    /// When its body was last asked for bytes.
    last: Option<Arc<AtomicU64>>,
}

impl Exchange {
    /// From now on the answer's body is expected to be read.
    pub fn watch(&mut self) {
        let last = Arc::new(AtomicU64::new(self.traffic.now()));
        self.traffic.sending.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&last));
        self.last = Some(last);
    }

    /// The body gave this many bytes.
    pub fn sent(&self, bytes: usize) {
        self.metrics.bytes_out.inc_by(bytes as u64);
        if let Some(last) = &self.last {
            last.store(self.traffic.now(), Ordering::Relaxed);
        }
    }

    /// The request's id.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.traffic.active.fetch_sub(1, Ordering::Relaxed);
        self.metrics.in_flight.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Timestamp;
    use protocol::seam::Sleep;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);
    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
        fn sleep(&self, _: Duration) -> Sleep {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn an_answer_nobody_reads_shows() {
        let clock = Arc::new(Hand::default());
        let traffic = Traffic::new(Arc::<Hand>::clone(&clock));
        let metrics = Arc::new(Metrics::new());
        let mut exchange = traffic.begin(&metrics, &"r".into());
        assert_eq!(traffic.look(), Look { moved: 0, requests: 1, active: 1, unread: Duration::ZERO });
        exchange.watch();
        clock.0.store(5000, Ordering::Relaxed);
        assert_eq!(traffic.look().unread, Duration::from_secs(5));
        exchange.sent(10);
        assert_eq!(traffic.look().unread, Duration::ZERO);
        clock.0.store(9000, Ordering::Relaxed);
        drop(exchange);
        assert_eq!(traffic.look(), Look { moved: 0, requests: 1, active: 0, unread: Duration::ZERO });
    }
}

//! Virtual time.
//!
//! One [`SimClock`] is one node's view of a time line that all views share: monotonic time only moves when somebody
//! calls [`SimClock::advance`], wall time is monotonic time plus the epoch plus the view's own skew. The world owns the
//! time line, a node owns its view. A node that crashes loses nothing of it: real time does not stop either.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Clock, Sleep};

/// Wall time at monotonic zero without skew: 2026-01-01T00:00:00Z.
pub const EPOCH: Timestamp = Timestamp(1_767_225_600_000);

/// A clock that stands still until it is advanced.
#[derive(Clone)]
pub struct SimClock {
    line: Arc<Mutex<TimeLine>>,
    skew_ms: Arc<AtomicI64>,
}

#[derive(Default)]
struct TimeLine {
    now: Duration,
    next_sleeper: u64,
    /// By deadline, then by the order in which they fell asleep: the order of waking is part of what a seed decides.
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimClock").field("monotonic", &self.monotonic()).field("wall", &self.now()).finish()
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SimClock {
    /// A new time line at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { line: Arc::default(), skew_ms: Arc::default() }
    }

    /// Another view of the same time line whose wall clock is `skew_ms` off.
    #[must_use]
    pub fn view(&self, skew_ms: i64) -> Self {
        Self { line: Arc::clone(&self.line), skew_ms: Arc::new(AtomicI64::new(skew_ms)) }
    }

    /// Moves time and wakes the sleepers whose time has come, in the order of their deadlines.
    pub fn advance(&self, by: Duration) {
        let now = self.monotonic().saturating_add(by);
        self.advance_to(now);
    }

    /// As [`Self::advance`], to a moment; a moment that is past changes nothing.
    pub fn advance_to(&self, moment: Duration) {
        let mut due = Vec::new();
        {
            let mut line = self.line();
            line.now = line.now.max(moment);
            while let Some(first) = line.sleepers.first_entry() {
                if first.key().0 > moment {
                    break;
                }
                due.extend(first.remove());
            }
        }
        // Outside the lock: a waker may run its task at once, and the task may ask for the time.
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves time to the next deadline somebody sleeps for; false when nobody does.
    pub fn advance_to_next(&self) -> bool {
        let next = self.next_deadline();
        next.map(|moment| self.advance_to(moment)).is_some()
    }

    /// When the next sleeper wants to wake.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.line().sleepers.first_key_value().map(|(&(deadline, _), _)| deadline)
    }

    /// Sets how far this view's wall clock is off.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::SeqCst);
    }

    /// Makes this view's wall clock jump; monotonic time does not notice.
    pub fn jump_ms(&self, by_ms: i64) {
        let jumped = self.skew_ms.load(Ordering::SeqCst).saturating_add(by_ms);
        self.skew_ms.store(jumped, Ordering::SeqCst);
    }

    fn line(&self) -> MutexGuard<'_, TimeLine> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let true_time = EPOCH.plus(self.monotonic());
        // Saturates at 1970: a device without a clock battery boots there, none boots before.
        Timestamp(true_time.0.saturating_add_signed(self.skew_ms.load(Ordering::SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        self.line().now
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let mut line = self.line();
        let key = (line.now.saturating_add(time), line.next_sleeper);
        line.next_sleeper += 1;
        line.sleepers.insert(key, None);
        Box::pin(Sleeper { line: Arc::clone(&self.line), key })
    }
}

struct Sleeper {
    line: Arc<Mutex<TimeLine>>,
    key: (Duration, u64),
}

impl Future for Sleeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.now >= self.key.0 {
            line.sleepers.remove(&self.key);
            return Poll::Ready(());
        }
        line.sleepers.insert(self.key, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    /// Notes its turn when it is woken.
    struct Turn {
        turns: Arc<AtomicUsize>,
        mine: AtomicUsize,
    }

    impl Wake for Turn {
        fn wake(self: Arc<Self>) {
            self.mine.store(self.turns.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
    }

    fn poll(sleep: &mut Sleep, waker: &Waker) -> bool {
        sleep.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
    }

    #[test]
    fn time_stands_still_until_advanced() {
        let clock = SimClock::new();
        assert_eq!((clock.monotonic(), clock.now()), (Duration::ZERO, EPOCH));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().since(EPOCH), Duration::from_secs(2));
    }

    #[test]
    fn a_jump_moves_the_wall_clock_of_one_view_only() {
        let clock = SimClock::new();
        let (skewed, other) = (clock.view(-5_000), clock.view(0));
        skewed.jump_ms(1_000);
        clock.advance(Duration::from_secs(10));
        assert_eq!(skewed.now().0, EPOCH.0 + 6_000);
        assert_eq!(other.now().0, EPOCH.0 + 10_000);
        assert_eq!(skewed.monotonic(), other.monotonic());
        skewed.set_skew_ms(i64::MIN);
        assert_eq!(skewed.now(), Timestamp(0));
    }

    #[test]
    fn sleepers_wake_by_deadline_then_by_order_of_sleeping() {
        let clock = SimClock::new();
        let turns = Arc::new(AtomicUsize::new(0));
        let mut sleepers: Vec<(Sleep, Arc<Turn>)> = [30, 10, 20, 10]
            .into_iter()
            .map(|ms| {
                let turn = Arc::new(Turn { turns: Arc::clone(&turns), mine: AtomicUsize::new(0) });
                (clock.sleep(Duration::from_millis(ms)), turn)
            })
            .collect();
        for (sleep, turn) in &mut sleepers {
            assert!(!poll(sleep, &Waker::from(Arc::clone(turn))));
        }
        clock.advance(Duration::from_millis(20));
        let woken: Vec<usize> = sleepers.iter().map(|(_, turn)| turn.mine.load(Ordering::SeqCst)).collect();
        assert_eq!(woken, [0, 1, 3, 2]);
        assert!(poll(&mut sleepers[1].0, Waker::noop()));
        assert!(!poll(&mut sleepers[0].0, Waker::noop()));
    }

    #[test]
    fn a_dropped_sleep_is_forgotten() {
        let clock = SimClock::new();
        let sleep = clock.sleep(Duration::from_secs(1));
        assert_eq!(clock.next_deadline(), Some(Duration::from_secs(1)));
        drop(sleep);
        assert_eq!(clock.next_deadline(), None);
        assert!(!clock.advance_to_next());
    }

    #[test]
    fn stepping_goes_to_the_next_deadline() {
        let clock = SimClock::new();
        let mut sleep = clock.sleep(Duration::from_secs(3));
        assert!(clock.advance_to_next());
        assert_eq!(clock.monotonic(), Duration::from_secs(3));
        assert!(poll(&mut sleep, Waker::noop()));
    }
}

//! The one place where tests wait: a bounded poll of a condition. Owns no state.
//!
//! A story never sleeps for a while and hopes; it names what it waits for and how long that may take.
#![expect(
    clippy::disallowed_methods,
    reason = "tests watch other processes from outside, so real time is the only clock there is"
)]

use std::time::{Duration, Instant};

/// How often the condition is asked: short against a daemon's start, long against the cost of asking.
const PAUSE: Duration = Duration::from_millis(25);

/// Polls `condition` until it gives a value, and panics with `what` when `limit` has passed without one.
pub fn until<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    within(limit, condition).unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}

/// Polls `condition` until it gives a value or `limit` has passed.
pub fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

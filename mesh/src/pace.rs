//! How fast something may come: so many at once, so many a second. Pure; whoever paces owns the bucket.

use std::time::Duration;

/// How many of something may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// In a second, over time.
    pub per_second: u32,
    /// At once, after a rest.
    pub burst: u32,
}

/// What is left of a pace. Counted in millionths, so that a second is no step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    pace: Pace,
    left: u64,
    at: Duration,
}

const ONE: u64 = 1_000_000;

impl Bucket {
    /// A full one, at this monotonic time.
    pub(crate) fn new(pace: Pace, now: Duration) -> Self {
        Self { pace, left: Self::most(pace), at: now }
    }

    fn most(pace: Pace) -> u64 {
        u64::from(pace.burst.max(1)) * ONE
    }

    fn refill(&mut self, now: Duration) {
        let micros = u64::try_from(now.saturating_sub(self.at).as_micros()).unwrap_or(u64::MAX);
        let more = micros.saturating_mul(u64::from(self.pace.per_second));
        self.left = self.left.saturating_add(more).min(Self::most(self.pace));
        self.at = self.at.max(now);
    }

    /// Takes one; or says how long until there is one.
    pub(crate) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.refill(now);
        if let Some(left) = self.left.checked_sub(ONE) {
            self.left = left;
            return Ok(());
        }
        Err(Duration::from_micros((ONE - self.left).div_ceil(u64::from(self.pace.per_second.max(1)))))
    }

    /// Whether less than half is left.
    pub(crate) fn is_low(&mut self, now: Duration) -> bool {
        self.refill(now);
        self.left < Self::most(self.pace) / 2
    }

    /// How much is left: the fuller, the less is forgotten with it.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            per_second in 1u32..1000, burst in 1u32..100, steps in proptest::collection::vec(0u64..50_000, 1..400)
        ) {
            let mut bucket = Bucket::new(Pace { per_second, burst }, Duration::ZERO);
            let (mut now, mut taken) = (Duration::ZERO, 0u64);
            for step in steps {
                now += Duration::from_micros(step);
                match bucket.take(now) {
                    Ok(()) => taken += 1,
                    Err(wait) => {
                        prop_assert!(!wait.is_zero());
                        prop_assert!(bucket.clone().take(now + wait).is_ok(), "the wait is enough");
                    }
                }
                let most = u64::from(burst) + now.as_micros() as u64 * u64::from(per_second) / ONE;
                prop_assert!(taken <= most, "{taken} of {most}");
            }
        }
    }
}

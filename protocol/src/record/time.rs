//! Hybrid time: close to the wall clock, never behind what was seen (Kulkarni et al., "Logical Physical Clocks", 2014).
//!
//! [`HybridClock`] is the state of one node. The times it gives out stay below a bound that is durable before; so a node
//! that loses its unsynced state, or starts without a clock of its own, never gives a time out twice.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How far ahead of its own wall clock a site takes a record at all. Up to that it waits outside the set; beyond, its
/// author is told to write it again.
pub const MOST_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the durable bound is raised beyond the time asked for: one durable write for so much time.
const RESERVE: Duration = Duration::from_secs(60);

/// Bits of the counter.
const COUNTER_BITS: u32 = 16;

/// Milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HybridTime(pub u64);

impl HybridTime {
    /// The first time of a moment. Moments after the year 10889 count as that.
    #[must_use]
    pub const fn at(moment: Timestamp) -> Self {
        let most = u64::MAX >> COUNTER_BITS;
        Self(if moment.0 > most { u64::MAX } else { moment.0 << COUNTER_BITS })
    }

    /// The moment it is close to.
    #[must_use]
    pub const fn moment(self) -> Timestamp {
        Timestamp(self.0 >> COUNTER_BITS)
    }

    /// The day it falls in, counted from 1970.
    #[must_use]
    pub const fn day(self) -> u32 {
        // 48 bits of milliseconds are less than 2^22 days.
        (self.moment().0 / 86_400_000) as u32
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a site does with a record because of its time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// It is of now or of the past.
    Due,
    /// It waits, durably and outside the set, until this moment.
    WaitsUntil(Timestamp),
    /// Too far ahead: not kept; its author is told to write it again.
    TooFarAhead,
}

impl Timeliness {
    /// Judges a time by the wall clock of this site.
    #[must_use]
    pub fn of(time: HybridTime, now: Timestamp) -> Self {
        let moment = time.moment();
        if moment <= now {
            Self::Due
        } else if moment <= now.plus(MOST_AHEAD) {
            Self::WaitsUntil(moment)
        } else {
            Self::TooFarAhead
        }
    }
}

/// The clock of one author.
#[derive(Clone, Copy, Debug)]
pub struct HybridClock {
    last: HybridTime,
    bound: HybridTime,
}

/// The durable bound must be raised first: write `0`, then call [`HybridClock::raise`] with it and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaiseBound(pub HybridTime);

impl HybridClock {
    /// The clock of a node whose durable bound is this; nothing was ever given out at or above it.
    #[must_use]
    pub const fn resume(bound: HybridTime) -> Self {
        Self { last: bound, bound }
    }

    /// A time greater than any given out or seen.
    ///
    /// # Errors
    /// [`RaiseBound`] when it would not lie below the durable bound.
    pub fn next(&mut self, now: Timestamp) -> Result<HybridTime, RaiseBound> {
        let time = HybridTime::at(now).max(self.last.next());
        if time >= self.bound {
            return Err(RaiseBound(HybridTime::at(time.moment().plus(RESERVE)).max(time.next())));
        }
        self.last = time;
        Ok(time)
    }

    /// The bound is durable now. Never lowers it.
    pub fn raise(&mut self, bound: HybridTime) {
        self.bound = self.bound.max(bound);
    }

    /// A record of this time is in the set: whatever is written from now on is later. One that is far ahead never gets
    /// into the set before its time, so a wrong clock elsewhere does not move this one.
    pub fn observe(&mut self, time: HybridTime) {
        self.last = self.last.max(time);
    }

    /// The greatest time given out or seen.
    #[must_use]
    pub const fn last(&self) -> HybridTime {
        self.last
    }
}

impl fmt::Debug for HybridTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.moment(), self.0 & ((1 << COUNTER_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(clock: &mut HybridClock, now: u64) -> HybridTime {
        loop {
            match clock.next(Timestamp(now)) {
                Ok(time) => return time,
                Err(RaiseBound(bound)) => clock.raise(bound),
            }
        }
    }

    #[test]
    fn it_follows_the_wall_clock_and_never_goes_back() {
        let mut clock = HybridClock::resume(HybridTime::default());
        assert_eq!(next(&mut clock, 1000), HybridTime::at(Timestamp(1000)));
        let again = next(&mut clock, 1000);
        assert_eq!((again.moment(), again.0 & 0xffff), (Timestamp(1000), 1));
        assert!(next(&mut clock, 500) > again, "the wall clock was set back");
        clock.observe(HybridTime::at(Timestamp(9000)));
        assert!(next(&mut clock, 2000) > HybridTime::at(Timestamp(9000)));
        assert_eq!(next(&mut clock, 20_000).moment(), Timestamp(20_000));
    }

    #[test]
    fn nothing_is_given_out_at_or_above_the_durable_bound() {
        let mut clock = HybridClock::resume(HybridTime::default());
        let RaiseBound(bound) = clock.next(Timestamp(1000)).unwrap_err();
        // The bound was not made durable: the node crashes and comes back with the old one.
        assert!(clock.next(Timestamp(1000)).is_err());
        clock.raise(bound);
        let given = clock.next(Timestamp(1000)).unwrap();
        assert!(given < bound);
        let mut resumed = HybridClock::resume(bound);
        assert!(next(&mut resumed, 0) > given, "also without a wall clock");
    }

    #[test]
    fn a_record_ahead_of_time_waits_or_is_sent_back() {
        let now = Timestamp(1_000_000);
        let ahead = |ms| Timeliness::of(HybridTime::at(Timestamp(now.0 + ms)), now);
        assert_eq!(ahead(0), Timeliness::Due);
        assert_eq!(ahead(1), Timeliness::WaitsUntil(Timestamp(now.0 + 1)));
        assert_eq!(ahead(86_400_000), Timeliness::WaitsUntil(Timestamp(now.0 + 86_400_000)));
        assert_eq!(ahead(86_400_001), Timeliness::TooFarAhead);
        assert_eq!(Timeliness::of(HybridTime(u64::MAX), now), Timeliness::TooFarAhead);
        assert_eq!(HybridTime::at(Timestamp(u64::MAX)), HybridTime(u64::MAX));
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(HybridTime::at(Timestamp(86_399_999)).day(), 0);
        assert_eq!(HybridTime::at(Timestamp(86_400_000)).day(), 1);
    }
}

//! A walk over the roster in an order nobody else can foresee, each site once. [`Search`] owns where it stands.

use std::time::Duration;

use crate::draw::Draw;
use crate::identity::NodeKey;
use crate::roster::Roster;

/// A walk begins again so long after one that did not find all that was wanted, doubling up to [`MOST_GAP`].
const FIRST_GAP: Duration = Duration::from_secs(30);
const MOST_GAP: Duration = Duration::from_secs(5 * 60);

/// The walk.
#[derive(Debug)]
pub(super) struct Search {
    count: usize,
    at: usize,
    step: usize,
    left: usize,
    again: Duration,
    gap: Duration,
    /// Whether a walk has come to its end since the roster changed.
    pub(super) is_through: bool,
}

impl Search {
    pub(super) const fn new() -> Self {
        Self { count: 0, at: 0, step: 1, left: 0, again: Duration::ZERO, gap: FIRST_GAP, is_through: false }
    }

    /// The roster is another.
    pub(super) const fn reset(&mut self) {
        *self = Self::new();
    }

    /// Something is wanted: begins a walk when the last one is long enough ago.
    pub(super) fn wake(&mut self, now: Duration, roster: &dyn Roster, draw: &mut Draw) {
        if self.left > 0 || now < self.again {
            return;
        }
        self.count = roster.count();
        self.left = self.count;
        self.at = draw.below(self.count);
        self.step = 1;
        // A step without a common divisor reaches every site; most are such.
        for _ in 0..16 {
            let step = 1 + draw.below(self.count);
            if divisor(step, self.count) == 1 {
                self.step = step;
                break;
            }
        }
    }

    /// The next site; `None` at the end.
    pub(super) fn next(&mut self, now: Duration, roster: &dyn Roster) -> Option<NodeKey> {
        self.left = self.left.checked_sub(1)?;
        if self.left == 0 {
            self.is_through = true;
            self.again = now + self.gap;
            self.gap = (self.gap * 2).min(MOST_GAP);
        }
        let number = self.at;
        self.at = (self.at + self.step) % self.count.max(1);
        roster.nth(number)
    }
}

const fn divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

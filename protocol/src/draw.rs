//! Draws of the machines: from a seed that is given to them, so that nothing here asks for randomness.
//!
//! A machine owns its [`Draw`]. With a secret seed nobody outside can foresee what it draws: which peers it tries, and
//! when, is not for others to choose.

use std::time::Duration;

/// A sequence of numbers decided by a seed (BLAKE3 in counter mode).
#[derive(Clone)]
pub struct Draw {
    seed: [u8; 32],
    drawn: u64,
}

impl std::fmt::Debug for Draw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draw").finish_non_exhaustive()
    }
}

impl Draw {
    /// The sequence of a seed, which must be random and used for nothing else.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.drawn += 1;
        let hash = blake3::keyed_hash(&self.seed, &self.drawn.to_le_bytes());
        let mut word = [0; 8];
        word.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_le_bytes(word)
    }

    /// A number under `bound`; zero when `bound` is zero. The bias is at most `bound` in 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.bits()) * bound as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// A time from zero up to, and not including, `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = usize::try_from(most.as_nanos()).unwrap_or(usize::MAX);
        Duration::from_nanos(self.below(nanos) as u64)
    }

    /// Between half of `usual` and one and a half: so that sites started together do not stay in step.
    pub fn about(&mut self, usual: Duration) -> Duration {
        usual / 2 + self.up_to(usual)
    }

    /// One of them.
    pub fn one<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// Puts the first `count` in random order: a sample of that size, in front.
    pub fn shuffle<T>(&mut self, items: &mut [T], count: usize) {
        for at in 0..count.min(items.len()) {
            let with = at + self.below(items.len() - at);
            items.swap(at, with);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_and_another_decides_otherwise() {
        let draws = |seed| {
            let mut draw = Draw::new([seed; 32]);
            (0..50).map(|_| draw.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn what_is_drawn_lies_within_its_bounds_and_reaches_them() {
        let mut draw = Draw::new([7; 32]);
        let mut seen = [0; 5];
        (0..1000).for_each(|_| seen[draw.below(5)] += 1);
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.one::<u8>(&[]), None);
        let minute = Duration::from_secs(60);
        for _ in 0..100 {
            let about = draw.about(minute);
            assert!(about >= minute / 2 && about < minute * 3 / 2);
        }
        let mut items: Vec<u32> = (0..100).collect();
        draw.shuffle(&mut items, 10);
        assert_ne!(items[..10], (0..10).collect::<Vec<_>>()[..]);
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}

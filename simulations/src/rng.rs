//! The seed: where every decision of a simulated world comes from.
//!
//! A generator is a key and a position. A fork depends on the key and on a label alone, never on the position, so one
//! more draw in the network does not shift what the disk draws: a seed that failed yesterday still says the same about
//! the parts that did not change. Whoever forks owns the fork. Nothing here is secret and nothing survives the process;
//! the seed is enough to have it all again.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::seam::Entropy;

/// A seeded generator (xoshiro256**, keyed by BLAKE3). Not for secrets.
#[derive(Clone)]
pub struct Rng {
    key: [u8; 32],
    state: [u64; 4],
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

impl Rng {
    /// The generator of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::from_key(blake3::derive_key("portolan simulations seed", &seed.to_le_bytes()))
    }

    /// A generator of its own for `label`. Two forks with one label are the same, however much was drawn in between.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::from_key(*blake3::keyed_hash(&self.key, label.as_bytes()).as_bytes())
    }

    fn from_key(key: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(key.chunks_exact(8)) {
            for (at, byte) in bytes.iter().enumerate() {
                *word |= u64::from(*byte) << (8 * at);
            }
        }
        // All zeros is the one state xoshiro never leaves.
        state[3] |= u64::from(state == [0; 4]);
        Self { key, state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let out = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        out
    }

    /// A number under `bound`; zero when `bound` is zero. The bias is at most `bound` in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// An index into something of `len` elements; zero when it has none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are exact in an f64, so every machine compares the same two numbers.
        let unit = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// A duration from zero up to and including `most`, in microseconds.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            let with = self.index(at + 1);
            items.swap(at, with);
        }
    }
}

/// A generator behind the seam through which Portolan asks for unpredictable bytes.
#[derive(Debug)]
pub struct SimEntropy(Mutex<Rng>);

impl SimEntropy {
    /// Bytes that `rng` decides.
    #[must_use]
    pub const fn new(rng: Rng) -> Self {
        Self(Mutex::new(rng))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_says_the_same() {
        let (mut a, mut b) = (Rng::from_seed(7), Rng::from_seed(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
        assert_ne!(Rng::from_seed(7).next_u64(), Rng::from_seed(8).next_u64());
    }

    #[test]
    fn a_draw_does_not_shift_a_fork() {
        let still = Rng::from_seed(1);
        let mut moved = Rng::from_seed(1);
        moved.next_u64();
        assert_eq!(still.fork("disk").next_u64(), moved.fork("disk").next_u64());
        assert_ne!(still.fork("disk").next_u64(), still.fork("network").next_u64());
    }

    #[test]
    fn numbers_stay_in_bounds_and_reach_them() {
        let mut rng = Rng::from_seed(2);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[rng.index(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
        assert!(!rng.chance(0.0));
        assert!(rng.chance(1.0));
    }

    #[test]
    fn chance_is_about_right() {
        let mut rng = Rng::from_seed(3);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..20).collect();
        Rng::from_seed(4).shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn entropy_is_the_generator() {
        let entropy = SimEntropy::new(Rng::from_seed(5));
        let (mut got, mut want) = ([0; 13], [0; 13]);
        entropy.fill(&mut got);
        Rng::from_seed(5).fill(&mut want);
        assert_eq!(got, want);
    }
}

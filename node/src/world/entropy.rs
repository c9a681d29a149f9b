//! Randomness of the operating system. No state.

use protocol::seam::Entropy;

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // Keys and session ids made of anything else could be guessed: better no node than such a node. On Linux
            // this can only happen where the call is forbidden altogether.
            tracing::error!(%error, "the operating system gives no randomness");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_and_never_twice_the_same() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        RealEntropy.fill(&mut one);
        RealEntropy.fill(&mut two);
        assert_ne!(one, two);
    }
}

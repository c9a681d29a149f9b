//! Passwords: argon2id, for people only.
//!
//! Checking one costs 19 MiB and some 30 ms by design, so it happens on the blocking pool, a few at a time, with a
//! bounded number of waiters; what was verified is remembered by [`super::authenticator`] for a short while.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::seam::Entropy;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Secret;

/// Longest password looked at: hashing must not be a way to make the node work.
pub(super) const MAX_LEN: usize = 1024;

/// Memory in KiB, passes, lanes: OWASP's first choice for argon2id.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verifier {
    cost: (u32, u32, u32),
    salt: [u8; 16],
    hash: [u8; 32],
}

/// The parameters of a stored verifier make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored password verifier is damaged")]
pub(super) struct Damaged;

impl Verifier {
    /// A verifier for `password`.
    pub(super) fn new(password: &Secret, entropy: &dyn Entropy) -> Result<Self, Damaged> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        let hash = hash(password, &salt, COST)?;
        Ok(Self { cost: COST, salt, hash })
    }

    /// A verifier no password meets, of the same cost: what an unknown name is checked against, so that its answer
    /// takes as long (CVE-2026-32595).
    pub(super) fn of_nobody() -> Self {
        Self { cost: COST, salt: [0; 16], hash: [0; 32] }
    }

    /// Whether `password` is the one.
    pub(super) fn matches(&self, password: &Secret) -> Result<bool, Damaged> {
        Ok(hash(password, &self.salt, self.cost)?.ct_eq(&self.hash).into())
    }
}

/// What is kept of a password where a test logs in thousands of times: the same, at the least cost there is.
#[cfg(test)]
pub(crate) fn quick_verifier(password: &Secret) -> Vec<u8> {
    let (cost, salt) = ((8, 1, 1), [7; 16]);
    let hash = hash(password, &salt, cost).unwrap();
    postcard::to_stdvec(&Verifier { cost, salt, hash }).unwrap()
}

fn hash(password: &Secret, salt: &[u8], (memory, passes, lanes): (u32, u32, u32)) -> Result<[u8; 32], Damaged> {
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| Damaged)?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.reveal().as_bytes(), salt, &mut out)
        .map_err(|_| Damaged)?;
    Ok(out)
}

/// A password nobody guesses: 24 characters that are told apart when read aloud.
pub(super) fn random(entropy: &dyn Entropy) -> Secret {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJ";
    let mut bytes = [0; 24];
    entropy.fill(&mut bytes);
    Secret::new(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect::<String>())
}

/// A robot's secret: 256 random bits as text, with a letter of each case and a digit for those who look for them.
pub(super) fn robot_secret(entropy: &dyn Entropy) -> Secret {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    Secret::new(format!("Pr0{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// A password that is too easy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 8 to 128 characters, with an upper-case letter, a lower-case letter and a digit")]
pub struct WeakPassword;

/// Whether a person may take this as a password: Harbor's rules.
///
/// # Errors
/// [`WeakPassword`].
pub fn check_rules(password: &Secret) -> Result<(), WeakPassword> {
    let text = password.reveal();
    let has = |which: fn(char) -> bool| text.chars().any(which);
    let is_long = (8..=128).contains(&text.chars().count());
    let is_mixed = has(|c| c.is_ascii_uppercase()) && has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_digit());
    if is_long && is_mixed { Ok(()) } else { Err(WeakPassword) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) {
            out.iter_mut().zip(0u8..).for_each(|(slot, n)| *slot = n);
        }
    }

    #[test]
    fn the_password_and_nothing_else_matches() {
        let verifier = Verifier::new(&Secret::new("correct horse"), &Counting).unwrap();
        assert!(verifier.matches(&Secret::new("correct horse")).unwrap());
        // Every byte counts, also behind those some hashes cut off (RUSTSEC-2026-0199).
        let long = "x".repeat(200);
        let of_long = Verifier::new(&Secret::new(long.clone()), &Counting).unwrap();
        for wrong in ["", "correct horsf", "correct horse ", "correct hors"] {
            assert!(!verifier.matches(&Secret::new(wrong)).unwrap(), "{wrong}");
        }
        assert!(!of_long.matches(&Secret::new(format!("{long}y"))).unwrap());
        assert!(!Verifier::of_nobody().matches(&Secret::new("")).unwrap());
    }

    #[test]
    fn random_passwords_are_long_and_typable() {
        let password = random(&Counting);
        assert_eq!(password.reveal().len(), 24);
        assert!(password.reveal().bytes().all(|b| b.is_ascii_alphabetic()));
    }
}

//! Sessions of browsers. State: one bounded table a node, in memory: a restart logs everyone out.
//!
//! A session is named by 256 random bits that stand in a cookie; the table holds their hash. What changes something wants
//! a second token beside the cookie, made of the session's name, which another site's page can't read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::seam::Entropy;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::Secret;
use super::token::Key;

/// Sessions at most; the one that was not used for longest makes room.
const MOST: usize = 10_000;
/// However busy, a session ends after so long.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug)]
struct Session {
    user: u32,
    generation: u64,
    made: Duration,
    used: Duration,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    table: Mutex<HashMap<[u8; 32], Session>>,
    key: Key,
}

fn name_of(id: &Secret) -> [u8; 32] {
    Sha256::digest(id.reveal().as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sessions {
    /// No sessions yet; `key` makes their second tokens.
    pub(super) fn new(key: Key) -> Self {
        Self { table: Mutex::default(), key }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session of a person; gives back what stands in the cookie.
    pub(super) fn begin(&self, user: u32, generation: u64, entropy: &dyn Entropy, now: Duration) -> Secret {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        let id = Secret::new(hex(&bytes));
        let mut table = self.table();
        while table.len() >= MOST {
            let Some(oldest) = table.iter().min_by_key(|(_, session)| session.used).map(|(name, _)| *name) else {
                break;
            };
            table.remove(&oldest);
        }
        table.insert(name_of(&id), Session { user, generation, made: now, used: now });
        id
    }

    /// The person of a session and the generation of the account when it began, if it is not over; it is used now.
    pub(super) fn find(&self, id: &Secret, idle: Duration, now: Duration) -> Option<(u32, u64)> {
        let (name, mut table) = (name_of(id), self.table());
        let session = table.get_mut(&name)?;
        let is_over = now.saturating_sub(session.used) >= idle || now.saturating_sub(session.made) >= LONGEST;
        if is_over {
            table.remove(&name);
            return None;
        }
        session.used = now;
        Some((session.user, session.generation))
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &Secret) {
        self.table().remove(&name_of(id));
    }

    /// What has to stand beside the cookie when something is changed.
    pub(super) fn second_token(&self, id: &Secret) -> String {
        hex(&self.key.mac(&[b"csrf ", id.reveal().as_bytes()].concat()))
    }

    /// Whether this stands there.
    pub(super) fn is_second_token(&self, id: &Secret, shown: &str) -> bool {
        self.second_token(id).as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::RealEntropy;

    const IDLE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_session_lives_while_it_is_used_and_no_longer_than_a_day() {
        let sessions = Sessions::new(Key::new(&[1; 32]).unwrap());
        let id = sessions.begin(7, 3, &RealEntropy, at(0));
        assert_eq!(sessions.find(&id, IDLE, at(59)), Some((7, 3)));
        assert_eq!(sessions.find(&id, IDLE, at(118)), Some((7, 3)));
        assert_eq!(sessions.find(&id, IDLE, at(178)), None, "unused for a minute");
        assert_eq!(sessions.find(&Secret::new("guess"), IDLE, at(0)), None);
        let id = sessions.begin(7, 3, &RealEntropy, at(0));
        assert_eq!(sessions.find(&id, LONGEST * 2, LONGEST), None);
        let id = sessions.begin(7, 3, &RealEntropy, at(0));
        sessions.end(&id);
        assert_eq!(sessions.find(&id, IDLE, at(1)), None);
    }

    #[test]
    fn the_second_token_is_of_one_session() {
        let sessions = Sessions::new(Key::new(&[1; 32]).unwrap());
        let (one, two) = (sessions.begin(1, 1, &RealEntropy, at(0)), sessions.begin(1, 1, &RealEntropy, at(0)));
        assert!(sessions.is_second_token(&one, &sessions.second_token(&one)));
        assert!(!sessions.is_second_token(&one, &sessions.second_token(&two)));
        assert!(!sessions.is_second_token(&one, ""));
    }

    #[test]
    fn there_are_only_so_many() {
        let sessions = Sessions::new(Key::new(&[1; 32]).unwrap());
        let first = sessions.begin(1, 1, &RealEntropy, at(0));
        for n in 0..MOST as u64 {
            sessions.begin(1, 1, &RealEntropy, at(1 + n / 1000));
        }
        assert_eq!(sessions.table().len(), MOST);
        assert_eq!(sessions.find(&first, IDLE, at(2)), None, "the oldest made room");
    }
}

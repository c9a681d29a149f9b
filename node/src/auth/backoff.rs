//! Log-ins that failed, and how long who failed has to wait. Pure: time comes in. State: one bounded map a node.
//!
//! Counted are the account together with the address, the address alone, and the account alone, in this order of
//! patience: someone who mistypes waits for seconds, someone who tries many names from one place for a minute, and an account that
//! many places try stays open to its owner, whose password is checked at most so often. A verified password that is
//! remembered never waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Entries kept at most.
const MOST: usize = 65_536;
/// After so long without a failure, all is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Both([u8; 16], IpAddr),
    Address(IpAddr),
    Account([u8; 16]),
}

impl Key {
    /// Failures that cost nothing, and the longest wait after more.
    const fn patience(self) -> (u32, Duration) {
        match self {
            Self::Both(..) => (5, Duration::from_secs(60)),
            Self::Address(_) => (30, Duration::from_secs(60)),
            Self::Account(_) => (50, Duration::from_secs(5)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Duration,
    until: Duration,
}

/// What is remembered of failures.
#[derive(Debug, Default)]
pub(super) struct Backoff(HashMap<Key, Failures>);

fn keys(account: &str, address: Option<IpAddr>) -> impl Iterator<Item = Key> {
    let hash = blake3::hash(account.as_bytes());
    let mut name = [0; 16];
    name.copy_from_slice(&hash.as_bytes()[..16]);
    let with_address = address.map(|address| [Key::Both(name, address), Key::Address(address)]);
    with_address.into_iter().flatten().chain([Key::Account(name)])
}

impl Backoff {
    /// How long a log-in has to wait now; `None`: it may be tried.
    pub(super) fn wait(&self, account: &str, address: Option<IpAddr>, now: Duration) -> Option<Duration> {
        let waits = keys(account, address).filter_map(|key| self.0.get(&key)?.until.checked_sub(now));
        waits.filter(|wait| !wait.is_zero()).max()
    }

    /// Notes a failure at `now`.
    pub(super) fn failed(&mut self, account: &str, address: Option<IpAddr>, now: Duration) {
        for key in keys(account, address) {
            self.make_room(key, now);
            let entry = self.0.entry(key).or_insert(Failures { count: 0, last: now, until: now });
            if now.saturating_sub(entry.last) > FORGOTTEN {
                entry.count = 0;
            }
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
            let (free, most) = key.patience();
            if entry.count > free {
                let seconds = 1_u64.checked_shl(entry.count - free - 1).unwrap_or(u64::MAX);
                entry.until = now.saturating_add(Duration::from_secs(seconds).min(most));
            }
        }
    }

    /// Notes that an account logged in from an address: what it mistyped there is forgotten.
    pub(super) fn succeeded(&mut self, account: &str, address: Option<IpAddr>) {
        for key in keys(account, address).filter(|key| matches!(key, Key::Both(..))) {
            self.0.remove(&key);
        }
    }

    /// Entries that are over go when the map is full; then those of the fewest failures.
    fn make_room(&mut self, key: Key, now: Duration) {
        if self.0.len() < MOST || self.0.contains_key(&key) {
            return;
        }
        self.0.retain(|_, failures| now.saturating_sub(failures.last) <= FORGOTTEN);
        let mut least = 1;
        while self.0.len() >= MOST {
            self.0.retain(|_, failures| failures.count > least);
            least *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn address(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn who_mistypes_waits_ever_longer_and_is_forgiven_at_the_right_password() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..14 {
            backoff.failed("ann", address(1), at(100));
            waits.push(backoff.wait("ann", address(1), at(100)).map_or(0, |wait| wait.as_secs()));
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.wait("ann", address(1), at(160)), None);
        assert_eq!(backoff.wait("ann", address(2), at(100)), None, "from elsewhere she may");
        assert_eq!(backoff.wait("ben", address(1), at(100)), None, "and others from here");
        backoff.succeeded("ann", address(1));
        assert_eq!(backoff.wait("ann", address(1), at(100)), None);
    }

    #[test]
    fn many_names_from_one_place_and_many_places_at_one_name_wait_too() {
        let mut backoff = Backoff::default();
        for n in 0..40 {
            backoff.failed(&format!("name {n}"), address(1), at(100));
        }
        assert!(backoff.wait("ann", address(1), at(100)).is_some_and(|wait| wait >= at(8)));
        assert_eq!(backoff.wait("ann", address(2), at(100)), None);
        for n in 0..60 {
            backoff.failed("ann", address(n), at(200));
        }
        assert_eq!(backoff.wait("ann", address(99), at(200)), Some(at(5)), "never longer: it is her account");
    }

    #[test]
    fn it_forgets_and_is_bounded() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            backoff.failed("ann", None, at(1));
            backoff.failed("ann", address(1), at(1));
        }
        backoff.failed("ann", address(1), at(2) + FORGOTTEN);
        assert_eq!(backoff.wait("ann", address(1), at(2) + FORGOTTEN), None, "this is the first again");
        for n in 0..2 * MOST {
            backoff.failed(&n.to_string(), None, at(2000));
        }
        assert!(backoff.0.len() <= MOST);
    }
}

//! Peers to leave alone for a while. [`Away`] owns what this site found out by trying; nobody is told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{MAX_AWAY, MAX_BACKOFF, TURNED_AWAY};
use crate::draw::Draw;
use crate::identity::NodeKey;

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    /// Could not be reached, did not answer, or left.
    Silent,
    /// Had no slot.
    Refused,
    /// Had no room for a link of an audience.
    RefusedAudience,
    /// Broke the rules.
    Fault,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    did: Did,
    times: u32,
    until: Duration,
}

/// Peers that failed, and until when.
#[derive(Debug, Default)]
pub(super) struct Away(BTreeMap<NodeKey, Entry>);

impl Away {
    /// A peer failed; returns how often in a row.
    pub(super) fn failed(&mut self, peer: NodeKey, did: Did, now: Duration, draw: &mut Draw) -> u32 {
        let times = self.0.get(&peer).map_or(0, |entry| entry.times).saturating_add(1);
        let first = Duration::from_secs(match did {
            Did::Silent => 5,
            Did::RefusedAudience => 20,
            Did::Refused | Did::Fault => MAX_BACKOFF.as_secs(),
        });
        let usual = first.saturating_mul(1 << (times - 1).min(8)).min(MAX_BACKOFF);
        let wait = match did {
            // Before that it would be refused unheard.
            Did::Refused => TURNED_AWAY + draw.up_to(TURNED_AWAY / 2),
            Did::Silent | Did::RefusedAudience | Did::Fault => draw.about(usual),
        };
        if self.0.len() >= MAX_AWAY && !self.0.contains_key(&peer) {
            // The one that may be tried soonest is missed least.
            let soonest = self.0.iter().min_by_key(|(_, entry)| entry.until).map(|(peer, _)| *peer);
            soonest.map(|peer| self.0.remove(&peer));
        }
        self.0.insert(peer, Entry { did, times, until: now + wait });
        times
    }

    /// A peer has connected: it is not silent any more.
    pub(super) fn came(&mut self, peer: &NodeKey) {
        if self.0.get(peer).is_some_and(|entry| entry.did == Did::Silent) {
            self.0.remove(peer);
        }
    }

    /// A peer is a neighbour.
    pub(super) fn accepted(&mut self, peer: &NodeKey) {
        self.0.remove(peer);
    }

    /// Whether it may be asked for a slot.
    pub(super) fn may_try(&self, peer: &NodeKey, now: Duration) -> bool {
        self.0.get(peer).is_none_or(|entry| entry.until <= now)
    }

    /// Whether it may be asked for an audience: that it had no slot does not count.
    pub(super) fn may_try_for_audience(&self, peer: &NodeKey, now: Duration) -> bool {
        self.0.get(peer).is_none_or(|entry| entry.until <= now || entry.did == Did::Refused)
    }

    /// Whether it broke the rules not long ago.
    pub(super) fn is_shut_out(&self, peer: &NodeKey, now: Duration) -> bool {
        self.0.get(peer).is_some_and(|entry| entry.did == Did::Fault && entry.until > now)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How fast this site dials: at once when something has just changed, slower the longer nothing succeeds.
#[derive(Debug)]
pub(super) struct DialRate {
    most: u32,
    credit: u32,
    at: Duration,
    failures: u32,
}

impl DialRate {
    pub(super) const fn new(is_metered: bool) -> Self {
        let most = if is_metered { 6 } else { 12 };
        Self { most, credit: most, at: Duration::ZERO, failures: 0 }
    }

    pub(super) fn is_ready(&mut self, now: Duration) -> bool {
        let interval = Duration::from_secs(2 << (self.failures / 8).min(5));
        let earned = now.saturating_sub(self.at).as_secs() / interval.as_secs();
        if earned > 0 {
            self.credit = self.most.min(self.credit.saturating_add(u32::try_from(earned).unwrap_or(self.most)));
            self.at = now;
        }
        self.credit > 0
    }

    pub(super) const fn dialled(&mut self) {
        self.credit = self.credit.saturating_sub(1);
    }

    pub(super) const fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

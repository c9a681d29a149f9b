//! Whom of those that ask this site lets in. [`Door`] owns the lot each has here, and who was turned away not long ago.
//!
//! A place goes by lot, not to who comes first: each key has a rank that this site alone can compute, another at every
//! site and in every [`LOTS_STAY`]. So a key that asks every second has what one has that asks once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ALONE_STAY, LOTS_STAY, MAX_TURNED_AWAY, TURNED_AWAY};
use crate::draw::Draw;
use crate::identity::NodeKey;

/// Lots and refusals.
#[derive(Debug)]
pub(super) struct Door {
    lots: Lots,
    /// Who was refused or pushed out, and until when it is not let in.
    turned_away: BTreeMap<NodeKey, Duration>,
    /// Who has the place kept for those that are alone.
    pub(super) alone: Option<NodeKey>,
    /// Whether lots decide; a test shows what happens without.
    by_lot: bool,
}

/// What lots are drawn from.
struct Lots([u8; 32]);

impl std::fmt::Debug for Lots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lots").finish_non_exhaustive()
    }
}

impl Door {
    pub(super) fn new(draw: &mut Draw, by_lot: bool) -> Self {
        let mut secret = [0; 32];
        secret.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&draw.bits().to_le_bytes()));
        Self { lots: Lots(secret), turned_away: BTreeMap::new(), alone: None, by_lot }
    }

    /// The rank of a key in the epoch of this length that `now` is in; the lowest is first.
    fn rank(&self, peer: &NodeKey, stay: Duration, now: Duration) -> [u8; 32] {
        // Sites do not change their lots all at once.
        let offset = u64::from(self.lots.0[0]) * stay.as_secs() / 256;
        let epoch = (now.as_secs() + offset) / stay.as_secs();
        let mut hash = blake3::Hasher::new_keyed(&self.lots.0);
        hash.update(&stay.as_secs().to_le_bytes()).update(&epoch.to_le_bytes()).update(&peer.0);
        *hash.finalize().as_bytes()
    }

    /// The one with the last rank.
    pub(super) fn last(&self, held: impl Iterator<Item = NodeKey>, now: Duration) -> Option<NodeKey> {
        held.max_by_key(|key| self.rank(key, LOTS_STAY, now))
    }

    /// Whether one that asks has a better lot than one that has a place.
    pub(super) fn precedes(&self, peer: &NodeKey, held: &NodeKey, now: Duration) -> bool {
        self.by_lot && self.rank(peer, LOTS_STAY, now) < self.rank(held, LOTS_STAY, now)
    }

    /// The same of the place for those that are alone, by other lots, drawn anew more often.
    pub(super) fn precedes_alone(&self, peer: &NodeKey, held: &NodeKey, now: Duration) -> bool {
        // Without lots it is taken at its word.
        !self.by_lot || self.rank(peer, ALONE_STAY, now) < self.rank(held, ALONE_STAY, now)
    }

    /// A peer was refused, or lost its place. One that comes too early does not have to wait longer for that.
    pub(super) fn turn_away(&mut self, peer: NodeKey, now: Duration) {
        if !self.by_lot || self.is_turned_away(&peer, now) {
            return;
        }
        if self.turned_away.len() >= MAX_TURNED_AWAY && !self.turned_away.contains_key(&peer) {
            let soonest = self.turned_away.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            soonest.map(|peer| self.turned_away.remove(&peer));
        }
        self.turned_away.insert(peer, now + TURNED_AWAY);
    }

    /// Whether it had its chance not long ago.
    pub(super) fn is_turned_away(&self, peer: &NodeKey, now: Duration) -> bool {
        self.turned_away.get(peer).is_some_and(|until| now < *until)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.turned_away.len()
    }
}

//! How often a site's claims proved false.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::identity::NodeKey;

/// Ranks a site falls by when all it claimed in a batch proved false.
const FALL: u32 = 1000;

/// The most it can fall: after a while it is tried again.
const LOWEST: u32 = 16 * FALL;

/// In what time half of it is forgotten.
const HALF: Duration = Duration::from_secs(600);

/// Most sites remembered; they are sites that were asked, so this site chose them.
const MAX_REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Standing {
    fallen: BTreeMap<NodeKey, (u32, Duration)>,
}

impl Standing {
    /// How far a site has fallen, in thousandths of a rank.
    pub(super) fn of(&self, site: &NodeKey, now: Duration) -> u32 {
        self.fallen.get(site).map_or(0, |(points, at)| {
            let halves = now.saturating_sub(*at).as_secs() / HALF.as_secs();
            points.checked_shr(u32::try_from(halves).unwrap_or(u32::MAX)).unwrap_or(0)
        })
    }

    /// A site was asked for so many things it claimed to have, and had so many.
    pub(super) fn answered(&mut self, site: NodeKey, asked: usize, had: usize, now: Duration) {
        let missing = asked.saturating_sub(had);
        let fall = u32::try_from(missing * FALL as usize / asked.max(1)).unwrap_or(FALL).min(FALL);
        if fall == 0 {
            return;
        }
        let points = (self.of(&site, now) + fall).min(LOWEST);
        if self.fallen.len() >= MAX_REMEMBERED && !self.fallen.contains_key(&site) {
            let best = self.fallen.keys().copied().min_by_key(|site| self.of(site, now));
            best.map(|best| self.fallen.remove(&best));
        }
        self.fallen.insert(site, (points, now));
    }
}

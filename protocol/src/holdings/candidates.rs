//! Whom to ask, and what came of it.

use std::time::Duration;

use super::message::{Have, Holding, Message, Whose};
use super::shelf::Kept;
use super::{Effect, Holdings, MAX_ASK, MAX_ASKED, MAX_CANDIDATES, PATIENCE, Question};
use crate::Digest;
use crate::identity::NodeKey;
use crate::record::ScopeId;
use crate::roster::Roster;

/// Ranks, in thousandths: what [`super::standing`] counts in.
const COMPLETE_HERE: u32 = 0;
const COMPLETE: u32 = 1000;
const IN_PROGRESS: u32 = 2000;
const PERHAPS: u32 = 3000;

impl Holdings {
    /// Who may have one of these (an image, and blobs of it), best first: complete behind the same uplink, in the same
    /// region, in progress, perhaps; each after those it ranks with by as much as its claims proved false. Only of sites
    /// that are fresh, as [`crate::presence::Presence::is_fresh`] says.
    #[must_use]
    pub fn candidates(
        &self,
        scope: ScopeId,
        digests: &[Digest],
        now: Duration,
        roster: &dyn Roster,
        is_fresh: &dyn Fn(&NodeKey) -> bool,
    ) -> Vec<NodeKey> {
        let uplink = roster.place(&self.me).and_then(|place| place.uplink);
        let mut ranked = Vec::new();
        for (whose, kept) in self.shelf.of_scope(scope) {
            let Some(rank) = rank(whose, kept, digests) else { continue };
            let Some(place) = roster.place(&whose.site) else { continue };
            if !roster.may_hold(&whose.site, &scope) || !is_fresh(&whose.site) {
                continue;
            }
            let is_near = uplink.is_some() && place.uplink == uplink;
            let rank = if rank == COMPLETE && is_near { COMPLETE_HERE } else { rank };
            // Equals in another order at each site, or all would ask the same one.
            let mut hasher = blake3::Hasher::new();
            hasher.update(&self.me.0).update(&whose.site.0);
            let tie = *hasher.finalize().as_bytes();
            ranked.push((rank + self.standing.of(&whose.site, now), tie, whose.site));
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, site)| site).take(MAX_CANDIDATES).collect()
    }

    /// A site was asked for so many, and had so many of them: it falls in rank by what it claimed and did not have.
    /// Answers to [`Holdings::ask`] are counted without this; tell of transfers that failed.
    pub fn answered(&mut self, peer: NodeKey, scope: ScopeId, asked: usize, had: usize, now: Duration) {
        if self.shelf.get(&Whose { scope, site: peer }).is_some() {
            self.standing.answered(peer, asked, had, now);
        }
    }

    /// Whether a site claims to have one of these.
    pub(super) fn claims(&self, site: NodeKey, scope: ScopeId, digests: &[Digest]) -> bool {
        let whose = Whose { scope, site };
        let rank = self.shelf.get(&whose).and_then(|kept| rank(&whose, kept, digests));
        rank.is_some_and(|rank| rank != IN_PROGRESS)
    }

    /// Asks a neighbour which of these it has; the number of the question, and what to send. `None` when it is not
    /// linked, may not hold the scope, or when there are no digests, too many, or too many questions.
    pub fn ask(
        &mut self,
        peer: NodeKey,
        scope: ScopeId,
        digests: Vec<Digest>,
        now: Duration,
        roster: &dyn Roster,
    ) -> Option<(u32, Effect)> {
        let is_sound = (1..=MAX_ASK).contains(&digests.len()) && self.questions.len() < MAX_ASKED;
        if !is_sound || !self.links.contains_key(&peer) {
            return None;
        }
        let id = self.asked;
        let mut effects = Vec::new();
        self.say(peer, &Message::Ask { id, scope, digests: digests.clone() }, roster, &mut effects);
        let effect = effects.pop()?;
        self.asked = self.asked.wrapping_add(1);
        self.questions.insert(id, Question { peer, scope, digests, until: now + PATIENCE });
        Some((id, effect))
    }

    /// Answers [`Effect::Asked`]: for each digest, in order, whether it is here.
    #[must_use]
    pub fn answer(&self, peer: NodeKey, id: u32, had: &[bool]) -> Effect {
        let have = if had.iter().all(|had| *had) {
            Have::All
        } else if had.iter().any(|had| *had) {
            let mut bits = vec![0; had.len().div_ceil(8)];
            for (at, _) in had.iter().enumerate().filter(|(_, had)| **had) {
                if let Some(byte) = bits.get_mut(at / 8) {
                    *byte |= 1 << (at % 8);
                }
            }
            Have::Some(bits)
        } else {
            Have::None
        };
        Effect::Send(peer, Message::Answer { id, have }.encode())
    }
}

fn rank(whose: &Whose, kept: &Kept, digests: &[Digest]) -> Option<u32> {
    match kept {
        Kept::Set { images, .. } => {
            let best = digests.iter().filter_map(|digest| images.get(digest)).max()?;
            Some(match best {
                Holding::Complete => COMPLETE,
                Holding::InProgress => IN_PROGRESS,
            })
        }
        Kept::Filter(claim) => {
            let may = |digest| claim.said.filter.may_have(digest, &whose.scope, &whose.site);
            digests.iter().any(may).then_some(PERHAPS)
        }
    }
}

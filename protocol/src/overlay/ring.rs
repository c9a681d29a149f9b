//! Links for narrow audiences: what only members may hold must find its way among members. State lives in [`Overlay`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::link::{Aim, Origin, State};
use super::machine::{Effect, Overlay};
use super::{AUDIENCE_EVERY, AUDIENCE_STAY, AUDIENCE_VISIT, MAX_PENDING};
use crate::identity::NodeKey;
use crate::roster::{Audience, Roster};

impl Overlay {
    /// Links this site with its successors; when there are more than fit, audiences take turns.
    pub(super) fn keep_audiences(&mut self, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        if now < self.audiences_at {
            return;
        }
        self.audiences_at = now + AUDIENCE_EVERY;
        let audiences = roster.audiences();
        if let Some((turn, at)) = self.next_turn
            && now >= at
        {
            (self.turn, self.next_turn) = (turn, None);
        }
        let tally = self.tally();
        let room = self.shares.audience.saturating_sub(tally.asked_audience);
        let (mut held, mut spent, mut fitting) = (BTreeSet::new(), 0, 0);
        for at in 0..audiences.len() {
            let number = (self.turn + at) % audiences.len();
            let Some(audience) = audiences.get(number) else { break };
            let mut needs = self.needs(audience, roster.me(), now);
            needs.extend(self.visit(audience, roster.me(), now).filter(|key| !needs.contains(key)));
            let extra = needs.iter().filter(|key| !held.contains(*key) && !self.is_ordinary(key)).count();
            if spent + extra > room && at > 0 {
                if self.next_turn.is_none_or(|(_, at)| now >= at) {
                    self.next_turn = Some((number, now + AUDIENCE_STAY));
                } else {
                    self.next_turn = self.next_turn.map(|(_, at)| (number, at));
                }
                break;
            }
            spent += extra;
            fitting += 1;
            held.extend(needs);
        }
        let is_full = fitting < audiences.len();
        if !is_full {
            self.next_turn = None;
        }
        let over: Vec<NodeKey> = self
            .neighbours()
            .filter(|(key, link)| link.origin == Origin::Audience && !held.contains(*key))
            .filter(|(_, link)| is_full || now >= link.since + AUDIENCE_STAY)
            .map(|(key, _)| *key)
            .collect();
        over.iter().for_each(|key| self.leave(key, effects));
        for key in &held {
            let is_free = self.links.get(key).is_none_or(|link| matches!(link.state, State::Waiting));
            if is_free && self.tally().open < MAX_PENDING && self.rate.is_ready(now) {
                self.approach(*key, Aim::Audience, now, roster, effects);
                if !self.links.contains_key(key) {
                    // A member that is not let in.
                    self.is_silent(*key, now);
                }
            }
        }
        self.held = held;
        if self.held.iter().any(|key| !self.links.contains_key(key)) {
            self.audiences_at = now;
        }
    }

    /// The next member that can be reached, and another where nobody else of the audience is a neighbour.
    fn needs(&self, audience: &Audience, me: NodeKey, now: Duration) -> Vec<NodeKey> {
        let members = &audience.members;
        let after = members.partition_point(|member| *member <= me);
        let (before, behind) = members.split_at(after);
        let may_try = |key: &&NodeKey| {
            **key != me
                && (self.links.get(*key).is_some_and(|link| link.neighbour().is_some())
                    || self.away.may_try_for_audience(key, now))
        };
        let mut ring = behind.iter().chain(before).filter(may_try);
        let Some(next) = ring.next() else { return Vec::new() };
        let mut own = None;
        for (key, link) in self.neighbours().filter(|(key, _)| *key != next) {
            if members.binary_search(key).is_ok() {
                if link.origin != Origin::Audience {
                    return vec![*next];
                }
                own = Some(*key);
            }
        }
        [*next].into_iter().chain(own.or_else(|| ring.next().copied())).collect()
    }

    /// A third member, another in each period: a ring is cut in two by two members that hand nothing on, and who keeps
    /// visiting others finds out what was held back.
    fn visit(&self, audience: &Audience, me: NodeKey, now: Duration) -> Option<NodeKey> {
        let every = if self.plan.is_metered { AUDIENCE_VISIT * 3 } else { AUDIENCE_VISIT };
        let period = now.as_secs() / every.as_secs();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&me.0).update(&period.to_le_bytes());
        audience.members.first().map(|first| hasher.update(&first.0));
        let hash = hasher.finalize();
        let start = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let count = audience.members.len();
        let start = usize::try_from(start % count.max(1) as u64).unwrap_or(0);
        let (before, behind) = audience.members.split_at(start);
        let may_try = |key: &&NodeKey| {
            **key != me
                && (self.links.get(*key).is_some_and(|link| link.neighbour().is_some())
                    || self.away.may_try_for_audience(key, now))
        };
        behind.iter().chain(before).find(may_try).copied()
    }

    fn is_ordinary(&self, key: &NodeKey) -> bool {
        let link = self.links.get(key).and_then(|link| link.neighbour());
        link.is_some_and(|link| matches!(link.origin, Origin::Chosen | Origin::Asked))
    }
}

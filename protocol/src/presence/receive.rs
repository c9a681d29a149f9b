//! What a neighbour says.

use std::time::Duration;

use super::message::{Fault, Message};
use super::status::{Life, Status, is_genuine};
use super::{Effect, Presence, SKEW};
use crate::identity::NodeKey;
use crate::roster::{Place, Roster};
use crate::signed::Signed;

impl Presence {
    /// Takes a message of a neighbour that the transport has authenticated. One that is not [`Presence::up`] is ignored.
    pub fn receive(&mut self, peer: NodeKey, bytes: &[u8], now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        let (Some(here), Some(_)) = (roster.place(&self.me), roster.place(&peer)) else { return effects };
        if !self.links.contains_key(&peer) {
            return effects;
        }
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(fault) => return vec![Effect::Failed(peer, fault)],
        };
        self.known.entry(peer).or_default().spoke(now);
        for status in message.statuses {
            match self.take(status, peer, &here, now, roster) {
                Ok(answer) => effects.extend(answer.map(|answer| Effect::Send(peer, answer.encode()))),
                Err(fault) => {
                    effects.push(Effect::Failed(peer, fault));
                    return effects;
                }
            }
        }
        for entry in &message.summary {
            // Of itself a site need not be told, and what is known of the teller is known first hand.
            if entry.site != self.me && (self.known.contains_key(&entry.site) || roster.place(&entry.site).is_some()) {
                self.known.entry(entry.site).or_default().told(entry, peer, now);
            }
        }
        if message.wants {
            self.grant_wish(&peer, now);
        }
        effects
    }

    /// Takes a status, and hands it on when it is new; what there is to answer.
    fn take(
        &mut self,
        status: Signed<Status>,
        peer: NodeKey,
        here: &Place,
        now: Duration,
        roster: &dyn Roster,
    ) -> Result<Option<Message>, Fault> {
        let site = status.said.site;
        let is_link_for_it = self.links.get(&peer).is_some_and(|link| link.brings_status_of(&site, &peer));
        if site == self.me {
            self.hear_of_itself(&status);
            return Ok(None);
        }
        // No fault: labels may have changed while it was on its way.
        let is_of_region = roster.place(&site).is_some_and(|place| place.region == here.region);
        if !is_link_for_it || !is_of_region {
            return Ok(None);
        }
        let held = self.known.get(&site).and_then(|about| about.status());
        if let Some(held) = held
            && held.said.order() >= status.said.order()
        {
            if held.said.order() == status.said.order() {
                // It has what was to be handed on to it.
                self.links.get_mut(&peer).map(|link| link.pending.remove(&site));
                return Ok(None);
            }
            // The site itself is behind its own word: its clock stood further ahead in an earlier life.
            let answer = (site == peer && held.said.life > status.said.life).then(|| Message {
                statuses: vec![held.clone()],
                summary: Vec::new(),
                wants: false,
            });
            return Ok(answer);
        }
        if self.judges_signatures() && !is_genuine(&status) {
            return Err(Fault::Signature);
        }
        let age = if site == peer { Duration::ZERO } else { self.age(&status.said, now) };
        self.census.holds(&status, held);
        let hold = self.plan.quick.max(self.census.floor(&self.plan)) / 2;
        let about = self.known.entry(site).or_default();
        about.signs(status, now, age);
        if about.relay_from.is_none_or(|from| from <= now) {
            about.relay_from = Some(about.relay_from.map_or(now, |from| now.max(from + hold)));
        }
        for (other, link) in &mut self.links {
            if *other == peer || *other == site {
                link.pending.remove(&site);
            } else if link.takes_statuses() {
                link.pending.insert(site);
            }
        }
        Ok(None)
    }

    /// A status of this site, from an earlier life: the present one must be newer, or nobody would listen.
    fn hear_of_itself(&mut self, status: &Signed<Status>) {
        let heard = status.said.life;
        if self.life.is_some_and(|life| heard > life) && is_genuine(status) {
            self.life = Some(Life::after(heard, self.draw.bits()));
        }
    }

    /// How old a status is that came through others. Somebody may have kept it back; but clocks are not exact.
    fn age(&self, status: &Status, now: Duration) -> Duration {
        let age = self.wall(now).map_or(Duration::ZERO, |wall| wall.since(status.wall));
        if age > SKEW { age } else { Duration::ZERO }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "a knob of the tests")]
    const fn judges_signatures(&self) -> bool {
        true
    }

    #[cfg(test)]
    const fn judges_signatures(&self) -> bool {
        !self.believes_anyone
    }
}

//! What peers say, and whether one that asks is let in. State lives in [`Overlay`].

use std::time::Duration;

use super::away::Did;
use super::guard::Guard;
use super::link::{Aim, Origin, State, Tally};
use super::machine::{Effect, Fault, Overlay};
use super::message::{Message, Why};
use super::passive::{Entry, Source};
use super::slots::Kind;
use super::{MAX_OTHERS, MAX_SHUFFLE};
use crate::identity::NodeKey;
use crate::roster::Roster;

impl Overlay {
    pub(super) fn take(
        &mut self,
        peer: NodeKey,
        message: Message,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let is_lan = link.kind == Kind::Lan;
        match (message, link.state) {
            (Message::Ask(_), State::Neighbour(_)) => effects.push(Effect::Send(peer, Message::Yes.encode())),
            // Each asked the other: both want it, and the question is the answer.
            (Message::Ask(_), State::Asking(aim)) | (Message::Yes, State::Asking(aim)) => {
                self.won(peer, aim, now, effects);
            }
            (Message::Ask(why), State::Waiting) => self.asked(peer, why, now, roster, effects),
            // Said on a crossing of questions, when one connection replaced another.
            (Message::Yes, State::Neighbour(_)) => {}
            (Message::No(others), State::Asking(aim)) => {
                self.leave(&peer, effects);
                // Those behind one uplink are few, and do not turn each other away for long.
                let is_soon = aim == Aim::Audience || is_lan;
                let did = if is_soon { Did::RefusedAudience } else { Did::Refused };
                self.away.failed(peer, did, now, &mut self.draw);
                self.audiences_at = Duration::ZERO;
                self.hear(peer, others, roster);
            }
            (Message::No(_), State::Neighbour(_)) => {
                self.leave(&peer, effects);
                self.away.failed(peer, Did::Refused, now, &mut self.draw);
            }
            (Message::Shuffle(keys), State::Neighbour(_)) => {
                let own = self.sample(MAX_SHUFFLE / 2, &peer);
                effects.push(Effect::Send(peer, Message::Shuffled(own).encode()));
                self.hear(peer, keys, roster);
            }
            (Message::Shuffled(keys), State::Neighbour(_)) if link.shuffling => {
                link.shuffling = false;
                self.hear(peer, keys, roster);
            }
            (_, _) => return Err(Fault::OutOfOrder),
        }
        Ok(())
    }

    /// Takes in peers that one named.
    fn hear(&mut self, from: NodeKey, keys: Vec<NodeKey>, roster: &dyn Roster) {
        for key in keys {
            if let Some((kind, is_metered)) = self.judge(&key, roster).filter(|_| !self.links.contains_key(&key)) {
                let entry = Entry { kind, is_metered, source: Source::Heard(from) };
                self.passive.add(key, entry, &mut self.draw);
            }
        }
    }

    /// A peer that this site asked is a neighbour.
    fn won(&mut self, peer: NodeKey, aim: Aim, now: Duration, effects: &mut Vec<Effect>) {
        let origin = match aim {
            Aim::Slot | Aim::Improve => Origin::Chosen,
            Aim::Audience => Origin::Audience,
        };
        self.accept(peer, origin, now, effects);
        if aim == Aim::Improve {
            let kind = self.links.get(&peer).map(|link| link.kind);
            let others: Vec<NodeKey> = self
                .neighbours()
                .filter(|(key, held)| **key != peer && Some(held.kind) == kind && held.origin == Origin::Chosen)
                .map(|(key, _)| *key)
                .collect();
            if let Some(out) = self.draw.one(&others).copied() {
                self.displace(&out, effects);
            }
        }
        // More than all slots: what was lent is taken back.
        for _ in 0..self.links.len() {
            let tally = self.tally();
            if tally.ordinary(&self.shares) <= self.shares.most {
                return;
            }
            let Some(out) = self.spare(&peer, &tally, now) else { return };
            self.turn_out(out, now, effects);
        }
    }

    /// A neighbour whose slot another needs more: lent to one that asked, lent to one that was chosen, or else asked.
    fn spare(&mut self, newest: &NodeKey, tally: &Tally, now: Duration) -> Option<NodeKey> {
        let shares = self.shares;
        let lent_asked = |kind: usize| tally.asked[kind] > shares.asked[kind];
        let lent_chosen =
            |kind: usize| tally.own[kind] > shares.own[kind] && tally.of_kind(kind, &shares) > shares.plan[kind];
        let pick = |origin: Origin, from: &dyn Fn(usize) -> bool| -> Vec<NodeKey> {
            self.neighbours()
                .filter(|(key, held)| *key != newest && held.origin == origin && from(held.kind.index()))
                .map(|(key, _)| *key)
                .collect()
        };
        let last = |from: &dyn Fn(usize) -> bool| self.door.last(pick(Origin::Asked, from).into_iter(), now);
        if let Some(lent) = last(&lent_asked) {
            return Some(lent);
        }
        let chosen = pick(Origin::Chosen, &lent_chosen);
        if chosen.is_empty() { last(&|_| true) } else { self.draw.one(&chosen).copied() }
    }

    /// Takes the slot of one that asked, or was lent one; it does not have it back at once.
    fn turn_out(&mut self, peer: NodeKey, now: Duration, effects: &mut Vec<Effect>) {
        self.door.turn_away(peer, now);
        self.displace(&peer, effects);
    }

    /// Takes the slot of a neighbour. One that is needed for an audience stays for that.
    fn displace(&mut self, peer: &NodeKey, effects: &mut Vec<Effect>) {
        if self.held.contains(peer)
            && let Some(link) = self.links.get_mut(peer)
            && let State::Neighbour(held) = &mut link.state
        {
            held.origin = Origin::Audience;
            return;
        }
        self.leave(peer, effects);
    }

    /// A peer asks.
    fn asked(&mut self, peer: NodeKey, why: Why, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        // It had its chance not long ago; a slot that became free since is for others first.
        let is_early = self.door.is_turned_away(&peer, now);
        let origin = match !is_early && self.room_for(&peer, why, now, effects) {
            true => Some(Origin::Asked),
            false => {
                (why == Why::Audience && self.has_room_for_member(&peer, roster)).then_some(Origin::AskedForAudience)
            }
        };
        let answer = match origin {
            Some(_) => Message::Yes,
            None if is_early => Message::No(Vec::new()),
            None => Message::No(self.sample(MAX_OTHERS, &peer)),
        };
        let is_lan = self.links.get(&peer).is_some_and(|link| link.kind == Kind::Lan);
        if origin.is_none() && !is_lan {
            self.door.turn_away(peer, now);
        }
        effects.push(Effect::Send(peer, answer.encode()));
        if let Some(origin) = origin {
            self.accept(peer, origin, now, effects);
        }
    }

    /// Whether there is an ordinary slot for a peer that asks, made by giving up another's if need be.
    fn room_for(&mut self, peer: &NodeKey, why: Why, now: Duration, effects: &mut Vec<Effect>) -> bool {
        let Some(kind) = self.links.get(peer).map(|link| link.kind.index()) else { return false };
        let (tally, shares) = (self.tally(), self.shares);
        if tally.ordinary(&shares) < shares.most {
            return true;
        }
        if why == Why::Audience {
            return false;
        }
        let has_share = tally.asked[kind] < shares.asked[kind]
            || shares.is_guarded && tally.of_kind(kind, &shares) < shares.plan[kind];
        let kept = self.door.alone.filter(|key| self.has_asked(key));
        // Those beyond the share of their kind; where its own has all it should have, others of the kind as well.
        let slots: Vec<NodeKey> = self
            .neighbours()
            .filter(|(key, held)| {
                let of = held.kind.index();
                let is_lent = tally.asked[of] > shares.asked[of];
                held.origin == Origin::Asked && Some(**key) != kept && (is_lent || !has_share && of == kind)
            })
            .map(|(key, _)| *key)
            .collect();
        let last = self.door.last(slots.into_iter(), now);
        let mut out = last.filter(|last| has_share || self.door.precedes(peer, last, now));
        if out.is_none() && why == Why::Alone && self.guards.has(Guard::Alone) {
            out = kept.map_or(last, |kept| self.door.precedes_alone(peer, &kept, now).then_some(kept));
            if out.is_some() {
                self.door.alone = Some(*peer);
            }
        }
        let Some(out) = out else { return false };
        self.turn_out(out, now, effects);
        true
    }

    fn has_asked(&self, peer: &NodeKey) -> bool {
        let held = self.links.get(peer).and_then(|link| link.neighbour());
        held.is_some_and(|held| held.origin == Origin::Asked)
    }

    fn has_room_for_member(&self, peer: &NodeKey, roster: &dyn Roster) -> bool {
        let tally = self.tally();
        let room = self.shares.audience;
        tally.asked_audience < room / 2
            && tally.asked_audience + tally.extra(&self.shares) < room
            && roster.audiences().iter().any(|audience| audience.members.binary_search(peer).is_ok())
    }
}

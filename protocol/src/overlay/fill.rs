//! Whom this site chooses, and when. State lives in [`Overlay`].

use std::time::Duration;

use super::guard::Guard;
use super::link::{Aim, Origin, Tally};
use super::machine::{Effect, Overlay};
use super::passive::{Entry, Source};
use super::slots::Kind;
use super::{IMPROVE_EVERY, LOOKS_A_TICK, MAX_PENDING};
use crate::identity::NodeKey;
use crate::roster::Roster;

impl Overlay {
    /// Dials for slots that are empty.
    pub(super) fn fill(&mut self, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        let mut looks = LOOKS_A_TICK;
        loop {
            let tally = self.tally();
            if tally.open >= MAX_PENDING || !self.rate.is_ready(now) {
                return;
            }
            let Some(peer) = self.candidate(&tally, &mut looks, now, roster) else { return };
            self.approach(peer, Aim::Slot, now, roster, effects);
        }
    }

    /// Whom to try next; `None` when nothing is wanted or nobody known now.
    fn candidate(&mut self, tally: &Tally, looks: &mut usize, now: Duration, roster: &dyn Roster) -> Option<NodeKey> {
        let wanted = Kind::ALL.map(|kind| tally.wants(kind.index(), &self.shares));
        let wants_any = tally.wants_any(&self.shares);
        let is_guarded = self.shares.is_guarded;
        let wants = |kind: Kind| wanted[kind.index()] || !is_guarded && wants_any;
        let reserved = Kind::ALL.iter().any(|kind| wants(*kind));
        if !reserved && !wants_any {
            return None;
        }
        self.search.wake(now, roster, &mut self.draw);
        // What peers name may be chosen with intent: every other one is drawn from the roster alone.
        let by_roster = self.guards.has(Guard::Roster) && self.is_named_before;
        if by_roster {
            // Once: for a kind that is rare in the roster most draws are in vain.
            self.is_named_before = false;
            if let Some(peer) = self.drawn(&wanted, looks, now, roster) {
                return Some(peer);
            }
        }
        for kind in Kind::ALL.into_iter().filter(|kind| wants(*kind)) {
            let (links, away) = (&self.links, &self.away);
            let fits = |key: &NodeKey, held: &Entry| {
                held.kind == kind && !held.is_metered && !links.contains_key(key) && away.may_try(key, now)
            };
            if let Some(peer) = self.passive.pick(&mut self.draw, fits) {
                self.is_named_before = true;
                return Some(peer);
            }
        }
        while *looks > 0 {
            *looks -= 1;
            let Some(key) = self.search.next(now, roster) else { break };
            let Some((kind, is_metered)) = self.judge(&key, roster) else { continue };
            if self.may_try(&key, now) && !is_metered && reserved && wanted[kind.index()] {
                return Some(key);
            }
            if !self.links.contains_key(&key) && self.away.may_try(&key, now) {
                self.passive.add(key, Entry { kind, is_metered, source: Source::Roster }, &mut self.draw);
            }
        }
        // Nobody of the kinds that are missing is known to be up: their slots are lent.
        if wants_any && self.search.is_through { self.any(&wanted, looks, now, roster) } else { None }
    }

    /// One of the kinds that are wanted, each as likely as any other.
    fn drawn(&mut self, wanted: &[bool; 4], looks: &mut usize, now: Duration, roster: &dyn Roster) -> Option<NodeKey> {
        for _ in 0..LOOKS_A_TICK / 2 {
            *looks = looks.checked_sub(1)?;
            let Some(key) = roster.nth(self.draw.below(roster.count())) else { continue };
            let Some((kind, is_metered)) = self.judge(&key, roster) else { continue };
            if wanted[kind.index()] && !is_metered && self.may_try(&key, now) {
                return Some(key);
            }
        }
        None
    }

    /// Anybody, of a kind that is wanted where there is one; one that pays for its traffic only when there is nobody else.
    fn any(&mut self, wanted: &[bool; 4], looks: &mut usize, now: Duration, roster: &dyn Roster) -> Option<NodeKey> {
        let (mut metered, mut other) = (None, None);
        for _ in 0..8.min(*looks) {
            let Some(key) = roster.nth(self.draw.below(roster.count())) else { continue };
            let Some((kind, is_metered)) = self.judge(&key, roster).filter(|_| self.may_try(&key, now)) else {
                continue;
            };
            if is_metered {
                metered = Some(key);
            } else if wanted[kind.index()] {
                return Some(key);
            } else {
                other = Some(key);
            }
        }
        if other.is_some() {
            return other;
        }
        *looks = looks.saturating_sub(8);
        let (links, away) = (&self.links, &self.away);
        let fits = |key: &NodeKey| !links.contains_key(key) && away.may_try(key, now);
        let known = self.passive.pick(&mut self.draw, |key, held| !held.is_metered && fits(key));
        known.or(metered).or_else(|| self.passive.pick(&mut self.draw, |key, _| fits(key)))
    }

    /// Now and then puts another in the place of a neighbour this site chose: parts of the mesh that know only
    /// themselves find each other, and nobody stays for ever. The old one goes when the new one has said yes.
    pub(super) fn improve(&mut self, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        if now < self.improve_at {
            return;
        }
        self.improve_at = now + self.draw.about(self.pace(IMPROVE_EVERY));
        let mut chosen: Vec<Kind> = self
            .neighbours()
            .filter(|(_, held)| held.origin == Origin::Chosen && matches!(held.kind, Kind::Far | Kind::Near))
            .map(|(_, held)| held.kind)
            .collect();
        self.draw.shuffle(&mut chosen, 1);
        let Some(kind) = chosen.first().copied().filter(|_| self.rate.is_ready(now)) else { return };
        for _ in 0..LOOKS_A_TICK {
            let Some(key) = roster.nth(self.draw.below(roster.count())) else { continue };
            if self.may_try(&key, now) && self.judge(&key, roster) == Some((kind, false)) {
                self.approach(key, Aim::Improve, now, roster, effects);
                return;
            }
        }
    }
}

//! What this site says, and the gate all of it goes through.

use std::time::Duration;

use super::message::{Head, Message, Version, Whose};
use super::shelf::Kept;
use super::{
    BATCH, Effect, FILTER_AFTER, Fetching, Holdings, MAX_CHANGES, MAX_FETCHING, MAX_FETCHING_FROM, MAX_HAVE, PATIENCE,
    REMIND, REMINDED,
};
use crate::identity::NodeKey;
use crate::record::ScopeId;
use crate::roster::Roster;

impl Holdings {
    /// Whatever is due. Call it every few seconds; more often costs little.
    pub fn tick(&mut self, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        if now < self.next_work {
            return effects;
        }
        self.next_work = now + self.draw.about(BATCH);
        self.fetching.retain(|_, fetching| fetching.until > now);
        let late: Vec<u32> =
            self.questions.iter().filter(|(_, question)| question.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            effects.extend(self.questions.remove(&id).map(|late| Effect::Unanswered { peer: late.peer, id }));
        }
        for scope in self.own.keys().copied().collect::<Vec<_>>() {
            if let Some(delta) = self.sign_changes(scope) {
                self.to_region(&delta, &[], roster, &mut effects);
            }
        }
        let links: Vec<(NodeKey, bool)> = self.links.iter().map(|(peer, link)| (*peer, link.takes_sets)).collect();
        for (peer, takes_sets) in links {
            if takes_sets {
                self.remind(peer, now, roster, &mut effects);
            } else {
                self.give_filters(peer, now, roster, &mut effects);
            }
        }
        effects
    }

    /// Whether anything about a scope may be said to a site.
    pub(super) fn may_hear(&self, to: &NodeKey, scope: &ScopeId, roster: &dyn Roster) -> bool {
        #[cfg(test)]
        if self.says_anything {
            return true;
        }
        roster.may_hold(to, scope)
    }

    /// The gate: the only place where a message becomes an effect.
    pub(super) fn say(&self, to: NodeKey, message: &Message, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        if message.speaks_of().iter().all(|scope| self.may_hear(&to, scope, roster)) {
            effects.push(Effect::Send(to, message.encode()));
        }
    }

    /// To all neighbours that take sets, but these.
    pub(super) fn to_region(&self, message: &Message, but: &[NodeKey], roster: &dyn Roster, effects: &mut Vec<Effect>) {
        for (peer, _) in self.links.iter().filter(|(peer, link)| link.takes_sets && !but.contains(peer)) {
            self.say(*peer, message, roster, effects);
        }
    }

    /// Signs what changed in a scope.
    fn sign_changes(&mut self, scope: ScopeId) -> Option<Message> {
        let (life, whose) = (self.life, Whose { scope, site: self.me });
        let own = self.own.get_mut(&scope)?;
        let is_of_life = own.head.as_ref().is_some_and(|head| head.said.version.life == life);
        if own.changes.is_empty() && (is_of_life || own.head.is_none()) {
            return None;
        }
        let before = if is_of_life { own.head.as_ref().map_or(0, |head| head.said.version.number) } else { 0 };
        let changes = std::mem::take(&mut own.changes);
        for (image, holding) in &changes {
            match holding {
                Some(holding) => own.images.insert(*image, *holding),
                None => own.images.remove(image),
            };
        }
        let version = Version { life, number: before + 1 };
        let head = Head::sign(whose, version, &own.images, &self.secret);
        own.head = Some(head.clone());
        // The first of a life says all, or others would take it for changes to nothing.
        let is_whole = before > 0 || own.images.keys().all(|image| changes.contains_key(image));
        if changes.len() <= MAX_CHANGES && is_whole {
            Some(Message::Delta { head, from: before, changes: changes.into_iter().collect() })
        } else {
            Some(Message::Have(vec![(whose, version)]))
        }
    }

    /// The sets this site has, from a place on, in turn; those whose site may no longer hold the scope are dropped.
    fn remind(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        let Some(link) = self.links.get(&peer).filter(|link| now >= link.next_reminder) else { return };
        let (count, after) = (if link.heard_all { REMINDED } else { MAX_HAVE }, link.cursor);
        let me = self.me;
        let own = self.own.iter().filter_map(|(scope, own)| {
            let head = own.head.as_ref()?;
            Some((Whose { scope: *scope, site: me }, head.said.version))
        });
        let own = own.filter(|(whose, _)| after.is_none_or(|after| *whose > after)).take(count);
        let others = self.shelf.after(after).filter(|(_, kept)| matches!(kept, Kept::Set { .. }));
        let others = others.map(|(whose, kept)| (*whose, kept.version())).take(count);
        let mut sets: Vec<(Whose, Version)> = own.chain(others).collect();
        sets.sort_unstable();
        let is_last = sets.len() <= count;
        sets.truncate(count);
        let cursor = if is_last { None } else { sets.last().map(|(whose, _)| *whose) };
        let gone = |whose: &Whose| !roster.may_hold(&whose.site, &whose.scope);
        sets.iter().filter(|(whose, _)| gone(whose)).for_each(|(whose, _)| self.shelf.remove(whose));
        sets.retain(|(whose, _)| !gone(whose) && whose.site != peer && self.may_hear(&peer, &whose.scope, roster));
        if !sets.is_empty() {
            self.say(peer, &Message::Have(sets), roster, effects);
        }
        if let Some(link) = self.links.get_mut(&peer) {
            link.heard_all |= is_last;
            link.cursor = cursor;
            link.next_reminder = if link.heard_all { now + self.draw.about(REMIND) } else { now };
        }
    }

    fn give_filters(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        let Some(link) = self.links.get(&peer) else { return };
        let mut given = Vec::new();
        for (scope, own) in &self.own {
            let Some(claim) = &own.claim else { continue };
            let is_due = link
                .given
                .get(scope)
                .is_none_or(|(version, at)| *version != claim.said.version && now >= *at + FILTER_AFTER);
            if is_due && self.may_hear(&peer, scope, roster) {
                self.say(peer, &Message::Filter { claim: claim.clone(), handed_on: false }, roster, effects);
                given.push((*scope, (claim.said.version, now)));
            }
        }
        if let Some(link) = self.links.get_mut(&peer) {
            link.given.extend(given);
        }
    }

    /// Asks a neighbour for a whole set, unless it is being fetched already.
    pub(super) fn want(
        &mut self,
        peer: NodeKey,
        whose: Whose,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) {
        let from_peer = self.fetching.values().filter(|fetching| fetching.from == peer).count();
        let is_full = self.fetching.len() >= MAX_FETCHING || from_peer >= MAX_FETCHING_FROM;
        if is_full || self.fetching.contains_key(&whose) {
            return;
        }
        let fetching = Fetching { from: peer, head: None, images: Default::default(), until: now + PATIENCE };
        self.fetching.insert(whose, fetching);
        self.say(peer, &Message::Want { whose, after: None }, roster, effects);
    }

    /// A life later than one this site was heard of in: all is signed anew.
    pub(super) fn live_after(&mut self, heard: crate::presence::Life) {
        self.life = crate::presence::Life::after(heard, self.draw.bits());
        let (life, secret) = (self.life, &self.secret);
        for claim in self.own.values_mut().filter_map(|own| own.claim.as_mut()) {
            let version = Version { life, ..claim.said.version };
            *claim = super::message::sign_claim(super::Claim { version, ..claim.said.clone() }, secret);
        }
    }

    /// When the next tick has work, at the latest.
    #[must_use]
    pub const fn next_work(&self) -> Duration {
        self.next_work
    }
}

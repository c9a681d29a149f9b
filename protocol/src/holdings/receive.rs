//! What a neighbour says.

use std::time::Duration;

use super::message::{Claim, Fault, Have, Head, Holding, Images, Message, Version, Whose};
use super::message::{is_genuine_claim, is_genuine_head};
use super::shelf::Kept;
use super::{Effect, FILTER_AFTER, Holdings, MAX_PAGE, MAX_SCOPES, PATIENCE};
use crate::Digest;
use crate::identity::NodeKey;
use crate::roster::Roster;
use crate::signed::Signed;

impl Holdings {
    /// Takes a message of a neighbour that the transport has authenticated. One that is not [`Holdings::up`] is ignored.
    pub fn receive(&mut self, peer: NodeKey, bytes: &[u8], now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.links.contains_key(&peer) || roster.place(&peer).is_none() {
            return effects;
        }
        let done = Message::decode(bytes).and_then(|message| self.take(message, peer, now, roster, &mut effects));
        if let Err(fault) = done {
            effects.push(Effect::Failed(peer, fault));
        }
        effects
    }

    fn take(
        &mut self,
        message: Message,
        peer: NodeKey,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        match message {
            Message::Delta { head, from, changes } => {
                if self.hears_set(&head.said.whose, peer, roster) {
                    return self.take_delta(head, from, changes, peer, now, roster, effects);
                }
                self.hear_of_itself(&head);
                Ok(())
            }
            Message::Have(sets) => {
                for (whose, version) in sets {
                    if self.hears_set(&whose, peer, roster) && self.held(&whose).is_none_or(|held| held < version) {
                        self.want(peer, whose, now, roster, effects);
                    }
                }
                Ok(())
            }
            Message::Want { whose, after } => {
                self.give_page(whose, after, peer, roster, effects);
                Ok(())
            }
            Message::Page { head, after, images } => {
                if self.hears_set(&head.said.whose, peer, roster) {
                    return self.take_page(head, after, images, peer, now, roster, effects);
                }
                self.hear_of_itself(&head);
                Ok(())
            }
            Message::Filter { claim, handed_on } => self.take_filter(claim, handed_on, peer, now, roster, effects),
            Message::Ask { id, scope, digests } => {
                if roster.may_hold(&peer, &scope) && roster.may_hold(&self.me, &scope) {
                    effects.push(Effect::Asked { peer, id, scope, digests });
                }
                Ok(())
            }
            Message::Answer { id, have } => self.take_answer(id, &have, peer, now, effects),
        }
    }

    /// Whether all concerned may hold the scope.
    fn all_may(&self, whose: &Whose, peer: NodeKey, roster: &dyn Roster) -> bool {
        [self.me, peer, whose.site].iter().all(|site| roster.may_hold(site, &whose.scope))
    }

    /// Whether to listen to this neighbour about that set of another site.
    fn hears_set(&self, whose: &Whose, peer: NodeKey, roster: &dyn Roster) -> bool {
        let is_of_region = match (roster.place(&self.me), roster.place(&whose.site)) {
            (Some(here), Some(there)) => here.region == there.region && !there.is_metered,
            (_, _) => false,
        };
        whose.site != self.me
            && is_of_region
            && self.links.get(&peer).is_some_and(|link| link.takes_sets)
            && self.all_may(whose, peer, roster)
    }

    /// A set of this site of an earlier life: the present one must be later, or nobody would listen.
    fn hear_of_itself(&mut self, head: &Signed<Head>) {
        let heard = head.said.version.life;
        if head.said.whose.site == self.me && heard > self.life && is_genuine_head(head) {
            self.live_after(heard);
        }
    }

    fn held(&self, whose: &Whose) -> Option<Version> {
        self.shelf.get(whose).filter(|kept| matches!(kept, Kept::Set { .. })).map(Kept::version)
    }

    #[expect(clippy::too_many_arguments, reason = "a message in its parts")]
    fn take_delta(
        &mut self,
        head: Signed<Head>,
        from: u64,
        changes: Vec<(Digest, Option<Holding>)>,
        peer: NodeKey,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let (whose, version) = (head.said.whose, head.said.version);
        if let Some(held) = self.held(&whose)
            && held >= version
        {
            self.tell_if_behind(whose, held, version, peer, roster, effects);
            return Ok(());
        }
        if !is_genuine_head(&head) {
            return Err(Fault::Signature);
        }
        let before = Version { life: version.life, number: from };
        let mut images = match self.shelf.get(&whose) {
            Some(Kept::Set { head, images }) if head.said.version == before => images.clone(),
            _ if from == 0 => Images::new(),
            Some(_) | None => {
                self.want(peer, whose, now, roster, effects);
                return Ok(());
            }
        };
        for (image, holding) in &changes {
            match holding {
                Some(holding) => images.insert(*image, *holding),
                None => images.remove(image),
            };
        }
        if !head.said.is_of(&images) {
            return Err(Fault::Root);
        }
        self.shelf.put(whose, Kept::Set { head: head.clone(), images });
        self.fetching.remove(&whose);
        self.to_region(&Message::Delta { head, from, changes }, &[peer, whose.site], roster, effects);
        Ok(())
    }

    /// A site that speaks in an earlier life than one it is known from hears what it said then.
    fn tell_if_behind(
        &self,
        whose: Whose,
        held: Version,
        said: Version,
        peer: NodeKey,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(Kept::Set { head, .. }) = self.shelf.get(&whose)
            && whose.site == peer
            && held.life > said.life
        {
            let delta = Message::Delta { head: head.clone(), from: held.number, changes: Vec::new() };
            self.say(peer, &delta, roster, effects);
        }
    }

    fn give_page(
        &self,
        whose: Whose,
        after: Option<Digest>,
        peer: NodeKey,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) {
        if !self.links.get(&peer).is_some_and(|link| link.takes_sets) {
            return;
        }
        let (head, images) = if whose.site == self.me {
            let Some(own) = self.own.get(&whose.scope) else { return };
            let Some(head) = &own.head else { return };
            (head, &own.images)
        } else {
            let Some(Kept::Set { head, images }) = self.shelf.get(&whose) else { return };
            (head, images)
        };
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let page = images.range((from, std::ops::Bound::Unbounded)).take(MAX_PAGE);
        let images = page.map(|(image, holding)| (*image, *holding)).collect();
        self.say(peer, &Message::Page { head: head.clone(), after, images }, roster, effects);
    }

    #[expect(clippy::too_many_arguments, reason = "a message in its parts")]
    fn take_page(
        &mut self,
        head: Signed<Head>,
        after: Option<Digest>,
        images: Vec<(Digest, Holding)>,
        peer: NodeKey,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let whose = head.said.whose;
        if self.held(&whose).is_some_and(|held| held >= head.said.version) {
            self.fetching.remove(&whose);
            return Ok(());
        }
        // Late, or never asked for.
        let Some(fetching) = self.fetching.get_mut(&whose).filter(|fetching| fetching.from == peer) else {
            return Ok(());
        };
        if fetching.head.as_ref() != Some(&head) {
            if !is_genuine_head(&head) {
                return Err(Fault::Signature);
            }
            // The set has changed meanwhile: from the start, in the time that is left.
            fetching.images.clear();
            fetching.head = Some(head.clone());
            if after.is_some() {
                self.say(peer, &Message::Want { whose, after: None }, roster, effects);
                return Ok(());
            }
        } else if fetching.images.keys().next_back().copied() != after {
            return Ok(());
        }
        let (is_last, last) = (images.len() < MAX_PAGE, images.last().map(|(image, _)| *image));
        fetching.images.extend(images);
        if !is_last && fetching.images.len() < head.said.count as usize {
            fetching.until = now + PATIENCE;
            self.say(peer, &Message::Want { whose, after: last }, roster, effects);
            return Ok(());
        }
        let images = self.fetching.remove(&whose).map(|fetching| fetching.images).unwrap_or_default();
        if !head.said.is_of(&images) {
            return Err(Fault::Root);
        }
        let have = Message::Have(vec![(whose, head.said.version)]);
        self.shelf.put(whose, Kept::Set { head, images });
        self.to_region(&have, &[peer, whose.site], roster, effects);
        Ok(())
    }

    fn take_filter(
        &mut self,
        claim: Signed<Claim>,
        handed_on: bool,
        peer: NodeKey,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let whose = claim.said.whose;
        let Some(link) = self.links.get(&peer) else { return Ok(()) };
        // Of itself over a link for filters, or handed on within the region.
        let is_its_place = if handed_on { link.takes_sets } else { whose.site == peer && !link.takes_sets };
        let is_known = match self.shelf.get(&whose) {
            Some(Kept::Filter(held)) => held.said.version >= claim.said.version,
            Some(Kept::Set { .. }) => true,
            None => false,
        };
        let is_too_soon = link.taken.get(&whose.scope).is_some_and(|at| now < *at + FILTER_AFTER / 2);
        if whose.site == self.me || !is_its_place || is_known || !self.all_may(&whose, peer, roster) {
            return Ok(());
        }
        if claim.said.filter.claims_everything() {
            return Err(Fault::Filled);
        }
        if !is_genuine_claim(&claim) {
            return Err(Fault::Signature);
        }
        if !handed_on {
            if is_too_soon {
                return Ok(());
            }
            let link = self.links.get_mut(&peer).filter(|link| link.taken.len() < MAX_SCOPES);
            link.map(|link| link.taken.insert(whose.scope, now));
            let on = Message::Filter { claim: claim.clone(), handed_on: true };
            self.to_region(&on, &[peer], roster, effects);
        }
        self.shelf.put(whose, Kept::Filter(claim));
        Ok(())
    }

    fn take_answer(
        &mut self,
        id: u32,
        have: &Have,
        peer: NodeKey,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(question) = self.questions.get(&id).filter(|question| question.peer == peer) else { return Ok(()) };
        let count = question.digests.len();
        let has = |at: usize| match have {
            Have::None => false,
            Have::All => true,
            Have::Some(bits) => bits.get(at / 8).is_some_and(|byte| byte & 1 << (at % 8) != 0),
        };
        if let Have::Some(bits) = have
            && bits.len() != count.div_ceil(8)
        {
            return Err(Fault::Bounds);
        }
        let Some(question) = self.questions.remove(&id) else { return Ok(()) };
        let had: Vec<(Digest, bool)> =
            question.digests.into_iter().enumerate().map(|(at, digest)| (digest, has(at))).collect();
        let is_false =
            |(digest, had): &&(Digest, bool)| !*had && self.claims(peer, question.scope, std::slice::from_ref(digest));
        let missing = had.iter().filter(is_false).count();
        self.answered(peer, question.scope, count, count - missing, now);
        effects.push(Effect::Answered { peer, id, scope: question.scope, had });
        Ok(())
    }
}

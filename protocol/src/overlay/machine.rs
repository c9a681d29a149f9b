//! The overlay of one site. [`Overlay`] owns its links, its views and its timers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::away::{Away, DialRate, Did};
use super::door::Door;
use super::guard::{Guard, Guards};
use super::link::{Aim, Link, Neighbour, Origin, State, Tally};
use super::message::{Message, Why};
use super::passive::{Entry, Passive, Remembered, Source};
use super::search::Search;
use super::slots::{Kind, Shares, Slots};
use super::{
    ANSWER_WITHIN, DIAL_WITHIN, IMPROVE_EVERY, MAX_PASSIVE, MAX_SHUFFLE, MAX_WAITING, METERED_SLOWER, REMEMBER_EVERY,
    REMEMBER_PASSIVE_EVERY, SHUFFLE_EVERY,
};
use crate::draw::Draw;
use crate::identity::NodeKey;
use crate::roster::{Place, Roster};

/// What the overlay wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect to this site; [`Overlay::connected`] or [`Overlay::dial_failed`] follows.
    Dial(NodeKey),
    /// End the connection, or the dial. The other side sees it closed; this side is not told.
    Close(NodeKey),
    /// Give this to the peer, in order.
    Send(NodeKey, Vec<u8>),
    /// The peer is a neighbour now, by the word of both.
    Up(NodeKey),
    /// The peer is no neighbour any more.
    Down(NodeKey),
    /// Persist these in place of what was persisted; a restart hands them to [`Overlay::recall`].
    Remember(Vec<Remembered>),
    /// The peer did wrong. It is closed, and left alone for a while.
    Failed(NodeKey, Fault),
}

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no message, or too many.
    #[error("a message of the overlay that can't be read")]
    Encoding,
    /// An answer to nothing, or a word only neighbours may say.
    #[error("a message of the overlay where it can't be")]
    OutOfOrder,
    /// Many times the messages an honest site sends.
    #[error("too many messages of the overlay")]
    Flood,
}

/// Who one site keeps connections with.
#[derive(Debug)]
pub struct Overlay {
    pub(super) guards: Guards,
    pub(super) plan: Slots,
    pub(super) shares: Shares,
    pub(super) draw: Draw,
    /// Where this site stands; nothing before the first call and for a site that is not let in.
    pub(super) here: Option<Place>,
    started: bool,
    pub(super) links: BTreeMap<NodeKey, Link>,
    pub(super) passive: Passive,
    pub(super) away: Away,
    pub(super) search: Search,
    pub(super) rate: DialRate,
    /// Whether the peer tried last was one that others named.
    pub(super) is_named_before: bool,
    recalled: Vec<Remembered>,
    remembered: Vec<Remembered>,
    remembered_at: Duration,
    links_changed: bool,
    shuffle_at: Duration,
    pub(super) improve_at: Duration,
    pub(super) door: Door,
    /// Members this site wants links with now, for its audiences.
    pub(super) held: BTreeSet<NodeKey>,
    pub(super) audiences_at: Duration,
    /// The audience whose turn is first.
    pub(super) turn: usize,
    /// The one after, when not all fit, and when.
    pub(super) next_turn: Option<(usize, Duration)>,
}

impl Overlay {
    /// A site without connections. The seed must be random, secret and used for nothing else.
    #[must_use]
    pub fn new(plan: Slots, seed: [u8; 32]) -> Self {
        Self::guarded(plan, seed, Guards::default())
    }

    pub(super) fn guarded(plan: Slots, seed: [u8; 32], guards: Guards) -> Self {
        let mut draw = Draw::new(seed);
        let door = Door::new(&mut draw, guards.has(Guard::Lots));
        let shares = Shares::new(plan, guards.has(Guard::Shares));
        Self {
            guards,
            plan,
            shares,
            draw,
            here: None,
            started: false,
            links: BTreeMap::new(),
            passive: Passive::new(shares.is_guarded),
            away: Away::default(),
            search: Search::new(),
            rate: DialRate::new(plan.is_metered),
            is_named_before: false,
            recalled: Vec::new(),
            remembered: Vec::new(),
            remembered_at: Duration::ZERO,
            links_changed: false,
            shuffle_at: Duration::ZERO,
            improve_at: Duration::ZERO,
            door,
            held: BTreeSet::new(),
            audiences_at: Duration::ZERO,
            turn: 0,
            next_turn: None,
        }
    }

    /// Takes what was persisted by [`Effect::Remember`] before a restart. To be called before anything else.
    pub fn recall(&mut self, passive: Vec<Remembered>) {
        self.recalled = passive;
        // As many as are ever handed out: neighbours stand in front.
        self.recalled.truncate(2 * MAX_PASSIVE);
    }

    /// Moves time on; to be called about once a second. The first call starts the site.
    pub fn tick(&mut self, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.start(now, roster);
        self.expire(now, &mut effects);
        if self.here.is_some() {
            self.shuffle(now, roster, &mut effects);
            self.keep_audiences(now, roster, &mut effects);
            self.fill(now, roster, &mut effects);
            self.improve(now, roster, &mut effects);
            self.remember(now, &mut effects);
        }
        effects
    }

    /// The transport has an authenticated connection with a peer; `initiated` says whether this site began it.
    pub fn connected(&mut self, peer: NodeKey, initiated: bool, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.start(now, roster);
        if initiated {
            self.rate.succeeded();
        }
        let Some((kind, is_metered)) = self.judge(&peer, roster).filter(|_| !self.away.is_shut_out(&peer, now)) else {
            self.drop_link(&peer, &mut effects);
            effects.push(Effect::Close(peer));
            return effects;
        };
        self.away.came(&peer);
        let alone = self.is_alone(kind);
        let Some(link) = self.links.get_mut(&peer) else {
            self.make_room(now, &mut effects);
            self.links.insert(peer, Link::new(kind, is_metered, State::Waiting, now));
            return effects;
        };
        let aim = match link.state {
            State::Dialling(aim) | State::Asking(aim) => Some(aim),
            State::Waiting => None,
            // One connection in place of another: what was said on the first may be lost. Whoever wanted it asks anew.
            State::Neighbour(neighbour) => {
                effects.push(Effect::Down(peer));
                match neighbour.origin {
                    Origin::Chosen => Some(Aim::Slot),
                    Origin::Audience => Some(Aim::Audience),
                    Origin::Asked | Origin::AskedForAudience => None,
                }
            }
        };
        (link.since, link.shuffling) = (now, false);
        link.state = aim.map_or(State::Waiting, State::Asking);
        if let Some(aim) = aim {
            effects.push(ask(peer, aim, alone));
        }
        effects
    }

    /// A dial came to nothing.
    pub fn dial_failed(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        self.start(now, roster);
        // The peer may have come by itself meanwhile.
        if self.links.get(&peer).is_some_and(|link| matches!(link.state, State::Dialling(_))) {
            self.links.remove(&peer);
            self.rate.failed();
            self.is_silent(peer, now);
        }
        Vec::new()
    }

    /// A connection ended, by the peer or by the network.
    pub fn closed(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.start(now, roster);
        if let Some(link) = self.drop_link(&peer, &mut effects)
            && !matches!(link.state, State::Waiting)
        {
            self.is_silent(peer, now);
        }
        effects
    }

    /// Takes a message of a peer.
    pub fn receive(&mut self, peer: NodeKey, bytes: &[u8], now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.start(now, roster);
        // From one that was just left, words may still be on their way.
        let Some(link) = self.links.get_mut(&peer) else { return effects };
        let taken = if link.budget.take(now) {
            match Message::decode(bytes) {
                Some(message) => self.take(peer, message, now, roster, &mut effects),
                None => Err(Fault::Encoding),
            }
        } else {
            Err(Fault::Flood)
        };
        if let Err(fault) = taken {
            effects.push(Effect::Failed(peer, fault));
            self.leave(&peer, &mut effects);
            self.passive.remove(&peer);
            self.away.failed(peer, Did::Fault, now, &mut self.draw);
        }
        effects
    }

    /// Grants or audiences changed: neighbours that would not be let in any more go at once.
    pub fn roster_changed(&mut self, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.start(now, roster);
        self.here = roster.place(&roster.me());
        let peers: Vec<NodeKey> = self.links.keys().copied().collect();
        for peer in peers {
            match self.judge(&peer, roster) {
                None => self.leave(&peer, &mut effects),
                Some((kind, is_metered)) => {
                    if let Some(link) = self.links.get_mut(&peer) {
                        (link.kind, link.is_metered) = (kind, is_metered);
                        if let State::Neighbour(neighbour) = &mut link.state {
                            neighbour.kind = kind;
                        }
                    }
                }
            }
        }
        let here = self.here.clone();
        self.passive.rejudge(|key| judge(here.as_ref()?, key, roster));
        self.search.reset();
        self.audiences_at = now;
        effects
    }

    /// Those both sides accepted, ascending.
    pub fn neighbours(&self) -> impl Iterator<Item = (&NodeKey, &Neighbour)> {
        self.links.iter().filter_map(|(key, link)| Some((key, link.neighbour()?)))
    }

    fn start(&mut self, now: Duration, roster: &dyn Roster) {
        if self.started {
            return;
        }
        self.started = true;
        self.here = roster.place(&roster.me());
        self.shuffle_at = now + self.draw.up_to(self.pace(SHUFFLE_EVERY));
        self.improve_at = now + self.draw.about(self.pace(IMPROVE_EVERY));
        self.remembered_at = now;
        for known in std::mem::take(&mut self.recalled) {
            if let Some((kind, is_metered)) = self.judge(&known.key, roster) {
                let source = if known.met { Source::Met } else { Source::Heard(known.key) };
                self.passive.add(known.key, Entry { kind, is_metered, source }, &mut self.draw);
            }
        }
    }

    pub(super) const fn pace(&self, usual: Duration) -> Duration {
        if self.plan.is_metered { usual.saturating_mul(METERED_SLOWER) } else { usual }
    }

    /// What a peer is to this site, and whether it pays for traffic; `None` when it is not let in, or is this site.
    pub(super) fn judge(&self, peer: &NodeKey, roster: &dyn Roster) -> Option<(Kind, bool)> {
        judge(self.here.as_ref()?, peer, roster)
    }

    /// Whether this site lacks what one of this kind can mend: any neighbour, or one of another region.
    fn is_alone(&self, kind: Kind) -> bool {
        self.neighbours().all(|(_, held)| kind == Kind::Far && held.kind != Kind::Far)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally::of(self.links.values())
    }

    /// Whether a connection may be made to a peer for a slot.
    pub(super) fn may_try(&self, peer: &NodeKey, now: Duration) -> bool {
        self.links.get(peer).is_none_or(|link| matches!(link.state, State::Waiting)) && self.away.may_try(peer, now)
    }

    /// Dials a peer, or asks it where it is connected.
    pub(super) fn approach(
        &mut self,
        peer: NodeKey,
        aim: Aim,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) {
        let Some((kind, is_metered)) = self.judge(&peer, roster) else {
            self.passive.remove(&peer);
            return;
        };
        let alone = self.is_alone(kind);
        if let Some(link) = self.links.get_mut(&peer) {
            (link.state, link.since) = (State::Asking(aim), now);
            effects.push(ask(peer, aim, alone));
        } else {
            self.links.insert(peer, Link::new(kind, is_metered, State::Dialling(aim), now));
            self.rate.dialled();
            effects.push(Effect::Dial(peer));
        }
    }

    /// Forgets a link; a neighbour is one to come back to.
    pub(super) fn drop_link(&mut self, peer: &NodeKey, effects: &mut Vec<Effect>) -> Option<Link> {
        let link = self.links.remove(peer)?;
        if link.neighbour().is_some() {
            effects.push(Effect::Down(*peer));
            let entry = Entry { kind: link.kind, is_metered: link.is_metered, source: Source::Met };
            self.passive.add(*peer, entry, &mut self.draw);
            self.links_changed = true;
            self.audiences_at = Duration::ZERO;
        }
        Some(link)
    }

    /// Ends a link.
    pub(super) fn leave(&mut self, peer: &NodeKey, effects: &mut Vec<Effect>) {
        if self.drop_link(peer, effects).is_some() {
            effects.push(Effect::Close(*peer));
        }
    }

    /// Both sides said so.
    pub(super) fn accept(&mut self, peer: NodeKey, origin: Origin, now: Duration, effects: &mut Vec<Effect>) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.state = State::Neighbour(Neighbour { kind: link.kind, origin, since: now });
            link.since = now;
            self.passive.remove(&peer);
            self.away.accepted(&peer);
            self.links_changed = true;
            self.audiences_at = Duration::ZERO;
            effects.push(Effect::Up(peer));
        }
    }

    pub(super) fn is_silent(&mut self, peer: NodeKey, now: Duration) {
        let times = self.away.failed(peer, Did::Silent, now, &mut self.draw);
        self.passive.failed(&peer, times);
        self.audiences_at = Duration::ZERO;
    }

    /// Some peers that are up, or were said to be.
    pub(super) fn sample(&mut self, count: usize, except: &NodeKey) -> Vec<NodeKey> {
        let mut up: Vec<NodeKey> = self.neighbours().map(|(key, _)| *key).filter(|key| key != except).collect();
        let mut known: Vec<NodeKey> = self
            .passive
            .iter()
            .filter(|(key, held)| held.source != Source::Roster && *key != except)
            .map(|(key, _)| *key)
            .collect();
        self.draw.shuffle(&mut up, count / 2);
        up.truncate(count / 2);
        let rest = count - up.len();
        self.draw.shuffle(&mut known, rest);
        up.extend(known.into_iter().take(rest));
        up
    }

    /// Gives up what takes too long.
    fn expire(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let late = |link: &Link| match link.state {
            State::Dialling(_) => now > link.since + DIAL_WITHIN,
            State::Asking(_) | State::Waiting => now > link.since + ANSWER_WITHIN,
            State::Neighbour(_) => false,
        };
        let late: Vec<NodeKey> = self.links.iter().filter(|(_, link)| late(link)).map(|(key, _)| *key).collect();
        for peer in late {
            let wanted = self.links.get(&peer).is_some_and(|link| link.aim().is_some());
            self.leave(&peer, effects);
            if wanted {
                self.rate.failed();
                self.is_silent(peer, now);
            }
        }
    }

    /// Of too many that wait, the oldest that was turned away goes, or else the oldest of the kind that has most.
    fn make_room(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let waiting = || self.links.iter().filter(|(_, link)| matches!(link.state, State::Waiting));
        if waiting().count() < MAX_WAITING {
            return;
        }
        let mut counts = [0_usize; 4];
        waiting().for_each(|(_, link)| counts[link.kind.index()] += 1);
        let most = counts.iter().max().copied().unwrap_or(0);
        let out = waiting()
            .filter(|(key, link)| self.door.is_turned_away(key, now) || counts[link.kind.index()] == most)
            .min_by_key(|(key, link)| (!self.door.is_turned_away(key, now), link.since))
            .map(|(key, _)| *key);
        if let Some(out) = out {
            self.leave(&out, effects);
        }
    }

    /// Tells a random neighbour of some peers. One that pays for traffic is left in peace when there is another.
    fn shuffle(&mut self, now: Duration, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        if now < self.shuffle_at || roster.count() <= 2 {
            return;
        }
        self.shuffle_at = now + self.draw.about(self.pace(SHUFFLE_EVERY));
        let up = || self.links.iter().filter(|(_, link)| link.neighbour().is_some());
        let mut with: Vec<NodeKey> = up().filter(|(_, link)| !link.is_metered).map(|(key, _)| *key).collect();
        if with.is_empty() {
            with = up().map(|(key, _)| *key).collect();
        }
        let Some(with) = self.draw.one(&with).copied() else { return };
        let keys = self.sample(MAX_SHUFFLE / 2, &with);
        if let Some(link) = self.links.get_mut(&with) {
            link.shuffling = true;
        }
        effects.push(Effect::Send(with, Message::Shuffle(keys).encode()));
    }

    /// Hands out what is to be persisted, when it changed.
    fn remember(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let every = if self.links_changed { REMEMBER_EVERY } else { REMEMBER_PASSIVE_EVERY };
        if now < self.remembered_at + every {
            return;
        }
        (self.remembered_at, self.links_changed) = (now, false);
        let up = self.neighbours().map(|(key, _)| Remembered { key: *key, met: true });
        let known = self
            .passive
            .iter()
            .filter(|(_, held)| held.source != Source::Roster)
            .map(|(key, held)| Remembered { key: *key, met: held.source == Source::Met });
        let all: Vec<Remembered> = up.chain(known).take(2 * MAX_PASSIVE).collect();
        if all != self.remembered {
            self.remembered.clone_from(&all);
            effects.push(Effect::Remember(all));
        }
    }
}

pub(super) fn ask(peer: NodeKey, aim: Aim, alone: bool) -> Effect {
    let why = match aim {
        Aim::Audience => Why::Audience,
        Aim::Slot | Aim::Improve => {
            if alone {
                Why::Alone
            } else {
                Why::Slot
            }
        }
    };
    Effect::Send(peer, Message::Ask(why).encode())
}

fn judge(here: &Place, peer: &NodeKey, roster: &dyn Roster) -> Option<(Kind, bool)> {
    let there = roster.place(peer).filter(|_| *peer != roster.me())?;
    Some((Kind::of(here, &there), there.is_metered))
}

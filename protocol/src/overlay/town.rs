//! A town of sites under a virtual clock: dials, messages with delay, lost connections, sites that go and come, cut
//! regions, captured sites.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::guard::Guards;
use super::message::{Message, Why};
use super::*;
use crate::draw::Draw;
use crate::identity::NodeKey;
use crate::record::ScopeId;
use crate::roster::{Audience, Place, Roster};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What all know of each other.
#[derive(Default)]
pub(super) struct Book {
    pub(super) keys: Vec<NodeKey>,
    pub(super) places: Vec<Place>,
    pub(super) numbers: BTreeMap<NodeKey, usize>,
    pub(super) revoked: BTreeSet<usize>,
    pub(super) audiences: Vec<Vec<Audience>>,
}

/// The book as one site reads it.
pub(super) struct View<'a>(pub(super) &'a Book, pub(super) usize);

impl Roster for View<'_> {
    fn me(&self) -> NodeKey {
        self.0.keys[self.1]
    }

    fn place(&self, site: &NodeKey) -> Option<Place> {
        let number = self.0.numbers.get(site).filter(|number| !self.0.revoked.contains(number))?;
        Some(self.0.places[*number].clone())
    }

    fn count(&self) -> usize {
        self.0.keys.len()
    }

    fn nth(&self, number: usize) -> Option<NodeKey> {
        self.0.keys.get(number).copied()
    }

    fn audiences(&self) -> &[Audience] {
        &self.0.audiences[self.1]
    }

    fn may_hold(&self, _: &NodeKey, _: &ScopeId) -> bool {
        true
    }
}

pub(super) enum Actor {
    Honest(Box<Overlay>),
    /// Asks everybody each second, says yes to everything, and knows nobody but its own.
    Captured,
    Down,
}

#[derive(Debug)]
enum Event {
    Dialled(usize, usize),
    Arrived { from: usize, to: usize, connection: u64, bytes: Vec<u8> },
    Closed { site: usize, peer: usize },
}

pub(super) struct Town {
    pub(super) book: Book,
    pub(super) actors: Vec<Actor>,
    pub(super) now: Duration,
    pub(super) draw: Draw,
    pub(super) remembered: Vec<Vec<Remembered>>,
    pub(super) bytes: Vec<usize>,
    pub(super) messages: Vec<usize>,
    pub(super) dials: Vec<usize>,
    pub(super) faults: Vec<(usize, usize, Fault)>,
    /// Regions that can't reach others.
    pub(super) cut: BTreeSet<Arc<str>>,
    /// One connection in so many is lost in a second; none when zero.
    pub(super) loss: usize,
    queue: BTreeMap<(Duration, u64), Event>,
    connections: BTreeMap<(usize, usize), u64>,
    dialling: BTreeSet<(usize, usize)>,
    up: BTreeSet<(usize, usize)>,
    count: u64,
    slots: Vec<Slots>,
    guards: Guards,
}

pub(super) fn place(region: &str) -> Place {
    Place { region: region.into(), uplink: None, is_authority: false, is_metered: false }
}

impl Town {
    pub(super) fn new(places: Vec<Place>, seed: u8) -> Self {
        Self::guarded(places, seed, Guards::default())
    }

    pub(super) fn guarded(places: Vec<Place>, seed: u8, guards: Guards) -> Self {
        let count = places.len();
        let keys: Vec<NodeKey> =
            (0..count).map(|n| NodeKey(*blake3::hash(&[&n.to_le_bytes()[..], &[seed]].concat()).as_bytes())).collect();
        let numbers = keys.iter().enumerate().map(|(n, key)| (*key, n)).collect();
        let slots =
            places.iter().map(|place| if place.is_metered { Slots::metered() } else { Slots::usual() }).collect();
        let audiences = vec![Vec::new(); count];
        let mut town = Self {
            book: Book { keys, places, numbers, revoked: BTreeSet::new(), audiences },
            actors: (0..count).map(|_| Actor::Down).collect(),
            now: Duration::ZERO,
            draw: Draw::new([seed; 32]),
            remembered: vec![Vec::new(); count],
            bytes: vec![0; count],
            messages: vec![0; count],
            dials: vec![0; count],
            faults: Vec::new(),
            cut: BTreeSet::new(),
            loss: 0,
            queue: BTreeMap::new(),
            connections: BTreeMap::new(),
            dialling: BTreeSet::new(),
            up: BTreeSet::new(),
            count: 0,
            slots,
            guards,
        };
        (0..count).for_each(|site| town.rise(site));
        town
    }

    /// Makes the sites of these numbers an audience.
    pub(super) fn audience(&mut self, sites: &[usize]) {
        let mut members: Vec<NodeKey> = sites.iter().map(|site| self.book.keys[*site]).collect();
        members.sort_unstable();
        let audience = Audience { members: members.into() };
        sites.iter().for_each(|site| self.book.audiences[*site].push(audience.clone()));
    }

    pub(super) fn rise(&mut self, site: usize) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.draw.bits().to_le_bytes());
        let slots = self.slots[site];
        let mut overlay = Overlay::guarded(slots, seed, self.guards);
        overlay.recall(self.remembered[site].clone());
        self.actors[site] = Actor::Honest(Box::new(overlay));
    }

    pub(super) fn fall(&mut self, site: usize) {
        self.actors[site] = Actor::Down;
        self.up.retain(|(a, _)| *a != site);
        self.dialling.retain(|(a, _)| *a != site);
        let mine: Vec<_> = self.connections.keys().copied().filter(|(a, b)| *a == site || *b == site).collect();
        for pair in mine {
            self.connections.remove(&pair);
            let peer = if pair.0 == site { pair.1 } else { pair.0 };
            let after = SECOND + self.draw.up_to(SECOND * 10);
            self.later(after, Event::Closed { site: peer, peer: site });
        }
    }

    pub(super) fn is_up(&self, site: usize) -> bool {
        matches!(self.actors[site], Actor::Honest(_))
    }

    pub(super) fn overlay(&self, site: usize) -> &Overlay {
        match &self.actors[site] {
            Actor::Honest(overlay) => overlay,
            Actor::Captured | Actor::Down => panic!("{site} is not honest and up"),
        }
    }

    pub(super) fn honest(&self) -> Vec<usize> {
        (0..self.actors.len()).filter(|site| self.is_up(*site)).collect()
    }

    /// Neighbours by number.
    pub(super) fn neighbours(&self, site: usize) -> Vec<(usize, Neighbour)> {
        self.overlay(site).neighbours().map(|(key, held)| (self.book.numbers[key], *held)).collect()
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.second();
        }
    }

    fn can_reach(&self, a: usize, b: usize) -> bool {
        let [a, b] = [a, b].map(|site| &self.book.places[site].region);
        a == b || self.cut.contains(a) == self.cut.contains(b)
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.queue.insert((self.now + after, self.count), event);
    }

    /// One way, always the same between two.
    fn delay(&self, a: usize, b: usize) -> Duration {
        Duration::from_millis(5 + (a * b + a + b) as u64 % 120)
    }

    fn second(&mut self) {
        let end = self.now + SECOND;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 < end) {
            self.now = self.now.max(entry.key().0);
            let event = entry.remove();
            self.happen(event);
        }
        self.now = end;
        let is_calm = self.cut.is_empty() && self.loss == 0;
        let all: Vec<_> = if is_calm { Vec::new() } else { self.connections.keys().copied().collect() };
        let lost: Vec<_> = all
            .into_iter()
            .filter(|(a, b)| !self.can_reach(*a, *b) || self.loss > 0 && self.draw.below(self.loss) == 0)
            .collect();
        for (a, b) in lost {
            self.connections.remove(&(a, b));
            self.later(SECOND, Event::Closed { site: a, peer: b });
            self.later(SECOND, Event::Closed { site: b, peer: a });
        }
        for site in 0..self.actors.len() {
            match &mut self.actors[site] {
                Actor::Honest(overlay) => {
                    let effects = overlay.tick(self.now, &View(&self.book, site));
                    self.carry_out(site, effects);
                }
                Actor::Captured => self.pester(site),
                Actor::Down => {}
            }
        }
    }

    /// Calls a site's machine and carries out what it says.
    pub(super) fn with(&mut self, site: usize, call: impl FnOnce(&mut Overlay, Duration, &View<'_>) -> Vec<Effect>) {
        if let Actor::Honest(overlay) = &mut self.actors[site] {
            let effects = call(overlay, self.now, &View(&self.book, site));
            self.carry_out(site, effects);
        }
    }

    fn carry_out(&mut self, site: usize, effects: Vec<Effect>) {
        for effect in VecDeque::from(effects) {
            let number = |key: &NodeKey| self.book.numbers[key];
            match effect {
                Effect::Dial(peer) => {
                    let peer = number(&peer);
                    self.dial(site, peer);
                }
                Effect::Close(peer) => {
                    let peer = number(&peer);
                    self.close(site, peer);
                }
                Effect::Send(peer, bytes) => {
                    let peer = number(&peer);
                    self.send(site, peer, bytes);
                }
                Effect::Up(peer) => assert!(self.up.insert((site, number(&peer))), "up twice"),
                Effect::Down(peer) => assert!(self.up.remove(&(site, number(&peer))), "down without up"),
                Effect::Remember(all) => self.remembered[site] = all,
                Effect::Failed(peer, fault) => self.faults.push((site, number(&peer), fault)),
            }
        }
        if let Actor::Honest(overlay) = &self.actors[site] {
            let up = self.up.range((site, 0)..(site + 1, 0)).count();
            assert_eq!(overlay.neighbours().count(), up, "Up and Down tell all");
        }
    }

    fn dial(&mut self, site: usize, peer: usize) {
        self.dials[site] += 1;
        self.dialling.insert((site, peer));
        self.later(self.delay(site, peer) * 2, Event::Dialled(site, peer));
    }

    fn close(&mut self, site: usize, peer: usize) {
        self.dialling.remove(&(site, peer));
        if self.connections.remove(&(site.min(peer), site.max(peer))).is_some() {
            self.later(self.delay(site, peer), Event::Closed { site: peer, peer: site });
        }
    }

    fn send(&mut self, site: usize, peer: usize, bytes: Vec<u8>) {
        self.bytes[site] += bytes.len();
        self.messages[site] += 1;
        if let Some(connection) = self.connections.get(&(site.min(peer), site.max(peer))).copied() {
            self.later(self.delay(site, peer), Event::Arrived { from: site, to: peer, connection, bytes });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dialled(site, peer) => {
                if !self.dialling.remove(&(site, peer)) {
                    return;
                }
                if matches!(self.actors[peer], Actor::Down) || !self.can_reach(site, peer) {
                    let key = self.book.keys[peer];
                    self.with(site, |overlay, now, roster| overlay.dial_failed(key, now, roster));
                    return;
                }
                let pair = (site.min(peer), site.max(peer));
                // Both dialled: the lower key's connection stays.
                if self.connections.contains_key(&pair) && self.book.keys[site] > self.book.keys[peer] {
                    return;
                }
                self.count += 1;
                self.connections.insert(pair, self.count);
                self.begin(peer, site, false);
                self.begin(site, peer, true);
            }
            Event::Arrived { from, to, connection, bytes } => {
                if self.connections.get(&(from.min(to), from.max(to))) != Some(&connection) {
                    return;
                }
                if matches!(self.actors[to], Actor::Captured) {
                    self.captured_hears(to, from, &bytes);
                } else {
                    let key = self.book.keys[from];
                    self.with(to, |overlay, now, roster| overlay.receive(key, &bytes, now, roster));
                }
            }
            Event::Closed { site, peer } => {
                // One that came after is not meant.
                if !self.connections.contains_key(&(site.min(peer), site.max(peer))) {
                    let key = self.book.keys[peer];
                    self.with(site, |overlay, now, roster| overlay.closed(key, now, roster));
                }
            }
        }
    }

    fn begin(&mut self, site: usize, peer: usize, initiated: bool) {
        let key = self.book.keys[peer];
        self.with(site, |overlay, now, roster| overlay.connected(key, initiated, now, roster));
    }

    fn gang(&mut self) -> Vec<NodeKey> {
        let all = self.actors.iter().zip(&self.book.keys);
        let mut gang: Vec<NodeKey> =
            all.filter(|(actor, _)| matches!(actor, Actor::Captured)).map(|(_, key)| *key).collect();
        self.draw.shuffle(&mut gang, MAX_SHUFFLE);
        gang.truncate(MAX_SHUFFLE);
        gang
    }

    /// What a captured site does each second. It speaks just as seldom as not to be shut out for a flood.
    fn pester(&mut self, site: usize) {
        for peer in 0..self.actors.len() {
            if !self.is_up(peer) {
                continue;
            }
            if !self.connections.contains_key(&(site.min(peer), site.max(peer))) {
                self.knock(site, peer);
            } else if self.draw.below(20) == 0 && self.up.contains(&(peer, site)) {
                let gang = self.gang();
                self.send(site, peer, Message::Shuffle(gang).encode());
            }
        }
    }

    /// Connects, asks, and mostly goes when refused; without a delay, as there are millions of these in a story.
    fn knock(&mut self, site: usize, peer: usize) {
        let key = self.book.keys[site];
        let why = if self.draw.below(2) == 0 { Why::Alone } else { Why::Slot };
        let goes = self.draw.below(16) > 0;
        let Actor::Honest(overlay) = &mut self.actors[peer] else { return };
        if goes && overlay.door.is_turned_away(&key, self.now) {
            // It would be refused unheard, and nothing changed.
            return;
        }
        let roster = View(&self.book, peer);
        let mut effects = overlay.connected(key, false, self.now, &roster);
        effects.extend(overlay.receive(key, &Message::Ask(why).encode(), self.now, &roster));
        if goes && !effects.contains(&Effect::Up(key)) {
            effects.extend(overlay.closed(key, self.now, &roster));
        } else {
            self.count += 1;
            self.connections.insert((site.min(peer), site.max(peer)), self.count);
        }
        self.carry_out(peer, effects);
    }

    fn captured_hears(&mut self, site: usize, from: usize, bytes: &[u8]) {
        match Message::decode(bytes) {
            Some(Message::Ask(_)) => self.send(site, from, Message::Yes.encode()),
            Some(Message::Shuffle(_)) => {
                let gang = self.gang();
                self.send(site, from, Message::Shuffled(gang).encode());
            }
            Some(Message::Yes | Message::No(_) | Message::Shuffled(_)) | None => {}
        }
    }
}

/// How many parts these sites fall into, by neighbourhoods among themselves that both sides hold.
pub(super) fn parts(town: &Town, sites: &[usize]) -> usize {
    let sites: BTreeSet<usize> = sites.iter().copied().collect();
    let links: BTreeMap<usize, Vec<usize>> =
        sites.iter().map(|site| (*site, town.neighbours(*site).into_iter().map(|(peer, _)| peer).collect())).collect();
    let (mut left, mut parts) = (sites.clone(), 0);
    while let Some(first) = left.pop_first() {
        parts += 1;
        let mut queue = vec![first];
        while let Some(site) = queue.pop() {
            for peer in &links[&site] {
                if left.contains(peer) && links[peer].contains(&site) {
                    left.remove(peer);
                    queue.push(*peer);
                }
            }
        }
    }
    parts
}

/// Regions of so many sites each, with an authority in the first two, and pairs behind one uplink.
pub(super) fn regions(count: usize, each: usize) -> Vec<Place> {
    (0..count * each)
        .map(|n| {
            let (region, number) = (n / each, n % each);
            let uplink = (number >= 4).then(|| format!("{region}-{}", number / 3).into());
            Place { uplink, is_authority: number == 0 && region < 2, ..place(&format!("r{region}")) }
        })
        .collect()
}

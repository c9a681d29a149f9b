//! The fleet: its sites, its links, its clock, and what is counted.
//!
//! [`Fleet`] owns everything. It is driven from outside: run to a moment, write a record, cut, stop, look. What happens
//! next is the earliest event, in the order in which events were put there; a seed decides a run completely.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use protocol::broadcast::Came;
use protocol::identity::NodeKey;
use protocol::record::{HybridTime, ScopeId};
use protocol::{Digest, Timestamp};

use super::archive::{Archive, Say};
use super::capture::Captor;
use super::charter::{Charter, Safeguards, SiteNumber};
use super::meeting::Part;
use super::network::{DIAL, Delays, GIVEN_UP, KEEP_OPEN, SMALL, Traffic, Uplink, wire};
use super::site::{Out, Site};
use super::watch::Watch;
use crate::rng::Rng;

/// How much an uplink's queue may hold, as time.
const AHEAD: Duration = Duration::from_millis(500);

const TICK: Duration = Duration::from_secs(1);

/// What travels over a connection.
#[derive(Clone, Debug)]
pub enum Wire {
    /// Of the overlay.
    Overlay(Vec<u8>),
    /// Of the broadcast.
    Cast(Vec<u8>),
    /// Of the broadcast, on the stream that is read first.
    Urgent(Vec<u8>),
    /// Of the presence.
    Presence(Vec<u8>),
    /// Of the holdings.
    Holdings(Vec<u8>),
    /// Of a meeting; whether the sender began it.
    Meet {
        /// Whether the sender began it.
        began: bool,
        /// What.
        part: Part,
    },
}

impl Wire {
    /// What it says.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Overlay(bytes)
            | Self::Cast(bytes)
            | Self::Urgent(bytes)
            | Self::Presence(bytes)
            | Self::Holdings(bytes) => bytes,
            Self::Meet { part, .. } => part.bytes(),
        }
    }

    fn len(&self) -> usize {
        self.bytes().len() + usize::from(matches!(self, Self::Meet { .. }))
    }

    const fn class(&self) -> Class {
        match self {
            Self::Overlay(_) => Class::Overlay,
            Self::Cast(_) | Self::Urgent(_) => Class::Broadcast,
            Self::Presence(_) => Class::Presence,
            Self::Holdings(_) => Class::Holdings,
            Self::Meet { part: Part::Records(_), .. } => Class::Records,
            Self::Meet { .. } => Class::Reconcile,
        }
    }
}

/// What bytes are spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Neighbours.
    Overlay,
    /// New records and their announcement.
    Broadcast,
    /// Who is there.
    Presence,
    /// Who has what.
    Holdings,
    /// Finding out what differs.
    Reconcile,
    /// Records that differed.
    Records,
    /// Keeping connections open.
    Open,
}

#[derive(Debug)]
enum Event {
    Tick(SiteNumber),
    Wake(SiteNumber),
    Arrive { from: SiteNumber, to: SiteNumber, connection: u64, wire: Wire },
    Established { from: SiteNumber, to: SiteNumber },
    Closed { site: SiteNumber, peer: SiteNumber, connection: u64 },
    LaneSent { site: SiteNumber, peer: NodeKey, began: bool, lane: u8, connection: u64 },
}

#[derive(Debug)]
struct Planned {
    at: Duration,
    place: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.place).cmp(&(other.at, other.place))
    }
}

#[derive(Debug)]
struct Connection {
    number: u64,
    last: Duration,
}

/// How far a record has come.
#[derive(Clone, Debug)]
pub struct Reach {
    /// When it was written.
    pub written: Duration,
    /// How long it took to each site that has it, in the order of arrival.
    pub took: Vec<Duration>,
}

/// See the module.
#[derive(Debug)]
pub struct Fleet {
    /// Who is in it.
    pub charter: Charter,
    /// All records.
    pub archive: Archive,
    /// The sites.
    pub sites: Vec<Site>,
    /// Bytes of each site.
    pub traffic: Vec<Traffic>,
    /// Bytes by what they are spent on.
    pub spent: BTreeMap<Class, u64>,
    /// How far records came that are tracked.
    pub reach: BTreeMap<u32, Reach>,
    /// Records pushed to somebody, and those that were the first copy there.
    pub pushed: (u64, u64),
    /// What must not be said to whom.
    pub watch: Option<Watch>,
    /// Who runs the captured.
    pub captor: Captor,
    /// Changes of direction between two sites that meet, by the pair.
    pub flights: BTreeMap<(SiteNumber, SiteNumber), (SiteNumber, u32)>,
    /// Most bytes of records on their way at one time.
    pub in_flight: (u64, u64),
    delays: Delays,
    /// Bytes a second a site can send.
    rate: u64,
    uplinks: Vec<Uplink>,
    wakes: Vec<Option<Duration>>,
    connections: BTreeMap<(SiteNumber, SiteNumber), Connection>,
    groups: Vec<u8>,
    queue: BinaryHeap<Reverse<Planned>>,
    next: u64,
    now: Duration,
    rng: Rng,
}

fn pair(a: SiteNumber, b: SiteNumber) -> (SiteNumber, SiteNumber) {
    (a.min(b), a.max(b))
}

impl Fleet {
    /// Sites that start within a few seconds of each other.
    #[must_use]
    pub fn new(charter: Charter, delays: Delays, rate: u64, safeguards: Safeguards, seed: u64) -> Self {
        let rng = Rng::from_seed(seed);
        let count = charter.len();
        let sites = (0..)
            .take(count)
            .map(|number| Site::new(number, &charter, safeguards, rng.fork(&format!("site {number}"))))
            .collect();
        let mut fleet = Self {
            archive: Archive::new(safeguards.urgent),
            sites,
            traffic: vec![Traffic::default(); count],
            spent: BTreeMap::new(),
            reach: BTreeMap::new(),
            pushed: (0, 0),
            watch: None,
            captor: Captor::default(),
            flights: BTreeMap::new(),
            in_flight: (0, 0),
            delays,
            rate,
            uplinks: vec![Uplink::default(); count],
            wakes: vec![None; count],
            connections: BTreeMap::new(),
            groups: vec![0; count],
            queue: BinaryHeap::new(),
            next: 0,
            now: Duration::ZERO,
            rng: rng.fork("fleet"),
            charter,
        };
        for number in (0..).take(count) {
            let at = fleet.rng.up_to(Duration::from_secs(3));
            fleet.plan(at, Event::Tick(number));
        }
        fleet
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    fn plan(&mut self, at: Duration, event: Event) {
        self.next += 1;
        self.queue.push(Reverse(Planned { at, place: self.next, event }));
    }

    /// Runs on for so long.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.queue.peek().is_some_and(|Reverse(planned)| planned.at <= until) {
            let Some(Reverse(planned)) = self.queue.pop() else { break };
            self.now = planned.at;
            self.perform(planned.event);
        }
        self.now = until;
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::Tick(number) => {
                self.plan(self.now + TICK, Event::Tick(number));
                self.keep_open(number);
                self.at(number, |site, charter, archive, now| site.tick(charter, archive, now));
                if self.sites[number as usize].captured {
                    let Self { captor, sites, charter, archive, .. } = self;
                    captor.tick(&mut sites[number as usize], charter, archive);
                    self.carry_out(number);
                }
            }
            Event::Wake(number) => {
                self.wakes[number as usize] = None;
                self.at(number, |site, charter, archive, now| site.wake(charter, archive, now));
            }
            Event::Arrive { from, to, connection, wire } => {
                if wire.class() == Class::Records {
                    self.in_flight.0 -= wire.len() as u64;
                }
                let peer = self.charter.key(from);
                if self.sites[to as usize].connected.get(&peer) != Some(&connection) {
                    return;
                }
                let lies = || matches!(wire, Wire::Holdings(_)) && self.captor.claims(&self.charter.key(to));
                if self.sites[to as usize].captured && !matches!(wire, Wire::Overlay(_)) && !lies() {
                    let Self { captor, charter, .. } = self;
                    captor.hear(charter.key(to), peer, &wire);
                    return;
                }
                self.at(to, |site, charter, archive, now| site.hear(peer, wire, charter, archive, now));
            }
            Event::Established { from, to } => self.established(from, to),
            Event::Closed { site, peer, connection } => {
                let key = self.charter.key(peer);
                if self.sites[site as usize].connected.get(&key) == Some(&connection) {
                    self.sites[site as usize].connected.remove(&key);
                    self.at(site, |site, charter, archive, now| site.on_closed(key, charter, archive, now));
                }
            }
            Event::LaneSent { site, peer, began, lane, connection } => {
                if self.sites[site as usize].connected.get(&peer) == Some(&connection) {
                    self.at(site, |site, _, archive, now| site.lane_sent(peer, began, lane, archive, now));
                }
            }
        }
    }

    /// Lets a site do something, and carries out what it wants.
    fn at(&mut self, number: SiteNumber, act: impl FnOnce(&mut Site, &Charter, &Archive, Duration)) {
        let site = &mut self.sites[number as usize];
        if site.up {
            act(site, &self.charter, &self.archive, self.now);
            self.carry_out(number);
        }
    }

    fn carry_out(&mut self, number: SiteNumber) {
        while !self.sites[number as usize].out.is_empty() {
            for out in std::mem::take(&mut self.sites[number as usize].out) {
                self.perform_out(number, out);
            }
        }
        let now = self.now;
        if let Some(due) = self.sites[number as usize].due(now).map(|due| due.max(now + Duration::from_millis(1)))
            && self.wakes[number as usize].is_none_or(|planned| planned > due)
            && due < now + TICK
        {
            self.wakes[number as usize] = Some(due);
            self.plan(due, Event::Wake(number));
        }
    }

    fn perform_out(&mut self, number: SiteNumber, out: Out) {
        match out {
            Out::Send(peer, wire) => {
                self.send(number, peer, wire);
            }
            Out::Lane(peer, began, lane, wire) => {
                if let Some((left, connection)) = self.send(number, peer, wire) {
                    self.plan(left, Event::LaneSent { site: number, peer, began, lane, connection });
                }
            }
            Out::Dial(peer) => {
                let Some(to) = self.charter.number(&peer) else { return };
                let there = self.reachable(number, to) && self.sites[to as usize].up;
                let delay = self.delays.between(&self.charter, number, to);
                // A handshake is a round trip, and some packets.
                self.traffic[number as usize].out += 3000;
                if there {
                    self.traffic[to as usize].come += 3000;
                }
                let wait = if there { delay * 2 } else { DIAL };
                self.plan(self.now + wait, Event::Established { from: number, to });
            }
            Out::Close(peer) => {
                let Some(to) = self.charter.number(&peer) else { return };
                let Some(connection) = self.sites[number as usize].connected.remove(&peer) else { return };
                self.connections.remove(&pair(number, to));
                let delay = self.delays.between(&self.charter, number, to);
                self.plan(self.now + delay, Event::Closed { site: to, peer: number, connection });
            }
            Out::Blame(peer) => {
                let Some(to) = self.charter.number(&peer) else { return };
                let Some(&connection) = self.sites[number as usize].connected.get(&peer) else { return };
                self.connections.remove(&pair(number, to));
                let delay = self.delays.between(&self.charter, number, to);
                self.plan(self.now, Event::Closed { site: number, peer: to, connection });
                self.plan(self.now + delay, Event::Closed { site: to, peer: number, connection });
            }
            Out::New(records) => {
                let by_push = self.sites[number as usize].by_push;
                for record in records {
                    self.pushed.1 += u64::from(by_push);
                    if let Some(reach) = self.reach.get_mut(&record) {
                        reach.took.push(self.now - reach.written);
                    }
                }
            }
            Out::Pushing(count) => self.pushed.0 += count,
        }
    }

    fn reachable(&self, a: SiteNumber, b: SiteNumber) -> bool {
        self.groups[a as usize] == self.groups[b as usize]
    }

    fn established(&mut self, from: SiteNumber, to: SiteNumber) {
        let (a, b) = (self.charter.key(from), self.charter.key(to));
        if !self.sites[from as usize].up || self.connections.contains_key(&pair(from, to)) {
            return;
        }
        let refused = self.sites[to as usize].revoked.contains(&a);
        if refused || !self.sites[to as usize].up || !self.reachable(from, to) {
            self.at(from, |site, charter, archive, now| site.on_dial_failed(b, charter, archive, now));
            return;
        }
        self.next += 1;
        let number = self.next;
        self.connections.insert(pair(from, to), Connection { number, last: self.now });
        self.sites[from as usize].connected.insert(b, number);
        self.sites[to as usize].connected.insert(a, number);
        self.at(to, |site, charter, archive, now| site.on_connected(a, false, charter, archive, now));
        self.at(from, |site, charter, archive, now| site.on_connected(b, true, charter, archive, now));
    }

    /// Sends; when it has left, and over which connection.
    fn send(&mut self, from: SiteNumber, peer: NodeKey, wire_: Wire) -> Option<(Duration, u64)> {
        let to = self.charter.number(&peer)?;
        let connection = *self.sites[from as usize].connected.get(&peer)?;
        let open = self.connections.get_mut(&pair(from, to)).filter(|open| open.number == connection)?;
        open.last = self.now;
        if let Some(watch) = &mut self.watch
            && !self.sites[from as usize].captured
        {
            watch.look(&self.charter, from, to, &wire_);
        }
        let (bytes, acks) = wire(wire_.len());
        let class = wire_.class();
        *self.spent.entry(class).or_default() += bytes + acks;
        self.traffic[from as usize].out += bytes;
        self.traffic[from as usize].come += acks;
        self.traffic[to as usize].come += bytes;
        self.traffic[to as usize].out += acks;
        if class == Class::Records {
            self.in_flight.0 += wire_.len() as u64;
            self.in_flight.1 = self.in_flight.1.max(self.in_flight.0);
        }
        if let Wire::Meet { part, .. } = &wire_
            && part.is_finding_out()
        {
            let flights = self.flights.entry(pair(from, to)).or_insert((from, 1));
            if flights.0 != from {
                *flights = (from, flights.1 + 1);
            }
        }
        let urgent = matches!(wire_, Wire::Urgent(_));
        let left = self.uplinks[from as usize].leave(self.now, bytes, self.rate, urgent);
        // A connection takes so much ahead of what the uplink can send, and then no more.
        if !urgent && left > self.now + AHEAD {
            self.sites[from as usize].hold(&peer, left - AHEAD);
        }
        let at = left + self.delays.between(&self.charter, from, to);
        self.plan(at, Event::Arrive { from, to, connection, wire: wire_ });
        Some((left, connection))
    }

    fn keep_open(&mut self, number: SiteNumber) {
        let peers: Vec<NodeKey> = self.sites[number as usize].connected.keys().copied().collect();
        for peer in peers {
            let Some(to) = self.charter.number(&peer).filter(|to| *to > number) else { continue };
            let Some(open) = self.connections.get_mut(&(number, to)) else { continue };
            if open.last + KEEP_OPEN <= self.now {
                open.last = self.now;
                *self.spent.entry(Class::Open).or_default() += 2 * SMALL;
                for site in [number, to] {
                    let traffic = &mut self.traffic[site as usize];
                    traffic.out += SMALL;
                    traffic.come += SMALL;
                }
            }
        }
    }

    // What is done to it.

    fn time(&self) -> HybridTime {
        HybridTime::at(Timestamp(1_800_000_000_000).plus(self.now))
    }

    /// A site writes a record now, which is tracked.
    pub fn write(&mut self, site: SiteNumber, say: Say) -> u32 {
        let number = self.archive.write(self.charter.secret(site), self.time(), say);
        if let Some(watch) = &mut self.watch {
            watch.protect_record(&self.archive.get(number).notice);
        }
        self.reach.insert(number, Reach { written: self.now, took: Vec::new() });
        self.at(site, |site, charter, archive, now| site.take(vec![number], Came::Here, charter, archive, now));
        number
    }

    /// A record that was written long ago, held by these sites.
    pub fn seed(&mut self, author: SiteNumber, at: Timestamp, say: Say, held: impl Iterator<Item = SiteNumber>) -> u32 {
        let number = self.archive.write(self.charter.secret(author), HybridTime::at(at), say);
        if let Some(watch) = &mut self.watch {
            watch.protect_record(&self.archive.get(number).notice);
        }
        for site in held {
            self.sites[site as usize].shelf.insert(number, &self.archive);
        }
        number
    }

    /// A site has an image from now on.
    pub fn hold(&mut self, site: SiteNumber, scope: ScopeId, image: Digest) {
        if let Some(watch) = &mut self.watch {
            watch.protect_image(scope, &image);
        }
        self.sites[site as usize].keep_image(scope, image);
    }

    /// Sites of different groups can't reach each other from now on; all of one group can.
    pub fn part(&mut self, group: impl Fn(SiteNumber) -> u8) {
        for number in (0..).take(self.sites.len()) {
            self.groups[number as usize] = group(number);
        }
        let cut: Vec<_> = self.connections.keys().filter(|(a, b)| !self.reachable(*a, *b)).copied().collect();
        for (a, b) in cut {
            self.lose(a, b);
        }
    }

    /// Both come to know after a while.
    fn lose(&mut self, a: SiteNumber, b: SiteNumber) {
        if let Some(Connection { number, .. }) = self.connections.remove(&(a, b)) {
            self.plan(self.now + GIVEN_UP, Event::Closed { site: a, peer: b, connection: number });
            self.plan(self.now + GIVEN_UP, Event::Closed { site: b, peer: a, connection: number });
        }
    }

    /// A site goes without a word.
    pub fn stop(&mut self, site: SiteNumber) {
        let mine: Vec<_> = self.connections.keys().filter(|(a, b)| *a == site || *b == site).copied().collect();
        for (a, b) in mine {
            self.lose(a, b);
        }
        self.sites[site as usize].stop();
    }

    /// It is back.
    pub fn start(&mut self, site: SiteNumber) {
        let now = self.now;
        if !self.sites[site as usize].up {
            self.sites[site as usize].start(&self.charter, now);
        }
    }

    /// Forgets what was counted.
    pub fn count_anew(&mut self) {
        self.traffic.iter_mut().for_each(|traffic| *traffic = Traffic::default());
        self.spent.clear();
        self.pushed = (0, 0);
        self.flights.clear();
    }
}

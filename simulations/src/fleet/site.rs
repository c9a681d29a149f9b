//! One site of a fleet: its machines, what it holds, whom it is connected to.
//!
//! A [`Site`] decides nothing: it hands what happens to the machines and gathers what they want done in its outbox, which
//! the fleet carries out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::broadcast::{self, Broadcast, Came, Message, Notice, Short};
use protocol::holdings::{self, Holding, Holdings};
use protocol::identity::NodeKey;
use protocol::overlay::{self, Overlay, Remembered, Slots};
use protocol::presence::Life;
use protocol::presence::{self, Presence};
use protocol::reconcile::{Began, Meetings};
use protocol::record::ScopeId;
use protocol::roster::{Audience, Roster};
use protocol::{Digest, Timestamp, canonical};

use super::archive::{Archive, On, Shelf};
use super::charter::{Charter, Safeguards, Seen, SiteNumber};
use super::meeting::{Do, Meeting, Part, sheets};
use super::world::Wire;
use crate::rng::Rng;

/// How often a site meets a random neighbour, about.
const MEET: Duration = Duration::from_secs(45);

/// The same of a metered one.
const MEET_METERED: Duration = Duration::from_secs(600);

/// A meeting in which nothing was said for so long is over.
const SILENT: Duration = Duration::from_secs(30);

/// When a site that had no time for a meeting tries again, at the soonest.
const AGAIN: Duration = Duration::from_secs(5);

/// Most bytes read ahead from a neighbour that is to be read slowly: what a stream's window lets in.
const WINDOW: usize = 4 * 1024 * 1024;

/// What a site wants done.
#[derive(Debug)]
pub enum Out {
    /// Send.
    Send(NodeKey, Wire),
    /// Dial.
    Dial(NodeKey),
    /// Close the connection; the overlay said so.
    Close(NodeKey),
    /// Close the connection: the peer did wrong.
    Blame(NodeKey),
    /// So many records are pushed to somebody.
    Pushing(u64),
    /// Records of a meeting: the lane goes on when these have left.
    Lane(NodeKey, bool, u8, Wire),
    /// These are new here.
    New(Vec<u32>),
}

/// See the module.
#[derive(Debug)]
pub struct Site {
    /// Which.
    pub number: SiteNumber,
    /// What it holds.
    pub shelf: Shelf,
    /// Who ended, as far as it knows.
    pub revoked: BTreeSet<NodeKey>,
    /// Whether it runs.
    pub up: bool,
    /// Whether somebody else runs it: what it does then is in `capture`.
    pub captured: bool,
    /// Whom it has a connection with.
    pub connected: BTreeMap<NodeKey, u64>,
    /// The machine.
    pub overlay: Overlay,
    cast: Broadcast,
    presence: Presence,
    holdings: Holdings,
    /// What it has of images, which outlives a restart.
    images: BTreeMap<ScopeId, Vec<Digest>>,
    audiences: Vec<Audience>,
    safeguards: Safeguards,
    passive: Vec<Remembered>,
    meetings: BTreeMap<(NodeKey, bool), Meeting>,
    turns: Meetings,
    /// When something came of each meeting.
    heard: BTreeMap<(NodeKey, bool), Duration>,
    next_meet: Duration,
    paused: BTreeMap<NodeKey, (Duration, VecDeque<Vec<u8>>, usize)>,
    /// Who was cut off for doing wrong.
    pub blamed: BTreeMap<NodeKey, u32>,
    /// What it wants done.
    pub out: Vec<Out>,
    /// Whether what it took last was pushed to it.
    pub by_push: bool,
    rng: Rng,
    metered: bool,
}

fn seed(rng: &mut Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    seed
}

impl Site {
    /// A site that starts.
    #[must_use]
    pub fn new(number: SiteNumber, charter: &Charter, safeguards: Safeguards, mut rng: Rng) -> Self {
        let metered = charter.place(number).is_metered;
        let Machines { overlay, cast, presence, holdings } =
            machines(number, charter, safeguards, Duration::ZERO, &mut rng);
        let next_meet = rng.up_to(MEET);
        Self {
            number,
            shelf: Shelf::default(),
            revoked: BTreeSet::new(),
            up: true,
            captured: false,
            connected: BTreeMap::new(),
            overlay,
            cast,
            presence,
            holdings,
            images: BTreeMap::new(),
            audiences: if safeguards.audiences { charter.audiences_of(number) } else { Vec::new() },
            safeguards,
            passive: Vec::new(),
            meetings: BTreeMap::new(),
            turns: Meetings::default(),
            heard: BTreeMap::new(),
            next_meet,
            paused: BTreeMap::new(),
            blamed: BTreeMap::new(),
            out: Vec::new(),
            by_push: false,
            rng,
            metered,
        }
    }

    fn seen<'a>(&'a self, charter: &'a Charter) -> Seen<'a> {
        Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        }
    }

    /// Its power goes: records and the passive view stay.
    pub fn stop(&mut self) {
        self.up = false;
        self.connected.clear();
        self.meetings.clear();
        self.turns = Meetings::default();
        self.heard.clear();
        self.paused.clear();
        self.out.clear();
    }

    /// It starts again.
    pub fn start(&mut self, charter: &Charter, now: Duration) {
        self.up = true;
        let Machines { overlay, cast, presence, holdings } =
            machines(self.number, charter, self.safeguards, now, &mut self.rng);
        (self.overlay, self.cast, self.presence, self.holdings) = (overlay, cast, presence, holdings);
        for (scope, images) in &self.images {
            for image in images {
                self.holdings.hold(*scope, *image, Some(Holding::Complete));
            }
        }
        self.overlay.recall(self.passive.clone());
        self.next_meet = now + self.rng.up_to(MEET);
    }

    /// Once a second.
    pub fn tick(&mut self, charter: &Charter, archive: &Archive, now: Duration) {
        let mut told = presence::Fields { version: "1.0.0".into(), ..presence::Fields::default() };
        told.counts.records = self.shelf.len() as u64;
        let wall = Timestamp(1_800_000_000_000).plus(now);
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let _ = self.presence.publish(told, now, wall);
        let presence = self.presence.tick(now, &seen);
        let holdings = self.holdings.tick(now, &seen);
        let overlay = self.overlay.tick(now, &seen);
        let cast = self.cast.tick(&On { shelf: &self.shelf, archive }, now, &seen);
        self.on_presence(presence);
        self.on_holdings(holdings);
        self.on_overlay(overlay, charter, archive, now);
        self.on_cast(cast, charter, archive, now);
        self.resume(charter, archive, now);
        self.end_silent(now);
        if let Some(peer) = self.turns.due(now) {
            self.meet(peer, charter, archive, now);
        }
        if now >= self.next_meet {
            let usual = if self.metered { MEET_METERED } else { MEET };
            self.next_meet = now + usual * 2 / 3 + self.rng.up_to(usual * 2 / 3);
            let peers: Vec<NodeKey> = self.overlay.neighbours().map(|(peer, _)| *peer).collect();
            if !peers.is_empty() {
                let peer = peers[self.rng.index(peers.len())];
                // A metered site says when it meets; the other comes to know by then.
                let spares = !self.metered && self.seen(charter).place(&peer).is_some_and(|place| place.is_metered);
                if !spares {
                    self.meet(peer, charter, archive, now);
                }
            }
        }
    }

    /// When the broadcast wants to be called, if before the next tick.
    pub fn due(&mut self, now: Duration) -> Option<Duration> {
        self.cast.due(now)
    }

    /// The connection to a peer takes nothing more until then.
    pub fn hold(&mut self, peer: &NodeKey, until: Duration) {
        self.cast.hold(peer, until);
    }

    /// The broadcast's moment has come.
    pub fn wake(&mut self, charter: &Charter, archive: &Archive, now: Duration) {
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let cast = self.cast.tick(&On { shelf: &self.shelf, archive }, now, &seen);
        self.on_cast(cast, charter, archive, now);
        self.resume(charter, archive, now);
    }

    /// Meetings in which the peer says nothing more are over.
    fn end_silent(&mut self, now: Duration) {
        let silent = self.heard.iter().filter(|(_, heard)| **heard + SILENT <= now).map(|(meeting, _)| *meeting);
        for (peer, began) in silent.collect::<Vec<_>>() {
            self.heard.remove(&(peer, began));
            self.meetings.remove(&(peer, began));
            self.turns.over(peer, if began { Began::Here } else { Began::There });
        }
    }

    fn resume(&mut self, charter: &Charter, archive: &Archive, now: Duration) {
        let due: Vec<NodeKey> =
            self.paused.iter().filter(|(_, (until, ..))| *until <= now).map(|(peer, _)| *peer).collect();
        for peer in due {
            let Some((_, held, _)) = self.paused.remove(&peer) else { continue };
            for bytes in held {
                self.hear_cast(peer, bytes, charter, archive, now);
            }
        }
    }

    /// A connection is there.
    pub fn on_connected(&mut self, peer: NodeKey, began: bool, charter: &Charter, archive: &Archive, now: Duration) {
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let effects = self.overlay.connected(peer, began, now, &seen);
        self.on_overlay(effects, charter, archive, now);
    }

    /// A dial nobody answered.
    pub fn on_dial_failed(&mut self, peer: NodeKey, charter: &Charter, archive: &Archive, now: Duration) {
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let effects = self.overlay.dial_failed(peer, now, &seen);
        self.on_overlay(effects, charter, archive, now);
    }

    /// A connection is gone.
    pub fn on_closed(&mut self, peer: NodeKey, charter: &Charter, archive: &Archive, now: Duration) {
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let effects = self.overlay.closed(peer, now, &seen);
        self.on_overlay(effects, charter, archive, now);
        self.forget(&peer);
    }

    fn forget(&mut self, peer: &NodeKey) {
        self.meetings.retain(|(other, _), _| other != peer);
        self.turns.down(peer);
        self.heard.retain(|(other, _), _| other != peer);
        self.paused.remove(peer);
    }

    /// Something arrived.
    pub fn hear(&mut self, peer: NodeKey, wire: Wire, charter: &Charter, archive: &Archive, now: Duration) {
        match wire {
            Wire::Overlay(bytes) => {
                let seen = Seen {
                    charter,
                    me: self.number,
                    revoked: &self.revoked,
                    audiences: &self.audiences,
                    safeguards: self.safeguards,
                };
                let effects = self.overlay.receive(peer, &bytes, now, &seen);
                self.on_overlay(effects, charter, archive, now);
            }
            Wire::Presence(bytes) => {
                let seen = Seen {
                    charter,
                    me: self.number,
                    revoked: &self.revoked,
                    audiences: &self.audiences,
                    safeguards: self.safeguards,
                };
                let effects = self.presence.receive(peer, &bytes, now, &seen);
                self.on_presence(effects);
            }
            Wire::Holdings(bytes) => {
                let seen = Seen {
                    charter,
                    me: self.number,
                    revoked: &self.revoked,
                    audiences: &self.audiences,
                    safeguards: self.safeguards,
                };
                let effects = self.holdings.receive(peer, &bytes, now, &seen);
                self.on_holdings(effects);
            }
            Wire::Cast(bytes) => {
                if let Some((_, held, size)) = self.paused.get_mut(&peer) {
                    // Beyond its window a sender waits; what it drops itself is its own affair.
                    if *size + bytes.len() <= WINDOW {
                        *size += bytes.len();
                        held.push_back(bytes);
                    }
                } else {
                    self.hear_cast(peer, bytes, charter, archive, now);
                }
            }
            Wire::Urgent(bytes) => self.hear_cast(peer, bytes, charter, archive, now),
            Wire::Meet { began, part } => self.hear_meeting(peer, !began, &part, charter, archive, now),
        }
    }

    fn hear_cast(&mut self, peer: NodeKey, bytes: Vec<u8>, charter: &Charter, archive: &Archive, now: Duration) {
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let effects = self.cast.receive(peer, &bytes, &On { shelf: &self.shelf, archive }, now, &seen);
        self.on_cast(effects, charter, archive, now);
    }

    fn blame(&mut self, peer: NodeKey) {
        *self.blamed.entry(peer).or_default() += 1;
        self.out.push(Out::Blame(peer));
    }

    fn on_presence(&mut self, effects: Vec<presence::Effect>) {
        for effect in effects {
            match effect {
                presence::Effect::Send(to, bytes) => self.out.push(Out::Send(to, Wire::Presence(bytes))),
                presence::Effect::Failed(peer, _) => self.blame(peer),
            }
        }
    }

    fn on_holdings(&mut self, effects: Vec<holdings::Effect>) {
        for effect in effects {
            match effect {
                holdings::Effect::Send(to, bytes) => self.out.push(Out::Send(to, Wire::Holdings(bytes))),
                holdings::Effect::Failed(peer, _) => self.blame(peer),
                holdings::Effect::Asked { peer, id, scope, digests } => {
                    let own = self.images.get(&scope);
                    let has = |digest: &Digest| own.is_some_and(|images| images.contains(digest));
                    let had: Vec<bool> = digests.iter().map(has).collect();
                    let answer = self.holdings.answer(peer, id, &had);
                    self.on_holdings(vec![answer]);
                }
                // Sites of a fleet fetch nothing; what their questions find is looked at from outside.
                holdings::Effect::Answered { .. } | holdings::Effect::Unanswered { .. } => {}
            }
        }
    }

    /// It has an image from now on.
    pub fn keep_image(&mut self, scope: ScopeId, image: Digest) {
        self.images.entry(scope).or_default().push(image);
        self.holdings.hold(scope, image, Some(Holding::Complete));
    }

    /// Who is said to have an image, best first.
    #[must_use]
    pub fn candidates(&self, scope: ScopeId, image: Digest, charter: &Charter, now: Duration) -> Vec<NodeKey> {
        let fresh = |site: &NodeKey| self.presence.is_fresh(site, now);
        self.holdings.candidates(scope, &[image], now, &self.seen(charter), &fresh)
    }

    /// A peer that was said to have an image did not give it.
    pub fn was_told_falsely(&mut self, peer: NodeKey, scope: ScopeId, now: Duration) {
        if self.safeguards.standing {
            self.holdings.answered(peer, scope, 1, 0, now);
        }
    }

    fn on_overlay(&mut self, effects: Vec<overlay::Effect>, charter: &Charter, archive: &Archive, now: Duration) {
        for effect in effects {
            match effect {
                overlay::Effect::Dial(peer) => self.out.push(Out::Dial(peer)),
                overlay::Effect::Close(peer) => self.out.push(Out::Close(peer)),
                overlay::Effect::Send(to, bytes) => self.out.push(Out::Send(to, Wire::Overlay(bytes))),
                overlay::Effect::Remember(passive) => self.passive = passive,
                overlay::Effect::Failed(peer, _) => self.blame(peer),
                overlay::Effect::Up(peer) => {
                    let seen = Seen {
                        charter,
                        me: self.number,
                        revoked: &self.revoked,
                        audiences: &self.audiences,
                        safeguards: self.safeguards,
                    };
                    self.cast.up(peer, now, &seen);
                    self.presence.up(peer, now, &seen);
                    self.holdings.up(peer, now, &seen);
                    // One of the two begins.
                    if charter.key(self.number) < peer {
                        self.meet(peer, charter, archive, now);
                    }
                }
                overlay::Effect::Down(peer) => {
                    self.cast.down(&peer);
                    self.presence.down(&peer);
                    self.holdings.down(&peer);
                    self.forget(&peer);
                }
            }
        }
    }

    fn on_cast(&mut self, effects: Vec<broadcast::Effect>, charter: &Charter, archive: &Archive, now: Duration) {
        for effect in effects {
            match effect {
                broadcast::Effect::Push { to, records, urgent } => {
                    let seen = self.seen(charter);
                    let number = |id: &_| archive.number(&Short::of(id));
                    let entries = records.iter().filter_map(number).map(|number| archive.get(number));
                    let sheets: Vec<_> = entries
                        .filter(|entry| seen.may_hold(&to, &entry.notice.scope))
                        .map(super::archive::Entry::sheet)
                        .collect();
                    if !sheets.is_empty() {
                        if !urgent {
                            self.out.push(Out::Pushing(sheets.len() as u64));
                        }
                        let bytes = Message::Push { urgent, sheets }.encode();
                        self.out.push(Out::Send(to, if urgent { Wire::Urgent(bytes) } else { Wire::Cast(bytes) }));
                    }
                }
                broadcast::Effect::Send { to, bytes } => self.out.push(Out::Send(to, Wire::Cast(bytes))),
                broadcast::Effect::Deliver { from, parcels } => {
                    let hostile = charter.number(&from).is_none();
                    let mut new = Vec::new();
                    for (parcel, value) in parcels {
                        let id = parcel.id();
                        let number = archive.number(&Short::of(&id));
                        // Every site checks alike: one that is in the archive was checked when it was signed, and comes
                        // with the bytes it has there. Anything else is checked here.
                        match number.filter(|_| !hostile) {
                            Some(number) if value == archive.get(number).sheet().value => new.push(number),
                            Some(_) | None => {
                                self.cast.refused(&id);
                                if parcel.open().is_err() || number.is_some() {
                                    self.blame(from);
                                }
                            }
                        }
                    }
                    self.take(new, Came::Pushed(from), charter, archive, now);
                }
                broadcast::Effect::Pause { peer, until } => {
                    let paused = self.paused.entry(peer).or_default();
                    paused.0 = paused.0.max(until);
                }
                broadcast::Effect::Meet(peer) => self.meet(peer, charter, archive, now),
                broadcast::Effect::Failed(peer, _) => self.blame(peer),
            }
        }
    }

    /// These are kept from now on.
    pub fn take(&mut self, numbers: Vec<u32>, came: Came, charter: &Charter, archive: &Archive, now: Duration) {
        let seen = self.seen(charter);
        let me = seen.me();
        let mine: Vec<u32> =
            numbers.into_iter().filter(|number| seen.may_hold(&me, &archive.get(*number).notice.scope)).collect();
        let new: Vec<u32> = mine.into_iter().filter(|number| self.shelf.insert(*number, archive)).collect();
        let before = self.revoked.len();
        self.revoked.extend(new.iter().filter_map(|number| archive.get(*number).revokes));
        if self.revoked.len() > before {
            let seen = Seen {
                charter,
                me: self.number,
                revoked: &self.revoked,
                audiences: &self.audiences,
                safeguards: self.safeguards,
            };
            self.cast.roster_changed(&On { shelf: &self.shelf, archive }, &seen);
            let effects = self.overlay.roster_changed(now, &seen);
            self.on_overlay(effects, charter, archive, now);
        }
        let notices: Vec<Notice> = new.iter().map(|number| archive.get(*number).notice).collect();
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let effects = self.cast.took(&notices, came, now, &seen);
        self.by_push = matches!(came, Came::Pushed(_));
        self.out.push(Out::New(new));
        self.on_cast(effects, charter, archive, now);
    }

    // Reconciliation.

    /// Begins a meeting, unless one is on.
    pub fn meet(&mut self, peer: NodeKey, charter: &Charter, archive: &Archive, now: Duration) {
        if !self.safeguards.meet || self.captured || !self.connected.contains_key(&peer) {
            return;
        }
        if !self.turns.begin(peer, now) {
            return self.come_back(peer, now);
        }
        let seed = seed(&mut self.rng);
        let seen = Seen {
            charter,
            me: self.number,
            revoked: &self.revoked,
            audiences: &self.audiences,
            safeguards: self.safeguards,
        };
        let (meeting, part) = Meeting::begin(&peer, seed, &mut self.shelf, archive, &seen);
        self.meetings.insert((peer, true), meeting);
        self.heard.insert((peer, true), now);
        self.out.push(Out::Send(peer, Wire::Meet { began: true, part }));
    }

    fn come_back(&mut self, peer: NodeKey, now: Duration) {
        let wait = AGAIN + self.rng.up_to(AGAIN);
        if self.safeguards.come_back {
            self.turns.put_off(peer, wait, now);
        } else {
            // To whomever chance says.
            self.turns.over(peer, Began::Here);
            self.next_meet = self.next_meet.min(now + wait);
        }
    }

    fn hear_meeting(
        &mut self,
        peer: NodeKey,
        began: bool,
        part: &Part,
        charter: &Charter,
        archive: &Archive,
        now: Duration,
    ) {
        let side = if began { Began::Here } else { Began::There };
        if let Part::Records(bytes) = part {
            let Ok(sheets) = canonical::decode::<Vec<broadcast::Sheet>>(bytes) else { return self.blame(peer) };
            self.turns.received(peer, side, sheets.len(), now);
            self.heard.insert((peer, began), now);
            let mut numbers = Vec::new();
            for sheet in sheets {
                match protocol::record::Parcel::parse(sheet.record) {
                    Ok(parcel) => numbers.extend(archive.number(&Short::of(&parcel.id()))),
                    Err(_) => return self.blame(peer),
                }
            }
            return self.take(numbers, Came::Reconciled(peer), charter, archive, now);
        }
        if began && matches!(part, Part::Busy) {
            self.meetings.remove(&(peer, true));
            self.heard.remove(&(peer, true));
            return self.come_back(peer, now);
        }
        if !began && matches!(part, Part::Ask(_)) && !self.meetings.contains_key(&(peer, false)) {
            let me = charter.key(self.number);
            if !self.turns.answer(peer, me, now) {
                self.out.push(Out::Send(peer, Wire::Meet { began: false, part: Part::Busy }));
                return;
            }
            if !self.turns.is_on(peer, Began::Here) {
                self.meetings.remove(&(peer, true));
            }
            let seed = seed(&mut self.rng);
            let seen = Seen {
                charter,
                me: self.number,
                revoked: &self.revoked,
                audiences: &self.audiences,
                safeguards: self.safeguards,
            };
            let allowed = charter.scopes_of(self.number).into_iter().filter(|scope| seen.may_hold(&peer, scope));
            let allowed = allowed.collect();
            let meeting = Meeting::answer(&peer, seed, &mut self.shelf, archive, &seen, allowed);
            self.meetings.insert((peer, false), meeting);
        }
        let Some(meeting) = self.meetings.get_mut(&(peer, began)) else { return };
        let done = meeting.hear(part, &self.shelf, archive);
        self.heard.insert((peer, began), now);
        self.on_meeting(peer, began, done, archive, now);
    }

    /// The records of a lane have left.
    pub fn lane_sent(&mut self, peer: NodeKey, began: bool, lane: u8, archive: &Archive, now: Duration) {
        let Some(meeting) = self.meetings.get_mut(&(peer, began)) else { return };
        let done = meeting.sent(lane);
        // What it gives is progress too.
        self.heard.insert((peer, began), now);
        self.on_meeting(peer, began, done, archive, now);
    }

    fn on_meeting(&mut self, peer: NodeKey, began: bool, done: Vec<Do>, archive: &Archive, now: Duration) {
        for step in done {
            match step {
                Do::Say(part) => self.out.push(Out::Send(peer, Wire::Meet { began, part })),
                Do::Send(lane, items) => {
                    self.turns.gave(peer, if began { Began::Here } else { Began::There }, now);
                    let part = Part::Records(sheets(&items, archive));
                    self.out.push(Out::Lane(peer, began, lane, Wire::Meet { began, part }));
                }
                Do::Over(_) => {
                    self.meetings.remove(&(peer, began));
                    self.heard.remove(&(peer, began));
                    self.turns.over(peer, if began { Began::Here } else { Began::There });
                    self.cast.met(&peer);
                }
                Do::Failed => self.blame(peer),
            }
        }
    }

    /// When a site was last seen, as this one knows.
    #[must_use]
    pub fn last_seen(&self, site: &NodeKey, now: Duration) -> Option<presence::Seen> {
        self.presence.seen(site, now)
    }
}

struct Machines {
    overlay: Overlay,
    cast: Broadcast,
    presence: Presence,
    holdings: Holdings,
}

fn machines(number: SiteNumber, charter: &Charter, safeguards: Safeguards, now: Duration, rng: &mut Rng) -> Machines {
    let metered = charter.place(number).is_metered;
    let (slots, mut plan) = if metered {
        (Slots::metered(), broadcast::Plan::metered())
    } else {
        (Slots::usual(), broadcast::Plan::usual())
    };
    if !safeguards.prune {
        plan.feeds = usize::MAX;
    }
    let secret = charter.secret(number);
    let life = Life { start: Timestamp(1_800_000_000_000).plus(now), number: rng.next_u64() };
    Machines {
        overlay: Overlay::new(slots, seed(rng)),
        cast: Broadcast::new(plan, seed(rng)),
        presence: Presence::new(secret.clone(), presence::Plan::default(), seed(rng)),
        holdings: Holdings::new(secret.clone(), life, seed(rng)),
    }
}

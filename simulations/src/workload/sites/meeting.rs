//! An exchange of two sites: who they are, what each holds of the other, then one session of the real reconciliation.
//!
//! The network loses, doubles and reorders; a real connection does not. So parts are numbered and taken in order, what
//! is doubled is dropped, and where one is lost the exchange stands still until both forget it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use protocol::ledger::Ledger;
use protocol::reconcile::{self, DayHashes, Item, Items, Pace, Root, Scopes, Session};
use protocol::record::{Held, Kind, Position, RecordId, RecordKey, Records, ScopeId};
use protocol::trust::Handshake;

use super::shown::short;
use super::site::{Role, Site};
use super::wire::{Card, Checked, Part, Sheet, Wire};
use crate::event_log::Event;
use crate::machine::Effect;
use crate::network::NodeId;

/// An exchange in which nothing was heard for so long is over.
const SILENCE: Duration = Duration::from_secs(15);

/// Most exchanges at once.
const MOST: usize = 12;

/// Most bytes of records in one part.
const PART: usize = 32 * 1024;

/// What a scope holds.
#[derive(Debug)]
struct Shelf {
    items: Vec<Item>,
    waiting: Vec<Item>,
    root: Root,
}

/// What there is to exchange at a moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    shelves: Rc<BTreeMap<ScopeId, Shelf>>,
    nothing: Rc<Shelf>,
}

impl Snapshot {
    fn of(ledger: &Ledger) -> Self {
        let mut waiting: BTreeMap<ScopeId, Vec<Item>> = BTreeMap::new();
        for (record, _) in ledger.waiting().iter() {
            waiting.entry(record.scope()).or_default().push((record.time(), record.id()));
        }
        let scopes: BTreeSet<ScopeId> = ledger.set().scopes().chain(waiting.keys().copied()).collect();
        let shelf = |scope: &ScopeId| {
            let items: Vec<Item> = ledger.set().in_scope(scope).collect();
            let root = DayHashes::of(&items).root(&items);
            Shelf { items, waiting: waiting.get(scope).cloned().unwrap_or_default(), root }
        };
        let nothing: Vec<Item> = Vec::new();
        let root = DayHashes::of(&nothing).root(&nothing);
        let nothing = Rc::new(Shelf { items: nothing, waiting: Vec::new(), root });
        Self { shelves: Rc::new(scopes.iter().map(|scope| (*scope, shelf(scope))).collect()), nothing }
    }

    fn shelf(&self, scope: &ScopeId) -> &Shelf {
        self.shelves.get(scope).unwrap_or(&self.nothing)
    }
}

impl Scopes for Snapshot {
    fn root(&self, scope: &ScopeId) -> Root {
        self.shelf(scope).root
    }

    fn items(&self, scope: &ScopeId) -> &dyn Items {
        &self.shelf(scope).items
    }

    fn waiting(&self, scope: &ScopeId) -> Vec<Item> {
        self.shelf(scope).waiting.clone()
    }
}

/// One side of an exchange.
pub(super) struct Meeting {
    session: Option<Session>,
    snapshot: Option<Snapshot>,
    /// What both hold.
    scopes: Vec<ScopeId>,
    sent: u32,
    heard: u32,
    early: BTreeMap<u32, Vec<Part>>,
    last: Duration,
    own: bool,
}

impl fmt::Debug for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meeting").field("own", &self.own).field("heard", &self.heard).finish_non_exhaustive()
    }
}

impl Meeting {
    const fn new(scopes: Vec<ScopeId>, now: Duration, own: bool) -> Self {
        let early = BTreeMap::new();
        Self { session: None, snapshot: None, scopes, sent: 0, heard: 0, early, last: now, own }
    }
}

impl Site {
    /// Begins an exchange with some other site.
    pub(super) fn meet(&mut self, now: Duration) -> Vec<Effect> {
        self.meetings.retain(|_, meeting| meeting.last + SILENCE > now);
        self.wake();
        let others = self.founding.keys.len().saturating_sub(1);
        let at = self.rng.index(others);
        let exchange = self.rng.next_u64();
        let busy = self.meetings.values().filter(|meeting| meeting.own).count() > 1;
        if self.founding.role == Role::Silent || busy || others == 0 {
            return Vec::new();
        }
        let at = if at >= self.founding.id.0 as usize { at + 1 } else { at };
        let to = NodeId(u32::try_from(at).unwrap_or_default());
        if let Some(twin) = &mut self.twin {
            std::mem::swap(&mut self.ledger, twin);
            self.snapshot = None;
        }
        self.meetings.insert((to, exchange), Meeting::new(Vec::new(), now, true));
        vec![send(to, &Wire::Hello { exchange, card: self.card() })]
    }

    pub(super) fn hear(&mut self, now: Duration, from: NodeId, bytes: &[u8], checked: &mut Checked) -> Vec<Effect> {
        if self.founding.role == Role::Silent {
            return Vec::new();
        }
        match Wire::decode(bytes) {
            Some(Wire::Hello { exchange, card }) => self.hear_hello(now, (from, exchange), card, checked),
            Some(Wire::Welcome { exchange, card, yours }) => {
                self.hear_welcome(now, (from, exchange), card, yours, checked)
            }
            Some(Wire::Refused { exchange }) => {
                self.meetings.remove(&(from, exchange));
                Vec::new()
            }
            Some(Wire::Parts { exchange, n, parts }) => {
                let Some(meeting) = self.meetings.get_mut(&(from, exchange)) else { return Vec::new() };
                if n >= meeting.heard {
                    meeting.early.insert(n, parts);
                }
                meeting.last = now;
                self.hear_parts((from, exchange), checked)
            }
            None => vec![self.accuse(from, "its bytes are no message")],
        }
    }

    fn hear_hello(&mut self, now: Duration, with: (NodeId, u64), card: Card, checked: &mut Checked) -> Vec<Effect> {
        if self.meetings.contains_key(&with) || self.meetings.len() >= MOST {
            return Vec::new();
        }
        if !self.lets_in(with.0, &card, checked) {
            return self.refuse(with);
        }
        let own = self.card();
        let yours = self.last_of(with.0, &card);
        self.meetings.insert(with, Meeting::new([own.scopes.clone(), card.scopes].concat(), now, false));
        vec![send(with.0, &Wire::Welcome { exchange: with.1, card: own, yours })]
    }

    fn hear_welcome(
        &mut self,
        now: Duration,
        with: (NodeId, u64),
        card: Card,
        yours: Option<Position>,
        checked: &mut Checked,
    ) -> Vec<Effect> {
        let waits = self.meetings.get(&with).is_some_and(|meeting| meeting.own && meeting.session.is_none());
        if !waits {
            return Vec::new();
        }
        if !self.lets_in(with.0, &card, checked) {
            return self.refuse(with);
        }
        let mut effects = self.hear_of_self(yours);
        let theirs = self.last_of(with.0, &card);
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let mut scopes = self.card().scopes;
        scopes.extend(card.scopes);
        let agenda = reconcile::agenda(self.ledger.mesh(), &scopes);
        let mut session = Session::initiate(agenda, seed, Pace::default());
        let snapshot = self.snapshot();
        let first = session.start(&snapshot);
        let Some(meeting) = self.meetings.get_mut(&with) else { return effects };
        (meeting.session, meeting.snapshot, meeting.last) = (Some(session), Some(snapshot), now);
        effects.extend(self.follow(with, first, vec![Part::Yours(theirs)]));
        effects
    }

    /// Ends an exchange with one that is not let in, at once: what waits for an answer keeps others out.
    fn refuse(&mut self, with: (NodeId, u64)) -> Vec<Effect> {
        self.meetings.remove(&with);
        vec![send(with.0, &Wire::Refused { exchange: with.1 })]
    }

    fn hear_parts(&mut self, with: (NodeId, u64), checked: &mut Checked) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(meeting) = self.meetings.get_mut(&with) {
            let Some(parts) = meeting.early.remove(&meeting.heard) else { break };
            meeting.heard += 1;
            for part in parts {
                effects.extend(self.hear_part(with, part, checked));
            }
        }
        effects
    }

    fn hear_part(&mut self, with: (NodeId, u64), part: Part, checked: &mut Checked) -> Vec<Effect> {
        match part {
            Part::Yours(yours) => {
                let effects = self.hear_of_self(yours);
                let mut seed = [0; 32];
                self.rng.fill(&mut seed);
                let snapshot = self.snapshot();
                let mesh = *self.ledger.mesh();
                if let Some(meeting) = self.meetings.get_mut(&with)
                    && meeting.session.is_none()
                {
                    let allowed = reconcile::agenda(&mesh, &meeting.scopes);
                    meeting.session = Some(Session::respond(allowed, seed, Pace::default()));
                    meeting.snapshot = Some(snapshot);
                }
                effects
            }
            Part::Message(bytes) => {
                let Some(meeting) = self.meetings.get_mut(&with) else { return Vec::new() };
                let (Some(session), Some(snapshot)) = (&mut meeting.session, &meeting.snapshot) else {
                    return Vec::new();
                };
                let next = session.receive(&bytes, snapshot);
                self.follow(with, next, Vec::new())
            }
            Part::Records(sheets) => {
                let taken = self.take(&sheets, checked);
                let mut effects = self.begin_if_behind();
                if let Err(why) = taken {
                    self.meetings.remove(&with);
                    effects.push(self.accuse(with.0, &why));
                }
                effects
            }
        }
    }

    /// Does what a session wants done; what it says goes out in one message.
    fn follow(&mut self, with: (NodeId, u64), first: Vec<reconcile::Effect>, mut parts: Vec<Part>) -> Vec<Effect> {
        let (mut effects, mut over) = (Vec::new(), false);
        let mut queue: VecDeque<_> = first.into();
        while let Some(next) = queue.pop_front() {
            match next {
                reconcile::Effect::Message(bytes) => parts.push(Part::Message(bytes)),
                reconcile::Effect::Send { items, .. } => {
                    let held = items.iter().filter_map(|(_, id)| self.ledger.set().get(id)).collect();
                    parts.extend(self.sheets(held, &mut effects));
                    let Some(meeting) = self.meetings.get_mut(&with) else { break };
                    if let (Some(session), Some(snapshot)) = (&mut meeting.session, &meeting.snapshot) {
                        queue.extend(session.sent(snapshot));
                    }
                }
                reconcile::Effect::Ended { .. } => self.wake(),
                reconcile::Effect::Finished => over = true,
                reconcile::Effect::Failed(fault) => {
                    over = true;
                    effects.push(self.accuse(with.0, &fault.to_string()));
                }
            }
        }
        if let Some(meeting) = self.meetings.get_mut(&with)
            && !parts.is_empty()
        {
            let n = meeting.sent;
            meeting.sent += 1;
            let mut bytes = Wire::Parts { exchange: with.1, n, parts }.encode();
            if self.founding.role == Role::Liar && self.rng.chance(0.2) {
                let at = self.rng.index(bytes.len());
                bytes[at] ^= 1 << self.rng.below(8);
            }
            effects.push(Effect::Send { to: with.0, bytes });
        }
        if over {
            self.meetings.remove(&with);
        }
        effects
    }

    /// Records as they go out. Those of this site are on its disk by then.
    fn sheets(&mut self, held: Vec<Held>, effects: &mut Vec<Effect>) -> Vec<Part> {
        if self.founding.plan.safeguards.sync_before_send && !self.full {
            self.disk.sync();
        }
        let key = self.key();
        let mut parts = Vec::new();
        let (mut batch, mut size) = (Vec::new(), 0);
        for held in held {
            let own = held.record.author() == key;
            if own && self.full && self.founding.plan.safeguards.sync_before_send {
                // It may not be on the disk: it goes another time.
                continue;
            }
            if own && self.founding.role == Role::Honest && self.told.insert(held.record.id()) {
                effects.extend(held.record.body().map(|body| {
                    let (life, seq) = (body.position.incarnation.0, body.position.seq);
                    Effect::Log(Event::Said { node: self.founding.id, life, seq, record: short(&held.record.id()) })
                }));
            }
            let mut sheet = Sheet::of(&held);
            if !self.founding.plan.safeguards.send_values {
                sheet.value = None;
            }
            if self.founding.role == Role::Liar {
                self.spoil(&mut sheet);
            }
            size += sheet.record.len() + sheet.value.as_ref().map_or(0, Vec::len);
            batch.push(sheet);
            if size > PART {
                parts.push(Part::Records(std::mem::take(&mut batch)));
                size = 0;
            }
        }
        if !batch.is_empty() {
            parts.push(Part::Records(batch));
        }
        parts
    }

    /// What a liar does to a record.
    fn spoil(&mut self, sheet: &mut Sheet) {
        if !self.rng.chance(0.1) {
            return;
        }
        match self.rng.below(4) {
            // The signature, the header, the value, or all of it.
            0 => {
                if let Some(last) = sheet.record.last_mut() {
                    *last ^= 1;
                }
            }
            1 => {
                let at = self.rng.index(sheet.record.len());
                sheet.record[at] ^= 0x40;
            }
            2 => sheet.value = Some(b"something else".to_vec()),
            _ => sheet.record.truncate(self.rng.index(sheet.record.len())),
        }
    }

    // Who one speaks to.

    fn card(&mut self) -> Card {
        let projects = self.snapshot();
        let chain = self.chain();
        Card { life: self.ledger.next().incarnation, scopes: projects.shelves.keys().copied().collect(), chain }
    }

    /// This site's grants, and those from there up to the root's.
    fn chain(&self) -> Vec<Sheet> {
        let key = RecordKey::hash(&self.key().0);
        let scope = ScopeId::trust(self.ledger.mesh());
        let mut ids: Vec<RecordId> = self.ledger.set().versions(&scope, Kind::GRANT, &key);
        let (mut chain, mut at) = (Vec::new(), 0);
        while let Some(id) = ids.get(at).copied() {
            at += 1;
            let Some(held) = self.ledger.set().get(&id) else { continue };
            ids.extend(held.record.body().map(|body| body.grant).filter(|grant| !ids.contains(grant)));
            chain.push(Sheet::of(&held));
        }
        // The root's first: a record whose author has no grant yet waits.
        chain.reverse();
        chain
    }

    /// Whether an exchange with that node is to be; its grants are taken in first.
    fn lets_in(&mut self, peer: NodeId, card: &Card, checked: &mut Checked) -> bool {
        if self.take(&card.chain, checked).is_err() {
            return false;
        }
        let Some(key) = self.founding.keys.get(peer.0 as usize).copied() else { return false };
        let flagged = self.ledger.is_flagged(&key);
        key == *self.ledger.trust().root()
            || self.ledger.trust().handshake(&key, self.now(), flagged) != Handshake::Refused
    }

    fn last_of(&self, peer: NodeId, card: &Card) -> Option<Position> {
        self.ledger.last_of(self.founding.keys.get(peer.0 as usize)?, card.life)
    }

    fn hear_of_self(&mut self, yours: Option<Position>) -> Vec<Effect> {
        if let Some(place) = yours {
            self.ledger.hear_of_self(place);
        }
        self.begin_if_behind()
    }

    fn snapshot(&mut self) -> Snapshot {
        self.wake();
        self.snapshot.get_or_insert_with(|| Snapshot::of(&self.ledger)).clone()
    }

    /// What an honest site finds; the word of the others is worth nothing.
    fn accuse(&self, peer: NodeId, why: &str) -> Effect {
        let misbehaves =
            self.founding.misbehaving.contains(&peer) || self.founding.misbehaving.contains(&self.founding.id);
        Effect::Log(Event::Accused { node: self.founding.id, peer, misbehaves, why: why.to_owned() })
    }
}

fn send(to: NodeId, wire: &Wire) -> Effect {
    Effect::Send { to, bytes: wire.encode() }
}

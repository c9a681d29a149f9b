//! The ledger of a site: the set it holds, what waits outside it, what it makes of it, and what it writes itself.
//!
//! [`Ledger`] joins the machines: records come in through [`Ledger::take`], time through [`Ledger::wake`], and what this
//! site says goes out through [`Ledger::write`]. It owns all of that state in memory and does no I/O: what must survive
//! a crash comes out as [`Entry`]s ([`Ledger::entries`]), to be made durable before anything is acknowledged or sent,
//! and a ledger opened on them ([`Ledger::open`]) is the one that wrote them.
//!
//! On arrival only what does not depend on arrival is asked: whether the record is one (`record`), whether its time has
//! come, and whether its author ever had a grant. All else is a matter of the view.

mod acts;
mod step_back;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use acts::Say;
pub use waiting::{MAX_STRANGERS, MAX_WAITING, Waiting, Why};

use crate::Timestamp;
use crate::identity::{NodeKey, NodeSecret};
use crate::record::{
    Draft, HybridClock, HybridTime, Incarnation, MAX_PREV, Malformed, MeshId, Position, RaiseBound, Record, RecordId,
    RecordSet, Records, Timeliness,
};
use crate::trust::{Bearing, Judge, Trust, Void};
use crate::view::{InMemory, Stale, Topic, View};

/// The value of a record, as it is held.
pub type Bytes = Arc<[u8]>;

/// Who a site is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its key.
    pub secret: NodeSecret,
    /// The root of its mesh.
    pub root: NodeKey,
    /// The grant it writes under; [`RecordId::NONE`] for the root itself.
    pub grant: RecordId,
}

/// What must be durable, in this order, before anything it follows from is acknowledged or sent.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A record of the set.
    Record(Record, Option<Bytes>),
    /// A record that waits.
    Waits(Record, Option<Bytes>),
    /// Records that are no longer in the set, for a wrong clock wrote them. Its times go with them: bounds before this
    /// one say nothing any more.
    Withdrawn(Vec<RecordId>),
    /// A withdrawn record of this site's own that is to be written again.
    Owed(Record, Option<Bytes>),
    /// A withdrawn record that was written again.
    Paid(RecordId),
    /// No time at or above this one was given out.
    Bound(HybridTime),
    /// A new life of the counter.
    Life(Incarnation),
}

/// What became of a record that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It is in the set now.
    Taken,
    /// It was there.
    Known,
    /// It was there without its value, which it has now.
    Filled,
    /// It waits outside the set.
    Waits(Why),
    /// Its time is more than a day away: not kept; its author should write it again.
    TooFarAhead,
    /// Too much waits already: not kept; it may come again.
    NoRoom,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// This site may not, or the record would be void for another reason.
    #[error("this site may not write that: {0:?}")]
    Void(Void),
    /// It would be no record.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The project's tags have a home, and it is not here: send it there.
    #[error("the tags of this project are written at {0} alone")]
    Home(String),
    /// There is no such project, or it is closed.
    #[error("the project is not there, or it is closed")]
    NoProject,
    /// What was to be brought back is not deleted.
    #[error("there is nothing to bring back")]
    NotDeleted,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Ledger {
    identity: Identity,
    set: RecordSet,
    trust: Trust,
    view: View<InMemory>,
    waiting: Waiting,
    clock: HybridClock,
    next: Position,
    /// Records that bear on trust.
    acts: BTreeSet<RecordId>,
    latest: BTreeMap<NodeKey, (HybridTime, Incarnation)>,
    /// Lives in which an author said two things at one place.
    forked: BTreeSet<(NodeKey, Incarnation)>,
    is_behind: bool,
    /// Own records a wrong clock wrote that are not written again yet, in their order.
    owed: Vec<(Record, Option<Bytes>)>,
    entries: Vec<Entry>,
    /// How often trust was evaluated: it costs a walk over all acts.
    #[cfg(test)]
    evaluations: usize,
}

impl Ledger {
    /// Opens the ledger on what is durable. `life` is a fresh random number, used when none was begun before.
    #[must_use]
    pub fn open(identity: Identity, durable: impl IntoIterator<Item = Entry>, life: Incarnation) -> Self {
        let trust = Trust::evaluate(identity.root, []);
        let view = View::new(*trust.mesh(), InMemory::default());
        let clock = HybridClock::resume(HybridTime::default());
        let next = Position { incarnation: life, seq: 1 };
        let mut ledger = Self {
            identity,
            set: RecordSet::default(),
            trust,
            view,
            waiting: Waiting::default(),
            clock,
            next,
            acts: BTreeSet::new(),
            latest: BTreeMap::new(),
            forked: BTreeSet::new(),
            is_behind: false,
            owed: Vec::new(),
            entries: Vec::new(),
            #[cfg(test)]
            evaluations: 0,
        };
        ledger.recall(durable, life);
        ledger
    }

    fn recall(&mut self, durable: impl IntoIterator<Item = Entry>, life: Incarnation) {
        let mut records: BTreeMap<RecordId, (Record, Option<Bytes>)> = BTreeMap::new();
        let (mut bound, mut begun) = (HybridTime::default(), None);
        for entry in durable {
            match entry {
                Entry::Record(record, value) => {
                    self.waiting.remove(&record.id());
                    records.insert(record.id(), (record, value));
                }
                Entry::Waits(record, value) => {
                    // Why it waits is found out again when the ledger wakes.
                    records.remove(&record.id());
                    self.waiting.put(record, value, Why::Time(Timestamp(0)));
                }
                Entry::Withdrawn(ids) => {
                    ids.iter().for_each(|id| drop(records.remove(id)));
                    bound = HybridTime::default();
                }
                Entry::Owed(record, value) => self.owed.push((record, value)),
                Entry::Paid(id) => self.owed.retain(|(record, _)| record.id() != id),
                Entry::Bound(time) => bound = bound.max(time),
                Entry::Life(incarnation) => begun = Some(incarnation),
            }
        }
        // What was given out below the bound and is not here never left this site: the clock goes on from the records
        // it holds. Going on from the bound would put it a little further ahead with every start.
        self.clock = HybridClock::resume(HybridTime::default());
        self.clock.raise(bound);
        match begun {
            Some(incarnation) => self.next.incarnation = incarnation,
            None => self.begin(life),
        }
        self.insert_all(records.into_values().collect());
        // What is durable here was written here.
        self.is_behind = false;
    }

    /// Takes in a record whose value was checked, or the value of one that is here without.
    pub fn take(&mut self, record: Record, value: Option<Bytes>, now: Timestamp) -> Reception {
        if let Some(held) = self.set.get(&record.id()) {
            if held.value.is_some() || value.is_none() {
                return Reception::Known;
            }
            self.entries.push(Entry::Record(record.clone(), value.clone()));
            self.insert_all(vec![(record, value)]);
            return Reception::Filled;
        }
        if self.waiting.contains(&record.id()) {
            return Reception::Known;
        }
        let why = match self.reason_to_wait(&record, now) {
            Ok(why) => why,
            Err(reception) => return reception,
        };
        let Some(why) = why else {
            self.entries.push(Entry::Record(record.clone(), value.clone()));
            self.insert_all(vec![(record, value)]);
            return Reception::Taken;
        };
        if !self.waiting.put(record.clone(), value.clone(), why) {
            return Reception::NoRoom;
        }
        self.entries.push(Entry::Waits(record, value));
        Reception::Waits(why)
    }

    fn reason_to_wait(&self, record: &Record, now: Timestamp) -> Result<Option<Why>, Reception> {
        match Timeliness::of(record.time(), now) {
            Timeliness::TooFarAhead => Err(Reception::TooFarAhead),
            Timeliness::WaitsUntil(moment) => Ok(Some(Why::Time(moment))),
            Timeliness::Due if self.trust.is_known(&record.author()) => Ok(None),
            Timeliness::Due => Ok(Some(Why::Author(record.author()))),
        }
    }

    /// Takes in what has waited long enough: its time has come, or its author is known; and writes what this site owes
    /// since it stepped back. Returns what is in the set now.
    pub fn wake(&mut self, now: Timestamp) -> Vec<RecordId> {
        let mut taken = Vec::new();
        loop {
            let due = self.waiting.due(now, |author| self.trust.is_known(author));
            let mut ready = Vec::new();
            for (record, value) in due {
                match self.reason_to_wait(&record, now) {
                    Ok(None) => ready.push((record, value)),
                    Ok(Some(why)) => {
                        self.waiting.put(record, value, why);
                    }
                    // The clock went back since: it will come again when it may.
                    Err(_) => {}
                }
            }
            if ready.is_empty() {
                taken.extend(self.pay(now));
                return taken;
            }
            taken.extend(ready.iter().map(|(record, _)| record.id()));
            self.entries.extend(ready.iter().map(|(record, value)| Entry::Record(record.clone(), value.clone())));
            // A grant among them may let others in.
            self.insert_all(ready);
        }
    }

    /// Writes a record that follows all heads of its topic as this site sees them, and takes it in. It is to be durable
    /// ([`Ledger::entries`]) before anyone hears of it.
    ///
    /// # Errors
    /// [`WriteError`]; nothing is written.
    pub fn write(&mut self, say: Say<'_>, now: Timestamp) -> Result<RecordId, WriteError> {
        self.write_for(say, None, now)
    }

    /// As [`Ledger::write`]; `withdrawn` is a record of the same topic, not in the set, that this one stands for.
    fn write_for(&mut self, say: Say<'_>, withdrawn: Option<RecordId>, now: Timestamp) -> Result<RecordId, WriteError> {
        let topic = Topic { scope: say.scope, kind: say.kind, key: say.key.clone() };
        let time = loop {
            match self.clock.next(now) {
                Ok(time) => break time,
                Err(RaiseBound(bound)) => {
                    self.entries.push(Entry::Bound(bound));
                    self.clock.raise(bound);
                }
            }
        };
        let mut prev = self.view.resolve(&topic);
        if let Some(withdrawn) = withdrawn {
            prev.truncate(MAX_PREV - 1);
            prev.push(withdrawn);
        }
        let draft = Draft {
            scope: say.scope,
            time,
            kind: say.kind,
            key: say.key,
            value: say.value.as_deref(),
            position: self.next,
            grant: self.identity.grant,
            actor: say.actor,
            prev,
        };
        let record = draft.sign(&self.identity.secret)?;
        let name = self.view.facts(&say.scope).name.or(say.name);
        self.trust.judge(&record, say.action, name.as_ref()).map_err(WriteError::Void)?;
        self.next.seq += 1;
        let (id, value) = (record.id(), say.value.map(Bytes::from));
        self.entries.push(Entry::Record(record.clone(), value.clone()));
        self.insert_all(vec![(record, value)]);
        Ok(id)
    }

    /// Drops the value of a record to save room, where no view depends on it ([`View::may_trim`]); `false`, and nothing
    /// done, elsewhere. It comes back by [`Ledger::take`].
    pub fn trim(&mut self, id: &RecordId) -> bool {
        let Some(held) = self.set.get(id) else { return false };
        let may = held.value.is_some() && self.view.may_trim(&held.record);
        if may {
            self.set.drop_value(id);
            self.entries.push(Entry::Record(held.record, None));
        }
        may
    }

    fn insert_all(&mut self, records: Vec<(Record, Option<Bytes>)>) {
        let mut ids = Vec::new();
        let mut bears_on_trust = false;
        for (record, value) in records {
            let id = record.id();
            self.learn_of_author(&record);
            let bearing = self.trust.bearing(&record, value.as_deref());
            if bearing != Bearing::None {
                self.acts.insert(id);
            }
            bears_on_trust |= bearing == Bearing::Now;
            self.clock.observe(record.time());
            // Its value was checked when it came; one that does not fit would be left out, as one that was dropped.
            if self.set.insert(record.clone(), value).is_err() {
                let _ = self.set.insert(record, None);
            }
            ids.push(id);
        }
        let authors = if bears_on_trust { self.trust_again() } else { BTreeSet::new() };
        // What is new first: judging anew would take it in without a look at what follows it.
        self.view.insert_all(&self.set, &self.trust, &ids);
        if !authors.is_empty() {
            self.view.rejudge(&self.set, &self.trust, &Stale { authors, ..Stale::default() });
        }
    }

    /// Evaluates trust anew; gives back whose records may be worth something else now.
    fn trust_again(&mut self) -> BTreeSet<NodeKey> {
        #[cfg(test)]
        {
            self.evaluations += 1;
        }
        let acts: Vec<_> = self.acts.iter().filter_map(|id| self.set.get(id)).collect();
        let trust = Trust::evaluate(self.identity.root, &acts);
        let earlier = std::mem::replace(&mut self.trust, trust);
        self.trust.changed_since(&earlier)
    }

    fn learn_of_author(&mut self, record: &Record) {
        let Some(body) = record.body() else { return };
        let (author, position) = (record.author(), body.position);
        let latest = self.latest.entry(author).or_insert((record.time(), position.incarnation));
        *latest = (*latest).max((record.time(), position.incarnation));
        if self.set.at(&author, position).iter().any(|id| *id != record.id()) {
            self.forked.insert((author, position.incarnation));
        }
        if author == self.identity.secret.key() && position.incarnation == self.next.incarnation {
            // Of this life, and not written by it: another box has this key, or this one was set back.
            self.is_behind |= position.seq >= self.next.seq;
            self.next.seq = self.next.seq.max(position.seq + 1);
        }
    }

    /// A peer holds records of this site's present life up to this place. Behind it, this site lost sight of what it
    /// wrote: it must begin a new life before it writes again.
    pub fn hear_of_self(&mut self, position: Position) {
        self.is_behind |= position.incarnation == self.next.incarnation && position.seq >= self.next.seq;
    }

    /// Whether a new life must begin ([`Ledger::begin`]) before anything is written: this site is behind what others
    /// hold of it, or said two things at one place.
    #[must_use]
    pub fn must_begin(&self) -> bool {
        self.is_behind || self.forked.contains(&(self.identity.secret.key(), self.next.incarnation))
    }

    /// Begins a new life of the counter, under a fresh random number.
    pub fn begin(&mut self, life: Incarnation) {
        self.next = Position { incarnation: life, seq: 1 };
        self.is_behind = false;
        self.entries.push(Entry::Life(life));
    }

    /// What must become durable, since the last call.
    pub fn entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Writes under another grant from now on.
    pub const fn renew(&mut self, grant: RecordId) {
        self.identity.grant = grant;
    }

    /// Whether an author said two different things at one place in its present life: it gets renew-only handshakes until
    /// it has begun another.
    #[must_use]
    pub fn is_flagged(&self, author: &NodeKey) -> bool {
        self.latest.get(author).is_some_and(|(_, life)| self.forked.contains(&(*author, *life)))
    }

    /// The greatest place this site holds of an author's life.
    #[must_use]
    pub fn last_of(&self, author: &NodeKey, incarnation: Incarnation) -> Option<Position> {
        self.set.last_of(author, incarnation)
    }

    /// The place the next record of this site gets.
    #[must_use]
    pub const fn next(&self) -> Position {
        self.next
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> NodeKey {
        self.identity.secret.key()
    }

    /// Its mesh.
    #[must_use]
    pub const fn mesh(&self) -> &MeshId {
        self.trust.mesh()
    }

    /// The set.
    #[must_use]
    pub const fn set(&self) -> &RecordSet {
        &self.set
    }

    /// What is known of who may say what.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What holds.
    #[must_use]
    pub const fn view(&self) -> &View<InMemory> {
        &self.view
    }

    /// What waits outside the set.
    #[must_use]
    pub const fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Checks the kept view against the one computed from all records; for tests and for `doctor`.
    #[must_use]
    pub fn is_view_sound(&self) -> bool {
        let trust = Trust::evaluate(self.identity.root, self.set.iter());
        let scratch = View::from_scratch(*self.mesh(), &self.set, &trust);
        trust == self.trust && scratch.kept() == self.view.kept()
    }
}

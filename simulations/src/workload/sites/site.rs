//! One site: its ledger, its disk, its exchanges, its timers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::identity::NodeKey;
use protocol::ledger::{Identity, Ledger, Reception};
use protocol::record::{HybridTime, Incarnation, Record, RecordId, Records, ScopeId};
use protocol::seam::Clock;
use protocol::view::{InMemory, View};

use super::SitesPlan;
use super::durable::Durable;
use super::meeting::{Meeting, Snapshot};
use super::shown::{Shown, short};
use super::wire::{Checked, Sheet};
use crate::clock::SimClock;
use crate::event_log::Event;
use crate::machine::Effect;
use crate::network::NodeId;
use crate::rng::Rng;

/// Without the safeguard, what is older than this is not taken in.
const HORIZON_MS: u64 = 20_000;

/// How a site behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Honest,
    /// Sends nonsense now and then.
    Liar,
    /// Answers nothing.
    Silent,
    /// Two boxes under one key.
    Equivocator,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Meet,
    Act,
    Acknowledge,
    Restart,
}

/// What a site is made of.
pub(super) struct Founding {
    pub(super) id: NodeId,
    pub(super) role: Role,
    pub(super) plan: SitesPlan,
    pub(super) keys: Arc<[NodeKey]>,
    /// Who is meant to do wrong; nothing here acts on it.
    pub(super) misbehaving: Arc<BTreeSet<NodeId>>,
    pub(super) clock: SimClock,
    pub(super) identity: Identity,
}

/// See the module.
pub(super) struct Site {
    pub(super) founding: Founding,
    pub(super) rng: Rng,
    pub(super) ledger: Ledger,
    /// The other box of an equivocator.
    pub(super) twin: Option<Ledger>,
    pub(super) disk: Durable,
    pub(super) up: bool,
    pub(super) away: bool,
    pub(super) gone: bool,
    pub(super) ended: bool,
    pub(super) full: bool,
    pub(super) clock_is_right: bool,
    must_step_back: bool,
    /// Nobody writes here any more.
    pub(super) quiet: bool,
    /// Counts starts of the process.
    pub(super) start: u64,
    /// What waits to be acknowledged.
    pub(super) pending: BTreeMap<u64, Vec<RecordId>>,
    pub(super) next_pending: u64,
    /// What was acknowledged, ever.
    pub(super) acked: BTreeSet<RecordId>,
    /// Own records the log knows to have been sent.
    pub(super) told: BTreeSet<RecordId>,
    pub(super) meetings: BTreeMap<(NodeId, u64), Meeting>,
    /// In which order records came: what must not matter.
    pub(super) arrivals: BTreeMap<RecordId, u64>,
    /// The view of a site that does not judge again.
    pub(super) stale: Option<View<InMemory>>,
    /// What there is to exchange, as long as nothing changes.
    pub(super) snapshot: Option<Snapshot>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("id", &self.founding.id).field("role", &self.founding.role).finish_non_exhaustive()
    }
}

impl Site {
    /// A site that knows these records, durably.
    pub(super) fn new(founding: Founding, rng: Rng, ledger: Ledger) -> Self {
        let stale = (!founding.plan.safeguards.rejudge)
            .then(|| View::from_scratch(*ledger.mesh(), ledger.set(), ledger.trust()));
        let mut site = Self {
            twin: (founding.role == Role::Equivocator).then(|| ledger.clone()),
            founding,
            rng,
            ledger,
            disk: Durable::default(),
            up: true,
            away: false,
            gone: false,
            ended: false,
            full: false,
            clock_is_right: true,
            must_step_back: false,
            quiet: false,
            start: 0,
            pending: BTreeMap::new(),
            next_pending: 0,
            acked: BTreeSet::new(),
            told: BTreeSet::new(),
            meetings: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            stale,
            snapshot: None,
        };
        site.keep();
        site.disk.sync();
        site
    }

    pub(super) fn now(&self) -> Timestamp {
        self.founding.clock.now()
    }

    /// Whether it must agree with the others in the end.
    pub(super) fn counts(&self) -> bool {
        self.founding.role == Role::Honest && !self.gone && !self.ended
    }

    /// Whether it takes part at the moment.
    pub(super) const fn is_there(&self) -> bool {
        self.up && !self.away && !self.gone
    }

    pub(super) fn key(&self) -> NodeKey {
        self.founding.identity.secret.key()
    }

    /// Puts on the disk what the ledger wants there, as one transaction.
    pub(super) fn keep(&mut self) {
        let entries = self.ledger.entries();
        self.disk.append(entries);
    }

    /// What has come into the set.
    pub(super) fn came(&mut self, ids: &[RecordId]) {
        self.snapshot = None;
        for id in ids {
            let at = self.arrivals.len() as u64;
            self.arrivals.entry(*id).or_insert(at);
        }
        if let Some(stale) = &mut self.stale {
            stale.insert_all(self.ledger.set(), self.ledger.trust(), ids);
        }
    }

    // Timers.

    pub(super) fn wake_in(&self, after: Duration, timer: Timer, number: u64) -> Effect {
        let kind = match timer {
            Timer::Meet => 0,
            Timer::Act => 1,
            Timer::Acknowledge => 2,
            Timer::Restart => 3,
        };
        Effect::Wake { after, token: kind | (self.start & 0xff_ffff) << 8 | number << 32 }
    }

    /// The timer of a token, unless it was set before the last start.
    pub(super) fn timer(&self, token: u64) -> Option<(Timer, u64)> {
        let timer =
            [Timer::Meet, Timer::Act, Timer::Acknowledge, Timer::Restart].into_iter().nth(token as usize & 0xff);
        timer.filter(|_| token >> 8 & 0xff_ffff == self.start & 0xff_ffff).map(|timer| (timer, token >> 32))
    }

    /// Sets the timers of a process that has just started.
    pub(super) fn begin_work(&mut self) -> Vec<Effect> {
        let meet = self.rng.up_to(Duration::from_millis(self.founding.plan.meet_ms));
        let act = self.rng.up_to(Duration::from_millis(self.founding.plan.act_ms));
        vec![self.wake_in(meet, Timer::Meet, 0), self.wake_in(act, Timer::Act, 0)]
    }

    // Records that come in.

    /// Takes in what a peer sent; an error says what is wrong with it.
    pub(super) fn take(&mut self, sheets: &[Sheet], checked: &mut Checked) -> Result<(), String> {
        for sheet in sheets {
            let record = checked.open(sheet).map_err(|malformed| malformed.to_string())?;
            if self.full || self.is_refused(&record) {
                continue;
            }
            let id = record.id();
            let now = self.now();
            if self.ledger.take(record, sheet.value.as_deref().map(Arc::from), now) == Reception::Taken {
                self.came(&[id]);
            }
        }
        self.wake();
        Ok(())
    }

    fn is_refused(&self, record: &Record) -> bool {
        let safeguards = &self.founding.plan.safeguards;
        let horizon = self.now().0.saturating_sub(HORIZON_MS);
        let old = record.time().moment().0 < horizon && record.scope() != ScopeId::trust(self.ledger.mesh());
        let unknown = record.body().is_none_or(|body| !body.kind.is_known());
        (old && !safeguards.take_old) || (unknown && !safeguards.take_unknown)
    }

    /// Takes in what has waited long enough, and keeps all that is new.
    pub(super) fn wake(&mut self) {
        let woken = if self.full { Vec::new() } else { self.ledger.wake(self.now()) };
        self.came(&woken);
        self.keep();
    }

    // Lives.

    /// A fresh life of the counter.
    pub(super) fn fresh(&mut self) -> Incarnation {
        Incarnation(self.rng.next_u64())
    }

    /// Begins a new life when this one can't go on.
    pub(super) fn begin_if_behind(&mut self) -> Vec<Effect> {
        if self.founding.role != Role::Honest
            || !self.founding.plan.safeguards.begin_when_told
            || !self.ledger.must_begin()
        {
            return Vec::new();
        }
        let life = self.fresh();
        self.ledger.begin(life);
        self.keep();
        vec![Effect::Log(Event::Began { node: self.founding.id, life: life.0 })]
    }

    // Crashes.

    /// Goes down; what is on the disk is for the caller to spoil.
    pub(super) fn go_down(&mut self) -> Vec<Effect> {
        self.up = false;
        self.forget();
        vec![self.wake_in(Duration::from_millis(self.founding.plan.down_ms), Timer::Restart, 0)]
    }

    /// Loses what is in memory alone.
    fn forget(&mut self) {
        self.start += 1;
        self.meetings.clear();
        self.pending.clear();
        self.told.clear();
        self.arrivals.clear();
        self.snapshot = None;
    }

    /// Starts again on what is on the disk.
    pub(super) fn open(&mut self) -> Vec<Effect> {
        self.read_disk();
        self.up = true;
        if self.founding.plan.safeguards.life_at_start {
            let life = self.fresh();
            self.ledger.begin(life);
        }
        self.wake();
        self.disk.sync();
        let mut effects = self.begin_work();
        effects.extend(self.step_back_if_due());
        if self.founding.role == Role::Honest && !self.ended {
            let key = self.key();
            let own = self.ledger.set().iter().filter(|held| held.record.author() == key);
            let found = own.map(|held| short(&held.record.id())).collect();
            effects.push(Effect::Log(Event::Opened { node: self.founding.id, found }));
        }
        effects
    }

    /// It is back.
    pub(super) fn come_back(&mut self) -> Vec<Effect> {
        let was_away = std::mem::take(&mut self.away);
        if !was_away || !self.is_there() {
            return Vec::new();
        }
        let mut effects = self.begin_work();
        effects.extend(self.step_back_if_due());
        effects
    }

    /// It goes away: as one whose network is unplugged and that nobody uses.
    pub(super) fn go_away(&mut self) {
        self.away = true;
        if self.up {
            self.start += 1;
        }
        self.meetings.clear();
        self.pending.clear();
    }

    /// Goes on as if nothing had happened, in the state of the disk.
    pub(super) fn revert(&mut self) -> Vec<Effect> {
        self.forget();
        self.read_disk();
        self.begin_work()
    }

    fn read_disk(&mut self) {
        let life = self.fresh();
        self.ledger = Ledger::open(self.founding.identity.clone(), self.disk.entries(), life);
        self.twin = (self.founding.role == Role::Equivocator).then(|| self.ledger.clone());
        let ids: Vec<RecordId> = self.ledger.set().iter().map(|held| held.record.id()).collect();
        if self.stale.is_some() {
            self.stale = Some(View::from_scratch(*self.ledger.mesh(), self.ledger.set(), self.ledger.trust()));
        }
        self.came(&ids);
    }

    // Clocks.

    /// The clock is right again: what was written in its future is written again.
    pub(super) fn put_right(&mut self) -> Vec<Effect> {
        self.founding.clock.set_skew_ms(0);
        self.must_step_back |= !std::mem::replace(&mut self.clock_is_right, true);
        self.step_back_if_due()
    }

    fn step_back_if_due(&mut self) -> Vec<Effect> {
        let due = self.must_step_back && self.clock_is_right && self.is_there();
        if due {
            self.must_step_back = false;
            self.step_back()
        } else {
            Vec::new()
        }
    }

    fn step_back(&mut self) -> Vec<Effect> {
        let now = self.now();
        let key = self.key();
        let before: Vec<(HybridTime, RecordId)> = self.own_records(&key);
        let life = self.fresh();
        let written = self.ledger.step_back(life, now);
        self.came(&written);
        self.keep();
        self.disk.sync();
        let withdrawn: Vec<RecordId> =
            before.into_iter().map(|(_, id)| id).filter(|id| self.ledger.set().get(id).is_none()).collect();
        let acked = withdrawn.iter().filter(|id| self.acked.remove(*id)).count();
        if acked > 0 {
            self.acked.extend(&written);
        }
        self.pending.clear();
        if withdrawn.is_empty() || self.founding.role != Role::Honest {
            return Vec::new();
        }
        let names = |ids: &[RecordId]| ids.iter().map(short).collect::<Vec<_>>();
        vec![Effect::Log(Event::SteppedBack {
            node: self.founding.id,
            withdrawn: names(&withdrawn),
            written: names(&written),
        })]
    }

    fn own_records(&self, key: &NodeKey) -> Vec<(HybridTime, RecordId)> {
        let own = self.ledger.set().iter().filter(|held| held.record.author() == *key);
        own.map(|held| (held.record.time(), held.record.id())).collect()
    }

    // What it shows.

    pub(super) fn view(&self) -> &View<InMemory> {
        self.stale.as_ref().unwrap_or_else(|| self.ledger.view())
    }

    pub(super) fn shown(&self) -> Shown {
        let arrivals = (!self.founding.plan.safeguards.rank_by_record).then_some(&self.arrivals);
        Shown::of(self.ledger.set(), self.view(), arrivals)
    }

    /// Whether the kept view is the one of all records.
    pub(super) fn is_sound(&self) -> bool {
        match &self.stale {
            Some(stale) => {
                let scratch = View::from_scratch(*self.ledger.mesh(), self.ledger.set(), self.ledger.trust());
                scratch.kept() == stale.kept()
            }
            None => self.ledger.is_view_sound(),
        }
    }
}

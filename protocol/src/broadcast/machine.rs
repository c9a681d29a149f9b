//! The broadcast of one site. [`Broadcast`] owns its links, its trees, and what it looks out for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::link::{Link, Queued};
use super::message::{Message, Sheet, Short};
use super::tree::Tree;
use super::wanted::Wanted;
use super::{
    Came, Effect, Fault, Held, INLINE, MAX_ARRIVING, MAX_IDS, MAX_REPORTED, MAX_TREES, MAX_UNANSWERED, Notice, Plan,
};
use crate::draw::Draw;
use crate::identity::NodeKey;
use crate::record::{Parcel, RecordId, ScopeId};
use crate::roster::Roster;

/// How long the owner may take to answer for what was handed to it, before another copy is taken.
const KEEPING: Duration = Duration::from_secs(10);

/// What a record counts at least against a budget: judging it costs more than its bytes.
const LEAST: usize = 512;

/// See the module.
#[derive(Clone, Debug)]
pub struct Broadcast {
    plan: Plan,
    draw: Draw,
    links: BTreeMap<NodeKey, Link>,
    trees: BTreeMap<u64, Tree>,
    wanted: Wanted,
    /// Handed to the owner, and when.
    arriving: BTreeMap<Short, Duration>,
}

impl Broadcast {
    /// A site without neighbours. The seed must be random and used for nothing else.
    #[must_use]
    pub const fn new(plan: Plan, seed: [u8; 32]) -> Self {
        Self {
            plan,
            draw: Draw::new(seed),
            links: BTreeMap::new(),
            trees: BTreeMap::new(),
            wanted: Wanted::new(),
            arriving: BTreeMap::new(),
        }
    }

    /// A neighbour is there: its links are eager both ways until they prove needless.
    pub fn up(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster) {
        let metered = roster.place(&peer).is_some_and(|place| place.is_metered);
        let gather = if metered { self.plan.gather.max(Plan::metered().gather) } else { self.plan.gather };
        self.links.insert(peer, Link::new(&self.plan, gather, now));
        for tree in self.trees.values_mut() {
            tree.down(&peer);
        }
    }

    /// A neighbour is gone, and what waited for it.
    pub fn down(&mut self, peer: &NodeKey) {
        self.links.remove(peer);
        self.trees.values_mut().for_each(|tree| tree.down(peer));
        self.wanted.down(peer);
    }

    /// These records are kept: they are handed on.
    pub fn took(&mut self, notices: &[Notice], came: Came, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        // What comes by the hundred comes to who was away, and its neighbours have it: they reconcile soon.
        let is_bulk = matches!(came, Came::Reconciled(_)) && notices.len() > MAX_REPORTED;
        for notice in notices {
            if is_bulk && !notice.urgent {
                self.forget(&Short::of(&notice.id));
            } else {
                self.hand_on(notice, came, now, roster);
            }
        }
        let mut effects = Vec::new();
        self.flush(now, &mut effects);
        effects
    }

    /// Delivered and not kept: malformed, or left for later. Another copy is welcome.
    pub fn refused(&mut self, id: &RecordId) {
        self.arriving.remove(&Short::of(id));
    }

    fn forget(&mut self, short: &Short) {
        self.arriving.remove(short);
        self.wanted.came(short);
    }

    fn hand_on(&mut self, notice: &Notice, came: Came, now: Duration, roster: &dyn Roster) {
        let short = Short::of(&notice.id);
        self.arriving.remove(&short);
        let (holders, _) = self.wanted.came(&short);
        let audience = self.audience(roster, &notice.scope);
        let tree = self.trees.entry(audience).or_default();
        let from = match came {
            Came::Here => None,
            Came::Pushed(peer) | Came::Reconciled(peer) => Some(peer),
        };
        if !notice.urgent && !matches!(came, Came::Reconciled(_)) {
            tree.came(short, from.as_ref());
        }
        for (peer, link) in &mut self.links {
            if Some(*peer) == from || holders.contains(peer) || !roster.may_hold(peer, &notice.scope) {
                continue;
            }
            // Who writes pushes to all: nobody else has it, and how many want to be fed by this site says nothing of that.
            let gives = tree.gives(peer) || came == Came::Here;
            let queued = Queued { id: notice.id, bytes: notice.bytes };
            if notice.urgent {
                link.push(queued, true);
            } else if notice.bytes > INLINE {
                link.announce(short, false, now);
            } else if gives && !matches!(came, Came::Reconciled(_)) {
                link.push(queued, false);
            } else {
                link.announce(short, true, now);
            }
        }
    }

    /// Too many audiences to tell apart share one set of links.
    fn audience(&self, roster: &dyn Roster, scope: &ScopeId) -> u64 {
        let audience = roster.audience_of(scope);
        if self.trees.contains_key(&audience) || self.trees.len() < MAX_TREES { audience } else { 0 }
    }

    /// Takes a message of a neighbour.
    pub fn receive(
        &mut self,
        peer: NodeKey,
        bytes: &[u8],
        held: &dyn Held,
        now: Duration,
        roster: &dyn Roster,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(link) = self.links.get_mut(&peer) else { return effects };
        let Ok(message) = Message::decode(bytes) else {
            return vec![Effect::Failed(peer, Fault::Message)];
        };
        match message {
            Message::Push { urgent, sheets } => {
                let cost = bytes.len().max(sheets.len() * LEAST);
                link.take.take(cost, now);
                let until = link.take.ready(now);
                // What is urgent has a stream of its own, on which a flood hinders itself alone.
                if until > now && !urgent {
                    effects.push(Effect::Pause { peer, until });
                }
                self.pushed(peer, urgent, sheets, held, now, roster, &mut effects);
            }
            Message::Announce { pushed, records } => self.announced(peer, pushed, &records, held, now, &mut effects),
            Message::Want(records) => {
                for short in records {
                    let Some(notice) = held.find(&short) else { continue };
                    // Knowing a name is no right.
                    if roster.may_hold(&peer, &notice.scope)
                        && let Some(link) = self.links.get_mut(&peer)
                    {
                        link.push(Queued { id: notice.id, bytes: notice.bytes }, notice.urgent);
                    }
                }
            }
            Message::Prune(short) => self.set_gives(peer, &short, false, held, roster),
            Message::Graft(short) => self.set_gives(peer, &short, true, held, roster),
        }
        self.flush(now, &mut effects);
        effects
    }

    fn set_gives(&mut self, peer: NodeKey, short: &Short, gives: bool, held: &dyn Held, roster: &dyn Roster) {
        if let Some(notice) = held.find(short)
            && roster.may_hold(&peer, &notice.scope)
        {
            let audience = self.audience(roster, &notice.scope);
            self.trees.entry(audience).or_default().set_gives(&peer, gives);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call site, which has just taken a message apart")]
    fn pushed(
        &mut self,
        peer: NodeKey,
        urgent: bool,
        sheets: Vec<Sheet>,
        held: &dyn Held,
        now: Duration,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) {
        let mut parcels = Vec::new();
        for sheet in sheets {
            let Ok(parcel) = Parcel::parse(sheet.record) else {
                effects.push(Effect::Failed(peer, Fault::Record));
                break;
            };
            let (short, scope) = (Short::of(&parcel.id()), parcel.scope());
            if let Some(link) = self.links.get_mut(&peer) {
                link.unanswered = 0;
            }
            // Not for this site: it is not kept, and not spoken of.
            if !roster.may_hold(&roster.me(), &scope) {
                continue;
            }
            if self.is_here(&short, held, now) {
                if !urgent && roster.may_hold(&peer, &scope) {
                    self.came_late(peer, short, &scope, roster, effects);
                }
                continue;
            }
            if self.arriving.len() >= MAX_ARRIVING {
                self.arriving.retain(|_, since| *since + KEEPING > now);
            }
            if self.arriving.len() < MAX_ARRIVING {
                self.arriving.insert(short, now);
                let (_, asked) = self.wanted.came(&short);
                // It answered before a feed brought it: that one would be the better feed.
                if asked == Some(peer) && !urgent {
                    self.prefer(peer, short, &scope, roster, effects);
                }
                parcels.push((parcel, sheet.value));
            } else {
                effects.push(Effect::Meet(peer));
                break;
            }
        }
        if !parcels.is_empty() {
            effects.push(Effect::Deliver { from: peer, parcels });
        }
    }

    fn is_here(&self, short: &Short, held: &dyn Held, now: Duration) -> bool {
        held.find(short).is_some() || self.arriving.get(short).is_some_and(|since| *since + KEEPING > now)
    }

    fn came_late(
        &mut self,
        peer: NodeKey,
        short: Short,
        scope: &ScopeId,
        roster: &dyn Roster,
        effects: &mut Vec<Effect>,
    ) {
        let audience = self.audience(roster, scope);
        let stops = self.trees.entry(audience).or_default().came_late(&peer, self.plan.feeds);
        if stops {
            effects.push(Effect::Send { to: peer, bytes: Message::Prune(short).encode() });
        }
    }

    fn prefer(&mut self, peer: NodeKey, short: Short, scope: &ScopeId, roster: &dyn Roster, effects: &mut Vec<Effect>) {
        let audience = self.audience(roster, scope);
        if roster.may_hold(&peer, scope) && self.trees.entry(audience).or_default().prefer(&peer) {
            effects.push(Effect::Send { to: peer, bytes: Message::Graft(short).encode() });
        }
    }

    fn announced(
        &mut self,
        peer: NodeKey,
        pushed: bool,
        records: &[Short],
        held: &dyn Held,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let due = if pushed { now + self.plan.patience } else { now };
        for short in records {
            if self.is_here(short, held, now) {
                continue;
            }
            if !self.wanted.heard(*short, peer, due)
                && let Some(link) = self.links.get_mut(&peer)
            {
                // It has more than can be asked for one by one.
                if !std::mem::replace(&mut link.overwhelms, true) {
                    effects.push(Effect::Meet(peer));
                }
                break;
            }
        }
        self.ask(held, now, effects);
    }

    /// Asks for what is due.
    fn ask(&mut self, held: &dyn Held, now: Duration, effects: &mut Vec<Effect>) {
        let mut asks: BTreeMap<NodeKey, Vec<Short>> = BTreeMap::new();
        while let Some(due) = self.wanted.pop_due(now, self.plan.answer) {
            if let Some(silent) = due.silent
                && let Some(link) = self.links.get_mut(&silent)
            {
                link.unanswered += 1;
                if link.unanswered == MAX_UNANSWERED {
                    effects.push(Effect::Failed(silent, Fault::Unanswered));
                }
            }
            if self.is_here(&due.short, held, now) {
                self.wanted.came(&due.short);
            } else if let Some(peer) = due.ask {
                asks.entry(peer).or_default().push(due.short);
            }
        }
        for (to, records) in asks {
            for records in records.chunks(MAX_IDS) {
                effects.push(Effect::Send { to, bytes: Message::Want(records.to_vec()).encode() });
            }
        }
    }

    /// The connection takes nothing more until then: what is ordinary waits here, where it can be overtaken and dropped,
    /// and not in the connection's queue.
    pub fn hold(&mut self, peer: &NodeKey, until: Duration) {
        if let Some(link) = self.links.get_mut(peer) {
            link.held_until = until;
        }
    }

    /// Rights have changed: what waits for a neighbour that may not have it any more is forgotten.
    pub fn roster_changed(&mut self, held: &dyn Held, roster: &dyn Roster) {
        for (peer, link) in &mut self.links {
            link.keep(|short| held.find(short).is_some_and(|notice| roster.may_hold(peer, &notice.scope)));
        }
    }

    /// A session with the neighbour is over: it is not behind any more, in either direction.
    pub fn met(&mut self, peer: &NodeKey) {
        if let Some(link) = self.links.get_mut(peer) {
            link.overwhelms = false;
        }
    }

    /// Does what is due ([`Broadcast::due`]).
    pub fn tick(&mut self, held: &dyn Held, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.ask(held, now, &mut effects);
        let draw = &mut self.draw;
        for tree in self.trees.values_mut() {
            let graft = tree.graft(self.plan.feeds, now, |idle| draw.one(idle).copied());
            if let Some((to, sample)) = graft
                && held.find(&sample).is_some_and(|notice| roster.may_hold(&to, &notice.scope))
            {
                effects.push(Effect::Send { to, bytes: Message::Graft(sample).encode() });
            }
        }
        self.flush(now, &mut effects);
        effects
    }

    /// When [`Broadcast::tick`] is to be called next; once a second does as well, but for what must not wait so long.
    pub fn due(&mut self, now: Duration) -> Option<Duration> {
        let links = self.links.values_mut().filter_map(|link| link.due(now)).min();
        [links, self.wanted.next_due()].into_iter().flatten().min()
    }

    /// Sends what may go.
    fn flush(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        for (&to, link) in &mut self.links {
            while let Some((records, urgent)) = link.next_push(now) {
                effects.push(Effect::Push { to, records, urgent });
            }
            while let Some((pushed, records)) = link.next_news(now) {
                effects.push(Effect::Send { to, bytes: Message::Announce { pushed, records }.encode() });
            }
            if link.fell_behind() {
                effects.push(Effect::Meet(to));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn wanted(&self) -> usize {
        self.wanted.len()
    }
}

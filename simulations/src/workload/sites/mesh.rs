//! All sites of a world: how they come to be, what befalls them, what they show in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::identity::{NodeKey, NodeSecret};
use protocol::ledger::{Identity, Ledger};
use protocol::record::{Action, Incarnation, RecordId, RecordSet, Records, ScopeId};
use protocol::trust::{Grant, Handshake, IdBlock, Over, Right, Trust};
use protocol::view::View;

use super::SitesPlan;
use super::shown::{Shown, short, unaccounted};
use super::site::{Founding, Role, Site, Timer};
use super::wire::Checked;
use crate::clock::SimClock;
use crate::event_log::Event;
use crate::faults::Mishap;
use crate::machine::Effect;
use crate::network::NodeId;
use crate::rng::Rng;
use crate::scenario::{FaultPlan, Scenario};

/// How often a site's view is compared with the one from scratch, at a meeting.
const SAMPLED: f64 = 0.01;

/// How long after healing, and before the end, sites meet as often as before. Between, once an hour.
const BUSY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Mesh {
    pub(super) plan: SitesPlan,
    faults: FaultPlan,
    pub(super) rng: Rng,
    nodes: u32,
    keys: Arc<[NodeKey]>,
    misbehaving: Arc<BTreeSet<NodeId>>,
    clocks: BTreeMap<NodeId, SimClock>,
    pub(super) sites: BTreeMap<NodeId, Site>,
    pub(super) checked: Checked,
    healed: Option<Duration>,
    end: Duration,
}

/// How long before the end those who misbehave do so for the last time: what they say later need not get round.
const LAST_WORD: Duration = Duration::from_secs(60);

/// What each node does to whom.
pub(super) type Effects = Vec<(NodeId, Vec<Effect>)>;

pub(super) fn secret(node: NodeId) -> NodeSecret {
    NodeSecret::from_seed(*blake3::hash(&node.0.to_le_bytes()).as_bytes())
}

pub(super) fn grant(node: NodeId, issues: bool) -> Grant {
    let all = [Action::Hold, Action::Push, Action::Tag, Action::Delete, Action::Administer];
    let issue = issues.then_some(Action::Issue);
    let right = |action| Right { action, over: Over::Everything };
    Grant {
        node: secret(node).key(),
        site: format!("site-{}", node.0),
        labels: BTreeMap::new(),
        rights: all.into_iter().chain(issue).map(right).collect(),
        ids: IdBlock::default(),
        not_before: Timestamp(0),
        not_after: Timestamp(u64::MAX),
        serial: 1,
    }
}

/// Hands over what is known of trust.
fn tell_trust(from: &Ledger, to: &mut Ledger, now: Timestamp) {
    let scope = ScopeId::trust(from.mesh());
    for (_, id) in from.set().in_scope(&scope) {
        if let Some(held) = from.set().get(&id) {
            to.take(held.record, held.value, now);
        }
    }
    to.wake(now);
}

impl Mesh {
    /// Makes the mesh: the root grants the authorities, they grant the sites; those that join late are not there yet.
    #[must_use]
    pub fn new(plan: SitesPlan, scenario: &Scenario, rng: Rng, clocks: BTreeMap<NodeId, SimClock>) -> Self {
        let nodes = scenario.nodes;
        let run = Duration::from_millis(scenario.run_ms);
        let mut mesh = Self {
            keys: (0..nodes).map(|node| secret(NodeId(node)).key()).collect(),
            misbehaving: Arc::new(BTreeSet::new()),
            faults: scenario.faults.clone(),
            healed: None,
            end: run + Duration::from_millis(scenario.heal_ms),
            sites: BTreeMap::new(),
            checked: Checked::default(),
            nodes,
            clocks,
            plan,
            rng,
        };
        let all = (0..nodes).map(NodeId);
        mesh.misbehaving = Arc::new(all.filter(|node| mesh.role(*node) != Role::Honest).collect());
        mesh.found();
        mesh
    }

    fn role(&self, node: NodeId) -> Role {
        let FaultPlan { liars, silent, equivocators, .. } = self.faults;
        match node.0.checked_sub(1 + self.plan.authorities) {
            Some(at) if at < liars => Role::Liar,
            Some(at) if at < liars + silent => Role::Silent,
            Some(at) if at < liars + silent + equivocators => Role::Equivocator,
            Some(_) | None => Role::Honest,
        }
    }

    fn found(&mut self) {
        let now = self.clocks.get(&NodeId(0)).map_or(Timestamp(0), protocol::seam::Clock::now);
        let root = self.identity(NodeId(0), RecordId::NONE);
        let mut ledgers = vec![Ledger::open(root.clone(), [], self.life())];
        let mut identities = vec![root];
        for node in (1..self.nodes.saturating_sub(self.faults.late)).map(NodeId) {
            let is_authority = node.0 <= self.plan.authorities;
            // Sites are shared out among the authorities.
            let issuer = if is_authority { 0 } else { 1 + (node.0 - 1) % self.plan.authorities };
            let Some(by) = ledgers.get_mut(issuer as usize) else { continue };
            let Ok(id) = by.grant(&grant(node, is_authority), "admin", now) else { continue };
            let identity = self.identity(node, id);
            let mut ledger = Ledger::open(identity.clone(), [], self.life());
            if let Some(by) = ledgers.get(issuer as usize) {
                tell_trust(by, &mut ledger, now);
            }
            ledgers.push(ledger);
            identities.push(identity);
        }
        for (node, (ledger, identity)) in (0..).map(NodeId).zip(ledgers.into_iter().zip(identities)) {
            self.settle(node, identity, ledger);
        }
    }

    fn identity(&self, node: NodeId, grant: RecordId) -> Identity {
        Identity { secret: secret(node), root: secret(NodeId(0)).key(), grant }
    }

    fn life(&mut self) -> Incarnation {
        Incarnation(self.rng.next_u64())
    }

    fn settle(&mut self, id: NodeId, identity: Identity, ledger: Ledger) {
        let Some(clock) = self.clocks.get(&id).cloned() else { return };
        let founding = Founding {
            id,
            role: self.role(id),
            plan: self.plan.clone(),
            keys: Arc::clone(&self.keys),
            misbehaving: Arc::clone(&self.misbehaving),
            clock,
            identity,
        };
        let rng = self.rng.fork(&format!("site {}", id.0));
        self.sites.insert(id, Site::new(founding, rng, ledger));
    }

    /// The first effects of all sites.
    pub fn begin(&mut self) -> Effects {
        self.sites.iter_mut().map(|(node, site)| (*node, site.begin_work())).collect()
    }

    /// A message arrived.
    pub fn on_message(&mut self, now: Duration, to: NodeId, from: NodeId, bytes: &[u8]) -> Vec<Effect> {
        let silenced = now + LAST_WORD > self.end && self.misbehaving.contains(&to);
        match self.sites.get_mut(&to).filter(|site| site.is_there()) {
            Some(_) if silenced => Vec::new(),
            Some(site) => site.hear(now, from, bytes, &mut self.checked),
            None => Vec::new(),
        }
    }

    /// A timer ended.
    pub fn on_timer(&mut self, now: Duration, node: NodeId, token: u64) -> Vec<Effect> {
        let interval = self.interval(now);
        let over = self.healed.is_some();
        // Who meets once an hour would sleep through the end.
        let rest = self.end.saturating_sub(BUSY * 2 + now);
        let most = if rest.is_zero() { Duration::MAX } else { rest };
        if now + LAST_WORD > self.end && self.misbehaving.contains(&node) {
            return Vec::new();
        }
        let Some(site) = self.sites.get_mut(&node).filter(|site| !site.gone) else { return Vec::new() };
        match site.timer(token) {
            Some((Timer::Restart, _)) if !site.up => site.open(),
            Some((Timer::Meet, _)) if site.is_there() => {
                let mut effects = site.meet(now);
                let after = (interval / 2 + site.rng.up_to(interval / 2)).min(most);
                effects.push(site.wake_in(after, Timer::Meet, 0));
                if site.founding.role == Role::Honest && site.rng.chance(SAMPLED) {
                    effects.push(Effect::Log(Event::Checked { node, sound: site.is_sound() }));
                }
                effects
            }
            Some((Timer::Act, _)) if site.is_there() && !over && !site.quiet => {
                let after = site.rng.up_to(Duration::from_millis(site.founding.plan.act_ms));
                let again = site.wake_in(after, Timer::Act, 0);
                let mut effects = site.act();
                effects.push(again);
                effects
            }
            Some((Timer::Acknowledge, number)) if site.is_there() => site.acknowledge(number),
            Some(_) | None => Vec::new(),
        }
    }

    fn interval(&self, now: Duration) -> Duration {
        let usual = Duration::from_millis(self.plan.meet_ms);
        let idle = self.healed.is_some_and(|healed| now > healed + BUSY) && now + BUSY * 2 < self.end;
        if idle { usual.max(Duration::from_secs(3600)) } else { usual }
    }

    /// Something befalls a site.
    pub fn befall(&mut self, mishap: Mishap) -> Effects {
        match mishap {
            Mishap::Crash(node) => self.crash(node),
            Mishap::RollBack(node) => self.set_back(node, false),
            Mishap::Revert(node) => self.set_back(node, true),
            Mishap::Die(node) => self.die(node),
            Mishap::Leave(node) => self.with(node, |site| {
                site.go_away();
                Vec::new()
            }),
            Mishap::Return(node) => self.with(node, Site::come_back),
            Mishap::JoinMesh(node) => self.join(node),
            Mishap::Fill(node) => self.fill(node, true),
            Mishap::MakeRoom(node) => self.fill(node, false),
            Mishap::Jump(node, _) => self.with(node, |site| {
                site.clock_is_right = false;
                Vec::new()
            }),
            Mishap::PutRight(node) => self.with(node, Site::put_right),
            Mishap::Verdict => self.verdict(),
            Mishap::PowerCut(_)
            | Mishap::Kill(_)
            | Mishap::Disk(..)
            | Mishap::Cut(_)
            | Mishap::Join(_)
            | Mishap::Clog(_)
            | Mishap::Unclog(_) => Vec::new(),
        }
    }

    fn with(&mut self, node: NodeId, change: impl FnOnce(&mut Site) -> Vec<Effect>) -> Effects {
        let site = self.sites.get_mut(&node).filter(|site| !site.gone);
        site.map(|site| (node, change(site))).into_iter().collect()
    }

    fn fill(&mut self, node: NodeId, full: bool) -> Effects {
        self.with(node, |site| {
            site.full = full;
            Vec::new()
        })
    }

    fn crash(&mut self, node: NodeId) -> Effects {
        self.with(node, |site| {
            if !site.up {
                return Vec::new();
            }
            let mut rng = site.rng.fork(&format!("crash {}", site.start));
            site.disk.crash(&mut rng);
            let mut effects = vec![Effect::Log(Event::Crashed { node })];
            effects.extend(site.go_down());
            effects
        })
    }

    fn set_back(&mut self, node: NodeId, alive: bool) -> Effects {
        let Some(site) = self.sites.get_mut(&node).filter(|site| site.is_there()) else { return Vec::new() };
        let mut rng = site.rng.fork(&format!("set back {}", site.start));
        site.disk.roll_back(&mut rng);
        let lost = self.forget_lost();
        let honest = self.role(node) == Role::Honest;
        self.with(node, |site| {
            let next = if alive { site.revert() } else { site.go_down() };
            let event = honest.then_some(Effect::Log(Event::SetBack { node, alive, lost }));
            event.into_iter().chain(next).collect()
        })
    }

    fn die(&mut self, node: NodeId) -> Effects {
        // The root and the authorities are looked after.
        if node.0 <= self.plan.authorities || self.honest_others(node) < 2 {
            return Vec::new();
        }
        let Some(site) = self.sites.get_mut(&node).filter(|site| !site.gone) else { return Vec::new() };
        site.gone = true;
        let lost = self.forget_lost();
        vec![(node, vec![Effect::Log(Event::Gone { node, lost })])]
    }

    /// Ordinary sites that count, but for one.
    pub(super) fn honest_others(&self, but: NodeId) -> usize {
        self.sites
            .values()
            .filter(|site| site.counts() && site.founding.id.0 > self.plan.authorities && site.founding.id != but)
            .count()
    }

    /// Acknowledged records that are on nobody's disk any more can't be asked for.
    pub(super) fn forget_lost(&mut self) -> Vec<String> {
        let mut held: BTreeSet<RecordId> = BTreeSet::new();
        for site in self.sites.values().filter(|site| site.counts()) {
            held.extend(site.disk.held());
        }
        let mut lost = Vec::new();
        for site in self.sites.values_mut() {
            site.acked.retain(|id| {
                let kept = held.contains(id);
                if !kept {
                    lost.push(short(id));
                }
                kept
            });
        }
        lost
    }

    fn join(&mut self, node: NodeId) -> Effects {
        if self.sites.contains_key(&node) {
            return Vec::new();
        }
        let authorities = 1..=self.plan.authorities;
        let there: Vec<NodeId> = authorities
            .map(NodeId)
            .filter(|id| self.sites.get(id).is_some_and(|site| site.is_there() && !site.full && site.counts()))
            .collect();
        let (life, at) = (self.life(), self.rng.index(there.len()));
        let Some(by) = there.get(at).and_then(|id| self.sites.get_mut(id)) else { return Vec::new() };
        let (now, from) = (by.now(), by.ledger.next());
        let granted = by.ledger.grant(&grant(node, false), "admin", now);
        by.keep_since(from);
        let Ok(id) = granted else { return Vec::new() };
        let Some(clock) = self.clocks.get(&node) else { return Vec::new() };
        let now = protocol::seam::Clock::now(clock);
        let identity = Identity { secret: secret(node), root: secret(NodeId(0)).key(), grant: id };
        let mut ledger = Ledger::open(identity.clone(), [], life);
        tell_trust(&by.ledger, &mut ledger, now);
        if ledger.trust().grant(&id).is_none() {
            // The authority's clock is wrong, or it is suspended: not now.
            return Vec::new();
        }
        self.settle(node, identity, ledger);
        let Some(site) = self.sites.get_mut(&node) else { return Vec::new() };
        let mut effects = vec![Effect::Log(Event::JoinedMesh { node })];
        effects.extend(site.begin_work());
        vec![(node, effects)]
    }

    /// Everything is put right, and every site is started once more.
    pub fn heal(&mut self, now: Duration) -> Effects {
        self.healed = Some(now);
        // Before it is started again: a start computes the view from scratch, and would hide what is wrong with the kept one.
        let there = self.sites.values().filter(|site| site.founding.role == Role::Honest && site.is_there());
        let checked = |site: &Site| {
            (site.founding.id, vec![Effect::Log(Event::Checked { node: site.founding.id, sound: site.is_sound() })])
        };
        let mut effects: Effects = there.map(checked).collect();
        for node in (0..self.nodes).map(NodeId) {
            effects.extend(self.befall(Mishap::MakeRoom(node)));
            effects.extend(self.befall(Mishap::Return(node)));
            effects.extend(self.befall(Mishap::PutRight(node)));
            effects.extend(self.befall(Mishap::JoinMesh(node)));
            effects.extend(self.befall(Mishap::Crash(node)));
        }
        effects
    }

    /// What everybody shows in the end: first all of them together.
    #[must_use]
    pub fn show(&self) -> Vec<Event> {
        let mut union = RecordSet::default();
        let honest = || self.sites.values().filter(|site| site.counts());
        // Whom nobody lets in can't agree: its authority was suspended by one who had not seen its grant.
        let all: Vec<_> = honest().flat_map(|site| site.ledger.set().iter().cloned()).collect();
        let known = Trust::evaluate(secret(NodeId(0)).key(), &all);
        let is_let_in = |site: &&Site| {
            let full = matches!(known.handshake(&site.key(), site.now(), false), Handshake::Full(_));
            full || site.founding.id == NodeId(0)
        };
        let counting: Vec<&Site> = honest().filter(is_let_in).collect();
        for held in counting.iter().flat_map(|site| site.ledger.set().iter()) {
            // It was checked by whoever took it in.
            let _ = union.insert(held.record.clone(), held.value.clone());
        }
        let trust = Trust::evaluate(secret(NodeId(0)).key(), union.iter());
        let view = View::from_scratch(*trust.mesh(), &union, &trust);
        let Shown { records, view: shown, conflicts } = Shown::of(&union, &view, None);
        let mut events = vec![Event::Union { records: records.clone(), view: shown, conflicts }];
        let of_all = self.sites.values().flat_map(|site| site.acked.iter().map(move |id| (site, *id)));
        let required: BTreeSet<RecordId> = of_all
            .filter(|(site, id)| (site.counts() && is_let_in(site)) || union.get(id).is_some())
            .map(|(_, id)| id)
            .collect();
        for site in counting {
            let set = site.ledger.set();
            let unfound = required.iter().filter_map(|id| {
                let why = unaccounted(set, site.view(), id, self.faults.verdicts > 0)?;
                Some(format!("{} {why}", short(id)))
            });
            let unfound = unfound.take(5).collect();
            let shown = site.shown();
            let hidden = |topic: &String| !self.plan.safeguards.show_won_conflicts && self.won(site, topic);
            let conflicts = shown.conflicts.into_iter().filter(|topic| !hidden(topic)).collect();
            let next = site.ledger.next();
            let last = union.last_of(&site.key(), next.incarnation);
            let behind = site.ledger.must_begin() || last.is_some_and(|last| last.seq >= next.seq);
            // With the same records, the same trust and view are the right ones.
            let sound =
                site.stale.is_none() && site.ledger.view().kept() == view.kept() && *site.ledger.trust() == trust;
            let sound = if shown.records == records && site.stale.is_none() { sound } else { site.is_sound() };
            let (node, count) = (site.founding.id, set.len());
            events.push(Event::Checked { node, sound });
            events.push(Event::Shows {
                node,
                count,
                records: shown.records,
                view: shown.view,
                conflicts,
                unfound,
                behind,
            });
        }
        events
    }

    /// Whether the live version of a conflict is this site's own.
    fn won(&self, site: &Site, conflict: &str) -> bool {
        let key = site.key();
        let own = site.ledger.set().iter().filter(|held| held.record.author() == key);
        own.filter_map(|held| protocol::view::Topic::of(&held.record).map(|topic| (topic, held.record.id())))
            .any(|(topic, id)| super::shown::name_of(&topic) == conflict && site.view().topic(&topic).live == Some(id))
    }
}

#[cfg(test)]
impl Mesh {
    /// Whom any honest site holds for two boxes under one key.
    pub(crate) fn flagged(&self) -> BTreeSet<NodeId> {
        let honest = || self.sites.values().filter(|site| site.counts());
        let is_flagged = |id: &NodeId| honest().any(|site| site.ledger.is_flagged(&secret(*id).key()));
        self.sites.keys().copied().filter(is_flagged).collect()
    }
}

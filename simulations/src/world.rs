//! The world: everything a run consists of, stepped from one event to the next.
//!
//! It owns the seed, the time line, the network, the disks and the nodes; nothing in it runs by itself. The next thing
//! to happen is the earliest on the agenda or in the network, in the order in which they were put there; so a seed and a
//! scenario decide a run completely. After every event the invariants are checked; the first that does not hold ends
//! the run.

#[cfg(test)]
mod befalling;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use protocol::seam::Clock;

use crate::clock::SimClock;
use crate::disk::{Injection, SimDisk};
use crate::event_log::{Event, EventLog};
use crate::faults::{self, Mishap};
use crate::invariants::{Invariants, Violation};
use crate::machine::{Effect, Machine};
use crate::network::{Arrival, Link, Loss, NodeId, Passage, SimNetwork};
use crate::report::Report;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::workload::asking::Asker;
use crate::workload::commits::{Progress, Store};
use crate::workload::sites::Mesh;

/// Something due at a moment.
#[derive(Clone, Debug)]
enum Task {
    Wake { node: NodeId, token: u64 },
    StoreStep { node: NodeId, life: u64 },
    Recover { node: NodeId, disk: SimDisk },
    Mishap(Mishap),
    HealAll,
    End,
}

#[derive(Debug)]
struct Node {
    clock: SimClock,
    rng: Rng,
    machine: Option<Box<dyn Machine>>,
    store: Option<Store>,
    up: bool,
    /// Counts crashes: a step planned before one is not made after it.
    life: u64,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to come.
    More,
    /// The run is over, or an invariant did not hold.
    Over,
}

/// A seed and a scenario, come to life.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    seed: u64,
    clock: SimClock,
    network: SimNetwork,
    nodes: BTreeMap<NodeId, Node>,
    mesh: Option<Mesh>,
    agenda: BTreeMap<(Duration, u64), Task>,
    next_place: u64,
    log: EventLog,
    invariants: Invariants,
    violation: Option<Violation>,
    over: bool,
}

impl World {
    /// Sets the world up; nothing has happened yet.
    ///
    /// # Errors
    /// When a store can't be made, which no scenario can cause.
    pub fn new(scenario: Scenario, seed: u64) -> io::Result<Self> {
        let rng = Rng::from_seed(seed);
        let mut world = Self {
            clock: SimClock::new(),
            network: SimNetwork::new(rng.fork("network"), scenario.link.clone()),
            nodes: BTreeMap::new(),
            mesh: None,
            agenda: BTreeMap::new(),
            next_place: 0,
            log: EventLog::default(),
            invariants: Invariants::new(scenario.answer_within()),
            violation: None,
            over: false,
            scenario,
            seed,
        };
        for node in (0..world.scenario.nodes).map(NodeId) {
            world.add_node(node, rng.fork(&format!("node {}", node.0)))?;
        }
        if let Some(plan) = world.scenario.sites.clone() {
            let clocks = world.nodes.iter().map(|(&id, node)| (id, node.clock.clone())).collect();
            let mut mesh = Mesh::new(plan, &world.scenario, rng.fork("sites"), clocks);
            let effects = mesh.begin();
            world.mesh = Some(mesh);
            world.carry_out_all(effects);
        }
        for (at, mishap) in faults::schedule(&world.scenario, &rng.fork("faults")) {
            world.plan_at(at, Task::Mishap(mishap));
        }
        let run = Duration::from_millis(world.scenario.run_ms);
        world.plan_at(run, Task::HealAll);
        world.plan_at(run + Duration::from_millis(world.scenario.heal_ms), Task::End);
        Ok(world)
    }

    /// Runs to the end, or to the first invariant that does not hold.
    pub fn run(&mut self) -> Report {
        while self.step() == Step::More {}
        self.report()
    }

    /// Makes the next thing happen.
    pub fn step(&mut self) -> Step {
        let planned = self.agenda.first_key_value().map(|(&(at, _), _)| at);
        let arriving = self.network.next_arrival();
        // What arrives at the same moment comes first: either order would do, but it must be one.
        if let Some(at) = arriving.filter(|&at| planned.is_none_or(|planned| at <= planned)) {
            self.clock.advance_to(at);
            match self.network.pass(at) {
                Some(Passage::Delivered(arrival)) => self.deliver(&arrival),
                Some(Passage::Lost(link, copy)) => self.note(Event::Lost { link, copy, why: Loss::QueueFull }),
                Some(Passage::Held) | None => {}
            }
        } else if let Some(((at, _), task)) = self.agenda.pop_first() {
            self.clock.advance_to(at);
            self.perform(task);
        } else {
            self.over = true;
        }
        if self.over { Step::Over } else { Step::More }
    }

    /// What happened so far.
    #[must_use]
    pub const fn log(&self) -> &EventLog {
        &self.log
    }

    /// The run so far, summed up.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            scenario: self.scenario.name.clone(),
            seed: self.seed,
            events: self.log.entries().len(),
            hash: self.log.hash(),
            virtual_time: self.clock.monotonic(),
            violation: self.violation.clone(),
        }
    }

    fn add_node(&mut self, id: NodeId, rng: Rng) -> io::Result<()> {
        let mut machine: Option<Box<dyn Machine>> = None;
        if let Some(plan) = &self.scenario.asking {
            let peers = (0..self.scenario.nodes).map(NodeId).filter(|&peer| peer != id).collect();
            let (every, retry) = (Duration::from_millis(plan.every_ms), Duration::from_millis(plan.retry_ms));
            machine = Some(Box::new(Asker::new(id, peers, every, retry, rng.fork("asking"))));
            // Nodes do not start in step.
            let start = rng.fork("start asking").up_to(every);
            self.plan_at(start, Task::Wake { node: id, token: 0 });
        }
        let mut store = None;
        if let Some(plan) = &self.scenario.commits {
            store = Some(Store::create(SimDisk::new(), plan.safeguards, rng.fork("store"))?);
            self.plan_at(Duration::ZERO, Task::StoreStep { node: id, life: 0 });
        }
        let node = Node { clock: self.clock.view(0), rng: rng.fork("world"), machine, store, up: true, life: 0 };
        self.nodes.insert(id, node);
        Ok(())
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Wake { node, token } => {
                let now = self.clock.monotonic();
                let effects = match &mut self.mesh {
                    Some(mesh) => mesh.on_timer(now, node, token),
                    None => self.machine(node).map(|machine| machine.on_timer(now, token)).unwrap_or_default(),
                };
                self.carry_out(node, effects);
            }
            Task::StoreStep { node, life } => self.store_step(node, life),
            Task::Recover { node, disk } => self.recover(node, disk),
            Task::Mishap(mishap) => self.mishap(mishap),
            Task::HealAll => self.heal_all(),
            Task::End => {
                let shown = self.mesh.as_ref().map(Mesh::show);
                shown.into_iter().flatten().for_each(|event| self.note(event));
                self.note(Event::Ended);
                self.over = true;
            }
        }
    }

    // The network and the machines.

    fn deliver(&mut self, arrival: &Arrival) {
        self.note(Event::Delivered { link: arrival.link, copy: arrival.copy });
        let now = self.clock.monotonic();
        let Link { from, to } = arrival.link;
        let effects = match &mut self.mesh {
            Some(mesh) => mesh.on_message(now, to, from, &arrival.bytes),
            None => self.machine(to).map(|machine| machine.on_message(now, from, &arrival.bytes)).unwrap_or_default(),
        };
        self.carry_out(to, effects);
    }

    fn carry_out_all(&mut self, effects: Vec<(NodeId, Vec<Effect>)>) {
        for (node, effects) in effects {
            self.carry_out(node, effects);
        }
    }

    fn carry_out(&mut self, node: NodeId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, bytes } => {
                    let link = Link { from: node, to };
                    let event = match self.network.send(self.clock.monotonic(), link, &bytes) {
                        Ok(copies) => Event::Sent { link, copies },
                        Err(why) => Event::NotSent { link, why },
                    };
                    self.note(event);
                }
                Effect::Wake { after, token } => self.plan_in(after, Task::Wake { node, token }),
                Effect::Log(event) => self.note(event),
            }
        }
    }

    fn machine(&mut self, node: NodeId) -> Option<&mut (dyn Machine + 'static)> {
        self.nodes.get_mut(&node)?.machine.as_deref_mut()
    }

    // The stores.

    fn store_step(&mut self, id: NodeId, life: u64) {
        let Some(plan) = self.scenario.commits.as_ref() else { return };
        let step = Duration::from_millis(plan.step_ms);
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life == life && node.up) else { return };
        let Some(store) = node.store.as_mut() else { return };
        let wait = node.rng.up_to(step);
        match store.step() {
            Ok(Progress::UnderWay) => self.plan_in(wait, Task::StoreStep { node: id, life }),
            Ok(Progress::Acknowledged(name)) => {
                self.note(Event::Acknowledged { node: id, name });
                self.plan_in(wait, Task::StoreStep { node: id, life });
            }
            Err(error) => {
                let name = store.name();
                self.note(Event::Refused { node: id, name, error: error.to_string() });
                // A store that met an error trusts nothing it has in memory: it starts again through recovery.
                self.go_down(id, false);
            }
        }
    }

    fn go_down(&mut self, id: NodeId, power_cut: bool) {
        let Some(plan) = self.scenario.commits.as_ref() else { return };
        let down = Duration::from_millis(plan.down_ms);
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.up) else { return };
        let Some(store) = node.store.as_ref() else { return };
        let old = store.disk();
        let disk = if power_cut { old.crash(&mut node.rng) } else { old.kill() };
        let ops = old.op_count();
        old.stop();
        node.up = false;
        node.life += 1;
        self.note(Event::Down { node: id, power_cut, ops });
        self.plan_in(down, Task::Recover { node: id, disk });
    }

    fn recover(&mut self, id: NodeId, disk: SimDisk) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(store) = node.store.as_mut() else { return };
        match store.recover(disk.clone()) {
            Ok(found) => {
                node.up = true;
                let life = node.life;
                self.note(Event::Recovered { node: id, found });
                self.plan_in(Duration::ZERO, Task::StoreStep { node: id, life });
            }
            Err(error) => {
                let name = store.name();
                self.note(Event::Refused { node: id, name, error: error.to_string() });
                // Only an armed fault fails a recovery, and it strikes once.
                self.plan_in(Duration::from_millis(1), Task::Recover { node: id, disk });
            }
        }
    }

    // What breaks.

    fn mishap(&mut self, mishap: Mishap) {
        let effects = self.mesh.as_mut().map(|mesh| mesh.befall(mishap));
        self.carry_out_all(effects.unwrap_or_default());
        match mishap {
            Mishap::PowerCut(node) => self.go_down(node, true),
            Mishap::Kill(node) => self.go_down(node, false),
            Mishap::Disk(node, nth, fault) => {
                let store = self.nodes.get(&node).filter(|node| node.up).and_then(|node| node.store.as_ref());
                if let Some(store) = store {
                    store.disk().inject(Injection { kind: None, nth, fault });
                    self.note(Event::DiskFault { node });
                }
            }
            Mishap::Cut(link) => {
                let lost = self.network.cut(link);
                self.note(Event::Cut { link });
                for copy in lost {
                    self.note(Event::Lost { link, copy, why: Loss::Cut });
                }
            }
            Mishap::Join(link) => {
                self.network.heal(link);
                self.note(Event::Joined { link });
            }
            Mishap::Clog(link) => {
                self.network.clog(link);
                self.note(Event::Clogged { link });
            }
            Mishap::Unclog(link) => {
                self.network.unclog(self.clock.monotonic(), link);
                self.note(Event::Unclogged { link });
            }
            Mishap::Jump(node, by_ms) => {
                if let Some(jumped) = self.nodes.get(&node) {
                    jumped.clock.jump_ms(by_ms);
                    let wall_ms = jumped.clock.now().0;
                    self.note(Event::ClockJumped { node, wall_ms });
                }
            }
            // What befalls sites alone.
            Mishap::PutRight(_)
            | Mishap::Crash(_)
            | Mishap::RollBack(_)
            | Mishap::Revert(_)
            | Mishap::Die(_)
            | Mishap::Leave(_)
            | Mishap::Return(_)
            | Mishap::JoinMesh(_)
            | Mishap::Fill(_)
            | Mishap::MakeRoom(_)
            | Mishap::Verdict => {}
        }
    }

    /// Ends everything that is broken, and what was planned to break later, and cuts the power once more everywhere:
    /// what a node promised up to now must have been kept.
    fn heal_all(&mut self) {
        self.agenda.retain(|_, task| !matches!(task, Task::Mishap(_)));
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for link in ids.iter().flat_map(|&from| ids.iter().map(move |&to| Link { from, to })) {
            if link.from != link.to {
                self.mishap(Mishap::Join(link));
                self.mishap(Mishap::Unclog(link));
            }
        }
        let faultless = self.network.quality().faultless();
        self.network.set_quality(faultless);
        for &id in &ids {
            self.go_down(id, true);
        }
        let now = self.clock.monotonic();
        let effects = self.mesh.as_mut().map(|mesh| mesh.heal(now));
        self.carry_out_all(effects.unwrap_or_default());
        self.note(Event::Healed);
    }

    // The agenda and the log.

    fn plan_at(&mut self, at: Duration, task: Task) {
        self.agenda.insert((at, self.next_place), task);
        self.next_place += 1;
    }

    fn plan_in(&mut self, after: Duration, task: Task) {
        self.plan_at(self.clock.monotonic().saturating_add(after), task);
    }

    fn note(&mut self, event: Event) {
        if self.over {
            return;
        }
        self.log.push(self.clock.monotonic(), event);
        let checked = self.log.entries().last().map_or(Ok(()), |entry| self.invariants.check(entry));
        if let Err(violation) = checked {
            self.violation = Some(violation);
            self.over = true;
        }
    }
}

//! Several scopes with one peer, one run after the other.
//!
//! [`Session`] owns the agenda, the nonces and the run that is on. One side initiates and walks its list; the other
//! answers for the scopes its list holds, and says "not yours" for every other, whether it exists or not.

use std::collections::{BTreeMap, BTreeSet};

use super::days::Root;
use super::index::{Index, RunKey};
use super::items::{Item, Items};
use super::message::{Message, Nonce, Open};
use super::run::{Fault, Next, Pace, Run, Tally};
use super::{MAX_REPEATS, MAX_SCOPES, MAX_WAITING};
use crate::record::{MeshId, ScopeId};

/// What a site holds, as a session reads it.
pub trait Scopes {
    /// The root of a scope, of the same items as [`Scopes::items`].
    fn root(&self, scope: &ScopeId) -> Root;

    /// The items of a scope. They must not change from the first look until [`Effect::Ended`]: what arrives meanwhile
    /// is taken by later runs.
    fn items(&self, scope: &ScopeId) -> &dyn Items;

    /// What is held outside the set, ascending, of which the oldest [`MAX_WAITING`] are named.
    fn waiting(&self, scope: &ScopeId) -> Vec<Item>;
}

/// What a session wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give this to the peer, in order.
    Message(Vec<u8>),
    /// Give these records to the peer, in this order, then call [`Session::sent`].
    Send {
        /// Whose.
        scope: ScopeId,
        /// Newest first, at most [`Pace::batch`].
        items: Vec<Item>,
    },
    /// A run is over. The peer's records for it have arrived before, if messages and records come in order.
    Ended {
        /// Over which scope.
        scope: ScopeId,
        /// With what.
        outcome: Outcome,
    },
    /// The initiator is through its agenda.
    Finished,
    /// The peer did wrong; the session is over.
    Failed(Fault),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both hold the same.
    Equal,
    /// Something was found and sent, or left out and named.
    Reconciled(Tally),
    /// The roots differ and no range did. The initiator says so after repeats: the peer contradicts itself.
    SameByRanges,
    /// The peer does not show the scope to this site.
    NotYours,
}

enum State {
    Idle,
    /// Opened, with this nonce and these waiting.
    Asked(Nonce, Vec<Item>),
    /// Answered "unequal" with this nonce, and waits for the names of the opener's waiting items.
    Answered(Open, Nonce),
    Running {
        run: Box<Run>,
        settled: bool,
        /// All this side owed is sent.
        sent: bool,
        /// The peer said the same.
        peer_sent: bool,
    },
    Over,
}

/// Reconciliation with one peer.
pub struct Session {
    pace: Pace,
    seed: [u8; 32],
    drawn: u64,
    /// What the initiator goes through; nothing for the other side.
    agenda: Vec<ScopeId>,
    /// What the other side answers for, and how many runs it was asked for; nothing for the initiator.
    allowed: BTreeMap<ScopeId, u32>,
    initiates: bool,
    at: usize,
    repeats: u32,
    /// The scope of the run that is on.
    scope: ScopeId,
    state: State,
}

/// The order in which scopes are reconciled: trust, by which all else is judged, what concerns every site, and projects.
#[must_use]
pub fn agenda(mesh: &MeshId, projects: &[ScopeId]) -> Vec<ScopeId> {
    let mut seen = BTreeSet::new();
    let all = [ScopeId::trust(mesh), ScopeId::mesh_wide(mesh)].into_iter().chain(projects.iter().copied());
    all.filter(|scope| seen.insert(*scope)).take(MAX_SCOPES).collect()
}

impl Session {
    /// The side that begins: scopes both may see, in order. The seed must be random and never used before.
    #[must_use]
    pub fn initiate(agenda: Vec<ScopeId>, seed: [u8; 32], pace: Pace) -> Self {
        Self::new(agenda, Vec::new(), true, seed, pace)
    }

    /// The side that answers, for the scopes this peer may see.
    #[must_use]
    pub fn respond(allowed: Vec<ScopeId>, seed: [u8; 32], pace: Pace) -> Self {
        Self::new(Vec::new(), allowed, false, seed, pace)
    }

    fn new(agenda: Vec<ScopeId>, allowed: Vec<ScopeId>, initiates: bool, seed: [u8; 32], pace: Pace) -> Self {
        Self {
            pace: pace.within_limits(),
            seed,
            drawn: 0,
            agenda: agenda.into_iter().take(MAX_SCOPES).collect(),
            allowed: allowed.into_iter().take(MAX_SCOPES).map(|scope| (scope, 0)).collect(),
            initiates,
            at: 0,
            repeats: 0,
            scope: ScopeId([0; 32]),
            state: State::Idle,
        }
    }

    /// The first effects of the initiator. Calling it again does nothing.
    pub fn start(&mut self, scopes: &dyn Scopes) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.initiates && matches!(self.state, State::Idle) && self.drawn == 0 {
            self.open(scopes, &mut effects);
        }
        effects
    }

    /// Takes a message of the peer. After [`Effect::Failed`] or [`Effect::Finished`] everything is ignored.
    pub fn receive(&mut self, message: &[u8], scopes: &dyn Scopes) -> Vec<Effect> {
        let mut effects = Vec::new();
        if matches!(self.state, State::Over) {
            return effects;
        }
        let done = match Message::decode(message) {
            Ok(message) => self.take(message, scopes, &mut effects),
            Err(_) => Err(Fault::Encoding),
        };
        if let Err(fault) = done {
            self.state = State::Over;
            effects.push(Effect::Failed(fault));
        }
        effects
    }

    /// The records of the last [`Effect::Send`] are on their way: this asks for the next.
    pub fn sent(&mut self, scopes: &dyn Scopes) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let State::Running { settled: true, sent: false, .. } = self.state {
            self.send_more(scopes, &mut effects);
        }
        effects
    }

    pub(super) fn nonce(&mut self) -> Nonce {
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.drawn.to_le_bytes());
        let mut nonce = [0; 16];
        hasher.finalize_xof().fill(&mut nonce);
        Nonce(nonce)
    }

    /// Opens the next scope.
    fn open(&mut self, scopes: &dyn Scopes, effects: &mut Vec<Effect>) {
        let Some(scope) = self.agenda.get(self.at).copied() else {
            self.state = State::Over;
            effects.push(Effect::Finished);
            return;
        };
        let nonce = self.nonce();
        let waiting = oldest(scopes.waiting(&scope));
        let count = scopes.items(&scope).count();
        let open = Open { scope, root: scopes.root(&scope), nonce, count, waiting: !waiting.is_empty() };
        self.scope = scope;
        self.state = State::Asked(nonce, waiting);
        effects.push(Effect::Message(Message::Open(open).encode()));
    }

    fn take(&mut self, message: Message, scopes: &dyn Scopes, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        match (std::mem::replace(&mut self.state, State::Over), message) {
            (State::Idle, Message::Open(open)) if !self.initiates => self.answer(open, scopes, effects),
            (State::Asked(..), Message::Equal) => {
                self.end(Outcome::Equal, scopes, effects);
                Ok(())
            }
            (State::Asked(..), Message::NotYours) => {
                self.end(Outcome::NotYours, scopes, effects);
                Ok(())
            }
            (State::Asked(own, waiting), Message::Unequal { nonce, waiting: theirs }) => {
                let items = scopes.items(&self.scope);
                let named = !waiting.is_empty();
                let key = RunKey::new(&self.scope, &own, &nonce);
                let mut run = self.run(key, &waiting, theirs, items);
                if named {
                    effects.push(Effect::Message(Message::Waiting(waiting).encode()));
                    run.begin();
                    return self.speak(run, scopes, effects);
                }
                if items.count() == 0 {
                    run.said_empty();
                }
                self.listen(run);
                Ok(())
            }
            (State::Answered(open, nonce), Message::Waiting(theirs)) if !theirs.is_empty() => {
                let key = RunKey::new(&self.scope, &open.nonce, &nonce);
                let left_out = theirs.into_iter().collect();
                let index = Index::new(key, left_out, scopes.items(&self.scope));
                let run = Box::new(Run::new(self.pace, index, true));
                self.listen(run);
                Ok(())
            }
            (State::Running { mut run, settled: false, .. }, Message::Turn(turn)) => {
                match run.hear(turn, scopes.items(&self.scope))? {
                    Next::Listen => self.listen(run),
                    Next::Speak => self.speak(run, scopes, effects)?,
                    Next::Settled => self.settle(run, scopes, effects),
                }
                Ok(())
            }
            (State::Running { run, settled: true, sent, peer_sent: false }, Message::Sent) => {
                self.state = State::Running { run, settled: true, sent, peer_sent: true };
                self.end_if_all_sent(scopes, effects);
                Ok(())
            }
            (_, _) => Err(Fault::OutOfOrder),
        }
    }

    fn run(&self, key: RunKey, waiting: &[Item], theirs: Vec<Item>, items: &dyn Items) -> Box<Run> {
        let any = !waiting.is_empty() || !theirs.is_empty();
        let index = Index::new(key, theirs.into_iter().collect(), items);
        Box::new(Run::new(self.pace, index, any))
    }

    fn listen(&mut self, run: Box<Run>) {
        self.state = State::Running { run, settled: false, sent: false, peer_sent: false };
    }

    /// Answers the opening of a run.
    fn answer(&mut self, open: Open, scopes: &dyn Scopes, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        self.state = State::Idle;
        let Some(runs) = self.allowed.get_mut(&open.scope) else {
            effects.push(Effect::Message(Message::NotYours.encode()));
            return Ok(());
        };
        *runs += 1;
        if *runs > 1 + MAX_REPEATS {
            return Err(Fault::TooManyRuns);
        }
        self.scope = open.scope;
        if scopes.root(&open.scope) == open.root {
            effects.push(Effect::Message(Message::Equal.encode()));
            effects.push(Effect::Ended { scope: open.scope, outcome: Outcome::Equal });
            return Ok(());
        }
        let nonce = self.nonce();
        let waiting = oldest(scopes.waiting(&open.scope));
        effects.push(Effect::Message(Message::Unequal { nonce, waiting: waiting.clone() }.encode()));
        if open.waiting {
            self.state = State::Answered(open, nonce);
            return Ok(());
        }
        let items = scopes.items(&open.scope);
        let mut run = self.run(RunKey::new(&open.scope, &open.nonce, &nonce), &waiting, Vec::new(), items);
        if open.count == 0 {
            run.peer_is_empty(items)?;
        } else {
            run.begin();
        }
        self.speak(run, scopes, effects)
    }

    fn speak(&mut self, mut run: Box<Run>, scopes: &dyn Scopes, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let (messages, next) = run.speak(scopes.items(&self.scope))?;
        effects.extend(messages.iter().map(|message| Effect::Message(message.encode())));
        match next {
            Next::Settled => self.settle(run, scopes, effects),
            Next::Listen | Next::Speak => self.listen(run),
        }
        Ok(())
    }

    /// The ranges are settled: now the records.
    fn settle(&mut self, run: Box<Run>, scopes: &dyn Scopes, effects: &mut Vec<Effect>) {
        let (owes, expects) = (run.owes, run.tally.coming > 0);
        self.state = State::Running { run, settled: true, sent: !owes, peer_sent: !expects };
        if owes {
            self.send_more(scopes, effects);
        } else {
            self.end_if_all_sent(scopes, effects);
        }
    }

    fn send_more(&mut self, scopes: &dyn Scopes, effects: &mut Vec<Effect>) {
        if let State::Running { run, sent, .. } = &mut self.state {
            let items = run.take(scopes.items(&self.scope));
            if items.is_empty() {
                *sent = true;
                effects.push(Effect::Message(Message::Sent.encode()));
            } else {
                effects.push(Effect::Send { scope: self.scope, items });
            }
        }
        self.end_if_all_sent(scopes, effects);
    }

    fn end_if_all_sent(&mut self, scopes: &dyn Scopes, effects: &mut Vec<Effect>) {
        let State::Running { run, sent: true, peer_sent: true, .. } = &self.state else { return };
        let tally = run.tally();
        let nothing = tally == Tally::default();
        if nothing && self.initiates && self.repeats < MAX_REPEATS {
            // Sums collided, or the peer lies. Under another key only the latter can be.
            self.repeats += 1;
            self.open(scopes, effects);
            return;
        }
        let outcome = if nothing { Outcome::SameByRanges } else { Outcome::Reconciled(tally) };
        self.end(outcome, scopes, effects);
    }

    fn end(&mut self, outcome: Outcome, scopes: &dyn Scopes, effects: &mut Vec<Effect>) {
        self.state = State::Idle;
        effects.push(Effect::Ended { scope: self.scope, outcome });
        if self.initiates {
            (self.at, self.repeats) = (self.at + 1, 0);
            self.open(scopes, effects);
        }
    }
}

fn oldest(mut waiting: Vec<Item>) -> Vec<Item> {
    waiting.sort_unstable();
    waiting.dedup();
    waiting.truncate(MAX_WAITING);
    waiting
}

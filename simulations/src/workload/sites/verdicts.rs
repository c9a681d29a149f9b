//! Acts of trust, as a site writes them: verdicts with their lists, endorsements, suspensions, farewells.

use std::collections::BTreeMap;

use protocol::identity::NodeKey;
use protocol::ledger::WriteError;
use protocol::record::{Incarnation, Position, RecordId, Records, ScopeId};
use protocol::trust::{Compromise, Endorsement, Farewell, Lists, Revocation, Suspension, Target, Verdict, list_digest};

use super::site::Site;
use super::wire::Sheet;

/// What is done to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sentence {
    /// It is over, and what it wrote stands, up to its own farewell if it bade one.
    Retire(Option<RecordId>),
    /// What stands is what the authority has seen.
    Narrow,
    /// What stands is endorsed: most of what the authority has seen.
    Compromise,
}

impl Site {
    /// Writes a verdict on a node, or on one of its grants, with lists of its own unless they were written by another.
    /// `endorsers` may endorse besides.
    pub(super) fn sentence(
        &mut self,
        node: NodeKey,
        target: Target,
        sentence: Sentence,
        lists: Option<BTreeMap<ScopeId, Lists>>,
        endorsers: Vec<NodeKey>,
    ) -> Result<(), WriteError> {
        let now = self.now();
        let verdict = match sentence {
            Sentence::Retire(farewell) => Verdict::Retired { farewell },
            Sentence::Narrow => Verdict::Narrowed { last: self.last_places(&node) },
            Sentence::Compromise => {
                let scopes = match lists {
                    Some(lists) => lists,
                    None => self.endorse_most(node, false)?,
                };
                Verdict::Compromised(Compromise { since: now, scopes, endorsers })
            }
        };
        self.ledger.revoke(&Revocation { target, verdict }, "admin", now).map(drop)
    }

    /// Endorses most of what it holds of a node, in every scope; by right, or because a verdict is to ask for it.
    pub(super) fn endorse_most(&mut self, node: NodeKey, asked: bool) -> Result<BTreeMap<ScopeId, Lists>, WriteError> {
        let (now, by, list) = (self.now(), self.key(), self.rng.next_u64());
        let mut endorsed: BTreeMap<ScopeId, Vec<RecordId>> = BTreeMap::new();
        let written: Vec<(ScopeId, RecordId)> = self
            .ledger
            .set()
            .iter()
            .filter(|held| held.record.author() == node)
            .map(|held| (held.record.scope(), held.record.id()))
            .collect();
        for (scope, id) in written {
            let list = endorsed.entry(scope).or_default();
            if !self.rng.chance(0.2) {
                list.push(id);
            }
        }
        let mut scopes = BTreeMap::new();
        for (scope, records) in endorsed {
            let endorsement = Endorsement { node, list, records };
            let id = if asked {
                self.ledger.endorse_as_asked(scope, &endorsement, "admin", now)?
            } else {
                self.ledger.endorse(scope, &endorsement, "admin", now)?
            };
            scopes.insert(scope, Lists { by, list, count: 1, digest: list_digest(&[id]) });
        }
        Ok(scopes)
    }

    /// The last place this site holds of each life of a node.
    fn last_places(&self, node: &NodeKey) -> Vec<Position> {
        let mut last: BTreeMap<Incarnation, u64> = BTreeMap::new();
        for held in self.ledger.set().iter().filter(|held| held.record.author() == *node) {
            if let Some(body) = held.record.body() {
                let seq = last.entry(body.position.incarnation).or_default();
                *seq = body.position.seq.max(*seq);
            }
        }
        last.into_iter().map(|(incarnation, seq)| Position { incarnation, seq }).collect()
    }

    /// Suspends another authority, or, for the root, speaks.
    pub(super) fn suspend(&mut self, node: NodeKey, lifted: bool) -> Result<(), WriteError> {
        let last = self.last_places(&node);
        let now = self.now();
        self.ledger.suspend(&Suspension { node, lifted, last }, "admin", now).map(drop)
    }

    /// Everything it knows of trust, to be handed over.
    pub(super) fn sheets_of_trust(&self) -> Vec<Sheet> {
        let scope = ScopeId::trust(self.ledger.mesh());
        self.ledger.set().in_scope(&scope).filter_map(|(_, id)| Some(Sheet::of(&self.ledger.set().get(&id)?))).collect()
    }

    /// Says how far its own records go, as the last thing it writes.
    pub(super) fn say_farewell(&mut self) -> Option<RecordId> {
        let last = self.last_places(&self.key());
        let now = self.now();
        self.ledger.bid_farewell(&Farewell { last }, "admin", now).ok()
    }

    /// What it wrote since that place is here and on the disk.
    pub(super) fn keep_since(&mut self, from: Position) {
        let key = self.key();
        let places = from.seq..self.ledger.next().seq;
        let new: Vec<RecordId> = places.flat_map(|seq| self.ledger.set().at(&key, Position { seq, ..from })).collect();
        self.came(&new);
        self.keep();
        self.disk.sync();
    }
}

//! Sites in a virtual network that loses messages, with a watch on every message, for the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::Timestamp;
use crate::roster::{Audience, Place};

/// Who may hold what.
#[derive(Clone)]
pub(super) struct Members {
    me: NodeKey,
    pub(super) places: Arc<BTreeMap<NodeKey, Place>>,
    pub(super) may: Arc<BTreeSet<(NodeKey, ScopeId)>>,
}

impl Roster for Members {
    fn me(&self) -> NodeKey {
        self.me
    }

    fn place(&self, site: &NodeKey) -> Option<Place> {
        self.places.get(site).cloned()
    }

    fn count(&self) -> usize {
        self.places.len()
    }

    fn nth(&self, number: usize) -> Option<NodeKey> {
        self.places.keys().nth(number).copied()
    }

    fn audiences(&self) -> &[Audience] {
        &[]
    }

    fn may_hold(&self, site: &NodeKey, scope: &ScopeId) -> bool {
        self.may.contains(&(*site, *scope))
    }
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn secret(number: usize) -> NodeSecret {
    NodeSecret::from_seed([number as u8 + 1; 32])
}

pub(super) fn life(start: u64) -> Life {
    Life { start: Timestamp(start), number: 1 }
}

/// The scope all of a group may hold, and the one only the even may.
pub(super) const ALL: ScopeId = ScopeId([1; 32]);
pub(super) const EVEN: ScopeId = ScopeId([2; 32]);

pub(super) fn image(number: usize) -> Digest {
    Digest::sha256(&number.to_le_bytes())
}

pub(super) struct Group {
    pub(super) sites: Vec<Holdings>,
    pub(super) keys: Vec<NodeKey>,
    pub(super) members: Members,
    pub(super) links: Vec<BTreeSet<usize>>,
    pub(super) now: Duration,
    pub(super) loss: usize,
    pub(super) faults: Vec<(usize, NodeKey, Fault)>,
    pub(super) told: Vec<(usize, Effect)>,
    /// Messages that spoke of a scope to one that may not hold it.
    pub(super) leaks: usize,
    pub(super) deltas: BTreeMap<(usize, usize, Whose, u64), usize>,
    pub(super) bytes: u64,
    flying: Vec<(usize, usize, Vec<u8>)>,
    luck: Draw,
}

impl Group {
    /// So many sites of the region "near", then so many of "far".
    pub(super) fn new(near: usize, far: usize) -> Self {
        let keys: Vec<NodeKey> = (0..near + far).map(|n| secret(n).key()).collect();
        let place = |n: usize| Place {
            region: if n < near { "near" } else { "far" }.into(),
            uplink: (n < 2).then(|| "lan".into()),
            is_authority: false,
            is_metered: false,
        };
        let mut may: BTreeSet<(NodeKey, ScopeId)> = keys.iter().map(|key| (*key, ALL)).collect();
        may.extend(keys.iter().step_by(2).map(|key| (*key, EVEN)));
        let places = keys.iter().enumerate().map(|(n, key)| (*key, place(n))).collect();
        let mut group = Self {
            sites: (0..keys.len()).map(|n| Holdings::new(secret(n), life(1000), [n as u8; 32])).collect(),
            members: Members { me: keys[0], places: Arc::new(places), may: Arc::new(may) },
            links: vec![BTreeSet::new(); keys.len()],
            keys,
            now: Duration::ZERO,
            loss: 0,
            faults: Vec::new(),
            told: Vec::new(),
            leaks: 0,
            deltas: BTreeMap::new(),
            bytes: 0,
            flying: Vec::new(),
            luck: Draw::new([55; 32]),
        };
        // Rings with chords at two and three: the even are linked among themselves.
        for (from, count) in [(0, near), (near, far)] {
            for n in 0..count {
                for step in 1..=3 {
                    group.link(from + n, from + (n + step) % count);
                }
            }
        }
        group
    }

    pub(super) fn roster(&self, site: usize) -> Members {
        Members { me: self.keys[site], ..self.members.clone() }
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        for (one, other) in [(a, b), (b, a)] {
            if one != other && self.links[one].insert(other) {
                let roster = self.roster(one);
                self.sites[one].up(self.keys[other], self.now, &roster);
            }
        }
    }

    pub(super) fn unlink(&mut self, a: usize) {
        for b in std::mem::take(&mut self.links[a]) {
            self.links[b].remove(&a);
            self.sites[a].down(&self.keys[b]);
            self.sites[b].down(&self.keys[a]);
        }
    }

    pub(super) fn carry_out(&mut self, from: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => {
                    let to = self.keys.iter().position(|key| *key == to).unwrap();
                    let message = Message::decode(&bytes).unwrap();
                    let may = |scope: &ScopeId| self.members.may_hold(&self.keys[to], scope);
                    self.leaks += usize::from(!message.speaks_of().iter().all(may));
                    if let Message::Delta { head, .. } = &message {
                        let key = (from, to, head.said.whose, head.said.version.number);
                        *self.deltas.entry(key).or_default() += 1;
                    }
                    self.bytes += bytes.len() as u64;
                    self.flying.push((from, to, bytes));
                }
                Effect::Failed(peer, fault) => self.faults.push((from, peer, fault)),
                Effect::Asked { .. } | Effect::Answered { .. } | Effect::Unanswered { .. } => {
                    self.told.push((from, effect));
                }
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += secs(1);
            for (from, to, bytes) in std::mem::take(&mut self.flying) {
                if self.links[from].contains(&to) && self.luck.below(1000) >= self.loss {
                    let roster = self.roster(to);
                    let effects = self.sites[to].receive(self.keys[from], &bytes, self.now, &roster);
                    self.carry_out(to, effects);
                }
            }
            for site in 0..self.sites.len() {
                let roster = self.roster(site);
                let effects = self.sites[site].tick(self.now, &roster);
                self.carry_out(site, effects);
            }
        }
    }

    /// Whether every site of `among` that may knows what `site` holds of a scope.
    pub(super) fn all_know(&self, among: std::ops::Range<usize>, site: usize, scope: ScopeId, images: &Images) -> bool {
        let mut others = among.filter(|n| *n != site && self.members.may_hold(&self.keys[*n], &scope));
        others.all(|n| self.sites[n].images(scope, self.keys[site]) == Some(images))
    }

    pub(super) fn candidates(&self, site: usize, scope: ScopeId, image: Digest) -> Vec<usize> {
        let named = self.sites[site].candidates(scope, &[image], self.now, &self.roster(site), &|_| true);
        named.iter().map(|key| self.keys.iter().position(|other| other == key).unwrap()).collect()
    }
}

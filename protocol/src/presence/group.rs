//! Sites in a virtual network that loses messages, for the tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::record::ScopeId;
use crate::roster::{Audience, Place};

/// The roster all sites of a group share; `me` differs.
#[derive(Clone)]
pub(super) struct Members {
    pub(super) me: NodeKey,
    pub(super) places: Arc<BTreeMap<NodeKey, Place>>,
    pub(super) order: Arc<Vec<NodeKey>>,
}

impl Roster for Members {
    fn me(&self) -> NodeKey {
        self.me
    }

    fn place(&self, site: &NodeKey) -> Option<Place> {
        self.places.get(site).cloned()
    }

    fn count(&self) -> usize {
        self.order.len()
    }

    fn nth(&self, number: usize) -> Option<NodeKey> {
        self.order.get(number).copied()
    }

    fn audiences(&self) -> &[Audience] {
        &[]
    }

    fn may_hold(&self, _: &NodeKey, _: &ScopeId) -> bool {
        true
    }
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A day on which all clocks of the tests stand at their start.
pub(super) const DAY: Timestamp = Timestamp(1_790_000_000_000);

pub(super) fn fields(blobs: u64) -> Fields {
    Fields {
        version: "1.4.2".into(),
        disk_used: 400 << 30,
        disk_total: 1 << 40,
        counts: Counts { records: 120_000, repositories: 80, manifests: 2_000, tags: 3_000, blobs },
        lag: 20,
        last_error: String::new(),
        certificate_end: DAY.plus(secs(90 * 86_400)),
        addresses: vec!["198.51.100.7:7420".into(), "edge-17.example.net:7420".into()],
    }
}

/// Sites, who is linked to whom, and what is on its way.
pub(super) struct Group {
    pub(super) sites: Vec<Presence>,
    pub(super) members: Members,
    pub(super) keys: Vec<NodeKey>,
    numbers: BTreeMap<NodeKey, usize>,
    pub(super) links: Vec<Vec<usize>>,
    pub(super) asleep: Vec<bool>,
    pub(super) now: Duration,
    pub(super) received: Vec<u64>,
    pub(super) faults: Vec<(usize, NodeKey, Fault)>,
    /// Of a thousand messages so many are lost.
    pub(super) loss: usize,
    pub(super) step: Duration,
    flying: Vec<(usize, usize, Vec<u8>)>,
    luck: Draw,
    /// What was sent, when wanted: from, to, bytes.
    pub(super) sent: Option<Vec<(usize, usize, Message)>>,
}

pub(super) fn secret(number: usize) -> NodeSecret {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    NodeSecret::from_seed(seed)
}

impl Group {
    /// Sites at these places (region, metered).
    pub(super) fn new(places: &[(&str, bool)]) -> Self {
        let keys: Vec<NodeKey> = (0..places.len()).map(|n| secret(n).key()).collect();
        let place = |(region, is_metered): &(&str, bool)| Place {
            region: (*region).into(),
            uplink: None,
            is_authority: false,
            is_metered: *is_metered,
        };
        let places = keys.iter().copied().zip(places.iter().map(place)).collect::<BTreeMap<_, _>>();
        let order = Arc::new(places.keys().copied().collect());
        let members = Members { me: keys[0], places: Arc::new(places), order };
        let site = |n: usize| Presence::new(secret(n), Plan::default(), [n as u8; 32]);
        Self {
            sites: (0..keys.len()).map(site).collect(),
            links: vec![Vec::new(); keys.len()],
            asleep: vec![false; keys.len()],
            received: vec![0; keys.len()],
            now: Duration::ZERO,
            members,
            numbers: keys.iter().enumerate().map(|(n, key)| (*key, n)).collect(),
            keys,
            faults: Vec::new(),
            loss: 0,
            step: secs(1),
            flying: Vec::new(),
            luck: Draw::new([77; 32]),
            sent: None,
        }
    }

    pub(super) fn roster(&self, site: usize) -> Members {
        Members { me: self.keys[site], ..self.members.clone() }
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        if a == b || self.links[a].contains(&b) {
            return;
        }
        for (one, other) in [(a, b), (b, a)] {
            self.links[one].push(other);
            let roster = self.roster(one);
            self.sites[one].up(self.keys[other], self.now, &roster);
        }
    }

    pub(super) fn unlink(&mut self, a: usize, b: usize) {
        for (one, other) in [(a, b), (b, a)] {
            self.links[one].retain(|to| *to != other);
            self.sites[one].down(&self.keys[other]);
        }
    }

    /// A ring among these, and chords up to so many links each.
    pub(super) fn weave(&mut self, among: &[usize], degree: usize) {
        for (at, site) in among.iter().enumerate() {
            self.link(*site, among[(at + 1) % among.len()]);
        }
        for site in among {
            for _ in 0..20 {
                let other = among[self.luck.below(among.len())];
                if self.links[*site].len() < degree && self.links[other].len() < degree {
                    self.link(*site, other);
                }
            }
        }
    }

    pub(super) fn publish(&mut self, site: usize, fields: Fields) {
        let wall = DAY.plus(self.now);
        self.sites[site].publish(fields, self.now, wall).unwrap();
    }

    /// The site falls asleep: its links go down.
    pub(super) fn sleep(&mut self, site: usize) {
        self.asleep[site] = true;
        for other in self.links[site].clone() {
            self.unlink(site, other);
        }
    }

    pub(super) fn deliver(&mut self, from: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, bytes) => {
                    let to = self.numbers[&to];
                    if let Some(sent) = &mut self.sent {
                        sent.push((from, to, Message::decode(&bytes).unwrap()));
                    }
                    self.flying.push((from, to, bytes));
                }
                Effect::Failed(peer, fault) => self.faults.push((from, peer, fault)),
            }
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += self.step;
            for (from, to, bytes) in std::mem::take(&mut self.flying) {
                if self.asleep[to] || !self.links[from].contains(&to) || self.luck.below(1000) < self.loss {
                    continue;
                }
                self.received[to] += bytes.len() as u64;
                let roster = self.roster(to);
                let effects = self.sites[to].receive(self.keys[from], &bytes, self.now, &roster);
                self.deliver(to, effects);
            }
            for site in 0..self.sites.len() {
                if !self.asleep[site] {
                    let roster = self.roster(site);
                    let effects = self.sites[site].tick(self.now, &roster);
                    self.deliver(site, effects);
                }
            }
        }
    }
}

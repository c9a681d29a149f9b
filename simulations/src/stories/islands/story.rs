//! [`Story`]: what was written, told to newcomers again in every order that matters.

use std::time::Duration;

use protocol::Timestamp;
use protocol::identity::NodeKey;
use protocol::ledger::{Identity, Ledger, Reception};
use protocol::record::{Held, Incarnation, RecordId, RecordSet};
use protocol::trust::Trust;

use super::{Islands, key, over_the_wire, secret};
use crate::Rng;

/// Everything that was written, to be told again.
pub(crate) struct Story {
    root: NodeKey,
    held: Vec<Held>,
    now: Timestamp,
    shuffles: u64,
}

impl Islands {
    /// All that any site holds.
    pub(crate) fn story(&self) -> Story {
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        self.story_of(&names)
    }

    pub(crate) fn story_of(&self, sites: &[&str]) -> Story {
        let mut all = RecordSet::default();
        for held in sites.iter().flat_map(|name| self.at(name).set().iter()) {
            let (record, value) = over_the_wire(held);
            all.insert(record, value).unwrap();
        }
        let mut held: Vec<Held> = all.iter().cloned().collect();
        held.sort_by_key(|held| (held.record.time(), held.record.id()));
        Story { root: key("root"), held, now: Timestamp(self.now).plus(Duration::from_secs(1)), shuffles: 40 }
    }
}

impl Story {
    /// For stories of thousands of records.
    pub(crate) fn shuffled_only(self, times: u64) -> Self {
        Self { shuffles: times, ..self }
    }

    fn newcomer(&self) -> Ledger {
        let identity = Identity { secret: secret("a newcomer"), root: self.root, grant: RecordId::NONE };
        Ledger::open(identity, [], Incarnation(1))
    }

    fn deliver(&self, to: &mut Ledger, held: &Held) {
        let reception = to.take(held.record.clone(), held.value.clone(), self.now);
        assert!(matches!(reception, Reception::Taken | Reception::Waits(_)), "{reception:?}");
        to.wake(self.now);
    }

    /// Tells the story to newcomers in every order of what matters (all of them up to six records, else 200), after the
    /// rest; then 40 times with everything shuffled, grants and all, and a crash on the way. All see the same in the end,
    /// which `check` looks at.
    pub(crate) fn in_every_order(&self, matter: &[RecordId], check: impl FnMut(&Ledger)) {
        self.in_every_order_watched(matter, |_| {}, check);
    }

    /// The same, with a look after every step in which one of those that matter came.
    pub(crate) fn in_every_order_watched(
        &self,
        matter: &[RecordId],
        mut watch: impl FnMut(&Ledger),
        mut check: impl FnMut(&Ledger),
    ) {
        let trust = Trust::evaluate(self.root, &self.held);
        let mut first: Option<Ledger> = None;
        let mut finish = |ledger: Ledger, how: &dyn std::fmt::Debug| {
            assert_eq!((ledger.set().len(), ledger.waiting().len()), (self.held.len(), 0), "all is in: {how:?}");
            check(&ledger);
            let first = first.get_or_insert_with(|| ledger.clone());
            assert!(first.view().kept() == ledger.view().kept(), "another view: {how:?}");
            assert!(trust == *ledger.trust(), "other trust: {how:?}");
        };
        let (free, fixed): (Vec<&Held>, Vec<&Held>) =
            self.held.iter().partition(|held| matter.contains(&held.record.id()));
        assert_eq!(free.len(), matter.len(), "what matters is a part of the story");
        let mut base = self.newcomer();
        fixed.iter().for_each(|held| self.deliver(&mut base, held));
        for (n, order) in orders(free.len()).into_iter().enumerate() {
            let mut ledger = base.clone();
            for &at in &order {
                self.deliver(&mut ledger, free[at]);
                watch(&ledger);
                assert!(n % 32 != 0 || ledger.is_view_sound(), "unsound: {order:?}");
            }
            finish(ledger, &order);
        }
        for seed in 0..self.shuffles {
            finish(self.shuffled(seed), &seed);
        }
    }

    fn shuffled(&self, seed: u64) -> Ledger {
        let mut rng = Rng::from_seed(seed);
        let mut all: Vec<&Held> = self.held.iter().collect();
        rng.shuffle(&mut all);
        let (crash, often) = (rng.index(all.len()), 4.max(all.len() / 8));
        let mut ledger = self.newcomer();
        for (at, held) in all.into_iter().enumerate() {
            self.deliver(&mut ledger, held);
            assert!(seed >= 4 || at % often != 0 || ledger.is_view_sound(), "unsound: {seed}");
            if at == crash {
                let disk = ledger.entries();
                let identity = Identity { secret: secret("a newcomer"), root: self.root, grant: RecordId::NONE };
                ledger = Ledger::open(identity, disk, Incarnation(2));
                assert!(ledger.is_view_sound(), "unsound after a crash: {seed}");
            }
        }
        assert!(ledger.is_view_sound());
        ledger
    }
}

/// All orders of so few, or 200 of them.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..count).collect();
    if count > 6 {
        let shuffled = |seed| {
            let mut order = all.clone();
            Rng::from_seed(seed).shuffle(&mut order);
            order
        };
        return (0..200).map(shuffled).collect();
    }
    let mut orders = vec![Vec::new()];
    for _ in 0..count {
        let longer = |order: Vec<usize>| -> Vec<Vec<usize>> {
            let rest = all.iter().filter(|at| !order.contains(at));
            rest.map(|at| order.iter().copied().chain([*at]).collect()).collect()
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

#[test]
fn few_records_come_in_all_orders() {
    assert_eq!((orders(0).len(), orders(4).len(), orders(6).len(), orders(7).len()), (1, 24, 720, 200));
}

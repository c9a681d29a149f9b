//! One hash for all items of a scope, cheap to keep.
//!
//! [`DayHashes`] owns a hash for each day that has items; the ids of a day in the order of the set. A new item costs one
//! day's hashing, at the next [`DayHashes::root`], however many days there are.

use std::collections::{BTreeMap, BTreeSet};

use super::items::{Edge, Item, Items, Span};
use crate::Timestamp;
use crate::record::{HybridTime, RecordId};

const DAY: u64 = 86_400_000;

/// The hash of all items of a scope. Two scopes with the same root hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root(pub [u8; 32]);

/// The hashes of the days of one scope.
#[derive(Clone, Debug, Default)]
pub struct DayHashes {
    hashes: BTreeMap<u32, [u8; 32]>,
    dirty: BTreeSet<u32>,
}

impl DayHashes {
    /// The hashes of these items.
    #[must_use]
    pub fn of(items: &dyn Items) -> Self {
        let mut days = Self::default();
        let mut open: Option<(u32, blake3::Hasher)> = None;
        for (time, id) in items.within(&Span::ALL) {
            let day = time.day();
            match &mut open {
                Some((of, hasher)) if *of == day => {
                    hasher.update(&id.0);
                }
                Some(_) | None => {
                    let mut hasher = blake3::Hasher::new();
                    hasher.update(&id.0);
                    days.close(open.replace((day, hasher)));
                }
            }
        }
        days.close(open);
        days
    }

    fn close(&mut self, day: Option<(u32, blake3::Hasher)>) {
        if let Some((day, hasher)) = day {
            self.hashes.insert(day, *hasher.finalize().as_bytes());
        }
    }

    /// An item was added to the set: its day's hash no longer holds.
    pub fn added(&mut self, item: &Item) {
        self.dirty.insert(item.0.day());
    }

    /// The root. `items` are all there are; those of days that changed are read.
    pub fn root(&mut self, items: &dyn Items) -> Root {
        for day in std::mem::take(&mut self.dirty) {
            let Some(span) = span_of(day) else { continue };
            let mut hasher = blake3::Hasher::new();
            let mut any = false;
            for (_, id) in items.within(&span) {
                hasher.update(&id.0);
                any = true;
            }
            self.hashes.remove(&day);
            self.close(any.then_some((day, hasher)));
        }
        let mut all = blake3::Hasher::new_derive_key("portolan reconcile root 1");
        for (day, hash) in &self.hashes {
            all.update(&day.to_le_bytes());
            all.update(hash);
        }
        Root(*all.finalize().as_bytes())
    }
}

/// Everything in a day.
fn span_of(day: u32) -> Option<Span> {
    let edge = |day: u64| {
        let time = HybridTime::at(Timestamp(day * DAY));
        // Beyond the last moment times don't grow any more.
        if time.day() == u32::try_from(day).unwrap_or(u32::MAX) { Edge::At(time, RecordId([0; 32])) } else { Edge::End }
    };
    Span::new(edge(u64::from(day)), edge(u64::from(day) + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(time: u64, n: u8) -> Item {
        (HybridTime(time), RecordId(*blake3::hash(&[n]).as_bytes()))
    }

    proptest! {
        #[test]
        fn what_is_kept_equals_what_is_computed(
            added in prop::collection::vec((prop_oneof![0..20_u64, Just(u64::MAX >> 16)], any::<u8>(), any::<bool>()), 0..60)
        ) {
            let (mut set, mut kept) = (BTreeSet::new(), DayHashes::default());
            for (hours, n, look) in added {
                let item = item(hours.saturating_mul(3_600_000 << 18), n);
                set.insert(item);
                kept.added(&item);
                if look {
                    prop_assert_eq!(kept.root(&set), DayHashes::of(&set).root(&set));
                }
            }
            prop_assert_eq!(kept.root(&set), DayHashes::of(&set).root(&set));
        }
    }

    #[test]
    fn other_items_have_another_root() {
        let root = |items: &[Item]| {
            let items = items.to_vec();
            DayHashes::of(&items).root(&items)
        };
        let day = 86_400_000 << 16;
        let all = [root(&[]), root(&[item(0, 1)]), root(&[item(0, 2)]), root(&[item(0, 1), item(0, 2)])];
        let apart = [root(&[item(0, 1), item(day, 2)]), root(&[item(0, 1), item(day + day, 2)]), root(&[item(day, 1)])];
        let mut roots: Vec<[u8; 32]> = all.iter().chain(&apart).map(|root| root.0).collect();
        roots.sort_unstable();
        roots.dedup();
        assert_eq!(roots.len(), 7);
    }

    #[test]
    fn only_days_that_changed_are_read() {
        struct OneDay<'a>(&'a Vec<Item>, u32);
        impl Items for OneDay<'_> {
            fn count(&self) -> u64 {
                self.0.count()
            }
            fn within(&self, span: &Span) -> Box<dyn DoubleEndedIterator<Item = Item> + '_> {
                assert_eq!(Some(*span), span_of(self.1));
                self.0.within(span)
            }
        }
        let day = 86_400_000 << 16;
        let mut items: Vec<Item> = (0..10_u8).map(|n| item(u64::from(n) * day, n)).collect();
        let mut days = DayHashes::of(&items);
        items.insert(4, item(3 * day + 1, 77));
        days.added(&items[4]);
        assert_eq!(days.root(&OneDay(&items, 3)), DayHashes::of(&items).root(&items));
    }
}

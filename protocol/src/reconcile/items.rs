//! The items of a scope, and ranges of them.
//!
//! [`Items`] is what a store must answer; it owns the items. An [`Edge`] is a point between items, a [`Span`] the items
//! between two edges. No state here.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::record::{HybridTime, RecordId};

/// What is reconciled: when a record was written, and which it is.
pub type Item = (HybridTime, RecordId);

/// A point between items. Items at or above it are on its right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// Before this item, which need not exist.
    At(HybridTime, RecordId),
    /// After all.
    End,
}

/// The items from one edge up to another. Never without room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    low: Edge,
    high: Edge,
}

/// The items of one scope in ascending order. What it answers must not change while a run goes on: it is a snapshot.
pub trait Items {
    /// How many there are.
    fn count(&self) -> u64;

    /// Those of a span, ascending.
    fn within(&self, span: &Span) -> Box<dyn DoubleEndedIterator<Item = Item> + '_>;
}

impl Edge {
    /// Before all.
    pub const START: Self = Self::At(HybridTime(0), RecordId([0; 32]));

    /// The edge between two neighbours that takes the fewest bytes to send: the roundest time, else the shortest id.
    #[must_use]
    pub(super) fn between(left: &Item, right: &Item) -> Self {
        if left.0 != right.0 {
            // The highest bit in which they differ is set on the right; all below it can go.
            let bits = 63 - (left.0.0 ^ right.0.0).leading_zeros();
            return Self::At(HybridTime(right.0.0 >> bits << bits), RecordId([0; 32]));
        }
        let mut id = [0; 32];
        for (to, (a, b)) in id.iter_mut().zip(left.1.0.iter().zip(&right.1.0)) {
            *to = *b;
            if a != b {
                break;
            }
        }
        Self::At(right.0, RecordId(id))
    }
}

impl From<Item> for Edge {
    fn from((time, id): Item) -> Self {
        Self::At(time, id)
    }
}

impl Span {
    /// Everything.
    pub const ALL: Self = Self { low: Edge::START, high: Edge::End };

    /// The items from `low`, without `high`; `None` when there is no room between.
    #[must_use]
    pub fn new(low: Edge, high: Edge) -> Option<Self> {
        (low < high).then_some(Self { low, high })
    }

    /// Where it begins.
    #[must_use]
    pub const fn low(&self) -> Edge {
        self.low
    }

    /// Where it ends.
    #[must_use]
    pub const fn high(&self) -> Edge {
        self.high
    }
}

impl Items for [Item] {
    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn within(&self, span: &Span) -> Box<dyn DoubleEndedIterator<Item = Item> + '_> {
        let below = |edge: Edge| self.partition_point(|item| Edge::from(*item) < edge);
        Box::new(self.get(below(span.low)..below(span.high)).unwrap_or_default().iter().copied())
    }
}

impl Items for Vec<Item> {
    fn count(&self) -> u64 {
        self.as_slice().count()
    }

    fn within(&self, span: &Span) -> Box<dyn DoubleEndedIterator<Item = Item> + '_> {
        self.as_slice().within(span)
    }
}

impl Items for BTreeSet<Item> {
    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn within(&self, span: &Span) -> Box<dyn DoubleEndedIterator<Item = Item> + '_> {
        let high = match span.high {
            Edge::At(time, id) => Bound::Excluded((time, id)),
            Edge::End => Bound::Unbounded,
        };
        let low = match span.low {
            Edge::At(time, id) => Bound::Included((time, id)),
            // A span has room, so it never begins there.
            Edge::End => return Box::new(std::iter::empty()),
        };
        Box::new(self.range((low, high)).copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item() -> impl Strategy<Value = Item> {
        (0..4_u64, 0..3_u32, 0..4_u8, 0..3_usize).prop_map(|(time, shift, byte, at)| {
            let mut id = [0; 32];
            id[at] = byte;
            (HybridTime(time << (shift * 20)), RecordId(id))
        })
    }

    proptest! {
        #[test]
        fn an_edge_parts_neighbours(a in item(), b in item()) {
            prop_assume!(a < b);
            let edge = Edge::between(&a, &b);
            prop_assert!(Edge::from(a) < edge && edge <= Edge::from(b), "{edge:?}");
        }

        #[test]
        fn a_slice_and_a_tree_answer_alike(set in prop::collection::btree_set(item(), 0..20), a in item(), b in item()) {
            let list: Vec<Item> = set.iter().copied().collect();
            for span in [Span::new(a.into(), b.into()), Span::new(a.into(), Edge::End), Some(Span::ALL)] {
                let Some(span) = span else { continue };
                prop_assert!(list.within(&span).eq(set.within(&span)));
                let inside = |item: &Item| span.low() <= Edge::from(*item) && Edge::from(*item) < span.high();
                prop_assert!(list.within(&span).eq(set.iter().copied().filter(inside)));
            }
        }
    }
}

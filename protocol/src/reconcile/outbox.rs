//! What the peer of a run lacks, to be sent newest first.
//!
//! [`Outbox`] owns single items and whole ranges; ranges are read when they are sent, so a newcomer costs no memory.

use std::collections::{BTreeMap, BTreeSet};

use super::MAX_SINGLES;
use super::index::Index;
use super::items::{Edge, Item, Items, Span};

/// Items the peer lacks.
pub(super) enum Lot {
    /// These.
    Few(Vec<Item>),
    /// All of a range except those it has.
    Range { span: Span, except: Vec<Item> },
}

impl Lot {
    /// How many items it takes memory for.
    pub(super) fn remembers(&self) -> usize {
        match self {
            Self::Few(items) => items.len(),
            Self::Range { except, .. } => except.len(),
        }
    }
}

#[derive(Default)]
pub(super) struct Outbox {
    singles: BTreeSet<Item>,
    /// Low edges and high edges, apart from each other.
    ranges: BTreeMap<Edge, Edge>,
    except: BTreeSet<Item>,
    /// Something did not find room.
    pub(super) overflowed: bool,
}

impl Outbox {
    pub(super) fn put(&mut self, lot: Lot) {
        match lot {
            Lot::Few(items) => self.singles.extend(items),
            Lot::Range { span, except } => {
                if self.except.len() + except.len() > MAX_SINGLES {
                    self.overflowed = true;
                    return;
                }
                self.except.extend(except);
                self.merge(span);
            }
        }
        while self.singles.len() > MAX_SINGLES {
            self.singles.pop_first();
            self.overflowed = true;
        }
    }

    /// Ranges are kept apart, so that nothing is sent twice whatever a peer asks for.
    fn merge(&mut self, span: Span) {
        let (mut low, mut high) = (span.low(), span.high());
        let touching: Vec<(Edge, Edge)> = self
            .ranges
            .range(..=high)
            .rev()
            .map(|(low, high)| (*low, *high))
            .take_while(|(_, their_high)| *their_high >= low)
            .collect();
        for (their_low, their_high) in touching {
            self.ranges.remove(&their_low);
            (low, high) = (low.min(their_low), high.max(their_high));
        }
        self.ranges.insert(low, high);
    }

    /// The next items to send, at most `most`, newest first; none when all are sent.
    pub(super) fn take(&mut self, most: usize, index: &Index, items: &dyn Items) -> Vec<Item> {
        let mut batch = Vec::new();
        while batch.len() < most {
            let range = self.ranges.last_key_value().map(|(low, high)| (*low, *high));
            let single = self.singles.last().copied();
            match (range, single) {
                (None, None) => break,
                (Some((low, high)), single) if single.is_none_or(|single| Edge::from(single) < high) => {
                    self.ranges.remove(&low);
                    let Some(span) = Span::new(low, high) else { continue };
                    let room = most - batch.len();
                    let found = index.read(&span, items).rev().filter(|item| !self.except.contains(item));
                    let before = batch.len();
                    batch.extend(found.take(room));
                    if batch.len() - before == room
                        && let Some(last) = batch.last()
                    {
                        self.ranges.insert(low, (*last).into());
                    }
                }
                (_, _) => batch.extend(self.singles.pop_last()),
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::RunKey;
    use super::super::message::Nonce;
    use super::*;
    use crate::record::{HybridTime, RecordId, ScopeId};

    #[test]
    fn it_goes_out_newest_first_and_once() {
        let items: Vec<Item> = (0..100_u64).map(|n| (HybridTime(n), RecordId([1; 32]))).collect();
        let key = RunKey::new(&ScopeId([0; 32]), &Nonce([0; 16]), &Nonce([0; 16]));
        let index = Index::new(key, [items[95]].into(), &items);
        let mut outbox = Outbox::default();
        let range = |low: usize, high: usize, except: &[usize]| Lot::Range {
            span: Span::new(items[low].into(), items[high].into()).unwrap(),
            except: except.iter().map(|at| items[*at]).collect(),
        };
        outbox.put(range(10, 20, &[12]));
        outbox.put(range(50, 60, &[]));
        outbox.put(range(15, 30, &[29]));
        outbox.put(range(55, 57, &[]));
        outbox.put(range(90, 99, &[]));
        outbox.put(Lot::Few(vec![items[5], items[40], items[99]]));
        let mut sent = Vec::new();
        loop {
            let batch = outbox.take(7, &index, &items);
            if batch.is_empty() {
                break;
            }
            assert!(batch.len() <= 7);
            sent.extend(batch);
        }
        let mut expected: Vec<u64> = [5, 10, 11].into_iter().chain(13..29).chain([40]).chain(50..60).collect();
        expected.extend((90..95).chain(96..100));
        expected.reverse();
        assert_eq!(sent.iter().map(|item| item.0.0).collect::<Vec<_>>(), expected);
    }
}

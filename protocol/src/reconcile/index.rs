//! Sums over ranges under the key of one run.
//!
//! [`Index`] owns marks: the sum of all items below each 32nd. It is built with one pass over the items and then answers
//! for any range by reading at most two strides. Items named as waiting by the peer are not there for it.

use std::collections::BTreeSet;

use super::items::{Edge, Item, Items, Span};
use super::message::{Nonce, Short, Sum};
use crate::record::ScopeId;

/// Items from mark to mark.
const STRIDE: u64 = 32;

/// Ranges up to this many items are split where it fits best, larger ones at marks.
const READ_WHOLE: u64 = 4096;

/// What a run is keyed with. Both nonces make it, so neither side, and no author of records, can know it beforehand.
#[derive(Clone)]
pub(super) struct RunKey([u8; 32]);

/// Items taken together: the sum of their hashes modulo 2^128, and how many.
#[derive(Clone, Copy, Default)]
pub(super) struct Total {
    sum: u128,
    pub(super) count: u64,
}

struct Mark {
    at: Edge,
    sum: u128,
}

pub(super) struct Index {
    key: RunKey,
    left_out: BTreeSet<Item>,
    marks: Vec<Mark>,
    total: Total,
}

impl RunKey {
    pub(super) fn new(scope: &ScopeId, initiator: &Nonce, responder: &Nonce) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("portolan reconcile run 1");
        for part in [scope.0.as_slice(), &initiator.0, &responder.0] {
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The term of an item in sums, and its short id in lists.
    pub(super) fn of(&self, item: &Item) -> (u128, Short) {
        let mut bytes = [0; 40];
        let (time, id) = bytes.split_at_mut(8);
        time.copy_from_slice(&item.0.0.to_le_bytes());
        id.copy_from_slice(&item.1.0);
        let hash = blake3::keyed_hash(&self.0, &bytes);
        let [term, rest] = halves(hash.as_bytes());
        let [a, b, c, d, e, f, ..] = rest;
        (u128::from_le_bytes(term), Short([a, b, c, d, e, f]))
    }

    /// What is sent of a total. Eight bytes are enough: who doesn't know the key can't aim, and a sum that is equal by
    /// chance, once in 2^64, is found by the next run.
    fn sum(&self, total: Total) -> Sum {
        let mut bytes = [0; 24];
        let (sum, count) = bytes.split_at_mut(16);
        sum.copy_from_slice(&total.sum.to_le_bytes());
        count.copy_from_slice(&total.count.to_le_bytes());
        let [half, _] = halves(blake3::keyed_hash(&self.0, &bytes).as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = half;
        Sum([a, b, c, d, e, f, g, h])
    }
}

fn halves(hash: &[u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    for (half, bytes) in halves.iter_mut().zip(hash.chunks_exact(16)) {
        half.copy_from_slice(bytes);
    }
    halves
}

impl Total {
    fn add(&mut self, term: u128) {
        self.sum = self.sum.wrapping_add(term);
        self.count += 1;
    }

    fn without(self, other: Self) -> Self {
        Self { sum: self.sum.wrapping_sub(other.sum), count: self.count.saturating_sub(other.count) }
    }
}

impl Index {
    /// Reads all items once.
    pub(super) fn new(key: RunKey, left_out: BTreeSet<Item>, items: &dyn Items) -> Self {
        let marks = vec![Mark { at: Edge::START, sum: 0 }];
        let mut index = Self { key, left_out, marks, total: Total::default() };
        let mut previous = None;
        let (mut marks, mut total) = (std::mem::take(&mut index.marks), Total::default());
        for item in index.read(&Span::ALL, items) {
            if let Some(previous) = previous.filter(|_| total.count.is_multiple_of(STRIDE)) {
                marks.push(Mark { at: Edge::between(&previous, &item), sum: total.sum });
            }
            total.add(index.key.of(&item).0);
            previous = Some(item);
        }
        (index.marks, index.total) = (marks, total);
        index
    }

    /// The items of a span that count in this run.
    pub(super) fn read<'a>(
        &'a self,
        span: &Span,
        items: &'a dyn Items,
    ) -> impl DoubleEndedIterator<Item = Item> + use<'a> {
        items.within(span).filter(|item| self.left_out.is_empty() || !self.left_out.contains(item))
    }

    /// How an item is called in lists.
    pub(super) fn short(&self, item: &Item) -> Short {
        self.key.of(item).1
    }

    fn below(&self, edge: Edge, items: &dyn Items) -> Total {
        if edge == Edge::End {
            return self.total;
        }
        let nearest = self.marks.partition_point(|mark| mark.at <= edge).saturating_sub(1);
        let Some(mark) = self.marks.get(nearest) else { return Total::default() };
        let mut total = Total { sum: mark.sum, count: nearest as u64 * STRIDE };
        if let Some(rest) = Span::new(mark.at, edge) {
            for item in self.read(&rest, items) {
                total.add(self.key.of(&item).0);
            }
        }
        total
    }

    /// All of a span taken together.
    pub(super) fn total(&self, span: &Span, items: &dyn Items) -> Total {
        self.below(span.high(), items).without(self.below(span.low(), items))
    }

    /// What is sent for a span.
    pub(super) fn sum(&self, span: &Span, items: &dyn Items) -> Sum {
        self.key.sum(self.total(span, items))
    }

    /// Cuts a span of `count` items into about `parts` of equal numbers of items, each with its sum.
    pub(super) fn split(&self, span: &Span, count: u64, parts: u64, items: &dyn Items) -> Vec<(Span, Sum)> {
        let mut cuts = Vec::new();
        let mut low = span.low();
        let mut push = |low: &mut Edge, high: Edge, total: Total| {
            // Without room there is nothing in it either.
            if let Some(part) = Span::new(*low, high) {
                cuts.push((part, self.key.sum(total)));
                *low = high;
            }
        };
        if count <= READ_WHOLE {
            let (mut part, mut seen, mut total, mut previous) = (1, 0, Total::default(), None);
            for item in self.read(span, items) {
                if seen * parts >= part * count
                    && let Some(previous) = previous
                {
                    push(&mut low, Edge::between(&previous, &item), total);
                    (part, total) = (seen * parts / count + 1, Total::default());
                }
                total.add(self.key.of(&item).0);
                (seen, previous) = (seen + 1, Some(item));
            }
            push(&mut low, span.high(), total);
        } else {
            let mut done = self.below(low, items);
            let first = done.count;
            for part in 1..parts {
                let place = (first + count * part / parts) / STRIDE;
                let Some(mark) = usize::try_from(place).ok().and_then(|place| self.marks.get(place)) else { continue };
                if mark.at > low && mark.at < span.high() {
                    let here = Total { sum: mark.sum, count: place * STRIDE };
                    push(&mut low, mark.at, here.without(done));
                    done = here;
                }
            }
            push(&mut low, span.high(), self.below(span.high(), items).without(done));
        }
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{HybridTime, RecordId};

    fn items(count: u32) -> Vec<Item> {
        (0..count)
            .map(|n| (HybridTime(u64::from(n / 3) << 20), RecordId(*blake3::hash(&n.to_le_bytes()).as_bytes())))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn parts_are_equal_in_number_and_sum_up() {
        let key = RunKey::new(&ScopeId([1; 32]), &Nonce([2; 16]), &Nonce([3; 16]));
        for count in [2, 31, 33, 100, 4096, 4097, 9000] {
            let items = items(count);
            let left_out: BTreeSet<Item> = items.iter().copied().step_by(50).collect();
            let left = u64::from(count) - left_out.len() as u64;
            let index = Index::new(key.clone(), left_out, &items);
            assert_eq!(index.total(&Span::ALL, &items).count, left);
            for parts in [1, 2, 32] {
                let cuts = index.split(&Span::ALL, left, parts, &items);
                assert_eq!(cuts.len() as u64, parts.min(left), "{count} in {parts}");
                assert_eq!((cuts[0].0.low(), cuts[cuts.len() - 1].0.high()), (Edge::START, Edge::End));
                assert!(cuts.windows(2).all(|pair| pair[0].0.high() == pair[1].0.low()));
                let mut all = Total::default();
                for (span, sum) in &cuts {
                    let total = index.total(span, &items);
                    let slow = index.read(span, &items).fold(Total::default(), |mut total, item| {
                        total.add(index.key.of(&item).0);
                        total
                    });
                    assert_eq!((total.sum, total.count), (slow.sum, slow.count));
                    assert_eq!(index.sum(span, &items), *sum);
                    assert!(total.count <= left / parts + STRIDE + 1);
                    all = Total { sum: all.sum.wrapping_add(total.sum), count: all.count + total.count };
                }
                assert_eq!((all.sum, all.count), (index.total.sum, index.total.count));
            }
        }
    }

    #[test]
    fn both_sides_nonces_and_the_scope_make_the_key() {
        let key = |scope, a, b| RunKey::new(&ScopeId([scope; 32]), &Nonce([a; 16]), &Nonce([b; 16])).of(&items(1)[0]);
        let keys: BTreeSet<_> = [key(1, 1, 1), key(2, 1, 1), key(1, 2, 1), key(1, 1, 2)].into();
        assert_eq!(keys.len(), 4);
    }
}

//! Bytes of messages: numbers, edges, and the one way to write each.
//!
//! Compact and written by hand, because most of a run is edges: a time costs its significant bits above the edge before
//! it. Reading takes any bytes, and refuses what writing would have written otherwise. No state beyond one message.

use super::items::{Edge, Item};
use crate::record::{HybridTime, RecordId};

/// After times with 0 to 63 zero bits at their end come edges with 1 to 32 bytes of an id.
const WITH_ID: u8 = 64;
const START: u8 = 254;
const END: u8 = 255;

/// Reads a message from its front. `None` is malformed.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return (byte != 0 || shift == 0).then_some(number);
            }
        }
        None
    }

    pub(super) fn item(&mut self) -> Option<Item> {
        Some((HybridTime(u64::from_be_bytes(self.array()?)), RecordId(self.array()?)))
    }

    /// An edge that is not before `base`.
    pub(super) fn edge(&mut self, base: Edge) -> Option<Edge> {
        let first = self.byte()?;
        let edge = match first {
            END => Edge::End,
            START => Edge::START,
            shift if shift < WITH_ID => {
                let steps = (time_of(base)? >> shift).checked_add(self.number()?)?;
                let time = steps << shift;
                // Not lost above, and odd: else another shift would be the one.
                if time >> shift != steps || steps & 1 == 0 {
                    return None;
                }
                Edge::At(HybridTime(time), RecordId([0; 32]))
            }
            len => {
                let time = time_of(base)?.checked_add(self.number()?)?;
                let mut id = [0; 32];
                for to in id.get_mut(..usize::from(len - WITH_ID))? {
                    *to = self.byte()?;
                }
                if len == WITH_ID || id.get(usize::from(len - WITH_ID) - 1) == Some(&0) {
                    return None;
                }
                Edge::At(HybridTime(time), RecordId(id))
            }
        };
        (edge >= base).then_some(edge)
    }
}

/// Nothing comes after the end.
fn time_of(base: Edge) -> Option<u64> {
    match base {
        Edge::At(time, _) => Some(time.0),
        Edge::End => None,
    }
}

pub(super) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

pub(super) fn put_item(to: &mut Vec<u8>, item: &Item) {
    to.extend_from_slice(&item.0.0.to_be_bytes());
    to.extend_from_slice(&item.1.0);
}

/// Writes an edge that is not before `base`.
pub(super) fn put_edge(to: &mut Vec<u8>, base: Edge, edge: Edge) {
    let base = time_of(base).unwrap_or(u64::MAX);
    match edge {
        Edge::End => to.push(END),
        Edge::START => to.push(START),
        Edge::At(time, id) => {
            let len = id.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if len == 0 {
                let shift = time.0.trailing_zeros();
                to.push(shift as u8);
                put_number(to, (time.0 >> shift).saturating_sub(base >> shift));
            } else {
                to.push(WITH_ID + len as u8);
                put_number(to, time.0.saturating_sub(base));
                to.extend_from_slice(id.0.get(..len).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge() -> impl Strategy<Value = Edge> {
        let time = (any::<u64>(), 0..64_u32).prop_map(|(time, shift)| HybridTime(time >> shift << (shift / 2)));
        let id = (any::<[u8; 32]>(), 0..=32_usize).prop_map(|(mut id, len)| {
            id[len..].fill(0);
            RecordId(id)
        });
        prop_oneof![8 => (time, id).prop_map(|(time, id)| Edge::At(time, id)), 1 => Just(Edge::End)]
    }

    proptest! {
        #[test]
        fn edges_come_back(a in edge(), b in edge()) {
            let (base, edge) = (a.min(b), a.max(b));
            prop_assume!(base != Edge::End);
            let mut bytes = Vec::new();
            put_edge(&mut bytes, base, edge);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.edge(base), Some(edge));
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn an_edge_has_one_encoding(a in edge(), bytes in prop::collection::vec(any::<u8>(), 0..44)) {
            let mut reader = Reader(&bytes);
            if let Some(edge) = reader.edge(a) {
                let mut again = Vec::new();
                put_edge(&mut again, a, edge);
                prop_assert_eq!(&again, &bytes[..bytes.len() - reader.0.len()]);
            }
        }

        #[test]
        fn numbers_come_back(number in any::<u64>(), shift in 0..64_u32) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number >> shift);
            prop_assert_eq!(Reader(&bytes).number(), Some(number >> shift));
        }
    }

    #[test]
    fn numbers_padded_or_too_large_are_refused() {
        for bytes in [[0x80, 0].as_slice(), &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
            assert_eq!(Reader(bytes).number(), None);
        }
    }
}

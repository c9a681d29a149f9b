//! Whom to try when a neighbour is lost. [`Passive`] owns the view: bounded, in parts for each kind so that no kind
//! crowds others out, and of each part at most a quarter heard from any one peer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MAX_PASSIVE;
use super::slots::Kind;
use crate::draw::Draw;
use crate::identity::NodeKey;

/// Room for each kind, by [`Kind::index`].
const ROOM: [usize; 4] = [10, 8, 24, 18];
const _: () = assert!(ROOM[0] + ROOM[1] + ROOM[2] + ROOM[3] == MAX_PASSIVE);

/// A peer that was a neighbour or was heard of, to be tried after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remembered {
    /// The peer.
    pub key: NodeKey,
    /// Whether it has been a neighbour.
    pub met: bool,
}

/// How a peer came into the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It was a neighbour.
    Met,
    /// A peer named it.
    Heard(NodeKey),
    /// It is in the roster, and nothing more is known.
    Roster,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) is_metered: bool,
    pub(super) source: Source,
}

/// The passive view.
#[derive(Debug)]
pub(super) struct Passive {
    entries: BTreeMap<NodeKey, Entry>,
    is_guarded: bool,
}

impl Passive {
    pub(super) const fn new(is_guarded: bool) -> Self {
        Self { entries: BTreeMap::new(), is_guarded }
    }

    /// Takes a peer in. One met pushes out one that was not, one heard of never one that was met.
    pub(super) fn add(&mut self, key: NodeKey, entry: Entry, draw: &mut Draw) {
        if let Some(held) = self.entries.get_mut(&key) {
            if held.source == Source::Roster || entry.source == Source::Met {
                *held = entry;
            }
            return;
        }
        let room = if self.is_guarded { ROOM[entry.kind.index()] } else { MAX_PASSIVE };
        let alike: Vec<(NodeKey, Source)> = self
            .entries
            .iter()
            .filter(|(_, held)| !self.is_guarded || held.kind == entry.kind)
            .map(|(key, held)| (*key, held.source))
            .collect();
        let of = |wanted: &dyn Fn(&Source) -> bool| -> Vec<NodeKey> {
            alike.iter().filter(|(_, source)| wanted(source)).map(|(key, _)| *key).collect()
        };
        let from_same = match entry.source {
            Source::Heard(_) => of(&|source| *source == entry.source),
            Source::Met | Source::Roster => Vec::new(),
        };
        let out = if self.is_guarded && from_same.len() >= room / 4 {
            // What this peer named before gives way, nothing else.
            if !matches!(entry.source, Source::Heard(_)) && alike.len() < room { None } else { Some(from_same) }
        } else if alike.len() < room {
            None
        } else {
            Some(Vec::new())
        };
        if let Some(mut out) = out {
            if out.is_empty() {
                out = of(&|source| *source == Source::Roster);
            }
            if out.is_empty() && entry.source != Source::Roster {
                out = of(&|source| *source != Source::Met);
            }
            if out.is_empty() && entry.source == Source::Met {
                out = of(&|_| true);
            }
            let Some(out) = draw.one(&out) else { return };
            self.entries.remove(out);
        }
        self.entries.insert(key, entry);
    }

    pub(super) fn remove(&mut self, key: &NodeKey) {
        self.entries.remove(key);
    }

    /// A peer did not answer so many times: one that was only heard of is forgotten at once.
    pub(super) fn failed(&mut self, key: &NodeKey, times: u32) {
        if self.entries.get(key).is_some_and(|entry| entry.source != Source::Met || times > 8) {
            self.entries.remove(key);
        }
    }

    /// One of those wanted, at random.
    pub(super) fn pick(&self, draw: &mut Draw, wanted: impl Fn(&NodeKey, &Entry) -> bool) -> Option<NodeKey> {
        let fit: Vec<NodeKey> =
            self.entries.iter().filter(|(key, entry)| wanted(key, entry)).map(|(key, _)| *key).collect();
        draw.one(&fit).copied()
    }

    /// Judges all anew; `None` lets one go.
    pub(super) fn rejudge(&mut self, judge: impl Fn(&NodeKey) -> Option<(Kind, bool)>) {
        self.entries.retain(|key, entry| {
            judge(key).is_some_and(|(kind, is_metered)| {
                (entry.kind, entry.is_metered) = (kind, is_metered);
                true
            })
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeKey, &Entry)> {
        self.entries.iter()
    }
}

//! Records that neighbours announced and that are not here: who has them, and when to ask whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::MAX_WANTED;
use super::message::Short;
use crate::identity::NodeKey;

/// Most neighbours remembered for one record.
const MAX_HOLDERS: usize = 4;

#[derive(Clone, Debug)]
struct Want {
    due: Duration,
    /// Who announced it and was not asked yet.
    holders: VecDeque<NodeKey>,
    asked: Option<NodeKey>,
    /// Who is charged for the place.
    first: NodeKey,
}

/// A moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) short: Short,
    /// It was asked and did not answer.
    pub(super) silent: Option<NodeKey>,
    /// Whom to ask now.
    pub(super) ask: Option<NodeKey>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    wants: BTreeMap<Short, Want>,
    due: BTreeSet<(Duration, Short)>,
    places: BTreeMap<NodeKey, usize>,
}

impl Wanted {
    pub(super) const fn new() -> Self {
        Self { wants: BTreeMap::new(), due: BTreeSet::new(), places: BTreeMap::new() }
    }

    /// A neighbour has a record; `false` when it announces more than this site can look out for.
    pub(super) fn heard(&mut self, short: Short, from: NodeKey, due: Duration) -> bool {
        if let Some(want) = self.wants.get_mut(&short) {
            if want.holders.len() < MAX_HOLDERS && !want.holders.contains(&from) && want.asked != Some(from) {
                want.holders.push_back(from);
            }
            return true;
        }
        let places = self.places.entry(from).or_default();
        if *places >= MAX_WANTED {
            return false;
        }
        *places += 1;
        self.due.insert((due, short));
        self.wants.insert(short, Want { due, holders: VecDeque::from([from]), asked: None, first: from });
        true
    }

    /// It is here, or on its way; gives back who is known to have it, and whom it was asked of.
    pub(super) fn came(&mut self, short: &Short) -> (VecDeque<NodeKey>, Option<NodeKey>) {
        let Some(want) = self.wants.remove(short) else { return (VecDeque::new(), None) };
        self.due.remove(&(want.due, *short));
        self.free(want.first);
        (want.holders, want.asked)
    }

    fn free(&mut self, peer: NodeKey) {
        if let Some(places) = self.places.get_mut(&peer) {
            *places = places.saturating_sub(1);
            if *places == 0 {
                self.places.remove(&peer);
            }
        }
    }

    /// The neighbour is gone.
    pub(super) fn down(&mut self, peer: &NodeKey) {
        for want in self.wants.values_mut() {
            want.holders.retain(|holder| holder != peer);
            if want.asked == Some(*peer) {
                want.asked = None;
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next record whose moment has come; when nobody is left to ask, it is given up.
    pub(super) fn pop_due(&mut self, now: Duration, answer: Duration) -> Option<Due> {
        let &(due, short) = self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        let want = self.wants.get_mut(&short)?;
        let silent = want.asked.take();
        let ask = want.holders.pop_front();
        if ask.is_some() {
            want.asked = ask;
            want.due = now + answer;
            self.due.insert((want.due, short));
        } else if let Some(want) = self.wants.remove(&short) {
            self.free(want.first);
        }
        Some(Due { short, silent, ask })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.wants.len()
    }
}

//! What a new record must name so that it settles what the author saw. No state.

use super::{Kept, Rank, Topic, View};
use crate::record::{Kind, MAX_PREV, RecordId};

/// How to bring a topic back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelete {
    /// What the new record names as its predecessors.
    pub prev: Vec<RecordId>,
    /// The version whose value it repeats.
    pub repeats: Option<RecordId>,
    /// For a project: the closing records, each to be undone by a record of its own; the project is open after the
    /// last.
    pub reopens: Vec<RecordId>,
}

impl<K: Kept> View<K> {
    /// The predecessors of a new record that settles a topic: all heads, deletes too, at most [`MAX_PREV`], the
    /// greatest. If more are left ([`View::is_settled_by`]), the next record names them and this one.
    #[must_use]
    pub fn resolve(&self, topic: &Topic) -> Vec<RecordId> {
        let of = |deletes| self.kept().heads(topic, deletes, MAX_PREV);
        let mut heads: Vec<Rank> = of(false).into_iter().chain(of(true)).collect();
        heads.sort_unstable_by(|a, b| b.cmp(a));
        let mut prev: Vec<RecordId> = heads.iter().take(MAX_PREV).map(|rank| rank.id).collect();
        prev.sort_unstable();
        prev
    }

    /// Whether a record with so many predecessors names all heads.
    #[must_use]
    pub fn is_settled_by(&self, topic: &Topic, prev: &[RecordId]) -> bool {
        let view = self.topic(topic);
        view.heads + view.deletes <= prev.len() as u64
    }

    /// How to bring back what was deleted: nothing revives by itself.
    #[must_use]
    pub fn undelete(&self, topic: &Topic) -> Undelete {
        let closings = || self.facts(&topic.scope).closings().collect();
        Undelete {
            prev: self.resolve(topic),
            repeats: self.topic(topic).said.map(|rank| rank.id),
            reopens: if topic.kind == Kind::PROJECT { closings() } else { Vec::new() },
        }
    }
}

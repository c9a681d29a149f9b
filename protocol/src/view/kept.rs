//! The kept view as rows: what a store must hold so that the next record costs a handful of lookups.
//!
//! [`Kept`] is the store; the node's stands on its database, in the transaction that takes the records in.
//! [`InMemory`] is the one for the simulation, for tests, and for computing a view from scratch. Every row is small and
//! is keyed so that a range of it answers a question; no row grows with the versions of its topic.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ProjectFacts, Topic};
use crate::ProjectName;
use crate::identity::NodeKey;
use crate::record::{HybridTime, Incarnation, Kind, RecordId, RecordKey, ScopeId};
use crate::trust::Void;

/// By what heads compete: the greater wins. Only tags have an epoch other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rank {
    /// The epoch of the tag mode it was written under.
    pub epoch: u32,
    /// When, as its author says.
    pub time: HybridTime,
    /// Which record.
    pub id: RecordId,
}

/// What is known of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Why it does not count; `None`: it does.
    pub void: Option<Void>,
    /// By what it competes.
    pub rank: Rank,
    /// Whether it is a delete, which never competes.
    pub deletes: bool,
    /// Whether it is a head.
    pub head: bool,
    /// Whether it lies on a circle of versions that follow each other, which takes a lying author.
    pub circular: bool,
}

/// What holds of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicView {
    /// The version that is live.
    pub live: Option<RecordId>,
    /// Heads that are no deletes.
    pub heads: u64,
    /// Heads that are deletes.
    pub deletes: u64,
    /// Void versions.
    pub voids: u64,
    /// The greatest valid version that is no delete, be it a head or covered: what an undelete brings back, and what
    /// describes a manifest that only others keep alive. Its value is never trimmed.
    pub said: Option<Rank>,
}

impl TopicView {
    /// Whether someone should choose: two or more heads say something.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        self.heads > 1
    }

    /// Whether it is deleted: it has valid versions, and all heads are deletes.
    #[must_use]
    pub const fn is_deleted(&self) -> bool {
        self.heads == 0 && self.deletes > 0
    }
}

/// One life of an author on a topic; its versions there cover each other in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// The topic.
    pub topic: Topic,
    /// The author.
    pub author: NodeKey,
    /// Which life.
    pub incarnation: Incarnation,
}

/// A store of the kept view. What is not there was never put.
pub trait Kept {
    /// What holds of a topic.
    fn topic(&self, topic: &Topic) -> Option<TopicView>;

    /// Puts it.
    fn put_topic(&mut self, topic: &Topic, view: TopicView);

    /// The topics of a kind in a scope whose key starts with these bytes, ascending.
    fn topics(&self, scope: &ScopeId, kind: Kind, prefix: &[u8]) -> Vec<(RecordKey, TopicView)>;

    /// What is known of a version.
    fn version(&self, id: &RecordId) -> Option<Standing>;

    /// Puts it.
    fn put_version(&mut self, id: &RecordId, standing: Standing);

    /// Heads of a topic, the deletes or the others, the greatest first.
    fn heads(&self, topic: &Topic, deletes: bool, most: usize) -> Vec<Rank>;

    /// Adds or removes a head.
    fn put_head(&mut self, topic: &Topic, deletes: bool, rank: Rank, is_head: bool);

    /// The greatest place of a line below this one.
    fn place_below(&self, line: &Line, seq: u64) -> Option<u64>;

    /// Whether a line has a place above this one.
    fn is_followed(&self, line: &Line, seq: u64) -> bool;

    /// Adds a place; there may be several versions at one.
    fn put_place(&mut self, line: &Line, seq: u64);

    /// What the project records of a scope say together.
    fn project(&self, scope: &ScopeId) -> Option<ProjectFacts>;

    /// Puts it; the scope is listed under the name in it from then on.
    fn put_project(&mut self, scope: &ScopeId, facts: ProjectFacts);

    /// The scopes bound to a name, ascending.
    fn named(&self, name: &ProjectName) -> Vec<ScopeId>;
}

/// A kept view in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InMemory {
    topics: BTreeMap<Topic, TopicView>,
    versions: BTreeMap<RecordId, Standing>,
    heads: BTreeMap<(Topic, bool), BTreeSet<Rank>>,
    lines: BTreeMap<Line, BTreeSet<u64>>,
    projects: BTreeMap<ScopeId, ProjectFacts>,
    names: BTreeSet<(ProjectName, ScopeId)>,
}

impl Kept for InMemory {
    fn topic(&self, topic: &Topic) -> Option<TopicView> {
        self.topics.get(topic).cloned()
    }

    fn put_topic(&mut self, topic: &Topic, view: TopicView) {
        self.topics.insert(topic.clone(), view);
    }

    fn topics(&self, scope: &ScopeId, kind: Kind, prefix: &[u8]) -> Vec<(RecordKey, TopicView)> {
        let Some(key) = RecordKey::from_bytes(prefix.to_vec()) else { return Vec::new() };
        let first = Topic { scope: *scope, kind, key };
        let below = |(topic, _): &(&Topic, _)| {
            topic.scope == *scope && topic.kind == kind && topic.key.as_bytes().starts_with(prefix)
        };
        let rows = self.topics.range(first..).take_while(below);
        rows.map(|(topic, view)| (topic.key.clone(), view.clone())).collect()
    }

    fn version(&self, id: &RecordId) -> Option<Standing> {
        self.versions.get(id).copied()
    }

    fn put_version(&mut self, id: &RecordId, standing: Standing) {
        self.versions.insert(*id, standing);
    }

    fn heads(&self, topic: &Topic, deletes: bool, most: usize) -> Vec<Rank> {
        let heads = self.heads.get(&(topic.clone(), deletes));
        heads.into_iter().flat_map(|heads| heads.iter().rev()).take(most).copied().collect()
    }

    fn put_head(&mut self, topic: &Topic, deletes: bool, rank: Rank, is_head: bool) {
        let place = (topic.clone(), deletes);
        if is_head {
            self.heads.entry(place).or_default().insert(rank);
        } else if let Some(heads) = self.heads.get_mut(&place) {
            heads.remove(&rank);
            // No empty sets: two views are equal when their rows are.
            if heads.is_empty() {
                self.heads.remove(&place);
            }
        }
    }

    fn place_below(&self, line: &Line, seq: u64) -> Option<u64> {
        self.lines.get(line)?.range(..seq).next_back().copied()
    }

    fn is_followed(&self, line: &Line, seq: u64) -> bool {
        self.lines.get(line).is_some_and(|places| places.last().is_some_and(|last| *last > seq))
    }

    fn put_place(&mut self, line: &Line, seq: u64) {
        self.lines.entry(line.clone()).or_default().insert(seq);
    }

    fn project(&self, scope: &ScopeId) -> Option<ProjectFacts> {
        self.projects.get(scope).cloned()
    }

    fn put_project(&mut self, scope: &ScopeId, facts: ProjectFacts) {
        if let Some(name) = &facts.name {
            self.names.insert((name.clone(), *scope));
        }
        self.projects.insert(*scope, facts);
    }

    fn named(&self, name: &ProjectName) -> Vec<ScopeId> {
        let first = (name.clone(), ScopeId([0; 32]));
        self.names.range(first..).take_while(|(other, _)| other == name).map(|(_, scope)| *scope).collect()
    }
}

//! Which manifests of a repository are alive, and what they weigh: read off the kept view, from live versions alone. No
//! state.

use std::collections::BTreeMap;

use super::effective::value_of;
use super::{Kept, Topic, TopicView, View};
use crate::record::value::{Pushed, Value};
use crate::record::{Kind, RecordId, RecordKey, Records, ScopeId};
use crate::{Digest, RepositoryName};

/// A manifest that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Whether it has an undeleted version of its own; otherwise it lives through a tag or another manifest.
    pub own: bool,
    /// The version that describes it; `None`: it is named, and nobody here ever pushed it.
    pub described: Option<RecordId>,
}

/// What the live manifests of a scope weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes, each manifest and blob counted once; where authors claim different sizes, the greatest.
    pub bytes: u64,
    /// The quota in force.
    pub quota: Option<u64>,
}

impl Usage {
    /// Whether new pushes are refused. Nothing becomes void by it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.quota.is_some_and(|quota| self.bytes > quota)
    }
}

/// From which heads of the tags manifests are reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Through {
    Live,
    AllHeads,
}

impl<K: Kept> View<K> {
    /// The manifests of a repository that are alive.
    #[must_use]
    pub fn alive(
        &self,
        records: &impl Records,
        scope: &ScopeId,
        repository: &RepositoryName,
    ) -> BTreeMap<Digest, Alive> {
        self.reached(records, scope, repository, Through::Live)
    }

    /// Those, and what the losers of tag conflicts reach: nothing of a conflict may go until it is resolved.
    #[must_use]
    pub fn pinned(
        &self,
        records: &impl Records,
        scope: &ScopeId,
        repository: &RepositoryName,
    ) -> BTreeMap<Digest, Alive> {
        self.reached(records, scope, repository, Through::AllHeads)
    }

    fn reached(
        &self,
        records: &impl Records,
        scope: &ScopeId,
        repository: &RepositoryName,
        through: Through,
    ) -> BTreeMap<Digest, Alive> {
        let mut prefix = repository.as_str().as_bytes().to_vec();
        prefix.push(0);
        let of = |kind| self.kept().topics(scope, kind, &prefix).into_iter();
        let is_own = |(key, view): (RecordKey, TopicView)| Some(key.as_manifest()?.1).filter(|_| view.live.is_some());
        let mut open: Vec<Digest> = of(Kind::MANIFEST).filter_map(is_own).collect();
        for (key, view) in of(Kind::TAG) {
            let topic = Topic { scope: *scope, kind: Kind::TAG, key };
            open.extend(self.heads_through(&topic, &view, through).iter().filter_map(|id| tagged(records, id)));
        }
        let mut found = BTreeMap::new();
        while let Some(digest) = open.pop() {
            if found.contains_key(&digest) {
                continue;
            }
            let topic = Topic { scope: *scope, kind: Kind::MANIFEST, key: RecordKey::manifest(repository, &digest) };
            let view = self.topic(&topic);
            let described = view.live.or(view.said.map(|rank| rank.id));
            found.insert(digest, Alive { own: view.live.is_some(), described });
            // What any head claims is held: who lies about children can make them stay, not go.
            let mut says = self.heads_through(&topic, &view, Through::AllHeads);
            if says.is_empty() {
                says.extend(described);
            }
            open.extend(says.iter().filter_map(|id| pushed(records, id)).flat_map(|pushed| pushed.children));
        }
        found
    }

    fn heads_through(&self, topic: &Topic, view: &TopicView, through: Through) -> Vec<RecordId> {
        if through == Through::Live { view.live.into_iter().collect() } else { self.heads_of(topic, view) }
    }

    fn heads_of(&self, topic: &Topic, view: &TopicView) -> Vec<RecordId> {
        if view.heads < 2 {
            return view.live.into_iter().collect();
        }
        self.kept().heads(topic, false, usize::MAX).into_iter().map(|rank| rank.id).collect()
    }

    /// The heads of a topic that are no deletes: the live one first, then the others, the greater before the lesser.
    #[must_use]
    pub fn heads(&self, topic: &Topic) -> Vec<RecordId> {
        self.heads_of(topic, &self.topic(topic))
    }

    /// The repositories of a scope that have a tag or a manifest with a head, ascending.
    #[must_use]
    pub fn repositories(&self, scope: &ScopeId) -> Vec<RepositoryName> {
        let of = |kind| self.kept().topics(scope, kind, &[]).into_iter().filter(|(_, view)| view.heads > 0);
        let tags = of(Kind::TAG).filter_map(|(key, _)| Some(key.as_tag()?.0));
        let mut names: Vec<_> =
            tags.chain(of(Kind::MANIFEST).filter_map(|(key, _)| Some(key.as_manifest()?.0))).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What the live manifests of a scope weigh, against its quota.
    #[must_use]
    pub fn usage(&self, records: &impl Records, scope: &ScopeId) -> Usage {
        let mut sizes: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut count = |digest, size: u64| {
            let known = sizes.entry(digest).or_default();
            *known = size.max(*known);
        };
        for repository in self.repositories(scope) {
            for (digest, alive) in self.alive(records, scope, &repository) {
                let Some(pushed) = alive.described.and_then(|id| pushed(records, &id)) else { continue };
                count(digest, pushed.size);
                pushed.blobs.iter().for_each(|blob| count(blob.digest, blob.size));
            }
        }
        let topic = Topic { scope: *scope, kind: Kind::QUOTA, key: RecordKey::single() };
        let quota = match self.in_force(records, &topic) {
            Some(Value::Quota(quota)) => quota.bytes,
            _ => None,
        };
        Usage { bytes: sizes.values().fold(0, |sum, size| sum.saturating_add(*size)), quota }
    }
}

fn tagged(records: &impl Records, id: &RecordId) -> Option<Digest> {
    if let Value::Tagged(tagged) = value_of(records, Kind::TAG, id)? { tagged.digest } else { None }
}

fn pushed(records: &impl Records, id: &RecordId) -> Option<Pushed> {
    if let Value::Pushed(pushed) = value_of(records, Kind::MANIFEST, id)? { Some(pushed) } else { None }
}

//! The kept view and how it follows what arrives.
//!
//! The ordinary record is a new version that nothing follows yet. It costs the lookups of its predecessors, however
//! many versions its topic has: nobody reaches it, so it covers whatever it reaches, and below a covered valid version
//! there is no head to look for. Everything else recomputes whole topics: a record that comes after its followers, one
//! judged anew, the tags of a project whose modes changed.

use std::collections::{BTreeMap, BTreeSet};

use super::judged::{Circumstances, Judged, Reading, TRIMMABLE, kind_is_trimmable};
use super::topic::compute;
use super::{Changed, InMemory, Kept, Line, ProjectFacts, Stale, Standing, Topic, TopicView, View};
use crate::identity::NodeKey;
use crate::record::value::Value;
use crate::record::{Held, HybridTime, Incarnation, Kind, MeshId, Record, RecordId, RecordSet, Records, ScopeId};
use crate::trust::{Judge, Void};

impl Line {
    pub(super) fn of(topic: &Topic, record: &Record, incarnation: Incarnation) -> Self {
        Self { topic: topic.clone(), author: record.author(), incarnation }
    }
}

impl View<InMemory> {
    /// The view of a set, computed from all its records.
    #[must_use]
    pub fn from_scratch(mesh: MeshId, records: &RecordSet, judge: &impl Judge) -> Self {
        let mut view = Self::new(mesh, InMemory::default());
        view.rejudge(records, judge, &Stale { scopes: records.scopes().collect(), ..Stale::default() });
        view
    }
}

impl<K: Kept> View<K> {
    /// The view over what a store kept.
    #[must_use]
    pub const fn new(mesh: MeshId, kept: K) -> Self {
        Self { mesh, kept }
    }

    /// The store.
    #[must_use]
    pub const fn kept(&self) -> &K {
        &self.kept
    }

    /// Gives the store back.
    #[must_use]
    pub fn into_kept(self) -> K {
        self.kept
    }

    /// Takes in a record that is in the set now, or whose value has come. Again is no harm.
    pub fn insert(&mut self, records: &impl Records, judge: &impl Judge, id: &RecordId) -> Changed {
        self.insert_all(records, judge, std::slice::from_ref(id))
    }

    /// Takes in many at once: a topic that must be recomputed is so once. Worth it wherever records come newest first.
    pub fn insert_all(&mut self, records: &impl Records, judge: &impl Judge, ids: &[RecordId]) -> Changed {
        // By time, so that most come behind what they follow.
        let mut fresh: BTreeMap<(HybridTime, RecordId), (Topic, Held)> = BTreeMap::new();
        let mut dirty = BTreeSet::new();
        for id in ids {
            let Some(held) = records.get(id) else { continue };
            let topic = Topic::of(&held.record);
            let known = self.kept.version(id);
            dirty.extend(self.untold(records, id, topic.as_ref(), known.is_some()));
            match (topic, known) {
                (Some(topic), Some(known)) => {
                    if self.would_differ(records, judge, &topic, &held, &known) {
                        dirty.insert(topic);
                    }
                }
                (Some(topic), None) => {
                    fresh.insert((held.record.time(), *id), (topic, held));
                }
                (None, _) => {}
            }
        }
        self.settle(records, judge, fresh.into_values().collect(), dirty)
    }

    /// The topics of a record's followers that its arrival may change: it is reached now, or shows a follower to name a
    /// record of another topic. A topic computed before this record was taken in may know it already (`is_known`); the
    /// followers elsewhere don't.
    fn untold(&self, records: &impl Records, id: &RecordId, topic: Option<&Topic>, is_known: bool) -> BTreeSet<Topic> {
        let followers = records.followers(id).into_iter().filter_map(|id| records.get(&id));
        let topics = followers.filter_map(|held| Some((held.record.id(), Topic::of(&held.record)?)));
        let is_told = |follower: &RecordId, of: &Topic| {
            if topic == Some(of) {
                return is_known;
            }
            self.kept.version(follower).is_some_and(|standing| standing.void == Some(Void::Prev))
        };
        topics.filter(|(follower, of)| !is_told(follower, of)).map(|(_, of)| of).collect()
    }

    /// Judges anew what the judge may see differently.
    pub fn rejudge(&mut self, records: &impl Records, judge: &impl Judge, stale: &Stale) -> Changed {
        let granted = stale.grants.iter().filter_map(|id| granted(records, id));
        let authors: BTreeSet<NodeKey> = stale.authors.iter().copied().chain(granted).collect();
        let written = authors.iter().flat_map(|author| records.written_by(author));
        let mut dirty: BTreeSet<Topic> = written.map(|(scope, kind, key)| Topic { scope, kind, key }).collect();
        dirty.retain(|topic| topic.kind.is_known());
        for scope in &stale.scopes {
            for kind in Kind::ALL {
                dirty.extend(topics(records, *scope, *kind));
            }
        }
        self.settle(records, judge, Vec::new(), dirty)
    }

    /// Takes in fresh records and recomputes dirty topics: the projects' first, for the others are judged by them.
    fn settle(
        &mut self,
        records: &impl Records,
        judge: &impl Judge,
        fresh: Vec<(Topic, Held)>,
        mut dirty: BTreeSet<Topic>,
    ) -> Changed {
        let mut changed = Changed::default();
        let (projects, others): (Vec<_>, Vec<_>) =
            fresh.into_iter().partition(|(topic, _)| topic.kind == Kind::PROJECT);
        let of_projects =
            projects.iter().map(|(topic, _)| topic).chain(dirty.iter().filter(|topic| topic.kind == Kind::PROJECT));
        let before: BTreeMap<ScopeId, ProjectFacts> =
            of_projects.map(|topic| topic.scope).map(|scope| (scope, self.facts(&scope))).collect();
        self.append_or_mark(records, judge, &projects, &mut dirty, &mut changed);
        let marked: Vec<Topic> = dirty.extract_if(.., |topic| topic.kind == Kind::PROJECT).collect();
        for topic in marked {
            self.recompute(records, judge, &topic, &mut changed);
        }
        for (scope, before) in before {
            let after = self.facts(&scope);
            if after != before {
                changed.projects.insert(scope);
            }
            if after.name != before.name {
                let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::PROJECT);
                dirty.extend(kinds.flat_map(|kind| topics(records, scope, *kind)));
            } else if !after.judges_tags_like(&before) {
                dirty.extend(topics(records, scope, Kind::TAG));
            }
        }
        self.append_or_mark(records, judge, &others, &mut dirty, &mut changed);
        for topic in dirty {
            self.recompute(records, judge, &topic, &mut changed);
        }
        changed
    }

    fn append_or_mark(
        &mut self,
        records: &impl Records,
        judge: &impl Judge,
        fresh: &[(Topic, Held)],
        dirty: &mut BTreeSet<Topic>,
        changed: &mut Changed,
    ) {
        for (topic, held) in fresh {
            // One of a dirty topic is in the set, so it is computed with it.
            if dirty.contains(topic) {
                continue;
            }
            if self.append(records, judge, topic, held).is_some() {
                changed.topics.insert(topic.clone());
            } else {
                dirty.insert(topic.clone());
            }
        }
    }

    /// Takes in a version that nothing follows; `None`, and nothing done, when something does.
    fn append(&mut self, records: &impl Records, judge: &impl Judge, topic: &Topic, held: &Held) -> Option<()> {
        let record = &held.record;
        let position = record.body()?.position;
        let line = Line::of(topic, record, position.incarnation);
        if self.kept.is_followed(&line, position.seq) {
            return None;
        }
        let (judged, facts) = self.judge(records, judge, topic, held, None);
        let is_valid = judged.standing.void.is_none();
        let covered = if is_valid { self.heads_below(records, topic, record)? } else { Vec::new() };

        let mut view = self.kept.topic(topic).unwrap_or_default();
        for standing in covered {
            let count = if standing.deletes { &mut view.deletes } else { &mut view.heads };
            *count = count.saturating_sub(1);
            self.put_standing(topic, Some(standing), Standing { head: false, ..standing });
        }
        let standing = Standing { head: is_valid, ..judged.standing };
        self.put_standing(topic, None, standing);
        self.kept.put_place(&line, position.seq);
        match (is_valid, standing.deletes) {
            (false, _) => view.voids += 1,
            (true, true) => view.deletes += 1,
            (true, false) => {
                view.heads += 1;
                view.said = view.said.max(Some(standing.rank));
            }
        }
        view.live = self.kept.heads(topic, false, 1).first().map(|rank| rank.id);
        self.kept.put_topic(topic, view);
        if let Some(mut facts) = facts {
            facts.learn(&judged);
            if facts != self.facts(&topic.scope) {
                self.kept.put_project(&topic.scope, facts);
            }
        }
        Some(())
    }

    /// Judges a version by the facts of its scope, and gives them back when it is one of the project's own.
    fn judge(
        &self,
        records: &impl Records,
        judge: &impl Judge,
        topic: &Topic,
        held: &Held,
        memory: Option<&Standing>,
    ) -> (Judged, Option<ProjectFacts>) {
        let mut facts = self.facts(&topic.scope);
        let is_its_project = *topic == Topic::project(topic.scope);
        if let Some(project) = Reading::of(topic.kind, held, memory).project().filter(|_| is_its_project) {
            facts.learn_name(&self.mesh, &topic.scope, project);
        }
        let judged = Circumstances { mesh: &self.mesh, records, judge, facts: &facts }.judge(topic, held, memory);
        (judged, is_its_project.then_some(facts))
    }

    /// The heads a version reaches. `None`: a version on the way is not in the view yet.
    fn heads_below(&self, records: &impl Records, topic: &Topic, record: &Record) -> Option<Vec<Standing>> {
        let mut seen = BTreeSet::from([record.id()]);
        let mut open = self.followed(records, topic, record);
        let mut heads = Vec::new();
        while let Some(held) = open.pop() {
            if !seen.insert(held.record.id()) {
                continue;
            }
            let standing = self.kept.version(&held.record.id())?;
            if standing.head {
                heads.push(standing);
            }
            // A valid version covers for itself what is below it: all but the others of its circle.
            if standing.void.is_some() || (standing.head && standing.circular) {
                open.extend(self.followed(records, topic, &held.record));
            }
        }
        Some(heads)
    }

    /// The versions of its topic that a version follows, as far as they are here.
    fn followed(&self, records: &impl Records, topic: &Topic, record: &Record) -> Vec<Held> {
        let Some(body) = record.body() else { return Vec::new() };
        let mut position = body.position;
        let line = Line::of(topic, record, position.incarnation);
        let mut ids = body.prev.clone();
        if let Some(below) = self.kept.place_below(&line, position.seq) {
            position.seq = below;
            ids.extend(records.at(&record.author(), position));
        }
        let held = ids.iter().filter_map(|id| records.get(id));
        held.filter(|held| Topic::of(&held.record).as_ref() == Some(topic)).collect()
    }

    /// Whether a version that is in the view would be judged otherwise now.
    fn would_differ(
        &self,
        records: &impl Records,
        judge: &impl Judge,
        topic: &Topic,
        held: &Held,
        known: &Standing,
    ) -> bool {
        let now = self.judge(records, judge, topic, held, Some(known)).0.standing;
        Standing { head: known.head, circular: known.circular, ..now } != *known
    }

    fn recompute(&mut self, records: &impl Records, judge: &impl Judge, topic: &Topic, changed: &mut Changed) {
        let facts = self.facts(&topic.scope);
        let by = Circumstances { mesh: &self.mesh, records, judge, facts: &facts };
        let computed = compute(topic, &by, |id| self.kept.version(id));
        let mut is_new = false;
        for (record, standing) in computed.standings {
            let before = self.kept.version(&record.id());
            if before != Some(standing) {
                is_new = true;
                self.put_standing(topic, before, standing);
            }
            if let (None, Some(body)) = (before, record.body()) {
                self.kept.put_place(&Line::of(topic, &record, body.position.incarnation), body.position.seq);
            }
        }
        if self.kept.topic(topic).as_ref() != Some(&computed.view) {
            is_new = true;
            self.kept.put_topic(topic, computed.view);
        }
        if is_new {
            changed.topics.insert(topic.clone());
        }
        if let Some(now) = computed.facts.filter(|now| *now != facts) {
            self.kept.put_project(&topic.scope, now);
        }
    }

    /// Puts a version's standing and its row among the heads.
    fn put_standing(&mut self, topic: &Topic, before: Option<Standing>, now: Standing) {
        if let Some(before) = before.filter(|before| before.head) {
            self.kept.put_head(topic, before.deletes, before.rank, false);
        }
        if now.head {
            self.kept.put_head(topic, now.deletes, now.rank, true);
        }
        self.kept.put_version(&now.rank.id, now);
    }

    /// What holds of a topic.
    #[must_use]
    pub fn topic(&self, topic: &Topic) -> TopicView {
        self.kept.topic(topic).unwrap_or_default()
    }

    /// All versions of a topic with their standing.
    #[must_use]
    pub fn versions(&self, records: &impl Records, topic: &Topic) -> Vec<Standing> {
        let ids = records.versions(&topic.scope, topic.kind, &topic.key);
        ids.iter().filter_map(|id| self.kept.version(id)).collect()
    }

    /// The void versions of a topic, each with its reason.
    #[must_use]
    pub fn voids(&self, records: &impl Records, topic: &Topic) -> Vec<(RecordId, Void)> {
        let versions = self.versions(records, topic).into_iter();
        versions.filter_map(|version| Some((version.rank.id, version.void?))).collect()
    }

    /// Whether a site may drop the value of a record, when it is old enough.
    #[must_use]
    pub fn may_trim(&self, record: &Record) -> bool {
        let (Some(topic), Some(value), Some(standing)) =
            (Topic::of(record), record.value(), self.kept.version(&record.id()))
        else {
            return false;
        };
        let is_covered = standing.void.is_none() && !standing.head;
        let describes = || self.topic(&topic).said == Some(standing.rank);
        kind_is_trimmable(topic.kind) && value.len > TRIMMABLE && is_covered && !describes()
    }
}

fn topics(records: &impl Records, scope: ScopeId, kind: Kind) -> impl Iterator<Item = Topic> {
    records.keys(&scope, kind).into_iter().map(move |key| Topic { scope, kind, key })
}

/// To whom a grant was given: who alone writes under it.
fn granted(records: &impl Records, id: &RecordId) -> Option<NodeKey> {
    let held = records.get(id)?;
    let topic = Topic::of(&held.record)?;
    match Value::read(topic.kind, held.value.as_deref()?) {
        Ok(Value::Grant(grant)) => Some(grant.node),
        _ => None,
    }
}

//! The view by its definition, word for word and without any of the code under test: what both ways of computing it are
//! held against.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Rank, Topic, TopicView};
use super::{Fake, MESH};
use crate::canonical;
use crate::record::value::{Life, Project, TagMode, Tagged, Value};
use crate::record::{Action, Held, Kind, RecordId, RecordSet, Records, ScopeId};
use crate::trust::{Judge, Void};

/// One version: why it is void, whether it is a head.
pub(super) type Versions = BTreeMap<RecordId, (Option<Void>, bool)>;

fn held(set: &RecordSet, topic: &Topic) -> Vec<Held> {
    set.iter().filter(|held| Topic::of(&held.record).as_ref() == Some(topic)).cloned().collect()
}

fn project(held: &Held) -> Option<Project> {
    canonical::decode(held.value.as_deref()?).ok()
}

fn tagged(held: &Held) -> Option<Tagged> {
    canonical::decode(held.value.as_deref()?).ok()
}

fn opens(scope: &ScopeId, project: &Project) -> bool {
    ScopeId::project(&MESH, &project.name, &project.nonce) == *scope
}

fn deletes(topic: &Topic, held: &Held) -> bool {
    match topic.kind {
        Kind::TAG => tagged(held).is_some_and(|tagged| tagged.digest.is_none()),
        Kind::PROJECT => project(held).is_some_and(|project| matches!(project.life, Life::Closed { .. })),
        _ => held.record.value().is_none(),
    }
}

fn reads(topic: &Topic, held: &Held) -> bool {
    match (&held.value, held.record.value()) {
        (Some(value), _) => Value::read(topic.kind, value).is_ok(),
        (None, None) => !matches!(topic.kind, Kind::TAG | Kind::PROJECT),
        (None, Some(named)) => topic.kind == Kind::MANIFEST && named.len > 1024,
    }
}

fn void(set: &RecordSet, judge: &Fake, topic: &Topic, held: &Held) -> Option<Void> {
    let body = held.record.body().unwrap();
    let of_project = self::held(set, &Topic::project(topic.scope));
    if !reads(topic, held) {
        return Some(Void::Value);
    }
    let strays = |id: &RecordId| set.get(id).is_some_and(|prev| Topic::of(&prev.record).as_ref() != Some(topic));
    if body.prev.iter().any(strays) {
        return Some(Void::Prev);
    }
    if topic.kind == Kind::PROJECT && !opens(&topic.scope, &project(held).unwrap()) {
        return Some(Void::Scope);
    }
    let shown = of_project.iter().filter_map(project).find(|project| opens(&topic.scope, project));
    let is_removal = matches!(topic.kind, Kind::TAG | Kind::MANIFEST) && deletes(topic, held);
    let action = if is_removal { Some(Action::Delete) } else { topic.kind.action() };
    if let Err(void) = judge.judge(&held.record, action, shown.as_ref().map(|project| &project.name)) {
        return Some(void);
    }
    if topic.kind != Kind::TAG {
        return None;
    }
    let said = tagged(held).unwrap();
    let valid = of_project.iter().filter(|held| void(set, judge, &Topic::project(topic.scope), held).is_none());
    let mut modes = BTreeSet::new();
    for held in valid {
        modes.insert((0, TagMode::Converge));
        if let Life::Open(settings) = project(held).unwrap().life {
            modes.insert((settings.epoch, settings.mode));
        }
    }
    let fits = |(epoch, mode): &&(u32, TagMode)| *epoch == said.epoch && said.home == (*mode != TagMode::Converge);
    if !modes.iter().any(|mode| fits(&mode)) {
        return Some(Void::Epoch);
    }
    let own = TagMode::Home(judge.site(&body.grant).unwrap_or_default().to_owned());
    (said.home && !modes.contains(&(said.epoch, own))).then_some(Void::NotHome)
}

/// Whom a version follows.
fn follows(versions: &[Held], of: &Held) -> Vec<RecordId> {
    let body = of.record.body().unwrap();
    let line = |held: &Held| (held.record.author(), held.record.body().unwrap().position.incarnation);
    let seq = |held: &Held| held.record.body().unwrap().position.seq;
    let earlier = || versions.iter().filter(|held| line(held) == line(of) && seq(held) < seq(of));
    let next = earlier().map(seq).max();
    let in_line = earlier().filter(|held| Some(seq(held)) == next).map(|held| held.record.id());
    in_line.chain(body.prev.iter().copied().filter(|id| versions.iter().any(|held| held.record.id() == *id))).collect()
}

/// What a topic comes to.
pub(super) fn topic(set: &RecordSet, judge: &Fake, topic: &Topic) -> (Versions, TopicView) {
    let versions = held(set, topic);
    let mut reaches: BTreeMap<RecordId, BTreeSet<RecordId>> = BTreeMap::new();
    let edges: BTreeMap<RecordId, Vec<RecordId>> =
        versions.iter().map(|held| (held.record.id(), follows(&versions, held))).collect();
    for from in edges.keys() {
        let (mut open, mut seen) = (edges[from].clone(), BTreeSet::new());
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&edges[&id]);
            }
        }
        reaches.insert(*from, seen);
    }
    let voids: BTreeMap<RecordId, Option<Void>> =
        versions.iter().map(|held| (held.record.id(), void(set, judge, topic, held))).collect();
    let covers = |u: &RecordId, v: &RecordId| reaches[u].contains(v) && !reaches[v].contains(u);
    let is_covered = |v: &RecordId| voids.iter().any(|(u, void)| void.is_none() && covers(u, v));
    let found: Versions = voids.iter().map(|(id, void)| (*id, (*void, void.is_none() && !is_covered(id)))).collect();

    let rank = |held: &Held| Rank {
        epoch: if topic.kind == Kind::TAG { tagged(held).map_or(0, |tagged| tagged.epoch) } else { 0 },
        time: held.record.time(),
        id: held.record.id(),
    };
    let is_head = |held: &&Held| found[&held.record.id()].1;
    let stands = || versions.iter().filter(|held| !deletes(topic, held));
    let valid = |held: &&Held| found[&held.record.id()].0.is_none();
    let view = TopicView {
        live: stands().filter(is_head).map(rank).max().map(|rank| rank.id),
        heads: stands().filter(is_head).count() as u64,
        deletes: versions.iter().filter(|held| deletes(topic, held)).filter(is_head).count() as u64,
        voids: versions.iter().filter(|held| !valid(held)).count() as u64,
        said: stands().filter(valid).map(rank).max(),
    };
    (found, view)
}

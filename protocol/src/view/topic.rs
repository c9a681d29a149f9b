//! A topic computed from all its versions: what the kept view must say of it. No state.

use std::collections::BTreeMap;

use super::cover::{self, Covered};
use super::judged::{Circumstances, Judged, Reading};
use super::{Line, ProjectFacts, Rank, Standing, Topic, TopicView};
use crate::record::{Held, MeshId, Record, RecordId, Records};
use crate::trust::Judge;

/// What all versions of a topic come to.
pub(super) struct Computed {
    pub(super) view: TopicView,
    pub(super) standings: Vec<(Record, Standing)>,
    /// For a project's topic: what its records say together.
    pub(super) facts: Option<ProjectFacts>,
}

/// Computes a topic. `facts` are those of its scope, `memory` how versions were judged before.
pub(super) fn compute<R: Records, J: Judge>(
    topic: &Topic,
    by: &Circumstances<'_, R, J>,
    memory: impl Fn(&RecordId) -> Option<Standing>,
) -> Computed {
    let ids = by.records.versions(&topic.scope, topic.kind, &topic.key);
    let held: Vec<Held> = ids.iter().filter_map(|id| by.records.get(id)).collect();
    let mut facts = (*topic == Topic::project(topic.scope)).then(|| name(by.mesh, topic, &held, by.facts));
    let by = Circumstances { facts: facts.as_ref().unwrap_or(by.facts), ..*by };
    let judge = |held: &Held| by.judge(topic, held, memory(&held.record.id()).as_ref());
    let judged: Vec<Judged> = held.iter().map(judge).collect();
    if let Some(facts) = &mut facts {
        judged.iter().for_each(|version| facts.learn(version));
    }
    let mut valid: Vec<bool> = judged.iter().map(|version| version.standing.void.is_none()).collect();
    let edges = edges(topic, &held);
    valid.resize(edges.len(), false);
    let covered = cover::heads(&edges, &valid);
    let stand = |(version, covered): (&Judged, &Covered)| Standing {
        head: covered.head,
        circular: covered.circular,
        ..version.standing
    };
    let standings: Vec<Standing> = judged.iter().zip(&covered).map(stand).collect();
    let view = summary(&standings);
    let standings = held.into_iter().map(|held| held.record).zip(standings).collect();
    Computed { view, standings, facts }
}

/// The facts of a project before any of its versions is judged: the name, which depends on nobody's rights.
fn name(mesh: &MeshId, topic: &Topic, held: &[Held], before: &ProjectFacts) -> ProjectFacts {
    let mut facts = ProjectFacts::of_name(before.name.clone());
    for held in held {
        if let Some(project) = Reading::of(topic.kind, held, None).project() {
            facts.learn_name(mesh, &topic.scope, project);
        }
    }
    facts
}

/// Whom each version follows. Places beyond the versions' stand between groups, so that many versions by one author at
/// one place don't make an edge for each pair.
fn edges(topic: &Topic, held: &[Held]) -> Vec<Vec<usize>> {
    let places: BTreeMap<RecordId, usize> = held.iter().enumerate().map(|(at, held)| (held.record.id(), at)).collect();
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); held.len()];
    let mut lines: BTreeMap<Line, BTreeMap<u64, Vec<usize>>> = BTreeMap::new();
    for (at, held) in held.iter().enumerate() {
        let Some(body) = held.record.body() else { continue };
        edges[at].extend(body.prev.iter().filter_map(|prev| places.get(prev)));
        let line = Line::of(topic, &held.record, body.position.incarnation);
        lines.entry(line).or_default().entry(body.position.seq).or_default().push(at);
    }
    for line in lines.into_values() {
        let mut before: Vec<usize> = Vec::new();
        for group in line.into_values() {
            if group.len() > 1 && before.len() > 1 {
                edges.push(before);
                before = vec![edges.len() - 1];
            }
            for &at in &group {
                edges[at].extend(&before);
            }
            before = group;
        }
    }
    edges
}

fn summary(standings: &[Standing]) -> TopicView {
    let count = |which: &dyn Fn(&Standing) -> bool| standings.iter().filter(|version| which(version)).count() as u64;
    let greatest = |which: &dyn Fn(&Standing) -> bool| -> Option<Rank> {
        standings.iter().filter(|version| which(version)).map(|version| version.rank).max()
    };
    TopicView {
        live: greatest(&|version| version.head && !version.deletes).map(|rank| rank.id),
        heads: count(&|version| version.head && !version.deletes),
        deletes: count(&|version| version.head && version.deletes),
        voids: count(&|version| version.void.is_some()),
        said: greatest(&|version| version.void.is_none() && !version.deletes),
    }
}

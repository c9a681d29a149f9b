//! What a scope's project records say together: its name, its tag modes, whether it is open; and which scope a name
//! means. The facts are a row of the kept view.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::judged::{Judged, opens_binding};
use super::{Kept, Topic, View, fingerprint};
use crate::record::value::{Life, Project, Settings, TagMode, Value};
use crate::record::{HybridTime, Kind, MeshId, RecordId, Records, ScopeId};
use crate::{ProjectName, Timestamp};

/// What all valid project records of a scope say together, heads or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFacts {
    /// The name its scope binds, once any record shows it, valid or not.
    pub name: Option<ProjectName>,
    /// Its first record that left it open, and when the project was made by its word.
    pub first: Option<(HybridTime, RecordId, Timestamp)>,
    /// Whether any valid record speaks of it.
    exists: bool,
    /// The tag modes it ever had, by epoch; several in one epoch when two sites changed it at once.
    modes: BTreeMap<u32, BTreeSet<TagMode>>,
    /// Records that closed it.
    closings: BTreeSet<RecordId>,
    /// Records said to be undone.
    reopened: BTreeSet<RecordId>,
}

impl ProjectFacts {
    /// The modes of an epoch. Epoch 0 was `converge`, whatever else it was.
    pub fn modes(&self, epoch: u32) -> impl Iterator<Item = &TagMode> {
        let always = (epoch == 0 && self.exists).then_some(&TagMode::Converge);
        always.into_iter().chain(self.modes.get(&epoch).into_iter().flatten())
    }

    /// Epochs in which two valid records name different modes, to be shown as a conflict.
    pub fn contested(&self) -> impl Iterator<Item = u32> {
        self.modes.iter().filter(|(_, modes)| modes.len() > 1).map(|(epoch, _)| *epoch)
    }

    /// The closing records that nobody undid.
    pub fn closings(&self) -> impl Iterator<Item = RecordId> {
        self.closings.difference(&self.reopened).copied()
    }

    /// Whether a valid record speaks of it and none closes it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.exists && self.closings().next().is_none()
    }

    /// Whether a record closed it and nobody undid that.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closings().next().is_some()
    }

    /// Facts that say nothing but a name.
    pub(super) fn of_name(name: Option<ProjectName>) -> Self {
        Self { name, ..Self::default() }
    }

    /// Whether tags are judged alike by both.
    pub(super) fn judges_tags_like(&self, other: &Self) -> bool {
        self.exists == other.exists && self.modes == other.modes
    }

    /// Takes the name from a record that shows it.
    pub(super) fn learn_name(&mut self, mesh: &MeshId, scope: &ScopeId, project: &Project) {
        if self.name.is_none() && opens_binding(mesh, scope, project) {
            self.name = Some(project.name.clone());
        }
    }

    /// Takes in one more version.
    pub(super) fn learn(&mut self, version: &Judged) {
        let Some(project) = version.reading.project().filter(|_| version.standing.void.is_none()) else { return };
        self.exists = true;
        let rank = version.standing.rank;
        match &project.life {
            Life::Closed { .. } => {
                self.closings.insert(rank.id);
            }
            Life::Open(settings) => {
                self.modes.entry(settings.epoch).or_default().insert(settings.mode.clone());
                self.reopened.extend(settings.reopens);
                let this = (rank.time, rank.id, settings.created);
                self.first = Some(self.first.map_or(this, |first| first.min(this)));
            }
        }
    }
}

/// A project as a site shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectView {
    /// Its scope.
    pub scope: ScopeId,
    /// Its name.
    pub name: ProjectName,
    /// Records that closed it and that nobody undid; none: it is open.
    pub closings: Vec<RecordId>,
    /// It is closed, and no one who closed it saw what is live here: someone should look before bytes go.
    pub unseen: bool,
    /// Epochs of the tag mode that two sites changed at once.
    pub contested: Vec<u32>,
}

/// What a name stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The open projects of that name, the one it means first. More than one: a conflict, to be shown.
    pub open: Vec<ScopeId>,
    /// The closed ones.
    pub closed: Vec<ScopeId>,
}

impl Named {
    /// The project the name means.
    #[must_use]
    pub fn meant(&self) -> Option<ScopeId> {
        self.open.first().copied()
    }
}

/// The live tags and manifests of a scope, counted: what who closes the project says it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// How many.
    pub seen: u64,
    /// Their fingerprint.
    pub fingerprint: [u8; 32],
}

impl<K: Kept> View<K> {
    /// The facts of a scope.
    #[must_use]
    pub fn facts(&self, scope: &ScopeId) -> ProjectFacts {
        self.kept().project(scope).unwrap_or_default()
    }

    /// Counts the live tags and manifests of a scope.
    #[must_use]
    pub fn census(&self, scope: &ScopeId) -> Census {
        let of = |kind| self.kept().topics(scope, kind, &[]).into_iter().filter_map(|(_, view)| view.live);
        let live: Vec<RecordId> = of(Kind::TAG).chain(of(Kind::MANIFEST)).collect();
        Census { seen: live.len() as u64, fingerprint: fingerprint(&live) }
    }

    /// The project of a scope; `None` when no valid record here speaks of one.
    #[must_use]
    pub fn project(&self, records: &impl Records, scope: &ScopeId) -> Option<ProjectView> {
        let facts = self.facts(scope);
        let name = facts.name.clone().filter(|_| facts.exists)?;
        let closings: Vec<RecordId> = facts.closings().collect();
        let census = (!closings.is_empty()).then(|| self.census(scope));
        let saw_all = |id: &RecordId| closed_at(records, id).is_some_and(|seen| Some(seen) == census);
        let unseen = census.is_some() && !closings.iter().any(saw_all);
        Some(ProjectView { scope: *scope, name, unseen, contested: facts.contested().collect(), closings })
    }

    /// The scopes under a name of which everything is held on to: all but those that someone closed who saw what is live
    /// in them. That includes one whose project counts for nothing, for what was pushed there was promised to stay.
    #[must_use]
    pub fn held_under(&self, records: &impl Records, name: &ProjectName) -> Vec<ScopeId> {
        self.kept().named(name).into_iter().filter(|scope| !self.is_let_go(records, scope)).collect()
    }

    /// Whether a scope is closed by someone who saw what is live in it. Of a closed one it counts all that is live.
    #[must_use]
    pub fn is_let_go(&self, records: &impl Records, scope: &ScopeId) -> bool {
        let project = self.project(records, scope);
        project.is_some_and(|project| !project.closings.is_empty() && !project.unseen)
    }

    /// Who may write tags in a scope, and the epoch to write them under; `None` when its project is not open.
    #[must_use]
    pub fn tag_mode(&self, records: &impl Records, scope: &ScopeId) -> Option<(TagMode, u32)> {
        let Value::Project(project) = self.in_force(records, &Topic::project(*scope))? else { return None };
        let Life::Open(settings) = project.life else { return None };
        Some((settings.mode, settings.epoch))
    }

    /// What a record that closes a project says, by who saw what is here; `None` when none is in force.
    #[must_use]
    pub fn closing(&self, records: &impl Records, scope: &ScopeId) -> Option<Project> {
        let Value::Project(project) = self.in_force(records, &Topic::project(*scope))? else { return None };
        let Census { seen, fingerprint } = self.census(scope);
        Some(Project { life: Life::Closed { seen, fingerprint }, ..project })
    }

    /// What a record that opens a closed project again says: its settings as they were said last, and that it undoes the
    /// last record that closed it. Of several closed projects of a name, the one closed last. `None` when there is none,
    /// or one of that name is open.
    #[must_use]
    pub fn reopening(&self, records: &impl Records, name: &ProjectName) -> Option<(ScopeId, Project)> {
        let Named { open, closed } = self.named(name);
        if !open.is_empty() {
            return None;
        }
        let time = |id: &RecordId| records.get(id).map(|held| held.record.time());
        let closings = closed.into_iter().flat_map(|scope| {
            let closings: Vec<RecordId> = self.facts(&scope).closings().collect();
            closings.into_iter().map(move |id| (id, scope))
        });
        let (closing, scope) = closings.max_by_key(|(id, _)| (time(id), *id))?;
        let topic = Topic::project(scope);
        let mut versions = self.versions(records, &topic);
        versions.retain(|version| version.void.is_none());
        versions.sort_by_key(|version| version.rank);
        versions.iter().rev().find_map(|version| {
            let said = Value::read(topic.kind, records.get(&version.rank.id)?.value.as_deref()?).ok()?;
            let Value::Project(Project { name, nonce, life: Life::Open(settings) }) = said else { return None };
            let settings = Settings { reopens: Some(closing), ..settings };
            Some((scope, Project { name, nonce, life: Life::Open(settings) }))
        })
    }

    /// What a name stands for. It means the open project that was made first.
    #[must_use]
    pub fn named(&self, name: &ProjectName) -> Named {
        let scopes = self.kept().named(name);
        let closed = scopes.iter().copied().filter(|scope| self.facts(scope).is_closed()).collect();
        Named { open: self.open_among(&scopes), closed }
    }

    /// The open projects among scopes of one name, the one it means first.
    #[must_use]
    pub fn open_among(&self, scopes: &[ScopeId]) -> Vec<ScopeId> {
        let made = |scope: &ScopeId| {
            let facts = self.facts(scope);
            facts.is_open().then_some((facts.first.map(|(_, _, created)| created), *scope))
        };
        let mut open: Vec<_> = scopes.iter().filter_map(made).collect();
        open.sort_unstable();
        open.into_iter().map(|(_, scope)| scope).collect()
    }
}

/// What the author of a closing record saw.
fn closed_at(records: &impl Records, id: &RecordId) -> Option<Census> {
    let held = records.get(id)?;
    let topic = Topic::of(&held.record)?;
    let Ok(Value::Project(project)) = Value::read(topic.kind, held.value.as_deref()?) else { return None };
    match project.life {
        Life::Closed { seen, fingerprint } => Some(Census { seen, fingerprint }),
        Life::Open(_) => None,
    }
}

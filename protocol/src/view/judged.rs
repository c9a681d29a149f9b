//! One version, judged: whether it counts, and by what it competes. No state.

use super::{ProjectFacts, Rank, Standing, Topic};
use crate::record::value::{Life, Project, TagMode, Value};
use crate::record::{Action, Held, Kind, MeshId, Record, RecordId, RecordKey, Records, ScopeId};
use crate::trust::{Judge, Void};
use crate::{Digest, RepositoryName, Tag};

/// A value of at most so many bytes is never trimmed.
pub const TRIMMABLE: u32 = 1024;

/// What is at hand of a version's value.
pub(super) enum Reading {
    /// It has none: it deletes.
    Absent,
    /// Here it is.
    Value(Value),
    /// It is well formed and not here.
    Trimmed,
    /// It is no value of its kind, or is not here and must be.
    Bad,
}

/// A version, judged, with what it says.
pub(super) struct Judged {
    pub(super) standing: Standing,
    pub(super) reading: Reading,
}

/// By what versions of one scope are judged.
pub(super) struct Circumstances<'a, R, J> {
    pub(super) mesh: &'a MeshId,
    pub(super) records: &'a R,
    pub(super) judge: &'a J,
    /// Of the scope; for judging a project record only the name in it matters.
    pub(super) facts: &'a ProjectFacts,
}

impl Topic {
    /// The topic of a record; `None` when this version can't interpret it.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let body = record.body().filter(|body| body.kind.is_known())?;
        Some(Self { scope: record.scope(), kind: body.kind, key: body.key.clone() })
    }

    /// The topic of a scope's project.
    #[must_use]
    pub const fn project(scope: ScopeId) -> Self {
        Self { scope, kind: Kind::PROJECT, key: RecordKey::single() }
    }

    /// The topic of a tag, within the scope of its project.
    #[must_use]
    pub fn tag(scope: ScopeId, repository: &RepositoryName, tag: &Tag) -> Self {
        Self { scope, kind: Kind::TAG, key: RecordKey::tag(repository, tag) }
    }

    /// The topic of a manifest, within the scope of its project.
    #[must_use]
    pub fn manifest(scope: ScopeId, repository: &RepositoryName, digest: &Digest) -> Self {
        Self { scope, kind: Kind::MANIFEST, key: RecordKey::manifest(repository, digest) }
    }

    fn has_sound_key(&self) -> bool {
        match self.kind {
            Kind::PROJECT => self.key == RecordKey::single(),
            Kind::TAG => self.key.as_tag().is_some(),
            Kind::MANIFEST => self.key.as_manifest().is_some(),
            _ => true,
        }
    }
}

impl Reading {
    /// Reads a version's value. `memory`: how it was judged before, perhaps when its value was here.
    pub(super) fn of(kind: Kind, held: &Held, memory: Option<&Standing>) -> Self {
        let Some(named) = held.record.value() else {
            // Their deletes are values: a tag's must name its mode, a project's what its author saw.
            let needs_value = matches!(kind, Kind::TAG | Kind::PROJECT);
            return if needs_value { Self::Bad } else { Self::Absent };
        };
        match &held.value {
            Some(bytes) => Value::read(kind, bytes).map_or(Self::Bad, Self::Value),
            None if memory.is_some_and(|standing| standing.void == Some(Void::Value)) => Self::Bad,
            None if kind_is_trimmable(kind) && named.len > TRIMMABLE => Self::Trimmed,
            None => Self::Bad,
        }
    }

    /// The project it speaks of.
    pub(super) const fn project(&self) -> Option<&Project> {
        if let Self::Value(Value::Project(project)) = self { Some(project) } else { None }
    }

    /// Whether it is a delete.
    pub(super) const fn deletes(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Value(Value::Tagged(tagged)) => tagged.digest.is_none(),
            Self::Value(Value::Project(project)) => matches!(project.life, Life::Closed { .. }),
            Self::Value(_) | Self::Trimmed | Self::Bad => false,
        }
    }

    const fn epoch(&self) -> u32 {
        if let Self::Value(Value::Tagged(tagged)) = self { tagged.epoch } else { 0 }
    }
}

/// Whether only the heads of a kind need their values.
pub(super) const fn kind_is_trimmable(kind: Kind) -> bool {
    let never = matches!(
        kind,
        Kind::GRANT
            | Kind::REVOCATION
            | Kind::ENDORSEMENT
            | Kind::SUSPENSION
            | Kind::FAREWELL
            | Kind::CUT
            | Kind::RULES
            | Kind::PROJECT
            | Kind::TAG
            | Kind::MEMBER
            | Kind::ROBOT
            | Kind::USER
            | Kind::DENIAL
    );
    kind.is_known() && !never
}

/// Whether a project record shows the name its scope binds. It depends on nobody's rights.
pub(super) fn opens_binding(mesh: &MeshId, scope: &ScopeId, project: &Project) -> bool {
    ScopeId::project(mesh, &project.name, &project.nonce) == *scope
}

impl<R: Records, J: Judge> Circumstances<'_, R, J> {
    /// Judges a version. Whether it is a head is not known yet.
    pub(super) fn judge(&self, topic: &Topic, held: &Held, memory: Option<&Standing>) -> Judged {
        let record = &held.record;
        let reading = Reading::of(topic.kind, held, memory);
        let rank = Rank { epoch: reading.epoch(), time: record.time(), id: record.id() };
        let void = self.void(topic, record, &reading).err();
        let deletes = reading.deletes();
        Judged { standing: Standing { void, rank, deletes, head: false, circular: false }, reading }
    }

    fn void(&self, topic: &Topic, record: &Record, reading: &Reading) -> Result<(), Void> {
        let body = record.body().ok_or(Void::Format)?;
        // First, so that a void for its value says nothing but that: it is the memory of a value that may go.
        if matches!(reading, Reading::Bad) {
            return Err(Void::Value);
        }
        if !topic.has_sound_key() {
            return Err(Void::Key);
        }
        if body.prev.iter().any(|prev| self.is_elsewhere(topic, prev)) {
            return Err(Void::Prev);
        }
        if reading.project().is_some_and(|project| !opens_binding(self.mesh, &topic.scope, project)) {
            return Err(Void::Scope);
        }
        let takes_away = reading.deletes() && matches!(topic.kind, Kind::TAG | Kind::MANIFEST);
        let action = if takes_away { Some(Action::Delete) } else { topic.kind.action() };
        self.judge.judge(record, action, self.facts.name.as_ref())?;
        match reading {
            Reading::Value(Value::Tagged(tagged)) => self.mode(&body.grant, tagged.epoch, tagged.home),
            Reading::Value(_) | Reading::Absent | Reading::Trimmed | Reading::Bad => Ok(()),
        }
    }

    /// Whether a predecessor is here and is no version of this topic. One of an unknown format may be one.
    fn is_elsewhere(&self, topic: &Topic, prev: &RecordId) -> bool {
        let Some(held) = self.records.get(prev) else { return false };
        let other_body = |kind: Kind, key: &RecordKey| kind != topic.kind || *key != topic.key;
        let body = held.record.body();
        held.record.scope() != topic.scope || body.is_some_and(|body| other_body(body.kind, &body.key))
    }

    /// Whether the project ever had this mode in this epoch, and the author's site was allowed by it.
    fn mode(&self, grant: &RecordId, epoch: u32, home: bool) -> Result<(), Void> {
        if !home {
            let had = self.facts.modes(epoch).any(|mode| *mode == TagMode::Converge);
            return if had { Ok(()) } else { Err(Void::Epoch) };
        }
        let mut homes = self.facts.modes(epoch).filter_map(|mode| match mode {
            TagMode::Home(site) => Some(site.as_str()),
            TagMode::Converge => None,
        });
        let Some(first) = homes.next() else { return Err(Void::Epoch) };
        let site = self.judge.site(grant).ok_or(Void::NotHome)?;
        if first == site || homes.any(|home| home == site) { Ok(()) } else { Err(Void::NotHome) }
    }
}

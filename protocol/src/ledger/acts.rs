//! What people do, as records: projects, pushes, tags, deletes, and taking them back.

use super::{Ledger, WriteError};
use crate::record::governed::Member;
use crate::record::value::{Life, Project, Pushed, Settings, TagMode, Tagged, Value};
use crate::record::{Action, Kind, Record, RecordId, RecordKey, ScopeId};
use crate::trust::{Endorsement, Farewell, Grant, Revocation, Suspension};
use crate::view::Topic;
use crate::{Digest, ProjectName, RepositoryName, Tag, Timestamp, canonical};

/// Something to be written.
#[derive(Clone, Debug)]
pub struct Say<'a> {
    /// Where.
    pub scope: ScopeId,
    /// What kind of thing.
    pub kind: Kind,
    /// Which.
    pub key: RecordKey,
    /// What is said; `None` deletes.
    pub value: Option<Vec<u8>>,
    /// What its author must be allowed.
    pub action: Option<Action>,
    /// Who is behind it.
    pub actor: &'a str,
    /// The name the scope is bound to, when the record itself shows it first.
    pub name: Option<ProjectName>,
}

impl<'a> Say<'a> {
    /// A value of a kind.
    #[must_use]
    pub fn value(scope: ScopeId, kind: Kind, key: RecordKey, value: &impl serde::Serialize, actor: &'a str) -> Self {
        let value = Some(canonical::encode(value));
        Self { scope, kind, key, value, action: kind.action(), actor, name: None }
    }

    /// The end of something.
    #[must_use]
    pub const fn delete(scope: ScopeId, kind: Kind, key: RecordKey, actor: &'a str) -> Self {
        let action = match kind {
            Kind::MANIFEST => Some(Action::Delete),
            _ => kind.action(),
        };
        Self { scope, kind, key, value: None, action, actor, name: None }
    }

    /// The same again; `None` for a record that can't be interpreted, or whose value is gone.
    pub(super) fn again(record: &'a Record, value: Option<&[u8]>) -> Option<Self> {
        let body = record.body()?;
        if record.value().is_some() != value.is_some() {
            return None;
        }
        let read = value.map(|value| Value::read(body.kind, value));
        let action = match (body.kind, &read) {
            (Kind::MANIFEST, None) | (Kind::TAG, Some(Ok(Value::Tagged(Tagged { digest: None, .. })))) => {
                Some(Action::Delete)
            }
            _ => body.kind.action(),
        };
        let name = match read {
            Some(Ok(Value::Project(project))) => Some(project.name),
            _ => None,
        };
        let value = value.map(<[u8]>::to_vec);
        let (scope, kind, key) = (record.scope(), body.kind, body.key.clone());
        Some(Self { scope, kind, key, value, action, actor: &body.actor, name })
    }
}

impl Ledger {
    /// Makes a project under a scope bound by a random `nonce`.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create_project(
        &mut self,
        name: &ProjectName,
        nonce: [u8; 16],
        settings: Settings,
        actor: &str,
        now: Timestamp,
    ) -> Result<ScopeId, WriteError> {
        let scope = ScopeId::project(self.mesh(), name, &nonce);
        let project = Project { name: name.clone(), nonce, life: Life::Open(settings) };
        let say = Say::value(scope, Kind::PROJECT, RecordKey::single(), &project, actor);
        self.write(Say { name: Some(name.clone()), ..say }, now)?;
        Ok(scope)
    }

    /// The project record that is live, or was last.
    fn project_value(&self, scope: ScopeId) -> Result<Project, WriteError> {
        let topic = Topic::project(scope);
        let live = self.view.topic(&topic).said.map(|rank| rank.id);
        match live.and_then(|id| self.read(&id)) {
            Some(Value::Project(project)) => Ok(project),
            _ => Err(WriteError::NoProject),
        }
    }

    /// The value of a record, read.
    #[must_use]
    pub fn read(&self, id: &RecordId) -> Option<Value> {
        let held = crate::record::Records::get(&self.set, id)?;
        Value::read(held.record.body()?.kind, held.value.as_deref()?).ok()
    }

    fn change_project(
        &mut self,
        scope: ScopeId,
        actor: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Settings),
    ) -> Result<RecordId, WriteError> {
        let mut project = self.project_value(scope)?;
        let Life::Open(settings) = &mut project.life else { return Err(WriteError::NoProject) };
        settings.reopens = None;
        change(settings);
        self.write(Say::value(scope, Kind::PROJECT, RecordKey::single(), &project, actor), now)
    }

    /// Changes who writes a project's tags, which begins an epoch.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn set_mode(
        &mut self,
        scope: ScopeId,
        mode: TagMode,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        self.change_project(scope, actor, now, |settings| {
            settings.mode = mode;
            settings.epoch += 1;
        })
    }

    /// Closes a project for ever, saying what was seen in it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn close_project(&mut self, scope: ScopeId, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        let project = self.project_value(scope)?;
        let census = self.view.census(&scope);
        let life = Life::Closed { seen: census.seen, fingerprint: census.fingerprint };
        let closed = Project { life, ..project };
        self.write(Say::value(scope, Kind::PROJECT, RecordKey::single(), &closed, actor), now)
    }

    /// Opens a closed project again: one record for each that closed it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn reopen_project(&mut self, scope: ScopeId, actor: &str, now: Timestamp) -> Result<(), WriteError> {
        let closings = self.view.undelete(&Topic::project(scope)).reopens;
        if closings.is_empty() {
            return Err(WriteError::NotDeleted);
        }
        for closing in closings {
            self.change_project(scope, actor, now, |settings| settings.reopens = Some(closing))?;
        }
        Ok(())
    }

    fn check_open(&self, scope: ScopeId) -> Result<(), WriteError> {
        if self.view.facts(&scope).is_open() { Ok(()) } else { Err(WriteError::NoProject) }
    }

    /// The mode and epoch a tag is written under here; an error where it has a home elsewhere.
    fn tagging(&self, scope: ScopeId) -> Result<(u32, bool), WriteError> {
        self.check_open(scope)?;
        let (mode, epoch) = self.view.tag_mode(&self.set, &scope).ok_or(WriteError::NoProject)?;
        match mode {
            TagMode::Converge => Ok((epoch, false)),
            TagMode::Home(site) => {
                let own = crate::trust::Judge::site(&self.trust, &self.identity.grant);
                if own == Some(site.as_str()) { Ok((epoch, true)) } else { Err(WriteError::Home(site)) }
            }
        }
    }

    /// Lets a tag name a digest; `None` deletes the tag.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn tag(
        &mut self,
        scope: ScopeId,
        repository: &RepositoryName,
        tag: &Tag,
        digest: Option<Digest>,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        let (epoch, home) = self.tagging(scope)?;
        let action = if digest.is_some() { Action::Tag } else { Action::Delete };
        let key = RecordKey::tag(repository, tag);
        let say = Say::value(scope, Kind::TAG, key, &Tagged { digest, epoch, home }, actor);
        self.write(Say { action: Some(action), ..say }, now)
    }

    /// Writes a manifest.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn push(
        &mut self,
        scope: ScopeId,
        repository: &RepositoryName,
        digest: &Digest,
        pushed: &Pushed,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        self.check_open(scope)?;
        let key = RecordKey::manifest(repository, digest);
        self.write(Say::value(scope, Kind::MANIFEST, key, pushed, actor), now)
    }

    /// Deletes a manifest and each tag that names it.
    ///
    /// # Errors
    /// [`WriteError`]; what was written before it stands.
    pub fn delete_manifest(
        &mut self,
        scope: ScopeId,
        repository: &RepositoryName,
        digest: &Digest,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        for tag in self.tags_naming(scope, repository, digest) {
            self.tag(scope, repository, &tag, None, actor, now)?;
        }
        let key = RecordKey::manifest(repository, digest);
        self.write(Say::delete(scope, Kind::MANIFEST, key, actor), now).map(drop)
    }

    fn tags_naming(&self, scope: ScopeId, repository: &RepositoryName, digest: &Digest) -> Vec<Tag> {
        let keys = crate::record::Records::keys(&self.set, &scope, Kind::TAG).into_iter();
        let named = keys.filter_map(|key| {
            let (of, tag) = key.as_tag()?;
            (of == *repository && self.tagged(scope, repository, &tag).as_ref() == Some(digest)).then_some(tag)
        });
        named.collect()
    }

    /// What a tag names.
    #[must_use]
    pub fn tagged(&self, scope: ScopeId, repository: &RepositoryName, tag: &Tag) -> Option<Digest> {
        let topic = Topic { scope, kind: Kind::TAG, key: RecordKey::tag(repository, tag) };
        let Value::Tagged(tagged) = self.read(&self.view.topic(&topic).live?)? else { return None };
        tagged.digest
    }

    /// Makes someone a member, changes the role, or ends the membership.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn set_member(
        &mut self,
        scope: ScopeId,
        who: &str,
        member: Option<&Member>,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        let key = RecordKey::named(who);
        let say = match member {
            Some(member) => Say::value(scope, Kind::MEMBER, key, member, actor),
            None => Say::delete(scope, Kind::MEMBER, key, actor),
        };
        self.write(say, now)
    }

    /// Settles a conflict: says again what one of the heads says, or nothing more.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn resolve(&mut self, chosen: &RecordId, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        let held = crate::record::Records::get(&self.set, chosen).ok_or(WriteError::NotDeleted)?;
        let say = Say::again(&held.record, held.value.as_deref()).ok_or(WriteError::NotDeleted)?;
        self.write(Say { actor, ..say }, now)
    }

    /// Brings back what was deleted: a tag, a manifest, a member.
    ///
    /// # Errors
    /// [`WriteError::NotDeleted`], and the others.
    pub fn undelete(&mut self, topic: &Topic, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        if topic.kind == Kind::PROJECT || !self.view.topic(topic).is_deleted() {
            return Err(WriteError::NotDeleted);
        }
        let last = self.view.undelete(topic).repeats.ok_or(WriteError::NotDeleted)?;
        self.resolve(&last, actor, now)
    }

    /// Lets a node in.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn grant(&mut self, grant: &Grant, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        self.act_of_trust(Kind::GRANT, RecordKey::hash(&grant.node.0), grant, actor, now)
    }

    /// Ends a grant or a node.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn revoke(&mut self, revocation: &Revocation, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        // A key of its own: verdicts stand side by side, and the strictest holds.
        let key = RecordKey::hash(blake3::hash(&canonical::encode(revocation)).as_bytes());
        self.act_of_trust(Kind::REVOCATION, key, revocation, actor, now)
    }

    /// Suspends an authority, or lifts the suspensions of one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn suspend(&mut self, suspension: &Suspension, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        self.act_of_trust(Kind::SUSPENSION, RecordKey::hash(&suspension.node.0), suspension, actor, now)
    }

    /// Says how far this site's own records go.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn bid_farewell(&mut self, farewell: &Farewell, actor: &str, now: Timestamp) -> Result<RecordId, WriteError> {
        let key = RecordKey::hash(&self.key().0);
        self.act_of_trust(Kind::FAREWELL, key, farewell, actor, now)
    }

    fn act_of_trust(
        &mut self,
        kind: Kind,
        key: RecordKey,
        value: &impl serde::Serialize,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        let scope = ScopeId::trust(self.mesh());
        self.write(Say::value(scope, kind, key, value, actor), now)
    }

    /// Endorses records of a node, in the scope they stand in.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn endorse(
        &mut self,
        scope: ScopeId,
        endorsement: &Endorsement,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        self.write(Self::list(scope, endorsement, actor), now)
    }

    /// The same for a verdict that is still to be written, and will name this site as the one who endorses in a scope no
    /// authority may read: until it is here the list is void, unless this site may endorse anyway.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn endorse_as_asked(
        &mut self,
        scope: ScopeId,
        endorsement: &Endorsement,
        actor: &str,
        now: Timestamp,
    ) -> Result<RecordId, WriteError> {
        // The verdict names the list by its digest, so it can't come first: the right is not asked for.
        self.write(Say { action: None, ..Self::list(scope, endorsement, actor) }, now)
    }

    fn list<'a>(scope: ScopeId, endorsement: &Endorsement, actor: &'a str) -> Say<'a> {
        // A key of its own: lists stand side by side.
        let key = RecordKey::hash(blake3::hash(&canonical::encode(endorsement)).as_bytes());
        Say::value(scope, Kind::ENDORSEMENT, key, endorsement, actor)
    }
}

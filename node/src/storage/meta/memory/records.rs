//! What the engine that forgets knows by its records: all of it found out from the view at each question.

use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::{Life, TagMode, Value};
use protocol::record::{Held as Kept, Kind, Malformed, Position, RecordId, Records as _, ScopeId};
use protocol::trust::Trust;
use protocol::view::{Kept as _, Stale, Topic};
use protocol::{Digest, MediaType, ProjectName, RepositoryName, Tag, Timestamp};

use super::State;
use crate::storage::meta::{
    Act, Choice, ChooseHead, Chosen, Conflict, DecideTag, Decided, DeletedManifest, DeletedTag, MAX_HEADS, MetaError,
    Project, TagVersion, Taken, What, author, called, pushed_as,
};

fn told(error: Malformed) -> MetaError {
    MetaError::Engine(error.to_string())
}

impl State {
    /// The scope that the name of a project means.
    pub(super) fn scope(&self, name: &ProjectName) -> Option<ScopeId> {
        self.view.named(name).meant()
    }

    /// The heads of a topic, the live one first, deletes last.
    pub(super) fn heads(&self, topic: &Topic) -> Vec<Kept> {
        let deletes = self.view.kept().heads(topic, true, usize::MAX).into_iter().map(|rank| rank.id);
        let heads = self.view.heads(topic).into_iter().chain(deletes);
        heads.filter_map(|id| self.records.get(&id)).collect()
    }

    /// The epoch to write tags under; the site where alone they are written, when there is one.
    pub(super) fn tagging(&self, scope: ScopeId) -> Result<u32, String> {
        match self.view.tag_mode(&self.records, &scope) {
            Some((TagMode::Home(site), _)) => Err(site),
            Some((TagMode::Converge, epoch)) => Ok(epoch),
            None => Ok(0),
        }
    }

    /// What the live version of a topic says.
    fn says(&self, topic: &Topic) -> Option<Value> {
        self.read(topic, &self.view.topic(topic).live?)
    }

    fn read(&self, topic: &Topic, id: &RecordId) -> Option<Value> {
        Value::read(topic.kind, self.records.get(id)?.value.as_deref()?).ok()
    }

    pub(super) fn say(
        &mut self,
        topic: Topic,
        value: Option<&[u8]>,
        due: Timestamp,
        act: &Act,
    ) -> Result<(), MetaError> {
        let prev = self.view.resolve(&topic);
        let record = self.author.write(&mut self.pen, topic, value, &prev, act).map_err(told)?;
        let id = record.id();
        self.records.insert(record, value.map(std::sync::Arc::from)).map_err(told)?;
        self.view.insert(&self.records, &self.trust, &id);
        self.note_entries();
        self.drop_dead(due);
        self.number_tags();
        Ok(())
    }

    pub(super) fn take_in(&mut self, heard: Vec<Kept>, due: Timestamp) -> Result<Taken, MetaError> {
        let (mut taken, mut rest) = (Taken::default(), heard);
        loop {
            let before = rest.len();
            let (known, strangers): (Vec<Kept>, Vec<Kept>) =
                rest.into_iter().partition(|held| self.trust.is_known(&held.record.author()));
            for Kept { record, value } in known {
                let id = record.id();
                let value = value.filter(|value| record.check_value(Some(value)).is_ok());
                let is_new = self.records.get(&id).is_none_or(|held| held.value.is_none() && value.is_some());
                if is_new {
                    self.learn(&record);
                    self.records.insert(record, value).map_err(told)?;
                    taken.taken.push(id);
                }
            }
            let earlier = self.trust.clone();
            self.trust = Trust::evaluate(*earlier.root(), self.records.iter());
            self.view.insert_all(&self.records, &self.trust, &taken.taken);
            let authors = self.trust.changed_since(&earlier);
            self.view.rejudge(&self.records, &self.trust, &Stale { authors, ..Stale::default() });
            if strangers.is_empty() || strangers.len() == before {
                taken.strangers = strangers.iter().map(|held| held.record.id()).collect();
                self.note_entries();
                self.drop_dead(due);
                self.number_tags();
                return Ok(taken);
            }
            rest = strangers;
        }
    }

    fn learn(&mut self, record: &protocol::record::Record) {
        self.pen.last = self.pen.last.max(record.time());
        let Some(Position { incarnation, seq }) = record.body().map(|body| body.position) else { return };
        if record.author() == self.author.key() && incarnation == self.pen.incarnation && seq > self.pen.seq {
            self.pen = self.author.take_up(self.pen.last);
        }
    }

    /// The manifests of a repository that something keeps, in any scope under its name that is held on to.
    fn pinned(&self, name: &RepositoryName) -> BTreeSet<Digest> {
        let scopes = self.view.held_under(&self.records, &name.project());
        scopes.into_iter().flat_map(|scope| self.view.pinned(&self.records, &scope, name).into_keys()).collect()
    }

    /// Removes every manifest that nothing keeps.
    fn drop_dead(&mut self, due: Timestamp) {
        let names: Vec<RepositoryName> = self.repositories.keys().cloned().collect();
        for name in names {
            let pinned = self.pinned(&name);
            let Some(repository) = self.repositories.get_mut(&name) else { continue };
            let dead: BTreeMap<_, _> =
                repository.manifests.extract_if(.., |digest, _| !pinned.contains(digest)).collect();
            let blobs: BTreeSet<Digest> = dead.values().flat_map(|manifest| manifest.pins.iter().copied()).collect();
            let free: Vec<Digest> = blobs
                .into_iter()
                .filter(|blob| repository.pinned_by(blob).is_none() && repository.links.contains_key(blob))
                .collect();
            for blob in free {
                self.lease(&name, &blob, due);
            }
            for digest in dead.keys() {
                self.orphan(digest, due);
            }
        }
    }

    pub(super) fn project(&self, name: &ProjectName) -> Option<Project> {
        let in_force = self.view.in_force(&self.records, &Topic::project(self.scope(name)?));
        let Some(Value::Project(project)) = in_force else { return None };
        let Life::Open(settings) = project.life else { return None };
        let (public, sparse, created) = (settings.public, settings.sparse, settings.created);
        Some(Project { name: project.name, public, sparse, created })
    }

    /// The names of all projects there are.
    pub(super) fn project_names(&self) -> BTreeSet<ProjectName> {
        let names: BTreeSet<_> = self.records.scopes().filter_map(|scope| self.view.facts(&scope).name).collect();
        names.into_iter().filter(|name| self.scope(name).is_some()).collect()
    }

    pub(super) fn create_project(&mut self, project: &Project, act: &Act) -> Result<bool, MetaError> {
        if self.scope(&project.name).is_some() {
            return Ok(false);
        }
        let (scope, value) = self.author.project(project);
        self.say(Topic::project(scope), Some(&value), act.at, act)?;
        self.tell(act, What::ProjectCreated { project: project.name.clone(), public: project.public });
        Ok(true)
    }

    /// The tags of a repository, and what they name.
    pub(super) fn tags(&self, name: &RepositoryName) -> BTreeMap<Tag, Digest> {
        let Some(scope) = self.scope(&name.project()) else { return BTreeMap::new() };
        let keys = self.records.keys(&scope, Kind::TAG).into_iter();
        let own = keys.filter_map(|key| key.as_tag()).filter(|(repository, _)| repository == name);
        own.filter_map(|(_, tag)| Some((tag.clone(), self.tag(name, &tag)?))).collect()
    }

    pub(super) fn tag(&self, name: &RepositoryName, tag: &Tag) -> Option<Digest> {
        match self.says(&Topic::tag(self.scope(&name.project())?, name, tag)) {
            Some(Value::Tagged(tagged)) => tagged.digest,
            _ => None,
        }
    }

    /// Versions of a tag, newest first.
    pub(super) fn history(&self, name: &RepositoryName, tag: &Tag) -> Vec<TagVersion> {
        let Some(scope) = self.scope(&name.project()) else { return Vec::new() };
        let topic = Topic::tag(scope, name, tag);
        let ids = self.records.versions(&topic.scope, topic.kind, &topic.key);
        let mut all: Vec<Kept> = ids.iter().filter_map(|id| self.records.get(id)).collect();
        all.sort_by_key(|held| std::cmp::Reverse((held.record.time(), held.record.id())));
        all.iter().filter_map(|held| TagVersion::read(held).ok()).collect()
    }

    pub(super) fn decide_tag(&mut self, decide: &DecideTag) -> Result<Decided, MetaError> {
        let DecideTag { repository, tag, choice, due, act } = decide;
        let Some(scope) = self.scope(&repository.project()) else { return Ok(Decided::Unknown) };
        let topic = Topic::tag(scope, repository, tag);
        let Some(last) = self.view.topic(&topic).said else { return Ok(Decided::Unknown) };
        let names = |id: &RecordId| match self.read(&topic, id) {
            Some(Value::Tagged(tagged)) => tagged.digest,
            _ => None,
        };
        let heads = self.view.heads(&topic);
        let digest = match choice {
            Choice::Head(_) if heads.len() < 2 => return Ok(Decided::Settled),
            Choice::Head(digest) if heads.iter().any(|head| names(head) == Some(*digest)) => *digest,
            Choice::Head(_) => return Ok(Decided::NoHead),
            Choice::Last if !heads.is_empty() => return Ok(Decided::Settled),
            Choice::Last => match names(&last.id) {
                Some(digest) => digest,
                None => return Ok(Decided::Unknown),
            },
        };
        if self.repository(repository).is_none_or(|content| !content.manifests.contains_key(&digest)) {
            return Ok(Decided::ManifestGone(digest));
        }
        let epoch = match self.tagging(scope) {
            Ok(epoch) => epoch,
            Err(site) => return Ok(Decided::NotHome(site)),
        };
        self.tell(act, What::TagDecided { repository: repository.clone(), tag: tag.clone(), digest });
        self.say(topic, Some(&author::tagged(Some(digest), epoch)), *due, act)?;
        Ok(Decided::Done(digest))
    }

    pub(super) fn choose_head(&mut self, choose: &ChooseHead) -> Result<Chosen, MetaError> {
        let ChooseHead { record, due, act } = choose;
        let Some(held) = self.records.get(record) else { return Ok(Chosen::Unknown) };
        let Some((topic, value)) = Topic::of(&held.record).zip(held.value) else { return Ok(Chosen::Unknown) };
        if let Some((repository, tag)) = topic.key.as_tag().filter(|_| topic.kind == Kind::TAG) {
            return Ok(Chosen::Tag(repository, tag));
        }
        if !self.view.topic(&topic).is_conflict() || !self.view.heads(&topic).contains(record) {
            return Ok(Chosen::Settled);
        }
        let about = format!("{} {}", topic.kind, called(&topic));
        self.tell(act, What::ConflictSettled { about, record: record.to_string() });
        self.say(topic, Some(&value), *due, act)?;
        Ok(Chosen::Done)
    }

    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let topics: BTreeSet<Topic> = self.records.iter().filter_map(|held| Topic::of(&held.record)).collect();
        let contested = topics.into_iter().filter(|topic| self.view.topic(topic).is_conflict());
        let conflict = |topic: Topic| {
            let heads = self.view.heads(&topic);
            let shown = heads.iter().take(MAX_HEADS).filter_map(|id| self.records.get(id)).collect();
            Conflict { topic, heads: shown, count: heads.len() as u64 }
        };
        contested.map(conflict).collect()
    }

    pub(super) fn deleted_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Option<MediaType> {
        let topic = Topic::manifest(self.scope(&repository.project())?, repository, digest);
        let view = self.view.topic(&topic);
        let said = view.said.filter(|_| view.is_deleted())?;
        pushed_as(&self.records.get(&said.id)?)
    }

    pub(super) fn delete_tag(
        &mut self,
        name: &RepositoryName,
        tag: &Tag,
        due: Timestamp,
        act: &Act,
    ) -> Result<DeletedTag, MetaError> {
        let Some(scope) = self.scope(&name.project()) else { return Ok(DeletedTag::Absent) };
        let Some(digest) = self.tag(name, tag) else { return Ok(DeletedTag::Absent) };
        let epoch = match self.tagging(scope) {
            Ok(epoch) => epoch,
            Err(site) => return Ok(DeletedTag::NotHome(site)),
        };
        self.tell(act, What::TagDeleted { repository: name.clone(), tag: tag.clone(), digest });
        self.say(Topic::tag(scope, name, tag), Some(&author::tagged(None, epoch)), due, act)?;
        Ok(DeletedTag::Done(digest))
    }

    pub(super) fn delete_manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        due: Timestamp,
        act: &Act,
    ) -> Result<DeletedManifest, MetaError> {
        let holds = |state: &Self| state.repository(name).is_some_and(|content| content.manifests.contains_key(digest));
        let Some(scope) = self.scope(&name.project()).filter(|_| holds(self)) else {
            return Ok(DeletedManifest::Absent);
        };
        let tags: Vec<Tag> =
            self.tags(name).into_iter().filter(|(_, named)| named == digest).map(|(tag, _)| tag).collect();
        let epoch = match self.tagging(scope) {
            Err(site) if !tags.is_empty() => return Ok(DeletedManifest::NotHome(site)),
            epoch => epoch.unwrap_or_default(),
        };
        self.tell(act, What::ManifestDeleted { repository: name.clone(), digest: *digest, tags: tags.clone() });
        for tag in &tags {
            self.say(Topic::tag(scope, name, tag), Some(&author::tagged(None, epoch)), due, act)?;
        }
        self.say(Topic::manifest(scope, name, digest), None, due, act)?;
        Ok(DeletedManifest::Done { tags, kept_by: self.named_by(name, digest) })
    }

    /// The least of the manifests that are alive, in any scope under its name that is held on to, and name this one.
    pub(super) fn named_by(&self, name: &RepositoryName, digest: &Digest) -> Option<Digest> {
        let scopes = self.view.held_under(&self.records, &name.project());
        scopes.into_iter().flat_map(|scope| self.parents(scope, name, digest)).min()
    }

    /// The manifests that are alive and name this one.
    pub(super) fn parents(&self, scope: ScopeId, name: &RepositoryName, digest: &Digest) -> BTreeSet<Digest> {
        let alive = self.view.pinned(&self.records, &scope, name).into_iter();
        let names_it = |parent: &Digest, described: Option<RecordId>| {
            let topic = Topic::manifest(scope, name, parent);
            let mut says = self.view.heads(&topic);
            says.extend(described);
            says.iter().any(|id| match self.read(&topic, id) {
                Some(Value::Pushed(pushed)) => pushed.children.contains(digest),
                _ => false,
            })
        };
        alive.filter(|(parent, alive)| names_it(parent, alive.described)).map(|(parent, _)| parent).collect()
    }
}

//! What listings show, for the engine that forgets: found out by looking at everything, but for the numbers, which are
//! given out in the order in which things come.

use std::collections::BTreeMap;

use protocol::record::value::Value;
use protocol::record::{Kind, Records as _, ScopeId};
use protocol::view::Topic;
use protocol::{Digest, ProjectName, RepositoryName, Tag, Timestamp};

use super::{Manifest, State};
use crate::storage::meta::{
    Act, ArtifactOrder, ArtifactView, DeletedRepository, DeletedTo, FindRepositories, MetaError, Pulled, RepositoryKey,
    RepositoryOrder, RepositoryView, Shown, Slice, TagView, What, author,
};

/// What is known of a repository beside what is in it.
#[derive(Debug)]
pub(super) struct Known {
    id: u32,
    since: Timestamp,
    updated: Timestamp,
    description: String,
    pulls: u64,
    pulled: Option<Timestamp>,
    /// The numbers of its tags, and when each was last pulled.
    tags: BTreeMap<Tag, (u32, Option<Timestamp>)>,
}

/// A part of everything.
fn slice<T>(all: Vec<T>, slice: Slice) -> Shown<T> {
    let total = all.len() as u64;
    let offset = usize::try_from(slice.offset).unwrap_or(usize::MAX);
    Shown { items: all.into_iter().skip(offset).take(slice.limit).collect(), total }
}

impl State {
    pub(super) fn next_id(&mut self) -> u32 {
        self.ids += 1;
        self.ids
    }

    /// Notes that something was pushed to a repository.
    pub(super) fn note_repository(&mut self, name: &RepositoryName, at: Timestamp) {
        if !self.known.contains_key(name) {
            let (id, description, tags) = (self.next_id(), String::new(), BTreeMap::new());
            let known = Known { id, since: at, updated: at, description, pulls: 0, pulled: None, tags };
            self.known.insert(name.clone(), known);
        }
    }

    /// Notes that a manifest came to it.
    pub(super) fn touch(&mut self, name: &RepositoryName, at: Timestamp) {
        if let Some(known) = self.known.get_mut(name) {
            known.updated = known.updated.max(at);
        }
    }

    /// Gives tags that are new their numbers, and makes the repositories known that they are in; forgets those that are
    /// gone.
    pub(super) fn number_tags(&mut self) {
        let scopes: Vec<ScopeId> = self.project_names().iter().filter_map(|name| self.scope(name)).collect();
        for scope in scopes {
            for (name, tag) in self.records.keys(&scope, Kind::TAG).into_iter().filter_map(|key| key.as_tag()) {
                let is_numbered = |state: &Self| state.known.get(&name).is_some_and(|k| k.tags.contains_key(&tag));
                if self.tag(&name, &tag).is_some() && !is_numbered(self) {
                    self.note_repository(&name, Timestamp(0));
                    let id = self.next_id();
                    if let Some(known) = self.known.get_mut(&name) {
                        known.tags.insert(tag, (id, None));
                    }
                }
            }
        }
        let mut known = std::mem::take(&mut self.known);
        for (name, known) in &mut known {
            known.tags.retain(|tag, _| self.tag(name, tag).is_some());
        }
        self.known = known;
    }

    /// What a tag names, and the time of the record that says so.
    pub(super) fn tag_since(&self, name: &RepositoryName, tag: &Tag) -> Option<(Digest, Timestamp)> {
        let topic = Topic::tag(self.scope(&name.project())?, name, tag);
        let held = self.records.get(&self.view.topic(&topic).live?)?;
        match Value::read(topic.kind, held.value.as_deref()?) {
            Ok(Value::Tagged(tagged)) => Some((tagged.digest?, held.record.time().moment())),
            _ => None,
        }
    }

    pub(super) fn tag_views(&self, name: &RepositoryName) -> Vec<TagView> {
        let numbers = self.known.get(name).into_iter().flat_map(|known| &known.tags);
        let view = |(tag, (id, pulled)): (&Tag, &(u32, Option<Timestamp>))| {
            let (digest, pushed) = self.tag_since(name, tag)?;
            Some(TagView { id: *id, name: tag.clone(), digest, pushed, pulled: *pulled })
        };
        numbers.filter_map(view).collect()
    }

    /// Whether a manifest stands for itself.
    fn stands(&self, name: &RepositoryName, manifest: &Manifest) -> bool {
        let digest = &manifest.stored.digest;
        let is_tagged = || self.tags(name).values().any(|named| named == digest);
        let scopes = self.view.held_under(&self.records, &name.project());
        let has_parents = || scopes.into_iter().any(|scope| !self.parents(scope, name, digest).is_empty());
        manifest.subject.is_none() && (is_tagged() || !has_parents())
    }

    pub(super) fn artifact_views(&self, name: &RepositoryName, order: ArtifactOrder) -> Vec<ArtifactView> {
        let manifests = self.repository(name).into_iter().flat_map(|content| content.manifests.values());
        match order {
            ArtifactOrder::Digest => {
                let mut all: Vec<_> = manifests.map(Manifest::view).collect();
                all.sort_by_key(|view| view.digest.to_key());
                all
            }
            ArtifactOrder::Newest => {
                let mut all: Vec<_> = manifests.filter(|one| self.stands(name, one)).map(Manifest::view).collect();
                all.sort_by_key(|view| std::cmp::Reverse((view.pushed, view.id)));
                all
            }
        }
    }

    pub(super) fn repository_view(&self, name: &RepositoryName) -> Option<RepositoryView> {
        let known = self.known.get(name)?;
        let count = |order| self.artifact_views(name, order).len() as u64;
        Some(RepositoryView {
            id: known.id,
            name: name.clone(),
            created: known.since,
            updated: known.updated,
            description: known.description.clone(),
            artifacts: count(ArtifactOrder::Newest),
            manifests: count(ArtifactOrder::Digest),
            tags: known.tags.len() as u64,
            pulls: known.pulls,
            last_pull: known.pulled,
        })
    }

    pub(super) fn all_repositories(&self) -> Vec<RepositoryView> {
        self.known.keys().filter_map(|name| self.repository_view(name)).collect()
    }

    pub(super) fn shown_repositories(
        &self,
        project: Option<&ProjectName>,
        order: RepositoryOrder,
        part: Slice,
    ) -> Shown<RepositoryView> {
        let mut all = self.all_repositories();
        all.retain(|view| project.is_none_or(|project| view.name.project() == *project));
        if order == RepositoryOrder::Newest {
            all.sort_by_key(|view| std::cmp::Reverse(view.id));
        }
        slice(all, part)
    }

    pub(super) fn find_repositories(&self, find: &FindRepositories) -> Shown<RepositoryView> {
        let mut all = self.all_repositories();
        all.retain(|view| find.takes(view.name.as_str()));
        all.retain(|view| find.projects.as_ref().is_none_or(|projects| projects.contains(&view.name.project())));
        match find.by {
            RepositoryKey::Name => {}
            RepositoryKey::Created => all.sort_by_key(|view| view.id),
            RepositoryKey::Updated => all.sort_by_key(|view| (view.updated, view.id)),
        }
        if find.descending {
            all.reverse();
        }
        slice(all, find.slice)
    }

    pub(super) fn artifacts(
        &self,
        name: &RepositoryName,
        order: ArtifactOrder,
        part: Slice,
    ) -> Option<Shown<ArtifactView>> {
        self.known.get(name)?;
        Some(slice(self.artifact_views(name, order), part))
    }

    pub(super) fn shown_tags(&self, name: &RepositoryName, part: Slice) -> Option<Shown<TagView>> {
        self.known.get(name)?;
        Some(slice(self.tag_views(name), part))
    }

    pub(super) fn describe_repository(&mut self, name: &RepositoryName, description: String, act: &Act) -> bool {
        let Some(known) = self.known.get_mut(name) else { return false };
        known.description = description;
        known.updated = known.updated.max(act.at);
        self.tell(act, What::RepositoryDescribed { repository: name.clone() });
        true
    }

    pub(super) fn delete_repository(
        &mut self,
        name: &RepositoryName,
        (from, most): (&DeletedTo, usize),
        due: Timestamp,
        act: &Act,
    ) -> Result<DeletedRepository, MetaError> {
        let Some(scope) = self.scope(&name.project()) else { return Ok(DeletedRepository::Absent) };
        let Some(view) = self.repository_view(name) else { return Ok(DeletedRepository::Absent) };
        let (manifests, tags) = (view.manifests, view.tags);
        let epoch = match self.tagging(scope) {
            Err(site) if tags > 0 => return Ok(DeletedRepository::NotHome(site)),
            epoch => epoch.unwrap_or_default(),
        };
        if *from == DeletedTo::Nothing {
            self.tell(act, What::RepositoryDeleted { repository: name.clone(), manifests, tags });
        }
        let (mut left, mut all_tags) = (most.max(1), self.tags(name));
        match from {
            DeletedTo::Nothing => {}
            DeletedTo::Tag(to) => all_tags.retain(|tag, _| tag > to),
            DeletedTo::Manifest(_) => all_tags.clear(),
        }
        for tag in all_tags.keys() {
            self.say(Topic::tag(scope, name, tag), Some(&author::tagged(None, epoch)), due, act)?;
            left -= 1;
            if left == 0 {
                return Ok(DeletedRepository::More(DeletedTo::Tag(tag.clone())));
            }
        }
        let is_next = |digest: &Digest| !matches!(from, DeletedTo::Manifest(to) if digest <= to);
        let alive = self.view.pinned(&self.records, &scope, name);
        for (digest, _) in alive.iter().filter(|(digest, alive)| alive.own && is_next(digest)) {
            self.say(Topic::manifest(scope, name, digest), None, due, act)?;
            left -= 1;
            if left == 0 {
                return Ok(DeletedRepository::More(DeletedTo::Manifest(*digest)));
            }
        }
        if self.repository(name).is_none_or(|content| content.manifests.is_empty()) {
            self.known.remove(name);
        }
        Ok(DeletedRepository::Done)
    }

    pub(super) fn note_pulls(&mut self, pulls: &[Pulled]) {
        for Pulled { repository, digest, tag, count, last } in pulls {
            let content = self.repositories.get_mut(repository);
            let Some(manifest) = content.and_then(|content| content.manifests.get_mut(digest)) else { continue };
            manifest.pulled = manifest.pulled.max(Some(*last));
            let Some(known) = self.known.get_mut(repository) else { continue };
            known.pulls += count;
            known.pulled = known.pulled.max(Some(*last));
            if let Some((_, pulled)) = tag.as_ref().and_then(|tag| known.tags.get_mut(tag)) {
                *pulled = (*pulled).max(Some(*last));
            }
        }
    }
}

impl Manifest {
    pub(super) fn view(&self) -> ArtifactView {
        ArtifactView {
            id: self.id,
            digest: self.stored.digest,
            media_type: self.stored.media_type.clone(),
            artifact_type: self.referrer.artifact_type.clone(),
            subject: self.subject,
            size: self.stored.bytes.len() as u64,
            total: self.total,
            pushed: self.pushed,
            pulled: self.pulled,
        }
    }
}

//! Whether the rows are what the records say: all of them, judged and viewed from nothing by [`protocol::view`].
//!
//! Owns no state and changes nothing. It knows no engine: both answer through [`MetaStore`], so the same check holds
//! each of them, in tests and after a rebuild. Its memory follows the largest project.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::{self, Life, Value};
use protocol::record::{Held, Kind, RecordId, RecordSet, Records as _, ScopeId};
use protocol::trust::{Bearing, Trust};
use protocol::view::{InMemory, Topic, View};
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag};

use super::entry::is_governed;
use super::{Listing, MetaError, MetaStore, Page, RecordAt};

const PAGE: usize = 256;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records looked at.
    pub records: u64,
    /// Where rows and records differ, in words.
    pub differences: Vec<String>,
}

/// What the records of a scope say is there.
#[derive(Debug)]
struct Content {
    scope: ScopeId,
    /// Whether what is in it is held on to.
    kept: bool,
    project: Option<super::Project>,
    tags: BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>,
    /// Manifests that something keeps; those with a version of their own with the type they were pushed under.
    pinned: BTreeMap<(RepositoryName, Digest), Option<MediaType>>,
}

/// What all records together say is there.
#[derive(Debug, Default)]
struct Expected {
    projects: BTreeMap<ProjectName, super::Project>,
    repositories: BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>,
    manifests: BTreeMap<(RepositoryName, Digest), Option<MediaType>>,
    /// The scopes that names mean.
    meant: BTreeSet<ScopeId>,
}

struct Checking<'a> {
    meta: &'a dyn MetaStore,
    trust: Trust,
    /// Whether all was said in one life of this node, and no other site was ever let in.
    alone: bool,
    contents: BTreeMap<ProjectName, Vec<Content>>,
    /// What is in force of what is governed, and of projects, whether their name means them or not.
    in_force: BTreeMap<Topic, Value>,
    report: Report,
}

/// Compares every row that follows from records with the live view of all records. A manifest that is alive and not here
/// is a difference only where this node alone ever spoke, in one life: its bytes may be elsewhere.
///
/// # Errors
/// [`MetaError`] when something can't be read.
pub async fn rows_follow_records(meta: &dyn MetaStore) -> Result<Report, MetaError> {
    let trust = Trust::evaluate(meta.membership().root, []);
    let mut checking = Checking {
        meta,
        trust,
        alone: true,
        contents: BTreeMap::new(),
        in_force: BTreeMap::new(),
        report: Report::default(),
    };
    checking.trust().await?;
    checking.read().await?;
    let mut expected = checking.expected();
    checking.projects(&expected.projects).await?;
    checking.tags(std::mem::take(&mut expected.repositories)).await?;
    checking.manifests(&expected.manifests, expected.projects.keys()).await?;
    checking.entries(&expected.meant).await?;
    Ok(checking.report)
}

impl Checking<'_> {
    /// Reads what bears on trust.
    async fn trust(&mut self) -> Result<(), MetaError> {
        let (mut acts, mut after, mut lives, mut others) = (Vec::new(), None, BTreeSet::new(), false);
        loop {
            let Listing { items, more } = self.meta.records(after, PAGE).await?;
            after = items.last().map(RecordAt::of);
            let life = |held: &Held| held.record.body().map(|body| (held.record.author(), body.position.incarnation));
            // What let this node in does not make it one of several.
            let membership = self.meta.membership();
            let own = |held: &Held| membership.chain.iter().any(|known| known.record.id() == held.record.id());
            lives.extend(items.iter().filter(|held| !own(held)).map(life));
            let is_act = |held: &Held| self.trust.bearing(&held.record, held.value.as_deref()) != Bearing::None;
            others |= items.iter().any(|held| is_act(held) && !own(held));
            acts.extend(items.into_iter().filter(is_act));
            if !more {
                self.alone = !others && lives.len() < 2;
                self.trust = Trust::evaluate(self.meta.membership().root, &acts);
                return Ok(());
            }
        }
    }

    /// Reads all records, scope by scope.
    async fn read(&mut self) -> Result<(), MetaError> {
        let mut after: Option<RecordAt> = None;
        let mut of_scope = RecordSet::default();
        loop {
            let Listing { items, more } = self.meta.records(after, PAGE).await?;
            for held in items {
                let at = RecordAt::of(&held);
                if after.is_some_and(|before| before.scope != at.scope) {
                    self.scope(&std::mem::take(&mut of_scope)).await?;
                }
                after = Some(at);
                self.report.records += 1;
                let taken = of_scope.insert(held.record, held.value);
                taken.map_err(|error| MetaError::Damaged(format!("record {}: {error}", at.id)))?;
            }
            if !more {
                return self.scope(&of_scope).await;
            }
        }
    }

    /// Judges and views what was said in a scope, and holds the heads that are kept against it.
    async fn scope(&mut self, records: &RecordSet) -> Result<(), MetaError> {
        let view = View::from_scratch(*self.trust.mesh(), records, &self.trust);
        let topics: BTreeSet<Topic> = records.iter().filter_map(|held| Topic::of(&held.record)).collect();
        for topic in topics {
            let mut heads: Vec<_> = view.versions(records, &topic).into_iter().filter(|version| version.head).collect();
            heads.sort_unstable_by_key(|version| Reverse((!version.deletes, version.rank)));
            let heads: Vec<RecordId> = heads.iter().map(|version| version.rank.id).collect();
            let kept = self.meta.heads(&topic).await?;
            let kept: Vec<RecordId> = kept.iter().map(|held| held.record.id()).collect();
            self.hold(kept == heads, || format!("{topic:?} has the heads {heads:?}, kept are {kept:?}"));
            if is_governed(topic.kind) || topic == Topic::project(topic.scope) {
                self.in_force.extend(view.in_force(records, &topic).map(|value| (topic, value)));
            }
        }
        for scope in records.scopes() {
            if let Some(name) = view.facts(&scope).name {
                let content = Content::of(&view, records, &name, scope);
                self.contents.entry(name).or_default().push(content);
            }
        }
        Ok(())
    }

    /// Joins the scopes under each name: it means the open one that was made first.
    fn expected(&mut self) -> Expected {
        let mut expected = Expected::default();
        for (name, scopes) in std::mem::take(&mut self.contents) {
            let made = |content: &&Content| content.project.as_ref().map(|project| (project.created, content.scope));
            let meant = scopes.iter().filter(|content| content.project.is_some()).min_by_key(made);
            if let Some(meant) = meant {
                expected.meant.insert(meant.scope);
                expected.projects.extend(meant.project.clone().map(|project| (name, project)));
                expected.repositories.extend(meant.tags.clone());
            }
            let kept = scopes.into_iter().filter(|content| content.kept);
            for (manifest, described) in kept.flat_map(|content| content.pinned) {
                let known = expected.manifests.entry(manifest).or_default();
                *known = known.take().or(described);
            }
        }
        expected
    }

    fn hold(&mut self, holds: bool, difference: impl FnOnce() -> String) {
        if !holds {
            self.report.differences.push(difference());
        }
    }

    async fn projects(&mut self, expected: &BTreeMap<ProjectName, super::Project>) -> Result<(), MetaError> {
        let mut found = BTreeMap::new();
        let mut page = Page { after: None, limit: PAGE };
        loop {
            let listing = self.meta.projects(page).await?;
            let last = listing.items.last().map(|project| project.name.to_string());
            found.extend(listing.items.into_iter().map(|project| (project.name.clone(), project)));
            if !listing.more {
                break;
            }
            page = Page { after: last, limit: PAGE };
        }
        self.hold(found == *expected, || format!("projects are {found:?}, by the records {expected:?}"));
        Ok(())
    }

    /// Entries are what is in force, each told at the number of its last change.
    async fn entries(&mut self, meant: &BTreeSet<ScopeId>) -> Result<(), MetaError> {
        let mut found = BTreeMap::new();
        let mut after = 0;
        loop {
            let entries = self.meta.entries(after, PAGE).await?;
            let Some(last) = entries.last().map(|entry| entry.at) else { break };
            self.hold(last > after, || format!("an entry of change {last} comes after {after}"));
            after = last.max(after + 1);
            found.extend(entries.into_iter().filter_map(|entry| Some((entry.topic, entry.value?))));
        }
        let shown = |topic: &Topic| is_governed(topic.kind) || meant.contains(&topic.scope);
        let expected: BTreeMap<Topic, Value> =
            std::mem::take(&mut self.in_force).into_iter().filter(|(topic, _)| shown(topic)).collect();
        self.hold(found == expected, || format!("entries are {found:?}, by the records {expected:?}"));
        Ok(())
    }

    async fn tags(&mut self, mut expected: BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>) -> Result<(), MetaError> {
        let mut page = Page { after: None, limit: PAGE };
        loop {
            let listing = self.meta.repositories(page).await?;
            for repository in &listing.items {
                let tags = expected.remove(repository).unwrap_or_default();
                self.tags_of(repository, &tags).await?;
            }
            if !listing.more {
                break;
            }
            page = Page { after: listing.items.last().map(ToString::to_string), limit: PAGE };
        }
        self.hold(expected.is_empty(), || format!("by the records there are the repositories {expected:?}"));
        Ok(())
    }

    async fn tags_of(
        &mut self,
        repository: &RepositoryName,
        expected: &BTreeMap<Tag, Digest>,
    ) -> Result<(), MetaError> {
        let (mut found, mut served) = (BTreeSet::new(), true);
        let mut page = Page { after: None, limit: PAGE };
        while let Some(listing) = self.meta.tags(repository, page).await? {
            for tag in &listing.items {
                let named = self.meta.manifest(repository, &Reference::Tag(tag.clone())).await?;
                // A tag may name what is not here.
                served &= match named {
                    Some(manifest) => Some(&manifest.digest) == expected.get(tag),
                    None => !self.alone,
                };
                found.insert(tag.clone());
            }
            if !listing.more {
                break;
            }
            page = Page { after: listing.items.last().map(ToString::to_string), limit: PAGE };
        }
        let same = served && found.iter().eq(expected.keys());
        self.hold(same, || format!("the tags of {repository} are {found:?}, by the records {expected:?}"));
        Ok(())
    }

    async fn manifests(
        &mut self,
        expected: &BTreeMap<(RepositoryName, Digest), Option<MediaType>>,
        projects: impl Iterator<Item = &ProjectName>,
    ) -> Result<(), MetaError> {
        let mut count = 0;
        let mut published: BTreeMap<ProjectName, BTreeMap<Digest, u64>> =
            projects.map(|name| (name.clone(), BTreeMap::new())).collect();
        for ((repository, digest), media_type) in expected {
            let found = self.meta.manifest(repository, &Reference::Digest(*digest)).await?;
            if let Some(manifest) = &found {
                count += 1;
                let of_project = published.entry(repository.project()).or_default();
                of_project.insert(*digest, manifest.bytes.len() as u64);
                for blob in self.meta.pinned_blobs(repository, digest).await? {
                    let linked = self.meta.blob(repository, &blob).await?;
                    of_project.extend(linked.map(|row| (blob, row.size)));
                }
            }
            let found = found.map(|manifest| manifest.media_type);
            let may_differ = !self.alone || media_type.is_none();
            self.hold(may_differ || found == *media_type, || {
                format!("{repository}@{digest} is {found:?}, by the records {media_type:?}")
            });
        }
        let counted = self.meta.counts().await?.manifests;
        self.hold(counted == count, || format!("there are {counted} manifests, {count} of them by the records"));
        self.usage(published).await
    }
}

impl Checking<'_> {
    /// What each project uses is what is published in it.
    async fn usage(&mut self, published: BTreeMap<ProjectName, BTreeMap<Digest, u64>>) -> Result<(), MetaError> {
        for (project, digests) in published {
            let (found, sum) = (self.meta.project_bytes(&project).await?, digests.values().sum::<u64>());
            self.hold(found == sum, || format!("the project {project} uses {found} bytes, {sum} are published in it"));
        }
        Ok(())
    }
}

impl Content {
    fn of(view: &View<InMemory>, records: &RecordSet, name: &ProjectName, scope: ScopeId) -> Self {
        let read = |topic: &Topic, id: &RecordId| Value::read(topic.kind, records.get(id)?.value.as_deref()?).ok();
        let shown = match view.in_force(records, &Topic::project(scope)) {
            Some(Value::Project(value::Project { life: Life::Open(settings), .. })) if view.facts(&scope).is_open() => {
                let (public, sparse, created) = (settings.public, settings.sparse, settings.created);
                Some(super::Project { name: name.clone(), public, sparse, created })
            }
            _ => None,
        };
        let kept = view.held_under(records, name).contains(&scope);
        let mut content = Self { scope, kept, project: shown, tags: BTreeMap::new(), pinned: BTreeMap::new() };
        for (repository, tag) in records.keys(&scope, Kind::TAG).into_iter().filter_map(|key| key.as_tag()) {
            let topic = Topic::tag(scope, &repository, &tag);
            if let Some(Value::Tagged(tagged)) = view.topic(&topic).live.and_then(|id| read(&topic, &id)) {
                content.tags.entry(repository).or_default().extend(tagged.digest.map(|digest| (tag, digest)));
            }
        }
        for repository in view.repositories(&scope) {
            for (digest, alive) in view.pinned(records, &scope, &repository) {
                let topic = Topic::manifest(scope, &repository, &digest);
                // What lives through others alone may have been named after its bytes had gone.
                let described = match alive.described.filter(|_| alive.own).and_then(|id| read(&topic, &id)) {
                    Some(Value::Pushed(pushed)) => Some(pushed.media_type),
                    _ => None,
                };
                content.pinned.insert((repository.clone(), digest), described);
            }
        }
        content
    }
}

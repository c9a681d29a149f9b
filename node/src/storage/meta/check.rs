//! Whether the rows are what the records say: all of them, judged and viewed from nothing by [`protocol::view`].
//!
//! Owns no state and changes nothing. It knows no engine: both answer through [`MetaStore`], so the same check holds
//! each of them, in tests and after a rebuild. Its memory follows the largest project.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::{Life, Value};
use protocol::record::{MeshId, RecordId, RecordSet, Records as _};
use protocol::trust::Trust;
use protocol::view::{Topic, View};
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag};

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

/// What the records say is there.
#[derive(Debug, Default)]
struct Expected {
    projects: BTreeMap<ProjectName, super::Project>,
    repositories: BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>,
    manifests: BTreeMap<(RepositoryName, Digest), MediaType>,
}

struct Checking<'a> {
    meta: &'a dyn MetaStore,
    expected: Expected,
    report: Report,
}

/// Compares every row that follows from records with the live view of all records.
///
/// # Errors
/// [`MetaError`] when something can't be read.
pub async fn rows_follow_records(meta: &dyn MetaStore) -> Result<Report, MetaError> {
    let mut checking = Checking { meta, expected: Expected::default(), report: Report::default() };
    checking.read().await?;
    checking.projects().await?;
    checking.tags().await?;
    checking.manifests().await?;
    Ok(checking.report)
}

impl Checking<'_> {
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
        let root = self.meta.author();
        let trust = Trust::evaluate(root, records.iter());
        let view = View::from_scratch(MeshId::of(&root), records, &trust);
        let topics: BTreeSet<Topic> = records.iter().filter_map(|held| Topic::of(&held.record)).collect();
        for topic in topics {
            let mut heads: Vec<_> = view.versions(records, &topic).into_iter().filter(|version| version.head).collect();
            heads.sort_unstable_by_key(|version| Reverse((!version.deletes, version.rank)));
            let heads: Vec<RecordId> = heads.iter().map(|version| version.rank.id).collect();
            let kept = self.meta.heads(&topic).await?;
            let kept: Vec<RecordId> = kept.iter().map(|held| held.record.id()).collect();
            self.hold(kept == heads, || format!("{topic:?} has the heads {heads:?}, kept are {kept:?}"));
            let live = view.topic(&topic).live.and_then(|id| records.get(&id));
            let Some(value) = live.and_then(|live| live.value) else { continue };
            match Value::read(topic.kind, &value) {
                Ok(value) => self.expect(&topic, value),
                Err(error) => self.report.differences.push(format!("{topic:?}: {error}")),
            }
        }
        Ok(())
    }

    fn expect(&mut self, topic: &Topic, value: Value) {
        let Expected { projects, repositories, manifests } = &mut self.expected;
        if let (Value::Tagged(tagged), Some((repository, tag))) = (&value, topic.key.as_tag()) {
            repositories.entry(repository).or_default().extend(tagged.digest.map(|digest| (tag, digest)));
        } else if let (Value::Pushed(pushed), Some(place)) = (&value, topic.key.as_manifest()) {
            manifests.insert(place, pushed.media_type.clone());
        } else if let Value::Project(project) = value
            && let Life::Open(settings) = project.life
        {
            let (public, sparse, created) = (settings.public, settings.sparse, settings.created);
            let shown = super::Project { name: project.name.clone(), public, sparse, created };
            projects.insert(project.name, shown);
        }
    }

    fn hold(&mut self, holds: bool, difference: impl FnOnce() -> String) {
        if !holds {
            self.report.differences.push(difference());
        }
    }

    async fn projects(&mut self) -> Result<(), MetaError> {
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
        let expected = std::mem::take(&mut self.expected.projects);
        self.hold(found == expected, || format!("projects are {found:?}, by the records {expected:?}"));
        Ok(())
    }

    async fn tags(&mut self) -> Result<(), MetaError> {
        let mut expected = std::mem::take(&mut self.expected.repositories);
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
        let mut found = BTreeMap::new();
        let mut page = Page { after: None, limit: PAGE };
        while let Some(listing) = self.meta.tags(repository, page).await? {
            for tag in &listing.items {
                let named = self.meta.manifest(repository, &Reference::Tag(tag.clone())).await?;
                found.insert(tag.clone(), named.map(|manifest| manifest.digest));
            }
            if !listing.more {
                break;
            }
            page = Page { after: listing.items.last().map(ToString::to_string), limit: PAGE };
        }
        let same = found.len() == expected.len()
            && found.iter().zip(expected).all(|(one, other)| one == (other.0, &Some(*other.1)));
        self.hold(same, || format!("the tags of {repository} are {found:?}, by the records {expected:?}"));
        Ok(())
    }

    async fn manifests(&mut self) -> Result<(), MetaError> {
        let expected = std::mem::take(&mut self.expected.manifests);
        let counted = self.meta.counts().await?.manifests;
        let count = expected.len() as u64;
        self.hold(counted == count, || format!("there are {counted} manifests, by the records {count}"));
        for ((repository, digest), media_type) in &expected {
            let found = self.meta.manifest(repository, &Reference::Digest(*digest)).await?;
            let found = found.map(|manifest| manifest.media_type);
            self.hold(found.as_ref() == Some(media_type), || {
                format!("{repository}@{digest} is {found:?}, by the records {media_type}")
            });
        }
        Ok(())
    }
}

//! Whether the rows are what the records say: all of them, worked out from nothing.
//!
//! Owns no state and changes nothing. It knows no engine: both answer through [`MetaStore`], so the same check holds
//! each of them, in tests and after a rebuild. Its memory follows the largest project.

use std::collections::{BTreeMap, BTreeSet};

use protocol::identity::NodeKey;
use protocol::record::value::{Life, Value};
use protocol::record::{Held, HybridTime, Incarnation, Kind, RecordId, RecordKey, ScopeId};
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag};

use super::{Listing, MetaError, MetaStore, Page, RecordAt, Topic};

const PAGE: usize = 256;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records looked at.
    pub records: u64,
    /// Where rows and records differ, in words.
    pub differences: Vec<String>,
}

/// The versions of a topic, as far as it takes to find its heads.
#[derive(Debug, Default)]
struct Versions {
    all: BTreeMap<RecordId, (HybridTime, NodeKey, Incarnation, u64)>,
    named: BTreeSet<RecordId>,
    last: BTreeMap<(NodeKey, Incarnation), u64>,
}

impl Versions {
    fn add(&mut self, held: &Held) {
        let (record, Some(body)) = (&held.record, held.record.body()) else { return };
        let (incarnation, seq) = (body.position.incarnation, body.position.seq);
        self.all.insert(record.id(), (record.time(), record.author(), incarnation, seq));
        self.named.extend(&body.prev);
        let last = self.last.entry((record.author(), incarnation)).or_default();
        *last = seq.max(*last);
    }

    /// The versions no other covers, the greatest first.
    fn heads(&self) -> Vec<RecordId> {
        let is_head = |(id, (_, author, incarnation, seq)): &(&RecordId, &(HybridTime, NodeKey, Incarnation, u64))| {
            !self.named.contains(id) && self.last.get(&(*author, *incarnation)) == Some(seq)
        };
        let mut heads: Vec<_> = self.all.iter().filter(is_head).map(|(id, version)| (version.0, *id)).collect();
        heads.sort_unstable();
        heads.into_iter().rev().map(|(_, id)| id).collect()
    }
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
        let mut topics: BTreeMap<(Kind, RecordKey), Versions> = BTreeMap::new();
        loop {
            let Listing { items, more } = self.meta.records(after, PAGE).await?;
            for held in &items {
                let at = RecordAt::of(held);
                if let Some(before) = after.filter(|before| before.scope != at.scope) {
                    self.scope(before.scope, std::mem::take(&mut topics)).await?;
                }
                after = Some(at);
                self.report.records += 1;
                if let Some(body) = held.record.body() {
                    topics.entry((body.kind, body.key.clone())).or_default().add(held);
                }
            }
            if !more {
                break;
            }
        }
        match after {
            Some(last) => self.scope(last.scope, topics).await,
            None => Ok(()),
        }
    }

    async fn scope(&mut self, scope: ScopeId, topics: BTreeMap<(Kind, RecordKey), Versions>) -> Result<(), MetaError> {
        for ((kind, key), versions) in topics {
            let topic = Topic { scope, kind, key };
            let kept = self.meta.heads(&topic).await?;
            let heads = versions.heads();
            let ids: Vec<RecordId> = kept.iter().map(|held| held.record.id()).collect();
            self.hold(ids == heads, || format!("{topic:?} has the heads {heads:?}, kept are {ids:?}"));
            let Some(value) = kept.first().and_then(|live| live.value.as_deref()) else { continue };
            match Value::read(kind, value) {
                Ok(value) => self.expect(topic, value),
                Err(error) => self.report.differences.push(format!("{topic:?}: {error}")),
            }
        }
        Ok(())
    }

    fn expect(&mut self, topic: Topic, value: Value) {
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

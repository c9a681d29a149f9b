//! Reads: each in a read transaction of its own, on the calling thread, beside whatever is being written.
//!
//! Owns no state. A read opens only the tables it needs: opening one costs as much as a lookup.

use protocol::record::Held;
use protocol::view::{Topic, TopicView};
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag, Timestamp};

use super::failure::Failure;
use super::records::{self, Library};
use super::tables::{self, Kind, TOTALS, View};
use crate::storage::meta::rows::{self, HeldRow, LinkRow, ManifestRow, PartsRow, ProjectRow, TagRow, Totals, UsageRow};
use crate::storage::meta::{
    BlobRow, Candidate, Conflict, Counts, Event, Listing, MAX_HEADS, Page, Project, RecordAt, Referrer, StoredManifest,
    TagVersion, TextRoom, Verdict, pushed_as,
};

/// What [`crate::storage::meta::MetaStore::hold_blob`] finds before it decides whether to write.
#[derive(Debug)]
pub(super) enum Hold {
    /// Nothing to write: this is the answer.
    Known(Option<BlobRow>),
    /// The lease has to be made longer first.
    Extend,
}

impl View {
    pub(super) fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.settings()?.raw(name.as_bytes())?.map(Vec::from))
    }

    pub(super) fn project(&self, name: &ProjectName) -> Result<Option<Project>, Failure> {
        Ok(self.projects()?.get::<ProjectRow>(name.as_str().as_bytes())?.map(|row| row.project))
    }

    pub(super) fn project_page(&self, page: &Page) -> Result<Listing<Project>, Failure> {
        self.projects()?.page(&[], after(page), page.limit, |_, value| {
            rows::decode::<ProjectRow>(value).map(|row| Some(row.project))
        })
    }

    pub(super) fn project_bytes(&self, name: &ProjectName) -> Result<u64, Failure> {
        Ok(self.usage()?.get::<UsageRow>(name.as_str().as_bytes())?.unwrap_or_default().bytes)
    }

    pub(super) fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>, Failure> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => match self.tags()?.get::<TagRow>(&tables::tag(repository, tag))? {
                Some(row) => row.digest,
                None => return Ok(None),
            },
        };
        let Some(row) = self.manifests()?.get::<ManifestRow>(&tables::item(repository, &digest))? else {
            return Ok(None);
        };
        let (table, key) = (self.manifest_bytes()?, digest.to_key());
        let Some(bytes) = table.raw(&key)? else { return Err(table.damaged(&key, "the bytes are gone")) };
        Ok(Some(StoredManifest { digest, media_type: row.media_type, bytes }))
    }

    pub(super) fn pinned_blobs(&self, repository: &RepositoryName, manifest: &Digest) -> Result<Vec<Digest>, Failure> {
        Ok(self.parts()?.get::<PartsRow>(&tables::item(repository, manifest))?.unwrap_or_default().blobs)
    }

    pub(super) fn named_by(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Digest>, Failure> {
        let (parents, key) = (self.parents()?, tables::item(repository, digest));
        let Some(parent) = parents.first(&key)? else { return Ok(None) };
        Digest::from_key(&parent).map(Some).ok_or_else(|| parents.damaged(&key, "the digest can't be read"))
    }

    pub(super) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRow>, Failure> {
        if !self.links()?.has(&tables::item(repository, digest))? {
            return Ok(None);
        }
        Ok(Some(self.held()?.promised::<HeldRow>(&digest.to_key())?.blob))
    }

    pub(super) fn held_row(&self, digest: &Digest) -> Result<Option<BlobRow>, Failure> {
        Ok(self.held()?.get::<HeldRow>(&digest.to_key())?.map(|row| row.blob))
    }

    pub(super) fn all_held(&self, after: Option<&Digest>, limit: usize) -> Result<Listing<(Digest, BlobRow)>, Failure> {
        let after = after.map(Digest::to_key);
        self.held()?.page(&[], after.as_deref(), limit, |key, value| {
            let digest = Digest::from_key(key).ok_or("the key is no digest")?;
            Ok(Some((digest, rows::decode::<HeldRow>(value)?.blob)))
        })
    }

    pub(super) fn blob_repositories(&self, digest: &Digest, limit: usize) -> Result<Vec<RepositoryName>, Failure> {
        let prefix = tables::holders(digest, Kind::Blob);
        Ok(self.holders()?.page(&prefix, None, limit, |name, _| repository_name(name))?.items)
    }

    pub(super) fn tag_page(&self, repository: &RepositoryName, page: &Page) -> Result<Option<Listing<Tag>>, Failure> {
        if !self.repositories()?.has(repository.as_str().as_bytes())? {
            return Ok(None);
        }
        let prefix = tables::repository(repository);
        let listing = self.tags()?.page(&prefix, after(page), page.limit, |tag, _| {
            let tag = tables::text(tag).and_then(|tag| tag.parse().ok());
            tag.map(Some).ok_or_else(|| "the tag can't be read".into())
        })?;
        Ok(Some(listing))
    }

    pub(super) fn tag_history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        limit: usize,
    ) -> Result<Vec<TagVersion>, Failure> {
        let project = self.projects()?.get::<ProjectRow>(repository.project_str().as_bytes())?;
        let Some(ProjectRow { scope, .. }) = project else { return Ok(Vec::new()) };
        let Some(number) = self.topic(&Topic::tag(scope, repository, tag))? else { return Ok(Vec::new()) };
        let (numbers, records) = (self.numbers()?, self.records()?);
        let library = Library { numbers: &numbers, records: &records };
        let version = |number: &u64| {
            let held = library.promised(*number)?;
            TagVersion::read(&held).map_err(|why| records.damaged(&number.to_be_bytes(), why))
        };
        let mut versions = self.kept()?.versions_of(number)?;
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions.iter().take(limit).map(|(_, number)| version(number)).collect()
    }

    pub(super) fn deleted_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<MediaType>, Failure> {
        let project = self.projects()?.get::<ProjectRow>(repository.project_str().as_bytes())?;
        let Some(ProjectRow { scope, .. }) = project else { return Ok(None) };
        let Some(number) = self.topic(&Topic::manifest(scope, repository, digest))? else { return Ok(None) };
        let view = self.kept()?.view_of(number)?.unwrap_or_default();
        let Some(said) = view.said.filter(|_| view.is_deleted()) else { return Ok(None) };
        let (numbers, records) = (self.numbers()?, self.records()?);
        Ok(pushed_as(&Library { numbers: &numbers, records: &records }.promised_id(&said.id)?))
    }

    /// The number of a topic.
    fn topic(&self, topic: &Topic) -> Result<Option<u64>, Failure> {
        self.topics()?.number(&records::topic(topic))
    }

    pub(super) fn record_page(&self, after: Option<&RecordAt>, limit: usize) -> Result<Listing<Held>, Failure> {
        let after = after.map(|at| records::moment(&at.scope, at.time, &at.id));
        let (numbers, records) = (self.numbers()?, self.records()?);
        let library = Library { numbers: &numbers, records: &records };
        let ids = self.moments()?.page(&[], after.as_deref(), limit, |key, _| {
            records::read_moment(key).map(Some).ok_or_else(|| "the time can't be read".into())
        })?;
        let items = ids.items.iter().map(|id| library.promised_id(id)).collect::<Result<_, _>>()?;
        Ok(Listing { items, more: ids.more })
    }

    pub(super) fn heads(&self, topic: &Topic) -> Result<Vec<Held>, Failure> {
        let Some(number) = self.topic(topic)? else { return Ok(Vec::new()) };
        let kept = self.kept()?;
        let mut heads = kept.heads_of(number, false, usize::MAX)?;
        heads.extend(kept.heads_of(number, true, usize::MAX)?);
        let (numbers, records) = (self.numbers()?, self.records()?);
        let library = Library { numbers: &numbers, records: &records };
        heads.iter().map(|head| library.promised_id(&head.id)).collect()
    }

    pub(super) fn conflicts(&self, limit: usize) -> Result<Vec<Conflict>, Failure> {
        let (numbers, records, kept, topics) = (self.numbers()?, self.records()?, self.kept()?, self.topics()?);
        let library = Library { numbers: &numbers, records: &records };
        let mut conflicts = Vec::new();
        topics.scan(&[], None, |key, number| {
            let Some(number) = records::read_number(number) else {
                return Err(topics.damaged(key, "its number can't be read"));
            };
            let Some(view) = kept.view_of(number)?.filter(TopicView::is_conflict) else { return Ok(true) };
            let topic = records::read_topic(key).ok_or_else(|| topics.damaged(key, "the topic can't be read"))?;
            let shown = kept.heads_of(number, false, MAX_HEADS)?;
            let heads = shown.iter().map(|head| library.promised_id(&head.id)).collect::<Result<_, _>>()?;
            conflicts.push(Conflict { topic, heads, count: view.heads });
            Ok(conflicts.len() < limit)
        })?;
        Ok(conflicts)
    }

    pub(super) fn repository_page(&self, page: &Page) -> Result<Listing<RepositoryName>, Failure> {
        self.repositories()?.page(&[], after(page), page.limit, |name, _| repository_name(name))
    }

    pub(super) fn referrer_page(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&MediaType>,
        page: &Page,
    ) -> Result<Listing<Referrer>, Failure> {
        let prefix = tables::referrers(repository, subject);
        let mut room = TextRoom::default();
        self.referrers()?.page_while(
            &prefix,
            after(page),
            page.limit,
            |entry| room.takes(entry),
            |_, value| {
                let row: Referrer = rows::decode(value)?;
                Ok((artifact_type.is_none() || row.artifact_type.as_ref() == artifact_type).then_some(row))
            },
        )
    }

    pub(super) fn hold(&self, repository: &RepositoryName, digest: &Digest, until: Timestamp) -> Result<Hold, Failure> {
        let key = tables::item(repository, digest);
        let Some(link) = self.links()?.get::<LinkRow>(&key)? else { return Ok(Hold::Known(None)) };
        let blob = self.held()?.promised::<HeldRow>(&digest.to_key())?.blob;
        // Nobody can rely on damaged bytes: they have to be pushed again, and that leases.
        if blob.quarantined.is_some() || link.lease >= until || self.pins()?.any(&key)? {
            return Ok(Hold::Known(Some(blob)));
        }
        Ok(Hold::Extend)
    }

    pub(super) fn due(
        &self,
        now: Timestamp,
        after: Option<&Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>, Failure> {
        let (after, table) = (after.map(tables::candidate), self.candidates()?);
        let mut due = Vec::new();
        table.scan(&[], after.as_deref(), |key, _| {
            let Some(candidate) = tables::read_candidate(key) else {
                return Err(table.damaged(key, "the candidate can't be read"));
            };
            if candidate.due > now || due.len() == limit {
                return Ok(false);
            }
            due.push(candidate);
            Ok(true)
        })?;
        Ok(due)
    }

    pub(super) fn verdict(&self, candidate: &Candidate, now: Timestamp) -> Result<Verdict, Failure> {
        self.all()?.judge(candidate, now)
    }

    pub(super) fn events(&self, limit: usize) -> Result<Vec<Event>, Failure> {
        Ok(self.outbox()?.page(&[], None, limit, |_, value| rows::decode(value).map(Some))?.items)
    }

    pub(super) fn counts(&self) -> Result<Counts, Failure> {
        let totals: Totals = self.totals()?.get(TOTALS)?.unwrap_or_default();
        Ok(Counts {
            projects: self.projects()?.count()?,
            repositories: self.repositories()?.count()?,
            manifests: self.manifests()?.count()?,
            tags: self.tags()?.count()?,
            blobs: self.held()?.count()?,
            bytes: totals.bytes,
            candidates: self.candidates()?.count()?,
            outbox: self.outbox()?.count()?,
        })
    }
}

fn after(page: &Page) -> Option<&[u8]> {
    page.after.as_deref().map(str::as_bytes)
}

fn repository_name(name: &[u8]) -> Result<Option<RepositoryName>, String> {
    let name = tables::text(name).and_then(|name| name.parse().ok());
    name.map(Some).ok_or_else(|| "the repository can't be read".into())
}

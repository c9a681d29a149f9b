//! The intents on manifests and tags, within one write transaction. Owns no state.
//!
//! As in [`super::intents`], what must hold is found out before the first write. What tags name, and whether a manifest
//! stays, follows from the records ([`super::follow`]); here are the records, and the rows of a manifest whose bytes come.

use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::{BlobClaim, TagMode};
use protocol::record::{Held, Kind as RecordKind, RecordId, ScopeId};
use protocol::view::Topic;
use protocol::{Digest, RepositoryName, Tag, Timestamp};

use super::failure::Failure;
use super::tables::{self, Kind};
use super::writing::Writing;
use crate::storage::meta::author;
use crate::storage::meta::rows::{ManifestRow, PartsRow, TagRow, UsageRow};
use crate::storage::meta::{
    Act, BlobRow, Choice, ChooseHead, Chosen, DecideTag, Decided, DeletedManifest, DeletedTag, PublishManifest,
    Published, Referrer, TagVersion, What, called,
};

/// Where the tags of a project are written.
enum Tagging {
    /// Here as well, under this epoch.
    Here(u32),
    /// At this site alone.
    At(String),
}

impl Writing<'_> {
    /// See [`crate::storage::meta::MetaStore::publish_manifest`].
    pub(super) fn publish_manifest(&mut self, publish: &PublishManifest) -> Result<Published, Failure> {
        if let Some(refused) = self.refuse(publish)? {
            return Ok(refused);
        }
        let Some(value) = author::pushed(publish, self.claims(publish)?) else { return Ok(Published::TooManyChildren) };
        let (repository, digest, at) = (&publish.repository, &publish.digest, publish.act.at);
        let scope = self.scope_of(repository)?;
        let epoch = match self.tagging(scope, !publish.tags.is_empty())? {
            Tagging::Here(epoch) => epoch,
            Tagging::At(site) => return Ok(Published::NotHome(site)),
        };
        for tag in publish.tags.iter().filter(|_| publish.tags_are_new) {
            if self.tables.tags.has(&tables::tag(repository, tag))? {
                return Ok(Published::TagExists(tag.clone()));
            }
        }
        if let Some(over) = self.over_quota(publish)? {
            return Ok(over);
        }
        self.note_repository(repository, at)?;
        let size = publish.bytes.len() as u64;
        self.hold(
            repository,
            digest,
            Kind::Manifest,
            BlobRow { size, root: publish.root, committed: at, quarantined: None },
        )?;
        self.say(Topic::manifest(scope, repository, digest), Some(&value), publish.due, &publish.act)?;
        let created = self.keep_manifest(publish, size)?;
        self.keep_parts(publish)?;
        self.keep_referrer(publish, size)?;
        let mut seen = BTreeSet::new();
        let tags: Vec<Tag> = publish.tags.iter().filter(|tag| seen.insert(*tag)).cloned().collect();
        let what = What::ManifestPushed { repository: repository.clone(), digest: *digest, tags: tags.clone() };
        self.tell(&publish.act, what)?;
        let value = author::tagged(Some(*digest), epoch);
        for tag in &tags {
            self.say(Topic::tag(scope, repository, tag), Some(&value), publish.due, &publish.act)?;
        }
        Ok(Published::Done { created })
    }

    /// Where the tags of a scope are written; only asked where there are `any`.
    fn tagging(&mut self, scope: ScopeId, any: bool) -> Result<Tagging, Failure> {
        let mode = if any { self.view(|view, set, _| view.tag_mode(set, &scope))? } else { None };
        Ok(match mode {
            // A lone node stands for no site, so it is nobody's home.
            Some((TagMode::Home(site), _)) => Tagging::At(site),
            Some((TagMode::Converge, epoch)) => Tagging::Here(epoch),
            None => Tagging::Here(0),
        })
    }

    /// What the record of a manifest claims of the blobs it needs that are here.
    fn claims(&self, publish: &PublishManifest) -> Result<Vec<BlobClaim>, Failure> {
        let mut claims = Vec::new();
        for needed in &publish.blobs {
            let here = self.tables.linked(&publish.repository, &needed.digest)?;
            let here = here.map(|(_, blob)| blob).filter(|blob| blob.quarantined.is_none() && blob.size == needed.size);
            claims.push(BlobClaim { digest: needed.digest, size: needed.size, root: here.map(|blob| blob.root) });
        }
        Ok(claims)
    }

    /// Why a manifest can't be published, if it can't.
    fn refuse(&self, publish: &PublishManifest) -> Result<Option<Published>, Failure> {
        if !self.has_project(&publish.repository)? {
            return Ok(Some(Published::NoProject));
        }
        let (mut missing, mut wrong) = (Vec::new(), None);
        for needed in &publish.blobs {
            match self.tables.linked(&publish.repository, &needed.digest)? {
                Some((_, blob)) if blob.quarantined.is_none() => {
                    if blob.size != needed.size && wrong.is_none() {
                        let (digest, claimed) = (needed.digest, needed.size);
                        wrong = Some(Published::WrongSize { digest, claimed, actual: blob.size });
                    }
                }
                Some(_) | None if publish.sparse => {}
                Some(_) | None => missing.push(needed.digest),
            }
        }
        let mut children = Vec::new();
        if !publish.sparse {
            for child in &publish.children {
                if !self.tables.manifests.has(&tables::item(&publish.repository, child))? {
                    children.push(*child);
                }
            }
        }
        if missing.is_empty() && children.is_empty() {
            return Ok(wrong);
        }
        Ok(Some(Published::Missing { blobs: once(missing), children: once(children) }))
    }

    /// Whether it adds more to its project than the quota leaves.
    fn over_quota(&self, publish: &PublishManifest) -> Result<Option<Published>, Failure> {
        let Some(limit) = publish.quota else { return Ok(None) };
        let project = publish.repository.project_str();
        let mut fresh: BTreeMap<Digest, u64> = [(publish.digest, publish.bytes.len() as u64)].into();
        for blob in publish.blobs.iter().map(|needed| &needed.digest).chain(&publish.optional_blobs) {
            if let Some((_, row)) = self.tables.linked(&publish.repository, blob)? {
                fresh.insert(*blob, row.size);
            }
        }
        let mut adds = 0_u64;
        for (digest, size) in fresh {
            if !self.tables.counted.has(&tables::counted(project, &digest))? {
                adds = adds.saturating_add(size);
            }
        }
        let usage: UsageRow = self.tables.usage.get(project.as_bytes())?.unwrap_or_default();
        let over = adds > 0 && usage.bytes.saturating_add(adds) > limit;
        Ok(over.then_some(Published::OverQuota { used: usage.bytes, adds, limit }))
    }

    /// Writes the manifest itself; whether the repository did not hold it before.
    fn keep_manifest(&mut self, publish: &PublishManifest, size: u64) -> Result<bool, Failure> {
        let key = tables::item(&publish.repository, &publish.digest);
        let old: Option<ManifestRow> = self.tables.manifests.get(&key)?;
        let (id, pushed) = match &old {
            Some(old) => (old.id, old.pushed),
            None => (self.next_id()?, publish.act.at),
        };
        let row = ManifestRow {
            media_type: publish.media_type.clone(),
            size,
            subject: publish.subject,
            id,
            pushed,
            pulled: old.as_ref().and_then(|old| old.pulled),
            artifact_type: publish.artifact_type.clone(),
            total: self.total(publish, size)?,
        };
        self.tables.manifests.put(&key, &row)?;
        self.change_repository(&publish.repository, |row| {
            row.updated = row.updated.max(publish.act.at);
            row.manifests += u64::from(old.is_none());
        })?;
        self.shelve(&publish.repository, &publish.digest)?;
        let bytes = publish.digest.to_key();
        if !self.tables.manifest_bytes.has(&bytes)? {
            self.tables.manifest_bytes.put_raw(&bytes, &publish.bytes)?;
        }
        Ok(old.is_none())
    }

    /// What it weighs with the blobs it needs, each once, and its children that are here.
    fn total(&self, publish: &PublishManifest, size: u64) -> Result<u64, Failure> {
        let blobs: BTreeMap<Digest, u64> = publish.blobs.iter().map(|needed| (needed.digest, needed.size)).collect();
        let mut total = blobs.values().fold(size, |total, size| total.saturating_add(*size));
        for child in publish.children.iter().collect::<BTreeSet<_>>() {
            let row: Option<ManifestRow> = self.tables.manifests.get(&tables::item(&publish.repository, child))?;
            total = total.saturating_add(row.map_or(0, |row| row.total));
        }
        Ok(total)
    }

    /// Pins what it names, here or not: what comes later must stay. What an earlier push of it pinned stays pinned.
    fn keep_parts(&mut self, publish: &PublishManifest) -> Result<(), Failure> {
        let (repository, digest) = (&publish.repository, &publish.digest);
        let key = tables::item(repository, digest);
        let mut blobs: BTreeSet<Digest> = publish.blobs.iter().map(|needed| needed.digest).collect();
        blobs.extend(&publish.optional_blobs);
        let old: PartsRow = self.tables.parts.get(&key)?.unwrap_or_default();
        blobs.extend(old.blobs);
        for blob in &blobs {
            if !self.tables.pins.any(&tables::item(repository, blob))?
                && let Some((_, row)) = self.tables.linked(repository, blob)?
            {
                self.count(repository, blob, row.size)?;
            }
            self.tables.pins.mark(&tables::pin(repository, blob, digest))?;
        }
        self.tables.parts.put(&key, &PartsRow { blobs: blobs.into_iter().collect() })
    }

    fn keep_referrer(&mut self, publish: &PublishManifest, size: u64) -> Result<(), Failure> {
        let Some(subject) = &publish.subject else { return Ok(()) };
        let row = Referrer {
            digest: publish.digest,
            media_type: publish.media_type.clone(),
            size,
            artifact_type: publish.artifact_type.clone(),
            annotations: publish.annotations.clone(),
        };
        self.tables.referrers.put(&tables::referrer(&publish.repository, subject, &publish.digest), &row)
    }

    /// See [`crate::storage::meta::MetaStore::decide_tag`].
    pub(super) fn decide_tag(&mut self, decide: &DecideTag) -> Result<Decided, Failure> {
        let DecideTag { repository, tag, choice, due, act } = decide;
        if !self.has_project(repository)? {
            return Ok(Decided::Unknown);
        }
        let scope = self.scope_of(repository)?;
        let topic = Topic::tag(scope, repository, tag);
        let (heads, view) = self.view(|view, _, _| (view.heads(&topic), view.topic(&topic)))?;
        let digest = match choice {
            Choice::Head(_) if heads.len() < 2 && view.said.is_some() => return Ok(Decided::Settled),
            Choice::Head(digest) => {
                let mut said = heads.iter();
                loop {
                    match said.next() {
                        Some(head) if self.said(head)? == Some(*digest) => break *digest,
                        Some(_) => {}
                        None if heads.is_empty() => return Ok(Decided::Unknown),
                        None => return Ok(Decided::NoHead),
                    }
                }
            }
            Choice::Last if view.live.is_some() => return Ok(Decided::Settled),
            Choice::Last => match view.said {
                Some(last) => match self.said(&last.id)? {
                    Some(digest) => digest,
                    None => return Ok(Decided::Unknown),
                },
                None => return Ok(Decided::Unknown),
            },
        };
        if !self.tables.manifests.has(&tables::item(repository, &digest))? {
            return Ok(Decided::ManifestGone(digest));
        }
        let epoch = match self.tagging(scope, true)? {
            Tagging::Here(epoch) => epoch,
            Tagging::At(site) => return Ok(Decided::NotHome(site)),
        };
        self.tell(act, What::TagDecided { repository: repository.clone(), tag: tag.clone(), digest })?;
        self.say(topic, Some(&author::tagged(Some(digest), epoch)), *due, act)?;
        Ok(Decided::Done(digest))
    }

    /// See [`crate::storage::meta::MetaStore::choose_head`].
    pub(super) fn choose_head(&mut self, choose: &ChooseHead) -> Result<Chosen, Failure> {
        let ChooseHead { record, due, act } = choose;
        let Some(held) = self.tables.library().get(record)? else { return Ok(Chosen::Unknown) };
        let Some((topic, value)) = Topic::of(&held.record).zip(held.value) else { return Ok(Chosen::Unknown) };
        if let Some((repository, tag)) = topic.key.as_tag().filter(|_| topic.kind == RecordKind::TAG) {
            return Ok(Chosen::Tag(repository, tag));
        }
        let heads = self.view(|view, _, _| view.heads(&topic))?;
        if heads.len() < 2 || !heads.contains(record) {
            return Ok(Chosen::Settled);
        }
        let about = format!("{} {}", topic.kind, called(&topic));
        self.tell(act, What::ConflictSettled { about, record: record.to_string() })?;
        self.say(topic, Some(&value), *due, act)?;
        Ok(Chosen::Done)
    }

    /// What a version of a tag names.
    fn said(&self, version: &RecordId) -> Result<Option<Digest>, Failure> {
        let held: Held = self.tables.library().promised_id(version)?;
        let version = TagVersion::read(&held);
        Ok(version.map_err(|why| self.tables.records.damaged(&held.record.id().0, why))?.digest)
    }

    /// See [`crate::storage::meta::MetaStore::delete_tag`].
    pub(super) fn delete_tag(
        &mut self,
        repository: &RepositoryName,
        tag: &Tag,
        due: Timestamp,
        act: &Act,
    ) -> Result<DeletedTag, Failure> {
        let key = tables::tag(repository, tag);
        let Some(TagRow { digest, .. }) = self.tables.tags.get(&key)? else { return Ok(DeletedTag::Absent) };
        let scope = self.scope_of(repository)?;
        let epoch = match self.tagging(scope, true)? {
            Tagging::Here(epoch) => epoch,
            Tagging::At(site) => return Ok(DeletedTag::NotHome(site)),
        };
        let what = What::TagDeleted { repository: repository.clone(), tag: tag.clone(), digest };
        self.tell(act, what)?;
        self.say(Topic::tag(scope, repository, tag), Some(&author::tagged(None, epoch)), due, act)?;
        Ok(DeletedTag::Done(digest))
    }

    /// See [`crate::storage::meta::MetaStore::delete_manifest`].
    pub(super) fn delete_manifest(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        due: Timestamp,
        act: &Act,
    ) -> Result<DeletedManifest, Failure> {
        let key = tables::item(repository, digest);
        // What a deleted project still holds is not for anyone to see.
        if !self.has_project(repository)? || !self.tables.manifests.has(&key)? {
            return Ok(DeletedManifest::Absent);
        }
        let tags = self.tags_of(repository, digest)?;
        let scope = self.scope_of(repository)?;
        let epoch = match self.tagging(scope, !tags.is_empty())? {
            Tagging::Here(epoch) => epoch,
            Tagging::At(site) => return Ok(DeletedManifest::NotHome(site)),
        };
        let what = What::ManifestDeleted { repository: repository.clone(), digest: *digest, tags: tags.clone() };
        self.tell(act, what)?;
        for tag in &tags {
            self.say(Topic::tag(scope, repository, tag), Some(&author::tagged(None, epoch)), due, act)?;
        }
        self.say(Topic::manifest(scope, repository, digest), None, due, act)?;
        let kept_by = self.tables.parents.digests(&key)?.pop_first();
        Ok(DeletedManifest::Done { tags, kept_by })
    }

    /// The tags that name a manifest, in order.
    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Failure> {
        let prefix = tables::item(repository, digest);
        let listing = self.tables.tags_of.page(&prefix, None, usize::MAX, |tag, _| {
            let tag = tables::text(tag).and_then(|tag| tag.parse().ok());
            tag.map(Some).ok_or_else(|| "the tag can't be read".into())
        })?;
        Ok(listing.items)
    }
}

/// Each digest once, in the order of its first place.
fn once(mut digests: Vec<Digest>) -> Vec<Digest> {
    let mut seen = BTreeSet::new();
    digests.retain(|digest| seen.insert(*digest));
    digests
}

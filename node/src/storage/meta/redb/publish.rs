//! The intents on manifests and tags, within one write transaction. Owns no state.
//!
//! As in [`super::intents`], what must hold is found out before the first write.

use std::collections::BTreeSet;

use protocol::record::value::BlobClaim;
use protocol::record::{Held, ScopeId};
use protocol::{Digest, RepositoryName, Tag, Timestamp};

use super::failure::Failure;
use super::records::{self, TopicRow};
use super::tables::{self, Kind};
use super::writing::Writing;
use crate::storage::meta::author;
use crate::storage::meta::rows::{Compact, ManifestRow, PartsRow, TagRow};
use crate::storage::meta::{
    Act, BlobRow, Choice, DecideTag, Decided, DeletedManifest, PublishManifest, Published, Referrer, TagVersion, What,
};

impl Writing<'_> {
    /// See [`crate::storage::meta::MetaStore::publish_manifest`].
    pub(super) fn publish_manifest(&mut self, publish: &PublishManifest) -> Result<Published, Failure> {
        if let Some(refused) = self.refuse(publish)? {
            return Ok(refused);
        }
        let Some(value) = author::pushed(publish, self.claims(publish)?) else { return Ok(Published::TooManyChildren) };
        let (repository, digest, at) = (&publish.repository, &publish.digest, publish.act.at);
        self.note_repository(repository, at)?;
        let size = publish.bytes.len() as u64;
        self.hold(
            repository,
            digest,
            Kind::Manifest,
            BlobRow { size, root: publish.root, committed: at, quarantined: None },
        )?;
        let scope = self.scope_of(repository)?;
        self.say(author::manifest_topic(scope, repository, digest), Some(&value), &publish.act)?;
        let created = self.keep_manifest(publish, size)?;
        self.keep_parts(publish)?;
        self.keep_referrer(publish, size)?;
        let mut seen = BTreeSet::new();
        let tags: Vec<Tag> = publish.tags.iter().filter(|tag| seen.insert(*tag)).cloned().collect();
        let what = What::ManifestPushed { repository: repository.clone(), digest: *digest, tags: tags.clone() };
        self.tell(&publish.act, what)?;
        let value = author::tagged(Some(*digest));
        for tag in &tags {
            self.say(author::tag_topic(scope, repository, tag), Some(&value), &publish.act)?;
            self.point(repository, tag, digest)?;
        }
        Ok(Published::Done { created })
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

    /// Writes the manifest itself; whether the repository did not hold it before.
    fn keep_manifest(&mut self, publish: &PublishManifest, size: u64) -> Result<bool, Failure> {
        let key = tables::item(&publish.repository, &publish.digest);
        let there = self.tables.manifests.has(&key)?;
        let (media_type, subject) = (publish.media_type.clone(), publish.subject.map(Compact));
        let row = ManifestRow { media_type, size, subject };
        self.tables.manifests.put(&key, &row)?;
        let bytes = publish.digest.to_key();
        if !self.tables.manifest_bytes.has(&bytes)? {
            self.tables.manifest_bytes.put_raw(&bytes, &publish.bytes)?;
        }
        Ok(!there)
    }

    /// Pins what it names, here or not: what comes later must stay. What an earlier push of it pinned stays pinned.
    fn keep_parts(&mut self, publish: &PublishManifest) -> Result<(), Failure> {
        let (repository, digest) = (&publish.repository, &publish.digest);
        let key = tables::item(repository, digest);
        let mut blobs: BTreeSet<Digest> = publish.blobs.iter().map(|needed| needed.digest).collect();
        blobs.extend(&publish.optional_blobs);
        let mut children: BTreeSet<Digest> = publish.children.iter().copied().collect();
        let old: PartsRow = self.tables.parts.get(&key)?.unwrap_or_default();
        blobs.extend(old.blobs.iter().map(|blob| blob.0));
        children.extend(old.children.iter().map(|child| child.0));
        for blob in &blobs {
            self.tables.pins.mark(&tables::pin(repository, blob, digest))?;
        }
        let row = PartsRow {
            blobs: blobs.into_iter().map(Compact).collect(),
            children: children.into_iter().map(Compact).collect(),
        };
        self.tables.parts.put(&key, &row)
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

    /// Lets a tag name a manifest, as its live version says.
    fn point(&mut self, repository: &RepositoryName, tag: &Tag, digest: &Digest) -> Result<(), Failure> {
        let key = tables::tag(repository, tag);
        let old: Option<TagRow> = self.tables.tags.get(&key)?;
        self.tables.tags.put(&key, &TagRow { digest: Compact(*digest) })?;
        match old {
            Some(old) if old.digest.0 == *digest => return Ok(()),
            Some(old) => self.tables.tags_of.remove(&tables::tag_of(repository, &old.digest.0, tag))?,
            None => false,
        };
        self.tables.tags_of.mark(&tables::tag_of(repository, digest, tag))
    }

    /// See [`crate::storage::meta::MetaStore::decide_tag`].
    pub(super) fn decide_tag(&mut self, decide: &DecideTag) -> Result<Decided, Failure> {
        let DecideTag { repository, tag, choice, act } = decide;
        if !self.has_project(repository)? {
            return Ok(Decided::Unknown);
        }
        let topic = author::tag_topic(self.scope_of(repository)?, repository, tag);
        let Some(row) = self.tables.topics.get::<TopicRow>(&records::topic(&topic.scope, topic.kind, &topic.key))?
        else {
            return Ok(Decided::Unknown);
        };
        let digest = match choice {
            Choice::Head(_) if row.heads.len() < 2 => return Ok(Decided::Settled),
            Choice::Head(digest) => {
                let mut named = false;
                for head in &row.heads {
                    named |= self.names(&self.tables.library().promised_id(head)?)? == Some(*digest);
                }
                if !named {
                    return Ok(Decided::NoHead);
                }
                *digest
            }
            Choice::Last if self.tables.tags.has(&tables::tag(repository, tag))? => return Ok(Decided::Settled),
            Choice::Last => match self.named_last(row.number)? {
                Some(digest) => digest,
                None => return Ok(Decided::Unknown),
            },
        };
        if !self.tables.manifests.has(&tables::item(repository, &digest))? {
            return Ok(Decided::ManifestGone(digest));
        }
        self.tell(act, What::TagDecided { repository: repository.clone(), tag: tag.clone(), digest })?;
        self.say(topic, Some(&author::tagged(Some(digest))), act)?;
        self.point(repository, tag, &digest)?;
        Ok(Decided::Done(digest))
    }

    /// What a version of a tag names.
    fn names(&self, held: &Held) -> Result<Option<Digest>, Failure> {
        let version = TagVersion::read(held);
        Ok(version.map_err(|why| self.tables.records.damaged(&held.record.id().0, why))?.digest)
    }

    /// What a tag named when it last named anything.
    fn named_last(&self, topic: u64) -> Result<Option<Digest>, Failure> {
        for number in self.tables.versions.versions_of(topic, usize::MAX)? {
            if let Some(digest) = self.names(&self.tables.library().promised(number)?)? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// See [`crate::storage::meta::MetaStore::delete_tag`].
    pub(super) fn delete_tag(
        &mut self,
        repository: &RepositoryName,
        tag: &Tag,
        act: &Act,
    ) -> Result<Option<Digest>, Failure> {
        let key = tables::tag(repository, tag);
        let Some(row) = self.tables.tags.get::<TagRow>(&key)? else { return Ok(None) };
        let digest = row.digest.0;
        let what = What::TagDeleted { repository: repository.clone(), tag: tag.clone(), digest };
        self.tell(act, what)?;
        let scope = self.scope_of(repository)?;
        self.drop_tag(scope, repository, tag, &digest, act)?;
        Ok(Some(digest))
    }

    /// Writes the delete of a tag, and removes what followed from it.
    fn drop_tag(
        &mut self,
        scope: ScopeId,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
        act: &Act,
    ) -> Result<(), Failure> {
        self.say(author::tag_topic(scope, repository, tag), Some(&author::tagged(None)), act)?;
        self.tables.tags.remove(&tables::tag(repository, tag))?;
        self.tables.tags_of.remove(&tables::tag_of(repository, digest, tag))?;
        Ok(())
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
        let Some(row) = self.tables.manifests.get::<ManifestRow>(&key)? else { return Ok(DeletedManifest::Absent) };
        let parts: PartsRow = self.tables.parts.promised(&key)?;
        let tags = self.tags_of(repository, digest)?;
        let what = What::ManifestDeleted { repository: repository.clone(), digest: *digest, tags: tags.clone() };
        self.tell(act, what)?;
        let scope = self.scope_of(repository)?;
        for tag in &tags {
            self.drop_tag(scope, repository, tag, digest, act)?;
        }
        self.say(author::manifest_topic(scope, repository, digest), None, act)?;
        if let Some(subject) = &row.subject {
            self.tables.referrers.remove(&tables::referrer(repository, &subject.0, digest))?;
        }
        self.tables.manifests.remove(&key)?;
        self.tables.parts.remove(&key)?;
        for blob in &parts.blobs {
            self.unpin(repository, &blob.0, digest, due)?;
        }
        if !self.let_go(repository, digest, Kind::Manifest)? {
            self.orphan(digest, due)?;
        }
        if !self.tables.holders.any(&tables::holders(digest, Kind::Manifest))? {
            self.tables.manifest_bytes.remove(&digest.to_key())?;
        }
        Ok(DeletedManifest::Done { tags })
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

    /// Ends the pin of a manifest on a blob. When it was the last, the link is leased until `due`: older candidates of
    /// it may be due before, and whoever was told that the blob exists relies on that time.
    fn unpin(
        &mut self,
        repository: &RepositoryName,
        blob: &Digest,
        by: &Digest,
        due: Timestamp,
    ) -> Result<(), Failure> {
        self.tables.pins.remove(&tables::pin(repository, blob, by))?;
        if self.tables.pinned_by(repository, blob)?.is_none()
            && self.tables.links.has(&tables::item(repository, blob))?
        {
            self.lease(repository, blob, due)?;
        }
        Ok(())
    }
}

/// Each digest once, in the order of its first place.
fn once(mut digests: Vec<Digest>) -> Vec<Digest> {
    let mut seen = BTreeSet::new();
    digests.retain(|digest| seen.insert(*digest));
    digests
}

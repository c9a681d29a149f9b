//! How the engine that forgets takes a manifest: what is against it, what it costs, and what it changes.

use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::BlobClaim;
use protocol::view::Topic;
use protocol::{Digest, ProjectName, Tag};

use super::{Manifest, State};
use crate::storage::meta::{BlobRow, MetaError, PublishManifest, Published, Referrer, StoredManifest, What, author};

impl State {
    fn refuse(&self, publish: &PublishManifest) -> Option<Published> {
        if !self.has_project(&publish.repository) {
            return Some(Published::NoProject);
        }
        let present = |digest: &Digest| self.blob(&publish.repository, digest).filter(|row| row.quarantined.is_none());
        let here = |digest: &Digest| {
            publish.sparse || self.repository(&publish.repository).is_some_and(|r| r.manifests.contains_key(digest))
        };
        let (mut blobs, mut children) = (Vec::new(), Vec::new());
        for digest in publish.blobs.iter().map(|needed| needed.digest) {
            if !publish.sparse && present(&digest).is_none() && !blobs.contains(&digest) {
                blobs.push(digest);
            }
        }
        for digest in &publish.children {
            if !here(digest) && !children.contains(digest) {
                children.push(*digest);
            }
        }
        if !blobs.is_empty() || !children.is_empty() {
            return Some(Published::Missing { blobs, children });
        }
        publish.blobs.iter().find_map(|needed| {
            let actual = present(&needed.digest)?.size;
            let (digest, claimed) = (needed.digest, needed.size);
            (actual != claimed).then_some(Published::WrongSize { digest, claimed, actual })
        })
    }

    /// What is published in a project, with its length.
    pub(super) fn published(&self, project: &ProjectName) -> BTreeMap<Digest, u64> {
        let mut published = BTreeMap::new();
        for (_, content) in self.repositories.iter().filter(|(name, _)| name.project() == *project) {
            let pinned = content.manifests.values().flat_map(|manifest| &manifest.pins);
            let blobs = pinned.filter(|blob| content.links.contains_key(blob));
            for digest in content.manifests.keys().chain(blobs) {
                published.insert(*digest, self.held.get(digest).map_or(0, |held| held.row.size));
            }
        }
        published
    }

    fn over_quota(&self, publish: &PublishManifest) -> Option<Published> {
        let (limit, before) = (publish.quota?, self.published(&publish.repository.project()));
        let mut after = before.clone();
        after.insert(publish.digest, publish.bytes.len() as u64);
        for blob in publish.blobs.iter().map(|needed| &needed.digest).chain(&publish.optional_blobs) {
            after.extend(self.blob(&publish.repository, blob).map(|row| (*blob, row.size)));
        }
        let (used, sum): (u64, u64) = (before.values().sum(), after.values().sum());
        (sum > used && sum > limit).then_some(Published::OverQuota { used, adds: sum - used, limit })
    }

    fn claims(&self, publish: &PublishManifest) -> Vec<BlobClaim> {
        let present = |digest: &Digest| self.blob(&publish.repository, digest).filter(|row| row.quarantined.is_none());
        let root = |digest: &Digest, size| present(digest).filter(|row| row.size == size).map(|row| row.root);
        let claim = |digest, size| BlobClaim { digest, size, root: root(&digest, size) };
        publish.blobs.iter().map(|needed| claim(needed.digest, needed.size)).collect()
    }

    pub(super) fn publish(&mut self, publish: PublishManifest) -> Result<Published, MetaError> {
        if let Some(refused) = self.refuse(&publish) {
            return Ok(refused);
        }
        let Some(value) = author::pushed(&publish, self.claims(&publish)) else {
            return Ok(Published::TooManyChildren);
        };
        let (name, digest, act) = (publish.repository.clone(), publish.digest, publish.act.clone());
        let (due, topic) = (publish.due, |scope| Topic::manifest(scope, &name, &digest));
        let Some(scope) = self.scope(&name.project()) else { return Ok(Published::NoProject) };
        let epoch = match self.tagging(scope) {
            Err(site) if !publish.tags.is_empty() => return Ok(Published::NotHome(site)),
            epoch => epoch.unwrap_or_default(),
        };
        let mut taken = publish.tags.iter().filter(|tag| publish.tags_are_new && self.tag(&name, tag).is_some());
        if let Some(taken) = taken.next() {
            return Ok(Published::TagExists(taken.clone()));
        }
        if let Some(over) = self.over_quota(&publish) {
            return Ok(over);
        }
        self.note_repository(&name, act.at);
        self.say(topic(scope), Some(&value), due, &act)?;
        let size = publish.bytes.len() as u64;
        self.hold(&digest, BlobRow { size, root: publish.root, committed: act.at, quarantined: None });
        self.touch(&name, act.at);
        let there = self.repository(&name).is_some_and(|content| content.manifests.contains_key(&digest));
        let id = if there { 0 } else { self.next_id() };
        let repository = self.repositories.entry(name.clone()).or_default();
        let needed: BTreeMap<Digest, u64> = publish.blobs.iter().map(|needed| (needed.digest, needed.size)).collect();
        let children: BTreeSet<&Digest> = publish.children.iter().collect();
        let children = children.into_iter().filter_map(|child| Some(repository.manifests.get(child)?.total));
        let total = size + needed.values().sum::<u64>() + children.sum::<u64>();
        let mut pins: BTreeSet<Digest> = publish.blobs.iter().map(|needed| needed.digest).collect();
        pins.extend(&publish.optional_blobs);
        let referrer = Referrer {
            digest,
            media_type: publish.media_type.clone(),
            size,
            artifact_type: publish.artifact_type.clone(),
            annotations: publish.annotations.clone(),
        };
        let stored = StoredManifest { digest, media_type: publish.media_type, bytes: publish.bytes };
        let old = repository.manifests.remove(&digest);
        pins.extend(old.iter().flat_map(|old| &old.pins));
        let (id, pushed, pulled) = old.as_ref().map_or((id, act.at, None), |old| (old.id, old.pushed, old.pulled));
        let subject = publish.subject;
        let manifest = Manifest { stored, subject, referrer, pins, id, pushed, pulled, total };
        repository.manifests.insert(digest, manifest);
        let mut tags: Vec<Tag> = Vec::new();
        for tag in publish.tags {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        for tag in &tags {
            self.say(Topic::tag(scope, &name, tag), Some(&author::tagged(Some(digest), epoch)), due, &act)?;
        }
        self.tell(&act, What::ManifestPushed { repository: name, digest, tags });
        Ok(Published::Done { created: old.is_none() })
    }
}

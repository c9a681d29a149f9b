//! Artifacts as people look at them: listed, with what their manifests and configs say; their tags; and deleted with what
//! speaks about them. No state.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::{Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

use super::describe::{self, Described, Room};
use super::shelf::{MAX_PAGE, part, proven};
use super::{Fault, ManifestError, Registry, ShelfError};
use crate::directory::LabelEntry;
use crate::policy::{Permission, ProjectPermit, Resource, Sight, Verb};
use crate::storage::meta::{
    ArtifactOrder, ArtifactView, DeletedManifest, DeletedTag, Page, PublishManifest, RepositoryKey, RepositoryView,
    Shown, Slice, StoredManifest, TagView,
};
use crate::storage::store::Small;

/// To see artifacts in a list.
pub const LIST_ARTIFACTS: Permission = Permission::new(Resource::Artifact, Verb::List);
/// To see one.
pub const READ_ARTIFACT: Permission = Permission::new(Resource::Artifact, Verb::Read);
const DELETE: Permission = Permission::new(Resource::Artifact, Verb::Delete);
const CREATE_TAG: Permission = Permission::new(Resource::Tag, Verb::Create);
const LIST_TAGS: Permission = Permission::new(Resource::Tag, Verb::List);
const DELETE_TAG: Permission = Permission::new(Resource::Tag, Verb::Delete);
const LIST_ACCESSORIES: Permission = Permission::new(Resource::Accessory, Verb::List);
const READ_ADDITION: Permission = Permission::new(Resource::ArtifactAddition, Verb::Read);

/// Most artifacts, or tags, looked through for one answer: some tens of megabytes.
pub const MAX_LOOKED: usize = 50_000;

/// Most accessories of one artifact that are shown, or deleted with it.
const MAX_ACCESSORIES: usize = 1000;

/// How far accessories of accessories are followed.
const MAX_DEPTH: usize = 4;

/// What of an artifact is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct With {
    /// Its tags.
    pub tags: bool,
    /// Its labels.
    pub labels: bool,
    /// What speaks about it.
    pub accessories: bool,
}

/// An artifact with what is known of it.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What its row says.
    pub view: ArtifactView,
    /// Where it is.
    pub repository: Arc<RepositoryView>,
    /// The tags that name it, the first hundred of them.
    pub tags: Vec<TagView>,
    /// What its manifest and its config say.
    pub described: Described,
    /// What speaks about it, the first hundred of them.
    pub accessories: Vec<ArtifactView>,
    /// Its labels, by id.
    pub labels: Vec<LabelEntry>,
}

/// Which artifacts are looked through, and what is to be known of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survey {
    /// Every manifest; otherwise those that stand for themselves.
    pub all: bool,
    /// Their tags.
    pub tags: bool,
    /// Their types, for which their manifests are read.
    pub types: bool,
}

/// An artifact that is looked at, to see whether it is wanted.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What its row says.
    pub view: ArtifactView,
    /// Where it is.
    pub repository: Arc<RepositoryView>,
    /// Its tags, when they were asked for.
    pub tags: Vec<Tag>,
    /// Its media type and kind, when they were asked for.
    pub types: Option<(String, String)>,
}

impl Registry {
    /// A page of the artifacts of a repository that stand for themselves, the one pushed last first.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`].
    pub async fn artifacts(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        page: u64,
        size: usize,
    ) -> Result<Shown<Candidate>, ShelfError> {
        proven(permit, LIST_ARTIFACTS, name)?;
        let repository = Arc::new(self.repository_view(name).await?);
        let shown = self.store.meta().artifacts(name, ArtifactOrder::Newest, part(page, size)).await;
        let Shown { items, total } = shown.map_err(Fault::from)?.ok_or(ShelfError::UnknownRepository)?;
        let candidate = |view| Candidate { view, repository: Arc::clone(&repository), tags: Vec::new(), types: None };
        Ok(Shown { items: items.into_iter().map(candidate).collect(), total })
    }

    /// All artifacts of a repository, the one pushed last first, to be chosen from.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`], [`ShelfError::TooMany`].
    pub async fn survey(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        survey: Survey,
    ) -> Result<Vec<Candidate>, ShelfError> {
        proven(permit, LIST_ARTIFACTS, name)?;
        let repository = Arc::new(self.repository_view(name).await?);
        let mut found = Vec::new();
        self.look_through(&repository, survey, &mut found).await?;
        Ok(found)
    }

    /// All artifacts of a project that are seen, to be chosen from: repository by repository, in each the one pushed last
    /// first.
    ///
    /// # Errors
    /// [`ShelfError::TooMany`].
    pub async fn survey_project(
        &self,
        permit: &ProjectPermit,
        sight: &Sight,
        survey: Survey,
    ) -> Result<Vec<Candidate>, ShelfError> {
        if sight.permission() != LIST_ARTIFACTS {
            return Err(ShelfError::Unproven(LIST_ARTIFACTS));
        }
        let find = crate::storage::meta::FindRepositories {
            projects: Some(Arc::new([permit.name().clone()].into())),
            wanted: Some(Arc::new(sight.clone())),
            by: RepositoryKey::Name,
            ..crate::storage::meta::FindRepositories::containing(String::new(), Slice { offset: 0, limit: MAX_LOOKED })
        };
        let Shown { items, total } = self.store.meta().find_repositories(find).await.map_err(Fault::from)?;
        if total > items.len() as u64 {
            return Err(ShelfError::TooMany { what: "repositories", most: MAX_LOOKED });
        }
        let mut found = Vec::new();
        for repository in items {
            self.look_through(&Arc::new(repository), survey, &mut found).await?;
        }
        Ok(found)
    }

    async fn look_through(
        &self,
        repository: &Arc<RepositoryView>,
        survey: Survey,
        found: &mut Vec<Candidate>,
    ) -> Result<(), ShelfError> {
        let (meta, name) = (self.store.meta(), &repository.name);
        let order = if survey.all { ArtifactOrder::Digest } else { ArtifactOrder::Newest };
        let room = Slice { offset: 0, limit: MAX_LOOKED - found.len() };
        // It may have gone since it was seen.
        let Some(shown) = meta.artifacts(name, order, room).await.map_err(Fault::from)? else { return Ok(()) };
        if shown.total > shown.items.len() as u64 {
            return Err(ShelfError::TooMany { what: "artifacts", most: MAX_LOOKED });
        }
        let mut views = shown.items;
        if survey.all {
            views.sort_unstable_by_key(|view| std::cmp::Reverse((view.pushed, view.id)));
        }
        let mut tags = if survey.tags { self.tags_by_digest(name).await? } else { HashMap::new() };
        for view in views {
            let tags = tags.remove(&view.digest).unwrap_or_default();
            let types = if survey.types { Some(self.types(name, &view).await?) } else { None };
            found.push(Candidate { view, repository: Arc::clone(repository), tags, types });
        }
        Ok(())
    }

    async fn tags_by_digest(&self, name: &RepositoryName) -> Result<HashMap<Digest, Vec<Tag>>, ShelfError> {
        let all = Slice { offset: 0, limit: MAX_LOOKED };
        let shown = self.store.meta().shown_tags(name, all).await.map_err(Fault::from)?;
        let mut tags: HashMap<_, Vec<_>> = HashMap::new();
        let Some(shown) = shown else { return Ok(tags) };
        if shown.total > shown.items.len() as u64 {
            return Err(ShelfError::TooMany { what: "tags", most: MAX_LOOKED });
        }
        for TagView { digest, name, .. } in shown.items {
            tags.entry(digest).or_default().push(name);
        }
        Ok(tags)
    }

    async fn types(&self, name: &RepositoryName, view: &ArtifactView) -> Result<(String, String), ShelfError> {
        let stored = self.stored(name, &view.digest).await?;
        let described = stored.map(|stored| Described::read(&stored)).unwrap_or_default();
        Ok((described.media_type, described.kind))
    }

    async fn stored(&self, name: &RepositoryName, digest: &Digest) -> Result<Option<StoredManifest>, ShelfError> {
        Ok(self.store.meta().manifest(name, &Reference::Digest(*digest)).await.map_err(Fault::from)?)
    }

    /// The artifacts of a page with all that is to be shown of them. What their manifests and configs say is left out
    /// when a page would be too long.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn details(
        &self,
        permit: &ProjectPermit,
        candidates: Vec<Candidate>,
        with: With,
    ) -> Result<Vec<Artifact>, ShelfError> {
        let mut room = Room::default();
        let mut artifacts = Vec::with_capacity(candidates.len());
        for Candidate { view, repository, .. } in candidates {
            if permit.name().as_str() != repository.name.project_str() {
                return Err(ShelfError::Unproven(permit.permission()));
            }
            artifacts.push(self.detailed(view, repository, with, &mut room).await?);
        }
        Ok(artifacts)
    }

    /// The artifact a reference names.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`].
    pub async fn artifact(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
        with: With,
    ) -> Result<Artifact, ShelfError> {
        proven(permit, READ_ARTIFACT, name)?;
        let view = self.resolve(name, reference).await?;
        let repository = Arc::new(self.repository_view(name).await?);
        self.detailed(view, repository, with, &mut Room::default()).await
    }

    pub(super) async fn resolve(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<ArtifactView, ShelfError> {
        let found = self.store.meta().artifact(name, reference).await.map_err(Fault::from)?;
        found.ok_or(ShelfError::UnknownArtifact)
    }

    async fn detailed(
        &self,
        view: ArtifactView,
        repository: Arc<RepositoryView>,
        with: With,
        room: &mut Room,
    ) -> Result<Artifact, ShelfError> {
        let (meta, name) = (self.store.meta(), &repository.name);
        let tags =
            if with.tags { meta.tags_of(name, &view.digest, MAX_PAGE).await.map_err(Fault::from)? } else { Vec::new() };
        let accessories =
            if with.accessories { self.speaking_about(name, &view.digest, MAX_PAGE).await? } else { Vec::new() };
        let labels = if with.labels {
            self.directory.read(|book| book.labels_on(name, &view.digest).cloned().collect())
        } else {
            Vec::new()
        };
        let mut described = Described::default();
        if room.takes(view.size)
            && let Some(stored) = self.stored(name, &view.digest).await?
        {
            described = Described::read(&stored);
            self.add_config(name, &mut described, room).await?;
            for child in described.children.iter_mut().filter(|_| room.takes_child()) {
                let view = meta.artifact(name, &Reference::Digest(child.digest)).await.map_err(Fault::from)?;
                child.id = view.map_or(0, |view| view.id);
            }
        }
        Ok(Artifact { view, repository, tags, described, accessories, labels })
    }

    /// Adds what the config says, when its kind has one that is shown.
    async fn add_config(
        &self,
        name: &RepositoryName,
        described: &mut Described,
        room: &mut Room,
    ) -> Result<(), ShelfError> {
        let Some((digest, size)) = described.config.filter(|_| described.shows_config()) else { return Ok(()) };
        if size <= describe::MAX_CONFIG
            && room.takes(size)
            && let Some(bytes) = self.config(name, &digest).await?
        {
            described.extra = describe::extra(&described.kind, &bytes);
        }
        Ok(())
    }

    /// A config as part of a repository: what others hold is not for those who may look here.
    pub(super) async fn config(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<bytes::Bytes>, ShelfError> {
        let row = self.store.meta().blob(name, digest).await.map_err(Fault::from)?;
        if row.is_none_or(|row| row.quarantined.is_some()) {
            return Ok(None);
        }
        let read = self.store.read_small(digest, describe::MAX_CONFIG, &self.scope).await.map_err(Fault::from)?;
        Ok(match read {
            Small::Whole(bytes) => Some(bytes),
            Small::TooLarge | Small::Damaged | Small::Absent => None,
        })
    }

    /// How an image was built, as its config says it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`]; [`ShelfError::NoAddition`] for what is no image.
    pub async fn build_history(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<serde_json::Value, ShelfError> {
        let described = self.described(permit, name, reference).await?;
        let no_addition = || ShelfError::NoAddition(described.kind.clone());
        let (digest, _) = described.config.filter(|_| described.is_image()).ok_or_else(no_addition)?;
        let bytes = self.config(name, &digest).await?;
        bytes.and_then(|bytes| describe::history(&bytes)).ok_or_else(no_addition)
    }

    /// What the manifest of an artifact says, for one who wants to know more about it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`].
    pub async fn described(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Described, ShelfError> {
        Ok(Described::read(&self.manifest_for_addition(permit, name, reference).await?))
    }

    pub(super) async fn manifest_for_addition(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<StoredManifest, ShelfError> {
        proven(permit, READ_ADDITION, name)?;
        let found = self.store.meta().manifest(name, reference).await.map_err(Fault::from)?;
        found.ok_or(ShelfError::UnknownArtifact)
    }

    /// An artifact and what speaks about it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`].
    pub async fn accessories(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        subject: &Reference,
    ) -> Result<(ArtifactView, Vec<ArtifactView>), ShelfError> {
        proven(permit, LIST_ACCESSORIES, name)?;
        let subject = self.resolve(name, subject).await?;
        let accessories = self.speaking_about(name, &subject.digest, MAX_ACCESSORIES).await?;
        Ok((subject, accessories))
    }

    pub(super) async fn speaking_about(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        most: usize,
    ) -> Result<Vec<ArtifactView>, ShelfError> {
        let meta = self.store.meta();
        let (mut accessories, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, limit: most - accessories.len() };
            let listing = meta.referrers(name, subject, None, page).await.map_err(Fault::from)?;
            after = listing.items.last().map(|referrer| referrer.digest.to_string());
            for referrer in listing.items {
                let view = meta.artifact(name, &Reference::Digest(referrer.digest)).await.map_err(Fault::from)?;
                // It may have gone between the two looks.
                accessories.extend(view);
            }
            if !listing.more || after.is_none() || accessories.len() >= most {
                return Ok(accessories);
            }
        }
    }

    /// The tags of an artifact, at most [`MAX_LOOKED`], by name.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`].
    pub async fn tags_of(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<(Arc<RepositoryView>, ArtifactView, Vec<TagView>), ShelfError> {
        proven(permit, LIST_TAGS, name)?;
        let artifact = self.resolve(name, reference).await?;
        let repository = Arc::new(self.repository_view(name).await?);
        let tags = self.store.meta().tags_of(name, &artifact.digest, MAX_LOOKED).await.map_err(Fault::from)?;
        Ok((repository, artifact, tags))
    }

    /// Makes a tag for an artifact that is here: the manifest is published again, under one more name.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`]; [`ShelfError::TagExists`], whatever the tag names.
    pub async fn create_tag(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
        tag: Tag,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        proven(permit, CREATE_TAG, name)?;
        let stored = self.store.meta().manifest(name, reference).await.map_err(Fault::from)?;
        let stored = stored.ok_or(ShelfError::UnknownArtifact)?;
        // Of two who ask at once one makes it: whether it is there is found by the transaction that writes it.
        match self.publish_stored(permit, name, stored, (vec![tag], true), request).await {
            Err(ShelfError::Manifest(ManifestError::TagExists(tag))) => Err(ShelfError::TagExists(tag)),
            done => done,
        }
    }

    /// Publishes in `name` a manifest that is here already, in this or another repository, under tags that may have to
    /// be new.
    pub(super) async fn publish_stored(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        stored: StoredManifest,
        (tags, tags_are_new): (Vec<Tag>, bool),
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        let StoredManifest { digest, media_type, bytes } = stored;
        let parsed = parse(&bytes, &media_type)?;
        let act = self.act(permit.actor(), request);
        let publish = PublishManifest::of(name, digest, &parsed, bytes, self.store.due(), act);
        let (sparse, quota) = (permit.project().settings.sparse, self.quota_of(permit.name()));
        Ok(self.publish(PublishManifest { tags, tags_are_new, sparse, quota, ..publish }).await?)
    }

    /// Removes a tag of an artifact; the artifact stays.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`]; [`ShelfError::UnknownTag`], also for a tag of another artifact.
    pub async fn remove_tag(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
        tag: &Tag,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        proven(permit, DELETE_TAG, name)?;
        let artifact = self.resolve(name, reference).await?;
        let named = self.resolve(name, &Reference::Tag(tag.clone())).await;
        match named {
            Ok(named) if named.digest == artifact.digest => {}
            Ok(_) | Err(ShelfError::UnknownArtifact) => return Err(ShelfError::UnknownTag),
            Err(error) => return Err(error),
        }
        let act = self.act(permit.actor(), request);
        self.store.make_room();
        match self.store.meta().delete_tag(name, tag, self.store.due(), act).await.map_err(Fault::from)? {
            DeletedTag::Done(_) => Ok(()),
            DeletedTag::Absent => Err(ShelfError::UnknownTag),
            DeletedTag::NotHome(site) => Err(ShelfError::NotHome(site)),
        }
    }

    /// Deletes an artifact with its tags, what speaks about it, and the children of an index that have no tag of their
    /// own. What another index keeps alive keeps what speaks about it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`]; [`ShelfError::Needed`] for the child of an index; [`ShelfError::NotHome`].
    pub async fn delete_artifact(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        reference: &Reference,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        proven(permit, DELETE, name)?;
        let root = self.resolve(name, reference).await?;
        if let Some(index) = self.store.meta().named_by(name, &root.digest).await.map_err(Fault::from)? {
            return Err(ShelfError::Needed(index));
        }
        self.store.make_room();
        let mut doomed = vec![(root.digest, 0_usize)];
        while let Some((digest, depth)) = doomed.pop() {
            let goes_along = if depth < MAX_DEPTH { self.goes_along(name, &digest).await? } else { Vec::new() };
            let act = self.act(permit.actor(), request);
            let gone = self.store.meta().delete_manifest(name, &digest, self.store.due(), act.clone()).await;
            let gone = gone.map_err(Fault::from)?;
            if matches!(gone, DeletedManifest::Done { .. }) {
                self.forget_labels(name, &digest, &act).await;
            }
            match gone {
                DeletedManifest::Done { kept_by: None, .. } => {
                    doomed.extend(goes_along.into_iter().map(|digest| (digest, depth + 1)));
                }
                DeletedManifest::Done { kept_by: Some(_), .. } => {}
                DeletedManifest::Absent if depth > 0 => {}
                DeletedManifest::Absent => return Err(ShelfError::UnknownArtifact),
                DeletedManifest::NotHome(site) => return Err(ShelfError::NotHome(site)),
            }
        }
        Ok(())
    }

    /// What goes with an artifact: what speaks about it, and its children that have no tag.
    async fn goes_along(&self, name: &RepositoryName, digest: &Digest) -> Result<Vec<Digest>, ShelfError> {
        let accessories = self.speaking_about(name, digest, MAX_ACCESSORIES).await?;
        let mut goes: Vec<Digest> = accessories.into_iter().map(|accessory| accessory.digest).collect();
        for child in self.children(name, digest).await? {
            if self.store.meta().tags_of(name, &child, 1).await.map_err(Fault::from)?.is_empty() {
                goes.push(child);
            }
        }
        Ok(goes)
    }

    async fn children(&self, name: &RepositoryName, digest: &Digest) -> Result<Vec<Digest>, ShelfError> {
        let Some(stored) = self.stored(name, digest).await? else { return Ok(Vec::new()) };
        let parsed = parse(&stored.bytes, &stored.media_type)?;
        Ok(parsed.children().iter().map(|child| child.digest).collect())
    }
}

/// Reads a manifest that was taken once.
pub(super) fn parse(bytes: &[u8], media_type: &MediaType) -> Result<Manifest, ShelfError> {
    Ok(Manifest::parse(bytes, Some(media_type)).map_err(ManifestError::from)?)
}

//! Copies of artifacts between repositories of this node: content by reference, then manifest by manifest through the one
//! way in which manifests are published. No state: a copy that failed half-way is begun again and finds what is there.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::{Digest, Reference, RepositoryName, Tag};

use super::artifacts::parse;
use super::shelf::proven;
use super::{Fault, Registry, ShelfError};
use crate::policy::{Permission, ProjectPermit, Resource, Verb};
use crate::storage::meta::{MountBlob, StoredManifest};

const CREATE: Permission = Permission::new(Resource::Artifact, Verb::Create);
/// To copy from a repository.
pub const PULL: Permission = Permission::new(Resource::Repository, Verb::Pull);

/// Most manifests of one copy: an index, its children, and all that speaks about them.
const MAX_COPIED: usize = 2000;

/// Most accessories copied along with one manifest.
const MAX_ACCESSORIES: usize = 1000;

/// What is to be copied, and whence.
#[derive(Debug)]
pub struct Source<'a> {
    /// Proof that it may be pulled there.
    pub permit: &'a ProjectPermit,
    /// Where it is.
    pub repository: &'a RepositoryName,
    /// What.
    pub reference: &'a Reference,
}

impl Registry {
    /// Copies an artifact with its children and what speaks about them. When it is named by a tag, that tag names it in
    /// `to`, too.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`]; [`ShelfError::Accessory`]; [`ShelfError::TooMany`]; what publishing refuses.
    pub async fn copy_artifact(
        &self,
        permit: &ProjectPermit,
        to: &RepositoryName,
        source: Source<'_>,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        proven(permit, CREATE, to)?;
        proven(source.permit, PULL, source.repository)?;
        let from = source.repository;
        let root = self.resolve(from, source.reference).await?;
        if root.subject.is_some() {
            return Err(ShelfError::Accessory);
        }
        for digest in self.in_order(from, root.digest).await? {
            let found = self.store.meta().manifest(from, &Reference::Digest(digest)).await.map_err(Fault::from)?;
            let stored = found.ok_or(ShelfError::UnknownArtifact)?;
            let tags: Vec<Tag> = match source.reference {
                Reference::Tag(tag) if digest == root.digest => vec![tag.clone()],
                Reference::Tag(_) | Reference::Digest(_) => Vec::new(),
            };
            self.copy_blobs(permit, from, to, &stored, request).await?;
            self.publish_stored(permit, to, stored, (tags, false), request).await?;
        }
        Ok(())
    }

    /// Every manifest to be copied: children before what names them, and what speaks about one after it.
    async fn in_order(&self, from: &RepositoryName, root: Digest) -> Result<Vec<Digest>, ShelfError> {
        enum Step {
            Look(Digest),
            Take(Digest),
        }
        let (mut order, mut seen, mut steps) = (Vec::new(), HashSet::new(), vec![Step::Look(root)]);
        while let Some(step) = steps.pop() {
            let digest = match step {
                Step::Take(digest) => {
                    order.push(digest);
                    continue;
                }
                Step::Look(digest) if seen.insert(digest) => digest,
                Step::Look(_) => continue,
            };
            if seen.len() > MAX_COPIED {
                return Err(ShelfError::TooMany { what: "manifests", most: MAX_COPIED });
            }
            let found = self.store.meta().manifest(from, &Reference::Digest(digest)).await.map_err(Fault::from)?;
            // A sparse index names children that are not here; publishing says whether it may.
            let Some(stored) = found else { continue };
            let accessories = self.speaking_about(from, &digest, MAX_ACCESSORIES).await?;
            steps.extend(accessories.into_iter().map(|accessory| Step::Look(accessory.digest)));
            steps.push(Step::Take(digest));
            let parsed = parse(&stored.bytes, &stored.media_type)?;
            steps.extend(parsed.children().iter().map(|child| Step::Look(child.digest)));
        }
        Ok(order)
    }

    /// Makes the blobs a manifest names part of `to`. Those that are not in `from` are left to publishing to judge.
    async fn copy_blobs(
        &self,
        permit: &ProjectPermit,
        from: &RepositoryName,
        to: &RepositoryName,
        stored: &StoredManifest,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        let parsed = parse(&stored.bytes, &stored.media_type)?;
        let blobs: HashSet<Digest> = parsed.blobs().map(|blob| blob.digest).collect();
        for digest in blobs {
            let (from, to) = (from.clone(), to.clone());
            let act = self.act(permit.actor(), request);
            let mount = MountBlob { from, to, digest, lease: self.store.lease_end(), act };
            self.store.meta().mount_blob(mount).await.map_err(Fault::from)?;
        }
        Ok(())
    }
}

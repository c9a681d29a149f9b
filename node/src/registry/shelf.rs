//! What people look at: repositories, artifacts and tags as they are listed, and what they say of them.
//!
//! The methods that take a repository or a project by name show no permit yet: whoever calls them has made sure that the
//! caller may see what is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{Digest, ProjectName, Reference, RepositoryName};

use super::{Fault, Registry};
use crate::storage::meta::{
    ArtifactOrder, ArtifactView, DeletedRepository, FindRepositories, Page, ProjectTotals, Referrer, RepositoryOrder,
    RepositoryView, Shown, Slice, TagView,
};

/// Most bytes of what is said of a repository.
pub const MAX_DESCRIPTION: usize = 64 * 1024;

/// Most items of one page of a listing by place.
const MAX_PAGE: usize = 100;

/// Why a repository was not shown, described or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// There is no such repository.
    #[error("there is no such repository")]
    UnknownRepository,
    /// The repository has no such artifact.
    #[error("this repository has no such artifact")]
    UnknownArtifact,
    /// The description is too long.
    #[error("a description has at most {MAX_DESCRIPTION} bytes, this one has {found}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Tags of the project are written elsewhere.
    #[error("tags of this project are written at {0} alone: delete it there")]
    NotHome(String),
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An artifact with its tags, the first [`MAX_PAGE`] of them.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What is known of it.
    pub view: ArtifactView,
    /// The tags that name it.
    pub tags: Vec<TagView>,
}

/// The part of a listing that a page is; pages begin at 1.
fn part(page: u64, size: usize) -> Slice {
    let limit = size.clamp(1, MAX_PAGE);
    Slice { offset: page.saturating_sub(1).saturating_mul(limit as u64), limit }
}

#[allow(dead_code, reason = "the handlers of the management API come next")]
impl Registry {
    /// A repository.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`].
    pub(crate) async fn repository(&self, name: &RepositoryName) -> Result<RepositoryView, ShelfError> {
        let found = self.store.meta().repository(name).await.map_err(Fault::from)?;
        found.ok_or(ShelfError::UnknownRepository)
    }

    /// The repository that has a number.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`].
    pub(crate) async fn repository_by_id(&self, id: u32) -> Result<RepositoryView, ShelfError> {
        let found = self.store.meta().repository_by_id(id).await.map_err(Fault::from)?;
        found.ok_or(ShelfError::UnknownRepository)
    }

    /// A page of the repositories of a project, or of all.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn repositories(
        &self,
        project: Option<&ProjectName>,
        order: RepositoryOrder,
        page: u64,
        size: usize,
    ) -> Result<Shown<RepositoryView>, Fault> {
        Ok(self.store.meta().shown_repositories(project, order, part(page, size)).await?)
    }

    /// A page of the repositories whose name contains something, in these projects, or in all.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn find_repositories(
        &self,
        contains: String,
        projects: Option<Arc<BTreeSet<ProjectName>>>,
        page: u64,
        size: usize,
    ) -> Result<Shown<RepositoryView>, Fault> {
        let find = FindRepositories { contains, projects, slice: part(page, size) };
        Ok(self.store.meta().find_repositories(find).await?)
    }

    /// A page of the artifacts of a repository, with their tags.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`].
    pub(crate) async fn artifacts(
        &self,
        repository: &RepositoryName,
        order: ArtifactOrder,
        page: u64,
        size: usize,
    ) -> Result<Shown<Artifact>, ShelfError> {
        let shown = self.store.meta().artifacts(repository, order, part(page, size)).await.map_err(Fault::from)?;
        let Shown { items, total } = shown.ok_or(ShelfError::UnknownRepository)?;
        let mut artifacts = Vec::with_capacity(items.len());
        for view in items {
            artifacts.push(self.with_tags(repository, view).await?);
        }
        Ok(Shown { items: artifacts, total })
    }

    /// The artifact a reference names, with its tags.
    ///
    /// # Errors
    /// [`ShelfError::UnknownArtifact`].
    pub(crate) async fn artifact(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Artifact, ShelfError> {
        let found = self.store.meta().artifact(repository, reference).await.map_err(Fault::from)?;
        Ok(self.with_tags(repository, found.ok_or(ShelfError::UnknownArtifact)?).await?)
    }

    async fn with_tags(&self, repository: &RepositoryName, view: ArtifactView) -> Result<Artifact, Fault> {
        let tags = self.store.meta().tags_of(repository, &view.digest, MAX_PAGE).await?;
        Ok(Artifact { view, tags })
    }

    /// What speaks about an artifact, with the number of each; the first [`MAX_PAGE`] of them.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn accessories(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<(Referrer, ArtifactView)>, Fault> {
        let page = Page { after: None, limit: MAX_PAGE };
        let listing = self.store.meta().referrers(repository, subject, None, page).await?;
        let mut accessories = Vec::with_capacity(listing.items.len());
        for referrer in listing.items {
            let view = self.store.meta().artifact(repository, &Reference::Digest(referrer.digest)).await?;
            // It may have gone between the two looks.
            accessories.extend(view.map(|view| (referrer, view)));
        }
        Ok(accessories)
    }

    /// A page of the tags of a repository, by name.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`].
    pub(crate) async fn shown_tags(
        &self,
        repository: &RepositoryName,
        page: u64,
        size: usize,
    ) -> Result<Shown<TagView>, ShelfError> {
        let shown = self.store.meta().shown_tags(repository, part(page, size)).await.map_err(Fault::from)?;
        shown.ok_or(ShelfError::UnknownRepository)
    }

    /// What a project has, in figures.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn project_totals(&self, project: &ProjectName) -> Result<ProjectTotals, Fault> {
        Ok(self.store.meta().project_totals(project).await?)
    }

    /// Says of a repository what people say of it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`], [`ShelfError::TooLong`].
    pub(crate) async fn describe_repository(
        &self,
        name: &RepositoryName,
        description: String,
        actor: &crate::auth::Actor,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        if description.len() > MAX_DESCRIPTION {
            return Err(ShelfError::TooLong { found: description.len() });
        }
        let act = self.act(actor, request);
        let there = self.store.meta().describe_repository(name, description, act).await.map_err(Fault::from)?;
        if there { Ok(()) } else { Err(ShelfError::UnknownRepository) }
    }

    /// Deletes a repository with all that is in it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`], [`ShelfError::NotHome`].
    pub(crate) async fn delete_repository(
        &self,
        name: &RepositoryName,
        actor: &crate::auth::Actor,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        let act = self.act(actor, request);
        self.store.make_room();
        match self.store.meta().delete_repository(name, self.store.due(), act).await.map_err(Fault::from)? {
            DeletedRepository::Done { .. } => Ok(()),
            DeletedRepository::Absent => Err(ShelfError::UnknownRepository),
            DeletedRepository::NotHome(site) => Err(ShelfError::NotHome(site)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_at_one_and_are_bounded() {
        assert_eq!(part(1, 10), Slice { offset: 0, limit: 10 });
        assert_eq!(part(0, 10), Slice { offset: 0, limit: 10 });
        assert_eq!(part(500, 1000), Slice { offset: 49_900, limit: 100 });
        assert_eq!(part(u64::MAX, 0), Slice { offset: u64::MAX - 1, limit: 1 });
    }
}

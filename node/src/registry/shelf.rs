//! What people look at: repositories as they are listed and found, and what is said of them.
//!
//! What is shown of one project is proven by a [`ProjectPermit`], what is shown of many by a [`Sight`].

use std::sync::Arc;

use protocol::{ProjectName, RepositoryName};

use super::{Fault, ManifestError, Registry};
use crate::directory::DirectoryError;
use crate::policy::{Permission, ProjectPermit, Resource, Sight, Verb};
use crate::storage::meta::{
    DeletedRepository, FindRepositories, ProjectTotals, RepositoryKey, RepositoryOrder, RepositoryView, Shown, Slice,
    Wanted, delete_in_steps,
};

/// Most bytes of what is said of a repository.
pub const MAX_DESCRIPTION: usize = 64 * 1024;

/// Tags and manifests of a repository that are deleted at once: other writes come in between.
const STEP: usize = 200;

/// Most items of one page of a listing by place.
pub(super) const MAX_PAGE: usize = 100;

/// To see repositories in a list.
pub const LIST_REPOSITORIES: Permission = Permission::new(Resource::Repository, Verb::List);
const READ: Permission = Permission::new(Resource::Repository, Verb::Read);
const UPDATE: Permission = Permission::new(Resource::Repository, Verb::Update);
const DELETE: Permission = Permission::new(Resource::Repository, Verb::Delete);

/// Why a repository or an artifact was not shown, described, copied or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// There is no such repository.
    #[error("there is no such repository")]
    UnknownRepository,
    /// The repository has no such artifact.
    #[error("this repository has no such artifact")]
    UnknownArtifact,
    /// The artifact has no such tag.
    #[error("this artifact has no such tag")]
    UnknownTag,
    /// The tag is there.
    #[error("the tag {0} is there already")]
    TagExists(protocol::Tag),
    /// What speaks about another artifact has no place of its own.
    #[error("this artifact speaks about another one and goes with that: copy that")]
    Accessory,
    /// An index needs it.
    #[error("the index {0} names this artifact: delete that first")]
    Needed(protocol::Digest),
    /// The artifact has no such addition.
    #[error("an artifact of the type {0} has no such addition")]
    NoAddition(String),
    /// The chart can't be shown.
    #[error("this addition of the chart can't be shown: {0}")]
    Unreadable(&'static str),
    /// The description is too long.
    #[error("a description has at most {MAX_DESCRIPTION} bytes, this one has {found}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// More than is looked through for one answer.
    #[error("more than {most} {what} would have to be looked through: ask for less")]
    TooMany {
        /// What.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// Tags of the project are written elsewhere.
    #[error("tags of this project are written at {0} alone: do it there")]
    NotHome(String),
    /// A manifest was not taken.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A label.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The permit proves something else: a mistake of ours.
    #[error("the permit does not prove {0} here")]
    Unproven(Permission),
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Whether a permit proves what is about to be done.
pub(super) fn proven(
    permit: &ProjectPermit,
    permission: Permission,
    repository: &RepositoryName,
) -> Result<(), ShelfError> {
    if permit.covers(permission, repository) { Ok(()) } else { Err(ShelfError::Unproven(permission)) }
}

/// Which repositories are asked for, and in what order.
#[derive(Clone, Debug)]
pub struct Repositories {
    /// What the name contains.
    pub contains: String,
    /// What else is wanted of the name.
    pub wanted: Option<Arc<dyn Wanted>>,
    /// Their order.
    pub by: RepositoryKey,
    /// The greatest first.
    pub descending: bool,
    /// From 1.
    pub page: u64,
    /// Most items.
    pub size: usize,
}

/// What a name has to be, and what may be seen.
#[derive(Debug)]
struct SeenAndWanted {
    sight: Sight,
    wanted: Option<Arc<dyn Wanted>>,
}

impl Wanted for SeenAndWanted {
    fn wants(&self, repository: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.wants(repository)) && self.sight.wants(repository)
    }
}

impl Repositories {
    /// Whether an index has them as they are asked for.
    fn indexed(&self) -> Option<RepositoryOrder> {
        if !self.contains.is_empty() || self.wanted.is_some() {
            return None;
        }
        match (self.by, self.descending) {
            (RepositoryKey::Name, false) => Some(RepositoryOrder::Name),
            (RepositoryKey::Created, true) => Some(RepositoryOrder::Newest),
            (RepositoryKey::Name | RepositoryKey::Created | RepositoryKey::Updated, _) => None,
        }
    }
}

/// The part of a listing that a page is; pages begin at 1.
pub(super) fn part(page: u64, size: usize) -> Slice {
    let limit = size.clamp(1, MAX_PAGE);
    Slice { offset: page.saturating_sub(1).saturating_mul(limit as u64), limit }
}

impl Registry {
    /// A repository.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`].
    pub async fn repository(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
    ) -> Result<RepositoryView, ShelfError> {
        proven(permit, READ, name)?;
        self.repository_view(name).await
    }

    pub(super) async fn repository_view(&self, name: &RepositoryName) -> Result<RepositoryView, ShelfError> {
        let found = self.store.meta().repository(name).await.map_err(Fault::from)?;
        found.ok_or(ShelfError::UnknownRepository)
    }

    /// A page of the repositories that are seen, of one project or of all.
    ///
    /// # Errors
    /// [`ShelfError::Unproven`] for a sight of something else.
    pub async fn repositories(
        &self,
        sight: Sight,
        project: Option<&ProjectName>,
        asked: Repositories,
    ) -> Result<Shown<RepositoryView>, ShelfError> {
        if sight.permission() != LIST_REPOSITORIES {
            return Err(ShelfError::Unproven(LIST_REPOSITORIES));
        }
        let slice = part(asked.page, asked.size);
        let sees_whole = project.map_or_else(|| sight.is_everything(), |project| sight.has_whole(project));
        if let Some(order) = asked.indexed().filter(|_| sees_whole) {
            return Ok(self.store.meta().shown_repositories(project, order, slice).await.map_err(Fault::from)?);
        }
        let projects = match project {
            Some(project) => Some(Arc::new([project.clone()].into())),
            None => sight.projects(),
        };
        // Where whole projects are seen, their names alone decide.
        let wanted: Option<Arc<dyn Wanted>> = match (sees_whole || !sight.is_parted(), asked.wanted) {
            (true, wanted) => wanted,
            (false, wanted) => Some(Arc::new(SeenAndWanted { sight, wanted })),
        };
        let Repositories { contains, by, descending, .. } = asked;
        let find = FindRepositories { contains, projects, wanted, by, descending, slice };
        Ok(self.store.meta().find_repositories(find).await.map_err(Fault::from)?)
    }

    /// What a project has, in figures. They are no secret of those who know of the project.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn project_totals(&self, project: &ProjectName) -> Result<ProjectTotals, Fault> {
        Ok(self.store.meta().project_totals(project).await?)
    }

    /// Says of a repository what people say of it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`], [`ShelfError::TooLong`].
    pub async fn describe_repository(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        description: String,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        proven(permit, UPDATE, name)?;
        if description.len() > MAX_DESCRIPTION {
            return Err(ShelfError::TooLong { found: description.len() });
        }
        let act = self.act(permit.actor(), request);
        let there = self.store.meta().describe_repository(name, description, act).await.map_err(Fault::from)?;
        if there { Ok(()) } else { Err(ShelfError::UnknownRepository) }
    }

    /// Deletes a repository with all that is in it.
    ///
    /// # Errors
    /// [`ShelfError::UnknownRepository`], [`ShelfError::NotHome`].
    pub async fn delete_repository(
        &self,
        permit: &ProjectPermit,
        name: &RepositoryName,
        request: &Arc<str>,
    ) -> Result<(), ShelfError> {
        proven(permit, DELETE, name)?;
        let act = self.act(permit.actor(), request);
        self.store.make_room();
        let (this, gone, by) = (self.clone(), name.clone(), act.clone());
        let work = async move {
            let deleted = delete_in_steps(this.store.meta(), &gone, STEP, this.store.due(), &by).await;
            if matches!(deleted, Ok(DeletedRepository::Done)) {
                this.forget_all_labels(&gone, &by).await;
            }
            deleted
        };
        // It goes on when the client hangs up meanwhile.
        match self.scope.run("delete a repository", work).await.map_err(Fault::from)?.map_err(Fault::from)? {
            DeletedRepository::Done | DeletedRepository::More(_) => Ok(()),
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

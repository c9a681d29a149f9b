//! How much projects may hold, and hold. The id of a quota is that of its project.

use std::sync::Arc;

use protocol::{ProjectName, Timestamp};

use super::{Fault, Registry};
use crate::directory::{Book, DirectoryError, ProjectEntry};
use crate::policy::SystemPermit;

/// What one project may hold.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The project.
    pub project: Arc<ProjectEntry>,
    /// The id of its owner, when the account is still there.
    pub owner: Option<u32>,
    /// Most bytes; `None`: no bound.
    pub bytes: Option<u64>,
    /// When it was set; else when the project was made.
    pub updated: Timestamp,
}

/// Most bytes of a project: what was set for it, else for all; `None`: no bound.
fn bytes_of(book: &Book, project: Option<&ProjectEntry>) -> Option<u64> {
    let set = project.and_then(|project| book.quota(&project.scope));
    let of_all = || book.configured_number("storage_per_project").and_then(|bytes| u64::try_from(bytes).ok());
    set.map_or_else(of_all, |quota| quota.bytes)
}

fn allowed(book: &Book, project: &Arc<ProjectEntry>) -> Allowed {
    let set = book.quota(&project.scope);
    Allowed {
        project: Arc::clone(project),
        owner: book.user(&project.settings.owner).map(|owner| owner.is.id),
        bytes: bytes_of(book, Some(project)),
        updated: set.map_or(project.settings.created, |quota| quota.updated),
    }
}

impl Registry {
    /// Most bytes of a project: what was set for it, else for all; `None`: no bound.
    #[must_use]
    pub fn quota_of(&self, name: &ProjectName) -> Option<u64> {
        self.directory.read(|book| {
            if book.configured_flag("quota_per_project_enable") == Some(false) {
                return None;
            }
            bytes_of(book, book.project(name).map(Arc::as_ref))
        })
    }

    /// The quotas of all projects, by id.
    #[must_use]
    pub fn quotas(&self, _permit: &SystemPermit) -> Vec<Allowed> {
        let mut all: Vec<_> = self.directory.read(|book| book.projects().map(|one| allowed(book, one)).collect());
        all.sort_unstable_by_key(|quota| quota.project.settings.id);
        all
    }

    /// The quota of one project.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn quota(&self, _permit: &SystemPermit, id: u32) -> Result<Allowed, DirectoryError> {
        let found = self.directory.read(|book| book.project_by_id(id).map(|project| allowed(book, project)));
        found.ok_or(DirectoryError::Absent("quota"))
    }

    /// What a project holds, in bytes.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn bytes_held(&self, project: &ProjectName) -> Result<u64, Fault> {
        Ok(self.project_totals(project).await?.bytes)
    }

    /// Says how much a project may hold; `None`: as much as there is room.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn set_quota(
        &self,
        permit: &SystemPermit,
        id: u32,
        bytes: Option<u64>,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut crate::directory::Draft<'_>| {
            let project = draft.book.project_by_id(id).ok_or(DirectoryError::Absent("quota"))?;
            draft.set_quota(&project.name, bytes)
        };
        self.directory.change(&act, decide).await
    }
}

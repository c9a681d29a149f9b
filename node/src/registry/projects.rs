//! Projects: made by those who may, or by an administrator's push.

use std::sync::Arc;

use protocol::ProjectName;
use protocol::record::governed::{Metadata, Quota};

use super::Registry;
use crate::directory::{self, DirectoryError, ProjectEntry};
use crate::policy::{AdminPermit, CreateProject, ProjectPermit};
use crate::storage::meta::Act;

/// A project someone wants.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Its name.
    pub name: ProjectName,
    /// Whether anyone may pull.
    pub public: bool,
    /// Whether a manifest may name content that is not here.
    pub sparse: bool,
    /// Further settings.
    pub metadata: Metadata,
    /// Most bytes, `Some(None)`: no bound; `None`: what is set for all.
    pub quota: Option<Option<u64>>,
}

impl NewProject {
    /// A private one, as a push makes it.
    #[must_use]
    pub const fn named(name: ProjectName) -> Self {
        Self { name, public: false, sparse: false, metadata: Metadata::new(), quota: None }
    }
}

impl Registry {
    /// Makes a project. That its owner may is the caller's to know: by the gate, or by being the node itself.
    pub(super) async fn make_project(
        &self,
        act: &Act,
        new: NewProject,
        owner: Option<u32>,
    ) -> Result<Arc<ProjectEntry>, DirectoryError> {
        let mut nonce = [0; 16];
        self.entropy.fill(&mut nonce);
        let quota = new.quota.map(|bytes| Quota { bytes, ..Quota::default() });
        let NewProject { name, public, sparse, metadata, .. } = new;
        let asked = directory::NewProject { name: name.clone(), public, sparse, metadata, owner, quota, nonce };
        self.directory.change(act, |draft| draft.create_project(&asked)).await?;
        let made = self.directory.read(|book| book.project(&name).cloned());
        made.ok_or(DirectoryError::Absent("project"))
    }

    /// Makes a project for someone who may; a person becomes its administrator.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn create_project(
        &self,
        permit: &CreateProject,
        new: NewProject,
        request: &Arc<str>,
    ) -> Result<Arc<ProjectEntry>, DirectoryError> {
        let act = self.act(permit.actor(), request);
        self.make_project(&act, new, permit.owner()).await
    }

    /// Deletes a project that has no repositories.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete_project(&self, permit: &ProjectPermit, request: &Arc<str>) -> Result<(), DirectoryError> {
        self.store.make_room();
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.delete_project(permit.name(), false)).await
    }

    /// Deletes a project with all that is in it. It can be undone until its bytes are collected.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete_full_project(
        &self,
        permit: &AdminPermit,
        name: &ProjectName,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        self.store.make_room();
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.delete_project(name, true)).await
    }

    /// Opens again the project of this name that was deleted last.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn undelete_project(
        &self,
        permit: &AdminPermit,
        name: &ProjectName,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.undelete_project(name)).await
    }

    /// Most bytes of a project: what was set for it, else for all; `None`: no bound, or none is kept to.
    #[must_use]
    pub fn quota_of(&self, name: &ProjectName) -> Option<u64> {
        self.directory.read(|book| {
            if book.configured_flag("quota_per_project_enable") == Some(false) {
                return None;
            }
            let set = book.project(name).and_then(|project| book.quota(&project.scope));
            let of_all = || book.configured_number("storage_per_project").and_then(|bytes| u64::try_from(bytes).ok());
            set.map_or_else(of_all, |quota| quota.bytes)
        })
    }
}

//! Projects: made by an administrator, or by an administrator's push.

use std::sync::Arc;

use protocol::ProjectName;

use super::{Fault, Registry};
use crate::policy::AdminPermit;
use crate::storage::meta::{Listing, Project};

/// A project someone wants.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Its name.
    pub name: ProjectName,
    /// Whether anyone may pull.
    pub public: bool,
    /// Whether a manifest may name content that is not here.
    pub sparse: bool,
}

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// One of that name is there.
    #[error("a project of that name is there already")]
    Exists,
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Registry {
    /// Makes a project.
    ///
    /// # Errors
    /// [`ProjectError`].
    pub async fn create_project(
        &self,
        permit: &AdminPermit,
        new: NewProject,
        request: &Arc<str>,
    ) -> Result<Project, ProjectError> {
        let act = self.act(permit.principal(), request);
        let project = Project { name: new.name, public: new.public, sparse: new.sparse, created: act.at };
        let made = self.store.meta().create_project(project.clone(), act).await.map_err(Fault::from)?;
        if made { Ok(project) } else { Err(ProjectError::Exists) }
    }

    /// A page of the projects, in ASCII order.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn projects(
        &self,
        _permit: &AdminPermit,
        after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Listing<Project>, Fault> {
        Ok(self.store.meta().projects(self.page(after, limit)).await?)
    }
}

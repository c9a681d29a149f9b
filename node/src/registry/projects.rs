//! Projects: made by those who may, or by an administrator's push.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ProjectName;
use protocol::record::governed::{Metadata, Quota};

use super::{Fault, Registry, members};
use crate::auth::Kind;
use crate::directory::{self, Book, DirectoryError, ProjectEntry};
use crate::policy::{AdminPermit, CreateProject, ProjectPermit, ProjectSight};
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

/// What there is to know of a project beside its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AboutProject {
    /// The id of its owner, when the account is still there.
    pub owner: Option<u32>,
    /// The roles of the one who asks, the strongest first.
    pub roles: Vec<u32>,
    /// How many repositories it has.
    pub repositories: u64,
}

/// That what a permit proves is still so, for decisions: between the two the client sent a body, at its leisure.
pub(super) fn still(book: &Book, permit: &ProjectPermit) -> Result<(), DirectoryError> {
    if permit.holds_in(book) {
        Ok(())
    } else if permit.is_of_open(book) {
        Err(not_any_more())
    } else {
        Err(DirectoryError::Absent("project"))
    }
}

/// As [`still`], of who administers the system.
pub(super) fn still_administers(book: &Book, permit: &AdminPermit) -> Result<(), DirectoryError> {
    if permit.holds_in(book) { Ok(()) } else { Err(not_any_more()) }
}

fn not_any_more() -> DirectoryError {
    DirectoryError::Refused("this account may not do this any more".into())
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
        let delete = self.directory.change(&act, |draft| {
            still(draft.book, permit)?;
            draft.delete_project(permit.name(), false)
        });
        delete.await
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
        let delete = self.directory.change(&act, |draft| {
            still_administers(draft.book, permit)?;
            draft.delete_project(name, true)
        });
        delete.await
    }

    /// The projects someone may see and `wants`, by name. Asks what is wanted first: it costs less than what may be seen.
    #[must_use]
    pub fn seen_projects(
        &self,
        sight: &ProjectSight,
        wants: impl Fn(&Book, &ProjectEntry) -> bool,
    ) -> Vec<Arc<ProjectEntry>> {
        self.directory.read(|book| {
            let wanted = book.projects().filter(|project| wants(book, project));
            wanted.filter(|project| sight.sees(book, &project.name)).cloned().collect()
        })
    }

    /// What there is to know of a project beside its settings.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn about_project(&self, sight: &ProjectSight, project: &ProjectEntry) -> Result<AboutProject, Fault> {
        let repositories = self.project_totals(&project.name).await?.repositories;
        Ok(self.directory.read(|book| AboutProject {
            owner: book.user(&project.settings.owner).map(|owner| owner.is.id),
            roles: match sight.holder() {
                Kind::User(id) => members::roles_of(book, &project.scope, id),
                Kind::Anonymous | Kind::Robot(_) | Kind::Operator => Vec::new(),
            },
            repositories,
        }))
    }

    /// How many members of a project have each of the built-in roles.
    #[must_use]
    pub fn count_members(&self, permit: &ProjectPermit) -> BTreeMap<u32, u32> {
        self.directory.read(|book| {
            let whole = book.members(&permit.project().scope).filter(|(key, _)| key.repositories.is_none());
            let mut counts = BTreeMap::new();
            for role in whole.filter_map(|(_, member)| members::weakest(member)) {
                *counts.entry(role).or_default() += 1;
            }
            counts
        })
    }
}

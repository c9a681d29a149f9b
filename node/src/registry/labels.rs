//! Labels of projects and of the whole system. Whose a label is decides who may do something with it.

use std::sync::Arc;

use super::Registry;
use super::projects::still;
use crate::directory::{Book, DirectoryError, Draft, LabelEntry, NewLabel, ProjectEntry};
use crate::policy::{ProjectPermit, SystemPermit};

/// Proof that someone may do something with the labels of one place.
#[derive(Debug)]
pub enum LabelPermit {
    /// With those of the system.
    System(SystemPermit),
    /// With those of a project.
    Project(ProjectPermit),
}

impl LabelPermit {
    const fn actor(&self) -> &crate::auth::Actor {
        match self {
            Self::System(permit) => permit.actor(),
            Self::Project(permit) => permit.actor(),
        }
    }

    const fn project(&self) -> Option<&Arc<ProjectEntry>> {
        match self {
            Self::System(_) => None,
            Self::Project(permit) => Some(permit.project()),
        }
    }

    fn still(&self, book: &Book) -> Result<(), DirectoryError> {
        match self {
            Self::System(_) => Ok(()),
            Self::Project(permit) => still(book, permit),
        }
    }
}

impl Registry {
    /// Where a label stands: in a project, or (`None` inside) in the whole system; `None`: there is no such label. Says
    /// which permit it takes to do something with it.
    #[must_use]
    pub fn place_of_label(&self, id: u32) -> Option<Option<Arc<ProjectEntry>>> {
        self.directory.read(|book| match book.label(id)?.scope {
            None => Some(None),
            Some(scope) => book.project_of(&scope).cloned().map(Some),
        })
    }

    /// The labels of the whole system, by id: everyone who is logged in may see them.
    #[must_use]
    pub fn system_labels(&self) -> Vec<LabelEntry> {
        self.directory.read(|book| book.labels(None).cloned().collect())
    }

    /// The labels of a project, by id.
    #[must_use]
    pub fn project_labels(&self, permit: &ProjectPermit) -> Vec<LabelEntry> {
        self.directory.read(|book| book.labels(Some(permit.project().scope)).cloned().collect())
    }

    /// A label where the permit is for.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`], also when it stands elsewhere.
    pub fn label(&self, permit: &LabelPermit, id: u32) -> Result<LabelEntry, DirectoryError> {
        self.directory.read(|book| at(book, permit, id))
    }

    /// Makes a label; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn create_label(
        &self,
        permit: &LabelPermit,
        new: &NewLabel,
        request: &Arc<str>,
    ) -> Result<u32, DirectoryError> {
        let act = self.act(permit.actor(), request);
        let project = permit.project().map(|project| &project.name);
        let decide = |draft: &mut Draft<'_>| {
            permit.still(draft.book)?;
            draft.create_label(project, new)
        };
        self.directory.change(&act, decide).await
    }

    /// Changes a label: `None` leaves it as it is.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn change_label(
        &self,
        permit: &LabelPermit,
        id: u32,
        name: &str,
        (description, color): (Option<&str>, Option<&str>),
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            permit.still(draft.book)?;
            let old = at(draft.book, permit, id)?;
            let new = NewLabel {
                name: name.to_owned(),
                description: description.unwrap_or(&old.is.description).to_owned(),
                color: color.unwrap_or(&old.is.color).to_owned(),
            };
            draft.change_label(id, &new)
        };
        self.directory.change(&act, decide).await
    }

    /// Deletes a label.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete_label(&self, permit: &LabelPermit, id: u32, request: &Arc<str>) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            permit.still(draft.book)?;
            at(draft.book, permit, id)?;
            draft.delete_label(id)
        };
        self.directory.change(&act, decide).await
    }
}

fn at(book: &Book, permit: &LabelPermit, id: u32) -> Result<LabelEntry, DirectoryError> {
    let scope = permit.project().map(|project| project.scope);
    book.label(id).filter(|label| label.scope == scope).cloned().ok_or(DirectoryError::Absent("label"))
}

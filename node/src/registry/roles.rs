//! Roles that an installation names itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Registry;
use crate::directory::{Book, DirectoryError};
use crate::policy::roles::{PROJECT_VOCABULARY, ROLES, role_permissions};
use crate::policy::{AdminPermit, Permission};

/// Why a role was not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The directory is against it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Members have it.
    #[error("{0} members have this role: give them another first")]
    Held(usize),
}

/// What a role may hold: what a robot can be given in a project, and what the built-in roles are made of.
fn is_for_roles(permission: Permission) -> bool {
    let built_in = ROLES.iter().flat_map(|role| role_permissions(*role));
    PROJECT_VOCABULARY.iter().chain(built_in).any(|known| *known == permission)
}

/// How a role shall be.
#[derive(Clone, Debug)]
pub struct RoleText {
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// Free text.
    pub description: String,
}

impl RoleText {
    fn words(&self) -> Result<BTreeSet<String>, DirectoryError> {
        match self.permissions.iter().find(|permission| !is_for_roles(**permission)) {
            Some(other) => Err(DirectoryError::Invalid(format!("{other} is nothing a role can allow in a project"))),
            None => Ok(self.permissions.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Memberships that have a role.
fn held(book: &Book, role: u32) -> usize {
    let members = book.projects().flat_map(|project| book.members(&project.scope));
    members.filter(|(_, member)| member.roles.contains(&role)).count()
}

fn name_of(book: &Book, role: u32) -> Result<Arc<str>, DirectoryError> {
    book.role_by_id(role).map(|role| Arc::clone(&role.name)).ok_or(DirectoryError::Absent("role"))
}

impl Registry {
    /// Makes a role; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn create_role(
        &self,
        permit: &AdminPermit,
        name: &str,
        text: &RoleText,
        request: &Arc<str>,
    ) -> Result<u32, DirectoryError> {
        let (act, words) = (self.act(permit.actor(), request), text.words()?);
        let make = self.directory.change(&act, |draft| {
            if draft.book.roles().any(|role| role.name.eq_ignore_ascii_case(name)) {
                return Err(DirectoryError::Exists(format!("role {name}")));
            }
            draft.put_role(name, words.clone(), &text.description)
        });
        make.await
    }

    /// Changes what a role allows, for everyone who has it. Its name stays.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn change_role(
        &self,
        permit: &AdminPermit,
        role: u32,
        text: &RoleText,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let (act, words) = (self.act(permit.actor(), request), text.words()?);
        let change = self.directory.change(&act, |draft| {
            let name = name_of(draft.book, role)?;
            draft.put_role(&name, words.clone(), &text.description)
        });
        change.await.map(drop)
    }

    /// Deletes a role that nobody has.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn delete_role(&self, permit: &AdminPermit, role: u32, request: &Arc<str>) -> Result<(), RoleError> {
        let act = self.act(permit.actor(), request);
        let delete = self.directory.change(&act, |draft| {
            let name = name_of(draft.book, role)?;
            match held(draft.book, role) {
                0 => draft.delete_role(&name).map_err(RoleError::from),
                members => Err(RoleError::Held(members)),
            }
        });
        delete.await
    }
}

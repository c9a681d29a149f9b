//! Labels, roles that someone names, and settings of the whole mesh. Decides only.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ProjectName;
use protocol::record::Kind;
use protocol::record::governed::{Configured, CustomRole, Label};
use protocol::record::value::Value;

use super::DirectoryError;
use super::draft::{Draft, IdOf, Told};
use crate::storage::meta::GovernedKind;

/// Most labels of a project, or of all.
const MAX_LABELS: usize = 1000;
/// Most roles that are named.
const MAX_ROLES: usize = 1000;
/// Most bytes of a setting.
const MAX_SETTING: usize = 16 * 1024;

/// What is said of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLabel {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// `#RRGGBB`, or nothing.
    pub color: String,
}

impl NewLabel {
    fn check(&self) -> Result<(), DirectoryError> {
        let is_color = |text: &str| {
            text.is_empty()
                || text
                    .strip_prefix('#')
                    .is_some_and(|hex| matches!(hex.len(), 3 | 6) && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        if self.name.is_empty() || self.name.len() > 128 || self.name.contains(char::is_control) {
            return Err(DirectoryError::Invalid("a label's name has 1 to 128 characters".into()));
        }
        if self.description.len() > 1024 || !is_color(&self.color) {
            return Err(DirectoryError::Invalid("color is #RRGGBB, description has at most 1024 characters".into()));
        }
        Ok(())
    }
}

impl Draft<'_> {
    /// Makes a label of a project, or of all; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`], [`DirectoryError::Absent`]: the project.
    pub fn create_label(&mut self, project: Option<&ProjectName>, new: &NewLabel) -> Result<u32, DirectoryError> {
        new.check()?;
        let scope = match project {
            Some(name) => Some(self.book.project(name).ok_or(DirectoryError::Absent("project"))?.scope),
            None => None,
        };
        if self.book.labels(scope).any(|label| label.is.name == new.name) {
            return Err(DirectoryError::Exists(format!("label {}", new.name)));
        }
        if self.book.labels(scope).count() >= MAX_LABELS {
            return Err(DirectoryError::Refused(format!("there are {MAX_LABELS} labels, the most there may be")));
        }
        let id = self.id(IdOf::Label)?;
        let NewLabel { name, description, color } = new.clone();
        let label = Label { id, name, description, color, created: self.now, updated: self.now };
        self.tell(&Told { kind: GovernedKind::Label, name: &new.name, project, before: None, after: Some(&label) });
        let scope = scope.unwrap_or_else(|| self.book.mesh_wide());
        self.put(Self::topic(scope, Kind::LABEL, &id.to_string()), &Value::Label(label));
        Ok(id)
    }

    /// Changes a label.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`], [`DirectoryError::Absent`].
    pub fn change_label(&mut self, id: u32, new: &NewLabel) -> Result<(), DirectoryError> {
        new.check()?;
        let old = self.book.label(id).ok_or(DirectoryError::Absent("label"))?;
        if self.book.labels(old.scope).any(|label| label.is.name == new.name && label.is.id != id) {
            return Err(DirectoryError::Exists(format!("label {}", new.name)));
        }
        let NewLabel { name, description, color } = new.clone();
        let label = Label { name, description, color, updated: self.now, ..old.is.clone() };
        let project = old.scope.and_then(|scope| self.book.project_of(&scope)).map(|project| &project.name);
        let (before, after) = (Some(&old.is), Some(&label));
        self.tell(&Told { kind: GovernedKind::Label, name: &new.name, project, before, after });
        let scope = old.scope.unwrap_or_else(|| self.book.mesh_wide());
        self.put(Self::topic(scope, Kind::LABEL, &id.to_string()), &Value::Label(label));
        Ok(())
    }

    /// Deletes a label.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn delete_label(&mut self, id: u32) -> Result<(), DirectoryError> {
        let old = self.book.label(id).ok_or(DirectoryError::Absent("label"))?;
        let project = old.scope.and_then(|scope| self.book.project_of(&scope)).map(|project| &project.name);
        let (name, before) = (old.is.name.as_str(), Some(&old.is));
        self.tell(&Told { kind: GovernedKind::Label, name, project, before, after: None });
        let scope = old.scope.unwrap_or_else(|| self.book.mesh_wide());
        self.delete(Self::topic(scope, Kind::LABEL, &id.to_string()));
        Ok(())
    }

    /// Names a set of permissions, or changes what is named; gives back its id. That the permissions exist is the
    /// caller's to know.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`].
    pub fn put_role(
        &mut self,
        name: &str,
        permissions: BTreeSet<String>,
        description: &str,
    ) -> Result<u32, DirectoryError> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
        let is_built_in = BUILT_IN.iter().any(|built_in| built_in.eq_ignore_ascii_case(name));
        if name.is_empty() || name.len() > 128 || !name.chars().all(good) || is_built_in {
            return Err(DirectoryError::Invalid(
                "a role's name has 1 to 128 letters, digits, spaces, . _ - and is none of the built-in ones".into(),
            ));
        }
        if permissions.is_empty() || description.len() > 1024 {
            return Err(DirectoryError::Invalid("a role has permissions, and a description of at most 1024".into()));
        }
        let old = self.book.role(name);
        if old.is_none() && self.book.roles().len() >= MAX_ROLES {
            return Err(DirectoryError::Refused(format!("there are {MAX_ROLES} roles, the most there may be")));
        }
        let id = match old {
            Some(old) => old.is.id,
            None => self.id(IdOf::Role)?,
        };
        let created = old.map_or(self.now, |old| old.is.created);
        let role = CustomRole { id, permissions, description: description.to_owned(), created, updated: self.now };
        let before = old.map(|old| &old.is);
        self.tell(&Told { kind: GovernedKind::Role, name, project: None, before, after: Some(&role) });
        self.put(self.mesh_wide(Kind::ROLE, name), &Value::Role(role));
        Ok(id)
    }

    /// Deletes a role. Members who have it may do nothing by it any more.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn delete_role(&mut self, name: &str) -> Result<(), DirectoryError> {
        let old = self.book.role(name).ok_or(DirectoryError::Absent("role"))?;
        let before = Some(&old.is);
        self.tell(&Told { kind: GovernedKind::Role, name, project: None, before, after: None });
        self.delete(self.mesh_wide(Kind::ROLE, name));
        Ok(())
    }

    /// Sets something for the whole mesh, as JSON. That it may be set so is the caller's to know.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`] when it is too long.
    pub fn configure(&mut self, settings: &BTreeMap<String, String>) -> Result<(), DirectoryError> {
        for (name, value) in settings {
            if value.len() > MAX_SETTING {
                return Err(DirectoryError::Invalid(format!("{name} has at most {MAX_SETTING} characters")));
            }
            let before = self.book.configured(name);
            if before == Some(value) {
                continue;
            }
            let (kind, before) = (GovernedKind::Configuration, Some(before.unwrap_or_default()));
            self.tell(&Told { kind, name, project: None, before: before.as_ref(), after: Some(&value.as_str()) });
            self.put(
                self.mesh_wide(Kind::CONFIGURATION, name),
                &Value::Configured(Configured { value: value.clone() }),
            );
        }
        Ok(())
    }
}

/// The names of the built-in roles, Harbor's.
const BUILT_IN: [&str; 5] = ["projectAdmin", "developer", "guest", "maintainer", "limitedGuest"];

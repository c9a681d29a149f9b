//! Projects, their quotas and settings: what may be changed about them. Decides only.

use protocol::ProjectName;
use protocol::record::governed::{Entity, Member, MemberKey, Metadata, Quota};
use protocol::record::value::{Life, Project, Settings, Value};
use protocol::record::{Kind, RecordKey, ScopeId};
use protocol::view::Topic;

use super::DirectoryError;
use super::draft::{Draft, IdOf, Told};
use super::entry::ProjectEntry;
use crate::storage::meta::{GovernedKind, Write};

/// Harbor's number of the role of a project's administrator.
const PROJECT_ADMIN: u32 = 1;

/// Most further settings of a project.
const MAX_METADATA: usize = 64;
/// Most bytes of one.
const MAX_METADATA_VALUE: usize = 4096;

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
    /// The user who owns it and becomes its administrator; `None`: the built-in administrator owns it.
    pub owner: Option<u32>,
    /// Most bytes, when they are said now.
    pub quota: Option<Quota>,
    /// Random: what opens the binding of its name.
    pub nonce: [u8; 16],
}

/// What is to be different about a project; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// Whether anyone may pull.
    pub public: Option<bool>,
    /// Whether a manifest may name content that is not here.
    pub sparse: Option<bool>,
    /// Further settings: put these; `None` removes.
    pub metadata: Vec<(String, Option<String>)>,
}

impl Draft<'_> {
    fn project_or(&self, name: &ProjectName) -> Result<&std::sync::Arc<ProjectEntry>, DirectoryError> {
        self.book.project(name).ok_or(DirectoryError::Absent("project"))
    }

    /// Makes a project; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`], [`DirectoryError::Invalid`].
    pub fn create_project(&mut self, new: &NewProject) -> Result<u32, DirectoryError> {
        if self.book.project(&new.name).is_some() {
            return Err(DirectoryError::Exists(format!("project {}", new.name)));
        }
        check_metadata(&new.metadata)?;
        let owner = new.owner.and_then(|id| self.book.user_by_id(id));
        let id = self.id(IdOf::Project)?;
        let settings = Settings {
            id,
            owner: owner.map_or("admin", |owner| &owner.name).to_owned(),
            metadata: new.metadata.clone(),
            ..Settings::new(self.now, new.public, new.sparse)
        };
        let scope = ScopeId::project(self.book.mesh(), &new.name, &new.nonce);
        let (name, project) = (new.name.as_str(), Some(&new.name));
        self.tell(&Told { kind: GovernedKind::Project, name, project, before: None, after: Some(&settings) });
        let value = Project { name: new.name.clone(), nonce: new.nonce, life: Life::Open(settings) };
        self.put(Topic::project(scope), &Value::Project(value));
        if let Some(owner) = owner {
            let key = MemberKey { entity: Entity::User(owner.is.id), repositories: None };
            let id = self.id(IdOf::Member)?;
            let member = Member { id, roles: [PROJECT_ADMIN].into(), created: self.now, updated: self.now };
            self.put(Topic { scope, kind: Kind::MEMBER, key: key.to_key() }, &Value::Member(member));
        }
        if let Some(bytes) = new.quota {
            self.put(quota_topic(scope), &Value::Quota(Quota { updated: self.now, ..bytes }));
        }
        Ok(id)
    }

    /// Changes how a project is set.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`], [`DirectoryError::Invalid`].
    pub fn change_project(&mut self, name: &ProjectName, change: &ProjectChange) -> Result<(), DirectoryError> {
        let old = std::sync::Arc::clone(self.project_or(name)?);
        let mut settings = old.settings.clone();
        settings.public = change.public.unwrap_or(settings.public);
        settings.sparse = change.sparse.unwrap_or(settings.sparse);
        for (key, value) in &change.metadata {
            match value {
                Some(value) => drop(settings.metadata.insert(key.clone(), value.clone())),
                None => drop(settings.metadata.remove(key)),
            }
        }
        check_metadata(&settings.metadata)?;
        if settings == old.settings {
            return Ok(());
        }
        // What it once undid stays undone: every later version of an open project says so.
        settings.updated = self.now;
        let (before, after) = (Some(&old.settings), Some(&settings));
        self.tell(&Told { kind: GovernedKind::Project, name: name.as_str(), project: Some(name), before, after });
        let value = Project { name: name.clone(), nonce: old.nonce, life: Life::Open(settings) };
        self.put(Topic::project(old.scope), &Value::Project(value));
        Ok(())
    }

    /// Deletes a project: with `full` also one that has repositories, and all that is in it.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`]. That it has repositories is found by the store.
    pub fn delete_project(&mut self, name: &ProjectName, full: bool) -> Result<(), DirectoryError> {
        let old = std::sync::Arc::clone(self.project_or(name)?);
        let before = Some(&old.settings);
        self.tell(&Told { kind: GovernedKind::Project, name: name.as_str(), project: Some(name), before, after: None });
        self.write(Write::Close { project: name.clone(), full });
        self.forget_in_robots(name);
        Ok(())
    }

    /// Opens again the project of this name that was deleted last.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`] when one of that name is open. That none was deleted is found by the store.
    pub fn undelete_project(&mut self, name: &ProjectName) -> Result<(), DirectoryError> {
        if self.book.project(name).is_some() {
            return Err(DirectoryError::Exists(format!("project {name}")));
        }
        let after: Option<&Settings> = None;
        self.tell(&Told { kind: GovernedKind::Project, name: name.as_str(), project: Some(name), before: None, after });
        self.write(Write::Reopen(name.clone()));
        Ok(())
    }

    /// Says how much a project may hold; `None`: as much as there is room.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn set_quota(&mut self, name: &ProjectName, bytes: Option<u64>) -> Result<(), DirectoryError> {
        let scope = self.project_or(name)?.scope;
        let old = self.book.quota(&scope);
        let quota = Quota { bytes, updated: self.now };
        let before = Some(old.unwrap_or_default());
        let (kind, name, project) = (GovernedKind::Quota, name.as_str(), Some(name));
        self.tell(&Told { kind, name, project, before: before.as_ref(), after: Some(&quota) });
        self.put(quota_topic(scope), &Value::Quota(quota));
        Ok(())
    }
}

fn quota_topic(scope: ScopeId) -> Topic {
    Topic { scope, kind: Kind::QUOTA, key: RecordKey::single() }
}

fn check_metadata(metadata: &Metadata) -> Result<(), DirectoryError> {
    let good = |(key, value): (&String, &String)| {
        !key.is_empty() && key.len() <= 255 && value.len() <= MAX_METADATA_VALUE && !key.contains(char::is_control)
    };
    if metadata.len() > MAX_METADATA || !metadata.iter().all(good) {
        return Err(DirectoryError::Invalid(format!(
            "a project has at most {MAX_METADATA} settings of at most {MAX_METADATA_VALUE} characters"
        )));
    }
    Ok(())
}

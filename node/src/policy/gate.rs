//! The one place where rights are decided: [`super::rights`] says who may, a gate makes the permit.

use std::sync::Arc;

use protocol::{ProjectName, RepositoryName};

use super::permission::{Permission, Resource, Verb};
use super::rights::{self, On};
use super::{
    AdminPermit, CatalogPermit, CreateProject, Permit, ProjectPermit, ProjectSight, Right, Sight, SystemPermit,
};
use crate::auth::{Action, Kind, Principal, Scope};
use crate::directory::{Directory, ProjectEntry};

/// Why there is no permit.
///
/// On the way of registry clients it does not say whether something exists: to one who may not read, absent and forbidden
/// are the same. On the way of administration [`Denied::Absent`] is said of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Another credential may help: nothing was shown, or a token without this scope.
    #[error("log in with an account that may do this")]
    Challenge,
    /// The account shown may not, and may know that.
    #[error("this account may not do this")]
    Forbidden,
    /// It is not there, or this account may not know of it.
    #[error("there is no such project, or this account may not see it")]
    Absent,
}

/// Most scopes one token carries; what is asked beyond is not granted.
pub const MAX_SCOPES: usize = 64;

/// The permission that an action of a registry client stands for.
#[must_use]
pub const fn permission_of(action: Action) -> Permission {
    match action {
        Action::Pull => Permission::new(Resource::Repository, Verb::Pull),
        Action::Push => Permission::new(Resource::Repository, Verb::Push),
        Action::Delete => Permission::new(Resource::Artifact, Verb::Delete),
    }
}

pub(super) const SEE_PROJECT: Permission = Permission::new(Resource::Project, Verb::Read);

/// Decides who may do what.
#[derive(Clone, Debug)]
pub struct Gate {
    pub(super) directory: Arc<Directory>,
}

impl Gate {
    /// A gate by the book of `directory`.
    #[must_use]
    pub const fn new(directory: Arc<Directory>) -> Self {
        Self { directory }
    }

    /// A permit for `R` in `repository`.
    ///
    /// # Errors
    /// [`Denied`], the same whether the repository exists or not.
    pub fn permit<R: Right>(&self, principal: &Principal, repository: &RepositoryName) -> Result<Permit<R>, Denied> {
        if self.allows(principal, R::ACTION, repository) && principal.scope_allows(R::ACTION, repository) {
            return Ok(Permit::new(principal, repository));
        }
        Err(denied(principal))
    }

    /// A permit for `R` by the account's right alone, for uses no token scope can name (the source of an anonymous
    /// mount); `None` when the account has no such right.
    #[must_use]
    pub fn permit_by_account<R: Right>(&self, principal: &Principal, repository: &RepositoryName) -> Option<Permit<R>> {
        self.allows(principal, R::ACTION, repository).then(|| Permit::new(principal, repository))
    }

    /// Whether the account behind `principal` has the right, whatever credential was shown. The token service asks
    /// this, so that a token never holds a right its bearer had not.
    #[must_use]
    pub fn allows(&self, principal: &Principal, action: Action, repository: &RepositoryName) -> bool {
        self.may(principal, permission_of(action), On::Repository(repository))
    }

    /// Whether the account behind `principal` has a permission, whatever credential was shown.
    #[must_use]
    pub fn may(&self, principal: &Principal, permission: Permission, on: On<'_>) -> bool {
        self.directory.read(|book| rights::allows(book, principal.kind(), permission, on))
    }

    /// Which repositories, of one project or of all, the account behind `principal` has a permission for: for lists.
    #[must_use]
    pub fn sight(&self, principal: &Principal, permission: Permission, project: Option<&ProjectName>) -> Sight {
        self.directory.read(|book| Sight::of(book, principal.kind(), permission, project))
    }

    /// Whether the account behind `principal` administers the system, and shows a credential that says all it may.
    #[must_use]
    pub fn is_administrator(&self, principal: &Principal) -> bool {
        principal.scope_allows_administration()
            && self.directory.read(|book| rights::is_administrator(book, principal.kind()))
    }

    /// What of `asked` the account behind `principal` has a right to: the scopes of its token. Every repository asked
    /// for is named, also with no action.
    #[must_use]
    pub fn grant(&self, principal: &Principal, asked: &[Scope]) -> Vec<Scope> {
        let mut granted = Vec::new();
        for scope in asked.iter().take(MAX_SCOPES) {
            match scope {
                Scope::Catalog => granted.extend(self.permit_catalog(principal).ok().map(|_| Scope::Catalog)),
                Scope::Repository { name, actions } => {
                    let allowed = actions.iter().copied().filter(|action| self.allows(principal, *action, name));
                    // Also with no action left: the token then says that this was asked for and refused.
                    granted.push(Scope::Repository { name: name.clone(), actions: allowed.collect() });
                }
            }
        }
        granted
    }

    /// A permit to read the catalog: anyone who logged in, limited to what they may pull.
    ///
    /// # Errors
    /// [`Denied::Challenge`] for the anonymous and for tokens without the scope.
    pub fn permit_catalog(&self, principal: &Principal) -> Result<CatalogPermit, Denied> {
        match principal.kind() {
            Kind::User(_) | Kind::Robot(_) | Kind::Operator if principal.scope_allows_catalog() => {
                Ok(CatalogPermit { principal: principal.clone() })
            }
            Kind::User(_) | Kind::Robot(_) | Kind::Operator | Kind::Anonymous => Err(denied(principal)),
        }
    }

    /// A permit to administer this node.
    ///
    /// # Errors
    /// [`Denied`] for everyone but administrators, and for tokens.
    pub fn permit_administration(&self, principal: &Principal) -> Result<AdminPermit, Denied> {
        if self.is_administrator(principal) {
            return Ok(AdminPermit { actor: principal.actor(), holder: principal.kind() });
        }
        Err(denied(principal))
    }

    /// A permit to make projects: for administrators, robots with the permission, and people where all may.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn permit_create_project(&self, principal: &Principal) -> Result<CreateProject, Denied> {
        const CREATE: Permission = Permission::new(Resource::Project, Verb::Create);
        let everyone = || {
            let set = self.directory.read(|book| book.configured_text("project_creation_restriction"));
            set.is_none_or(|set| set == "everyone")
        };
        let (may, owner) = match principal.kind() {
            Kind::User(id) => (self.is_administrator(principal) || everyone(), Some(id)),
            Kind::Robot(_) | Kind::Operator => (self.may(principal, CREATE, On::System), None),
            Kind::Anonymous => (false, None),
        };
        if may && principal.scope_allows_administration() {
            return Ok(CreateProject { actor: principal.actor(), owner });
        }
        Err(denied(principal))
    }

    /// What the account may see. A token of registry clients says nothing about projects: it sees what anyone does.
    #[must_use]
    pub const fn sight_of_projects(&self, principal: &Principal) -> ProjectSight {
        let all = principal.scope_allows_administration();
        ProjectSight { kind: if all { principal.kind() } else { Kind::Anonymous } }
    }

    /// A permit for something with the whole system.
    ///
    /// # Errors
    /// [`Denied`] for those who lack it, and for tokens of registry clients.
    pub fn permit_system(&self, principal: &Principal, permission: Permission) -> Result<SystemPermit, Denied> {
        if principal.scope_allows_administration() && self.may(principal, permission, On::System) {
            return Ok(SystemPermit { actor: principal.actor(), permission });
        }
        Err(denied(principal))
    }

    /// A permit for something in the project that `find` finds.
    ///
    /// # Errors
    /// [`Denied::Absent`] when it is not there, or one who logged in may not know of it; [`Denied::Challenge`] in both
    /// cases for who did not; [`Denied::Forbidden`] for one who may know of it.
    pub fn permit_project(
        &self,
        principal: &Principal,
        permission: Permission,
        find: impl FnOnce(&crate::directory::Book) -> Option<Arc<ProjectEntry>>,
    ) -> Result<ProjectPermit, Denied> {
        if !principal.scope_allows_administration() {
            return Err(Denied::Challenge);
        }
        self.directory.read(|book| {
            let may =
                |permission, name: &ProjectName| rights::allows(book, principal.kind(), permission, On::Project(name));
            match find(book) {
                Some(project) if may(permission, &project.name) => {
                    let (actor, holder) = (principal.actor(), principal.kind());
                    Ok(ProjectPermit { actor, holder, permission, project, within: None })
                }
                _ if principal.is_anonymous() => Err(Denied::Challenge),
                Some(project) if may(SEE_PROJECT, &project.name) => Err(Denied::Forbidden),
                Some(_) | None => Err(Denied::Absent),
            }
        })
    }

    /// As [`Gate::permit_project`], for something in one of its repositories: also for those who may do it there alone.
    ///
    /// # Errors
    /// As [`Gate::permit_project`].
    pub fn permit_in_repository(
        &self,
        principal: &Principal,
        permission: Permission,
        repository: &RepositoryName,
    ) -> Result<ProjectPermit, Denied> {
        if principal.scope_allows_administration() && self.may(principal, permission, On::Repository(repository)) {
            let project = self.directory.read(|book| book.project(&repository.project()).cloned());
            let (actor, holder) = (principal.actor(), principal.kind());
            let within = Some(repository.clone());
            let permit = |project| ProjectPermit { actor, holder, permission, project, within };
            return project.map(permit).ok_or(Denied::Absent);
        }
        self.permit_project(principal, permission, |book| book.project(&repository.project()).cloned())
    }
}

pub(super) fn denied(principal: &Principal) -> Denied {
    match principal.kind() {
        Kind::Anonymous => Denied::Challenge,
        // A token that lacks the scope: the client should ask for another.
        Kind::User(_) | Kind::Robot(_) | Kind::Operator if !principal.is_interactive() => Denied::Challenge,
        Kind::User(_) | Kind::Robot(_) | Kind::Operator => Denied::Forbidden,
    }
}

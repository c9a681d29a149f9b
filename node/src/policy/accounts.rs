//! Permits over accounts: of people and of programs. What the gate decides about those who decide about others.

use std::sync::Arc;

use super::gate::{Denied, Gate, denied};
use super::permission::{Permission, Resource, Verb};
use super::rights::{self, On};
use super::{CreateUser, PersonPermit, RobotPermit};
use crate::auth::{Kind, Principal};
use crate::directory::{Book, ProjectEntry};

const CREATE_USER: Permission = Permission::new(Resource::User, Verb::Create);

impl Gate {
    /// A permit to make accounts of people: for those with the permission, and for anyone who did not log in where people
    /// may register themselves.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn permit_create_user(&self, principal: &Principal) -> Result<CreateUser, Denied> {
        let registers = || self.directory.read(|book| book.configured_flag("self_registration").unwrap_or_default());
        let may = match principal.kind() {
            Kind::Anonymous => registers(),
            Kind::User(_) | Kind::Robot(_) | Kind::Operator => self.may(principal, CREATE_USER, On::System),
        };
        if may && principal.scope_allows_administration() {
            return Ok(CreateUser { actor: principal.actor() });
        }
        Err(denied(principal))
    }

    /// A permit for something with the account `user`: its owner has it, administrators have it, and whoever holds
    /// `permission` over the system has it for those who are no administrators. Without a `permission`, for what would
    /// make its holder that person, only the first two have it.
    ///
    /// # Errors
    /// [`Denied`], the same whether the account is there or not.
    pub fn permit_person(
        &self,
        principal: &Principal,
        user: u32,
        permission: Option<Permission>,
    ) -> Result<PersonPermit, Denied> {
        if principal.is_anonymous() || !principal.scope_allows_administration() {
            return Err(Denied::Challenge);
        }
        let own = principal.kind() == Kind::User(user);
        let holds = || permission.is_some_and(|permission| self.may(principal, permission, On::System));
        // Else a program that looks after accounts could take an administrator's.
        let is_above = || self.directory.read(|book| rights::is_administrator(book, Kind::User(user)));
        if own || self.is_administrator(principal) || (holds() && !is_above()) {
            return Ok(PersonPermit { actor: principal.actor(), user, own });
        }
        Err(Denied::Forbidden)
    }

    /// A permit for something with robots: `find` finds the project they belong to; without one, those of the system.
    ///
    /// # Errors
    /// As [`Gate::permit_project`], [`Gate::permit_system`].
    pub fn permit_robots(
        &self,
        principal: &Principal,
        action: Verb,
        find: Option<impl FnOnce(&Book) -> Option<Arc<ProjectEntry>>>,
    ) -> Result<RobotPermit, Denied> {
        let permission = Permission::new(Resource::Robot, action);
        let holder = principal.kind();
        match find {
            None => {
                let permit = self.permit_system(principal, permission)?;
                Ok(RobotPermit { actor: permit.actor, holder, within: None })
            }
            Some(find) => {
                let permit = self.permit_project(principal, permission, find)?;
                Ok(RobotPermit { actor: permit.actor.clone(), holder, within: Some(permit) })
            }
        }
    }

    /// Whether the account may make robots of the system, and of any project.
    #[must_use]
    pub fn makes_robots(&self, principal: &Principal) -> (bool, bool) {
        const CREATE: Permission = Permission::new(Resource::Robot, Verb::Create);
        let kind = principal.kind();
        self.directory.read(|book| {
            let of_system = rights::allows(book, kind, CREATE, On::System);
            let of_any =
                || book.projects().any(|project| rights::allows(book, kind, CREATE, On::Project(&project.name)));
            (of_system, of_system || of_any())
        })
    }
}

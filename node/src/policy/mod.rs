//! From a [`Principal`] and an intent to a [`Permit`].
//!
//! A permit is the proof that someone was allowed something; [`crate::registry`] takes nothing else, and nothing but
//! [`Gate`] makes one. Which right it proves is in its type, so a handler can't use a permit to pull for a push.

mod accounts;
mod gate;
pub mod permission;
pub mod rights;
pub mod roles;
mod sight;
pub mod why;

use std::marker::PhantomData;
use std::sync::Arc;

use protocol::{ProjectName, RepositoryName};

use crate::auth::{Action, Actor, Kind, Principal};
use crate::directory::{Book, ProjectEntry};

pub use gate::{Denied, Gate, MAX_SCOPES, permission_of};
pub use permission::{Permission, Resource, Verb};
pub use rights::{Because, On};
pub use sight::Sight;
pub use why::{Explanation, Step};

/// A right a permit can prove over a repository.
pub trait Right: Send + Sync + 'static {
    /// The action it stands for.
    const ACTION: Action;
}

/// The right to pull.
#[derive(Debug)]
pub struct Pull;
/// The right to push.
#[derive(Debug)]
pub struct Push;
/// The right to delete.
#[derive(Debug)]
pub struct Delete;

impl Right for Pull {
    const ACTION: Action = Action::Pull;
}
impl Right for Push {
    const ACTION: Action = Action::Push;
}
impl Right for Delete {
    const ACTION: Action = Action::Delete;
}

/// Proof that someone may do `R` in `repository`.
#[derive(Debug)]
pub struct Permit<R> {
    actor: Actor,
    repository: RepositoryName,
    right: PhantomData<fn() -> R>,
}

impl<R: Right> Permit<R> {
    fn new(principal: &Principal, repository: &RepositoryName) -> Self {
        Self { actor: principal.actor(), repository: repository.clone(), right: PhantomData }
    }

    /// The repository it is for.
    #[must_use]
    pub const fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Who holds it.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }
}

/// Permits that say who holds them.
macro_rules! held {
    ($($permit:ident)+) => {
        $(impl $permit {
            /// Who holds it.
            #[must_use]
            pub const fn actor(&self) -> &Actor {
                &self.actor
            }
        })+
    };
}

held! { AdminPermit CreateProject SystemPermit ProjectPermit CreateUser PersonPermit RobotPermit }

/// Proof that someone may read the catalog; it shows only what they may pull.
#[derive(Debug)]
pub struct CatalogPermit {
    principal: Principal,
}

impl CatalogPermit {
    /// Who holds it.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// What someone may see: of many things, each is asked about by itself.
#[derive(Clone, Copy, Debug)]
pub struct ProjectSight {
    kind: Kind,
}

impl ProjectSight {
    /// Whose it is.
    #[must_use]
    pub const fn holder(&self) -> Kind {
        self.kind
    }

    /// Whether a project is among what they may see.
    #[must_use]
    pub fn sees(&self, book: &Book, project: &ProjectName) -> bool {
        rights::allows(book, self.kind, gate::SEE_PROJECT, On::Project(project))
    }
}

/// Proof that someone may administer this node: its garbage, its disks, its records.
#[derive(Debug)]
pub struct AdminPermit {
    actor: Actor,
    holder: Kind,
}

impl AdminPermit {
    /// Whether what it proves is so by another book.
    #[must_use]
    pub fn holds_in(&self, book: &Book) -> bool {
        rights::is_administrator(book, self.holder)
    }
}

/// Proof that someone may make projects.
#[derive(Debug)]
pub struct CreateProject {
    actor: Actor,
    owner: Option<u32>,
}

impl CreateProject {
    /// The person who will own what is made; `None`: a program makes it.
    #[must_use]
    pub const fn owner(&self) -> Option<u32> {
        self.owner
    }
}

/// Proof that someone holds a permission over the whole system.
#[derive(Debug)]
pub struct SystemPermit {
    actor: Actor,
    permission: Permission,
}

impl SystemPermit {
    /// Which permission.
    #[must_use]
    pub const fn permission(&self) -> Permission {
        self.permission
    }
}

/// Proof that someone holds a permission in a project that is there.
#[derive(Debug)]
pub struct ProjectPermit {
    actor: Actor,
    holder: Kind,
    permission: Permission,
    project: Arc<ProjectEntry>,
    within: Option<RepositoryName>,
}

impl ProjectPermit {
    /// The account that holds it.
    #[must_use]
    pub const fn holder(&self) -> Kind {
        self.holder
    }

    /// Which permission.
    #[must_use]
    pub const fn permission(&self) -> Permission {
        self.permission
    }

    /// Whether it proves just this, for this repository of the project.
    #[must_use]
    pub fn covers(&self, permission: Permission, repository: &RepositoryName) -> bool {
        self.permission == permission
            && self.project.name.as_str() == repository.project_str()
            && self.within.as_ref().is_none_or(|within| within == repository)
    }

    /// Whether what it proves is so by another book: the project is still there, which one made later under its name is
    /// not, and the holder may still do this in it.
    #[must_use]
    pub fn holds_in(&self, book: &Book) -> bool {
        let on = self.within.as_ref().map_or(On::Project(&self.project.name), On::Repository);
        self.is_of_open(book) && rights::allows(book, self.holder, self.permission, on)
    }

    /// Whether its project is still there.
    #[must_use]
    pub fn is_of_open(&self, book: &Book) -> bool {
        book.project_of(&self.project.scope).is_some()
    }

    /// The project, as it was when the permit was made.
    #[must_use]
    pub const fn project(&self) -> &Arc<ProjectEntry> {
        &self.project
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ProjectName {
        &self.project.name
    }
}

/// Proof that someone may make accounts of people, none of them an administrator's.
#[derive(Debug)]
pub struct CreateUser {
    actor: Actor,
}

/// Proof that someone may do something with one person's account: it is their own, or theirs to administer.
#[derive(Debug)]
pub struct PersonPermit {
    actor: Actor,
    user: u32,
    own: bool,
}

impl PersonPermit {
    /// The id of the account, which may be absent.
    #[must_use]
    pub const fn user(&self) -> u32 {
        self.user
    }

    /// Whether it is the holder's own account.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own
    }
}

/// Proof that someone may do something with the robots of a project, or of the system.
#[derive(Debug)]
pub struct RobotPermit {
    actor: Actor,
    holder: Kind,
    within: Option<ProjectPermit>,
}

impl RobotPermit {
    /// What kind of being holds it: what it gives to robots must be its own.
    #[must_use]
    pub const fn holder(&self) -> Kind {
        self.holder
    }

    /// The project; `None`: the system.
    #[must_use]
    pub fn project(&self) -> Option<&Arc<ProjectEntry>> {
        self.within.as_ref().map(ProjectPermit::project)
    }

    /// The permit in the project; `None`: it is over the system.
    #[must_use]
    pub const fn within(&self) -> Option<&ProjectPermit> {
        self.within.as_ref()
    }
}

//! From a [`Principal`] and an intent to a [`Permit`].
//!
//! A permit is the proof that someone was allowed something; [`crate::registry`] takes nothing else, and nothing but
//! [`Gate`] makes one. Which right it proves is in its type, so a handler can't use a permit to pull for a push.

mod gate;
pub mod permission;
pub mod roles;

use std::marker::PhantomData;
use std::sync::Arc;

use protocol::RepositoryName;

use crate::auth::{Action, Principal};

pub use gate::{Denied, Gate, MAX_SCOPES};
pub use permission::{Permission, Resource, Verb};

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

/// Proof that `principal` may do `R` in `repository`.
#[derive(Debug)]
pub struct Permit<R> {
    principal: Arc<str>,
    repository: RepositoryName,
    right: PhantomData<fn() -> R>,
}

impl<R: Right> Permit<R> {
    fn new(principal: &Principal, repository: &RepositoryName) -> Self {
        Self { principal: Arc::clone(principal.name()), repository: repository.clone(), right: PhantomData }
    }

    /// The repository it is for.
    #[must_use]
    pub const fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Who holds it.
    #[must_use]
    pub const fn principal(&self) -> &Arc<str> {
        &self.principal
    }
}

/// Proof that `principal` may read the catalog; it shows only what they may pull.
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

/// Proof that `principal` may administer this node.
#[derive(Debug)]
pub struct AdminPermit {
    principal: Arc<str>,
}

impl AdminPermit {
    /// Who holds it.
    #[must_use]
    pub const fn principal(&self) -> &Arc<str> {
        &self.principal
    }
}

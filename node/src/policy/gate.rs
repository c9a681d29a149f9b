//! The one place where rights are decided.

use std::sync::Arc;

use protocol::{ProjectName, RepositoryName};

use super::{AdminPermit, CatalogPermit, Permit, Right};
use crate::auth::{Action, Kind, Principal, Scope};
use crate::storage::Store;
use crate::storage::meta::MetaError;

/// Why there is no permit.
///
/// It does not say whether the repository exists: to one who may not read, absent and forbidden are the same.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Another credential may help: nothing was shown, or a token without this scope.
    #[error("log in with an account that may do this")]
    Challenge,
    /// The account shown may not.
    #[error("this account may not do this")]
    Forbidden,
    /// It could not be found out.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// Most scopes one token carries; what is asked beyond is not granted.
pub const MAX_SCOPES: usize = 64;

/// Decides who may do what.
#[derive(Clone, Debug)]
pub struct Gate {
    store: Arc<Store>,
}

impl Gate {
    /// A gate over the projects of `store`.
    #[must_use]
    pub const fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// A permit for `R` in `repository`.
    ///
    /// # Errors
    /// [`Denied`], the same whether the repository exists or not.
    pub async fn permit<R: Right>(
        &self,
        principal: &Principal,
        repository: &RepositoryName,
    ) -> Result<Permit<R>, Denied> {
        if self.allows(principal, R::ACTION, repository).await? && principal.scope_allows(R::ACTION, repository) {
            return Ok(Permit::new(principal, repository));
        }
        Err(Self::denied(principal))
    }

    /// A permit for `R` by the account's right alone, for uses no token scope can name (the source of an anonymous
    /// mount); `None` when the account has no such right.
    ///
    /// # Errors
    /// [`MetaError`] when the project can't be read.
    pub async fn permit_by_account<R: Right>(
        &self,
        principal: &Principal,
        repository: &RepositoryName,
    ) -> Result<Option<Permit<R>>, MetaError> {
        Ok(self.allows(principal, R::ACTION, repository).await?.then(|| Permit::new(principal, repository)))
    }

    /// Whether the account behind `principal` has the right, whatever credential was shown. The token service asks
    /// this, so that a token never holds a right its bearer had not.
    ///
    /// # Errors
    /// [`MetaError`] when the project can't be read.
    pub async fn allows(
        &self,
        principal: &Principal,
        action: Action,
        repository: &RepositoryName,
    ) -> Result<bool, MetaError> {
        Ok(match (principal.kind(), action) {
            (Kind::Administrator, _) => true,
            (Kind::Anonymous, Action::Pull) => self.is_public(&repository.project()).await?,
            (Kind::Anonymous, Action::Push | Action::Delete) => false,
        })
    }

    /// What of `asked` the account behind `principal` has a right to: the scopes of its token. Every repository asked
    /// for is named, also with no action.
    ///
    /// # Errors
    /// [`MetaError`] when a project can't be read.
    pub async fn grant(&self, principal: &Principal, asked: &[Scope]) -> Result<Vec<Scope>, MetaError> {
        let mut granted = Vec::new();
        for scope in asked.iter().take(MAX_SCOPES) {
            match scope {
                Scope::Catalog => granted.extend(self.permit_catalog(principal).ok().map(|_| Scope::Catalog)),
                Scope::Repository { name, actions } => {
                    let actions = self.allowed(principal, actions, name).await?;
                    // Also with no action left: the token then says that this was asked for and refused.
                    granted.push(Scope::Repository { name: name.clone(), actions });
                }
            }
        }
        Ok(granted)
    }

    async fn allowed(
        &self,
        principal: &Principal,
        asked: &[Action],
        repository: &RepositoryName,
    ) -> Result<Vec<Action>, MetaError> {
        let mut allowed = Vec::new();
        for action in asked {
            if self.allows(principal, *action, repository).await? {
                allowed.push(*action);
            }
        }
        Ok(allowed)
    }

    async fn is_public(&self, project: &ProjectName) -> Result<bool, MetaError> {
        Ok(self.store.meta().project(project).await?.is_some_and(|p| p.public))
    }

    /// A permit to read the catalog: anyone who logged in, limited to what they may pull.
    ///
    /// # Errors
    /// [`Denied::Challenge`] for the anonymous and for tokens without the scope.
    pub fn permit_catalog(&self, principal: &Principal) -> Result<CatalogPermit, Denied> {
        match principal.kind() {
            Kind::Administrator if principal.scope_allows_catalog() => {
                Ok(CatalogPermit { principal: principal.clone() })
            }
            Kind::Administrator | Kind::Anonymous => Err(Self::denied(principal)),
        }
    }

    /// A permit to administer this node.
    ///
    /// # Errors
    /// [`Denied`] for everyone but the administrator, and for tokens.
    pub fn permit_administration(&self, principal: &Principal) -> Result<AdminPermit, Denied> {
        match principal.kind() {
            Kind::Administrator if principal.scope_allows_administration() => {
                Ok(AdminPermit { principal: Arc::clone(principal.name()) })
            }
            Kind::Administrator | Kind::Anonymous => Err(Self::denied(principal)),
        }
    }

    fn denied(principal: &Principal) -> Denied {
        match principal.kind() {
            Kind::Anonymous => Denied::Challenge,
            // A token that lacks the scope: the client should ask for another.
            Kind::Administrator if !principal.is_interactive() => Denied::Challenge,
            Kind::Administrator => Denied::Forbidden,
        }
    }
}

//! From credentials to a [`Principal`].
//!
//! This room answers "who is this", never "may they": that is [`crate::policy`]. A principal exists only as the result
//! of [`Authenticator::authenticate`]. Disabling an account or changing its password raises its generation, which every
//! token and cached credential carries, so both end at once.

mod backoff;
mod password;
mod scope;
mod session;
mod token;

pub mod authenticator;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::RepositoryName;

pub use authenticator::{
    AuthError, AuthRules, Authenticator, Issued, OpenAuth, ROBOT_PREFIX, full_name, robot_prefix, robot_secret_kept,
};
#[cfg(test)]
pub(crate) use password::quick_verifier;
pub use password::{WeakPassword, check_rules};
pub use scope::ScopeError;

use crate::storage::meta::Via;

/// The name of the built-in administrator.
pub const ADMIN: &str = "admin";

/// A secret as it came in. Never shown, wiped from no log because it never enters one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for comparing and hashing only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a request brought to say who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// Name and password.
    Basic {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// A token of our own token service.
    Bearer(Secret),
    /// A session of a browser.
    Session(Secret),
    /// The machine's own operator, through the socket in the data directory, which only they can open.
    LocalOperator,
}

/// What may be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read manifests and blobs, list tags and referrers.
    Pull,
    /// Upload blobs, publish manifests, move tags.
    Push,
    /// Delete tags, manifests and blobs.
    Delete,
}

impl Action {
    /// The word used in a token's scope.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    /// Reads the word; `None` for any other.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pull, Self::Push, Self::Delete].into_iter().find(|a| a.as_str() == word)
    }
}

/// What a token is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `repository:NAME:ACTIONS`.
    Repository {
        /// The repository.
        name: RepositoryName,
        /// The actions; a token never holds one its bearer had no right to when it was made.
        actions: Vec<Action>,
    },
    /// `registry:catalog:*`.
    Catalog,
}

/// What kind of being a principal is. Certificates join here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Someone who showed nothing.
    Anonymous,
    /// A person, by id.
    User(u32),
    /// A program's account, by id.
    Robot(u32),
    /// The machine's own operator, who may do everything.
    Operator,
}

/// Who did something, and by what they were known: what a permit proves and the audit trail tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name.
    pub name: Arc<str>,
    /// By what, from where.
    pub via: Via,
}

/// Who is asking. Made only by [`Authenticator::authenticate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    kind: Kind,
    name: Arc<str>,
    /// `None`: everything the account may; else no more than this.
    scopes: Option<Arc<[Scope]>>,
    /// Shown by something other than a token of ours: another try with a token may help.
    interactive: bool,
    via: Via,
    /// For a person known by a password: the generation of the account when it was checked.
    generation: u64,
}

impl Principal {
    /// Someone who showed nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            kind: Kind::Anonymous,
            name: "anonymous".into(),
            scopes: None,
            interactive: false,
            via: Via::default(),
            generation: 0,
        }
    }

    /// What kind of being.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The name, for audit and ownership of sessions.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The principal as one who does something.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { name: Arc::clone(&self.name), via: self.via }
    }

    /// By what it was known, and from where.
    #[must_use]
    pub const fn via(&self) -> &Via {
        &self.via
    }

    /// The same one, from an address.
    #[must_use]
    pub fn from(mut self, address: Option<IpAddr>) -> Self {
        self.via.address = address;
        self
    }

    /// Whether nobody logged in.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        matches!(self.kind, Kind::Anonymous)
    }

    /// Whether the credential shown is the account itself (password, socket), not a token limited to scopes.
    #[must_use]
    pub const fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether the credential shown leaves room for this action here.
    #[must_use]
    pub fn scope_allows(&self, action: Action, repository: &RepositoryName) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| {
            scopes.iter().any(|scope| match scope {
                Scope::Repository { name, actions } => name == repository && actions.contains(&action),
                Scope::Catalog => false,
            })
        })
    }

    /// Whether the credential shown was made with this repository in mind, whatever it may do there.
    #[must_use]
    pub fn scope_names(&self, repository: &RepositoryName) -> bool {
        let names = |scope: &Scope| matches!(scope, Scope::Repository { name, .. } if name == repository);
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(names))
    }

    /// Whether the credential shown leaves room for reading the catalog.
    #[must_use]
    pub fn scope_allows_catalog(&self) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&Scope::Catalog))
    }

    /// Whether the credential shown leaves room for administration: tokens for registry clients never do.
    #[must_use]
    pub const fn scope_allows_administration(&self) -> bool {
        self.scopes.is_none()
    }
}

//! What of many repositories someone may see: decided once for a whole list, not for each of its rows. Holds what was
//! decided, for as long as the list takes to make.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use protocol::{ProjectName, RepositoryName};

use super::permission::Permission;
use super::rights::{self, On};
use crate::auth::Kind;
use crate::directory::Book;
use crate::storage::meta::Wanted;

/// The repositories someone has a permission for: what [`rights::allows`] says of each of them.
#[derive(Clone, Debug)]
pub struct Sight {
    permission: Permission,
    /// `None`: everything.
    parts: Option<HashMap<ProjectName, Part>>,
}

/// What of one project is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// Repositories whose path meets one of these.
    Matching(Vec<String>),
}

impl Sight {
    /// What `who` may see by `permission`, of one project or of all.
    pub(super) fn of(book: &Book, who: Kind, permission: Permission, project: Option<&ProjectName>) -> Self {
        if project.is_none() && rights::is_administrator(book, who) {
            return Self { permission, parts: None };
        }
        let mut parts = HashMap::new();
        let mut look = |name: &ProjectName| {
            let part = if rights::allows(book, who, permission, On::Project(name)) {
                Part::Whole
            } else {
                let patterns = patterns(book, who, permission, name);
                if patterns.is_empty() {
                    return;
                }
                Part::Matching(patterns)
            };
            parts.insert(name.clone(), part);
        };
        match project {
            Some(name) => look(name),
            None => book.projects().for_each(|project| look(&project.name)),
        }
        Self { permission, parts: Some(parts) }
    }

    /// The permission it is about.
    #[must_use]
    pub const fn permission(&self) -> Permission {
        self.permission
    }

    /// Whether it is every repository there is.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.parts.is_none()
    }

    /// Whether it is nothing at all, whatever repositories there are.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.parts.as_ref().is_some_and(HashMap::is_empty)
    }

    /// Whether all of a project is seen.
    #[must_use]
    pub fn has_whole(&self, project: &ProjectName) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.get(project) == Some(&Part::Whole))
    }

    /// The projects of which something is seen; `None`: all there are.
    #[must_use]
    pub fn projects(&self) -> Option<Arc<BTreeSet<ProjectName>>> {
        self.parts.as_ref().map(|parts| Arc::new(parts.keys().cloned().collect()))
    }

    /// Whether a repository is seen.
    #[must_use]
    pub fn has(&self, repository: &RepositoryName) -> bool {
        match &self.parts {
            None => true,
            Some(parts) => parts.get(&repository.project()).is_some_and(|part| part.has(repository.path())),
        }
    }

    /// Whether some project is seen in part, so that each name has to be looked at.
    #[must_use]
    pub fn is_parted(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.values().any(|part| *part != Part::Whole))
    }
}

impl Part {
    fn has(&self, path: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| rights::matches(pattern, path)),
        }
    }
}

impl Wanted for Sight {
    fn wants(&self, repository: &str) -> bool {
        self.is_everything() || repository.parse().is_ok_and(|name| self.has(&name))
    }
}

/// The parts of a project in which a person has a permission.
fn patterns(book: &Book, who: Kind, permission: Permission, name: &ProjectName) -> Vec<String> {
    let (Kind::User(id), Some(project)) = (who, book.project(name)) else { return Vec::new() };
    if !rights::is_of_content(permission) || book.user_by_id(id).is_none_or(|user| user.is.disabled) {
        return Vec::new();
    }
    let memberships = book.memberships(&project.scope, id);
    let held = memberships.filter(|(_, member)| rights::permits(book, member, permission));
    held.filter_map(|(key, _)| key.repositories.clone()).collect()
}

//! Who may do what: decided on the book alone. No state.
//!
//! What an account may do is what one of its memberships allows, or what everyone may do in a public project. A
//! membership allows what **each** of its roles does; one that is limited to some repositories says nothing of the project
//! itself. A robot may do what its permissions say, one of a project nowhere else.

use std::sync::Arc;

use protocol::record::governed::{Member, MemberKey};
use protocol::{ProjectName, RepositoryName};

use super::permission::{Permission, Resource};
use super::roles::{PROJECT_ADMIN, PROJECT_VOCABULARY, PUBLIC_PROJECT, role_name, role_permissions};
use crate::auth::Kind;
use crate::directory::{Book, ProjectEntry, RobotEntry};

/// What someone wants to do something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On<'a> {
    /// The whole system.
    System,
    /// A project.
    Project(&'a ProjectName),
    /// A repository of a project.
    Repository(&'a RepositoryName),
}

impl On<'_> {
    pub(super) fn project(self) -> Option<ProjectName> {
        match self {
            Self::System => None,
            Self::Project(name) => Some(name.clone()),
            Self::Repository(name) => Some(name.project()),
        }
    }
}

/// Why something may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// The machine's own operator.
    Operator,
    /// An administrator of the system.
    Administrator,
    /// Everyone may, in a public project.
    Public,
    /// By this membership.
    Member(MemberKey),
    /// By this permission of a robot.
    Robot(String),
}

/// The namespace of permissions over the system.
pub const SYSTEM: &str = "/";
/// The namespace of permissions in all projects.
pub const EVERYWHERE: &str = "*";

/// A permission of a robot as its record has it.
#[must_use]
pub fn robot_permission(namespace: &str, permission: Permission) -> String {
    format!("{namespace} {permission}")
}

/// Why `who` may do this; `None`: they may not.
#[must_use]
pub fn because(book: &Book, who: Kind, permission: Permission, on: On<'_>) -> Option<Because> {
    if is_shut_out(book, who) {
        return None;
    }
    if is_administrator(book, who) {
        return own(book, who, permission, on);
    }
    let project = on.project();
    let project = project.as_ref().and_then(|name| book.project(name));
    let public = project.filter(|project| is_open_to_all(project, permission)).map(|_| Because::Public);
    public.or_else(|| own(book, who, permission, on))
}

/// Why `who` may do this by a right of their own, which everyone's is not.
#[must_use]
pub fn own(book: &Book, who: Kind, permission: Permission, on: On<'_>) -> Option<Because> {
    if is_shut_out(book, who) {
        return None;
    }
    match who {
        Kind::Operator => Some(Because::Operator),
        Kind::Anonymous => None,
        Kind::User(_) if is_administrator(book, who) => Some(Because::Administrator),
        Kind::User(id) => {
            let project = on.project()?;
            by_membership(book, id, book.project(&project)?, permission, on)
        }
        Kind::Robot(id) => by_robot(book, book.robot_by_id(id)?, permission, on),
    }
}

/// Whether there is no such account, or it is shut out.
fn is_shut_out(book: &Book, who: Kind) -> bool {
    match who {
        Kind::User(id) => book.user_by_id(id).is_none_or(|user| user.is.disabled),
        Kind::Robot(id) => book.robot_by_id(id).is_none_or(|robot| robot.is.is.disabled),
        Kind::Anonymous | Kind::Operator => false,
    }
}

/// Whether `who` may give a robot a permission over a namespace of its record: one may give what one has oneself, and
/// what everyone may do in a public project is nobody's to give.
#[must_use]
pub fn may_hand_on(book: &Book, who: Kind, permission: Permission, namespace: &str) -> bool {
    const READ_METADATA: Permission = Permission::new(Resource::Metadata, super::Verb::Read);
    const LIST_METADATA: Permission = Permission::new(Resource::Metadata, super::Verb::List);
    if is_administrator(book, who) {
        return true;
    }
    if namespace == SYSTEM {
        return own(book, who, permission, On::System).is_some();
    }
    if let Kind::Robot(id) = who
        && namespace == EVERYWHERE
    {
        let everywhere = robot_permission(EVERYWHERE, permission);
        let robot = book.robot_by_id(id).filter(|robot| robot.scope.is_none() && !is_shut_out(book, who));
        return robot.is_some_and(|robot| robot.is.is.permissions.binary_search(&everywhere).is_ok());
    }
    let Ok(project) = namespace.parse::<ProjectName>() else { return false };
    let has = |permission| own(book, who, permission, On::Project(&project)).is_some();
    // No role has a word for listing what it may read one by one.
    has(permission) || (permission == LIST_METADATA && matches!(who, Kind::User(_)) && has(READ_METADATA))
}

/// Whether `who` may do this.
#[must_use]
pub fn allows(book: &Book, who: Kind, permission: Permission, on: On<'_>) -> bool {
    because(book, who, permission, on).is_some()
}

/// Whether `who` administers the system.
#[must_use]
pub fn is_administrator(book: &Book, who: Kind) -> bool {
    match who {
        Kind::Operator => true,
        Kind::User(id) => book.user_by_id(id).is_some_and(|user| user.is.administrator && !user.is.disabled),
        Kind::Anonymous | Kind::Robot(_) => false,
    }
}

fn is_open_to_all(project: &ProjectEntry, permission: Permission) -> bool {
    project.settings.public && PUBLIC_PROJECT.contains(&permission)
}

fn by_membership(
    book: &Book,
    user: u32,
    project: &Arc<ProjectEntry>,
    permission: Permission,
    on: On<'_>,
) -> Option<Because> {
    let mut memberships = book.memberships(&project.scope, user);
    let (key, _) =
        memberships.find(|(key, member)| covers(key, permission, on) && permits(book, member, permission))?;
    Some(Because::Member(key.clone()))
}

/// Whether a membership speaks of what is asked about.
pub(super) fn covers(key: &MemberKey, permission: Permission, on: On<'_>) -> bool {
    let Some(pattern) = &key.repositories else { return true };
    match on {
        On::System => false,
        // Who may do something in part of a project may know of it, and of nothing else in it.
        On::Project(_) => permission == Permission::new(Resource::Project, super::Verb::Read),
        On::Repository(name) => is_of_content(permission) && matches(pattern, name.path()),
    }
}

/// Whether a permission is about what stands in a repository.
pub(super) const fn is_of_content(permission: Permission) -> bool {
    matches!(
        permission.resource,
        Resource::Repository
            | Resource::Artifact
            | Resource::Tag
            | Resource::Accessory
            | Resource::ArtifactAddition
            | Resource::ArtifactLabel
            | Resource::Scan
            | Resource::Sbom
    )
}

/// Whether each role of a membership allows it. One without a role, or whose role was deleted, allows nothing.
pub(super) fn permits(book: &Book, member: &Member, permission: Permission) -> bool {
    !member.roles.is_empty() && member.roles.iter().all(|role| role_allows(book, *role, permission))
}

/// Whether a role, built in or named by someone, allows it.
#[must_use]
pub fn role_allows(book: &Book, role: u32, permission: Permission) -> bool {
    if role_name(role).is_some() {
        return role_permissions(role).contains(&permission);
    }
    book.role_by_id(role).is_some_and(|custom| custom.is.permissions.contains(&permission.to_string()))
}

/// Whether `who` may give someone this role in a project: who administers it may give any, others what they may do
/// themselves.
#[must_use]
pub fn may_appoint(book: &Book, who: Kind, role: u32, project: &ProjectName) -> bool {
    has_all_of(book, role, |permission| allows(book, who, permission, On::Project(project)))
}

/// Whether `who` may change or take what someone has by this role in a project: as [`may_appoint`], but what no robot can
/// hold is not asked of a robot.
#[must_use]
pub fn may_unseat(book: &Book, who: Kind, role: u32, project: &ProjectName) -> bool {
    let is_beyond = |permission| matches!(who, Kind::Robot(_)) && !PROJECT_VOCABULARY.contains(&permission);
    has_all_of(book, role, |permission| is_beyond(permission) || allows(book, who, permission, On::Project(project)))
}

/// Whether someone has all that a role has, or all that who administers a project has.
fn has_all_of(book: &Book, role: u32, may: impl Fn(Permission) -> bool) -> bool {
    if role_permissions(PROJECT_ADMIN).iter().all(|permission| may(*permission)) {
        return true;
    }
    if role_name(role).is_some() {
        return role_permissions(role).iter().all(|permission| may(*permission));
    }
    let read = |text: &String| text.split_once(':').and_then(|(what, verb)| Permission::from_words(what, verb));
    let held = |text: &String| read(text).is_some_and(&may);
    book.role_by_id(role).is_some_and(|custom| custom.is.permissions.iter().all(held))
}

fn by_robot(book: &Book, robot: &RobotEntry, permission: Permission, on: On<'_>) -> Option<Because> {
    let project = on.project();
    // A project's robot is nobody elsewhere, whatever its record says.
    if let Some(scope) = robot.scope {
        let own = book.project_of(&scope)?;
        if project.as_ref() != Some(&own.name) {
            return None;
        }
    }
    let held = |namespace: &str| {
        let permission = robot_permission(namespace, permission);
        robot.is.is.permissions.binary_search(&permission).is_ok().then_some(Because::Robot(permission))
    };
    match &project {
        None => held(SYSTEM),
        Some(name) => {
            book.project(name)?;
            held(name.as_str()).or_else(|| held(EVERYWHERE).filter(|_| robot.scope.is_none()))
        }
    }
}

/// Whether a repository's path below its project meets a pattern: `*` stands for any part of one component, `**` for any
/// number of them. Takes time linear in the product of the lengths, which are bounded.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    // Which prefixes of the path the pattern so far can stand for.
    let mut ends = vec![false; path.len() + 1];
    ends[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let (deep, step) = match (pattern[at], pattern.get(at + 1)) {
            (b'*', Some(b'*')) => (Some(true), 2),
            (b'*', _) => (Some(false), 1),
            _ => (None, 1),
        };
        match deep {
            Some(deep) => {
                for end in 0..path.len() {
                    if ends[end] && (deep || path[end] != b'/') {
                        ends[end + 1] = true;
                    }
                }
            }
            None => {
                for end in (0..path.len()).rev() {
                    ends[end + 1] = ends[end] && path[end] == pattern[at];
                }
                ends[0] = false;
            }
        }
        at += step;
    }
    ends[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_parts_of_one_component_or_for_many() {
        for (pattern, path) in [
            ("app", "app"),
            ("*", "app"),
            ("team/*", "team/app"),
            ("**", "a/b/c"),
            ("team/**", "team/a/b"),
            ("**/app", "a/b/app"),
            ("a*c", "abc"),
            ("a*c", "ac"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*", "a/b"), ("team/*", "team/a/b"), ("app", "apps"), ("", "a"), ("a*c", "a/c"), ("team/**", "teams/a")]
        {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}

//! Why someone may or may not do something, in words: each fact that bears on it, in the order [`super::rights`] looks at
//! them. Decides nothing; that the answer is the one of [`rights::allows`] is tested. No state.

use protocol::record::governed::{Entity, Member, MemberKey};
use protocol::{ProjectName, Timestamp};

use super::On;
use super::permission::{Permission, Resource, Verb};
use super::rights::{self, Because};
use super::roles::role_name;
use crate::auth::{Kind, full_name, robot_prefix};
use crate::directory::{Book, ProjectEntry};

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at.
    pub rule: &'static str,
    /// What was found.
    pub outcome: String,
}

/// The facts, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it may be done.
    pub allowed: bool,
    /// The facts; the last one decides, or says what to do.
    pub steps: Vec<Step>,
}

/// Most memberships told of.
const MAX_TOLD: usize = 50;

/// The account of a name: `None` when there is none. `anonymous` is who shows nothing.
#[must_use]
pub fn account(book: &Book, name: &str) -> Option<Kind> {
    if name == "anonymous" {
        return Some(Kind::Anonymous);
    }
    let robot = name.strip_prefix(&robot_prefix(book)).and_then(|rest| book.robot_of(rest));
    let robot = robot.map(|robot| Kind::Robot(robot.is.is.id));
    robot.or_else(|| book.user(name).map(|user| Kind::User(user.is.id)))
}

/// Why an account, as [`account`] found it, may or may not do something at `now`. With `sees_all`, for those who may know of everything; without it
/// a project the account may not see is told of as an absent one.
#[must_use]
pub fn explain(
    book: &Book,
    now: Timestamp,
    (name, who): (&str, Option<Kind>),
    asked: (Permission, On<'_>),
    sees_all: bool,
) -> Explanation {
    let mut told = Vec::new();
    let mut tell = |rule, outcome: String| told.push(Step { rule, outcome });
    let Some(who) = who else {
        tell("account", format!("there is no account {name}"));
        tell("advice", "check the name; a robot's begins with its prefix and, in a project, the project and +".into());
        return Explanation { allowed: false, steps: told };
    };
    let (permission, on) = asked;
    let is_in = tell_account(book, now, who, &mut tell);
    let allowed = is_in && rights::allows(book, who, permission, on);
    let project = on.project();
    let entry = project.as_ref().and_then(|name| book.project(name));
    let sees = |entry: &ProjectEntry| {
        let see = Permission::new(Resource::Project, Verb::Read);
        sees_all || allowed || rights::allows(book, who, see, On::Project(&entry.name))
    };
    match (&project, entry.filter(|entry| sees(entry))) {
        (Some(name), None) => {
            tell("project", format!("there is no project {name}, or this account may not see it"));
        }
        (Some(name), Some(entry)) => tell_project(book, who, name, entry, asked, &mut tell),
        (None, _) => {}
    }
    if is_in && matches!(who, Kind::Robot(_)) {
        tell_robot(book, who, asked, &mut tell);
    }
    let outcome = match rights::because(book, who, permission, on).filter(|_| is_in) {
        Some(because) => reason(book, entry, &because),
        None => format!("nothing allows {permission}"),
    };
    tell(if allowed { "allowed" } else { "denied" }, outcome);
    if !allowed {
        tell("advice", advice(who, is_in, permission, project.as_ref()));
    }
    Explanation { allowed, steps: told }
}

/// Whether the account can log in at all.
fn tell_account(book: &Book, now: Timestamp, who: Kind, tell: &mut impl FnMut(&'static str, String)) -> bool {
    match who {
        Kind::Anonymous => {
            tell("account", "nobody logged in".into());
            true
        }
        Kind::Operator => {
            tell("account", "the operator of this machine".into());
            true
        }
        Kind::User(id) => {
            let Some(user) = book.user_by_id(id) else { return false };
            let state = if user.is.disabled { "is shut out" } else { "can log in" };
            let power = if user.is.administrator { ", and administers the system" } else { "" };
            tell("account", format!("{} {state}{power}", user.name));
            !user.is.disabled
        }
        Kind::Robot(id) => {
            let Some(robot) = book.robot_by_id(id) else { return false };
            let is_over = robot.is.is.expires.is_some_and(|until| until <= now);
            let state = match (robot.is.is.disabled, is_over) {
                (true, _) => "is shut out",
                (false, true) => "has expired",
                (false, false) => "can log in",
            };
            tell("account", format!("{} {state}", full_name(book, robot)));
            !robot.is.is.disabled && !is_over
        }
    }
}

fn tell_project(
    book: &Book,
    who: Kind,
    name: &ProjectName,
    entry: &ProjectEntry,
    (permission, on): (Permission, On<'_>),
    tell: &mut impl FnMut(&'static str, String),
) {
    let public = if entry.settings.public { "public: everyone may read it" } else { "private" };
    tell("project", format!("{name} is {public}"));
    let Kind::User(id) = who else { return };
    let mut memberships = book.memberships(&entry.scope, id).peekable();
    if memberships.peek().is_none() {
        tell("membership", format!("none in {name}, neither of the account nor of a group it is in"));
    }
    for (key, member) in memberships.take(MAX_TOLD) {
        let gives = match (rights::covers(key, permission, on), rights::permits(book, member, permission)) {
            (true, true) => "allows it",
            (true, false) => "does not allow it",
            (false, _) => "is about other repositories, or not about this",
        };
        tell("membership", format!("{}: {} {gives}", membership(book, key), roles(book, member)));
    }
}

fn tell_robot(
    book: &Book,
    who: Kind,
    (permission, on): (Permission, On<'_>),
    tell: &mut impl FnMut(&'static str, String),
) {
    let Kind::Robot(id) = who else { return };
    let Some(robot) = book.robot_by_id(id) else { return };
    let wanted = permission.to_string();
    let mut of_it = robot.is.is.permissions.iter().filter_map(|held| held.split_once(' '));
    let is_given = of_it.any(|(_, held)| held == wanted);
    // What the record of a project's robot says of other projects counts nowhere.
    let outcome = match (is_given, rights::own(book, who, permission, on).is_some()) {
        (false, _) => format!("{permission} is not among what it was given"),
        (true, true) => format!("it was given {permission} here"),
        (true, false) => format!("it was given {permission} elsewhere, not here"),
    };
    tell("robot", outcome);
}

fn membership(book: &Book, key: &MemberKey) -> String {
    let who = match key.entity {
        Entity::User(_) => "own membership".to_owned(),
        Entity::Group(id) => {
            format!("membership of group {}", book.group_by_id(id).map_or("that is no more", |group| &group.name))
        }
    };
    match &key.repositories {
        Some(pattern) => format!("{who} for repositories {pattern}"),
        None => who,
    }
}

fn roles(book: &Book, member: &Member) -> String {
    let name = |role: &u32| match (role_name(*role), book.role_by_id(*role)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(role)) => role.name.to_string(),
        (None, None) => "a role that is no more".to_owned(),
    };
    let names: Vec<_> = member.roles.iter().map(name).collect();
    format!("role {}", names.join(" and "))
}

fn reason(book: &Book, entry: Option<&std::sync::Arc<ProjectEntry>>, because: &Because) -> String {
    match because {
        Because::Operator => "the operator of this machine may do everything".into(),
        Because::Administrator => "an administrator of the system may do everything".into(),
        Because::Public => "the project is public".into(),
        Because::Robot(permission) => format!("the robot was given {permission}"),
        Because::Member(key) => {
            let member = entry.and_then(|entry| book.member(&entry.scope, key));
            let by = member.map_or_else(String::new, |member| format!(", {}", roles(book, member)));
            format!("by the {}{by}", membership(book, key))
        }
    }
}

fn advice(who: Kind, is_in: bool, permission: Permission, project: Option<&ProjectName>) -> String {
    let place = project.map_or_else(|| "the system".to_owned(), |name| format!("project {name}"));
    match who {
        Kind::Anonymous => "log in with an account that may".into(),
        Kind::User(_) if !is_in => "ask an administrator of the system to let this account in again".into(),
        Kind::Robot(_) if !is_in => "enable the robot, or give it a longer life".into(),
        Kind::Robot(_) => format!("give the robot {permission} in {place}, or use another"),
        Kind::User(_) | Kind::Operator if project.is_some() => {
            format!("ask an administrator of {place} for a role that has {permission}")
        }
        Kind::User(_) | Kind::Operator => "this is for administrators of the system".into(),
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;

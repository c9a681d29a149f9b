//! Robots, and what they can be given. No state.

mod roles;
mod why;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use super::ask::{self, Ask};
use super::error;
use super::model::people::{
    Access, PermissionPair, Permissions, Robot, RobotCreate, RobotCreated, RobotPermission, RobotReq, RobotSec,
    RobotSecReq,
};
use super::model::time;
use super::people::id;
use super::q::{Field, ListQuery, Pattern};
use super::route::ProjectKey;
use super::sorted;
use super::table::Operation as Op;
use crate::auth::{Kind, Secret, full_name};
use crate::directory::{Book, ProjectEntry, RobotEntry};
use crate::http::Response;
use crate::http::error::Error;
use crate::policy::rights::{EVERYWHERE, SYSTEM};
use crate::policy::roles::{PROJECT_VOCABULARY, SYSTEM_VOCABULARY};
use crate::policy::{Denied, Permission, RobotPermit, Verb};
use crate::registry::{Gift, NewRobot, RobotWish, creator, gifts_of};

const DAY: i64 = 24 * 60 * 60;

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the frame gives each file its own operations alone")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::ListRobot => list(ask),
        Op::CreateRobot => create(ask).await,
        Op::GetRobotByID => {
            let (_, robot) = existing(ask, Verb::Read)?;
            Ask::json(&ask.call.registry().directory().read(|book| shown(book, &robot)))
        }
        Op::UpdateRobot => update(ask).await,
        Op::RefreshSec => refresh(ask).await,
        Op::DeleteRobot => {
            let (permit, robot) = existing(ask, Verb::Delete)?;
            ask.call.registry().delete_robot(&permit, robot.is.is.id, &ask.call.id).await?;
            Ok(Ask::done())
        }
        Op::GetPermissions => vocabulary(ask),
        Op::Why => why::answer(ask),
        _ => roles::answer(operation, ask).await,
    }
}

/// A permit over the robots of a project, or of the system.
fn permit(ask: &Ask<'_>, action: Verb, project: Option<&ProjectKey>) -> Result<RobotPermit, Error> {
    let find = project.map(|key| move |book: &Book| ask::find(book, key));
    let permit = ask.call.gate().permit_robots(ask.principal(), action, find);
    permit.map_err(|denied| ask::refused(ask.call, denied))
}

/// The robot of the path, for those who may do this with it; for others there is none.
fn existing(ask: &Ask<'_>, action: Verb) -> Result<(RobotPermit, RobotEntry), Error> {
    ask.logged_in()?;
    let robot = id(ask, "robot_id")?;
    let found = ask.call.registry().directory().read(|book| {
        let robot = book.robot_by_id(robot)?;
        let project: Option<Arc<ProjectEntry>> = match robot.scope {
            Some(scope) => Some(Arc::clone(book.project_of(&scope)?)),
            None => None,
        };
        Some((Arc::clone(robot), project))
    });
    let (robot, project) = found.ok_or_else(|| error::not_found("robot"))?;
    let find = project.map(|project| move |_: &Book| Some(project));
    let permit = ask.call.gate().permit_robots(ask.principal(), action, find).map_err(|denied| match denied {
        Denied::Absent => error::not_found("robot"),
        // Who may see no robots of the system hears of none.
        Denied::Forbidden if robot.scope.is_none() => error::not_found("robot"),
        denied @ (Denied::Challenge | Denied::Forbidden) => ask::refused(ask.call, denied),
    })?;
    Ok((permit, robot))
}

fn expires_at(robot: &RobotEntry) -> i64 {
    robot.is.is.expires.map_or(-1, |at| i64::try_from(at.as_secs()).unwrap_or(i64::MAX))
}

fn level(robot: &RobotEntry) -> &'static str {
    if robot.scope.is_some() { "project" } else { "system" }
}

fn shown(book: &Book, robot: &RobotEntry) -> Robot {
    let mut places: BTreeMap<String, Vec<Access>> = BTreeMap::new();
    for Gift { namespace, permission } in gifts_of(robot) {
        let word = |text: &str| Some(text.to_owned());
        let (resource, action) = (word(permission.resource.as_str()), word(permission.action.as_str()));
        places.entry(namespace).or_default().push(Access { resource, action, effect: word("allow") });
    }
    let permission = |(namespace, access): (String, Vec<Access>)| {
        let kind = if namespace == SYSTEM { "system" } else { "project" };
        RobotPermission { kind: Some(kind.to_owned()), namespace: Some(namespace), access: Some(access) }
    };
    let (creator_type, creator_ref) = match creator(robot) {
        Some(Kind::Robot(id)) => ("robot", id.into()),
        Some(Kind::User(id)) => ("local", id.into()),
        Some(Kind::Anonymous | Kind::Operator) | None => ("local", 0),
    };
    Robot {
        id: robot.is.is.id.into(),
        name: full_name(book, robot),
        description: robot.is.is.description.clone(),
        level: level(robot).to_owned(),
        duration: Some(robot.is.is.days.map_or(-1, i64::from)),
        editable: true,
        disable: robot.is.is.disabled,
        expires_at: expires_at(robot),
        permissions: places.into_iter().map(permission).collect(),
        creator_type: creator_type.to_owned(),
        creator_ref,
        creation_time: time(robot.is.is.created),
        update_time: time(robot.is.is.updated),
    }
}

/// The project whose robots are asked for; `None`: those of the system.
fn asked_project(asked: &ListQuery) -> Result<Option<ProjectKey>, Error> {
    let exact = |names: [&str; 2]| names.into_iter().find_map(|name| asked.filter.get(name));
    match exact(["Level", "level"]) {
        None => Ok(None),
        Some(Pattern::Exact(level)) if level == "system" => Ok(None),
        Some(Pattern::Exact(level)) if level == "project" => match exact(["ProjectID", "project_id"]) {
            Some(Pattern::Exact(id)) => {
                let id = id.parse().map_err(|_| error::bad_request("ProjectID in q is a number"))?;
                Ok(Some(ProjectKey::Id(id)))
            }
            Some(_) | None => Err(error::bad_request("q needs ProjectID=… with Level=project")),
        },
        Some(_) => Err(error::bad_request("Level in q is system or project")),
    }
}

/// A robot, and the names it answers to in `q`.
struct Row {
    robot: RobotEntry,
    full: String,
    stored: String,
}

fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    ask.logged_in()?;
    let asked = ask.list()?;
    let permit = permit(ask, Verb::List, asked_project(&asked)?.as_ref())?;
    let scope = permit.project().map(|project| project.scope);
    let page = ask.call.registry().directory().read(|book| {
        let prefix = crate::auth::robot_prefix(book);
        let mut robots: Vec<_> = book.robots().filter(|robot| robot.scope == scope).collect();
        // The newest first, as Harbor has them.
        robots.sort_unstable_by_key(|robot| std::cmp::Reverse(robot.is.is.id));
        let rows = robots.into_iter().map(|robot| {
            let full = full_name(book, robot);
            let stored = full.strip_prefix(&prefix).unwrap_or(&full).to_owned();
            Row { robot: Arc::clone(robot), full, stored }
        });
        // A name is wanted in any of its spellings.
        let name = asked.filter.get("name").or_else(|| asked.filter.get("Name"));
        let spellings = |row: &Row, wanted: &Pattern| {
            [&*row.full, &*row.stored, &*row.robot.is.name].into_iter().any(|name| wanted.accepts(Field::Text(name)))
        };
        let rows = rows.filter(|row| name.is_none_or(|wanted| spellings(row, wanted)));
        sorted::page(&asked, rows, field).map(|row| shown(book, &row.robot))
    });
    page.respond(&ask.call.head.uri)
}

fn field<'r>(row: &'r Row, key: &str) -> Option<Field<'r>> {
    let robot = &row.robot.is.is;
    Some(match key {
        "id" | "ID" => Field::Number(robot.id.into()),
        "description" | "Description" => Field::Text(&robot.description),
        "disable" | "disabled" | "Disabled" => Field::Flag(robot.disabled),
        "expires_at" | "expiresat" | "ExpiresAt" => Field::Number(expires_at(&row.robot)),
        "duration" | "Duration" => Field::Number(robot.days.map_or(-1, i64::from)),
        "creation_time" | "CreationTime" => Field::at(robot.created),
        "update_time" | "UpdateTime" => Field::at(robot.updated),
        _ => return None,
    })
}

/// What is to be given, as the wire has it.
fn gifts(permissions: &[RobotPermission]) -> Result<Vec<Gift>, Error> {
    let mut gifts = Vec::new();
    for RobotPermission { kind, namespace, access } in permissions {
        let namespace = namespace.as_deref().unwrap_or_default();
        let namespace = match kind.as_deref() {
            Some("system") if matches!(namespace, "" | SYSTEM) => SYSTEM,
            Some("project") if !matches!(namespace, "" | SYSTEM) => namespace,
            Some("system" | "project") => return Err(error::bad_request("namespace does not fit kind")),
            Some(_) | None => return Err(error::bad_request("kind of a permission is system or project")),
        };
        let access = access.as_deref().unwrap_or_default();
        if access.is_empty() {
            return Err(error::bad_request("a permission has an access list that is not empty"));
        }
        for Access { resource, action, effect } in access {
            if !matches!(effect.as_deref(), None | Some("" | "allow")) {
                return Err(error::bad_request("effect is allow: what is not allowed is denied"));
            }
            let (resource, action) = (resource.as_deref().unwrap_or_default(), action.as_deref().unwrap_or_default());
            let permission = Permission::from_words(resource, action)
                .ok_or_else(|| error::bad_request(format!("there is no permission {resource}:{action}")))?;
            gifts.push(Gift { namespace: namespace.to_owned(), permission });
        }
    }
    if gifts.is_empty() {
        return Err(error::bad_request("permissions is missing or empty"));
    }
    Ok(gifts)
}

/// Days to live: -1 is for ever.
fn days(duration: i64) -> Result<Option<u32>, Error> {
    match duration {
        -1 => Ok(None),
        days if (1..i64::from(i32::MAX)).contains(&days) => Ok(u32::try_from(days).ok()),
        _ => Err(error::bad_request("duration is a number of days, at least 1, or -1 for ever")),
    }
}

/// The one project of a project's robot.
fn only_project(permissions: &[RobotPermission]) -> Result<ProjectKey, Error> {
    match permissions {
        [RobotPermission { kind: Some(kind), namespace: Some(name), .. }]
            if kind == "project" && name != EVERYWHERE =>
        {
            Ok(ProjectKey::Name(name.clone()))
        }
        _ => Err(error::bad_request("a robot of a project has one permission, of kind project, in that project")),
    }
}

/// Who lacks what they would give is told so in Harbor's word.
fn given(error: crate::directory::DirectoryError) -> Error {
    if let crate::directory::DirectoryError::Refused(why) = error {
        return error::denied(why);
    }
    error.into()
}

async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    ask.logged_in()?;
    let asked: RobotCreate = ask.read().await?;
    let days = days(asked.duration.unwrap_or_default())?;
    let wanted = asked.permissions.unwrap_or_default();
    let gifts = gifts(&wanted)?;
    let project = match asked.level.as_deref() {
        Some("system") => None,
        Some("project") => Some(only_project(&wanted)?),
        Some(_) | None => return Err(error::bad_request("level is system or project")),
    };
    let permit = permit(ask, Verb::Create, project.as_ref())?;
    let name = asked.name.unwrap_or_default();
    let (description, disabled) = (asked.description.unwrap_or_default(), asked.disable.unwrap_or_default());
    let new = NewRobot { name, gifts, days, description, disabled };
    let registry = ask.call.registry();
    let made = registry.create_robot(&permit, ask.call.authenticator(), new, &ask.call.id).await;
    let (id, secret) = made.map_err(given)?;
    let made = registry.directory().read(|book| {
        let robot = book.robot_by_id(id)?;
        Some(RobotCreated {
            id: id.into(),
            name: full_name(book, robot),
            secret: secret.reveal().to_owned(),
            creation_time: time(robot.is.is.created),
            expires_at: expires_at(robot),
        })
    });
    let mut response = Ask::json(&made.ok_or_else(|| error::not_found("robot"))?)?;
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().extend(std::mem::take(ask.created(&format!("/api/v2.0/robots/{id}")).headers_mut()));
    Ok(response)
}

async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    existing(ask, Verb::Update)?;
    let asked: RobotReq = ask.read().await?;
    let (permit, robot) = existing(ask, Verb::Update)?;
    let full = ask.call.registry().directory().read(|book| full_name(book, &robot));
    if asked.name.is_some_and(|name| name != full) || asked.level.is_some_and(|said| said != level(&robot)) {
        return Err(error::bad_request("name and level of a robot stay as they are"));
    }
    let wish = RobotWish {
        gifts: asked.permissions.as_deref().map(gifts).transpose()?,
        days: asked.duration.map(days).transpose()?,
        description: asked.description,
        disabled: asked.disable,
    };
    let change = ask.call.registry().change_robot(&permit, robot.is.is.id, &wish, &ask.call.id);
    change.await.map_err(given)?;
    Ok(Ask::done())
}

async fn refresh(ask: &mut Ask<'_>) -> Result<Response, Error> {
    existing(ask, Verb::Update)?;
    let asked: RobotSecReq = ask.read().await?;
    let (permit, robot) = existing(ask, Verb::Update)?;
    let chosen = asked.secret.filter(|secret| !secret.reveal().is_empty());
    let chosen = chosen.map(|secret| Secret::new(secret.reveal()));
    let (registry, auth) = (ask.call.registry(), ask.call.authenticator());
    let made = registry.refresh_robot(&permit, auth, (robot.is.is.id, chosen), &ask.call.id).await.map_err(given)?;
    Ask::json(&RobotSec { secret: made.map_or_else(String::new, |secret| secret.reveal().to_owned()) })
}

/// What robots can be given: all of it for who may make those of the system, a project's for who may make such.
fn vocabulary(ask: &Ask<'_>) -> Result<Response, Error> {
    let (of_system, of_any) = ask.call.gate().makes_robots(ask.logged_in()?);
    if !of_any {
        return Err(error::forbidden());
    }
    let pairs = |known: &[Permission]| known.iter().map(pair).collect();
    let system = if of_system { pairs(SYSTEM_VOCABULARY) } else { Vec::new() };
    Ask::json(&Permissions { system, project: pairs(PROJECT_VOCABULARY) })
}

fn pair(permission: &Permission) -> PermissionPair {
    let (resource, action) = (permission.resource.as_str().to_owned(), permission.action.as_str().to_owned());
    PermissionPair { resource, action }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: &str, namespace: &str, access: &[(&str, &str)]) -> RobotPermission {
        let word = |text: &str| Some(text.to_owned());
        let one =
            |(resource, action): &(&str, &str)| Access { resource: word(resource), action: word(action), effect: None };
        RobotPermission { kind: word(kind), namespace: word(namespace), access: Some(access.iter().map(one).collect()) }
    }

    #[test]
    fn only_words_of_the_vocabulary_at_places_that_fit_are_gifts() {
        let pull = [("repository", "pull")];
        assert_eq!(
            gifts(&[asked("project", "*", &pull), asked("system", "/", &[("project", "list")])]).unwrap().len(),
            2
        );
        for bad in [
            vec![],
            vec![asked("project", "*", &[])],
            vec![asked("project", "/", &pull)],
            vec![asked("system", "shop", &pull)],
            vec![asked("galaxy", "*", &pull)],
            vec![asked("project", "*", &[("*", "pull")])],
            vec![asked("project", "*", &[("repository", "")])],
        ] {
            assert_eq!(gifts(&bad).unwrap_err().status(), 400, "{bad:?}");
        }
        let mut deny = asked("project", "*", &pull);
        deny.access.as_mut().unwrap()[0].effect = Some("deny".into());
        assert_eq!(gifts(&[deny]).unwrap_err().status(), 400);
    }

    #[test]
    fn a_robot_lives_for_days_or_for_ever() {
        assert_eq!((days(-1).unwrap(), days(30).unwrap()), (None, Some(30)));
        for bad in [0, -2, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            assert_eq!(days(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_projects_robot_has_one_place() {
        let pull = [("repository", "pull")];
        let one = asked("project", "shop", &pull);
        assert_eq!(only_project(std::slice::from_ref(&one)).unwrap(), ProjectKey::Name("shop".into()));
        for bad in
            [vec![], vec![one.clone(), one], vec![asked("project", "*", &pull)], vec![asked("system", "/", &pull)]]
        {
            assert_eq!(only_project(&bad).unwrap_err().status(), 400);
        }
    }
}

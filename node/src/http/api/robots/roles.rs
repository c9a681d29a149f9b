//! Roles: those every installation has, and its own. No state.

use super::pair;
use crate::directory::{Book, RoleEntry};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::mesh::{PairReq, Role, RoleReq};
use crate::http::api::model::{Time, time};
use crate::http::api::people::id;
use crate::http::api::q::Field;
use crate::http::api::sorted;
use crate::http::api::table::Operation as Op;
use crate::http::error::Error;
use crate::policy::Permission;
use crate::policy::roles::{ROLES, role_name, role_permissions};
use crate::registry::RoleText;

#[expect(clippy::wildcard_enum_match_arm, reason = "the frame gives each file its own operations alone")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::ListRoles => {
            let asked = ask.list()?;
            let page = ask.call.registry().directory().read(|book| sorted::page(&asked, all(book), field));
            page.respond(&ask.call.head.uri)
        }
        Op::GetRole => {
            let id = id(ask, "role_id")?;
            let role =
                ask.call.registry().directory().read(|book| built_in(id).or_else(|| book.role_by_id(id).map(own)));
            Ask::json(&role.ok_or_else(|| error::not_found("role"))?)
        }
        Op::CreateRole => {
            let asked: RoleReq = ask.read().await?;
            let (name, text) = (asked.name.clone().unwrap_or_default(), text(asked)?);
            let id = ask.call.registry().create_role(ask.administrator()?, &name, &text, &ask.call.id).await?;
            Ok(ask.created(&format!("/api/v2.0/mesh/roles/{id}")))
        }
        Op::UpdateRole => {
            let asked: RoleReq = ask.read().await?;
            let id = own_id(ask)?;
            let name = ask.call.registry().directory().read(|book| book.role_by_id(id).map(|role| role.name.clone()));
            if name.is_some_and(|name| asked.name.as_deref().is_some_and(|said| *said != *name)) {
                return Err(error::bad_request("the name of a role stays as it is"));
            }
            ask.call.registry().change_role(ask.administrator()?, id, &text(asked)?, &ask.call.id).await?;
            Ok(Ask::done())
        }
        Op::DeleteRole => {
            ask.call.registry().delete_role(ask.administrator()?, own_id(ask)?, &ask.call.id).await?;
            Ok(Ask::done())
        }
        _ => Err(error::no_route()),
    }
}

/// The role of the path, which is none of the built-in ones.
fn own_id(ask: &Ask<'_>) -> Result<u32, Error> {
    let id = id(ask, "role_id")?;
    match role_name(id) {
        Some(name) => Err(error::denied(format!("{name} is built in and stays as it is"))),
        None => Ok(id),
    }
}

fn text(asked: RoleReq) -> Result<RoleText, Error> {
    let read = |PairReq { resource, action }: PairReq| {
        let permission = Permission::from_words(&resource, &action);
        permission.ok_or_else(|| error::bad_request(format!("there is no permission {resource}:{action}")))
    };
    let permissions = asked.permissions.unwrap_or_default().into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(RoleText { permissions, description: asked.description.unwrap_or_default() })
}

fn built_in(id: u32) -> Option<Role> {
    let name = role_name(id)?;
    Some(Role {
        id: id.into(),
        name: name.to_owned(),
        description: String::new(),
        built_in: true,
        permissions: role_permissions(id).iter().map(pair).collect(),
        creation_time: Time::NEVER,
        update_time: Time::NEVER,
    })
}

fn own(role: &RoleEntry) -> Role {
    let words = role.is.permissions.iter().filter_map(|word| word.split_once(':'));
    let permissions = words.filter_map(|(resource, action)| Permission::from_words(resource, action));
    Role {
        id: role.is.id.into(),
        name: role.name.to_string(),
        description: role.is.description.clone(),
        built_in: false,
        permissions: permissions.map(|permission| pair(&permission)).collect(),
        creation_time: time(role.is.created),
        update_time: time(role.is.updated),
    }
}

fn all(book: &Book) -> impl Iterator<Item = Role> {
    ROLES.into_iter().filter_map(built_in).chain(book.roles().map(own))
}

fn field<'r>(role: &'r Role, key: &str) -> Option<Field<'r>> {
    Some(match key {
        "id" => Field::Number(role.id),
        "name" => Field::Text(&role.name),
        "built_in" => Field::Flag(role.built_in),
        _ => return None,
    })
}

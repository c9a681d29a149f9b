//! Members of projects, and rights over some repositories of one.

use protocol::record::governed::Entity;

use super::{id, time};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::mesh::{Grant, GrantReq};
use crate::http::api::model::people::PermissionPair;
use crate::http::api::model::project::{ProjectMember, ProjectMemberEntity, RoleRequest};
use crate::http::api::paged::Page;
use crate::http::error::Error;
use crate::registry::{Membership, Who};

const fn kind(entity: Entity) -> (&'static str, u32) {
    match entity {
        Entity::User(id) => ("u", id),
        Entity::Group(id) => ("g", id),
    }
}

fn show(project: u32, member: &Membership) -> ProjectMemberEntity {
    let (entity_type, entity_id) = kind(member.entity);
    ProjectMemberEntity {
        id: member.id.into(),
        project_id: project.into(),
        entity_name: member.name.to_string(),
        role_name: member.role_name.to_string(),
        role_id: member.role.into(),
        entity_id: entity_id.into(),
        entity_type: entity_type.into(),
    }
}

fn role(asked: Option<i64>) -> Result<u32, Error> {
    let role = asked.and_then(|role| u32::try_from(role).ok()).filter(|role| *role > 0);
    role.ok_or_else(|| error::bad_request("role_id is the number of a role"))
}

/// Whom the request means, in the order Harbor looks.
fn who(asked: &ProjectMember) -> Result<Who, Error> {
    let (user, group) = (asked.member_user.clone().unwrap_or_default(), asked.member_group.clone().unwrap_or_default());
    let number = |id: Option<i64>| id.filter(|id| *id > 0);
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    // One that is too large for any id is nobody's.
    let narrow = |id| u32::try_from(id).unwrap_or(u32::MAX);
    let who = number(user.user_id)
        .map(|id| Who::User(narrow(id)))
        .or_else(|| number(group.id).map(|id| Who::Group(narrow(id))))
        .or_else(|| text(user.username).map(Who::UserNamed))
        .or_else(|| text(group.ldap_group_dn).map(Who::GroupOf))
        .or_else(|| text(group.group_name).map(Who::GroupNamed));
    who.ok_or_else(|| error::bad_request("at least one of member_user or member_group must be provided"))
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    let (permit, query) = (ask.project()?, ask.call.query()?);
    let page = Page::read(&query)?;
    let named = query.one("entityname")?.filter(|name| !name.is_empty());
    let members = ask.call.registry().memberships(permit, false);
    let members = members.into_iter().filter(|member| named.is_none_or(|name| *member.name == *name));
    let project = permit.project().settings.id;
    page.of(members).map(|member| show(project, &member)).respond(&ask.call.head.uri)
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let permit = ask.project()?;
    let member = ask.call.registry().membership(permit, id(ask, "mid", "member")?)?;
    Ask::json(&show(permit.project().settings.id, &member))
}

pub(super) async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: ProjectMember = ask.read().await?;
    // Who is there already is told so first, whatever the role, as Harbor does: 0 is none.
    let (who, role) = (who(&asked)?, role(asked.role_id).unwrap_or_default());
    let made = ask.call.registry().add_member(ask.project()?, &who, None, role, &ask.call.id).await?;
    let project = ask.matched.param("project_name_or_id").unwrap_or_default();
    Ok(ask.created(&format!("/api/v2.0/projects/{project}/members/{made}")))
}

pub(super) async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: RoleRequest = ask.read().await?;
    let (member, role) = (id(ask, "mid", "member")?, role(asked.role_id)?);
    ask.call.registry().change_member(ask.project()?, member, role, &ask.call.id).await?;
    Ok(Ask::done())
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    let member = id(ask, "mid", "member")?;
    ask.call.registry().remove_member(ask.project()?, member, false, &ask.call.id).await?;
    Ok(Ask::done())
}

fn show_grant(grant: Membership) -> Grant {
    let (entity_type, entity_id) = kind(grant.entity);
    let pairs = grant.permissions.iter();
    let pairs = pairs.map(|one| PermissionPair { resource: one.resource.to_string(), action: one.action.to_string() });
    Grant {
        id: grant.id.into(),
        permissions: pairs.collect(),
        repository: grant.repositories.unwrap_or_default(),
        entity_type: entity_type.into(),
        entity_id: entity_id.into(),
        entity_name: grant.name.to_string(),
        role_id: grant.role.into(),
        role_name: grant.role_name.to_string(),
        creation_time: time(grant.created),
    }
}

pub(super) fn list_grants(ask: &Ask<'_>) -> Result<Response, Error> {
    let page = Page::read(&ask.call.query()?)?;
    page.of(ask.call.registry().memberships(ask.project()?, true)).map(show_grant).respond(&ask.call.head.uri)
}

pub(super) async fn create_grant(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let GrantReq { repository, entity_type, entity_name, role_id } = ask.read().await?;
    let who = match entity_type.as_str() {
        "u" => Who::UserNamed(entity_name),
        "g" => Who::GroupNamed(entity_name),
        _ => return Err(error::bad_request("entity_type is u for a user, g for a group")),
    };
    let role = role(Some(role_id))?;
    let made = ask.call.registry().add_member(ask.project()?, &who, Some(repository), role, &ask.call.id).await?;
    let project = ask.matched.param("project_name_or_id").unwrap_or_default();
    Ok(ask.created(&format!("/api/v2.0/mesh/projects/{project}/grants/{made}")))
}

pub(super) async fn delete_grant(ask: &Ask<'_>) -> Result<Response, Error> {
    let grant = id(ask, "grant_id", "grant")?;
    ask.call.registry().remove_member(ask.project()?, grant, true, &ask.call.id).await?;
    Ok(Ask::done())
}

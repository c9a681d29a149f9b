//! Groups. No state.

use super::{has_piece, id, piece};
use crate::directory::GroupEntry;
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::mesh::GroupMembers;
use crate::http::api::model::people::{UserGroup, UserGroupReq, UserGroupSearchItem};
use crate::http::api::table::Operation as Op;
use crate::http::error::Error;

#[expect(clippy::wildcard_enum_match_arm, reason = "the frame gives each file its own operations alone")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::ListUserGroups => list(ask),
        Op::CreateUserGroup => create(ask).await,
        Op::SearchUserGroups => search(ask),
        Op::GetUserGroup => Ask::json(&shown(&found(ask)?)),
        Op::UpdateUserGroup => {
            let asked: UserGroupReq = ask.read().await?;
            let (permit, name) = (ask.system()?, asked.group_name.unwrap_or_default());
            ask.call.registry().rename_group(permit, group(ask)?, &name, &ask.call.id).await?;
            Ok(Ask::done())
        }
        Op::DeleteUserGroup => {
            ask.call.registry().delete_group(ask.system()?, group(ask)?, &ask.call.id).await?;
            Ok(Ask::done())
        }
        Op::GetGroupMembers => {
            let group = found(ask)?;
            let names = ask.call.registry().directory().read(|book| {
                let users = group.is.members.iter().filter_map(|id| book.user_by_id(*id));
                users.map(|user| user.name.to_string()).collect()
            });
            Ask::json(&GroupMembers { usernames: names })
        }
        Op::SetGroupMembers => {
            let asked: GroupMembers = ask.read().await?;
            let permit = ask.system()?;
            ask.call.registry().set_group_members(permit, group(ask)?, &asked.usernames, &ask.call.id).await?;
            Ok(Ask::done())
        }
        _ => Err(error::no_route()),
    }
}

fn group(ask: &Ask<'_>) -> Result<u32, Error> {
    id(ask, "group_id")
}

fn found(ask: &Ask<'_>) -> Result<GroupEntry, Error> {
    ask.system()?;
    let id = group(ask)?;
    let group = ask.call.registry().directory().read(|book| book.group_by_id(id).cloned());
    group.ok_or_else(|| error::not_found("group"))
}

fn shown(group: &GroupEntry) -> UserGroup {
    UserGroup {
        id: group.is.id.into(),
        group_name: group.name.to_string(),
        group_type: group.is.origin.into(),
        ldap_group_dn: group.is.dn.clone(),
    }
}

fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    ask.system()?;
    let (asked, query) = (ask.list()?, ask.call.query()?);
    let (name, dn) = (query.one("group_name")?.unwrap_or_default(), query.one("ldap_group_dn")?.unwrap_or_default());
    let page = ask.call.registry().directory().read(|book| {
        let is_dn = |group: &GroupEntry| dn.is_empty() || group.is.dn.eq_ignore_ascii_case(dn);
        asked.page.of(book.groups().filter(|group| has_piece(&group.name, name) && is_dn(group)).cloned())
    });
    page.map(|group| shown(&group)).respond(&ask.call.head.uri)
}

fn search(ask: &Ask<'_>) -> Result<Response, Error> {
    let (piece, asked) = piece(ask, "groupname")?;
    let page = ask
        .call
        .registry()
        .directory()
        .read(|book| asked.page.of(book.groups().filter(|group| has_piece(&group.name, &piece)).cloned()));
    let shown = page.map(|group| UserGroupSearchItem {
        id: group.is.id.into(),
        group_name: group.name.to_string(),
        group_type: group.is.origin.into(),
    });
    shown.respond(&ask.call.head.uri)
}

async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: UserGroupReq = ask.read().await?;
    let (name, dn) = (asked.group_name.unwrap_or_default(), asked.ldap_group_dn.unwrap_or_default());
    // One that is no kind of group is refused as such.
    let origin = asked.group_type.and_then(|kind| u8::try_from(kind).ok()).unwrap_or_default();
    let id = ask.call.registry().create_group(ask.system()?, &name, (origin, &dn), &ask.call.id).await?;
    Ok(ask.created(&format!("/api/v2.0/usergroups/{id}")))
}

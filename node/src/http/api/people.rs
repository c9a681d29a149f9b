//! Accounts of people. No state.

mod groups;

use super::ask::Ask;
use super::error;
use super::model::people::{
    CliSecretReq, PasswordReq, PermissionPair, UserCreationReq, UserDisabledFlag, UserProfile, UserResp,
    UserSearchRespItem, UserSysAdminFlag,
};
use super::model::{Hidden, time};
use super::q::{Field, ListQuery};
use super::sorted;
use super::table::Operation as Op;
use crate::auth::{Kind, Secret};
use crate::directory::{Profile, UserEntry};
use crate::http::Response;
use crate::http::error::Error;
use crate::policy::roles::{PROJECT_VOCABULARY, PUBLIC_PROJECT, ROLES, role_permissions};
use crate::policy::{On, Permission, PersonPermit, Resource, Verb, rights};
use crate::registry::{Asker, NewPassword, NewPerson};

const READ: Permission = Permission::new(Resource::User, Verb::Read);
const UPDATE: Permission = Permission::new(Resource::User, Verb::Update);
const DELETE: Permission = Permission::new(Resource::User, Verb::Delete);

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the frame gives each file its own operations alone")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::ListUsers => list(ask),
        Op::CreateUser => create(ask).await,
        Op::GetCurrentUserInfo => current(ask),
        Op::SearchUsers => search(ask),
        Op::GetCurrentUserPermissions => permissions(ask),
        Op::GetUser => Ask::json(&shown(&found(ask, person(ask, Some(READ))?.user())?)),
        Op::UpdateUserProfile => describe(ask).await,
        Op::DeleteUser => {
            let permit = person(ask, Some(DELETE))?;
            ask.call.registry().delete_person(&permit, &ask.call.id).await?;
            Ok(Ask::done())
        }
        Op::SetUserSysAdmin => promote(ask).await,
        Op::SetUserDisabled => disable(ask).await,
        Op::UpdateUserPassword => password(ask).await,
        Op::SetCliSecret => {
            person(ask, None)?;
            ask.read::<CliSecretReq>().await?;
            Err(error::precondition("accounts are kept here: there is no secret beside the password"))
        }
        _ => groups::answer(operation, ask).await,
    }
}

/// The number of the path as ids are here; one too large is nobody's.
pub(super) fn id(ask: &Ask<'_>, name: &str) -> Result<u32, Error> {
    Ok(u32::try_from(ask.matched.id(name)?).unwrap_or(u32::MAX))
}

fn person(ask: &Ask<'_>, permission: Option<Permission>) -> Result<PersonPermit, Error> {
    let permit = ask.call.gate().permit_person(ask.principal(), id(ask, "user_id")?, permission);
    permit.map_err(|denied| super::ask::refused(ask.call, denied))
}

fn found(ask: &Ask<'_>, id: u32) -> Result<UserEntry, Error> {
    let user = ask.call.registry().directory().read(|book| book.user_by_id(id).cloned());
    user.ok_or_else(|| error::not_found("user"))
}

fn asker<'a>(ask: &'a Ask<'_>) -> Asker<'a> {
    Asker { auth: ask.call.authenticator(), party: ask.call.party(), request: &ask.call.id }
}

fn secret(hidden: Option<Hidden>) -> Secret {
    Secret::new(hidden.unwrap_or_default().reveal())
}

fn shown(user: &UserEntry) -> UserResp {
    UserResp {
        email: user.is.email.clone(),
        realname: user.is.real_name.clone(),
        comment: user.is.comment.clone(),
        user_id: user.is.id.into(),
        username: user.name.to_string(),
        sysadmin_flag: user.is.administrator,
        admin_role_in_auth: false,
        disabled: user.is.disabled,
        oidc_user_meta: None,
        creation_time: time(user.is.created),
        update_time: time(user.is.updated),
    }
}

fn field<'u>(user: &'u UserEntry, key: &str) -> Option<Field<'u>> {
    Some(match key {
        "username" | "Username" => Field::Text(&user.name),
        "email" | "Email" => Field::Text(&user.is.email),
        "realname" | "Realname" => Field::Text(&user.is.real_name),
        "comment" | "Comment" => Field::Text(&user.is.comment),
        "user_id" | "UserID" => Field::Number(user.is.id.into()),
        "sysadmin_flag" | "SysAdminFlag" => Field::Flag(user.is.administrator),
        "disabled" => Field::Flag(user.is.disabled),
        "creation_time" | "CreationTime" => Field::at(user.is.created),
        "update_time" | "UpdateTime" => Field::at(user.is.updated),
        _ => return None,
    })
}

/// Whether `piece` is in `text`, in letters of any case.
pub(super) fn has_piece(text: &str, piece: &str) -> bool {
    text.to_lowercase().contains(&piece.to_lowercase())
}

fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    ask.system()?;
    let (asked, query) = (ask.list()?, ask.call.query()?);
    let (name, email) = (query.one("username")?.unwrap_or_default(), query.one("email")?.unwrap_or_default());
    let page = ask.call.registry().directory().read(|book| {
        let users = book.users().filter(|user| has_piece(&user.name, name) && has_piece(&user.is.email, email));
        sorted::page(&asked, users.cloned(), field)
    });
    page.map(|user| shown(&user)).respond(&ask.call.head.uri)
}

async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let permit = |ask: &Ask<'_>| {
        let permit = ask.call.gate().permit_create_user(ask.principal());
        permit.map_err(|denied| super::ask::refused(ask.call, denied))
    };
    permit(ask)?;
    let asked: UserCreationReq = ask.read().await?;
    let permit = permit(ask)?;
    let profile = profile(asked.email, asked.realname, asked.comment);
    let new = NewPerson { name: asked.username.unwrap_or_default(), profile, password: secret(asked.password) };
    let id = Box::pin(ask.call.registry().create_person(&permit, &new, asker(ask))).await?;
    Ok(ask.created(&format!("/api/v2.0/users/{id}")))
}

fn profile(email: Option<String>, real_name: Option<String>, comment: Option<String>) -> Profile {
    let [email, real_name, comment] = [email, real_name, comment].map(Option::unwrap_or_default);
    Profile { email, real_name, comment }
}

fn current(ask: &Ask<'_>) -> Result<Response, Error> {
    match ask.principal().kind() {
        Kind::User(id) => Ask::json(&shown(&found(ask, id)?)),
        Kind::Operator => Ask::json(&shown(&found(ask, crate::directory::USER_ADMIN)?)),
        Kind::Robot(_) | Kind::Anonymous => Err(error::precondition("a robot is no user")),
    }
}

/// What a search by name is asked for: the piece, and the page.
pub(super) fn piece(ask: &Ask<'_>, name: &'static str) -> Result<(String, ListQuery), Error> {
    let query = ask.call.query()?;
    let piece = query.one(name)?.filter(|piece| !piece.is_empty());
    let piece = piece.ok_or_else(|| error::bad_request(format!("{name} in query is needed")))?;
    Ok((piece.to_owned(), ask.list()?))
}

fn search(ask: &Ask<'_>) -> Result<Response, Error> {
    let (piece, asked) = piece(ask, "username")?;
    let page = ask.call.registry().directory().read(|book| {
        let found = book.users().filter(|user| has_piece(&user.name, &piece));
        asked.page.of(found.map(|user| (user.is.id, std::sync::Arc::clone(&user.name))))
    });
    let shown = page.map(|(id, name)| UserSearchRespItem { user_id: id.into(), username: name.to_string() });
    shown.respond(&ask.call.head.uri)
}

/// What one may do in a project: nothing in one that is absent, or that one may not see.
fn permissions(ask: &Ask<'_>) -> Result<Response, Error> {
    let query = ask.call.query()?;
    let is_relative = match query.one("relative")? {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(error::unprocessable("relative in query is true or false")),
    };
    let Some(scope) = query.one("scope")?.filter(|scope| !scope.is_empty()) else {
        return Ask::json(&Vec::<PermissionPair>::new());
    };
    let project = scope.strip_prefix("/project/").and_then(|id| id.parse::<u32>().ok());
    let project = project.ok_or_else(|| error::bad_request("scope is /project/ and the id of a project"))?;
    let who = ask.principal().kind();
    let held: Vec<_> = ask.call.registry().directory().read(|book| {
        let Some(project) = book.project_by_id(project) else { return Vec::new() };
        let known =
            ROLES.iter().flat_map(|role| role_permissions(*role)).chain(PROJECT_VOCABULARY).chain(PUBLIC_PROJECT);
        let known: std::collections::BTreeSet<_> = known.copied().collect();
        let may = |permission: &Permission| rights::allows(book, who, *permission, On::Project(&project.name));
        known.into_iter().filter(may).collect()
    });
    let pair = |permission: Permission| {
        let resource = permission.resource.as_str();
        let resource = if is_relative { resource.to_owned() } else { format!("{scope}/{resource}") };
        PermissionPair { resource, action: permission.action.as_str().to_owned() }
    };
    Ask::json(&held.into_iter().map(pair).collect::<Vec<_>>())
}

async fn describe(ask: &mut Ask<'_>) -> Result<Response, Error> {
    person(ask, Some(UPDATE))?;
    let asked: UserProfile = ask.read().await?;
    let permit = person(ask, Some(UPDATE))?;
    let profile = profile(asked.email, asked.realname, asked.comment);
    ask.call.registry().describe_person(&permit, &profile, &ask.call.id).await?;
    Ok(Ask::done())
}

async fn promote(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: UserSysAdminFlag = ask.read().await?;
    let flag = asked.sysadmin_flag.unwrap_or_default();
    let user = id(ask, "user_id")?;
    ask.call.registry().set_administrator(ask.administrator()?, user, flag, &ask.call.id).await?;
    Ok(Ask::done())
}

async fn disable(ask: &mut Ask<'_>) -> Result<Response, Error> {
    person(ask, Some(UPDATE))?;
    let asked: UserDisabledFlag = ask.read().await?;
    let permit = person(ask, Some(UPDATE))?;
    ask.call.registry().set_disabled(&permit, asked.disabled, &ask.call.id).await?;
    Ok(Ask::done())
}

async fn password(ask: &mut Ask<'_>) -> Result<Response, Error> {
    person(ask, None)?;
    let asked: PasswordReq = ask.read().await?;
    let permit = person(ask, None)?;
    let old = asked.old_password.map(|old| Secret::new(old.reveal()));
    let password = NewPassword { old, new: secret(asked.new_password) };
    Box::pin(ask.call.registry().set_password(&permit, &password, asker(ask))).await?;
    Ok(Ask::done())
}

//! From a request to its handler: route, who is asking, whether they may, then the handler of the operation. No state.

use http::header::ORIGIN;
use http::{HeaderName, HeaderValue, StatusCode};

use super::ask::{Ask, changes};
use super::route::{self, Need};
use super::table::Operation as Op;
use super::{audit, content, node, people, projects, robots, system};
use crate::auth::Credentials;
use crate::http::Response;
use crate::http::body::Receiving;
use crate::http::call::Call;
use crate::http::challenge::Challenge;
use crate::http::error::Error;

/// What a browser shows beside its cookie, under the name Harbor's clients know.
pub(in crate::http) const CSRF: HeaderName = HeaderName::from_static("x-harbor-csrf-token");

/// Answers a request below `/api/v2.0/`.
pub(in crate::http) async fn answer(call: &mut Call, body: &mut Receiving) -> Result<Response, Error> {
    let matched = route::find(call.method(), call.path())?;
    let is_open = matched.route.need == Need::Nothing;
    match call.identify(Challenge::administration).await {
        // What is open to all is open to those whose credentials are no good, too.
        Err(error) if is_open && error.status() == StatusCode::UNAUTHORIZED => {}
        outcome => outcome?,
    }
    let second_token = guard(call)?;
    let operation = matched.route.operation;
    let mut ask = Ask::open(call, matched, body)?;
    let mut response = handle(operation, &mut ask).await?;
    if let Some(token) = second_token {
        response.headers_mut().insert(CSRF, token);
    }
    Ok(response)
}

/// A browser that is logged in must not be made to change something by another site's page: it shows a second token, and
/// what says where it comes from comes from here. Gives back that token, for the answer to a browser.
pub(in crate::http) fn guard(call: &Call) -> Result<Option<HeaderValue>, Error> {
    let changes = changes(call.method());
    if changes {
        same_origin(call)?;
    }
    let Ok(Credentials::Session(id)) = call.credentials() else { return Ok(None) };
    let shown = call.header(CSRF).unwrap_or_default();
    if changes && !call.authenticator().is_second_token(&id, shown) {
        let why = "X-Harbor-CSRF-Token is missing or wrong: it stands in the answer to any GET";
        return Err(Error::new(StatusCode::FORBIDDEN, "FORBIDDEN", why));
    }
    Ok(HeaderValue::try_from(call.authenticator().second_token(&id)).ok())
}

/// Whether a request that says where it comes from comes from here.
pub(in crate::http) fn same_origin(call: &Call) -> Result<(), Error> {
    let Some(origin) = call.headers().get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, host)| host);
    let base = call.base();
    let ours = origin.is_some() && (origin == call.host() || origin == base.split_once("://").map(|(_, host)| host));
    if ours {
        Ok(())
    } else {
        Err(Error::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this request came from another site's page"))
    }
}

/// Every operation has its file; each file matches its own.
async fn handle(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::GetPing
        | Op::GetHealth
        | Op::GetSystemInfo
        | Op::GetVolumes
        | Op::GetCert
        | Op::GetStatistic
        | Op::GetInternalconfig
        | Op::GetConfigurations
        | Op::UpdateConfigurations
        | Op::GetOpenapi => Box::pin(system::answer(operation, ask)).await,
        Op::ListProjects
        | Op::HeadProject
        | Op::CreateProject
        | Op::GetProject
        | Op::UpdateProject
        | Op::DeleteProject
        | Op::GetProjectDeletable
        | Op::GetProjectSummary
        | Op::ListProjectMetadatas
        | Op::AddProjectMetadatas
        | Op::GetProjectMetadata
        | Op::UpdateProjectMetadata
        | Op::DeleteProjectMetadata
        | Op::ListProjectMembers
        | Op::CreateProjectMember
        | Op::GetProjectMember
        | Op::UpdateProjectMember
        | Op::DeleteProjectMember
        | Op::ListQuotas
        | Op::GetQuota
        | Op::UpdateQuota
        | Op::ListLabels
        | Op::CreateLabel
        | Op::GetLabelByID
        | Op::UpdateLabel
        | Op::DeleteLabel
        | Op::ListGrants
        | Op::CreateGrant
        | Op::DeleteGrant
        | Op::DeleteFullProject
        | Op::UndeleteProject => Box::pin(projects::answer(operation, ask)).await,
        Op::Search
        | Op::ListArtifactsOfProject
        | Op::ListAllRepositories
        | Op::ListRepositories
        | Op::GetRepository
        | Op::UpdateRepository
        | Op::DeleteRepository
        | Op::ListArtifacts
        | Op::CopyArtifact
        | Op::GetArtifact
        | Op::DeleteArtifact
        | Op::CreateTag
        | Op::ListTags
        | Op::DeleteTag
        | Op::ListAccessories
        | Op::GetAddition
        | Op::AddLabel
        | Op::RemoveLabel => Box::pin(content::answer(operation, ask)).await,
        Op::ListUsers
        | Op::CreateUser
        | Op::GetCurrentUserInfo
        | Op::SearchUsers
        | Op::GetCurrentUserPermissions
        | Op::GetUser
        | Op::UpdateUserProfile
        | Op::DeleteUser
        | Op::SetUserSysAdmin
        | Op::SetUserDisabled
        | Op::UpdateUserPassword
        | Op::SetCliSecret
        | Op::ListUserGroups
        | Op::CreateUserGroup
        | Op::SearchUserGroups
        | Op::GetUserGroup
        | Op::UpdateUserGroup
        | Op::DeleteUserGroup
        | Op::GetGroupMembers
        | Op::SetGroupMembers => Box::pin(people::answer(operation, ask)).await,
        Op::ListRobot
        | Op::CreateRobot
        | Op::GetRobotByID
        | Op::UpdateRobot
        | Op::RefreshSec
        | Op::DeleteRobot
        | Op::GetPermissions
        | Op::ListRoles
        | Op::CreateRole
        | Op::GetRole
        | Op::UpdateRole
        | Op::DeleteRole
        | Op::Why => Box::pin(robots::answer(operation, ask)).await,
        Op::GetLogs
        | Op::GetLogExts
        | Op::ListAuditLogs
        | Op::ListAuditLogExts
        | Op::ListAuditLogEventTypes
        | Op::GetPurgeHistory
        | Op::GetPurgeSchedule
        | Op::CreatePurgeSchedule
        | Op::UpdatePurgeSchedule
        | Op::GetPurgeJob
        | Op::StopPurge
        | Op::GetPurgeJobLog => Box::pin(audit::answer(operation, ask)).await,
        Op::GetNodeStatus
        | Op::CollectGarbage
        | Op::ScrubNode
        | Op::SnapshotNode
        | Op::GetTagHistory
        | Op::ListConflicts
        | Op::DecideConflict
        | Op::Undelete
        | Op::VerifyAudit => Box::pin(node::answer(operation, ask)).await,
    }
}

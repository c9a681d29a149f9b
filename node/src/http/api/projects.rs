//! Projects with their settings, members, quotas and labels. No state.

mod labels;
mod members;
mod metadata;
mod project;
mod quotas;

use super::ask::Ask;
use super::error;
use super::model::{number, time};
use super::table::Operation as Op;
use crate::http::Response;
use crate::http::error::Error;

pub(super) use labels::show as show_label;
pub(super) use project::show as shown_project;

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the frame gives each file its own operations alone")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::ListProjects => project::list(ask).await,
        Op::HeadProject => project::head(ask),
        Op::CreateProject => project::create(ask).await,
        Op::GetProject => project::get(ask).await,
        Op::UpdateProject => project::update(ask).await,
        Op::DeleteProject => project::delete(ask).await,
        Op::DeleteFullProject => project::delete_full(ask).await,
        Op::UndeleteProject => project::undelete(ask).await,
        Op::GetProjectDeletable => project::deletable(ask).await,
        Op::GetProjectSummary => project::summary(ask).await,
        Op::ListProjectMetadatas => metadata::list(ask),
        Op::AddProjectMetadatas => metadata::add(ask).await,
        Op::GetProjectMetadata => metadata::get(ask),
        Op::UpdateProjectMetadata => metadata::update(ask).await,
        Op::DeleteProjectMetadata => metadata::delete(ask).await,
        Op::ListProjectMembers => members::list(ask),
        Op::CreateProjectMember => members::create(ask).await,
        Op::GetProjectMember => members::get(ask),
        Op::UpdateProjectMember => members::update(ask).await,
        Op::DeleteProjectMember => members::delete(ask).await,
        Op::ListGrants => members::list_grants(ask),
        Op::CreateGrant => members::create_grant(ask).await,
        Op::DeleteGrant => members::delete_grant(ask).await,
        Op::ListQuotas => quotas::list(ask).await,
        Op::GetQuota => quotas::get(ask).await,
        Op::UpdateQuota => quotas::update(ask).await,
        Op::ListLabels => labels::list(ask),
        Op::CreateLabel => labels::create(ask).await,
        Op::GetLabelByID => labels::get(ask),
        Op::UpdateLabel => labels::update(ask).await,
        Op::DeleteLabel => labels::delete(ask).await,
        other => Err(Error::internal(format!("{other:?} is no operation of this file"))),
    }
}

/// The id in the segment `{name}`. One that is too large for any is nobody's.
fn id(ask: &Ask<'_>, name: &str, what: &str) -> Result<u32, Error> {
    u32::try_from(ask.matched.id(name)?).map_err(|_| error::not_found(what))
}

/// A limit of bytes as clients say it: -1 is none.
///
/// # Errors
/// 400 for anything but -1 and what is above 0.
fn limit(bytes: i64) -> Result<Option<u64>, Error> {
    match (bytes, u64::try_from(bytes)) {
        (-1, _) => Ok(None),
        (1.., Ok(bytes)) => Ok(Some(bytes)),
        (_, _) => Err(error::bad_request("a limit of storage is a number of bytes above 0, or -1 for none")),
    }
}

/// A limit of bytes on the wire.
fn shown_limit(bytes: Option<u64>) -> i64 {
    bytes.map_or(-1, number)
}

/// A header that is a truth value.
fn header_flag(ask: &Ask<'_>, name: &'static str) -> Result<bool, Error> {
    match ask.call.header(name) {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(error::unprocessable(format!("{name} is true or false"))),
    }
}

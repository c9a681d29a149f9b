//! Repositories, artifacts and tags. No state.

mod artifacts;
mod lists;
mod repositories;
mod search;
mod show;
mod tags;

use protocol::{Reference, RepositoryName};

use super::ask::Ask;
use super::error;
use super::table::Operation as Op;
use crate::http::Response;
use crate::http::error::Error;

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the table of operations sends those named here and no others")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::Search => search::search(ask).await,
        Op::ListAllRepositories => repositories::list_all(ask).await,
        Op::ListRepositories => repositories::list(ask).await,
        Op::GetRepository => repositories::get(ask).await,
        Op::UpdateRepository => repositories::update(ask).await,
        Op::DeleteRepository => repositories::delete(ask).await,
        Op::ListArtifactsOfProject => artifacts::list_of_project(ask).await,
        Op::ListArtifacts => artifacts::list(ask).await,
        Op::CopyArtifact => artifacts::copy(ask).await,
        Op::GetArtifact => artifacts::get(ask).await,
        Op::DeleteArtifact => artifacts::delete(ask).await,
        Op::GetAddition => artifacts::addition(ask).await,
        Op::ListAccessories => artifacts::accessories(ask).await,
        Op::CreateTag => tags::create(ask).await,
        Op::ListTags => tags::list(ask).await,
        Op::DeleteTag => tags::delete(ask).await,
        Op::AddLabel => artifacts::add_label(ask).await,
        Op::RemoveLabel => artifacts::remove_label(ask).await,
        _ => Err(error::no_route()),
    }
}

/// The repository of the path. A name that is none is one that is not there.
fn repository(ask: &Ask<'_>) -> Result<RepositoryName, Error> {
    let project = ask.project()?.name();
    let path = ask.matched.param("repository_name").unwrap_or_default();
    format!("{project}/{path}").parse().map_err(|_| error::not_found("repository"))
}

/// The tag or digest of the path.
fn reference(ask: &Ask<'_>) -> Result<Reference, Error> {
    let text = ask.matched.param("reference").unwrap_or_default();
    text.parse().map_err(|_| error::not_found("artifact"))
}

/// A truth value of the query.
fn flag(ask: &Ask<'_>, name: &'static str, default: bool) -> Result<bool, Error> {
    match ask.call.query()?.one(name)? {
        None | Some("") => Ok(default),
        Some("true" | "1" | "t" | "TRUE" | "True") => Ok(true),
        Some("false" | "0" | "f" | "FALSE" | "False") => Ok(false),
        Some(_) => Err(error::unprocessable(format!("{name} in query must be of type boolean"))),
    }
}

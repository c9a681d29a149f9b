//! The node itself: its condition, its garbage, its records and its audit log.
//!
//! Bodies name only fields a client may set: an unknown one is refused, never skipped (CVE-2019-16097).

use protocol::record::{NotARecordId, RecordId};
use protocol::{Digest, RepositoryName, Tag};
use serde::Deserialize;
use serde_json::json;

use super::ask::Ask;
use super::error;
use super::table::Operation as Op;
use crate::http::Response;
use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::query::Query;
use crate::policy::AdminPermit;
use crate::storage::meta::Choice;

/// Answers the operations of this file.
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    let takes_body = matches!(operation, Op::DecideConflict | Op::Undelete);
    let body = if takes_body { Some(ask.read::<DecideRequest>().await?) } else { None };
    let (call, permit) = (ask.call, ask.administrator()?);
    match (operation, body) {
        (Op::GetNodeStatus, _) => Ask::json(&call.registry().status(permit).await?),
        (Op::CollectGarbage, _) => {
            let dry_run = flag(&call.query()?, "dry_run")?;
            Ask::json(&Box::pin(call.registry().collect_garbage(permit, dry_run)).await?)
        }
        (Op::ScrubNode, _) => Ask::json(&Box::pin(call.registry().scrub(permit)).await?),
        (Op::SnapshotNode, _) => {
            let at = Box::pin(call.registry().snapshot(permit)).await?;
            Ask::json(&json!({ "snapshot": at }))
        }
        (Op::VerifyAudit, _) => {
            Ask::json(&Box::pin(call.registry().verify_audit(permit)).await.map_err(Error::internal)?)
        }
        (Op::GetTagHistory, _) => history(call, permit).await,
        (Op::ListConflicts, _) => Ask::json(&call.registry().conflicts(permit).await?),
        (Op::DecideConflict, Some(asked)) => match asked {
            DecideRequest { repository: Some(repository), tag: Some(tag), digest: Some(digest), record: None } => {
                decide(call, permit, repository, tag, Choice::Head(digest)).await
            }
            DecideRequest { repository: None, tag: None, digest: None, record: Some(record) } => {
                call.registry().choose_head(permit, record.0, &call.id).await?;
                Ask::json(&json!({ "record": record.0.to_string() }))
            }
            DecideRequest { .. } => Err(error::bad_request(
                "either repository, tag and digest: what the tag shall name; or record: the side to keep",
            )),
        },
        (Op::Undelete, Some(asked)) => match asked {
            DecideRequest { repository: Some(repository), tag: Some(tag), digest: None, record: None } => {
                decide(call, permit, repository, tag, Choice::Last).await
            }
            DecideRequest { repository: Some(repository), tag: None, digest: Some(digest), record: None } => {
                Box::pin(call.registry().undelete_manifest(permit, &repository, &digest, &call.id)).await?;
                Ask::json(&json!({ "digest": digest }))
            }
            DecideRequest { .. } => {
                Err(error::bad_request("repository, and either tag or digest: what is to come back"))
            }
        },
        (_, _) => Err(error::no_route()),
    }
}

/// What a tag shall name, or what shall come back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideRequest {
    #[serde(default)]
    repository: Option<RepositoryName>,
    #[serde(default)]
    tag: Option<Tag>,
    #[serde(default)]
    digest: Option<Digest>,
    #[serde(default)]
    record: Option<Named>,
}

/// A record by its name in text, as lists show it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Named(RecordId);

impl TryFrom<String> for Named {
    type Error = NotARecordId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

async fn decide(
    call: &Call,
    permit: &AdminPermit,
    repository: RepositoryName,
    tag: Tag,
    choice: Choice,
) -> Result<Response, Error> {
    let digest = call.registry().decide_tag(permit, repository, tag, choice, &call.id).await?;
    Ask::json(&json!({ "digest": digest }))
}

async fn history(call: &Call, permit: &AdminPermit) -> Result<Response, Error> {
    let query = call.query()?;
    let named = |name| query.one(name)?.ok_or_else(|| error::bad_request(format!("{name} is missing")));
    let repository: RepositoryName =
        named("repository")?.parse().map_err(|error| error::bad_request(format!("repository: {error}")))?;
    let tag: Tag = named("tag")?.parse().map_err(|error| error::bad_request(format!("tag: {error}")))?;
    let limit = count(&query, "limit", 100, 1000)?;
    Ask::json(&call.registry().tag_history(permit, &repository, &tag, limit).await?)
}

fn truth(what: &str, text: Option<&str>) -> Result<bool, Error> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(error::bad_request(format!("{what} is \"true\" or \"false\""))),
    }
}

fn flag(query: &Query<'_>, name: &'static str) -> Result<bool, Error> {
    truth(name, query.one(name)?)
}

fn count(query: &Query<'_>, name: &'static str, default: usize, most: usize) -> Result<usize, Error> {
    let Some(text) = query.one(name)? else { return Ok(default) };
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(error::bad_request(format!("{name} is a number from 1 to {most}"))),
    }
}

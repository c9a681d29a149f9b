//! What was done, and what of it is kept. No state.

mod purge;

use super::ask::Ask;
use super::error;
use super::model::system::{AuditLog, AuditLogEventType, AuditLogExt};
use super::model::time as shown;
use super::paged::Paged;
use super::q::{Field, Filter as Wanted, ListQuery, Pattern, time};
use super::table::Operation as Op;
use crate::http::Response;
use crate::http::error::Error;
use crate::policy::{Permission, Resource as Of, Verb};
use crate::registry::Asked;
use crate::storage::audit::{AuditError, Entry, EventType, Filter, Found, Order, Outcome, Resource, Text};
use crate::storage::meta::Operation;
use protocol::Timestamp;

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the dispatcher gives each file its own operations")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::GetLogs => in_project(ask, old).await,
        Op::GetLogExts => in_project(ask, new).await,
        Op::ListAuditLogs => everywhere(ask, old).await,
        Op::ListAuditLogExts => everywhere(ask, new).await,
        Op::ListAuditLogEventTypes => {
            let types = EventType::all().map(|of| AuditLogEventType { event_type: of.name() });
            Ask::json(&types.collect::<Vec<_>>())
        }
        Op::GetPurgeHistory
        | Op::GetPurgeSchedule
        | Op::CreatePurgeSchedule
        | Op::UpdatePurgeSchedule
        | Op::GetPurgeJob
        | Op::StopPurge
        | Op::GetPurgeJobLog => purge::answer(operation, ask).await,
        _ => Err(error::no_route()),
    }
}

/// Entries of the project of the path.
async fn in_project<T: serde::Serialize>(ask: &Ask<'_>, show: fn(&Entry) -> T) -> Result<Response, Error> {
    let list = ask.list()?;
    let found = ask.call.registry().acts_in(ask.project()?, asked(&list)?).await.map_err(failed)?;
    respond(ask, &list, &found, show)
}

/// Entries of everything for who may read that, else of the projects whose log one may read.
async fn everywhere<T: serde::Serialize>(ask: &Ask<'_>, show: fn(&Entry) -> T) -> Result<Response, Error> {
    const LIST: Permission = Permission::new(Of::AuditLog, Verb::List);
    let list = ask.list()?;
    let (principal, registry) = (ask.logged_in()?, ask.call.registry());
    let found = match ask.permit_system(LIST) {
        Ok(permit) => registry.acts(&permit, asked(&list)?).await,
        Err(_) => registry.acts_seen_by(principal, asked(&list)?).await,
    };
    respond(ask, &list, &found.map_err(failed)?, show)
}

fn respond<T: serde::Serialize>(
    ask: &Ask<'_>,
    list: &ListQuery,
    found: &Found,
    show: fn(&Entry) -> T,
) -> Result<Response, Error> {
    let items = found.entries.iter().map(show).collect();
    Paged { items, total: found.total, page: list.page }.respond(&ask.call.head.uri)
}

/// As Harbor had it before it told how things ended.
fn old(entry: &Entry) -> AuditLog {
    let AuditLogExt { id, username, resource, resource_type, operation, op_time, .. } = new(entry);
    AuditLog { id, username, resource, resource_type, operation, op_time }
}

fn new(entry: &Entry) -> AuditLogExt {
    let (told, act) = (&entry.told, &entry.act);
    let (operation, kind) = (told.operation.name(), told.kind.name());
    let ending = match &told.outcome {
        Outcome::Done => String::new(),
        Outcome::Refused(code) => format!(", refused: {code}"),
    };
    AuditLogExt {
        id: i64::try_from(entry.seq).unwrap_or(i64::MAX),
        username: act.actor.as_ref().to_owned(),
        resource: told.resource.clone(),
        resource_type: kind.into(),
        operation: operation.into(),
        operation_description: format!("{operation} {kind}: {}{ending}", told.resource),
        operation_result: told.outcome == Outcome::Done,
        op_time: shown(act.at),
    }
}

fn failed(error: AuditError) -> Error {
    match error {
        AuditError::Busy => Error::too_many(60, error.to_string()),
        AuditError::ReadOnly(_) => Error::unavailable(60, "the store takes no writes at the moment"),
        AuditError::Index(_) => Error::unavailable(2, "the index of the audit log is being made").cause(error),
        AuditError::Io(_)
        | AuditError::Meta(_)
        | AuditError::Json(_)
        | AuditError::Damaged(_)
        | AuditError::Stopped
        | AuditError::Lost(_) => Error::internal(error),
    }
}

/// What a list of entries is asked for. Keys that are none of an entry's are passed over.
fn asked(list: &ListQuery) -> Result<Asked, Error> {
    let wanted = &list.filter;
    let (since, until) = times(wanted)?;
    let filter = Filter {
        operations: wanted
            .get("operation")
            .map(|pattern| Operation::ALL.into_iter().filter(|one| pattern.accepts(Field::Text(one.name()))).collect()),
        kinds: wanted
            .get("resource_type")
            .map(|pattern| Resource::ALL.into_iter().filter(|one| pattern.accepts(Field::Text(one.name()))).collect()),
        resource: text(wanted, "resource")?,
        username: text(wanted, "username")?,
        since,
        until,
        succeeded: match wanted.get("operation_result") {
            None => None,
            Some(pattern) => match (pattern.accepts(Field::Flag(true)), pattern.accepts(Field::Flag(false))) {
                (true, true) => None,
                (succeeded, _) => Some(succeeded),
            },
        },
        projects: None,
    };
    let oldest_first = list.sort.first().is_some_and(|by| matches!(&*by.key, "op_time" | "id") && !by.descending);
    let order = if oldest_first { Order::OldestFirst } else { Order::NewestFirst };
    let limit = usize::try_from(list.page.size).unwrap_or_default();
    Ok(Asked { filter, order, offset: list.page.before(), limit })
}

fn text(wanted: &Wanted, key: &str) -> Result<Option<Text>, Error> {
    Ok(match wanted.get(key) {
        None => None,
        Some(Pattern::Exact(text)) => Some(Text::Exactly(text.clone())),
        Some(Pattern::Fuzzy(part)) => Some(Text::Contains(part.clone())),
        Some(Pattern::Any(all)) => Some(Text::OneOf(all.clone())),
        Some(Pattern::Range(..) | Pattern::All(_)) => {
            return Err(error::bad_request(format!("q: {key} is text: one, ~a part, or {{one another}}")));
        }
    })
}

fn times(wanted: &Wanted) -> Result<(Option<Timestamp>, Option<Timestamp>), Error> {
    let read = |text: &String| {
        let at = time(text).ok_or_else(|| error::bad_request(format!("q: op_time: {text} is no time")))?;
        Ok::<_, Error>(Timestamp(u64::try_from(at).unwrap_or_default()))
    };
    match wanted.get("op_time") {
        None => Ok((None, None)),
        Some(Pattern::Exact(at)) => Ok((Some(read(at)?), Some(read(at)?))),
        Some(Pattern::Range(from, to)) => {
            Ok((from.as_ref().map(read).transpose()?, to.as_ref().map(read).transpose()?))
        }
        Some(Pattern::Fuzzy(_) | Pattern::Any(_) | Pattern::All(_)) => {
            Err(error::bad_request("q: op_time is [from~to]"))
        }
    }
}

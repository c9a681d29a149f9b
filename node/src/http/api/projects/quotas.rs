//! How much projects may hold, and hold.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::json;

use super::{id, limit, number, shown_limit, time};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::system::{Quota, QuotaUpdateReq};
use crate::http::api::paged::{Page, Paged};
use crate::http::api::q;
use crate::http::error::Error;
use crate::registry::Allowed;

/// The one thing that is counted, in bytes.
const STORAGE: &str = "storage";

fn storage(bytes: i64) -> BTreeMap<String, i64> {
    BTreeMap::from([(STORAGE.to_owned(), bytes)])
}

async fn show(ask: &Ask<'_>, quota: &Allowed) -> Result<Quota, Error> {
    let settings = &quota.project.settings;
    let used = ask.call.registry().bytes_held(&quota.project.name).await?;
    let reference = [
        ("id", json!(settings.id)),
        ("name", json!(quota.project.name.as_str())),
        ("owner_id", json!(quota.owner.unwrap_or_default())),
        ("owner_name", json!(settings.owner)),
    ];
    Ok(Quota {
        id: settings.id.into(),
        reference: reference.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        hard: storage(shown_limit(quota.bytes)),
        used: storage(number(used)),
        creation_time: time(settings.created),
        update_time: time(quota.updated),
    })
}

pub(super) async fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    let (query, registry) = (ask.call.query()?, ask.call.registry());
    let (page, sort) = (Page::read(&query)?, q::sort(query.one("sort")?.unwrap_or_default())?);
    let of_projects = query.one("reference")?.is_none_or(|kind| matches!(kind, "" | "project"));
    let of = query.one("reference_id")?.filter(|id| !id.is_empty());
    let wanted = |quota: &Allowed| of_projects && of.is_none_or(|id| quota.project.settings.id.to_string() == id);
    let quotas = registry.quotas(ask.system()?).into_iter().filter(wanted);
    let mut rows: Vec<(Allowed, u64)> = quotas.map(|quota| (quota, 0)).collect();
    // What each holds stands in the store: it is looked up of all only when they are to be ordered by it.
    if sort.iter().any(|key| key.key == "used.storage") {
        for (quota, used) in &mut rows {
            *used = registry.bytes_held(&quota.project.name).await?;
        }
    }
    let compare = |a: &(Allowed, u64), b: &(Allowed, u64)| {
        let by = |key: &q::SortKey| {
            let order = match key.key.as_str() {
                "hard.storage" => shown_limit(a.0.bytes).cmp(&shown_limit(b.0.bytes)),
                "used.storage" => a.1.cmp(&b.1),
                "id" => a.0.project.settings.id.cmp(&b.0.project.settings.id),
                "creation_time" => a.0.project.settings.created.cmp(&b.0.project.settings.created),
                "update_time" => a.0.updated.cmp(&b.0.updated),
                _ => Ordering::Equal,
            };
            if key.descending { order.reverse() } else { order }
        };
        sort.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let page = page.sorted(rows, compare);
    let mut shown = Vec::with_capacity(page.items.len());
    for (quota, _) in &page.items {
        shown.push(show(ask, quota).await?);
    }
    Paged { items: shown, total: page.total, page: page.page }.respond(&ask.call.head.uri)
}

pub(super) async fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let quota = ask.call.registry().quota(ask.system()?, id(ask, "id", "quota")?)?;
    Ask::json(&show(ask, &quota).await?)
}

pub(super) async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: QuotaUpdateReq = ask.read().await?;
    let hard = asked.hard.unwrap_or_default();
    let mut limits = hard.iter();
    let (Some((STORAGE, bytes)), None) = (limits.next().map(|(name, bytes)| (name.as_str(), *bytes)), limits.next())
    else {
        return Err(error::bad_request("hard says how much storage there may be, and nothing else"));
    };
    let (quota, bytes) = (id(ask, "id", "quota")?, limit(bytes)?);
    ask.call.registry().set_quota(ask.system()?, quota, bytes, &ask.call.id).await?;
    Ok(Ask::done())
}

//! What is set about a project, one name at a time.

use std::collections::BTreeMap;

use crate::directory::ProjectChange;
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::route::Words;
use crate::http::error::Error;
use crate::registry::metadata;

fn name<'a>(ask: &'a Ask<'_>) -> &'a str {
    ask.matched.param("meta_name").unwrap_or_default()
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    Ask::json(&metadata::all(&ask.project()?.project().settings))
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let mut all = metadata::all(&ask.project()?.project().settings);
    let set: BTreeMap<_, _> = all.remove_entry(name(ask)).into_iter().collect();
    Ask::json(&set)
}

pub(super) async fn add(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: Words = ask.read().await?;
    let mut asked = asked.iter();
    let (Some((name, value)), None) = (asked.next(), asked.next()) else {
        return Err(error::bad_request("only allow one key/value pair"));
    };
    ask.call.registry().add_metadata(ask.project()?, name, value, &ask.call.id).await?;
    Ok(Ask::done())
}

pub(super) async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: Words = ask.read().await?;
    let name = name(ask);
    let value = asked.get(name).ok_or_else(|| error::bad_request(format!("the body does not say what {name} is")))?;
    let mut change = ProjectChange::default();
    change.set(name, Some(value))?;
    ask.call.registry().change_project(ask.project()?, change, &ask.call.id).await?;
    Ok(Ask::done())
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    let mut change = ProjectChange::default();
    change.set(name(ask), None)?;
    ask.call.registry().change_project(ask.project()?, change, &ask.call.id).await?;
    Ok(Ask::done())
}

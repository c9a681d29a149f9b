//! Tags of an artifact: made, listed and deleted.

use std::cmp::Ordering;

use http::StatusCode;

use super::{flag, reference, repository, show};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::content::TagReq;
use crate::http::api::q::{Field, SortKey};
use crate::http::error::Error;
use crate::storage::meta::TagView;

/// Makes a tag. Harbor says no `Location`.
pub(super) async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: TagReq = ask.read().await?;
    let (name, reference) = (repository(ask)?, reference(ask)?);
    let tag = asked.name.unwrap_or_default();
    let tag = tag.parse().map_err(|error| error::bad_request(format!("name: {error}")))?;
    ask.call.registry().create_tag(ask.project()?, &name, &reference, tag, &ask.call.id).await?;
    Ok(Ask::status(StatusCode::CREATED))
}

/// A page of the tags of an artifact.
pub(super) async fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    let list = ask.list()?;
    flag(ask, "with_immutable_status", false)?;
    let registry = ask.call.registry();
    let (home, artifact, tags) = registry.tags_of(ask.project()?, &repository(ask)?, &reference(ask)?).await?;
    let wanted = tags.into_iter().filter(|tag| list.filter.matches(|key| field(tag, key)));
    let page = list.page.sorted(wanted, |a, b| compare(&list.sort, a, b));
    page.map(|tag| show::tag(&home, &artifact, &tag)).respond(&ask.call.head.uri)
}

fn field<'a>(tag: &'a TagView, key: &str) -> Option<Field<'a>> {
    match key {
        "name" | "Name" => Some(Field::Text(tag.name.as_str())),
        "id" => Some(Field::Number(tag.id.into())),
        "push_time" => Some(Field::at(tag.pushed)),
        "pull_time" => Some(Field::at(tag.pulled.unwrap_or(protocol::Timestamp(0)))),
        _ => None,
    }
}

/// By what is asked for; without that the one pushed last first.
fn compare(sort: &[SortKey], a: &TagView, b: &TagView) -> Ordering {
    let by = |key: &str| match key {
        "name" | "Name" => a.name.cmp(&b.name),
        "id" => a.id.cmp(&b.id),
        "push_time" => a.pushed.cmp(&b.pushed),
        "pull_time" => a.pulled.cmp(&b.pulled),
        _ => Ordering::Equal,
    };
    let asked = sort.iter().map(|key| if key.descending { by(&key.key).reverse() } else { by(&key.key) });
    asked.fold(Ordering::Equal, Ordering::then).then_with(|| (b.pushed, b.id).cmp(&(a.pushed, a.id)))
}

/// Removes a tag.
pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    let tag = ask.matched.param("tag_name").unwrap_or_default();
    let tag = tag.parse().map_err(|_| error::not_found("tag"))?;
    let (name, reference) = (repository(ask)?, reference(ask)?);
    ask.call.registry().remove_tag(ask.project()?, &name, &reference, &tag, &ask.call.id).await?;
    Ok(Ask::done())
}

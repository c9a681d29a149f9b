//! Labels of projects and of the whole system.

use std::cmp::Ordering;

use http::StatusCode;

use super::{id, time};
use crate::directory::{LabelEntry, NewLabel};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::content::{Label, LabelReq};
use crate::http::api::q::{Field, SortKey};
use crate::http::api::route::ProjectKey;
use crate::http::error::Error;
use crate::policy::{Permission, Resource, Verb};
use crate::registry::LabelPermit;

const fn on_labels(verb: Verb) -> Permission {
    Permission::new(Resource::Label, verb)
}

pub(crate) fn show(label: &LabelEntry, project: Option<u32>) -> Label {
    let is = &label.is;
    Label {
        id: is.id.into(),
        name: is.name.clone(),
        description: is.description.clone(),
        color: is.color.clone(),
        scope: if label.scope.is_some() { "p" } else { "g" }.into(),
        project_id: project.map_or(0, i64::from),
        creation_time: time(is.created),
        update_time: time(is.updated),
    }
}

fn field<'a>(label: &'a LabelEntry, name: &str) -> Option<Field<'a>> {
    match name {
        "id" | "ID" => Some(Field::Number(label.is.id.into())),
        "name" | "Name" => Some(Field::Text(&label.is.name)),
        "description" | "Description" => Some(Field::Text(&label.is.description)),
        "color" | "Color" => Some(Field::Text(&label.is.color)),
        "creation_time" | "CreationTime" => Some(Field::at(label.is.created)),
        "update_time" | "UpdateTime" => Some(Field::at(label.is.updated)),
        _ => None,
    }
}

fn compare(keys: &[SortKey], a: &LabelEntry, b: &LabelEntry) -> Ordering {
    let by = |key: &SortKey| {
        let order = match key.key.as_str() {
            "id" => a.is.id.cmp(&b.is.id),
            "name" => a.is.name.cmp(&b.is.name),
            "creation_time" => a.is.created.cmp(&b.is.created),
            "update_time" => a.is.updated.cmp(&b.is.updated),
            _ => Ordering::Equal,
        };
        if key.descending { order.reverse() } else { order }
    };
    keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn of_project(id: Option<i64>) -> Result<ProjectKey, Error> {
    let id = id.filter(|id| *id > 0).map(ProjectKey::Id);
    id.ok_or_else(|| error::bad_request("labels of scope p need the project_id of their project"))
}

fn no_scope() -> Error {
    error::bad_request("scope is g for labels of the system, p for those of a project")
}

pub(super) fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    let (asked, query) = (ask.list()?, ask.call.query()?);
    let project = match query.one("project_id")?.filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| error::unprocessable("project_id in query is a number"))?),
    };
    let (labels, project) = match query.one("scope")? {
        Some("g") => {
            ask.logged_in()?;
            (ask.call.registry().system_labels(), None)
        }
        Some("p") => {
            let permit = ask.permit_project(on_labels(Verb::List), &of_project(project)?)?;
            (ask.call.registry().project_labels(&permit), Some(permit.project().settings.id))
        }
        Some(_) | None => return Err(no_scope()),
    };
    let part = query.one("name")?.unwrap_or_default().to_lowercase();
    let wanted = |label: &LabelEntry| {
        label.is.name.to_lowercase().contains(&part) && asked.filter.matches(|name| field(label, name))
    };
    let page = asked.page.sorted(labels.into_iter().filter(wanted), |a, b| compare(&asked.sort, a, b));
    page.map(|label| show(&label, project)).respond(&ask.call.head.uri)
}

pub(super) async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    ask.logged_in()?;
    let LabelReq { name, description, color, scope, project_id, .. } = ask.read().await?;
    let permit = match scope.as_deref() {
        Some("g") => LabelPermit::System(ask.permit_system(on_labels(Verb::Create))?),
        Some("p") => LabelPermit::Project(ask.permit_project(on_labels(Verb::Create), &of_project(project_id)?)?),
        Some(_) | None => return Err(no_scope()),
    };
    let (name, description) = (name.unwrap_or_default(), description.unwrap_or_default());
    let new = NewLabel { name, description, color: color.unwrap_or_default() };
    let made = ask.call.registry().create_label(&permit, &new, &ask.call.id).await?;
    Ok(ask.created(&format!("/api/v2.0/labels/{made}")))
}

/// The permit for the label of the path. One that is absent and one in a project that is not theirs to see look the same.
fn permit(ask: &Ask<'_>, label: u32, verb: Verb) -> Result<LabelPermit, Error> {
    let absent = || error::not_found("label");
    let permit = match ask.call.registry().place_of_label(label) {
        None => ask.logged_in().and_then(|_| Err(absent())),
        Some(None) => ask.permit_system(on_labels(verb)).map(LabelPermit::System),
        Some(Some(project)) => {
            let key = ProjectKey::Id(project.settings.id.into());
            ask.permit_project(on_labels(verb), &key).map(LabelPermit::Project)
        }
    };
    permit.map_err(|error| if error.status() == StatusCode::NOT_FOUND { absent() } else { error })
}

pub(super) fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let label = id(ask, "label_id", "label")?;
    let permit = permit(ask, label, Verb::Read)?;
    let project = match &permit {
        LabelPermit::System(_) => None,
        LabelPermit::Project(permit) => Some(permit.project().settings.id),
    };
    Ask::json(&show(&ask.call.registry().label(&permit, label)?, project))
}

pub(super) async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let label = id(ask, "label_id", "label")?;
    permit(ask, label, Verb::Update)?;
    // Where a label stands is not changed: scope and project are sent back by clients and not obeyed.
    let LabelReq { name, description, color, .. } = ask.read().await?;
    let permit = permit(ask, label, Verb::Update)?;
    let (name, text) = (name.unwrap_or_default(), (description.as_deref(), color.as_deref()));
    ask.call.registry().change_label(&permit, label, &name, text, &ask.call.id).await?;
    Ok(Ask::done())
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    let label = id(ask, "label_id", "label")?;
    let permit = permit(ask, label, Verb::Delete)?;
    ask.call.registry().delete_label(&permit, label, &ask.call.id).await?;
    Ok(Ask::done())
}

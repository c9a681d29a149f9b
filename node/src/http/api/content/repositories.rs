//! Repositories: listed, shown, described and deleted.

use std::sync::Arc;

use super::{lists, repository, show};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::content::RepositoryReq;
use crate::http::api::q::{Field, Filter, ListQuery, Pattern};
use crate::http::api::route::ProjectKey;
use crate::http::error::Error;
use crate::policy::{Permission, Resource, Verb};
use crate::registry::{LIST_REPOSITORIES, Repositories};
use crate::storage::meta::{RepositoryKey, RepositoryView, Shown, Wanted};

const SEE_PROJECT: Permission = Permission::new(Resource::Project, Verb::Read);

/// A `q` over names.
#[derive(Debug)]
struct ByName(Filter);

impl Wanted for ByName {
    fn wants(&self, repository: &str) -> bool {
        self.0.matches(|key| matches!(key, "name" | "Name").then_some(Field::Text(repository)))
    }
}

/// What a client wants of repositories. Without an order, the ones made last come first, as in Harbor.
fn asked(list: &ListQuery) -> Repositories {
    let name = list.filter.get("name").or_else(|| list.filter.get("Name"));
    let mut contains = String::new();
    let mut wanted: Option<Arc<dyn Wanted>> = None;
    match name {
        None => {}
        // Names have small letters only.
        Some(Pattern::Fuzzy(piece)) => contains = piece.to_lowercase(),
        Some(Pattern::Exact(_) | Pattern::Range(..) | Pattern::Any(_) | Pattern::All(_)) => {
            wanted = Some(Arc::new(ByName(list.filter.clone())));
        }
    }
    let known = list.sort.iter().find_map(|sort| {
        let by = match sort.key.as_str() {
            "name" | "Name" => RepositoryKey::Name,
            "creation_time" | "CreationTime" | "id" | "repository_id" => RepositoryKey::Created,
            "update_time" | "UpdateTime" => RepositoryKey::Updated,
            _ => return None,
        };
        Some((by, sort.descending))
    });
    let (by, descending) = known.unwrap_or((RepositoryKey::Created, true));
    let size = usize::try_from(list.page.size).unwrap_or(usize::MAX);
    Repositories { contains, wanted, by, descending, page: list.page.number, size }
}

/// A page of the repositories of the project in the path that one may see.
pub(super) async fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    let list = ask.list()?;
    let key = ProjectKey::Name(ask.matched.param("project_name").unwrap_or_default().to_owned());
    // Who may see some repositories of it may know of the project.
    let permit = ask.permit_project(SEE_PROJECT, &key).or_else(|_| ask.permit_project(LIST_REPOSITORIES, &key))?;
    let project = Arc::clone(permit.project());
    let sight = ask.call.gate().sight(ask.principal(), LIST_REPOSITORIES, Some(&project.name));
    if sight.is_nothing() {
        ask.permit_project(LIST_REPOSITORIES, &key)?;
    }
    let shown = ask.call.registry().repositories(sight, Some(&project.name), asked(&list)).await?;
    page(ask, &list, shown)
}

/// A page of all repositories that one may see.
pub(super) async fn list_all(ask: &Ask<'_>) -> Result<Response, Error> {
    let list = ask.list()?;
    if !ask.principal().is_anonymous() {
        ask.logged_in()?;
    }
    let project = match list.filter.get("project_id").or_else(|| list.filter.get("ProjectID")) {
        None => None,
        Some(Pattern::Exact(id)) => {
            let find = |id: u32| {
                ask.call.registry().directory().read(|book| book.project_by_id(id).map(|found| found.name.clone()))
            };
            match id.parse().ok().and_then(find) {
                Some(project) => Some(project),
                None => return page(ask, &list, Shown { items: Vec::new(), total: 0 }),
            }
        }
        Some(Pattern::Fuzzy(_) | Pattern::Range(..) | Pattern::Any(_) | Pattern::All(_)) => {
            return Err(error::bad_request("q: project_id is one number"));
        }
    };
    let sight = ask.call.gate().sight(ask.principal(), LIST_REPOSITORIES, project.as_ref());
    let shown = ask.call.registry().repositories(sight, project.as_ref(), asked(&list)).await?;
    page(ask, &list, shown)
}

fn page(ask: &Ask<'_>, list: &ListQuery, shown: Shown<RepositoryView>) -> Result<Response, Error> {
    let directory = ask.call.registry().directory();
    let items = directory.read(|book| shown.items.iter().map(|view| show::repository(book, view)).collect());
    lists::respond(ask, list.page, items, shown.total)
}

/// A repository.
pub(super) async fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let view = ask.call.registry().repository(ask.project()?, &repository(ask)?).await?;
    Ask::json(&ask.call.registry().directory().read(|book| show::repository(book, &view)))
}

/// Changes what is said of a repository.
pub(super) async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: RepositoryReq = ask.read().await?;
    let (permit, name) = (ask.project()?, repository(ask)?);
    // Harbor escapes what browsers might take for markup, and so do its clients expect it.
    let description = escape(&asked.description.unwrap_or_default());
    ask.call.registry().describe_repository(permit, &name, description, &ask.call.id).await?;
    Ok(Ask::done())
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Deletes a repository with all that is in it.
pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    ask.call.registry().delete_repository(ask.project()?, &repository(ask)?, &ask.call.id).await?;
    Ok(Ask::done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query::Query;

    fn read(query: &str) -> Repositories {
        asked(&ListQuery::read(&Query::parse(Some(query)).unwrap()).unwrap())
    }

    #[test]
    fn the_newest_come_first_when_no_order_is_said() {
        for query in ["", "sort=-creation_time", "sort=unknown"] {
            let asked = read(query);
            assert_eq!((asked.by, asked.descending), (RepositoryKey::Created, true), "{query}");
        }
        let by_name = read("sort=name,-update_time");
        assert_eq!((by_name.by, by_name.descending), (RepositoryKey::Name, false));
    }

    #[test]
    fn names_are_found_by_a_piece_or_as_they_are() {
        assert_eq!(read("q=name%3D~Till").contains, "till");
        let exact = read("q=name%3Dshop%2Ftill").wanted.unwrap();
        assert!(exact.wants("shop/till") && !exact.wants("shop/till2"));
    }

    #[test]
    fn markup_is_made_harmless() {
        assert_eq!(escape("a <b>\"c\" & 'd'"), "a &lt;b&gt;&#34;c&#34; &amp; &#39;d&#39;");
    }
}

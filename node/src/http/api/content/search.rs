//! One word, looked for in the names of projects and repositories that the asker may see. Both lists are bounded.

use super::show;
use crate::directory::Book;
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::system::{SearchRepository, SearchResult};
use crate::http::api::projects::shown_project;
use crate::http::error::Error;
use crate::registry::{LIST_REPOSITORIES, Repositories};
use crate::storage::meta::{RepositoryKey, RepositoryView};

/// Most projects, and most repositories, of one answer.
const MAX_FOUND: usize = 100;

/// Longest word, in bytes: as long as a repository's name.
const MAX_WORD: usize = 255;

/// Finds projects and repositories. The anonymous find what is public.
pub(super) async fn search(ask: &Ask<'_>) -> Result<Response, Error> {
    if !ask.principal().is_anonymous() {
        ask.logged_in()?;
    }
    let query = ask.call.query()?;
    let word = query.one("q")?.ok_or_else(|| error::unprocessable("q in query is required"))?;
    if word.len() > MAX_WORD {
        return Err(error::bad_request(format!("q has at most {MAX_WORD} bytes")));
    }
    let (registry, word) = (ask.call.registry(), word.to_lowercase());
    let sight = ask.call.gate().sight_of_projects(ask.principal());
    let found = registry.seen_projects(&sight, |_, project| project.name.as_str().contains(&word));
    let mut projects = Vec::new();
    for project in found.iter().take(MAX_FOUND) {
        projects.push(shown_project(project, &registry.about_project(&sight, project).await?));
    }
    let sight = ask.call.gate().sight(ask.principal(), LIST_REPOSITORIES, None);
    let (by, descending) = (RepositoryKey::Name, false);
    let asked = Repositories { contains: word, wanted: None, by, descending, page: 1, size: MAX_FOUND };
    let shown = registry.repositories(sight, None, asked).await?;
    let repository =
        registry.directory().read(|book| shown.items.iter().filter_map(|view| show_repository(book, view)).collect());
    Ask::json(&SearchResult { project: projects, repository })
}

fn show_repository(book: &Book, view: &RepositoryView) -> Option<SearchRepository> {
    let project = book.project(&view.name.project())?;
    let shown = show::repository(book, view);
    Some(SearchRepository {
        project_id: shown.project_id,
        project_name: project.name.to_string(),
        project_public: project.settings.public,
        repository_name: shown.name,
        pull_count: shown.pull_count,
        artifact_count: shown.artifact_count,
    })
}

//! One word, looked for in the names of projects and repositories that the asker may see. Both lists are bounded.

use std::sync::Arc;

use super::show;
use crate::directory::{Book, ProjectEntry};
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::project::{Project, ProjectMetadata};
use crate::http::api::model::system::{SearchRepository, SearchResult};
use crate::http::error::Error;
use crate::policy::{On, Permission, Resource, Verb, rights};
use crate::registry::{LIST_REPOSITORIES, Repositories};
use crate::storage::meta::{RepositoryKey, RepositoryView};

/// Most projects, and most repositories, of one answer.
const MAX_FOUND: usize = 100;

/// Longest word, in bytes: as long as a repository's name.
const MAX_WORD: usize = 255;

const SEE_PROJECT: Permission = Permission::new(Resource::Project, Verb::Read);

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
    let kind = ask.principal().kind();
    let found: Vec<Arc<ProjectEntry>> = registry.directory().read(|book| {
        let named = book.projects().filter(|project| project.name.as_str().contains(&word));
        let seen = named.filter(|project| rights::allows(book, kind, SEE_PROJECT, On::Project(&project.name)));
        seen.take(MAX_FOUND).cloned().collect()
    });
    let mut projects = Vec::with_capacity(found.len());
    for project in found {
        let repositories = registry.project_totals(&project.name).await?.repositories;
        projects.push(registry.directory().read(|book| show_project(book, &project, repositories)));
    }
    let sight = ask.call.gate().sight(ask.principal(), LIST_REPOSITORIES, None);
    let (by, descending) = (RepositoryKey::Name, false);
    let asked = Repositories { contains: word, wanted: None, by, descending, page: 1, size: MAX_FOUND };
    let shown = registry.repositories(sight, None, asked).await?;
    let repository =
        registry.directory().read(|book| shown.items.iter().filter_map(|view| show_repository(book, view)).collect());
    Ask::json(&SearchResult { project: projects, repository })
}

fn show_project(book: &Book, project: &ProjectEntry, repositories: u64) -> Project {
    let settings = &project.settings;
    let public = settings.public.to_string();
    Project {
        project_id: settings.id.into(),
        owner_id: book.user(&settings.owner).map_or(0, |owner| owner.is.id.into()),
        owner_name: settings.owner.clone(),
        name: project.name.to_string(),
        creation_time: show::time(settings.created),
        update_time: show::time(settings.updated),
        repo_count: i64::try_from(repositories).unwrap_or(i64::MAX),
        metadata: Some(ProjectMetadata { public: Some(public), ..ProjectMetadata::default() }),
        ..Project::default()
    }
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

//! Repositories, artifacts and tags as clients know them.

use protocol::Timestamp;

use crate::directory::Book;
use crate::http::api::model::content::{Accessory, AdditionLink, Artifact, Platform, Reference, Repository, Tag};
use crate::http::api::model::{Time, number, time};
use crate::http::api::projects::show_label as label;
use crate::registry::{self, ChartPart, accessory_kind};
use crate::storage::meta::{ArtifactView, RepositoryView, TagView};

/// A time, or never.
fn perhaps(at: Option<Timestamp>) -> Time {
    at.map_or(Time::NEVER, time)
}

fn project_id(book: &Book, repository: &RepositoryView) -> i64 {
    book.project(&repository.name.project()).map_or(0, |project| project.settings.id.into())
}

pub(super) fn repository(book: &Book, view: &RepositoryView) -> Repository {
    Repository {
        id: view.id.into(),
        project_id: project_id(book, view),
        name: view.name.to_string(),
        description: view.description.clone(),
        artifact_count: number(view.artifacts),
        pull_count: number(view.pulls),
        creation_time: Some(time(view.created)),
        update_time: time(view.updated),
    }
}

pub(super) fn tag(repository: &RepositoryView, artifact: &ArtifactView, view: &TagView) -> Tag {
    Tag {
        id: view.id.into(),
        repository_id: repository.id.into(),
        artifact_id: artifact.id.into(),
        name: view.name.to_string(),
        push_time: time(view.pushed),
        pull_time: perhaps(view.pulled),
        immutable: false,
    }
}

pub(super) fn accessory(repository: &str, subject: &ArtifactView, view: &ArtifactView) -> Accessory {
    Accessory {
        id: view.id.into(),
        artifact_id: view.id.into(),
        subject_artifact_id: subject.id.into(),
        subject_artifact_digest: subject.digest.to_string(),
        subject_artifact_repo: repository.to_owned(),
        size: number(view.total),
        digest: view.digest.to_string(),
        kind: accessory_kind(view.artifact_type.as_ref().map(protocol::MediaType::as_str)).to_owned(),
        icon: String::new(),
        creation_time: time(view.pushed),
    }
}

pub(super) fn artifact(book: &Book, artifact: registry::Artifact) -> Artifact {
    let registry::Artifact { view, repository, tags, described, accessories, labels } = artifact;
    let name = repository.name.to_string();
    let additions = match (described.is_image(), described.is_chart()) {
        (true, _) => vec!["build_history"],
        (_, true) => ChartPart::ALL.map(ChartPart::name).into(),
        (false, false) => Vec::new(),
    };
    let link = (!additions.is_empty()).then(|| {
        let (project, path) = (repository.name.project_str(), repository.name.path().replace('/', "%252F"));
        let at = format!("/api/v2.0/projects/{project}/repositories/{path}/artifacts/{}/additions", view.digest);
        let link = |name| (String::from(name), AdditionLink { href: format!("{at}/{name}"), absolute: false });
        additions.into_iter().map(link).collect()
    });
    let reference = |child: registry::Child| Reference {
        parent_id: view.id.into(),
        child_id: child.id.into(),
        child_digest: child.digest.to_string(),
        platform: child.platform.map(platform),
        annotations: child.annotations,
        urls: child.urls.unwrap_or_default(),
    };
    let project = u32::try_from(project_id(book, &repository)).unwrap_or_default();
    let unread = described.media_type.is_empty();
    Artifact {
        id: view.id.into(),
        kind: if unread { "UNKNOWN".to_owned() } else { described.kind },
        media_type: if unread { view.media_type.as_str().to_owned() } else { described.media_type },
        manifest_media_type: view.media_type.as_str().to_owned(),
        artifact_type: described.artifact_type.or_else(|| view.artifact_type.as_ref().map(|is| is.as_str().to_owned())),
        project_id: project_id(book, &repository),
        repository_id: repository.id.into(),
        digest: view.digest.to_string(),
        size: number(view.total),
        icon: String::new(),
        push_time: time(view.pushed),
        pull_time: perhaps(view.pulled),
        extra_attrs: (!described.extra.is_empty()).then(|| described.extra.into_iter().collect()),
        annotations: (!described.annotations.is_empty()).then_some(described.annotations),
        references: described.children.into_iter().map(reference).collect(),
        tags: tags.iter().map(|shown| tag(&repository, &view, shown)).collect(),
        addition_links: link,
        labels: labels.iter().map(|one| label(one, one.scope.and(Some(project)))).collect(),
        scan_overview: None,
        sbom_overview: None,
        accessories: accessories.iter().map(|one| accessory(&name, &view, one)).collect(),
        inherited_accessories: Vec::new(),
        repository_name: name,
    }
}

fn platform(platform: registry::Platform) -> Platform {
    let registry::Platform { architecture, os, os_version, os_features, variant } = platform;
    Platform { architecture, os, os_version, os_features, variant }
}

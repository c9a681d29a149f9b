//! Artifacts: listed, shown, copied and deleted, with what speaks about them and how they were built.

use std::cmp::Ordering;
use std::collections::HashSet;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use protocol::{Reference, RepositoryName, Timestamp};

use super::{flag, lists, reference, repository, show};
use crate::directory::Book;
use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::error;
use crate::http::api::model::content::LabelReq;
use crate::http::api::q::{Field, Filter, ListQuery, Pattern, SortKey};
use crate::http::error::Error;
use crate::policy::{Permission, Resource, Verb};
use crate::registry::{Candidate, ChartPart, LIST_ARTIFACTS, PULL, ShelfError, Source, Survey, With};

const SEE_PROJECT: Permission = Permission::new(Resource::Project, Verb::Read);

/// What can be asked for beyond a manifest. `sbom`, `license` and `files` are of kinds of artifacts nobody has here.
const ADDITIONS: [&str; 7] = ["build_history", "values.yaml", "readme.md", "dependencies", "sbom", "license", "files"];

/// Parameters that ask for what no artifact has here; they are read so that a wrong one is told.
const NEVER_THERE: [&str; 4] =
    ["with_scan_overview", "with_sbom_overview", "with_immutable_status", "with_inherited_accessory"];

fn with(ask: &Ask<'_>, accessories: bool) -> Result<With, Error> {
    for name in NEVER_THERE {
        flag(ask, name, false)?;
    }
    Ok(With {
        tags: flag(ask, "with_tag", true)?,
        labels: flag(ask, "with_label", false)?,
        accessories: flag(ask, "with_accessory", accessories)?,
    })
}

/// What a client wants of artifacts.
#[derive(Debug)]
struct Wanted<'a> {
    filter: &'a Filter,
    sort: &'a [SortKey],
    tags: Tags<'a>,
    all: bool,
    labels: Vec<u32>,
}

/// What is wanted of the tags of an artifact.
#[derive(Debug)]
enum Tags<'a> {
    Any,
    None,
    Some,
    Matching(&'a Pattern),
}

impl<'a> Wanted<'a> {
    fn read(list: &'a ListQuery) -> Result<Self, Error> {
        let all = match list.filter.get("base") {
            None => false,
            Some(Pattern::Exact(all)) if all == "*" => true,
            Some(_) => return Err(error::bad_request("q: base is *")),
        };
        let tags = match list.filter.get("tags") {
            None => Tags::Any,
            Some(Pattern::Exact(nil)) if nil == "nil" => Tags::None,
            Some(Pattern::Exact(any)) if any == "*" => Tags::Some,
            Some(pattern @ (Pattern::Exact(_) | Pattern::Fuzzy(_) | Pattern::Any(_))) => Tags::Matching(pattern),
            Some(Pattern::Range(..) | Pattern::All(_)) => {
                return Err(error::bad_request("q: tags is nil, *, a name or ~a piece of one"));
            }
        };
        let not_ids = || error::bad_request("q: labels is a list of ids: labels=(1 2)");
        let labels = match list.filter.get("labels") {
            None => Vec::new(),
            Some(Pattern::All(ids)) => {
                ids.iter().map(|id| id.parse().map_err(|_| not_ids())).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(not_ids()),
        };
        Ok(Self { filter: &list.filter, sort: &list.sort, tags, all, labels })
    }

    /// Whether it is the list as the store keeps it.
    fn is_as_kept(&self) -> bool {
        let mut sort = self.sort.iter().filter(|key| SORTED_BY.contains(&key.key.as_str()));
        let order = sort.next().is_none_or(|key| key.key == "push_time" && key.descending);
        self.filter.is_empty() && order
    }

    fn asks(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.filter.get(key).is_some() || self.sort.iter().any(|sort| sort.key == *key))
    }

    fn survey(&self) -> Survey {
        let types = self.asks(&["media_type", "type"]);
        Survey { all: self.all, tags: !matches!(self.tags, Tags::Any), types }
    }

    /// Those of many that are wanted.
    fn of(&self, ask: &Ask<'_>, mut all: Vec<Candidate>) -> Vec<Candidate> {
        all.retain(|candidate| self.takes(candidate));
        if !self.labels.is_empty() {
            let directory = ask.call.registry().directory();
            directory.read(|book| all.retain(|candidate| self.is_labelled(book, candidate)));
        }
        all
    }

    fn is_labelled(&self, book: &Book, candidate: &Candidate) -> bool {
        let on = book.labels_on(&candidate.repository.name, &candidate.view.digest);
        let on: Vec<u32> = on.map(|label| label.is.id).collect();
        self.labels.iter().all(|label| on.contains(label))
    }

    fn takes(&self, candidate: &Candidate) -> bool {
        let tagged = match self.tags {
            Tags::Any => true,
            Tags::None => candidate.tags.is_empty(),
            Tags::Some => !candidate.tags.is_empty(),
            Tags::Matching(pattern) => candidate.tags.iter().any(|tag| pattern.accepts(Field::Text(tag.as_str()))),
        };
        tagged && self.matches(candidate)
    }

    fn matches(&self, candidate: &Candidate) -> bool {
        let view = &candidate.view;
        let digest = view.digest.to_string();
        self.filter.matches(|key| match key {
            "digest" | "Digest" => Some(Field::Text(&digest)),
            "id" => Some(Field::Number(view.id.into())),
            "size" => Some(Field::Number(i64::try_from(view.total).unwrap_or(i64::MAX))),
            "push_time" => Some(Field::at(view.pushed)),
            "pull_time" => Some(Field::at(view.pulled.unwrap_or(Timestamp(0)))),
            "manifest_media_type" => Some(Field::Text(view.media_type.as_str())),
            "artifact_type" => Some(Field::Text(view.artifact_type.as_ref().map_or("", |is| is.as_str()))),
            "repository_name" => Some(Field::Text(candidate.repository.name.as_str())),
            "repository_id" => Some(Field::Number(candidate.repository.id.into())),
            "media_type" => candidate.types.as_ref().map(|(media_type, _)| Field::Text(media_type)),
            "type" => candidate.types.as_ref().map(|(_, kind)| Field::Text(kind)),
            _ => None,
        })
    }

    /// By what is asked for; without that the one pushed last first.
    fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let by = |key: &str| match key {
            "push_time" => a.view.pushed.cmp(&b.view.pushed),
            "pull_time" => a.view.pulled.cmp(&b.view.pulled),
            "size" => a.view.total.cmp(&b.view.total),
            "id" => a.view.id.cmp(&b.view.id),
            "digest" => a.view.digest.cmp(&b.view.digest),
            "repository_name" => a.repository.name.cmp(&b.repository.name),
            "type" => a.types.as_ref().map(|(_, kind)| kind).cmp(&b.types.as_ref().map(|(_, kind)| kind)),
            _ => Ordering::Equal,
        };
        let asked = self.sort.iter().map(|key| if key.descending { by(&key.key).reverse() } else { by(&key.key) });
        let newest = || (b.view.pushed, b.view.id).cmp(&(a.view.pushed, a.view.id));
        asked.fold(Ordering::Equal, Ordering::then).then_with(newest)
    }
}

/// What artifacts can be ordered by.
const SORTED_BY: [&str; 7] = ["push_time", "pull_time", "size", "id", "digest", "repository_name", "type"];

/// A page of the artifacts of a repository.
pub(super) async fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    let (list, with) = (ask.list()?, with(ask, true)?);
    let (wanted, name, permit) = (Wanted::read(&list)?, repository(ask)?, ask.project()?);
    let registry = ask.call.registry();
    let (candidates, total) = if wanted.is_as_kept() {
        let size = usize::try_from(list.page.size).unwrap_or(usize::MAX);
        let shown = registry.artifacts(permit, &name, list.page.number, size).await?;
        (shown.items, shown.total)
    } else {
        let all = registry.survey(permit, &name, wanted.survey()).await?;
        let all = wanted.of(ask, all);
        let page = list.page.sorted(all, |a, b| wanted.compare(a, b));
        (page.items, page.total)
    };
    let shown = registry.details(permit, candidates, with).await?;
    page(ask, &list, shown, total)
}

fn page(
    ask: &Ask<'_>,
    list: &ListQuery,
    artifacts: Vec<crate::registry::Artifact>,
    total: u64,
) -> Result<Response, Error> {
    let directory = ask.call.registry().directory();
    let items = directory.read(|book| artifacts.into_iter().map(|one| show::artifact(book, one)).collect());
    lists::respond(ask, list.page, items, total)
}

/// A page of the artifacts of all repositories of a project that one may see. As in Harbor for accounts alone.
pub(super) async fn list_of_project(ask: &Ask<'_>) -> Result<Response, Error> {
    let (list, with) = (ask.list()?, with(ask, false)?);
    let latest = flag(ask, "latest_in_repository", false)?;
    ask.logged_in()?;
    let key = ask.matched.project(ask.call.headers())?.ok_or_else(|| error::not_found("project"))?;
    let permit = ask.permit_project(SEE_PROJECT, &key).or_else(|_| ask.permit_project(LIST_ARTIFACTS, &key))?;
    let sight = ask.call.gate().sight(ask.principal(), LIST_ARTIFACTS, Some(permit.name()));
    if sight.is_nothing() {
        ask.permit_project(LIST_ARTIFACTS, &key)?;
    }
    let wanted = Wanted::read(&list)?;
    let given = |key| list.filter.get(key).is_some();
    if latest && given("media_type") == given("artifact_type") {
        return Err(error::bad_request("latest_in_repository takes either media_type or artifact_type in q"));
    }
    let all = ask.call.registry().survey_project(&permit, &sight, wanted.survey()).await?;
    let mut told = HashSet::new();
    // Those of a repository come newest first.
    let all = wanted.of(ask, all).into_iter().filter(|candidate| !latest || told.insert(candidate.repository.id));
    let found = list.page.sorted(all, |a, b| wanted.compare(a, b));
    let shown = ask.call.registry().details(&permit, found.items, with).await?;
    page(ask, &list, shown, found.total)
}

/// An artifact.
pub(super) async fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let with = with(ask, false)?;
    flag(ask, "with_signature", false)?;
    let found = ask.call.registry().artifact(ask.project()?, &repository(ask)?, &reference(ask)?, with).await?;
    Ask::json(&ask.call.registry().directory().read(|book| show::artifact(book, found)))
}

/// Deletes an artifact with all its tags.
pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    let (name, reference) = (repository(ask)?, reference(ask)?);
    Box::pin(ask.call.registry().delete_artifact(ask.project()?, &name, &reference, &ask.call.id)).await?;
    Ok(Ask::done())
}

/// Puts a label on an artifact.
pub(super) async fn add_label(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let LabelReq { id, .. } = ask.read().await?;
    let label = id.ok_or_else(|| error::bad_request("id is the number of a label"))?;
    // One that is too large for any id is nobody's.
    let label = u32::try_from(label).map_err(|_| error::not_found("label"))?;
    let (name, reference) = (repository(ask)?, reference(ask)?);
    ask.call.registry().add_label(ask.project()?, (&name, &reference), label, &ask.call.id).await?;
    Ok(Ask::done())
}

/// Takes a label off an artifact.
pub(super) async fn remove_label(ask: &Ask<'_>) -> Result<Response, Error> {
    let label = u32::try_from(ask.matched.id("label_id")?).map_err(|_| error::not_found("label"))?;
    let (name, reference) = (repository(ask)?, reference(ask)?);
    ask.call.registry().remove_label(ask.project()?, (&name, &reference), label, &ask.call.id).await?;
    Ok(Ask::done())
}

/// Copies an artifact from another repository of this node.
pub(super) async fn copy(ask: &Ask<'_>) -> Result<Response, Error> {
    let query = ask.call.query()?;
    let from = query.one("from")?.ok_or_else(|| error::unprocessable("from in query is required"))?;
    let (from, wanted) =
        parse(from).ok_or_else(|| error::bad_request("from is project/repository:tag or project/repository@digest"))?;
    let source = ask.permit_repository(PULL, &from)?;
    let to = repository(ask)?;
    let source = Source { permit: &source, repository: &from, reference: &wanted };
    Box::pin(ask.call.registry().copy_artifact(ask.project()?, &to, source, &ask.call.id)).await?;
    Ok(ask.created(&format!("{}/{wanted}", ask.call.path())))
}

/// Reads `project/repository:tag` or `project/repository@digest`.
fn parse(text: &str) -> Option<(RepositoryName, Reference)> {
    let (name, reference) = match text.split_once('@') {
        Some((name, digest)) => (name, Reference::Digest(digest.parse().ok()?)),
        None => {
            let (name, tag) = text.rsplit_once(':')?;
            (name, Reference::Tag(tag.parse().ok()?))
        }
    };
    Some((name.parse().ok()?, reference))
}

/// A page of what speaks about an artifact.
pub(super) async fn accessories(ask: &Ask<'_>) -> Result<Response, Error> {
    let (list, name) = (ask.list()?, repository(ask)?);
    let (subject, all) = ask.call.registry().accessories(ask.project()?, &name, &reference(ask)?).await?;
    let all = all.iter().map(|view| show::accessory(name.as_str(), &subject, view));
    let wanted = all.filter(|one| {
        list.filter.matches(|key| match key {
            "digest" | "Digest" => Some(Field::Text(&one.digest)),
            "type" | "Type" => Some(Field::Text(&one.kind)),
            "id" => Some(Field::Number(one.id)),
            _ => None,
        })
    });
    list.page.of(wanted).respond(&ask.call.head.uri)
}

/// Says of what an artifact has beyond its manifest.
pub(super) async fn addition(ask: &Ask<'_>) -> Result<Response, Error> {
    let addition = ask.matched.param("addition").unwrap_or_default();
    if !ADDITIONS.contains(&addition) {
        return Err(error::unprocessable(format!("addition in path should be one of {ADDITIONS:?}")));
    }
    let (permit, name, reference) = (ask.project()?, repository(ask)?, reference(ask)?);
    let registry = ask.call.registry();
    if addition == "build_history" {
        let history = registry.build_history(permit, &name, &reference).await?;
        return Ask::json(&history);
    }
    let Some(part) = ChartPart::named(addition) else {
        let described = registry.described(permit, &name, &reference).await?;
        return Err(ShelfError::NoAddition(described.kind).into());
    };
    let mut response = Ask::text(registry.chart_part(permit, &name, &reference, part).await?);
    let content_type = match part {
        ChartPart::Values => "text/plain; charset=utf-8",
        ChartPart::Readme => "text/markdown; charset=utf-8",
        ChartPart::Dependencies => "application/json; charset=utf-8",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

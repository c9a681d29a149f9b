//! Projects themselves.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use protocol::ProjectName;
use serde::{Deserialize, Serialize};

use super::{header_flag, limit, number, shown_limit, time};
use crate::directory::{Book, ProjectChange, ProjectEntry};
use crate::http::Response;
use crate::http::api::ask::{Ask, refused};
use crate::http::api::error;
use crate::http::api::model::mesh::Undeleted;
use crate::http::api::model::project::{
    CveAllowlist, CveAllowlistItem, Project, ProjectDeletable, ProjectMetadata, ProjectReq, ProjectSummary,
    ProjectSummaryQuota,
};
use crate::http::api::paged::Paged;
use crate::http::api::q::{Field, SortKey};
use crate::http::error::Error;
use crate::policy::roles::{DEVELOPER, GUEST, LIMITED_GUEST, MAINTAINER, PROJECT_ADMIN};
use crate::policy::{Denied, On, Permission, ProjectSight, Resource, Verb};
use crate::registry::{AboutProject, NewProject, metadata};

/// Most vulnerabilities of a list of those that are not counted, as far as they fit into a record.
const MAX_ALLOWED: usize = 200;

fn sight(ask: &Ask<'_>) -> ProjectSight {
    ask.call.gate().sight_of_projects(ask.principal())
}

/// Also the anonymous see a list; a token of registry clients is refused, so that nobody takes a short list for all.
fn no_token(ask: &Ask<'_>) -> Result<(), Error> {
    if ask.principal().scope_allows_administration() {
        return Ok(());
    }
    Err(refused(ask.call, Denied::Challenge))
}

/// A property of a project by the names clients have for it.
fn field<'a>(book: &Book, project: &'a ProjectEntry, name: &str) -> Option<Field<'a>> {
    let settings = &project.settings;
    match name {
        "name" | "Name" => Some(Field::Text(project.name.as_str())),
        "project_id" | "ProjectID" => Some(Field::Number(settings.id.into())),
        "public" | "Public" => Some(Field::Flag(settings.public)),
        "owner" | "owner_name" | "OwnerName" => Some(Field::Text(&settings.owner)),
        "owner_id" | "OwnerID" => {
            Some(Field::Number(book.user(&settings.owner).map_or(0, |owner| i64::from(owner.is.id))))
        }
        "creation_time" | "CreationTime" => Some(Field::at(settings.created)),
        "update_time" | "UpdateTime" => Some(Field::at(settings.updated)),
        _ => None,
    }
}

fn compare(keys: &[SortKey], a: &ProjectEntry, b: &ProjectEntry) -> Ordering {
    let by = |key: &SortKey| {
        let order = match key.key.as_str() {
            "name" => a.name.cmp(&b.name),
            "project_id" => a.settings.id.cmp(&b.settings.id),
            "creation_time" => a.settings.created.cmp(&b.settings.created),
            "update_time" => a.settings.updated.cmp(&b.settings.updated),
            "owner" | "owner_name" => a.settings.owner.cmp(&b.settings.owner),
            _ => Ordering::Equal,
        };
        if key.descending { order.reverse() } else { order }
    };
    keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

pub(super) async fn list(ask: &Ask<'_>) -> Result<Response, Error> {
    no_token(ask)?;
    let (asked, query, sight) = (ask.list()?, ask.call.query()?, sight(ask));
    let part = query.one("name")?.unwrap_or_default().to_lowercase();
    let owner = query.one("owner")?.filter(|owner| !owner.is_empty());
    let public = match query.one("public")? {
        None | Some("") => None,
        Some(text) => Some(text.parse::<bool>().map_err(|_| error::unprocessable("public is true or false"))?),
    };
    let wants = |book: &Book, project: &ProjectEntry| {
        // Names have only small letters.
        project.name.as_str().contains(&part)
            && owner.is_none_or(|owner| project.settings.owner == owner)
            && public.is_none_or(|public| project.settings.public == public)
            && asked.filter.matches(|name| field(book, project, name))
    };
    let seen = ask.call.registry().seen_projects(&sight, wants);
    let page = asked.page.sorted(seen, |a, b| compare(&asked.sort, a, b));
    let mut shown = Vec::with_capacity(page.items.len());
    for project in &page.items {
        shown.push(show(project, &ask.call.registry().about_project(&sight, project).await?));
    }
    Paged { items: shown, total: page.total, page: page.page }.respond(&ask.call.head.uri)
}

/// Who may make projects learns from it which names are taken; others learn only of what they may see.
pub(super) fn head(ask: &Ask<'_>) -> Result<Response, Error> {
    let query = ask.call.query()?;
    let name = query.one("project_name")?.ok_or_else(|| error::unprocessable("project_name in query is required"))?;
    let (gate, sight) = (ask.call.gate(), sight(ask));
    let makes = gate.permit_create_project(ask.principal()).is_ok();
    let there = name.parse::<ProjectName>().is_ok_and(|name| {
        ask.call.registry().directory().read(|book| {
            let is_known = makes || sight.sees(book, &name);
            is_known && book.project(&name).is_some()
        })
    });
    if there { Ok(Ask::done()) } else { Err(error::not_found("project")) }
}

pub(super) async fn create(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let permit = |ask: &Ask<'_>| {
        let permit = ask.call.gate().permit_create_project(ask.principal());
        permit.map_err(|denied| refused(ask.call, denied))
    };
    permit(ask)?;
    let by_name = header_flag(ask, "x-resource-name-in-location")?;
    let asked: ProjectReq = ask.read().await?;
    let permit = permit(ask)?;
    let name = asked.project_name.as_deref().unwrap_or_default();
    let name: ProjectName = name.parse().map_err(|error| error::bad_request(format!("project_name: {error}")))?;
    no_registry(&asked)?;
    let change = wanted(&asked)?;
    // How much a project may hold is for administrators to say; what others say is not obeyed (CVE-2019-16097).
    let quota = match asked.storage_limit {
        None | Some(0) => None,
        Some(bytes) => Some(limit(bytes)?).filter(|_| ask.call.gate().is_administrator(ask.principal())),
    };
    let set = change.metadata.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let new = NewProject {
        name,
        public: change.public.unwrap_or_default(),
        sparse: change.sparse.unwrap_or_default(),
        metadata: set.collect(),
        quota,
    };
    let made = ask.call.registry().create_project(&permit, new, &ask.call.id).await?;
    let place = if by_name { made.name.to_string() } else { made.settings.id.to_string() };
    Ok(ask.created(&format!("/api/v2.0/projects/{place}")))
}

/// A project that stands for another registry is not made or changed here.
fn no_registry(asked: &ProjectReq) -> Result<(), Error> {
    match asked.registry_id {
        None => Ok(()),
        Some(id) => Err(error::bad_request(format!("there is no registry {id} that a project could stand for"))),
    }
}

/// What a client wants to be set. Everything it says is checked, nothing is passed over.
fn wanted(asked: &ProjectReq) -> Result<ProjectChange, Error> {
    let mut change = ProjectChange { public: asked.public, ..ProjectChange::default() };
    for (name, value) in asked.metadata.iter().flat_map(said) {
        let is_unset = value.is_empty() && matches!(name, "public" | "retention_id");
        if !is_unset {
            change.set(name, Some(value))?;
        }
    }
    if let Some(list) = &asked.cve_allowlist {
        change.metadata.push((metadata::ALLOWLIST.to_owned(), Some(kept(list)?)));
    }
    Ok(change)
}

/// What the fields of a request say, by name.
fn said(metadata: &ProjectMetadata) -> impl Iterator<Item = (&'static str, &str)> {
    let ProjectMetadata {
        public,
        enable_content_trust,
        enable_content_trust_cosign,
        prevent_vul,
        severity,
        auto_scan,
        auto_sbom_generation,
        reuse_sys_cve_allowlist,
        retention_id,
        proxy_speed_kb,
        max_upstream_conn,
        proxy_cache_local_on_not_found,
        proxy_referrer_api,
        proxy_cache_filter_pattern,
        proxy_cache_filter_kind,
        sparse,
    } = metadata;
    let all = [
        ("public", public),
        ("enable_content_trust", enable_content_trust),
        ("enable_content_trust_cosign", enable_content_trust_cosign),
        ("prevent_vul", prevent_vul),
        ("severity", severity),
        ("auto_scan", auto_scan),
        ("auto_sbom_generation", auto_sbom_generation),
        ("reuse_sys_cve_allowlist", reuse_sys_cve_allowlist),
        ("retention_id", retention_id),
        ("proxy_speed_kb", proxy_speed_kb),
        ("max_upstream_conn", max_upstream_conn),
        ("proxy_cache_local_on_not_found", proxy_cache_local_on_not_found),
        ("proxy_referrer_api", proxy_referrer_api),
        ("proxy_cache_filter_pattern", proxy_cache_filter_pattern),
        ("proxy_cache_filter_kind", proxy_cache_filter_kind),
        ("sparse", sparse),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
}

/// Vulnerabilities that are not counted, as they are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Allowlist {
    items: Vec<String>,
    expires_at: Option<i64>,
}

fn kept(list: &CveAllowlist) -> Result<String, Error> {
    let given = list.items.iter().flatten().map(|item| item.cve_id.clone().unwrap_or_default());
    let items: Vec<String> = given.collect();
    let good = |id: &String| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    if items.len() > MAX_ALLOWED || !items.iter().all(good) {
        return Err(error::bad_request(format!("cve_allowlist has at most {MAX_ALLOWED} items, each with a cve_id")));
    }
    serde_json::to_string(&Allowlist { items, expires_at: list.expires_at }).map_err(Error::internal)
}

fn allowlist(project: &ProjectEntry) -> CveAllowlist {
    let kept = project.settings.metadata.get(metadata::ALLOWLIST);
    let kept: Allowlist = kept.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let item = |id| CveAllowlistItem { cve_id: Some(id) };
    CveAllowlist {
        id: Some(project.settings.id.into()),
        project_id: Some(project.settings.id.into()),
        expires_at: kept.expires_at,
        items: Some(kept.items.into_iter().map(item).collect()),
        creation_time: Some(time(project.settings.created)),
        update_time: Some(time(project.settings.updated)),
    }
}

fn shown_metadata(project: &ProjectEntry) -> ProjectMetadata {
    let mut all = metadata::all(&project.settings);
    let mut take = |name| all.remove(name);
    ProjectMetadata {
        public: take("public"),
        enable_content_trust: take("enable_content_trust"),
        enable_content_trust_cosign: take("enable_content_trust_cosign"),
        prevent_vul: take("prevent_vul"),
        severity: take("severity"),
        auto_scan: take("auto_scan"),
        auto_sbom_generation: take("auto_sbom_generation"),
        reuse_sys_cve_allowlist: take("reuse_sys_cve_allowlist"),
        retention_id: None,
        proxy_speed_kb: take("proxy_speed_kb"),
        max_upstream_conn: take("max_upstream_conn"),
        proxy_cache_local_on_not_found: take("proxy_cache_local_on_not_found"),
        proxy_referrer_api: take("proxy_referrer_api"),
        proxy_cache_filter_pattern: None,
        proxy_cache_filter_kind: None,
        sparse: take("sparse"),
    }
}

/// A project as clients know it.
pub(in crate::http::api) fn show(project: &ProjectEntry, about: &AboutProject) -> Project {
    let settings = &project.settings;
    Project {
        project_id: settings.id.into(),
        owner_id: about.owner.map_or(0, i64::from),
        name: project.name.to_string(),
        registry_id: None,
        creation_time: time(settings.created),
        update_time: time(settings.updated),
        deleted: false,
        owner_name: settings.owner.clone(),
        togglable: false,
        current_user_role_id: about.roles.first().copied().map_or(0, i64::from),
        current_user_role_ids: about.roles.iter().copied().map(i64::from).collect(),
        repo_count: number(about.repositories),
        metadata: Some(shown_metadata(project)),
        cve_allowlist: Some(allowlist(project)),
    }
}

pub(super) async fn get(ask: &Ask<'_>) -> Result<Response, Error> {
    let project = ask.project()?.project();
    Ask::json(&show(project, &ask.call.registry().about_project(&sight(ask), project).await?))
}

pub(super) async fn update(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let asked: ProjectReq = ask.read().await?;
    no_registry(&asked)?;
    ask.call.registry().change_project(ask.project()?, wanted(&asked)?, &ask.call.id).await?;
    Ok(Ask::done())
}

pub(super) async fn delete(ask: &Ask<'_>) -> Result<Response, Error> {
    ask.call.registry().delete_project(ask.project()?, &ask.call.id).await?;
    Ok(Ask::done())
}

/// The project of a path that also names such as are not there.
fn named(ask: &Ask<'_>) -> Result<ProjectName, Error> {
    let name = ask.matched.param("project_name").unwrap_or_default();
    name.parse().map_err(|_| error::not_found("project"))
}

pub(super) async fn delete_full(ask: &Ask<'_>) -> Result<Response, Error> {
    ask.call.registry().delete_full_project(ask.administrator()?, &named(ask)?, &ask.call.id).await?;
    Ok(Ask::done())
}

pub(super) async fn undelete(ask: &Ask<'_>) -> Result<Response, Error> {
    let (permit, name) = (ask.administrator()?, named(ask)?);
    let back = Box::pin(ask.call.registry().undelete_project(permit, &name, &ask.call.id)).await?;
    Ask::json(&Undeleted { manifests: number(back.manifests), lost: number(back.lost) })
}

pub(super) async fn deletable(ask: &Ask<'_>) -> Result<Response, Error> {
    let about = ask.call.registry().about_project(&sight(ask), ask.project()?.project()).await?;
    let deletable = about.repositories == 0;
    let message = if deletable { "" } else { "the project contains repositories, can not be deleted" };
    Ask::json(&ProjectDeletable { deletable, message: message.into() })
}

pub(super) async fn summary(ask: &Ask<'_>) -> Result<Response, Error> {
    const MEMBERS: Permission = Permission::new(Resource::Member, Verb::List);
    const QUOTA: Permission = Permission::new(Resource::Quota, Verb::Read);
    let (permit, registry) = (ask.project()?, ask.call.registry());
    let may = |permission| ask.call.gate().may(ask.principal(), permission, On::Project(permit.name()));
    let totals = registry.project_totals(permit.name()).await?;
    let mut summary = ProjectSummary { repo_count: number(totals.repositories), ..ProjectSummary::default() };
    if may(MEMBERS) {
        let counts = registry.count_members(permit);
        let count = |role| counts.get(&role).copied().map_or(0, i64::from);
        summary.project_admin_count = count(PROJECT_ADMIN);
        summary.maintainer_count = count(MAINTAINER);
        summary.developer_count = count(DEVELOPER);
        summary.guest_count = count(GUEST);
        summary.limited_guest_count = count(LIMITED_GUEST);
    }
    if may(QUOTA) {
        let storage = |bytes| BTreeMap::from([("storage".to_owned(), bytes)]);
        let hard = storage(shown_limit(registry.quota_of(permit.name())));
        summary.quota = Some(ProjectSummaryQuota { hard, used: storage(number(totals.bytes)) });
    }
    Ask::json(&summary)
}

//! `/api/v2.0/`: administration, in the shapes Harbor's clients know, and the node's own part under `mesh/node/`.
//!
//! Bodies name only fields a client may set: an unknown one is refused, never skipped (CVE-2019-16097).

use http::header::{CONTENT_TYPE, LOCATION, ORIGIN};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use protocol::record::{NotARecordId, RecordId};
use protocol::{Digest, ProjectName, RepositoryName, Tag};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Response;
use super::body::{Body, Receiving};
use super::call::Call;
use super::challenge::Challenge;
use super::error::Error;
use super::query::Query;
use crate::policy::AdminPermit;
use crate::registry::NewProject;
use crate::storage::meta::{Choice, Project};

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Longest body of a request.
const MAX_BODY: usize = 64 * 1024;
/// Largest page, as Harbor's.
const MAX_PAGE_SIZE: usize = 100;
/// Pages are counted, so each costs walking over those before it.
const MAX_PAGE: usize = 1000;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Ping,
    Projects,
    Status,
    Gc,
    Scrub,
    Snapshot,
    History,
    Conflicts,
    Undelete,
    VerifyAudit,
}

impl Route {
    fn parse(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/api/v2.0/")? {
            "ping" => Self::Ping,
            "projects" => Self::Projects,
            "mesh/node/status" => Self::Status,
            "mesh/node/gc" => Self::Gc,
            "mesh/node/scrub" => Self::Scrub,
            "mesh/node/snapshot" => Self::Snapshot,
            "mesh/node/history" => Self::History,
            "mesh/node/conflicts" => Self::Conflicts,
            "mesh/node/undelete" => Self::Undelete,
            "mesh/node/audit/verify" => Self::VerifyAudit,
            _ => return None,
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Ping | Self::Status | Self::History => "GET",
            Self::Projects | Self::Conflicts => "GET, POST",
            Self::Gc | Self::Scrub | Self::Snapshot | Self::Undelete | Self::VerifyAudit => "POST",
        }
    }
}

pub(super) async fn answer(call: &mut Call, body: &mut Receiving) -> Result<Response, Error> {
    let route = Route::parse(call.path()).ok_or_else(Error::no_route)?;
    let method = call.method().clone();
    if route == Route::Ping && method == Method::GET {
        return Ok(text("Pong"));
    }
    call.identify(Challenge::administration).await?;
    let permit = call.permit_administration()?;
    if method != Method::GET {
        same_origin(call)?;
    }
    match (route, method) {
        (Route::Projects, Method::GET) => list_projects(call, &permit).await,
        (Route::Projects, Method::POST) => create_project(call, &permit, body).await,
        (Route::Status, Method::GET) => value(&call.registry().status(&permit).await?),
        (Route::Gc, Method::POST) => {
            let dry_run = flag(&call.query()?, "dry_run")?;
            value(&Box::pin(call.registry().collect_garbage(&permit, dry_run)).await?)
        }
        (Route::Scrub, Method::POST) => value(&Box::pin(call.registry().scrub(&permit)).await?),
        (Route::Snapshot, Method::POST) => {
            let at = Box::pin(call.registry().snapshot(&permit)).await?;
            value(&json!({ "snapshot": at }))
        }
        (Route::VerifyAudit, Method::POST) => {
            value(&Box::pin(call.registry().verify_audit(&permit)).await.map_err(Error::internal)?)
        }
        (Route::History, Method::GET) => history(call, &permit).await,
        (Route::Conflicts, Method::GET) => value(&call.registry().conflicts(&permit).await?),
        (Route::Conflicts, Method::POST) => match decision(&body.collect_short(MAX_BODY, "a request").await?)? {
            DecideRequest { repository: Some(repository), tag: Some(tag), digest: Some(digest), record: None } => {
                decide(call, &permit, repository, tag, Choice::Head(digest)).await
            }
            DecideRequest { repository: None, tag: None, digest: None, record: Some(record) } => {
                call.registry().choose_head(&permit, record.0, &call.id).await?;
                value(&json!({ "record": record.0.to_string() }))
            }
            DecideRequest { .. } => Err(bad(
                "either repository, tag and digest: what the tag shall name; or record: the side to keep".into(),
            )),
        },
        (Route::Undelete, Method::POST) => match decision(&body.collect_short(MAX_BODY, "a request").await?)? {
            DecideRequest { repository: Some(repository), tag: Some(tag), digest: None, record: None } => {
                decide(call, &permit, repository, tag, Choice::Last).await
            }
            DecideRequest { repository: Some(repository), tag: None, digest: Some(digest), record: None } => {
                Box::pin(call.registry().undelete_manifest(&permit, &repository, &digest, &call.id)).await?;
                value(&json!({ "digest": digest }))
            }
            DecideRequest { .. } => Err(bad("repository, and either tag or digest: what is to come back".into())),
        },
        (route, _) => Err(Error::method(route.methods())),
    }
}

/// A browser that is logged in must not be made to change something by another site's page.
fn same_origin(call: &Call) -> Result<(), Error> {
    let Some(origin) = call.headers().get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, host)| host);
    let base = call.base();
    let ours = origin.is_some() && (origin == call.host() || origin == base.split_once("://").map(|(_, host)| host));
    if ours {
        Ok(())
    } else {
        Err(Error::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this request came from another site's page"))
    }
}

/// What a tag shall name, or what shall come back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideRequest {
    #[serde(default)]
    repository: Option<RepositoryName>,
    #[serde(default)]
    tag: Option<Tag>,
    #[serde(default)]
    digest: Option<Digest>,
    #[serde(default)]
    record: Option<Named>,
}

/// A record by its name in text, as lists show it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Named(RecordId);

impl TryFrom<String> for Named {
    type Error = NotARecordId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

fn decision(body: &[u8]) -> Result<DecideRequest, Error> {
    serde_json::from_slice(body).map_err(|error| bad(error.to_string()))
}

async fn decide(
    call: &Call,
    permit: &AdminPermit,
    repository: RepositoryName,
    tag: Tag,
    choice: Choice,
) -> Result<Response, Error> {
    let digest = call.registry().decide_tag(permit, repository, tag, choice, &call.id).await?;
    value(&json!({ "digest": digest }))
}

async fn history(call: &Call, permit: &AdminPermit) -> Result<Response, Error> {
    let query = call.query()?;
    let named = |name| query.one(name)?.ok_or_else(|| bad(format!("{name} is missing")));
    let repository: RepositoryName =
        named("repository")?.parse().map_err(|error| bad(format!("repository: {error}")))?;
    let tag: Tag = named("tag")?.parse().map_err(|error| bad(format!("tag: {error}")))?;
    let limit = count(&query, "limit", 100, 1000)?;
    value(&call.registry().tag_history(permit, &repository, &tag, limit).await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectRequest {
    project_name: String,
    #[serde(default)]
    metadata: Metadata,
}

/// Harbor writes truth values as text.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metadata {
    public: Option<String>,
    sparse: Option<String>,
}

async fn create_project(call: &Call, permit: &AdminPermit, body: &mut Receiving) -> Result<Response, Error> {
    let new = new_project(&body.collect_short(MAX_BODY, "a request").await?)?;
    let project = call.registry().create_project(permit, new, &call.id).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::try_from(format!("/api/v2.0/projects/{}", project.name)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn new_project(body: &[u8]) -> Result<NewProject, Error> {
    let asked: ProjectRequest = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let name: ProjectName = asked.project_name.parse().map_err(|error| bad(format!("project_name: {error}")))?;
    Ok(NewProject {
        name,
        public: truth("metadata.public", asked.metadata.public.as_deref())?,
        sparse: truth("metadata.sparse", asked.metadata.sparse.as_deref())?,
    })
}

fn bad(message: String) -> Error {
    Error::bad("BAD_REQUEST", message)
}

fn truth(what: &str, text: Option<&str>) -> Result<bool, Error> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(bad(format!("{what} is \"true\" or \"false\""))),
    }
}

fn flag(query: &Query<'_>, name: &'static str) -> Result<bool, Error> {
    truth(name, query.one(name)?)
}

#[derive(Debug, Serialize)]
struct ProjectView {
    name: String,
    metadata: MetadataView,
    creation_time: String,
}

#[derive(Debug, Serialize)]
struct MetadataView {
    public: &'static str,
    sparse: &'static str,
}

impl ProjectView {
    fn new(project: &Project) -> Self {
        let word = |value: bool| if value { "true" } else { "false" };
        let seconds = i64::try_from(project.created.as_secs()).unwrap_or_default();
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok());
        Self {
            name: project.name.as_str().to_owned(),
            metadata: MetadataView { public: word(project.public), sparse: word(project.sparse) },
            creation_time: time.unwrap_or_default(),
        }
    }
}

/// A page counted from 1, as Harbor has them, out of a listing that goes on after a name.
async fn list_projects(call: &Call, permit: &AdminPermit) -> Result<Response, Error> {
    let query = call.query()?;
    let page = count(&query, "page", 1, MAX_PAGE)?;
    let size = count(&query, "page_size", 10, MAX_PAGE_SIZE)?;
    let (mut after, mut items) = (None, Vec::new());
    for _ in 0..page {
        let listing = call.registry().projects(permit, after.take(), Some(size)).await?;
        after = listing.items.last().map(|project| project.name.as_str().to_owned());
        items = listing.items;
        if !listing.more {
            // A page behind the end has nothing.
            break;
        }
    }
    let total = call.registry().status(permit).await?.counts.projects;
    if (page as u64 - 1).saturating_mul(size as u64) >= total {
        items.clear();
    }
    let views: Vec<_> = items.iter().map(ProjectView::new).collect();
    let mut response = value(&views)?;
    response.headers_mut().insert(X_TOTAL_COUNT, HeaderValue::from(total));
    Ok(response)
}

fn count(query: &Query<'_>, name: &'static str, default: usize, most: usize) -> Result<usize, Error> {
    let Some(text) = query.one(name)? else { return Ok(default) };
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(bad(format!("{name} is a number from 1 to {most}"))),
    }
}

fn value(value: &impl Serialize) -> Result<Response, Error> {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    let mut response = Response::new(Body::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    Ok(response)
}

fn text(text: &'static str) -> Response {
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_strictly() {
        let new = new_project(br#"{"project_name":"a","metadata":{"public":"true"}}"#).unwrap();
        assert!(new.public && !new.sparse && new.name.as_str() == "a");
        for bad in [
            r#"{"project_name":"a","owner":"root"}"#,
            r#"{"project_name":"a","metadata":{"admin":"true"}}"#,
            r#"{"project_name":"a/b"}"#,
            r#"{"project_name":"a","metadata":{"public":"yes"}}"#,
            r#"{"project_name":"a","project_name":"b"}"#,
            "{}",
            "",
        ] {
            assert_eq!(new_project(bad.as_bytes()).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn paths_have_one_spelling() {
        let documented = include_str!("../../../docs/api.md");
        for (path, route) in [
            ("ping", Route::Ping),
            ("projects", Route::Projects),
            ("mesh/node/status", Route::Status),
            ("mesh/node/gc", Route::Gc),
            ("mesh/node/scrub", Route::Scrub),
            ("mesh/node/snapshot", Route::Snapshot),
            ("mesh/node/history", Route::History),
            ("mesh/node/conflicts", Route::Conflicts),
            ("mesh/node/undelete", Route::Undelete),
            ("mesh/node/audit/verify", Route::VerifyAudit),
        ] {
            let path = format!("/api/v2.0/{path}");
            assert_eq!(Route::parse(&path), Some(route));
            for method in route.methods().split(", ") {
                assert!(documented.contains(&format!("`{method} {path}`")), "docs/api.md lacks {method} {path}");
            }
        }
        for bad in ["/api/v2.0/", "/api/v2.0/projects/", "/api/v2.0//projects", "/api/v2.0/Projects", "/api/v1/ping"] {
            assert_eq!(Route::parse(bad), None, "{bad}");
        }
    }
}

//! What is refused whatever it asks for, while the whole mesh is set read-only; and which refusals the audit log tells of:
//! those of requests that would have changed something. No state.
//!
//! A client that shows nothing and is asked to log in is not refused yet: that is how registry clients begin, and anyone
//! could fill the log so. A wrong password is told as a failed log-in where it is found.

use http::{Method, StatusCode};

use super::api::route;
use super::call::Call;
use super::error::Error;
use super::v2::route::Route;
use crate::registry::Refusal;
use crate::storage::audit::Resource;
use crate::storage::meta::Operation;

/// The refusal of a change while everything is read-only; `None`: it may go on. Logging in, and setting it otherwise,
/// always may; so may looking after the node.
pub(super) fn read_only(call: &Call) -> Option<Error> {
    let path = call.path();
    let may = matches!(*call.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        || matches!(path, "/service/token" | "/api/v2.0/configurations")
        || ["/c/", "/api/v2.0/mesh/node/"].iter().any(|below| path.starts_with(below));
    if may || !call.registry().is_read_only() {
        return None;
    }
    let message = "the system is set read-only: nothing can be changed until an administrator ends that";
    Some(Error::new(StatusCode::FORBIDDEN, "DENIED", message))
}

/// Notes the refusal of a change, for who should look.
pub(super) fn note(call: &Call, label: &str, error: &Error) {
    let operation = match *call.method() {
        Method::POST => Operation::Create,
        Method::PUT | Method::PATCH => Operation::Update,
        Method::DELETE => Operation::Delete,
        _ => return,
    };
    let was_refused = match error.status() {
        StatusCode::FORBIDDEN => true,
        StatusCode::UNAUTHORIZED => call.shown || !call.principal.is_anonymous(),
        _ => false,
    };
    if !was_refused {
        return;
    }
    let path = call.path();
    let of_client = Route::parse(path).ok();
    let repository = of_client.as_ref().and_then(Route::repository);
    let kind = match of_client {
        Some(Route::Manifest { .. } | Route::Referrers { .. }) => Resource::Artifact,
        Some(Route::Tags { .. }) => Resource::Tag,
        Some(Route::Blob { .. } | Route::Upload { .. } | Route::Uploads { .. }) => Resource::Blob,
        Some(Route::Base | Route::Catalog) => Resource::Repository,
        None => kind_of(call),
    };
    let code = error.entries().first().map_or("DENIED", |entry| entry.code);
    let refusal = Refusal { operation, kind, path, repository, route: label, code };
    call.registry().note_refusal(refusal, &call.principal.actor(), &call.id);
}

/// What kind of thing a request of the administration interface is about, by the tag of its route.
fn kind_of(call: &Call) -> Resource {
    let tag = route::find(call.method(), call.path()).map_or("", |matched| matched.route.tag);
    match tag {
        "project" | "projectMetadata" => Resource::Project,
        "member" => Resource::Member,
        "repository" => Resource::Repository,
        "artifact" => Resource::Artifact,
        "user" => Resource::User,
        "usergroup" => Resource::UserGroup,
        "robot" => Resource::Robot,
        "quota" => Resource::Quota,
        "label" => Resource::Label,
        _ => Resource::Configuration,
    }
}

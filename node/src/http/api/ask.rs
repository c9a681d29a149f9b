//! One request to the administration interface as a handler sees it: what the path named, the permit the frame obtained,
//! the body, and the shapes of answers.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use protocol::{ProjectName, RepositoryName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error;
use super::q::ListQuery;
use super::route::{Matched, Need, ProjectKey};
use crate::auth::Principal;
use crate::directory::Book;
use crate::http::Response;
use crate::http::body::{Body, Receiving};
use crate::http::call::Call;
use crate::http::challenge::Challenge;
use crate::http::error::Error;
use crate::policy::{AdminPermit, Permission, ProjectPermit, SystemPermit};

/// What the frame found out before the handler was called: whoever handles a route holds what it needs.
#[derive(Debug)]
pub(crate) enum Access {
    /// The route needs nothing, or the handler asks the gate itself.
    Open,
    /// Someone logged in.
    LoggedIn,
    /// An administrator.
    Administrator(AdminPermit),
    /// A permission over the system.
    System(SystemPermit),
    /// A permission in the project of the path.
    Project(ProjectPermit),
}

/// A request, found out whom it is from and that they may.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(in crate::http) call: &'a Call,
    pub(crate) matched: Matched,
    pub(in crate::http) body: &'a mut Receiving,
    access: Access,
}

impl<'a> Ask<'a> {
    /// Obtains what the route needs.
    ///
    /// # Errors
    /// 401 for who did not log in, 404 for what is absent or not theirs to know of, 403 for what they may know and not do.
    pub(in crate::http) fn open(call: &'a Call, matched: Matched, body: &'a mut Receiving) -> Result<Self, Error> {
        let gate = call.gate();
        let access = match matched.route.need {
            Need::Nothing | Need::Handler => Access::Open,
            Need::LoggedIn if call.principal.is_anonymous() || !call.principal.scope_allows_administration() => {
                return Err(unauthorized());
            }
            Need::LoggedIn => Access::LoggedIn,
            Need::Administrator => Access::Administrator(
                gate.permit_administration(&call.principal).map_err(|denied| refused(call, denied))?,
            ),
            Need::System(permission) => {
                Access::System(gate.permit_system(&call.principal, permission).map_err(|denied| refused(call, denied))?)
            }
            Need::Project(permission) => Access::Project(project(call, &matched, permission)?),
        };
        Ok(Self { call, matched, body, access })
    }

    /// Who is asking.
    pub(crate) const fn principal(&self) -> &Principal {
        &self.call.principal
    }

    /// The permit of a route that needs one in its project.
    pub(crate) fn project(&self) -> Result<&ProjectPermit, Error> {
        match &self.access {
            Access::Project(permit) => Ok(permit),
            Access::Open | Access::LoggedIn | Access::Administrator(_) | Access::System(_) => Err(self.misplaced()),
        }
    }

    /// The permit of a route that needs one over the system.
    pub(crate) fn system(&self) -> Result<&SystemPermit, Error> {
        match &self.access {
            Access::System(permit) => Ok(permit),
            Access::Open | Access::LoggedIn | Access::Administrator(_) | Access::Project(_) => Err(self.misplaced()),
        }
    }

    /// The permit of a route for administrators.
    pub(crate) fn administrator(&self) -> Result<&AdminPermit, Error> {
        match &self.access {
            Access::Administrator(permit) => Ok(permit),
            Access::Open | Access::LoggedIn | Access::System(_) | Access::Project(_) => Err(self.misplaced()),
        }
    }

    fn misplaced(&self) -> Error {
        let route = self.matched.route;
        Error::internal(format!("{} {} has no such permit in the table of routes", route.method, route.path))
    }

    /// A permit for something in a project, for handlers that ask themselves.
    ///
    /// # Errors
    /// As [`Ask::open`].
    pub(crate) fn permit_project(&self, permission: Permission, key: &ProjectKey) -> Result<ProjectPermit, Error> {
        let permit = self.call.gate().permit_project(&self.call.principal, permission, |book| find(book, key));
        permit.map_err(|denied| refused(self.call, denied))
    }

    /// A permit for something in a repository the path does not name.
    ///
    /// # Errors
    /// As [`Ask::open`].
    pub(crate) fn permit_repository(
        &self,
        permission: Permission,
        repository: &RepositoryName,
    ) -> Result<ProjectPermit, Error> {
        let permit = self.call.gate().permit_in_repository(&self.call.principal, permission, repository);
        permit.map_err(|denied| refused(self.call, denied))
    }

    /// A permit over the system, for handlers that ask themselves.
    ///
    /// # Errors
    /// As [`Ask::open`].
    pub(crate) fn permit_system(&self, permission: Permission) -> Result<SystemPermit, Error> {
        let permit = self.call.gate().permit_system(&self.call.principal, permission);
        permit.map_err(|denied| refused(self.call, denied))
    }

    /// Someone who logged in, for handlers that ask themselves.
    ///
    /// # Errors
    /// 401.
    pub(crate) fn logged_in(&self) -> Result<&Principal, Error> {
        if self.call.principal.is_anonymous() || !self.call.principal.scope_allows_administration() {
            return Err(unauthorized());
        }
        Ok(&self.call.principal)
    }

    /// What a list is asked for.
    ///
    /// # Errors
    /// 400, 422.
    pub(crate) fn list(&self) -> Result<ListQuery, Error> {
        ListQuery::read(&self.call.query()?)
    }

    /// The body, read strictly. Who sends it slowly may have lost what the route needs meanwhile: that is asked again.
    /// What a permit in a project proves is asked again by the change itself.
    ///
    /// # Errors
    /// 400, 413; as [`Ask::open`].
    pub(crate) async fn read<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let body = self.body.collect_short(error::MAX_BODY, "a request").await?;
        let (gate, principal) = (self.call.gate(), &self.call.principal);
        let again = match &self.access {
            Access::Administrator(_) => gate.permit_administration(principal).map(Access::Administrator),
            Access::System(permit) => gate.permit_system(principal, permit.permission()).map(Access::System),
            Access::Open | Access::LoggedIn | Access::Project(_) => return error::body(&body),
        };
        self.access = again.map_err(|denied| refused(self.call, denied))?;
        error::body(&body)
    }

    /// 201 with where the new thing is.
    pub(crate) fn created(&self, location: &str) -> Response {
        let mut response = Self::status(StatusCode::CREATED);
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    /// A status alone.
    pub(crate) fn status(status: StatusCode) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    }

    /// 200 alone.
    pub(crate) fn done() -> Response {
        Self::status(StatusCode::OK)
    }

    /// 200 with an object.
    ///
    /// # Errors
    /// 500 when it can't be written as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<Response, Error> {
        let body = serde_json::to_vec(value).map_err(Error::internal)?;
        let mut response = Response::new(Body::full(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        Ok(response)
    }

    /// 200 with text.
    pub(crate) fn text(text: impl Into<bytes::Bytes>) -> Response {
        let mut response = Response::new(Body::full(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}

/// The project a key names.
pub(crate) fn find(book: &Book, key: &ProjectKey) -> Option<std::sync::Arc<crate::directory::ProjectEntry>> {
    match key {
        ProjectKey::Id(id) => book.project_by_id(u32::try_from(*id).ok()?).cloned(),
        ProjectKey::Name(name) => book.project(&name.parse::<ProjectName>().ok()?).cloned(),
    }
}

/// The permit of a route with a project, and perhaps a repository, in its path.
fn project(call: &Call, matched: &Matched, permission: Permission) -> Result<ProjectPermit, Error> {
    let key = matched.project(call.headers())?.ok_or_else(|| Error::internal("a route without a project"))?;
    let in_repository = || {
        let (ProjectKey::Name(project), path) = (&key, matched.param("repository_name")?) else { return None };
        format!("{project}/{path}").parse::<RepositoryName>().ok()
    };
    let permit = match in_repository() {
        Some(repository) => call.gate().permit_in_repository(&call.principal, permission, &repository),
        None => call.gate().permit_project(&call.principal, permission, |book| find(book, &key)),
    };
    permit.map_err(|denied| refused(call, denied))
}

fn unauthorized() -> Error {
    Error::unauthorized(Challenge::administration(), "log in first: this is for accounts")
}

pub(in crate::http) fn refused(call: &Call, denied: crate::policy::Denied) -> Error {
    use crate::policy::Denied;
    match denied {
        Denied::Challenge => unauthorized(),
        Denied::Forbidden if call.principal.is_anonymous() => unauthorized(),
        Denied::Forbidden => error::forbidden(),
        Denied::Absent => error::not_found("project"),
    }
}

/// Whether a request of this method changes something.
pub(in crate::http) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

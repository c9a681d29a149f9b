//! What a route declares, and which one a path names.
//!
//! Each resource has one path. Variable segments are percent-decoded once, the repository's twice because Harbor's
//! clients encode its slashes twice. Any other spelling of the same thing (`..`, `//`, an encoded slash or letter, a
//! missing or an extra slash) is no route, so no two parts of the node can judge one path differently.

use http::{HeaderMap, Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::error;
use super::table::{Operation, ROUTES};
use crate::http::error::Error;
use crate::policy::{Permission, Resource, Verb};

/// What all paths begin with.
pub(crate) const PREFIX: &str = "/api/v2.0";

/// Longest path looked at, in bytes: a repository name encoded twice fits.
const MAX_PATH: usize = 4096;

/// The segment that may hold slashes.
const REPOSITORY: &str = "repository_name";

/// Says whether the project segment is a name although it has only digits.
const X_IS_RESOURCE_NAME: &str = "x-is-resource-name";

/// What it takes to use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: not even a login.
    Nothing,
    /// Any account.
    LoggedIn,
    /// The system administrator.
    Administrator,
    /// A right over the system.
    System(Permission),
    /// A right in the project of the path.
    Project(Permission),
    /// One of several; the handler asks the gate itself.
    Handler,
}

/// A right over the system.
pub(crate) const fn on_system(resource: Resource, action: Verb) -> Need {
    Need::System(Permission::new(resource, action))
}

/// A right in the project of the path.
pub(crate) const fn on_project(resource: Resource, action: Verb) -> Need {
    Need::Project(Permission::new(resource, action))
}

/// Makes the schema of a type; [`of`] is one for each.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`.
pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An object of texts.
pub(crate) type Words = std::collections::BTreeMap<String, String>;

/// What a parameter of the query holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) holds: Holds,
    pub(crate) required: bool,
}

impl Param {
    /// Text that may be absent.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, holds: Holds::Text, required: false }
    }

    /// Text that must be there.
    pub(crate) const fn needed(name: &'static str) -> Self {
        Self { name, holds: Holds::Text, required: true }
    }

    /// A number that may be absent.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self { name, holds: Holds::Number, required: false }
    }

    /// A truth value that may be absent.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self { name, holds: Holds::Flag, required: false }
    }
}

/// How a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// It is no list.
    No,
    /// By `page` and `page_size`.
    Pages,
    /// Also by `q` and `sort`.
    Queried,
}

/// What comes back when all went well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// A status alone.
    Empty,
    /// An object.
    Json(SchemaOf),
    /// An array of objects.
    List(SchemaOf),
    /// Text.
    Text,
    /// Bytes.
    File,
}

/// One operation on one resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) method: &'static str,
    /// Below [`PREFIX`]; `{name}` stands for one segment.
    pub(crate) path: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) need: Need,
    pub(crate) summary: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) last_param: Option<Param>,
    pub(crate) listing: Listing,
    pub(crate) body: Option<SchemaOf>,
    pub(crate) answer: Answer,
    /// Whether all went well is 201 with `Location`, not 200.
    pub(crate) created: bool,
}

macro_rules! methods {
    ($($function:ident = $method:literal,)+) => {
        $(
            #[doc = concat!("A route for `", $method, "` that answers 200 and nothing else.")]
            pub(crate) const fn $function(
                path: &'static str,
                tag: &'static str,
                need: Need,
                summary: &'static str,
            ) -> Route {
                Route {
                    operation: Operation::GetPing,
                    method: $method,
                    path,
                    tag,
                    need,
                    summary,
                    params: &[],
                    last_param: None,
                    listing: Listing::No,
                    body: None,
                    answer: Answer::Empty,
                    created: false,
                }
            }
        )+
    };
}

methods! { get = "GET", head = "HEAD", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE", }

impl Route {
    /// The operation it is; the table sets it.
    pub(crate) const fn serves(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Has these parameters in its query.
    pub(crate) const fn with(mut self, params: &'static [Param]) -> Self {
        self.params = params;
        self
    }

    /// Has one more truth value in its query.
    pub(crate) const fn with_flag(mut self, name: &'static str) -> Self {
        self.last_param = Some(Param::flag(name));
        self
    }

    /// Takes a body.
    pub(crate) const fn takes(mut self, body: SchemaOf) -> Self {
        self.body = Some(body);
        self
    }

    /// Answers an object.
    pub(crate) const fn gives(mut self, answer: SchemaOf) -> Self {
        self.answer = Answer::Json(answer);
        self
    }

    /// Answers a page of a list that can be filtered and sorted.
    pub(crate) const fn lists(mut self, item: SchemaOf) -> Self {
        self.answer = Answer::List(item);
        self.listing = Listing::Queried;
        self
    }

    /// Answers a page of a list.
    pub(crate) const fn pages(mut self, item: SchemaOf) -> Self {
        self.answer = Answer::List(item);
        self.listing = Listing::Pages;
        self
    }

    /// Answers text.
    pub(crate) const fn text(mut self) -> Self {
        self.answer = Answer::Text;
        self
    }

    /// Answers bytes.
    pub(crate) const fn file(mut self) -> Self {
        self.answer = Answer::File;
        self
    }

    /// Answers 201 with `Location`.
    pub(crate) const fn creates(mut self) -> Self {
        self.created = true;
        self
    }

    /// The names of the variable segments, in their order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(variable)
    }
}

fn variable(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A route and what its variable segments hold.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    pub(crate) route: &'static Route,
    params: Vec<(&'static str, String)>,
}

/// A project as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProjectKey {
    /// By number.
    Id(i64),
    /// By name, not yet checked.
    Name(String),
}

impl Matched {
    /// What the segment `{name}` holds, decoded. It is any text: a handler parses it.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    /// The number in the segment `{name}`.
    ///
    /// # Errors
    /// 422 for anything that is no positive number.
    pub(crate) fn id(&self, name: &str) -> Result<i64, Error> {
        let text = self.param(name).unwrap_or_default();
        digits(text).ok_or_else(|| error::unprocessable(format!("{name} in path must be a positive number")))
    }

    /// The project of the path; `None` when it has none.
    ///
    /// # Errors
    /// 422 for an `X-Is-Resource-Name` that is no truth value.
    pub(crate) fn project(&self, headers: &HeaderMap) -> Result<Option<ProjectKey>, Error> {
        if let Some(name) = self.param("project_name") {
            return Ok(Some(ProjectKey::Name(name.to_owned())));
        }
        let Some(text) = self.param("project_name_or_id") else { return Ok(None) };
        let mut said = headers.get_all(X_IS_RESOURCE_NAME).iter().map(|value| value.as_bytes());
        let is_name = match (said.next(), said.next()) {
            (None, None) | (Some(b"false" | b""), None) => false,
            (Some(b"true"), None) => true,
            (Some(_) | None, _) => return Err(error::unprocessable("X-Is-Resource-Name is true or false")),
        };
        let id = if is_name { None } else { digits(text) };
        Ok(Some(id.map_or_else(|| ProjectKey::Name(text.to_owned()), ProjectKey::Id)))
    }
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A leading zero would be a second spelling.
    if plain && !text.starts_with('0') { text.parse().ok() } else { None }
}

/// Finds the route of a request.
///
/// # Errors
/// 404 for a path nothing is at, 405 with `Allow` for a method the path does not take.
pub(crate) fn find(method: &Method, path: &str) -> Result<Matched, Error> {
    let Some(below) = path.strip_prefix(PREFIX).filter(|_| path.len() <= MAX_PATH) else {
        return Err(error::no_route());
    };
    let Some(best) = ROUTES.iter().filter(|route| fits(route.path, below)).max_by_key(|route| literalness(route.path))
    else {
        return Err(error::no_route());
    };
    // There is such a route, and nothing can be called what stands in this path.
    let params = read(best.path, below).ok_or_else(|| error::not_found("what this path names"))?;
    let there = || ROUTES.iter().filter(|route| route.path == best.path);
    let Some(route) = there().find(|route| route.method == method.as_str()) else {
        let allow: Vec<_> = there().map(|route| route.method).collect();
        return Err(error::method(&allow.join(", ")));
    };
    // The same segments, under the names this route has for them.
    let params = route.variables().zip(params).collect();
    Ok(Matched { route, params })
}

/// Whether a path has the shape of a template. One template ends in a slash; without it the path is the same.
fn fits(template: &str, path: &str) -> bool {
    let template = match template.strip_suffix('/') {
        Some(bare) if !path.ends_with('/') => bare,
        Some(_) | None => template,
    };
    let (mut want, mut have) = (template.split('/'), path.split('/'));
    loop {
        match (want.next(), have.next()) {
            (None, None) => return true,
            (Some(want), Some(have)) if want == have || (want.starts_with('{') && !have.is_empty()) => {}
            (_, _) => return false,
        }
    }
}

/// For two templates one path fits: which one is meant, the one with fixed words further left.
fn literalness(template: &str) -> Vec<bool> {
    template.split('/').map(|segment| !segment.starts_with('{')).collect()
}

/// The variable segments, decoded; `None` when one is not spelt the one way it has.
fn read(template: &'static str, path: &str) -> Option<Vec<String>> {
    let pairs = template.split('/').zip(path.split('/'));
    let variables = pairs.filter_map(|(want, have)| variable(want).map(|name| (name, have)));
    variables.map(|(name, text)| if name == REPOSITORY { repository(text) } else { segment(text) }).collect()
}

fn segment(text: &str) -> Option<String> {
    let decoded = decode(text)?;
    (is_segment(&decoded) && !decoded.contains('/')).then_some(decoded)
}

/// A repository's name has no `%`, so what still has one was encoded twice.
fn repository(text: &str) -> Option<String> {
    let once = decode(text)?;
    let name = if once.contains('%') { decode(&once)? } else { once };
    (!name.contains('%') && name.split('/').all(is_segment)).then_some(name)
}

fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.chars().any(|c| c.is_control() || c == '\\')
}

/// Decodes once. A character that needs no encoding must have none.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        let decoded = high << 4 | low;
        if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
            return None;
        }
        out.push(decoded);
    }
    String::from_utf8(out).ok()
}

/// The status of an answer when all went well.
pub(crate) const fn status(route: &Route) -> StatusCode {
    if route.created { StatusCode::CREATED } else { StatusCode::OK }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

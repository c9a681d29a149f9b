//! What a route declares, and which one a path names.
//!
//! Each resource has one path. Variable segments are percent-decoded once, the repository's twice because Harbor's
//! clients encode its slashes twice. Any other spelling of the same thing (`..`, `//`, an encoded slash or letter, a
//! missing or an extra slash) is no route, so no two parts of the node can judge one path differently.

use std::collections::BTreeMap;
use std::sync::LazyLock;

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
pub(crate) type Words = BTreeMap<String, String>;

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

/// A part of a path.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    // First: where two places fit a path, the one with fixed words further left is meant.
    Word(&'static str),
    Repository,
    Segment,
}

/// A path, and the routes that are there.
#[derive(Debug)]
struct Place {
    parts: Vec<Part>,
    routes: Vec<&'static Route>,
}

/// All places, by the number of their parts; among those of one number, the one that is meant comes first.
static PLACES: LazyLock<Vec<Vec<Place>>> = LazyLock::new(|| {
    let mut by_path: BTreeMap<&str, Vec<&'static Route>> = BTreeMap::new();
    for route in ROUTES {
        by_path.entry(route.path).or_default().push(route);
    }
    let mut places = Vec::new();
    let mut put = |path: &'static str, routes: Vec<&'static Route>| {
        let parts: Vec<_> = path.split('/').map(part).collect();
        places.resize_with(places.len().max(parts.len() + 1), Vec::new);
        places[parts.len()].push(Place { parts, routes });
    };
    for (path, routes) in by_path {
        // One path ends in a slash; without it, it is the same.
        if let Some(bare) = path.strip_suffix('/') {
            put(bare, routes.clone());
        }
        put(path, routes);
    }
    places.iter_mut().for_each(|places| places.sort_unstable_by(|a, b| a.parts.cmp(&b.parts)));
    places
});

fn part(text: &'static str) -> Part {
    match variable(text) {
        None => Part::Word(text),
        Some(REPOSITORY) => Part::Repository,
        Some(_) => Part::Segment,
    }
}

impl Place {
    fn fits(&self, path: &str) -> bool {
        self.parts.iter().zip(path.split('/')).all(|(part, have)| match part {
            Part::Word(word) => *word == have,
            Part::Repository | Part::Segment => !have.is_empty(),
        })
    }

    /// The variable segments, decoded; `None` when one is not spelt the one way it has.
    fn read(&self, path: &str) -> Option<Vec<String>> {
        let read = |(part, text): (&Part, &str)| match part {
            Part::Word(_) => None,
            Part::Repository => Some(repository(text)),
            Part::Segment => Some(segment(text)),
        };
        self.parts.iter().zip(path.split('/')).filter_map(read).collect()
    }
}

/// Finds the route of a request.
///
/// # Errors
/// 404 for a path nothing is at, 405 with `Allow` for a method the path does not take.
pub(crate) fn find(method: &Method, path: &str) -> Result<Matched, Error> {
    let Some(below) = path.strip_prefix(PREFIX).filter(|_| path.len() <= MAX_PATH) else {
        return Err(error::no_route());
    };
    let mut places = PLACES.get(below.split('/').count()).into_iter().flatten();
    let Some(place) = places.find(|place| place.fits(below)) else { return Err(error::no_route()) };
    // There is such a route, and nothing can be called what stands in this path.
    let params = place.read(below).ok_or_else(|| error::not_found("what this path names"))?;
    let Some(route) = place.routes.iter().find(|route| route.method == method.as_str()) else {
        let allow: Vec<_> = place.routes.iter().map(|route| route.method).collect();
        return Err(error::method(&allow.join(", ")));
    };
    Ok(Matched { route, params: route.variables().zip(params).collect() })
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

//! The frame of the administration interface (`/api/v2.0`): which routes there are and who may use them, how lists are
//! asked for, what bodies look like, and the document that says all this.
//!
//! [`dispatch`] finds out whom a request is from and that they may, by the table alone, before the handler of its operation
//! is called with the permit. Nothing here keeps state.

mod ask;
mod audit;
mod content;
pub(in crate::http) mod dispatch;
pub(crate) mod error;
pub(crate) mod model;
mod node;
pub(crate) mod openapi;
pub(crate) mod paged;
mod people;
mod projects;
pub(crate) mod q;
pub(crate) mod rights;
mod robots;
pub(crate) mod route;
mod sorted;
mod system;
pub(crate) mod table;

/// What a path below `/api/v2.0` is to this node: the template it fits, and what each variable segment of that holds,
/// decoded; `None` when nothing is there. For who holds the reading of paths against hostile ones: handlers get this, and
/// a route's right, by `dispatch`.
#[must_use]
pub fn path_of(method: &str, path: &str) -> Option<(&'static str, Vec<(&'static str, String)>)> {
    let matched = route::find(&method.parse().ok()?, path).ok()?;
    let held = |name| (name, matched.param(name).unwrap_or_default().to_owned());
    Some((matched.route.path, matched.route.variables().map(held).collect()))
}

/// A term of a `q`: the key, the kind of the value (one of `=~[{(`), and what that is made of.
pub type Term = (String, char, Vec<Option<String>>);

/// What a `q` asks for, as text. `None` when it is no `q`. For who holds the reading of it against hostile ones.
#[must_use]
pub fn terms_of(text: &str) -> Option<Vec<Term>> {
    let some = |values: &[String]| values.iter().cloned().map(Some).collect();
    let term = |(key, pattern): (&str, &q::Pattern)| {
        let (kind, values) = match pattern {
            q::Pattern::Exact(value) => ('=', vec![Some(value.clone())]),
            q::Pattern::Fuzzy(value) => ('~', vec![Some(value.clone())]),
            q::Pattern::Range(from, to) => ('[', vec![from.clone(), to.clone()]),
            q::Pattern::Any(values) => ('{', some(values)),
            q::Pattern::All(values) => ('(', some(values)),
        };
        (key.to_owned(), kind, values)
    };
    Some(q::Filter::parse(text).ok()?.terms().map(term).collect())
}

//! `portolan role`, and the words for permissions that robots and grants use too.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::wire::{API, Column, number, one, word};
use crate::policy::{Resource, Verb};

const COLUMNS: [Column; 4] =
    [("NAME", "/name"), ("BUILT IN", "/built_in"), ("ID", "/id"), ("DESCRIPTION", "/description")];

#[derive(Debug, Subcommand)]
pub(super) enum Role {
    /// The roles, built in and the installation's own.
    List,
    /// A role with what it allows.
    Show {
        /// Its name.
        name: String,
    },
    /// Make a role.
    Create {
        /// Its name.
        name: String,
        /// What it allows: repository:pull.
        #[arg(long, value_name = "RESOURCE:ACTION", required = true, num_args = 1..)]
        permission: Vec<String>,
        /// Free text.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Change a role.
    Edit {
        /// Its name.
        name: String,
        /// What it allows from now on.
        #[arg(long, value_name = "RESOURCE:ACTION", num_args = 1..)]
        permission: Vec<String>,
        /// Free text.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Its new name.
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
    },
    /// Delete a role that nobody has.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Role {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List => session.show_list(&COLUMNS, &node.list(&format!("{API}/mesh/roles"))?),
            Self::Show { name } => session.show(&find(&node, name)?),
            Self::Create { name, permission, description } => {
                let document = json!({
                    "name": name,
                    "description": description.clone().unwrap_or_default(),
                    "permissions": pairs(permission)?,
                });
                node.send(&format!("{API}/mesh/roles"), &document)?;
                session.done(name, &json!({ "name": name }))
            }
            Self::Edit { name, permission, description, rename } => {
                let mut role = find(&node, name)?;
                if !permission.is_empty() {
                    role["permissions"] = pairs(permission)?;
                }
                if let Some(description) = description {
                    role["description"] = json!(description);
                }
                if let Some(rename) = rename {
                    role["name"] = json!(rename);
                }
                node.put(&path(number(&role, "/id")?), &role)?;
                session.done(&word(&role, "/name"), &json!({ "name": role["name"] }))
            }
            Self::Delete { name } => {
                let id = number(&find(&node, name)?, "/id")?;
                session.sure(&format!("Delete the role {name}?"))?;
                node.delete(&path(id))?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
        }
    }
}

/// The path of a role.
pub(super) fn path(id: i64) -> String {
    format!("{API}/mesh/roles/{id}")
}

/// A role by its name.
///
/// # Errors
/// [`Code::NotFound`].
pub(super) fn find(node: &Connection, name: &str) -> Result<Value, Failure> {
    one(node, &format!("{API}/mesh/roles"), "/name", name, "role")
}

/// The number of a role by its name.
///
/// # Errors
/// [`Code::NotFound`].
pub(super) fn id(node: &Connection, name: &str) -> Result<i64, Failure> {
    number(&find(node, name)?, "/id")
}

/// One permission `RESOURCE:ACTION` in its parts.
///
/// # Errors
/// [`Code::Usage`]: a word is not known, with the nearest one that is.
pub(super) fn pair(text: &str) -> Result<(Resource, Verb), Failure> {
    let wrong = |what: &str, word: &str, known: Vec<&str>| {
        let failure = Failure::new(Code::Usage, format!("{word:?} in {text:?} is no {what}"));
        match nearest(word, known) {
            Some(known) => failure.next(known),
            None => failure.next("portolan role show projectAdmin"),
        }
    };
    let (resource, action) = text.split_once(':').unwrap_or((text, ""));
    let Some(known) = Resource::from_word(resource) else {
        return Err(wrong("resource", resource, Resource::ALL.iter().map(|known| known.as_str()).collect()));
    };
    match Verb::from_word(action) {
        Some(action) => Ok((known, action)),
        None => Err(wrong("action", action, Verb::ALL.iter().map(|known| known.as_str()).collect())),
    }
}

/// What was most likely meant, if it is near enough to say so.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter().map(|known| (strsim::damerau_levenshtein(known, word), known)).min();
    known.filter(|(distance, _)| *distance <= (word.chars().count() / 3).max(2)).map(|(_, known)| known)
}

/// Permissions as the interface takes them.
///
/// # Errors
/// [`Code::Usage`].
pub(super) fn pairs(texts: &[String]) -> Result<Value, Failure> {
    let one = |text: &String| pair(text).map(|(of, to)| json!({ "resource": of.as_str(), "action": to.as_str() }));
    texts.iter().map(one).collect()
}

/// Permissions as people write them, in order.
pub(super) fn words_of(pairs: &Value) -> Vec<String> {
    let pairs = pairs.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut words: Vec<_> =
        pairs.iter().map(|pair| format!("{}:{}", word(pair, "/resource"), word(pair, "/action"))).collect();
    words.sort();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_permission_is_refused_with_what_was_meant() {
        assert_eq!(pair("repository:pull").unwrap(), (Resource::Repository, Verb::Pull));
        assert_eq!(pair("repositry:pull").unwrap_err().next.unwrap(), "repository");
        assert_eq!(pair("repository:pul").unwrap_err().next.unwrap(), "pull");
        assert_eq!(pair("repository").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn permissions_go_and_come_back() {
        let texts = ["artifact:read".to_owned(), "repository:pull".to_owned()];
        assert_eq!(words_of(&pairs(&texts).unwrap()), texts);
    }
}

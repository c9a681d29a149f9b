//! `portolan label`, and the labels of a project.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::Failure;
use super::wire::{API, Column, number, one, project, word};

const COLUMNS: [Column; 4] = [("NAME", "/name"), ("COLOR", "/color"), ("ID", "/id"), ("DESCRIPTION", "/description")];

#[derive(Debug, Subcommand)]
pub(super) enum Label {
    /// The labels.
    List,
    /// A label.
    Show {
        /// Its name.
        name: String,
    },
    /// Make a label.
    Create {
        /// Its name.
        name: String,
        /// Its colour: #RRGGBB.
        #[arg(long, value_name = "COLOR", default_value = "")]
        color: String,
        /// Free text.
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// Change a label.
    Edit {
        /// Its name.
        name: String,
        /// Its new name.
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// Its colour: #RRGGBB.
        #[arg(long, value_name = "COLOR")]
        color: Option<String>,
        /// Free text.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a label; it leaves every artifact.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Whose labels: a project's by its number, or everyone's.
pub(super) type Of = Option<i64>;

/// The labels of a project, by its name.
///
/// # Errors
/// [`Failure`].
pub(super) fn of_project(node: &Connection, name: &str) -> Result<Of, Failure> {
    number(&node.get::<Value>(&project(name))?, "/project_id").map(Some)
}

impl Label {
    pub(super) fn run(&self, session: &mut Session<'_>, node: &Connection, of: Of) -> Result<Exit, Failure> {
        match self {
            Self::List => session.show_list(&COLUMNS, &list(node, of)?),
            Self::Show { name } => session.show(&find(node, of, name)?),
            Self::Create { name, color, description } => {
                create(node, of, &json!({ "name": name, "color": color, "description": description }))?;
                session.done(name, &json!({ "name": name }))
            }
            Self::Edit { name, rename, color, description } => {
                let mut label = find(node, of, name)?;
                for (key, value) in [("name", rename), ("color", color), ("description", description)] {
                    if let Some(value) = value {
                        label[key] = json!(value);
                    }
                }
                node.put(&path(number(&label, "/id")?), &label)?;
                session.done(&word(&label, "/name"), &json!({ "name": label["name"] }))
            }
            Self::Delete { name } => {
                let id = number(&find(node, of, name)?, "/id")?;
                session.sure(&format!("Delete the label {name}?"))?;
                node.delete(&path(id))?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
        }
    }
}

/// The path of a label.
pub(super) fn path(id: i64) -> String {
    format!("{API}/labels/{id}")
}

fn all(of: Of) -> String {
    match of {
        Some(id) => format!("{API}/labels?scope=p&project_id={id}"),
        None => format!("{API}/labels?scope=g"),
    }
}

/// The labels.
///
/// # Errors
/// [`Failure`].
pub(super) fn list(node: &Connection, of: Of) -> Result<Vec<Value>, Failure> {
    node.list(&all(of))
}

/// A label by its name.
///
/// # Errors
/// [`super::failure::Code::NotFound`].
pub(super) fn find(node: &Connection, of: Of, name: &str) -> Result<Value, Failure> {
    one(node, &all(of), "/name", name, "label")
}

/// Makes a label.
///
/// # Errors
/// [`Failure`].
pub(super) fn create(node: &Connection, of: Of, label: &Value) -> Result<(), Failure> {
    let mut document = label.clone();
    document["scope"] = json!(if of.is_some() { "p" } else { "g" });
    if let Some(id) = of {
        document["project_id"] = json!(id);
    }
    node.send(&format!("{API}/labels"), &document)
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn a_label_is_made_where_it_belongs() {
        let (node, client) = canned(&[(200, r#"{"project_id":4}"#), (201, ""), (201, "")]);
        let of = of_project(&node, "team").unwrap();
        create(&node, of, &json!({ "name": "a" })).unwrap();
        create(&node, None, &json!({ "name": "a" })).unwrap();
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked[1], r#"POST /api/v2.0/labels {"name":"a","project_id":4,"scope":"p"}"#);
        assert_eq!(asked[2], r#"POST /api/v2.0/labels {"name":"a","scope":"g"}"#);
    }
}

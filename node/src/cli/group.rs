//! `portolan group`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::Failure;
use super::wire::{API, Column, number, one, segment, word};

const COLUMNS: [Column; 3] = [("NAME", "/group_name"), ("TYPE", "/group_type"), ("ID", "/id")];
/// A group whose members are kept here: Harbor's word for it is the kind that no directory answers for.
pub(super) const KEPT_HERE: i64 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// The groups.
    List,
    /// Make a group.
    Create {
        /// Its name.
        name: String,
    },
    /// A group and its members.
    Show {
        /// Its name.
        name: String,
    },
    /// Give a group another name.
    Rename {
        /// Its name.
        name: String,
        /// The new one.
        to: String,
    },
    /// Who is in a group.
    #[command(subcommand)]
    Members(Members),
    /// Delete a group, and what it is a member of.
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Members {
    /// These and no others.
    Set {
        /// The group.
        name: String,
        /// The accounts.
        #[arg(value_name = "USER")]
        users: Vec<String>,
    },
    /// These too.
    Add {
        /// The group.
        name: String,
        /// The accounts.
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
    /// No longer these.
    Remove {
        /// The group.
        name: String,
        /// The accounts.
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
}

impl Group {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List => session.show_list(&COLUMNS, &node.list(&format!("{API}/usergroups"))?),
            Self::Create { name } => {
                create(&node, name)?;
                session.done(name, &json!({ "name": name }))
            }
            Self::Show { name } => {
                let mut group = find(&node, name)?;
                group["members"] = json!(members(&node, number(&group, "/id")?)?);
                session.show(&group)
            }
            Self::Rename { name, to } => {
                let group = find(&node, name)?;
                let document = json!({ "group_name": to, "group_type": group["group_type"] });
                node.put(&path(number(&group, "/id")?), &document)?;
                session.done(to, &json!({ "name": to }))
            }
            Self::Members(change) => {
                let (name, users) = match change {
                    Members::Set { name, users } | Members::Add { name, users } | Members::Remove { name, users } => {
                        (name, users)
                    }
                };
                let id = number(&find(&node, name)?, "/id")?;
                let now = if matches!(change, Members::Set { .. }) { Vec::new() } else { members(&node, id)? };
                let members = change.over(now, users);
                set_members(&node, id, &members)?;
                session.done(&members.join("\n"), &json!({ "name": name, "members": members }))
            }
            Self::Delete { name } => {
                let id = number(&find(&node, name)?, "/id")?;
                session.sure(&format!("Delete the group {name}?"))?;
                node.delete(&path(id))?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
        }
    }
}

impl Members {
    fn over(&self, mut now: Vec<String>, users: &[String]) -> Vec<String> {
        match self {
            Self::Set { .. } | Self::Add { .. } => now.extend_from_slice(users),
            Self::Remove { .. } => now.retain(|name| !users.contains(name)),
        }
        now.sort();
        now.dedup();
        now
    }
}

/// The path of a group.
pub(super) fn path(id: i64) -> String {
    format!("{API}/usergroups/{id}")
}

/// A group by its name.
///
/// # Errors
/// [`super::failure::Code::NotFound`].
pub(super) fn find(node: &Connection, name: &str) -> Result<Value, Failure> {
    one(node, &format!("{API}/usergroups?group_name={}", segment(name)), "/group_name", name, "group")
}

/// Makes a group whose members are kept here.
///
/// # Errors
/// [`Failure`].
pub(super) fn create(node: &Connection, name: &str) -> Result<(), Failure> {
    node.send(&format!("{API}/usergroups"), &json!({ "group_name": name, "group_type": KEPT_HERE }))
}

/// Who is in a group, by name.
///
/// # Errors
/// [`Failure`].
pub(super) fn members(node: &Connection, id: i64) -> Result<Vec<String>, Failure> {
    let found: Value = node.get(&format!("{API}/mesh/usergroups/{id}/members"))?;
    let names = found["usernames"].as_array().cloned().unwrap_or_default();
    Ok(names.iter().map(|name| word(name, "")).collect())
}

/// Says who is in a group.
///
/// # Errors
/// [`Failure`].
pub(super) fn set_members(node: &Connection, id: i64, names: &[String]) -> Result<(), Failure> {
    node.put(&format!("{API}/mesh/usergroups/{id}/members"), &json!({ "usernames": names }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_set_added_and_removed() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let of = |text: &str| ("ops".to_owned(), names(text));
        let (name, users) = of("eve");
        assert_eq!(
            Members::Add { name: name.clone(), users: users.clone() }.over(names("adam eve"), &users),
            names("adam eve")
        );
        assert_eq!(
            Members::Remove { name: name.clone(), users: users.clone() }.over(names("adam eve"), &users),
            names("adam")
        );
        assert_eq!(Members::Set { name, users: users.clone() }.over(Vec::new(), &users), names("eve"));
    }
}

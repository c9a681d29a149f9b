//! `portolan project member` and `project grant`: who may do what in a project.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::role;
use super::wire::{API, Column, number, project, segment, word};

const MEMBERS: [Column; 4] =
    [("NAME", "/entity_name"), ("TYPE", "/entity_type"), ("ROLE", "/role_name"), ("ID", "/id")];
const GRANTS: [Column; 4] =
    [("NAME", "/entity_name"), ("TYPE", "/entity_type"), ("REPOSITORIES", "/repository"), ("ROLE", "/role_name")];

/// Somebody in a project.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// The project.
    project: String,
    /// The user, or the group with --group.
    name: String,
    /// It is a group.
    #[arg(long)]
    group: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Members {
    /// The members of a project.
    List {
        /// The project.
        project: String,
    },
    /// Make somebody a member.
    Add {
        /// Who.
        #[command(flatten)]
        whom: Whom,
        /// The role: projectAdmin, maintainer, developer, guest, limitedGuest, or one of your own.
        #[arg(long, value_name = "ROLE")]
        role: String,
    },
    /// Give a member another role.
    Edit {
        /// Who.
        #[command(flatten)]
        whom: Whom,
        /// The role.
        #[arg(long, value_name = "ROLE")]
        role: String,
    },
    /// Take a member out.
    Remove {
        /// Who.
        #[command(flatten)]
        whom: Whom,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Grants {
    /// The rights over single repositories.
    List {
        /// The project.
        project: String,
    },
    /// Give somebody a right over some repositories.
    Add {
        /// Who.
        #[command(flatten)]
        whom: Whom,
        /// The repositories, without the project: app/**.
        pattern: String,
        /// A role, whose rights over repositories they get.
        role: String,
    },
    /// Take such a right back.
    Remove {
        /// Who.
        #[command(flatten)]
        whom: Whom,
        /// The repositories, as listed.
        pattern: String,
    },
}

/// What the interface calls a user or a group.
pub(super) fn kind(group: bool) -> &'static str {
    if group { "g" } else { "u" }
}

impl Members {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List { project } => session.show_list(&MEMBERS, &list(&node, project)?),
            Self::Add { whom: Whom { project, name, group }, role } => {
                add(&node, project, name, *group, role)?;
                session.done(&format!("{name} is {role} in {project}"), &json!({ "name": name, "role": role }))
            }
            Self::Edit { whom: Whom { project, name, group }, role } => {
                set_role(&node, project, &find(&node, project, name, *group)?, role)?;
                session.done(&format!("{name} is {role} in {project}"), &json!({ "name": name, "role": role }))
            }
            Self::Remove { whom: Whom { project, name, group } } => {
                let member = find(&node, project, name, *group)?;
                session.sure(&format!("Take {name} out of {project}?"))?;
                remove(&node, project, &member)?;
                session.done(&format!("{name} is no member of {project}"), &json!({ "removed": name }))
            }
        }
    }
}

impl Grants {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List { project } => session.show_list(&GRANTS, &list_grants(&node, project)?),
            Self::Add { whom: Whom { project, name, group }, pattern, role } => {
                grant(&node, project, name, *group, pattern, role)?;
                let said = format!("{name} is {role} of {project}/{pattern}");
                session.done(&said, &json!({ "name": name, "role": role }))
            }
            Self::Remove { whom: Whom { project, name, group }, pattern } => {
                let found = find_grant(&node, project, name, *group, pattern)?;
                session.sure(&format!("Take back the right of {name} over {project}/{pattern}?"))?;
                revoke(&node, project, &found)?;
                session.done(&format!("{name} has no such right"), &json!({ "removed": name }))
            }
        }
    }
}

fn members_path(of: &str) -> String {
    format!("{}/members", project(of))
}

/// The members of a project.
///
/// # Errors
/// [`Failure`].
pub(super) fn list(node: &Connection, of: &str) -> Result<Vec<Value>, Failure> {
    node.list(&members_path(of))
}

fn find(node: &Connection, of: &str, name: &str, group: bool) -> Result<Value, Failure> {
    let is = |member: &Value| word(member, "/entity_name") == name && word(member, "/entity_type") == kind(group);
    list(node, of)?.into_iter().find(is).ok_or_else(|| {
        let cause = format!("{name:?} is no member of {of}");
        Failure::new(Code::NotFound, cause).next(format!("portolan project member list {of}"))
    })
}

/// Makes somebody a member.
///
/// # Errors
/// [`Failure`].
pub(super) fn add(node: &Connection, of: &str, name: &str, group: bool, role: &str) -> Result<(), Failure> {
    let mut document = json!({ "role_id": role::id(node, role)? });
    if group {
        let id = number(&super::group::find(node, name)?, "/id")?;
        document["member_group"] = json!({ "id": id });
    } else {
        document["member_user"] = json!({ "username": name });
    }
    node.send(&members_path(of), &document)
}

/// Gives somebody this role, member or not.
///
/// # Errors
/// [`Failure`].
pub(super) fn put(node: &Connection, of: &str, name: &str, group: bool, role: &str) -> Result<(), Failure> {
    match find(node, of, name, group) {
        Ok(member) => set_role(node, of, &member, role),
        Err(failure) if failure.code == Code::NotFound => add(node, of, name, group, role),
        Err(failure) => Err(failure),
    }
}

fn set_role(node: &Connection, of: &str, member: &Value, role: &str) -> Result<(), Failure> {
    let id = number(member, "/id")?;
    node.put(&format!("{}/{id}", members_path(of)), &json!({ "role_id": role::id(node, role)? }))
}

/// Takes a member out, by name.
///
/// # Errors
/// [`Failure`].
pub(super) fn remove_named(node: &Connection, of: &str, name: &str, group: bool) -> Result<(), Failure> {
    remove(node, of, &find(node, of, name, group)?)
}

fn remove(node: &Connection, of: &str, member: &Value) -> Result<(), Failure> {
    node.delete(&format!("{}/{}", members_path(of), number(member, "/id")?))
}

fn grants_path(of: &str) -> String {
    format!("{API}/mesh/projects/{}/grants", segment(of))
}

/// The rights over single repositories of a project.
///
/// # Errors
/// [`Failure`].
pub(super) fn list_grants(node: &Connection, of: &str) -> Result<Vec<Value>, Failure> {
    node.list(&grants_path(of))
}

/// A right over single repositories, by whose and over which.
///
/// # Errors
/// [`Code::NotFound`].
pub(super) fn find_grant(
    node: &Connection,
    of: &str,
    name: &str,
    group: bool,
    pattern: &str,
) -> Result<Value, Failure> {
    let is = |grant: &Value| {
        let whose = (word(grant, "/entity_name"), word(grant, "/entity_type"), word(grant, "/repository"));
        whose == (name.to_owned(), kind(group).to_owned(), pattern.to_owned())
    };
    list_grants(node, of)?.into_iter().find(is).ok_or_else(|| {
        let cause = format!("{name:?} has no right over {of}/{pattern}");
        Failure::new(Code::NotFound, cause).next(format!("portolan project grant list {of}"))
    })
}

/// Gives somebody a right over some repositories.
///
/// # Errors
/// [`Failure`].
pub(super) fn grant(
    node: &Connection,
    of: &str,
    name: &str,
    group: bool,
    pattern: &str,
    role: &str,
) -> Result<(), Failure> {
    let document = json!({
        "repository": pattern,
        "entity_type": kind(group),
        "entity_name": name,
        "role_id": role::id(node, role)?,
    });
    node.send(&grants_path(of), &document)
}

/// Takes such a right back.
///
/// # Errors
/// [`Failure`].
pub(super) fn revoke(node: &Connection, of: &str, grant: &Value) -> Result<(), Failure> {
    node.delete(&format!("{}/{}", grants_path(of), number(grant, "/id")?))
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    const ROLES: &str = r#"[{"id":2,"name":"developer","permissions":[
        {"resource":"repository","action":"push"},{"resource":"member","action":"list"}]}]"#;

    #[test]
    fn a_member_is_added_by_the_name_of_its_role() {
        let (node, client) = canned(&[(200, ROLES), (201, "")]);
        add(&node, "team", "eve", false, "developer").unwrap();
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked[1], r#"POST /api/v2.0/projects/team/members {"member_user":{"username":"eve"},"role_id":2}"#);
    }

    #[test]
    fn who_is_a_member_already_gets_the_role() {
        let members =
            r#"[{"id":5,"entity_name":"eve","entity_type":"g"},{"id":6,"entity_name":"eve","entity_type":"u"}]"#;
        let (node, client) = canned(&[(200, members), (200, ROLES), (200, "")]);
        put(&node, "team", "eve", false, "developer").unwrap();
        assert_eq!(client.asked.lock().unwrap()[2], r#"PUT /api/v2.0/projects/team/members/6 {"role_id":2}"#);
    }

    #[test]
    fn a_right_over_some_repositories_is_given_by_the_name_of_a_role() {
        let (node, client) = canned(&[(200, ROLES), (201, "")]);
        grant(&node, "team", "eve", true, "web/**", "developer").unwrap();
        let said = r#"{"entity_name":"eve","entity_type":"g","repository":"web/**","role_id":2}"#;
        assert_eq!(client.asked.lock().unwrap()[1], format!("POST /api/v2.0/mesh/projects/team/grants {said}"));
    }
}

//! `portolan robot`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::connection::{Connection, SHORT};
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::role::{pair, words_of};
use super::wire::{API, Column, number, word};

const COLUMNS: [Column; 6] = [
    ("NAME", "/name"),
    ("LEVEL", "/level"),
    ("ID", "/id"),
    ("DISABLED", "/disable"),
    ("EXPIRES", "/expires_at"),
    ("DESCRIPTION", "/description"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Robot {
    /// The robots of the system, or of a project.
    List {
        /// Those of this project.
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// A robot with what it may do.
    Show {
        /// Its name as listed, or its number.
        name: String,
    },
    /// Make a robot; its secret is shown this once, alone on stdout.
    Create {
        /// Its name, without the prefix.
        name: String,
        /// A robot of this project alone.
        #[arg(long, value_name = "PROJECT", conflicts_with = "on")]
        project: Option<String>,
        /// What it may do: repository:pull.
        #[arg(long, value_name = "RESOURCE:ACTION", required = true, num_args = 1..)]
        permission: Vec<String>,
        /// Where it may do that: a project, * for every project, or system.
        #[arg(long, value_name = "PROJECT|*|system")]
        on: Vec<String>,
        /// Days it lives; without it, for ever.
        #[arg(long, value_name = "NUMBER")]
        days: Option<u32>,
        /// Free text.
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// Change a robot.
    Edit {
        /// Its name as listed, or its number.
        name: String,
        /// What it may do from now on, everywhere it may do something now.
        #[arg(long, value_name = "RESOURCE:ACTION", num_args = 1..)]
        permission: Vec<String>,
        /// Days it lives, from when it was made; 0 for ever.
        #[arg(long, value_name = "NUMBER")]
        days: Option<u32>,
        /// Free text.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Give a robot a new secret, shown this once, alone on stdout. The old one ends.
    Refresh {
        /// Its name as listed, or its number.
        name: String,
    },
    /// Keep a robot from logging in.
    Disable {
        /// Its name as listed, or its number.
        name: String,
    },
    /// Let a robot log in again.
    Enable {
        /// Its name as listed, or its number.
        name: String,
    },
    /// Delete a robot.
    Delete {
        /// Its name as listed, or its number.
        name: String,
    },
}

impl Robot {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List { project } => {
                let robots = match project {
                    Some(project) => of_project(&node, project)?,
                    None => node.list(&format!("{API}/robots"))?,
                };
                session.show_list(&COLUMNS, &robots)
            }
            Self::Show { name } => session.show(&find(&node, name)?),
            Self::Create { name, project, permission, on, days, description } => {
                let places: Vec<&str> = match project {
                    Some(project) => vec![project],
                    None if on.is_empty() => {
                        let cause = "where may the robot do that?";
                        return Err(
                            Failure::new(Code::Usage, cause).next("--project PROJECT, or --on PROJECT|*|system")
                        );
                    }
                    None => on.iter().map(String::as_str).collect(),
                };
                let permissions = places.iter().map(|place| at(place, permission)).collect::<Result<Vec<_>, _>>()?;
                let document = json!({
                    "name": name,
                    "level": if project.is_some() { "project" } else { "system" },
                    "description": description,
                    "disable": false,
                    "duration": duration(days.unwrap_or_default()),
                    "permissions": permissions,
                });
                let made = create(&node, &document)?;
                session.terminal.progress(&format!("{}: the secret is shown this once", word(&made, "/name")));
                session.done(&word(&made, "/secret"), &made)
            }
            Self::Edit { name, permission, days, description } => {
                let robot = find(&node, name)?;
                let mut changes = json!({});
                if !permission.is_empty() {
                    changes["permissions"] =
                        places_of(&robot).iter().map(|at_| at(at_, permission)).collect::<Result<_, _>>()?;
                }
                if let Some(days) = days {
                    changes["duration"] = json!(duration(*days));
                }
                if let Some(description) = description {
                    changes["description"] = json!(description);
                }
                change(&node, &robot, &changes)?;
                session.done(&word(&robot, "/name"), &json!({ "name": robot["name"] }))
            }
            Self::Refresh { name } => {
                let robot = find(&node, name)?;
                let made: Value = node.patch_for(&path(number(&robot, "/id")?), &json!({}))?;
                let data = json!({ "name": robot["name"], "secret": made["secret"] });
                session.done(&word(&made, "/secret"), &data)
            }
            Self::Disable { name } => switch(session, &node, name, true),
            Self::Enable { name } => switch(session, &node, name, false),
            Self::Delete { name } => {
                let robot = find(&node, name)?;
                let name = word(&robot, "/name");
                session.sure(&format!("Delete the robot {name}?"))?;
                node.delete(&path(number(&robot, "/id")?))?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
        }
    }
}

fn switch(session: &mut Session<'_>, node: &Connection, name: &str, disable: bool) -> Result<Exit, Failure> {
    let robot = find(node, name)?;
    change(node, &robot, &json!({ "disable": disable }))?;
    session.done(&word(&robot, "/name"), &json!({ "name": robot["name"], "disabled": disable }))
}

/// Days as the interface counts them: -1 is for ever.
pub(super) fn duration(days: u32) -> i64 {
    if days == 0 { -1 } else { i64::from(days) }
}

/// What a robot may do in one place.
///
/// # Errors
/// [`Code::Usage`].
pub(super) fn at(place: &str, permissions: &[String]) -> Result<Value, Failure> {
    let one = |text: &String| pair(text).map(|(of, to)| json!({ "resource": of.as_str(), "action": to.as_str() }));
    let access = permissions.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(match place {
        "system" => json!({ "kind": "system", "namespace": "/", "access": access }),
        project => json!({ "kind": "project", "namespace": project, "access": access }),
    })
}

/// Where a robot may do something.
pub(super) fn places_of(robot: &Value) -> Vec<String> {
    let permissions = robot["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    permissions.iter().map(place_of).collect()
}

/// Where a permission holds.
pub(super) fn place_of(permission: &Value) -> String {
    if permission["kind"] == "system" { "system".into() } else { word(permission, "/namespace") }
}

/// What a robot may do, by place.
pub(super) fn rights_of(robot: &Value) -> std::collections::BTreeMap<String, Vec<String>> {
    let permissions = robot["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    permissions.iter().map(|permission| (place_of(permission), words_of(&permission["access"]))).collect()
}

/// The path of a robot.
pub(super) fn path(id: i64) -> String {
    format!("{API}/robots/{id}")
}

/// The robots of a project.
///
/// # Errors
/// [`Failure`].
pub(super) fn of_project(node: &Connection, project: &str) -> Result<Vec<Value>, Failure> {
    let found: Value = node.get(&super::wire::project(project))?;
    let id = number(&found, "/project_id")?;
    node.list(&format!("{API}/robots?q=Level%3Dproject%2CProjectID%3D{id}"))
}

/// A robot by its name as listed, or by its number. `robot$team+ci` is one of the project `team`.
///
/// # Errors
/// [`Code::NotFound`].
pub(super) fn find(node: &Connection, name: &str) -> Result<Value, Failure> {
    if let Ok(id) = name.parse::<u32>() {
        return node.get(&path(i64::from(id)));
    }
    let project = name.split_once('+').map(|(before, _)| before.rsplit('$').next().unwrap_or(before));
    let robots = match project {
        Some(project) => of_project(node, project)?,
        None => node.list(&format!("{API}/robots"))?,
    };
    // With or without the prefix, which an installation chooses.
    let is = |robot: &Value| {
        let full = word(robot, "/name");
        full == name || full.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('$'))
    };
    robots.into_iter().find(is).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("there is no robot {name:?}"))
            .next("portolan robot list [--project PROJECT]")
    })
}

/// Makes a robot; answers with its secret.
///
/// # Errors
/// [`Failure`].
pub(super) fn create(node: &Connection, document: &Value) -> Result<Value, Failure> {
    node.send_for(&format!("{API}/robots"), document, SHORT)
}

/// Changes a robot. The interface wants it whole.
///
/// # Errors
/// [`Failure`].
pub(super) fn change(node: &Connection, robot: &Value, changes: &Value) -> Result<(), Failure> {
    let mut document = robot.clone();
    if let Some(changes) = changes.as_object() {
        for (key, value) in changes {
            document[key] = value.clone();
        }
    }
    node.put(&path(number(robot, "/id")?), &document)
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn a_robot_of_a_project_is_found_there_with_or_without_its_prefix() {
        let robots = r#"[{"id":7,"name":"robot$team+ci","permissions":[]}]"#;
        for name in ["robot$team+ci", "team+ci"] {
            let (node, client) = canned(&[(200, r#"{"project_id":4}"#), (200, robots)]);
            assert_eq!(number(&find(&node, name).unwrap(), "/id").unwrap(), 7, "{name}");
            let asked = client.asked.lock().unwrap().clone();
            assert_eq!(asked[0], "GET /api/v2.0/projects/team");
            assert!(asked[1].starts_with("GET /api/v2.0/robots?q=Level%3Dproject%2CProjectID%3D4&page=1"));
        }
    }

    #[test]
    fn a_change_sends_the_whole_robot_back() {
        let (node, client) = canned(&[(200, "")]);
        change(&node, &json!({ "id": 7, "name": "robot$ci", "disable": false }), &json!({ "disable": true })).unwrap();
        assert_eq!(
            client.asked.lock().unwrap()[0],
            r#"PUT /api/v2.0/robots/7 {"disable":true,"id":7,"name":"robot$ci"}"#
        );
    }

    #[test]
    fn places_are_projects_or_the_system() {
        let system = at("system", &["user:list".into()]).unwrap();
        assert_eq!((system["kind"].as_str(), system["namespace"].as_str()), (Some("system"), Some("/")));
        let robot = json!({ "permissions": [system, at("*", &["repository:pull".into()]).unwrap()] });
        assert_eq!(places_of(&robot), ["system", "*"]);
        assert_eq!(rights_of(&robot)["*"], ["repository:pull"]);
    }
}

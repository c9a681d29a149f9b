//! `portolan project`.

use clap::Subcommand;
use protocol::ProjectName;
use serde_json::{Value, json};

use super::Session;
use super::connection::{Connection, LONG};
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::label::{Label, of_project};
use super::member::{Grants, Members};
use super::quota::{self, OfProject};
use super::settings::key_value;
use super::wire::{API, Column, project as path, repository, segment, word};

const COLUMNS: [Column; 6] = [
    ("NAME", "/name"),
    ("PUBLIC", "/metadata/public"),
    ("SPARSE INDEX", "/metadata/sparse"),
    ("REPOSITORIES", "/repo_count"),
    ("OWNER", "/owner_name"),
    ("CREATED", "/creation_time"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Project {
    /// The projects of the node.
    List {
        /// Those with this in their name.
        #[arg(long, value_name = "WORD")]
        name: Option<String>,
        /// Those that anyone may pull from.
        #[arg(long)]
        public: bool,
        /// Those of this user.
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
    },
    /// A project.
    Show {
        /// Its name.
        name: String,
    },
    /// Make a project.
    Create {
        /// Its name: lower-case letters and digits, with ., _ or - between them.
        name: String,
        /// Anyone may pull.
        #[arg(long)]
        public: bool,
        /// An index may name manifests that are not here.
        #[arg(long)]
        sparse: bool,
        /// What it may hold: 10GiB, or none for no end.
        #[arg(long, value_name = "SIZE|none")]
        quota: Option<String>,
    },
    /// Change a project.
    Edit {
        /// Its name.
        name: String,
        /// Whether anyone may pull.
        #[arg(long, value_name = "BOOL")]
        public: Option<bool>,
        /// Whether an index may name manifests that are not here.
        #[arg(long, value_name = "BOOL")]
        sparse: Option<bool>,
    },
    /// Set anything else about a project.
    Set {
        /// Its name.
        name: String,
        /// What, and to what: public=true.
        #[arg(value_name = "KEY=VALUE", required = true)]
        pairs: Vec<String>,
    },
    /// Delete a project that holds nothing.
    Delete {
        /// Its name.
        name: String,
        /// Delete its repositories first.
        #[arg(long)]
        with_content: bool,
        /// Delete it with all that is in it, at once. `undelete` brings all of it back; for administrators.
        #[arg(long, conflicts_with = "with_content")]
        full: bool,
    },
    /// Bring back the project of this name that was deleted last, with all that was in it and is still kept.
    Undelete {
        /// Its name.
        name: String,
    },
    /// Who is a member, and as what.
    #[command(subcommand)]
    Member(Members),
    /// Rights over single repositories.
    #[command(subcommand)]
    Grant(Grants),
    /// What it may hold.
    #[command(subcommand)]
    Quota(OfProject),
    /// Its labels.
    Label {
        /// The project.
        project: String,
        #[command(subcommand)]
        label: Label,
    },
}

impl Project {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Member(members) => return members.run(session),
            Self::Grant(grants) => return grants.run(session),
            Self::Quota(quota) => return quota.run(session),
            Self::List { .. }
            | Self::Show { .. }
            | Self::Create { .. }
            | Self::Edit { .. }
            | Self::Set { .. }
            | Self::Delete { .. }
            | Self::Undelete { .. }
            | Self::Label { .. } => {}
        }
        let node = session.connection()?;
        match self {
            Self::List { name, public, owner } => {
                session.show_list(&COLUMNS, &node.list(&query(name.as_deref(), *public, owner.as_deref()))?)
            }
            Self::Show { name } => session.show(&node.get::<Value>(&path(name))?),
            Self::Create { name, public, sparse, quota } => {
                let name = parse(name)?;
                let limit = quota.as_deref().map(quota::parse).transpose()?;
                let metadata = json!({ "public": public.to_string(), "sparse": sparse.to_string() });
                create(&node, name.as_str(), &metadata, limit)?;
                session.done(name.as_str(), &json!({ "name": name, "public": public, "sparse": sparse }))
            }
            Self::Edit { name, public, sparse } => {
                let mut metadata = json!({});
                for (key, value) in [("public", public), ("sparse", sparse)] {
                    if let Some(value) = value {
                        metadata[key] = json!(value.to_string());
                    }
                }
                if metadata == json!({}) {
                    return Err(Failure::new(Code::Usage, "nothing to change").next("--public BOOL or --sparse BOOL"));
                }
                edit(&node, name, &metadata)?;
                session.done(name, &json!({ "name": name, "metadata": metadata }))
            }
            Self::Set { name, pairs } => {
                let mut metadata = json!({});
                for pair in pairs {
                    let (key, value) = key_value(pair)?;
                    metadata[key] = json!(value);
                }
                edit(&node, name, &metadata)?;
                session.done(name, &json!({ "name": name, "metadata": metadata }))
            }
            Self::Delete { name, full: true, .. } => {
                session.sure(&format!("Delete the project {name} with all that is in it?"))?;
                node.delete(&ours(name))?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
            Self::Delete { name, with_content, .. } => delete(session, &node, name, *with_content),
            Self::Undelete { name } => {
                let path = format!("{}/undelete", ours(parse(name)?.as_str()));
                let back: Value = node.post(&path, LONG)?;
                let lost = back["lost"].as_u64().unwrap_or_default();
                let lost = if lost > 0 { format!("; {lost} manifests are to be pushed again") } else { String::new() };
                session.done(&format!("{name} is back, with {} manifests{lost}", back["manifests"]), &back)
            }
            Self::Label { project, label } => label.run(session, &node, of_project(&node, project)?),
            Self::Member(_) | Self::Grant(_) | Self::Quota(_) => Ok(Exit::Ok),
        }
    }
}

fn parse(name: &str) -> Result<ProjectName, Failure> {
    name.parse().map_err(|error| Failure::new(Code::Usage, format!("{name:?} is no name for a project: {error}")))
}

/// Where what is no other registry's stands about a project.
fn ours(name: &str) -> String {
    format!("{API}/mesh/projects/{}", segment(name))
}

fn query(name: Option<&str>, public: bool, owner: Option<&str>) -> String {
    let mut given = Vec::new();
    if let Some(name) = name {
        given.push(format!("name={}", segment(name)));
    }
    if public {
        given.push("public=true".to_owned());
    }
    if let Some(owner) = owner {
        given.push(format!("owner={}", segment(owner)));
    }
    let mark = if given.is_empty() { "" } else { "?" };
    format!("{API}/projects{mark}{}", given.join("&"))
}

/// Makes a project.
///
/// # Errors
/// [`Failure`].
pub(super) fn create(node: &Connection, name: &str, metadata: &Value, limit: Option<i64>) -> Result<(), Failure> {
    let mut document = json!({ "project_name": name, "metadata": metadata });
    if let Some(limit) = limit {
        document["storage_limit"] = json!(limit);
    }
    node.send(&format!("{API}/projects"), &document)
}

/// Sets what is named; the rest stays.
///
/// # Errors
/// [`Failure`].
pub(super) fn edit(node: &Connection, name: &str, metadata: &Value) -> Result<(), Failure> {
    node.put(&path(name), &json!({ "metadata": metadata }))
}

fn delete(session: &mut Session<'_>, node: &Connection, name: &str, with_content: bool) -> Result<Exit, Failure> {
    let found = node.list(&format!("{}/repositories", path(name)))?;
    if !found.is_empty() && !with_content {
        let cause = format!("the project {name} holds {} repositories", found.len());
        return Err(Failure::new(Code::Conflict, cause).next(format!("portolan project delete {name} --with-content")));
    }
    let content = if found.is_empty() { String::new() } else { format!(" and its {} repositories", found.len()) };
    session.sure(&format!("Delete the project {name}{content}?"))?;
    for one in &found {
        let repository_name = word(one, "/name");
        session.terminal.progress(&format!("deleting {repository_name}"));
        node.delete(&repository(&repository_name)?)?;
    }
    node.delete(&path(name))?;
    session.done(&format!("{name} is deleted"), &json!({ "deleted": name, "repositories": found.len() }))
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::super::wire::rows;
    use super::*;

    #[test]
    fn a_project_is_made_as_harbor_would() {
        let (connection, client) = canned(&[(201, "")]);
        let metadata = json!({ "public": "true", "sparse": "false" });
        create(&connection, parse("team").unwrap().as_str(), &metadata, Some(10)).unwrap();
        assert_eq!(
            client.asked.lock().unwrap().concat(),
            r#"POST /api/v2.0/projects {"metadata":{"public":"true","sparse":"false"},"project_name":"team","storage_limit":10}"#
        );
        assert_eq!(parse("Team/x").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn a_list_is_asked_for_as_it_was_narrowed() {
        assert_eq!(query(None, false, None), "/api/v2.0/projects");
        assert_eq!(query(Some("a&b"), true, Some("eve")), "/api/v2.0/projects?name=a%26b&public=true&owner=eve");
    }

    #[test]
    fn a_full_project_is_deleted_by_its_own_route() {
        assert_eq!(ours("team"), "/api/v2.0/mesh/projects/team");
        assert_eq!(ours("../x"), "/api/v2.0/mesh/projects/..%2Fx");
    }

    #[test]
    fn every_page_is_asked_for() {
        let page = |from: usize, count: usize| {
            let names: Vec<_> = (from..from + count).map(|n| json!({ "name": format!("p{n}") })).collect();
            serde_json::to_string(&names).unwrap()
        };
        let (connection, client) = canned(&[(200, &page(0, 100)), (200, &page(100, 3))]);
        assert_eq!(connection.list("/api/v2.0/projects").unwrap().len(), 103);
        assert_eq!(client.asked.lock().unwrap()[1], "GET /api/v2.0/projects?page=2&page_size=100");
    }

    #[test]
    fn a_node_that_repeats_a_page_is_asked_once_more_at_most() {
        let same: Vec<_> = (0..100).map(|n| json!({ "name": format!("p{n}") })).collect();
        let same = serde_json::to_string(&same).unwrap();
        let (connection, client) = canned(&[(200, &same), (200, &same)]);
        assert_eq!(connection.list("/api/v2.0/projects").unwrap().len(), 100);
        assert_eq!(client.asked.lock().unwrap().len(), 2);
    }

    #[test]
    fn rows_say_what_harbor_says() {
        let harbor = r#"[{"name":"library","metadata":{"public":"true"},"repo_count":2,"owner_name":"admin","creation_time":"2026"}]"#;
        let projects: Vec<Value> = serde_json::from_str(harbor).unwrap();
        assert_eq!(
            rows(&COLUMNS, &projects).lines().nth(1).unwrap(),
            "library  true                  2             admin  2026"
        );
    }
}

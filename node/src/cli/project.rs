//! `portolan project`.

use clap::Subcommand;
use protocol::ProjectName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::words::table;

/// Projects asked for at a time.
const PAGE: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum Project {
    /// The projects of the node.
    List,
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
    },
}

/// A project as the administration API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    name: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    creation_time: String,
}

/// Harbor writes switches as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    #[serde(default)]
    public: Option<String>,
    #[serde(default)]
    sparse: Option<String>,
}

impl Project {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let connection = session.connection()?;
        match self {
            Self::List => {
                let projects = list(&connection)?;
                session.terminal.answer(&rows(&projects), &projects)?;
            }
            Self::Create { name, public, sparse } => {
                let name = parse(name)?;
                create(&connection, &name, *public, *sparse)?;
                let made = json!({ "name": name, "public": public, "sparse": sparse });
                session.terminal.answer(&format!("{name}\n"), &made)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn parse(name: &str) -> Result<ProjectName, Failure> {
    name.parse().map_err(|error| Failure::new(Code::Usage, format!("{name:?} is no name for a project: {error}")))
}

/// Every project, page by page.
fn list(connection: &Connection) -> Result<Vec<Shown>, Failure> {
    let mut all: Vec<Shown> = Vec::new();
    for page in 1_usize.. {
        let more: Vec<Shown> = connection.get(&format!("/api/v2.0/projects?page={page}&page_size={PAGE}"))?;
        let count = more.len();
        let news = more.into_iter().filter(|one| all.iter().all(|known| known.name != one.name));
        let news: Vec<_> = news.collect();
        // A page without news is the end too, whatever its length: never ask for ever.
        let ended = count < PAGE || news.is_empty();
        all.extend(news);
        if ended {
            break;
        }
    }
    Ok(all)
}

fn create(connection: &Connection, name: &ProjectName, public: bool, sparse: bool) -> Result<(), Failure> {
    let metadata = json!({ "public": public.to_string(), "sparse": sparse.to_string() });
    connection.send("/api/v2.0/projects", &json!({ "project_name": name, "metadata": metadata }))
}

fn rows(projects: &[Shown]) -> String {
    let yes = |switch: &Option<String>| if switch.as_deref() == Some("true") { "yes" } else { "no" }.to_owned();
    let row = |one: &Shown| {
        vec![one.name.clone(), yes(&one.metadata.public), yes(&one.metadata.sparse), one.creation_time.clone()]
    };
    table(&["NAME", "PUBLIC", "SPARSE INDEX", "CREATED"], &projects.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn a_project_is_made_as_harbor_would() {
        let (connection, client) = canned(&[(201, "")]);
        create(&connection, &parse("team").unwrap(), true, false).unwrap();
        assert_eq!(
            client.asked.lock().unwrap().concat(),
            r#"POST /api/v2.0/projects {"metadata":{"public":"true","sparse":"false"},"project_name":"team"}"#
        );
        assert_eq!(parse("Team/x").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn every_page_is_asked_for() {
        let page = |from: usize, count: usize| {
            let names: Vec<_> = (from..from + count).map(|n| json!({ "name": format!("p{n}") })).collect();
            serde_json::to_string(&names).unwrap()
        };
        let (connection, client) = canned(&[(200, &page(0, PAGE)), (200, &page(PAGE, 3))]);
        assert_eq!(list(&connection).unwrap().len(), PAGE + 3);
        assert_eq!(client.asked.lock().unwrap()[1], "GET /api/v2.0/projects?page=2&page_size=100");
    }

    #[test]
    fn a_node_that_repeats_a_page_is_asked_once_more_at_most() {
        let same: Vec<_> = (0..PAGE).map(|n| json!({ "name": format!("p{n}") })).collect();
        let same = serde_json::to_string(&same).unwrap();
        let (connection, client) = canned(&[(200, &same), (200, &same)]);
        assert_eq!(list(&connection).unwrap().len(), PAGE);
        assert_eq!(client.asked.lock().unwrap().len(), 2);
    }

    #[test]
    fn rows_say_yes_and_no() {
        let harbor = r#"[{"name":"library","project_id":1,"metadata":{"public":"true"},"creation_time":"2026-01-01T00:00:00Z"}]"#;
        let projects: Vec<Shown> = serde_json::from_str(harbor).unwrap();
        assert_eq!(
            rows(&projects),
            "NAME     PUBLIC  SPARSE INDEX  CREATED\nlibrary  yes     no            2026-01-01T00:00:00Z\n"
        );
    }
}

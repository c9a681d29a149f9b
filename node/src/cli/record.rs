//! `portolan tag history`, `conflicts` and `undelete`: what the records tell, and the words that settle it.

use clap::{Args, Subcommand};
use protocol::{Digest, RepositoryName, Tag};
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::connection::{Connection, SHORT};
use super::content::{add_tag, delete_tag, list_tags};
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::words::{moment, table};
use crate::registry::{Contested, Said};

/// A tag of a repository, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    repository: RepositoryName,
    tag: Tag,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tags {
    /// The tags of a repository.
    List {
        /// The repository: `library/app`.
        #[arg(value_name = "REPOSITORY")]
        name: String,
    },
    /// Give an artifact another tag.
    Add {
        /// The artifact: `library/app:v1`, `library/app@sha256:…`.
        #[arg(value_name = "REPOSITORY:TAG|REPOSITORY@DIGEST")]
        name: String,
        /// The new tag.
        tag: String,
    },
    /// Delete a tag; what it named stays, and `undelete` brings it back.
    Delete {
        /// The tag: `library/app:latest`.
        #[arg(value_name = "REPOSITORY:TAG")]
        name: String,
    },
    /// What a tag named, when, and who said so; the newest first.
    History {
        /// The tag: `library/app:latest`.
        #[arg(value_name = "REPOSITORY:TAG")]
        name: String,
        /// Most versions.
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Conflicts {
    /// The conflicts nobody has settled.
    List,
    /// Choose what a tag names, or which side of another conflict holds.
    Resolve {
        /// The tag: `library/app:latest`.
        #[arg(value_name = "REPOSITORY:TAG", required_unless_present = "record", requires = "digest")]
        name: Option<String>,
        /// What it shall name: one of the digests listed.
        digest: Option<String>,
        /// Of anything but a tag: the record of the side to keep, as listed.
        #[arg(long, value_name = "RECORD", conflicts_with = "name")]
        record: Option<String>,
    },
}

/// Bring a deleted tag back, naming what it named last, or a deleted manifest whose bytes are here.
#[derive(Debug, Args)]
pub(super) struct Undelete {
    /// The tag, or the manifest: `library/app:latest`, `library/app@sha256:…`.
    #[arg(value_name = "REPOSITORY:TAG|REPOSITORY@DIGEST")]
    name: String,
}

/// What the node answers to a decision.
#[derive(Debug, Deserialize)]
struct Settled {
    digest: Digest,
}

/// What the node answers to the choice of a side.
#[derive(Debug, Deserialize)]
struct Kept {
    record: String,
}

fn usage(cause: String) -> Failure {
    Failure::new(Code::Usage, cause)
}

impl Named {
    fn parse(text: &str) -> Result<Self, Failure> {
        let Some((repository, tag)) = text.rsplit_once(':') else {
            return Err(usage(format!("{text:?} names no tag")).next("REPOSITORY:TAG"));
        };
        let tag: Tag = tag.parse().map_err(|error| usage(format!("{tag:?} is no tag: {error}")))?;
        Ok(Self { repository: parse_repository(repository)?, tag })
    }
}

fn parse_repository(name: &str) -> Result<RepositoryName, Failure> {
    name.parse().map_err(|error| usage(format!("{name:?} is no name of a repository: {error}")))
}

impl Tags {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let (name, limit) = match self {
            Self::List { name } => return list_tags(session, name),
            Self::Add { name, tag } => return add_tag(session, name, tag),
            Self::Delete { name } => return delete_tag(session, name),
            Self::History { name, limit } => (name, limit),
        };
        let versions = history(&session.connection()?, &Named::parse(name)?, *limit)?;
        session.terminal.answer(&rows(&versions), &versions)?;
        Ok(Exit::Ok)
    }
}

impl Conflicts {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                let all: Vec<Contested> = session.connection()?.get("/api/v2.0/mesh/node/conflicts")?;
                session.terminal.answer(&contested(&all), &all)?;
            }
            Self::Resolve { record: Some(record), .. } => {
                let kept: Kept = choose(&session.connection()?, record)?;
                let text = format!("the side {} holds\n", kept.record);
                session.terminal.answer(&text, &json!({ "record": kept.record }))?;
            }
            Self::Resolve { name, digest, record: None } => {
                let named = Named::parse(name.as_deref().unwrap_or_default())?;
                let digest = digest.as_deref().unwrap_or_default();
                let digest: Digest = digest.parse().map_err(|error| usage(format!("{digest:?}: {error}")))?;
                let settled = settle(&session.connection()?, "conflicts", &named, Some(&digest))?;
                answer(session, &named, &settled)?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Undelete {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let Some((repository, digest)) = self.name.split_once('@') else {
            let named = Named::parse(&self.name)?;
            let settled = settle(&session.connection()?, "undelete", &named, None)?;
            answer(session, &named, &settled)?;
            return Ok(Exit::Ok);
        };
        let repository = parse_repository(repository)?;
        let digest: Digest = digest.parse().map_err(|error| usage(format!("{digest:?}: {error}")))?;
        let document = json!({ "repository": repository, "digest": digest });
        let settled: Settled = session.connection()?.send_for("/api/v2.0/mesh/node/undelete", &document, SHORT)?;
        let data = json!({ "repository": repository, "digest": settled.digest });
        session.terminal.answer(&format!("{repository}@{} is back\n", settled.digest), &data)?;
        Ok(Exit::Ok)
    }
}

fn answer(session: &mut Session<'_>, named: &Named, settled: &Settled) -> Result<(), Failure> {
    let Named { repository, tag } = named;
    let data = json!({ "repository": repository, "tag": tag, "digest": settled.digest });
    session.terminal.answer(&format!("{repository}:{tag} names {}\n", settled.digest), &data)
}

fn history(connection: &Connection, named: &Named, limit: u16) -> Result<Vec<Said>, Failure> {
    // Neither name has a character that means something in a query.
    let Named { repository, tag } = named;
    connection.get(&format!("/api/v2.0/mesh/node/history?repository={repository}&tag={tag}&limit={limit}"))
}

fn settle(connection: &Connection, what: &str, named: &Named, digest: Option<&Digest>) -> Result<Settled, Failure> {
    let Named { repository, tag } = named;
    let mut document = json!({ "repository": repository, "tag": tag });
    if let Some(digest) = digest {
        document["digest"] = json!(digest);
    }
    connection.send_for(&format!("/api/v2.0/mesh/node/{what}"), &document, SHORT)
}

fn choose(connection: &Connection, record: &str) -> Result<Kept, Failure> {
    connection.send_for("/api/v2.0/mesh/node/conflicts", &json!({ "record": record }), SHORT)
}

fn cells(said: &Said) -> Vec<String> {
    let named = said.digest.map_or_else(|| "deleted".to_owned(), |digest| digest.to_string());
    vec![moment(said.at), named, said.actor.clone()]
}

fn rows(versions: &[Said]) -> String {
    table(&["TIME", "NAMES", "BY"], &versions.iter().map(cells).collect::<Vec<_>>())
}

fn contested(all: &[Contested]) -> String {
    let side = |conflict: &Contested, said: &Said, at: usize| {
        let what = match at {
            0 => format!("{} {}", conflict.kind, conflict.what),
            1 if conflict.sides > conflict.heads.len() as u64 => format!("({} sides)", conflict.sides),
            _ => String::new(),
        };
        let mut cells = cells(said);
        if said.digest.is_none() {
            // What there is to choose by.
            cells[1] = format!("record {}", said.record);
        }
        [vec![what], cells].concat()
    };
    let sides = |conflict: &Contested| -> Vec<Vec<String>> {
        conflict.heads.iter().enumerate().map(|(at, said)| side(conflict, said, at)).collect()
    };
    table(&["CONFLICT", "TIME", "SAYS", "BY"], &all.iter().flat_map(sides).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;

    use super::super::connection::tests::canned;
    use super::*;

    fn said(digest: Option<Digest>) -> Said {
        Said { digest, actor: "admin".into(), at: Timestamp(1_800_000_000_000), record: "ab".into() }
    }

    #[test]
    fn a_tag_is_named_as_clients_name_it() {
        let named = Named::parse("library/app:v1").unwrap();
        assert_eq!((named.repository.as_str(), named.tag.as_str()), ("library/app", "v1"));
        for bad in ["library/app", "library/app:", ":v1", "Library/app:v1", "library/app:v 1"] {
            assert_eq!(Named::parse(bad).unwrap_err().code, Code::Usage, "{bad}");
        }
    }

    #[test]
    fn the_node_is_asked_for_the_history_and_told_what_is_chosen() {
        let digest = Digest::sha256(b"x");
        let versions = serde_json::to_string(&[said(Some(digest)), said(None)]).unwrap();
        let done = format!(r#"{{"digest":"{digest}"}}"#);
        let kept = r#"{"record":"ab"}"#;
        let (connection, client) = canned(&[(200, &versions), (200, &done), (200, &done), (200, kept)]);
        let named = Named::parse("library/app:v1").unwrap();
        assert_eq!(history(&connection, &named, 7).unwrap().len(), 2);
        assert_eq!(settle(&connection, "conflicts", &named, Some(&digest)).unwrap().digest, digest);
        settle(&connection, "undelete", &named, None).unwrap();
        assert_eq!(choose(&connection, "ab").unwrap().record, "ab");
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked[0], "GET /api/v2.0/mesh/node/history?repository=library/app&tag=v1&limit=7");
        assert!(asked[1].starts_with("POST /api/v2.0/mesh/node/conflicts {") && asked[1].contains(&digest.to_string()));
        assert_eq!(asked[3], r#"POST /api/v2.0/mesh/node/conflicts {"record":"ab"}"#);
        assert!(asked[2].starts_with("POST /api/v2.0/mesh/node/undelete {") && !asked[2].contains("sha256"));
    }

    #[test]
    fn rows_say_what_was_deleted_and_which_side_is_in_force() {
        let digest = Digest::sha256(b"x");
        let shown = rows(&[said(None), said(Some(digest))]);
        assert!(shown.contains("deleted") && shown.contains(&digest.to_string()) && shown.contains("2027-01-15"));
        let heads = vec![said(Some(digest)), said(None)];
        let (kind, what) = ("tag".to_owned(), "library/app:v1".to_owned());
        let shown = contested(&[Contested { kind, what, sides: 70, heads }]);
        assert_eq!(shown.matches("tag library/app:v1").count(), 1, "{shown}");
        assert!(shown.contains("(70 sides)") && shown.contains("record ab"), "{shown}");
    }
}

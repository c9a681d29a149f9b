//! `portolan repository`, `artifact` and the part of `tag` that is not about history; `search`, `quota`, `statistics`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::label;
use super::wire::{API, Column, artifact, image, number, project, repository, rows, segment, word};
use super::words::bytes;

const REPOSITORIES: [Column; 5] = [
    ("NAME", "/name"),
    ("ARTIFACTS", "/artifact_count"),
    ("PULLS", "/pull_count"),
    ("UPDATED", "/update_time"),
    ("DESCRIPTION", "/description"),
];
const ARTIFACTS: [Column; 5] =
    [("DIGEST", "/digest"), ("TYPE", "/type"), ("SIZE", "/size"), ("PUSHED", "/push_time"), ("TAGS", "/tag_names")];
const TAGS: [Column; 3] = [("NAME", "/name"), ("PUSHED", "/push_time"), ("PULLED", "/pull_time")];

#[derive(Debug, Subcommand)]
pub(super) enum Repository {
    /// The repositories of a project.
    List {
        /// The project.
        project: String,
    },
    /// A repository.
    Show {
        /// PROJECT/REPOSITORY.
        name: String,
    },
    /// Say what a repository is for.
    Describe {
        /// PROJECT/REPOSITORY.
        name: String,
        /// Free text.
        text: String,
    },
    /// Delete a repository with all it holds.
    Delete {
        /// PROJECT/REPOSITORY.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Artifact {
    /// The artifacts of a repository.
    List {
        /// PROJECT/REPOSITORY.
        name: String,
    },
    /// An artifact.
    Show {
        /// PROJECT/REPOSITORY:TAG or @DIGEST.
        name: String,
    },
    /// Delete an artifact with its tags.
    Delete {
        /// PROJECT/REPOSITORY:TAG or @DIGEST.
        name: String,
    },
    /// Copy an artifact to another repository.
    Copy {
        /// PROJECT/REPOSITORY:TAG or @DIGEST.
        from: String,
        /// PROJECT/REPOSITORY.
        to: String,
    },
    /// The labels on an artifact.
    #[command(subcommand)]
    Label(OnArtifact),
}

#[derive(Debug, Subcommand)]
pub(super) enum OnArtifact {
    /// Put a label on an artifact.
    Add(Labelled),
    /// Take a label off an artifact.
    Remove(Labelled),
}

#[derive(Debug, Args)]
pub(super) struct Labelled {
    /// PROJECT/REPOSITORY:TAG or @DIGEST.
    name: String,
    /// The label's name: the project's own one, else one for every project.
    label: String,
    /// One for every project, although the project has its own of that name.
    #[arg(long)]
    global: bool,
}

impl Repository {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List { project: of } => {
                session.show_list(&REPOSITORIES, &node.list(&format!("{}/repositories", project(of)))?)
            }
            Self::Show { name } => session.show(&node.get::<Value>(&repository(name)?)?),
            Self::Describe { name, text } => {
                node.put(&repository(name)?, &json!({ "description": text }))?;
                session.done(name, &json!({ "name": name, "description": text }))
            }
            Self::Delete { name } => {
                let path = repository(name)?;
                session.sure(&format!("Delete the repository {name} with all it holds?"))?;
                node.delete(&path)?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
        }
    }
}

impl Artifact {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::List { name } => {
                let artifacts = node.list(&format!("{}/artifacts", repository(name)?))?;
                let shown: Vec<_> = artifacts.iter().map(readable).collect();
                session.terminal.answer(&rows(&ARTIFACTS, &shown), &artifacts)?;
                Ok(Exit::Ok)
            }
            Self::Show { name } => session.show(&node.get::<Value>(&artifact(name)?)?),
            Self::Delete { name } => {
                let path = artifact(name)?;
                session.sure(&format!("Delete the artifact {name} with its tags?"))?;
                node.delete(&path)?;
                session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
            }
            Self::Copy { from, to } => {
                copy(&node, from, to)?;
                session.done(&format!("{from} is in {to}"), &json!({ "from": from, "to": to }))
            }
            Self::Label(OnArtifact::Add(labelled)) => {
                let Labelled { name, label, .. } = labelled;
                node.send(&format!("{}/labels", artifact(name)?), &json!({ "id": labelled.id(&node)? }))?;
                session.done(&format!("{label} is on {name}"), &json!({ "artifact": name, "label": label }))
            }
            Self::Label(OnArtifact::Remove(labelled)) => {
                let Labelled { name, label, .. } = labelled;
                node.delete(&format!("{}/labels/{}", artifact(name)?, labelled.id(&node)?))?;
                session.done(&format!("{label} is off {name}"), &json!({ "artifact": name, "removed": label }))
            }
        }
    }
}

impl Labelled {
    /// The number of the label.
    fn id(&self, node: &Connection) -> Result<i64, Failure> {
        let (of, _) = image(&self.name)?;
        let project = of.split('/').next().unwrap_or_default();
        if !self.global {
            let own = label::list(node, label::of_project(node, project)?)?;
            if let Some(own) = own.iter().find(|own| word(own, "/name") == self.label) {
                return number(own, "/id");
            }
        }
        number(&label::find(node, None, &self.label)?, "/id")
    }
}

/// An artifact with its size in words and the names of its tags beside one another.
fn readable(artifact: &Value) -> Value {
    let mut shown = artifact.clone();
    if let Some(size) = artifact["size"].as_u64() {
        shown["size"] = json!(bytes(size));
    }
    let tags = artifact["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    shown["tag_names"] = tags.iter().map(|tag| tag["name"].clone()).collect();
    shown
}

fn copy(node: &Connection, from: &str, to: &str) -> Result<(), Failure> {
    image(from)?;
    node.post_empty(&format!("{}/artifacts?from={}", repository(to)?, segment(from)))
}

/// The tags of a repository.
///
/// # Errors
/// [`Failure`].
pub(super) fn list_tags(session: &mut Session<'_>, name: &str) -> Result<Exit, Failure> {
    let artifacts = session.connection()?.list(&format!("{}/artifacts", repository(name)?))?;
    let mut tags: Vec<Value> =
        artifacts.iter().flat_map(|artifact| artifact["tags"].as_array().cloned().unwrap_or_default()).collect();
    tags.sort_by_key(|tag| tag["name"].to_string());
    session.show_list(&TAGS, &tags)
}

/// Makes a tag for an artifact.
///
/// # Errors
/// [`Failure`].
pub(super) fn add_tag(session: &mut Session<'_>, name: &str, tag: &str) -> Result<Exit, Failure> {
    session.connection()?.send(&format!("{}/tags", artifact(name)?), &json!({ "name": tag }))?;
    session.done(tag, &json!({ "artifact": name, "tag": tag }))
}

/// Deletes a tag; what it named stays.
///
/// # Errors
/// [`Failure`].
pub(super) fn delete_tag(session: &mut Session<'_>, name: &str) -> Result<Exit, Failure> {
    let (of, tag) = image(name)?;
    if of.contains('@') || tag.contains(':') {
        return Err(Failure::new(Code::Usage, format!("{name:?} names no tag")).next("REPOSITORY:TAG"));
    }
    let path = format!("{}/tags/{}", artifact(name)?, segment(tag));
    session.sure(&format!("Delete the tag {name}?"))?;
    session.connection()?.delete(&path)?;
    session.done(&format!("{name} is deleted"), &json!({ "deleted": name }))
}

/// `portolan search`.
///
/// # Errors
/// [`Failure`].
pub(super) fn search(session: &mut Session<'_>, word: &str) -> Result<Exit, Failure> {
    let found: Value = session.connection()?.get(&format!("{API}/search?q={}", segment(word)))?;
    let of = |key: &str| found[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = rows(&[("PROJECT", "/name")], of("project"));
    text.push('\n');
    let columns = [("REPOSITORY", "/repository_name"), ("ARTIFACTS", "/artifact_count"), ("PULLS", "/pull_count")];
    text.push_str(&rows(&columns, of("repository")));
    session.terminal.answer(&text, &found)?;
    Ok(Exit::Ok)
}

/// `portolan statistics`.
///
/// # Errors
/// [`Failure`].
pub(super) fn statistics(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let found: Value = session.connection()?.get(&format!("{API}/statistics"))?;
    session.show(&found)
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn an_artifact_is_copied_by_its_whole_name() {
        let (node, client) = canned(&[(201, "")]);
        copy(&node, "team/a/b:v1", "other/c").unwrap();
        assert_eq!(
            client.asked.lock().unwrap()[0],
            "POST /api/v2.0/projects/other/repositories/c/artifacts?from=team%2Fa%2Fb%3Av1"
        );
        assert_eq!(copy(&node, "team/a", "other/c").unwrap_err().code, Code::Usage);
    }

    #[test]
    fn a_label_is_the_projects_own_before_it_is_everyones() {
        let labelled = |global| Labelled { name: "team/a/b:v1".into(), label: "new".into(), global };
        let (project, own, all) = (r#"{"project_id":4}"#, r#"[{"id":1,"name":"new"}]"#, r#"[{"id":2,"name":"new"}]"#);
        let (node, client) = canned(&[(200, project), (200, own)]);
        assert_eq!(labelled(false).id(&node).unwrap(), 1);
        assert!(client.asked.lock().unwrap()[1].contains("scope=p&project_id=4"));
        let (node, _) = canned(&[(200, project), (200, "[]"), (200, all)]);
        assert_eq!(labelled(false).id(&node).unwrap(), 2);
        let (node, client) = canned(&[(200, all)]);
        assert_eq!(labelled(true).id(&node).unwrap(), 2);
        assert!(client.asked.lock().unwrap()[0].contains("scope=g"));
        let (node, _) = canned(&[(200, "[]")]);
        assert_eq!(labelled(true).id(&node).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn sizes_and_tags_are_readable() {
        let shown = readable(&json!({ "size": 2048, "digest": "d", "tags": [{ "name": "a" }, { "name": "b" }] }));
        assert!(rows(&ARTIFACTS, &[shown]).contains("2.0 KiB          a b"));
        assert!(rows(&ARTIFACTS, &[readable(&json!({ "tags": null }))]).starts_with("DIGEST"));
    }
}

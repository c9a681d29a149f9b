//! skopeo, of the containers family. Owns its home with the credentials.

use std::path::PathBuf;

use super::Client;
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "skopeo";

/// skopeo, bound to one registry.
#[derive(Debug)]
pub struct Skopeo {
    client: Client,
    registry: Registry,
    authfile: String,
}

impl Skopeo {
    /// Sets skopeo up for `registry`, signed out.
    pub fn at(registry: &Registry) -> Self {
        let client = Client::new(PROGRAM);
        let authfile = client.file("auth.json").display().to_string();
        Self { client, registry: registry.clone(), authfile }
    }

    /// Signs in; skopeo checks the credentials at once.
    pub fn login(&self, user: &str, password: &str) -> Finished {
        let mut arguments = vec!["login", "--authfile", &self.authfile, "-u", user, "-p", password];
        let transport = transport(&self.registry, "");
        arguments.extend(transport.iter().map(String::as_str));
        arguments.push(&self.registry.host);
        self.client.run(&arguments)
    }

    /// Pushes from a transport reference (`oci:DIR:TAG`); `all` copies every image of an index.
    #[track_caller]
    pub fn push(&self, from: &str, name: &str, all: bool) {
        self.copy_with(from, &self.remote(name), &["--dest-"], all).expect_success();
    }

    /// Pulls into an OCI layout in the client's home; gives the layout.
    #[track_caller]
    pub fn pull(&self, name: &str, into: &str, all: bool) -> PathBuf {
        let layout = self.client.file(into);
        let target = format!("oci:{}:image", layout.display());
        self.copy_with(&self.remote(name), &target, &["--src-"], all).expect_success();
        layout
    }

    /// Copies inside the registry; gives what skopeo said.
    #[track_caller]
    pub fn copy(&self, from: &str, to: &str, all: bool) -> String {
        let (from, to) = (self.remote(from), self.remote(to));
        self.copy_with(&from, &to, &["--src-", "--dest-"], all).expect_success().everything()
    }

    /// The exact manifest behind a reference.
    #[track_caller]
    pub fn raw(&self, name: &str) -> String {
        let finished = self.ask(&["inspect", "--raw"], name);
        finished.expect_success().stdout()
    }

    /// The tags of a repository, sorted.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let listed = self.ask(&["list-tags"], repository).expect_success().stdout();
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("list-tags prints JSON");
        let tags = listed["Tags"].as_array().expect("a list of tags");
        let mut tags: Vec<String> = tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
        tags.sort();
        tags
    }

    /// Deletes the manifest behind a reference.
    #[track_caller]
    pub fn delete(&self, name: &str) {
        self.ask(&["delete"], name).expect_success();
    }

    /// Runs a command that takes one remote reference, success not required.
    pub fn ask(&self, command: &[&str], name: &str) -> Finished {
        let mut arguments = command.to_vec();
        let transport = transport(&self.registry, "");
        arguments.extend(["--authfile", &self.authfile]);
        arguments.extend(transport.iter().map(String::as_str));
        let remote = self.remote(name);
        arguments.push(&remote);
        self.client.run(&arguments)
    }

    fn copy_with(&self, from: &str, to: &str, sides: &[&str], all: bool) -> Finished {
        let mut arguments = vec!["copy", "--authfile", &self.authfile, "--preserve-digests"];
        if all {
            arguments.push("--all");
        }
        let sides: Vec<String> = sides.iter().flat_map(|side| transport(&self.registry, side)).collect();
        arguments.extend(sides.iter().map(String::as_str));
        arguments.extend([from, to]);
        self.client.run(&arguments)
    }

    fn remote(&self, name: &str) -> String {
        format!("docker://{}", self.registry.reference(name))
    }
}

/// How the containers family is told about the connection; `side` is empty, `src-` or `dest-` with two dashes before.
pub(super) fn transport(registry: &Registry, side: &str) -> Vec<String> {
    let prefix = if side.is_empty() { "--" } else { side };
    match &registry.cert_dir {
        Some(folder) => vec![format!("{prefix}tls-verify=true"), format!("{prefix}cert-dir={}", folder.display())],
        None => vec![format!("{prefix}tls-verify=false")],
    }
}

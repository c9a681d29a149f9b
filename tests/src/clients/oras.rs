//! oras, for artifacts and referrers. Owns its home with the credentials.

use std::path::PathBuf;

use serde_json::Value;

use super::{Client, lines};
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "oras";

/// oras, bound to one registry.
#[derive(Debug)]
pub struct Oras {
    client: Client,
    registry: Registry,
    config: String,
}

impl Oras {
    /// Sets oras up for `registry`, signed out.
    pub fn at(registry: &Registry) -> Self {
        let client = Client::new(PROGRAM);
        let config = client.file("oras.json").display().to_string();
        Self { client, registry: registry.clone(), config }
    }

    /// Signs in; oras checks the credentials at once.
    pub fn login(&self, user: &str, password: &str) -> Finished {
        self.run(&["login", "-u", user, "-p", password, &self.registry.host])
    }

    /// A file in the client's home with this text, for pushing by its relative name.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.client.file(name);
        std::fs::write(&file, text).expect("the file is written");
        file
    }

    /// Pushes a file of the home as an artifact; gives the manifest's digest.
    #[track_caller]
    pub fn push(&self, name: &str, kind: &str, file: &str) -> String {
        let reference = self.registry.reference(name);
        self.json(&["push", "--artifact-type", kind, &reference, &format!("{file}:text/plain")], "digest")
    }

    /// Attaches a file of the home to what a reference names; gives the referrer's digest.
    #[track_caller]
    pub fn attach(&self, name: &str, kind: &str, file: &str) -> String {
        let reference = self.registry.reference(name);
        self.json(&["attach", "--artifact-type", kind, &reference, &format!("{file}:text/plain")], "digest")
    }

    /// The digests of the direct referrers of a reference, of one artifact type when `kind` is given.
    #[track_caller]
    pub fn discover(&self, name: &str, kind: Option<&str>) -> Vec<String> {
        let reference = self.registry.reference(name);
        let mut arguments = vec!["discover", "--format", "json", "--depth", "1"];
        if let Some(kind) = kind {
            arguments.extend(["--artifact-type", kind]);
        }
        arguments.push(&reference);
        let listed: Value = serde_json::from_str(&self.run(&arguments).expect_success().stdout()).expect("JSON");
        let referrers = listed["referrers"].as_array().cloned().unwrap_or_default();
        referrers.iter().filter_map(|referrer| referrer["digest"].as_str().map(str::to_owned)).collect()
    }

    /// Pulls an artifact's files into a folder of the home; gives the folder.
    #[track_caller]
    pub fn pull(&self, name: &str, into: &str) -> PathBuf {
        let folder = self.client.file(into);
        let target = folder.display().to_string();
        self.run(&["pull", "-o", &target, &self.registry.reference(name)]).expect_success();
        folder
    }

    /// Copies an image or artifact with its referrers inside the registry.
    #[track_caller]
    pub fn copy_with_referrers(&self, from: &str, to: &str) {
        let (from, to) = (self.registry.reference(from), self.registry.reference(to));
        let mut arguments = vec!["cp".to_owned(), "-r".to_owned()];
        for side in ["from", "to"] {
            arguments.extend([format!("--{side}-registry-config"), self.config.clone()]);
            arguments.extend(match &self.registry.root {
                Some(root) => vec![format!("--{side}-ca-file"), root.display().to_string()],
                None => vec![format!("--{side}-plain-http")],
            });
        }
        arguments.extend([from, to]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.client.ok(&arguments);
    }

    /// The tags of a repository.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        lines(&self.run(&["repo", "tags", &self.registry.reference(repository)]).expect_success().stdout())
    }

    /// Deletes the manifest behind a reference.
    #[track_caller]
    pub fn delete(&self, name: &str) {
        self.run(&["manifest", "delete", "--force", &self.registry.reference(name)]).expect_success();
    }

    /// Fetches the manifest behind a reference, success not required.
    pub fn fetch(&self, name: &str) -> Finished {
        self.run(&["manifest", "fetch", &self.registry.reference(name)])
    }

    fn json(&self, arguments: &[&str], field: &str) -> String {
        let mut all = arguments[..1].to_vec();
        all.extend(["--format", "json"]);
        all.extend(&arguments[1..]);
        let printed: Value = serde_json::from_str(&self.run(&all).expect_success().stdout()).expect("oras prints JSON");
        printed[field].as_str().unwrap_or_else(|| panic!("no {field} in {printed}")).to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let root = self.registry.root.as_ref().map(|root| root.display().to_string());
        let mut all = arguments.to_vec();
        all.extend(["--registry-config", &self.config]);
        match &root {
            Some(root) => all.extend(["--ca-file", root]),
            None => all.push("--plain-http"),
        }
        self.client.run(&all)
    }
}

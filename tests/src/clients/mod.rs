//! Thin typed wrappers around real registry clients, each with a home of its own.
//!
//! A wrapper owns a temporary home: configuration, credentials and caches of the machine take no part, and one
//! story's login is unknown to the next. A wrapper knows how its client is told about plain HTTP, about the test
//! authority and about credentials; what to do with the client is the story's business.

pub mod buildah;
pub mod cosign;
pub mod crane;
pub mod ctr;
pub mod docker;
pub mod helm;
pub mod oras;
pub mod podman;
pub mod skopeo;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    node::Registry,
    process::{self, Finished},
    tools,
};

/// A program with a home of its own and arguments that precede all others.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    home: TempDir,
    environment: Vec<(String, String)>,
    lead: Vec<String>,
}

impl Client {
    /// Sets `program` up with an empty home.
    ///
    /// # Panics
    /// When the program is missing: stories ask [`tools::present`] first.
    pub fn new(program: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary home");
        let at = |name: &str| home.path().join(name).display().to_string();
        let environment = [
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_CACHE_HOME", at("cache")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_RUNTIME_DIR", at("runtime")),
            ("DOCKER_CONFIG", at("docker")),
        ];
        let client = Self {
            program: tools::require(program),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            home,
            lead: Vec::new(),
        };
        for folder in ["config", "cache", "data", "runtime", "docker"] {
            std::fs::create_dir(client.file(folder)).expect("the home's folders");
        }
        // Older tools of the containers family refuse to start when DOCKER_CONFIG has no file in it.
        std::fs::write(client.file("docker/config.json"), "{}").expect("an empty configuration");
        client
    }

    /// Sets an environment variable for every run.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes Go programs without a flag for it trust the registry's authority, and no other.
    #[must_use]
    pub fn trusting(self, registry: &Registry) -> Self {
        match &registry.root {
            Some(root) => self.with_env("SSL_CERT_FILE", &root.display().to_string()),
            None => self,
        }
    }

    /// Sets the arguments that precede all others.
    #[must_use]
    pub fn leading(mut self, arguments: &[&str]) -> Self {
        self.lead.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// A path in the client's home.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The client's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs the client in its home, to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let mut all = self.lead.clone();
        all.extend(arguments.iter().map(ToString::to_string));
        process::run(&self.program, &all, &self.environment, Some(self.home.path()))
    }

    /// Runs the client; panics unless it succeeds; gives its standard output without the last line's end.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_success().stdout().trim_end().to_owned()
    }

    /// Runs the client; panics unless it fails; gives everything it said.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_failure()
    }
}

/// Lines of a listing, sorted, without blanks.
pub(crate) fn lines(listing: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        listing.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines
}

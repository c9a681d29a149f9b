//! helm, for charts kept in an OCI registry. Owns its home with the credentials and the charts it makes.

use std::path::{Path, PathBuf};

use super::Client;
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "helm";

/// helm, bound to one registry.
#[derive(Debug)]
pub struct Helm {
    client: Client,
    registry: Registry,
}

impl Helm {
    /// Sets helm up for `registry`, signed out.
    pub fn at(registry: &Registry) -> Self {
        let client = Client::new(PROGRAM);
        let config = client.file("registry.json").display().to_string();
        Self { client: client.with_env("HELM_REGISTRY_CONFIG", &config), registry: registry.clone() }
    }

    /// Signs in; helm checks the credentials at once.
    pub fn login(&self, user: &str, password: &str) -> Finished {
        self.remote(&["registry", "login", &self.registry.host, "-u", user, "-p", password])
    }

    /// Makes helm's own sample chart and packs it; gives the archive.
    #[track_caller]
    pub fn package(&self, chart: &str, version: &str) -> PathBuf {
        if !self.client.file(chart).exists() {
            self.client.ok(&["create", chart]);
        }
        self.client.ok(&["package", chart, "--version", version]);
        self.client.file(&format!("{chart}-{version}.tgz"))
    }

    /// Pushes a packed chart into a folder of the registry; gives the manifest's digest.
    #[track_caller]
    pub fn push(&self, archive: &Path, folder: &str) -> String {
        let target = format!("oci://{}", self.registry.reference(folder));
        let said = self.remote(&["push", &archive.display().to_string(), &target]).expect_success().everything();
        let digest = said.lines().find_map(|line| line.strip_prefix("Digest: "));
        digest.unwrap_or_else(|| panic!("no digest in: {said}")).to_owned()
    }

    /// Pulls a chart into a folder of the home, success not required.
    pub fn pull(&self, chart: &str, version: &str, into: &str) -> Finished {
        let folder = self.client.file(into);
        std::fs::create_dir_all(&folder).expect("a folder for the chart");
        let source = format!("oci://{}", self.registry.reference(chart));
        self.remote(&["pull", &source, "--version", version, "-d", &folder.display().to_string()])
    }

    /// A file in the home.
    pub fn file(&self, name: &str) -> PathBuf {
        self.client.file(name)
    }

    /// The chart's own description, read from the registry; `range` is a version constraint, resolved by tags.
    #[track_caller]
    pub fn show(&self, chart: &str, range: &str) -> String {
        let source = format!("oci://{}", self.registry.reference(chart));
        self.remote(&["show", "chart", &source, "--version", range]).expect_success().stdout()
    }

    fn remote(&self, arguments: &[&str]) -> Finished {
        let root = self.registry.root.as_ref().map(|root| root.display().to_string());
        let mut all = arguments.to_vec();
        match &root {
            Some(root) => all.extend(["--ca-file", root]),
            None => all.push("--plain-http"),
        }
        self.client.run(&all)
    }
}

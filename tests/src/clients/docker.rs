//! The docker command line, speaking to one engine. Owns its home with the credentials.

use std::path::Path;

use super::Client;
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "docker";

/// docker, bound to one engine and one registry.
#[derive(Debug)]
pub struct Docker {
    client: Client,
    registry: Registry,
}

impl Docker {
    /// Sets docker up for the engine at `socket`, signed out.
    pub fn new(socket: &Path, registry: &Registry) -> Self {
        let client = Client::new(PROGRAM).leading(&["-H", &format!("unix://{}", socket.display())]);
        Self { client: client.trusting(registry), registry: registry.clone() }
    }

    /// Signs in; the engine checks the credentials at once.
    pub fn login(&self, user: &str, password: &str) -> Finished {
        self.client.run(&["login", "-u", user, "-p", password, &self.registry.host])
    }

    /// Loads an archive into the engine and gives the image another name at the registry.
    #[track_caller]
    pub fn load(&self, archive: &Path, loaded_as: &str, name: &str) {
        self.client.ok(&["load", "-q", "-i", &archive.display().to_string()]);
        self.client.ok(&["tag", loaded_as, &self.registry.reference(name)]);
    }

    /// Gives an image of the engine a second name.
    #[track_caller]
    pub fn tag(&self, name: &str, other: &str) {
        self.client.ok(&["tag", &self.registry.reference(name), &self.registry.reference(other)]);
    }

    /// Pushes, success not required.
    pub fn push(&self, name: &str) -> Finished {
        self.client.run(&["push", &self.registry.reference(name)])
    }

    /// Pulls, success not required.
    pub fn pull(&self, name: &str) -> Finished {
        self.client.run(&["pull", &self.registry.reference(name)])
    }

    /// The digests the engine knows an image by in its repository: more than one when it came under several tags.
    #[track_caller]
    pub fn digests(&self, name: &str) -> Vec<String> {
        let digests = self.inspect(name, "{{range .RepoDigests}}{{println .}}{{end}}");
        let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
        let prefix = format!("{}@", self.registry.reference(repository));
        let mut found: Vec<String> =
            digests.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect();
        found.sort();
        assert!(!found.is_empty(), "no digest of {name} in {digests:?}");
        found
    }

    /// The image's id: the digest of its configuration.
    #[track_caller]
    pub fn id(&self, name: &str) -> String {
        self.inspect(name, "{{.Id}}")
    }

    /// The digests of the uncompressed layers.
    #[track_caller]
    pub fn layers(&self, name: &str) -> String {
        self.inspect(name, "{{json .RootFS.Layers}}")
    }

    /// Saves an image as an archive with its files, in the client's home; panics when a layer is not whole.
    #[track_caller]
    pub fn save(&self, name: &str) -> std::path::PathBuf {
        let archive = self.client.file("saved.tar");
        self.client.ok(&["save", "-o", &archive.display().to_string(), &self.registry.reference(name)]);
        archive
    }

    /// Runs an image's own command in a container without network; gives what it printed.
    #[track_caller]
    pub fn run(&self, name: &str) -> String {
        self.client.ok(&["run", "--rm", "--network=none", &self.registry.reference(name)])
    }

    fn inspect(&self, name: &str, format: &str) -> String {
        self.client.ok(&["image", "inspect", "--format", format, &self.registry.reference(name)])
    }
}

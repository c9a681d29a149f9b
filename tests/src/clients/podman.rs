//! podman, of the containers family. Owns its home with credentials and image store.

use std::path::Path;

use super::{Client, skopeo::transport};
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "podman";

/// podman with its own image store, bound to one registry.
#[derive(Debug)]
pub struct Podman {
    client: Client,
    registry: Registry,
    authfile: String,
}

impl Podman {
    /// Sets podman up for `registry`, signed out, with an empty store.
    pub fn at(registry: &Registry) -> Self {
        let client = store_options(Client::new(PROGRAM).trusting(registry));
        let state = format!("--tmpdir={}", client.file("state").display());
        let client = client.leading(&["--cgroup-manager=cgroupfs", "--events-backend=none", &state]);
        let authfile = client.file("auth.json").display().to_string();
        Self { client, registry: registry.clone(), authfile }
    }

    /// Signs in; podman checks the credentials at once.
    pub fn login(&self, user: &str, password: &str) -> Finished {
        self.remote(&["login", "-u", user, "-p", password], &[&self.registry.host])
    }

    /// Loads an archive into the store; gives the id of the image that it holds under `loaded_as`.
    #[track_caller]
    pub fn load(&self, archive: &Path, loaded_as: &str) -> String {
        self.client.ok(&["load", "-q", "-i", &archive.display().to_string()]);
        self.client.ok(&["image", "inspect", "--format={{.Id}}", loaded_as])
    }

    /// Pushes an image of the store; gives the digest of the manifest that went out.
    #[track_caller]
    pub fn push(&self, image: &str, name: &str) -> String {
        let digest_file = self.client.file("digest");
        let option = format!("--digestfile={}", digest_file.display());
        let target = format!("docker://{}", self.registry.reference(name));
        self.remote(&["push", &option], &[image, &target]).expect_success();
        std::fs::read_to_string(digest_file).expect("podman writes the digest").trim().to_owned()
    }

    /// Pulls, success not required.
    pub fn pull(&self, name: &str) -> Finished {
        self.remote(&["pull", "-q"], &[&self.registry.reference(name)])
    }

    /// The digest of an image in the store, as the registry served it.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        self.client.ok(&["image", "inspect", "--format={{.Digest}}", &self.registry.reference(name)])
    }

    /// Makes a manifest list of the named images at the registry.
    #[track_caller]
    pub fn manifest_create(&self, list: &str, members: &[&str]) {
        self.client.ok(&["manifest", "create", list]);
        for member in members {
            let member = format!("docker://{}", self.registry.reference(member));
            self.remote(&["manifest", "add"], &[list, &member]).expect_success();
        }
    }

    /// Pushes a manifest list with all its images.
    #[track_caller]
    pub fn manifest_push(&self, list: &str, name: &str) {
        let target = format!("docker://{}", self.registry.reference(name));
        self.remote(&["manifest", "push", "--all"], &[list, &target]).expect_success();
    }

    /// The tags of a repository, sorted.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let listed = self.remote(&["search", "--list-tags"], &[&self.registry.reference(repository)]).expect_success();
        // A table of names and tags under a headline.
        let mut tags: Vec<String> = listed
            .stdout()
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
            .collect();
        tags.sort();
        tags
    }

    /// Runs a command that speaks to the registry.
    fn remote(&self, command: &[&str], operands: &[&str]) -> Finished {
        let mut arguments = command.to_vec();
        arguments.extend(["--authfile", &self.authfile]);
        let mut transport = transport(&self.registry, "");
        // search alone knows no certificate directories: it takes the authority from the environment.
        if command[0] == "search" {
            transport.retain(|option| !option.starts_with("--cert-dir"));
        }
        arguments.extend(transport.iter().map(String::as_str));
        arguments.extend(operands);
        self.client.run(&arguments)
    }
}

/// A store inside the client's home. `vfs` needs no mounts, so nothing of it outlives the home.
pub(super) fn store_options(client: Client) -> Client {
    let root = format!("--root={}", client.file("store").display());
    let runroot = format!("--runroot={}", client.file("run").display());
    client.leading(&[&root, &runroot, "--storage-driver=vfs"])
}

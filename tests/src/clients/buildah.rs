//! buildah, of the containers family. Owns its home with credentials and image store.

use std::path::Path;

use super::{Client, podman::store_options, skopeo::transport};
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "buildah";

/// buildah with its own image store, bound to one registry.
#[derive(Debug)]
pub struct Buildah {
    client: Client,
    registry: Registry,
    authfile: String,
}

impl Buildah {
    /// Sets buildah up for `registry`, signed out, with an empty store.
    pub fn at(registry: &Registry) -> Self {
        let client = store_options(Client::new(PROGRAM));
        let authfile = client.file("auth.json").display().to_string();
        Self { client, registry: registry.clone(), authfile }
    }

    /// Signs in; buildah checks the credentials at once.
    pub fn login(&self, user: &str, password: &str) -> Finished {
        self.remote(&["login", "-u", user, "-p", password], &[&self.registry.host])
    }

    /// Builds an image from an image at the registry (or `scratch`): one file on top, then `command` is run in it,
    /// if there is one. The result is `image`.
    #[track_caller]
    pub fn build(&self, base: &str, architecture: &str, file: &Path, command: &[&str], image: &str) {
        let container = if base == "scratch" {
            self.client.ok(&["from", "--arch", architecture, "scratch"])
        } else {
            let base = self.registry.reference(base);
            self.remote(&["from", "--arch", architecture], &[&base]).expect_success().stdout().trim().to_owned()
        };
        self.client.ok(&["add", &container, &file.display().to_string(), "/cargo"]);
        if !command.is_empty() {
            // chroot needs no control groups, which not every machine lets its guests have.
            let mut run = vec!["run", "--isolation=chroot", &container, "--"];
            run.extend(command);
            self.client.ok(&run);
        }
        self.client.ok(&["config", "--arch", architecture, "--cmd", "/bin/busybox cat /cargo", &container]);
        self.client.ok(&["commit", "--rm", &container, image]);
    }

    /// Pushes an image of the store; gives the digest of the manifest that went out.
    #[track_caller]
    pub fn push(&self, image: &str, name: &str) -> String {
        let digest_file = self.client.file("digest");
        let option = format!("--digestfile={}", digest_file.display());
        let target = format!("docker://{}", self.registry.reference(name));
        self.remote(&["push", &option], &[image, &target]).expect_success();
        std::fs::read_to_string(digest_file).expect("buildah writes the digest").trim().to_owned()
    }

    /// Pulls, success not required.
    pub fn pull(&self, name: &str) -> Finished {
        self.remote(&["pull", "-q"], &[&self.registry.reference(name)])
    }

    /// Makes a manifest list of images in the store.
    #[track_caller]
    pub fn manifest_create(&self, list: &str, members: &[&str]) {
        self.client.ok(&["manifest", "create", list]);
        for member in members {
            self.client.ok(&["manifest", "add", list, member]);
        }
    }

    /// Pushes a manifest list with all its images.
    #[track_caller]
    pub fn manifest_push(&self, list: &str, name: &str) {
        let target = format!("docker://{}", self.registry.reference(name));
        self.remote(&["manifest", "push", "--all"], &[list, &target]).expect_success();
    }

    fn remote(&self, command: &[&str], operands: &[&str]) -> Finished {
        let mut arguments = command.to_vec();
        arguments.extend(["--authfile", &self.authfile]);
        let transport = transport(&self.registry, "");
        arguments.extend(transport.iter().map(String::as_str));
        arguments.extend(operands);
        self.client.run(&arguments)
    }
}

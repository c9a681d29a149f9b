//! crane, of go-containerregistry. Owns its home with the credentials.

use std::path::{Path, PathBuf};

use super::{Client, lines};
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "crane";

/// crane, bound to one registry. It finds plain HTTP on loopback by itself.
#[derive(Debug)]
pub struct Crane {
    client: Client,
    registry: Registry,
}

impl Crane {
    /// Sets crane up for `registry`, signed out.
    pub fn at(registry: &Registry) -> Self {
        Self { client: Client::new(PROGRAM).trusting(registry), registry: registry.clone() }
    }

    /// Stores credentials. crane does not check them until it uses them.
    pub fn login(&self, user: &str, password: &str) {
        self.client.ok(&["auth", "login", &self.registry.host, "-u", user, "-p", password]);
    }

    /// Pushes an OCI layout; gives the digest.
    #[track_caller]
    pub fn push(&self, layout: &Path, name: &str) -> String {
        let printed = self.client.ok(&["push", &layout.display().to_string(), &self.registry.reference(name)]);
        printed.rsplit('@').next().unwrap_or_default().to_owned()
    }

    /// Pulls into an OCI layout in the client's home; gives the layout.
    #[track_caller]
    pub fn pull(&self, name: &str, into: &str) -> PathBuf {
        let layout = self.client.file(into);
        let target = layout.display().to_string();
        self.client.ok(&["pull", "--format=oci", &self.registry.reference(name), &target]);
        layout
    }

    /// The digest behind a reference.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        self.client.ok(&["digest", &self.registry.reference(name)])
    }

    /// The digest of one platform's image behind a reference.
    #[track_caller]
    pub fn platform_digest(&self, name: &str, platform: &str) -> String {
        self.client.ok(&["digest", "--platform", platform, &self.registry.reference(name)])
    }

    /// The tags of a repository.
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        lines(&self.client.ok(&["ls", &self.registry.reference(repository)]))
    }

    /// Copies inside the registry; crane mounts blobs across repositories.
    #[track_caller]
    pub fn copy(&self, from: &str, to: &str) -> String {
        let (from, to) = (self.registry.reference(from), self.registry.reference(to));
        self.client.run(&["copy", "--verbose", &from, &to]).expect_success().everything()
    }

    /// Points another tag at what a reference names.
    #[track_caller]
    pub fn tag(&self, name: &str, tag: &str) {
        self.client.ok(&["tag", &self.registry.reference(name), tag]);
    }

    /// Downloads every blob behind a reference and checks digests, sizes and rootfs.
    #[track_caller]
    pub fn validate(&self, name: &str) {
        self.client.ok(&["validate", "--remote", &self.registry.reference(name)]);
    }

    /// Deletes what a reference names.
    #[track_caller]
    pub fn delete(&self, name: &str) {
        self.client.ok(&["delete", &self.registry.reference(name)]);
    }

    /// The repositories that the registry lists.
    #[track_caller]
    pub fn catalog(&self) -> Vec<String> {
        lines(&self.client.ok(&["catalog", &self.registry.host]))
    }

    /// Runs any other command on a reference, success not required.
    pub fn attempt(&self, command: &str, name: &str) -> Finished {
        self.client.run(&[command, &self.registry.reference(name)])
    }

    /// Tries to push an OCI layout, success not required.
    pub fn attempt_push(&self, layout: &Path, name: &str) -> Finished {
        self.client.run(&["push", &layout.display().to_string(), &self.registry.reference(name)])
    }
}

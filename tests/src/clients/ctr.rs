//! ctr, containerd's own command line. Owns its home with the hosts configuration.

use std::{fs, path::Path};

use super::Client;
use crate::{node::Registry, process::Finished};

/// The program's name.
pub const PROGRAM: &str = "ctr";

/// ctr, bound to one containerd and one registry.
#[derive(Debug)]
pub struct Ctr {
    client: Client,
    registry: Registry,
}

impl Ctr {
    /// Sets ctr up for the containerd at `socket`, with a `hosts.toml` for the registry as an operator would write it.
    pub fn new(socket: &Path, registry: &Registry) -> Self {
        let client = Client::new(PROGRAM).leading(&["-a", &socket.display().to_string(), "-n", "portolan"]);
        let folder = client.file("hosts").join(&registry.host);
        fs::create_dir_all(&folder).expect("the hosts directory");
        let address = registry.address();
        let mut hosts = format!(
            "server = \"{address}\"\n[host.\"{address}\"]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n"
        );
        if let Some(root) = &registry.root {
            hosts.push_str(&format!("  ca = {root:?}\n"));
        }
        fs::write(folder.join("hosts.toml"), hosts).expect("the hosts file");
        Self { client, registry: registry.clone() }
    }

    /// Imports an OCI layout archive whose image carries `tag`; it is then known as `name` at the registry.
    #[track_caller]
    pub fn import(&self, archive: &Path, tag: &str, name: &str) {
        let archive = archive.display().to_string();
        self.client.ok(&["images", "import", "--base-name", "portolan.test/real", "--all-platforms", &archive]);
        let imported = format!("portolan.test/real:{tag}");
        self.client.ok(&["images", "tag", &imported, &self.registry.reference(name)]);
    }

    /// Pushes, success not required. `user` is `name:password`.
    pub fn push(&self, name: &str, user: Option<&str>) -> Finished {
        self.remote(&["images", "push"], name, user)
    }

    /// Pulls and unpacks, success not required. `user` is `name:password`.
    pub fn pull(&self, name: &str, user: Option<&str>) -> Finished {
        self.remote(&["images", "pull", "--snapshotter", "native"], name, user)
    }

    /// Pulls every platform of an index without unpacking, success not required.
    pub fn fetch_all(&self, name: &str, user: Option<&str>) -> Finished {
        self.remote(&["content", "fetch", "--all-platforms"], name, user)
    }

    /// The digest of an image in the store.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        let reference = self.registry.reference(name);
        let listed = self.client.ok(&["images", "ls", &format!("name=={reference}")]);
        let digest = listed.split_whitespace().find(|word| word.starts_with("sha256:"));
        digest.unwrap_or_else(|| panic!("no digest of {name} in {listed}")).to_owned()
    }

    /// Whether all content of an image is in the store.
    #[track_caller]
    pub fn is_complete(&self, name: &str) -> bool {
        let filter = format!("name=={}", self.registry.reference(name));
        self.client.ok(&["images", "check", "--snapshotter", "native", &filter]).contains("complete")
    }

    fn remote(&self, command: &[&str], name: &str, user: Option<&str>) -> Finished {
        let hosts = self.client.file("hosts").display().to_string();
        let mut arguments = command.to_vec();
        arguments.extend(["--hosts-dir", &hosts]);
        if let Some(user) = user {
            arguments.extend(["--user", user]);
        }
        let reference = self.registry.reference(name);
        arguments.push(&reference);
        self.client.run(&arguments)
    }
}

//! A real containerd for one test, images only. Owns its process and its folder.

use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;

use crate::{
    clients::{Client, ctr::Ctr},
    node::Registry,
    process::{Daemon, Signal},
    tools,
};

/// What the daemon and its command line are called.
pub const PROGRAMS: [&str; 2] = ["containerd", "ctr"];

/// From start to answering, on two busy cores.
const READY: Duration = Duration::from_secs(60);

/// A running containerd with an empty store.
#[derive(Debug)]
pub struct Containerd {
    // Before the folder: the daemon leaves before its files do. Nothing reads it, dropping it is the point.
    _daemon: Daemon,
    folder: TempDir,
}

impl Containerd {
    /// Starts a containerd without the CRI plugin: pulling needs no pods.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("containerd").tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name);
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\n  address = {:?}\n[plugins.\"io.containerd.internal.v1.opt\"]\n  path = {:?}\n",
            at("root"),
            at("state"),
            at("containerd.sock"),
            at("opt"),
        );
        fs::write(at("config.toml"), config).expect("the configuration is written");
        let arguments = ["--config".to_owned(), at("config.toml").display().to_string()];
        let program = tools::require("containerd");
        let mut daemon = Daemon::start("containerd", &program, &arguments, &[], &at("log"), Signal::Term);
        let socket = at("containerd.sock");
        let probe = Client::new("ctr").leading(&["-a", &socket.display().to_string()]);
        daemon.await_ready(READY, || (socket.exists() && probe.run(&["version"]).succeeded()).then_some(()));
        Self { _daemon: daemon, folder }
    }

    /// ctr for this daemon, with hosts configuration for `registry`.
    pub fn ctr(&self, registry: &Registry) -> Ctr {
        Ctr::new(&self.socket(), registry)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("containerd.sock")
    }
}

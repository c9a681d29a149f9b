//! A real Docker engine for one test, without networks. Owns its process and its folder.
//!
//! It has data, state, socket and pid file of its own, so it meets neither the machine's engine nor another test's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    clients::{Client, docker::Docker},
    node::Registry,
    process::{Daemon, Signal},
    tools,
};

/// What the engine and its command line are called.
pub const PROGRAMS: [&str; 3] = ["dockerd", "docker", "containerd"];

/// From start to answering, on two busy cores.
const READY: Duration = Duration::from_secs(60);

/// A running engine with an empty store.
#[derive(Debug)]
pub struct Dockerd {
    // Before the folder: the engine leaves before its files do.
    daemon: Daemon,
    folder: TempDir,
}

impl Dockerd {
    /// Starts an engine. `mirror` becomes its `--registry-mirror`.
    ///
    /// The engine takes the authority from the environment. For addresses on loopback it would also go on without.
    pub fn start(registry: &Registry, mirror: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("dockerd").tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = at("config.json");
        fs::write(&config, "{}").expect("an empty configuration, so that the machine's is not read");
        let mut arguments: Vec<String> = vec![
            format!("--config-file={config}"),
            format!("--data-root={}", at("data")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--host=unix://{}", at("docker.sock")),
        ];
        let isolated = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"];
        arguments.extend(isolated.map(String::from));
        if !registry.is_tls() {
            arguments.push(format!("--insecure-registry={}", registry.host));
        }
        arguments.extend(mirror.map(|address| format!("--registry-mirror={address}")));
        let root = registry.root.as_ref().map(|root| ("SSL_CERT_FILE".to_owned(), root.display().to_string()));
        let environment: Vec<(String, String)> = root.into_iter().collect();
        let log = folder.path().join("log");
        let program = tools::require("dockerd");
        let mut daemon = Daemon::start("dockerd", &program, &arguments, &environment, &log, Signal::Term);
        let socket = folder.path().join("docker.sock");
        let probe = Client::new("docker").leading(&["-H", &format!("unix://{}", socket.display())]);
        daemon.await_ready(READY, || {
            (socket.exists() && probe.run(&["version", "--format", "{{.Server.Version}}"]).succeeded()).then_some(())
        });
        Self { daemon, folder }
    }

    /// The docker command line for this engine, signed out at `registry`.
    pub fn docker(&self, registry: &Registry) -> Docker {
        Docker::new(&self.socket(), registry)
    }

    /// The engine's process id.
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }
}

impl Drop for Dockerd {
    /// The engine takes its own containerd along when asked politely; this covers an engine that could not.
    fn drop(&mut self) {
        let containerd = self.folder.path().join("exec/containerd/containerd.pid");
        let child = fs::read_to_string(containerd).ok();
        self.daemon.signal(Signal::Term);
        self.daemon.await_end(READY);
        if let Some(child) = child {
            end_orphan(child.trim(), self.folder.path());
        }
    }
}

/// Kills a process by id if it still is the one that runs with files in `folder`.
fn end_orphan(id: &str, folder: &Path) {
    let command = fs::read(Path::new("/proc").join(id).join("cmdline")).unwrap_or_default();
    if String::from_utf8_lossy(&command).contains(&folder.display().to_string()) {
        let _ = Command::new("kill").args(["-KILL", id]).status();
    }
}

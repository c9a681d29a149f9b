//! [`TestNode`]: one real `portolan` process with a data directory of its own.
//!
//! A `TestNode` owns the process, the temporary directory and, with TLS, the authority its certificate comes from.
//! Killing and restarting keep the data directory and the port, so clients go on with the same address.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    process::{self, Daemon, Finished, Signal},
    tls::Authority,
    tools,
    web::Web,
};

/// The name of the first administrator.
pub const ADMIN: &str = "admin";

/// The first administrator's password in every test.
pub const PASSWORD: &str = "Harbour-Pilot-4711";

/// From start to ready, on two cores that also run other tests.
const READY: Duration = Duration::from_secs(60);

/// From the polite signal to the end: longer than the node's own drain deadline.
const DRAIN: Duration = Duration::from_secs(60);

/// What a story wants different from a plain node.
#[derive(Debug, Default, Clone)]
pub struct Setup {
    /// Serve HTTPS with a certificate by a test authority.
    pub tls: bool,
    /// Configuration appended to what the kit writes (TOML).
    pub config: String,
    /// More environment for the process. The last entry of a name counts.
    pub environment: Vec<(String, String)>,
    /// The program to start instead of the node's own binary.
    pub program: Option<PathBuf>,
    /// The data directory, when it is not to be in a temporary one; it has to be there.
    pub data: Option<PathBuf>,
    /// Give the node no password, so that it makes one up and shows it in its log.
    pub made_up_password: bool,
}

/// What a client needs to know about a registry: where it is, whom to trust, how to sign in.
#[derive(Debug, Clone)]
pub struct Registry {
    /// `127.0.0.1:port`, as image references carry it.
    pub host: String,
    /// The authority's certificate when the registry speaks TLS.
    pub root: Option<PathBuf>,
    /// A directory with only that certificate.
    pub cert_dir: Option<PathBuf>,
}

impl Registry {
    /// Whether the registry speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.root.is_some()
    }

    /// The address of the API, `http://…` or `https://…`.
    pub fn address(&self) -> String {
        format!("{}://{}", if self.is_tls() { "https" } else { "http" }, self.host)
    }

    /// A reference at this registry: `reference("shop/app:1")` is `127.0.0.1:port/shop/app:1`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }
}

/// A running node.
#[derive(Debug)]
pub struct TestNode {
    /// `None` between [`TestNode::kill9`] and [`TestNode::restart`].
    daemon: Option<Daemon>,
    setup: Setup,
    authority: Option<Authority>,
    port: u16,
    folder: TempDir,
}

impl TestNode {
    /// Starts a node that speaks plain HTTP.
    pub fn plain() -> Self {
        Self::with(Setup::default())
    }

    /// Starts a node that speaks HTTPS.
    pub fn tls() -> Self {
        Self::with(Setup { tls: true, ..Setup::default() })
    }

    /// Starts a node as `setup` says and waits until it is ready.
    pub fn with(setup: Setup) -> Self {
        let authority = setup.tls.then(Authority::new);
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut node = Self { daemon: None, setup, authority, port: 0, folder };
        node.write_config();
        node.launch();
        node
    }

    /// What the next start goes by: changes of the environment count from the next [`TestNode::restart`].
    pub fn setup_mut(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// Where the node keeps its data.
    pub fn data(&self) -> PathBuf {
        self.setup.data.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// What clients need to know.
    pub fn registry(&self) -> Registry {
        Registry {
            host: format!("127.0.0.1:{}", self.port),
            root: self.authority.as_ref().map(Authority::root),
            cert_dir: self.authority.as_ref().map(Authority::cert_dir),
        }
    }

    /// An HTTP client without credentials.
    pub fn web(&self) -> Web {
        let registry = self.registry();
        Web::new(&registry.address(), registry.root.as_deref())
    }

    /// An HTTP client signed in as the administrator.
    pub fn admin(&self) -> Web {
        self.web().signed_in(ADMIN, PASSWORD)
    }

    /// Everything the node logged so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// The process id.
    ///
    /// # Panics
    /// When the node is not running.
    pub fn id(&self) -> u32 {
        self.daemon.as_ref().expect("the node runs").id()
    }

    /// Kills the node at once, as a power cut to the process would.
    pub fn kill9(&mut self) {
        let mut daemon = self.daemon.take().expect("the node runs");
        daemon.signal(Signal::Kill);
        daemon.await_end(DRAIN);
    }

    /// Asks the node to drain and leave; panics unless it leaves in order.
    pub fn stop(&mut self) {
        let mut daemon = self.daemon.take().expect("the node runs");
        daemon.signal(Signal::Term);
        let status = daemon.await_end(DRAIN);
        assert!(status.success(), "the node left with {status}; its log:\n{}", self.log());
    }

    /// Asks the node to leave and does not wait.
    pub fn signal_term(&mut self) {
        self.daemon.as_mut().expect("the node runs").signal(Signal::Term);
    }

    /// Waits for a node that was asked to leave; panics unless it leaves in order.
    pub fn await_orderly_end(&mut self) {
        let status = self.daemon.take().expect("the node runs").await_end(DRAIN);
        assert!(status.success(), "the node left with {status}; its log:\n{}", self.log());
    }

    /// Starts the node again on the same data and port, after [`TestNode::kill9`] or [`TestNode::stop`].
    pub fn restart(&mut self) {
        assert!(self.daemon.is_none(), "the node still runs");
        self.launch();
    }

    /// Whether the node has ended by itself; then it can be started again.
    pub fn has_ended(&mut self) -> bool {
        let ended = self.daemon.as_mut().is_none_or(|daemon| !daemon.is_running());
        if ended {
            self.daemon = None;
        }
        ended
    }

    /// Waits for the node to end by itself, however it ends.
    pub fn await_end(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.await_end(DRAIN);
        }
    }

    /// Runs the node's program with other arguments, on the same data directory.
    pub fn cli(&self, arguments: &[&str]) -> Finished {
        let data = self.data().display().to_string();
        let arguments: Vec<String> =
            arguments.iter().copied().chain(["--data", data.as_str()]).map(String::from).collect();
        process::run(&binary(), &arguments, &[], None)
    }

    fn launch(&mut self) {
        if !self.try_launch() {
            panic!("the node ended before it was ready; its log:\n{}", self.log());
        }
    }

    /// Starts the node; `false` when it ended before it was ready.
    pub fn try_launch(&mut self) -> bool {
        let program = self.setup.program.clone().unwrap_or_else(binary);
        let mut environment = Vec::new();
        if !self.setup.made_up_password {
            environment.push(("PORTOLAN_ADMIN_PASSWORD".to_owned(), PASSWORD.to_owned()));
        }
        // How full the disk of this machine is must decide no story but those that are about it.
        if !self.setup.config.contains("[storage]") {
            environment.push(("PORTOLAN__STORAGE__REFUSE_UPLOADS_AT".to_owned(), "100".to_owned()));
            environment.push(("PORTOLAN__STORAGE__KEEP_FREE".to_owned(), "1MiB".to_owned()));
        }
        environment.extend(self.setup.environment.iter().cloned());
        let arguments = self.portolan_arguments();
        let mut daemon = Daemon::start("node", &program, &arguments, &environment, &self.log_file(), Signal::Kill);
        if self.port == 0 {
            let address = self.data().join("address");
            let Some(port) = daemon.try_await_ready(READY, || bound_port(&address)) else { return false };
            self.port = port;
        }
        let web = self.web();
        let ready = || web.try_send("GET", "/readyz", &[], &[]).filter(|answer| answer.status == 200);
        if daemon.try_await_ready(READY, ready).is_none() {
            return false;
        }
        self.daemon = Some(daemon);
        true
    }

    fn portolan_arguments(&self) -> Vec<String> {
        let data = self.data().display().to_string();
        let listen = format!("127.0.0.1:{}", self.port);
        let mut arguments: Vec<String> = ["serve", "--data", &data, "--listen", &listen].map(String::from).to_vec();
        if self.config_file().exists() {
            arguments.extend(["--config".to_owned(), self.config_file().display().to_string()]);
        }
        arguments
    }

    fn write_config(&self) {
        let config = self.portolan_config();
        if !config.is_empty() {
            fs::write(self.config_file(), config).expect("the configuration is written");
        }
    }

    fn portolan_config(&self) -> String {
        let mut config = self.setup.config.clone();
        if let Some(authority) = &self.authority {
            let (certificate, key) = (authority.certificate(), authority.key());
            config.push_str(&format!("\n[http.tls]\ncert = {certificate:?}\nkey = {key:?}\n"));
        }
        config
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// The node's binary: `PORTOLAN_BIN` when set, else the one of this build, brought up to date once per test run.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("PORTOLAN_BIN").map_or_else(build, PathBuf::from)).clone()
}

/// Cargo knows best whether the binary is stale: a story against yesterday's node would prove nothing.
/// The whole workspace is named so that dependencies have the features they were built with for the tests.
fn build() -> PathBuf {
    let executable = env::current_exe().expect("the test knows itself");
    // target/<profile>/deps/it-0123 → target/<profile>
    let profile = executable.ancestors().nth(2).expect("the test lies under target/<profile>/deps");
    let target = profile.parent().expect("the profile lies under target");
    let mut arguments: Vec<String> =
        ["build", "--quiet", "--workspace", "--bin", "portolan", "--target-dir"].map(String::from).to_vec();
    arguments.push(target.display().to_string());
    if profile.ends_with("release") {
        arguments.push("--release".to_owned());
    }
    let cargo = env::var_os("CARGO").map_or_else(|| tools::require("cargo"), PathBuf::from);
    let mut command = std::process::Command::new(cargo);
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let built = command.status().expect("cargo runs");
    assert!(built.success(), "the node does not build");
    profile.join("portolan")
}

/// The port in the line `http://127.0.0.1:PORT` that the node writes once it is bound.
fn bound_port(address: &Path) -> Option<u16> {
    let text = fs::read_to_string(address).ok()?;
    // Only a whole line counts: the file may be caught half written.
    text.strip_suffix('\n')?.rsplit(':').next()?.trim_end_matches('/').parse().ok()
}

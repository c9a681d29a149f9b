//! [`TestNode`]: one real `portolan` process with a data directory of its own.
//!
//! A `TestNode` owns the process, the temporary directory and, with TLS, the authority its certificate comes from.
//! Killing and restarting keep the data directory and the port, so clients go on with the same address.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    process::{Daemon, Signal},
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
    program: Program,
    /// `None` between [`TestNode::kill9`] and [`TestNode::restart`].
    daemon: Option<Daemon>,
    setup: Setup,
    authority: Option<Authority>,
    port: u16,
    folder: TempDir,
}

/// Which registry is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// The subject of all this.
    Portolan,
    /// Debian's registry: tells a wrong story from a wrong node. Chosen by `PORTOLAN_TEST_REGISTRY=docker-registry`.
    DockerRegistry,
}

impl Program {
    fn chosen() -> Self {
        match env::var("PORTOLAN_TEST_REGISTRY").as_deref() {
            Ok("docker-registry") => Self::DockerRegistry,
            _ => Self::Portolan,
        }
    }
}

/// Whether the registry under test is the stand-in, which lacks what only Portolan promises.
/// A story leaves out such a step by this, and by nothing else.
pub fn is_stand_in() -> bool {
    Program::chosen() == Program::DockerRegistry
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
        let program = Program::chosen();
        let authority = setup.tls.then(Authority::new);
        let folder = tempfile::tempdir().expect("a temporary directory");
        let port = match program {
            Program::Portolan => 0,
            Program::DockerRegistry => free_port(),
        };
        let mut node = Self { program, daemon: None, setup, authority, port, folder };
        fs::create_dir(node.data()).expect("the data directory");
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
        self.folder.path().join("data")
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
        // The stand-in has no orderly end: the signal itself ends it.
        assert!(status.success() || is_stand_in(), "the node left with {status}; its log:\n{}", self.log());
    }

    /// Starts the node again on the same data and port, after [`TestNode::kill9`] or [`TestNode::stop`].
    pub fn restart(&mut self) {
        assert!(self.daemon.is_none(), "the node still runs");
        self.launch();
    }

    fn launch(&mut self) {
        let (program, arguments) = match self.program {
            Program::Portolan => (binary(), self.portolan_arguments()),
            Program::DockerRegistry => {
                let arguments = vec!["serve".to_owned(), self.config_file().display().to_string()];
                (tools::require("docker-registry"), arguments)
            }
        };
        let mut environment = Vec::new();
        if !self.setup.made_up_password {
            environment.push(("PORTOLAN_ADMIN_PASSWORD".to_owned(), PASSWORD.to_owned()));
        }
        environment.extend(self.setup.environment.iter().cloned());
        let mut daemon = Daemon::start("registry", &program, &arguments, &environment, &self.log_file(), Signal::Kill);
        if self.port == 0 {
            let address = self.data().join("address");
            self.port = daemon.await_ready(READY, || bound_port(&address));
        }
        let web = self.web();
        let path = match self.program {
            Program::Portolan => "/readyz",
            Program::DockerRegistry => "/",
        };
        daemon.await_ready(READY, || web.try_send("GET", path, &[], &[]).filter(|answer| answer.status == 200));
        self.daemon = Some(daemon);
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
        let config = match self.program {
            Program::Portolan => self.portolan_config(),
            Program::DockerRegistry => self.stand_in_config(),
        };
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

    fn stand_in_config(&self) -> String {
        // bcrypt of PASSWORD, so that the stand-in needs no tool to make one.
        let users = format!("{ADMIN}:$2y$05$abcdefghijklmnopqrstuumV3BudzzivTGKk06Ie2pRFcsBYhF/GO\n");
        let users_file = self.folder.path().join("users");
        fs::write(&users_file, users).expect("the users are written");
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             auth: {{htpasswd: {{realm: trial, path: {}}}}}\nhttp:\n  addr: 127.0.0.1:{}\n  secret: trial\n",
            self.data().display(),
            users_file.display(),
            self.port,
        );
        if let Some(authority) = &self.authority {
            let (certificate, key) = (authority.certificate(), authority.key());
            config.push_str(&format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display()));
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

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("the port is known").port()
}

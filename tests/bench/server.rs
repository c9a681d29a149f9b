//! The servers under measurement, each a process on the loopback with a directory of its own. A [`Server`] owns its
//! process, which ends with it.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use protocol::digest::Digest;
use rustix::process::{Pid, Signal, kill_process};

use crate::http::Connection;
use crate::load::now;
use crate::process;
use crate::token::Bearer;

/// The administrator's password of the nodes this tool starts and removes; they listen on the loopback only.
pub(crate) const PASSWORD: &str = "bench-node-on-loopback-7Qx";
/// The repository everything is pushed to.
pub(crate) const REPOSITORY: &str = "bench/x";
/// Where Debian puts the rivals.
const NGINX: &str = "/usr/sbin/nginx";
const REGISTRY: &str = "/usr/bin/docker-registry";
/// Workers of nginx.
const NGINX_WORKERS: usize = 2;
/// A server that isn't ready by then is counted as not available.
const READY: Duration = Duration::from_secs(60);
/// Between two looks whether a server is ready: the resolution of the start-up row.
const POLL: Duration = Duration::from_millis(2);

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// Portolan as it is meant to run: authentication on, syncing on.
    Portolan,
    /// Portolan with `storage.sync` off, to see what durability costs.
    PortolanUnsynced,
    /// nginx serving files through user-space buffers.
    NginxBuffered,
    /// nginx serving files by sendfile, descriptors cached.
    NginxSendfile,
    /// Debian's `docker-registry`.
    Registry,
}

impl Contestant {
    /// The name in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Portolan => "Portolan",
            Self::PortolanUnsynced => "Portolan, syncing off",
            Self::NginxBuffered => "nginx, no sendfile",
            Self::NginxSendfile => "nginx, sendfile",
            Self::Registry => "docker-registry",
        }
    }
}

/// Where things are: the directory of the run and the binary under test.
pub(crate) struct Ground {
    /// Directory on a real disk; the run removes it.
    pub(crate) dir: PathBuf,
    /// The `portolan` binary.
    pub(crate) portolan: PathBuf,
}

/// A running server.
pub(crate) struct Server {
    /// Which one.
    pub(crate) who: Contestant,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// What it stores.
    pub(crate) data: PathBuf,
    /// Present where requests need authorization.
    pub(crate) bearer: Option<Bearer>,
    /// From the start of the process to the first sign of readiness.
    pub(crate) ready_after: Duration,
    child: Child,
    pids: Vec<u32>,
}

impl Server {
    /// Starts a server on an empty directory named after `stage`.
    pub(crate) fn start(ground: &Ground, stage: &str, who: Contestant) -> io::Result<Self> {
        let slug: String = who.name().chars().filter(char::is_ascii_alphanumeric).collect();
        let home = ground.dir.join(format!("{stage}-{slug}"));
        fs::create_dir_all(home.join("data"))?;
        Self::open(ground, &home, who)
    }

    /// Starts a server on the directory of one that ran before.
    pub(crate) fn restart(self, ground: &Ground, how: Signal) -> io::Result<Self> {
        let (who, home) = (self.who, self.data.parent().map(Path::to_path_buf).unwrap_or_default());
        self.end(how)?;
        Self::open(ground, &home, who)
    }

    fn open(ground: &Ground, home: &Path, who: Contestant) -> io::Result<Self> {
        // The port is free when asked for; should another process take it in between, the start fails and says so.
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let data = home.join("data");
        let mut command = match who {
            Contestant::Portolan | Contestant::PortolanUnsynced => portolan(&ground.portolan, &data, addr, who),
            Contestant::NginxBuffered | Contestant::NginxSendfile => nginx(home, &data, addr, who)?,
            Contestant::Registry => registry(home, &data, addr)?,
        };
        let log = home.join("log");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(home);
        let start = now();
        let child = command.spawn()?;
        let mut server =
            Self { who, addr, data, bearer: None, ready_after: Duration::ZERO, pids: vec![child.id()], child };
        server.wait_ready(start).map_err(|error| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing");
            io::Error::other(format!("{error}; its last words: {last}"))
        })?;
        server.ready_after = start.elapsed();
        server.pids = process::family(server.child.id());
        if matches!(who, Contestant::Portolan | Contestant::PortolanUnsynced) {
            server.bearer = Some(Bearer::new(addr, REPOSITORY, PASSWORD));
        }
        Ok(server)
    }

    fn wait_ready(&mut self, start: Instant) -> io::Result<()> {
        let (target, wanted) = match self.who {
            Contestant::Portolan | Contestant::PortolanUnsynced => ("/readyz", 200),
            Contestant::Registry => ("/v2/", 200),
            Contestant::NginxBuffered | Contestant::NginxSendfile => ("/", 403),
        };
        loop {
            let status = Connection::open(self.addr).and_then(|mut c| c.request("GET", target, &[], &[]));
            if status.is_ok_and(|head| head.status == wanted) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("ended before it was ready ({status})")));
            }
            if start.elapsed() > READY {
                return Err(io::Error::other(format!("not ready within {} s", READY.as_secs())));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The server's processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.pids.clone()
    }

    /// Whether it speaks the registry API, or only serves files.
    pub(crate) fn is_registry(&self) -> bool {
        !matches!(self.who, Contestant::NginxBuffered | Contestant::NginxSendfile)
    }

    /// The path of a blob's URL.
    pub(crate) fn blob_target(&self, digest: &Digest) -> String {
        if self.is_registry() { format!("/v2/{REPOSITORY}/blobs/{digest}") } else { format!("/blobs/{}", digest.hex()) }
    }

    /// The path of a manifest's URL.
    pub(crate) fn manifest_target(&self, reference: &str) -> String {
        if self.is_registry() {
            format!("/v2/{REPOSITORY}/manifests/{reference}")
        } else {
            format!("/manifests/{reference}")
        }
    }

    /// The file that holds a blob's bytes.
    pub(crate) fn blob_file(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        match self.who {
            Contestant::Portolan | Contestant::PortolanUnsynced => {
                self.data.join("blobs/sha256").join(&hex[..2]).join(&hex)
            }
            Contestant::Registry => {
                self.data.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(&hex).join("data")
            }
            Contestant::NginxBuffered | Contestant::NginxSendfile => self.data.join("blobs").join(&hex),
        }
    }

    /// Brings everything the server wrote to the disk, so that its backlog isn't charged to the next one measured.
    pub(crate) fn settle(&self) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.data)?)?;
        Ok(())
    }

    /// Ends the process and removes its directory.
    pub(crate) fn remove(self) -> io::Result<()> {
        let home = self.data.parent().map(Path::to_path_buf);
        self.end(Signal::TERM)?;
        home.map_or(Ok(()), fs::remove_dir_all)
    }

    fn end(mut self, how: Signal) -> io::Result<()> {
        stop(&mut self.child, how)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `end` the process has been waited for and this finds nothing to do.
        let _ = stop(&mut self.child, Signal::TERM);
    }
}

/// Signals the process and waits; one that doesn't end within ten seconds is killed.
fn stop(child: &mut Child, how: Signal) -> io::Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        kill_process(pid, how)?;
    }
    let start = now();
    while start.elapsed() < Duration::from_secs(10) {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait().map(drop)
}

fn portolan(binary: &Path, data: &Path, addr: SocketAddr, who: Contestant) -> Command {
    let mut command = Command::new(binary);
    command.arg("serve").arg("--data").arg(data).args(["--listen", &addr.to_string()]);
    command.env("PORTOLAN_ADMIN_PASSWORD", PASSWORD);
    if who == Contestant::PortolanUnsynced {
        command.env("PORTOLAN__STORAGE__SYNC", "off");
    }
    command
}

fn registry(home: &Path, data: &Path, addr: SocketAddr) -> io::Result<Command> {
    let config = home.join("config.yml");
    // The descriptor cache as in Debian's own configuration; nothing else that costs or saves time.
    fs::write(
        &config,
        format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  cache:\n    blobdescriptor: \
             inmemory\n  filesystem:\n    rootdirectory: {}\n  maintenance:\n    uploadpurging:\n      enabled: false\n\
             http:\n  addr: {addr}\n  secret: bench\nhealth:\n  storagedriver:\n    enabled: false\n",
            data.display()
        ),
    )?;
    let mut command = Command::new(REGISTRY);
    command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
    Ok(command)
}

fn nginx(home: &Path, data: &Path, addr: SocketAddr, who: Contestant) -> io::Result<Command> {
    let reading = if who == Contestant::NginxSendfile {
        "sendfile on; tcp_nopush on; open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s;"
    } else {
        "sendfile off; output_buffers 2 256k;"
    };
    // Workers of a root master drop to another user, who couldn't enter the run's directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/temp-{kind}; ", home.display()))
        .collect();
    let config = home.join("nginx.conf");
    fs::write(
        &config,
        format!(
            "{user} worker_processes {NGINX_WORKERS}; daemon off; pid {home}/pid; error_log stderr crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; {temp}{reading} default_type application/octet-stream;\n\
             keepalive_timeout 600s; keepalive_requests 1000000000;\n\
             server {{ listen {addr}; root {data}; }} }}\n",
            home = home.display(),
            data = data.display(),
        ),
    )?;
    fs::create_dir_all(data.join("blobs"))?;
    fs::create_dir_all(data.join("manifests"))?;
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(home).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(command)
}

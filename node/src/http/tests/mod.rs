//! The edge over real connections: a server on a loopback port, engines that forget behind it.

mod asking;
mod audit;
mod bodies;
mod connections;
mod content;
mod labelled;
mod login;
mod matrix;
mod operation;
mod people;
mod programs;
mod projects;
mod sessions;
mod settings;
mod shelf;
mod undelete;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use protocol::seam::{Clock, Entropy, FileSystem};
use protocol::{Digest, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{AppState, Parts, Server, Settings};
use crate::auth::{AuthRules, Authenticator, OpenAuth, Secret};
use crate::config::{Config, Create, Period};
use crate::directory::Directory;
use crate::policy::Gate;
use crate::registry::maintenance::{Upkeep, UpkeepParts};
use crate::registry::{OpenRegistry, Registry, Rules};
use crate::storage::audit::{Audit, AuditLog, AuditParts};
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::redb::{OpenRedb, RedbMeta};
use crate::storage::meta::{Act, MetaStore, Project};
use crate::storage::snapshots::Snapshots;
use crate::storage::store::Store;
use crate::storage::uploads::tests::Yard;
use crate::storage::{Health, Room, RoomLimits};
use crate::telemetry::Metrics;
use crate::workers::Scope;
use crate::world::scratch::Scratch;
use crate::world::{RealClock, RealDisk, RealEntropy};

const PASSWORD: &str = "correct horse";

/// A node's edge on a loopback port.
struct Edge {
    address: std::net::SocketAddr,
    app: Arc<AppState>,
    scope: Scope,
    health: Health,
    dir: Scratch,
    _yard: Yard,
}

/// Its writer has a scope of its own, which outlives the requests.
fn open_meta(dir: &Scratch, health: &Health) -> RedbMeta {
    RedbMeta::open(OpenRedb {
        fs: Arc::new(RealDisk),
        path: dir.path("meta.redb"),
        cache: 1 << 20,
        sync: false,
        health: health.clone(),
        author: crate::storage::meta::tests_author(),
        scope: Scope::new(),
    })
    .unwrap()
}

fn upkeep(store: &Arc<Store>, meta: Arc<RedbMeta>, dir: &Scratch, scope: &Scope) -> Arc<Upkeep> {
    let (clock, fs): (Arc<dyn Clock>, Arc<dyn FileSystem>) = (Arc::new(RealClock::new()), Arc::new(RealDisk));
    let snapshots = Snapshots { meta, fs: Arc::clone(&fs), dir: dir.path("snapshots"), kept: 3, scope: scope.clone() };
    fs.create_dir_all(&snapshots.dir).unwrap();
    let limits = RoomLimits { ballast: 0, refuse_uploads_at: 100, keep_free: 0 };
    let room = Room::open(fs, dir.root().into(), limits, Arc::clone(&clock)).unwrap();
    let (store, data) = (Arc::clone(store), dir.root().display().to_string());
    let audit = audit(&store, dir, scope);
    Upkeep::new(UpkeepParts { store, audit, room, snapshots, scrub_rate: 1 << 30, clock, scope: scope.clone(), data })
}

fn audit(store: &Arc<Store>, dir: &Scratch, scope: &Scope) -> Arc<Audit> {
    let (fs, dir): (Arc<dyn FileSystem>, _) = (Arc::new(RealDisk), dir.path("audit"));
    let log = AuditLog::open(Arc::clone(&fs), dir.clone(), Health::new()).unwrap();
    let (store, clock, scope) = (Arc::clone(store), Arc::new(RealClock::new()), scope.clone());
    Audit::new(AuditParts { log, fs, dir, sync: false, store, clock, scope })
}

async fn public_project(meta: &dyn MetaStore) {
    let act = Act { actor: "test".into(), at: Timestamp(1), request: "r".into(), via: Default::default() };
    let project = Project { name: "open".parse().unwrap(), public: true, sparse: false, created: Timestamp(1) };
    assert!(meta.create_project(project, act).await.unwrap());
}

impl Edge {
    async fn start() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        Self::at(config, Arc::new(RealClock::new())).await
    }

    /// One whose accounts live by `time`; its connections live by the real one.
    async fn at(mut config: Config, time: Arc<dyn Clock>) -> Self {
        config.http.listen = "127.0.0.1:0".into();
        let (dir, scope) = (Scratch::new(), Scope::new());
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(RealEntropy);
        let yard = Yard::new();
        let health = yard.health.clone();
        let meta = Arc::new(open_meta(&dir, &health));
        let blobs = Arc::new(MemoryBlobs::new(Arc::clone(&clock)));
        let store = yard.store(Arc::<RedbMeta>::clone(&meta), blobs);
        public_project(store.meta()).await;
        let rules =
            AuthRules { token_ttl: Duration::from_secs(300), cache_ttl: Duration::from_secs(3600), password_checks: 2 };
        let directory = Directory::open(Arc::clone(&store), scope.clone()).await.unwrap();
        let auth = OpenAuth {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            clock: Arc::clone(&time),
            entropy: Arc::clone(&entropy),
            tasks: scope.clone(),
            rules,
        };
        let (authenticator, _) = Authenticator::open(auth, Some(Secret::new(PASSWORD))).await.unwrap();
        let rules = Rules { create: Create::Push, page: config.limits.page as usize };
        let app = AppState::new(Parts {
            registry: Registry::new(OpenRegistry {
                store: Arc::clone(&store),
                directory: Arc::clone(&directory),
                scope: scope.clone(),
                clock: time,
                entropy: Arc::clone(&entropy),
                rules,
                upkeep: upkeep(&store, meta, &dir, &scope),
            }),
            gate: Gate::new(directory),
            authenticator: Arc::new(authenticator),
            health: health.clone(),
            scope: scope.clone(),
            metrics: Arc::new(Metrics::new()),
            clock: Arc::clone(&clock),
            entropy,
            settings: Settings::new(&config.http, &config.limits),
        });
        let server = Server::bind(&config.http, &config.limits, Some(&dir.path("s")), clock).await.unwrap();
        let address = server.bound().main;
        server.serve(&app, &scope);
        app.readiness().ready();
        Self { address, app, scope, health, dir, _yard: yard }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request as it stands and reads to the end of the connection.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let _ = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
        Answer::read(&bytes)
    }

    /// A request with `headers` (each ending in CRLF) and a body of known length.
    async fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() && method == "GET" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: reg.example\r\nConnection: close\r\n{length}{headers}\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        self.raw(request).await
    }

    /// As the administrator.
    async fn admin(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        self.send(method, target, &format!("{}{headers}", basic()), body).await
    }

    /// Has the audit log take in what waits.
    async fn drain(&self) {
        self.app.parts.registry.upkeep_for_tests().audit().drain().await.unwrap();
    }

    async fn push_blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let pushed = self.admin("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), "", bytes).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        digest
    }
}

fn basic() -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("admin:{PASSWORD}"));
    format!("Authorization: Basic {encoded}\r\n")
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn quick() -> Config {
    let mut config = Config::default();
    config.limits.head_timeout = Period(Duration::from_millis(300));
    config.limits.idle_timeout = Period(Duration::from_millis(500));
    config.limits.connections_per_address = 4;
    config.http.drain = Period(Duration::from_millis(500));
    config
}

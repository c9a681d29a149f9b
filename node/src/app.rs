//! Wires the rooms together: the only file that sees everything.
//!
//! Start: data directory and its lock, storage (recovered), accounts, rules, listeners bound, then ready. Stop: not ready
//! any more, no new connections, running requests finish or their time is over, workers end, events reach the audit log,
//! storage closes. A second signal does not wait.

mod ground;
mod recovery;
mod turns;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::seam::{Access, Clock, DirEntry, Entropy, EntryKind, File, FileSystem};
use tokio::sync::mpsc;

use crate::auth::{AuthError, AuthRules, Authenticator, OpenAuth, Secret};
use crate::cli::Host;
use crate::cli::welcome::{self, Address, AdminPassword};
use crate::config::{self, Config};
use crate::directory::{Directory, DirectoryError};
use crate::http::{self, AppState, Bound, Parts, Server};
use crate::policy::Gate;
use crate::registry::maintenance::{Upkeep, UpkeepParts};
use crate::registry::{OpenRegistry, Registry, Rules};
use crate::storage::Health;
use crate::storage::audit::schedule::ASKED_EVERY;
use crate::storage::audit::{Audit, AuditError, AuditLog, AuditParts};
use crate::storage::blobs::files::FileBlobs;
use crate::storage::identity::{self, IdentityError};
use crate::storage::meta::MetaError;
use crate::storage::meta::redb::{OpenRedb, RedbMeta, newest_good};
use crate::storage::rebuild::Rebuild;
use crate::storage::room::{Room, RoomLimits};
use crate::storage::snapshots::Snapshots;
use crate::storage::store::{Engines, Leases, Store, StoreError};
use crate::storage::uploads::{OpenUploads, UploadLimits, Uploads};
use crate::telemetry::{self, Gauges, Metrics};
use crate::workers::Scope;
use crate::world::{NoSync, RealClock, RealDisk, RealEntropy};

use turns::{
    Drain, Turn, collect, drain_audit, housekeeping, left_of, note_pulls, purge_audit, repeat, scrub, snapshot,
};

pub use ground::Ground;
pub use recovery::rebuild_index;

/// Where the operator sets the administrator's password.
const PASSWORD_VARIABLE: &str = "PORTOLAN_ADMIN_PASSWORD";

/// The metadata's file in the data directory.
const METADATA: &str = "meta.redb";

/// How the name begins under which a rebuild keeps the metadata it replaced.
const SET_ASIDE: &str = "meta.redb.before-";

/// Longest wait for background work to end after the last request.
const WORKERS_END: Duration = Duration::from_secs(20);

/// How often events are moved to the audit log.
const AUDIT_PERIOD: Duration = Duration::from_secs(1);

/// Pulls are counted in memory and noted this often: what a crash loses of the counts.
const PULLS_PERIOD: Duration = Duration::from_secs(5);

/// How often expired sessions are given up and the ballast is looked after.
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(30);

/// The world a node lives in.
#[derive(Clone, Debug)]
pub struct World {
    /// The disk.
    pub fs: Arc<dyn FileSystem>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl World {
    /// The real one.
    #[must_use]
    pub fn real() -> Self {
        Self { fs: Arc::new(RealDisk), clock: Arc::new(RealClock::new()), entropy: Arc::new(RealEntropy) }
    }
}

/// Why a node did not start, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Content without its index: an empty one beside it would take every blob for an orphan.
    #[error(
        "the data directory {0} holds content and no metadata (meta.redb): put it back, or run `portolan \
         rebuild-index`, which starts from the newest snapshot and the blobs"
    )]
    NoMetadata(String),
    /// Another node holds the data directory.
    #[error("another node holds the data directory {0}: stop it, or give this one another with --data")]
    Locked(String),
    /// The data directory.
    #[error("the data directory {0} can't be used: {1}")]
    Data(String, io::Error),
    /// The metadata.
    #[error("the metadata can't be opened: {0}. If it is damaged, `portolan rebuild-index` starts from a snapshot")]
    Meta(#[from] MetaError),
    /// The node's key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The accounts.
    #[error("the accounts can't be opened: {0}")]
    Auth(#[from] AuthError),
    /// Who and what is governed.
    #[error("who and what is governed can't be read: {0}")]
    Directory(#[from] DirectoryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener, or its certificate.
    #[error(transparent)]
    Listen(#[from] http::BindError),
    /// The runtime, or its signals.
    #[error("the process can't be set up: {0}")]
    Process(io::Error),
    /// The logs.
    #[error(transparent)]
    Log(#[from] telemetry::logs::LogError),
    /// Signalled twice, or work that would not end.
    #[error("stopped before everything had ended")]
    Aborted,
}

/// What the commands need of the program, in this world.
#[must_use]
pub fn host(world: World) -> Host {
    let (for_serve, for_rebuild) = (world.clone(), world.clone());
    Host {
        clock: world.clock,
        file_system: world.fs,
        serve: Arc::new(move |config| serve(&config, &for_serve).map_err(|e| e.to_string())),
        rebuild_index: Arc::new(move |config| rebuild_index(&config, &for_rebuild).map_err(|e| e.to_string())),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ServeError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Process)
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// [`ServeError`].
pub fn serve(config: &Config, world: &World) -> Result<(), ServeError> {
    telemetry::logs::init(&config.log)?;
    let world = world_for(config, world);
    let runtime = runtime()?;
    let outcome = runtime.block_on(run(config, &world));
    // Threads that hang in the kernel must not keep the process: what they held is recovered at the next start.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn world_for(config: &Config, world: &World) -> World {
    match config.storage.sync {
        config::Sync::On => world.clone(),
        config::Sync::Off => {
            tracing::warn!("storage.sync is off: a power cut loses acknowledged pushes");
            World { fs: Arc::new(NoSync::<dyn FileSystem>::new(Arc::clone(&world.fs))), ..world.clone() }
        }
    }
}

async fn run(config: &Config, world: &World) -> Result<(), ServeError> {
    let mut signals = Signals::listen().map_err(ServeError::Process)?;
    let node = Node::open(config, world).await?;
    let socket = config.storage.data.join(crate::cli::SOCKET);
    let clock = Arc::clone(&world.clock);
    let server = Server::bind(&config.http, &config.limits, Some(&socket), clock).await?;
    let bound = server.bound().clone();
    node.upkeep.listens_on(addresses(&bound));
    node.start_workers(config).await;
    server.serve(&node.app, &node.requests);
    node.app.readiness().ready();
    node.announce(config, world, &bound);
    tracing::info!(listen = ?addresses(&bound), "ready");
    signals.next().await;
    tracing::info!("stopping: running requests may finish; a second signal does not wait");
    tokio::select! {
        outcome = node.stop(config) => outcome,
        () = signals.next() => {
            tracing::warn!("stopped at once");
            Err(ServeError::Aborted)
        }
    }
}

fn addresses(bound: &Bound) -> Vec<String> {
    let scheme = if bound.tls { "https" } else { "http" };
    let telemetry = bound.telemetry.map(|address| format!("http://{address}"));
    std::iter::once(format!("{scheme}://{}", bound.main)).chain(telemetry).collect()
}

/// A node, opened and not yet listening.
struct Node {
    app: Arc<AppState>,
    upkeep: Arc<Upkeep>,
    store: Arc<Store>,
    registry: Registry,
    audit: Arc<Audit>,
    clock: Arc<dyn Clock>,
    /// Requests and what they start.
    requests: Scope,
    /// What runs now and then.
    workers: Scope,
    /// The writer of the metadata.
    engines: Scope,
    password: AdminPassword,
    first_start: bool,
    _lock: Arc<dyn File>,
}

impl Node {
    async fn open(config: &Config, world: &World) -> Result<Self, ServeError> {
        let requests = Scope::new();
        let first_start = world.fs.file_len(&config.storage.data.join(METADATA)).ok().flatten().is_none();
        let data = &config.storage.data;
        http::operator::keep_private(data).map_err(|error| ServeError::Data(data.display().to_string(), error))?;
        let ground = Ground::open(config, world, &requests)?;
        let Ground { store, room, snapshots, health, audit, engines, _lock } = ground;
        let directory = Directory::open(Arc::clone(&store), requests.clone()).await?;
        directory.make_library(&*world.entropy).await?;
        let (authenticator, password) = open_auth(config, world, (&store, &directory), &requests).await?;
        let audit = Audit::new(AuditParts {
            log: audit,
            fs: Arc::clone(&world.fs),
            dir: config.storage.data.join("audit"),
            sync: config.storage.sync == config::Sync::On,
            store: Arc::clone(&store),
            clock: Arc::clone(&world.clock),
            scope: requests.clone(),
        });
        let upkeep = Upkeep::new(UpkeepParts {
            store: Arc::clone(&store),
            audit: Arc::clone(&audit),
            room,
            snapshots,
            scrub_rate: config.scrub.rate.0,
            clock: Arc::clone(&world.clock),
            scope: requests.clone(),
            data: config.storage.data.display().to_string(),
        });
        let rules = Rules { create: config.projects.create, page: config.limits.page as usize };
        let registry = Registry::new(OpenRegistry {
            store: Arc::clone(&store),
            directory: Arc::clone(&directory),
            scope: requests.clone(),
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            rules,
            upkeep: Arc::clone(&upkeep),
        });
        registry.obey_configuration();
        let metrics = Arc::new(Metrics::new());
        let workers = Scope::new();
        metrics.watch({
            let (upkeep, scopes) = (Arc::clone(&upkeep), [requests.clone(), workers.clone(), engines.clone()]);
            move || Gauges { task_panics: scopes.iter().map(Scope::panics).sum(), ..gauges(&upkeep) }
        });
        let app = AppState::new(Parts {
            registry: registry.clone(),
            gate: Gate::new(directory),
            authenticator: Arc::new(authenticator),
            health,
            scope: requests.clone(),
            metrics,
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            settings: http::Settings::new(&config.http, &config.limits),
        });
        let clock = Arc::clone(&world.clock);
        let password = password.map_or(AdminPassword::Given, |made| AdminPassword::Made(made.reveal().into()));
        Ok(Self {
            app,
            upkeep,
            store,
            registry,
            audit,
            clock,
            requests,
            workers,
            engines,
            password,
            first_start,
            _lock,
        })
    }

    /// Writes the address where programs find it, and says it where people do.
    /// A full disk is no reason not to start: pulls still work, and deletes make room.
    fn announce(&self, config: &Config, world: &World, bound: &Bound) {
        let address = Address::of(config, bound.main, &host_name());
        let file = config.storage.data.join("address");
        self.store.make_room();
        if let Err(error) = write_address(&*world.fs, &file, bound) {
            tracing::warn!(file = %file.display(), %error, "programs can't find the address of this node there");
        }
        let data = config.storage.data.display().to_string();
        let text = match (&self.password, self.first_start) {
            (AdminPassword::Made(_), _) | (AdminPassword::Given, true) => {
                welcome::first_start(&address, &data, &self.password)
            }
            (AdminPassword::Given, false) => welcome::started(&address, &data),
        };
        crate::cli::terminal::say(&text);
    }

    async fn start_workers(&self, config: &Config) {
        let every = |name, period, first, work| {
            repeat(&self.workers, Arc::clone(&self.clock), Turn { name, period, first }, work);
        };
        // What a crash left unwritten, or someone cut, is seen to at once, and the index follows.
        drain_audit(self.workers.clone(), Arc::clone(&self.audit), Drain::Always).await;
        let (audit, scope, registry) = (Arc::clone(&self.audit), self.workers.clone(), self.registry.clone());
        every(
            "audit",
            AUDIT_PERIOD,
            AUDIT_PERIOD,
            Box::new(move || {
                // Other sites change settings, too.
                registry.obey_configuration();
                Box::pin(drain_audit(scope.clone(), Arc::clone(&audit), Drain::IfAnyWaits))
            }),
        );
        let (audit, clock) = (Arc::clone(&self.audit), Arc::clone(&self.clock));
        every(
            "audit purge",
            ASKED_EVERY,
            ASKED_EVERY,
            Box::new(move || Box::pin(purge_audit(Arc::clone(&audit), clock.now()))),
        );
        let registry = self.registry.clone();
        every("pulls", PULLS_PERIOD, PULLS_PERIOD, Box::new(move || Box::pin(note_pulls(registry.clone()))));
        let (upkeep, store, scope) = (Arc::clone(&self.upkeep), Arc::clone(&self.store), self.workers.clone());
        let directory = Arc::clone(self.registry.directory());
        every(
            "housekeeping",
            HOUSEKEEPING_PERIOD,
            HOUSEKEEPING_PERIOD,
            Box::new(move || {
                let house = (Arc::clone(&upkeep), Arc::clone(&store), Arc::clone(&directory));
                Box::pin(housekeeping(scope.clone(), house))
            }),
        );
        let (upkeep, app) = (Arc::clone(&self.upkeep), Arc::clone(&self.app));
        every(
            "gc",
            config.gc.every.0,
            config.gc.every.0,
            Box::new(move || Box::pin(collect(Arc::clone(&upkeep), Arc::clone(&app)))),
        );
        // What runs seldom counts its period over restarts, or a node restarted each night would never do it.
        let (upkeep, period) = (Arc::clone(&self.upkeep), config.storage.snapshot_every.0);
        let first = left_of(period, self.upkeep.snapshot_age());
        every("snapshot", period, first, Box::new(move || Box::pin(snapshot(Arc::clone(&upkeep)))));
        let period = config.scrub.every.0;
        if !period.is_zero() {
            let (upkeep, app) = (Arc::clone(&self.upkeep), Arc::clone(&self.app));
            let first = left_of(period, self.upkeep.scrub_age().await);
            every("scrub", period, first, Box::new(move || Box::pin(scrub(Arc::clone(&upkeep), Arc::clone(&app)))));
        }
    }

    async fn stop(&self, config: &Config) -> Result<(), ServeError> {
        self.app.readiness().draining();
        // The server cuts what is left after its own limit; the rest is for work that outlives its request.
        let mut left = self.requests.stop(config.http.drain.0 + WORKERS_END).await;
        left += self.workers.stop(WORKERS_END).await;
        note_pulls(self.registry.clone()).await;
        drain_audit(Scope::new(), Arc::clone(&self.audit), Drain::IfAnyWaits).await;
        left += self.engines.stop(WORKERS_END).await;
        tracing::info!(left, "stopped");
        if left == 0 { Ok(()) } else { Err(ServeError::Aborted) }
    }
}

async fn open_auth(
    config: &Config,
    world: &World,
    (store, directory): (&Arc<Store>, &Arc<Directory>),
    tasks: &Scope,
) -> Result<(Authenticator, Option<Secret>), ServeError> {
    let set = std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty()).map(Secret::new);
    let parts = OpenAuth {
        store: Arc::clone(store),
        directory: Arc::clone(directory),
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy),
        tasks: tasks.clone(),
        rules: AuthRules {
            token_ttl: config.auth.token_ttl.0,
            cache_ttl: config.auth.credential_cache.0,
            password_checks: config.limits.password_checks as usize,
        },
    };
    Ok(Authenticator::open(parts, set).await?)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// One line, complete or absent: written beside and moved into place.
fn write_address(fs: &dyn FileSystem, file: &Path, bound: &Bound) -> io::Result<()> {
    let scheme = if bound.tls { "https" } else { "http" };
    let part = PathBuf::from(format!("{}.part", file.display()));
    let handle = fs.open(&part, Access::Create)?;
    handle.set_len(0)?;
    handle.write_all_at(format!("{scheme}://{}\n", bound.main).as_bytes(), 0)?;
    fs.rename(&part, file)
}

/// The store's numbers as of now. The embedded engine answers reads at once; one that does not is left out.
fn gauges(upkeep: &Upkeep) -> Gauges {
    use std::task::{Context, Poll, Waker};
    let mut status = std::pin::pin!(upkeep.status());
    let Poll::Ready(Ok(status)) = status.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        return Gauges::default();
    };
    Gauges {
        blobs: status.counts.blobs,
        bytes: status.counts.bytes,
        manifests: status.counts.manifests,
        tags: status.counts.tags,
        repositories: status.counts.repositories,
        gc_candidates: status.counts.candidates,
        uploads_open: status.uploads,
        disk_total: status.disk.total,
        disk_available: status.disk.available,
        read_only: status.read_only.is_some(),
        task_panics: 0,
    }
}

/// SIGTERM and SIGINT, one after the other.
struct Signals(mpsc::Receiver<()>);

impl Signals {
    #[expect(clippy::disallowed_methods, reason = "it lives as long as the process, before and after every scope")]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (sender, receiver) = mpsc::channel(2);
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let (mut stream, sender) = (signal(kind)?, sender.clone());
            tokio::spawn(async move { while stream.recv().await.is_some() && sender.send(()).await.is_ok() {} });
        }
        Ok(Self(receiver))
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests;

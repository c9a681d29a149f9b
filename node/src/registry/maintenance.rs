//! Looking after a node: status, garbage collection, scrub, snapshots. For administrators, and for the node itself.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::Clock;
use serde::{Deserialize, Serialize};

use super::{Fault, Registry};
use crate::policy::AdminPermit;
use crate::storage::audit::{Audit, AuditError, AuditSink, Verified};
use crate::storage::meta::Counts;
use crate::storage::room::Room;
use crate::storage::scrub::Scrub;
use crate::storage::snapshots::Snapshots;
use crate::storage::store::StoreError;
use crate::storage::{Store, room};
use crate::workers::Scope;

pub use crate::storage::scrub::ScrubReport;
pub use crate::storage::store::GcReport;

/// Setting: when the last scrub came to the end of what there is, in milliseconds.
const SCRUBBED: &str = "scrub.ended";

/// Room on the disk, as the node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Size in bytes.
    pub total: u64,
    /// Bytes left.
    pub available: u64,
    /// Why uploads are refused at the moment, if they are.
    pub refusing_uploads: Option<String>,
    /// Whether the ballast file is in place.
    pub ballast: bool,
}

impl From<room::RoomStatus> for DiskStatus {
    fn from(room: room::RoomStatus) -> Self {
        let room::RoomStatus { total, available, refusing_uploads, ballast } = room;
        Self { total, available, refusing_uploads, ballast }
    }
}

/// The last run of something that runs now and then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun<T> {
    /// When it ended.
    pub ended: Timestamp,
    /// What it did; the text of the error when it failed.
    pub outcome: Result<T, String>,
}

/// A node at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Addresses it listens on.
    pub listen: Vec<String>,
    /// The data directory.
    pub data: String,
    /// Why the store takes no writes; `None` when it does.
    pub read_only: Option<String>,
    /// How much there is.
    pub counts: Counts,
    /// Room on the disk.
    pub disk: DiskStatus,
    /// Open upload sessions.
    pub uploads: u64,
    /// The last garbage collection.
    pub gc: Option<LastRun<GcReport>>,
    /// The last scrub.
    pub scrub: Option<LastRun<ScrubReport>>,
    /// The last metadata snapshot.
    pub snapshot: Option<Timestamp>,
    /// Ids that more than one project, person, group, robot or role have, and who: "user 9: ann, ben".
    #[serde(default)]
    pub contested_ids: Vec<String>,
}

/// What upkeep needs of the node.
#[derive(Debug)]
pub struct UpkeepParts {
    /// What is kept.
    pub store: Arc<Store>,
    /// What was done.
    pub audit: Arc<Audit>,
    /// Room on the disk.
    pub room: Room,
    /// Copies of the metadata.
    pub snapshots: Snapshots,
    /// Most bytes a scrub reads in a second.
    pub scrub_rate: u64,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where runs go on when whoever asked hangs up.
    pub scope: Scope,
    /// The data directory, for people.
    pub data: String,
}

/// Runs what keeps a node healthy, each kind one at a time, and remembers how the last run went.
#[derive(Debug)]
pub struct Upkeep {
    parts: UpkeepParts,
    started: (Timestamp, Duration),
    listen: OnceLock<Vec<String>>,
    gc: Runs<GcReport>,
    scrub: Runs<ScrubReport>,
    snapshot: tokio::sync::Mutex<()>,
}

/// The runs of one kind.
#[derive(Debug)]
struct Runs<T> {
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<LastRun<T>>>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { turn: tokio::sync::Mutex::default(), last: Mutex::default() }
    }
}

impl<T: Clone> Runs<T> {
    fn last(&self) -> Option<LastRun<T>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, ended: Timestamp, outcome: &Result<T, StoreError>) {
        let outcome = match outcome {
            Ok(done) => Ok(done.clone()),
            Err(error) => Err(error.to_string()),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastRun { ended, outcome });
    }
}

impl Upkeep {
    /// Upkeep of a node that starts now.
    #[must_use]
    pub fn new(parts: UpkeepParts) -> Arc<Self> {
        let started = (parts.clock.now(), parts.clock.monotonic());
        Arc::new(Self {
            parts,
            started,
            listen: OnceLock::new(),
            gc: Runs::default(),
            scrub: Runs::default(),
            snapshot: tokio::sync::Mutex::default(),
        })
    }

    /// Notes the addresses the node listens on; the first call counts.
    pub fn listens_on(&self, addresses: Vec<String>) {
        let _ = self.listen.set(addresses);
    }

    /// Collects garbage. A dry run waits for no one and is remembered by no one. A run ends early when the node stops:
    /// what is left are candidates still.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn collect_garbage(&self, dry_run: bool) -> Result<GcReport, StoreError> {
        let stop = || self.parts.scope.is_stopping();
        if dry_run {
            return self.parts.store.collect_garbage(true, stop).await;
        }
        let _turn = self.gc.turn.lock().await;
        let outcome = self.parts.store.collect_garbage(false, stop).await;
        self.gc.remember(self.parts.clock.now(), &outcome);
        outcome
    }

    /// Reads every blob again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scrub(&self) -> Result<ScrubReport, StoreError> {
        let _turn = self.scrub.turn.lock().await;
        let parts = &self.parts;
        let scrub =
            Scrub::new(Arc::clone(&parts.store), Arc::clone(&parts.clock), parts.scope.clone(), parts.scrub_rate);
        let outcome = scrub.run().await;
        let ended = parts.clock.now();
        self.scrub.remember(ended, &outcome);
        if outcome.as_ref().is_ok_and(|report| report.complete) && parts.store.health().read_only().is_none() {
            // A note that is lost costs a scrub too early, no more.
            if let Err(error) = parts.store.meta().put_setting(SCRUBBED, ended.0.to_be_bytes().into()).await {
                tracing::warn!(%error, "the end of the scrub could not be noted");
            }
        }
        outcome
    }

    /// How long ago a scrub last came to its end, in this process or before; `None` when that is not known. One that
    /// was stopped half-way does not count: it goes on where it was.
    pub async fn scrub_age(&self) -> Option<Duration> {
        let noted = self.parts.store.meta().setting(SCRUBBED).await.ok().flatten()?;
        Some(self.age(Timestamp(u64::from_be_bytes(noted.try_into().ok()?))))
    }

    /// The audit log. Who asks for it has shown a permit, or is the node.
    #[must_use]
    pub const fn audit(&self) -> &Arc<Audit> {
        &self.parts.audit
    }

    /// How long ago the newest snapshot was taken; `None` when there is none.
    #[must_use]
    pub fn snapshot_age(&self) -> Option<Duration> {
        self.parts.snapshots.newest().map(|taken| self.age(taken))
    }

    /// A time to come (the wall clock was set back) is now.
    fn age(&self, then: Timestamp) -> Duration {
        Duration::from_millis(self.parts.clock.now().0.saturating_sub(then.0))
    }

    /// Copies the metadata; returns as of when.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot(&self) -> Result<Timestamp, StoreError> {
        let _turn = self.snapshot.lock().await;
        let now = self.parts.clock.now();
        self.parts.snapshots.take(now).await?;
        Ok(now)
    }

    /// Takes the ballast's room again when there is room to spare.
    pub fn restore_ballast(&self) {
        if let Err(error) = self.parts.room.restore_ballast() {
            tracing::debug!(%error, "the ballast file is not in place");
        }
    }

    /// The node at a glance, but for what is governed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn status(&self) -> Result<Status, StoreError> {
        let parts = &self.parts;
        let uptime = parts.clock.monotonic().saturating_sub(self.started.1);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            started: self.started.0,
            uptime_seconds: uptime.as_secs(),
            listen: self.listen.get().cloned().unwrap_or_default(),
            data: parts.data.clone(),
            read_only: parts.store.health().read_only().map(|fallen| fallen.cause.clone()),
            counts: parts.store.meta().counts().await?,
            disk: parts.room.status().map(DiskStatus::from).unwrap_or_default(),
            uploads: parts.store.uploads().count(),
            gc: self.gc.last(),
            scrub: self.scrub.last(),
            snapshot: parts.snapshots.newest(),
            contested_ids: Vec::new(),
        })
    }
}

impl Registry {
    /// A node at a glance.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn status(&self, _permit: &AdminPermit) -> Result<Status, Fault> {
        let contested = self.directory.read(crate::directory::Book::contested);
        let contested_ids = contested.iter().map(ToString::to_string).collect();
        Ok(Status { contested_ids, ..self.upkeep.status().await? })
    }

    /// Collects garbage now; `dry_run` only reports. A run goes on when whoever asked hangs up.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn collect_garbage(&self, _permit: &AdminPermit, dry_run: bool) -> Result<GcReport, Fault> {
        let upkeep = Arc::clone(&self.upkeep);
        Ok(self.scope.run("collect garbage", async move { upkeep.collect_garbage(dry_run).await }).await??)
    }

    /// Reads every blob again now. A run goes on when whoever asked hangs up.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn scrub(&self, _permit: &AdminPermit) -> Result<ScrubReport, Fault> {
        let upkeep = Arc::clone(&self.upkeep);
        Ok(self.scope.run("scrub", async move { upkeep.scrub().await }).await??)
    }

    /// The audit log: finding, purging, the schedule.
    #[must_use]
    pub fn audit(&self, _permit: &AdminPermit) -> &Arc<Audit> {
        self.upkeep.audit()
    }

    /// Where log-ins, refusals and pulls are noted.
    #[must_use]
    pub fn audit_sink(&self) -> &AuditSink {
        self.upkeep.audit().sink()
    }

    /// Walks the whole audit log.
    ///
    /// # Errors
    /// [`AuditError`]; a broken chain is a finding.
    pub async fn verify_audit(&self, _permit: &AdminPermit) -> Result<Verified, AuditError> {
        self.upkeep.audit().verify().await
    }

    /// Makes a consistent copy of the metadata now; returns when it was made.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn snapshot(&self, _permit: &AdminPermit) -> Result<Timestamp, Fault> {
        let upkeep = Arc::clone(&self.upkeep);
        Ok(self.scope.run("snapshot", async move { upkeep.snapshot().await }).await??)
    }
}

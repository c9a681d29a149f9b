//! The audit log as the floors above use it: one handle for writing, finding, verifying and purging.
//!
//! Owns the log, its index, the runs of purges, and two settings of the metadata: the schedule of purges and their history.
//! Locks are taken in the order turn, log, index.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::seam::{Clock, FileSystem};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::index::{AuditIndex, Filter, Found, Order};
use super::log::{AuditLog, HEAD, Head, segments};
use super::purge::{PurgeReport, PurgeRules};
use super::runs::{PurgeParameters, PurgeState, Purged};
use super::schedule::{Schedule, ScheduleKind};
use super::sink::AuditSink;
use super::verify::{Verified, verify};
use super::{AuditError, Entry};
use crate::storage::Store;
use crate::storage::meta::{Act, MetaStore};
use crate::workers::Scope;

const SCHEDULE: &str = "audit.purge.schedule";
const HISTORY: &str = "audit.purge.history";

/// Purges remembered.
const REMEMBERED: usize = 100;

/// Purges that may wait for their turn, with the one that runs.
const WAITING: usize = 8;

/// What the handle is made of.
#[derive(Debug)]
pub struct AuditParts {
    /// The log.
    pub log: AuditLog,
    /// The disk it is on.
    pub fs: Arc<dyn FileSystem>,
    /// Its directory.
    pub dir: PathBuf,
    /// Whether the index is synced.
    pub sync: bool,
    /// Where events come from and settings are kept.
    pub store: Arc<Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where work that waits for the disk runs.
    pub scope: Scope,
}

/// The audit log. One a node.
#[derive(Debug)]
pub struct Audit {
    log: tokio::sync::Mutex<AuditLog>,
    index: tokio::sync::Mutex<AuditIndex>,
    /// Purges and walks through the log, one at a time.
    turn: tokio::sync::Mutex<()>,
    /// The history of purges, while it is read and written again.
    history: tokio::sync::Mutex<()>,
    /// The purges that wait or run, and whether they were asked to stop.
    running: Mutex<BTreeMap<u64, Arc<AtomicBool>>>,
    /// Whether the last attempt to write failed.
    failing: AtomicBool,
    sink: AuditSink,
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    scope: Scope,
}

impl Audit {
    /// The handle.
    #[must_use]
    pub fn new(parts: AuditParts) -> Arc<Self> {
        let AuditParts { log, fs, dir, sync, store, clock, scope } = parts;
        let index = AuditIndex::new(Arc::clone(&fs), dir.clone(), sync);
        let (sink, log, index) = (log.sink().clone(), log.into(), index.into());
        Arc::new(Self {
            log,
            index,
            turn: tokio::sync::Mutex::default(),
            history: tokio::sync::Mutex::default(),
            running: Mutex::default(),
            failing: AtomicBool::new(false),
            sink,
            fs,
            dir,
            store,
            clock,
            scope,
        })
    }

    fn meta(&self) -> &dyn MetaStore {
        self.store.meta()
    }

    /// Where entries come in that are no events of the store. Cheap to clone, never waits.
    #[must_use]
    pub const fn sink(&self) -> &AuditSink {
        &self.sink
    }

    /// Whether nothing waits to be written.
    pub async fn is_idle(&self) -> bool {
        self.sink.is_empty() && self.meta().outbox(1).await.is_ok_and(|waiting| waiting.is_empty())
    }

    /// Writes what waits, and has the index follow. Waits for the disk: run it where that is allowed.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn drain(&self) -> Result<u64, AuditError> {
        let mut log = self.log.lock().await;
        let moved = log.drain(self.meta()).await;
        self.failing.store(moved.is_err(), Ordering::Relaxed);
        let moved = moved?;
        self.index.lock().await.catch_up(log.head().seq)?;
        Ok(moved)
    }

    /// Whether the last attempt to write what waits failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// A page of entries.
    ///
    /// # Errors
    /// [`AuditError`]; also while the index is made.
    pub async fn page(&self, filter: Filter, order: Order, offset: u64, limit: usize) -> Result<Found, AuditError> {
        let reader = self.index.lock().await.reader()?;
        self.scope.run_blocking("audit page", move || reader.page(&filter, order, offset, limit)).await?
    }

    /// One entry by its position.
    ///
    /// # Errors
    /// As [`Audit::page`].
    pub async fn entry(&self, seq: u64) -> Result<Option<Entry>, AuditError> {
        let reader = self.index.lock().await.reader()?;
        self.scope.run_blocking("audit entry", move || reader.get(seq)).await?
    }

    /// Walks the whole log.
    ///
    /// # Errors
    /// [`AuditError`]; a broken chain is a finding.
    pub async fn verify(&self) -> Result<Verified, AuditError> {
        let _turn = self.turn.lock().await;
        let (anchor, files) = {
            let _log = self.log.lock().await;
            let anchor = anchor(self.meta()).await?;
            (anchor, segments(&*self.fs, &self.dir)?)
        };
        let (fs, dir) = (Arc::clone(&self.fs), self.dir.clone());
        self.scope.run_blocking("audit verify", move || verify(&*fs, &dir, &files, anchor)).await?
    }

    /// Has old entries removed, in the name of `act`, and says at once which run that is. It goes on when whoever asked
    /// goes away, and is remembered when it ends.
    ///
    /// # Errors
    /// [`AuditError::Busy`] when too many wait, [`AuditError`] when it could not be noted: then there is no run.
    pub async fn begin_purge(
        self: &Arc<Self>,
        parameters: PurgeParameters,
        trigger: ScheduleKind,
        act: Act,
    ) -> Result<Purged, AuditError> {
        let this = Arc::clone(self);
        self.scope.run("begin audit purge", async move { this.begin(parameters, trigger, act).await }).await?
    }

    async fn begin(
        self: Arc<Self>,
        parameters: PurgeParameters,
        trigger: ScheduleKind,
        act: Act,
    ) -> Result<Purged, AuditError> {
        let (begun, by) = (self.clock.now(), act.actor.as_ref().to_owned());
        let _history = self.history.lock().await;
        if self.running().len() >= WAITING {
            return Err(AuditError::Busy);
        }
        let mut history: Vec<Purged> = self.kept(HISTORY).await?;
        let id = history.last().map_or(1, |last| last.id + 1);
        let run = Purged { id, trigger, by, parameters, begun, ended: begun, state: PurgeState::Running };
        history.push(run.clone());
        let forgotten = history.len().saturating_sub(REMEMBERED);
        self.keep(HISTORY, &history[forgotten..]).await?;
        let stop = Arc::<AtomicBool>::default();
        self.running().insert(id, Arc::clone(&stop));
        let (this, begun, runtime) = (Arc::clone(&self), run.clone(), tokio::runtime::Handle::current());
        let work = move || runtime.block_on(this.run_purge(begun, &stop, act));
        let (this, scope) = (Arc::clone(&self), self.scope.clone());
        self.scope.spawn("audit purge", async move {
            // A panic is told where it happened; the history says the rest.
            let _ = scope.run_blocking("audit purge", work).await;
            this.running().remove(&id);
        });
        Ok(run)
    }

    async fn run_purge(&self, mut run: Purged, stop: &AtomicBool, act: Act) {
        let _turn = self.turn.lock().await;
        let stop = || stop.load(Ordering::Relaxed) || self.scope.is_stopping();
        run.state = match self.purge_now(&run.parameters.rules(run.begun), act, &stop).await {
            Ok(report) => PurgeState::Done(report),
            Err(AuditError::Stopped) => PurgeState::Stopped,
            Err(error) => PurgeState::Failed(error.to_string()),
        };
        run.ended = self.clock.now();
        tracing::info!(purge = run.id, state = ?run.state, "a purge of the audit log ended");
        if let Err(error) = self.remember(run).await {
            tracing::error!(%error, "how a purge of the audit log ended could not be noted");
        }
    }

    async fn remember(&self, run: Purged) -> Result<(), AuditError> {
        let _history = self.history.lock().await;
        let mut history: Vec<Purged> = self.kept(HISTORY).await?;
        if let Some(begun) = history.iter_mut().find(|begun| begun.id == run.id) {
            *begun = run;
        }
        self.keep(HISTORY, &history).await
    }

    async fn purge_now(
        &self,
        rules: &PurgeRules,
        act: Act,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<PurgeReport, AuditError> {
        let mut log = self.log.lock().await;
        let report = log.purge_unless(rules, act, self.meta(), stop).await?;
        if let Err(error) = self.index.lock().await.catch_up(log.head().seq) {
            tracing::warn!(%error, "the index of the audit log follows later");
        }
        Ok(report)
    }

    /// While this is held, purges wait.
    #[cfg(test)]
    pub(crate) async fn hold_purges(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Whether purges wait or run.
    #[must_use]
    pub fn has_running_purges(&self) -> bool {
        !self.running().is_empty()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<AtomicBool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The purges that ran, the newest first. One that was running when the node went down failed.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn purges(&self) -> Result<Vec<Purged>, AuditError> {
        // Held meanwhile, so that a run is neither between the history and those that run, nor ends here unnoticed.
        let _history = self.history.lock().await;
        let mut history: Vec<Purged> = self.kept(HISTORY).await?;
        history.reverse();
        for run in &mut history {
            if run.state == PurgeState::Running && !self.running().contains_key(&run.id) {
                run.state = PurgeState::Failed("the node went down meanwhile".into());
            }
        }
        Ok(history)
    }

    /// Has a purge end before it removes anything; whether there is such a purge. One that ended stays as it is, and one
    /// that has begun to remove ends its work.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn stop_purge(&self, id: u64) -> Result<bool, AuditError> {
        if let Some(stop) = self.running().get(&id) {
            stop.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        Ok(self.purges().await?.iter().any(|run| run.id == id))
    }

    /// When purges run by themselves.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn schedule(&self) -> Result<Schedule, AuditError> {
        self.kept(SCHEDULE).await
    }

    /// Sets when purges run by themselves. The caller has checked the cron text
    /// ([`Cron`](super::schedule::Cron)); one that is none never runs.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn set_schedule(
        &self,
        kind: ScheduleKind,
        cron: String,
        parameters: PurgeParameters,
    ) -> Result<(), AuditError> {
        let (before, updated) = (self.schedule().await?, self.clock.now());
        let created = if before.kind == ScheduleKind::None { updated } else { before.created };
        self.keep(SCHEDULE, &Schedule { kind, cron, parameters, created, updated }).await
    }

    /// Begins the scheduled purge if its turn has come.
    ///
    /// # Errors
    /// As [`Audit::begin_purge`].
    pub async fn purge_if_due(self: &Arc<Self>, act: Act) -> Result<Option<Purged>, AuditError> {
        let schedule = self.schedule().await?;
        let runs = self.purges().await?;
        let last = runs.iter().find(|run| run.trigger == ScheduleKind::Schedule).map(|run| run.begun);
        if !schedule.is_due(last, self.clock.now()) {
            return Ok(None);
        }
        self.begin_purge(schedule.parameters, ScheduleKind::Schedule, act).await.map(Some)
    }

    async fn kept<T: DeserializeOwned + Default>(&self, name: &'static str) -> Result<T, AuditError> {
        match self.meta().setting(name).await? {
            Some(bytes) => Ok(serde_json::from_slice(&bytes)?),
            None => Ok(T::default()),
        }
    }

    async fn keep<T: Serialize + ?Sized>(&self, name: &'static str, value: &T) -> Result<(), AuditError> {
        Ok(self.meta().put_setting(name, serde_json::to_vec(value)?).await?)
    }
}

/// What the metadata knows of the end of the log.
///
/// # Errors
/// [`AuditError::Meta`].
pub async fn anchor(meta: &dyn MetaStore) -> Result<Option<Head>, AuditError> {
    Ok(meta.setting(HEAD).await?.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
}

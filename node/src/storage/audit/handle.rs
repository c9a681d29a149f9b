//! The audit log as the floors above use it: one handle for writing, finding, verifying and purging.
//!
//! Owns the log, its index, and three settings of the metadata: the schedule of purges, the history of purges, and the
//! types that are not written. Locks are taken in the order turn, log, index.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Clock, FileSystem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::index::{AuditIndex, Filter, Found, Order};
use super::log::{AuditLog, HEAD, Head, segments};
use super::purge::{PurgeReport, PurgeRules};
use super::schedule::{Schedule, ScheduleKind};
use super::sink::AuditSink;
use super::verify::{Verified, verify};
use super::words::EventType;
use super::{AuditError, Entry};
use crate::storage::Store;
use crate::storage::meta::{Act, MetaStore};
use crate::workers::Scope;

const SCHEDULE: &str = "audit.purge.schedule";
const HISTORY: &str = "audit.purge.history";
const OFF: &str = "audit.off";

/// Purges remembered.
const REMEMBERED: usize = 100;

/// Longest retention in hours, as Harbor's.
pub const LONGEST_RETENTION: u32 = 240_000;

/// How a purge is asked for, in Harbor's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PurgeParameters {
    /// Hours an entry is kept.
    pub audit_retention_hour: u32,
    /// Types, with commas between them; `other` stands for those Harbor does not name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub include_event_types: String,
    /// Operations, with commas between them: every type of these.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub include_operations: String,
    /// Only count.
    pub dry_run: bool,
}

impl PurgeParameters {
    /// What they mean at a moment. Words nobody knows mean nothing, and with no type nothing goes.
    #[must_use]
    pub fn rules(&self, now: Timestamp) -> PurgeRules {
        let words = |text: &str| -> Vec<String> {
            text.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty()).collect()
        };
        let (named, operations) = (words(&self.include_event_types), words(&self.include_operations));
        let mut types: BTreeSet<_> = named.iter().filter_map(|name| EventType::parse(name)).collect();
        if named.iter().any(|name| name == "other") {
            types.extend(EventType::all().skip(EventType::HARBORS));
        }
        types.extend(EventType::all().filter(|of| operations.iter().any(|word| word == of.operation.name())));
        let kept = Duration::from_secs(u64::from(self.audit_retention_hour.min(LONGEST_RETENTION)) * 3600);
        let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        PurgeRules { before: Timestamp(now.0.saturating_sub(kept)), types, dry_run: self.dry_run }
    }
}

/// A purge that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Its number, from 1.
    pub id: u64,
    /// Whether a schedule or a person asked for it.
    pub trigger: ScheduleKind,
    /// Who.
    pub by: String,
    /// How it was asked for.
    pub parameters: PurgeParameters,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it did, or why it failed.
    pub outcome: Result<PurgeReport, String>,
}

impl Purged {
    /// What it did, in lines for people: Harbor's log of a job.
    #[must_use]
    pub fn log(&self) -> String {
        let Self { id, by, parameters, begun, ended, outcome, .. } = self;
        let dry = if parameters.dry_run { " (dry run)" } else { "" };
        let head =
            format!("{begun} purge {id} of {by}{dry}: entries older than {} hours", parameters.audit_retention_hour);
        let types = [&*parameters.include_event_types, &*parameters.include_operations].join(" ");
        let end = match outcome {
            Ok(report) => format!(
                "{ended} {} entries looked at, {} purged; {} files removed, {} written anew",
                report.examined, report.purged, report.files_removed, report.files_rewritten
            ),
            Err(error) => format!("{ended} failed: {error}"),
        };
        format!("{head}; of types: {types}\n{end}\n")
    }
}

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
        Arc::new(Self { log, index, turn: tokio::sync::Mutex::default(), sink, fs, dir, store, clock, scope })
    }

    fn meta(&self) -> &dyn MetaStore {
        self.store.meta()
    }

    /// Where entries come in that are no events of the store. Cheap to clone, never waits.
    #[must_use]
    pub const fn sink(&self) -> &AuditSink {
        &self.sink
    }

    /// The types that can be switched off and purged, Harbor's first.
    #[must_use]
    pub fn event_types(&self) -> Vec<String> {
        EventType::all().map(EventType::name).collect()
    }

    /// Switches types off as the setting says; at the start.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn load(&self) -> Result<(), AuditError> {
        let off: Vec<String> = self.kept(OFF).await?;
        self.sink.switch_off(off.iter().filter_map(|name| EventType::parse(name)).collect());
        Ok(())
    }

    /// Has types not written from now on, and after a restart; the names nobody knows come back.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn switch_off(&self, names: &[String]) -> Result<Vec<String>, AuditError> {
        let (known, unknown): (Vec<_>, Vec<_>) = names.iter().partition(|name| EventType::parse(name).is_some());
        let types: BTreeSet<_> = known.iter().filter_map(|name| EventType::parse(name)).collect();
        let kept: Vec<_> = types.iter().map(|of| of.name()).collect();
        self.keep(OFF, &kept).await?;
        self.sink.switch_off(types);
        Ok(unknown.into_iter().cloned().collect())
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
        let moved = log.drain(self.meta()).await?;
        self.index.lock().await.catch_up(log.head().seq)?;
        Ok(moved)
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

    /// Removes old entries, in the name of `act`, and remembers that.
    ///
    /// # Errors
    /// [`AuditError`], when that could not be remembered; how the purge ended is in what comes back.
    pub async fn purge(
        &self,
        parameters: PurgeParameters,
        trigger: ScheduleKind,
        act: Act,
    ) -> Result<Purged, AuditError> {
        let _turn = self.turn.lock().await;
        let begun = self.clock.now();
        let by = act.actor.as_ref().to_owned();
        let outcome = self.purge_now(&parameters.rules(begun), act).await.map_err(|error| error.to_string());
        let mut history: Vec<Purged> = self.kept(HISTORY).await?;
        let id = history.last().map_or(1, |last| last.id + 1);
        let purged = Purged { id, trigger, by, parameters, begun, ended: self.clock.now(), outcome };
        history.push(purged.clone());
        let forgotten = history.len().saturating_sub(REMEMBERED);
        self.keep(HISTORY, &history[forgotten..]).await?;
        Ok(purged)
    }

    async fn purge_now(&self, rules: &PurgeRules, act: Act) -> Result<PurgeReport, AuditError> {
        let mut log = self.log.lock().await;
        let report = log.purge(rules, act, self.meta()).await?;
        if let Err(error) = self.index.lock().await.catch_up(log.head().seq) {
            tracing::warn!(%error, "the index of the audit log follows later");
        }
        Ok(report)
    }

    /// The purges that ran, the newest first.
    ///
    /// # Errors
    /// [`AuditError::Meta`].
    pub async fn purges(&self) -> Result<Vec<Purged>, AuditError> {
        let mut history: Vec<Purged> = self.kept(HISTORY).await?;
        history.reverse();
        Ok(history)
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

    /// Runs the scheduled purge if its turn has come.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn purge_if_due(&self, act: Act) -> Result<Option<Purged>, AuditError> {
        let schedule = self.schedule().await?;
        let runs = self.purges().await?;
        let last = runs.iter().find(|run| run.trigger == ScheduleKind::Schedule).map(|run| run.begun);
        if !schedule.is_due(last, self.clock.now()) {
            return Ok(None);
        }
        self.purge(schedule.parameters, ScheduleKind::Schedule, act).await.map(Some)
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

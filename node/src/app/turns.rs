//! Work that comes again and again while a node runs. Each turn owns nothing; the scope it runs in ends it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::Clock;

use crate::directory::Directory;
use crate::http::AppState;
use crate::registry::Registry;
use crate::registry::maintenance::Upkeep;
use crate::storage::audit::Audit;
use crate::storage::meta::Act;
use crate::storage::store::Store;
use crate::workers::{Lost, Scope};

/// How long after the start what is overdue is done.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// Events that wait for the audit log longer than this are left for the next turn.
const AUDIT_LIMIT: Duration = Duration::from_secs(60);

/// One turn of work that comes again and again.
pub(super) type Work = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What runs when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) name: &'static str,
    /// From the end of one turn to the begin of the next.
    pub(super) period: Duration,
    /// Until the first one.
    pub(super) first: Duration,
}

/// Does `work` again and again until `scope` stops. A turn that panics ends that turn, not the ones after it.
pub(super) fn repeat(scope: &Scope, clock: Arc<dyn Clock>, turn: Turn, work: Work) {
    let turns = scope.clone();
    scope.spawn(turn.name, async move {
        let mut wait = turn.first;
        loop {
            tokio::select! {
                () = turns.stopping() => return,
                () = clock.sleep(wait) => {}
            }
            if turns.run(turn.name, work()).await.is_err() {
                tracing::error!(task = turn.name, "this turn is lost; the next one comes as planned");
            }
            wait = turn.period;
        }
    });
}

/// What is left of `period`, `age` after the last time. A little is left of any: what is overdue does not compete with
/// the start of the node.
pub(super) fn left_of(period: Duration, age: Option<Duration>) -> Duration {
    let soon = SOON.min(period);
    age.map_or(soon, |age| period.saturating_sub(age).max(soon))
}

/// When the audit log is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    Always,
    IfAnyWaits,
}

/// Moves what waits into the audit log, on a thread that may wait for the disk. Mostly nothing waits.
pub(super) async fn drain_audit(scope: Scope, audit: Arc<Audit>, when: Drain) {
    if when == Drain::IfAnyWaits && audit.is_idle().await {
        return;
    }
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let drained = async { audit.drain().await };
        runtime.block_on(async { tokio::time::timeout(AUDIT_LIMIT, drained).await })
    };
    match scope.run_blocking("audit", work).await {
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => tracing::error!(%error, "events wait: they could not be written to the audit log"),
        Ok(Err(_)) => tracing::warn!("events wait: writing the audit log took too long"),
        // Said where it happened.
        Err(Lost(_)) => {}
    }
}

/// Begins to purge the audit log if its turn has come.
pub(super) async fn purge_audit(audit: Arc<Audit>, at: Timestamp) {
    let act = Act { actor: "portolan".into(), at, request: "schedule".into(), via: Default::default() };
    match audit.purge_if_due(act).await {
        Ok(Some(run)) => tracing::info!(purge = run.id, "a scheduled purge of the audit log begins"),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the audit log could not be purged"),
    }
}

/// Notes the pulls that were counted. What can't be noted now is tried again with the next.
pub(super) async fn note_pulls(registry: Registry) {
    if let Err(error) = registry.note_pulls().await {
        tracing::warn!(%error, "pulls that were counted could not be noted yet");
    }
}

pub(super) async fn housekeeping(scope: Scope, (upkeep, store, directory): (Arc<Upkeep>, Arc<Store>, Arc<Directory>)) {
    if let Err(error) = store.uploads().expire().await {
        tracing::warn!(%error, "expired upload sessions could not be given up");
    }
    match directory.settle_ids().await {
        Ok(0) => {}
        Ok(settled) => tracing::warn!(settled, "ids that two things had were settled: who had them has new ones"),
        Err(error) => tracing::warn!(%error, "ids that two things have could not be settled"),
    }
    let _ = scope.run_blocking("ballast", move || upkeep.restore_ballast()).await;
}

pub(super) async fn collect(upkeep: Arc<Upkeep>, app: Arc<AppState>) {
    match upkeep.collect_garbage(false).await {
        Ok(report) => {
            app.metrics().garbage_collected(report.freed, report.freed_bytes);
            tracing::info!(freed = report.freed, bytes = report.freed_bytes, unlinked = report.unlinked, "gc");
        }
        Err(error) => tracing::warn!(%error, "garbage collection did not end"),
    }
}

pub(super) async fn snapshot(upkeep: Arc<Upkeep>) {
    if let Err(error) = upkeep.snapshot().await {
        tracing::error!(%error, "no snapshot of the metadata could be made");
    }
}

pub(super) async fn scrub(upkeep: Arc<Upkeep>, app: Arc<AppState>) {
    match upkeep.scrub().await {
        Ok(report) => app.metrics().scrubbed(report.blobs, report.bytes, report.quarantined),
        Err(error) => tracing::warn!(%error, "the scrub did not end"),
    }
}

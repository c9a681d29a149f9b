//! The durability contract, shown on the node's real storage (files and redb) over a disk that keeps what it promised
//! and no more: power cuts at every operation, cuts amid recovery, and every operation failing in its turn.
//!
//! `PORTOLAN_CRASH_STATES` looks at that many states after each operation (and at every failing operation) instead of
//! the few a run of all tests has time for. A failure names the moment, the state and the operations before it; states
//! are the same in every run.

mod check;
mod lying;
mod past;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use node::app::{Ground, World};
use node::config::{ByteSize, Config, Period};
use node::workers::Scope;
use protocol::seam::FileSystem;
use simulations::disk::{CrashState, Fault, Injection, OpKind, Outcome};
use simulations::{Rng, SimClock, SimDisk, SimEntropy};

use self::check::Look;
use self::lying::{Lie, Lying};
use self::past::{Answered, Past, Worker};

/// Seed of the node's own randomness (keys, names of upload sessions) at its first start.
const SEED: u64 = 20_261_123;

std::thread_local! {
    /// How many processes the story of this thread has started.
    static STARTS: Cell<u64> = const { Cell::new(0) };
}

/// States looked at after each operation, unless told otherwise.
const STATES: usize = 3;

/// Every so many operations one fails, unless all are asked for.
const STRIDE: usize = 23;

fn states_asked() -> Option<usize> {
    std::env::var("PORTOLAN_CRASH_STATES").ok()?.parse().ok()
}

fn config() -> Config {
    let mut config = Config::default();
    config.storage.data = "/data".into();
    config.storage.ballast = ByteSize(0);
    config.storage.metadata_cache = ByteSize(1 << 20);
    config.gc.blob_lease = Period(Duration::from_secs(3600));
    config.gc.exists_lease = Period(Duration::from_secs(60));
    config.gc.trash_ttl = Period(Duration::from_secs(3600));
    config
}

/// A process: the storage, and what stops its work.
struct Process {
    ground: Ground,
    scope: Scope,
    clock: SimClock,
}

impl Process {
    fn start(fs: Arc<dyn FileSystem>) -> Result<Self, String> {
        let (scope, clock) = (Scope::new(), SimClock::new());
        // As outside, no start draws what an earlier one drew: a root key made by the second is no node key of the first.
        let start = STARTS.with(|starts| starts.replace(starts.get() + 1));
        let entropy = Arc::new(SimEntropy::new(Rng::from_seed(SEED + start)));
        let world = World { fs, clock: Arc::new(clock.clone()), entropy };
        let ground = Ground::open(&config(), &world, &scope).map_err(|error| format!("it does not start: {error}"))?;
        Ok(Self { ground, scope, clock })
    }

    async fn end(self) {
        let limit = Duration::from_secs(60);
        let mut left = self.scope.stop(limit).await;
        left += self.ground.engines.stop(limit).await;
        assert_eq!(left, 0, "work is left that does not end");
    }
}

fn block_on<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(story)
}

/// A disk on which a node has started once, and all of it is durable.
async fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    Process::start(disk.file_system()).unwrap().end().await;
    disk.kill()
}

/// A node's day on `disk`, which may lie, or fail on the way. The process is still there at the end.
async fn day(disk: &SimDisk, fs: Arc<dyn FileSystem>, before_work: impl FnOnce()) -> (Past, Process) {
    let mut process = Process::start(fs).unwrap();
    before_work();
    let Process { ground, scope, clock } = &mut process;
    let mut worker = Worker { ground, disk, clock, scope, past: Past::default() };
    worker.work().await;
    (worker.past, process)
}

/// Starts a node on what a crash left, and looks at everything.
async fn recover(disk: &SimDisk, past: &Past, after: usize) -> Result<(), String> {
    let fs = disk.file_system();
    let mut process = Process::start(Arc::clone(&fs))?;
    let verdict = look(&mut process, &*fs, past, after).await;
    process.end().await;
    verdict
}

async fn look(process: &mut Process, fs: &dyn FileSystem, past: &Past, after: usize) -> Result<(), String> {
    Look { ground: &process.ground, fs, past, after }.at_content().await?;
    let meta = Arc::clone(&process.ground.store);
    process.ground.audit.drain(meta.meta()).await.map_err(|error| format!("events can't be drained: {error}"))?;
    Look { ground: &process.ground, fs, past, after }.at_audit_log()?;
    Look { ground: &process.ground, fs, past, after }.at_audit_chain().await
}

/// What one needs to see it again.
fn evidence(violation: &str, disk: &SimDisk, past: &Past, after: usize) -> String {
    let ops = disk.ops();
    let tail: Vec<String> = ops
        .iter()
        .enumerate()
        .take(after)
        .skip(after.saturating_sub(12))
        .map(|(n, op)| format!("  {n} {op}"))
        .collect();
    let amid = past.steps.iter().find(|step| step.span.0 < after && after < step.span.1);
    let amid = amid.map_or_else(|| "between two intents".into(), |step| format!("in {:?} {:?}", step.name, step.span));
    format!("seed {SEED}, after operation {after}, {amid}:\n{violation}\nthe last operations:\n{}", tail.join("\n"))
}

fn all_is_promised(past: &Past) {
    let others: Vec<_> = past.steps.iter().filter(|step| step.answered != Answered::Promised).collect();
    assert!(others.is_empty(), "on a sound disk every intent is done: {others:#?}");
}

#[test]
fn no_power_cut_loses_what_was_acknowledged() {
    block_on(async {
        let disk = prepared().await;
        disk.record();
        let (past, process) = day(&disk, disk.file_system(), || {}).await;
        all_is_promised(&past);
        Look { ground: &process.ground, fs: &disk, past: &past, after: usize::MAX }.at_content().await.unwrap();
        let mut states = 0;
        for CrashState { after, disk: left } in disk.crash_states(states_asked().unwrap_or(STATES)) {
            states += 1;
            if let Err(violation) = recover(&left, &past, after).await {
                panic!("{}", evidence(&format!("state {states}: {violation}"), &disk, &past, after));
            }
        }
        println!("{} operations, {} promises, {states} states", disk.op_count(), past.promises());
        process.end().await;
    });
}

#[test]
fn a_second_cut_amid_recovery_loses_nothing_either() {
    block_on(async {
        let disk = prepared().await;
        disk.record();
        let (past, process) = day(&disk, disk.file_system(), || {}).await;
        let every = if states_asked().is_some() { 1 } else { 40 };
        let (mut firsts, mut seconds) = (0, 0);
        for CrashState { after, disk: left } in disk.crash_states(2).step_by(every) {
            firsts += 1;
            left.record();
            recover(&left, &past, after).await.unwrap();
            for second in left.crash_states(2).step_by(3) {
                seconds += 1;
                if let Err(violation) = recover(&second.disk, &past, after).await {
                    let again = evidence("", &left, &Past::default(), second.after);
                    panic!("{}\nthen amid recovery: {again}", evidence(&violation, &disk, &past, after));
                }
            }
        }
        println!("{firsts} first cuts, {seconds} second cuts");
        process.end().await;
    });
}

#[test]
fn a_first_start_that_is_cut_short_starts_again() {
    block_on(async {
        let disk = SimDisk::new();
        disk.record();
        Process::start(disk.file_system()).unwrap().end().await;
        let every = if states_asked().is_some() { 1 } else { 23 };
        let mut states = 0;
        for CrashState { after, disk: left } in disk.crash_states(2).step_by(every) {
            states += 1;
            recover(&left, &Past::default(), 0).await.unwrap_or_else(|why| panic!("after operation {after}: {why}"));
        }
        println!("{} operations, {states} states", disk.op_count());
    });
}

/// One failing operation in a node's day, and what came after.
async fn fail(base: &SimDisk, injection: Injection) -> (bool, Result<(), String>) {
    let disk = base.kill();
    let fs = disk.file_system();
    let (past, process) = day(&disk, Arc::clone(&fs), || disk.inject(injection)).await;
    disk.heal();
    let ops = disk.ops();
    let struck = ops.iter().position(|op| op.outcome == Outcome::Failed);
    let verdict = aftermath(&disk, &process, &past, injection.fault).await;
    process.end().await;
    let shown = |violation: String| {
        evidence(&format!("{injection:?}: {violation}"), &disk, &past, struck.map_or(0, |at| at + 1))
    };
    (struck.is_some(), verdict.map_err(shown))
}

async fn aftermath(disk: &SimDisk, process: &Process, past: &Past, fault: Fault) -> Result<(), String> {
    let (fs, after) = (disk.file_system(), usize::MAX);
    let struck = disk.ops().iter().position(|op| op.outcome == Outcome::Failed);
    // A copy of the metadata that was not made is no loss; an upload that found the disk full at its sync is given up
    // alone.
    let of_the_store = |at: &usize| {
        let op = &disk.ops()[*at];
        let alone =
            op.path.starts_with("/data/snapshots") || fault == Fault::NoSpace && op.path.starts_with("/data/uploads");
        matches!(op.kind, OpKind::Sync | OpKind::SyncDir) && !alone
    };
    if let Some(at) = struck.filter(of_the_store) {
        for step in past.steps.iter().filter(|step| step.span.1 > at && step.span.1 > step.span.0) {
            if step.promised_a_write() {
                return Err(format!("a sync failed, and {:?} {:?} was promised after it", step.name, step.span));
            }
        }
    }
    // Reads go on, whatever became of writes.
    Look { ground: &process.ground, fs: &*fs, past, after }
        .at_content()
        .await
        .map_err(|why| format!("still running: {why}"))?;
    recover(&disk.kill(), past, after).await.map_err(|why| format!("killed and started again: {why}"))?;
    let mut rng = Rng::from_seed(SEED);
    for _ in 0..2 {
        recover(&disk.crash(&mut rng), past, after).await.map_err(|why| format!("after a power cut: {why}"))?;
    }
    Ok(())
}

/// Lets the first operation of a kind fail, then the next, until a day goes by without meeting the fault.
fn fail_each(kind: Option<OpKind>, fault: Fault, stride: usize) {
    block_on(async {
        let base = prepared().await;
        let stride = if states_asked().is_some() { 1 } else { stride };
        let (mut runs, mut violations) = (0, Vec::new());
        for nth in (1..).step_by(stride) {
            let (struck, verdict) = fail(&base, Injection { kind, nth, fault }).await;
            violations.extend(verdict.err());
            runs += 1;
            if !struck || violations.len() > 4 {
                break;
            }
        }
        println!("{runs} days with {fault:?} at {kind:?}");
        assert!(violations.is_empty(), "{} violations\n{}", violations.len(), violations.join("\n\n"));
    });
}

#[test]
fn an_io_error_anywhere_is_answered_and_loses_nothing() {
    fail_each(None, Fault::Io, STRIDE);
}

#[test]
fn a_full_disk_anywhere_is_answered_and_loses_nothing() {
    fail_each(None, Fault::NoSpace, STRIDE);
}

#[test]
fn a_short_write_anywhere_is_answered_and_loses_nothing() {
    fail_each(Some(OpKind::Write), Fault::ShortWrite, STRIDE);
}

#[test]
fn nothing_is_promised_after_a_failed_sync_although_the_next_one_succeeds() {
    fail_each(Some(OpKind::Sync), Fault::Io, 3);
    fail_each(Some(OpKind::SyncDir), Fault::Io, 2);
}

#[test]
fn a_disk_that_lies_about_a_sync_is_found_out() {
    let lies = [
        (Lie::BlobNames, &["bytes are missing"][..]),
        (Lie::UploadBytes, &["other bytes"]),
        (Lie::Metadata, &["it may be"]),
        // By which of both it is found depends on when the worker moved the events.
        (Lie::Audit, &["0 events tell of", "the audit log is broken"]),
    ];
    for (lie, evidence) in lies {
        block_on(async {
            let disk = prepared().await;
            disk.record();
            let fs = Arc::new(Lying { below: disk.file_system(), lie });
            let (past, process) = day(&disk, fs, || {}).await;
            all_is_promised(&past);
            let mut looked = 0;
            let mut found = None;
            for CrashState { after, disk: left } in disk.crash_states(2) {
                looked += 1;
                found = recover(&left, &past, after).await.err();
                if found.is_some() {
                    break;
                }
            }
            println!("{lie:?}: after {looked} states: {found:?}");
            let found_out = found.is_some_and(|violation| evidence.iter().any(|evidence| violation.contains(evidence)));
            assert!(
                found_out,
                "{looked} states, and nobody noticed for the right reason that the disk lies about {lie:?}"
            );
            process.end().await;
        });
    }
}

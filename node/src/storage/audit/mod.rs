//! The audit log: what was done, by whom, in the order it was committed, so that nobody changes it unseen.
//!
//! Entries come from two sources. An event of the store is written in the transaction of what it tells (the outbox of
//! [`MetaStore`](super::meta::MetaStore)), so none is lost and none is made up; what is no transaction (log-ins, refusals,
//! pulls) comes through [`AuditSink`], which never makes anyone wait and says how much it had to drop.
//! [`AuditLog::drain`] moves both into append-only files, `audit/<first position>.jsonl`, one JSON object a line.
//!
//! - [`entry`]: what a line says, and how its chain value follows from the line before;
//! - [`log`]: appending, and what a crash left;
//! - [`verify()`]: walks everything and names the first place where it was changed;
//! - [`purge`]: removing old entries so that the rest still proves itself;
//! - [`sink`]: the queue of what is no transaction, and which types are switched off;
//! - [`index`]: finding entries; can be made again from the files at any time;
//! - [`schedule`] and [`runs`]: when purges are due, and what came of them;
//! - [`handle`]: all of it, for the floors above.
//!
//! State: this room owns the directory `audit/` and the settings whose names begin with `audit.`.

pub mod entry;
mod export;
pub mod handle;
pub mod index;
mod lines;
pub mod log;
#[cfg(test)]
mod measure_tests;
pub mod purge;
pub mod runs;
pub mod schedule;
pub mod sink;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod words;

use std::io;

use super::meta::MetaError;

pub use entry::{Chain, Draft, Entry, Outcome, Told};
pub use export::export;
pub use handle::{Audit, AuditParts};
pub use index::{AuditIndex, Filter, Found, Order, Text};
pub use log::{AuditLog, HEAD, Head};
pub use purge::{PurgeReport, PurgeRules};
pub use runs::{LONGEST_RETENTION, PurgeParameters, PurgeState, Purged};
pub use schedule::{Cron, Schedule, ScheduleKind};
pub use sink::AuditSink;
pub use verify::{Verified, verify};
pub use words::{EventType, Resource};

/// Why the audit log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk.
    #[error("the audit log can't be written: {0}")]
    Io(#[from] io::Error),
    /// The outbox, or a setting.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// An entry that can't be written as JSON.
    #[error("an entry can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The store takes no writes.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The index. It can be made again from the files.
    #[error("the index of the audit log failed: {0}")]
    Index(String),
    /// Files that are not as they should be, where that can't be passed over.
    #[error("the audit log is damaged: {0}. See `portolan audit verify`")]
    Damaged(String),
    /// Too many purges wait already.
    #[error("too many purges wait for their turn: try again later")]
    Busy,
    /// A purge that was asked to stop.
    #[error("the purge was stopped before it removed anything")]
    Stopped,
    /// The task that did it ended without an answer.
    #[error(transparent)]
    Lost(#[from] crate::workers::Lost),
}

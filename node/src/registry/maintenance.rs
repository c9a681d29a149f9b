//! Looking after a node: status, garbage collection, scrub, snapshots. For administrators.

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Fault, Registry};
use crate::policy::AdminPermit;
use crate::storage::meta::Counts;
use crate::storage::store::GcReport;

/// Room on the disk, as the node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The last run of something that runs now and then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun<T> {
    /// When it ended.
    pub ended: Timestamp,
    /// What it did; the text of the error when it failed.
    pub outcome: Result<T, String>,
}

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Blobs read.
    pub blobs: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs found damaged, now in quarantine.
    pub quarantined: u64,
    /// Rows without bytes.
    pub missing: u64,
    /// Files without a row, now in the trash.
    pub orphans: u64,
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
}

impl Registry {
    /// A node at a glance.
    ///
    /// # Errors
    /// [`Fault`].
    #[expect(clippy::unused_async, clippy::todo, reason = "a stub: the lead writes it")]
    pub async fn status(&self, _permit: &AdminPermit) -> Result<Status, Fault> {
        todo!()
    }

    /// Collects garbage now; `dry_run` only reports.
    ///
    /// # Errors
    /// [`Fault`].
    #[expect(clippy::unused_async, clippy::todo, reason = "a stub: the lead writes it")]
    pub async fn collect_garbage(&self, _permit: &AdminPermit, _dry_run: bool) -> Result<GcReport, Fault> {
        todo!()
    }

    /// Reads every blob again now.
    ///
    /// # Errors
    /// [`Fault`].
    #[expect(clippy::unused_async, clippy::todo, reason = "a stub: the lead writes it")]
    pub async fn scrub(&self, _permit: &AdminPermit) -> Result<ScrubReport, Fault> {
        todo!()
    }

    /// Makes a consistent copy of the metadata now; returns when it was made.
    ///
    /// # Errors
    /// [`Fault`].
    #[expect(clippy::unused_async, clippy::todo, reason = "a stub: the lead writes it")]
    pub async fn snapshot(&self, _permit: &AdminPermit) -> Result<Timestamp, Fault> {
        todo!()
    }
}

//! Copies of the metadata: taken now and then, a few kept, the newest good one to start again from.
//!
//! A snapshot is named by the time it was taken, in milliseconds, so names sort by age.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::Timestamp;
use protocol::seam::FileSystem;

use super::meta::MetaError;
use super::meta::redb::{RedbMeta, prune, snapshots};
use crate::workers::Scope;

/// Takes and keeps snapshots of one engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// The engine.
    pub meta: Arc<RedbMeta>,
    /// The disk.
    pub fs: Arc<dyn FileSystem>,
    /// Where they are kept.
    pub dir: PathBuf,
    /// How many.
    pub kept: usize,
    /// Where the blocking work runs.
    pub scope: Scope,
}

impl Snapshots {
    /// Takes a snapshot as of `now` and lets the oldest ones go.
    ///
    /// # Errors
    /// [`MetaError`]; older snapshots are untouched then.
    pub async fn take(&self, now: Timestamp) -> Result<(), MetaError> {
        let this = self.clone();
        let work = move || {
            this.meta.snapshot(&this.dir, &name(now))?;
            prune(&*this.fs, &this.dir, this.kept)?;
            Ok(())
        };
        self.scope.run_blocking("snapshot", work).await.map_err(|lost| MetaError::Engine(lost.to_string()))?
    }

    /// When the newest one was taken; `None` when there is none.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        snapshots(&*self.fs, &self.dir).ok()?.last()?.parse().ok().map(Timestamp)
    }
}

fn name(now: Timestamp) -> String {
    format!("{:020}", now.0)
}

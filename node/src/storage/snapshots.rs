//! Copies of the metadata: taken now and then, a few kept, the newest good one to start again from.
//!
//! A snapshot is named by the time it was taken, in milliseconds, so names sort by age. When the clock went back, by one
//! more than the newest name there is: the newest copy is never the one that is let go as the oldest.

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
    /// Takes a snapshot, named by `now`, and lets the oldest ones go.
    ///
    /// # Errors
    /// [`MetaError`]; older snapshots are untouched then.
    pub async fn take(&self, now: Timestamp) -> Result<(), MetaError> {
        let this = self.clone();
        let work = move || {
            let after = this.newest().map_or(now, |newest| now.max(Timestamp(newest.0.saturating_add(1))));
            this.meta.snapshot(&this.dir, &name(after))?;
            prune(&*this.fs, &this.dir, this.kept)?;
            Ok(())
        };
        self.scope.run_blocking("snapshot", work).await.map_err(|lost| MetaError::Engine(lost.to_string()))?
    }

    /// When the newest one was taken; `None` when there is none. Files of other names are nobody's snapshots.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let names = snapshots(&*self.fs, &self.dir).ok()?;
        names.iter().rev().find_map(|name| name.parse().ok()).map(Timestamp)
    }
}

fn name(now: Timestamp) -> String {
    format!("{:020}", now.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Health;
    use crate::storage::meta::redb::OpenRedb;
    use crate::world::faulty::Faulty;
    use crate::world::scratch::Scratch;

    #[tokio::test]
    async fn a_clock_that_went_back_costs_no_new_snapshot() {
        let (dir, scope) = (Scratch::new(), Scope::new());
        let fs: Arc<dyn FileSystem> = Arc::new(Faulty::default());
        let path = dir.path("meta.redb");
        let options = OpenRedb {
            fs: Arc::clone(&fs),
            path,
            cache: 1 << 20,
            sync: false,
            health: Health::new(),
            author: crate::storage::meta::tests_author(),
            scope: scope.clone(),
        };
        let meta = Arc::new(RedbMeta::open(options).unwrap());
        let dir = dir.path("snapshots");
        fs.create_dir_all(&dir).unwrap();
        let all = Snapshots { meta, fs: Arc::clone(&fs), dir: dir.clone(), kept: 2, scope };
        let names = || snapshots(&*fs, &dir).unwrap();
        for now in [5_000, 6_000] {
            all.take(Timestamp(now)).await.unwrap();
        }
        all.take(Timestamp(1_000)).await.unwrap();
        assert_eq!(names(), [name(Timestamp(6_000)), name(Timestamp(6_001))], "the new one stays, the oldest goes");
        all.take(Timestamp(1_000)).await.unwrap();
        assert_eq!(all.newest(), Some(Timestamp(6_002)));
        all.take(Timestamp(7_000)).await.unwrap();
        assert_eq!(all.newest(), Some(Timestamp(7_000)), "and the time counts again once it is there");
    }
}

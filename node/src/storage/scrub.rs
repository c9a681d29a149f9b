//! Scrub: reads every byte again, takes damaged blobs out of service, and finds what rows and files do not agree on.
//!
//! Two walks in the order of digests: over the rows, reading the bytes each points at; over the files, looking for the
//! row of each. The position is kept with the metadata, so a scrub that is stopped, or crashes, goes on near where it
//! was; a crash loses at most one page of work. What the kernel still has in memory is read from there: a scrub slower
//! than the turnover of the page cache reads the disk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use protocol::seam::Clock;
use protocol::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use super::blobs::BlobStoreError;
use super::meta::{Act, BlobRow};
use super::reading::Reading;
use super::store::{Damage, Store, StoreError};
use crate::workers::Scope;

/// Rows or files looked at between two notes of the position.
const PAGE: usize = 256;

/// Where the position is kept.
const POSITION: &str = "scrub.position";

/// So many blobs in a row that the disk refuses to read are no rot but a broken disk: nothing is moved aside then.
const UNREADABLE: u32 = 3;

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Blobs read.
    pub blobs: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs found damaged, now in quarantine.
    pub quarantined: u64,
    /// Rows without bytes. They count as absent from now on, so that a push brings the bytes again.
    pub missing: u64,
    /// Files without a row, now in the trash.
    pub orphans: u64,
    /// Whether it came to the end; else the next run goes on from there.
    pub complete: bool,
}

/// One run of a scrub.
#[derive(Debug)]
pub struct Scrub {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    scope: Scope,
    rate: u64,
    report: ScrubReport,
    unreadable: u32,
}

/// Which walk, and the last digest done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Rows(Option<Digest>),
    Files(Option<Digest>),
}

impl Position {
    fn encode(self) -> Vec<u8> {
        let (walk, after) = match self {
            Self::Rows(after) => (0, after),
            Self::Files(after) => (1, after),
        };
        let mut bytes = vec![walk];
        bytes.extend(after.map(|digest| digest.to_key()).unwrap_or_default());
        bytes
    }

    /// Anything unknown starts from the beginning.
    fn decode(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((1, key)) => Self::Files(Digest::from_key(key)),
            Some((_, key)) => Self::Rows(Digest::from_key(key)),
            None => Self::Rows(None),
        }
    }
}

/// What became of one blob.
enum Outcome {
    Good,
    Damaged(Damage),
    Absent,
    Stopped,
}

impl Scrub {
    /// A scrub that reads at most `rate` bytes in a second and ends early when `scope` stops.
    #[must_use]
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, scope: Scope, rate: u64) -> Self {
        Self { store, clock, scope, rate: rate.max(1), report: ScrubReport::default(), unreadable: 0 }
    }

    /// Goes on where the last run ended, to the end or until the scope stops.
    ///
    /// # Errors
    /// [`StoreError`]; the position is kept.
    pub async fn run(mut self) -> Result<ScrubReport, StoreError> {
        let saved = self.store.meta().setting(POSITION).await?;
        let mut position = Position::decode(&saved.unwrap_or_default());
        loop {
            let next = match position {
                Position::Rows(after) => self.rows(after).await?,
                Position::Files(after) => self.files(after).await?,
            };
            let Some(next) = next else { break };
            // A read-only store can still be read; it then starts from its old position.
            if self.store.health().read_only().is_none() {
                self.store.meta().put_setting(POSITION, next.encode()).await?;
            }
            self.report.complete = next == Position::Rows(None);
            if self.report.complete {
                break;
            }
            position = next;
        }
        Ok(self.report)
    }

    /// One page of rows; the position after it, or `None` when the scope stops.
    async fn rows(&mut self, after: Option<Digest>) -> Result<Option<Position>, StoreError> {
        let page = self.store.meta().all_held(after, PAGE).await?;
        let mut last = after;
        for (digest, row) in &page.items {
            if self.scope.is_stopping() || !self.row(digest, row).await? {
                return Ok(None);
            }
            last = Some(*digest);
        }
        Ok(Some(if page.more { Position::Rows(last) } else { Position::Files(None) }))
    }

    /// Looks at one row; `false` when the scope stops.
    async fn row(&mut self, digest: &Digest, row: &BlobRow) -> Result<bool, StoreError> {
        if row.quarantined.is_some() {
            return Ok(true);
        }
        match self.read(digest, row).await? {
            Outcome::Stopped => return Ok(false),
            Outcome::Good => {}
            Outcome::Damaged(damage) => {
                self.report.quarantined += u64::from(self.take_out(digest, row, damage).await?);
            }
            Outcome::Absent => self.report.missing += u64::from(self.take_out(digest, row, Damage::Length).await?),
        }
        Ok(true)
    }

    async fn read(&mut self, digest: &Digest, row: &BlobRow) -> Result<Outcome, StoreError> {
        let Some(blob) = self.store.open(digest)? else { return Ok(Outcome::Absent) };
        let mut reading = Reading::new(blob, digest);
        loop {
            let began = self.clock.monotonic();
            let work = move || (reading.step(), reading);
            let (read, back) = self.scope.run_blocking("scrub", work).await.map_err(lost)?;
            reading = back;
            match read {
                Ok(0) => break,
                Ok(read) => {
                    self.report.bytes += read as u64;
                    if !self.pace(read, began).await {
                        return Ok(Outcome::Stopped);
                    }
                }
                Err(error) => return self.refused(digest, error),
            }
        }
        self.unreadable = 0;
        self.report.blobs += 1;
        let found = reading.finish();
        Ok(match found.digest == *digest {
            _ if found.size != row.size => Outcome::Damaged(Damage::Length),
            true => Outcome::Good,
            false => Outcome::Damaged(Damage::Content),
        })
    }

    fn refused(&mut self, digest: &Digest, error: io::Error) -> Result<Outcome, StoreError> {
        tracing::error!(%digest, %error, "a blob can't be read");
        self.unreadable += 1;
        if self.unreadable >= UNREADABLE {
            return Err(BlobStoreError::Io(error).into());
        }
        Ok(Outcome::Damaged(Damage::Content))
    }

    /// Waits until the bytes just read are paid for; `false` when the scope stops meanwhile.
    async fn pace(&self, read: usize, began: Duration) -> bool {
        let due = Duration::from_secs_f64(read as f64 / self.rate as f64);
        let wait = due.saturating_sub(self.clock.monotonic().saturating_sub(began));
        tokio::select! {
            biased;
            () = self.scope.stopping() => false,
            () = self.clock.sleep(wait) => true,
        }
    }

    /// Takes a blob out of service unless it was mended, or went, meanwhile.
    async fn take_out(&self, digest: &Digest, row: &BlobRow, damage: Damage) -> Result<bool, StoreError> {
        let act = Act { actor: "scrub".into(), at: self.now(), request: "scrub".into(), via: Default::default() };
        let out = self.store.quarantine(digest, row, damage, act).await?;
        if out {
            tracing::error!(%digest, "a blob is damaged or missing and out of service until it is pushed again");
        }
        Ok(out)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One page of files; the position after it, or `None` when the scope stops.
    async fn files(&mut self, after: Option<Digest>) -> Result<Option<Position>, StoreError> {
        let (page, more) = self.store.blobs().list(after, PAGE).await?;
        if !page.is_empty() && self.store.meta().counts().await?.blobs == 0 {
            // Not a single row: the metadata is lost, not every file an orphan.
            tracing::error!("there are blobs and no metadata at all: run `portolan rebuild-index`");
            return Ok(Some(Position::Rows(None)));
        }
        let mut last = after;
        for listed in &page {
            if self.scope.is_stopping() {
                return Ok(None);
            }
            if self.store.meta().held(&listed.digest).await?.is_none()
                && self.store.remove_orphan(&listed.digest).await?
            {
                self.report.orphans += 1;
            }
            last = Some(listed.digest);
        }
        Ok(Some(if more { Position::Files(last) } else { Position::Rows(None) }))
    }
}

fn lost(lost: crate::workers::Lost) -> StoreError {
    BlobStoreError::from(lost).into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::{RepositoryName, Timestamp};

    use super::*;
    use crate::storage::blobs::BlobStore;
    use crate::storage::blobs::files::FileBlobs;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::meta::{MetaStore, Project};
    use crate::storage::uploads::tests::{Yard, content};

    struct Site {
        yard: Yard,
        meta: MemoryMeta,
        store: Arc<Store>,
    }

    impl Site {
        async fn over(yard: Yard, blobs: Arc<dyn BlobStore>) -> Self {
            let meta = MemoryMeta::default();
            let store = yard.store(Arc::new(meta.clone()), blobs);
            let project = Project { name: repository().project(), public: false, sparse: false, created: Timestamp(0) };
            assert!(store.meta().create_project(project, act()).await.unwrap());
            Self { yard, meta, store }
        }

        async fn in_memory() -> (Self, Arc<MemoryBlobs>) {
            let yard = Yard::new();
            let blobs = Arc::new(MemoryBlobs::new(Arc::new(yard.clock.clone())));
            (Self::over(yard, Arc::clone(&blobs) as Arc<dyn BlobStore>).await, blobs)
        }

        async fn push(&self, bytes: &[u8]) -> Digest {
            let digest = Digest::sha256(bytes);
            let staged = self.yard.uploads.stage(Bytes::copy_from_slice(bytes), &digest).await.unwrap();
            assert!(self.store.commit_blob(staged, &repository(), act()).await.unwrap());
            digest
        }

        async fn scrub(&self) -> Result<ScrubReport, StoreError> {
            let clock = Arc::new(self.yard.clock.clone());
            Scrub::new(Arc::clone(&self.store), clock, self.yard.scope.clone(), 1 << 20).run().await
        }

        async fn quarantined(&self, digest: &Digest) -> bool {
            self.meta.held(digest).await.unwrap().unwrap().quarantined.is_some()
        }
    }

    fn repository() -> RepositoryName {
        "a/b".parse().unwrap()
    }

    fn act() -> Act {
        Act { actor: "alice".into(), at: Timestamp(1), request: "r".into(), via: Default::default() }
    }

    #[tokio::test]
    async fn a_sound_store_is_read_whole_at_the_rate_set() {
        let (site, _) = Site::in_memory().await;
        site.push(&content(3 << 20)).await;
        site.push(b"small").await;
        let began = site.yard.clock.monotonic();
        let report = site.scrub().await.unwrap();
        let expected = ScrubReport { blobs: 2, bytes: (3 << 20) + 5, complete: true, ..ScrubReport::default() };
        assert_eq!(report, expected);
        let took = (site.yard.clock.monotonic() - began).as_secs_f64();
        assert!((3.0..3.1).contains(&took), "{took}");
    }

    #[tokio::test]
    async fn damage_is_taken_out_of_service_and_a_push_mends_it() {
        let (site, blobs) = Site::in_memory().await;
        let (good, flipped, short, gone) = (
            site.push(b"good").await,
            site.push(b"flipped").await,
            site.push(b"short").await,
            site.push(b"gone").await,
        );
        blobs.plant(flipped, Bytes::from_static(b"flippee"));
        blobs.plant(short, Bytes::from_static(b"shor"));
        blobs.remove(&gone).await.unwrap();
        let report = site.scrub().await.unwrap();
        assert_eq!((report.blobs, report.quarantined, report.missing, report.orphans), (3, 2, 1, 0));
        assert!(site.store.open(&flipped).unwrap().is_none());
        assert!(!site.quarantined(&good).await);
        for digest in [&flipped, &short, &gone] {
            assert!(site.quarantined(digest).await);
        }
        let report = site.scrub().await.unwrap();
        assert_eq!((report.blobs, report.quarantined, report.missing), (1, 0, 0), "known already");
        for bytes in [&b"flipped"[..], b"short", b"gone"] {
            assert!(!site.quarantined(&site.push(bytes).await).await);
        }
        assert_eq!(site.scrub().await.unwrap().blobs, 4);
    }

    #[tokio::test]
    async fn a_reader_takes_out_what_is_not_whole_and_nothing_pushed_again_meanwhile() {
        let (site, blobs) = Site::in_memory().await;
        let (gone, short) = (site.push(b"gone").await, site.push(b"short").await);
        let seen = site.meta.held(&short).await.unwrap().unwrap();
        assert!(!site.store.take_out_if_not_whole(&gone).await.unwrap(), "nothing is wrong");
        blobs.remove(&gone).await.unwrap();
        blobs.plant(short, Bytes::from_static(b"shor"));
        // The row vouches for the bytes, and a push still brings them back.
        site.push(b"short").await;
        assert!(!site.store.take_out_if_not_whole(&short).await.unwrap());
        assert!(!site.store.quarantine(&short, &seen, Damage::Length, act()).await.unwrap(), "it is whole again");
        assert!(site.store.take_out_if_not_whole(&gone).await.unwrap());
        assert!(site.quarantined(&gone).await && !site.quarantined(&short).await);
        assert!(!site.store.take_out_if_not_whole(&gone).await.unwrap(), "once");
        site.push(b"gone").await;
        assert!(!site.quarantined(&gone).await);
        // What was seen before it was pushed again says nothing of what is there now.
        let old = BlobRow { committed: Timestamp(0), ..seen };
        assert!(!site.store.quarantine(&short, &old, Damage::Content, act()).await.unwrap());
    }

    #[tokio::test]
    async fn one_flipped_bit_on_the_disk_is_found() {
        let yard = Yard::new();
        let (fs, clock) = (Arc::new(yard.disk.clone()), Arc::new(yard.clock.clone()));
        let blobs = FileBlobs::open(fs, yard.dir.root(), clock, yard.scope.clone(), yard.health.clone()).unwrap();
        let site = Site::over(yard, Arc::new(blobs)).await;
        let mut bytes = content(100_000);
        let digest = site.push(&bytes).await;
        bytes[70_000] ^= 4;
        let path = site.yard.dir.path("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(site.scrub().await.unwrap().quarantined, 1);
        assert!(!path.exists());
        let aside = site.yard.dir.path("quarantine").join(format!("sha256-{}", digest.hex()));
        assert_eq!(std::fs::read(aside).unwrap(), bytes);
    }

    #[tokio::test]
    async fn files_without_a_row_go_to_the_trash_unless_there_is_no_row_at_all() {
        let (site, blobs) = Site::in_memory().await;
        let orphan = Digest::sha256(b"orphan");
        blobs.plant(orphan, Bytes::from_static(b"orphan"));
        let report = site.scrub().await.unwrap();
        assert_eq!((report.orphans, report.complete), (0, true));
        assert!(site.store.open(&orphan).unwrap().is_some(), "the metadata may be lost");
        let kept = site.push(b"kept").await;
        assert_eq!(site.scrub().await.unwrap().orphans, 1);
        assert!(site.store.open(&orphan).unwrap().is_none());
        assert!(site.store.open(&kept).unwrap().is_some());
    }

    #[tokio::test]
    async fn it_goes_on_where_it_was() {
        let (site, _) = Site::in_memory().await;
        let mut digests = Vec::new();
        for n in 0..10_u8 {
            digests.push(site.push(&[n]).await);
        }
        digests.sort_unstable();
        for (position, blobs) in [
            (Position::Rows(Some(digests[6])), 3),
            (Position::Files(None), 0),
            (Position::Files(Some(digests[9])), 0),
            (Position::Rows(None), 10),
        ] {
            assert_eq!(Position::decode(&position.encode()), position);
            site.meta.put_setting(POSITION, position.encode()).await.unwrap();
            let report = site.scrub().await.unwrap();
            assert_eq!((report.blobs, report.complete), (blobs, true), "{position:?}");
        }
        assert_eq!(site.scrub().await.unwrap().blobs, 10, "a complete one starts anew");
    }

    #[tokio::test]
    async fn it_stops_when_its_scope_does() {
        let (site, _) = Site::in_memory().await;
        site.push(b"x").await;
        site.yard.scope.stop(Duration::from_secs(10)).await;
        assert_eq!(site.scrub().await.unwrap(), ScrubReport::default());
    }
}

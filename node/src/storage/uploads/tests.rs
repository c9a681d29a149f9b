//! Uploads on a real disk that fails when told to.

mod limits;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::task::{Context, Waker};

use bytes::Bytes;
use protocol::seam::Space;
use protocol::tree::{outboard_len, root_of};

use super::*;
use crate::storage::blobs::BlobStore;
use crate::storage::meta::MetaStore;
use crate::storage::store::{Engines, Leases};
use crate::storage::{RoomLimits, Store};
use crate::world::RealEntropy;
use crate::world::faulty::{Call, Faulty};
use crate::world::scratch::Scratch;
use crate::world::stepped::Stepped;
use protocol::Algorithm;

/// One node's staging area, and what it stands on.
pub(crate) struct Yard {
    pub(crate) disk: Faulty,
    pub(crate) dir: Scratch,
    pub(crate) clock: Stepped,
    pub(crate) scope: Scope,
    pub(crate) health: Health,
    pub(crate) uploads: Uploads,
    limits: UploadLimits,
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self::with(UploadLimits {
            max_blob: 100 << 20,
            sessions: 10,
            per_principal: 5,
            idle: Duration::from_secs(60),
            age: Duration::from_secs(600),
        })
    }

    fn with(limits: UploadLimits) -> Self {
        let (disk, dir, clock) = (Faulty::default(), Scratch::new(), Stepped::default());
        let (scope, health) = (Scope::new(), Health::new());
        let uploads = Self::recover(&disk, &dir, &clock, &scope, &health, limits);
        Self { disk, dir, clock, scope, health, uploads, limits }
    }

    fn recover(
        disk: &Faulty,
        dir: &Scratch,
        clock: &Stepped,
        scope: &Scope,
        health: &Health,
        limits: UploadLimits,
    ) -> Uploads {
        let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let room = RoomLimits { ballast: 0, refuse_uploads_at: 100, keep_free: 0 };
        let room = Room::open(Arc::clone(&fs), dir.root().into(), room, Arc::clone(&clock)).unwrap();
        Uploads::recover(OpenUploads {
            fs,
            dir: dir.path("uploads"),
            clock,
            entropy: Arc::new(RealEntropy),
            scope: scope.clone(),
            health: health.clone(),
            room,
            limits,
        })
        .unwrap()
    }

    /// A store over this yard's uploads and the given engines, with leases of an hour.
    pub(crate) fn store(&self, meta: Arc<dyn MetaStore>, blobs: Arc<dyn BlobStore>) -> Arc<Store> {
        let (fs, clock): (Arc<dyn FileSystem>, Arc<dyn Clock>) =
            (Arc::new(self.disk.clone()), Arc::new(self.clock.clone()));
        let room = RoomLimits { ballast: 0, refuse_uploads_at: 100, keep_free: 0 };
        let room = Room::open(fs, self.dir.root().into(), room, Arc::clone(&clock)).unwrap();
        let engines = Engines { meta, blobs, uploads: self.uploads.clone(), health: self.health.clone(), room };
        let hour = Duration::from_secs(3600);
        Arc::new(Store::new(engines, Leases { blob: hour, exists: hour, trash: hour }, clock))
    }

    /// Kill -9 and a new start: nothing of the old process ends in order, the disk stays as it is.
    fn restart(&mut self) {
        self.health = Health::new();
        self.uploads = Self::recover(&self.disk, &self.dir, &self.clock, &self.scope, &self.health, self.limits);
    }

    fn files(&self) -> BTreeSet<String> {
        self.disk.list(&self.dir.path("uploads")).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    async fn patch(&self, id: &UploadId, bytes: &[u8]) -> Result<SessionInfo, UploadError> {
        let mut writer = self.uploads.open(id).await?;
        writer.append(Bytes::copy_from_slice(bytes)).await?;
        writer.checkpoint().await
    }

    async fn put(&self, id: &UploadId, bytes: &[u8], digest: &Digest) -> Result<Staged, UploadError> {
        let mut writer = self.uploads.open(id).await?;
        writer.append(Bytes::copy_from_slice(bytes)).await?;
        writer.finish(digest).await
    }
}

pub(crate) fn begin(algorithm: Algorithm) -> Begin {
    Begin { principal: "alice".into(), repository: "a/b".parse().unwrap(), algorithm }
}

const SHA256: Algorithm = Algorithm::Sha256;

pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251 + i / 65_537) as u8).collect()
}

fn check(staged: &Staged, bytes: &[u8]) {
    assert_eq!(std::fs::read(staged.path()).unwrap(), bytes);
    assert_eq!((staged.size(), staged.root()), (bytes.len() as u64, root_of(bytes)));
    assert_eq!(*staged.digest(), Digest::of(staged.digest().algorithm(), bytes));
    let tree = staged.tree().map_or(0, |path| std::fs::metadata(path).unwrap().len());
    assert_eq!(tree, outboard_len(bytes.len() as u64));
    let mut hasher = protocol::tree::TreeHasher::new();
    let mut nodes = Vec::new();
    hasher.update(bytes, &mut nodes);
    let _ = hasher.finish(&mut nodes);
    if let Some(path) = staged.tree() {
        assert_eq!(std::fs::read(path).unwrap(), nodes);
    }
}

fn cause(error: &UploadError) -> String {
    format!("{error:?}")
}

#[tokio::test]
async fn a_blob_of_any_size_is_staged_in_one_request() {
    let yard = Yard::new();
    for algorithm in Algorithm::ALL {
        for len in [0, 1, 65_536, 65_537, 262_144, 262_145, 1_000_000] {
            let bytes = content(len);
            let mut writer = yard.uploads.begin_once(begin(algorithm)).await.unwrap();
            for piece in bytes.chunks(10_007) {
                writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            assert_eq!(writer.info().offset, len as u64);
            let staged = writer.finish(&Digest::of(algorithm, &bytes)).await.unwrap();
            check(&staged, &bytes);
            drop(staged);
            assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0), "{len}");
        }
    }
}

#[tokio::test]
async fn chunks_of_any_size_add_up_also_over_a_restart() {
    for restart in [false, true] {
        let mut yard = Yard::new();
        let bytes = content(900_000);
        let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
        let mut at = 0;
        // In the middle of a group, at its end, one beyond, and within the last.
        for end in [1, 100_000, 131_072, 131_073, 600_000, 600_001] {
            let info = yard.patch(&id, &bytes[at..end]).await.unwrap();
            assert_eq!(info.offset, end as u64);
            at = end;
            if restart {
                yard.restart();
                assert_eq!(yard.uploads.info(&id).await.unwrap(), info);
            }
        }
        let staged = yard.put(&id, &bytes[at..], &Digest::sha256(&bytes)).await.unwrap();
        check(&staged, &bytes);
        staged.discard();
        assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0));
    }
}

#[tokio::test]
async fn another_algorithm_at_the_end_is_a_second_pass() {
    let yard = Yard::new();
    let bytes = content(300_000);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let staged = yard.put(&id, &bytes, &Digest::of(Algorithm::Sha512, &bytes)).await.unwrap();
    check(&staged, &bytes);
}

#[tokio::test]
async fn a_wrong_digest_leaves_the_session_as_it_was() {
    let yard = Yard::new();
    let bytes = content(200_000);
    let right = Digest::sha256(&bytes);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let before = yard.patch(&id, &bytes[..70_000]).await.unwrap();
    let error = yard.put(&id, &bytes[70_000..], &Digest::sha256(b"x")).await.unwrap_err();
    assert!(
        matches!(error, UploadError::DigestMismatch { actual, expected } if actual == right && expected != right),
        "{error}"
    );
    assert_eq!(yard.uploads.info(&id).await.unwrap(), before);
    check(&yard.put(&id, &bytes[70_000..], &right).await.unwrap(), &bytes);
}

#[tokio::test]
async fn staged_bytes_that_are_not_committed_leave_the_session() {
    let yard = Yard::new();
    let bytes = content(100_000);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let before = yard.patch(&id, &bytes[..10]).await.unwrap();
    let staged = yard.put(&id, &bytes[10..], &Digest::sha256(&bytes)).await.unwrap();
    assert!(matches!(yard.uploads.open(&id).await, Err(UploadError::Busy)));
    drop(staged);
    assert_eq!(yard.uploads.info(&id).await.unwrap(), before);
    check(&yard.put(&id, &bytes[10..], &Digest::sha256(&bytes)).await.unwrap(), &bytes);
}

#[tokio::test]
async fn a_session_has_one_writer() {
    let yard = Yard::new();
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let writer = yard.uploads.open(&id).await.unwrap();
    assert!(matches!(yard.uploads.open(&id).await, Err(UploadError::Busy)));
    assert!(matches!(yard.uploads.cancel(&id).await, Err(UploadError::Busy)));
    drop(writer);
    yard.uploads.cancel(&id).await.unwrap();
    assert!(matches!(yard.uploads.info(&id).await, Err(UploadError::Unknown)));
    assert!(matches!(yard.uploads.open(&id).await, Err(UploadError::Unknown)));
    assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0));
}

#[tokio::test]
async fn a_writer_dropped_in_the_middle_lets_go_at_its_checkpoint() {
    let yard = Yard::new();
    let bytes = content(700_000);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&id, &bytes[..5]).await.unwrap();
    let mut writer = yard.uploads.open(&id).await.unwrap();
    writer.append(Bytes::from(vec![9; 600_000])).await.unwrap();
    drop(writer);
    // Waits for the batch that is still being written, and then goes on where the PATCH ended.
    check(&yard.put(&id, &bytes[5..], &Digest::sha256(&bytes)).await.unwrap(), &bytes);
}

#[tokio::test]
async fn an_upload_of_one_request_leaves_nothing_when_it_is_dropped() {
    let yard = Yard::new();
    let mut writer = yard.uploads.begin_once(begin(SHA256)).await.unwrap();
    assert!(matches!(yard.uploads.info(&writer.info().id).await, Err(UploadError::Unknown)));
    writer.append(Bytes::from(content(600_000))).await.unwrap();
    drop(writer);
    assert_eq!(yard.scope.stop(Duration::from_secs(20)).await, 0);
    assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0));
}

#[tokio::test]
async fn a_long_request_is_checkpointed_on_its_way() {
    let mut yard = Yard::new();
    let piece = Bytes::from(content(1 << 20));
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let mut writer = yard.uploads.open(&id).await.unwrap();
    for _ in 0..70 {
        writer.append(piece.clone()).await.unwrap();
    }
    drop(writer);
    yard.scope.stop(Duration::from_secs(60)).await;
    yard.scope = Scope::new();
    yard.restart();
    assert_eq!(yard.uploads.info(&id).await.unwrap().offset, 64 << 20);
    let whole: Vec<u8> = (0..66).flat_map(|_| piece.iter().copied()).collect();
    check(&yard.put(&id, &whole[64 << 20..], &Digest::sha256(&whole)).await.unwrap(), &whole);
}

#[tokio::test]
async fn a_request_that_counts_whole_leaves_nothing_when_it_breaks_off() {
    let yard = Yard::new();
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&id, b"before").await.unwrap();
    let piece = Bytes::from(content(70 << 20));
    let mut writer = yard.uploads.open(&id).await.unwrap().without_checkpoints();
    writer.append(piece.clone()).await.unwrap();
    drop(writer);
    // The next one waits until the broken one has let go.
    let mut writer = yard.uploads.open(&id).await.unwrap().without_checkpoints();
    assert_eq!(writer.info().offset, 6);
    writer.append(piece.clone()).await.unwrap();
    let whole = [&b"before"[..], &piece].concat();
    check(&writer.finish(&Digest::sha256(&whole)).await.unwrap(), &whole);
}

#[tokio::test]
async fn what_a_broken_request_leaves_behind_the_checkpoint_takes_no_room() {
    let yard = Yard::new();
    let len = |id: &UploadId| yard.disk.file_len(&yard.dir.path("uploads").join(id.as_str())).unwrap();
    let [cut, refused] = [yard.uploads.begin(begin(SHA256)), yard.uploads.begin(begin(SHA256))];
    let (cut, refused) = (cut.await.unwrap().id, refused.await.unwrap().id);
    yard.patch(&cut, b"before").await.unwrap();
    let mut writer = yard.uploads.open(&cut).await.unwrap().without_checkpoints();
    writer.append(Bytes::from(content(3 << 20))).await.unwrap();
    drop(writer);
    yard.patch(&refused, b"before").await.unwrap();
    yard.disk.fail(Call::Rename, refused.as_str(), 0, io::ErrorKind::StorageFull);
    let outcome = yard.patch(&refused, &content(1 << 20)).await;
    assert!(matches!(outcome, Err(UploadError::Full(_))), "{outcome:?}");
    assert_eq!(yard.scope.stop(Duration::from_secs(20)).await, 0);
    assert_eq!((len(&cut), len(&refused)), (Some(6), Some(6)));
}

#[tokio::test]
async fn no_room_for_another_file_is_no_room() {
    let yard = Yard::new();
    yard.disk.fail(Call::Open, ".session", 0, io::ErrorKind::StorageFull);
    let outcome = yard.uploads.begin(begin(SHA256)).await;
    assert!(matches!(outcome, Err(UploadError::Full(_))), "{outcome:?}");
    assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0));
}

#[tokio::test]
async fn a_session_taken_over_by_a_request_that_breaks_off_keeps_its_tree() {
    let mut yard = Yard::new();
    let bytes = content(1_000_000);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&id, &bytes[..400_000]).await.unwrap();
    yard.restart();
    let mut writer = yard.uploads.open(&id).await.unwrap();
    writer.append(Bytes::copy_from_slice(&bytes[400_000..700_000])).await.unwrap();
    drop(writer);
    check(&yard.put(&id, &bytes[400_000..], &Digest::sha256(&bytes)).await.unwrap(), &bytes);
}

#[tokio::test]
async fn a_wrong_digest_after_a_checkpoint_goes_back_before_it() {
    let yard = Yard::new();
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let piece = vec![1; 65 << 20];
    let error = yard.put(&id, &piece, &Digest::sha256(b"x")).await.unwrap_err();
    assert!(matches!(error, UploadError::DigestMismatch { .. }), "{error}");
    assert_eq!(yard.uploads.info(&id).await.unwrap().offset, 0);
    check(&yard.put(&id, b"abc", &Digest::sha256(b"abc")).await.unwrap(), b"abc");
}

#[tokio::test]
async fn a_restart_keeps_whole_sessions_and_nothing_else() {
    let mut yard = Yard::new();
    let kept = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&kept, &content(70_000)).await.unwrap();
    let torn = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let short = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&short, b"0123456789").await.unwrap();
    let dir = yard.dir.path("uploads");
    let sidecar = dir.join(format!("{torn}.session"));
    let half = std::fs::read(&sidecar).unwrap();
    std::fs::write(&sidecar, &half[..half.len() / 2]).unwrap();
    std::fs::write(dir.join(short.as_str()), b"0").unwrap();
    std::fs::write(dir.join("0123456789abcdef0123456789abcdef"), b"no sidecar").unwrap();
    std::fs::write(dir.join(format!("{kept}.session-new")), b"not renamed").unwrap();
    std::fs::write(dir.join("note"), b"someone else's").unwrap();
    yard.restart();
    assert_eq!(yard.files(), BTreeSet::from([kept.to_string(), format!("{kept}.session"), "note".into()]));
    assert_eq!(yard.uploads.count(), 1);
    assert_eq!(yard.uploads.info(&kept).await.unwrap().offset, 70_000);
}

#[tokio::test]
async fn bytes_lost_in_a_crash_end_the_session_and_never_become_a_blob() {
    let mut yard = Yard::new();
    let bytes = content(100_000);
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&id, &bytes).await.unwrap();
    let mut lost = bytes.clone();
    lost[50_000..60_000].fill(0);
    std::fs::write(yard.dir.path("uploads").join(id.as_str()), &lost).unwrap();
    yard.restart();
    assert!(matches!(yard.put(&id, b"", &Digest::sha256(&bytes)).await, Err(UploadError::Unknown)));
    assert_eq!((yard.files(), yard.uploads.count()), (BTreeSet::new(), 0));
}

#[tokio::test]
async fn a_second_name_of_a_committed_blob_is_never_written_through() {
    let mut yard = Yard::new();
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.patch(&id, b"committed").await.unwrap();
    let blob = yard.dir.path("blob");
    std::fs::hard_link(yard.dir.path("uploads").join(id.as_str()), &blob).unwrap();
    yard.restart();
    check(&yard.put(&id, b" and more", &Digest::sha256(b"committed and more")).await.unwrap(), b"committed and more");
    assert_eq!(std::fs::read(&blob).unwrap(), b"committed");
}

#[tokio::test]
async fn a_full_disk_fails_one_upload_and_no_other() {
    let yard = Yard::new();
    let bytes = content(600_000);
    let (a, b) =
        (yard.uploads.begin(begin(SHA256)).await.unwrap().id, yard.uploads.begin(begin(SHA256)).await.unwrap().id);
    let before = yard.patch(&a, &bytes[..1000]).await.unwrap();
    yard.disk.fail(Call::Write, a.as_str(), 1, io::ErrorKind::StorageFull);
    let mut writer = yard.uploads.open(&a).await.unwrap();
    let mut outcome = writer.append(Bytes::copy_from_slice(&bytes[1000..])).await;
    if outcome.is_ok() {
        outcome = writer.finish(&Digest::sha256(&bytes)).await.map(|_| ());
    }
    assert!(matches!(outcome, Err(UploadError::Full(_))), "{outcome:?}");
    assert!(yard.health.read_only().is_none());
    check(&yard.put(&b, &bytes, &Digest::sha256(&bytes)).await.unwrap(), &bytes);
    yard.disk.heal();
    assert_eq!(yard.uploads.info(&a).await.unwrap(), before);
    check(&yard.put(&a, &bytes[1000..], &Digest::sha256(&bytes)).await.unwrap(), &bytes);
}

#[tokio::test]
async fn no_room_found_at_the_sync_is_that_uploads_problem() {
    let yard = Yard::new();
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    yard.disk.fail(Call::Sync, id.as_str(), 0, io::ErrorKind::StorageFull);
    let error = yard.put(&id, b"abc", &Digest::sha256(b"abc")).await.unwrap_err();
    assert!(matches!(error, UploadError::Full(_)), "{error}");
    assert!(yard.health.read_only().is_none());
    assert!(matches!(yard.uploads.info(&id).await, Err(UploadError::Unknown)), "never synced again");
}

#[tokio::test]
async fn a_failed_sync_turns_the_store_read_only() {
    let yard = Yard::new();
    let id = yard.uploads.begin(begin(SHA256)).await.unwrap().id;
    let mut running = yard.uploads.begin_once(begin(SHA256)).await.unwrap();
    yard.disk.fail(Call::Sync, id.as_str(), 0, io::ErrorKind::Other);
    let error = yard.put(&id, b"abc", &Digest::sha256(b"abc")).await.unwrap_err();
    assert!(matches!(error, UploadError::ReadOnly(_)), "{error}");
    assert!(yard.health.read_only().is_some());
    yard.disk.heal();
    let refused = |error: UploadError| assert!(matches!(error, UploadError::ReadOnly(_)), "{}", cause(&error));
    refused(yard.uploads.begin(begin(SHA256)).await.unwrap_err());
    refused(yard.uploads.stage(Bytes::from_static(b"m"), &Digest::sha256(b"m")).await.unwrap_err());
    refused(running.append(Bytes::from_static(b"x")).await.unwrap_err());
    refused(running.finish(&Digest::sha256(b"")).await.unwrap_err());
    let syncs = yard.disk.syncs();
    refused(yard.put(&id, b"abc", &Digest::sha256(b"abc")).await.unwrap_err());
    assert_eq!(yard.disk.syncs(), syncs, "no sync after a failed one");
}

//! Every state a power cut may leave, at every moment of some uploads: what was committed is whole, nothing has a name
//! that is not its own, and whatever session comes back ends in the right bytes or not at all. And every first start that
//! was killed: what the second one relies on survives a power cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::seam::Entropy;
use protocol::{Algorithm, Digest};
use simulations::SimDisk;

use super::blobs::files::FileBlobs;
use super::blobs::{BlobStore, OpenBlob};
use super::uploads::tests::{begin, content};
use super::uploads::{OpenUploads, UploadError, UploadId, UploadLimits, Uploads};
use super::{Health, Room, RoomLimits, identity};
use crate::workers::Scope;
use crate::world::RealEntropy;
use crate::world::stepped::Stepped;

/// Legal states looked at for each moment.
const STATES: usize = 12;

struct Node {
    uploads: Uploads,
    blobs: FileBlobs,
}

impl Node {
    fn start(disk: &SimDisk) -> Self {
        let (fs, clock, scope, health) =
            (disk.file_system(), Arc::new(Stepped::default()), Scope::new(), Health::new());
        let data = PathBuf::from("/data");
        fs.create_dir_all(&data).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let limits = RoomLimits { ballast: 0, refuse_uploads_at: 100, keep_free: 0 };
        let room = Room::open(Arc::clone(&fs), data.clone(), limits, Arc::clone(&clock) as Arc<_>).unwrap();
        let day = Duration::from_secs(86_400);
        let uploads = Uploads::recover(OpenUploads {
            fs: Arc::clone(&fs),
            dir: data.join("uploads"),
            clock: Arc::clone(&clock) as Arc<_>,
            entropy: Arc::new(RealEntropy),
            scope: scope.clone(),
            health: health.clone(),
            room,
            limits: UploadLimits { max_blob: 1 << 30, sessions: 100, per_principal: 100, idle: day, age: day },
        });
        let blobs = FileBlobs::open(fs, &data, clock, scope, health).unwrap();
        Self { uploads: uploads.unwrap(), blobs }
    }

    async fn send(&self, id: &UploadId, bytes: &[u8]) -> super::uploads::Writer {
        let mut writer = self.uploads.open(id).await.unwrap();
        writer.append(Bytes::copy_from_slice(bytes)).await.unwrap();
        writer
    }

    /// Every name holds its own bytes, and what was promised is among them.
    async fn check(&self, promised: &[(usize, Digest)], after: usize) {
        let (listed, more) = self.blobs.list(None, 1000).await.unwrap();
        assert!(!more);
        for blob in &listed {
            let open = self.blobs.open(&blob.digest).unwrap().unwrap();
            assert_eq!(Digest::sha256(&read(&open)), blob.digest, "after {after}");
        }
        for (_, digest) in promised.iter().filter(|(at, _)| *at <= after) {
            assert!(listed.iter().any(|blob| blob.digest == *digest), "{digest} lost after {after}");
        }
    }
}

fn read(blob: &OpenBlob) -> Vec<u8> {
    let mut bytes = vec![0; blob.size as usize];
    assert_eq!(blob.file.read_full_at(&mut bytes, 0).unwrap() as u64, blob.size);
    bytes
}

/// What clients did before the cut.
struct Past {
    disk: SimDisk,
    promised: Vec<(usize, Digest)>,
    /// Sessions, and the whole of what each was to hold.
    sessions: Vec<(UploadId, Vec<u8>)>,
}

async fn past() -> Past {
    let disk = SimDisk::new();
    let node = Node::start(&disk);
    disk.record();
    let (mut promised, mut sessions) = (Vec::new(), Vec::new());
    // In chunks over a group; in one request after a POST; begun and left.
    for (n, (cuts, committed)) in
        [(&[9_000, 70_000][..], true), (&[][..], true), (&[5_000][..], false)].iter().enumerate()
    {
        let bytes = content(80_000 - n * 30_000);
        let id = node.uploads.begin(begin(Algorithm::Sha256)).await.unwrap().id;
        let mut at = 0;
        for cut in *cuts {
            node.send(&id, &bytes[at..*cut]).await.checkpoint().await.unwrap();
            at = *cut;
        }
        if *committed {
            let digest = Digest::sha256(&bytes);
            let staged = node.send(&id, &bytes[at..]).await.finish(&digest).await.unwrap();
            node.blobs.commit(staged, true).await.unwrap();
            promised.push((disk.op_count(), digest));
        }
        sessions.push((id, bytes));
    }
    Past { disk, promised, sessions }
}

#[tokio::test]
async fn no_power_cut_loses_or_bends_a_committed_blob() {
    let past = past().await;
    let (mut states, mut resumed) = (0, 0);
    for state in past.disk.crash_states(STATES) {
        states += 1;
        let node = Node::start(&state.disk);
        node.check(&past.promised, state.after).await;
        for (id, bytes) in &past.sessions {
            let Ok(info) = node.uploads.info(id).await else { continue };
            let mut writer = node.uploads.open(id).await.unwrap();
            writer.append(Bytes::copy_from_slice(&bytes[info.offset as usize..])).await.unwrap();
            match writer.finish(&Digest::sha256(bytes)).await {
                Ok(staged) => {
                    node.blobs.commit(staged, true).await.unwrap();
                    resumed += 1;
                }
                Err(UploadError::Unknown) => {}
                Err(error) => panic!("after {}: {error}", state.after),
            }
        }
        // Also after sessions went on: their files may have been second names of blobs.
        node.check(&past.promised, state.after).await;
    }
    assert!(states > 100 && resumed > 100, "{states} states, {resumed} sessions taken up");
}

#[tokio::test]
async fn a_killed_process_loses_no_checkpoint() {
    let past = past().await;
    let node = Node::start(&past.disk.kill());
    node.check(&past.promised, usize::MAX).await;
    let offsets = [None, None, Some(5_000)];
    for ((id, _), offset) in past.sessions.iter().zip(offsets) {
        assert_eq!(node.uploads.info(id).await.ok().map(|info| info.offset), offset);
    }
}

/// Kills a first start after each of its operations, starts again, then cuts the power. `keeps` tells whether what the
/// second start relies on is there after the cut.
fn killed_first_starts(start: impl Fn(&SimDisk) -> bool, keeps: impl Fn(&SimDisk, &SimDisk) -> bool) {
    let fresh = || {
        let disk = SimDisk::new();
        disk.file_system().create_dir_all(Path::new("/data")).unwrap();
        disk.file_system().sync_dir(Path::new("/")).unwrap();
        disk
    };
    let whole = fresh();
    let before = whole.op_count();
    assert!(start(&whole));
    for after in before..whole.op_count() {
        let first = fresh();
        first.stop_after(after);
        assert!(!start(&first), "killed after {after}");
        let second = first.kill();
        assert!(start(&second), "after {after}");
        for cut in second.crash_states(STATES) {
            assert!(keeps(&second, &cut.disk), "killed after {after}");
        }
    }
}

#[test]
fn a_killed_first_start_leaves_no_fan_out_directory_that_a_power_cut_takes() {
    let start = |disk: &SimDisk| {
        let clock = Arc::new(Stepped::default());
        FileBlobs::open(disk.file_system(), Path::new("/data"), clock, Scope::new(), Health::new()).is_ok()
    };
    killed_first_starts(start, |_, cut| {
        // Commits sync these directories, and nothing above them.
        let fan_out = |algorithm| cut.file_system().list(&Path::new("/data/blobs").join(algorithm));
        ["sha256", "sha512"].into_iter().all(|algorithm| fan_out(algorithm).is_ok_and(|found| found.len() == 256))
    });
}

#[test]
fn a_killed_first_start_leaves_no_key_that_a_power_cut_takes() {
    let open = |disk: &SimDisk, signed| {
        let entropy: Arc<dyn Entropy> = Arc::new(RealEntropy);
        let opened = identity::open(&*disk.file_system(), Path::new("/data"), &entropy, protocol::Timestamp(1), signed);
        opened.map(|author| (author.key(), author.membership().grant)).ok()
    };
    // By now something may be signed with it.
    killed_first_starts(|disk| open(disk, false).is_some(), |second, cut| open(second, true) == open(cut, true));
}

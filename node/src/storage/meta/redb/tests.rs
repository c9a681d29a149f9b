//! What only the embedded engine promises: durability, group commit, and what it does when the disk fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::identity::NodeSecret;
use protocol::record::{Held, HybridTime, Incarnation};
use protocol::seam::FileSystem;
use protocol::{ContentRoot, Digest, RepositoryName, Timestamp};

use super::memory_disk::MemoryDisk;
use super::{OpenRedb, RedbMeta, newest_good, prune, snapshots};
use crate::storage::Health;
use crate::storage::meta::{Act, Author, LinkBlob, MetaError, MetaStore, Project, Published};
use crate::workers::Scope;

const PATH: &str = "/data/meta.redb";
const SNAPSHOTS: &str = "/data/snapshots";

/// The author of the tests, whose random numbers are others with each start.
fn author() -> Author {
    Author::root(NodeSecret::from_seed([7; 32]), Arc::new(crate::world::RealEntropy))
}

struct Node {
    meta: RedbMeta,
    health: Health,
    scope: Scope,
}

impl Node {
    fn open(disk: &MemoryDisk) -> Self {
        Self::try_open(disk, PATH).unwrap()
    }

    fn try_open(disk: &MemoryDisk, path: &str) -> Result<Self, MetaError> {
        let (health, scope) = (Health::new(), Scope::new());
        let options = OpenRedb {
            fs: Arc::new(disk.clone()),
            path: path.into(),
            cache: 1 << 20,
            sync: true,
            health: health.clone(),
            author: author(),
            scope: scope.clone(),
        };
        Ok(Self { meta: RedbMeta::open(options)?, health, scope })
    }

    /// Opened, with the project in which [`link`] links.
    async fn with_project(disk: &MemoryDisk) -> Self {
        let node = Self::open(disk);
        let name = protocol::ProjectName::library();
        let project = Project { name, public: true, sparse: false, created: act().at };
        node.meta.create_project(project, act()).await.unwrap();
        node
    }

    async fn close(self) {
        let Self { meta, scope, .. } = self;
        drop(meta);
        assert_eq!(scope.stop(Duration::from_secs(10)).await, 0, "the writer ended");
    }

    async fn has(&self, n: usize) -> bool {
        self.meta.blob(&repository(), &blob(n)).await.unwrap().is_some()
    }

    /// Many links at once, each in a task of its own; the answers in their order.
    async fn link_many(&self, numbers: std::ops::Range<usize>) -> Vec<Result<bool, MetaError>> {
        let tasks: Vec<_> = numbers
            .map(|n| {
                let (meta, scope) = (self.meta.clone(), self.scope.clone());
                async move { scope.run("test", async move { meta.link_blob(link(n)).await }).await.unwrap() }
            })
            .collect();
        join_all(tasks).await
    }
}

/// Waits for all of them at the same time.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in &mut waiting {
            if answer.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *answer = Some(value);
            }
        }
        if waiting.iter().all(|(_, answer)| answer.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    waiting.into_iter().filter_map(|(_, answer)| answer).collect()
}

fn act() -> Act {
    Act { actor: "tester".into(), at: Timestamp(1), request: "r".into(), via: Default::default() }
}

fn repository() -> RepositoryName {
    "library/a".parse().unwrap()
}

fn blob(n: usize) -> Digest {
    Digest::sha256(&n.to_be_bytes())
}

fn link(n: usize) -> LinkBlob {
    let (repository, digest, root) = (repository(), blob(n), ContentRoot([0; 32]));
    LinkBlob { repository, digest, size: 8, root, lease: Timestamp(100), act: act() }
}

#[tokio::test]
async fn what_was_answered_survives_a_reopen() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    assert!(node.meta.link_blob(link(1)).await.unwrap());
    let counts = node.meta.counts().await.unwrap();
    // As a crash leaves it: nothing closed.
    let crashed = disk.bytes(Path::new(PATH));
    node.close().await;
    for bytes in [disk.bytes(Path::new(PATH)), crashed] {
        disk.put(Path::new(PATH), bytes);
        let node = Node::open(&disk);
        assert!(node.has(1).await);
        assert_eq!(node.meta.counts().await.unwrap(), counts);
        node.close().await;
    }
}

#[tokio::test]
async fn a_database_left_half_made_is_made_again() {
    let disk = MemoryDisk::default();
    let new = format!("{PATH}.new");
    for half in [Vec::new(), vec![0; 5000]] {
        disk.put(Path::new(&new), half);
        let node = Node::with_project(&disk).await;
        node.close().await;
        assert!(disk.file_len(Path::new(&new)).unwrap().is_none());
        disk.remove_file(Path::new(PATH)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiting_intents_share_a_commit() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    disk.dials.sync_takes.store(5, Ordering::SeqCst);
    let before = disk.dials.syncs.load(Ordering::SeqCst);
    let answers = node.link_many(0..200).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(true))));
    // Two syncs make one commit.
    let commits = (disk.dials.syncs.load(Ordering::SeqCst) - before) / 2;
    assert!((1..50).contains(&commits), "{commits} commits for 200 intents");
    assert_eq!(node.meta.counts().await.unwrap().blobs, 200);
    node.close().await;
}

#[tokio::test]
async fn an_intent_that_writes_nothing_costs_no_sync() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    node.meta.link_blob(link(1)).await.unwrap();
    let before = disk.dials.syncs.load(Ordering::SeqCst);
    let absent = LinkBlob { repository: "nowhere/a".parse().unwrap(), ..link(2) };
    assert!(!node.meta.link_blob(absent).await.unwrap());
    assert!(node.meta.hold_blob(&repository(), &blob(1), Timestamp(50), Timestamp(90)).await.unwrap().is_some());
    assert_eq!(disk.dials.syncs.load(Ordering::SeqCst), before);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_intent_leaves_its_group_whole() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    // Damage the row of one blob, in a transaction of its own.
    node.meta.link_blob(link(7)).await.unwrap();
    node.meta.queue.write(0, |writing| writing.tables.held.put_raw(&blob(7).to_key(), b"\x09")).await.unwrap();
    let before = node.meta.counts().await.unwrap();
    disk.dials.sync_takes.store(20, Ordering::SeqCst);
    let syncs = disk.dials.syncs.load(Ordering::SeqCst);
    let answers = node.link_many(0..20).await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok(true) => assert!(n != 7 && node.has(n).await),
            Err(MetaError::Damaged(what)) => assert!(n == 7 && what.contains("held_1"), "{n}: {what}"),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert!((disk.dials.syncs.load(Ordering::SeqCst) - syncs) / 2 < 19, "they shared commits");
    let after = node.meta.counts().await.unwrap();
    assert_eq!((after.blobs, after.bytes), (before.blobs + 19, before.bytes + 19 * 8));
    assert_eq!(after.candidates, before.candidates + 19);
    assert!(node.health.read_only().is_none(), "one row is damaged, not the disk");
    node.close().await;
}

#[tokio::test]
async fn an_intent_that_meets_damage_after_its_first_write_leaves_no_trace() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    let half = node.meta.queue.write(0, |writing| -> Result<(), _> {
        writing.link_blob(&link(1))?;
        Err(super::failure::Failure::Damaged("for the test".into()))
    });
    let whole = node.meta.link_blob(link(2));
    let both = async { (half.await, whole.await) };
    assert!(matches!(both.await, (Err(MetaError::Damaged(_)), Ok(true))));
    assert!(!node.has(1).await && node.has(2).await);
    assert_eq!(node.meta.counts().await.unwrap().bytes, 8);
    node.close().await;
}

#[tokio::test]
async fn a_failed_sync_turns_read_only_and_is_never_retried() {
    for failing in [1, 2] {
        let disk = MemoryDisk::default();
        let node = Node::with_project(&disk).await;
        node.meta.link_blob(link(1)).await.unwrap();
        disk.dials.fail_sync_in.store(failing, Ordering::SeqCst);
        assert!(matches!(node.meta.link_blob(link(2)).await, Err(MetaError::ReadOnly(_))));
        assert!(node.health.read_only().is_some());
        let (syncs, writes) = (disk.dials.syncs.load(Ordering::SeqCst), disk.dials.writes.load(Ordering::SeqCst));
        assert!(matches!(node.meta.link_blob(link(3)).await, Err(MetaError::ReadOnly(_))));
        assert!(node.has(1).await, "reads go on");
        assert_eq!(node.meta.counts().await.unwrap().projects, 1);
        node.close().await;
        assert_eq!(disk.dials.syncs.load(Ordering::SeqCst), syncs, "no sync after the failed one");
        assert_eq!(disk.dials.writes.load(Ordering::SeqCst), writes, "and nothing written");
        let node = Node::open(&disk);
        assert!(node.has(1).await && !node.has(3).await, "a restart recovers");
        assert!(node.meta.link_blob(link(3)).await.unwrap());
        node.close().await;
    }
}

#[tokio::test]
async fn writes_are_refused_once_anything_failed() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    node.health.fail("a blob could not be synced");
    match node.meta.link_blob(link(1)).await {
        Err(MetaError::ReadOnly(why)) => assert!(why.contains("a blob")),
        other => panic!("{other:?}"),
    }
    assert!(!node.has(1).await);
    node.close().await;
}

#[tokio::test]
async fn a_full_disk_is_told_before_the_engine_meets_it() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    disk.dials.used.store((1 << 40) - 1000, Ordering::SeqCst);
    assert!(matches!(node.meta.link_blob(link(1)).await, Err(MetaError::Full)));
    assert!(node.health.read_only().is_none());
    disk.dials.used.store(0, Ordering::SeqCst);
    assert!(node.meta.link_blob(link(1)).await.unwrap(), "room was made");
    disk.dials.full.store(true, Ordering::SeqCst);
    assert!(matches!(node.meta.link_blob(link(2)).await, Err(MetaError::Full)), "met all the same");
    assert!(node.health.read_only().is_some(), "not even opened again: then the engine is done for");
    assert!(node.has(1).await && !node.has(2).await);
    node.close().await;
}

#[tokio::test]
async fn a_write_without_room_fails_its_group_and_nothing_after_it() {
    let (mut met, mut nth) = (true, 0);
    while met {
        nth += 1;
        let disk = MemoryDisk::default();
        let node = Node::with_project(&disk).await;
        assert!(node.meta.link_blob(link(1)).await.unwrap());
        let old = node.meta.shared.begin_read().unwrap();
        disk.dials.full_write_in.store(nth, Ordering::SeqCst);
        let answer = node.meta.link_blob(link(2)).await;
        met = disk.dials.full_write_in.swap(0, Ordering::SeqCst) == 0;
        match answer {
            Err(MetaError::Full) => assert!(met),
            // A write the engine can do without.
            Ok(linked) => assert!(linked),
            Err(other) => panic!("{nth}: {other:?}"),
        }
        drop(old);
        assert_eq!(node.health.read_only(), None, "{nth}");
        assert!(node.has(1).await, "{nth}: reads go on");
        assert!(node.meta.link_blob(link(3)).await.unwrap(), "{nth}: and so do writes");
        let counts = node.meta.counts().await.unwrap();
        node.close().await;
        let node = Node::open(&disk);
        assert!(node.has(1).await && node.has(3).await, "{nth}");
        assert_eq!(node.meta.counts().await.unwrap(), counts, "{nth}");
        node.close().await;
    }
    assert!(nth > 2, "{nth}: some writes were met");
}

#[tokio::test]
async fn a_group_without_room_goes_in_smaller_ones() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    // The first is committed alone, for as long as a sync takes; the others wait and are a group.
    disk.dials.sync_takes.store(20, Ordering::SeqCst);
    disk.dials.used.store((1 << 40) - super::writer::room_for(3, 0), Ordering::SeqCst);
    for (n, answer) in node.link_many(0..40).await.into_iter().enumerate() {
        assert!(answer.unwrap(), "{n}");
    }
    disk.dials.used.store((1 << 40) - super::writer::room_for(1, 0) + 1, Ordering::SeqCst);
    assert!(node.link_many(40..50).await.iter().all(|answer| matches!(answer, Err(MetaError::Full))));
    assert!(node.health.read_only().is_none());
    node.close().await;
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    node.meta.put_setting(super::FORMAT_SETTING, (super::FORMAT + 1).to_string().into_bytes()).await.unwrap();
    node.close().await;
    match Node::try_open(&disk, PATH).map(|_| ()) {
        Err(MetaError::Engine(why)) => {
            assert!(why.contains(&format!("format {}", super::FORMAT + 1)) && why.contains("newer"), "{why}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_written_before_the_first_release_is_refused() {
    for format in ["1", "2", "3", "4"] {
        let disk = MemoryDisk::default();
        let node = Node::with_project(&disk).await;
        node.meta.put_setting(super::FORMAT_SETTING, format.into()).await.unwrap();
        node.close().await;
        match Node::try_open(&disk, PATH).map(|_| ()) {
            Err(MetaError::Engine(why)) => {
                assert!(why.contains(&format!("format {format}")) && why.contains("rebuild-index"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn after_stop_the_queue_is_emptied_and_closed() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    disk.dials.sync_takes.store(10, Ordering::SeqCst);
    let (meta, stop) = (node.meta.clone(), node.scope.clone());
    let mut late = Box::pin(meta.link_blob(link(1)));
    // Queued, not answered.
    std::future::poll_fn(|context| std::task::Poll::Ready(late.as_mut().poll(context).is_ready())).await;
    assert_eq!(stop.stop(Duration::from_secs(10)).await, 0);
    assert!(late.await.unwrap(), "what was queued is done");
    assert!(matches!(node.meta.link_blob(link(2)).await, Err(MetaError::Engine(_))));
    assert!(node.has(1).await);
}

#[tokio::test]
async fn a_snapshot_is_a_whole_copy_and_the_newest_good_one_is_found() {
    let disk = MemoryDisk::default();
    let dir = Path::new(SNAPSHOTS);
    let node = Node::with_project(&disk).await;
    assert_eq!(newest_good(&disk, dir).unwrap(), None);
    for n in 0..4 {
        node.meta.link_blob(link(n)).await.unwrap();
        let path = node.meta.snapshot(dir, &format!("{n}")).unwrap();
        node.meta.link_blob(link(10 + n)).await.unwrap();
        let copy = Node::try_open(&disk, path.to_str().unwrap()).unwrap();
        assert!(copy.has(n).await && !copy.has(10 + n).await, "the state of that moment");
        assert_eq!(copy.meta.counts().await.unwrap().blobs, 2 * n as u64 + 1);
        copy.close().await;
    }
    disk.put(&dir.join("meta-9.redb.part"), b"half".to_vec());
    assert_eq!(snapshots(&disk, dir).unwrap(), ["0", "1", "2", "3"]);
    assert_eq!(prune(&disk, dir, 3).unwrap(), ["0"]);
    assert_eq!(newest_good(&disk, dir).unwrap().unwrap(), dir.join("meta-3.redb"));
    let before = disk.bytes(&dir.join("meta-2.redb"));
    // Damaged, cut short, and no database at all.
    let mut bytes = disk.bytes(&dir.join("meta-3.redb"));
    let named: Vec<usize> = (0..bytes.len() - 8).filter(|at| bytes[*at..].starts_with(b"projects")).collect();
    assert!(!named.is_empty());
    for at in named {
        bytes[at] ^= 1;
    }
    disk.put(&dir.join("meta-3.redb"), bytes);
    disk.put(&dir.join("meta-4.redb"), before[..before.len() / 3].to_vec());
    disk.put(&dir.join("meta-5.redb"), b"not a database".to_vec());
    disk.put(&dir.join("meta-6.redb"), Vec::new());
    assert_eq!(newest_good(&disk, dir).unwrap().unwrap(), dir.join("meta-2.redb"));
    assert_eq!(disk.bytes(&dir.join("meta-2.redb")), before, "checking changes nothing");
    node.meta.snapshot(dir, "7").unwrap();
    assert!(disk.file_len(&dir.join("meta-9.redb.part")).unwrap().is_none(), "what a crash left is gone");
    assert_eq!(newest_good(&disk, dir).unwrap().unwrap(), dir.join("meta-7.redb"));
    node.close().await;
}

#[tokio::test]
async fn a_snapshot_goes_in_batches_and_fails_clean() {
    let disk = MemoryDisk::default();
    let dir = Path::new(SNAPSHOTS);
    let node = Node::with_project(&disk).await;
    for n in 0..5_u8 {
        let key = [n];
        let row = vec![n; 3 * 1024 * 1024];
        node.meta.queue.write(0, move |writing| writing.tables.manifest_bytes.put_raw(&key, &row)).await.unwrap();
    }
    let path = node.meta.snapshot(dir, "a").unwrap();
    let copy = Node::try_open(&disk, path.to_str().unwrap()).unwrap();
    for n in 0..5_u8 {
        let bytes = copy.meta.shared.view().unwrap().manifest_bytes().unwrap().raw(&[n]).unwrap().unwrap();
        assert!(bytes.len() == 3 * 1024 * 1024 && bytes.iter().all(|byte| *byte == n));
    }
    copy.close().await;
    disk.dials.fail_sync_in.store(1, Ordering::SeqCst);
    assert!(node.meta.snapshot(dir, "b").is_err());
    assert_eq!(snapshots(&disk, dir).unwrap(), ["a"]);
    assert!(node.health.read_only().is_none(), "a snapshot is not the store");
    node.close().await;
}

#[tokio::test]
async fn a_snapshot_the_disk_has_no_room_for_writes_nothing() {
    let disk = MemoryDisk::default();
    let dir = Path::new(SNAPSHOTS);
    let node = Node::with_project(&disk).await;
    let len = disk.file_len(Path::new(PATH)).unwrap().unwrap();
    let files = || disk.list(dir).unwrap().len();
    disk.dials.used.store((1 << 40) - len - (100 << 20), Ordering::SeqCst);
    let writes = disk.dials.writes.load(Ordering::SeqCst);
    assert!(matches!(node.meta.snapshot(dir, "a"), Err(MetaError::Full)));
    assert_eq!((disk.dials.writes.load(Ordering::SeqCst), files()), (writes, 0), "nothing was written");
    assert!(node.meta.link_blob(link(1)).await.unwrap(), "and the store has its room");
    disk.dials.used.store(0, Ordering::SeqCst);
    disk.dials.full.store(true, Ordering::SeqCst);
    assert!(matches!(node.meta.snapshot(dir, "a"), Err(MetaError::Full)));
    assert_eq!(files(), 0, "a failed one leaves no part");
    assert!(node.health.read_only().is_none());
    disk.dials.full.store(false, Ordering::SeqCst);
    node.meta.snapshot(dir, "a").unwrap();
    node.close().await;
}

/// Where the records stand among those of their author, and their times, oldest first.
async fn positions(node: &Node) -> Vec<(Incarnation, u64, HybridTime)> {
    let all = node.meta.records(None, 1000).await.unwrap().items;
    let place = |held: &Held| held.record.body().unwrap().position;
    let mut told: Vec<_> =
        all.iter().map(|held| (held.record.time(), place(held))).map(|(t, p)| (p.incarnation, p.seq, t)).collect();
    told.sort_by_key(|(_, _, time)| *time);
    told
}

async fn make(node: &Node, name: &str) {
    let project = Project { name: name.parse().unwrap(), public: true, sparse: false, created: act().at };
    assert!(node.meta.create_project(project, act()).await.unwrap());
}

#[tokio::test]
async fn places_and_times_go_on_over_a_restart_and_anew_from_a_copy() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    make(&node, "a").await;
    let copy = node.meta.snapshot(Path::new(SNAPSHOTS), "1").unwrap();
    let crashed = disk.bytes(Path::new(PATH));
    node.close().await;
    disk.put(Path::new(PATH), crashed);
    let node = Node::open(&disk);
    make(&node, "b").await;
    let told = positions(&node).await;
    assert_eq!(told.iter().map(|(_, seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(told.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].2 < pair[1].2), "{told:?}");
    node.close().await;
    // The copy does not know of b. Whatever it gives out now must not be taken for it.
    let node = Node::try_open(&disk, copy.to_str().unwrap()).unwrap();
    make(&node, "c").await;
    let after = positions(&node).await;
    assert_eq!(after[..2], told[..2]);
    assert!(after[2].0 != told[2].0 && after[2].1 == 1 && after[2].2 > told[1].2, "{after:?}");
    node.close().await;
}

#[tokio::test]
async fn a_file_put_back_from_before_the_audit_log_begins_a_new_incarnation() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    node.close().await;
    for (last_event, same) in [(1, true), (3, false), (4, true)] {
        let (health, scope) = (Health::new(), Scope::new());
        let options = OpenRedb {
            fs: Arc::new(disk.clone()),
            path: PATH.into(),
            cache: 1 << 20,
            sync: true,
            health: health.clone(),
            author: author(),
            scope: scope.clone(),
        };
        let node = Node { meta: RedbMeta::open_after(options, last_event).unwrap(), health, scope };
        make(&node, &format!("p{last_event}{same}")).await;
        let told = positions(&node).await;
        let [.., before, last] = &told[..] else { panic!("{told:?}") };
        assert_eq!(before.0 == last.0, same, "{last_event}: {told:?}");
        // As if its events had been told.
        node.meta.acknowledge(99).await.unwrap();
        node.close().await;
    }
}

#[tokio::test]
async fn records_of_another_node_are_not_gone_on_with() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    node.close().await;
    let secret = NodeSecret::from_seed([8; 32]);
    let options = OpenRedb {
        fs: Arc::new(disk.clone()),
        path: PATH.into(),
        cache: 1 << 20,
        sync: true,
        health: Health::new(),
        author: Author::root(secret, Arc::new(crate::world::RealEntropy)),
        scope: Scope::new(),
    };
    match RedbMeta::open(options).map(|_| ()) {
        Err(MetaError::Engine(why)) => assert!(why.contains("together"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_record_is_told_with_its_table() {
    let disk = MemoryDisk::default();
    let node = Node::with_project(&disk).await;
    let held = node.meta.records(None, 1).await.unwrap().items.remove(0);
    // The first thing that got a number.
    let number = 1_u64.to_be_bytes();
    let whole = node.meta.shared.view().unwrap().records().unwrap().raw(&number).unwrap().unwrap();
    for at in (0..whole.len()).step_by(7) {
        for cut in [false, true] {
            let mut row = whole.to_vec();
            row[at] ^= 1;
            row.truncate(if cut { at } else { row.len() });
            node.meta.queue.write(0, move |writing| writing.tables.records.put_raw(&number, &row)).await.unwrap();
            let told = node.meta.records(None, 1).await;
            // The signature is not checked again.
            let signature = (4 + held.record.as_bytes().len() - 64..4 + held.record.as_bytes().len()).contains(&at);
            match told {
                Err(MetaError::Damaged(what)) => assert!(what.contains("records_1"), "{what}"),
                other => assert!(signature && !cut, "{at} {cut}: {other:?}"),
            }
        }
    }
    node.close().await;
}

#[tokio::test]
async fn as_many_publications_at_once_succeed_as_the_quota_has_room_for() {
    let (disk, yard) = (MemoryDisk::default(), crate::storage::uploads::tests::Yard::new());
    let node = Node::with_project(&disk).await;
    let blobs = Arc::new(crate::storage::blobs::memory::MemoryBlobs::new(Arc::new(yard.clock.clone())));
    let store = yard.store(Arc::new(node.meta.clone()), blobs);
    // Each brings ten bytes of its own, and all share one blob of as many.
    let shared = LinkBlob { size: 10, ..link(0) };
    assert!(node.meta.link_blob(shared.clone()).await.unwrap());
    let publish = |n: usize| {
        let mut publish = crate::storage::meta::contract::manifest("library/app", &format!("manifest{n:02}"));
        let needed = crate::storage::meta::Needed { digest: shared.digest, size: 10 };
        (publish.repository, publish.blobs, publish.quota) = (shared.repository.clone(), vec![needed], Some(215));
        store.publish(publish)
    };
    let outcomes = join_all((0..64).map(publish).collect()).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Published::Done { created: true })).count();
    let over = Published::OverQuota { used: 210, adds: 10, limit: 215 };
    assert_eq!((done, outcomes.iter().filter(|outcome| **outcome == over).count()), (20, 44));
    assert_eq!(node.meta.project_bytes(&protocol::ProjectName::library()).await.unwrap(), 210);
    let report = crate::storage::meta::check::rows_follow_records(&node.meta).await.unwrap();
    assert_eq!(report.differences, [""; 0]);
    node.close().await;
}

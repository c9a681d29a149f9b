//! Garbage collection through the store: what a run frees, when it ends, and what holds it up.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use protocol::seam::Space;

use super::*;
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::Project;
use crate::storage::meta::memory::MemoryMeta;
use crate::storage::meta::redb::{OpenRedb, RedbMeta};
use crate::storage::uploads::tests::Yard;
use crate::world::scratch::Scratch;
use crate::world::stepped::Stepped;

fn repository() -> RepositoryName {
    "a/b".parse().unwrap()
}

fn act() -> Act {
    Act { actor: "alice".into(), at: Timestamp(1), request: "r".into(), via: Default::default() }
}

async fn store(yard: &Yard, meta: Arc<dyn MetaStore>) -> Arc<Store> {
    store_over(yard, meta, MemoryBlobs::new(Arc::new(yard.clock.clone()))).await
}

async fn store_over(yard: &Yard, meta: Arc<dyn MetaStore>, blobs: MemoryBlobs) -> Arc<Store> {
    let store = yard.store(meta, Arc::new(blobs));
    let project = Project { name: repository().project(), public: false, sparse: false, created: Timestamp(0) };
    assert!(store.meta().create_project(project, act()).await.unwrap());
    store
}

/// Pushes that many blobs of ten bytes which nobody will name, and lets their leases end.
async fn garbage(yard: &Yard, store: &Store, count: usize) -> Vec<Digest> {
    let mut all = Vec::new();
    for n in 0..count {
        let bytes = Bytes::from(format!("{n:010}"));
        let digest = Digest::sha256(&bytes);
        let staged = yard.uploads.stage(bytes, &digest).await.unwrap();
        assert!(store.commit_blob(staged, &repository(), act()).await.unwrap());
        all.push(digest);
    }
    yard.clock.step(Duration::from_secs(3 * 3600));
    all
}

#[tokio::test]
async fn a_full_disk_gets_its_bytes_back_at_once() {
    let yard = Yard::new();
    let store = store(&yard, Arc::new(MemoryMeta::default())).await;
    garbage(&yard, &store, 1).await;
    let report = store.collect_garbage(false, || false).await.unwrap();
    assert_eq!((report.freed, report.trash_removed), (1, 0), "with room to spare the trash has its time");
    garbage(&yard, &store, 0).await;
    let report = store.collect_garbage(false, || false).await.unwrap();
    assert_eq!((report.freed, report.trash_removed, report.trash_bytes), (0, 1, 10));
    garbage(&yard, &store, 2).await;
    yard.disk.set_space(Some(Space { total: 1 << 40, available: 0 }));
    let report = store.collect_garbage(true, || false).await.unwrap();
    assert_eq!((report.freed, report.trash_removed), (2, 0), "a dry run takes nothing");
    let report = store.collect_garbage(false, || false).await.unwrap();
    assert_eq!((report.freed, report.trash_removed, report.trash_bytes), (2, 2, 20));
}

#[tokio::test]
async fn a_full_disk_gets_bytes_back_that_went_to_the_trash_by_a_clock_that_was_wrong() {
    let (yard, ahead) = (Yard::new(), Stepped::default());
    ahead.step(Duration::from_secs(10 * 365 * 86_400));
    let store = store_over(&yard, Arc::new(MemoryMeta::default()), MemoryBlobs::new(Arc::new(ahead))).await;
    garbage(&yard, &store, 1).await;
    assert_eq!(store.collect_garbage(false, || false).await.unwrap().freed, 1);
    yard.disk.set_space(Some(Space { total: 1 << 40, available: 0 }));
    yard.clock.step(Duration::from_secs(1));
    assert_eq!(store.collect_garbage(false, || false).await.unwrap().trash_removed, 1);
}

#[tokio::test]
async fn a_run_ends_when_asked() {
    let yard = Yard::new();
    let store = store(&yard, Arc::new(MemoryMeta::default())).await;
    garbage(&yard, &store, 5).await;
    let asked = AtomicUsize::new(0);
    let report = store.collect_garbage(false, || asked.fetch_add(1, Ordering::SeqCst) == 2).await.unwrap();
    assert_eq!((report.examined, report.freed), (2, 2));
    let report = store.collect_garbage(false, || false).await.unwrap();
    assert_eq!(report.freed, 3, "the next one goes on");
}

#[tokio::test]
async fn a_damaged_candidate_holds_up_no_other() {
    let (yard, dir) = (Yard::new(), Scratch::new());
    let path = dir.path("meta.redb");
    let meta = RedbMeta::open(OpenRedb {
        fs: Arc::new(yard.disk.clone()),
        path: Path::new(&path).into(),
        cache: 1 << 20,
        sync: false,
        health: yard.health.clone(),
        author: crate::storage::meta::tests_author(),
        scope: yard.scope.clone(),
    });
    let meta = meta.unwrap();
    let store = store(&yard, Arc::new(meta.clone())).await;
    let all = garbage(&yard, &store, 5).await;
    meta.damage_held(&all[1]).await;
    let report = store.collect_garbage(false, || false).await.unwrap();
    assert_eq!((report.examined, report.freed), (5, 4));
    let report = store.collect_garbage(false, || false).await.unwrap();
    assert_eq!((report.examined, report.freed), (1, 0), "it stays a candidate");
}

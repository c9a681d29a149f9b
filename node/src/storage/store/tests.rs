//! Committing a blob: what is refused leaves no bytes, and its session for another try.

use bytes::Bytes;
use protocol::Algorithm;
use protocol::seam::Space;

use super::*;
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::Project;
use crate::storage::meta::memory::MemoryMeta;
use crate::storage::uploads::UploadId;
use crate::storage::uploads::tests::{Yard, begin};

struct Site {
    yard: Yard,
    meta: MemoryMeta,
    store: Arc<Store>,
    id: UploadId,
}

fn act() -> Act {
    Act { actor: "alice".into(), at: Timestamp(1), request: "r".into(), via: Default::default() }
}

fn repository() -> RepositoryName {
    "a/b".parse().unwrap()
}

fn digest() -> Digest {
    Digest::sha256(b"abc")
}

impl Site {
    /// A store with a session in which `abc` has come.
    async fn new() -> Self {
        let (yard, meta) = (Yard::new(), MemoryMeta::default());
        let blobs = Arc::new(MemoryBlobs::new(Arc::new(yard.clock.clone())));
        let store = yard.store(Arc::new(meta.clone()), blobs);
        let id = yard.uploads.begin(begin(Algorithm::Sha256)).await.unwrap().id;
        let mut writer = yard.uploads.open(&id).await.unwrap();
        writer.append(Bytes::from_static(b"abc")).await.unwrap();
        writer.checkpoint().await.unwrap();
        Self { yard, meta, store, id }
    }

    async fn make_project(&self) {
        let project = Project { name: repository().project(), public: false, sparse: false, created: Timestamp(0) };
        self.meta.create_project(project, act()).await.unwrap();
    }

    async fn put(&self) -> Result<bool, StoreError> {
        let staged = self.yard.uploads.open(&self.id).await.unwrap().finish(&digest()).await.unwrap();
        self.store.commit_blob(staged, &repository(), act()).await
    }

    fn has_bytes(&self) -> bool {
        self.store.open(&digest()).unwrap().is_some()
    }
}

#[tokio::test]
async fn what_would_be_refused_leaves_the_session_for_another_try() {
    let site = Site::new().await;
    assert!(!site.put().await.unwrap(), "there is no project");
    assert!(!site.has_bytes());
    site.make_project().await;
    let staged = site.yard.uploads.open(&site.id).await.unwrap().finish(&digest()).await.unwrap();
    site.yard.disk.set_space(Some(Space { total: 1 << 40, available: 0 }));
    site.yard.clock.step(Duration::from_secs(1));
    let refused = site.store.commit_blob(staged, &repository(), act()).await;
    assert!(matches!(refused, Err(StoreError::Uploads(UploadError::Full(_)))), "{refused:?}");
    assert!(!site.has_bytes());
    site.yard.disk.set_space(None);
    site.yard.clock.step(Duration::from_secs(1));
    assert!(site.put().await.unwrap());
}

#[tokio::test]
async fn what_the_metadata_refuses_leaves_no_bytes_and_a_full_queue_is_waited_for() {
    let site = Site::new().await;
    site.make_project().await;
    site.meta.refuse([MetaError::Full]);
    assert!(matches!(site.put().await, Err(StoreError::Meta(MetaError::Full))));
    assert!(!site.has_bytes());
    let site = Site::new().await;
    site.make_project().await;
    site.meta.refuse([MetaError::Busy, MetaError::Busy]);
    assert!(site.put().await.unwrap());
    site.meta.refuse([MetaError::Full]);
    let again = site.yard.uploads.stage(Bytes::from_static(b"abc"), &digest()).await.unwrap();
    assert!(site.store.commit_blob(again, &repository(), act()).await.is_err());
    assert!(site.has_bytes(), "a row holds them");
}

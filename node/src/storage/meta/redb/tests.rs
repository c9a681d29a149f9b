//! What only the embedded engine promises: durability, group commit, and what it does when the disk fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::{ContentRoot, Digest, RepositoryName, Timestamp};

use super::memory_disk::MemoryDisk;
use super::{OpenRedb, RedbMeta, newest_good, prune, snapshots};
use crate::storage::Health;
use crate::storage::meta::{Act, LinkBlob, MetaError, MetaStore, Project};
use crate::workers::Scope;

const PATH: &str = "/data/meta.redb";

struct Node {
    meta: RedbMeta,
    health: Health,
    scope: Scope,
}

impl Node {
    fn open(disk: &MemoryDisk) -> Self {
        Self::try_open(disk).unwrap()
    }

    fn try_open(disk: &MemoryDisk) -> Result<Self, MetaError> {
        let (health, scope) = (Health::new(), Scope::new());
        let options = OpenRedb {
            fs: Arc::new(disk.clone()),
            path: PATH.into(),
            cache: 1 << 20,
            sync: true,
            health: health.clone(),
            scope: scope.clone(),
        };
        Ok(Self { meta: RedbMeta::open(options)?, health, scope })
    }

    async fn close(self) {
        let Self { meta, scope, .. } = self;
        drop(meta);
        assert_eq!(scope.stop(Duration::from_secs(10)).await, 0, "the writer ended");
    }

    async fn library(&self) {
        let project =
            Project { name: protocol::ProjectName::library(), public: true, sparse_index: false, created: act().at };
        self.meta.create_project(project, act()).await.unwrap();
    }
}

fn act() -> Act {
    Act { actor: "tester".into(), at: Timestamp(1), request: "r".into() }
}

fn repository() -> RepositoryName {
    "library/a".parse().unwrap()
}

fn blob(n: usize) -> Digest {
    Digest::sha256(&n.to_be_bytes())
}

fn link(n: usize) -> LinkBlob {
    LinkBlob {
        repository: repository(),
        digest: blob(n),
        size: 8,
        root: ContentRoot([0; 32]),
        lease: Timestamp(100),
        act: act(),
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_reopen() {
    let disk = MemoryDisk::default();
    let node = Node::open(&disk);
    node.library().await;
    assert!(node.meta.link_blob(link(1)).await.unwrap());
    let counts = node.meta.counts().await.unwrap();
    // As a crash leaves it: nothing closed.
    let crashed = disk.bytes(Path::new(PATH));
    node.close().await;
    for bytes in [disk.bytes(Path::new(PATH)), crashed] {
        disk.put(Path::new(PATH), bytes);
        let node = Node::open(&disk);
        assert!(node.meta.blob(&repository(), &blob(1)).await.unwrap().is_some());
        assert_eq!(node.meta.counts().await.unwrap(), counts);
        node.close().await;
    }
}

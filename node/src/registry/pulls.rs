//! Pulls of manifests, counted in memory and noted in batches: a pull never waits for a write.
//!
//! Owns what was counted and is not noted yet. A crash loses that: a few seconds of counts. When more different things
//! are pulled between two batches than there is room for, the counts of the rest are lost, too, and the
//! log tells how many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use protocol::{Digest, Reference, RepositoryName, Tag, Timestamp};

use crate::storage::meta::{MetaError, MetaStore, Pulled};

/// Most different things counted between two batches: some megabytes.
const MAX_COUNTED: usize = 16_384;

/// Most of them in one intent.
const BATCH: usize = 256;

type Key = (RepositoryName, Digest, Option<Tag>);

/// What was pulled since the last batch.
#[derive(Debug, Default)]
pub(super) struct PullLog {
    counted: Mutex<HashMap<Key, (u64, Timestamp)>>,
    dropped: AtomicU64,
}

impl PullLog {
    /// Counts a pull of `digest` by a reference.
    pub(super) fn count(&self, repository: &RepositoryName, digest: Digest, by: &Reference, at: Timestamp) {
        let tag = match by {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(_) => None,
        };
        self.add((repository.clone(), digest, tag), 1, at);
    }

    fn add(&self, key: Key, count: u64, at: Timestamp) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= MAX_COUNTED && !counted.contains_key(&key) {
            self.dropped.fetch_add(count, Ordering::Relaxed);
            return;
        }
        let (sum, last) = counted.entry(key).or_insert((0, at));
        *sum = sum.saturating_add(count);
        *last = at.max(*last);
    }

    /// Pulls that were not counted for want of room since the last batch.
    #[cfg(test)]
    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Notes what was counted. What could not be noted is counted again.
    ///
    /// # Errors
    /// [`MetaError`] of the first batch that failed.
    pub(super) async fn flush(&self, meta: &dyn MetaStore) -> Result<(), MetaError> {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "more different manifests were pulled than are counted at a time");
        }
        let counted = std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner));
        let pulled = |((repository, digest, tag), (count, last))| Pulled { repository, digest, tag, count, last };
        let mut waiting: Vec<Pulled> = counted.into_iter().map(pulled).collect();
        while !waiting.is_empty() {
            let batch = waiting.split_off(waiting.len().saturating_sub(BATCH));
            if let Err(error) = meta.note_pulls(batch.clone()).await {
                for Pulled { repository, digest, tag, count, last } in waiting.into_iter().chain(batch) {
                    self.add((repository, digest, tag), count, last);
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::meta::{Act, Project, PublishManifest, Published};

    fn repository() -> RepositoryName {
        "p/a".parse().unwrap()
    }

    async fn with_manifest() -> (MemoryMeta, Digest) {
        let (meta, at) = (MemoryMeta::default(), Timestamp(1));
        let act = Act { actor: "tester".into(), at, request: "r".into(), via: Default::default() };
        let project = Project { name: repository().project(), public: true, sparse: false, created: at };
        meta.create_project(project, act.clone()).await.unwrap();
        let body = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let (digest, parsed) = (Digest::sha256(body), protocol::Manifest::parse(body, None).unwrap());
        let publish = PublishManifest::of(&repository(), digest, &parsed, body[..].into(), at, act);
        let publish = PublishManifest { tags: vec!["t".parse().unwrap()], ..publish };
        assert_eq!(meta.publish_manifest(publish).await.unwrap(), Published::Done { created: true });
        (meta, digest)
    }

    #[tokio::test]
    async fn pulls_are_noted_together_and_once() {
        let ((meta, digest), log) = (with_manifest().await, PullLog::default());
        for at in [5, 9, 7] {
            log.count(&repository(), digest, &Reference::Tag("t".parse().unwrap()), Timestamp(at));
        }
        log.count(&repository(), digest, &Reference::Digest(digest), Timestamp(8));
        for _ in 0..2 {
            log.flush(&meta).await.unwrap();
            let view = meta.repository(&repository()).await.unwrap().unwrap();
            assert_eq!((view.pulls, view.last_pull), (4, Some(Timestamp(9))));
        }
    }

    #[tokio::test]
    async fn what_is_not_there_any_more_is_left_out_and_memory_is_bounded() {
        let ((meta, digest), log) = (with_manifest().await, PullLog::default());
        let by = Reference::Digest(digest);
        for n in 0..MAX_COUNTED + 7 {
            log.count(&repository(), Digest::sha256(&n.to_be_bytes()), &by, Timestamp(5));
        }
        log.count(&repository(), Digest::sha256(&0_usize.to_be_bytes()), &by, Timestamp(5));
        assert_eq!(log.dropped(), 7, "what is counted already has its room");
        log.flush(&meta).await.unwrap();
        assert_eq!(meta.repository(&repository()).await.unwrap().unwrap().pulls, 0);
        log.count(&repository(), digest, &by, Timestamp(6));
        log.flush(&meta).await.unwrap();
        assert_eq!(meta.repository(&repository()).await.unwrap().unwrap().pulls, 1);
    }
}

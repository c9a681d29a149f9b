//! What every blob engine is held to: one suite, run against each.

#[cfg(test)]
mod suite {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use protocol::seam::Clock;
    use protocol::{Algorithm, Digest};

    use crate::storage::blobs::files::FileBlobs;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::blobs::{BlobStore, Staged};
    use crate::storage::uploads::tests::{Yard, content};

    fn engines(yard: &Yard) -> Vec<Box<dyn BlobStore>> {
        let clock: Arc<dyn Clock> = Arc::new(yard.clock.clone());
        let files = FileBlobs::open(
            Arc::new(yard.disk.clone()),
            yard.dir.root(),
            Arc::clone(&clock),
            yard.scope.clone(),
            yard.health.clone(),
        );
        vec![Box::new(files.unwrap()), Box::new(MemoryBlobs::new(clock))]
    }

    async fn staged(yard: &Yard, algorithm: Algorithm, bytes: &[u8]) -> Staged {
        yard.uploads.stage(Bytes::copy_from_slice(bytes), &Digest::of(algorithm, bytes)).await.unwrap()
    }

    fn read(blobs: &dyn BlobStore, digest: &Digest) -> Option<Vec<u8>> {
        let open = blobs.open(digest).unwrap()?;
        let mut bytes = vec![0; open.size as usize];
        assert_eq!(open.file.read_full_at(&mut bytes, 0).unwrap() as u64, open.size);
        assert_eq!((open.file.len().unwrap(), open.file.read_at(&mut [0], open.size).unwrap()), (open.size, 0));
        Some(bytes)
    }

    #[tokio::test]
    async fn a_committed_blob_is_read_back_and_its_staging_is_over() {
        let yard = Yard::new();
        for blobs in engines(&yard) {
            for (algorithm, len) in [(Algorithm::Sha256, 0), (Algorithm::Sha256, 200_000), (Algorithm::Sha512, 65_536)]
            {
                let bytes = content(len);
                let digest = Digest::of(algorithm, &bytes);
                assert_eq!(read(&*blobs, &digest), None);
                blobs.commit(staged(&yard, algorithm, &bytes).await, true).await.unwrap();
                assert_eq!(read(&*blobs, &digest), Some(bytes));
                let left = std::fs::read_dir(yard.dir.path("uploads")).unwrap().count();
                assert_eq!((left, yard.uploads.count()), (0, 0));
            }
        }
    }

    #[tokio::test]
    async fn who_comes_second_leaves_nothing_and_an_open_blob_stays_readable() {
        let yard = Yard::new();
        for blobs in engines(&yard) {
            let digest = Digest::sha256(b"abc");
            for replace in [false, false, true] {
                blobs.commit(staged(&yard, Algorithm::Sha256, b"abc").await, replace).await.unwrap();
                assert_eq!(read(&*blobs, &digest), Some(b"abc".into()));
            }
            let open = blobs.open(&digest).unwrap().unwrap();
            assert!(blobs.remove(&digest).await.unwrap());
            let mut bytes = [0; 3];
            assert_eq!((open.file.read_at(&mut bytes, 0).unwrap(), &bytes), (3, b"abc"));
            assert_eq!(std::fs::read_dir(yard.dir.path("uploads")).unwrap().count(), 0);
        }
    }

    #[tokio::test]
    async fn removed_bytes_wait_in_the_trash_and_a_new_push_does_not_look_there() {
        let yard = Yard::new();
        for blobs in engines(&yard) {
            let bytes = content(100_000);
            let digest = Digest::sha256(&bytes);
            blobs.commit(staged(&yard, Algorithm::Sha256, &bytes).await, false).await.unwrap();
            assert!(blobs.remove(&digest).await.unwrap());
            assert!(!blobs.remove(&digest).await.unwrap());
            assert_eq!(read(&*blobs, &digest), None);
            let removed = yard.clock.now();
            yard.clock.step(Duration::from_secs(1));
            blobs.commit(staged(&yard, Algorithm::Sha256, &bytes).await, false).await.unwrap();
            assert_eq!(blobs.empty_trash(removed).await.unwrap(), (0, 0), "not before its time");
            assert_eq!(blobs.empty_trash(yard.clock.now()).await.unwrap(), (1, 100_000));
            assert_eq!(blobs.empty_trash(yard.clock.now()).await.unwrap(), (0, 0));
            assert_eq!(read(&*blobs, &digest), Some(bytes));
        }
    }

    #[tokio::test]
    async fn bytes_in_the_trash_get_their_name_back() {
        let yard = Yard::new();
        for blobs in engines(&yard) {
            let bytes = content(100_000);
            let digest = Digest::sha256(&bytes);
            assert!(!blobs.revive(&digest).await.unwrap());
            for _ in 0..2 {
                blobs.commit(staged(&yard, Algorithm::Sha256, &bytes).await, false).await.unwrap();
                assert!(blobs.remove(&digest).await.unwrap());
                yard.clock.step(Duration::from_secs(1));
            }
            assert!(!blobs.revive(&Digest::sha256(b"another")).await.unwrap());
            assert!(blobs.revive(&digest).await.unwrap());
            assert_eq!(read(&*blobs, &digest), Some(bytes));
            let oldest = yard.clock.now().plus(Duration::from_secs(1));
            assert_eq!(blobs.empty_trash(oldest).await.unwrap(), (1, 100_000), "the newest went back");
            assert!(!blobs.revive(&digest).await.unwrap());
            let file = yard.dir.path("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
            assert_eq!(file.exists(), file.with_extension("tree").exists(), "with its tree");
        }
    }

    #[tokio::test]
    async fn damaged_bytes_go_aside_and_good_ones_take_their_place() {
        let yard = Yard::new();
        for blobs in engines(&yard) {
            let digest = Digest::sha256(b"abc");
            assert!(!blobs.quarantine(&digest).await.unwrap());
            blobs.commit(staged(&yard, Algorithm::Sha256, b"abc").await, false).await.unwrap();
            assert!(blobs.quarantine(&digest).await.unwrap());
            assert_eq!(read(&*blobs, &digest), None);
            blobs.commit(staged(&yard, Algorithm::Sha256, b"abc").await, true).await.unwrap();
            assert_eq!(read(&*blobs, &digest), Some(b"abc".into()));
        }
    }

    #[tokio::test]
    async fn blobs_are_listed_in_order_page_by_page() {
        let yard = Yard::new();
        for blobs in engines(&yard) {
            let mut all = Vec::new();
            for n in 0..40_u32 {
                let algorithm = if n % 4 == 0 { Algorithm::Sha512 } else { Algorithm::Sha256 };
                let bytes = vec![7; n as usize];
                blobs.commit(staged(&yard, algorithm, &bytes).await, false).await.unwrap();
                all.push((Digest::of(algorithm, &bytes), u64::from(n)));
            }
            all.sort_unstable();
            for limit in [1, 7, 39, 40, 41] {
                let (mut found, mut after, mut more) = (Vec::new(), None, true);
                while more {
                    let (page, follows) = blobs.list(after, limit).await.unwrap();
                    assert!(page.len() == limit || !follows);
                    after = page.last().map(|listed| listed.digest);
                    found.extend(page.iter().map(|listed| (listed.digest, listed.size)));
                    more = follows;
                }
                assert_eq!(found, all, "{limit}");
            }
        }
    }
}

//! Open files of the blobs read most recently, so that a popular small blob costs a read and no open.
//!
//! State: a bounded table in memory. A handle stays valid when its name is taken away, so a stale one would go on serving
//! bytes that were quarantined or removed. Therefore whoever changes a name calls [`Handles::forget`] after the change,
//! and an open that began before it is not kept: it carries the epoch it began in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use protocol::Digest;

use super::OpenBlob;

/// Handles kept, all shards together; each costs a file descriptor.
const KEPT: usize = 512;
const SHARDS: usize = 16;

/// Open files by digest.
#[derive(Debug)]
pub(super) struct Handles {
    shards: [Mutex<Shard>; SHARDS],
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    /// Raised by each [`Handles::forget`].
    epoch: u64,
    open: HashMap<Digest, Entry>,
}

#[derive(Debug)]
struct Entry {
    blob: OpenBlob,
    used: u64,
}

/// When an open began. Without it nothing is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began(u64);

impl Default for Handles {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), clock: AtomicU64::new(0) }
    }
}

impl Handles {
    fn shard(&self, digest: &Digest) -> std::sync::MutexGuard<'_, Shard> {
        let shard = usize::from(digest.hash()[0]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// An open handle, or the right to bring one.
    pub(super) fn get(&self, digest: &Digest) -> Result<OpenBlob, Began> {
        let mut shard = self.shard(digest);
        let epoch = shard.epoch;
        match shard.open.get_mut(digest) {
            Some(entry) => {
                entry.used = self.tick();
                Ok(entry.blob.clone())
            }
            None => Err(Began(epoch)),
        }
    }

    /// Keeps a handle, unless a name of its shard changed since its open began. The one used longest ago makes room.
    pub(super) fn keep(&self, digest: &Digest, blob: &OpenBlob, began: Began) {
        let used = self.tick();
        let mut shard = self.shard(digest);
        if shard.epoch != began.0 {
            return;
        }
        if shard.open.len() >= KEPT / SHARDS {
            let oldest = shard.open.iter().min_by_key(|(_, entry)| entry.used).map(|(digest, _)| *digest);
            if let Some(oldest) = oldest {
                shard.open.remove(&oldest);
            }
        }
        shard.open.insert(*digest, Entry { blob: blob.clone(), used });
    }

    /// The name changed: what was open under it is no longer what it names. Call it after the change.
    pub(super) fn forget(&self, digest: &Digest) {
        let mut shard = self.shard(digest);
        shard.epoch += 1;
        shard.open.remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::RealDisk;
    use crate::world::scratch::Scratch;
    use protocol::seam::{Access, FileSystem};

    fn blob(scratch: &Scratch, size: u64) -> OpenBlob {
        let file = RealDisk.open(&scratch.path("file"), Access::Create).unwrap();
        OpenBlob { file, size }
    }

    #[test]
    fn a_handle_is_kept_until_its_name_changes() {
        let (handles, scratch) = (Handles::default(), Scratch::new());
        let digest = Digest::sha256(b"x");
        let began = handles.get(&digest).unwrap_err();
        handles.keep(&digest, &blob(&scratch, 7), began);
        assert_eq!(handles.get(&digest).unwrap().size, 7);
        handles.forget(&digest);
        assert!(handles.get(&digest).is_err());
    }

    #[test]
    fn an_open_that_began_before_the_change_is_not_kept() {
        let (handles, scratch) = (Handles::default(), Scratch::new());
        let digest = Digest::sha256(b"x");
        let began = handles.get(&digest).unwrap_err();
        handles.forget(&digest);
        handles.keep(&digest, &blob(&scratch, 7), began);
        assert!(handles.get(&digest).is_err(), "it may be the old file");
    }

    #[test]
    fn their_number_is_bounded() {
        let (handles, scratch) = (Handles::default(), Scratch::new());
        for n in 0..2_000_u32 {
            let digest = Digest::sha256(&n.to_be_bytes());
            let began = handles.get(&digest).unwrap_err();
            handles.keep(&digest, &blob(&scratch, 1), began);
        }
        let kept: usize = handles.shards.iter().map(|shard| shard.lock().unwrap().open.len()).sum();
        assert!(kept <= KEPT && kept > KEPT / 2, "{kept}");
    }
}

//! Stores in memory for the tests of rooms above.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::seam::{Clock, Entropy, FileSystem};

use super::Health;
use super::blobs::memory::MemoryBlobs;
use super::meta::memory::MemoryMeta;
use super::room::{Room, RoomLimits};
use super::store::{Engines, Leases, Store};
use super::uploads::{OpenUploads, UploadLimits, Uploads};
use crate::workers::Scope;
use crate::world::scratch::Scratch;
use crate::world::{RealClock, RealDisk};

/// Randomness that counts: different each time, the same in each run.
#[derive(Debug, Default)]
pub(crate) struct Numbers(AtomicU64);

impl Entropy for Numbers {
    fn fill(&self, out: &mut [u8]) {
        let base = self.0.fetch_add(1, Ordering::Relaxed);
        for (at, slot) in out.iter_mut().enumerate() {
            *slot = (base as u8).wrapping_mul(31).wrapping_add(at as u8);
        }
    }
}

/// A clock.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock::new())
}

/// A store whose engines are in memory; uploads stage in `scratch`.
pub(crate) fn in_memory(scratch: &Scratch) -> Arc<Store> {
    let (clock, fs): (_, Arc<dyn FileSystem>) = (clock(), Arc::new(RealDisk));
    let dir = scratch.root().to_owned();
    let health = Health::new();
    let limits = RoomLimits { ballast: 0, refuse_uploads_at: 100, keep_free: 0 };
    let room = Room::open(Arc::clone(&fs), dir.clone(), limits, Arc::clone(&clock)).unwrap();
    let hour = Duration::from_secs(3600);
    let uploads = Uploads::recover(OpenUploads {
        fs,
        dir: dir.join("uploads"),
        clock: Arc::clone(&clock),
        entropy: Arc::new(Numbers::default()),
        scope: Scope::new(),
        health: health.clone(),
        room: room.clone(),
        limits: UploadLimits { max_blob: 1 << 30, sessions: 100, per_principal: 100, idle: hour, age: hour },
    })
    .unwrap();
    let meta = Arc::new(MemoryMeta::default());
    let blobs = Arc::new(MemoryBlobs::new(Arc::clone(&clock)));
    let engines = Engines { meta, blobs, uploads, health, room };
    Arc::new(Store::new(engines, Leases { blob: hour, exists: hour, trash: hour }, clock))
}

//! Blobs in memory: the second engine, for tests of what stands above. A crash loses everything.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use protocol::seam::{Clock, File};
use protocol::{Digest, Timestamp};

use super::{Answer, BlobStore, BlobStoreError, Listed, OpenBlob, Staged};

/// A blob store of this process's life.
#[derive(Debug)]
pub struct MemoryBlobs {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<Digest, Bytes>,
    trash: Vec<(Timestamp, Digest, Bytes)>,
    quarantine: BTreeMap<Digest, Bytes>,
}

impl MemoryBlobs {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts bytes under a name without looking at them: rot, and files nobody knows, for tests.
    #[cfg(test)]
    pub(crate) fn plant(&self, digest: Digest, bytes: Bytes) {
        self.state().blobs.insert(digest, bytes);
    }

    /// Loses what the trash has of a digest, for tests.
    #[cfg(test)]
    pub(crate) fn forget(&self, digest: &Digest) {
        self.state().trash.retain(|(_, name, _)| name != digest);
    }

    fn take(&self, staged: Staged, replace: bool) -> io::Result<()> {
        let there = self.state().blobs.get(staged.digest()).map(|bytes| bytes.len() as u64);
        if replace || there != Some(staged.size()) {
            let file = staged.open()?;
            let mut bytes = vec![0; usize::try_from(staged.size()).map_err(io::Error::other)?];
            if file.read_full_at(&mut bytes, 0)? < bytes.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.state().blobs.insert(*staged.digest(), bytes.into());
        }
        staged.discard();
        Ok(())
    }
}

impl BlobStore for MemoryBlobs {
    fn commit(&self, staged: Staged, replace: bool) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.take(staged, replace)?) })
    }

    fn open(&self, digest: &Digest) -> Result<Option<OpenBlob>, BlobStoreError> {
        Ok(self.state().blobs.get(digest).map(|bytes| OpenBlob {
            file: Arc::new(MemoryFile(bytes.clone())) as Arc<dyn File>,
            size: bytes.len() as u64,
        }))
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool> {
        Box::pin(async move {
            let now = self.clock.now();
            let mut state = self.state();
            let removed = state.blobs.remove(digest);
            let there = removed.is_some();
            state.trash.extend(removed.map(|bytes| (now, *digest, bytes)));
            Ok(there)
        })
    }

    fn quarantine<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut state = self.state();
            let Some(bytes) = state.blobs.remove(digest) else { return Ok(false) };
            state.quarantine.insert(*digest, bytes);
            Ok(true)
        })
    }

    fn revive<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut state = self.state();
            let of_digest = state.trash.iter().enumerate().filter(|(_, (_, name, _))| name == digest);
            let Some((at, _)) = of_digest.max_by_key(|(_, (time, ..))| *time) else { return Ok(false) };
            let (.., bytes) = state.trash.swap_remove(at);
            state.blobs.insert(*digest, bytes);
            Ok(true)
        })
    }

    fn empty_trash(&self, before: Timestamp) -> Answer<'_, (u64, u64)> {
        Box::pin(async move {
            let mut state = self.state();
            let (gone, kept) = std::mem::take(&mut state.trash).into_iter().partition(|(time, ..)| *time < before);
            state.trash = kept;
            let gone: Vec<(Timestamp, Digest, Bytes)> = gone;
            Ok((gone.len() as u64, gone.iter().map(|(.., bytes)| bytes.len() as u64).sum()))
        })
    }

    fn list(&self, after: Option<Digest>, limit: usize) -> Answer<'_, (Vec<Listed>, bool)> {
        Box::pin(async move {
            let state = self.state();
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut rest = state.blobs.range((start, Bound::Unbounded));
            let page = rest.by_ref().take(limit);
            let page = page.map(|(digest, bytes)| Listed { digest: *digest, size: bytes.len() as u64 }).collect();
            Ok((page, rest.next().is_some()))
        })
    }
}

/// Bytes as a file that is never written to.
#[derive(Debug)]
struct MemoryFile(Bytes);

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let read = buf.len().min(self.0.len() - at);
        buf[..read].copy_from_slice(&self.0[at..at + read]);
        Ok(read)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buf, offset)
    }

    fn write_all_at(&self, _buf: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

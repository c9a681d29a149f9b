//! Memory for downloads, used again and again: a fresh buffer for each read would be zeroed and faulted in each time.
//!
//! Two sizes, because most blobs are small; a bounded number of each is kept when not in use.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::BLOCK;

/// The smaller of the two sizes: blobs of up to this are read in one piece before the head is sent.
pub const SMALL: usize = 64 * 1024;

/// Memory kept in blocks of each size while nobody uses them.
const KEPT: usize = 4 << 20;

/// Reads from the disk at the same time, all downloads together: enough to keep it busy, few enough that threads which
/// copy cold blobs do not push aside those that serve hot ones.
const DISK_READS: usize = 4;

/// The blocks not in use. Cheap to clone; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct Blocks(Arc<Shelves>);

#[derive(Debug)]
struct Shelves {
    small: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
    disk: Semaphore,
}

impl Default for Shelves {
    fn default() -> Self {
        Self { small: Mutex::default(), large: Mutex::default(), disk: Semaphore::new(DISK_READS) }
    }
}

impl Shelves {
    fn shelf(&self, len: usize) -> &Mutex<Vec<Vec<u8>>> {
        if len <= SMALL { &self.small } else { &self.large }
    }
}

/// A block in use; its memory goes back when it, or the [`Bytes`] made of it, is dropped.
#[derive(Debug)]
pub struct Block {
    memory: Vec<u8>,
    len: usize,
    home: Blocks,
}

impl Blocks {
    /// A turn at the disk, for a read that has to wait for it.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed: without a permit the read simply goes ahead.
        self.0.disk.acquire().await.ok()
    }

    /// A block of `len` bytes, at most [`BLOCK`], whose content is whatever was there before.
    #[must_use]
    pub fn take(&self, len: usize) -> Block {
        let len = len.min(BLOCK);
        let kept = self.0.shelf(len).lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = kept.unwrap_or_else(|| vec![0; if len <= SMALL { SMALL } else { BLOCK }]);
        Block { memory, len, home: self.clone() }
    }
}

impl Block {
    /// Its bytes, to be overwritten.
    #[must_use]
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    /// Number of bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks for an empty block")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Keeps only the first `len` bytes.
    pub fn cut(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The bytes, to be sent.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut shelf = self.home.0.shelf(memory.len()).lock().unwrap_or_else(PoisonError::into_inner);
        if (shelf.len() + 1) * memory.len() <= KEPT {
            shelf.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_is_bounded() {
        let blocks = Blocks::default();
        let kept = KEPT / BLOCK;
        let mut all: Vec<_> = (0..kept + 4).map(|_| blocks.take(BLOCK)).collect();
        let bytes = all.pop().unwrap().into_bytes();
        let copy = bytes.slice(3..9);
        drop((all, bytes));
        assert_eq!(blocks.0.large.lock().unwrap().len(), kept);
        drop(copy);
        assert_eq!(blocks.0.large.lock().unwrap().len(), kept);
        assert_eq!((blocks.take(10).len(), blocks.take(SMALL + 1).len()), (10, SMALL + 1));
        assert_eq!(blocks.0.small.lock().unwrap().len(), 1);
    }
}

//! Reading a whole blob again, to see whether it still is what its name says: a piece at a time, or at once when it is
//! small. No state of its own.

use std::io;

use bytes::Bytes;
use protocol::{ContentRoot, Digest, Hasher};

use super::blobs::OpenBlob;
use crate::workers::{Lost, Scope};

/// Bytes read in one go: a few milliseconds of a slow disk.
const PIECE: usize = 1 << 20;

/// A blob being read.
#[derive(Debug)]
pub(super) struct Reading {
    blob: OpenBlob,
    expected: Digest,
    at: u64,
    hash: Hasher,
    root: blake3::Hasher,
    buf: Vec<u8>,
}

/// What the bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) root: ContentRoot,
    pub(super) size: u64,
}

impl Reading {
    pub(super) fn new(blob: OpenBlob, expected: &Digest) -> Self {
        let hash = Hasher::new(expected.algorithm());
        Self { blob, expected: *expected, at: 0, hash, root: blake3::Hasher::new(), buf: Vec::new() }
    }

    /// Reads on; 0 at the end. Blocks on the disk.
    pub(super) fn step(&mut self) -> io::Result<usize> {
        self.buf.resize(PIECE.min(usize::try_from(self.blob.size).unwrap_or(PIECE)).max(1), 0);
        let read = self.blob.file.read_at(&mut self.buf, self.at)?;
        self.hash.update(&self.buf[..read]);
        self.root.update(&self.buf[..read]);
        self.at += read as u64;
        Ok(read)
    }

    pub(super) fn finish(self) -> Found {
        Found { digest: self.hash.finish(), root: ContentRoot(*self.root.finalize().as_bytes()), size: self.at }
    }

    /// Reads to the end, off the async threads; `None` when the bytes are others, or the disk does not give them.
    pub(super) async fn verified(mut self, scope: &Scope) -> Result<Option<Found>, Lost> {
        let expected = self.expected;
        let work = move || {
            while self.step()? > 0 {}
            Ok(self.finish())
        };
        let found = scope.run_blocking("read blob", work).await?;
        Ok(given(&expected, found).filter(|found| found.digest == expected))
    }
}

/// What became of reading a small blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    /// It is what its name says.
    Whole(Bytes),
    /// It has more bytes than were asked for; none were read.
    TooLarge,
    /// Its bytes are others, or the disk does not give them.
    Damaged,
    /// It is not here.
    Absent,
}

impl Small {
    /// All of `blob`, off the async threads, when it has at most `most` bytes.
    pub(super) async fn read(blob: OpenBlob, expected: &Digest, most: u64, scope: &Scope) -> Result<Self, Lost> {
        if blob.size > most {
            return Ok(Self::TooLarge);
        }
        let expected = *expected;
        let work = move || {
            let mut bytes = vec![0; usize::try_from(blob.size).map_err(io::Error::other)?];
            let read = blob.file.read_full_at(&mut bytes, 0)?;
            bytes.truncate(read);
            Ok((Digest::of(expected.algorithm(), &bytes) == expected).then(|| Bytes::from(bytes)))
        };
        let bytes = scope.run_blocking("read small blob", work).await?;
        Ok(given(&expected, bytes).flatten().map_or(Self::Damaged, Self::Whole))
    }
}

/// What the disk gave. Bytes it refuses are damaged bytes: whoever looks at many blobs goes on with the others.
fn given<T>(digest: &Digest, read: io::Result<T>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(%digest, %error, "a blob can't be read")).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::blobs::memory::MemoryBlobs;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::uploads::tests::Yard;

    #[tokio::test]
    async fn a_small_blob_is_what_its_name_says_or_not_given() {
        let yard = Yard::new();
        let blobs = Arc::new(MemoryBlobs::new(Arc::new(yard.clock.clone())));
        let store = yard.store(Arc::new(MemoryMeta::default()), Arc::clone(&blobs) as Arc<_>);
        let digest = Digest::sha256(b"abc");
        for (bytes, expected) in [
            (None, Small::Absent),
            (Some(&b"abc"[..]), Small::Whole(Bytes::from_static(b"abc"))),
            (Some(b"abd"), Small::Damaged),
            (Some(b"ab"), Small::Damaged),
            (Some(b"abcd"), Small::TooLarge),
        ] {
            if let Some(bytes) = bytes {
                blobs.plant(digest, Bytes::from_static(bytes));
            }
            assert_eq!(store.read_small(&digest, 3, &yard.scope).await.unwrap(), expected);
        }
    }
}

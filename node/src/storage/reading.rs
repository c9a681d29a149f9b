//! Reading a whole blob again, a piece at a time, to see whether it still is what its name says. No state of its own.

use std::io;

use protocol::{ContentRoot, Digest, Hasher};

use super::blobs::OpenBlob;
use crate::workers::Scope;

/// Bytes read in one go: a few milliseconds of a slow disk.
const PIECE: usize = 1 << 20;

/// A blob being read.
#[derive(Debug)]
pub(super) struct Reading {
    blob: OpenBlob,
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
        Self { blob, at: 0, hash, root: blake3::Hasher::new(), buf: Vec::new() }
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

    /// Reads to the end, off the async threads.
    pub(super) async fn whole(mut self, scope: &Scope) -> io::Result<Found> {
        let work = move || {
            while self.step()? > 0 {}
            Ok(self.finish())
        };
        scope.run_blocking("read blob", work).await.map_err(io::Error::other)?
    }
}

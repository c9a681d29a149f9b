//! The ports: what the mesh asks of the node it runs in.
//!
//! The node implements them over its store; the mesh never sees a file or a table. All are object-safe and answer in
//! boxed futures, so that a test can put a simulated node behind them.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use protocol::{ContentRoot, Digest};

/// An answer on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A blob this site holds whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its length in bytes.
    pub size: u64,
    /// Its root, proven: this site hashed the whole blob.
    pub root: ContentRoot,
}

/// Blobs a peer may be given. Whether that peer may have them is decided before this is asked.
pub trait BlobSource: Debug + Send + Sync + 'static {
    /// What is known of a blob; `None` when it is not here.
    fn held<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Option<Held>>;

    /// Bytes of a blob from `offset`, at most `limit`; empty at the end.
    fn read<'a>(&'a self, digest: &'a Digest, offset: u64, limit: usize) -> Answer<'a, Bytes>;

    /// Nodes of the blob's tree (see [`protocol::tree`]) from byte `offset` of the outboard, at most `limit` bytes.
    fn read_tree<'a>(&'a self, digest: &'a Digest, offset: u64, limit: usize) -> Answer<'a, Bytes>;
}

/// Where verified pieces of a blob go that comes from peers.
pub trait BlobSink: Debug + Send + Sync + 'static {
    /// Takes a verified piece in, at any place and in any order.
    fn write<'a>(&'a self, digest: &'a Digest, offset: u64, piece: Bytes) -> Answer<'a, ()>;

    /// Every piece is there: the whole is hashed once more, and durable under its name when this returns `true`; `false`
    /// when it does not have the digest, and then nothing is left of it.
    fn commit<'a>(&'a self, digest: &'a Digest, size: u64) -> Answer<'a, bool>;
}

/// The records of this site, as signed bytes; what they mean is `protocol`'s.
pub trait RecordStore: Debug + Send + Sync + 'static {
    /// Makes records durable; when it returns, they survive a power cut. Deliver them to nobody before.
    fn persist(&self, records: Vec<Bytes>) -> Answer<'_, ()>;

    /// Records in the order of their ids, after one, at most `limit`.
    fn scan<'a>(&'a self, after: Option<&'a [u8]>, limit: usize) -> Answer<'a, Vec<Bytes>>;
}

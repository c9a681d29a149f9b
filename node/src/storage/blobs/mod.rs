//! The bytes: the contract of the blob engines.
//!
//! A blob is immutable and named by its digest. [`BlobStore::commit`] takes only a [`Staged`] file, which exists only
//! when its bytes were hashed, compared and synced ([`crate::storage::uploads`]): there is no other way in.
//!
//! Engines: [`files`] (the default) and [`memory`]; [`contract`] holds both to what stands here. The caller
//! ([`crate::storage::Store`]) holds the digest's lock around `commit` and `remove`, so neither races the other.

pub mod contract;
pub mod files;
mod handles;
pub mod memory;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use protocol::Digest;
use protocol::seam::File;

pub use crate::storage::uploads::Staged;

/// The answer of a blob engine, on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, BlobStoreError>> + Send + 'a>>;

/// Why a blob engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobStoreError {
    /// The store takes no writes: a sync failed.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The disk is full.
    #[error("no room left on the disk")]
    Full,
    /// The disk failed in another way.
    #[error("the disk failed: {0}")]
    Io(#[from] io::Error),
}

/// An open blob. Stays readable when the blob is removed meanwhile.
#[derive(Clone, Debug)]
pub struct OpenBlob {
    /// Its bytes.
    pub file: Arc<dyn File>,
    /// Its length.
    pub size: u64,
}

/// A blob found by [`BlobStore::list`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

/// The contract of a blob engine.
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// Moves staged bytes to their name; when it returns, name and bytes survive a power cut. `replace` false: bytes
    /// that have the name already, and as many, stay and the staged ones are dropped; true: they give way (they are
    /// damaged, or nobody vouches for them).
    fn commit(&self, staged: Staged, replace: bool) -> Answer<'_, ()>;

    /// Opens a blob; `None` when there is none of that name. Does not block on the disk beyond the open itself.
    ///
    /// # Errors
    /// [`BlobStoreError::Io`] when the disk fails.
    fn open(&self, digest: &Digest) -> Result<Option<OpenBlob>, BlobStoreError>;

    /// Takes a blob's name away and keeps its bytes in the trash, where a commit of the same digest does not look.
    /// Returns whether there was one.
    fn remove<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool>;

    /// Moves damaged bytes aside, where a person can look at them. Returns whether there were any.
    fn quarantine<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool>;

    /// Gives bytes of that digest in the trash, the newest ones, their name back, in place of what has it; when it
    /// returns, the name survives a power cut. Returns whether there were any. They are not looked at: the caller does.
    /// For a rebuild, whose rows may be older than what GC has taken since.
    fn revive<'a>(&'a self, digest: &'a Digest) -> Answer<'a, bool>;

    /// Unlinks what has been in the trash since before `before`; returns number and bytes.
    fn empty_trash(&self, before: protocol::Timestamp) -> Answer<'_, (u64, u64)>;

    /// Blobs by name, after one, at most `limit`, and whether more follow. What is listed survives a power cut (unless
    /// the store is read-only): a name may be left of a commit that was never answered, and a rebuild points rows at it.
    fn list(&self, after: Option<Digest>, limit: usize) -> Answer<'_, (Vec<Listed>, bool)>;
}

//! The open database, shared by readers and the writer.
//!
//! Owns the database handle and what becomes of it when the engine fails to write; it refuses reads from the disk as
//! well then. After a write that found no room the database is opened again over the same file and goes on: nothing
//! unsynced was relied on. After any other failure the store is read-only, and so that pulls go on, the database is
//! opened over [`Frozen`], which lets no write through to the disk.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use protocol::seam::File;
use protocol::trust::Trust;
use redb::{Builder, Database, ReadTransaction, WriteTransaction};

use super::backend::{End, Fate, Frozen, OnDisk};
use super::failure::Failure;
use super::tables::View;
use crate::storage::health::Health;
use crate::storage::meta::{Author, MetaError};

/// The database and what must be known to open it again.
#[derive(Debug)]
pub(super) struct Shared {
    open: RwLock<Open>,
    file: Arc<dyn File>,
    sync: bool,
    cache: usize,
    pub(super) health: Health,
    pub(super) author: Author,
    /// By the acts of trust that are committed.
    trust: RwLock<Arc<Trust>>,
}

#[derive(Debug)]
struct Open {
    database: Database,
    fate: Fate,
}

impl Open {
    fn on_disk(file: Arc<dyn File>, sync: bool, cache: usize) -> Result<Self, redb::DatabaseError> {
        let backend = OnDisk::new(file, sync);
        let fate = backend.fate();
        Ok(Self { database: Builder::new().set_cache_size(cache).create_with_backend(backend)?, fate })
    }

    fn frozen(file: Arc<dyn File>, cache: usize) -> Result<Self, redb::DatabaseError> {
        let database = Builder::new().set_cache_size(cache).create_with_backend(Frozen::new(file)?)?;
        Ok(Self { database, fate: Fate::default() })
    }
}

impl Shared {
    /// Opens the database in `file` and shares it. Its next event comes after `last_event`.
    pub(super) fn open(
        file: Arc<dyn File>,
        sync: bool,
        cache: usize,
        health: Health,
        author: Author,
        last_event: u64,
    ) -> Result<Self, MetaError> {
        let open = Open::on_disk(Arc::clone(&file), sync, cache).map_err(Failure::from)?;
        let trust = RwLock::new(super::prepare(&open.database, &author, last_event)?);
        Ok(Self { open: RwLock::new(open), file, sync, cache, health, author, trust })
    }

    /// Who may write what, by what is committed.
    pub(super) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Acts of trust were committed: this follows from them.
    pub(super) fn put_trust(&self, trust: Arc<Trust>) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    fn opened(&self) -> RwLockReadGuard<'_, Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last committed state.
    pub(super) fn view(&self) -> Result<View, Failure> {
        Ok(View(self.begin_read()?))
    }

    /// Length of the database file.
    pub(super) fn file_len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    /// A read transaction over the last committed state.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, Failure> {
        use redb::ReadableDatabase;
        Ok(self.opened().database.begin_read()?)
    }

    /// A write transaction as every one of this engine is: two-phase, and quick to recover from.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, Failure> {
        begin_write(&self.opened().database)
    }

    /// Deals with an engine that failed; every write transaction is gone. Returns whether it was for want of room
    /// alone, so that the store goes on; else the store is read-only from now on, and stays readable.
    pub(super) fn fail(&self, failure: &Failure) -> bool {
        // Readers wait for the few milliseconds it takes, instead of meeting the failed engine.
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if failure.is_full() && open.fate.end() == Some(End::NoRoom) {
            match Open::on_disk(Arc::clone(&self.file), self.sync, self.cache) {
                Ok(again) => {
                    tracing::warn!("a commit found no room on the disk: the metadata was opened again without it");
                    *open = again;
                    return true;
                }
                Err(error) => tracing::error!(%error, "metadata can't be opened again on a full disk"),
            }
        }
        self.health.fail(format!("the metadata engine failed: {failure}"));
        match Open::frozen(Arc::clone(&self.file), self.cache) {
            Ok(frozen) => *open = frozen,
            Err(error) => tracing::error!(%error, "metadata can't be read until the node is restarted"),
        }
        false
    }
}

/// See [`Shared::begin_write`].
pub(super) fn begin_write(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

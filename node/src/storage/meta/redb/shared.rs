//! The open database, shared by readers and the writer.
//!
//! Owns the database handle and the switch to the frozen view. When the engine fails to write, it refuses reads from
//! the disk as well; so that pulls go on while the store is read-only, the database is opened a second time over
//! [`Frozen`], which lets no write through to the disk.

use std::sync::{Arc, PoisonError, RwLock};

use protocol::seam::File;
use redb::{Builder, Database, ReadTransaction, WriteTransaction};

use super::backend::Frozen;
use super::failure::Failure;
use super::tables::View;
use crate::storage::health::Health;

/// The database and what must be known to open it again.
#[derive(Debug)]
pub(super) struct Shared {
    database: RwLock<Database>,
    file: Arc<dyn File>,
    cache: usize,
    pub(super) health: Health,
}

impl Shared {
    /// Shares a database that was opened in `file`.
    pub(super) const fn new(database: Database, file: Arc<dyn File>, cache: usize, health: Health) -> Self {
        Self { database: RwLock::new(database), file, cache, health }
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
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner).begin_read()?)
    }

    /// A write transaction as every one of this engine is: two-phase, and quick to recover from.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, Failure> {
        begin_write(&self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Turns the store read-only because the engine failed, and keeps it readable.
    pub(super) fn fail(&self, failure: &Failure) {
        self.health.fail(format!("the metadata engine failed: {failure}"));
        match Frozen::new(Arc::clone(&self.file))
            .map_err(redb::DatabaseError::from)
            .and_then(|frozen| Builder::new().set_cache_size(self.cache).create_with_backend(frozen))
        {
            Ok(database) => *self.database.write().unwrap_or_else(PoisonError::into_inner) = database,
            Err(error) => tracing::error!(%error, "metadata can't be read until the node is restarted"),
        }
    }
}

/// See [`Shared::begin_write`].
pub(super) fn begin_write(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

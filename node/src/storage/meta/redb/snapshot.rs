//! Consistent copies of the database: taken while it is in use, and found again.
//!
//! Owns the files `meta-<name>.redb` of a directory given by the caller, and nothing else in it. A snapshot has its
//! name only once it is whole and durable; a crash leaves at most a file with the ending `.part`, which the next one
//! removes.

use std::path::{Path, PathBuf};

use protocol::seam::{Access, EntryKind, FileSystem};
use redb::{Builder, Database, ReadTransaction, ReadableTable};

use super::backend::{Frozen, OnDisk};
use super::failure::Failure;
use super::tables::{self, Definition, View};
use super::{RedbMeta, check_format, opening};
use crate::storage::meta::MetaError;

/// What the name of a snapshot begins with.
const PREFIX: &str = "meta-";
/// What it ends with.
const SUFFIX: &str = ".redb";
/// What follows while it is being written.
const PART: &str = ".part";

/// Bytes of rows copied in one transaction: bounds the memory a snapshot takes.
const BATCH: usize = 4 * 1024 * 1024;
/// What a copy leaves free on the disk beyond its own length: several full groups of commits, for a copy may be taken
/// again in an hour and the store can't.
const LEAVES: u64 = 128 * 1024 * 1024;

/// Pages kept in memory while copying or checking: everything is read and written once, in order.
const CACHE: usize = 8 * 1024 * 1024;

impl RedbMeta {
    /// Writes a copy of the last committed state as `meta-<name>.redb` into a directory that exists, and returns its
    /// path. Choose names that sort by time. Blocks on the disk for as long as the copy takes; the pages of the state
    /// copied are not reused meanwhile.
    ///
    /// # Errors
    /// As [`RedbMeta::open`]; [`MetaError::Full`] before anything is written when the copy would leave the store itself
    /// too little room. The store itself goes on: nothing was promised of the copy. One that is listed all the same
    /// is whole, but may not survive a power cut.
    pub fn snapshot(&self, dir: &Path, name: &str) -> Result<PathBuf, MetaError> {
        let fs = &*self.fs;
        let target = dir.join(format!("{PREFIX}{name}{SUFFIX}"));
        let part = dir.join(format!("{PREFIX}{name}{SUFFIX}{PART}"));
        remove_parts(fs, dir).map_err(|error| opening(dir, &error))?;
        self.check_room(dir)?;
        let copied = self.copy(&part, &target);
        if copied.is_err() {
            // Best effort: the next snapshot removes what is left.
            let _ = fs.remove_file(&part);
        }
        copied.map(|()| target)
    }

    /// Refuses a copy that the disk has no room for: written all the same, it would be the copy that fills the disk
    /// under the commits. A disk that does not say how much room it has is tried.
    fn check_room(&self, dir: &Path) -> Result<(), MetaError> {
        let len = self.shared.file_len().map_err(|error| opening(dir, &error))?;
        match self.fs.space(dir) {
            Ok(space) if space.available < len.saturating_add(LEAVES) => Err(MetaError::Full),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn copy(&self, part: &Path, target: &Path) -> Result<(), MetaError> {
        let failed = |error: std::io::Error| opening(part, &error);
        let from = self.shared.begin_read()?;
        let file = self.fs.open(part, Access::CreateNew).map_err(failed)?;
        // Not synced at each commit but once, below: nobody looks at it before.
        let to = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(OnDisk::new(std::sync::Arc::clone(&file), false))
            .map_err(Failure::from)?;
        for table in tables::ALL {
            copy_table(&from, &to, *table)?;
        }
        to.close().map_err(Failure::from)?;
        if self.sync {
            file.sync().map_err(failed)?;
        }
        self.fs.rename(part, target).map_err(failed)?;
        if self.sync {
            self.fs.sync_dir(super::backend::parent(target)).map_err(failed)?;
        }
        Ok(())
    }
}

/// Copies a table in batches of bounded size.
fn copy_table(from: &ReadTransaction, to: &Database, table: Definition) -> Result<(), Failure> {
    let source = from.open_table(table)?;
    let mut rows = source.range::<&[u8]>(..)?;
    loop {
        let transaction = super::shared::begin_write(to)?;
        let (mut bytes, mut done) = (0, true);
        {
            let mut target = transaction.open_table(table)?;
            for row in rows.by_ref() {
                let (key, value) = row?;
                // Whoever goes on from a copy does not know what was written since: it begins a new incarnation.
                if tables::name(&table) == tables::AUTHOR && key.value() == tables::PEN {
                    continue;
                }
                bytes += key.value().len() + value.value().len();
                target.insert(key.value(), value.value())?;
                if bytes >= BATCH {
                    done = false;
                    break;
                }
            }
        }
        transaction.commit()?;
        if done {
            return Ok(());
        }
    }
}

fn remove_parts(fs: &dyn FileSystem, dir: &Path) -> std::io::Result<()> {
    for entry in fs.list(dir)? {
        if entry.kind == EntryKind::File && entry.name.starts_with(PREFIX) && entry.name.ends_with(PART) {
            fs.remove_file(&dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// The names of the snapshots in a directory, oldest first, as given to [`RedbMeta::snapshot`].
///
/// # Errors
/// [`MetaError::Engine`] when the directory can't be read.
pub fn snapshots(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<String>, MetaError> {
    let entries = fs.list(dir).map_err(|error| opening(dir, &error))?;
    let mut names: Vec<String> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .filter_map(|entry| Some(entry.name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Removes all but the newest `keep` snapshots; returns the names of those removed. At least one stays.
///
/// # Errors
/// [`MetaError::Engine`] when one can't be removed.
pub fn prune(fs: &dyn FileSystem, dir: &Path, keep: usize) -> Result<Vec<String>, MetaError> {
    let mut names = snapshots(fs, dir)?;
    names.truncate(names.len().saturating_sub(keep.max(1)));
    for name in &names {
        let path = dir.join(format!("{PREFIX}{name}{SUFFIX}"));
        fs.remove_file(&path).map_err(|error| opening(&path, &error))?;
    }
    Ok(names)
}

/// The newest snapshot that opens, has a format this program knows, and whose every row can be reached; `None` when
/// there is none. Reads it whole.
///
/// # Errors
/// [`MetaError::Engine`] when the directory can't be read. A snapshot that is no good is logged and passed over.
pub fn newest_good(fs: &dyn FileSystem, dir: &Path) -> Result<Option<PathBuf>, MetaError> {
    for name in snapshots(fs, dir)?.iter().rev() {
        let path = dir.join(format!("{PREFIX}{name}{SUFFIX}"));
        match verify(fs, &path) {
            Ok(()) => return Ok(Some(path)),
            Err(error) => tracing::warn!(snapshot = %path.display(), %error, "a snapshot is no good"),
        }
    }
    Ok(None)
}

/// Opens a snapshot without changing it, has every page checked against its checksum, and goes through every table.
fn verify(fs: &dyn FileSystem, path: &Path) -> Result<(), MetaError> {
    use redb::ReadableDatabase;
    let frozen = fs.open(path, Access::Read).and_then(Frozen::new).map_err(|error| opening(path, &error))?;
    let database = Builder::new()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true)
        .create_with_backend(frozen)
        .map_err(Failure::from)?;
    let view = View(database.begin_read().map_err(Failure::from)?);
    match view.setting(tables::FORMAT_SETTING)? {
        Some(format) => check_format(&format)?,
        None => return Err(MetaError::Damaged("the snapshot has no format".into())),
    }
    for table in tables::ALL {
        count(&view.0, *table)?;
    }
    Ok(())
}

/// Goes through a table; an error when it holds other than its number of rows.
fn count(transaction: &ReadTransaction, table: Definition) -> Result<(), Failure> {
    use redb::ReadableTableMetadata;
    let rows = transaction.open_table(table)?;
    let mut found = 0;
    for row in rows.iter()? {
        row?;
        found += 1;
    }
    if found != rows.len()? {
        return Err(Failure::Damaged(format!(
            "table {}: {found} rows, {} expected",
            tables::name(&table),
            rows.len()?
        )));
    }
    Ok(())
}

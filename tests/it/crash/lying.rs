//! A disk that says "synced" and lies, about one kind of thing: what proves that the checks can fail.
//!
//! Owns nothing: everything but the syncs it drops goes to the disk below.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::seam::{Access, DirEntry, File, FileSystem, Space};

/// What the disk lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// The directories blobs have their names in.
    BlobNames,
    /// The bytes of uploads.
    UploadBytes,
    /// The metadata file.
    Metadata,
    /// The files of the audit log.
    Audit,
}

/// The disk below, with one kind of sync left out.
#[derive(Debug)]
pub(super) struct Lying {
    pub(super) below: Arc<dyn FileSystem>,
    pub(super) lie: Lie,
}

impl Lying {
    fn wrap(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(LyingFile { below: file, lie: self.lie, path: path.to_owned() })
    }
}

#[derive(Debug)]
struct LyingFile {
    below: Arc<dyn File>,
    lie: Lie,
    path: PathBuf,
}

impl File for LyingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.read_at(buf, offset)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.read_cached_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.below.write_all_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        let dropped = match self.lie {
            Lie::BlobNames => false,
            Lie::UploadBytes => self.path.starts_with("/data/uploads"),
            Lie::Metadata => self.path.starts_with("/data/meta.redb"),
            Lie::Audit => self.path.starts_with("/data/audit"),
        };
        if dropped { Ok(()) } else { self.below.sync() }
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.below.start_writeback(offset, len);
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.below.allocate(len)
    }
}

impl FileSystem for Lying {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, self.below.open(path, access)?))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.below.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename(from, to)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.below.rename_no_replace(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.below.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.lie == Lie::BlobNames && path.starts_with("/data/blobs") {
            return Ok(());
        }
        self.below.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.below.list(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.below.file_len(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.below.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.below.lock(path)
    }
}

//! The local file system. It holds no state; what a crash loses is what was not synced.
//!
//! - [`File::sync`] is `fdatasync`: it writes back the data and every bit of metadata needed to read it again, the
//!   length of a grown file included, and leaves out the timestamps alone. Portolan relies on no timestamp.
//! - [`File::start_writeback`] is `posix_fadvise(DONTNEED)`: `sync_file_range` has no safe binding and this crate
//!   forbids `unsafe`. On Linux the advice starts asynchronous write-back of the dirty pages of the range, then drops
//!   the pages that are clean already; given once for bytes just written, next to nothing is clean.
//! - [`FileSystem::rename_no_replace`] is `renameat2(RENAME_NOREPLACE)`; where the file system knows no such call, a
//!   link and an unlink, which a crash may leave half done: both names, never none.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use protocol::seam::{Access, DirEntry, EntryKind, File, FileSystem, Space};
use rustix::fs::{Advice, CWD, FallocateFlags, FlockOperation, RenameFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            // A file system that can't say whether it would wait might wait: the caller takes the slow way.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        if let Some(len) = NonZeroU64::new(len) {
            // A hint: where it is not understood, the final sync writes everything.
            let _ = rustix::fs::fadvise(&self.0, offset, Some(len), Advice::DontNeed);
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        Ok(rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len)?)
    }
}

impl FileSystem for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match access {
            Access::Read => {}
            Access::Write => {
                options.write(true);
            }
            Access::Create => {
                options.write(true).create(true);
            }
            Access::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_and_unlink(from, to),
            outcome => Ok(outcome?),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // Portolan writes no name that is not UTF-8; such a one is someone else's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let kind = if metadata.is_file() {
                EntryKind::File
            } else if metadata.is_dir() {
                EntryKind::Directory
            } else {
                EntryKind::Other
            };
            entries.push(DirEntry { name, kind, len: metadata.len() });
        }
        Ok(entries)
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Arc::new(RealFile(file)))
    }
}

fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::world::scratch::Scratch;

    #[test]
    fn a_file_is_private_and_read_where_it_was_written() {
        let dir = Scratch::new();
        RealDisk.create_dir_all(&dir.path("a/b")).unwrap();
        let path = dir.path("a/b/file");
        let file = RealDisk.open(&path, Access::CreateNew).unwrap();
        file.write_all_at(b"hello", 3).unwrap();
        file.sync().unwrap();
        file.start_writeback(0, 8);
        RealDisk.sync_dir(&dir.path("a/b")).unwrap();
        let mut buf = [9; 10];
        assert_eq!(file.read_at(&mut buf, 0).unwrap(), 8);
        assert_eq!(&buf[..8], b"\0\0\0hello");
        assert_eq!(file.read_at(&mut buf, 8).unwrap(), 0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path("a")).unwrap().permissions().mode() & 0o777, 0o700);
        file.set_len(4).unwrap();
        assert_eq!((file.len().unwrap(), RealDisk.file_len(&path).unwrap()), (4, Some(4)));
        assert_eq!(RealDisk.file_len(&dir.path("none")).unwrap(), None);
    }

    #[test]
    fn what_is_in_memory_is_read_without_waiting() {
        let dir = Scratch::new();
        let file = RealDisk.open(&dir.path("file"), Access::Create).unwrap();
        file.write_all_at(&[7; 100_000], 0).unwrap();
        let mut buf = [0; 4096];
        match file.read_cached_at(&mut buf, 4096) {
            Ok(read) => assert_eq!((read, buf), (4096, [7; 4096])),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }

    #[test]
    fn how_a_file_is_opened_decides_what_must_be_there() {
        let dir = Scratch::new();
        let kind = |access| RealDisk.open(&dir.path("x"), access).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind(Access::Read), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(Access::Write), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(Access::CreateNew), Ok(()));
        assert_eq!(kind(Access::CreateNew), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(Access::Create), Ok(()));
        assert_eq!(kind(Access::Read), Ok(()));
    }

    #[test]
    fn a_taken_name_is_not_replaced_unless_asked() {
        let dir = Scratch::new();
        let (a, b) = (dir.path("a"), dir.path("b"));
        let put = |path: &Path, text: &[u8]| {
            RealDisk.open(path, Access::Create).unwrap().write_all_at(text, 0).unwrap();
        };
        for move_it in [|a: &Path, b: &Path| RealDisk.rename_no_replace(a, b), link_and_unlink] {
            put(&a, b"new");
            put(&b, b"old");
            assert_eq!(move_it(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            RealDisk.rename(&a, &b).unwrap();
            assert_eq!(fs::read(&b).unwrap(), b"new");
            move_it(&b, &a).unwrap();
            assert!(!b.exists() && a.exists());
            RealDisk.remove_file(&a).unwrap();
        }
    }

    #[test]
    fn a_lock_has_one_holder() {
        let dir = Scratch::new();
        let held = RealDisk.lock(&dir.path("lock")).unwrap();
        assert_eq!(RealDisk.lock(&dir.path("lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        RealDisk.lock(&dir.path("lock")).unwrap();
    }

    #[test]
    fn room_and_listing_are_what_is_there() {
        let dir = Scratch::new();
        RealDisk.open(&dir.path("f"), Access::Create).unwrap().allocate(8192).unwrap();
        RealDisk.create_dir_all(&dir.path("d")).unwrap();
        let mut entries = RealDisk.list(dir.root()).unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!((entries[0].name.as_str(), entries[0].kind), ("d", EntryKind::Directory));
        assert_eq!(entries[1], DirEntry { name: "f".into(), kind: EntryKind::File, len: 8192 });
        let space = RealDisk.space(dir.root()).unwrap();
        assert!(space.available > 0 && space.available <= space.total);
    }
}

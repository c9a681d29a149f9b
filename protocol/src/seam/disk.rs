//! The disk.
//!
//! The trait names exactly the calls durability depends on, so that a simulated disk can lose what was not synced and
//! fail any call. Its fault model is the pessimistic one: unsynced data of a file may be lost in any part, an entry of
//! a directory (create, rename, unlink) may be lost or kept until that directory is synced, and after a failed sync
//! nothing is known (Rebello et al., ATC'20).

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Existing file, reading only.
    Read,
    /// Existing file, reading and writing.
    Write,
    /// Created if absent, reading and writing, content kept.
    Create,
    /// Created; an error of kind `AlreadyExists` when it is there.
    CreateNew,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else; Portolan makes none and leaves them alone.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name within the directory.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its length in bytes, for a file.
    pub len: u64,
}

/// Room on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size in bytes.
    pub total: u64,
    /// Bytes an unprivileged writer may still use.
    pub available: u64,
}

/// An open file. All access is positioned: no cursor is shared between tasks.
pub trait File: Debug + Send + Sync + 'static {
    /// Reads at `offset`; returns 0 only at the end. May block on the disk.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads at `offset` until `buf` is full or the file ends; returns the number of bytes read. May block on the disk.
    ///
    /// # Errors
    /// What the operating system says; what is in `buf` then is nothing to rely on.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.read_at(&mut buf[filled..], offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Reads at `offset` what is in memory already.
    ///
    /// # Errors
    /// `WouldBlock` when the disk would have to be waited for; else what the operating system says.
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// What the operating system says; part of `buf` may have been written.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds nothing.
    ///
    /// # Errors
    /// What the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends the file (with zeros).
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns once content and length survive a power cut. The name needs [`FileSystem::sync_dir`].
    ///
    /// # Errors
    /// What the operating system says. Never call it again after an error: the kernel may have dropped the dirty pages
    /// and would answer that all is well.
    fn sync(&self) -> io::Result<()>;

    /// Asks the kernel to start writing this part back, without waiting. A hint: no promise, no error.
    fn start_writeback(&self, offset: u64, len: u64);

    /// Reserves disk blocks for the first `len` bytes.
    ///
    /// # Errors
    /// `StorageFull` when there is no room.
    fn allocate(&self, len: u64) -> io::Result<()>;
}

/// A file system, as far as Portolan uses one.
pub trait FileSystem: Debug + Send + Sync + 'static {
    /// Opens a file. New files are readable by their owner alone (0600).
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>>;

    /// Makes a directory (0700) and its missing ancestors; an existing one is fine. Syncs no directory.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Moves a file, replacing the target.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Moves a file to a name that must be free.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; else what the operating system says.
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Returns once creations, renames and removals in this directory survive a power cut.
    ///
    /// # Errors
    /// What the operating system says; see [`File::sync`] for what an error means.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, in no order; at most those there when the call began.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Length of a file; `None` when there is none of that name.
    ///
    /// # Errors
    /// What the operating system says.
    fn file_len(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Room on the file system that holds `path`.
    ///
    /// # Errors
    /// What the operating system says.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Takes an exclusive advisory lock on a file, created if absent, held until the handle is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits, given at most three at a time, as a disk may; the second half can't be read when `broken`.
    #[derive(Debug)]
    struct Sparing {
        broken: bool,
    }

    const DIGITS: &[u8] = b"0123456789";

    impl File for Sparing {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            if self.broken && offset >= 5 {
                return Err(io::ErrorKind::Other.into());
            }
            let rest = DIGITS.get(offset as usize..).unwrap_or_default();
            let read = buf.len().min(rest.len()).min(3);
            buf[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }

        fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            self.read_at(buf, offset)
        }

        fn write_all_at(&self, _buf: &[u8], _offset: u64) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(DIGITS.len() as u64)
        }

        fn set_len(&self, _len: u64) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn start_writeback(&self, _offset: u64, _len: u64) {}

        fn allocate(&self, _len: u64) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    #[test]
    fn short_reads_go_on_until_the_buffer_is_full_or_the_file_ends() {
        let file = Sparing { broken: false };
        for (len, offset, expected) in [
            (0, 0, ""),
            (3, 0, "012"),
            (7, 0, "0123456"),
            (7, 2, "2345678"),
            (9, 4, "456789"),
            (4, 10, ""),
            (4, 99, ""),
        ] {
            let mut buf = vec![b'x'; len];
            let read = file.read_full_at(&mut buf, offset).unwrap();
            assert_eq!(&buf[..read], expected.as_bytes());
            assert!(buf[read..].iter().all(|byte| *byte == b'x'), "what was not read is left alone");
        }
    }

    #[test]
    fn an_error_after_a_short_read_is_told() {
        let file = Sparing { broken: true };
        assert_eq!(file.read_full_at(&mut [0; 5], 0).unwrap(), 5);
        assert!(file.read_full_at(&mut [0; 7], 0).is_err());
    }
}

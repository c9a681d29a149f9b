//! An open file of a simulated disk.
//!
//! A handle owns nothing but its place in the count of handles, and the advisory lock if it was taken by one; both go
//! when it is dropped, and with the disk when that crashes.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use protocol::seam::File;

use super::fault::{Fault, OpKind, no_space};
use super::tree::NodeId;
use super::{Core, SimDisk};

pub(super) struct SimFile {
    disk: SimDisk,
    node: NodeId,
    path: Arc<Path>,
    writable: bool,
    locked: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, node: NodeId, path: &Path, writable: bool) -> Self {
        Self { disk, node, path: path.into(), writable, locked: false }
    }

    pub(super) const fn locked(mut self) -> Self {
        self.locked = true;
        self
    }

    fn change<T>(
        &self,
        kind: OpKind,
        range: (u64, u64),
        operation: impl FnOnce(&mut super::Tree, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut core = self.disk.core();
        core.alive()?;
        if !self.writable && kind != OpKind::Sync {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "opened for reading only"));
        }
        core.perform(kind, &self.path, None, range, operation)
    }

    fn read(&self, core: &Core, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        core.alive()?;
        Ok(core.tree.file(self.node)?.content.read(buf, offset))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read(&self.disk.core(), buf, offset)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let core = self.disk.core();
        if core.cold.contains(&self.node) {
            core.alive()?;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read(&core, buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.change(OpKind::Write, (offset, buf.len() as u64), |tree, fault| {
            let part = match fault {
                None => buf,
                Some(Fault::ShortWrite) => &buf[..buf.len() / 2],
                Some(Fault::Io | Fault::NoSpace) => &[],
            };
            let written = tree.edit(self.node, |content, room| content.write(part, offset, room))?;
            match fault {
                Some(fault) => Err(fault.error()),
                None if written < buf.len() => Err(no_space()),
                None => Ok(()),
            }
        })
    }

    fn len(&self) -> io::Result<u64> {
        let core = self.disk.core();
        core.alive()?;
        Ok(core.tree.file(self.node)?.content.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(OpKind::SetLen, (0, len), |tree, fault| match fault {
            Some(fault) => Err(fault.error()),
            None => tree.edit(self.node, |content, _| content.set_len(len)),
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.change(OpKind::Sync, (0, 0), |tree, fault| match fault {
            Some(fault) => {
                tree.edit(self.node, |content, _| content.fail_sync())?;
                Err(fault.error())
            }
            None => tree.edit(self.node, |content, _| content.sync()),
        })
    }

    /// Does nothing: a hint promises nothing, and any block may already survive a crash without one.
    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(OpKind::Allocate, (0, len), |tree, fault| {
            if let Some(fault) = fault {
                return Err(fault.error());
            }
            let fits = tree.edit(self.node, |content, room| content.allocate(len, room))?;
            if fits { Ok(()) } else { Err(no_space()) }
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut core = self.disk.core();
        core.tree.drop_handle(self.node);
        if self.locked {
            core.locks.remove(&self.node);
        }
    }
}

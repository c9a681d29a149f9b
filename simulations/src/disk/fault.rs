//! What a disk was asked to do, and what it was told to get wrong.
//!
//! The disk owns both lists; a crash or a kill starts them afresh.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Linux error numbers, so that a caller that looks at the number sees what it would see in production.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A call that changes what is on the disk, or what of it survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpKind {
    /// A file came into being.
    Create,
    /// A directory came into being.
    CreateDir,
    /// Bytes were written.
    Write,
    /// A file was cut or extended.
    SetLen,
    /// Blocks were reserved.
    Allocate,
    /// A file was synced.
    Sync,
    /// A directory was synced.
    SyncDir,
    /// A file moved, with or without leave to replace.
    Rename,
    /// A file was removed.
    Remove,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it says.
    Done,
    /// It returned an error.
    Failed,
}

/// One line of the operation log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What was asked for.
    pub kind: OpKind,
    /// The path, for an open file the one it was opened by.
    pub path: Arc<Path>,
    /// The new name, for a rename.
    pub to: Option<PathBuf>,
    /// First byte and number of bytes, for a write; zero and the length for the others that have one.
    pub range: (u64, u64),
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.path.display())?;
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        if self.range != (0, 0) {
            write!(f, " [{}+{}]", self.range.0, self.range.1)?;
        }
        if self.outcome == Outcome::Failed {
            f.write_str(" FAILED")?;
        }
        Ok(())
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`. A sync that fails leaves the pages clean: the next sync answers that all is well and persists nothing of
    /// them.
    Io,
    /// `ENOSPC`.
    NoSpace,
    /// A write stops half way with `EIO`; any other operation fails as with [`Fault::Io`].
    ShortWrite,
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Io | Self::ShortWrite => io::Error::from_raw_os_error(EIO),
            Self::NoSpace => no_space(),
        }
    }
}

pub(super) fn no_space() -> io::Error {
    io::Error::from_raw_os_error(ENOSPC)
}

/// A fault that waits for its operation.
#[derive(Clone, Copy, Debug)]
pub struct Injection {
    /// Which operations it counts; `None` counts all.
    pub kind: Option<OpKind>,
    /// Which of them fails: 1 is the next.
    pub nth: u64,
    /// How it fails.
    pub fault: Fault,
}

impl Injection {
    /// Counts an operation; the fault, if this is the one.
    pub(super) fn strike(&mut self, kind: OpKind) -> Option<Fault> {
        if self.nth == 0 || self.kind.is_some_and(|wanted| wanted != kind) {
            return None;
        }
        self.nth -= 1;
        (self.nth == 0).then_some(self.fault)
    }
}

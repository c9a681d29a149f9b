//! The probe against a file system of names, sound or broken in one way.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use protocol::seam::{DirEntry, File, Space};

use super::*;

/// How it is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flaw {
    #[default]
    None,
    Replaces,
    NoMove,
    NoDirSync,
    ReadOnly,
}

/// Files without content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) flaw: Flaw,
    names: Arc<Mutex<BTreeSet<PathBuf>>>,
}

#[derive(Debug)]
struct Empty;

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl File for Empty {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn read_cached_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn start_writeback(&self, _: u64, _: u64) {}
    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl FileSystem for Names {
    fn open(&self, path: &Path, _: Access) -> io::Result<Arc<dyn File>> {
        if self.flaw == Flaw::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if !self.names.lock().unwrap().insert(path.into()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Arc::new(Empty))
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names.lock().unwrap();
        if self.flaw == Flaw::NoMove {
            return unsupported();
        }
        if self.flaw != Flaw::Replaces && names.contains(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.remove(from);
        names.insert(to.into());
        Ok(())
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        if self.names.lock().unwrap().remove(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        if self.flaw == Flaw::NoDirSync { unsupported() } else { Ok(()) }
    }
    fn list(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        Ok(Vec::new())
    }
    fn file_len(&self, _: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { total: 100 << 30, available: 50 << 30 })
    }
    fn lock(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        unsupported()
    }
}

fn step(flaw: Flaw) -> Option<&'static str> {
    let names = Names { flaw, ..Names::default() };
    // What a run that was killed left behind is no fault.
    names.names.lock().unwrap().insert(Path::new("/data").join(TO));
    let outcome = probe(&names, Path::new("/data"));
    assert!(names.names.lock().unwrap().is_empty(), "files left behind");
    outcome.err().map(|fault| fault.step)
}

#[test]
fn a_sound_file_system_passes_and_is_left_clean() {
    assert_eq!(step(Flaw::None), None);
}

#[test]
fn each_flaw_is_found_at_its_step() {
    assert_eq!(step(Flaw::ReadOnly), Some("create a file"));
    assert_eq!(step(Flaw::NoMove), Some("move a file to a free name"));
    assert_eq!(step(Flaw::Replaces), Some("refuse to move a file to a taken name"));
    assert_eq!(step(Flaw::NoDirSync), Some("sync the directory"));
}

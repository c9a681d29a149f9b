//! Tries what durability rests on, in the data directory itself: sync a file, move it without replacing, sync the
//! directory. Leaves nothing behind.

use std::io;
use std::path::Path;

use protocol::seam::{Access, FileSystem};

const FROM: &str = ".doctor-from";
const TO: &str = ".doctor-to";

/// A step that did not go as it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub step: &'static str,
    /// What happened.
    pub error: String,
}

/// Tries the steps in `directory`.
///
/// # Errors
/// The first step that failed.
pub fn probe(file_system: &dyn FileSystem, directory: &Path) -> Result<(), Fault> {
    let (from, to) = (directory.join(FROM), directory.join(TO));
    clear(file_system, &[&from, &to]);
    let outcome = steps(file_system, directory, &from, &to);
    clear(file_system, &[&from, &to]);
    outcome
}

/// What an earlier run left, or this one. Missing files are as they should be.
fn clear(file_system: &dyn FileSystem, paths: &[&Path]) {
    for path in paths {
        let _ = file_system.remove_file(path);
    }
}

fn steps(file_system: &dyn FileSystem, directory: &Path, from: &Path, to: &Path) -> Result<(), Fault> {
    write(file_system, from)?;
    file_system.rename_no_replace(from, to).map_err(|error| fault("move a file to a free name", &error))?;
    write(file_system, from)?;
    match file_system.rename_no_replace(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fault("refuse to move a file to a taken name", &error)),
        Ok(()) => {
            let error = "it replaced the file that was there".into();
            return Err(Fault { step: "refuse to move a file to a taken name", error });
        }
    }
    file_system.sync_dir(directory).map_err(|error| fault("sync the directory", &error))
}

fn write(file_system: &dyn FileSystem, path: &Path) -> Result<(), Fault> {
    let file = file_system.open(path, Access::CreateNew).map_err(|error| fault("create a file", &error))?;
    file.write_all_at(b"portolan doctor", 0).map_err(|error| fault("write a file", &error))?;
    file.sync().map_err(|error| fault("sync a file", &error))
}

fn fault(step: &'static str, error: &io::Error) -> Fault {
    Fault { step, error: error.to_string() }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
pub(crate) mod tests;

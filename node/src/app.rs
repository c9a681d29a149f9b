//! Wires the rooms together. To be written: what stands here lets the command line be built and tried.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Access, Clock, DirEntry, File, FileSystem, Sleep, Space};

use crate::cli::Host;
use crate::config::Config;

/// What the commands need of the program.
#[must_use]
pub fn host() -> Host {
    Host { clock: Arc::new(Unwired), file_system: Arc::new(Unwired), serve, rebuild_index }
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// Why it could not, in one line.
pub fn serve(_config: Config) -> Result<(), String> {
    Err("serving is not wired up yet".into())
}

/// Makes the index again from what is on the disk.
///
/// # Errors
/// Why it could not, in one line.
pub fn rebuild_index(_config: Config) -> Result<String, String> {
    Err("rebuilding is not wired up yet".into())
}

/// Stands in until the world is written.
#[derive(Debug)]
struct Unwired;

impl Clock for Unwired {
    fn now(&self) -> Timestamp {
        let seconds = time::OffsetDateTime::now_utc().unix_timestamp();
        Timestamp(u64::try_from(seconds).unwrap_or_default() * 1000)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, time: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(time))
    }
}

fn unwired<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl FileSystem for Unwired {
    fn open(&self, _: &Path, _: Access) -> io::Result<Arc<dyn File>> {
        unwired()
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        unwired()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unwired()
    }
    fn rename_no_replace(&self, _: &Path, _: &Path) -> io::Result<()> {
        unwired()
    }
    fn remove_file(&self, _: &Path) -> io::Result<()> {
        unwired()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        unwired()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        unwired()
    }
    fn file_len(&self, _: &Path) -> io::Result<Option<u64>> {
        unwired()
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        unwired()
    }
    fn lock(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        unwired()
    }
}

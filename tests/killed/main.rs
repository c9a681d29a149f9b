//! The node's own program on a disk that kills it.
//!
//! The file system the node is given counts every change it makes to the disk and ends the process with SIGKILL at one of
//! them, as `PORTOLAN_KILL_AT` says: `any:N` at the Nth change of any kind, `KIND AREA:N` at the Nth of that kind and
//! place, for example `rename blobs:2` or `sync meta:7`. A trailing `after` strikes when the change is done instead of
//! before it. Counting starts when the node has told its address, unless `from-start` stands in front.
//!
//! Everything else is the node as it ships: what kills it stands behind the seam and in this program only.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use node::app::World;
use protocol::seam::{Access, DirEntry, File, FileSystem, Space};

fn main() -> ExitCode {
    let world = World::real();
    let world = match std::env::var("PORTOLAN_KILL_AT") {
        Ok(at) => World { fs: Arc::new(KillingDisk::new(Arc::clone(&world.fs), &at)), ..world },
        Err(_) => world,
    };
    node::cli::main(&node::app::host(world))
}

/// Where and when to strike.
#[derive(Debug)]
struct Trigger {
    what: String,
    nth: u64,
    after: bool,
    counted: AtomicU64,
    armed: AtomicBool,
}

impl Trigger {
    fn parse(text: &str) -> Self {
        let (armed, text) = match text.strip_prefix("from-start ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (after, text) = match text.strip_suffix(" after") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (what, nth) = text.rsplit_once(':').unwrap_or((text, "1"));
        let nth = nth.parse().unwrap_or(1);
        Self { what: what.to_owned(), nth, after, counted: AtomicU64::new(0), armed: AtomicBool::new(armed) }
    }

    /// Runs one change, and strikes before or after it when its turn has come.
    fn around<T>(&self, kind: &str, path: &Path, change: impl FnOnce() -> T) -> T {
        let area = area(path);
        let counts = self.armed.load(Ordering::SeqCst) && (self.what == "any" || self.what == format!("{kind} {area}"));
        let turn = counts && self.counted.fetch_add(1, Ordering::SeqCst) + 1 == self.nth;
        if turn && !self.after {
            strike();
        }
        let outcome = change();
        if turn {
            strike();
        }
        if area == "address" && kind != "open" {
            self.armed.store(true, Ordering::SeqCst);
        }
        outcome
    }
}

fn strike() {
    let this = rustix::process::getpid();
    // SIGKILL can't be refused; the loop only waits for it to arrive.
    let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

/// The part of the data directory a path belongs to.
fn area(path: &Path) -> &'static str {
    const AREAS: [&str; 9] =
        ["blobs", "uploads", "trash", "quarantine", "snapshots", "audit", "ballast", "address", "lock"];
    let text = path.to_string_lossy();
    AREAS
        .into_iter()
        .find(|area| text.contains(&format!("/{area}/")) || text.ends_with(&format!("/{area}")))
        .unwrap_or(if text.contains("meta.redb") { "meta" } else { "data" })
}

#[derive(Debug)]
struct KillingDisk {
    inner: Arc<dyn FileSystem>,
    trigger: Arc<Trigger>,
}

impl KillingDisk {
    fn new(inner: Arc<dyn FileSystem>, at: &str) -> Self {
        Self { inner, trigger: Arc::new(Trigger::parse(at)) }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(KillingFile { inner: file, path: path.to_owned(), trigger: Arc::clone(&self.trigger) })
    }
}

impl FileSystem for KillingDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let open = || self.inner.open(path, access);
        let file = match access {
            Access::Read | Access::Write => open(),
            Access::Create | Access::CreateNew => self.trigger.around("open", path, open),
        }?;
        Ok(self.wrap(path, file))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.trigger.around("mkdir", path, || self.inner.create_dir_all(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.trigger.around("rename", to, || self.inner.rename(from, to))
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.trigger.around("rename", to, || self.inner.rename_no_replace(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.trigger.around("remove", path, || self.inner.remove_file(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.trigger.around("sync_dir", path, || self.inner.sync_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.inner.file_len(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.lock(path)
    }
}

#[derive(Debug)]
struct KillingFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    trigger: Arc<Trigger>,
}

impl File for KillingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_cached_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        // Half of it reaches the page cache: a killed process leaves torn writes too.
        let half = buf.len() / 2;
        self.inner.write_all_at(&buf[..half], offset)?;
        let rest = || self.inner.write_all_at(&buf[half..], offset + half as u64);
        self.trigger.around("write", &self.path, rest)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.trigger.around("set_len", &self.path, || self.inner.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.trigger.around("sync", &self.path, || self.inner.sync())
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.trigger.around("allocate", &self.path, || self.inner.allocate(len))
    }
}

//! What `doctor` looks at, gathered at the edge: reading only, but for the probe's own two files.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use protocol::Timestamp;
use protocol::seam::Space;

use super::super::Session;
use super::super::connection::Connection;
use super::super::failure::Failure;
use super::super::status;
use super::mounts::{Mount, mount_of};
use super::probe::{Fault, probe};
use crate::config::Config;
use crate::config::load::load;
use crate::config::read::read;
use crate::registry::maintenance::Status;

/// A node that does not answer a question about its health by then is not well.
const WITHIN: Duration = Duration::from_secs(10);

/// The data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directory {
    /// Not there.
    Missing,
    /// Something, but no directory.
    NotDirectory,
    /// Can't be looked at.
    Unreadable(String),
    /// There.
    Present {
        /// User who owns it.
        owner: u32,
        /// Permission bits.
        mode: u32,
    },
}

/// Everything the checks look at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration in effect, or the defaults when it is wrong.
    pub config: Config,
    /// What is wrong with it.
    pub config_errors: Vec<String>,
    /// The data directory.
    pub directory: Directory,
    /// The user this runs as.
    pub user: u32,
    /// The file system of the data directory; `None` where the system doesn't say.
    pub mount: Option<Mount>,
    /// The outcome of the probe; `None` when there was nowhere to try.
    pub probe: Option<Result<(), Fault>>,
    /// Room on the disk; `None` when it is not known.
    pub space: Option<Space>,
    /// What the node says of itself.
    pub node: Result<Status, Failure>,
    /// Why it is not ready, when it answers; `None` when it does not.
    pub ready: Option<Result<(), String>>,
    /// Wall-clock time.
    pub now: Timestamp,
    /// How many files a process started from here may have open; `None` for no limit.
    pub open_files: Option<u64>,
    /// Files in the data directory that look as if they held a password.
    pub password_files: Vec<PathBuf>,
}

/// Gathers them.
pub(in crate::cli) fn gather(session: &Session<'_>) -> Facts {
    let (config, config_errors) = configuration(session);
    let data = config.storage.data.clone();
    let directory = directory(&data);
    let there = matches!(directory, Directory::Present { .. });
    let (node, ready) = node(&data);
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let file_system = &*session.host.file_system;
    Facts {
        directory,
        config_errors,
        user: rustix::process::geteuid().as_raw(),
        mount: existing(&data).and_then(|path| mount_of(&mountinfo, &path)),
        probe: if there { Some(probe(file_system, &data)) } else { None },
        space: existing(&data).and_then(|path| file_system.space(&path).ok()),
        node,
        ready,
        now: session.host.clock.now(),
        open_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        password_files: password_files(&data),
        config,
    }
}

fn configuration(session: &Session<'_>) -> (Config, Vec<String>) {
    match read(session.wanted(Vec::new())) {
        Ok(loaded) => (loaded.config, Vec::new()),
        Err(errors) => {
            // The other checks go on with what the flags say over the defaults.
            let flags = session.wanted(Vec::new()).flags;
            let fallback = load(&crate::config::load::Sources { flags, ..Default::default() });
            let config = fallback.map(|loaded| loaded.config).unwrap_or_default();
            (config, errors.iter().map(ToString::to_string).collect())
        }
    }
}

fn directory(path: &Path) -> Directory {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Directory::Present { owner: meta.uid(), mode: meta.mode() & 0o7777 },
        Ok(_) => Directory::NotDirectory,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Directory::Missing,
        Err(error) => Directory::Unreadable(error.to_string()),
    }
}

/// The path itself, or the nearest directory above it that is there, without links.
fn existing(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find_map(|path| path.canonicalize().ok())
}

fn node(data: &Path) -> (Result<Status, Failure>, Option<Result<(), String>>) {
    let connection = match Connection::local(data) {
        Ok(connection) => connection,
        Err(failure) => return (Err(failure), None),
    };
    let ready = connection.ask(Method::GET, "/readyz", Bytes::new(), WITHIN).ok().map(|answer| match answer.status {
        StatusCode::OK => Ok(()),
        status => Err(first_line(&answer.body).unwrap_or_else(|| status.to_string())),
    });
    (status::ask(&connection), ready)
}

fn first_line(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line: String = text.lines().next()?.chars().filter(|c| !c.is_control()).take(200).collect();
    if line.is_empty() { None } else { Some(line) }
}

fn password_files(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data).into_iter().flatten().filter_map(Result::ok);
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().to_lowercase().contains("password"));
    let mut paths: Vec<_> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_seen_as_it_is() {
        let root = std::env::temp_dir().join(format!("portolan-facts-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        assert_eq!(directory(&root), Directory::Missing);
        assert_eq!(existing(&root.join("a/b")), std::env::temp_dir().canonicalize().ok());
        std::fs::create_dir(&root).unwrap();
        assert!(matches!(directory(&root), Directory::Present { .. }));
        std::fs::write(root.join("Admin-Password.txt"), "").unwrap();
        std::fs::write(root.join("meta.redb"), "").unwrap();
        assert_eq!(directory(&root.join("meta.redb")), Directory::NotDirectory);
        assert_eq!(password_files(&root), [root.join("Admin-Password.txt")]);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_a_node_answers_is_cut_to_a_line() {
        assert_eq!(first_line(b"not ready: \x1b[31mstore\nmore").unwrap(), "not ready: [31mstore");
        assert_eq!(first_line(b""), None);
    }
}

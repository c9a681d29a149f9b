//! The operator's way in: a socket in the data directory. Whoever can connect to it is an administrator, so who can is
//! settled before anyone could: it gets its name in the data directory only after its mode.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Mode of a directory only its owner can enter.
const PRIVATE: u32 = 0o700;

/// Makes `data` a directory that only the node's own user can enter. One of ours that others could enter is narrowed
/// and said; one of another's is only said, since its owner decides.
///
/// # Errors
/// What the operating system says when it can't be made or looked at.
pub fn keep_private(data: &Path) -> io::Result<()> {
    if let Some(parent) = data.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(PRIVATE).create(data) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let found = std::fs::metadata(data)?;
    let mode = found.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let (shown, mode) = (data.display(), format!("{mode:o}"));
    if found.uid() != rustix::process::geteuid().as_raw() {
        tracing::warn!(data = %shown, mode, "users other than the node's can enter the data directory: take that from them");
        return Ok(());
    }
    match std::fs::set_permissions(data, std::fs::Permissions::from_mode(PRIVATE)) {
        Ok(()) => {
            tracing::warn!(data = %shown, mode, "other users could enter the data directory; now its mode is 700")
        }
        Err(error) => tracing::warn!(data = %shown, mode, %error, "other users can enter the data directory"),
    }
    Ok(())
}

/// Binds the socket `path`. Whoever holds the directory's lock may replace one that a killed process left behind.
///
/// A socket is made with the mode the process's umask leaves, and the umask is shared by all threads; so it is made in
/// a directory that nobody else can enter, gets its mode there, and moves.
///
/// # Errors
/// What the operating system says.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let run = path.parent().map_or_else(|| PathBuf::from("run"), |dir| dir.join("run"));
    match std::fs::DirBuilder::new().mode(PRIVATE).create(&run) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(PRIVATE))?;
    // A short name: the whole path of a socket has at most 107 bytes.
    let made = run.join("s");
    match std::fs::remove_file(&made) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&made)?;
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&made, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::scratch::Scratch;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_is_private_from_its_first_moment_and_replaces_a_dead_one() {
        let dir = Scratch::new();
        let path = dir.path("portolan.sock");
        for _ in 0..2 {
            drop(bind(&path).unwrap());
            assert_eq!((mode(&path), mode(&dir.path("run"))), (0o600, 0o700));
            assert!(!dir.path("run").join("s").exists(), "it moved");
        }
        let listener = bind(&path).unwrap();
        assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
        drop(listener);
    }

    #[test]
    fn the_data_directory_is_made_private_and_kept_so() {
        let dir = Scratch::new();
        let data = dir.path("a").join("b");
        keep_private(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
        keep_private(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
    }
}

//! Who this node is: the secret key it signs with, in a file of its own.
//!
//! Owns `identity/` in the data directory. The key is drawn at the first start and durable before anything is signed
//! with it. It stands beside the metadata, not in it: a copy of the metadata gives nobody the right to speak as this
//! node. A crash while it is made leaves no key, and no record either; the next start draws another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::identity::{NodeKey, NodeSecret};
use protocol::seam::{Access, Entropy, FileSystem};

use super::meta::Author;

/// The folder in the data directory.
const FOLDER: &str = "identity";
/// The key's file in it.
const FILE: &str = "node.key";
/// What the file begins with.
const HEADING: &str = "portolan node key 1";
/// More than any key file has.
const MOST: u64 = 4096;

/// Why the node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There are records, and no key.
    #[error(
        "the node's key {0} is missing, and the metadata beside it holds records signed with it: put the file back \
         from a copy. A node without its key can't go on with what it wrote"
    )]
    Missing(String),
    /// The file is there and no key.
    #[error("the node's key {0} is damaged: put the file back from a copy")]
    Damaged(String),
    /// The disk.
    #[error("the node's key {0} can't be read or made: {1}")]
    Disk(String, io::Error),
}

/// Opens the key of a data directory, or makes it when nothing was signed yet: `signed` tells whether there is metadata.
///
/// # Errors
/// [`IdentityError`].
pub fn open(
    fs: &dyn FileSystem,
    data: &Path,
    entropy: &Arc<dyn Entropy>,
    signed: bool,
) -> Result<Author, IdentityError> {
    let path = data.join(FOLDER).join(FILE);
    let shown = || path.display().to_string();
    let failed = |error| IdentityError::Disk(shown(), error);
    let secret = match read(fs, &path).map_err(failed)? {
        Some(text) => {
            let secret = parse(&text).ok_or_else(|| IdentityError::Damaged(shown()))?;
            // A crash may have come between the moment it got its name and the sync of that.
            sync_name(fs, data).map_err(failed)?;
            secret
        }
        None if signed => return Err(IdentityError::Missing(shown())),
        None => make(fs, data, &path, &**entropy).map_err(failed)?,
    };
    Ok(Author::new(secret, Arc::clone(entropy)))
}

fn read(fs: &dyn FileSystem, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(len) = fs.file_len(path)? else { return Ok(None) };
    let file = fs.open(path, Access::Read)?;
    let mut bytes = vec![0; usize::try_from(len.min(MOST)).map_err(io::Error::other)?];
    let read = file.read_full_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// The seed, and the public key it gives, which shows damage to either.
fn text(secret: &NodeSecret) -> String {
    // A node key prints 32 bytes as hexadecimal digits, whatever they are.
    format!("{HEADING}\nseed {}\nkey {}\n", NodeKey(secret.seed()), secret.key())
}

fn parse(bytes: &[u8]) -> Option<NodeSecret> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != HEADING {
        return None;
    }
    let seed: NodeKey = lines.next()?.strip_prefix("seed ")?.parse().ok()?;
    let secret = NodeSecret::from_seed(seed.0);
    (lines.next()?.strip_prefix("key ")? == secret.key().to_string() && lines.next().is_none()).then_some(secret)
}

fn make(fs: &dyn FileSystem, data: &Path, path: &Path, entropy: &dyn Entropy) -> io::Result<NodeSecret> {
    let mut seed = [0; 32];
    entropy.fill(&mut seed);
    let secret = NodeSecret::from_seed(seed);
    let folder = data.join(FOLDER);
    fs.create_dir_all(&folder)?;
    let part: PathBuf = folder.join(format!("{FILE}.part"));
    let file = fs.open(&part, Access::Create)?;
    file.set_len(0)?;
    file.write_all_at(text(&secret).as_bytes(), 0)?;
    file.sync()?;
    fs.rename_no_replace(&part, path)?;
    sync_name(fs, data)?;
    Ok(secret)
}

fn sync_name(fs: &dyn FileSystem, data: &Path) -> io::Result<()> {
    fs.sync_dir(&data.join(FOLDER))?;
    fs.sync_dir(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::scratch::Scratch;
    use crate::world::{RealDisk, RealEntropy};

    fn open_in(dir: &Scratch, signed: bool) -> Result<NodeKey, IdentityError> {
        let entropy: Arc<dyn Entropy> = Arc::new(RealEntropy);
        open(&RealDisk, dir.root(), &entropy, signed).map(|author| author.key())
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let dir = Scratch::new();
        let key = open_in(&dir, false).unwrap();
        assert_eq!(open_in(&dir, true).unwrap(), key);
        assert_eq!(open_in(&dir, false).unwrap(), key);
        assert_ne!(open_in(&Scratch::new(), false).unwrap(), key);
    }

    #[test]
    fn half_a_key_of_an_earlier_crash_is_made_again() {
        let dir = Scratch::new();
        std::fs::create_dir(dir.path("identity")).unwrap();
        std::fs::write(dir.path("identity/node.key.part"), b"portolan node key 1\nseed 00ff").unwrap();
        let key = open_in(&dir, false).unwrap();
        assert_eq!(open_in(&dir, true).unwrap(), key);
    }

    #[test]
    fn a_missing_or_damaged_key_beside_records_is_told() {
        let dir = Scratch::new();
        let missing = open_in(&dir, true).unwrap_err();
        assert!(matches!(missing, IdentityError::Missing(_)) && missing.to_string().contains("put the file back"));
        assert!(!dir.path("identity").exists(), "no other key is made in its place");
        open_in(&dir, false).unwrap();
        let file = dir.path("identity/node.key");
        let whole = std::fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            assert!(matches!(open_in(&dir, true).unwrap_err(), IdentityError::Damaged(_)), "{at}");
            std::fs::write(&file, &whole[..at]).unwrap();
            assert!(matches!(open_in(&dir, false).unwrap_err(), IdentityError::Damaged(_)), "{at}");
        }
    }
}

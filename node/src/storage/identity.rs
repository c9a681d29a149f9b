//! Who this node is: the secret key it signs with, and the mesh it is in, in files of their own.
//!
//! Owns `identity/` in the data directory:
//!
//! - `node.key`, drawn at the first start and never replaced;
//! - `root.key`, drawn with it: a node begins as the first site of a mesh of its own. It is to be exported and kept
//!   elsewhere, and nothing needs it here from day to day;
//! - `mesh`: the public root key, and the grants that let this node in.
//!
//! All are durable before anything is signed with them. They stand beside the metadata, not in it: a copy of the metadata
//! gives nobody the right to speak as this node. A crash while they are made leaves no record either; the next start
//! makes what is missing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::Timestamp;
use protocol::identity::{NodeKey, NodeSecret};
use protocol::record::{Held, Incarnation, Malformed, Parcel};
use protocol::seam::{Access, Entropy, FileSystem};
use protocol::trust::{Grant, MAX_LEVEL, Trust};

use super::meta::{Author, Membership};

/// The folder in the data directory.
const FOLDER: &str = "identity";
/// The node's key in it.
const NODE: Key = Key { file: "node.key", heading: "portolan node key 1" };
/// The root key.
const ROOT: Key = Key { file: "root.key", heading: "portolan root key 1" };
/// The mesh.
const MESH: &str = "mesh";
/// What that begins with.
const MESH_HEADING: &str = "portolan mesh 1";
/// More than any of the files has: a grant is at most 68 KiB, twice that in digits.
const MOST: u64 = 2 * 70 * 1024 * MAX_LEVEL as u64;

/// A secret key as it is kept.
#[derive(Clone, Copy)]
struct Key {
    file: &'static str,
    heading: &'static str,
}

/// Why the node does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There are records, and no key or no mesh.
    #[error(
        "{0} is missing, and the metadata beside it holds records signed by this node: put the file back from a copy. A \
         node without it can't go on with what it wrote"
    )]
    Missing(String),
    /// The file is there and is not what it should be.
    #[error("{0} is damaged: put the file back from a copy")]
    Damaged(String),
    /// The disk.
    #[error("{0} can't be read or made: {1}")]
    Disk(String, io::Error),
    /// The mesh could not be begun.
    #[error("the first grant of this node can't be signed: {0}")]
    Grant(#[from] Malformed),
}

/// Opens who a data directory is, or makes it when nothing was signed yet: `signed` tells whether there is metadata.
///
/// # Errors
/// [`IdentityError`].
pub fn open(
    fs: &dyn FileSystem,
    data: &Path,
    entropy: &Arc<dyn Entropy>,
    now: Timestamp,
    signed: bool,
) -> Result<Author, IdentityError> {
    let folder = Folder { fs, data, entropy: &**entropy };
    let node = folder.key(NODE)?;
    let mesh = folder.mesh()?;
    if signed && (node.is_none() || mesh.is_none()) {
        let missing = if node.is_none() { NODE.file } else { MESH };
        return Err(IdentityError::Missing(folder.path(missing).display().to_string()));
    }
    let node = node.map_or_else(|| folder.make_key(NODE), Ok)?;
    let membership = match mesh {
        Some(mesh) => mesh,
        None => {
            let root = folder.key(ROOT)?.map_or_else(|| folder.make_key(ROOT), Ok)?;
            folder.begin_mesh(&root, node.key(), now)?
        }
    };
    let shown = || folder.path(MESH).display().to_string();
    let trust = Trust::evaluate(membership.root, &membership.chain);
    if !trust.grants_of(&node.key()).any(|grant| grant == membership.grant) {
        return Err(IdentityError::Damaged(shown()));
    }
    // A crash may have come between the moment a file got its name and the sync of that.
    folder.sync_names().map_err(|error| IdentityError::Disk(shown(), error))?;
    Ok(Author::new(node, membership, Arc::clone(entropy)))
}

/// The secret root key, if it is still on this machine.
///
/// # Errors
/// [`IdentityError`].
pub fn root_secret(
    fs: &dyn FileSystem,
    data: &Path,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<NodeSecret>, IdentityError> {
    Folder { fs, data, entropy: &**entropy }.key(ROOT)
}

struct Folder<'a> {
    fs: &'a dyn FileSystem,
    data: &'a Path,
    entropy: &'a dyn Entropy,
}

impl Folder<'_> {
    fn path(&self, file: &str) -> PathBuf {
        self.data.join(FOLDER).join(file)
    }

    fn at<T>(&self, file: &str, outcome: io::Result<T>) -> Result<T, IdentityError> {
        outcome.map_err(|error| IdentityError::Disk(self.path(file).display().to_string(), error))
    }

    fn read<T>(&self, file: &str, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, IdentityError> {
        let Some(bytes) = self.at(file, read(self.fs, &self.path(file)))? else { return Ok(None) };
        let damaged = || IdentityError::Damaged(self.path(file).display().to_string());
        parse(&bytes).map(Some).ok_or_else(damaged)
    }

    fn key(&self, key: Key) -> Result<Option<NodeSecret>, IdentityError> {
        self.read(key.file, |bytes| parse_key(key.heading, bytes))
    }

    fn mesh(&self) -> Result<Option<Membership>, IdentityError> {
        self.read(MESH, parse_mesh)
    }

    fn make_key(&self, key: Key) -> Result<NodeSecret, IdentityError> {
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let secret = NodeSecret::from_seed(seed);
        self.at(key.file, self.make(key.file, &key_text(key.heading, &secret)))?;
        Ok(secret)
    }

    /// This node lets itself in as the first.
    fn begin_mesh(&self, root: &NodeSecret, node: NodeKey, now: Timestamp) -> Result<Membership, IdentityError> {
        let grant = Grant::of_first_site(node, format!("site-{:.8}", node.to_string()), now);
        let mut life = [0; 8];
        self.entropy.fill(&mut life);
        let held = grant.by_root(root, Incarnation(u64::from_le_bytes(life)), now, Vec::new())?;
        let (root, grant) = (root.key(), held.record.id());
        let membership = Membership { root, grant, chain: vec![held] };
        self.at(MESH, self.make(MESH, &mesh_text(&membership)))?;
        Ok(membership)
    }

    /// Makes a file, whole and durable under its name; what an earlier try left half made is written over.
    fn make(&self, file: &str, text: &str) -> io::Result<()> {
        let (path, part) = (self.path(file), self.path(&format!("{file}.part")));
        self.fs.create_dir_all(&self.data.join(FOLDER))?;
        let file = self.fs.open(&part, Access::Create)?;
        file.set_len(0)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync()?;
        self.fs.rename_no_replace(&part, &path)?;
        self.sync_names()
    }

    fn sync_names(&self) -> io::Result<()> {
        self.fs.sync_dir(&self.data.join(FOLDER))?;
        self.fs.sync_dir(self.data)
    }
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
fn key_text(heading: &str, secret: &NodeSecret) -> String {
    // A node key prints 32 bytes as hexadecimal digits, whatever they are.
    format!("{heading}\nseed {}\nkey {}\n", NodeKey(secret.seed()), secret.key())
}

fn parse_key(heading: &str, bytes: &[u8]) -> Option<NodeSecret> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != heading {
        return None;
    }
    let seed: NodeKey = lines.next()?.strip_prefix("seed ")?.parse().ok()?;
    let secret = NodeSecret::from_seed(seed.0);
    (lines.next()?.strip_prefix("key ")? == secret.key().to_string() && lines.next().is_none()).then_some(secret)
}

/// The root, then each grant with its value; signatures and hashes show damage.
fn mesh_text(membership: &Membership) -> String {
    let mut text = format!("{MESH_HEADING}\nroot {}\n", membership.root);
    for held in &membership.chain {
        let value = held.value.as_deref().unwrap_or_default();
        text.push_str(&format!("grant {} {}\n", digits(held.record.as_bytes()), digits(value)));
    }
    text
}

fn parse_mesh(bytes: &[u8]) -> Option<Membership> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != MESH_HEADING {
        return None;
    }
    let root: NodeKey = lines.next()?.strip_prefix("root ")?.parse().ok()?;
    let grant = |line: &str| {
        let (record, value) = line.strip_prefix("grant ")?.split_once(' ')?;
        let record = Parcel::parse(bytes_of(record)?).ok()?.open().ok()?;
        let value = bytes_of(value)?;
        record.check_value(Some(&value)).ok()?;
        Some(Held { record, value: Some(Arc::from(value)) })
    };
    Membership::by(root, lines.map(grant).collect::<Option<_>>()?)
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
        text
    })
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| DIGITS.iter().position(|known| known == digit);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::scratch::Scratch;
    use crate::world::{RealDisk, RealEntropy};

    fn open_in(dir: &Scratch, signed: bool) -> Result<(NodeKey, NodeKey), IdentityError> {
        let entropy: Arc<dyn Entropy> = Arc::new(RealEntropy);
        let author = open(&RealDisk, dir.root(), &entropy, Timestamp(1000), signed)?;
        Ok((author.key(), author.membership().root))
    }

    #[test]
    fn a_node_begins_as_the_first_site_of_its_own_mesh_and_stays_in_it() {
        let dir = Scratch::new();
        let (key, root) = open_in(&dir, false).unwrap();
        assert_ne!(key, root);
        assert_eq!(open_in(&dir, true).unwrap(), (key, root));
        assert_eq!(open_in(&dir, false).unwrap(), (key, root));
        assert_ne!(open_in(&Scratch::new(), false).unwrap().1, root);
        std::fs::remove_file(dir.path("identity/root.key")).unwrap();
        assert_eq!(open_in(&dir, true).unwrap(), (key, root), "the root key is kept elsewhere");
    }

    #[test]
    fn what_an_earlier_crash_left_half_made_is_made_again() {
        for left in ["node.key", "root.key", "mesh"] {
            let dir = Scratch::new();
            open_in(&dir, false).unwrap();
            let whole = dir.path("identity").join(left);
            std::fs::rename(&whole, whole.with_extension("part")).unwrap();
            if left != "mesh" {
                // It is made after both keys.
                std::fs::remove_file(dir.path("identity/mesh")).unwrap();
            }
            let made = open_in(&dir, false).unwrap();
            assert_eq!(open_in(&dir, true).unwrap(), made, "{left}");
        }
    }

    #[test]
    fn missing_or_damaged_files_beside_records_are_told() {
        let dir = Scratch::new();
        let missing = open_in(&dir, true).unwrap_err();
        assert!(matches!(missing, IdentityError::Missing(_)) && missing.to_string().contains("put the file back"));
        assert!(!dir.path("identity").exists(), "nothing is made in its place");
        open_in(&dir, false).unwrap();
        for name in ["node.key", "mesh"] {
            let file = dir.path("identity").join(name);
            let whole = std::fs::read(&file).unwrap();
            for at in (0..whole.len()).step_by(7) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                std::fs::write(&file, &bytes).unwrap();
                assert!(matches!(open_in(&dir, true).unwrap_err(), IdentityError::Damaged(_)), "{name} {at}");
                std::fs::write(&file, &whole[..at]).unwrap();
                assert!(matches!(open_in(&dir, false).unwrap_err(), IdentityError::Damaged(_)), "{name} {at}");
            }
            std::fs::remove_file(&file).unwrap();
            assert!(matches!(open_in(&dir, true).unwrap_err(), IdentityError::Missing(_)), "{name}");
            std::fs::write(&file, &whole).unwrap();
        }
    }

    #[test]
    fn a_grant_of_another_node_opens_nothing() {
        let (one, two) = (Scratch::new(), Scratch::new());
        open_in(&one, false).unwrap();
        open_in(&two, false).unwrap();
        std::fs::copy(one.path("identity/mesh"), two.path("identity/mesh")).unwrap();
        assert!(matches!(open_in(&two, true).unwrap_err(), IdentityError::Damaged(_)));
    }
}

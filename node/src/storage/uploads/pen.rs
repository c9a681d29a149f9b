//! The blocking half of a writer: one pass over the bytes does hash, tree and file.
//!
//! A [`Pen`] runs on the blocking pool only, a batch at a time, and holds no thread in between. A crash loses what the
//! last sidecar does not say.

use std::io;
use std::sync::Arc;

use protocol::seam::{Access, File};
use protocol::tree::{GROUP, TreeHasher};
use protocol::{Algorithm, Digest, Hasher};

use super::record::{Origin, Record};
use super::session::SessionInfo;
use super::table::Claim;
use super::{Staged, UploadError};

/// Bytes between two hints to write back. Each also asks whether there is still room.
const WRITEBACK: u64 = 8 << 20;

/// Bytes of one request between two sidecars.
const CHECKPOINT: u64 = 64 << 20;

/// Bytes of tree kept before they are written: of 16 MiB of content.
const NODES: usize = 16 * 1024;

/// Bytes read at a time when a file is read again.
const READ: usize = 256 * 1024;

/// A session open for writing.
#[derive(Debug)]
pub(super) struct Pen {
    claim: Claim,
    /// As the session was found, and as its sidecar says now.
    opened: Arc<Record>,
    saved: Arc<Record>,
    data: Arc<dyn File>,
    hash: Hasher,
    tree: TreeHasher,
    tree_file: Option<Arc<dyn File>>,
    nodes: Vec<u8>,
    nodes_at: u64,
    offset: u64,
    hinted: u64,
}

impl Pen {
    /// Opens the session's file at its checkpoint; what lies behind that is cut off.
    pub(super) fn open(mut claim: Claim, record: Arc<Record>) -> Result<Self, UploadError> {
        claim.home.check_health()?;
        claim.touch();
        if record.origin == Origin::Earlier {
            return Self::take_over(claim, record);
        }
        let data =
            claim.home.fs.open(&claim.home.data_path(&record.info.id), Access::Create).map_err(UploadError::disk)?;
        let len = data.len()?;
        if len < record.info.offset {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file of the upload lost bytes").into());
        }
        if len > record.info.offset {
            data.set_len(record.info.offset)?;
        }
        claim.writes_to(&data);
        let mut pen = Self::at_start(claim, record, data);
        pen.restore()?;
        Ok(pen)
    }

    fn at_start(claim: Claim, record: Arc<Record>, data: Arc<dyn File>) -> Self {
        Self {
            claim,
            hash: Hasher::new(record.algorithm),
            opened: Arc::clone(&record),
            saved: record,
            data,
            tree: TreeHasher::new(),
            tree_file: None,
            nodes: Vec::new(),
            nodes_at: 0,
            offset: 0,
            hinted: 0,
        }
    }

    /// Takes the saved states up. The tree's is of the last boundary between groups: the rest is read again.
    fn restore(&mut self) -> Result<(), UploadError> {
        let end = self.saved.info.offset;
        if end == 0 {
            return Ok(());
        }
        let hash = Hasher::restore(self.saved.algorithm, &self.saved.hash);
        self.hash = hash.ok_or_else(|| io::Error::other("the hash state of the upload can't be read"))?;
        self.tree = TreeHasher::restore(self.saved.tree.clone());
        self.nodes_at = self.saved.tree.outboard_len();
        let at = self.saved.tree.offset();
        let (tree, nodes) = (&mut self.tree, &mut self.nodes);
        read_all(&*self.data, at, end, |bytes| {
            tree.update(bytes, nodes);
            Ok(())
        })?;
        (self.offset, self.hinted) = (end, end);
        Ok(())
    }

    /// Takes over a session of an earlier process: its bytes are copied into a file of our own and hashed on the way.
    /// When they are not those the sidecar speaks of, the session is over.
    fn take_over(claim: Claim, record: Arc<Record>) -> Result<Self, UploadError> {
        let home = Arc::clone(&claim.home);
        let id = &record.info.id;
        let (path, copy) = (home.data_path(id), home.path(id, "copy"));
        let earlier = home.fs.open(&path, Access::Read)?;
        let data = home.fs.open(&copy, Access::Create).map_err(UploadError::disk)?;
        data.set_len(0)?;
        let mut pen = Self::at_start(claim, Arc::clone(&record), data);
        let intact = match read_all(&*earlier, 0, record.info.offset, |bytes| pen.absorb(bytes)) {
            Ok(()) => pen.hash.save() == record.hash,
            Err(UploadError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => {
                let _ = home.fs.remove_file(&copy);
                return Err(error);
            }
        };
        if !intact {
            tracing::warn!(upload = %id, "an upload lost bytes in a crash and is given up");
            let _ = home.fs.remove_file(&copy);
            pen.claim.discard();
            return Err(UploadError::Unknown);
        }
        home.fs.rename(&copy, &path).map_err(UploadError::disk)?;
        pen.claim.writes_to(&pen.data);
        // The next writer takes the tree up where the sidecar says it was: its nodes are to be in the file by then.
        pen.write_nodes()?;
        let ours = Arc::new(Record { origin: Origin::Ours, ..(*record).clone() });
        pen.claim.update(Arc::clone(&ours));
        (pen.opened, pen.saved) = (Arc::clone(&ours), ours);
        Ok(pen)
    }

    /// Takes in the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.claim.home.check_health()?;
        self.absorb(bytes)?;
        if self.claim.takes_parts() && self.offset - self.saved.info.offset >= CHECKPOINT {
            self.save()?;
        }
        Ok(())
    }

    fn absorb(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.data.write_all_at(bytes, self.offset).map_err(UploadError::disk)?;
        self.hash.update(bytes);
        self.tree.update(bytes, &mut self.nodes);
        self.offset += bytes.len() as u64;
        if self.nodes.len() >= NODES {
            self.write_nodes()?;
        }
        if self.offset - self.hinted >= WRITEBACK {
            self.data.start_writeback(self.hinted, self.offset - self.hinted);
            self.hinted = self.offset;
            self.claim.home.check_room()?;
        }
        Ok(())
    }

    fn write_nodes(&mut self) -> Result<(), UploadError> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let file = match &self.tree_file {
            Some(file) => Arc::clone(file),
            None => {
                let path = self.claim.home.path(&self.saved.info.id, "tree");
                let file = self.claim.home.fs.open(&path, Access::Create).map_err(UploadError::disk)?;
                Arc::clone(self.tree_file.insert(file))
            }
        };
        file.write_all_at(&self.nodes, self.nodes_at).map_err(UploadError::disk)?;
        self.nodes_at += self.nodes.len() as u64;
        self.nodes.clear();
        Ok(())
    }

    fn save(&mut self) -> Result<(), UploadError> {
        self.write_nodes()?;
        let mut record = (*self.saved).clone();
        record.info.offset = self.offset;
        record.info.expires = self.claim.home.expiry(record.info.created);
        record.hash = self.hash.save();
        record.tree = self.tree.save();
        self.put(record)
    }

    fn put(&mut self, record: Record) -> Result<(), UploadError> {
        self.claim.home.write_sidecar(&record, false)?;
        self.saved = Arc::new(record);
        self.claim.update(Arc::clone(&self.saved));
        Ok(())
    }

    /// Ends a request that does not end the session.
    pub(super) fn checkpoint(mut self) -> Result<SessionInfo, UploadError> {
        self.save()?;
        Ok(self.saved.info.clone())
    }

    /// Ends the session: compares, then syncs.
    pub(super) fn finish(mut self, expected: &Digest) -> Result<Staged, UploadError> {
        self.claim.home.check_health()?;
        let actual = self.digest(expected.algorithm())?;
        if actual != *expected {
            self.roll_back()?;
            return Err(UploadError::DigestMismatch { expected: *expected, actual });
        }
        let tree = std::mem::take(&mut self.tree);
        let root = tree.finish(&mut self.nodes);
        self.write_nodes()?;
        if let Err(error) = self.sync() {
            return Err(self.sync_failed(error));
        }
        let id = &self.saved.info.id;
        let tree = (self.offset > GROUP as u64).then(|| self.claim.home.path(id, "tree"));
        let path = self.claim.home.data_path(id);
        self.claim.wrote();
        Ok(Staged { path, tree, digest: actual, size: self.offset, root, claim: self.claim })
    }

    /// The digest of everything taken in. Another algorithm than the running one costs a second pass.
    fn digest(&self, algorithm: Algorithm) -> Result<Digest, UploadError> {
        if algorithm == self.hash.algorithm() {
            return Ok(self.hash.clone().finish());
        }
        let mut hash = Hasher::new(algorithm);
        read_all(&*self.data, 0, self.offset, |bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        Ok(hash.finish())
    }

    /// A request that failed changed nothing: a client that sends it again with the right digest must not find its
    /// bytes twice.
    fn roll_back(&mut self) -> Result<(), UploadError> {
        if self.claim.is_once() || self.saved.info.offset == self.opened.info.offset {
            return Ok(());
        }
        let record = (*self.opened).clone();
        self.put(record)
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(file) = &self.tree_file {
            if file.len()? > self.nodes_at {
                file.set_len(self.nodes_at)?;
            }
            file.sync()?;
        }
        self.data.sync()
    }

    fn sync_failed(self, error: io::Error) -> UploadError {
        let error = UploadError::disk(error);
        if matches!(error, UploadError::Full(_)) {
            // Blocks were to be found only now, and there are none: this file's problem alone. But never sync it again.
            self.claim.discard();
            return error;
        }
        let cause = format!("syncing an upload failed: {error}");
        self.claim.home.health.fail(cause.as_str());
        UploadError::ReadOnly(cause)
    }
}

/// Reads from `at` to `end` and hands the bytes on.
fn read_all(
    file: &dyn File,
    mut at: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), UploadError>,
) -> Result<(), UploadError> {
    let len = usize::try_from(end.saturating_sub(at)).unwrap_or(READ).min(READ);
    let mut buf = vec![0; len];
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(READ).min(READ);
        let read = file.read_at(&mut buf[..want], at)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file of the upload lost bytes").into());
        }
        take(&buf[..read])?;
        at += read as u64;
    }
    Ok(())
}

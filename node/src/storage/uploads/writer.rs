//! The async half of a writer: collects batches and hands them to the blocking half.
//!
//! While one batch is hashed and written on the blocking pool, the next one fills; a third waits. So an upload takes at
//! most two batches of memory, a slow disk slows its client, and a client that sends nothing holds no thread. A blob
//! that fits in one batch takes one hop to the pool in all. A crash loses what the pen has not checkpointed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use protocol::Digest;

use super::pen::Pen;
use super::record::Record;
use super::session::SessionInfo;
use super::table::{Claim, Home, drain};
use super::{Staged, UploadError};

/// Bytes handed over at a time: whole groups of the tree, so that they are hashed where they lie.
const BATCH: usize = 256 * 1024;

type Batch = Vec<u8>;
type Burst = Pin<Box<dyn Future<Output = Result<(Box<Pen>, Batch), UploadError>> + Send + Sync>>;

/// The one writer of a session: holds it until dropped, which ends its blocking work with the batch at hand and leaves
/// the session at its last checkpoint.
pub struct Writer {
    home: Arc<Home>,
    turn: u64,
    info: SessionInfo,
    desk: Desk,
    batch: Batch,
    spare: Batch,
}

enum Desk {
    /// Nothing was written yet.
    Closed(Claim, Arc<Record>),
    /// Waits for the next batch.
    Open(Box<Pen>),
    /// A batch is on the blocking pool.
    Writing(Burst),
    /// It failed or ended; the claim is with someone else.
    Gone,
}

impl Desk {
    /// Blocks on the disk.
    fn pen(self) -> Result<Box<Pen>, UploadError> {
        match self {
            Self::Closed(claim, record) => Ok(Box::new(Pen::open(claim, record)?)),
            Self::Open(pen) => Ok(pen),
            Self::Writing(_) | Self::Gone => Err(std::io::Error::other("the upload's writer failed before").into()),
        }
    }
}

impl Writer {
    pub(super) fn new(claim: Claim, record: Arc<Record>) -> Self {
        Self {
            home: Arc::clone(&claim.home),
            turn: claim.turn(),
            info: record.info.clone(),
            desk: Desk::Closed(claim, record),
            batch: Batch::new(),
            spare: Batch::new(),
        }
    }

    /// This request counts whole or not at all: broken off, it leaves the session where it was opened, however much
    /// came. For one that a client sends again as it was, which would else add its bytes twice. To be called before the
    /// first byte.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        match &mut self.desk {
            Desk::Closed(claim, _) => claim.take_whole(),
            Desk::Open(_) | Desk::Writing(_) | Desk::Gone => {}
        }
        self
    }

    /// The session, with the offset as of now.
    #[must_use]
    pub const fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Queues the next bytes; waits while the disk is behind.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], or what the disk said to earlier bytes.
    pub async fn append(&mut self, mut bytes: Bytes) -> Result<(), UploadError> {
        self.home.check_health()?;
        let limit = self.home.limits.max_blob;
        if self.info.offset.saturating_add(bytes.len() as u64) > limit {
            return Err(UploadError::TooLarge { limit });
        }
        while !bytes.is_empty() {
            let take = bytes.len().min(BATCH - self.batch.len());
            self.batch.extend_from_slice(&bytes.split_to(take));
            self.info.offset += take as u64;
            if self.batch.len() == BATCH {
                self.hand_over().await?;
            }
        }
        Ok(())
    }

    /// Starts writing the batch, once the one before is written.
    async fn hand_over(&mut self) -> Result<(), UploadError> {
        self.settle().await?;
        let desk = std::mem::replace(&mut self.desk, Desk::Gone);
        let mut batch = std::mem::replace(&mut self.batch, std::mem::take(&mut self.spare));
        let home = Arc::clone(&self.home);
        let work = move || {
            let mut pen = desk.pen()?;
            pen.write(&batch)?;
            batch.clear();
            Ok((pen, batch))
        };
        let mut burst: Burst = Box::pin(async move { home.blocking("write upload", work).await });
        // Polled once, so that it runs while the next batch fills.
        match std::future::poll_fn(|context| Poll::Ready(burst.as_mut().poll(context))).await {
            Poll::Pending => self.desk = Desk::Writing(burst),
            Poll::Ready(outcome) => self.put_down(outcome)?,
        }
        Ok(())
    }

    /// Waits until nothing of this upload is on the blocking pool.
    async fn settle(&mut self) -> Result<(), UploadError> {
        if let Desk::Writing(burst) = &mut self.desk {
            let outcome = burst.await;
            self.desk = Desk::Gone;
            self.put_down(outcome)?;
        }
        Ok(())
    }

    fn put_down(&mut self, outcome: Result<(Box<Pen>, Batch), UploadError>) -> Result<(), UploadError> {
        let (pen, spare) = outcome?;
        self.desk = Desk::Open(pen);
        self.spare = spare;
        Ok(())
    }

    /// Ends a PATCH: everything appended is in the file and in the sidecar's hash state. Returns the session.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn checkpoint(self) -> Result<SessionInfo, UploadError> {
        self.end(Pen::checkpoint).await
    }

    /// Ends the session: everything appended is hashed, compared with `expected` and synced.
    ///
    /// # Errors
    /// [`UploadError::DigestMismatch`] (the session stays as it was), or what the disk said.
    pub async fn finish(self, expected: &Digest) -> Result<Staged, UploadError> {
        let expected = *expected;
        self.end(move |pen| pen.finish(&expected)).await
    }

    async fn end<T: Send + 'static>(
        mut self,
        last: impl FnOnce(Pen) -> Result<T, UploadError> + Send + 'static,
    ) -> Result<T, UploadError> {
        self.settle().await?;
        let desk = std::mem::replace(&mut self.desk, Desk::Gone);
        let batch = std::mem::take(&mut self.batch);
        let work = move || {
            let mut pen = desk.pen()?;
            if !batch.is_empty() {
                pen.write(&batch)?;
            }
            drop(batch);
            last(*pen)
        };
        let outcome = self.home.blocking("finish upload", work).await;
        // The claim has gone with the outcome: it is no longer ours to give back.
        self.turn = 0;
        outcome
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if matches!(self.desk, Desk::Writing(_) | Desk::Gone) && self.turn != 0 {
            drain(&self.home, &self.info.id, self.turn);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} at {})", self.info.id, self.info.offset)
    }
}

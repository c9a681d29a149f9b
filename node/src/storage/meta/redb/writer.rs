//! The one thread that writes: it takes waiting intents off a bounded queue and commits many in one transaction.
//!
//! Owns the queue and every write transaction. An intent is applied whole or not at all; its caller hears of it only
//! after the transaction is durable. A crash loses the intents that were not answered.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::seam::FileSystem;
use tokio::sync::{mpsc, oneshot};

use super::failure::Failure;
use super::shared::Shared;
use super::writing::Writing;
use crate::storage::meta::MetaError;
use crate::workers::Scope;

/// Most intents in one transaction: the measured rate no longer grows beyond (a sync is shared well before that), and
/// the first of a group waits for the last.
const GROUP: usize = 512;

/// Most bytes of rows in one transaction, so that a burst of large manifests does not pile up dirty pages.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

/// Intents that may wait: one group being committed and one more. Whoever comes after that would wait for longer than
/// two syncs and is better told to come again.
const QUEUE: usize = 2 * GROUP;

/// Room a transaction needs for the pages it copies: the tables' inner pages once, and some for each intent.
const ROOM: u64 = 4 * 1024 * 1024;
/// See [`ROOM`].
const ROOM_EACH: u64 = 64 * 1024;

/// Room a whole group needs. With less on the disk it is time to give something up: below this a group is cut into
/// smaller ones, and only what still has no room is refused.
pub const COMMIT_ROOM: u64 = room_for(GROUP, GROUP_BYTES);

/// Room that this many intents with this many bytes of rows need.
pub(super) const fn room_for(intents: usize, bytes: usize) -> u64 {
    ROOM + ROOM_EACH * intents as u64 + 2 * bytes as u64
}

/// An intent on its way through the queue.
trait Job: Send {
    /// Bytes of rows it brings.
    fn weight(&self) -> usize;
    /// Does it within a transaction, which may not be committed; then it is done again in another.
    fn apply(&mut self, tables: &mut Writing<'_>) -> Result<(), Failure>;
    /// Tells the caller what came of it.
    fn settle(self: Box<Self>, outcome: Result<(), MetaError>);
}

struct Waiting<T, W> {
    work: W,
    weight: usize,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, MetaError>>,
}

impl<T: Send, W: Fn(&mut Writing<'_>) -> Result<T, Failure> + Send> Job for Waiting<T, W> {
    fn weight(&self) -> usize {
        self.weight
    }

    fn apply(&mut self, tables: &mut Writing<'_>) -> Result<(), Failure> {
        self.answer = Some((self.work)(tables)?);
        Ok(())
    }

    fn settle(self: Box<Self>, outcome: Result<(), MetaError>) {
        let Self { answer, reply, .. } = *self;
        // The caller may have gone away; what it asked for is done all the same.
        let _ = reply.send(outcome.and_then(|()| answer.ok_or_else(ended)));
    }
}

fn ended() -> MetaError {
    MetaError::Engine("the metadata writer has ended".into())
}

/// The way to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queue(mpsc::Sender<Box<dyn Job>>);

impl Queue {
    /// Has an intent done, and waits until it is durable. `work` may run more than once, only the last run counts.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        weight: usize,
        work: impl Fn(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (reply, answer) = oneshot::channel();
        let job = Waiting { work, weight, answer: None, reply };
        self.0.try_send(Box::new(job)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => MetaError::Busy,
            mpsc::error::TrySendError::Closed(_) => ended(),
        })?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The writer's own side.
pub(super) struct Writer {
    shared: Arc<Shared>,
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    queue: mpsc::Receiver<Box<dyn Job>>,
    scope: Scope,
}

/// Starts the writer. It ends when every [`Queue`] is gone, or when the scope stops, after what is queued by then.
pub(super) fn start(
    shared: Arc<Shared>,
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    scope: Scope,
) -> std::io::Result<Queue> {
    let (sender, queue) = mpsc::channel(QUEUE);
    // A runtime of its own, without drivers, only to wait for two things at once on this thread.
    let waits = tokio::runtime::Builder::new_current_thread().build()?;
    let mut writer = Writer { shared, fs, path, queue, scope: scope.clone() };
    scope.thread("metadata writer", move || {
        while let Some(first) = waits.block_on(writer.next()) {
            let group = writer.group(first);
            writer.carry_out(group);
        }
    })?;
    Ok(Queue(sender))
}

impl Writer {
    /// The next intent; `None` at the end.
    async fn next(&mut self) -> Option<Box<dyn Job>> {
        if self.scope.is_stopping() {
            self.queue.close();
        }
        tokio::select! {
            biased;
            job = self.queue.recv() => job,
            () = self.scope.stopping() => {
                self.queue.close();
                self.queue.recv().await
            }
        }
    }

    /// Everything that waits at the moment, up to the limits of a group.
    fn group(&mut self, first: Box<dyn Job>) -> Vec<Box<dyn Job>> {
        let mut bytes = first.weight();
        let mut group = vec![first];
        while group.len() < GROUP && bytes < GROUP_BYTES {
            let Ok(job) = self.queue.try_recv() else { break };
            bytes += job.weight();
            group.push(job);
        }
        group
    }

    /// Carries a group out, in halves when the disk has no room for it as one: on a full disk deletes still get
    /// through one by one.
    fn carry_out(&self, mut group: Vec<Box<dyn Job>>) {
        if group.len() > 1 && !self.has_room(&group) {
            let rest = group.split_off(group.len() / 2);
            self.carry_out(group);
            return self.carry_out(rest);
        }
        let outcome = self.attempt(&mut group);
        for job in group {
            job.settle(outcome.clone());
        }
    }

    fn attempt(&self, group: &mut Vec<Box<dyn Job>>) -> Result<(), MetaError> {
        if let Some(why) = self.shared.health.read_only() {
            return Err(MetaError::ReadOnly(why.cause.clone()));
        }
        if !self.has_room(group) {
            return Err(MetaError::Full);
        }
        self.commit(group).map_err(|failure| {
            let full = failure.is_full();
            if self.shared.fail(&failure) || full {
                return MetaError::Full;
            }
            MetaError::ReadOnly(failure.to_string())
        })
    }

    /// Whether the disk has room for a group, before the engine meets the error: then it has to be opened again. When
    /// the disk does not say how much room there is, the group is tried.
    fn has_room(&self, group: &[Box<dyn Job>]) -> bool {
        let needed = room_for(group.len(), group.iter().map(|job| job.weight()).sum());
        self.fs.space(super::backend::parent(&self.path)).map_or(true, |space| space.available >= needed)
    }

    /// Applies the group in one transaction and commits it. An intent that meets a damaged row is taken out, told so,
    /// and the others are applied afresh: what it wrote before goes with the transaction.
    fn commit(&self, group: &mut Vec<Box<dyn Job>>) -> Result<(), Failure> {
        while !group.is_empty() {
            let transaction = self.shared.begin_write()?;
            let mut writing = Writing::begin(&transaction, &self.shared.author, self.shared.trust())?;
            let mut bad = None;
            for (at, job) in group.iter_mut().enumerate() {
                match job.apply(&mut writing) {
                    Ok(()) => {}
                    Err(Failure::Damaged(what)) => {
                        bad = Some((at, what));
                        break;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            let Some((at, what)) = bad else {
                let ended = writing.end()?;
                if !ended.changed {
                    // Nothing to make durable, so no sync to wait for.
                    return Ok(transaction.abort()?);
                }
                transaction.commit()?;
                self.shared.put_trust(ended.trust);
                return Ok(());
            };
            drop(writing);
            transaction.abort()?;
            tracing::error!(%what, "metadata is damaged");
            group.remove(at).settle(Err(MetaError::Damaged(what)));
        }
        Ok(())
    }
}

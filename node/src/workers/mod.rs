//! Tasks: each has an owner, a name and an end.
//!
//! [`Scope`] is the only place of the node that spawns. A scope ends by [`Scope::stop`]: its token is cancelled, tasks
//! finish what they do, and the call returns when the last is gone. A task that panics is logged with its name and
//! counted; it never takes the node down, and the work it carried is answered as failed.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The owner of tasks. Cheap to clone; all clones are the same scope.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    tasks: TaskTracker,
    stop: CancellationToken,
    panics: Arc<AtomicU64>,
}

/// The task ended without an answer: it panicked, or the runtime is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task {0} ended without an answer")]
pub struct Lost(pub &'static str);

impl Scope {
    /// A scope without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A future that is ready when the scope was asked to stop. Long-lived tasks wait on it.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the scope was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How many tasks of this scope have panicked so far.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    fn panicked(&self, name: &'static str, what: &(dyn std::any::Any + Send)) -> Lost {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let text = what.downcast_ref::<&str>().copied();
        let text = text.or_else(|| what.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        tracing::error!(task = name, panic = text, "a task panicked");
        Lost(name)
    }

    /// Starts a task that nobody waits for.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.start(name, task));
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    fn start<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<T, Lost>> {
        let (span, scope) = (tracing::Span::current(), self.clone());
        let guarded = async move {
            let mut task = pin!(task);
            // A task that panicked is not polled again, so nobody sees what it left half done but through what it shares.
            poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
                Ok(polled) => polled.map(Ok),
                Err(what) => Poll::Ready(Err(scope.panicked(name, &*what))),
            })
            .await
        };
        tokio::spawn(self.tasks.track_future(guarded.instrument(span)))
    }

    /// Runs a future to its end even when the caller is dropped meanwhile: for work that must not stop half-way
    /// because a client hung up.
    ///
    /// # Errors
    /// [`Lost`] when it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Lost> {
        self.start(name, task).await.unwrap_or_else(|error| Err(gone(name, &error)))
    }

    /// Runs blocking work (disk, hashing) on the pool made for it.
    ///
    /// # Errors
    /// [`Lost`] when it panicked.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (token, scope) = (self.tasks.token(), self.clone());
        let guarded = move || {
            let _tracked = token;
            catch_unwind(AssertUnwindSafe(work)).map_err(|what| scope.panicked(name, &*what))
        };
        tokio::task::spawn_blocking(guarded).await.unwrap_or_else(|error| Err(gone(name, &error)))
    }

    /// Starts a thread of its own for work that blocks all its life (a writer that owns a database). Who needs to know
    /// that it panicked holds the other end of what it owned: a channel that is closed from then on.
    ///
    /// # Errors
    /// What the operating system says when there is no thread to be had.
    pub fn thread(&self, name: &'static str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let (token, scope) = (self.tasks.token(), self.clone());
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let _tracked = token;
            if let Err(what) = catch_unwind(AssertUnwindSafe(work)) {
                scope.panicked(name, &*what);
            }
        })?;
        Ok(())
    }

    /// Asks every task to stop and waits for them, at most `limit`; returns how many are left.
    pub async fn stop(&self, limit: Duration) -> usize {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
        self.tasks.len()
    }
}

/// The runtime is going down, or what a panic left could not be dropped.
fn gone(name: &'static str, error: &tokio::task::JoinError) -> Lost {
    tracing::error!(task = name, %error, "a task ended without an answer");
    Lost(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::until::until;

    #[tokio::test]
    async fn panics_are_counted_whoever_waits_and_end_nothing_else() {
        let scope = Scope::new();
        scope.spawn("nobody waits", async { panic!("on purpose") });
        until("the first panic", || scope.panics() == 1).await;
        assert_eq!(scope.run("waited for", async { panic!("on purpose") }).await, Err::<(), _>(Lost("waited for")));
        let blocking = scope.run_blocking("blocking", || panic!("on purpose {}", 1)).await;
        assert_eq!(blocking, Err::<(), _>(Lost("blocking")));
        assert_eq!(scope.panics(), 3);
        scope.thread("thread", || panic!("on purpose")).unwrap();
        until("the panic of the thread", || scope.panics() == 4).await;
        assert_eq!(scope.run("fine", async { 7 }).await, Ok(7));
        assert_eq!(scope.stop(Duration::from_secs(5)).await, 0, "what panicked is gone");
    }
}

//! Tasks: each has an owner, a name and an end.
//!
//! [`Scope`] is the only place of the node that spawns. A scope ends by [`Scope::stop`]: its token is cancelled, tasks
//! finish what they do, and the call returns when the last is gone. A task that panics is logged with its name and
//! counted; it never takes the node down, and the work it carried is answered as failed.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The owner of tasks. Cheap to clone; all clones are the same scope.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    tasks: TaskTracker,
    stop: CancellationToken,
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

    /// Starts a task that nobody waits for.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.start(name, task));
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    fn start<T: Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let span = tracing::Span::current();
        let _ = name;
        tokio::spawn(self.tasks.track_future(task.instrument(span)))
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
        self.start(name, task).await.map_err(|error| {
            tracing::error!(task = name, %error, "a task ended without an answer");
            Lost(name)
        })
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
        let token = self.tasks.token();
        tokio::task::spawn_blocking(move || {
            let _tracked = token;
            work()
        })
        .await
        .map_err(|error| {
            tracing::error!(task = name, %error, "blocking work ended without an answer");
            Lost(name)
        })
    }

    /// Starts a thread of its own for work that blocks all its life (a writer that owns a database).
    ///
    /// # Errors
    /// What the operating system says when there is no thread to be had.
    pub fn thread(&self, name: &'static str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let token = self.tasks.token();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let _tracked = token;
            work();
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

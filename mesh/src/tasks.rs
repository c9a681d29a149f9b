//! Tasks: each has an owner, a name and an end.
//!
//! The only place of the crate that spawns. A task ends by itself or when its owner says [`Tasks::end`]: it is then
//! dropped where it waits. A task that panics is logged with its name and takes nothing else down.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The owner of tasks. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Tasks {
    /// Starts a task; after the end it is not started.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        let guarded = async move {
            let mut task = pin!(end.run_until_cancelled(task));
            poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
                Ok(polled) => polled.map(drop),
                Err(_) => {
                    tracing::error!(task = name, "a task of the mesh panicked");
                    Poll::Ready(())
                }
            })
            .await;
        };
        drop(tokio::spawn(self.tasks.track_future(guarded)));
    }

    /// Ends all of them.
    pub(crate) fn end(&self) {
        self.end.cancel();
        self.tasks.close();
    }

    /// Lets them end by themselves.
    pub(crate) fn close(&self) {
        self.tasks.close();
    }

    /// Waits until the last is gone; for ever unless [`Tasks::end`] or [`Tasks::close`] was said.
    pub(crate) async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_task_and_the_end_ends_all() {
        let tasks = Tasks::default();
        tasks.spawn("panics", async { panic!("on purpose") });
        tasks.spawn("waits for ever", std::future::pending());
        tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while tasks.count() > 1 {
                tokio::task::yield_now().await;
            }
            tasks.end();
            tasks.ended().await;
        })
        .await
        .unwrap();
        tasks.spawn("late", std::future::pending());
        tokio::time::timeout(std::time::Duration::from_secs(20), tasks.ended()).await.unwrap();
    }
}

//! One lock a digest, in memory proportional to the digests locked at the moment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::Digest;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Locks = Arc<Mutex<HashMap<Digest, Arc<AsyncMutex<()>>>>>;

/// Excludes commit and removal of one digest from each other. Held across disk work, so it is an async lock.
#[derive(Clone, Debug, Default)]
pub(super) struct DigestLocks(Locks);

/// Held until dropped. Without its guard it is a waiter, so that one who gives up waiting leaves nothing behind.
#[derive(Debug)]
pub(super) struct DigestLock {
    locks: Locks,
    digest: Digest,
    lock: Option<Arc<AsyncMutex<()>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl DigestLocks {
    /// Waits for the digest's lock.
    pub(super) async fn lock(&self, digest: &Digest) -> DigestLock {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(*digest).or_default())
        };
        let mut held =
            DigestLock { locks: Arc::clone(&self.0), digest: *digest, lock: Some(Arc::clone(&lock)), guard: None };
        held.guard = Some(lock.lock_owned().await);
        held
    }
}

impl Drop for DigestLock {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        self.lock = None;
        // Only the map is left: nobody holds it or waits. Clones are made under the map's mutex alone.
        if locks.get(&self.digest).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_digest_one_holder_and_nothing_left_behind() {
        let locks = DigestLocks::default();
        let digest = Digest::sha256(b"x");
        let first = locks.lock(&digest).await;
        let other = locks.lock(&Digest::sha256(b"y")).await;
        let mut second = Box::pin(locks.lock(&digest));
        assert!(futures_ready(&mut second).is_none(), "the lock is taken");
        drop(first);
        drop(second.await);
        drop(other);
        assert!(locks.0.lock().unwrap().is_empty());
    }

    fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}

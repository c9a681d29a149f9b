//! Whether the store may be written to, as one shared fact.
//!
//! A failed sync is never retried: the kernel may have dropped the pages it could not write and would report success
//! the second time (Rebello et al., ATC'20). The first one, wherever it happens, turns the whole store read-only until
//! the process restarts and recovers.

use std::sync::{Arc, OnceLock};

/// Why the store became read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOnly {
    /// What failed, for people.
    pub cause: String,
}

/// Shared by everything that writes. Cheap to clone; starts healthy; falls once.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<OnceLock<ReadOnly>>);

impl Health {
    /// A healthy store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns the store read-only for the life of this process. The first cause stays.
    pub fn fail(&self, cause: impl Into<String>) {
        let cause = cause.into();
        if self.0.set(ReadOnly { cause: cause.clone() }).is_ok() {
            tracing::error!(%cause, "the store is read-only from now on; restart the node to recover");
        }
    }

    /// Why it is read-only; `None` while it is not.
    #[must_use]
    pub fn read_only(&self) -> Option<&ReadOnly> {
        self.0.get()
    }
}

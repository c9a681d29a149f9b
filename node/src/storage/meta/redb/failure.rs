//! What can go wrong inside the engine, before it is told to a caller. Owns no state.

use crate::storage::meta::MetaError;

/// Why an intent or a read did not come to its answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// A row can't be read back: this intent fails alone.
    Damaged(String),
    /// The database or the disk under it: the whole transaction fails.
    Engine(Box<redb::Error>),
}

macro_rules! from_engine {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        }
    )+};
}
from_engine!(StorageError, TableError, TransactionError, CommitError, DatabaseError);

impl Failure {
    /// Whether the disk had no room.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Damaged(_) => false,
            Self::Engine(error) => {
                matches!(&**error, redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull)
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(what) => f.write_str(what),
            Self::Engine(error) => std::fmt::Display::fmt(error, f),
        }
    }
}

impl From<Failure> for MetaError {
    fn from(failure: Failure) -> Self {
        if failure.is_full() {
            return Self::Full;
        }
        match failure {
            Failure::Damaged(what) => Self::Damaged(what),
            Failure::Engine(error) => {
                if let redb::Error::Corrupted(what) = &*error {
                    return Self::Damaged(what.clone());
                }
                Self::Engine(error.to_string())
            }
        }
    }
}

//! Credentials in, principal out; and tokens for those who ask.

use std::sync::Arc;
use std::time::Duration;

use protocol::Timestamp;
use protocol::seam::{Clock, Entropy};

use super::{Credentials, Principal, Scope};
use crate::policy::Gate;
use crate::storage::Store;
use crate::storage::meta::MetaError;
use crate::workers::Scope as Tasks;

/// The audience of our tokens, and the `service` of the challenge.
pub const SERVICE: &str = "portolan";

/// Why credentials did not make a principal.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong name or password, or a token that is not ours, expired, or older than the account's last change. Which of
    /// these is not said.
    #[error("these credentials are not valid (any more): log in again")]
    Invalid,
    /// Too many passwords are being checked at the moment.
    #[error("too many log-ins at the same moment: try again shortly")]
    Busy,
    /// The account could not be read.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it is good.
    pub expires_in: Duration,
    /// Since when.
    pub issued_at: Timestamp,
}

/// Turns credentials into principals. One a node.
#[derive(Debug)]
pub struct Authenticator {}

impl Authenticator {
    /// Reads the administrator's verifier, or makes the account.
    ///
    /// # Errors
    /// [`AuthError::Meta`].
    pub async fn open(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        tasks: Tasks,
    ) -> Result<Self, AuthError> {
        let _ = (store, clock, entropy, tasks);
        todo!()
    }

    /// Who is asking.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for credentials that were shown and are wrong; nothing shown is the anonymous principal.
    pub async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let _ = credentials;
        todo!()
    }

    /// A token for `principal`, limited to what of `asked` it has a right to.
    ///
    /// # Errors
    /// [`AuthError::Meta`].
    pub async fn issue(&self, principal: &Principal, gate: &Gate, asked: &[Scope]) -> Result<Issued, AuthError> {
        let _ = (principal, gate, asked);
        todo!()
    }
}

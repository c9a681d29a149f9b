//! An upload session: its id, whose it is, how far it has come.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use protocol::seam::Entropy;
use protocol::{Algorithm, RepositoryName, Timestamp};

/// The name of a session: 128 random bits as 32 lower-case hexadecimal characters. Nobody guesses one, and it is
/// checked to be one before it becomes part of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Arc<str>);

/// Not an upload id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload id is 32 lower-case hexadecimal characters")]
pub struct UploadIdError;

impl UploadId {
    /// A new id.
    #[must_use]
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let good = s.len() == 32 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(s.into())) } else { Err(UploadIdError) }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who begins a session, and for what.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The principal; the session is bound to it.
    pub principal: Arc<str>,
    /// The repository; the session is bound to it.
    pub repository: RepositoryName,
    /// The algorithm the client means to name the blob by. Another one at the end costs a second pass over the bytes.
    pub algorithm: Algorithm,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: UploadId,
    /// Who may go on with it.
    pub principal: Arc<str>,
    /// Where the blob is to go.
    pub repository: RepositoryName,
    /// Bytes taken in: the offset of the next one.
    pub offset: u64,
    /// When it began.
    pub created: Timestamp,
    /// When it is given up if nothing happens.
    pub expires: Timestamp,
}

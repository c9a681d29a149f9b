//! What neighbours send each other. One encoding each, bounded before anything is made of it.

use serde::{Deserialize, Serialize};

use super::{MAX_IDS, MAX_MESSAGE};
use crate::canonical;
use crate::record::{Held, RecordId};

/// The first half of a record's id. Nobody can make a second record for a given one; who writes two with the same delays
/// one of them until reconciliation, which compares whole ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Short(pub [u8; 16]);

impl Short {
    /// Of an id.
    #[must_use]
    pub const fn of(id: &RecordId) -> Self {
        let mut short = [0; 16];
        let mut at = 0;
        while at < 16 {
            short[at] = id.0[at];
            at += 1;
        }
        Self(short)
    }
}

/// A record with its value, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// Header and signature.
    pub record: Vec<u8>,
    /// The value; `None` for a delete, and when the sender does not hold it any more.
    pub value: Option<Vec<u8>>,
}

impl Sheet {
    /// Of a record that is held.
    #[must_use]
    pub fn of(held: &Held) -> Self {
        Self { record: held.record.as_bytes().to_vec(), value: held.value.as_deref().map(<[u8]>::to_vec) }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Records.
    Push {
        /// Sent to every neighbour: copies of it say nothing about a link.
        urgent: bool,
        /// Which.
        sheets: Vec<Sheet>,
    },
    /// The sender has these.
    Announce {
        /// Others push them; without it nobody does, and there is nothing to wait for.
        pushed: bool,
        /// Which.
        records: Vec<Short>,
    },
    /// Send these; they did not come by themselves.
    Want(Vec<Short>),
    /// Push no more records of the audience this one belongs to: they come sooner another way.
    Prune(Short),
    /// Push them again.
    Graft(Short),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message of the broadcast")]
pub struct NotAMessage;

impl Message {
    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::encode(self)
    }

    /// Reads what a neighbour sent.
    ///
    /// # Errors
    /// [`NotAMessage`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAMessage> {
        if bytes.len() > MAX_MESSAGE {
            return Err(NotAMessage);
        }
        let message: Self = canonical::decode(bytes).map_err(|_| NotAMessage)?;
        let fits = match &message {
            Self::Push { sheets, .. } => !sheets.is_empty() && sheets.len() <= MAX_IDS,
            Self::Announce { records, .. } | Self::Want(records) => !records.is_empty() && records.len() <= MAX_IDS,
            Self::Prune(_) | Self::Graft(_) => true,
        };
        if fits { Ok(message) } else { Err(NotAMessage) }
    }
}

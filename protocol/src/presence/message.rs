//! What two sites say to each other about who is there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::known::MAX_DEPTH;
use super::status::{Ills, Status};
use super::{MAX_MESSAGE, MAX_STATUSES, MAX_SUMMARY, UNIT};
use crate::canonical;
use crate::identity::NodeKey;
use crate::signed::Signed;

/// What a peer did that no site of ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message longer than [`MAX_MESSAGE`].
    #[error("the message is too long")]
    TooLong,
    /// Bytes that are no message.
    #[error("the bytes are no message of presence")]
    Encoding,
    /// More entries than a message may have, fields too long for a status, an order that is none.
    #[error("the message goes beyond its bounds")]
    Bounds,
    /// A status that the site it names did not sign.
    #[error("a status is not signed by the site it names")]
    Signature,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Statuses, each as its site signed it.
    pub statuses: Vec<Signed<Status>>,
    /// What the sender has heard of others, ascending by key.
    pub summary: Vec<Entry>,
    /// The sender has just come and asks for all statuses of the region.
    pub wants: bool,
}

/// Hearsay about a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The site.
    pub site: NodeKey,
    /// How long ago it was seen, in units of [`UNIT`], rounded up: passing it on never makes a site younger.
    pub age: u16,
    /// What ailed it.
    pub ills: Ills,
    /// How many tellers stand between the sender and one that had it from the site itself.
    pub depth: u8,
}

impl Entry {
    pub(super) fn units(age: Duration) -> u16 {
        u16::try_from(age.as_secs().div_ceil(UNIT.as_secs())).unwrap_or(u16::MAX)
    }

    pub(super) fn ago(&self) -> Duration {
        UNIT * u32::from(self.age)
    }
}

impl Message {
    /// The one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::encode(self)
    }

    /// Reads a message; signatures are not judged here.
    ///
    /// # Errors
    /// Every [`Fault`] but [`Fault::Signature`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Fault::TooLong);
        }
        let message: Self = canonical::decode(bytes).map_err(|_| Fault::Encoding)?;
        let fits = message.statuses.len() <= MAX_STATUSES
            && message.summary.len() <= MAX_SUMMARY
            && message.statuses.iter().all(|status| status.said.fields.fit())
            && message.summary.iter().all(|entry| entry.depth <= MAX_DEPTH)
            && message.summary.is_sorted_by(|a, b| a.site < b.site);
        if fits { Ok(message) } else { Err(Fault::Bounds) }
    }
}

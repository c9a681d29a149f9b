//! What two sites say to each other about who has what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{MAX_ASK, MAX_CHANGES, MAX_HAVE, MAX_ITEMS, MAX_MESSAGE, MAX_PAGE};
use crate::identity::NodeKey;
use crate::presence::Life;
use crate::record::ScopeId;
use crate::signed::Signed;
use crate::{Digest, canonical};

const HEAD: &str = "portolan holdings head 1";
const FILTER: &str = "portolan holdings filter statement 1";

/// What a peer did that no site of ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message longer than [`MAX_MESSAGE`].
    #[error("the message is too long")]
    TooLong,
    /// Bytes that are no message.
    #[error("the bytes are no message of holdings")]
    Encoding,
    /// More entries than a message may have, or a size that is none.
    #[error("the message goes beyond its bounds")]
    Bounds,
    /// A statement that the site it names did not sign.
    #[error("a statement is not signed by the site it names")]
    Signature,
    /// Changes or pages that do not make the set the site has signed.
    #[error("what was handed on is not what the site has signed")]
    Root,
    /// A filter with so many bits set that it claims everything.
    #[error("a filter claims everything")]
    Filled,
}

/// How an image is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Holding {
    /// Some of it is here, and it is being fetched.
    InProgress,
    /// All of it is here.
    Complete,
}

/// The images of a set, by the digest of their manifest.
pub type Images = BTreeMap<Digest, Holding>;

/// Whose set, of which scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Whose {
    /// The scope.
    pub scope: ScopeId,
    /// The site.
    pub site: NodeKey,
}

/// Which of the sets of a site: the later life, in it the greater number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Of the site.
    pub life: Life,
    /// Its number in that life, from 1.
    pub number: u64,
}

/// A site's word on what its set is: all else is checked against it, whoever hands it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose set.
    pub whose: Whose,
    /// Which.
    pub version: Version,
    /// How many images.
    pub count: u32,
    /// The hash of the set.
    pub root: [u8; 32],
}

/// A filter and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose blobs.
    pub whose: Whose,
    /// Which.
    pub version: Version,
    /// What it claims.
    pub filter: Filter,
}

/// What is had of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Have {
    /// Nothing.
    None,
    /// All.
    All,
    /// A bit each, the lowest first.
    Some(Vec<u8>),
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What changed in a set.
    Delta {
        /// What it is afterwards.
        head: Signed<Head>,
        /// The number of the version before.
        from: u64,
        /// Changes, ascending by digest.
        changes: Vec<(Digest, Option<Holding>)>,
    },
    /// Which sets the sender has. Whoever has older ones asks.
    Have(Vec<(Whose, Version)>),
    /// Asks for a set from a place on.
    Want {
        /// Which set.
        whose: Whose,
        /// After this image.
        after: Option<Digest>,
    },
    /// A part of a set.
    Page {
        /// What the whole is.
        head: Signed<Head>,
        /// After this image.
        after: Option<Digest>,
        /// Ascending. Fewer than [`MAX_PAGE`]: these are the last.
        images: Vec<(Digest, Holding)>,
    },
    /// What a site may hold.
    Filter {
        /// As the site signed it.
        claim: Signed<Claim>,
        /// It was handed on: it goes no further.
        handed_on: bool,
    },
    /// Which of these do you have?
    Ask {
        /// To tell answers apart.
        id: u32,
        /// In this scope.
        scope: ScopeId,
        /// At most [`MAX_ASK`].
        digests: Vec<Digest>,
    },
    /// The answer. It names no scope: the number is enough.
    Answer {
        /// Of the question.
        id: u32,
        /// What is had.
        have: Have,
    },
}

impl Head {
    pub(super) fn sign(
        whose: Whose,
        version: Version,
        images: &Images,
        by: &crate::identity::NodeSecret,
    ) -> Signed<Self> {
        let count = u32::try_from(images.len()).unwrap_or(u32::MAX);
        Signed::new(Self { whose, version, count, root: root_of(images) }, HEAD, by)
    }

    /// Whether it is the head of these images.
    pub(super) fn is_of(&self, images: &Images) -> bool {
        images.len() == self.count as usize && root_of(images) == self.root
    }
}

pub(super) fn is_genuine_head(head: &Signed<Head>) -> bool {
    head.is_by(&head.said.whose.site, HEAD)
}

pub(super) fn sign_claim(claim: Claim, by: &crate::identity::NodeSecret) -> Signed<Claim> {
    Signed::new(claim, FILTER, by)
}

pub(super) fn is_genuine_claim(claim: &Signed<Claim>) -> bool {
    claim.is_by(&claim.said.whose.site, FILTER)
}

fn root_of(images: &Images) -> [u8; 32] {
    blake3::derive_key("portolan holdings set 1", &canonical::encode(images))
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
    /// [`Fault::TooLong`], [`Fault::Encoding`], [`Fault::Bounds`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Fault::TooLong);
        }
        let message: Self = canonical::decode(bytes).map_err(|_| Fault::Encoding)?;
        let fits = match &message {
            Self::Delta { head, changes, .. } => {
                changes.len() <= MAX_CHANGES && head.said.fits() && changes.is_sorted_by(|a, b| a.0 < b.0)
            }
            Self::Have(sets) => sets.len() <= MAX_HAVE,
            Self::Want { .. } => true,
            Self::Page { head, after, images } => {
                images.len() <= MAX_PAGE
                    && head.said.fits()
                    && images.is_sorted_by(|a, b| a.0 < b.0)
                    && images.first().is_none_or(|(first, _)| after.is_none_or(|after| *first > after))
            }
            Self::Filter { claim, .. } => claim.said.filter.is_within_bounds(),
            Self::Ask { digests, .. } => (1..=MAX_ASK).contains(&digests.len()),
            Self::Answer { have, .. } => match have {
                Have::None | Have::All => true,
                Have::Some(bits) => bits.len() <= MAX_ASK / 8,
            },
        };
        if fits { Ok(message) } else { Err(Fault::Bounds) }
    }

    /// Every scope the message says something about, and the sites it names: what the receiver must be allowed to hear.
    #[must_use]
    pub fn speaks_of(&self) -> Vec<ScopeId> {
        match self {
            Self::Delta { head, .. } | Self::Page { head, .. } => vec![head.said.whose.scope],
            Self::Have(sets) => sets.iter().map(|(whose, _)| whose.scope).collect(),
            Self::Want { whose, .. } => vec![whose.scope],
            Self::Filter { claim, .. } => vec![claim.said.whose.scope],
            Self::Ask { scope, .. } => vec![*scope],
            Self::Answer { .. } => Vec::new(),
        }
    }
}

impl Head {
    fn fits(&self) -> bool {
        self.count as usize <= MAX_ITEMS
    }
}

//! What the records of the trust scope say. No state; see `trust` for what follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::identity::NodeKey;
use crate::record::{Action, Position, RecordId, ScopeId};

/// Most ids an endorsement lists: with its frame it stays below the limit of a value.
pub const MAX_ENDORSED: usize = 1500;

/// A node is let in. The key of its record is the node's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub node: NodeKey,
    /// The site it stands for.
    pub site: String,
    /// Facts about the site that policies select by: region, uplink, tier.
    pub labels: BTreeMap<String, String>,
    /// What it may do.
    pub rights: Vec<Right>,
    /// Which numeric ids it may give out.
    pub ids: IdBlock,
    /// From when it opens handshakes.
    pub not_before: Timestamp,
    /// Until when. Governs handshakes only, never whether a record counts.
    pub not_after: Timestamp,
    /// Counts the grants of this node by this issuer.
    pub serial: u64,
}

/// One thing a grant allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Right {
    /// What.
    pub action: Action,
    /// Where.
    pub over: Over,
}

/// Where a right holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Over {
    /// Everywhere, mesh-wide settings and trust included.
    Everything,
    /// Projects whose name matches: an exact name, or a prefix followed by `*`.
    Projects(String),
    /// One scope, whose name need not be known.
    Scope(ScopeId),
}

/// Numbers `first..first + count`, positive 32-bit ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdBlock {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl IdBlock {
    /// Ids of one block: there are 2,048 blocks.
    pub const SIZE: u32 = 1 << 20;

    /// The first block: that of the site a mesh began with.
    pub const LONE: Self = Self { first: 0, count: Self::SIZE };

    /// Whether an id is one of these. 0 is none.
    #[must_use]
    pub const fn contains(&self, id: u32) -> bool {
        id > 0 && id >= self.first && id - self.first < self.count && id <= i32::MAX.cast_unsigned()
    }
}

/// A node or a grant ends, or ends in part. Several: the strictest holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whom it is about.
    pub target: Target,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Whom a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// A node under all its grants.
    Node(NodeKey),
    /// One grant.
    Grant(RecordId),
}

/// What a revocation says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No more handshakes. What the node wrote stands: all of it, or up to its own farewell when one is named.
    Retired {
        /// The node's farewell, signed by itself.
        farewell: Option<RecordId>,
    },
    /// Records stand up to these places; of incarnations not named, none.
    Narrowed {
        /// The last place of each incarnation.
        last: Vec<Position>,
    },
    /// Nothing stands but what is endorsed.
    Compromised(Compromise),
}

/// A node fell into other hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compromise {
    /// From when on, as far as one knows. For people; nothing is decided by it.
    pub since: Timestamp,
    /// The scopes judged, each with its endorsement lists. A scope not named voids nothing and is shown as unjudged.
    pub scopes: BTreeMap<ScopeId, Lists>,
    /// For an authority: others whose endorsements count besides those of the verdict's author.
    pub endorsers: Vec<NodeKey>,
}

/// The endorsement lists of a scope, written before the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// Who wrote them: the verdict's author, or the home site's node of a scope no authority may read.
    pub by: NodeKey,
    /// Which of the author's lists.
    pub list: u64,
    /// How many records they take.
    pub count: u32,
    /// BLAKE3 over their ids in ascending order.
    pub digest: [u8; 32],
}

/// Records of a node that stand. Written in the scope they belong to; the key of its record is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// Whose records.
    pub node: NodeKey,
    /// The list it is a part of, a random number: a verdict names it, and what is endorsed later belongs to none of
    /// those it names.
    pub list: u64,
    /// Which, ascending, at most [`MAX_ENDORSED`].
    pub records: Vec<RecordId>,
}

/// One authority stops another until the root speaks: acts of trust it wrote behind these places do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Whom.
    pub node: NodeKey,
    /// Lifts an earlier suspension of that node; only the root's word does.
    pub lifted: bool,
    /// The last places the author had seen; incarnations not named: none.
    pub last: Vec<Position>,
}

/// The places up to which a node's own records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// The last place of each of its incarnations.
    pub last: Vec<Position>,
}

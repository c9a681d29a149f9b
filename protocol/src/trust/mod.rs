//! Who may say what: grants, how they end, and what a record is worth by them.
//!
//! Everything follows from the records of the trust scope and the endorsements, evaluated from the root downward: a
//! record affects only nodes strictly below its author. Nothing here depends on the order of arrival, and no time of
//! day decides whether a record counts (`mesh.md`, "Trust").

mod charter;
mod evaluate;
mod standing;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet};

pub use charter::GRANT_DAYS;
pub use evaluate::{MAX_LEVEL, list_digest};
pub use standing::{Bearing, Handshake};
pub use value::{
    Compromise, Endorsement, Farewell, Grant, IdBlock, Lists, MAX_ENDORSED, Over, Revocation, Right, Suspension,
    Target, Verdict,
};

use serde::{Deserialize, Serialize};

use crate::ProjectName;
use crate::identity::NodeKey;
use crate::record::{Action, MeshId, Record, RecordId, ScopeId};

/// What is known of who may say what, as of the records it was evaluated from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    root: NodeKey,
    mesh: MeshId,
    grants: BTreeMap<RecordId, standing::Counted>,
    nodes: BTreeMap<NodeKey, standing::Standing>,
    known: BTreeSet<NodeKey>,
}

/// Why a record does not count. It is kept, handed on, and listed with this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Void {
    /// Of a format this version can't interpret.
    Format,
    /// The value is no value of its kind.
    Value,
    /// Its grant is not known here (yet), or does not count.
    NoGrant,
    /// Its grant is someone else's.
    OthersGrant,
    /// Its grant does not allow this.
    NoRight,
    /// The node or the grant had ended before it, by this record.
    Revoked(RecordId),
    /// Its author is declared compromised by this record, and nobody endorsed it.
    NotEndorsed(RecordId),
    /// Its author, an authority, was suspended by this record, and the root has not spoken.
    Suspended(RecordId),
    /// It was written under a tag mode or epoch the project never had.
    Epoch,
    /// The project's tags had a home, and its author's site was not it.
    NotHome,
    /// It shows another name than its scope binds.
    Scope,
    /// Its key is no key of its kind.
    Key,
    /// It names a record of another scope or key as its predecessor.
    Prev,
}

/// The judge of records: [`Trust`], or a stand-in in a test of what stands above it.
pub trait Judge {
    /// Whether the record counts as far as its author's rights go. `action` is what it needs; `project` the name its
    /// scope is bound to, when that is known.
    ///
    /// # Errors
    /// Why it is void.
    fn judge(&self, record: &Record, action: Option<Action>, project: Option<&ProjectName>) -> Result<(), Void>;

    /// The site a grant was given to.
    fn site(&self, grant: &RecordId) -> Option<&str>;

    /// Whether anything about the scope stands in the way of calling it judged: a verdict whose lists are not here.
    fn is_judged(&self, scope: &ScopeId) -> bool;
}

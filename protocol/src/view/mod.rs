//! What holds at a site: the live view, a pure function of all records it has and of who may write what.
//!
//! - A **topic** is what records contradict each other about: scope, kind and key. Its records are its **versions**.
//! - A version is *valid*, or *void* for a reason ([`crate::trust::Void`]); void ones are listed and count for nothing,
//!   except that a path may run through them.
//! - A version **covers** what it names in `prev` and what its author wrote before it on that topic in the same
//!   incarnation, and what those cover. **Heads** are the valid versions that no valid version covers one-sidedly.
//! - **Live** is the greatest head by [`Rank`] that is no delete; deletes never compete. Two heads that are no deletes
//!   are a **conflict**: shown, and all kept, until someone resolves it ([`View::resolve`]). What is *in force*
//!   meanwhile is for some kinds the stricter of them ([`effective()`]).
//!
//! [`View`] keeps that up to date over a store, [`Kept`], which owns all state; nothing else here has any. Whatever the
//! order of arrival, the kept view is the one computed from scratch ([`View::from_scratch`]).
//!
//! **Trimming.** A site may drop the value of a version only where [`View::may_trim`] says so: a covered version of
//! more than [`TRIMMABLE`] bytes that reads well, is not what describes a deleted manifest, and is of a kind of which
//! only the heads' values matter: never trust, project, tag, member, robot, user, denial or rules. So a value that is
//! absent and could have been trimmed counts as well formed, here and at a site that never had it; any other absent
//! value makes its version void until it comes. A value once seen to be unreadable is remembered as such.
//!
//! Records of a format or kind this version does not know are no version of anything.

mod alive;
mod cover;
mod effective;
mod immutable;
mod judged;
mod kept;
mod live;
mod project;
#[cfg(test)]
mod tests;
mod topic;
mod write;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::identity::NodeKey;
use crate::record::{Kind, MeshId, RecordId, RecordKey, ScopeId};

pub use alive::{Alive, Usage};
pub use effective::{Said, effective};
pub use immutable::{SecondDigest, is_immutable, refuse};
pub use judged::TRIMMABLE;
pub use kept::{InMemory, Kept, Line, Rank, Standing, TopicView};
pub use project::{Census, Named, ProjectFacts, ProjectView};
pub use write::Undelete;

/// What records contradict each other about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Topic {
    /// Where.
    pub scope: ScopeId,
    /// What kind of thing.
    pub kind: Kind,
    /// Which one.
    pub key: RecordKey,
}

/// The live view of one mesh over a store, which owns its state.
#[derive(Clone, Debug)]
pub struct View<K> {
    mesh: MeshId,
    kept: K,
}

/// What an insert or a new judgement changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Topics with a row that is not what it was: live, heads, or a version's standing.
    pub topics: BTreeSet<Topic>,
    /// Scopes whose project facts are not what they were: name, tag modes, life.
    pub projects: BTreeSet<ScopeId>,
}

/// What the judge may see differently than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// All that these nodes wrote.
    pub authors: BTreeSet<NodeKey>,
    /// All that was written under these grants.
    pub grants: BTreeSet<RecordId>,
    /// All that stands in these scopes.
    pub scopes: BTreeSet<ScopeId>,
}

/// The fingerprint of a project's live tags and manifests: what a deleter says it saw.
#[must_use]
pub fn fingerprint(live: &[RecordId]) -> [u8; 32] {
    let mut ids = live.to_vec();
    ids.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("portolan project fingerprint 1");
    for id in &ids {
        hasher.update(&id.0);
    }
    *hasher.finalize().as_bytes()
}

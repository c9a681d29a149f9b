//! How a mesh begins: the root's own words, signed apart from any store. Holds no state.
//!
//! The root key is to be kept offline, so it writes no records in a row: each is the only one of a life of its own, and
//! needs nothing but the key.

use std::sync::Arc;

use super::{Grant, IdBlock, Over, Right};
use crate::identity::{NodeKey, NodeSecret};
use crate::record::{
    Action, Draft, Held, HybridTime, Incarnation, Kind, Malformed, MeshId, Position, RecordId, RecordKey, ScopeId,
};
use crate::{Timestamp, canonical};

/// How long a grant opens handshakes. It is renewed when a third of that is left.
pub const GRANT_DAYS: u64 = 180;

/// All a grant can allow.
const ALL: [Action; 8] = [
    Action::Hold,
    Action::Push,
    Action::Tag,
    Action::Delete,
    Action::Observe,
    Action::Scan,
    Action::Administer,
    Action::Issue,
];

impl Grant {
    /// What the first site of a mesh gets: every right everywhere, and the first block of ids.
    #[must_use]
    pub fn of_first_site(node: NodeKey, site: String, now: Timestamp) -> Self {
        Self {
            node,
            site,
            labels: [].into(),
            rights: ALL.map(|action| Right { action, over: Over::Everything }).to_vec(),
            ids: IdBlock::LONE,
            not_before: now,
            not_after: Timestamp(now.0.saturating_add(GRANT_DAYS * 24 * 60 * 60 * 1000)),
            serial: 1,
        }
    }

    /// Signs it as the root. `life` is a fresh random number; `prev` the heads of earlier grants of that node.
    ///
    /// # Errors
    /// [`Malformed`] when it exceeds a limit.
    pub fn by_root(
        &self,
        root: &NodeSecret,
        life: Incarnation,
        now: Timestamp,
        prev: Vec<RecordId>,
    ) -> Result<Held, Malformed> {
        let value = canonical::encode(self);
        let draft = Draft {
            scope: ScopeId::trust(&MeshId::of(&root.key())),
            time: HybridTime::at(now),
            kind: Kind::GRANT,
            key: RecordKey::hash(&self.node.0),
            value: Some(&value),
            position: Position { incarnation: life, seq: 1 },
            grant: RecordId::NONE,
            actor: "root",
            prev,
        };
        Ok(Held { record: draft.sign(root)?, value: Some(Arc::from(value)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Handshake, Trust};

    #[test]
    fn the_first_site_may_do_everything_in_its_mesh_and_nothing_in_another() {
        let (root, node) = (NodeSecret::from_seed([1; 32]), NodeSecret::from_seed([2; 32]).key());
        let grant = Grant::of_first_site(node, "one".into(), Timestamp(1000));
        let held = grant.by_root(&root, Incarnation(7), Timestamp(1000), Vec::new()).unwrap();
        let id = held.record.id();
        let trust = Trust::evaluate(root.key(), [&held]);
        assert_eq!(trust.handshake(&node, Timestamp(2000), false), Handshake::Full(id));
        let later = Timestamp(1001 + GRANT_DAYS * 24 * 60 * 60 * 1000);
        assert_eq!(trust.handshake(&node, later, false), Handshake::RenewOnly);
        let scope = ScopeId::mesh_wide(&MeshId::of(&root.key()));
        assert!(ALL.iter().all(|action| trust.allows(&id, *action, &scope, None)));
        assert_eq!(trust.ids(&id), IdBlock::LONE);
        let foreign = Trust::evaluate(NodeSecret::from_seed([3; 32]).key(), [&held]);
        assert_eq!(foreign.handshake(&node, Timestamp(2000), false), Handshake::Refused);
    }
}

//! What this node says: records made, placed and signed, the same way for every engine.
//!
//! An engine keeps the [`Pen`] with its rows and puts it down in the transaction that keeps what it wrote: a place or a
//! time is durable exactly when the record that has it is, so a crash gives none out twice. A node writes under the grant
//! its membership names; what proves that grant is in the store before anything is written under it.

use std::sync::Arc;

use protocol::Digest;
use protocol::canonical;
use protocol::identity::{NodeKey, NodeSecret};
use protocol::record::value::{self, BlobClaim, Life, MAX_CHILDREN, Pushed, Settings, Tagged};
use protocol::record::{
    Draft, Held, HybridClock, HybridTime, Incarnation, MAX_ACTOR, MAX_PREV, MAX_VALUE, Malformed, MeshId, Position,
    RaiseBound, Record, RecordId, ScopeId,
};
use protocol::seam::Entropy;
use protocol::trust::{IdBlock, Trust};
use protocol::view::Topic;
use serde::{Deserialize, Serialize};

use super::{Act, Project, PublishManifest};

/// Bytes of a blob's claim: two hashes of up to 64 and 32 bytes, lengths and the like.
const CLAIM: usize = 64 + 32 + 16;

/// Who writes: the node's key, the mesh it is in, and where its random numbers come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Author {
    secret: NodeSecret,
    membership: Arc<Membership>,
    entropy: Arc<dyn Entropy>,
}

/// The mesh a node is in, and by what right.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The key all trust begins at.
    pub root: NodeKey,
    /// The grant it writes under; [`RecordId::NONE`] for the root itself.
    pub grant: RecordId,
    /// The grants that prove it, from the root's downward, its own last.
    pub chain: Vec<Held>,
}

impl Membership {
    /// By a chain of grants; `None` when it is empty.
    #[must_use]
    pub fn by(root: NodeKey, chain: Vec<Held>) -> Option<Self> {
        let grant = chain.last()?.record.id();
        Some(Self { root, grant, chain })
    }

    /// The numeric ids this node gives out.
    #[must_use]
    pub fn ids(&self) -> IdBlock {
        if self.grant == RecordId::NONE {
            return IdBlock::LONE;
        }
        Trust::evaluate(self.root, &self.chain).ids(&self.grant)
    }
}

/// Where the author's hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pen {
    /// The life of its counter.
    pub(super) incarnation: Incarnation,
    /// The last place given out in it.
    pub(super) seq: u64,
    /// The last time given out in any.
    pub(super) last: HybridTime,
}

impl Author {
    /// A member of a mesh.
    #[must_use]
    pub fn new(secret: NodeSecret, membership: Membership, entropy: Arc<dyn Entropy>) -> Self {
        Self { secret, membership: Arc::new(membership), entropy }
    }

    /// The holder of a root key.
    #[must_use]
    pub fn root(secret: NodeSecret, entropy: Arc<dyn Entropy>) -> Self {
        let membership = Membership { root: secret.key(), grant: RecordId::NONE, chain: Vec::new() };
        Self::new(secret, membership, entropy)
    }

    /// The name it signs under.
    #[must_use]
    pub fn key(&self) -> NodeKey {
        self.secret.key()
    }

    /// Where it belongs.
    #[must_use]
    pub const fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    /// Its mesh.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        MeshId::of(&self.membership.root)
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A new life of its counter; times go on after `last`.
    pub(super) fn take_up(&self, last: HybridTime) -> Pen {
        Pen { incarnation: Incarnation(u64::from_le_bytes(self.random())), seq: 0, last }
    }

    /// A project that is about to be made: its scope, and what its record says.
    pub(super) fn project(&self, project: &Project) -> (ScopeId, Vec<u8>) {
        let nonce = self.random();
        let settings = Settings::new(project.created, project.public, project.sparse);
        let value = value::Project { name: project.name.clone(), nonce, life: Life::Open(settings) };
        (ScopeId::project(&self.mesh(), &project.name, &nonce), canonical::encode(&value))
    }

    /// Writes a version of `topic` that follows `heads`; `value` is `None` to delete. The pen moves on.
    ///
    /// # Errors
    /// [`Malformed`] when it exceeds a limit of the protocol; the pen stays where it was.
    pub(super) fn write(
        &self,
        pen: &mut Pen,
        topic: Topic,
        value: Option<&[u8]>,
        heads: &[RecordId],
        act: &Act,
    ) -> Result<Record, Malformed> {
        let time = next_time(pen.last, act);
        let seq = pen.seq.saturating_add(1);
        // More are merged in steps: what is not named here stays a head.
        let prev = heads.iter().take(MAX_PREV).copied().collect();
        let draft = Draft {
            scope: topic.scope,
            time,
            kind: topic.kind,
            key: topic.key,
            value,
            position: Position { incarnation: pen.incarnation, seq },
            grant: self.membership.grant,
            actor: shortened(&act.actor),
            prev,
        };
        let record = draft.sign(&self.secret)?;
        (pen.seq, pen.last) = (seq, time);
        Ok(record)
    }
}

/// The next time after the last one. It becomes durable with the record that has it, so the bound of the clock is the
/// last time itself, raised by each record's own transaction.
fn next_time(last: HybridTime, act: &Act) -> HybridTime {
    let mut clock = HybridClock::resume(last);
    loop {
        match clock.next(act.at) {
            Ok(time) => return time,
            Err(RaiseBound(bound)) => clock.raise(bound),
        }
    }
}

/// An actor's name, cut where a record has no room for more.
fn shortened(actor: &str) -> &str {
    let mut end = actor.len().min(MAX_ACTOR);
    while !actor.is_char_boundary(end) {
        end -= 1;
    }
    &actor[..end]
}

/// What a record of a tag says, in an epoch in which every site may write it. `None`: it is deleted.
pub(super) fn tagged(digest: Option<Digest>, epoch: u32) -> Vec<u8> {
    canonical::encode(&Tagged { digest, epoch, home: false })
}

/// What a record of a manifest says, with as many of `claims` as fit; `None` when its children alone are too many.
pub(super) fn pushed(publish: &PublishManifest, claims: impl IntoIterator<Item = BlobClaim>) -> Option<Vec<u8>> {
    if publish.children.len() > MAX_CHILDREN {
        return None;
    }
    let mut pushed = Pushed {
        media_type: publish.media_type.clone(),
        size: publish.bytes.len() as u64,
        root: publish.root,
        children: publish.children.clone(),
        subject: publish.subject,
        blobs: Vec::new(),
    };
    let bare = canonical::encode(&pushed).len();
    if bare > MAX_VALUE {
        return None;
    }
    // Two bytes for a longer count.
    pushed.blobs = claims.into_iter().take((MAX_VALUE - bare).saturating_sub(2) / CLAIM).collect();
    Some(canonical::encode(&pushed))
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::Timestamp;

    use super::*;
    use crate::storage::meta::memory::nobody;

    /// An author for tests, the same one each time.
    pub(crate) fn author() -> Author {
        nobody()
    }

    fn act(ms: u64, actor: &str) -> Act {
        Act { actor: actor.into(), at: Timestamp(ms), request: "r".into(), via: Default::default() }
    }

    #[test]
    fn places_and_times_go_on() {
        let author = author();
        let mut pen = author.take_up(HybridTime::default());
        let topic = || Topic::project(ScopeId([1; 32]));
        let mut before = HybridTime::default();
        for (seq, now) in [(1, 10), (2, 10), (3, 5), (4, 20)] {
            let record = author.write(&mut pen, topic(), None, &[], &act(now, "a")).unwrap();
            assert!(record.time() > before, "also when the clock was set back");
            assert_eq!(record.body().unwrap().position, Position { incarnation: pen.incarnation, seq });
            before = record.time();
        }
        assert_eq!(before.moment(), Timestamp(20));
        assert_ne!(author.take_up(before).incarnation, pen.incarnation);
    }

    #[test]
    fn what_has_no_room_is_cut_or_refused() {
        let author = author();
        let mut pen = author.take_up(HybridTime::default());
        let long = format!("{}é", "a".repeat(MAX_ACTOR - 1));
        let heads: Vec<_> = (0..100).map(|n| RecordId([n; 32])).collect();
        let topic = || Topic::project(ScopeId([1; 32]));
        let record = author.write(&mut pen, topic(), None, &heads, &act(1, &long)).unwrap();
        let body = record.body().unwrap();
        assert_eq!((body.actor.len(), body.prev.len()), (MAX_ACTOR - 1, MAX_PREV));
        let large = vec![0; MAX_VALUE + 1];
        let before = pen;
        author.write(&mut pen, topic(), Some(&large), &[], &act(1, "a")).unwrap_err();
        assert_eq!(pen, before, "no place is lost");
    }

    #[test]
    fn a_manifest_says_as_much_as_fits() {
        let mut publish = crate::storage::meta::contract::manifest("p/a", "m");
        let claim = |n: u64| BlobClaim {
            digest: Digest::of(protocol::Algorithm::Sha512, &n.to_be_bytes()),
            size: u64::MAX,
            root: Some(publish.root),
        };
        let claims: Vec<_> = (0..20_000).map(claim).collect();
        let value = pushed(&publish, claims.clone()).unwrap();
        assert!(value.len() <= MAX_VALUE);
        let read: Pushed = canonical::decode(&value).unwrap();
        assert!(read.blobs.len() > 500 && read.blobs[..] == claims[..read.blobs.len()]);
        publish.children = (0..MAX_CHILDREN as u64).map(|n| Digest::sha256(&n.to_be_bytes())).collect();
        assert!(pushed(&publish, claims.clone()).is_some_and(|value| value.len() <= MAX_VALUE));
        publish.children.push(publish.digest);
        assert_eq!(pushed(&publish, Vec::new()), None);
        publish.children = (0..1000_u64).map(|n| Digest::of(protocol::Algorithm::Sha512, &n.to_be_bytes())).collect();
        assert_eq!(pushed(&publish, claims), None, "their names are too long");
    }
}

//! What tests stand on: a clock moved by hand, seeds, a mesh with its grants, and waits that end.

use std::sync::Arc;
use std::time::Duration;

use protocol::identity::{NodeKey, NodeSecret};
use protocol::record::{Draft, Held, HybridTime, Incarnation, Kind, MeshId, Position, RecordKey, ScopeId};
use protocol::seam::{Clock, Entropy, Sleep};
use protocol::trust::{Grant, Handshake, Trust};
use protocol::{Timestamp, canonical};
use tokio::sync::watch;

use crate::hello::{Door, Verdict};
use crate::ports::Answer;

/// What the wall clock of [`Hand`] says at its start.
pub(crate) const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub(crate) struct Hand(Arc<watch::Sender<Duration>>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Duration::from_secs(1))))
    }

    pub(crate) fn seam(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        NOW.plus(*self.0.borrow())
    }

    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let (due, mut moved) = (self.monotonic() + time, self.0.subscribe());
        Box::pin(async move {
            if moved.wait_for(|now| *now >= due).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The same bytes each time.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) u8);

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

pub(crate) fn secret(node: u8) -> NodeSecret {
    NodeSecret::from_seed([node; 32])
}

/// What comes, or a failed test: nothing here takes long unless it hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes too long")
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets all other tasks run until none has anything left to do. Only where no I/O is awaited.
pub(crate) async fn settled() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// A mesh made for a test: its root, and grants by it.
#[derive(Clone, Debug)]
pub(crate) struct MeshOf(NodeSecret);

impl MeshOf {
    pub(crate) fn root(root: u8) -> Self {
        Self(secret(root))
    }

    pub(crate) fn id(&self) -> MeshId {
        MeshId::of(&self.0.key())
    }

    /// A chain of one grant.
    pub(crate) fn chain(&self, node: u8) -> Vec<Held> {
        vec![grant(node, 0).by_root(&self.0, Incarnation(u64::from(node)), NOW, Vec::new()).unwrap()]
    }

    /// A chain of two: an authority's, and under it the node's.
    pub(crate) fn chain_under(&self, authority: u8, node: u8) -> Vec<Held> {
        self.two(authority, node, 0)
    }

    /// The same with so many labels that it is longer than a hello may be.
    pub(crate) fn wide_chain(&self, authority: u8, node: u8) -> Vec<Held> {
        self.two(authority, node, 60_000)
    }

    fn two(&self, authority: u8, node: u8, padding: usize) -> Vec<Held> {
        let life = Incarnation(u64::from(authority));
        let above = grant(authority, padding).by_root(&self.0, life, NOW, Vec::new()).unwrap();
        let own = grant(node, padding);
        let value = canonical::encode(&own);
        let draft = Draft {
            scope: ScopeId::trust(&self.id()),
            time: HybridTime::at(NOW),
            kind: Kind::GRANT,
            key: RecordKey::hash(&own.node.0),
            value: Some(&value),
            position: Position { incarnation: life, seq: 1 },
            grant: above.record.id(),
            actor: "authority",
            prev: Vec::new(),
        };
        let record = draft.sign(&secret(authority)).unwrap();
        vec![above, Held { record, value: Some(Arc::from(value)) }]
    }
}

fn grant(node: u8, padding: usize) -> Grant {
    let mut grant = Grant::of_first_site(secret(node).key(), format!("site {node}"), NOW);
    if padding > 0 {
        grant.labels.insert("label".into(), "x".repeat(padding));
    }
    grant
}

/// A door that knows the root and what it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Town {
    root: NodeKey,
    me: NodeKey,
    pub(crate) mine: Vec<Held>,
    pub(crate) clock: Hand,
    /// Whom it does not let in, whatever is shown.
    pub(crate) closed_to: Option<NodeKey>,
}

impl Town {
    pub(crate) fn new(mesh: &MeshOf, node: u8, clock: &Hand) -> Self {
        let (root, me) = (mesh.0.key(), secret(node).key());
        Self { root, me, mine: mesh.chain(node), clock: clock.clone(), closed_to: None }
    }

    pub(crate) const fn me(&self) -> NodeKey {
        self.me
    }
}

impl Door for Town {
    fn mesh(&self) -> MeshId {
        MeshId::of(&self.root)
    }

    fn chain(&self) -> Vec<Held> {
        self.mine.clone()
    }

    fn judge(&self, peer: NodeKey, chain: Vec<Held>) -> Answer<'_, Verdict> {
        let trust = Trust::evaluate(self.root, &chain);
        let verdict = match trust.handshake(&peer, self.clock.now(), false) {
            _ if self.closed_to == Some(peer) => Verdict::Refused("revoked"),
            Handshake::Full(grant) => Verdict::Full(grant),
            Handshake::RenewOnly => Verdict::RenewOnly,
            Handshake::Refused => Verdict::Refused("no grant that counts"),
        };
        Box::pin(async move { Ok(verdict) })
    }
}

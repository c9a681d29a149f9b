//! The chain of grants a site shows: from the root's to its own. Pure; holds no state.
//!
//! What is checked here depends on nothing but the chain: that each grant is whole, signed, and issued under the one
//! before it. Whether it still counts is the door's to say, who knows of revocations.

use std::sync::Arc;

use protocol::canonical;
use protocol::identity::NodeKey;
use protocol::record::{Held, Kind, MeshId, Parcel, RecordId, ScopeId};
use protocol::trust::{Grant, MAX_LEVEL};
use serde::{Deserialize, Serialize};

/// Most grants of a chain: no site stands further from the root.
pub const MAX_CHAIN: usize = MAX_LEVEL as usize;

/// A grant as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) record: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Why a chain proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChain {
    /// None, or more than there can be.
    #[error("a chain of {0} grants")]
    Length(usize),
    /// Not a grant of that mesh: not encoded, signed or valued as one.
    #[error("what is shown is no grant")]
    NoGrant,
    /// A grant was not issued under the one before it, or the first not by the root.
    #[error("the grants do not follow from each other")]
    Issuer,
    /// The last is somebody else's.
    #[error("the grant is of another node")]
    OthersGrant,
}

impl Shown {
    pub(super) fn of(held: &Held) -> Self {
        let value = held.value.as_deref().unwrap_or_default().to_vec();
        Self { record: held.record.as_bytes().to_vec(), value }
    }

    fn open(self, scope: &ScopeId) -> Option<(Held, Grant)> {
        let record = Parcel::parse(self.record).ok()?.open().ok()?;
        let is_grant = record.scope() == *scope && record.body()?.kind == Kind::GRANT;
        record.check_value(Some(&self.value)).ok()?;
        let grant = canonical::decode(&self.value).ok()?;
        is_grant.then(|| (Held { record, value: Some(Arc::from(self.value)) }, grant))
    }
}

/// The grants of a chain that holds in itself and ends with a grant of `peer`.
pub(super) fn checked(shown: Vec<Shown>, mesh: &MeshId, peer: &NodeKey) -> Result<Vec<Held>, BadChain> {
    if !(1..=MAX_CHAIN).contains(&shown.len()) {
        return Err(BadChain::Length(shown.len()));
    }
    let scope = ScopeId::trust(mesh);
    let mut above: Option<(RecordId, NodeKey)> = None;
    let mut chain = Vec::with_capacity(shown.len());
    for one in shown {
        let (held, grant) = one.open(&scope).ok_or(BadChain::NoGrant)?;
        let (author, under) = (held.record.author(), held.record.body().map(|body| body.grant));
        let follows = match above {
            None => MeshId::of(&author) == *mesh && under == Some(RecordId::NONE),
            Some((id, node)) => author == node && under == Some(id),
        };
        if !follows {
            return Err(BadChain::Issuer);
        }
        above = Some((held.record.id(), grant.node));
        chain.push(held);
    }
    if above.is_some_and(|(_, node)| node == *peer) { Ok(chain) } else { Err(BadChain::OthersGrant) }
}

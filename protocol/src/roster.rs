//! The roster: who may exist, and what each may see, as the machines of the overlay read it.
//!
//! Grants are visible to every site, so every site knows the whole roster; who is up is another matter and stays local.
//! The owner of trust answers these questions; the machines hold no copy, so that a revocation counts at once.

use std::sync::Arc;

use crate::identity::NodeKey;
use crate::record::ScopeId;

/// Where a site stands, by the labels and rights of its grant: an authority signed them, so a site can't choose its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its region; sites without the label share the region with no name.
    pub region: Arc<str>,
    /// The uplink it shares with others of its LAN, if it has the label.
    pub uplink: Option<Arc<str>>,
    /// Whether it may issue grants.
    pub is_authority: bool,
    /// Whether its traffic is paid by the byte.
    pub is_metered: bool,
}

/// All sites that may hold one or more scopes of this site, where those are not all sites. Records of these scopes travel
/// between members alone, so members must be linked among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Ascending, this site among them.
    pub members: Arc<[NodeKey]>,
}

/// What is known of the sites of the mesh.
pub trait Roster {
    /// This site.
    fn me(&self) -> NodeKey;

    /// Where a site stands; `None` for one that would be refused: no grant, lapsed, revoked.
    fn place(&self, site: &NodeKey) -> Option<Place>;

    /// How many sites would be let in, this one among them.
    fn count(&self) -> usize;

    /// One of them by number, in an order that is fixed between two changes of trust.
    fn nth(&self, number: usize) -> Option<NodeKey>;

    /// The narrow audiences of the scopes this site holds, each once.
    fn audiences(&self) -> &[Audience];

    /// Which audience a scope has, as a number that is the same for scopes with the same members; 0: every site. It is
    /// used on this site only. A roster that does not tell audiences apart makes narrow scopes slower, and nothing worse.
    fn audience_of(&self, _scope: &ScopeId) -> u64 {
        0
    }

    /// Whether a site may hold a scope: without it neither a record, nor a hash, nor a name of it is said to that site.
    fn may_hold(&self, site: &NodeKey, scope: &ScopeId) -> bool;
}

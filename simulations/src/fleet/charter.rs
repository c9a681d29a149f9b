//! Who is in a fleet, where each stands, and what each may see: one for all, as the trust scope would be.
//!
//! What a site knows of revocations is its own ([`Seen`]); the rest every site reads from the same grants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::identity::{NodeKey, NodeSecret};
use protocol::record::{MeshId, ScopeId};
use protocol::roster::{Audience, Place, Roster};

/// A site by number.
pub type SiteNumber = u32;

/// A scope of a fleet.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Its id.
    pub id: ScopeId,
    /// Its name, which is as secret as its records.
    pub name: String,
    /// Who may hold it, ascending by number; `None`: every site.
    pub members: Option<Arc<BTreeSet<SiteNumber>>>,
    audience: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Charter {
    secrets: Vec<NodeSecret>,
    keys: Vec<NodeKey>,
    places: Vec<Place>,
    numbers: BTreeMap<NodeKey, SiteNumber>,
    scopes: BTreeMap<ScopeId, Scope>,
    audiences: BTreeMap<u64, (Arc<BTreeSet<SiteNumber>>, Audience)>,
    mesh: MeshId,
}

impl Charter {
    /// Sites at these places.
    #[must_use]
    pub fn new(places: Vec<Place>) -> Self {
        let secret = |number: usize| {
            NodeSecret::from_seed(blake3::derive_key("portolan simulations fleet site", &number.to_le_bytes()))
        };
        let secrets: Vec<NodeSecret> = (0..places.len()).map(secret).collect();
        let keys: Vec<NodeKey> = secrets.iter().map(NodeSecret::key).collect();
        let numbers = (0..).zip(&keys).map(|(number, key)| (*key, number)).collect();
        let mesh = MeshId::of(&NodeSecret::from_seed([1; 32]).key());
        let mut charter =
            Self { secrets, keys, places, numbers, scopes: BTreeMap::new(), audiences: BTreeMap::new(), mesh };
        charter.open("(trust)", ScopeId::trust(&mesh), None);
        charter.open("(mesh)", ScopeId::mesh_wide(&mesh), None);
        charter
    }

    fn open(&mut self, name: &str, id: ScopeId, members: Option<BTreeSet<SiteNumber>>) {
        let members = members.map(Arc::new);
        let mut number = 0;
        if let Some(members) = &members {
            let mut keys: Vec<NodeKey> = members.iter().map(|&member| self.key(member)).collect();
            keys.sort_unstable();
            let mut hasher = blake3::Hasher::new();
            keys.iter().for_each(|key| {
                hasher.update(&key.0);
            });
            let hash = hasher.finalize();
            let mut word = [0; 8];
            word.copy_from_slice(&hash.as_bytes()[..8]);
            // 0 is everyone's.
            number = u64::from_le_bytes(word) | 1;
            self.audiences.insert(number, (Arc::clone(members), Audience { members: keys.into() }));
        }
        self.scopes.insert(id, Scope { id, name: name.to_owned(), members, audience: number });
    }

    /// A project, for every site or for some.
    pub fn project(&mut self, name: &str, members: Option<BTreeSet<SiteNumber>>) -> ScopeId {
        let id = ScopeId(blake3::derive_key("portolan simulations fleet project", name.as_bytes()));
        self.open(name, id, members);
        id
    }

    /// Where acts of trust stand.
    #[must_use]
    pub fn trust(&self) -> ScopeId {
        ScopeId::trust(&self.mesh)
    }

    /// How many sites.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of a site.
    #[must_use]
    pub fn key(&self, site: SiteNumber) -> NodeKey {
        self.keys[site as usize]
    }

    /// Its secret.
    #[must_use]
    pub fn secret(&self, site: SiteNumber) -> &NodeSecret {
        &self.secrets[site as usize]
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self, site: SiteNumber) -> &Place {
        &self.places[site as usize]
    }

    /// Which site has a key.
    #[must_use]
    pub fn number(&self, key: &NodeKey) -> Option<SiteNumber> {
        self.numbers.get(key).copied()
    }

    /// Whether a site may hold a scope: the truth, against which every message is held.
    #[must_use]
    pub fn may(&self, site: SiteNumber, scope: &ScopeId) -> bool {
        let scope = self.scopes.get(scope);
        scope.is_some_and(|scope| scope.members.as_ref().is_none_or(|members| members.contains(&site)))
    }

    /// Its scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.values()
    }

    /// Scopes a site may hold.
    #[must_use]
    pub fn scopes_of(&self, site: SiteNumber) -> Vec<ScopeId> {
        self.scopes.keys().filter(|scope| self.may(site, scope)).copied().collect()
    }

    /// The narrow audiences a site is in.
    #[must_use]
    pub fn audiences_of(&self, site: SiteNumber) -> Vec<Audience> {
        let mine = self.audiences.values().filter(|(members, _)| members.contains(&site));
        mine.map(|(_, audience)| audience.clone()).collect()
    }
}

/// What sites do so that records reach everyone, soon, cheaply, and nobody else: scenarios show that each is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Safeguards {
    /// A peer's right is asked before it is told anything.
    pub rights: bool,
    /// Members of a narrow audience are linked among themselves.
    pub audiences: bool,
    /// Sites reconcile.
    pub meet: bool,
    /// Who was told to come back for a meeting does, to the same peer.
    pub come_back: bool,
    /// Links that bring copies in vain are asked to stop.
    pub prune: bool,
    /// Who claimed falsely falls behind.
    pub standing: bool,
    /// What is urgent goes first.
    pub urgent: bool,
}

impl Default for Safeguards {
    fn default() -> Self {
        Self { rights: true, audiences: true, meet: true, come_back: true, prune: true, standing: true, urgent: true }
    }
}

/// The charter as one site sees it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What all see.
    pub charter: &'a Charter,
    /// Who looks.
    pub me: SiteNumber,
    /// Who ended, as far as this site has heard.
    pub revoked: &'a BTreeSet<NodeKey>,
    /// The narrow audiences it is in.
    pub audiences: &'a [Audience],
    /// What it does.
    pub safeguards: Safeguards,
}

impl Roster for Seen<'_> {
    fn me(&self) -> NodeKey {
        self.charter.key(self.me)
    }

    fn place(&self, site: &NodeKey) -> Option<Place> {
        let number = self.charter.number(site)?;
        (!self.revoked.contains(site)).then(|| self.charter.place(number).clone())
    }

    fn count(&self) -> usize {
        self.charter.len()
    }

    fn nth(&self, number: usize) -> Option<NodeKey> {
        self.charter.keys.get(number).filter(|key| !self.revoked.contains(*key)).copied()
    }

    fn audiences(&self) -> &[Audience] {
        self.audiences
    }

    fn audience_of(&self, scope: &ScopeId) -> u64 {
        self.charter.scopes.get(scope).map_or(0, |scope| scope.audience)
    }

    fn may_hold(&self, site: &NodeKey, scope: &ScopeId) -> bool {
        if self.revoked.contains(site) {
            return false;
        }
        if !self.safeguards.rights && self.charter.number(site) != Some(self.me) {
            return true;
        }
        let scope = self.charter.scopes.get(scope);
        scope.is_some_and(|scope| match &scope.members {
            None => true,
            Some(members) => self.charter.number(site).is_some_and(|number| members.contains(&number)),
        })
    }
}

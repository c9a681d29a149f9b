//! Who has what: soft state, never records.
//!
//! Each site keeps one versioned set of images per scope, and signs the hash of each version ([`Head`]). Changes go to
//! the neighbours of its region and from them on, each once; who missed one asks for the whole set, in pages. Whoever hands
//! a set on, it is checked against the hash. Beyond the region, and to and from metered sites, goes a [`Filter`] per scope.
//!
//! - **Nothing about a scope is said to a site that may not hold it**: every message leaves through one gate, which asks
//!   the roster about every scope the message speaks of. What comes from, or is about, a site that may not hold the scope
//!   is dropped.
//! - Claims are hints. A question ([`Holdings::ask`]) decides, and who claims falsely falls in rank, for a while.
//! - Everything remembered is bounded; what was renewed longest ago goes first, and a site's own share bounds what it can
//!   drive out.
//!
//! No I/O, no clock, no randomness here. State lives in [`Holdings`] only.

mod candidates;
mod filter;
mod message;
mod receive;
mod send;
mod shelf;
mod standing;

#[cfg(test)]
mod group;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod stories;

use std::collections::BTreeMap;
use std::time::Duration;

pub use filter::Filter;
pub use message::{Claim, Fault, Have, Head, Holding, Images, Message, Version, Whose};
use shelf::Shelf;
use standing::Standing;

use crate::Digest;
use crate::draw::Draw;
use crate::identity::{NodeKey, NodeSecret};
use crate::presence::Life;
use crate::record::ScopeId;
use crate::roster::Roster;
use crate::signed::Signed;

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most images of a set.
pub const MAX_ITEMS: usize = 4096;

/// Most changes of a delta; with more the whole set is asked for.
pub const MAX_CHANGES: usize = 256;

/// Most images of a page.
pub const MAX_PAGE: usize = 512;

/// Most sets named in a message.
pub const MAX_HAVE: usize = 64;

/// Most digests of a question.
pub const MAX_ASK: usize = 256;

/// Most bytes of a filter: a good 26,000 blobs at ten bits.
pub const MAX_FILTER: usize = 32 * 1024;

/// A filter with more of its bits set, in percent, claims everything. An honest one has half of them set.
pub const MAX_FILL_PERCENT: usize = 60;

/// Most sets and filters remembered.
pub const MAX_REMEMBERED: usize = 8192;

/// Most bytes remembered, about.
pub const MAX_BYTES: usize = 16 << 20;

/// Most bytes remembered of one site.
pub const MAX_SITE_BYTES: usize = 1 << 20;

/// Most sets that are being fetched in pages, in all and from one neighbour.
pub const MAX_FETCHING: usize = 64;
/// See [`MAX_FETCHING`].
pub const MAX_FETCHING_FROM: usize = 16;

/// Most questions that wait for their answer.
pub const MAX_ASKED: usize = 256;

/// Most candidates named.
pub const MAX_CANDIDATES: usize = 32;

/// Most neighbours at a time.
pub const MAX_LINKS: usize = 256;

/// Most scopes of this site.
pub const MAX_SCOPES: usize = 4096;

/// How long a page or an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// For how long changes are gathered.
pub const BATCH: Duration = Duration::from_secs(5);

/// Between two reminders of which sets there are, of [`REMINDED`] sets each. Links lose nothing while they stand, and a
/// new one begins with all sets; so what reminders cost a site at rest decides.
pub const REMIND: Duration = Duration::from_secs(240);

/// Sets of a reminder, once a neighbour has heard of all.
pub const REMINDED: usize = 8;

/// Between two filters of a scope to a neighbour.
pub const FILTER_AFTER: Duration = Duration::from_secs(600);

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give this to the neighbour.
    Send(NodeKey, Vec<u8>),
    /// The neighbour did wrong.
    Failed(NodeKey, Fault),
    /// The neighbour asks: look it up, and call [`Holdings::answer`].
    Asked {
        /// Who.
        peer: NodeKey,
        /// For the answer.
        id: u32,
        /// In which scope.
        scope: ScopeId,
        /// For what.
        digests: Vec<Digest>,
    },
    /// A question of this site was answered.
    Answered {
        /// By whom.
        peer: NodeKey,
        /// Which question.
        id: u32,
        /// In which scope.
        scope: ScopeId,
        /// What was asked for, and whether it is there.
        had: Vec<(Digest, bool)>,
    },
    /// A question of this site was not answered in time.
    Unanswered {
        /// By whom.
        peer: NodeKey,
        /// Which question.
        id: u32,
    },
}

/// A set of this site.
#[derive(Debug, Default)]
struct Own {
    /// As signed last.
    images: Images,
    head: Option<Signed<Head>>,
    /// What is to be signed next.
    changes: BTreeMap<Digest, Option<Holding>>,
    claim: Option<Signed<Claim>>,
    number: u64,
}

/// A neighbour.
#[derive(Debug)]
struct Link {
    /// Sets go both ways; else filters.
    takes_sets: bool,
    /// How far it is reminded, and whether it has heard of all once.
    cursor: Option<Whose>,
    heard_all: bool,
    next_reminder: Duration,
    /// Filters given to it: which, and when.
    given: BTreeMap<ScopeId, (Version, Duration)>,
    /// When filters were taken of it.
    taken: BTreeMap<ScopeId, Duration>,
}

/// A set that is being fetched.
#[derive(Debug)]
struct Fetching {
    from: NodeKey,
    head: Option<Signed<Head>>,
    images: Images,
    until: Duration,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Question {
    peer: NodeKey,
    scope: ScopeId,
    digests: Vec<Digest>,
    until: Duration,
}

/// What is known of who has what.
#[derive(Debug)]
pub struct Holdings {
    secret: NodeSecret,
    me: NodeKey,
    life: Life,
    draw: Draw,
    own: BTreeMap<ScopeId, Own>,
    shelf: Shelf,
    links: BTreeMap<NodeKey, Link>,
    fetching: BTreeMap<Whose, Fetching>,
    questions: BTreeMap<u32, Question>,
    asked: u32,
    standing: Standing,
    next_work: Duration,
    /// The gate stands open: to show that the watch on messages sees it.
    #[cfg(test)]
    pub(crate) says_anything: bool,
}

impl Holdings {
    /// A site that holds nothing and knows of nobody, in a life that is later than those before. The seed must be random
    /// and used for nothing else.
    #[must_use]
    pub fn new(secret: NodeSecret, life: Life, seed: [u8; 32]) -> Self {
        Self {
            me: secret.key(),
            secret,
            life,
            draw: Draw::new(seed),
            own: BTreeMap::new(),
            shelf: Shelf::default(),
            links: BTreeMap::new(),
            fetching: BTreeMap::new(),
            questions: BTreeMap::new(),
            asked: 0,
            standing: Standing::default(),
            next_work: Duration::ZERO,
            #[cfg(test)]
            says_anything: false,
        }
    }

    /// How this site holds an image from now on; `None`: no longer. Others hear of it after a [`Holdings::tick`]. False
    /// when the set is full: the image is not told of, and found by questions only.
    pub fn hold(&mut self, scope: ScopeId, image: Digest, holding: Option<Holding>) -> bool {
        if !self.own.contains_key(&scope) && self.own.len() >= MAX_SCOPES {
            return false;
        }
        let own = self.own.entry(scope).or_default();
        let is_new = !own.images.contains_key(&image) && !own.changes.contains_key(&image);
        if is_new && holding.is_some() && own.images.len() + own.changes.len() >= MAX_ITEMS {
            return false;
        }
        if own.images.get(&image).copied() == holding {
            own.changes.remove(&image);
        } else {
            own.changes.insert(image, holding);
        }
        true
    }

    /// All blobs of this site in a scope, manifests among them: for the filter that goes beyond the region.
    pub fn blobs(&mut self, scope: ScopeId, blobs: &[Digest]) {
        if !self.own.contains_key(&scope) && self.own.len() >= MAX_SCOPES {
            return;
        }
        let filter = Filter::of(blobs, &scope, &self.me);
        let own = self.own.entry(scope).or_default();
        if own.claim.as_ref().is_none_or(|claim| claim.said.filter != filter) {
            own.number += 1;
            let whose = Whose { scope, site: self.me };
            let claim = Claim { whose, version: Version { life: self.life, number: own.number }, filter };
            own.claim = Some(message::sign_claim(claim, &self.secret));
        }
    }

    /// A neighbour is linked.
    pub fn up(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster) {
        let (Some(here), Some(there)) = (roster.place(&self.me), roster.place(&peer)) else { return };
        if peer == self.me || self.links.len() >= MAX_LINKS {
            return;
        }
        let takes_sets = here.region == there.region && !here.is_metered && !there.is_metered;
        let link = Link {
            takes_sets,
            cursor: None,
            heard_all: false,
            next_reminder: now,
            given: BTreeMap::new(),
            taken: BTreeMap::new(),
        };
        self.links.insert(peer, link);
        self.next_work = self.next_work.min(now + self.draw.up_to(BATCH));
    }

    /// A neighbour is gone. What it asked is forgotten; what it was asked ends at the next [`Holdings::tick`].
    pub fn down(&mut self, peer: &NodeKey) {
        self.links.remove(peer);
        self.fetching.retain(|_, fetching| fetching.from != *peer);
        for question in self.questions.values_mut().filter(|question| question.peer == *peer) {
            question.until = Duration::ZERO;
        }
    }

    /// How many sets and filters of others are remembered, and in how many bytes, about.
    #[must_use]
    pub fn remembered(&self) -> (usize, usize) {
        (self.shelf.len(), self.shelf.bytes())
    }

    /// What a site of the region says it holds of a scope.
    #[must_use]
    pub fn images(&self, scope: ScopeId, site: NodeKey) -> Option<&Images> {
        match self.shelf.get(&Whose { scope, site })? {
            shelf::Kept::Set { images, .. } => Some(images),
            shelf::Kept::Filter(_) => None,
        }
    }
}

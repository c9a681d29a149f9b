//! What is remembered of other sites, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{Claim, Head, Images, Version, Whose};
use super::{MAX_BYTES, MAX_REMEMBERED, MAX_SITE_BYTES};
use crate::identity::NodeKey;
use crate::signed::Signed;

/// What is remembered of a site and a scope.
#[derive(Debug)]
pub(super) enum Kept {
    Set { head: Signed<Head>, images: Images },
    Filter(Signed<Claim>),
}

impl Kept {
    pub(super) fn version(&self) -> Version {
        match self {
            Self::Set { head, .. } => head.said.version,
            Self::Filter(claim) => claim.said.version,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            // A digest, how it is held, and the tree around them.
            Self::Set { images, .. } => 256 + images.len() * 80,
            Self::Filter(claim) => 256 + claim.said.filter.size(),
        }
    }
}

/// Eviction: what was renewed longest ago goes first, of the site that brings the new when that site is over its own
/// share, else of all. A site that claims a great deal drives out its own claims before those of others.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    kept: BTreeMap<Whose, (u64, Kept)>,
    /// By when renewed.
    order: BTreeSet<(u64, Whose)>,
    of_site: BTreeMap<NodeKey, (usize, BTreeSet<(u64, Whose)>)>,
    bytes: usize,
    renewed: u64,
}

impl Shelf {
    pub(super) fn get(&self, whose: &Whose) -> Option<&Kept> {
        self.kept.get(whose).map(|(_, kept)| kept)
    }

    /// All of a scope, ascending by site.
    pub(super) fn of_scope(&self, scope: crate::record::ScopeId) -> impl Iterator<Item = (&Whose, &Kept)> {
        let [low, high] = [[0; 32], [0xff; 32]].map(|site| Whose { scope, site: NodeKey(site) });
        self.kept.range(low..=high).map(|(whose, (_, kept))| (whose, kept))
    }

    /// All after one.
    pub(super) fn after(&self, after: Option<Whose>) -> impl Iterator<Item = (&Whose, &Kept)> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.kept.range((from, std::ops::Bound::Unbounded)).map(|(whose, (_, kept))| (whose, kept))
    }

    pub(super) fn put(&mut self, whose: Whose, kept: Kept) {
        self.remove(&whose);
        self.renewed += 1;
        let (at, bytes) = (self.renewed, kept.bytes());
        self.bytes += bytes;
        let (of_site, theirs) = self.of_site.entry(whose.site).or_default();
        *of_site += bytes;
        theirs.insert((at, whose));
        self.order.insert((at, whose));
        self.kept.insert(whose, (at, kept));
        while let Some((of_site, theirs)) = self.of_site.get(&whose.site)
            && *of_site > MAX_SITE_BYTES
            && let Some((_, oldest)) = theirs.first().copied()
        {
            self.remove(&oldest);
        }
        while (self.bytes > MAX_BYTES || self.kept.len() > MAX_REMEMBERED)
            && let Some((_, oldest)) = self.order.first().copied()
        {
            self.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, whose: &Whose) {
        let Some((at, kept)) = self.kept.remove(whose) else { return };
        self.order.remove(&(at, *whose));
        self.bytes -= kept.bytes();
        if let Some((of_site, theirs)) = self.of_site.get_mut(&whose.site) {
            *of_site -= kept.bytes();
            theirs.remove(&(at, *whose));
            if theirs.is_empty() {
                self.of_site.remove(&whose.site);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

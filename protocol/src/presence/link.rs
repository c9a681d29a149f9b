//! What a neighbour is told, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::known::Known;
use super::message::{Entry, Message};
use super::{MAX_STATUSES, MAX_SUMMARY, Plan, Presence};
use crate::draw::Draw;
use crate::identity::NodeKey;
use crate::roster::{Place, Roster};

/// How many neighbours a site that has just come asks for all statuses of the region.
pub(super) const WANTS: u8 = 3;

/// Between two such questions, and between two answers to the same neighbour.
const WANT_AFTER: Duration = Duration::from_secs(60);
const ANSWER_AFTER: Duration = Duration::from_secs(600);

/// Bytes of an entry of a summary, at most.
const ENTRY: u64 = 37;

/// How many more entries are looked at than a summary has room for: most have nothing new when little happens.
const LOOK: usize = 4;

/// Each so many times a summary goes round all sites, also those without news are told again: messages get lost.
const WHOLE_ROUNDS: u32 = 8;

/// What goes over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    /// All statuses of the region, both ways.
    Statuses,
    /// Within the region, to or from a metered site: of each end its own status, when that end is metered.
    Own { here: bool },
    /// Beyond the region.
    Summaries,
}

/// A neighbour.
#[derive(Debug)]
pub(super) struct Link {
    goes: Goes,
    /// Statuses to hand on. Each version enters once, so it is sent once.
    pub(super) pending: BTreeSet<NodeKey>,
    next_batch: Duration,
    next_summary: Duration,
    /// Entries of a summary.
    limit: usize,
    /// The site the last summary ended with.
    cursor: Option<NodeKey>,
    /// When this round over all sites began, and what is new since: when the one before began.
    round: (u32, Duration),
    since: Duration,
    /// From when on this neighbour's wish for all statuses is granted.
    grants_from: Duration,
    /// This site's wish goes with the next message.
    wants: bool,
}

impl Link {
    pub(super) fn new(here: &Place, there: &Place, now: Duration, plan: &Plan, draw: &mut Draw) -> Self {
        let goes = match (here.region == there.region, here.is_metered || there.is_metered) {
            (false, _) => Goes::Summaries,
            (true, true) => Goes::Own { here: here.is_metered },
            (true, false) => Goes::Statuses,
        };
        let (budget, links) = if there.is_metered {
            (plan.metered_budget, plan.metered_links)
        } else {
            (plan.summary_budget, plan.links)
        };
        let bytes = u64::from(budget) * plan.summary.as_secs() / u64::from(links.max(1));
        let limit = usize::try_from(bytes / ENTRY).unwrap_or(MAX_SUMMARY).min(MAX_SUMMARY);
        let mut cursor = [0; 32];
        cursor[..8].copy_from_slice(&draw.bits().to_be_bytes());
        Self {
            goes,
            pending: BTreeSet::new(),
            // Neighbours are served one after the other: what one of them has told meanwhile need not be told to it.
            next_batch: now + draw.up_to(plan.batch),
            next_summary: now + draw.up_to(plan.summary),
            limit,
            cursor: Some(NodeKey(cursor)),
            round: (0, now),
            since: Duration::ZERO,
            grants_from: Duration::ZERO,
            wants: false,
        }
    }

    pub(super) fn takes_statuses(&self) -> bool {
        self.goes == Goes::Statuses
    }

    /// Whether this site's own status is for the neighbour.
    pub(super) fn takes_status_of_sender(&self) -> bool {
        matches!(self.goes, Goes::Statuses | Goes::Own { here: true })
    }

    /// Whether a status of `site` may come from `peer` over this link.
    pub(super) fn brings_status_of(&self, site: &NodeKey, peer: &NodeKey) -> bool {
        match self.goes {
            Goes::Statuses => true,
            Goes::Own { here } => !here && site == peer,
            Goes::Summaries => false,
        }
    }

    pub(super) fn next(&self) -> Duration {
        if self.goes == Goes::Statuses { self.next_batch.min(self.next_summary) } else { self.next_summary }
    }

    /// The next entries of the round over all sites.
    fn summary(
        &mut self,
        known: &BTreeMap<NodeKey, Known>,
        is_told: impl Fn(&NodeKey) -> bool,
        peer: NodeKey,
        now: Duration,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut wrapped = false;
        for _ in 0..self.limit * LOOK {
            let from = self.cursor.map_or(Bound::Unbounded, Bound::Excluded);
            let Some((site, about)) = known.range((from, Bound::Unbounded)).next() else {
                if std::mem::replace(&mut wrapped, true) {
                    break;
                }
                self.cursor = None;
                self.since = self.round.1;
                self.round = (self.round.0.wrapping_add(1), now);
                continue;
            };
            self.cursor = Some(*site);
            let is_new = about.changed >= self.since || self.round.0.is_multiple_of(WHOLE_ROUNDS);
            if *site != peer && is_new && is_told(site) {
                entries.extend(about.entry(*site, peer, now));
            }
            if entries.len() >= self.limit {
                break;
            }
        }
        entries.sort_unstable_by_key(|entry: &Entry| entry.site);
        entries.dedup_by_key(|entry| entry.site);
        entries
    }
}

impl Presence {
    /// What is due to a neighbour.
    pub(super) fn serve(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster) -> Option<Message> {
        let plan = self.plan;
        let link = self.links.get_mut(&peer)?;
        if now < link.next() {
            return None;
        }
        // A link is there: the transport says when it is not.
        let place = roster.place(&peer)?;
        self.known.entry(peer).or_default().spoke(now);
        let mut message = Message { statuses: Vec::new(), summary: Vec::new(), wants: link.wants };
        link.wants = false;
        let is_summary_due = now >= link.next_summary;
        if is_summary_due {
            let speaks_here = |site: &NodeKey| {
                roster.place(site).is_some_and(|other| other.region == place.region && !other.is_metered)
            };
            let statuses_go = link.takes_statuses();
            // What is flooded anyway is not said again.
            let is_told = |site: &NodeKey| !statuses_go || !speaks_here(site);
            message.summary = link.summary(&self.known, is_told, peer, now);
            link.next_summary = now + plan.summary - plan.summary / 20 + self.draw.up_to(plan.summary / 10);
        }
        if link.takes_statuses() || is_summary_due {
            for site in std::mem::take(&mut link.pending) {
                match self.known.get(&site) {
                    Some(about)
                        if about.relay_from.is_some_and(|from| from > now)
                            || message.statuses.len() >= MAX_STATUSES =>
                    {
                        link.pending.insert(site);
                    }
                    Some(about) => message.statuses.extend(about.status().cloned()),
                    None => {}
                }
            }
            link.next_batch = now + self.draw.about(plan.batch);
        }
        let is_empty = message.statuses.is_empty() && message.summary.is_empty() && !message.wants;
        (!is_empty).then_some(message)
    }

    /// Asks one more neighbour for all statuses while less than half of them are here.
    pub(super) fn want_when_due(&mut self, now: Duration) {
        let (left, from) = self.wants;
        if left == 0 || now < from || self.census.held() * 2 >= self.census.speakers() {
            return;
        }
        let peers: Vec<NodeKey> =
            self.links.iter().filter(|(_, link)| link.takes_statuses()).map(|(peer, _)| *peer).collect();
        if let Some(link) = self.draw.one(&peers).and_then(|peer| self.links.get_mut(peer)) {
            link.wants = true;
            self.wants = (left - 1, now + WANT_AFTER);
        }
    }

    /// The neighbour has just come and asks for all statuses.
    pub(super) fn grant_wish(&mut self, peer: &NodeKey, now: Duration) {
        let Some(link) = self.links.get_mut(peer) else { return };
        if link.takes_statuses() && now >= link.grants_from {
            link.grants_from = now + ANSWER_AFTER;
            let held = self.known.iter().filter(|(site, about)| *site != peer && about.status().is_some());
            link.pending.extend(held.map(|(site, _)| *site));
        }
    }
}

//! How often to speak, so that a region of any size stays within its budget.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::known::Known;
use super::status::Status;
use crate::canonical;
use crate::identity::NodeKey;
use crate::roster::Roster;
use crate::signed::Signed;

/// Sites looked up at a time, for each of the two walks: so that no call goes over the whole roster.
const STRIDE: usize = 32;

/// How often, after a first whole walk.
const AGAIN: Duration = Duration::from_secs(60);

/// Times and budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Between two statuses when something changed noticeably.
    pub quick: Duration,
    /// Between two statuses when nothing did.
    pub slow: Duration,
    /// Both, for a site whose traffic is paid by the byte.
    pub metered: Duration,
    /// For how long statuses are gathered before they are handed on.
    pub batch: Duration,
    /// Between two summaries to a neighbour.
    pub summary: Duration,
    /// Bytes a second that an ordinary site receives at most, over time, of statuses.
    pub status_budget: u32,
    /// The same of summaries.
    pub summary_budget: u32,
    /// Bytes a second that a metered site receives at most, over time.
    pub metered_budget: u32,
    /// How many neighbours of a site the budget for summaries is shared among.
    pub links: u32,
    /// The same for a metered site.
    pub metered_links: u32,
    /// How often a status reaches a site, each time from another neighbour: most of its links in the region.
    pub copies: u32,
}

impl Plan {
    /// Bytes a second that an ordinary site receives at most, over time.
    #[must_use]
    pub const fn budget(&self) -> u32 {
        self.status_budget + self.summary_budget
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            quick: Duration::from_secs(60),
            slow: Duration::from_secs(300),
            metered: Duration::from_secs(600),
            batch: Duration::from_secs(5),
            summary: Duration::from_secs(600),
            status_budget: 70,
            summary_budget: 30,
            metered_budget: 8,
            links: 8,
            metered_links: 4,
            copies: 5,
        }
    }
}

/// How many sites of the region speak, and how much they say.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// How far the walk over the roster is, and how many that speak in the region it met.
    at: usize,
    met: usize,
    /// What the walks say so far: of the last whole one, or what the first one promises.
    speakers: usize,
    is_whole: bool,
    /// Bytes and number of the statuses held.
    bytes: usize,
    held: usize,
    /// When to look on: there is no hurry once all were seen.
    next: Duration,
    /// How far the walk over what is known is.
    walked: Option<NodeKey>,
}

impl Census {
    /// Whether it is time to look on.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + if self.is_whole { AGAIN } else { Duration::ZERO };
        }
        is_due
    }

    /// Looks at some more sites of the roster.
    pub(super) fn go_on(&mut self, roster: &dyn Roster, region: &str) {
        let count = roster.count();
        for _ in 0..STRIDE.min(count) {
            let place = roster.nth(self.at).and_then(|site| roster.place(&site));
            self.met += usize::from(place.is_some_and(|place| *place.region == *region && !place.is_metered));
            self.at += 1;
            if self.at >= count {
                (self.speakers, self.is_whole) = (self.met, true);
                (self.at, self.met) = (0, 0);
                return;
            }
        }
        if !self.is_whole {
            // The order of a roster has nothing to do with regions.
            self.speakers = (self.met * count).div_ceil(self.at.max(1));
        }
    }

    /// Sites of the region whose statuses are flooded.
    pub(super) const fn speakers(&self) -> usize {
        self.speakers
    }

    /// A status is held, in the place of an older one.
    pub(super) fn holds(&mut self, status: &Signed<Status>, old: Option<&Signed<Status>>) {
        if let Some(old) = old {
            self.drops(old);
        }
        self.bytes += canonical::encode(status).len();
        self.held += 1;
    }

    pub(super) fn drops(&mut self, status: &Signed<Status>) {
        self.bytes = self.bytes.saturating_sub(canonical::encode(status).len());
        self.held = self.held.saturating_sub(1);
    }

    /// How many statuses are held.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// The least time between two statuses of a site with which all of the region stay within the budget.
    pub(super) fn floor(&self, plan: &Plan) -> Duration {
        let mean = self.bytes.div_ceil(self.held.max(1)) as u64;
        let round = self.speakers.saturating_sub(1) as u64 * mean * u64::from(plan.copies);
        Duration::from_millis(round.saturating_mul(1000) / u64::from(plan.status_budget.max(1)))
    }

    /// Some more of those that are known, round and round.
    pub(super) fn walk(&mut self, known: &BTreeMap<NodeKey, Known>) -> Vec<NodeKey> {
        let from = self.walked.map_or(Bound::Unbounded, Bound::Excluded);
        let sites: Vec<NodeKey> = known.range((from, Bound::Unbounded)).map(|(site, _)| *site).take(STRIDE).collect();
        self.walked = if sites.len() < STRIDE { None } else { sites.last().copied() };
        sites
    }
}

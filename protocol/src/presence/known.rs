//! What is known of one site: its own word, kept apart from what others say of it.

use std::time::Duration;

use super::UNIT;
use super::message::Entry;
use super::status::{Ills, Status};
use crate::identity::NodeKey;
use crate::signed::Signed;

/// Most tellers between this site's teller and the source: across regions few are needed, and what goes round longer is
/// of no use.
pub const MAX_DEPTH: u8 = 6;

/// A past moment: how old it was when this site learned of it.
#[derive(Clone, Copy, Debug)]
struct Moment {
    learned: Duration,
    age: Duration,
}

impl Moment {
    fn ago(self, now: Duration) -> Duration {
        now.saturating_sub(self.learned) + self.age
    }
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Moment,
    by: NodeKey,
    ills: Ills,
    depth: u8,
}

/// What another site says of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearsay {
    /// How long ago the site was seen, by this account.
    pub ago: Duration,
    /// Who told this site. Not who saw it: only the last teller is sure.
    pub by: NodeKey,
    /// What ailed it, by this account.
    pub ills: Ills,
}

/// How it is known that a site was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It spoke to this site over its own connection.
    FirstHand,
    /// Its signature came through others.
    Signed,
    /// This site says so.
    Hearsay(NodeKey),
}

/// When a site was seen, by each kind of evidence there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How long ago it spoke to this site.
    pub first_hand: Option<Duration>,
    /// How long ago it signed the newest status that came through others.
    pub signed: Option<Duration>,
    /// What is said of it.
    pub hearsay: Option<Hearsay>,
}

impl Seen {
    /// The latest evidence that needs no trust in others.
    #[must_use]
    pub fn proven(&self) -> Option<Duration> {
        self.first_hand.into_iter().chain(self.signed).min()
    }

    /// The latest of all, and how it is known: what needs less trust wins when it is no older.
    #[must_use]
    pub fn latest(&self) -> Option<(Duration, How)> {
        let first_hand = self.first_hand.map(|ago| (ago, How::FirstHand));
        let signed = self.signed.map(|ago| (ago, How::Signed));
        let hearsay = self.hearsay.map(|told| (told.ago, How::Hearsay(told.by)));
        first_hand.into_iter().chain(signed).chain(hearsay).min_by_key(|(ago, _)| *ago)
    }
}

/// What is known of one site.
#[derive(Debug, Default)]
pub(super) struct Known {
    status: Option<Box<Signed<Status>>>,
    first_hand: Option<Moment>,
    signed: Option<Moment>,
    told: Option<Told>,
    /// From when on its newest status may be handed on: a site that says too much is not amplified.
    pub(super) relay_from: Option<Duration>,
    /// When something new was last learned.
    pub(super) changed: Duration,
}

impl Known {
    pub(super) fn status(&self) -> Option<&Signed<Status>> {
        self.status.as_deref()
    }

    pub(super) fn spoke(&mut self, now: Duration) {
        self.first_hand = Some(Moment { learned: now, age: Duration::ZERO });
        self.changed = now;
    }

    /// Takes a status that is newer than the one held; `age` is how old it is already.
    pub(super) fn signs(&mut self, status: Signed<Status>, now: Duration, age: Duration) {
        self.status = Some(Box::new(status));
        // A newer statement is later than an older one, whatever a clock says between the two.
        let age = self.signed.map_or(age, |at| age.min(at.ago(now)));
        self.signed = Some(Moment { learned: now, age });
        self.changed = now;
    }

    /// Takes hearsay; whether it says anything new.
    pub(super) fn told(&mut self, entry: &Entry, by: NodeKey, now: Duration) -> bool {
        let at = Moment { learned: now, age: entry.ago() };
        let is_better = self.told.is_none_or(|old| {
            let (old_ago, new_ago) = (old.at.ago(now), at.ago(now));
            // The coarse age must not let an account that is further from the source win by rounding.
            old.by == by
                || new_ago < old_ago.saturating_sub(UNIT)
                || (new_ago <= old_ago + UNIT && entry.depth < old.depth)
        });
        if is_better {
            let is_news = self.told.is_none_or(|old| old.ills != entry.ills || old.at.ago(now) > entry.ago() + UNIT);
            self.told = Some(Told { at, by, ills: entry.ills, depth: entry.depth });
            self.changed = if is_news { now } else { self.changed };
        }
        is_better
    }

    pub(super) fn seen(&self, now: Duration) -> Seen {
        Seen {
            first_hand: self.first_hand.map(|at| at.ago(now)),
            signed: self.signed.map(|at| at.ago(now)),
            hearsay: self.told.map(|told| Hearsay { ago: told.at.ago(now), by: told.by, ills: told.ills }),
        }
    }

    /// What to tell others of it, in a word, unless it is told by `to` itself.
    pub(super) fn entry(&self, site: NodeKey, to: NodeKey, now: Duration) -> Option<Entry> {
        let told = self.told.filter(|told| told.by != to && told.depth < MAX_DEPTH);
        let proven = self.seen(now).proven();
        let ills = self.status().map_or(Ills::default(), |status| status.said.ills());
        match (proven, told) {
            (Some(ago), told) if told.is_none_or(|told| ago <= told.at.ago(now) + UNIT) => {
                let ills = if self.status.is_some() { ills } else { self.told.map_or(ills, |told| told.ills) };
                Some(Entry { site, age: Entry::units(ago), ills, depth: 0 })
            }
            (_, Some(told)) => {
                Some(Entry { site, age: Entry::units(told.at.ago(now)), ills: told.ills, depth: told.depth + 1 })
            }
            (_, None) => None,
        }
    }
}

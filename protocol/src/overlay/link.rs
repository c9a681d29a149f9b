//! One peer this site is connected with, or about to be. The machine owns its links.

use std::time::Duration;

use super::slots::{Kind, Shares};

/// A neighbour: both sides agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// What it is to this site.
    pub kind: Kind,
    /// Who wanted it.
    pub origin: Origin,
    /// Since when, on the clock of the calls.
    pub since: Duration,
}

/// Who wanted a neighbour, and so whose slots it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// This site drew it.
    Chosen,
    /// It asked.
    Asked,
    /// This site, for an audience.
    Audience,
    /// It asked, for an audience, and no ordinary slot was free.
    AskedForAudience,
}

/// What this site wants of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Slot,
    /// In place of another of its kind.
    Improve,
    Audience,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Dialling(Aim),
    /// This site asked and waits.
    Asking(Aim),
    /// Connected; it has not asked yet, or was refused.
    Waiting,
    Neighbour(Neighbour),
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) kind: Kind,
    pub(super) is_metered: bool,
    pub(super) state: State,
    pub(super) since: Duration,
    pub(super) budget: Budget,
    /// A shuffle of this site is unanswered.
    pub(super) shuffling: bool,
}

impl Link {
    pub(super) const fn new(kind: Kind, is_metered: bool, state: State, now: Duration) -> Self {
        Self { kind, is_metered, state, since: now, budget: Budget { left: Budget::MOST, at: now }, shuffling: false }
    }

    pub(super) const fn neighbour(&self) -> Option<&Neighbour> {
        match &self.state {
            State::Neighbour(neighbour) => Some(neighbour),
            State::Dialling(_) | State::Asking(_) | State::Waiting => None,
        }
    }

    /// What this site wants of a peer that is no neighbour yet.
    pub(super) const fn aim(&self) -> Option<Aim> {
        match self.state {
            State::Dialling(aim) | State::Asking(aim) => Some(aim),
            State::Waiting | State::Neighbour(_) => None,
        }
    }
}

/// How many messages a peer may still send. Honest ones need about two in a minute.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    at: Duration,
}

impl Budget {
    const MOST: u64 = 8;
    /// One more each so many seconds.
    const EVERY: u64 = 10;

    pub(super) fn take(&mut self, now: Duration) -> bool {
        let earned = now.saturating_sub(self.at).as_secs() / Self::EVERY;
        if earned > 0 {
            self.left = (self.left + earned).min(Self::MOST);
            self.at = now;
        }
        let has = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has
    }
}

/// Links counted by what they take, by [`Kind::index`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) own: [usize; 4],
    pub(super) asked: [usize; 4],
    /// Of this site, for audiences.
    pub(super) audience: [usize; 4],
    /// Asked, for audiences.
    pub(super) asked_audience: usize,
    /// Not yet neighbours, wanted for a slot.
    pub(super) pending: [usize; 4],
    pub(super) pending_audience: usize,
    /// All dials and questions that are open.
    pub(super) open: usize,
}

impl Tally {
    pub(super) fn of<'a>(links: impl Iterator<Item = &'a Link>) -> Self {
        let mut tally = Self::default();
        for link in links {
            let kind = link.kind.index();
            if let Some(neighbour) = link.neighbour() {
                match neighbour.origin {
                    Origin::Chosen => tally.own[kind] += 1,
                    Origin::Asked => tally.asked[kind] += 1,
                    Origin::Audience => tally.audience[kind] += 1,
                    Origin::AskedForAudience => tally.asked_audience += 1,
                }
            }
            match link.aim() {
                Some(Aim::Slot) => tally.pending[kind] += 1,
                Some(Aim::Audience) => tally.pending_audience += 1,
                Some(Aim::Improve) | None => {}
            }
            tally.open += usize::from(link.aim().is_some());
        }
        tally
    }

    /// What links for audiences take of the slots of a kind: what is left beside this site's own choice, no more, so that
    /// members of one audience never make up all of a site's neighbours.
    fn lodgers(&self, kind: usize, shares: &Shares) -> usize {
        self.audience[kind].min(shares.plan[kind] - shares.own[kind])
    }

    pub(super) fn of_kind(&self, kind: usize, shares: &Shares) -> usize {
        self.own[kind] + self.asked[kind] + self.lodgers(kind, shares)
    }

    /// All that take ordinary slots.
    pub(super) fn ordinary(&self, shares: &Shares) -> usize {
        (0..4).map(|kind| self.of_kind(kind, shares)).sum()
    }

    /// Links of this site for audiences that take extra room.
    pub(super) fn extra(&self, shares: &Shares) -> usize {
        (0..4).map(|kind| self.audience[kind] - self.lodgers(kind, shares)).sum()
    }

    /// Whether a slot reserved for the kind is to be filled.
    pub(super) fn wants(&self, kind: usize, shares: &Shares) -> bool {
        let pending = self.pending[kind];
        self.own[kind] + pending < shares.own[kind]
            || shares.is_guarded && self.of_kind(kind, shares) + pending < shares.plan[kind]
    }

    /// Whether more neighbours are wanted, of whatever kind.
    pub(super) fn wants_any(&self, shares: &Shares) -> bool {
        let pending: usize = self.pending.iter().sum();
        self.own.iter().sum::<usize>() + pending < shares.all_own() || self.ordinary(shares) + pending < shares.total
    }
}

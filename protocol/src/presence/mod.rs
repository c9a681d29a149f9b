//! Who is there, and how each site is doing: soft state, never records.
//!
//! Each site signs a [`Status`] about itself from time to time. Statuses are flooded within a region; beyond it, and from
//! and to sites whose traffic is paid by the byte, go summaries: a site, roughly when it was seen, what ails it. They are
//! hearsay: kept apart from what a site has signed or said to this one, and marked with who told it. A site that is not
//! seen is away. Nobody declares it dead: what is kept is when it was last there.
//!
//! - What a site receives stays under [`Plan::budget`] bytes a second, whatever the size of its region: the period of the
//!   statuses grows with the number of sites ([`Presence::period`]).
//! - All that is kept is bounded by the roster: what concerns others is dropped.
//!
//! No I/O, no clock, no randomness here. State lives in [`Presence`] only; after a restart it is empty, and a new life
//! begins.

mod known;
mod link;
mod message;
mod pace;
mod receive;
mod status;

#[cfg(test)]
mod costs;
#[cfg(test)]
mod group;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod stories;

use std::collections::BTreeMap;
use std::time::Duration;

use known::Known;
pub use known::{Hearsay, How, MAX_DEPTH, Seen};
use link::Link;
pub use message::{Entry, Fault, Message};
use pace::Census;
pub use pace::Plan;
pub use status::{Counts, Fields, Ills, Life, Status, TooLong};

use crate::Timestamp;
use crate::draw::Draw;
use crate::identity::{NodeKey, NodeSecret};
use crate::roster::Roster;

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most statuses of a message.
pub const MAX_STATUSES: usize = 32;

/// Most entries of a summary.
pub const MAX_SUMMARY: usize = 256;

/// Most bytes of the version in a status.
pub const MAX_VERSION: usize = 32;

/// Most bytes of the last error in a status.
pub const MAX_ERROR: usize = 128;

/// Most addresses in a status.
pub const MAX_ADDRESSES: usize = 4;

/// Most bytes of an address in a status.
pub const MAX_ADDRESS: usize = 64;

/// Most neighbours at a time; the overlay keeps far fewer.
pub const MAX_LINKS: usize = 256;

/// How exactly a summary says when a site was seen.
pub const UNIT: Duration = Duration::from_secs(600);

/// How far a site's clock may be behind before what it signs counts as old when it comes through others.
pub const SKEW: Duration = Duration::from_secs(600);

/// After how many periods without proof a site is not fresh.
pub const FRESH_PERIODS: u32 = 3;

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give this to the neighbour.
    Send(NodeKey, Vec<u8>),
    /// The neighbour did wrong.
    Failed(NodeKey, Fault),
}

/// What is known of who is there.
#[derive(Debug)]
pub struct Presence {
    secret: NodeSecret,
    me: NodeKey,
    plan: Plan,
    draw: Draw,
    life: Option<Life>,
    seq: u64,
    /// What the caller told last, and when, by both clocks.
    told: Option<(Fields, Duration, Timestamp)>,
    /// When this site signed last, and when it will do so next with nothing new.
    signed: Option<(Duration, Duration)>,
    known: BTreeMap<NodeKey, Known>,
    links: BTreeMap<NodeKey, Link>,
    census: Census,
    /// How often, and from when on, this site may still ask for all statuses.
    wants: (u8, Duration),
    next_work: Duration,
    /// Signatures are not judged: to show what they are for, and to count bytes among many sites.
    #[cfg(test)]
    pub(crate) believes_anyone: bool,
}

impl Presence {
    /// A site that knows of nobody. The seed must be random and used for nothing else: the life's number is drawn of it.
    #[must_use]
    pub fn new(secret: NodeSecret, plan: Plan, seed: [u8; 32]) -> Self {
        let (me, draw) = (secret.key(), Draw::new(seed));
        Self {
            secret,
            me,
            plan,
            draw,
            life: None,
            seq: 0,
            told: None,
            signed: None,
            known: BTreeMap::new(),
            links: BTreeMap::new(),
            census: Census::default(),
            wants: (link::WANTS, Duration::ZERO),
            next_work: Duration::ZERO,
            #[cfg(test)]
            believes_anyone: false,
        }
    }

    /// Tells how the site is doing; call it as often as you like, and at least once a day for the wall clock's sake. What
    /// is said to others follows at a [`Presence::tick`], as the period allows.
    ///
    /// # Errors
    /// [`TooLong`]: the fields don't fit, and what was told before stands.
    pub fn publish(&mut self, fields: Fields, now: Duration, wall: Timestamp) -> Result<(), TooLong> {
        if !fields.fit() {
            return Err(TooLong);
        }
        if self.life.is_none() {
            self.life = Some(Life { start: wall, number: self.draw.bits() });
        }
        self.told = Some((fields, now, wall));
        Ok(())
    }

    /// A neighbour is linked.
    pub fn up(&mut self, peer: NodeKey, now: Duration, roster: &dyn Roster) {
        let (Some(here), Some(there)) = (roster.place(&self.me), roster.place(&peer)) else { return };
        if peer == self.me || self.links.len() >= MAX_LINKS {
            return;
        }
        if self.links.is_empty() {
            // After a sleep, too: much may have been said meanwhile.
            self.wants.0 = link::WANTS;
        }
        self.known.entry(peer).or_default().spoke(now);
        let mut link = Link::new(&here, &there, now, &self.plan, &mut self.draw);
        if self.known.get(&self.me).is_some_and(|me| me.status().is_some()) && link.takes_status_of_sender() {
            link.pending.insert(self.me);
        }
        self.links.insert(peer, link);
    }

    /// A neighbour is gone. When it was last there is kept.
    pub fn down(&mut self, peer: &NodeKey) {
        self.links.remove(peer);
    }

    /// Whatever is due. Call it every few seconds; more often does no harm and costs little.
    pub fn tick(&mut self, now: Duration, roster: &dyn Roster) -> Vec<Effect> {
        let mut effects = Vec::new();
        if now < self.next_work {
            return effects;
        }
        let Some(here) = roster.place(&self.me) else { return effects };
        if self.census.is_due(now) {
            self.census.go_on(roster, &here.region);
            self.forget_strangers(roster);
        }
        if self.sign_when_due(now, here.is_metered) {
            for link in self.links.values_mut().filter(|link| link.takes_status_of_sender()) {
                link.pending.insert(self.me);
            }
        }
        self.want_when_due(now);
        let peers: Vec<NodeKey> = self.links.keys().copied().collect();
        for peer in peers {
            effects.extend(self.serve(peer, now, roster).map(|message| Effect::Send(peer, message.encode())));
        }
        let links = self.links.values().map(Link::next);
        self.next_work = links.chain([now + self.plan.batch]).min().unwrap_or(now);
        effects
    }

    /// What a site said of itself last, as far as this site heard.
    #[must_use]
    pub fn status(&self, site: &NodeKey) -> Option<&Status> {
        Some(&self.known.get(site)?.status()?.said)
    }

    /// When a site was last seen, and by what evidence; `None`: never, as far as this site heard.
    #[must_use]
    pub fn seen(&self, site: &NodeKey, now: Duration) -> Option<Seen> {
        let mut seen = self.known.get(site)?.seen(now);
        if self.links.contains_key(site) || *site == self.me {
            seen.first_hand = Some(Duration::ZERO);
        }
        seen.latest().map(|_| seen)
    }

    /// Whether there is recent proof that a site is there. Hearsay is none.
    #[must_use]
    pub fn is_fresh(&self, site: &NodeKey, now: Duration) -> bool {
        let proven = self.seen(site, now).and_then(|seen| seen.proven());
        proven.is_some_and(|ago| ago <= self.period() * FRESH_PERIODS)
    }

    /// Every site something is known of, ascending.
    pub fn sites(&self) -> impl Iterator<Item = &NodeKey> {
        self.known.keys()
    }

    /// How often a site of this region speaks when nothing changes.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.plan.slow.max(self.census.floor(&self.plan))
    }

    /// The wall clock, as far as it was told.
    fn wall(&self, now: Duration) -> Option<Timestamp> {
        self.told.as_ref().map(|(_, at, wall)| wall.plus(now.saturating_sub(*at)))
    }

    /// Signs a status when one is due; whether it did.
    fn sign_when_due(&mut self, now: Duration, is_metered: bool) -> bool {
        let (Some((fields, _, _)), Some(life), Some(wall)) = (&self.told, self.life, self.wall(now)) else {
            return false;
        };
        let own = self.known.get(&self.me).and_then(Known::status);
        let floor = self.census.floor(&self.plan);
        let quick = if is_metered { self.plan.metered } else { self.plan.quick }.max(floor);
        let is_due = match (self.signed, own) {
            (Some((at, next)), Some(own)) => {
                now >= next.max(at + floor)
                    || (now >= at + quick && fields.differs_noticeably(&own.said.fields))
                    || own.said.life != life
            }
            (_, _) => true,
        };
        if is_due {
            self.seq += 1;
            let status = Status { site: self.me, life, seq: self.seq, wall, fields: fields.clone() };
            let status = status.sign(&self.secret);
            self.census.holds(&status, own);
            let own = self.known.entry(self.me).or_default();
            own.signs(status, now, Duration::ZERO);
            own.spoke(now);
            let slow = if is_metered { self.plan.metered } else { self.plan.slow }.max(floor);
            // A twentieth more or less, so that sites started together do not stay in step.
            self.signed = Some((now, now + slow - slow / 20 + self.draw.up_to(slow / 10)));
        }
        is_due
    }

    /// Drops a few of those that left the roster.
    fn forget_strangers(&mut self, roster: &dyn Roster) {
        for site in self.census.walk(&self.known) {
            if roster.place(&site).is_none() {
                if let Some(status) = self.known.remove(&site).as_ref().and_then(Known::status) {
                    self.census.drops(status);
                }
                self.links.remove(&site);
            }
        }
    }
}

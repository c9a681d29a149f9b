//! Who gets one of the places: shares by address, so that nobody at one address takes them all. [`Counts`] owns the
//! numbers; it decides purely, by the time it is given.
//!
//! An address is believed only when it has proven itself: as long as there is plenty of everything it needn't, and when
//! anything runs low it has to (a stateless retry, which costs a round trip and no memory). So somebody who forges
//! addresses takes at most a part of anyone's share. Of IPv6 a /56 is one address: a customer has as much.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::guard::{Guard, Guards};
use crate::pace::{Bucket, Pace};

/// How many of everything an endpoint takes. Dials of this site count for [`Caps::links_per_peer`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Links others dialled, let in and open.
    pub links: usize,
    /// Of those, from one address: sites behind one NAT share it.
    pub links_per_address: usize,
    /// Links with one peer on one lane; the oldest is closed for the newest, which is more likely alive.
    pub links_per_peer: usize,
    /// Connections not let in yet.
    pub strangers: usize,
    /// Of those, kept for addresses from which somebody was let in before.
    pub reserved: usize,
    /// Connections not let in yet from one address.
    pub strangers_per_address: usize,
    /// New connections from one address.
    pub pace: Pace,
    /// Addresses whose pace is remembered.
    pub addresses: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            links: 1024,
            links_per_address: 256,
            links_per_peer: 2,
            strangers: 256,
            reserved: 64,
            strangers_per_address: 8,
            pace: Pace { per_second: 8, burst: 64 },
            addresses: 4096,
        }
    }
}

/// What is counted as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin(u128);

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(four) => Self(four.to_ipv6_mapped().to_bits()),
            IpAddr::V6(six) => Self(Ipv6Addr::to_bits(six) & !0 << 72),
        }
    }
}

/// What one address has.
#[derive(Clone, Copy, Debug)]
struct Share {
    strangers: usize,
    links: usize,
    /// Somebody from there was let in before.
    known: bool,
    pace: Bucket,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It is looked at.
    Enter,
    /// Its address has to prove itself first.
    Retry,
    /// There is no place for it.
    Refuse,
}

/// How many there are.
#[derive(Debug)]
pub(super) struct Counts {
    caps: Caps,
    guards: Guards,
    pub(super) strangers: usize,
    pub(super) links: usize,
    shares: BTreeMap<Origin, Share>,
}

impl Counts {
    pub(super) fn new(caps: Caps, guards: Guards) -> Self {
        Self { caps, guards, strangers: 0, links: 0, shares: BTreeMap::new() }
    }

    /// Decides on a new connection, and counts it when it enters. `proven`: its address is not forged.
    fn arrive(&mut self, origin: Origin, proven: bool, now: Duration) -> Pass {
        let caps = self.caps;
        if !self.shares.contains_key(&origin) {
            self.make_room();
        }
        let fresh = Share { strangers: 0, links: 0, known: false, pace: Bucket::new(caps.pace, now) };
        let share = self.shares.entry(origin).or_insert(fresh);
        let scarce = self.strangers * 4 >= caps.strangers
            || share.strangers * 2 >= caps.strangers_per_address
            || share.pace.is_low(now);
        if scarce && !proven && self.guards.has(Guard::Retry) {
            return Pass::Retry;
        }
        let own = share.strangers >= caps.strangers_per_address || share.links >= caps.links_per_address;
        if self.guards.has(Guard::Address) && (own || share.pace.take(now).is_err()) {
            return Pass::Refuse;
        }
        let reserved = if share.known { 0 } else { caps.reserved };
        if self.strangers + reserved >= caps.strangers || self.links >= caps.links {
            return Pass::Refuse;
        }
        share.strangers += 1;
        self.strangers += 1;
        Pass::Enter
    }

    /// Forgets an address with nothing open: one nobody was let in from, and that lately did least.
    fn make_room(&mut self) {
        if self.shares.len() < self.caps.addresses {
            return;
        }
        let idle = self.shares.iter().filter(|(_, share)| share.strangers + share.links == 0);
        let least =
            idle.min_by_key(|(_, share)| (share.known, u64::MAX - share.pace.left())).map(|(origin, _)| *origin);
        least.map(|origin| self.shares.remove(&origin));
    }

    /// A stranger was let in; whether there is a place for it.
    fn admit(&mut self, origin: Origin) -> bool {
        if self.links >= self.caps.links {
            return false;
        }
        self.strangers = self.strangers.saturating_sub(1);
        self.links += 1;
        if let Some(share) = self.shares.get_mut(&origin) {
            share.strangers = share.strangers.saturating_sub(1);
            share.links += 1;
            share.known = true;
        }
        true
    }

    fn leave(&mut self, origin: Origin, is_link: bool) {
        let all = if is_link { &mut self.links } else { &mut self.strangers };
        *all = all.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(&origin) {
            let own = if is_link { &mut share.links } else { &mut share.strangers };
            *own = own.saturating_sub(1);
        }
    }
}

/// The counts, shared by those who hold places.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<Counts>>);

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    origin: Origin,
    is_link: bool,
}

impl Places {
    pub(super) fn new(caps: Caps, guards: Guards) -> Self {
        Self(Arc::new(Mutex::new(Counts::new(caps, guards))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a new connection.
    pub(super) fn arrive(&self, from: IpAddr, proven: bool, now: Duration) -> Result<Place, Pass> {
        let origin = Origin::of(from);
        match self.lock().arrive(origin, proven, now) {
            Pass::Enter => {}
            refused @ (Pass::Retry | Pass::Refuse) => return Err(refused),
        }
        Ok(Place { places: self.clone(), origin, is_link: false })
    }
}

impl Place {
    /// Its holder was let in; `None`, and the place is given back, when there are too many.
    pub(super) fn admit(mut self) -> Option<Self> {
        self.is_link = self.places.lock().admit(self.origin);
        self.is_link.then_some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().leave(self.origin, self.is_link);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPS: Caps = Caps {
        links: 10,
        links_per_address: 4,
        links_per_peer: 2,
        strangers: 16,
        reserved: 4,
        strangers_per_address: 4,
        pace: Pace { per_second: 1, burst: 20 },
        addresses: 40,
    };

    fn four(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn held(places: &Places, from: impl Iterator<Item = IpAddr>, proven: bool) -> (Vec<Place>, Vec<Pass>) {
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for address in from {
            match places.arrive(address, proven, Duration::ZERO) {
                Ok(place) => held.push(place),
                Err(pass) => refused.push(pass),
            }
        }
        (held, refused)
    }

    #[test]
    fn one_address_gets_its_share_and_leaves_the_rest() {
        let flood = |guards| {
            let places = Places::new(CAPS, guards);
            let (held, _) = held(&places, std::iter::repeat_n(four(1), 100), true);
            let other = places.arrive(four(2), true, Duration::ZERO);
            (held.len(), other.is_ok())
        };
        assert_eq!(flood(Guards::default()), (4, true));
        assert_eq!(flood(Guards::without(&[Guard::Address])), (12, false), "all but what is reserved");
    }

    #[test]
    fn a_slash_56_is_one_address_and_a_mapped_one_is_its_four() {
        let places = Places::new(CAPS, Guards::default());
        let six = (0..50u16).map(|n| IpAddr::from([0x2001, 0xdb8, 0, n & 0xff, n, 0, 0, n]));
        assert_eq!(held(&places, six, true).0.len(), 4);
        assert_eq!(Origin::of(four(1)), Origin::of(IpAddr::V6(std::net::Ipv4Addr::from(1).to_ipv6_mapped())));
        assert_ne!(Origin::of("2001:db8:0:100::1".parse().unwrap()), Origin::of("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn forged_addresses_take_a_part_and_then_have_to_prove_themselves() {
        let forged = |guards| {
            let places = Places::new(CAPS, guards);
            let (held, refused) = held(&places, (0..1000).map(four), false);
            let honest = places.arrive(four(5000), true, Duration::ZERO).is_ok();
            (held.len(), refused.first().copied(), honest)
        };
        assert_eq!(forged(Guards::default()), (4, Some(Pass::Retry), true));
        assert_eq!(forged(Guards::without(&[Guard::Retry])), (12, Some(Pass::Refuse), false));
        // In somebody's name: what is left of that one's share is enough for it.
        let places = Places::new(CAPS, Guards::default());
        let (_held, _) = held(&places, std::iter::repeat_n(four(7), 100), false);
        assert!(places.arrive(four(7), true, Duration::ZERO).is_ok());
    }

    #[test]
    fn coming_and_going_has_a_pace() {
        let places = Places::new(CAPS, Guards::default());
        let came = (0..100).filter(|_| places.arrive(four(1), true, Duration::ZERO).is_ok()).count();
        assert_eq!(came, 20);
        assert!(places.arrive(four(1), true, Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn where_somebody_was_let_in_there_is_a_place_kept() {
        let places = Places::new(CAPS, Guards::default());
        let known = places.arrive(four(1), true, Duration::ZERO).unwrap().admit();
        let (_held, _) = held(&places, (100..200).map(four), true);
        assert!(places.arrive(four(50), true, Duration::ZERO).is_err());
        assert!(places.arrive(four(1), true, Duration::ZERO).is_ok());
        drop(known);
        assert!(places.arrive(four(1), true, Duration::ZERO).is_ok(), "also when it left");
    }

    proptest! {
        #[test]
        fn whatever_happens_nothing_is_above_its_cap_and_all_is_given_back(
            steps in proptest::collection::vec((0u32..60, any::<bool>(), 0u8..4), 0..400)
        ) {
            let places = Places::new(CAPS, Guards::default());
            let (mut strangers, mut links, mut now) = (Vec::new(), Vec::new(), Duration::ZERO);
            for (address, proven, act) in steps {
                now += Duration::from_millis(100);
                match act {
                    0 | 1 => strangers.extend(places.arrive(four(address), proven, now)),
                    2 => links.extend(strangers.pop().and_then(Place::admit)),
                    _ if proven => drop(links.pop()),
                    _ => drop(strangers.pop()),
                }
                let counts = places.lock();
                prop_assert_eq!((counts.strangers, counts.links), (strangers.len(), links.len()));
                prop_assert!(counts.strangers <= CAPS.strangers && counts.links <= CAPS.links);
                prop_assert!(counts.shares.len() <= CAPS.addresses);
                for share in counts.shares.values() {
                    prop_assert!(share.strangers <= CAPS.strangers_per_address);
                }
            }
            drop((strangers, links));
            let counts = places.lock();
            prop_assert_eq!((counts.strangers, counts.links), (0, 0));
            prop_assert!(counts.shares.values().all(|share| share.strangers + share.links == 0));
        }
    }
}

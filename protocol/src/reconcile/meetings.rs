//! Which exchanges a site has on at the same time, so that it takes every record from one peer only.
//!
//! A newcomer finds eight neighbours within a second, and each has all it lacks: reconciling with all of them at once
//! would bring everything eight times. So a site that may be about to receive takes part in one exchange; whoever asks
//! meanwhile is told to come back, by when little will be left to say. A site that only gives can give to several.
//!
//! To have a site to oneself must be earned, or a peer that says nothing would keep it from all others: for a moment when an
//! exchange begins, then by the records that come.
//!
//! Who was told to come back does, to the same peer: what that one has to say may be said by no other neighbour, as in an
//! audience of few where some withhold. [`Meetings`] owns what is on and what was put off.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::identity::NodeKey;

/// Most exchanges at the same time.
const MAX_ON: usize = 8;

/// How long an exchange is waited for before others are let in, as long as nothing has come of it.
const FIRST: Duration = Duration::from_secs(10);

/// How much longer for each record that came: twenty a second keep others out.
const EACH: Duration = Duration::from_millis(50);

/// At most so long ahead.
const MOST: Duration = Duration::from_secs(30);

/// Most peers with whom an exchange is put off; more are left to chance meetings.
const MAX_PUT_OFF: usize = 64;

/// How often one that was put off is tried again before it is left to chance, each time after twice the wait: with five
/// to ten seconds at first that is more than a quarter of an hour.
const MAX_TRIES: u32 = 8;

/// Who began an exchange: each side can begin one with the same peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Began {
    /// This site.
    Here,
    /// The peer.
    There,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Meetings {
    /// Until when each keeps others out; `None`: this site only gives.
    on: BTreeMap<(NodeKey, Began), Option<Duration>>,
    /// Exchanges that could not be: when each is tried again, and how often it was.
    put_off: BTreeMap<NodeKey, PutOff>,
}

#[derive(Clone, Copy, Debug)]
struct PutOff {
    at: Duration,
    tries: u32,
}

impl Meetings {
    /// Begins one with a peer; `false` and nothing done when it is not the time: [`Self::put_off`] then says when it is.
    pub fn begin(&mut self, peer: NodeKey, now: Duration) -> bool {
        self.add(peer, Began::Here, now)
    }

    /// A peer begins one; `false`: it is to come back later. When both begin at once, the one of the lower key stands:
    /// the other's owner must end its own when this says `true`.
    pub fn answer(&mut self, peer: NodeKey, me: NodeKey, now: Duration) -> bool {
        if peer < me && self.on.contains_key(&(peer, Began::Here)) {
            self.over(peer, Began::Here);
        }
        self.add(peer, Began::There, now)
    }

    fn add(&mut self, peer: NodeKey, began: Began, now: Duration) -> bool {
        let alone = self.on.values().any(|until| until.is_some_and(|until| now < until));
        let is_on = self.on.keys().any(|(other, _)| *other == peer);
        let fits = !alone && !is_on && self.on.len() < MAX_ON;
        if fits {
            self.on.insert((peer, began), Some(now + FIRST));
            // While it is on it is not due; a refusal puts it off further.
            if let Some(put_off) = self.put_off.get_mut(&peer) {
                put_off.at = Duration::MAX;
            }
        }
        fits
    }

    /// Records went to the peer, and none has come.
    pub fn gave(&mut self, peer: NodeKey, began: Began, now: Duration) {
        if let Some(until) = self.on.get_mut(&(peer, began))
            && until.is_some_and(|until| until <= now + FIRST)
        {
            *until = None;
        }
    }

    /// So many records came from the peer.
    pub fn received(&mut self, peer: NodeKey, began: Began, records: usize, now: Duration) {
        if let Some(until) = self.on.get_mut(&(peer, began)) {
            let earned = EACH.saturating_mul(u32::try_from(records).unwrap_or(u32::MAX));
            *until = Some((until.unwrap_or(now).max(now) + earned).min(now + MOST));
        }
    }

    /// It is over, by agreement or because the peer fell silent, for which the caller has a timer. After a refusal say
    /// [`Self::put_off`] instead.
    pub fn over(&mut self, peer: NodeKey, began: Began) {
        self.on.remove(&(peer, began));
        self.put_off.remove(&peer);
    }

    /// One that this site wanted with a peer can't be now, because either side is busy: it is tried again about `wait`
    /// later, and later the next time. Draw `wait` anew each time, or two that were put off together meet again.
    pub fn put_off(&mut self, peer: NodeKey, wait: Duration, now: Duration) {
        self.on.remove(&(peer, Began::Here));
        let tries = self.put_off.get(&peer).map_or(0, |put_off| put_off.tries);
        if tries >= MAX_TRIES || self.put_off.len() >= MAX_PUT_OFF && tries == 0 {
            self.put_off.remove(&peer);
            return;
        }
        let at = now + wait.saturating_mul(1 << tries);
        self.put_off.insert(peer, PutOff { at, tries: tries + 1 });
    }

    /// The peer to try again now, if there is one: [`Self::begin`] or [`Self::put_off`] is to follow.
    #[must_use]
    pub fn due(&self, now: Duration) -> Option<NodeKey> {
        let due = self.put_off.iter().filter(|(_, put_off)| put_off.at <= now);
        due.min_by_key(|(_, put_off)| put_off.at).map(|(peer, _)| *peer)
    }

    /// The peer is gone.
    pub fn down(&mut self, peer: &NodeKey) {
        self.on.retain(|(other, _), _| other != peer);
        self.put_off.remove(peer);
    }

    /// Whether this one is on.
    #[must_use]
    pub fn is_on(&self, peer: NodeKey, began: Began) -> bool {
        self.on.contains_key(&(peer, began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);

    fn key(number: u8) -> NodeKey {
        NodeKey([number; 32])
    }

    fn after(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn who_may_receive_speaks_with_one_at_a_time() {
        let mut newcomer = Meetings::default();
        assert!(newcomer.begin(key(1), START));
        assert!(!newcomer.begin(key(2), START) && !newcomer.answer(key(3), key(9), START));
        for second in 0..60 {
            newcomer.received(key(1), Began::Here, 1000, after(second));
            newcomer.gave(key(1), Began::Here, after(second));
            assert!(!newcomer.begin(key(2), after(second)), "it receives, whatever it gives");
        }
        newcomer.over(key(1), Began::Here);
        assert!(newcomer.answer(key(3), key(9), after(60)));
    }

    #[test]
    fn who_only_gives_gives_to_several() {
        let mut giver = Meetings::default();
        for number in 1..=8 {
            assert!(giver.answer(key(number), key(9), START));
            giver.gave(key(number), Began::There, START);
        }
        assert!(!giver.answer(key(10), key(9), START));
        giver.down(&key(1));
        assert!(giver.answer(key(10), key(9), START));
    }

    #[test]
    fn of_two_that_begin_at_once_one_stands() {
        let (low, high) = (key(1), key(2));
        let (mut left, mut right) = (Meetings::default(), Meetings::default());
        assert!(left.begin(high, START) && right.begin(low, START));
        assert!(!left.answer(high, low, START), "the lower key's own stands");
        assert!(right.answer(low, high, START));
        assert!(left.is_on(high, Began::Here) && right.is_on(low, Began::There) && !right.is_on(low, Began::Here));
    }

    #[test]
    fn who_says_nothing_or_drips_keeps_nobody_out() {
        let mut site = Meetings::default();
        assert!(site.begin(key(1), START));
        assert!(site.begin(key(2), after(10)), "the first never answered");
        let mut site = Meetings::default();
        assert!(site.begin(key(1), START));
        (0..40).for_each(|second| site.received(key(1), Began::Here, 1, after(second)));
        assert!(site.begin(key(2), after(40)), "a record a second earns nothing");
    }

    #[test]
    fn who_was_told_to_come_back_does_to_the_same_peer() {
        const WAIT: Duration = Duration::from_secs(5);
        let mut site = Meetings::default();
        assert!(site.begin(key(1), START) && !site.begin(key(2), START), "the first says nothing");
        site.put_off(key(2), WAIT, START);
        assert_eq!((site.due(after(4)), site.due(after(5))), (None, Some(key(2))));
        site.over(key(1), Began::Here);
        assert!(site.begin(key(2), after(5)));
        assert_eq!(site.due(after(500)), None, "it is on");
        site.put_off(key(2), WAIT, after(6));
        assert!(!site.is_on(key(2), Began::Here));
        assert_eq!((site.due(after(15)), site.due(after(16))), (None, Some(key(2))), "it said: busy");
        assert!(site.answer(key(2), key(9), after(16)));
        site.over(key(2), Began::There);
        assert_eq!(site.due(after(500)), None, "the peer came by itself");
    }

    #[test]
    fn who_is_always_busy_is_left_to_chance() {
        let mut site = Meetings::default();
        let mut now = START;
        for _ in 0..MAX_TRIES {
            site.put_off(key(1), Duration::from_secs(5), now);
            now += Duration::from_secs(5 << MAX_TRIES);
            assert_eq!(site.due(now), Some(key(1)));
        }
        site.put_off(key(1), Duration::from_secs(5), now);
        assert_eq!(site.due(Duration::MAX), None);
        (0..=u8::MAX).for_each(|number| site.put_off(key(number), Duration::from_secs(5), now));
        assert_eq!(site.put_off.len(), MAX_PUT_OFF);
        site.down(&key(1));
        assert_eq!(site.put_off.len(), MAX_PUT_OFF - 1);
    }
}

//! A network of messages in virtual time.
//!
//! Every ordered pair of nodes is a link of its own, with its own generator: what happens on one link does not shift
//! what the seed decides on another. A message is queued at the sender (bandwidth, bound), travels (delay, jitter,
//! reordering), may be lost or doubled, and arrives by time and then by order of sending. A *cut* loses all that is on
//! the link and all that is sent until it heals; a *clog* holds everything back and lets it go in order afterwards.
//!
//! The world owns the network and tells it the time. Messages in flight are lost with the process, like any others.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// A node of the world: its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NodeId(pub u32);

/// A direction between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Link {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
}

/// One copy of a message; a message that is doubled on the way has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CopyId(pub u64);

/// How good a link is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkQuality {
    /// Time a message always takes.
    pub delay_ms: u64,
    /// Time it may take on top.
    pub jitter_ms: u64,
    /// Share of messages that are lost.
    pub loss: f64,
    /// Share of messages that arrive twice.
    pub duplicate: f64,
    /// Share of messages that may be overtaken by later ones.
    pub reorder: f64,
    /// Bytes per second; without it, sending takes no time.
    pub bandwidth: Option<u64>,
    /// Bytes that may wait to be sent, or be held by a clog; more are lost.
    pub queue_bytes: u64,
}

impl Default for LinkQuality {
    fn default() -> Self {
        Self {
            delay_ms: 10,
            jitter_ms: 0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            bandwidth: None,
            queue_bytes: 1 << 20,
        }
    }
}

impl LinkQuality {
    /// The same distance and bandwidth without anything going wrong.
    #[must_use]
    pub fn faultless(&self) -> Self {
        Self { loss: 0.0, duplicate: 0.0, reorder: 0.0, ..self.clone() }
    }
}

/// Why a copy never arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Loss {
    /// The link is cut.
    Cut,
    /// Bad luck.
    Chance,
    /// More is waiting than the link may hold.
    QueueFull,
}

/// A copy at its destination, or at the end of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which one.
    pub copy: CopyId,
    /// Where it went.
    pub link: Link,
    /// What it carries.
    pub bytes: Vec<u8>,
}

/// What became of a copy whose time had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It is there.
    Delivered(Arrival),
    /// It is held by a clog.
    Held,
    /// The clog holds too much already.
    Lost(Link, CopyId),
}

#[derive(Debug)]
struct LinkState {
    rng: Rng,
    cut: bool,
    clogged: bool,
    held: VecDeque<Arrival>,
    /// When the last byte that waits will have been sent.
    busy_until: Duration,
    /// When the last message that keeps order arrives.
    last_arrival: Duration,
}

/// The links and what flies over them.
#[derive(Debug)]
pub struct SimNetwork {
    rng: Rng,
    quality: LinkQuality,
    links: BTreeMap<Link, LinkState>,
    /// By arrival, then by order of sending.
    flying: BTreeMap<(Duration, u64), Arrival>,
    next_copy: u64,
    next_place: u64,
}

impl SimNetwork {
    /// A network in which every link has this quality.
    #[must_use]
    pub const fn new(rng: Rng, quality: LinkQuality) -> Self {
        Self { rng, quality, links: BTreeMap::new(), flying: BTreeMap::new(), next_copy: 0, next_place: 0 }
    }

    /// Sends a message; the copies that fly, or why none does.
    ///
    /// # Errors
    /// The reason for which it is lost at once.
    pub fn send(&mut self, now: Duration, link: Link, bytes: &[u8]) -> Result<Vec<CopyId>, Loss> {
        let quality = self.quality.clone();
        let state = self.link(link);
        // All draws come first and always, so that a cut or a full queue does not shift the fate of later messages.
        let lost = state.rng.chance(quality.loss);
        let doubled = state.rng.chance(quality.duplicate);
        let ways: Vec<(Duration, bool)> = (0..2)
            .map(|_| {
                let jitter = state.rng.up_to(Duration::from_millis(quality.jitter_ms));
                let late = state.rng.up_to(Duration::from_millis(4 * (quality.delay_ms + quality.jitter_ms)));
                let overtaken = state.rng.chance(quality.reorder);
                (
                    Duration::from_millis(quality.delay_ms) + jitter + if overtaken { late } else { Duration::ZERO },
                    overtaken,
                )
            })
            .collect();
        if state.cut {
            return Err(Loss::Cut);
        }
        let mut sent = now;
        if let Some(bandwidth) = quality.bandwidth {
            let waiting = bytes_in(state.busy_until.saturating_sub(now), bandwidth);
            if waiting + bytes.len() as u64 > quality.queue_bytes {
                return Err(Loss::QueueFull);
            }
            state.busy_until = state.busy_until.max(now) + time_for(bytes.len() as u64, bandwidth);
            sent = state.busy_until;
        }
        if lost {
            return Err(Loss::Chance);
        }
        let mut copies = Vec::new();
        for (way, overtaken) in ways.into_iter().take(1 + usize::from(doubled)) {
            let state = self.link(link);
            let mut at = sent + way;
            if !overtaken {
                at = at.max(state.last_arrival);
                state.last_arrival = at;
            }
            let copy = CopyId(self.next_copy);
            self.next_copy += 1;
            self.launch(at, Arrival { copy, link, bytes: bytes.to_vec() });
            copies.push(copy);
        }
        Ok(copies)
    }

    /// When the next copy arrives somewhere.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        self.flying.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes the next copy whose time has come.
    pub fn pass(&mut self, now: Duration) -> Option<Passage> {
        let first = self.flying.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let arrival = first.remove();
        let bound = self.quality.queue_bytes;
        let state = self.link(arrival.link);
        if !state.clogged {
            return Some(Passage::Delivered(arrival));
        }
        let held: usize = state.held.iter().map(|held| held.bytes.len()).sum();
        if (held + arrival.bytes.len()) as u64 > bound {
            return Some(Passage::Lost(arrival.link, arrival.copy));
        }
        state.held.push_back(arrival);
        Some(Passage::Held)
    }

    /// Cuts a link in one direction; the copies on it are lost.
    pub fn cut(&mut self, link: Link) -> Vec<CopyId> {
        let state = self.link(link);
        state.cut = true;
        let mut lost: Vec<CopyId> = state.held.drain(..).map(|held| held.copy).collect();
        self.flying.retain(|_, arrival| {
            let on_it = arrival.link == link;
            if on_it {
                lost.push(arrival.copy);
            }
            !on_it
        });
        lost
    }

    /// Joins a link again.
    pub fn heal(&mut self, link: Link) {
        self.link(link).cut = false;
    }

    /// Holds back what arrives over a link.
    pub fn clog(&mut self, link: Link) {
        self.link(link).clogged = true;
    }

    /// Lets go, in order, of what a clog held.
    pub fn unclog(&mut self, now: Duration, link: Link) {
        let state = self.link(link);
        state.clogged = false;
        let held: Vec<Arrival> = state.held.drain(..).collect();
        for arrival in held {
            self.launch(now, arrival);
        }
    }

    /// Changes the quality of all links; what flies already is not touched.
    pub fn set_quality(&mut self, quality: LinkQuality) {
        self.quality = quality;
    }

    /// The quality of all links.
    #[must_use]
    pub const fn quality(&self) -> &LinkQuality {
        &self.quality
    }

    fn link(&mut self, link: Link) -> &mut LinkState {
        let rng = &self.rng;
        self.links.entry(link).or_insert_with(|| LinkState {
            rng: rng.fork(&format!("link {} {}", link.from.0, link.to.0)),
            cut: false,
            clogged: false,
            held: VecDeque::new(),
            busy_until: Duration::ZERO,
            last_arrival: Duration::ZERO,
        })
    }

    fn launch(&mut self, at: Duration, arrival: Arrival) {
        self.flying.insert((at, self.next_place), arrival);
        self.next_place += 1;
    }
}

fn time_for(bytes: u64, bandwidth: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / bandwidth.max(1))
}

fn bytes_in(time: Duration, bandwidth: u64) -> u64 {
    let bytes = time.as_micros().saturating_mul(u128::from(bandwidth)) / 1_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AB: Link = Link { from: NodeId(0), to: NodeId(1) };
    const BA: Link = Link { from: NodeId(1), to: NodeId(0) };
    const LATE: Duration = Duration::from_secs(100);

    fn network(quality: LinkQuality) -> SimNetwork {
        SimNetwork::new(Rng::from_seed(1), quality)
    }

    /// Everything that is delivered, with its time in milliseconds.
    fn drain(network: &mut SimNetwork) -> Vec<(u128, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(at) = network.next_arrival() {
            if let Some(Passage::Delivered(arrival)) = network.pass(at) {
                all.push((at.as_millis(), arrival.bytes));
            }
        }
        all
    }

    #[test]
    fn a_message_takes_the_delay_and_keeps_its_order() {
        let mut network = network(LinkQuality { delay_ms: 5, jitter_ms: 20, ..LinkQuality::default() });
        for n in 0..50 {
            network.send(Duration::from_millis(n), AB, &[n as u8]).unwrap();
        }
        assert_eq!(network.pass(Duration::ZERO), None);
        let got = drain(&mut network);
        assert_eq!(got.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
        assert!(got.iter().enumerate().all(|(n, (at, _))| *at >= n as u128 + 5 && *at <= n as u128 + 25));
    }

    #[test]
    fn some_are_lost_some_doubled_some_overtaken() {
        let bad = LinkQuality { loss: 0.3, duplicate: 0.3, reorder: 0.3, ..LinkQuality::default() };
        let mut network = network(bad);
        let mut lost = 0;
        for n in 0..200_u8 {
            lost += u32::from(network.send(Duration::from_millis(n.into()), AB, &[n]) == Err(Loss::Chance));
        }
        let order: Vec<u8> = drain(&mut network).into_iter().map(|(_, bytes)| bytes[0]).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_ne!(order, sorted, "overtaken");
        sorted.dedup();
        assert_eq!(sorted.len() as u32 + lost, 200);
        assert!(order.len() > sorted.len(), "doubled");
        assert!((30..90).contains(&lost), "{lost}");
    }

    #[test]
    fn a_cut_is_one_way_and_takes_what_is_on_the_link() {
        let mut network = network(LinkQuality::default());
        let copies = network.send(Duration::ZERO, AB, b"gone").unwrap();
        network.send(Duration::ZERO, BA, b"back").unwrap();
        assert_eq!(network.cut(AB), copies);
        assert_eq!(network.send(Duration::ZERO, AB, b"no"), Err(Loss::Cut));
        assert_eq!(drain(&mut network), [(10, b"back".to_vec())]);
        network.heal(AB);
        network.send(LATE, AB, b"again").unwrap();
        assert_eq!(drain(&mut network).len(), 1);
    }

    #[test]
    fn a_clog_holds_and_lets_go_in_order() {
        let mut network = network(LinkQuality { queue_bytes: 2, ..LinkQuality::default() });
        network.clog(AB);
        for n in 0..3 {
            network.send(Duration::ZERO, AB, &[n]).unwrap();
        }
        assert_eq!(network.pass(LATE), Some(Passage::Held));
        assert_eq!(network.pass(LATE), Some(Passage::Held));
        assert!(matches!(network.pass(LATE), Some(Passage::Lost(AB, _))));
        network.unclog(LATE, AB);
        assert_eq!(drain(&mut network), [(100_000, vec![0]), (100_000, vec![1])]);
    }

    #[test]
    fn bandwidth_spaces_messages_and_the_queue_is_bounded() {
        let slow = LinkQuality { delay_ms: 0, bandwidth: Some(1000), queue_bytes: 250, ..LinkQuality::default() };
        let mut network = network(slow);
        assert!(network.send(Duration::ZERO, AB, &[0; 100]).is_ok());
        assert!(network.send(Duration::ZERO, AB, &[0; 100]).is_ok());
        assert_eq!(network.send(Duration::ZERO, AB, &[0; 100]), Err(Loss::QueueFull));
        let times: Vec<u128> = drain(&mut network).into_iter().map(|(at, _)| at).collect();
        assert_eq!(times, [100, 200]);
    }

    #[test]
    fn one_link_does_not_shift_another() {
        let bad = LinkQuality { loss: 0.5, jitter_ms: 50, ..LinkQuality::default() };
        let (mut quiet, mut busy) = (network(bad.clone()), network(bad));
        for n in 0..50 {
            busy.send(Duration::from_millis(n), BA, b"noise").ok();
            let fates = (
                quiet.send(Duration::from_millis(n), AB, &[1]).is_ok(),
                busy.send(Duration::from_millis(n), AB, &[1]).is_ok(),
            );
            assert_eq!(fates.0, fates.1);
        }
        let only_ab: Vec<_> = drain(&mut busy).into_iter().filter(|(_, bytes)| bytes == &[1]).collect();
        assert_eq!(drain(&mut quiet), only_ab);
    }
}

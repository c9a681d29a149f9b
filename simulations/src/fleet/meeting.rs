//! Two sites that reconcile: which scopes differ, then sessions over those, several at a time.
//!
//! [`Meeting`] owns one side of one exchange. The side that began it asks for the overview and shares the scopes that
//! differ out to lanes, each a [`Session`]; so that many small scopes do not cost a round trip each, one after the other.

use std::collections::BTreeMap;

use protocol::canonical;
use protocol::identity::NodeKey;
use protocol::reconcile::overview::{self, Roots, Step};
use protocol::reconcile::{
    DayHashes, Effect, Item, Items, Message, Nonce, Outcome, Pace, Root, Scopes, Session, Tally,
};
use protocol::record::ScopeId;
use protocol::roster::Roster;

use super::archive::{Archive, Shelf};

/// Sessions of one meeting at the same time.
const LANES: usize = 32;

/// A piece of an exchange.
#[derive(Clone, Debug)]
pub enum Part {
    /// The overview, of the side that began.
    Ask(Vec<u8>),
    /// Of the other.
    Answer(Vec<u8>),
    /// A session's message.
    Session {
        /// Whose.
        lane: u8,
        /// An encoded message.
        bytes: Vec<u8>,
    },
    /// Records: encoded sheets.
    Records(Vec<u8>),
    /// Not now, of the side that did not begin.
    Busy,
    /// The side that began is through.
    Done,
}

impl Part {
    /// Its bytes on the wire, without what frames it.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Ask(bytes) | Self::Answer(bytes) | Self::Records(bytes) => bytes.len(),
            Self::Session { bytes, .. } => bytes.len() + 1,
            Self::Busy | Self::Done => 0,
        }
    }

    /// Whether it serves to find out what differs; what else is said can wait for no answer.
    #[must_use]
    pub fn is_finding_out(&self) -> bool {
        match self {
            Self::Ask(_) | Self::Answer(_) => true,
            Self::Session { bytes, .. } => Message::decode(bytes) != Ok(Message::Sent),
            Self::Records(_) | Self::Busy | Self::Done => false,
        }
    }

    /// Whether it has nothing but its frame.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it says.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Ask(bytes) | Self::Answer(bytes) | Self::Records(bytes) | Self::Session { bytes, .. } => bytes,
            Self::Busy | Self::Done => &[],
        }
    }
}

/// What a meeting wants done.
#[derive(Debug)]
pub enum Do {
    /// Send this.
    Say(Part),
    /// Send these records in that lane, and call [`Meeting::sent`] when they are on their way.
    Send(u8, Vec<Item>),
    /// It is over; what was found.
    Over(Tally),
    /// The peer did wrong.
    Failed,
}

/// The items of the scopes that are reconciled, as they were.
#[derive(Debug, Default)]
struct Snapshot {
    scopes: BTreeMap<ScopeId, (Root, Vec<Item>)>,
    none: Vec<Item>,
}

impl Snapshot {
    fn add(&mut self, scope: ScopeId, shelf: &Shelf, archive: &Archive) {
        self.scopes.entry(scope).or_insert_with(|| {
            let items = shelf.items(&scope, archive);
            (DayHashes::of(&items).root(&items), items)
        });
    }
}

impl Scopes for Snapshot {
    fn root(&self, scope: &ScopeId) -> Root {
        let of_none = || DayHashes::default().root(&self.none);
        self.scopes.get(scope).map_or_else(of_none, |(root, _)| *root)
    }

    fn items(&self, scope: &ScopeId) -> &dyn Items {
        self.scopes.get(scope).map_or(&self.none, |(_, items)| items)
    }

    fn waiting(&self, _: &ScopeId) -> Vec<Item> {
        Vec::new()
    }
}

/// See the module.
pub struct Meeting {
    began: bool,
    nonce: Nonce,
    seed: [u8; 32],
    roots: Roots,
    /// What the peer may see, for the side that answers.
    allowed: Vec<ScopeId>,
    lanes: BTreeMap<u8, Session>,
    snapshot: Snapshot,
    tally: Tally,
}

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meeting").field("began", &self.began).field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl Meeting {
    /// The side that begins, and its first words.
    pub fn begin(
        peer: &NodeKey,
        seed: [u8; 32],
        shelf: &mut Shelf,
        archive: &Archive,
        roster: &dyn Roster,
    ) -> (Self, Part) {
        let meeting = Self::new(true, peer, seed, shelf, archive, roster);
        let part = Part::Ask(overview::ask(&meeting.roots, meeting.nonce));
        (meeting, part)
    }

    /// The other side.
    pub fn answer(
        peer: &NodeKey,
        seed: [u8; 32],
        shelf: &mut Shelf,
        archive: &Archive,
        roster: &dyn Roster,
        allowed: Vec<ScopeId>,
    ) -> Self {
        Self { allowed, ..Self::new(false, peer, seed, shelf, archive, roster) }
    }

    fn new(
        began: bool,
        peer: &NodeKey,
        seed: [u8; 32],
        shelf: &mut Shelf,
        archive: &Archive,
        roster: &dyn Roster,
    ) -> Self {
        let mut nonce = Nonce([0; 16]);
        nonce.0.copy_from_slice(&blake3::derive_key("portolan simulations fleet nonce", &seed)[..16]);
        Self {
            began,
            nonce,
            seed,
            roots: shelf.roots(archive, |scope| roster.may_hold(peer, scope)),
            allowed: Vec::new(),
            lanes: BTreeMap::new(),
            snapshot: Snapshot::default(),
            tally: Tally::default(),
        }
    }

    fn lane_seed(&self, lane: u8) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&[lane]);
        *hasher.finalize().as_bytes()
    }

    /// Takes a part.
    pub fn hear(&mut self, part: &Part, shelf: &Shelf, archive: &Archive) -> Vec<Do> {
        match (part, self.began) {
            (Part::Ask(bytes), false) => match overview::answer(bytes, &self.roots) {
                Ok(answer) => vec![Do::Say(Part::Answer(answer))],
                Err(_) => vec![Do::Failed],
            },
            (Part::Answer(bytes), true) => match overview::conclude(bytes, &self.roots, self.nonce) {
                Ok(Step::Ask(next)) => vec![Do::Say(Part::Ask(next))],
                Ok(Step::Differ(scopes)) => self.open(&scopes, shelf, archive),
                Err(_) => vec![Do::Failed],
            },
            (Part::Session { lane, bytes }, _) => {
                let lane = *lane;
                if usize::from(lane) >= LANES {
                    return vec![Do::Failed];
                }
                if !self.began {
                    if let Ok(Message::Open(open)) = Message::decode(bytes)
                        && self.allowed.contains(&open.scope)
                    {
                        self.snapshot.add(open.scope, shelf, archive);
                    }
                    let (allowed, seed) = (self.allowed.clone(), self.lane_seed(lane));
                    self.lanes.entry(lane).or_insert_with(|| Session::respond(allowed, seed, Pace::default()));
                }
                let Some(session) = self.lanes.get_mut(&lane) else { return Vec::new() };
                let effects = session.receive(bytes, &self.snapshot);
                self.carry_out(lane, effects)
            }
            (Part::Done, false) => vec![Do::Over(self.tally)],
            (_, _) => vec![Do::Failed],
        }
    }

    fn open(&mut self, scopes: &[ScopeId], shelf: &Shelf, archive: &Archive) -> Vec<Do> {
        for scope in scopes {
            self.snapshot.add(*scope, shelf, archive);
        }
        let lanes = scopes.len().min(LANES);
        let mut done = Vec::new();
        for lane in 0..u8::try_from(lanes).unwrap_or(0) {
            let agenda = scopes.iter().copied().skip(lane.into()).step_by(lanes).collect();
            let mut session = Session::initiate(agenda, self.lane_seed(lane), Pace::default());
            let effects = session.start(&self.snapshot);
            self.lanes.insert(lane, session);
            done.extend(self.carry_out(lane, effects));
        }
        if lanes == 0 {
            done.extend(self.over());
        }
        done
    }

    /// What [`Do::Send`] gave out is on its way.
    pub fn sent(&mut self, lane: u8) -> Vec<Do> {
        let Some(session) = self.lanes.get_mut(&lane) else { return Vec::new() };
        let effects = session.sent(&self.snapshot);
        self.carry_out(lane, effects)
    }

    fn carry_out(&mut self, lane: u8, effects: Vec<Effect>) -> Vec<Do> {
        let mut done = Vec::new();
        for effect in effects {
            match effect {
                Effect::Message(bytes) => done.push(Do::Say(Part::Session { lane, bytes })),
                Effect::Send { items, .. } => done.push(Do::Send(lane, items)),
                Effect::Ended { outcome: Outcome::Reconciled(tally), .. } => {
                    self.tally.coming += tally.coming;
                    self.tally.sent += tally.sent;
                }
                Effect::Ended { .. } => {}
                Effect::Finished => {
                    self.lanes.remove(&lane);
                    if self.lanes.is_empty() {
                        done.extend(self.over());
                    }
                }
                Effect::Failed(_) => done.push(Do::Failed),
            }
        }
        done
    }

    fn over(&self) -> [Do; 2] {
        [Do::Say(Part::Done), Do::Over(self.tally)]
    }
}

/// Records as they travel between sites that reconcile.
#[must_use]
pub fn sheets(items: &[Item], archive: &Archive) -> Vec<u8> {
    let number = |item: &Item| archive.number(&protocol::broadcast::Short::of(&item.1));
    let sheets: Vec<_> = items.iter().filter_map(number).map(|number| archive.get(number).sheet()).collect();
    canonical::encode(&sheets)
}

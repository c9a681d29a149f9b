//! The kit: a root, authorities and sites, each with its ledger, its disk and its own idea of time; what passes between
//! them passes as bytes. [`Islands`] owns all of it; who syncs with whom is up to the story.

mod acts;
mod sight;
mod story;

use std::collections::BTreeMap;

use protocol::Timestamp;
use protocol::identity::{NodeKey, NodeSecret};
use protocol::ledger::{Bytes, Entry, Identity, Ledger, Reception};
use protocol::record::{Action, Held, Incarnation, Parcel, Record, RecordId, Records, ScopeId};
use protocol::trust::{Grant, Handshake, IdBlock, Over, Right};

pub(crate) use acts::Forged;
pub(crate) use sight::{image, manifest_topic, named, pushed, repository, tag_topic, view_of, void, voids};

pub(crate) const DAY: u64 = 86_400_000;
pub(crate) const YEAR: u64 = 365 * DAY;
/// When every story begins: some day in 2026.
pub(crate) const START: u64 = 1_795_000_000_000;

/// What a site takes for the time.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// The true time, and so many milliseconds more.
    Off(i64),
    /// No battery: 1970 at this moment.
    Booted(u64),
}

/// A site: what it knows, and what of that would survive a crash.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) ledger: Ledger,
    identity: Identity,
    disk: Vec<Entry>,
    pub(crate) clock: Clock,
}

/// All sites of a mesh.
pub(crate) struct Islands {
    sites: BTreeMap<&'static str, Site>,
    /// The true time.
    pub(crate) now: u64,
    lives: u64,
}

pub(crate) fn secret(name: &str) -> NodeSecret {
    NodeSecret::from_seed(*blake3::hash(name.as_bytes()).as_bytes())
}

pub(crate) fn key(name: &str) -> NodeKey {
    secret(name).key()
}

fn rights(actions: &[Action]) -> Vec<Right> {
    actions.iter().map(|action| Right { action: *action, over: Over::Everything }).collect()
}

/// A record through the wire: only bytes arrive.
fn over_the_wire(held: &Held) -> (Record, Option<Bytes>) {
    let bytes = held.record.as_bytes().to_vec();
    let record = Parcel::parse(bytes.clone()).and_then(Parcel::open).expect("a sound record");
    assert_eq!(record.as_bytes(), bytes, "what is handed on is what came");
    let value = held.value.as_ref().map(|value| Bytes::from(value.to_vec()));
    if value.is_some() {
        record.check_value(value.as_deref()).expect("its value");
    }
    (record, value)
}

impl Islands {
    /// The root, and two authorities, `north` and `south`.
    pub(crate) fn new() -> Self {
        let mut islands = Self { sites: BTreeMap::new(), now: START, lives: 1000 };
        islands.found("root", RecordId::NONE);
        for authority in ["north", "south"] {
            use Action::{Administer, Delete, Hold, Issue, Push, Tag};
            islands.admit("root", authority, &[Hold, Push, Tag, Delete, Administer, Issue]);
        }
        islands
    }

    /// Those, a project `app` made at the root, and sites that know of it, admitted by `north`.
    pub(crate) fn with_project(sites: &[&'static str]) -> (Self, ScopeId) {
        let mut islands = Self::new();
        let scope = islands.project("root", 7);
        for site in sites {
            islands.site(site);
        }
        islands.sync_all();
        (islands, scope)
    }

    /// An ordinary site.
    pub(crate) fn site(&mut self, name: &'static str) {
        use Action::{Administer, Delete, Hold, Push, Tag};
        self.admit("north", name, &[Hold, Push, Tag, Delete, Administer]);
    }

    pub(crate) fn admit(&mut self, by: &'static str, name: &'static str, actions: &[Action]) {
        let grant = self.grant(by, name, actions);
        self.found(name, grant);
        self.sync(by, name);
    }

    /// Grants for 180 days.
    pub(crate) fn grant(&mut self, by: &'static str, name: &'static str, actions: &[Action]) -> RecordId {
        let grant = Grant {
            node: key(name),
            site: name.into(),
            labels: BTreeMap::new(),
            rights: rights(actions),
            ids: IdBlock::default(),
            not_before: Timestamp(self.now),
            not_after: Timestamp(self.now + 180 * DAY),
            serial: self.now,
        };
        self.act(by, |ledger, now| ledger.grant(&grant, "admin", now)).unwrap()
    }

    /// A box of this name and grant, with an empty disk.
    pub(crate) fn found(&mut self, name: &'static str, grant: RecordId) {
        let identity = Identity { secret: secret(name), root: key("root"), grant };
        let mut ledger = Ledger::open(identity.clone(), [], self.life());
        let disk = ledger.entries();
        self.sites.insert(name, Site { ledger, identity, disk, clock: Clock::Off(0) });
    }

    fn life(&mut self) -> Incarnation {
        self.lives += 1;
        Incarnation(self.lives.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn at(&self, name: &str) -> &Ledger {
        &self.sites[name].ledger
    }

    pub(crate) fn site_mut(&mut self, name: &str) -> &mut Site {
        self.sites.get_mut(name).expect("there is such a site")
    }

    /// What a virtual machine's snapshot holds.
    pub(crate) fn snapshot(&self, name: &str) -> Site {
        self.sites[name].clone()
    }

    pub(crate) fn put(&mut self, name: &'static str, site: Site) {
        self.sites.insert(name, site);
    }

    /// Time passes, everywhere.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        for name in names {
            self.wake(name);
        }
    }

    pub(crate) fn wake(&mut self, name: &str) -> Vec<RecordId> {
        let now = self.now_at(name);
        let site = self.site_mut(name);
        let taken = site.ledger.wake(now);
        site.disk.extend(site.ledger.entries());
        taken
    }

    pub(crate) fn now_at(&self, name: &str) -> Timestamp {
        Timestamp(match self.sites[name].clock {
            Clock::Off(ms) => self.now.saturating_add_signed(ms),
            Clock::Booted(at) => self.now - at,
        })
    }

    /// Does something at a site, a moment later, as the node would: in a new life where one must begin, and durably.
    pub(crate) fn act<T>(&mut self, name: &str, act: impl FnOnce(&mut Ledger, Timestamp) -> T) -> T {
        self.now += 1;
        let now = self.now_at(name);
        let life = self.life();
        let site = self.site_mut(name);
        if site.ledger.must_begin() {
            site.ledger.begin(life);
        }
        let said = act(&mut site.ledger, now);
        site.disk.extend(site.ledger.entries());
        said
    }

    /// The site loses its power and comes back with its disk two minutes later: later than any time it may have given
    /// out.
    pub(crate) fn crash(&mut self, name: &str) {
        self.blink(name);
        self.pass(120_000);
    }

    /// The same, but back at once.
    pub(crate) fn blink(&mut self, name: &str) {
        let life = self.life();
        let site = self.site_mut(name);
        site.ledger = Ledger::open(site.identity.clone(), site.disk.clone(), life);
        site.disk.extend(site.ledger.entries());
    }

    /// Its clock is put right.
    pub(crate) fn set_clock(&mut self, name: &str) -> Vec<RecordId> {
        self.site_mut(name).clock = Clock::Off(0);
        let (life, now) = (self.life(), Timestamp(self.now));
        let site = self.site_mut(name);
        let again = site.ledger.step_back(life, now);
        site.disk.extend(site.ledger.entries());
        again
    }

    /// A new grant takes the place of the old.
    pub(crate) fn renew(&mut self, name: &str, grant: RecordId) {
        let site = self.site_mut(name);
        site.identity.grant = grant;
        site.ledger.renew(grant);
    }

    /// A site is no more, and neither is its disk.
    pub(crate) fn lose(&mut self, name: &str) {
        self.sites.remove(name);
    }

    /// How a site receives another.
    pub(crate) fn handshake(&self, at: &str, who: &str) -> Handshake {
        let ledger = self.at(at);
        ledger.trust().handshake(&key(who), self.now_at(at), ledger.is_flagged(&key(who)))
    }

    /// Two sites meet: each says how far it knows the other, and hands over what the other lacks. Returns what was sent
    /// back for its time.
    pub(crate) fn sync(&mut self, a: &str, b: &str) -> Vec<RecordId> {
        for (to, from) in [(a, b), (b, a)] {
            let own = self.at(to).next().incarnation;
            let known = self.at(from).last_of(&self.at(to).key(), own);
            if let Some(place) = known {
                self.site_mut(to).ledger.hear_of_self(place);
            }
        }
        let mut refused = self.send(a, b);
        refused.extend(self.send(b, a));
        refused
    }

    /// One hands over what the other lacks: trust first, then the newest first.
    pub(crate) fn send(&mut self, from: &str, to: &str) -> Vec<RecordId> {
        let trust = ScopeId::trust(self.at(from).mesh());
        let receiver = self.at(to);
        let lacks = |held: &&Held| {
            let id = held.record.id();
            receiver.set().get(&id).is_none() && !receiver.waiting().contains(&id)
        };
        let mut sent: Vec<Held> = self.at(from).set().iter().filter(lacks).cloned().collect();
        sent.sort_by_key(|held| (held.record.scope() != trust, std::cmp::Reverse(held.record.time())));
        let now = self.now_at(to);
        let mut refused = Vec::new();
        for held in &sent {
            let (record, value) = over_the_wire(held);
            if self.site_mut(to).ledger.take(record, value, now) == Reception::TooFarAhead {
                refused.push(held.record.id());
            }
        }
        // What came in is durable by this, too.
        self.wake(to);
        refused
    }

    /// Asks another site for the value of a record whose header is here.
    pub(crate) fn fetch(&mut self, to: &str, from: &str, id: &RecordId) -> Reception {
        let held = self.at(from).set().get(id).expect("it is there");
        let (record, value) = over_the_wire(&held);
        self.act(to, |ledger, now| ledger.take(record, value, now))
    }

    /// All of these meet, until each knows what any of them knew.
    pub(crate) fn heal(&mut self, sites: &[&str]) {
        let (first, others) = sites.split_first().expect("a site");
        for _ in 0..2 {
            for other in others {
                self.sync(first, other);
            }
        }
    }

    pub(crate) fn sync_all(&mut self) {
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        self.heal(&names);
    }

    pub(crate) fn all_agree(&self) {
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        self.agree(&names);
    }

    pub(crate) fn agree(&self, sites: &[&str]) {
        let first = self.at(sites[0]);
        for name in sites {
            assert!(self.at(name).view().kept() == first.view().kept(), "{name} sees something else");
            assert!(self.at(name).trust() == first.trust(), "{name} trusts otherwise");
            assert!(self.at(name).is_view_sound());
        }
    }
}

//! The kit: a root, authorities and sites, each with its ledger, its disk and its own idea of time; what passes between
//! them passes as bytes. [`Islands`] owns all of it; who syncs with whom is up to the story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::identity::{NodeKey, NodeSecret};
use protocol::ledger::{Bytes, Entry, Identity, Ledger, Reception, Say};
use protocol::record::value::{Pushed, Settings, TagMode};
use protocol::record::{
    Action, Draft, Held, HybridTime, Incarnation, Kind, Parcel, Position, Record, RecordId, RecordKey, RecordSet,
    Records, ScopeId,
};
use protocol::trust::{
    Compromise, Endorsement, Grant, Handshake, IdBlock, Lists, MAX_ENDORSED, Over, Revocation, Right, Target, Trust,
    Verdict, Void, list_digest,
};
use protocol::view::{Topic, TopicView};
use protocol::{ContentRoot, Digest, RepositoryName, Tag, Timestamp};

use crate::Rng;

pub(super) const DAY: u64 = 86_400_000;
pub(super) const YEAR: u64 = 365 * DAY;
/// When every story begins: some day in 2026.
pub(super) const START: u64 = 1_795_000_000_000;

/// What a site takes for the time.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    /// The true time, and so many milliseconds more.
    Off(i64),
    /// No battery: 1970 at this moment.
    Booted(u64),
}

/// A site: what it knows, and what of that would survive a crash.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) ledger: Ledger,
    identity: Identity,
    disk: Vec<Entry>,
    pub(super) clock: Clock,
}

/// All sites of a mesh.
pub(super) struct Islands {
    sites: BTreeMap<&'static str, Site>,
    /// The true time.
    pub(super) now: u64,
    lives: u64,
}

/// A record as a captured node writes it: whatever it likes.
pub(super) struct Forged<'a> {
    pub(super) topic: Topic,
    pub(super) value: Option<&'a [u8]>,
    pub(super) at: u64,
    pub(super) place: (u64, u64),
    pub(super) prev: Vec<RecordId>,
}

/// Everything that was written, to be told again.
pub(super) struct Story {
    root: NodeKey,
    held: Vec<Held>,
    now: Timestamp,
    shuffles: u64,
}

pub(super) fn secret(name: &str) -> NodeSecret {
    NodeSecret::from_seed(*blake3::hash(name.as_bytes()).as_bytes())
}

pub(super) fn key(name: &str) -> NodeKey {
    secret(name).key()
}

pub(super) fn repository() -> RepositoryName {
    "app/web".parse().unwrap()
}

pub(super) fn image(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

pub(super) fn tag_topic(scope: ScopeId, tag: &str) -> Topic {
    let tag: Tag = tag.parse().unwrap();
    Topic { scope, kind: Kind::TAG, key: RecordKey::tag(&repository(), &tag) }
}

pub(super) fn manifest_topic(scope: ScopeId, digest: &Digest) -> Topic {
    Topic { scope, kind: Kind::MANIFEST, key: RecordKey::manifest(&repository(), digest) }
}

/// What a tag names.
pub(super) fn named(ledger: &Ledger, scope: ScopeId, tag: &str) -> Option<Digest> {
    ledger.tagged(scope, &repository(), &tag.parse().unwrap())
}

pub(super) fn view_of(ledger: &Ledger, scope: ScopeId, tag: &str) -> TopicView {
    ledger.view().topic(&tag_topic(scope, tag))
}

/// Why a record is void at a site; `None`: it counts.
pub(super) fn void(ledger: &Ledger, id: &RecordId) -> Option<Void> {
    let record = ledger.set().get(id).expect("it is in the set").record;
    let topic = Topic::of(&record).expect("it is of a known kind");
    let standing = ledger.view().versions(ledger.set(), &topic).into_iter().find(|version| version.rank.id == *id);
    standing.expect("it is in the view").void
}

/// Every void record of a site.
pub(super) fn voids(ledger: &Ledger) -> BTreeMap<RecordId, Void> {
    let topics: BTreeSet<Topic> = ledger.set().iter().filter_map(|held| Topic::of(&held.record)).collect();
    topics.iter().flat_map(|topic| ledger.view().voids(ledger.set(), topic)).collect()
}

pub(super) fn pushed(size: u64, children: &[Digest]) -> Pushed {
    Pushed {
        media_type: protocol::MediaType::from_header("application/vnd.oci.image.manifest.v1+json").unwrap(),
        size,
        root: ContentRoot([3; 32]),
        children: children.to_vec(),
        subject: None,
        blobs: Vec::new(),
    }
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
    pub(super) fn new() -> Self {
        let mut islands = Self { sites: BTreeMap::new(), now: START, lives: 1000 };
        islands.found("root", RecordId::NONE);
        for authority in ["north", "south"] {
            use Action::{Administer, Delete, Hold, Issue, Push, Tag};
            islands.admit("root", authority, &[Hold, Push, Tag, Delete, Administer, Issue]);
        }
        islands
    }

    /// Those, a project `app` made at the root, and sites that know of it, admitted by `north`.
    pub(super) fn with_project(sites: &[&'static str]) -> (Self, ScopeId) {
        let mut islands = Self::new();
        let scope = islands.project("root", 7);
        for site in sites {
            islands.site(site);
        }
        islands.sync_all();
        (islands, scope)
    }

    /// An ordinary site.
    pub(super) fn site(&mut self, name: &'static str) {
        use Action::{Administer, Delete, Hold, Push, Tag};
        self.admit("north", name, &[Hold, Push, Tag, Delete, Administer]);
    }

    pub(super) fn admit(&mut self, by: &'static str, name: &'static str, actions: &[Action]) {
        let grant = self.grant(by, name, actions);
        self.found(name, grant);
        self.sync(by, name);
    }

    /// Grants for 180 days.
    pub(super) fn grant(&mut self, by: &'static str, name: &'static str, actions: &[Action]) -> RecordId {
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
    pub(super) fn found(&mut self, name: &'static str, grant: RecordId) {
        let identity = Identity { secret: secret(name), root: key("root"), grant };
        let mut ledger = Ledger::open(identity.clone(), [], self.life());
        let disk = ledger.entries();
        self.sites.insert(name, Site { ledger, identity, disk, clock: Clock::Off(0) });
    }

    fn life(&mut self) -> Incarnation {
        self.lives += 1;
        Incarnation(self.lives.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn at(&self, name: &str) -> &Ledger {
        &self.sites[name].ledger
    }

    pub(super) fn site_mut(&mut self, name: &str) -> &mut Site {
        self.sites.get_mut(name).expect("there is such a site")
    }

    /// What a virtual machine's snapshot holds.
    pub(super) fn snapshot(&self, name: &str) -> Site {
        self.sites[name].clone()
    }

    pub(super) fn put(&mut self, name: &'static str, site: Site) {
        self.sites.insert(name, site);
    }

    /// Time passes, everywhere.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        for name in names {
            self.wake(name);
        }
    }

    pub(super) fn wake(&mut self, name: &str) -> Vec<RecordId> {
        let now = self.now_at(name);
        let site = self.site_mut(name);
        let taken = site.ledger.wake(now);
        site.disk.extend(site.ledger.entries());
        taken
    }

    pub(super) fn now_at(&self, name: &str) -> Timestamp {
        Timestamp(match self.sites[name].clock {
            Clock::Off(ms) => self.now.saturating_add_signed(ms),
            Clock::Booted(at) => self.now - at,
        })
    }

    /// Does something at a site, a moment later, as the node would: in a new life where one must begin, and durably.
    pub(super) fn act<T>(&mut self, name: &str, act: impl FnOnce(&mut Ledger, Timestamp) -> T) -> T {
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
    pub(super) fn crash(&mut self, name: &str) {
        self.blink(name);
        self.pass(120_000);
    }

    /// The same, but back at once.
    pub(super) fn blink(&mut self, name: &str) {
        let life = self.life();
        let site = self.site_mut(name);
        site.ledger = Ledger::open(site.identity.clone(), site.disk.clone(), life);
        site.disk.extend(site.ledger.entries());
    }

    /// Its clock is put right.
    pub(super) fn set_clock(&mut self, name: &str) -> Vec<RecordId> {
        self.site_mut(name).clock = Clock::Off(0);
        let (life, now) = (self.life(), Timestamp(self.now));
        let site = self.site_mut(name);
        let again = site.ledger.step_back(life, now);
        site.disk.extend(site.ledger.entries());
        again
    }

    /// A new grant takes the place of the old.
    pub(super) fn renew(&mut self, name: &str, grant: RecordId) {
        let site = self.site_mut(name);
        site.identity.grant = grant;
        site.ledger.renew(grant);
    }

    /// A site is no more, and neither is its disk.
    pub(super) fn lose(&mut self, name: &str) {
        self.sites.remove(name);
    }

    /// How a site receives another.
    pub(super) fn handshake(&self, at: &str, who: &str) -> Handshake {
        let ledger = self.at(at);
        ledger.trust().handshake(&key(who), self.now_at(at), ledger.is_flagged(&key(who)))
    }

    /// Two sites meet: each says how far it knows the other, and hands over what the other lacks. Returns what was sent
    /// back for its time.
    pub(super) fn sync(&mut self, a: &str, b: &str) -> Vec<RecordId> {
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
    pub(super) fn send(&mut self, from: &str, to: &str) -> Vec<RecordId> {
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
    pub(super) fn fetch(&mut self, to: &str, from: &str, id: &RecordId) -> Reception {
        let held = self.at(from).set().get(id).expect("it is there");
        let (record, value) = over_the_wire(&held);
        self.act(to, |ledger, now| ledger.take(record, value, now))
    }

    /// All of these meet, until each knows what any of them knew.
    pub(super) fn heal(&mut self, sites: &[&str]) {
        let (first, others) = sites.split_first().expect("a site");
        for _ in 0..2 {
            for other in others {
                self.sync(first, other);
            }
        }
    }

    pub(super) fn sync_all(&mut self) {
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        self.heal(&names);
    }

    pub(super) fn all_agree(&self) {
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        self.agree(&names);
    }

    pub(super) fn agree(&self, sites: &[&str]) {
        let first = self.at(sites[0]);
        for name in sites {
            assert!(self.at(name).view().kept() == first.view().kept(), "{name} sees something else");
            assert!(self.at(name).trust() == first.trust(), "{name} trusts otherwise");
            assert!(self.at(name).is_view_sound());
        }
    }

    pub(super) fn project(&mut self, at: &'static str, nonce: u8) -> ScopeId {
        let settings = Settings {
            public: true,
            sparse: false,
            created: Timestamp(self.now),
            mode: TagMode::Converge,
            epoch: 0,
            reopens: None,
        };
        let name = "app".parse().unwrap();
        self.act(at, |ledger, now| ledger.create_project(&name, [nonce; 16], settings, "admin", now)).unwrap()
    }

    /// Pushes nothing but a tag.
    pub(super) fn tag(&mut self, at: &str, scope: ScopeId, tag: &str, content: &str) -> RecordId {
        let (tag, digest) = (tag.parse().unwrap(), image(content));
        self.act(at, |ledger, now| ledger.tag(scope, &repository(), &tag, Some(digest), "ci", now)).unwrap()
    }

    pub(super) fn untag(&mut self, at: &str, scope: ScopeId, tag: &str) -> RecordId {
        let tag = tag.parse().unwrap();
        self.act(at, |ledger, now| ledger.tag(scope, &repository(), &tag, None, "ci", now)).unwrap()
    }

    pub(super) fn push(&mut self, at: &str, scope: ScopeId, content: &str, pushed: &Pushed) -> RecordId {
        let digest = image(content);
        self.act(at, |ledger, now| ledger.push(scope, &repository(), &digest, pushed, "ci", now)).unwrap()
    }

    pub(super) fn mode(&mut self, at: &str, scope: ScopeId, mode: TagMode) -> RecordId {
        self.act(at, |ledger, now| ledger.set_mode(scope, mode, "admin", now)).unwrap()
    }

    /// A record outside the rules of writing, signed by the node all the same; it holds it then.
    pub(super) fn forge(&mut self, by: &'static str, forged: Forged<'_>) -> RecordId {
        let held = self.forged(by, forged);
        let now = self.now_at(by);
        let site = self.site_mut(by);
        site.ledger.take(held.record.clone(), held.value, now);
        site.disk.extend(site.ledger.entries());
        held.record.id()
    }

    pub(super) fn forged(&self, by: &'static str, forged: Forged<'_>) -> Held {
        let Topic { scope, kind, key } = forged.topic;
        let draft = Draft {
            scope,
            time: HybridTime::at(Timestamp(forged.at)),
            kind,
            key,
            value: forged.value,
            position: Position { incarnation: Incarnation(forged.place.0), seq: forged.place.1 },
            grant: self.sites[by].identity.grant,
            actor: "mallory",
            prev: forged.prev,
        };
        let record = draft.sign(&secret(by)).unwrap();
        Held { record, value: forged.value.map(Arc::from) }
    }

    pub(super) fn revoke(&mut self, by: &str, who: &str, verdict: Verdict) -> RecordId {
        let revocation = Revocation { target: Target::Node(key(who)), verdict };
        self.act(by, |ledger, now| ledger.revoke(&revocation, "admin", now)).unwrap()
    }

    /// Writes endorsement lists of these records, and what a verdict says of them.
    pub(super) fn endorse(
        &mut self,
        by: &str,
        who: &str,
        scope: ScopeId,
        records: &[RecordId],
    ) -> (Vec<RecordId>, Lists) {
        let mut records = records.to_vec();
        records.sort_unstable();
        let list = self.now;
        let mut parts: Vec<Vec<RecordId>> = records.chunks(MAX_ENDORSED).map(<[RecordId]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let write = |islands: &mut Self, records| {
            let endorsement = Endorsement { node: key(who), list, records };
            islands.act(by, |ledger, now| ledger.endorse(scope, &endorsement, "admin", now)).unwrap()
        };
        let ids: Vec<RecordId> = parts.into_iter().map(|records| write(self, records)).collect();
        let lists = Lists { by: key(by), list, count: u32::try_from(ids.len()).unwrap(), digest: list_digest(&ids) };
        (ids, lists)
    }

    pub(super) fn compromised(
        &mut self,
        by: &str,
        who: &str,
        scopes: impl IntoIterator<Item = (ScopeId, Lists)>,
        endorsers: &[&str],
    ) -> RecordId {
        let endorsers = endorsers.iter().map(|name| key(name)).collect();
        let compromise = Compromise { since: Timestamp(self.now), scopes: scopes.into_iter().collect(), endorsers };
        self.revoke(by, who, Verdict::Compromised(compromise))
    }

    /// What this node wrote in a scope, as far as a site holds it.
    pub(super) fn written_by(&self, at: &str, who: &str, scope: ScopeId) -> Vec<RecordId> {
        let own = |held: &&Held| held.record.author() == key(who) && held.record.scope() == scope;
        self.at(at).set().iter().filter(own).map(|held| held.record.id()).collect()
    }

    pub(super) fn act_value<T: serde::Serialize>(&mut self, at: &str, topic: &Topic, value: &T) -> RecordId {
        let say = Say::value(topic.scope, topic.kind, topic.key.clone(), value, "admin");
        self.act(at, |ledger, now| ledger.write(say, now)).unwrap()
    }

    /// All that any site holds.
    pub(super) fn story(&self) -> Story {
        let names: Vec<&'static str> = self.sites.keys().copied().collect();
        self.story_of(&names)
    }

    pub(super) fn story_of(&self, sites: &[&str]) -> Story {
        let mut all = RecordSet::default();
        for held in sites.iter().flat_map(|name| self.at(name).set().iter()) {
            let (record, value) = over_the_wire(held);
            all.insert(record, value).unwrap();
        }
        let mut held: Vec<Held> = all.iter().cloned().collect();
        held.sort_by_key(|held| (held.record.time(), held.record.id()));
        Story { root: key("root"), held, now: Timestamp(self.now).plus(Duration::from_secs(1)), shuffles: 40 }
    }
}

impl Story {
    /// For stories of thousands of records.
    pub(super) fn shuffled_only(self, times: u64) -> Self {
        Self { shuffles: times, ..self }
    }

    fn newcomer(&self) -> Ledger {
        let identity = Identity { secret: secret("a newcomer"), root: self.root, grant: RecordId::NONE };
        Ledger::open(identity, [], Incarnation(1))
    }

    fn deliver(&self, to: &mut Ledger, held: &Held) {
        let reception = to.take(held.record.clone(), held.value.clone(), self.now);
        assert!(matches!(reception, Reception::Taken | Reception::Waits(_)), "{reception:?}");
        to.wake(self.now);
    }

    /// Tells the story to newcomers in every order of what matters (all of them up to six records, else 200), after the
    /// rest; then 40 times with everything shuffled, grants and all, and a crash on the way. All see the same in the end,
    /// which `check` looks at.
    pub(super) fn in_every_order(&self, matter: &[RecordId], check: impl FnMut(&Ledger)) {
        self.in_every_order_watched(matter, |_| {}, check);
    }

    /// The same, with a look after every step in which one of those that matter came.
    pub(super) fn in_every_order_watched(
        &self,
        matter: &[RecordId],
        mut watch: impl FnMut(&Ledger),
        mut check: impl FnMut(&Ledger),
    ) {
        let trust = Trust::evaluate(self.root, &self.held);
        let mut first: Option<Ledger> = None;
        let mut finish = |ledger: Ledger, how: &dyn std::fmt::Debug| {
            assert_eq!((ledger.set().len(), ledger.waiting().len()), (self.held.len(), 0), "all is in: {how:?}");
            check(&ledger);
            let first = first.get_or_insert_with(|| ledger.clone());
            assert!(first.view().kept() == ledger.view().kept(), "another view: {how:?}");
            assert!(trust == *ledger.trust(), "other trust: {how:?}");
        };
        let (free, fixed): (Vec<&Held>, Vec<&Held>) =
            self.held.iter().partition(|held| matter.contains(&held.record.id()));
        assert_eq!(free.len(), matter.len(), "what matters is a part of the story");
        let mut base = self.newcomer();
        fixed.iter().for_each(|held| self.deliver(&mut base, held));
        for (n, order) in orders(free.len()).into_iter().enumerate() {
            let mut ledger = base.clone();
            for &at in &order {
                self.deliver(&mut ledger, free[at]);
                watch(&ledger);
                assert!(n % 32 != 0 || ledger.is_view_sound(), "unsound: {order:?}");
            }
            finish(ledger, &order);
        }
        for seed in 0..self.shuffles {
            finish(self.shuffled(seed), &seed);
        }
    }

    fn shuffled(&self, seed: u64) -> Ledger {
        let mut rng = Rng::from_seed(seed);
        let mut all: Vec<&Held> = self.held.iter().collect();
        rng.shuffle(&mut all);
        let (crash, often) = (rng.index(all.len()), 4.max(all.len() / 8));
        let mut ledger = self.newcomer();
        for (at, held) in all.into_iter().enumerate() {
            self.deliver(&mut ledger, held);
            assert!(seed >= 4 || at % often != 0 || ledger.is_view_sound(), "unsound: {seed}");
            if at == crash {
                let disk = ledger.entries();
                let identity = Identity { secret: secret("a newcomer"), root: self.root, grant: RecordId::NONE };
                ledger = Ledger::open(identity, disk, Incarnation(2));
                assert!(ledger.is_view_sound(), "unsound after a crash: {seed}");
            }
        }
        assert!(ledger.is_view_sound());
        ledger
    }
}

/// All orders of so few, or 200 of them.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..count).collect();
    if count > 6 {
        let shuffled = |seed| {
            let mut order = all.clone();
            Rng::from_seed(seed).shuffle(&mut order);
            order
        };
        return (0..200).map(shuffled).collect();
    }
    let mut orders = vec![Vec::new()];
    for _ in 0..count {
        let longer = |order: Vec<usize>| -> Vec<Vec<usize>> {
            let rest = all.iter().filter(|at| !order.contains(at));
            rest.map(|at| order.iter().copied().chain([*at]).collect()).collect()
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

#[test]
fn few_records_come_in_all_orders() {
    assert_eq!((orders(0).len(), orders(4).len(), orders(6).len(), orders(7).len()), (1, 24, 720, 200));
}

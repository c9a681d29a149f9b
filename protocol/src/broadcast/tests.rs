//! Sites in a small network with a clock of its own; then neighbours that do wrong, one guard each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::Timestamp;
use crate::draw::Draw;
use crate::identity::NodeSecret;
use crate::record::{Draft, HybridTime, Incarnation, Kind, Position, Record, RecordKey};
use crate::roster::{Audience, Place, Roster};

const OPEN: ScopeId = ScopeId([1; 32]);
const CLOSED: ScopeId = ScopeId([2; 32]);

fn key(number: u8) -> NodeKey {
    NodeKey([number; 32])
}

/// Everyone may hold what is open; of the closed scope, those below `insiders`.
struct Grants {
    me: NodeKey,
    insiders: u8,
    metered: Option<NodeKey>,
}

impl Grants {
    fn of(number: u8) -> Self {
        Self { me: key(number), insiders: 3, metered: None }
    }
}

impl Roster for Grants {
    fn me(&self) -> NodeKey {
        self.me
    }

    fn place(&self, site: &NodeKey) -> Option<Place> {
        let is_metered = self.metered == Some(*site);
        Some(Place { region: Arc::from("here"), uplink: None, is_authority: false, is_metered })
    }

    fn count(&self) -> usize {
        100
    }

    fn nth(&self, number: usize) -> Option<NodeKey> {
        u8::try_from(number).ok().map(key)
    }

    fn audiences(&self) -> &[Audience] {
        &[]
    }

    fn audience_of(&self, scope: &ScopeId) -> u64 {
        u64::from(*scope == CLOSED)
    }

    fn may_hold(&self, site: &NodeKey, scope: &ScopeId) -> bool {
        *scope == OPEN || *scope == CLOSED && site.0[0] < self.insiders
    }
}

fn record(number: u64, scope: ScopeId, kind: Kind, size: usize) -> (Record, Vec<u8>) {
    let value = vec![7; size];
    let draft = Draft {
        scope,
        time: HybridTime::at(Timestamp(1_800_000_000_000 + number)),
        kind,
        key: RecordKey::hash(blake3::hash(&number.to_le_bytes()).as_bytes()),
        value: Some(&value),
        position: Position { incarnation: Incarnation(1), seq: number + 1 },
        grant: RecordId([3; 32]),
        actor: "admin",
        prev: Vec::new(),
    };
    (draft.sign(&NodeSecret::from_seed([5; 32])).unwrap(), value)
}

fn notice(record: &Record, value: &[u8]) -> Notice {
    let bytes = u32::try_from(record.as_bytes().len() + value.len()).unwrap();
    let urgent = record.body().unwrap().kind.is_urgent();
    Notice { id: record.id(), scope: record.scope(), bytes, urgent }
}

#[derive(Default)]
struct Store(BTreeMap<Short, (Notice, Sheet)>);

impl Store {
    fn put(&mut self, record: &Record, value: Vec<u8>) -> Notice {
        let notice = notice(record, &value);
        let sheet = Sheet { record: record.as_bytes().to_vec(), value: Some(value) };
        self.0.insert(Short::of(&record.id()), (notice, sheet));
        notice
    }
}

impl Held for Store {
    fn find(&self, short: &Short) -> Option<Notice> {
        self.0.get(short).map(|(notice, _)| *notice)
    }
}

const NOTHING: Duration = Duration::ZERO;

fn one_site(peers: &[u8]) -> (Broadcast, Grants, Store) {
    let grants = Grants::of(0);
    let mut broadcast = Broadcast::new(Plan::usual(), [9; 32]);
    for peer in peers {
        broadcast.up(key(*peer), NOTHING, &grants);
    }
    (broadcast, grants, Store::default())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are not looked for")]
fn pushes(effects: &[Effect]) -> Vec<(NodeKey, Vec<RecordId>, bool)> {
    let push = |effect: &Effect| match effect {
        Effect::Push { to, records, urgent } => Some((*to, records.clone(), *urgent)),
        _ => None,
    };
    effects.iter().filter_map(push).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are not looked for")]
fn messages(effects: &[Effect]) -> Vec<(NodeKey, Message)> {
    let send = |effect: &Effect| match effect {
        Effect::Send { to, bytes } => Some((*to, Message::decode(bytes).unwrap())),
        _ => None,
    };
    effects.iter().filter_map(send).collect()
}

fn push_of(store: &Store, ids: &[RecordId], urgent: bool) -> Vec<u8> {
    let sheets = ids.iter().map(|id| store.0[&Short::of(id)].1.clone()).collect();
    Message::Push { urgent, sheets }.encode()
}

// One site.

#[test]
fn a_record_goes_to_those_who_may_have_it_and_to_nobody_else() {
    let (mut broadcast, grants, mut store) = one_site(&[1, 2, 3, 4]);
    let (closed, value) = record(1, CLOSED, Kind::TAG, 40);
    let notice = store.put(&closed, value);
    let effects = broadcast.took(&[notice], Came::Here, NOTHING, &grants);
    let told: BTreeSet<NodeKey> = pushes(&effects).into_iter().map(|(to, ..)| to).collect();
    assert_eq!(told, BTreeSet::from([key(1), key(2)]));
    // Later, too: nothing of it is announced to the others.
    let later = broadcast.tick(&store, Duration::from_secs(5), &grants);
    assert!(messages(&later).is_empty(), "{later:?}");
}

#[test]
fn knowing_a_name_is_no_right() {
    let (mut broadcast, grants, mut store) = one_site(&[1, 5]);
    let (closed, value) = record(1, CLOSED, Kind::TAG, 40);
    store.put(&closed, value);
    let want = Message::Want(vec![Short::of(&closed.id()), Short([0; 16])]).encode();
    assert!(broadcast.receive(key(5), &want, &store, NOTHING, &grants).is_empty());
    assert_eq!(pushes(&broadcast.receive(key(1), &want, &store, NOTHING, &grants)).len(), 1);
}

#[test]
fn what_is_urgent_overtakes_and_goes_to_all() {
    let (mut broadcast, grants, mut store) = one_site(&[1]);
    // The connection is full of ordinary records.
    broadcast.hold(&key(1), Duration::from_secs(60));
    let notices: Vec<Notice> = (0..100)
        .map(|number| {
            let (tag, value) = record(number, OPEN, Kind::TAG, 40);
            store.put(&tag, value)
        })
        .collect();
    assert!(pushes(&broadcast.took(&notices, Came::Here, NOTHING, &grants)).is_empty());
    let (denial, value) = record(1000, OPEN, Kind::DENIAL, 40);
    let denial = store.put(&denial, value);
    // Even when it came by reconciliation, and over links that were asked to stop.
    let prune = Message::Prune(Short::of(&notices[0].id)).encode();
    broadcast.receive(key(1), &prune, &store, NOTHING, &grants);
    let effects = broadcast.took(&[denial], Came::Reconciled(key(9)), NOTHING, &grants);
    assert_eq!(pushes(&effects), [(key(1), vec![denial.id], true)]);
}

#[test]
fn what_is_large_is_announced_and_asked_for_once() {
    let (mut broadcast, grants, mut store) = one_site(&[1, 2]);
    let (large, value) = record(1, OPEN, Kind::MANIFEST, 20_000);
    let short = Short::of(&large.id());
    let offer = Message::Announce { pushed: false, records: vec![short] }.encode();
    let first = broadcast.receive(key(1), &offer, &store, NOTHING, &grants);
    assert_eq!(messages(&first), [(key(1), Message::Want(vec![short]))]);
    assert!(broadcast.receive(key(2), &offer, &store, NOTHING, &grants).is_empty(), "it was asked for already");
    // The first does not answer: the second is asked.
    let later = broadcast.tick(&store, Duration::from_secs(2), &grants);
    assert_eq!(messages(&later), [(key(2), Message::Want(vec![short]))]);
    let notice = store.put(&large, value);
    broadcast.took(&[notice], Came::Pushed(key(2)), Duration::from_secs(2), &grants);
    assert_eq!(broadcast.wanted(), 0);
}

#[test]
fn links_that_bring_copies_in_vain_are_asked_to_stop_but_for_the_feeds() {
    let peers = [1, 2, 3, 4, 5, 6, 7];
    let (mut broadcast, grants, mut store) = one_site(&peers);
    let mut stopped = BTreeSet::new();
    for number in 0..60 {
        let (tag, value) = record(number, OPEN, Kind::TAG, 40);
        let now = Duration::from_millis(number * 300);
        // The first brings it, all others bring it again.
        for peer in peers {
            if stopped.contains(&key(peer)) {
                continue;
            }
            let sheets = vec![Sheet { record: tag.as_bytes().to_vec(), value: Some(value.clone()) }];
            let push = Message::Push { urgent: false, sheets }.encode();
            let mut effects = broadcast.receive(key(peer), &push, &store, now, &grants);
            if effects.iter().any(|effect| matches!(effect, Effect::Deliver { .. })) {
                let notice = store.put(&tag, value.clone());
                effects.extend(broadcast.took(&[notice], Came::Pushed(key(peer)), now, &grants));
            }
            let prune = |(to, message): &(NodeKey, Message)| matches!(message, Message::Prune(_)).then_some(*to);
            stopped.extend(messages(&effects).iter().filter_map(prune));
        }
    }
    assert_eq!(stopped.len(), peers.len() - Plan::usual().feeds);
    assert!(!stopped.contains(&key(1)), "the one that is first feeds on");
}

#[test]
fn a_feed_that_falls_silent_is_replaced() {
    let (mut broadcast, grants, mut store) = one_site(&[1, 2, 3, 4]);
    let bring = |broadcast: &mut Broadcast, store: &mut Store, number: u64, peers: &[u8]| {
        let (tag, value) = record(number, OPEN, Kind::TAG, 40);
        let now = Duration::from_millis(number * 200);
        let mut effects = Vec::new();
        for peer in peers {
            let sheets = vec![Sheet { record: tag.as_bytes().to_vec(), value: Some(value.clone()) }];
            let push = Message::Push { urgent: false, sheets }.encode();
            effects.extend(broadcast.receive(key(*peer), &push, store, now, &grants));
            if store.find(&Short::of(&tag.id())).is_none() {
                let notice = store.put(&tag, value.clone());
                effects.extend(broadcast.took(&[notice], Came::Pushed(key(*peer)), now, &grants));
            }
        }
        effects.extend(broadcast.tick(store, now, &grants));
        messages(&effects)
    };
    let mut said = Vec::new();
    (0..20).for_each(|number| said.extend(bring(&mut broadcast, &mut store, number, &[1, 2, 3, 4])));
    // One is asked to stop, and asked again as it goes on.
    let stopped = said.iter().filter(|(_, message)| matches!(message, Message::Prune(_))).map(|(peer, _)| *peer);
    let stopped: BTreeSet<NodeKey> = stopped.collect();
    assert_eq!(stopped.len(), 1, "{said:?}");
    let idle = *stopped.first().unwrap();
    // All feeds but one fall silent.
    let feed = [1, 2, 3, 4].into_iter().find(|peer| key(*peer) != idle).unwrap();
    let mut said = Vec::new();
    (20..120).for_each(|number| said.extend(bring(&mut broadcast, &mut store, number, &[feed])));
    assert!(said.iter().any(|(to, message)| *to == idle && matches!(message, Message::Graft(_))), "{said:?}");
}

// Neighbours that do wrong.

#[test]
fn who_announces_what_it_does_not_send_is_found_out_and_bounded() {
    let (mut broadcast, grants, store) = one_site(&[1]);
    let (mut failed, mut met) = (false, false);
    for round in 0..20_u64 {
        let lies = (0..512_u64).map(|number| {
            let mut short = [0; 16];
            short[..8].copy_from_slice(&(round * 512 + number).to_le_bytes());
            Short(short)
        });
        let news = Message::Announce { pushed: true, records: lies.collect() }.encode();
        let now = Duration::from_secs(round * 3);
        let effects = broadcast.receive(key(1), &news, &store, now, &grants);
        met |= effects.iter().any(|effect| matches!(effect, Effect::Meet(_)));
        assert!(broadcast.wanted() <= MAX_WANTED);
        let effects = broadcast.tick(&store, now + Duration::from_secs(2), &grants);
        failed |= effects.iter().any(|effect| matches!(effect, Effect::Failed(_, Fault::Unanswered)));
    }
    assert!(failed, "it never sent one");
    assert!(!met || failed);
}

#[test]
fn a_flood_of_records_is_read_more_slowly_and_a_revocation_is_not() {
    let (mut broadcast, grants, mut store) = one_site(&[1]);
    let (tag, value) = record(1, OPEN, Kind::TAG, 4000);
    store.put(&tag, value);
    let flood = push_of(&store, &[tag.id(); 20], false);
    let mut paused = None;
    for _ in 0..100 {
        for effect in broadcast.receive(key(1), &flood, &store, NOTHING, &grants) {
            if let Effect::Pause { until, .. } = effect {
                paused = Some(until);
            }
        }
    }
    // 8 MB came at once, of which four seconds' worth were let in: it is owed at 1 MiB a second.
    let until = paused.unwrap();
    assert!(until > Duration::from_secs(3) && until < Duration::from_secs(6), "{until:?}");
    let (denial, value) = record(2, OPEN, Kind::DENIAL, 40);
    let mut other = Store::default();
    other.put(&denial, value);
    let effects = broadcast.receive(key(1), &push_of(&other, &[denial.id()], true), &store, NOTHING, &grants);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Deliver { .. })));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Pause { .. })));
}

#[test]
fn a_neighbour_that_takes_nothing_costs_bounded_room_and_is_met_later() {
    let (mut broadcast, grants, mut store) = one_site(&[1]);
    broadcast.hold(&key(1), Duration::from_secs(100));
    let mut met = 0;
    for number in 0..3 * MAX_QUEUE as u64 {
        let (tag, value) = record(number, OPEN, Kind::TAG, 1);
        let notice = store.put(&tag, value);
        let effects = broadcast.took(&[notice], Came::Here, NOTHING, &grants);
        assert!(effects.is_empty());
    }
    let mut sent = 0;
    for second in 100..200 {
        let effects = broadcast.tick(&store, Duration::from_secs(second), &grants);
        sent += pushes(&effects).iter().map(|(_, records, _)| records.len()).sum::<usize>();
        met += effects.iter().filter(|effect| matches!(effect, Effect::Meet(_))).count();
    }
    assert_eq!((sent, met), (MAX_QUEUE, 1));
}

#[test]
fn what_waits_for_a_neighbour_that_lost_its_right_is_forgotten() {
    let (mut broadcast, mut grants, mut store) = one_site(&[1, 2]);
    broadcast.hold(&key(2), Duration::from_secs(10));
    let (closed, value) = record(1, CLOSED, Kind::TAG, 40);
    let notice = store.put(&closed, value);
    broadcast.took(&[notice], Came::Here, NOTHING, &grants);
    grants.insiders = 2;
    broadcast.roster_changed(&store, &grants);
    let effects = broadcast.tick(&store, Duration::from_secs(11), &grants);
    assert!(pushes(&effects).is_empty() && messages(&effects).is_empty(), "{effects:?}");
}

#[test]
fn a_record_for_others_is_neither_kept_nor_spoken_of() {
    let mut grants = Grants::of(7);
    grants.insiders = 3;
    let mut broadcast = Broadcast::new(Plan::usual(), [9; 32]);
    broadcast.up(key(1), NOTHING, &grants);
    let mut theirs = Store::default();
    let (closed, value) = record(1, CLOSED, Kind::TAG, 40);
    theirs.put(&closed, value);
    let push = push_of(&theirs, &[closed.id()], false);
    for _ in 0..10 {
        assert!(broadcast.receive(key(1), &push, &Store::default(), NOTHING, &grants).is_empty());
    }
}

#[test]
fn nonsense_fails_its_sender() {
    let (mut broadcast, grants, store) = one_site(&[1]);
    let broken = Sheet { record: vec![1, 2, 3], value: None };
    let cases = [
        (b"nonsense".to_vec(), Fault::Message),
        (vec![0; MAX_MESSAGE + 1], Fault::Message),
        (Message::Want(vec![Short([1; 16]); MAX_IDS + 1]).encode(), Fault::Message),
        (Message::Announce { pushed: true, records: Vec::new() }.encode(), Fault::Message),
        (Message::Push { urgent: false, sheets: vec![broken] }.encode(), Fault::Record),
    ];
    for (bytes, fault) in cases {
        let effects = broadcast.receive(key(1), &bytes, &store, NOTHING, &grants);
        let failed = |effect: &Effect| matches!(effect, Effect::Failed(peer, why) if *peer == key(1) && *why == fault);
        assert!(effects.iter().any(failed), "{fault:?}: {effects:?}");
    }
}

#[test]
fn a_copy_that_was_refused_does_not_keep_a_good_one_out() {
    let (mut broadcast, grants, mut store) = one_site(&[1, 2]);
    let (tag, value) = record(1, OPEN, Kind::TAG, 40);
    store.put(&tag, value);
    let push = push_of(&store, &[tag.id()], false);
    let delivers = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Deliver { .. }));
    let empty = Store::default();
    assert!(delivers(&broadcast.receive(key(1), &push, &empty, NOTHING, &grants)));
    assert!(!delivers(&broadcast.receive(key(2), &push, &empty, NOTHING, &grants)), "it is on its way");
    broadcast.refused(&tag.id());
    assert!(delivers(&broadcast.receive(key(2), &push, &empty, NOTHING, &grants)));
    // An owner that never answers for it does not keep it out for ever.
    let later = Duration::from_secs(60);
    assert!(delivers(&broadcast.receive(key(1), &push, &empty, later, &grants)));
}

// Many sites.

/// When, which, from, to, what.
type Flying = (Duration, u64, u8, u8, Vec<u8>);

/// Delivers in the order of time, with delay and loss; links are those of a ring with chords.
struct Group {
    sites: Vec<(Broadcast, Grants, Store)>,
    links: Vec<(u8, u8)>,
    queue: BinaryHeap<Reverse<Flying>>,
    draw: Draw,
    loss: usize,
    sent: u64,
}

impl Group {
    fn new(count: u8, loss: usize, seed: u8) -> Self {
        let mut draw = Draw::new([seed; 32]);
        let mut links = BTreeSet::new();
        for number in 0..count {
            links.insert((number.min((number + 1) % count), number.max((number + 1) % count)));
            for _ in 0..3 {
                let other = u8::try_from(draw.below(count.into())).unwrap();
                if other != number {
                    links.insert((number.min(other), number.max(other)));
                }
            }
        }
        let mut sites: Vec<_> = (0..count)
            .map(|number| {
                let grants = Grants { insiders: count / 2, ..Grants::of(number) };
                (Broadcast::new(Plan::usual(), [number; 32]), grants, Store::default())
            })
            .collect();
        for (a, b) in &links {
            for (at, peer) in [(a, b), (b, a)] {
                let (broadcast, grants, _) = &mut sites[usize::from(*at)];
                broadcast.up(key(*peer), NOTHING, grants);
            }
        }
        Self { sites, links: links.into_iter().collect(), queue: BinaryHeap::new(), draw, loss, sent: 0 }
    }

    fn carry_out(&mut self, at: u8, effects: Vec<Effect>, now: Duration) {
        for effect in effects {
            let (to, bytes) = match effect {
                Effect::Push { to, records, urgent } => (to, push_of(&self.sites[usize::from(at)].2, &records, urgent)),
                Effect::Send { to, bytes } => (to, bytes),
                Effect::Deliver { from, parcels } => {
                    let (broadcast, grants, store) = &mut self.sites[usize::from(at)];
                    let mut notices = Vec::new();
                    for (parcel, value) in parcels {
                        notices.push(store.put(&parcel.open().unwrap(), value.unwrap()));
                    }
                    let effects = broadcast.took(&notices, Came::Pushed(from), now, grants);
                    self.carry_out(at, effects, now);
                    continue;
                }
                Effect::Pause { .. } | Effect::Meet(_) => continue,
                Effect::Failed(peer, fault) => panic!("{peer:?} failed: {fault}"),
            };
            let to = to.0[0];
            assert!(self.links.contains(&(at.min(to), at.max(to))));
            self.sent += 1;
            if self.draw.below(100) >= self.loss {
                let arrives = now + Duration::from_millis(20 + self.draw.below(60) as u64);
                self.queue.push(Reverse((arrives, self.sent, at, to, bytes)));
            }
        }
    }

    fn run(&mut self, from: Duration, until: Duration) {
        let mut next_tick = from;
        while next_tick < until {
            while self.queue.peek().is_some_and(|Reverse((at, ..))| *at <= next_tick) {
                let Reverse((now, _, from, to, bytes)) = self.queue.pop().unwrap();
                let (broadcast, grants, store) = &mut self.sites[usize::from(to)];
                let effects = broadcast.receive(key(from), &bytes, store, now, grants);
                self.carry_out(to, effects, now);
            }
            for number in 0..u8::try_from(self.sites.len()).unwrap() {
                let (broadcast, grants, store) = &mut self.sites[usize::from(number)];
                let effects = broadcast.tick(store, next_tick, grants);
                self.carry_out(number, effects, next_tick);
            }
            next_tick += Duration::from_millis(50);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every record reaches all who may have it, and nobody else; over links that lose messages, which those of sites do
    /// only when they break, still nobody else.
    #[test]
    fn every_record_reaches_all_who_may_have_it(seed: u8, loss in 0_usize..2, records in proptest::collection::vec((0_u8..12, any::<bool>(), 0_usize..6000), 1..20)) {
        let mut group = Group::new(12, loss * 20, seed);
        // The closed scope's members are linked among themselves, as the overlay would have it.
        for number in 0..6_u8 {
            let next = (number + 1) % 6;
            for (at, peer) in [(number, next), (next, number)] {
                let (broadcast, grants, _) = &mut group.sites[usize::from(at)];
                broadcast.up(key(peer), NOTHING, grants);
            }
            let link = (number.min(next), number.max(next));
            if !group.links.contains(&link) {
                group.links.push(link);
            }
        }
        let mut now = NOTHING;
        let mut written = Vec::new();
        for (number, (author, closed, size)) in (0..).zip(records) {
            let author = if closed { author % 6 } else { author };
            let (record, value) = record(number, if closed { CLOSED } else { OPEN }, Kind::TAG, size);
            let (broadcast, grants, store) = &mut group.sites[usize::from(author)];
            let notice = store.put(&record, value);
            let effects = broadcast.took(&[notice], Came::Here, now, grants);
            group.carry_out(author, effects, now);
            group.run(now, now + Duration::from_millis(300));
            now += Duration::from_millis(300);
            written.push(notice);
        }
        group.run(now, now + Duration::from_secs(30));
        let mut lacking = 0;
        for (number, (_, grants, store)) in group.sites.iter().enumerate() {
            for notice in &written {
                let has = store.find(&Short::of(&notice.id)).is_some();
                let may = grants.may_hold(&key(u8::try_from(number).unwrap()), &notice.scope);
                prop_assert!(may || !has, "site {} has what it may not", number);
                lacking += usize::from(may && !has);
            }
        }
        prop_assert!(loss > 0 || lacking == 0, "{} of {}", lacking, written.len() * 12);
    }

    #[test]
    fn no_bytes_upset_a_site(bytes: Vec<u8>) {
        let (mut broadcast, grants, store) = one_site(&[1]);
        broadcast.receive(key(1), &bytes, &store, NOTHING, &grants);
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }
}

#[test]
fn without_loss_everything_arrives_and_most_of_it_once() {
    let mut group = Group::new(24, 0, 3);
    let mut now = NOTHING;
    for number in 0..100 {
        let author = u8::try_from(number * 7 % 24).unwrap();
        let (record, value) = record(number, OPEN, Kind::TAG, 40);
        let (broadcast, grants, store) = &mut group.sites[usize::from(author)];
        let notice = store.put(&record, value);
        let effects = broadcast.took(&[notice], Came::Here, now, grants);
        group.carry_out(author, effects, now);
        group.run(now, now + Duration::from_millis(500));
        now += Duration::from_millis(500);
    }
    group.run(now, now + Duration::from_secs(5));
    assert!(group.sites.iter().all(|(_, _, store)| store.0.len() == 100));
}

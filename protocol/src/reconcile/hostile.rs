//! Peers that lie, and authors who prepare collisions.

use proptest::prelude::*;

use super::index::RunKey;
use super::meeting::*;
use super::message::tests::message;
use super::*;
use crate::record::{HybridTime, RecordId, ScopeId};

fn year() -> Vec<Item> {
    (0..2000).map(|n| item(n << 30, n)).collect()
}

fn open(scope: ScopeId, count: u64) -> Message {
    Message::Open(Open { scope, root: Root([9; 32]), nonce: Nonce([8; 16]), count, waiting: false })
}

fn turn(entries: Vec<(Span, What)>) -> Message {
    let entries = entries.into_iter().map(|(span, what)| Entry { span, what }).collect();
    Message::Turn(Turn { goes_on: false, open: false, entries })
}

fn from(low: u64, high: u64) -> Span {
    let edge = |time| Edge::At(HybridTime(time), RecordId([0; 32]));
    Span::new(edge(low), edge(high)).unwrap()
}

/// An honest side: every record it handed out, all it said, and why it left.
struct Honest {
    site: Site,
    session: Session,
    records: Vec<Item>,
    messages: Vec<Message>,
    failed: Option<Fault>,
}

impl Honest {
    fn responder() -> Self {
        Self::of(Session::respond(vec![SCOPE], [1; 32], Pace::default()))
    }

    fn initiator() -> Self {
        let mut this = Self::of(Session::initiate(vec![SCOPE], [1; 32], Pace::default()));
        let effects = this.session.start(&this.site);
        this.follow(effects);
        this
    }

    fn of(session: Session) -> Self {
        Self { site: Site::of(year()), session, records: Vec::new(), messages: Vec::new(), failed: None }
    }

    fn hears(&mut self, message: &Message) -> &mut Self {
        self.hears_bytes(&message.encode())
    }

    fn hears_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let effects = self.session.receive(bytes, &self.site);
        assert!(self.failed.is_none() || effects.is_empty(), "it is over");
        self.follow(effects);
        self
    }

    fn follow(&mut self, mut effects: Vec<Effect>) {
        while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
            match effect {
                Effect::Message(bytes) => {
                    assert!(bytes.len() <= MAX_MESSAGE);
                    self.messages.push(Message::decode(&bytes).unwrap());
                }
                Effect::Send { items, .. } => {
                    self.records.extend(items);
                    effects.extend(self.session.sent(&self.site));
                }
                Effect::Failed(fault) => self.failed = Some(fault),
                Effect::Ended { .. } | Effect::Finished => {}
            }
        }
    }
}

#[test]
fn each_fault_has_its_name() {
    let wrong = || What::Sum(Sum([1; 8]));
    let list = || What::List(vec![Short([1; 6])]);
    let answer = || What::Answer { want: vec![1], coming: 0 };
    let after_open = |messages: &[Message]| {
        let mut honest = Honest::responder();
        honest.hears(&open(SCOPE, 5));
        for message in messages {
            honest.hears(message);
        }
        honest.failed
    };
    assert_eq!(Honest::responder().hears_bytes(&[77]).failed, Some(Fault::Encoding));
    assert_eq!(Honest::responder().hears(&turn(vec![])).failed, Some(Fault::OutOfOrder));
    assert_eq!(Honest::responder().hears(&Message::Sent).failed, Some(Fault::OutOfOrder));
    assert_eq!(Honest::initiator().hears(&open(SCOPE, 5)).failed, Some(Fault::OutOfOrder));
    assert_eq!(after_open(&[open(SCOPE, 5)]), Some(Fault::OutOfOrder));
    assert_eq!(after_open(&[turn(vec![(from(0, 9), answer())])]), Some(Fault::NotAsked));
    let part = |low, what| {
        let entries = vec![Entry { span: from(low, 1 << 40), what }];
        Message::Turn(Turn { goes_on: true, open: false, entries })
    };
    assert_eq!(after_open(&[part(0, wrong()), part(1, wrong())]), Some(Fault::Overlap));
    assert_eq!(after_open(&[part(0, list()), part(1, list())]), Some(Fault::Overlap));
    let empty = Message::Turn(Turn { goes_on: true, open: false, entries: vec![] });
    assert_eq!(after_open(&vec![empty; MAX_TURN_MESSAGES as usize + 1]), Some(Fault::TooMuch));
    // A small range is listed, and the list ignored; or answered for more than it had.
    let small = turn(vec![(from(0, 5 << 30), wrong())]);
    assert_eq!(after_open(&[small.clone(), turn(vec![])]), Some(Fault::Unanswered));
    let beyond = What::Answer { want: vec![0b10_0000], coming: 0 };
    assert_eq!(after_open(&[small.clone(), turn(vec![(from(0, 5 << 30), beyond)])]), Some(Fault::NotAsked));
    let last = What::Answer { want: vec![0b1_0000], coming: 0 };
    assert_eq!(after_open(&[small, turn(vec![(from(0, 5 << 30), last)])]), None);
}

#[test]
fn what_is_not_yours_says_nothing() {
    let mut honest = Honest::responder();
    honest.site.shelves.insert(ScopeId([1; 32]), Shelf::of(year()));
    for scope in [[1; 32], [2; 32]] {
        for _ in 0..5 {
            honest.hears(&open(ScopeId(scope), 0));
        }
    }
    assert_eq!(honest.messages, vec![Message::NotYours; 10]);
    assert_eq!((honest.records.len(), honest.failed), (0, None));
}

#[test]
fn runs_over_one_scope_are_counted() {
    let mut honest = Honest::responder();
    for _ in 0..=MAX_REPEATS {
        assert_eq!(honest.hears(&open(SCOPE, 0)).failed, None, "a newcomer gets all each time");
    }
    assert_eq!(honest.records.len(), 2000 * (1 + MAX_REPEATS as usize));
    assert_eq!(honest.hears(&open(SCOPE, 0)).failed, Some(Fault::TooManyRuns));
}

#[test]
fn a_peer_that_never_agrees_is_left() {
    let stubborn: [Message; 4] = [
        turn(vec![(Span::ALL, What::Sum(Sum([1; 8])))]),
        Message::Turn(Turn { goes_on: false, open: true, entries: vec![] }),
        turn(vec![(Span::ALL, What::List(vec![Short([1; 6])]))]),
        turn(vec![(Span::ALL, What::List(vec![]))]),
    ];
    for message in stubborn {
        let mut honest = Honest::responder();
        honest.hears(&open(SCOPE, 5));
        let mut heard = 0;
        while honest.failed.is_none() {
            honest.hears(&message);
            heard += 1;
            assert!(heard <= MAX_TURNS, "{message:?} goes on for ever");
        }
        let mut records = honest.records.clone();
        records.sort_unstable();
        records.dedup();
        assert_eq!(records.len(), honest.records.len(), "nothing goes out twice in a run");
        assert!(honest.messages.len() <= MAX_TURNS as usize * 2);
    }
}

#[test]
fn unequal_roots_and_equal_ranges_are_tried_again_and_then_reported() {
    // The responder lies about its root only.
    struct Liar(Site);
    impl Scopes for Liar {
        fn root(&self, _: &ScopeId) -> Root {
            Root([1; 32])
        }
        fn items(&self, scope: &ScopeId) -> &dyn Items {
            self.0.items(scope)
        }
        fn waiting(&self, _: &ScopeId) -> Vec<Item> {
            Vec::new()
        }
    }
    let (site, liar) = (Site::of(year()), Liar(Site::of(year())));
    let [mut honest, mut other] = pair(&[SCOPE], &[SCOPE], [Pace::default(); 2], 1);
    let (mut effects, mut nonces, mut outcome) = (honest.start(&site), Vec::new(), None);
    while !effects.is_empty() {
        match effects.remove(0) {
            Effect::Message(bytes) => {
                if let Ok(Message::Open(open)) = Message::decode(&bytes) {
                    nonces.push(open.nonce.0);
                }
                for effect in other.receive(&bytes, &liar) {
                    if let Effect::Message(bytes) = effect {
                        effects.extend(honest.receive(&bytes, &site));
                    }
                }
            }
            Effect::Ended { outcome: ended, .. } => outcome = Some(ended),
            Effect::Finished => {}
            Effect::Send { .. } | Effect::Failed(_) => panic!("there is nothing to send, and no fault to see"),
        }
    }
    assert_eq!(outcome, Some(Outcome::SameByRanges));
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 1 + MAX_REPEATS as usize, "each with a nonce of its own");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_end_or_are_ignored(
        initiator in any::<bool>(),
        begins in any::<bool>(),
        said in prop::collection::vec(
            prop_oneof![
                message().prop_map(|message| message.encode()),
                prop::collection::vec(any::<u8>(), 0..40),
                (0..3_u64).prop_map(|count| open(SCOPE, count).encode()),
            ],
            0..20,
        ),
    ) {
        let mut honest = if initiator { Honest::initiator() } else { Honest::responder() };
        if begins {
            let nonce = Nonce([3; 16]);
            let begin = if initiator { Message::Unequal { nonce, waiting: vec![] } } else { open(SCOPE, 9) };
            honest.hears(&begin);
        }
        for bytes in &said {
            honest.hears_bytes(bytes);
        }
        prop_assert!(honest.records.len() <= 2000 * (1 + MAX_REPEATS as usize));
    }

    #[test]
    fn a_run_that_is_tampered_with_ends(
        places in prop::collection::vec((0..30_usize, any::<prop::sample::Index>(), 1..=255_u8), 1..10)
    ) {
        let sites = [Site::of(year()), Site::of(year().into_iter().skip(7).step_by(2).collect())];
        let mut sessions = pair(&[SCOPE], &[SCOPE], [Pace::default(); 2], 1);
        let mut queue: Vec<(usize, Effect)> = sessions[0].start(&sites[0]).into_iter().map(|effect| (0, effect)).collect();
        let mut passed = 0;
        while !queue.is_empty() {
            let (from, effect) = queue.remove(0);
            let (at, effects) = match effect {
                Effect::Message(mut bytes) => {
                    for (_, at, change) in places.iter().filter(|(message, ..)| *message == passed) {
                        let at = at.index(bytes.len());
                        bytes[at] ^= change;
                    }
                    passed += 1;
                    (1 - from, sessions[1 - from].receive(&bytes, &sites[1 - from]))
                }
                Effect::Send { .. } => (from, sessions[from].sent(&sites[from])),
                Effect::Ended { .. } | Effect::Finished | Effect::Failed(_) => continue,
            };
            queue.extend(effects.into_iter().map(|effect| (at, effect)));
            prop_assert!(passed <= 3 * MAX_TURNS as usize * MAX_TURN_MESSAGES as usize);
        }
    }
}

/// Bits in which each step of the search agrees, and lists of as many candidates each.
const STEP: u32 = 13;
const LISTS: u64 = 512;

/// A candidate of a list: an author who picks bytes of its records picks their ids.
fn candidate(list: u64, n: u64) -> Item {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&list.to_le_bytes());
    id[8..16].copy_from_slice(&n.to_le_bytes());
    (HybridTime((1 + list % (LISTS / 2)) << 16), RecordId(id))
}

/// Choices, one of each of some lists, with the sum of their terms.
struct Found {
    sums: Vec<u128>,
    choices: Vec<u16>,
}

/// Choices whose terms sum up to nothing in the lowest bits (Wagner, "A Generalized Birthday Problem", 2002). The terms
/// of the second half of the lists count as negative.
fn sum_to_nothing(key: &RunKey, first: u64, lists: u64) -> Found {
    if lists == 1 {
        let sign = |term: u128| if first < LISTS / 2 { term } else { term.wrapping_neg() };
        let sums = (0..1 << STEP).map(|n| sign(key.of(&candidate(first, n)).0)).collect();
        return Found { sums, choices: (0..1 << STEP).collect() };
    }
    let half = lists / 2;
    let (left, right) = (sum_to_nothing(key, first, half), sum_to_nothing(key, first + half, half));
    let bits = if lists == LISTS { 128 } else { STEP * lists.ilog2() };
    // The bits below are nothing already on both sides.
    let low = |sum: u128| sum << (128 - bits);
    let bucket = |sum: u128| (sum >> (STEP * half.ilog2())) as usize % (1 << STEP);
    let mut buckets = vec![Vec::new(); 1 << STEP];
    for (at, sum) in right.sums.iter().enumerate() {
        buckets[bucket(*sum)].push(at);
    }
    let width = half as usize;
    let of = |found: &Found, at: usize| found.choices[at * width..][..width].to_vec();
    let mut found = Found { sums: Vec::new(), choices: Vec::new() };
    for (at, sum) in left.sums.iter().enumerate() {
        for other in &buckets[bucket(sum.wrapping_neg())] {
            let both = sum.wrapping_add(right.sums[*other]);
            if low(both) == 0 {
                found.sums.push(both);
                found.choices.extend(of(&left, at));
                found.choices.extend(of(&right, *other));
            }
        }
    }
    found
}

#[test]
fn sets_made_to_collide_are_told_apart_by_the_next_nonce() {
    // The nonces of the first run, as if someone had known them.
    let sessions = || pair(&[SCOPE], &[SCOPE], [Pace::default(); 2], 1);
    let [mut initiator, mut responder] = sessions();
    let key = RunKey::new(&SCOPE, &initiator.nonce(), &responder.nonce());
    let found = sum_to_nothing(&key, 0, LISTS);
    assert_eq!(found.sums.first(), Some(&0), "there are enough candidates");
    let items: Vec<Item> = (0..LISTS).zip(&found.choices).map(|(list, n)| candidate(list, u64::from(*n))).collect();
    let (left, right) = items.split_at(items.len() / 2);

    // So many that what is made to collide lies within one part of the first split.
    let common: Vec<Item> = (0..16 * 1024).map(|n| item((1 << 40) + (n << 30), n)).collect();
    let site = |own: &[Item]| Site::of([own, &common].concat());
    let mut sites = [site(left), site(right)];
    let mut traffic = meet(&mut sites, sessions());
    assert_eq!(traffic.ended[1].remove(0), (SCOPE, Outcome::SameByRanges), "the prepared nonces");
    assert!(matches!(traffic.ended[0][..], [(_, Outcome::Reconciled(_))]), "{:?}", traffic.ended[0]);
    assert_eq!((traffic.records[0].len(), traffic.records[1].len()), (left.len(), right.len()));
    assert!(sites[0].items_of(&SCOPE) == sites[1].items_of(&SCOPE));
}

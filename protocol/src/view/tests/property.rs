//! Whatever is said in whatever order it arrives: the kept view is the one from scratch, and both are the definition.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::super::{InMemory, Kept, Stale, Topic, View};
use super::{
    Fake, MESH, by_definition, grant, library, manifest, named, names, node, open, project, project_of, pushed,
};
use super::{scope, sign, site, tag};
use crate::record::value::{Life, TagMode};
use crate::record::{Incarnation, Kind, Position, Record, RecordId, RecordSet, ScopeId};

/// What someone says.
#[derive(Clone, Debug)]
enum Word {
    Tag {
        which: bool,
        digest: Option<u64>,
        epoch: u32,
        home: bool,
    },
    Push {
        big: bool,
    },
    Delete,
    Open {
        home: Option<usize>,
        epoch: u32,
        reopens: bool,
    },
    Close,
    OtherName,
    Garbage {
        of_project: bool,
    },
    Member {
        removed: bool,
    },
    /// In a scope whose project nobody shows.
    Nameless,
}

/// One record to be, and how it arrives.
#[derive(Clone, Debug)]
struct Line {
    author: usize,
    incarnation: u64,
    seq: u64,
    time: u64,
    word: Word,
    /// Which of the records before it on its topic it names, as bits; the last bit: one of another topic.
    prev: u8,
    /// Its place in the order of arrival.
    place: u16,
    /// Whether the next to arrive is in the set before the view sees either, and whether it then sees them at once.
    with_next: bool,
    at_once: bool,
    /// Whether it comes without its value first.
    late: bool,
    /// A change of the judge's mind after it: about whom, and whether for the worse.
    flip: Option<(usize, bool)>,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        8 => (any::<bool>(), proptest::option::weighted(0.8, 0..3_u64), 0..2_u32, prop::bool::weighted(0.3))
            .prop_map(|(which, digest, epoch, home)| Word::Tag { which, digest, epoch, home }),
        2 => any::<bool>().prop_map(|big| Word::Push { big }),
        1 => Just(Word::Delete),
        4 => (proptest::option::of(0..3_usize), 0..2_u32, any::<bool>())
            .prop_map(|(home, epoch, reopens)| Word::Open { home, epoch, reopens }),
        1 => Just(Word::Close),
        1 => Just(Word::OtherName),
        1 => any::<bool>().prop_map(|of_project| Word::Garbage { of_project }),
        2 => any::<bool>().prop_map(|removed| Word::Member { removed }),
        1 => Just(Word::Nameless),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    let who = (0..4_usize, 0..2_u64, 1..7_u64, 0..4_u64, word());
    let prev = prop_oneof![3 => Just(0_u8), 8 => 0..127_u8, 1 => any::<u8>()];
    let arrival = (any::<u16>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.15));
    let flip = proptest::option::weighted(0.2, (0..4_usize, any::<bool>()));
    (who, prev, arrival, flip).prop_map(
        |((author, incarnation, seq, time, word), prev, (place, with_next, at_once, late), flip)| Line {
            author,
            incarnation,
            seq,
            time,
            word,
            prev,
            place,
            with_next,
            at_once,
            late,
            flip,
        },
    )
}

type Said = (Record, Option<Arc<[u8]>>);

fn said(lines: &[Line]) -> Vec<Said> {
    let mut all: Vec<(Topic, Said)> = Vec::new();
    let mut closings: Vec<RecordId> = Vec::new();
    for line in lines {
        let of_project = Topic::project(scope());
        let (topic, value) = match &line.word {
            Word::Tag { which, digest, epoch, home } => {
                (tag(if *which { "v1" } else { "v2" }), Some(names(*digest, *epoch, *home)))
            }
            Word::Push { big } => (manifest(0), Some(pushed(&[1], if *big { 40 } else { 0 }))),
            Word::Delete => (manifest(0), None),
            Word::Open { home, epoch, reopens } => {
                let mode = home.map_or(TagMode::Converge, |n| TagMode::Home(site(n)));
                let mut settings = open(mode, *epoch);
                settings.reopens = closings.last().copied().filter(|_| *reopens);
                (of_project, Some(project(settings)))
            }
            Word::Close => {
                let closed = Life::Closed { seen: 0, fingerprint: [0; 32] };
                (of_project, Some(project_of(library(), super::NONCE, closed)))
            }
            Word::OtherName => {
                let settings = Life::Open(open(TagMode::Converge, 1));
                (of_project, Some(project_of("other".parse().unwrap(), super::NONCE, settings)))
            }
            Word::Garbage { of_project: true } => (of_project, Some(vec![0xff; 3])),
            Word::Garbage { of_project: false } => (manifest(0), Some(vec![0xff; 2000])),
            Word::Member { removed } => (
                named(Kind::MEMBER, "eve"),
                (!removed).then(|| crate::canonical::encode(&crate::record::governed::Member::default())),
            ),
            Word::Nameless => (Topic { scope: ScopeId([9; 32]), ..tag("v1") }, Some(names(Some(1), 0, false))),
        };
        let chosen = |at: usize| line.prev & (1 << at.min(6)) != 0;
        let own = all.iter().rev().filter(|(other, _)| *other == topic).enumerate().filter(|(at, _)| chosen(*at));
        let stray = all.iter().find(|(other, _)| *other != topic).filter(|_| line.prev & 0x80 != 0);
        let prev: Vec<RecordId> =
            own.map(|(_, (_, said))| said.0.id()).chain(stray.map(|(_, said)| said.0.id())).take(8).collect();
        let position = Position { incarnation: Incarnation(line.incarnation), seq: line.seq };
        let record = sign(line.author, position, 1000 + line.time, &topic, value.as_deref(), &prev);
        if matches!(line.word, Word::Close) {
            closings.push(record.id());
        }
        all.push((topic, (record, value.map(Arc::from))));
    }
    all.into_iter().map(|(_, said)| said).collect()
}

fn judge() -> Fake {
    // Node 3 has rights by the project's name alone.
    Fake { by_name: [node(3).key()].into(), ..Fake::new() }
}

fn topics(set: &RecordSet) -> BTreeSet<Topic> {
    set.iter().filter_map(|held| Topic::of(&held.record)).collect()
}

fn check(view: &View<InMemory>, set: &RecordSet, judge: &Fake) -> Result<(), TestCaseError> {
    let scratch = View::from_scratch(MESH, set, judge);
    prop_assert_eq!(view.kept(), scratch.kept());
    for topic in topics(set) {
        let (versions, expected) = by_definition::topic(set, judge, &topic);
        prop_assert_eq!(view.topic(&topic), expected, "{:?}", topic);
        for (id, (void, is_head)) in &versions {
            let standing = view.kept().version(id).unwrap();
            prop_assert_eq!((standing.void, standing.head), (*void, *is_head), "{:?} of {:?}", id, topic);
        }
        let found = view.topic(&topic);
        let has_valid = versions.values().any(|(void, _)| void.is_none());
        prop_assert_eq!(found.heads + found.deletes > 0, has_valid, "heads are never empty");
        prop_assert_eq!(found.live.is_some(), found.heads > 0);
        prop_assert!(found.live.is_none_or(|live| versions[&live].1), "live is a head");
        for deletes in [false, true] {
            let heads = view.kept().heads(&topic, deletes, usize::MAX);
            prop_assert_eq!(heads.len() as u64, if deletes { found.deletes } else { found.heads });
        }
    }
    Ok(())
}

/// Lets lines arrive in their order, checking after each step; gives back what is there then.
fn arrive(lines: &[Line], order: &[usize]) -> Result<(View<InMemory>, RecordSet, Fake), TestCaseError> {
    let said = said(lines);
    let (mut set, mut judge) = (RecordSet::default(), judge());
    let mut view = View::new(MESH, InMemory::default());
    let mut group: Vec<RecordId> = Vec::new();
    for (step, &at) in order.iter().enumerate() {
        let ((record, value), line) = (&said[at], &lines[at]);
        set.insert(record.clone(), value.clone().filter(|_| !line.late)).unwrap();
        group.push(record.id());
        if line.with_next && step + 1 < order.len() {
            continue;
        }
        if line.at_once {
            view.insert_all(&set, &judge, &group);
        } else {
            group.iter().for_each(|id| drop(view.insert(&set, &judge, id)));
        }
        check(&view, &set, &judge)?;
        // A duplicate changes nothing.
        prop_assert!(view.insert(&set, &judge, &group[0]).topics.is_empty());
        group.clear();
        if let Some((author, worse)) = line.flip {
            let key = node(author).key();
            if worse {
                let endorsed = said.iter().map(|said| said.0.id()).filter(|id| id.0[0] % 4 == 0);
                judge.compromised.insert(key, endorsed.collect());
            } else {
                judge.compromised.remove(&key);
            }
            view.rejudge(&set, &judge, &Stale { authors: [key].into(), ..Stale::default() });
            check(&view, &set, &judge)?;
        }
        let idle: Vec<Record> =
            set.iter().filter(|held| view.may_trim(&held.record)).map(|held| held.record.clone()).collect();
        for record in idle {
            set.drop_value(&record.id());
            prop_assert!(view.insert(&set, &judge, &record.id()).topics.is_empty());
            check(&view, &set, &judge)?;
        }
    }
    for (_, (record, value)) in lines.iter().zip(&said).filter(|(line, _)| line.late) {
        set.insert(record.clone(), value.clone()).unwrap();
        view.insert(&set, &judge, &record.id());
        check(&view, &set, &judge)?;
    }
    Ok((view, set, judge))
}

proptest! {

    #[test]
    fn the_kept_view_is_the_one_from_scratch(lines in proptest::collection::vec(line(), 1..16)) {
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by_key(|at| lines[*at].place);
        arrive(&lines, &order)?;
    }

    #[test]
    fn merging_commutes_and_repeats(
        lines in proptest::collection::vec(line(), 1..14),
        split in any::<u16>(),
    ) {
        let said = said(&lines);
        let judge = judge();
        let site = |parts: &[bool]| {
            let mut set = RecordSet::default();
            let mut view = View::new(MESH, InMemory::default());
            for part in parts {
                for (at, (record, value)) in said.iter().enumerate() {
                    if (split & (1 << at) != 0) == *part {
                        set.insert(record.clone(), value.clone()).unwrap();
                        view.insert(&set, &judge, &record.id());
                    }
                }
            }
            (view, set)
        };
        let (one, set) = site(&[true, false]);
        let (other, _) = site(&[false, true, false]);
        let (_, all) = site(&[true, false, true]);
        prop_assert_eq!(one.kept(), other.kept());
        prop_assert_eq!(set.len(), all.len());
        check(&one, &set, &judge)?;
    }
}

#[test]
fn what_is_generated_has_what_it_is_for() {
    let _ = grant(0);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = proptest::collection::vec(line(), 1..16);
    let (mut circular, mut voids, mut conflicts, mut closed) = (0, BTreeSet::new(), 0, 0);
    for _ in 0..400 {
        let lines = strategy.new_tree(&mut runner).unwrap().current();
        let mut set = RecordSet::default();
        for (record, value) in said(&lines) {
            set.insert(record, value).unwrap();
        }
        let view = View::from_scratch(MESH, &set, &judge());
        for topic in topics(&set) {
            conflicts += u32::from(view.topic(&topic).is_conflict());
            for version in view.versions(&set, &topic) {
                circular += u32::from(version.circular);
                voids.extend(version.void);
            }
        }
        closed += u32::from(view.facts(&scope()).is_closed());
    }
    assert!(circular > 20 && conflicts > 100 && closed > 10, "{circular} {conflicts} {closed}");
    assert!(voids.len() >= 6, "{voids:?}");
}

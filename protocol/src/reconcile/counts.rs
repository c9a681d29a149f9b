//! What a run costs: bytes of all messages both ways, records not counted, and how often the direction changes.

use super::meeting::*;
use super::*;

const FEW: u64 = 100_000;
const MANY: u64 = 1_000_000;

/// A year of records at uneven times.
fn year(count: u64) -> Vec<Item> {
    let step = (365 * 86_400_000_u64 / count) << 16;
    let start = 1_780_000_000_000 << 16;
    (0..count).map(|n| item(start + n * step + n * n * 7919 % step, n)).collect()
}

/// Another item of the same time.
fn other(item: &Item) -> Item {
    meeting::item(item.0.0, u64::MAX)
}

/// The records would fill the screen, so failures show this.
fn print(what: &str, count: u64, traffic: &Traffic) {
    let Traffic { bytes, messages, flights, largest, .. } = traffic;
    println!("{what}, {count} items: {bytes} bytes, {messages} messages, {flights} flights, largest {largest}");
}

/// Runs until the sites agree, which the first run must bring about.
fn agree(what: &str, count: u64, left: Vec<Item>, right: Vec<Item>) -> Traffic {
    let mut sites = [Site::of(left), Site::of(right)];
    let traffic = meet_once(&mut sites);
    print(what, count, &traffic);
    assert_eq!((traffic.failed, traffic.finished), (None, true));
    assert!(sites[0].items_of(&SCOPE) == sites[1].items_of(&SCOPE));
    assert!(traffic.records.iter().all(|records| records.is_sorted_by(|a, b| a > b)), "newest first");
    assert!(traffic.largest <= MAX_MESSAGE);
    traffic
}

fn equal(count: u64) {
    let traffic = agree("equal", count, year(count), year(count));
    assert!(traffic.bytes <= 100, "{}", traffic.bytes);
    assert_eq!((traffic.messages, traffic.flights), (2, 2));
    assert_eq!(traffic.ended, [vec![(SCOPE, Outcome::Equal)], vec![(SCOPE, Outcome::Equal)]]);
}

fn one_differs(count: u64) {
    let left = year(count);
    for at in [0, count / 3, count - 1] {
        let mut right = left.clone();
        let at = usize::try_from(at).unwrap();
        right[at] = other(&right[at]);
        let traffic = agree("one is another", count, left.clone(), right.clone());
        assert!(traffic.bytes <= 2048 && traffic.flights <= 6);
        right.remove(at);
        for (left, right) in [(&left, &right), (&right, &left)] {
            let traffic = agree("one lacks", count, left.clone(), right.clone());
            assert!(traffic.bytes <= 2048 && traffic.flights <= 6);
            assert_eq!(traffic.records.iter().map(Vec::len).sum::<usize>(), 1);
        }
    }
}

fn thousand_newest(count: u64) {
    let left = year(count);
    let cut = left.len() - 1000;
    let lacks = agree("1000 newest lack", count, left.clone(), left[..cut].to_vec());
    let mut right = left.clone();
    right[cut..].iter_mut().for_each(|item| *item = other(item));
    let others = agree("1000 newest are others", count, left, right);
    for (traffic, records) in [(lacks, 1000), (others, 2000)] {
        assert_eq!(traffic.records.iter().map(Vec::len).sum::<usize>(), records);
        assert!(traffic.bytes <= 100 * 1000, "{}", traffic.bytes);
    }
}

fn thousand_scattered(count: u64) {
    let left = year(count);
    let places: Vec<usize> = (0..1000).map(|n| (n * 7_368_787) % left.len()).collect();
    let mut right = left.clone();
    places.iter().for_each(|at| right[*at] = other(&right[*at]));
    let others = agree("1000 scattered are others", count, left.clone(), right);
    let mut right = left.clone();
    let mut places = places;
    places.sort_unstable();
    places.iter().rev().for_each(|at| {
        right.remove(*at);
    });
    let lacks = agree("1000 scattered lack", count, left, right);
    for (traffic, records) in [(lacks, 1000), (others, 2000)] {
        assert_eq!(traffic.records.iter().map(Vec::len).sum::<usize>(), records);
        assert!(traffic.bytes <= 800 * 1000, "{}", traffic.bytes);
    }
}

/// More differs than one run remembers: each run does its part, and the last finds nothing more.
fn every_third_differs(count: u64) {
    let left = year(count);
    let mut right = left.clone();
    right.iter_mut().step_by(3).for_each(|item| *item = other(item));
    let mut sites = [Site::of(left), Site::of(right)];
    let mut runs = 0;
    while sites[0].items_of(&SCOPE) != sites[1].items_of(&SCOPE) {
        let before = sites[0].items_of(&SCOPE).len();
        let traffic = meet_once(&mut sites);
        print("every third is another", count, &traffic);
        assert_eq!((traffic.failed, traffic.finished), (None, true));
        let sent: usize = traffic.records.iter().map(Vec::len).sum();
        assert!(traffic.bytes <= 100 * sent && sites[0].items_of(&SCOPE).len() > before, "{} {sent}", traffic.bytes);
        runs += 1;
        assert!(runs <= 1 + count / 30_000);
    }
    assert_eq!(sites[0].items_of(&SCOPE).len() as u64, count + count.div_ceil(3));
}

/// A newcomer, from either side, and one that was interrupted.
fn newcomer(count: u64) {
    let all = year(count);
    for (left, right) in [(&[][..], &all[..]), (&all, &[])] {
        let traffic = agree("newcomer", count, left.to_vec(), right.to_vec());
        assert!(traffic.bytes <= 200 && traffic.flights <= 4);
    }
    let newest = all[all.len() * 2 / 3..].to_vec();
    let resumed = agree("newcomer with the newest third", count, newest, all.clone());
    assert!(resumed.bytes <= 4000 && resumed.flights <= 8);
    let few = all.iter().copied().step_by(1000).collect();
    let behind = agree("newcomer with every thousandth", count, few, all);
    assert!(behind.flights <= 6);
}

macro_rules! counts {
    ($($count:ident => $few:ident, $many:ident;)*) => {$(
        #[test]
        fn $few() {
            $count(FEW);
        }

        #[test]
        #[ignore = "a million items: run by the long suite"]
        fn $many() {
            $count(MANY);
        }
    )*};
}

counts! {
    equal => equal_of_few, equal_of_many;
    one_differs => one_differs_of_few, one_differs_of_many;
    thousand_newest => thousand_newest_of_few, thousand_newest_of_many;
    thousand_scattered => thousand_scattered_of_few, thousand_scattered_of_many;
    every_third_differs => every_third_differs_of_few, every_third_differs_of_many;
    newcomer => newcomer_of_few, newcomer_of_many;
}

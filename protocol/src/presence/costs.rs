//! What a site receives: counted, among few and among many, each with at most six neighbours of its region that are not
//! metered.

use super::group::*;

/// Bytes a second each site received: mean and most, of the ordinary and of the metered.
fn measure(count: usize, metered_each: usize, rounds: u64) -> ([f64; 2], [f64; 2]) {
    let is_metered = |n: usize| metered_each > 0 && n % metered_each == 1;
    let places: Vec<(&str, bool)> = (0..count).map(|n| ("r", is_metered(n))).collect();
    let mut group = Group::new(&places);
    group.step = secs(if count > 100 { 10 } else { 1 });
    for site in &mut group.sites {
        // Whoever checks a signature a million times learns nothing about bytes.
        site.believes_anyone = true;
    }
    let ordinary: Vec<usize> = (0..count).filter(|n| !is_metered(*n)).collect();
    group.weave(&ordinary, 6);
    for metered in (0..count).filter(|n| is_metered(*n)) {
        for k in 0..3 {
            group.link(metered, ordinary[(metered * 7 + k * 13) % ordinary.len()]);
        }
    }
    // Nobody asks for all: what that costs comes once in a life.
    group.sites.iter_mut().for_each(|site| site.wants.0 = 0);
    (0..count).for_each(|site| group.publish(site, fields(site as u64)));
    // All speak once, at the start.
    group.run(secs(600));
    let first = group.received.clone();
    let period = group.sites[0].period().as_secs_f64();
    group.received.fill(0);
    let from = group.now;
    for round in 0..rounds {
        // Everything changes noticeably all the time: the worst there is.
        (0..count).for_each(|site| group.publish(site, fields(site as u64 + 1000 * (round + 1))));
        group.run(secs(60));
    }
    let time = (group.now - from).as_secs_f64();
    // In a time too short for a second round it is summaries that are counted, and the first round is added.
    let rate = |n: usize| {
        let first = if time < period { first[n] as f64 / (period * 0.95) } else { 0.0 };
        group.received[n] as f64 / time + first
    };
    let of = |metered: bool| {
        let rates: Vec<f64> = (0..count).filter(|n| is_metered(*n) == metered).map(rate).collect();
        [rates.iter().sum::<f64>() / rates.len().max(1) as f64, rates.iter().copied().fold(0.0, f64::max)]
    };
    let known = ordinary.iter().filter(|n| group.sites[0].status(&group.keys[**n]).is_some()).count();
    assert!(known * 100 >= ordinary.len() * 99, "{known} of {}", ordinary.len());
    assert!(group.faults.is_empty());
    println!("{count} sites, period {:?}: {:.1?} {:.1?}", group.sites[0].period(), of(false), of(true));
    (of(false), of(true))
}

#[test]
fn fifty_sites_stay_within_the_budget() {
    let (ordinary, metered) = measure(50, 5, 180);
    assert!(ordinary[0] > 10.0 && ordinary[0] <= 100.0 && ordinary[1] <= 100.0, "{ordinary:?}");
    assert!(metered[0] > 0.1 && metered[1] <= 8.0, "{metered:?}");
}

#[test]
fn a_thousand_sites_stay_within_the_budget() {
    let (ordinary, metered) = measure(1000, 10, 40);
    assert!(ordinary[0] > 10.0 && ordinary[0] <= 100.0 && ordinary[1] <= 100.0, "{ordinary:?}");
    assert!(metered[0] > 0.1 && metered[1] <= 8.0, "{metered:?}");
}

//! What a site receives: counted, among few and among many.

use super::group::*;

/// Bytes a second each site received: mean and most, of the ordinary and of the metered.
fn measure(count: usize, metered_each: usize, warm_up: u64, time: u64) -> ([f64; 2], [f64; 2]) {
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
    (0..count).for_each(|site| group.publish(site, fields(site as u64)));
    group.run(secs(warm_up));
    group.received.fill(0);
    let from = group.now;
    let rounds = 20;
    for round in 0..rounds {
        // Everything changes noticeably all the time: the worst there is.
        (0..count).for_each(|site| group.publish(site, fields(site as u64 + 1000 * (round + 1))));
        group.run(secs(time / rounds));
    }
    let time = (group.now - from).as_secs_f64();
    let of = |metered: bool| {
        let rates: Vec<f64> =
            (0..count).filter(|n| is_metered(*n) == metered).map(|n| group.received[n] as f64 / time).collect();
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
    let (ordinary, metered) = measure(50, 5, 1800, 2 * 3600);
    assert!(ordinary[0] > 10.0 && ordinary[0] <= 100.0 && ordinary[1] <= 100.0, "{ordinary:?}");
    assert!(metered[0] > 0.1 && metered[1] <= 8.0, "{metered:?}");
}

#[test]
fn a_thousand_sites_stay_within_the_budget() {
    let (ordinary, metered) = measure(1000, 10, 600, 5 * 3600);
    assert!(ordinary[0] > 10.0 && ordinary[0] <= 100.0 && ordinary[1] <= 100.0, "{ordinary:?}");
    assert!(metered[0] > 0.1 && metered[1] <= 8.0, "{metered:?}");
}

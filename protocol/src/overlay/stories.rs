//! Towns that grow, churn, are cut in two, and idle.

use super::link::Tally;
use super::town::*;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn degrees(town: &Town) -> Vec<usize> {
    town.honest().into_iter().map(|site| town.neighbours(site).len()).collect()
}

#[test]
fn all_sites_reach_the_planned_degree_and_none_exceeds_its_bound() {
    for (regions_, each, seed) in [(5, 10, 1), (6, 50, 2), (1, 60, 3), (2, 25, 4)] {
        let mut town = Town::new(regions(regions_, each), seed);
        town.run(10 * MINUTE);
        let degrees = degrees(&town);
        println!("{regions_}x{each}: {:?}..{:?}", degrees.iter().min(), degrees.iter().max());
        assert!(degrees.iter().all(|degree| (8..=12).contains(degree)), "{degrees:?}");
        assert_eq!(parts(&town, &town.honest()), 1);
        let mut short = 0;
        for site in town.honest() {
            let held = town.neighbours(site);
            let own = held.iter().filter(|(_, held)| held.origin == Origin::Chosen).count();
            // One may have been pushed out just now by a better lot.
            short += usize::from(own < 5);
            assert!(own >= 4, "{site} chose {own} of {}", held.len());
            let tally = town.overlay(site).tally();
            let far = tally.own[Kind::Far.index()];
            assert!(regions_ == 1 || far >= 2, "{site} chose {far} far ones");
            assert!(held.iter().all(|(peer, _)| town.neighbours(*peer).iter().any(|(back, _)| *back == site)));
        }
        assert!(short * 20 <= degrees.len(), "{short} are short of one");
        assert!(town.faults.is_empty(), "{:?}", town.faults);
    }
}

#[test]
fn sites_behind_one_uplink_find_each_other_in_a_large_roster() {
    let mut town = Town::new(regions(6, 50), 5);
    town.run(5 * MINUTE);
    for site in town.honest() {
        let uplink = town.book.places[site].uplink.clone();
        let others =
            (0..300).filter(|peer| *peer != site && uplink.is_some() && town.book.places[*peer].uplink == uplink);
        let lan = town.neighbours(site).iter().filter(|(_, held)| held.kind == Kind::Lan).count();
        assert_eq!(lan, others.count().min(2), "{site}");
    }
}

#[test]
fn a_small_mesh_is_fully_linked() {
    for count in 2..=9 {
        let mut town = Town::new(vec![place("one"); count], 6);
        town.run(10 * MINUTE);
        assert_eq!(degrees(&town), vec![count - 1; count]);
    }
}

#[test]
fn metered_sites_keep_to_their_plan_and_are_left_in_peace() {
    let mut places = regions(4, 15);
    (0..60).filter(|n| n % 3 == 1).for_each(|n| places[n].is_metered = true);
    let mut town = Town::new(places, 7);
    town.run(HOUR);
    for site in town.honest() {
        let held = town.neighbours(site);
        if town.book.places[site].is_metered {
            assert!((2..=3).contains(&held.len()), "{site}: {}", held.len());
        } else {
            let metered = |(peer, link): &&(usize, Neighbour)| {
                link.origin == Origin::Chosen && town.book.places[*peer].is_metered
            };
            assert_eq!(held.iter().filter(metered).count(), 0, "{site} asked one that pays");
            assert!(held.len() >= 8);
        }
    }
    assert_eq!(parts(&town, &town.honest()), 1);
}

#[test]
fn the_mesh_stays_one_while_half_of_it_goes_and_comes() {
    let mut town = Town::new(regions(4, 25), 8);
    for n in 0..6 {
        town.audience(&(0..100).filter(|site| site % 7 == n || site % 11 == n).collect::<Vec<_>>());
    }
    town.loss = 20_000;
    town.run(10 * MINUTE);
    let mut broken = 0;
    for _ in 0..60 {
        for _ in 0..5 {
            let site = town.draw.below(50) * 2;
            if town.is_up(site) { town.fall(site) } else { town.rise(site) }
        }
        town.run(MINUTE);
        broken += usize::from(parts(&town, &town.honest()) > 1);
    }
    assert_eq!(broken, 0, "minutes in which the mesh was in parts");
    town.run(5 * MINUTE);
    for n in 0..6 {
        let up: Vec<usize> = (0..100).filter(|site| (site % 7 == n || site % 11 == n) && town.is_up(*site)).collect();
        assert_eq!(parts(&town, &up), 1, "audience {n}");
    }
    assert!(town.faults.is_empty(), "{:?}", town.faults);
    let most = town.honest().iter().map(|site| town.overlay(*site).away.len()).max();
    assert!(most < Some(MAX_AWAY));
}

#[test]
fn regions_that_were_cut_off_join_again_within_a_quarter_of_an_hour() {
    let mut town = Town::new(regions(4, 20), 9);
    town.audience(&(0..80).step_by(5).collect::<Vec<_>>());
    town.run(10 * MINUTE);
    town.cut.insert("r0".into());
    town.run(2 * HOUR);
    assert_eq!(parts(&town, &town.honest()), 2, "each side holds together");
    town.cut.clear();
    let mut minutes = 0;
    while parts(&town, &town.honest()) > 1 || parts(&town, &(0..80).step_by(5).collect::<Vec<_>>()) > 1 {
        town.run(MINUTE);
        minutes += 1;
        assert!(minutes <= 15);
    }
    println!("joined after {minutes} minutes");
    town.run(15 * MINUTE);
    for site in 0..20 {
        assert!(
            town.overlay(site).tally().own[Kind::Far.index()] >= 2,
            "{site} has far neighbours of its choice again"
        );
    }
}

#[test]
fn members_of_each_audience_are_linked_also_when_there_are_more_than_links() {
    let mut town = Town::new(regions(3, 20), 10);
    let mut audiences = Vec::new();
    for n in 0..30_usize {
        // Every site is in about ten, site 0 in all.
        let members: Vec<usize> = (0..60).filter(|site| *site == 0 || (site * 7 + n * 13) % 6 == 0).collect();
        town.audience(&members);
        audiences.push(members);
    }
    town.run(15 * MINUTE);
    for site in 0..60 {
        let held = town.neighbours(site);
        assert!(held.len() <= 12 + 16, "{site}: {}", held.len());
        let ordinary = held.iter().filter(|(_, held)| matches!(held.origin, Origin::Chosen | Origin::Asked)).count();
        assert!(ordinary >= 6, "{site} has {ordinary} ordinary ones");
    }
    // In turn: each successor is seen within some turns.
    let mut seen = vec![false; 30];
    for _ in 0..20 {
        for (n, members) in audiences.iter().enumerate() {
            seen[n] |= parts(&town, members) == 1;
        }
        town.run(AUDIENCE_STAY / 2);
    }
    assert!(seen.iter().all(|seen| *seen), "{seen:?}");
}

#[test]
fn a_revoked_neighbour_goes_at_once_and_stays_out() {
    let mut town = Town::new(regions(2, 10), 11);
    town.run(5 * MINUTE);
    let out = town.neighbours(0)[0].0;
    town.book.revoked.insert(out);
    for site in (0..20).filter(|site| *site != out) {
        town.with(site, |overlay, now, roster| overlay.roster_changed(now, roster));
        assert!(town.neighbours(site).iter().all(|(peer, _)| *peer != out));
    }
    town.run(10 * MINUTE);
    assert!((0..20).filter(|site| *site != out).all(|site| town.neighbours(site).iter().all(|(peer, _)| *peer != out)));
}

#[test]
fn a_restarted_site_comes_back_through_what_it_remembered() {
    let mut town = Town::new(regions(6, 50), 12);
    town.run(30 * MINUTE);
    assert!(town.remembered[7].iter().filter(|known| known.met).count() >= 8);
    assert!(town.remembered[7].len() <= 2 * MAX_PASSIVE);
    town.fall(7);
    town.run(MINUTE);
    town.rise(7);
    town.run(Duration::from_secs(10));
    assert!(town.neighbours(7).len() >= 4);
}

#[test]
fn far_neighbours_are_exchanged_slowly() {
    let mut town = Town::new(regions(4, 20), 13);
    town.run(15 * MINUTE);
    let chosen = |town: &Town, site| -> Vec<usize> {
        town.neighbours(site)
            .into_iter()
            .filter(|(_, held)| held.origin == Origin::Chosen)
            .map(|(peer, _)| peer)
            .collect()
    };
    let before: Vec<_> = (0..80).map(|site| chosen(&town, site)).collect();
    town.run(HOUR);
    let gone = |site: &usize| before[*site].iter().any(|peer| !chosen(&town, *site).contains(peer));
    let exchanged = (0..80).filter(gone).count();
    assert!(exchanged > 60, "{exchanged}");
    assert!(degrees(&town).iter().all(|degree| (8..=12).contains(degree)));
}

#[test]
fn a_site_that_idles_costs_little() {
    let mut places = regions(4, 15);
    (0..60).filter(|n| n % 5 == 1).for_each(|n| places[n].is_metered = true);
    let mut town = Town::new(places, 14);
    town.run(HOUR);
    let before = (town.bytes.clone(), town.messages.clone(), town.dials.clone());
    town.run(HOUR);
    for metered in [false, true] {
        let sites: Vec<usize> = (0..60).filter(|site| town.book.places[*site].is_metered == metered).collect();
        let mean = |now: &[usize], then: &[usize]| {
            sites.iter().map(|site| now[*site] - then[*site]).sum::<usize>() / sites.len()
        };
        let most = sites.iter().map(|site| town.bytes[*site] - before.0[*site]).max().unwrap();
        let (bytes, messages) = (mean(&town.bytes, &before.0), mean(&town.messages, &before.1));
        let (dials, degree) =
            (mean(&town.dials, &before.2), sites.iter().map(|site| town.neighbours(*site).len()).sum::<usize>());
        println!(
            "metered {metered}: {bytes} B an hour (most {most}), {messages} messages, {dials} dials, degree {degree}/{}",
            sites.len()
        );
        assert!(bytes < if metered { 12_000 } else { 60_000 });
    }
}

#[test]
fn those_that_dial_each_other_at_once_are_neighbours_once() {
    let mut town = Town::new(vec![place("one"); 2], 15);
    town.run(Duration::from_secs(5));
    assert_eq!(degrees(&town), [1, 1]);
    assert_eq!(Tally::of(std::iter::empty()).open, 0);
}

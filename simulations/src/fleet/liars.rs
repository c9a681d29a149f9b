//! Sites that claim to hold every image, and what it costs those who look for one. Keeps nothing between runs.

use std::time::Duration;

use protocol::Digest;

use super::capture::Harm;
use super::charter::{Charter, Safeguards, SiteNumber};
use super::network::Delays;
use super::scenarios::{Finding, Size, UPLINK, capture, finding, places};
use super::world::Fleet;

/// Sites of a region.
const REGION: u32 = 50;

/// Images of each region. Two honest sites have each, and every liar says so of all.
const IMAGES: u32 = 20;

fn lies(site: SiteNumber) -> bool {
    site % 10 == 3
}

fn image(region: u32, number: u32) -> Digest {
    Digest::sha256(&[region.to_le_bytes(), number.to_le_bytes()].concat())
}

/// Who really has an image.
fn holders(region: u32, number: u32) -> [SiteNumber; 2] {
    [0, REGION / 2].map(|from| {
        let site = region * REGION + (number * 7 + from) % REGION;
        site + u32::from(lies(site))
    })
}

pub(super) fn liars(size: Size, safeguards: Safeguards, seed: u64) -> Vec<Finding> {
    let count = if size == Size::Long { 1000 } else { 150 };
    let mut charter = Charter::new(places(count, REGION, None));
    let scope = charter.project("everyone", None);
    let mut fleet = Fleet::new(charter, Delays::all(Duration::from_millis(50)), UPLINK, safeguards, seed);
    capture(&mut fleet, (0..count).filter(|site| lies(*site)), |_| Harm::Claim);
    fleet.run(Duration::from_secs(60));
    for region in 0..count / REGION {
        for number in 0..IMAGES {
            let liars = (region * REGION..(region + 1) * REGION).filter(|site| lies(*site));
            for site in liars.chain(holders(region, number)) {
                fleet.hold(site, scope, image(region, number));
            }
        }
    }
    fleet.run(Duration::from_secs(600));
    // In vain, and in all, before and after the first ten.
    let mut vain = [(0, 0); 2];
    let mut unknown = 0;
    for number in 0..IMAGES {
        for region in 0..count / REGION {
            let have = holders(region, number);
            for puller in [15, 35].map(|site| region * REGION + site) {
                if have.contains(&puller) {
                    continue;
                }
                let now = fleet.now();
                let site = &mut fleet.sites[puller as usize];
                let found = site.candidates(scope, image(region, number), &fleet.charter, now);
                let half = &mut vain[usize::from(number >= IMAGES / 2)];
                half.1 += 1;
                let is_there = |peer| fleet.charter.number(peer).is_some_and(|peer| have.contains(&peer));
                for peer in found.iter().take_while(|peer| !is_there(peer)) {
                    half.0 += 1;
                    site.was_told_falsely(*peer, scope, now);
                }
                unknown += u32::from(!found.iter().any(is_there));
            }
        }
        fleet.run(Duration::from_secs(10));
    }
    let [first, then] = vain.map(|(vain, all)| f64::from(vain) / f64::from(all.max(1)));
    vec![
        finding(
            format!("{count} sites, one in ten claims every image: images of the own region that are not found"),
            f64::from(unknown),
            "",
            0.0,
        ),
        finding("peers asked in vain for an image, a site's first ten", first, "", None),
        finding("peers asked in vain for an image, from then on", then, "", 0.25),
    ]
}

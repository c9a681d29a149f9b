//! What happens among sites of a group.

use super::group::*;
use super::*;

/// Two regions of ten, woven, with two links between them.
fn two_regions() -> Group {
    let places: Vec<(&str, bool)> = (0..20).map(|n| (if n < 10 { "north" } else { "south" }, false)).collect();
    let mut group = Group::new(&places);
    group.weave(&(0..10).collect::<Vec<_>>(), 4);
    group.weave(&(10..20).collect::<Vec<_>>(), 4);
    group.link(0, 10);
    group.link(5, 15);
    (0..20).for_each(|site| group.publish(site, fields(site as u64)));
    group
}

#[test]
fn all_of_a_region_know_each_others_status_although_messages_get_lost() {
    let mut group = two_regions();
    group.loss = 100;
    group.run(secs(3600));
    for site in 0..10 {
        for other in 0..10 {
            let status = group.sites[site].status(&group.keys[other]).unwrap();
            assert_eq!(status.fields, fields(other as u64));
            assert!(group.sites[site].is_fresh(&group.keys[other], group.now));
        }
    }
    assert!(group.faults.is_empty());
}

#[test]
fn each_version_is_sent_to_a_neighbour_once_at_most() {
    let mut group = two_regions();
    // Newcomers ask for all, also for what was said already: that is over now.
    group.run(secs(600));
    group.sent = Some(Vec::new());
    group.run(secs(3600));
    let mut said = std::collections::BTreeSet::new();
    for (from, to, message) in group.sent.take().unwrap() {
        for status in &message.statuses {
            assert_eq!(from < 10, to < 10, "a status stays in its region");
            let (life, seq) = status.said.order();
            assert!(said.insert((from, to, status.said.site, life, seq)), "said twice");
        }
    }
    assert!(said.len() > 20 * 10 * 5);
}

#[test]
fn beyond_the_region_is_known_by_hearsay_who_was_seen_and_what_ails_it() {
    let mut group = two_regions();
    let mut ill = fields(3);
    ill.last_error = "no space left".into();
    group.publish(3, ill);
    group.run(secs(3 * 3600));
    for site in 10..20 {
        assert_eq!(group.sites[site].status(&group.keys[3]), None);
        let seen = group.sites[site].seen(&group.keys[3], group.now).unwrap();
        let told = seen.hearsay.unwrap();
        assert!(told.ills.has(Ills::ERROR) && !told.ills.has(Ills::DISK), "{told:?}");
        assert!(told.ago < secs(7200), "{told:?}");
        assert_eq!((seen.first_hand, seen.signed), (None, None));
        assert!(!group.sites[site].is_fresh(&group.keys[3], group.now), "hearsay is no proof");
        let by = group.keys.iter().position(|key| *key == told.by).unwrap();
        assert!(group.links[site].contains(&by));
    }
}

#[test]
fn who_sleeps_is_away_and_its_last_seen_is_kept_while_all_repeat_what_they_know() {
    let mut group = two_regions();
    group.run(secs(2 * 3600));
    let asleep = group.now;
    group.sleep(4);
    group.run(secs(12 * 3600));
    let key = group.keys[4];
    for site in (0..20).filter(|site| *site != 4) {
        let (ago, _) = group.sites[site].seen(&key, group.now).unwrap().latest().unwrap();
        let since = group.now - asleep;
        assert!(ago + secs(60) >= since, "site {site} makes it younger: {ago:?} of {since:?}");
        // Rounding, once for each teller.
        assert!(ago <= since + secs(3 * 3600), "site {site}: {ago:?} of {since:?}");
        assert!(!group.sites[site].is_fresh(&key, group.now));
    }
    assert_eq!(group.sites[0].status(&key).unwrap().fields, fields(4), "its last words are kept");
    group.asleep[4] = false;
    group.link(4, 3);
    group.publish(4, fields(40_000));
    group.run(secs(900));
    assert_eq!(group.sites[8].status(&key).unwrap().fields.counts.blobs, 40_000);
    assert!(group.sites[8].is_fresh(&key, group.now));
}

#[test]
fn a_new_life_replaces_the_old_even_when_the_clock_was_set_back() {
    let mut group = two_regions();
    group.run(secs(900));
    let seq = group.sites[1].status(&group.keys[4]).unwrap().seq;
    group.sleep(4);
    group.sites[4] = Presence::new(secret(4), Plan::default(), [200; 32]);
    group.asleep[4] = false;
    // A year ago, by the clock it woke up with.
    let wall = Timestamp(DAY.0 - 365 * 86_400_000);
    group.sites[4].publish(fields(9_999), group.now, wall).unwrap();
    group.link(4, 3);
    group.link(4, 8);
    group.run(secs(900));
    for site in 0..10 {
        let status = group.sites[site].status(&group.keys[4]).unwrap();
        assert_eq!(status.fields.counts.blobs, 9_999, "site {site}");
        assert!(status.life.start > DAY && status.seq <= seq + 3);
    }
}

#[test]
fn a_newcomer_asks_for_all_statuses_and_need_not_wait_for_a_period() {
    let mut group = two_regions();
    group.sleep(9);
    group.run(secs(900));
    group.asleep[9] = false;
    group.sites[9] = Presence::new(secret(9), Plan::default(), [201; 32]);
    group.publish(9, fields(9));
    group.link(9, 2);
    group.run(secs(30));
    let known = (0..10).filter(|site| group.sites[9].status(&group.keys[*site]).is_some()).count();
    assert_eq!(known, 10);
}

#[test]
fn a_metered_site_gets_no_statuses_and_its_own_goes_out_all_the_same() {
    let places: Vec<(&str, bool)> = (0..10).map(|n| ("north", n == 0)).collect();
    let mut group = Group::new(&places);
    group.weave(&(1..10).collect::<Vec<_>>(), 3);
    group.link(0, 1);
    group.link(0, 5);
    (0..10).for_each(|site| group.publish(site, fields(site as u64)));
    group.sent = Some(Vec::new());
    group.run(secs(7200));
    assert!(group.sent.take().unwrap().iter().all(|(_, to, message)| *to != 0 || message.statuses.is_empty()));
    for site in 1..10 {
        assert!(group.sites[site].status(&group.keys[0]).is_some(), "{site}");
        assert!(group.sites[site].is_fresh(&group.keys[0], group.now));
        assert!(group.sites[0].seen(&group.keys[site], group.now).unwrap().latest().unwrap().0 < secs(3600));
    }
}

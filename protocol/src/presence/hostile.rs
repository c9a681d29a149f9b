//! Neighbours that lie, and bytes from anywhere.

use proptest::prelude::*;

use super::group::*;
use super::*;
use crate::signed::Signed;

/// Three of a region in a row, the middle one hostile: the test speaks for it.
fn row() -> Group {
    let mut group = Group::new(&[("r", false), ("r", false), ("r", false), ("far", false)]);
    group.link(0, 1);
    group.link(1, 2);
    (0..3).for_each(|site| group.publish(site, fields(site as u64)));
    group.run(secs(60));
    group
}

fn say(group: &mut Group, statuses: Vec<Signed<Status>>, mut summary: Vec<Entry>) -> Vec<Effect> {
    summary.sort_by_key(|entry| entry.site);
    let bytes = Message { statuses, summary, wants: false }.encode();
    let (peer, now, roster) = (group.keys[1], group.now, group.roster(0));
    group.sites[0].receive(peer, &bytes, now, &roster)
}

fn status(group: &Group, site: usize, seq: u64, secret_of: usize) -> Signed<Status> {
    let life = Life { start: DAY.plus(secs(10)), number: 1 };
    let status = Status { site: group.keys[site], life, seq, wall: DAY.plus(group.now), fields: fields(666) };
    status.sign(&secret(secret_of))
}

#[test]
fn a_forged_status_is_a_fault_and_changes_nothing() {
    let mut group = row();
    let forged = status(&group, 2, 99, 1);
    assert_eq!(say(&mut group, vec![forged.clone()], vec![]), [Effect::Failed(group.keys[1], Fault::Signature)]);
    assert_eq!(group.sites[0].status(&group.keys[2]).unwrap().fields, fields(2));
    // With the guard off it would have won.
    group.sites[0].believes_anyone = true;
    say(&mut group, vec![forged], vec![]);
    assert_eq!(group.sites[0].status(&group.keys[2]).unwrap().fields, fields(666));
}

#[test]
fn an_older_status_never_replaces_a_newer() {
    let mut group = row();
    let [old, new] = [5, 6].map(|seq| status(&group, 2, seq, 2));
    say(&mut group, vec![new.clone(), old.clone()], vec![]);
    assert_eq!(group.sites[0].status(&group.keys[2]), Some(&new.said));
    assert!(say(&mut group, vec![old], vec![]).is_empty());
    assert_eq!(group.sites[0].status(&group.keys[2]), Some(&new.said));
}

#[test]
fn what_was_kept_back_does_not_make_a_site_seem_awake() {
    let mut group = row();
    let kept = status(&group, 2, 50, 2);
    group.sleep(2);
    group.run(secs(7200));
    let wall = DAY.plus(group.now);
    group.sites[0].publish(fields(0), group.now, wall).unwrap();
    say(&mut group, vec![kept], vec![]);
    let seen = group.sites[0].seen(&group.keys[2], group.now).unwrap();
    assert!(seen.signed.unwrap() >= secs(7200), "{seen:?}");
    assert!(!group.sites[0].is_fresh(&group.keys[2], group.now));
}

#[test]
fn hearsay_is_marked_and_neither_replaces_a_status_nor_proves_anything() {
    let mut group = row();
    group.sleep(2);
    group.run(secs(7200));
    let before = group.sites[0].seen(&group.keys[2], group.now).unwrap().proven();
    let lie = Entry { site: group.keys[2], age: 0, ills: Ills(0xff), depth: 0 };
    let lies = vec![lie, Entry { site: group.keys[3], ..lie }];
    say(&mut group, vec![], lies);
    let seen = group.sites[0].seen(&group.keys[2], group.now).unwrap();
    assert_eq!(seen.proven(), before);
    assert_eq!(seen.latest(), Some((Duration::ZERO, How::Hearsay(group.keys[1]))));
    assert_eq!(seen.hearsay.unwrap().by, group.keys[1]);
    assert!(!group.sites[0].is_fresh(&group.keys[2], group.now));
    assert_eq!(group.sites[0].status(&group.keys[2]).unwrap().fields, fields(2));
    assert!(group.sites[0].status(&group.keys[3]).is_none());
}

#[test]
fn unknown_keys_are_dropped_and_leavers_forgotten() {
    let mut group = row();
    let stranger = |n: usize| Entry { site: secret(1000 + n).key(), age: 0, ills: Ills(0), depth: 0 };
    say(&mut group, vec![], (0..MAX_SUMMARY).map(stranger).collect());
    let mut foreign = status(&group, 2, 9, 2).said;
    foreign.site = secret(5000).key();
    say(&mut group, vec![foreign.sign(&secret(5000))], vec![]);
    assert_eq!(group.sites[0].sites().count(), 3);

    let gone = group.keys[2];
    let mut places = (*group.members.places).clone();
    places.remove(&gone);
    group.members.order = std::sync::Arc::new(places.keys().copied().collect());
    group.members.places = std::sync::Arc::new(places);
    group.run(secs(180));
    assert!(group.sites[0].status(&gone).is_none() && group.sites[0].seen(&gone, group.now).is_none());
}

#[test]
fn who_signs_without_end_is_not_amplified() {
    let mut group = row();
    group.sent = Some(Vec::new());
    for seq in 100..700 {
        // The hostile one is site 2 now: it speaks for itself, to the site in the middle.
        let bytes = Message { statuses: vec![status(&group, 2, seq, 2)], summary: vec![], wants: false }.encode();
        let roster = group.roster(1);
        let effects = group.sites[1].receive(group.keys[2], &bytes, group.now, &roster);
        group.deliver(1, effects);
        group.run(secs(1));
    }
    let sent = group.sent.take().unwrap();
    let key = group.keys[2];
    let relayed = sent.iter().filter(|(from, to, _)| (*from, *to) == (1, 0));
    let relayed = relayed.flat_map(|(_, _, message)| &message.statuses).filter(|status| status.said.site == key);
    assert!((2..=600 / 30 + 1).contains(&relayed.count()));
}

#[test]
fn what_is_too_much_is_a_fault() {
    let mut group = row();
    let one = Entry { site: group.keys[2], age: 0, ills: Ills(0), depth: 0 };
    let fault = |fault| vec![Effect::Failed(secret(1).key(), fault)];
    assert_eq!(say(&mut group, vec![], vec![one; 2]), fault(Fault::Bounds));
    assert_eq!(say(&mut group, vec![], vec![Entry { depth: MAX_DEPTH + 1, ..one }]), fault(Fault::Bounds));
    let many = vec![status(&group, 2, 1, 2); MAX_STATUSES + 1];
    assert_eq!(say(&mut group, many, vec![]), fault(Fault::Bounds));
    let mut long = status(&group, 2, 1, 2).said;
    long.fields.version = "x".repeat(MAX_VERSION + 1);
    assert_eq!(say(&mut group, vec![long.sign(&secret(2))], vec![]), fault(Fault::Bounds));
    let (peer, roster) = (group.keys[1], group.roster(0));
    let now = group.now;
    assert_eq!(group.sites[0].receive(peer, &vec![0; MAX_MESSAGE + 1], now, &roster), fault(Fault::TooLong));
    assert_eq!(group.sites[0].receive(peer, &[7], now, &roster), fault(Fault::Encoding));
    let mut long = fields(1);
    long.last_error = "x".repeat(MAX_ERROR + 1);
    assert_eq!(group.sites[0].publish(long, now, DAY), Err(TooLong));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_in_its_one_encoding_or_a_fault(
        bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..400, bit in 0u8..8,
    ) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
        let group = row();
        let message = Message { statuses: vec![status(&group, 2, 1, 2)], summary: vec![], wants: true };
        let mut bytes = message.encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        match Message::decode(&bytes) {
            Ok(read) => {
                prop_assert_eq!(read.encode(), bytes);
                prop_assert!(read.wants != message.wants || read.statuses.is_empty()
                    || !status::is_genuine(&read.statuses[0]));
            }
            Err(fault) => prop_assert!(matches!(fault, Fault::Encoding | Fault::Bounds)),
        }
    }
}

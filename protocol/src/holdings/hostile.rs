//! Neighbours that lie, and bytes from anywhere.

use proptest::prelude::*;

use super::group::*;
use super::message::sign_claim;
use super::*;

/// What site 1 says to site 0.
fn say(group: &mut Group, from: usize, message: &Message) -> Vec<Effect> {
    let (peer, now, roster) = (group.keys[from], group.now, group.roster(0));
    group.sites[0].receive(peer, &message.encode(), now, &roster)
}

fn head(site: usize, signer: usize, number: u64, images: &Images, scope: ScopeId) -> Signed<Head> {
    let whose = Whose { scope, site: secret(site).key() };
    Head::sign(whose, Version { life: life(2000), number }, images, &secret(signer))
}

fn claim(site: usize, signer: usize, number: u64, blobs: &[Digest]) -> Signed<Claim> {
    let whose = Whose { scope: ALL, site: secret(site).key() };
    let filter = Filter::of(blobs, &ALL, &whose.site);
    sign_claim(Claim { whose, version: Version { life: life(2000), number }, filter }, &secret(signer))
}

#[test]
fn what_the_site_has_not_signed_is_a_fault() {
    let mut group = Group::new(6, 2);
    let images: Images = [(image(1), Holding::Complete)].into();
    let changes = vec![(image(1), Some(Holding::Complete))];
    let failed = |fault| vec![Effect::Failed(secret(1).key(), fault)];
    let forged = Message::Delta { head: head(2, 1, 1, &images, ALL), from: 0, changes: changes.clone() };
    assert_eq!(say(&mut group, 1, &forged), failed(Fault::Signature));
    let more = vec![(image(1), Some(Holding::Complete)), (image(7), Some(Holding::Complete))];
    let mut more = more;
    more.sort_unstable();
    let padded = Message::Delta { head: head(2, 2, 1, &images, ALL), from: 0, changes: more };
    assert_eq!(say(&mut group, 1, &padded), failed(Fault::Root));
    assert!(group.sites[0].images(ALL, group.keys[2]).is_none());
    let true_one = Message::Delta { head: head(2, 2, 2, &images, ALL), from: 0, changes };
    assert!(!say(&mut group, 1, &true_one).is_empty(), "handed on");
    assert_eq!(group.sites[0].images(ALL, group.keys[2]), Some(&images));
    // An older one changes nothing.
    let old = Message::Delta { head: head(2, 2, 1, &Images::new(), ALL), from: 0, changes: vec![] };
    assert!(say(&mut group, 1, &old).is_empty());
    assert_eq!(group.sites[0].images(ALL, group.keys[2]), Some(&images));
}

#[test]
fn what_is_about_or_from_one_that_may_not_hold_the_scope_is_dropped() {
    let mut group = Group::new(6, 2);
    let images: Images = [(image(1), Holding::Complete)].into();
    let delta = |site| Message::Delta {
        head: head(site, site, 1, &images, EVEN),
        from: 0,
        changes: vec![(image(1), Some(Holding::Complete))],
    };
    // From one that may not; about one that may not; of nobody known; of another region.
    assert!(say(&mut group, 1, &delta(2)).is_empty());
    assert!(say(&mut group, 2, &delta(3)).is_empty());
    assert!(say(&mut group, 2, &delta(50)).is_empty());
    assert!(say(&mut group, 2, &delta(6)).is_empty());
    assert!(say(&mut group, 1, &Message::Ask { id: 1, scope: EVEN, digests: vec![image(1)] }).is_empty());
    group.sites[0].hold(EVEN, image(9), Some(Holding::Complete));
    group.run(secs(30));
    let want = Message::Want { whose: Whose { scope: EVEN, site: group.keys[0] }, after: None };
    assert!(say(&mut group, 1, &want).is_empty());
    assert_eq!(say(&mut group, 2, &want).len(), 1);
    assert_eq!(group.sites[0].remembered().0, 0);
}

#[test]
fn a_filter_that_claims_everything_is_a_fault_and_an_honest_one_never() {
    let mut group = Group::new(4, 2);
    group.link(0, 4);
    for count in [0, 1, 10, 100, 5000, 30_000, 100_000, 250_000] {
        let blobs: Vec<Digest> = (0..count).map(image).collect();
        let filter = Filter::of(&blobs, &ALL, &group.keys[4]);
        assert!(!filter.claims_everything() && filter.is_within_bounds(), "{count}");
        assert!(blobs.iter().take(100_000).all(|blob| filter.may_have(blob, &ALL, &group.keys[4])));
        let wrong = (0..2000).filter(|n| filter.may_have(&image(1_000_000 + n), &ALL, &group.keys[4])).count();
        assert!(count > 26_000 || wrong < 40, "{wrong} of 2000 with {count}");
    }
    let mut honest = claim(4, 4, 1, &[image(1)]).said;
    let bytes = crate::canonical::encode(&honest.filter);
    let full: Vec<u8> =
        bytes.iter().enumerate().map(|(at, b)| if (2..130).contains(&at) { 0xff } else { *b }).collect();
    honest.filter = crate::canonical::decode(&full).unwrap();
    let full = Message::Filter { claim: sign_claim(honest, &secret(4)), handed_on: false };
    assert_eq!(say(&mut group, 4, &full), [Effect::Failed(group.keys[4], Fault::Filled)]);
    let forged = Message::Filter { claim: claim(5, 1, 1, &[]), handed_on: true };
    assert_eq!(say(&mut group, 1, &forged), [Effect::Failed(group.keys[1], Fault::Signature)]);
    assert_eq!(group.sites[0].remembered().0, 0);
    // Those that come too often are not handed on.
    let blobs: Vec<Digest> = (0..50).map(image).collect();
    let handed_on: usize = (1..=50)
        .map(|n| say(&mut group, 4, &Message::Filter { claim: claim(4, 4, n as u64, &blobs[..n]), handed_on: false }))
        .map(|effects| effects.len())
        .sum();
    assert_eq!(handed_on, 3, "one, to three neighbours");
}

#[test]
fn who_claims_to_have_everything_falls_behind_after_few_questions_and_is_tried_again_later() {
    let mut group = Group::new(6, 2);
    group.link(0, 6);
    let wanted: Vec<Digest> = (0..40).map(image).collect();
    // Site 1 shares the uplink and lies; 3 has all of it; 6, far away, too.
    for image in &wanted {
        group.sites[1].hold(ALL, *image, Some(Holding::Complete));
        group.sites[3].hold(ALL, *image, Some(Holding::Complete));
    }
    group.sites[6].blobs(ALL, &wanted);
    group.run(secs(60));
    assert_eq!(group.candidates(0, ALL, wanted[0]), [1, 3, 6]);
    let mut questions = 0;
    while group.candidates(0, ALL, wanted[0]).last() != Some(&1) {
        questions += 1;
        let (now, roster, liar) = (group.now, group.roster(0), group.keys[1]);
        let (id, _) = group.sites[0].ask(liar, ALL, wanted.clone(), now, &roster).unwrap();
        let effects = say(&mut group, 1, &Message::Answer { id, have: Have::None });
        assert!(matches!(effects[..], [Effect::Answered { .. }]));
        assert!(questions < 10);
    }
    assert!(questions <= 4, "{questions}");
    group.run(secs(4 * 3600));
    assert_eq!(group.candidates(0, ALL, wanted[0])[0], 1);
}

#[test]
fn memory_is_bounded_and_a_site_that_claims_a_great_deal_drives_out_its_own() {
    let mut shelf = Shelf::default();
    let put = |shelf: &mut Shelf, site: u8, scope: usize, images: usize| {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&scope.to_le_bytes());
        let whose = Whose { scope: ScopeId(name), site: NodeKey([site; 32]) };
        let images: Images = (0..images).map(|n| (image(n), Holding::Complete)).collect();
        let head = Head::sign(whose, Version::default(), &Images::new(), &secret(0));
        shelf.put(whose, shelf::Kept::Set { head, images });
        whose
    };
    let modest: Vec<Whose> = (0..20).map(|n| put(&mut shelf, 1, n, 5)).collect();
    for scope in 0..100 {
        put(&mut shelf, 2, scope, 1000);
        assert!(shelf.bytes() <= MAX_SITE_BYTES + 20 * 1000);
    }
    assert!(modest.iter().all(|whose| shelf.get(whose).is_some()));
    for site in 3..60 {
        for scope in 0..200 {
            put(&mut shelf, site, scope, 1);
        }
        assert!(shelf.len() <= MAX_REMEMBERED && shelf.bytes() <= MAX_BYTES);
    }
    assert!(modest.iter().all(|whose| shelf.get(whose).is_none()), "longest ago");
}

#[test]
fn what_is_fetched_is_bounded_however_much_is_announced() {
    let mut group = Group::new(6, 0);
    let version = Version { life: life(u64::MAX), number: 1 };
    for scope in 0..200_u8 {
        let scope = ScopeId([scope; 32]);
        let mut may = (*group.members.may).clone();
        may.extend(group.keys.iter().map(|key| (*key, scope)));
        group.members.may = std::sync::Arc::new(may);
        let whose = Whose { scope, site: group.keys[2] };
        say(&mut group, 1, &Message::Have(vec![(whose, version)]));
    }
    assert_eq!(group.sites[0].fetching.len(), MAX_FETCHING_FROM);
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_in_its_one_encoding_or_a_fault(
        bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..1000, bit in 0u8..8,
    ) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
        let images: Images = [(image(1), Holding::Complete)].into();
        let changes = vec![(image(1), Some(Holding::Complete))];
        let message = Message::Delta { head: head(2, 2, 1, &images, ALL), from: 0, changes };
        let mut bytes = message.encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let mut group = Group::new(4, 0);
        let (now, roster, peer) = (group.now, group.roster(0), group.keys[1]);
        group.sites[0].receive(peer, &bytes, now, &roster);
        prop_assert_eq!(group.sites[0].remembered().0, 0, "one bit is enough to be refused");
    }
}

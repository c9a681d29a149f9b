//! Nodes that end, or end in part: retired, narrowed, lapsed.

use protocol::record::{Position, Records};
use protocol::trust::{Farewell, Handshake, Verdict, Void};

use super::islands::{DAY, Islands, image, named, view_of, void, voids};

#[test]
fn retired_all_its_pushes_stand_also_those_only_a_partitioned_third_saw() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris", "oslo"]);
    let first = islands.tag("ci", scope, "v1", "a");
    islands.sync_all();
    // oslo alone hears of these, one of them written when the authority had spoken already.
    let second = islands.tag("ci", scope, "v2", "b");
    islands.sync("ci", "oslo");
    let ending = islands.revoke("north", "ci", Verdict::Retired { farewell: None });
    let third = islands.tag("ci", scope, "v1", "c");
    islands.sync("ci", "oslo");
    islands.heal(&["north", "paris", "south", "root"]);
    assert_eq!(islands.handshake("paris", "ci"), Handshake::Refused);
    assert!(matches!(islands.handshake("oslo", "ci"), Handshake::Full(_)), "it does not know yet");
    islands.heal(&["north", "oslo", "paris", "south", "root"]);
    islands.sync("oslo", "ci");
    islands.all_agree();
    islands.story().in_every_order(&[first, second, ending, third], |ledger| {
        assert!(voids(ledger).is_empty());
        assert_eq!((named(ledger, scope, "v1"), named(ledger, scope, "v2")), (Some(image("c")), Some(image("b"))));
    });
}

#[test]
fn retired_with_a_farewell_what_the_box_writes_afterwards_is_void_everywhere() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    let good = islands.tag("ci", scope, "v1", "good");
    let last = islands.at("ci").next();
    let farewell = Farewell { last: vec![last] };
    let farewell = islands.act("ci", |ledger, now| ledger.bid_farewell(&farewell, "admin", now)).unwrap();
    islands.sync("ci", "north");
    let ending = islands.revoke("north", "ci", Verdict::Retired { farewell: Some(farewell) });
    // The box was sold with its disk, and goes on, also in a new life.
    let sold = islands.tag("ci", scope, "v1", "sold");
    islands.act("ci", |ledger, _| ledger.begin(protocol::record::Incarnation(77)));
    let reborn = islands.tag("ci", scope, "v2", "sold");
    islands.sync("ci", "paris");
    islands.heal(&["paris", "north"]);
    islands.story().in_every_order(&[good, farewell, ending, sold, reborn], |ledger| {
        assert_eq!((named(ledger, scope, "v1"), named(ledger, scope, "v2")), (Some(image("good")), None));
        assert_eq!(voids(ledger), [sold, reborn].map(|id| (id, Void::Revoked(ending))).into());
    });
}

#[test]
fn narrowed_is_void_behind_the_named_place_at_every_site() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris", "oslo"]);
    let good = islands.tag("ci", scope, "v1", "good");
    let last: Vec<Position> =
        islands.at("ci").last_of(&islands.at("ci").key(), islands.at("ci").next().incarnation).into_iter().collect();
    islands.sync_all();
    let bad = islands.tag("ci", scope, "v1", "bad");
    islands.act("ci", |ledger, _| ledger.begin(protocol::record::Incarnation(77)));
    let reborn = islands.tag("ci", scope, "v2", "bad");
    islands.sync("ci", "oslo");
    let on_top = islands.tag("oslo", scope, "v2", "oslo's");
    let ending = islands.revoke("south", "ci", Verdict::Narrowed { last });
    islands.sync_all();
    islands.all_agree();
    islands.story().in_every_order(&[good, bad, reborn, on_top, ending], |ledger| {
        assert_eq!((void(ledger, &good), void(ledger, &on_top)), (None, None));
        assert_eq!(voids(ledger), [bad, reborn].map(|id| (id, Void::Revoked(ending))).into());
        assert_eq!(
            (named(ledger, scope, "v1"), named(ledger, scope, "v2")),
            (Some(image("good")), Some(image("oslo's")))
        );
    });
}

#[test]
fn of_two_verdicts_the_strictest_holds() {
    let (mut islands, scope) = Islands::with_project(&["ci"]);
    let good = islands.tag("ci", scope, "v1", "good");
    let middle = islands.tag("ci", scope, "v1", "middle");
    let bad = islands.tag("ci", scope, "v1", "bad");
    let place = |islands: &Islands, id| islands.at("ci").set().get(id).unwrap().record.body().unwrap().position;
    let (wide, narrow) = (place(&islands, &middle), place(&islands, &good));
    let retired = islands.revoke("north", "ci", Verdict::Retired { farewell: None });
    let one = islands.revoke("north", "ci", Verdict::Narrowed { last: vec![wide] });
    let two = islands.revoke("south", "ci", Verdict::Narrowed { last: vec![narrow] });
    islands.story().in_every_order(&[middle, bad, retired, one, two], |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("good")));
        assert_eq!((view_of(ledger, scope, "v1").voids, void(ledger, &middle)), (2, Some(Void::Revoked(two))));
    });
}

#[test]
fn lapsed_there_is_no_full_handshake_and_the_records_are_valid() {
    let (mut islands, scope) = Islands::with_project(&["ci"]);
    let before = islands.tag("ci", scope, "v1", "before");
    islands.sync_all();
    assert!(matches!(islands.handshake("north", "ci"), Handshake::Full(_)));
    islands.pass(200 * DAY);
    assert_eq!(islands.handshake("north", "ci"), Handshake::RenewOnly);
    let lapsed = islands.tag("ci", scope, "v1", "written lapsed");
    let other = islands.tag("ci", scope, "v2", "written lapsed");
    // It hands over what it wrote, and gets a new grant.
    islands.sync("ci", "north");
    let actions = [protocol::record::Action::Push, protocol::record::Action::Tag];
    let grant = islands.grant("north", "ci", &actions);
    islands.sync("ci", "north");
    islands.renew("ci", grant);
    assert!(matches!(islands.handshake("north", "ci"), Handshake::Full(id) if id == grant));
    let renewed = islands.tag("ci", scope, "v1", "renewed");
    islands.story().in_every_order(&[before, lapsed, other, grant, renewed], |ledger| {
        assert!(voids(ledger).is_empty());
        assert_eq!(named(ledger, scope, "v1"), Some(image("renewed")));
        assert_eq!(named(ledger, scope, "v2"), Some(image("written lapsed")));
    });
}

//! Sites that were away for more than a year.

use protocol::record::{Action, RecordId};
use protocol::trust::{Handshake, Verdict};

use super::islands::{DAY, Islands, image, named, view_of, voids};

#[test]
fn a_site_that_was_away_for_400_days_hands_over_what_it_wrote_and_catches_up() {
    let (mut islands, scope) = Islands::with_project(&["box", "paris"]);
    islands.tag("paris", scope, "v1", "old");
    islands.sync_all();
    let mut matter: Vec<RecordId> = Vec::new();
    islands.pass(10 * DAY);
    matter.push(islands.tag("box", scope, "v1", "of the box"));
    matter.push(islands.untag("box", scope, "v1"));
    matter.push(islands.tag("box", scope, "v2", "of the box"));
    for day in 0..13 {
        islands.pass(30 * DAY);
        islands.tag("paris", scope, "v3", &format!("month {day}"));
    }
    islands.sync("paris", "north");
    matter.push(islands.tag("paris", scope, "v1", "of paris"));
    matter.push(islands.tag("box", scope, "v2", "of the box, lapsed"));
    assert_eq!(islands.handshake("paris", "box"), Handshake::RenewOnly);
    // It gets a new grant, hands over all it wrote, and gets all it missed.
    let grant = islands.grant("north", "box", &[Action::Push, Action::Tag]);
    assert_eq!(islands.sync("north", "box"), []);
    islands.renew("box", grant);
    assert!(matches!(islands.handshake("north", "box"), Handshake::Full(_)));
    islands.sync_all();
    islands.all_agree();
    matter.push(islands.tag("box", scope, "v4", "back again"));
    islands.story().in_every_order(&matter, |ledger| {
        let view = view_of(ledger, scope, "v1");
        assert_eq!((named(ledger, scope, "v1"), view.heads, view.deletes), (Some(image("of paris")), 1, 1));
        assert_eq!(named(ledger, scope, "v2"), Some(image("of the box, lapsed")));
        assert_eq!(
            (named(ledger, scope, "v3"), named(ledger, scope, "v4")),
            (Some(image("month 12")), Some(image("back again")))
        );
        assert!(voids(ledger).is_empty());
    });
}

#[test]
fn an_island_of_two_that_was_away_for_400_days_brings_the_records_of_the_one_that_died() {
    let (mut islands, scope) = Islands::with_project(&["box", "twin", "paris"]);
    let old = islands.tag("paris", scope, "v1", "old");
    islands.sync_all();
    islands.pass(100 * DAY);
    let mut matter = vec![old, islands.tag("box", scope, "v1", "of the box")];
    matter.push(islands.tag("box", scope, "v2", "of the box"));
    islands.sync("box", "twin");
    matter.push(islands.tag("twin", scope, "v1", "of the twin, which saw it"));
    islands.sync("box", "twin");
    // The box dies with its disk. At home it is given up: retired.
    islands.lose("box");
    islands.pass(300 * DAY);
    let ending = islands.revoke("north", "box", Verdict::Retired { farewell: None });
    matter.push(ending);
    matter.push(islands.tag("paris", scope, "v2", "of paris"));
    islands.heal(&["north", "paris", "south", "root"]);
    assert_eq!(islands.handshake("north", "twin"), Handshake::RenewOnly);
    assert_eq!(islands.handshake("north", "box"), Handshake::Refused);
    let grant = islands.grant("north", "twin", &[Action::Push, Action::Tag]);
    assert_eq!(islands.sync("north", "twin"), []);
    islands.renew("twin", grant);
    islands.sync_all();
    islands.all_agree();
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("of the twin, which saw it")));
        assert_eq!((named(ledger, scope, "v2"), view_of(ledger, scope, "v2").heads), (Some(image("of paris")), 2));
        assert!(voids(ledger).is_empty());
    });
}

#[test]
fn on_an_island_without_an_authority_grants_lapse_and_nobody_there_can_renew_them() {
    let (mut islands, scope) = Islands::with_project(&["box", "twin"]);
    islands.sync_all();
    islands.pass(181 * DAY);
    // What the two write is valid, and each has only what the other says for itself.
    for (at, who) in [("box", "twin"), ("twin", "box")] {
        assert_eq!(islands.handshake(at, who), Handshake::RenewOnly);
    }
    let tag = islands.tag("box", scope, "v1", "lapsed");
    islands.sync("box", "twin");
    assert!(voids(islands.at("twin")).is_empty());
    islands.story().in_every_order(&[tag], |ledger| assert_eq!(named(ledger, scope, "v1"), Some(image("lapsed"))));
}

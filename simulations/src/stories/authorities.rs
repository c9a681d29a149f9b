//! Authorities against each other, and authorities that fell.

use protocol::ledger::WriteError;
use protocol::record::{Action, RecordId, ScopeId};
use protocol::trust::{Suspension, Verdict, Void};

use super::islands::{Islands, image, key, named, void, voids};

/// One authority stops another, as of what it holds of it.
fn suspend(islands: &mut Islands, by: &str, who: &str) -> RecordId {
    let life = islands.at(who).next().incarnation;
    let last = islands.at(by).last_of(&key(who), life).into_iter().collect();
    let suspension = Suspension { node: key(who), lifted: false, last };
    islands.act(by, |ledger, now| ledger.suspend(&suspension, "admin", now)).unwrap()
}

fn lift(islands: &mut Islands, who: &str) -> RecordId {
    let lift = Suspension { node: key(who), lifted: true, last: Vec::new() };
    islands.act("root", |ledger, now| ledger.suspend(&lift, "root", now)).unwrap()
}

#[test]
fn two_authorities_accuse_each_other_and_the_sites_go_on_until_the_root_speaks() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    let of_south = suspend(&mut islands, "north", "south");
    let of_north = suspend(&mut islands, "south", "north");
    // Neither knows yet that it is accused.
    islands.admit("north", "box", &[Action::Tag]);
    islands.sync("north", "box");
    let grant = islands.at("box").trust().grants_of(&key("box")).next().unwrap();
    let by_box = islands.tag("box", scope, "v2", "of the box");
    let ending = islands.revoke("south", "ci", Verdict::Narrowed { last: Vec::new() });
    islands.sync_all();
    islands.all_agree();
    let by_ci = islands.tag("ci", scope, "v1", "of ci");
    let both = islands.tag("paris", scope, "v3", "of paris");
    islands.sync_all();
    for (authority, other) in [("north", of_north), ("south", of_south)] {
        let refused = islands.act(authority, |ledger, now| {
            let verdict = Verdict::Retired { farewell: None };
            let revocation = protocol::trust::Revocation { target: protocol::trust::Target::Node(key("ci")), verdict };
            ledger.revoke(&revocation, "admin", now)
        });
        assert_eq!(refused, Err(WriteError::Void(Void::Suspended(other))), "each stops until the root speaks");
        islands.tag(authority, scope, "latest", authority);
    }
    let matter = [of_south, of_north, grant, ending, by_ci, by_box];
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("of ci")));
        assert_eq!((void(ledger, &both), void(ledger, &ending)), (None, Some(Void::Suspended(of_south))));
        assert_eq!(void(ledger, &by_box), Some(Void::NoGrant));
    });
    // The root speaks for north.
    islands.sync_all();
    let lifted = lift(&mut islands, "north");
    islands.sync_all();
    islands.all_agree();
    let matter = [of_south, of_north, grant, ending, by_box, lifted];
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!(void(ledger, &ending), Some(Void::Suspended(of_south)));
        assert_eq!(named(ledger, scope, "v2"), Some(image("of the box")));
        assert_eq!(named(ledger, scope, "v1"), Some(image("of ci")));
    });
    let ending = islands.act("north", |ledger, now| {
        let verdict = Verdict::Retired { farewell: None };
        let revocation = protocol::trust::Revocation { target: protocol::trust::Target::Node(key("ci")), verdict };
        ledger.revoke(&revocation, "admin", now)
    });
    assert!(ending.is_ok());
}

#[test]
fn the_roots_word_lifts_every_suspension_it_had_seen() {
    let (mut islands, scope) = Islands::with_project(&["ci"]);
    use Action::{Administer, Delete, Hold, Issue, Push, Tag};
    islands.admit("root", "east", &[Hold, Push, Tag, Delete, Administer, Issue]);
    islands.sync_all();
    // The second accuser had heard of the first, and says so again later.
    let first = suspend(&mut islands, "north", "south");
    islands.sync_all();
    let second = suspend(&mut islands, "east", "south");
    let again = suspend(&mut islands, "east", "south");
    islands.sync_all();
    let lifted = lift(&mut islands, "south");
    islands.sync_all();
    let ending = islands.revoke("south", "ci", Verdict::Narrowed { last: Vec::new() });
    let tag = islands.tag("ci", scope, "v1", "a");
    islands.sync_all();
    islands.story().in_every_order(&[first, second, again, lifted, ending, tag], |ledger| {
        assert_eq!((void(ledger, &ending), void(ledger, &tag)), (None, Some(Void::Revoked(ending))));
    });
    // One that the root had not seen holds.
    let unseen = suspend(&mut islands, "north", "south");
    let late = islands.revoke("south", "north", Verdict::Retired { farewell: None });
    islands.sync_all();
    assert_ne!(unseen, late);
    assert_eq!(void(islands.at("ci"), &late), Some(Void::Suspended(unseen)));
}

#[test]
fn a_compromised_authoritys_endorsements_are_worth_nothing() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    let trust = ScopeId::trust(islands.at("root").mesh());
    let good = islands.tag("ci", scope, "v1", "good");
    islands.sync_all();
    let bad = islands.tag("ci", scope, "v1", "evil");
    islands.sync("ci", "paris");
    let (list, lists) = islands.endorse("south", "ci", scope, &[good]);
    let verdict = islands.compromised("south", "ci", [(scope, lists)], &[]);
    islands.heal(&["south", "paris", "north"]);
    assert_eq!(named(islands.at("paris"), scope, "v1"), Some(image("good")));
    // The other authority fell too, and vouches for the evil.
    let (vouched, _) = islands.endorse("north", "ci", scope, &[bad]);
    islands.heal(&["south", "paris", "north", "root"]);
    assert_eq!(named(islands.at("paris"), scope, "v1"), Some(image("evil")), "so far its word counts");
    // The root endorses the grants that it gave before, and nothing in the project.
    let grants: Vec<RecordId> = islands.written_by("root", "north", trust);
    let (of_trust, in_trust) = islands.endorse("root", "north", trust, &grants);
    let (of_app, in_app) = islands.endorse("root", "north", scope, &[]);
    let fall = islands.compromised("root", "north", [(trust, in_trust), (scope, in_app)], &[]);
    islands.heal(&["root", "south", "paris"]);
    let matter = [bad, list[0], verdict, vouched[0], of_trust[0], of_app[0], fall];
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("good")));
        assert_eq!(voids(ledger), [(bad, Void::NotEndorsed(verdict)), (vouched[0], Void::NotEndorsed(fall))].into());
    });
}

#[test]
fn a_compromised_authoritys_own_verdict_counts_if_a_named_authority_endorses_it() {
    let (mut islands, scope) = Islands::with_project(&["ci", "paris"]);
    let trust = ScopeId::trust(islands.at("root").mesh());
    let bad = islands.tag("ci", scope, "v1", "evil");
    let (list, lists) = islands.endorse("north", "ci", scope, &[]);
    let verdict = islands.compromised("north", "ci", [(scope, lists)], &[]);
    islands.sync_all();
    assert_eq!(named(islands.at("paris"), scope, "v1"), None);
    let grants: Vec<RecordId> = islands.written_by("root", "north", trust);
    let grants: Vec<RecordId> = grants.into_iter().filter(|id| *id != verdict).collect();
    let (of_trust, in_trust) = islands.endorse("root", "north", trust, &grants);
    let (of_app, in_app) = islands.endorse("root", "north", scope, &[]);
    let fall = islands.compromised("root", "north", [(trust, in_trust), (scope, in_app)], &["south"]);
    islands.sync_all();
    let matter = [bad, list[0], verdict, of_trust[0], of_app[0], fall];
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!(named(ledger, scope, "v1"), Some(image("evil")), "nobody else has judged ci yet");
    });
    // South, which the root named, vouches for the verdict and for its list.
    let (in_trust, _) = islands.endorse("south", "north", trust, &[verdict]);
    let (in_app, _) = islands.endorse("south", "north", scope, &list);
    islands.sync_all();
    let matter = [bad, list[0], verdict, fall, in_trust[0], in_app[0]];
    islands.story().in_every_order(&matter, |ledger| {
        assert_eq!((named(ledger, scope, "v1"), void(ledger, &bad)), (None, Some(Void::NotEndorsed(verdict))));
    });
}

//! What stands of a node that was retired, narrowed, or compromised.

use super::*;

#[test]
fn retired_everything_stands_also_what_comes_later() {
    let mut mesh = Mesh::new();
    let before = mesh.tag(3, scope(7));
    mesh.revoke(1, 3, RETIRED);
    let unseen = mesh.tag(3, scope(7));
    assert_eq!((mesh.judge(&before), mesh.judge(&unseen)), (Ok(()), Ok(())));
    assert_eq!(mesh.trust().handshake(&key(3), NOW, false), Handshake::Refused);
    assert!(matches!(mesh.trust().handshake(&key(4), NOW, false), Handshake::Full(_)));
}

#[test]
fn retired_with_a_farewell_ends_where_the_node_itself_said() {
    let mut mesh = Mesh::new();
    let before = mesh.tag(3, scope(7));
    let last = vec![Position { seq: mesh.position(3).seq + 1, ..mesh.position(3) }];
    let farewell = mesh.act(3, Kind::FAREWELL, &Farewell { last: last.clone() });
    let after = mesh.tag(3, scope(7));
    let ending = mesh.revoke(1, 3, Verdict::Retired { farewell: Some(farewell) });
    assert_eq!((mesh.judge(&before), mesh.judge(&after)), (Ok(()), Err(Void::Revoked(ending))));
    // Someone else's farewell is no word of this node.
    let mut other = Mesh::new();
    let tag = other.tag(3, scope(7));
    let foreign = other.act(4, Kind::FAREWELL, &Farewell { last: Vec::new() });
    other.revoke(1, 3, Verdict::Retired { farewell: Some(foreign) });
    assert_eq!(other.judge(&tag), Ok(()));
}

#[test]
fn narrowed_is_void_behind_the_named_place() {
    let mut mesh = Mesh::new();
    let before = mesh.tag(3, scope(7));
    let last = vec![mesh.position(3)];
    let after = mesh.tag(3, scope(7));
    let ending = mesh.revoke(1, 3, Verdict::Narrowed { last });
    assert_eq!((mesh.judge(&before), mesh.judge(&after)), (Ok(()), Err(Void::Revoked(ending))));
}

#[test]
fn one_grant_may_end_and_another_hold() {
    let mut mesh = Mesh::new();
    let first = mesh.tag(3, scope(7));
    let old = mesh.grants[&3];
    mesh.act(
        1,
        Kind::REVOCATION,
        &Revocation { target: Target::Grant(old), verdict: Verdict::Narrowed { last: Vec::new() } },
    );
    assert!(matches!(mesh.judge(&first), Err(Void::Revoked(_))));
    mesh.admit(1, 3, site());
    let second = mesh.tag(3, scope(7));
    assert_eq!(mesh.judge(&second), Ok(()));
    assert!(matches!(mesh.trust().handshake(&key(3), NOW, false), Handshake::Full(id) if id != old));
}

#[test]
fn compromised_voids_what_is_not_endorsed_once_the_lists_are_here() {
    let mut mesh = Mesh::new();
    let (good, bad) = (mesh.tag(3, scope(7)), mesh.tag(3, scope(7)));
    let elsewhere = mesh.tag(3, scope(8));
    let list = mesh.endorse(1, 3, scope(7), 1, &[&good]);
    let verdict = Mesh::compromise(1, &[(scope(7), 1, &[list])], &[]);
    let ending = mesh.revoke(1, 3, verdict);
    assert_eq!((mesh.judge(&good), mesh.judge(&bad)), (Ok(()), Err(Void::NotEndorsed(ending))));
    assert_eq!(mesh.judge(&elsewhere), Ok(()), "a scope not named voids nothing");
    assert!(mesh.trust().is_judged(&scope(7)) && !mesh.trust().is_judged(&scope(8)));
    assert_eq!(mesh.trust().handshake(&key(3), NOW, false), Handshake::Refused, "at once");
    // Endorsing restores, also long after the verdict, and also by the other authority.
    mesh.endorse(2, 3, scope(7), 99, &[&bad]);
    assert_eq!(mesh.judge(&bad), Ok(()));
}

#[test]
fn nothing_is_lost_while_lists_are_on_their_way() {
    let mut mesh = Mesh::new();
    let (good, bad) = (mesh.tag(3, scope(7)), mesh.tag(3, scope(7)));
    let lists = [mesh.endorse(1, 3, scope(7), 1, &[&good]), mesh.endorse(1, 3, scope(7), 1, &[])];
    let late = mesh.held.pop().unwrap();
    let verdict = Mesh::compromise(1, &[(scope(7), 1, &lists)], &[]);
    mesh.revoke(1, 3, verdict);
    assert_eq!((mesh.judge(&good), mesh.judge(&bad)), (Ok(()), Ok(())));
    assert!(!mesh.trust().is_judged(&scope(7)));
    mesh.held.push(late);
    assert_eq!(mesh.judge(&good), Ok(()));
    assert!(mesh.judge(&bad).is_err());
}

#[test]
fn a_hidden_scope_is_endorsed_by_its_home_alone() {
    let mut mesh = Mesh::new();
    let (good, bad) = (mesh.tag(3, scope(7)), mesh.tag(3, scope(7)));
    let list = mesh.endorse(4, 3, scope(7), 1, &[&good]);
    let unasked = mesh.endorse(4, 3, scope(7), 2, &[&bad]);
    let lists = Lists { by: key(4), list: 1, count: 1, digest: list_digest(&[list]) };
    let scopes = BTreeMap::from([(scope(7), lists)]);
    mesh.revoke(1, 3, Verdict::Compromised(Compromise { since: NOW, scopes, endorsers: Vec::new() }));
    assert_ne!(list, unasked);
    assert_eq!(mesh.judge(&good), Ok(()));
    assert!(mesh.judge(&bad).is_err(), "only the list that was named counts of one who is no authority");
    // It can't vouch for itself when it fell too.
    let verdict = Mesh::compromise(1, &[], &[]);
    mesh.revoke(1, 4, verdict);
    assert_eq!(mesh.judge(&bad), Ok(()), "its list no longer counts: the scope is unjudged again, nothing is void");
    assert!(!mesh.trust().is_judged(&scope(7)));
}

#[test]
fn what_changed_names_those_whose_records_are_to_be_weighed_again() {
    let mut mesh = Mesh::new();
    let before = mesh.trust();
    mesh.revoke(1, 3, Verdict::Narrowed { last: Vec::new() });
    assert_eq!(mesh.trust().changed_since(&before), [key(3)].into());
    let before = mesh.trust();
    mesh.revoke(0, 1, Verdict::Narrowed { last: Vec::new() });
    let changed = mesh.trust().changed_since(&before);
    assert!(changed.contains(&key(1)) && changed.contains(&key(3)) && changed.contains(&key(4)));
    assert!(!changed.contains(&key(2)));
    // Whom a verdict asks to endorse may do so from then on, also what it wrote before.
    let mut mesh = Mesh::new();
    let list = mesh.endorse(4, 3, scope(7), 1, &[]);
    let before = mesh.trust();
    let verdict = Mesh::compromise(4, &[(scope(7), 1, &[list])], &[]);
    mesh.revoke(1, 3, verdict);
    assert_eq!(mesh.trust().changed_since(&before), [key(3), key(4)].into());
}

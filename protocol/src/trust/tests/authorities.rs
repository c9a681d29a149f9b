//! Who may end, suspend and endorse whom, and that authorities can't undo each other.

use super::*;

#[test]
fn a_site_can_neither_revoke_nor_endorse() {
    let mut mesh = Mesh::new();
    let tag = mesh.tag(4, scope(7));
    mesh.revoke(3, 4, Verdict::Narrowed { last: Vec::new() });
    assert_eq!(mesh.judge(&tag), Ok(()));
    let list = mesh.endorse(1, 4, scope(7), 1, &[]);
    let verdict = Mesh::compromise(1, &[(scope(7), 1, &[list])], &[]);
    mesh.revoke(1, 4, verdict);
    mesh.endorse(3, 4, scope(7), 2, &[&tag]);
    assert!(mesh.judge(&tag).is_err());
}

#[test]
fn only_the_root_revokes_an_authority() {
    let mut mesh = Mesh::new();
    mesh.revoke(2, 1, Verdict::Narrowed { last: Vec::new() });
    let tag = mesh.tag(3, scope(7));
    assert_eq!(mesh.judge(&tag), Ok(()), "authorities stand side by side");
    mesh.revoke(1, 1, RETIRED);
    assert!(matches!(mesh.trust().handshake(&key(1), NOW, false), Handshake::Full(_)), "nor itself");
    mesh.revoke(0, 1, Verdict::Narrowed { last: Vec::new() });
    assert_eq!(mesh.judge(&tag), Err(Void::NoGrant), "what it granted goes with it");
}

#[test]
fn the_root_ends_a_site_that_an_authority_let_in() {
    let mut mesh = Mesh::new();
    let (good, bad) = (mesh.tag(3, scope(7)), mesh.tag(3, scope(7)));
    let other = mesh.tag(4, scope(7));
    let list = mesh.endorse(0, 3, scope(7), 1, &[&good]);
    let verdict = Mesh::compromise(0, &[(scope(7), 1, &[list])], &[]);
    mesh.revoke(0, 3, verdict);
    assert_eq!((mesh.judge(&good), mesh.judge(&other)), (Ok(()), Ok(())));
    assert!(matches!(mesh.judge(&bad), Err(Void::NotEndorsed(_))));
    assert_eq!(mesh.trust().handshake(&key(3), NOW, false), Handshake::Refused);
    let grant = mesh.grants[&4];
    let verdict = Verdict::Narrowed { last: Vec::new() };
    mesh.act(0, Kind::REVOCATION, &Revocation { target: Target::Grant(grant), verdict });
    assert!(matches!(mesh.judge(&other), Err(Void::Revoked(_))));
}

#[test]
fn the_root_suspends_an_authority_it_let_in() {
    let mut mesh = Mesh::new();
    let seen = mesh.position(1);
    suspend(&mut mesh, 0, 1, seen);
    mesh.admit(1, 5, site());
    let tag = mesh.tag(5, scope(7));
    assert_eq!(mesh.judge(&tag), Err(Void::NoGrant));
}

#[test]
fn any_authority_revokes_any_site() {
    let mut mesh = Mesh::new();
    let tag = mesh.tag(3, scope(7));
    mesh.revoke(2, 3, Verdict::Narrowed { last: Vec::new() });
    assert!(mesh.judge(&tag).is_err());
}

#[test]
fn who_issues_for_some_projects_ends_only_what_he_began() {
    let mut mesh = Mesh::new();
    mesh.admit(0, 5, vec![over(Action::Issue, "app*"), over(Action::Tag, "app*")]);
    mesh.admit(5, 6, site());
    let (foreign, own) = (mesh.tag(3, scope(7)), mesh.tag(6, scope(7)));
    for node in [3, 6] {
        mesh.revoke(5, node, Verdict::Narrowed { last: Vec::new() });
    }
    assert_eq!(mesh.judge(&foreign), Ok(()));
    assert!(matches!(mesh.judge(&own), Err(Void::Revoked(_))));
}

#[test]
fn two_authorities_accuse_each_other_and_sites_go_on() {
    let mut mesh = Mesh::new();
    let (one, two) = (mesh.position(1), mesh.position(2));
    let first = suspend(&mut mesh, 1, 2, two);
    let second = suspend(&mut mesh, 2, 1, one);
    mesh.admit(1, 5, site());
    mesh.revoke(2, 3, Verdict::Narrowed { last: Vec::new() });
    let (tag, newcomer) = (mesh.tag(3, scope(7)), mesh.tag(5, scope(7)));
    assert_eq!(mesh.judge(&tag), Ok(()), "a suspended authority's revocation does not count");
    assert_eq!(mesh.judge(&newcomer), Err(Void::NoGrant), "nor does its grant");
    let own = mesh.tag(1, scope(7));
    assert_eq!(mesh.judge(&own), Ok(()), "what is no act of trust is not touched");
    // The root speaks for one of them.
    let lift = Suspension { node: key(1), lifted: true, last: Vec::new() };
    mesh.write(0, Mesh::trust_scope(), Kind::SUSPENSION, &lift, vec![second]);
    assert_eq!((mesh.judge(&newcomer), mesh.judge(&tag)), (Ok(()), Ok(())));
    assert_ne!(first, second);
}

#[test]
fn the_root_lifts_what_its_word_follows_however_far_back() {
    let mut mesh = Mesh::new();
    mesh.admit(0, 5, everything());
    let last = vec![mesh.position(1)];
    let write = |mesh: &mut Mesh, by: u8, prev: Vec<RecordId>| {
        let suspension = Suspension { node: key(1), lifted: false, last: last.clone() };
        mesh.write(by, Mesh::trust_scope(), Kind::SUSPENSION, &suspension, prev).id()
    };
    // Each had seen the one before; the last says it twice, and names nothing.
    let first = write(&mut mesh, 2, Vec::new());
    write(&mut mesh, 5, vec![first]);
    let last = write(&mut mesh, 5, Vec::new());
    let tag = mesh.tag(3, scope(7));
    mesh.revoke(1, 3, Verdict::Narrowed { last: Vec::new() });
    assert_eq!(mesh.judge(&tag), Ok(()));
    let other = Suspension { node: key(2), lifted: true, last: Vec::new() };
    mesh.write(0, Mesh::trust_scope(), Kind::SUSPENSION, &other, vec![last]);
    assert_eq!(mesh.judge(&tag), Ok(()), "the root spoke of another");
    let lift = Suspension { node: key(1), lifted: true, last: Vec::new() };
    mesh.write(0, Mesh::trust_scope(), Kind::SUSPENSION, &lift, vec![last]);
    assert!(mesh.judge(&tag).is_err(), "all three are lifted");
    write(&mut mesh, 2, Vec::new());
    assert_eq!(mesh.judge(&tag), Ok(()), "a new one is not");
}

#[test]
fn only_the_root_lifts_a_suspension() {
    let mut mesh = Mesh::new();
    let one = mesh.position(1);
    let id = suspend(&mut mesh, 2, 1, one);
    let lift = Suspension { node: key(1), lifted: true, last: Vec::new() };
    mesh.write(1, Mesh::trust_scope(), Kind::SUSPENSION, &lift, vec![id]);
    mesh.admit(1, 5, site());
    let tag = mesh.tag(5, scope(7));
    assert_eq!(mesh.judge(&tag), Err(Void::NoGrant));
    let grant = mesh.held.iter().find(|held| held.record.id() == mesh.grants[&5]).unwrap().record.clone();
    assert_eq!(mesh.judge(&grant), Err(Void::Suspended(id)));
}

#[test]
fn a_compromised_authoritys_acts_count_as_root_or_a_named_authority_endorses() {
    let trust_scope = Mesh::trust_scope();
    let mut mesh = Mesh::new();
    let (third, fourth) = (mesh.grants[&3], mesh.grants[&4]);
    let grant_of = |mesh: &Mesh, id| mesh.held.iter().find(|held| held.record.id() == id).unwrap().record.clone();
    let (third, fourth) = (grant_of(&mesh, third), grant_of(&mesh, fourth));
    let (by_three, by_four) = (mesh.tag(3, scope(7)), mesh.tag(4, scope(7)));
    // The fallen authority's own endorsements, before and after, are worth nothing.
    mesh.endorse(1, 1, trust_scope, 5, &[&fourth]);
    let list = mesh.endorse(0, 1, trust_scope, 1, &[&third]);
    let verdict = Mesh::compromise(0, &[(trust_scope, 1, &[list])], &[2]);
    mesh.revoke(0, 1, verdict);
    assert_eq!(mesh.judge(&by_three), Ok(()));
    assert_eq!(mesh.judge(&by_four), Err(Void::NoGrant));
    mesh.endorse(2, 1, trust_scope, 6, &[&fourth]);
    assert_eq!(mesh.judge(&by_four), Ok(()), "the root named authority 2");
    // Were it compromised too, its word would not count any more.
    let list = mesh.endorse(0, 2, trust_scope, 2, &[]);
    let verdict = Mesh::compromise(0, &[(trust_scope, 2, &[list])], &[1]);
    mesh.revoke(0, 2, verdict);
    assert_eq!((mesh.judge(&by_three), mesh.judge(&by_four)), (Ok(()), Err(Void::NoGrant)));
}

#[test]
fn an_unnamed_authority_does_not_endorse_its_equal() {
    let trust_scope = Mesh::trust_scope();
    let mut mesh = Mesh::new();
    let grant = mesh.held.iter().find(|held| held.record.id() == mesh.grants[&3]).unwrap().record.clone();
    let tag = mesh.tag(3, scope(7));
    let list = mesh.endorse(0, 1, trust_scope, 1, &[]);
    let verdict = Mesh::compromise(0, &[(trust_scope, 1, &[list])], &[]);
    mesh.revoke(0, 1, verdict);
    mesh.endorse(2, 1, trust_scope, 2, &[&grant]);
    assert_eq!(mesh.judge(&tag), Err(Void::NoGrant));
}

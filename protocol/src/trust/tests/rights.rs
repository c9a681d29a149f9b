//! What a grant allows, and how far it reaches down a chain.

use super::*;

#[test]
fn a_record_counts_by_the_grant_it_names_and_no_other() {
    let mut mesh = Mesh::new();
    let good = mesh.tag(3, scope(7));
    assert_eq!(mesh.judge(&good), Ok(()));
    assert_eq!(mesh.trust().judge(&good, Some(Action::Tag), Some(&"other".parse().unwrap())), Err(Void::NoRight));
    assert_eq!(mesh.trust().judge(&good, Some(Action::Administer), Some(&"app".parse().unwrap())), Err(Void::NoRight));
    assert_eq!(mesh.trust().judge(&good, Some(Action::Tag), None), Err(Void::NoRight), "the name is not known yet");
    mesh.grants.insert(3, mesh.grants[&4]);
    let others = mesh.tag(3, scope(7));
    assert_eq!(mesh.judge(&others), Err(Void::OthersGrant));
    mesh.grants.insert(3, RecordId([9; 32]));
    let unknown = mesh.tag(3, scope(7));
    assert_eq!(mesh.judge(&unknown), Err(Void::NoGrant));
}

#[test]
fn a_scope_may_be_granted_without_its_name() {
    let mut mesh = Mesh::new();
    mesh.admit(1, 5, vec![Right { action: Action::Tag, over: Over::Scope(scope(7)) }]);
    let (inside, outside) = (mesh.tag(5, scope(7)), mesh.tag(5, scope(8)));
    assert_eq!(mesh.trust().judge(&inside, Some(Action::Tag), None), Ok(()));
    assert_eq!(mesh.judge(&outside), Err(Void::NoRight));
}

#[test]
fn rights_only_narrow_down_a_chain() {
    let mut mesh = Mesh::new();
    mesh.admit(1, 5, vec![over(Action::Issue, "app*"), over(Action::Tag, "app*")]);
    mesh.admit(5, 6, everything());
    let tag = mesh.tag(6, scope(7));
    assert_eq!(mesh.judge(&tag), Ok(()), "what its issuer has itself");
    let trust = mesh.trust();
    assert_eq!(trust.judge(&tag, Some(Action::Tag), Some(&"other".parse().unwrap())), Err(Void::NoRight));
    assert_eq!(trust.judge(&tag, Some(Action::Push), Some(&"app".parse().unwrap())), Err(Void::NoRight));
}

#[test]
fn id_blocks_lie_within_the_issuers() {
    let mut mesh = Mesh::new();
    let mut wide = grant(5, everything());
    wide.ids = IdBlock { first: 900, count: 1_000_000 };
    let id = mesh.act(1, Kind::GRANT, &wide);
    assert_eq!(mesh.trust().ids(&id), IdBlock { first: 900, count: 101 });
    assert_eq!(mesh.trust().ids(&RecordId([9; 32])), IdBlock::default());
}

#[test]
fn a_grant_of_one_who_may_not_issue_is_none() {
    let mut mesh = Mesh::new();
    mesh.admit(3, 5, site());
    let tag = mesh.tag(5, scope(7));
    assert_eq!(mesh.judge(&tag), Err(Void::NoGrant));
    assert!(mesh.trust().is_known(&key(5)), "its records are taken in all the same, and judged at read");
    assert!(!mesh.trust().is_known(&key(6)));
}

#[test]
fn lapsed_is_a_matter_of_handshakes_alone() {
    let mut mesh = Mesh::new();
    let tag = mesh.tag(3, scope(7));
    let later = Timestamp(NOW.0 + 5000);
    assert_eq!(mesh.trust().handshake(&key(3), later, false), Handshake::RenewOnly);
    assert_eq!(mesh.trust().handshake(&key(3), Timestamp(NOW.0 - 1), false), Handshake::Refused, "not yet");
    assert_eq!(mesh.trust().handshake(&key(3), NOW, true), Handshake::RenewOnly, "it said two things at one place");
    assert_eq!(mesh.trust().handshake(&key(9), NOW, false), Handshake::Refused);
    assert_eq!(mesh.judge(&tag), Ok(()));
}

//! Stories of trust: who may speak, what stands when someone may no longer, and that authorities can't undo each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::identity::NodeSecret;
use crate::record::{Draft, Held, HybridTime, Incarnation, Kind, Position, RecordKey};
use crate::{Timestamp, canonical};

const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// A mesh whose acts are written down one by one. Node 0 is the root.
struct Mesh {
    held: Vec<Held>,
    seqs: BTreeMap<u8, u64>,
    grants: BTreeMap<u8, RecordId>,
}

fn secret(node: u8) -> NodeSecret {
    NodeSecret::from_seed([node + 1; 32])
}

fn key(node: u8) -> NodeKey {
    secret(node).key()
}

fn scope(name: u8) -> ScopeId {
    ScopeId([name; 32])
}

fn everything() -> Vec<Right> {
    use Action::{Administer, Delete, Hold, Issue, Observe, Push, Scan, Tag};
    let all = [Hold, Push, Tag, Delete, Observe, Scan, Administer, Issue];
    all.map(|action| Right { action, over: Over::Everything }).to_vec()
}

fn over(action: Action, projects: &str) -> Right {
    Right { action, over: Over::Projects(projects.into()) }
}

fn site() -> Vec<Right> {
    vec![over(Action::Push, "app*"), over(Action::Tag, "app*"), over(Action::Delete, "app*")]
}

impl Mesh {
    /// A root, two authorities (1 and 2), and under the first of them two sites (3 and 4).
    fn new() -> Self {
        let mut mesh = Self { held: Vec::new(), seqs: BTreeMap::new(), grants: BTreeMap::new() };
        mesh.grants.insert(0, RecordId::NONE);
        for authority in [1, 2] {
            mesh.admit(0, authority, everything());
        }
        for node in [3, 4] {
            mesh.admit(1, node, site());
        }
        mesh
    }

    fn trust_scope() -> ScopeId {
        ScopeId::trust(&MeshId::of(&key(0)))
    }

    fn write(&mut self, node: u8, scope: ScopeId, kind: Kind, value: &impl Serialize, prev: Vec<RecordId>) -> Record {
        let seq = self.seqs.entry(node).or_default();
        *seq += 1;
        let position = Position { incarnation: Incarnation(u64::from(node)), seq: *seq };
        let value = canonical::encode(value);
        let record = Draft {
            scope,
            time: HybridTime::at(Timestamp(NOW.0 + *seq)),
            kind,
            key: RecordKey::single(),
            value: Some(&value),
            position,
            grant: self.grants[&node],
            actor: "",
            prev,
        };
        let record = record.sign(&secret(node)).unwrap();
        self.held.push(Held { record: record.clone(), value: Some(Arc::from(value)) });
        record
    }

    fn act(&mut self, node: u8, kind: Kind, value: &impl Serialize) -> RecordId {
        self.write(node, Self::trust_scope(), kind, value, Vec::new()).id()
    }

    fn admit(&mut self, issuer: u8, node: u8, rights: Vec<Right>) -> RecordId {
        let id = self.act(issuer, Kind::GRANT, &grant(node, rights));
        self.grants.insert(node, id);
        id
    }

    fn revoke(&mut self, by: u8, node: u8, verdict: Verdict) -> RecordId {
        self.act(by, Kind::REVOCATION, &Revocation { target: Target::Node(key(node)), verdict })
    }

    /// A tag written in a project's scope.
    fn tag(&mut self, node: u8, scope: ScopeId) -> Record {
        self.write(node, scope, Kind::TAG, &0u8, Vec::new())
    }

    fn endorse(&mut self, by: u8, node: u8, scope: ScopeId, list: u64, records: &[&Record]) -> RecordId {
        let mut records: Vec<RecordId> = records.iter().map(|record| record.id()).collect();
        records.sort_unstable();
        self.write(by, scope, Kind::ENDORSEMENT, &Endorsement { node: key(node), list, records }, Vec::new()).id()
    }

    fn compromise(by: u8, scopes: &[(ScopeId, u64, &[RecordId])], endorsers: &[u8]) -> Verdict {
        let lists = |(scope, list, ids): &(ScopeId, u64, &[RecordId])| {
            (*scope, Lists { by: key(by), list: *list, count: ids.len() as u32, digest: list_digest(ids) })
        };
        let endorsers = endorsers.iter().map(|node| key(*node)).collect();
        Verdict::Compromised(Compromise { since: NOW, scopes: scopes.iter().map(lists).collect(), endorsers })
    }

    fn position(&self, node: u8) -> Position {
        Position { incarnation: Incarnation(u64::from(node)), seq: self.seqs.get(&node).copied().unwrap_or_default() }
    }

    fn trust(&self) -> Trust {
        Trust::evaluate(key(0), &self.held)
    }

    fn judge(&self, record: &Record) -> Result<(), Void> {
        let name = "app".parse().unwrap();
        self.trust().judge(record, record.body().unwrap().kind.action(), Some(&name))
    }
}

fn grant(node: u8, rights: Vec<Right>) -> Grant {
    Grant {
        node: key(node),
        site: format!("site-{node}"),
        labels: BTreeMap::new(),
        rights,
        ids: IdBlock { first: 1, count: 1000 },
        not_before: NOW,
        not_after: Timestamp(NOW.0 + 1000),
        serial: 1,
    }
}

const RETIRED: Verdict = Verdict::Retired { farewell: None };

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

fn suspend(mesh: &mut Mesh, by: u8, node: u8, seen: Position) -> RecordId {
    mesh.act(by, Kind::SUSPENSION, &Suspension { node: key(node), lifted: false, last: vec![seen] })
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

/// A random history of acts of trust: who does what to whom.
#[derive(Clone, Debug)]
enum Deed {
    Admit { by: u8, node: u8, rights: u8 },
    Retire { by: u8, node: u8 },
    Narrow { by: u8, node: u8 },
    Compromise { by: u8, node: u8, endorse: bool },
    Suspend { by: u8, node: u8 },
    Tag { by: u8 },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let node = || 0u8..7;
    let deed = prop_oneof![
        (node(), 1u8..7, 0u8..4).prop_map(|(by, node, rights)| Deed::Admit { by, node, rights }),
        (node(), 1u8..7).prop_map(|(by, node)| Deed::Retire { by, node }),
        (node(), 1u8..7).prop_map(|(by, node)| Deed::Narrow { by, node }),
        (node(), 1u8..7, any::<bool>()).prop_map(|(by, node, endorse)| Deed::Compromise { by, node, endorse }),
        (node(), 1u8..7).prop_map(|(by, node)| Deed::Suspend { by, node }),
        node().prop_map(|by| Deed::Tag { by }),
    ];
    proptest::collection::vec(deed, 1..24)
}

fn history(deeds: Vec<Deed>) -> Mesh {
    let mut mesh = Mesh::new();
    for deed in deeds {
        let unknown = |node: &u8| !mesh.grants.contains_key(node);
        match deed {
            Deed::Admit { by, .. }
            | Deed::Retire { by, .. }
            | Deed::Narrow { by, .. }
            | Deed::Compromise { by, .. }
            | Deed::Suspend { by, .. }
            | Deed::Tag { by }
                if unknown(&by) => {}
            Deed::Admit { by, node, rights } => {
                let rights = if rights == 0 { everything() } else { everything().split_off(usize::from(rights)) };
                mesh.admit(by, node, rights);
            }
            Deed::Retire { by, node } => {
                mesh.revoke(by, node, RETIRED);
            }
            Deed::Narrow { by, node } => {
                let last = if mesh.seqs.contains_key(&node) { vec![mesh.position(node)] } else { Vec::new() };
                mesh.revoke(by, node, Verdict::Narrowed { last });
            }
            Deed::Compromise { by, node, endorse } => {
                let own = mesh.held.iter().map(|held| held.record.clone());
                let own: Vec<Record> = own.filter(|record| endorse && record.author() == key(node)).collect();
                let list = mesh.endorse(by, node, Mesh::trust_scope(), 1, &own.iter().collect::<Vec<_>>());
                let verdict = Mesh::compromise(by, &[(Mesh::trust_scope(), 1, &[list]), (scope(7), 1, &[])], &[]);
                mesh.revoke(by, node, verdict);
            }
            Deed::Suspend { by, node } => {
                let seen = Position { incarnation: Incarnation(u64::from(node)), seq: 1 };
                suspend(&mut mesh, by, node, seen);
            }
            Deed::Tag { by } => {
                mesh.tag(by, scope(7));
            }
        }
    }
    mesh
}

proptest! {

    #[test]
    fn the_order_of_arrival_does_not_matter(deeds in deeds(), seed: u64) {
        let mesh = history(deeds);
        let mut shuffled: Vec<(u64, &Held)> = mesh.held.iter().enumerate()
            .map(|(n, held)| (seed.wrapping_mul(n as u64 * 2 + 1).rotate_left(17), held)).collect();
        shuffled.sort_by_key(|(rank, _)| *rank);
        let other = Trust::evaluate(key(0), shuffled.into_iter().map(|(_, held)| held));
        prop_assert_eq!(other, mesh.trust());
    }

    #[test]
    fn nobody_has_a_right_his_issuer_lacks(deeds in deeds()) {
        let trust = history(deeds).trust();
        let name = "app".parse().unwrap();
        for (id, counted) in &trust.grants {
            let Some(issuer) = counted.issuer else { continue };
            for right in everything() {
                if trust.allows(id, right.action, &scope(7), Some(&name)) {
                    prop_assert!(trust.allows(&issuer, right.action, &scope(7), Some(&name)));
                }
            }
        }
    }

    #[test]
    fn an_act_changes_nobody_at_or_above_its_author(deeds in deeds(), by in 1u8..7, node in 1u8..7) {
        let mut mesh = history(deeds);
        prop_assume!(mesh.grants.contains_key(&by));
        let before = mesh.trust();
        mesh.revoke(by, node, Verdict::Narrowed { last: Vec::new() });
        let after = mesh.trust();
        let level = |trust: &Trust, node| trust.nodes.get(&key(node)).map(|standing| standing.level);
        if level(&before, node) <= level(&before, by) {
            prop_assert!(!after.changed_since(&before).contains(&key(node)));
        }
    }
}

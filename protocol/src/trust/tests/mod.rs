//! Stories of trust: who may speak, what stands when someone may no longer, and that authorities can't undo each other.
//! [`Mesh`] is the kit.

mod authorities;
mod endings;
mod histories;
mod rights;

use std::collections::BTreeMap;
use std::sync::Arc;

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

fn suspend(mesh: &mut Mesh, by: u8, node: u8, seen: Position) -> RecordId {
    mesh.act(by, Kind::SUSPENSION, &Suspension { node: key(node), lifted: false, last: vec![seen] })
}

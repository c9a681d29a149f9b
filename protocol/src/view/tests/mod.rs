//! A mesh of a few authors that say whatever a test wants, and a judge that believes whom it is told to.

mod by_definition;
mod property;
mod rules;
mod settings;
mod stories;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Changed, InMemory, Stale, Standing, Topic, TopicView, View};
use crate::identity::{NodeKey, NodeSecret};
use crate::record::value::{BlobClaim, Life, Project, Pushed, Settings, TagMode, Tagged};
use crate::record::{
    Action, Draft, HybridTime, Incarnation, Kind, MeshId, Position, Record, RecordId, RecordKey, RecordSet, ScopeId,
};
use crate::trust::{Judge, Void};
use crate::{ContentRoot, Digest, ProjectName, RepositoryName, Timestamp, canonical};

const MESH: MeshId = MeshId([7; 32]);
const NONCE: [u8; 16] = [5; 16];

fn library() -> ProjectName {
    "library".parse().unwrap()
}

fn scope() -> ScopeId {
    ScopeId::project(&MESH, &library(), &NONCE)
}

fn repository() -> RepositoryName {
    "library/app".parse().unwrap()
}

fn digest(n: u64) -> Digest {
    Digest::sha256(&n.to_be_bytes())
}

fn tag(name: &str) -> Topic {
    Topic { scope: scope(), kind: Kind::TAG, key: RecordKey::tag(&repository(), &name.parse().unwrap()) }
}

fn manifest(n: u64) -> Topic {
    Topic { scope: scope(), kind: Kind::MANIFEST, key: RecordKey::manifest(&repository(), &digest(n)) }
}

fn named(kind: Kind, name: &str) -> Topic {
    Topic { scope: scope(), kind, key: RecordKey::named(name) }
}

fn node(n: usize) -> NodeSecret {
    NodeSecret::from_seed([n as u8 + 1; 32])
}

/// Each node has one grant and stands for one site.
fn grant(n: usize) -> RecordId {
    RecordId([0xf0 + n as u8; 32])
}

fn site(n: usize) -> String {
    format!("site-{n}")
}

/// Believes everyone but whom it is told not to.
#[derive(Clone, Debug, Default)]
struct Fake {
    sites: BTreeMap<RecordId, String>,
    /// Compromised, with the records endorsed.
    compromised: BTreeMap<NodeKey, BTreeSet<RecordId>>,
    /// Without this right.
    denied: BTreeSet<(NodeKey, Action)>,
    /// With rights over the project `library` alone.
    by_name: BTreeSet<NodeKey>,
}

impl Fake {
    fn new() -> Self {
        Self { sites: (0..8).map(|n| (grant(n), site(n))).collect(), ..Self::default() }
    }
}

impl Judge for Fake {
    fn judge(&self, record: &Record, action: Option<Action>, project: Option<&ProjectName>) -> Result<(), Void> {
        let author = record.author();
        if self.compromised.get(&author).is_some_and(|endorsed| !endorsed.contains(&record.id())) {
            return Err(Void::NotEndorsed(RecordId([0xee; 32])));
        }
        let is_denied = action.is_some_and(|action| self.denied.contains(&(author, action)));
        if is_denied || (self.by_name.contains(&author) && project != Some(&library())) {
            return Err(Void::NoRight);
        }
        Ok(())
    }

    fn site(&self, grant: &RecordId) -> Option<&str> {
        self.sites.get(grant).map(String::as_str)
    }

    fn is_judged(&self, _: &ScopeId) -> bool {
        true
    }
}

fn open(mode: TagMode, epoch: u32) -> Settings {
    Settings { mode, epoch, ..Settings::new(Timestamp(1), true, false) }
}

fn project_of(name: ProjectName, nonce: [u8; 16], life: Life) -> Vec<u8> {
    canonical::encode(&Project { name, nonce, life })
}

fn project(settings: Settings) -> Vec<u8> {
    project_of(library(), NONCE, Life::Open(settings))
}

fn names(n: Option<u64>, epoch: u32, home: bool) -> Vec<u8> {
    canonical::encode(&Tagged { digest: n.map(digest), epoch, home })
}

fn pushed(children: &[u64], blobs: u64) -> Vec<u8> {
    canonical::encode(&Pushed {
        media_type: "application/vnd.oci.image.index.v1+json".parse().unwrap(),
        size: 100,
        root: ContentRoot([1; 32]),
        children: children.iter().copied().map(digest).collect(),
        subject: None,
        blobs: (0..blobs).map(|n| BlobClaim { digest: digest(1000 + n), size: 10, root: None }).collect(),
    })
}

/// A site, and authors that write to it.
struct World {
    set: RecordSet,
    judge: Fake,
    view: View<InMemory>,
    clock: u64,
    places: BTreeMap<usize, u64>,
}

impl World {
    fn new() -> Self {
        let (set, judge, view) = (RecordSet::default(), Fake::new(), View::new(MESH, InMemory::default()));
        Self { set, judge, view, clock: 1_000_000, places: BTreeMap::new() }
    }

    /// With a project `library` of this tag mode, made by node 0.
    fn with_project(mode: TagMode) -> (Self, RecordId) {
        let mut world = Self::new();
        let id = world.write(0, &Topic::project(scope()), Some(&project(open(mode, 0))), &[]);
        (world, id)
    }

    fn write(&mut self, n: usize, topic: &Topic, value: Option<&[u8]>, prev: &[RecordId]) -> RecordId {
        let seq = self.places.get(&n).map_or(1, |last| last + 1);
        self.write_at(n, seq, topic, value, prev)
    }

    fn write_at(&mut self, n: usize, seq: u64, topic: &Topic, value: Option<&[u8]>, prev: &[RecordId]) -> RecordId {
        self.places.entry(n).and_modify(|last| *last = seq.max(*last)).or_insert(seq);
        self.clock += 1;
        let record = sign(n, Position { incarnation: Incarnation(1), seq }, self.clock, topic, value, prev);
        self.take(&record, value);
        record.id()
    }

    fn take(&mut self, record: &Record, value: Option<&[u8]>) -> Changed {
        self.set.insert(record.clone(), value.map(Arc::from)).unwrap();
        let changed = self.view.insert(&self.set, &self.judge, &record.id());
        self.check();
        changed
    }

    fn compromise(&mut self, n: usize, endorsed: &[RecordId]) {
        self.judge.compromised.insert(node(n).key(), endorsed.iter().copied().collect());
        let stale = Stale { authors: [node(n).key()].into(), ..Stale::default() };
        self.view.rejudge(&self.set, &self.judge, &stale);
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.view.kept(), View::from_scratch(MESH, &self.set, &self.judge).kept());
    }

    fn of(&self, topic: &Topic) -> TopicView {
        self.view.topic(topic)
    }

    fn live(&self, topic: &Topic) -> Option<RecordId> {
        self.of(topic).live
    }

    fn standing(&self, id: &RecordId) -> Standing {
        super::Kept::version(self.view.kept(), id).unwrap()
    }

    fn void(&self, id: &RecordId) -> Option<Void> {
        self.standing(id).void
    }
}

fn sign(n: usize, position: Position, time: u64, topic: &Topic, value: Option<&[u8]>, prev: &[RecordId]) -> Record {
    let draft = Draft {
        scope: topic.scope,
        time: HybridTime::at(Timestamp(time)),
        kind: topic.kind,
        key: topic.key.clone(),
        value,
        position,
        grant: grant(n),
        actor: "ci",
        prev: prev.to_vec(),
    };
    draft.sign(&node(n)).unwrap()
}

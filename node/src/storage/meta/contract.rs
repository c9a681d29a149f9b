//! What every metadata engine promises, as checks: one test for each promise and engine, and random histories that two
//! engines have to tell alike.
//!
//! The promises stand at [`super::MetaStore`].

mod blobs;
mod entries;
mod garbage;
mod manifests;
mod others;
mod random;
mod records;
mod shelf;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{ContentRoot, Digest, ProjectName, RepositoryName, Tag, Timestamp};

use super::memory::MemoryMeta;
use super::redb::memory_disk::MemoryDisk;
use super::redb::{OpenRedb, RedbMeta};
use super::{
    Act, Candidate, Event, LinkBlob, MetaStore, MountBlob, Needed, Page, Project, PublishManifest, Published, What,
};
use crate::storage::Health;
use crate::workers::Scope;

/// One `#[tokio::test]` per check and engine.
macro_rules! checks {
    ($($name:ident)+) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(crate::storage::meta::contract::Site::memory()).await; })+
        }
        mod redb {
            $(#[tokio::test] async fn $name() { super::$name(crate::storage::meta::contract::Site::redb()).await; })+
        }
    };
}
use checks;

checks! {
    settings_are_kept_and_replaced
    a_project_is_made_once
    projects_and_repositories_are_paged_in_order
    events_come_in_order_and_are_forgotten_when_acknowledged
    positions_begin_at_one_and_are_only_raised
    counts_follow
}

/// An engine, and short words for the intents.
pub(super) struct Site {
    pub(super) meta: Arc<dyn MetaStore>,
}

pub(super) fn at(ms: u64) -> Timestamp {
    Timestamp(ms)
}

pub(super) fn act(ms: u64) -> Act {
    Act { actor: "tester".into(), at: at(ms), request: format!("request {ms}").into(), via: Default::default() }
}

pub(super) fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

pub(super) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

pub(super) fn root(content: &[u8]) -> ContentRoot {
    protocol::tree::root_of(content)
}

pub(super) fn all() -> Page {
    Page { after: None, limit: 1000 }
}

pub(super) fn page(after: &str, limit: usize) -> Page {
    Page { after: Some(after.into()), limit }
}

/// A blob of the tests: its name is its content.
pub(super) fn blob(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

pub(super) fn needed(name: &str) -> Needed {
    Needed { digest: blob(name), size: name.len() as u64 }
}

/// A manifest of the tests, without anything in it; pushed at 10.
pub(in crate::storage) fn manifest(repo: &str, name: &str) -> PublishManifest {
    let bytes = Bytes::copy_from_slice(name.as_bytes());
    PublishManifest {
        repository: repository(repo),
        digest: Digest::sha256(&bytes),
        root: root(&bytes),
        bytes,
        media_type: "application/vnd.oci.image.manifest.v1+json".parse().unwrap(),
        tags: Vec::new(),
        tags_are_new: false,
        blobs: Vec::new(),
        optional_blobs: Vec::new(),
        children: Vec::new(),
        sparse: false,
        subject: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
        quota: None,
        due: at(90),
        act: act(10),
    }
}

impl Site {
    /// The engine that forgets.
    pub(super) fn memory() -> Self {
        Self { meta: Arc::new(MemoryMeta::default()) }
    }

    /// The embedded engine on a disk in memory.
    pub(super) fn redb() -> Self {
        Self { meta: Arc::new(Self::redb_engine()) }
    }

    /// The engine itself, for checks of what it keeps.
    pub(super) fn redb_engine() -> RedbMeta {
        let meta = RedbMeta::open(OpenRedb {
            fs: Arc::new(MemoryDisk::default()),
            path: "/data/meta.redb".into(),
            cache: 1 << 20,
            sync: true,
            health: Health::new(),
            author: crate::storage::meta::tests_author(),
            scope: Scope::new(),
        });
        meta.unwrap()
    }

    pub(super) async fn project(&self, name: &str) -> bool {
        let name: ProjectName = name.parse().unwrap();
        let project = Project { name, public: false, sparse: false, created: at(1) };
        self.meta.create_project(project, act(1)).await.unwrap()
    }

    /// Links the blob named by its content, at 5, leased until `lease`.
    pub(super) async fn link(&self, repo: &str, name: &str, lease: u64) -> bool {
        self.link_at(repo, name, lease, 5).await
    }

    pub(super) async fn link_at(&self, repo: &str, name: &str, lease: u64, now: u64) -> bool {
        let link = LinkBlob {
            repository: repository(repo),
            digest: blob(name),
            size: name.len() as u64,
            root: root(name.as_bytes()),
            lease: at(lease),
            act: act(now),
        };
        self.meta.link_blob(link).await.unwrap()
    }

    pub(super) async fn mount(&self, from: &str, to: &str, name: &str, lease: u64) -> Option<super::BlobRow> {
        let (from, to) = (repository(from), repository(to));
        let mount = MountBlob { from, to, digest: blob(name), lease: at(lease), act: act(6) };
        self.meta.mount_blob(mount).await.unwrap()
    }

    pub(super) async fn has_blob(&self, repo: &str, name: &str) -> bool {
        self.meta.blob(&repository(repo), &blob(name)).await.unwrap().is_some()
    }

    pub(super) async fn publish(&self, publish: PublishManifest) -> Published {
        self.meta.publish_manifest(publish).await.unwrap()
    }

    pub(super) async fn published(&self, publish: PublishManifest) -> Digest {
        let digest = publish.digest;
        assert!(matches!(self.publish(publish).await, Published::Done { .. }));
        digest
    }

    pub(super) async fn due(&self, now: u64) -> Vec<Candidate> {
        self.meta.candidates(at(now), None, 1000).await.unwrap()
    }

    pub(super) async fn events(&self) -> Vec<Event> {
        self.meta.outbox(1000).await.unwrap()
    }

    pub(super) async fn bytes_of(&self, project: &str) -> u64 {
        self.meta.project_bytes(&project.parse().unwrap()).await.unwrap()
    }
}

async fn settings_are_kept_and_replaced(site: Site) {
    assert_eq!(site.meta.setting("a").await.unwrap(), None);
    site.meta.put_setting("a", b"1".to_vec()).await.unwrap();
    site.meta.put_setting("b", Vec::new()).await.unwrap();
    site.meta.put_setting("a", b"22".to_vec()).await.unwrap();
    assert_eq!(site.meta.setting("a").await.unwrap(), Some(b"22".to_vec()));
    assert_eq!(site.meta.setting("b").await.unwrap(), Some(Vec::new()));
}

async fn a_project_is_made_once(site: Site) {
    assert!(site.project("p").await);
    let other = Project { name: "p".parse().unwrap(), public: true, sparse: true, created: at(9) };
    assert!(!site.meta.create_project(other, act(9)).await.unwrap());
    let kept = site.meta.project(&"p".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((kept.public, kept.sparse, kept.created), (false, false, at(1)), "the first stays");
    assert_eq!(site.meta.project(&"q".parse().unwrap()).await.unwrap(), None);
    let events = site.events().await;
    assert_eq!(events.len(), 1, "one project, one event");
    assert_eq!(events[0].what, What::ProjectCreated { project: "p".parse().unwrap(), public: false });
}

async fn projects_and_repositories_are_paged_in_order(site: Site) {
    for name in ["b", "a-b", "a", "ab", "a.b"] {
        assert!(site.project(name).await);
        assert!(site.link(&format!("{name}/r"), "x", 50).await);
    }
    let names = |listing: super::Listing<Project>| {
        (listing.items.iter().map(|p| p.name.to_string()).collect::<Vec<_>>(), listing.more)
    };
    let projects = |want| async { names(site.meta.projects(want).await.unwrap()) };
    assert_eq!(projects(Page { after: None, limit: 2 }).await, (vec!["a".into(), "a-b".into()], true));
    assert_eq!(projects(page("a-b", 2)).await, (vec!["a.b".into(), "ab".into()], true));
    assert_eq!(projects(page("ab", 1)).await, (vec!["b".into()], false));
    assert_eq!(projects(page("a5", 9)).await, (vec!["ab".into(), "b".into()], false), "after need not exist");
    let repositories = site.meta.repositories(page("a-b/r", 2)).await.unwrap();
    let names: Vec<_> = repositories.items.iter().map(ToString::to_string).collect();
    assert_eq!((names, repositories.more), (vec!["a.b/r".into(), "a/r".into()], true), "in the order of bytes");
}

async fn events_come_in_order_and_are_forgotten_when_acknowledged(site: Site) {
    for name in ["a", "b", "c"] {
        site.project(name).await;
    }
    let events = site.events().await;
    assert!(events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    assert_eq!(events[0].act, act(1), "who, when and under which request");
    assert_eq!(site.meta.outbox(2).await.unwrap(), events[..2], "the oldest first");
    site.meta.acknowledge(events[1].seq).await.unwrap();
    assert_eq!(site.events().await, events[2..]);
    site.meta.acknowledge(events[2].seq).await.unwrap();
    site.meta.acknowledge(events[0].seq).await.unwrap();
    assert!(site.events().await.is_empty());
    site.project("d").await;
    assert_eq!(site.events().await[0].seq, events[2].seq + 1, "a position is never reused");
}

async fn positions_begin_at_one_and_are_only_raised(site: Site) {
    site.project("a").await;
    site.meta.raise_events(7).await.unwrap();
    site.project("b").await;
    site.meta.raise_events(3).await.unwrap();
    site.project("c").await;
    let positions: Vec<u64> = site.events().await.iter().map(|event| event.seq).collect();
    assert_eq!(positions, [1, 7, 8]);
}

async fn counts_follow(site: Site) {
    site.project("p").await;
    site.link("p/a", "four", 100).await;
    site.link("p/b", "four", 100).await;
    let mut push = manifest("p/a", "manifest");
    (push.tags, push.blobs) = (vec![tag("t"), tag("u")], vec![needed("four")]);
    site.published(push).await;
    site.published(manifest("p/b", "manifest")).await;
    let counts = site.meta.counts().await.unwrap();
    let expected = super::Counts {
        projects: 1,
        repositories: 2,
        manifests: 2,
        tags: 2,
        blobs: 2,
        bytes: 12,
        candidates: 2,
        outbox: 3,
    };
    assert_eq!(counts, expected);
    for candidate in site.due(100).await {
        site.meta.collect(&candidate, at(100)).await.unwrap();
    }
    let counts = site.meta.counts().await.unwrap();
    assert_eq!((counts.candidates, counts.blobs, counts.bytes), (0, 2, 12), "p/a needs it still");
}

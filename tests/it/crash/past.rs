//! What was done before the power went: a day in the life of a registry, one intent after the other, and what each
//! answer promised.
//!
//! A [`Past`] owns the list of [`Step`]s. It never says more than the answers did: of an intent that was not answered,
//! or was answered with an error, it says that it may have happened.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use node::app::Ground;
use node::storage::meta::{
    Act, DeletedManifest, DeletedTag, MountBlob, Needed, Project, PublishManifest, Published, UnlinkedBlob, What,
};
use node::storage::scrub::Scrub;
use node::storage::uploads::Begin;
use node::workers::Scope;
use protocol::seam::Clock;
use protocol::{Algorithm, Digest, ProjectName, RepositoryName, Tag, tree};
use simulations::{SimClock, SimDisk};

/// Something that can be there or not, or name something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Project(ProjectName),
    Link(RepositoryName, Digest),
    Manifest(RepositoryName, Digest),
    Tag(RepositoryName, Tag),
}

/// What is found under a [`Key`]; `None`: nothing. A project stands for the digest of its name.
pub(super) type Value = Option<Digest>;

/// How an intent was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// With a promise.
    Promised,
    /// With a reason why nothing was done.
    Refused,
    /// With an error.
    Failed,
}

/// One intent.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// The name it has in the audit log.
    pub(super) request: String,
    /// Operations of the disk before it began, and before it was answered.
    pub(super) span: (usize, usize),
    pub(super) answered: Answered,
    pub(super) error: Option<String>,
    /// What may hold from its beginning on.
    may: Vec<(Key, Value)>,
    /// What holds from its answer on.
    must: Vec<(Key, Value)>,
    /// The event it wrote, once it is promised.
    pub(super) event: Option<What>,
}

impl Step {
    /// Whether its answer promised that something was written. A copy of the metadata is none: it may still be taken
    /// of a store that takes no writes.
    pub(super) fn promised_a_write(&self) -> bool {
        self.answered == Answered::Promised && (!self.must.is_empty() || self.event.is_some())
    }

    pub(super) fn promised_at(&self, after: usize) -> bool {
        self.answered == Answered::Promised && self.span.1 <= after
    }

    pub(super) fn perhaps_at(&self, after: usize) -> bool {
        self.answered != Answered::Refused && self.span.0 < after
    }
}

/// Every step so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) steps: Vec<Step>,
    /// Contents by digest, with their length.
    pub(super) sizes: BTreeMap<Digest, u64>,
    /// The tree beside a large blob, as it was when the blob was promised.
    pub(super) trees: BTreeMap<Digest, Vec<u8>>,
    /// Blobs each manifest needs.
    pub(super) needs: BTreeMap<Digest, Vec<Digest>>,
    /// Bytes that a test bent, from the operation on until the other.
    pub(super) bent: BTreeMap<Digest, (usize, usize)>,
}

impl Past {
    /// What may be found under each key after a cut at `after`.
    pub(super) fn allowed(&self, after: usize) -> BTreeMap<Key, BTreeSet<Value>> {
        let mut allowed: BTreeMap<Key, BTreeSet<Value>> = BTreeMap::new();
        for step in &self.steps {
            if step.promised_at(after) {
                for (key, value) in &step.must {
                    allowed.insert(key.clone(), BTreeSet::from([*value]));
                }
            } else if step.perhaps_at(after) {
                for (key, value) in &step.may {
                    allowed.entry(key.clone()).or_insert_with(|| BTreeSet::from([None])).insert(*value);
                }
            } else {
                for (key, _) in &step.may {
                    allowed.entry(key.clone()).or_insert_with(|| BTreeSet::from([None]));
                }
            }
        }
        allowed
    }

    pub(super) fn is_bent(&self, digest: &Digest, after: usize) -> bool {
        self.bent.get(digest).is_some_and(|(from, until)| *from <= after && (after < *until || *until == usize::MAX))
    }

    /// Promises made.
    pub(super) fn promises(&self) -> usize {
        self.steps.iter().filter(|step| step.answered == Answered::Promised).count()
    }
}

/// Where a blob has its name.
pub(super) fn path_of(digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    Path::new("/data/blobs").join(digest.algorithm().as_str()).join(&hex[..2]).join(hex)
}

/// Where its tree is.
pub(super) fn tree_path_of(digest: &Digest) -> PathBuf {
    PathBuf::from(format!("{}.tree", path_of(digest).display()))
}

/// What an intent came to.
struct Did {
    must: Vec<(Key, Value)>,
    event: Option<What>,
}

type Fault = Box<dyn Error + Send + Sync>;

/// Longest wait for one answer: far beyond what any takes.
const ANSWER: Duration = Duration::from_secs(60);

/// Who does it all.
pub(super) struct Worker<'a> {
    pub(super) ground: &'a mut Ground,
    pub(super) disk: &'a SimDisk,
    pub(super) clock: &'a SimClock,
    pub(super) scope: &'a Scope,
    pub(super) past: Past,
}

fn content(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    simulations::Rng::from_seed(seed).fill(&mut bytes);
    bytes.into()
}

impl Worker<'_> {
    fn act(&self) -> Act {
        let request = format!("step {}", self.past.steps.len());
        Act { actor: "tester".into(), at: self.clock.now(), request: request.into(), via: Default::default() }
    }

    async fn step(
        &mut self,
        name: String,
        may: Vec<(Key, Value)>,
        intent: impl Future<Output = Result<Option<Did>, Fault>>,
    ) -> bool {
        let begin = self.disk.op_count();
        let answer = tokio::time::timeout(ANSWER, intent).await.unwrap_or_else(|_| panic!("{name}: no answer"));
        let span = (begin, self.disk.op_count());
        let request = format!("step {}", self.past.steps.len());
        let mut step =
            Step { name, request, span, answered: Answered::Refused, error: None, may, must: Vec::new(), event: None };
        match answer {
            Ok(Some(did)) => {
                step.answered = Answered::Promised;
                (step.must, step.event) = (did.must, did.event);
            }
            Ok(None) => {}
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("without an answer"), "{}: a task panicked: {text}", step.name);
                (step.answered, step.error) = (Answered::Failed, Some(text));
            }
        }
        let promised = step.answered == Answered::Promised;
        self.past.steps.push(step);
        promised
    }

    async fn project(&mut self, name: &str) {
        let (act, store) = (self.act(), self.ground.store.clone());
        let name: ProjectName = name.parse().unwrap();
        let may = vec![(Key::Project(name.clone()), Some(Digest::sha256(name.as_str().as_bytes())))];
        let must = may.clone();
        let intent = async move {
            let project = Project { name: name.clone(), public: false, sparse: false, created: act.at };
            let created = store.meta().create_project(project, act).await?;
            let event = Some(What::ProjectCreated { project: name, public: false });
            Ok(created.then_some(Did { must, event }))
        };
        self.step("create the project".into(), may, intent).await;
    }

    /// Pushes a blob: in one request, or in chunks of a session.
    async fn blob(&mut self, repository: &str, algorithm: Algorithm, bytes: &Bytes, chunks: usize) -> Digest {
        let (act, store) = (self.act(), self.ground.store.clone());
        let repository: RepositoryName = repository.parse().unwrap();
        let digest = Digest::of(algorithm, bytes);
        self.past.sizes.insert(digest, bytes.len() as u64);
        let may = vec![(Key::Link(repository.clone(), digest), Some(digest))];
        let must = may.clone();
        let name = format!("push a blob of {} bytes to {repository}", bytes.len());
        let bytes = bytes.clone();
        let intent = async move {
            let begin = Begin { principal: "tester".into(), repository: repository.clone(), algorithm };
            let staged = if chunks <= 1 {
                let mut writer = store.uploads().begin_once(begin).await?;
                writer.append(bytes).await?;
                writer.finish(&digest).await?
            } else {
                let id = store.uploads().begin(begin).await?.id;
                let each = bytes.len() / chunks;
                for chunk in 0..chunks - 1 {
                    let mut writer = store.uploads().open(&id).await?;
                    writer.append(bytes.slice(chunk * each..(chunk + 1) * each)).await?;
                    writer.checkpoint().await?;
                }
                let mut writer = store.uploads().open(&id).await?;
                writer.append(bytes.slice((chunks - 1) * each..)).await?;
                writer.finish(&digest).await?
            };
            let linked = store.commit_blob(staged, &repository, act).await?;
            Ok(linked.then_some(Did { must, event: None }))
        };
        if self.step(name, may, intent).await
            && let Some(tree) = self.disk.contents().remove(&tree_path_of(&digest))
        {
            self.past.trees.insert(digest, tree);
        }
        digest
    }

    async fn mount(&mut self, from: &str, to: &str, digest: Digest) {
        let (act, store) = (self.act(), self.ground.store.clone());
        let (from, to): (RepositoryName, RepositoryName) = (from.parse().unwrap(), to.parse().unwrap());
        let may = vec![(Key::Link(to.clone(), digest), Some(digest))];
        let must = may.clone();
        let intent = async move {
            let lease = store.lease_end();
            let mounted = store.meta().mount_blob(MountBlob { from, to, digest, lease, act }).await?;
            Ok(mounted.map(|_| Did { must, event: None }))
        };
        self.step("mount a blob".into(), may, intent).await;
    }

    async fn publish(&mut self, repository: &str, text: &str, tags: &[&str], blobs: &[Digest]) -> Digest {
        let (act, store) = (self.act(), self.ground.store.clone());
        let repository: RepositoryName = repository.parse().unwrap();
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let bytes = Bytes::from(format!("{{\"is\":\"{text}\"}}"));
        let digest = Digest::sha256(&bytes);
        self.past.sizes.insert(digest, bytes.len() as u64);
        self.past.needs.insert(digest, blobs.to_vec());
        let mut may = vec![(Key::Manifest(repository.clone(), digest), Some(digest))];
        may.extend(tags.iter().map(|tag| (Key::Tag(repository.clone(), tag.clone()), Some(digest))));
        let must = may.clone();
        let name = format!("publish {text} as {tags:?}");
        let event = Some(What::ManifestPushed { repository: repository.clone(), digest, tags: tags.clone() });
        let blobs = blobs.iter().map(|blob| Needed { digest: *blob, size: self.past.sizes[blob] }).collect();
        let publish = PublishManifest {
            repository,
            digest,
            root: tree::root_of(&bytes),
            bytes,
            media_type: "application/vnd.oci.image.manifest.v1+json".parse().unwrap(),
            tags,
            tags_are_new: false,
            blobs,
            optional_blobs: Vec::new(),
            children: Vec::new(),
            sparse: false,
            subject: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
            quota: None,
            due: store.due(),
            act,
        };
        let intent = async move {
            let done = matches!(store.publish(publish).await?, Published::Done { .. });
            Ok(done.then_some(Did { must, event }))
        };
        self.step(name, may, intent).await;
        digest
    }

    async fn delete_tag(&mut self, repository: &str, tag: &str) {
        let (act, store) = (self.act(), self.ground.store.clone());
        let (repository, tag): (RepositoryName, Tag) = (repository.parse().unwrap(), tag.parse().unwrap());
        let may = vec![(Key::Tag(repository.clone(), tag.clone()), None)];
        let must = may.clone();
        let intent = async move {
            match store.meta().delete_tag(&repository, &tag, store.due(), act).await? {
                DeletedTag::Done(digest) => {
                    Ok(Some(Did { must, event: Some(What::TagDeleted { repository, tag, digest }) }))
                }
                DeletedTag::Absent | DeletedTag::NotHome(_) => Ok(None),
            }
        };
        self.step("delete a tag".into(), may, intent).await;
    }

    async fn delete_manifest(&mut self, repository: &str, digest: Digest) {
        let (act, store) = (self.act(), self.ground.store.clone());
        let repository: RepositoryName = repository.parse().unwrap();
        let gone = (Key::Manifest(repository.clone(), digest), None);
        let mut may = vec![gone.clone()];
        for (key, values) in self.past.allowed(usize::MAX) {
            if matches!(&key, Key::Tag(there, _) if *there == repository) && values.contains(&Some(digest)) {
                may.push((key, None));
            }
        }
        let intent = async move {
            match store.meta().delete_manifest(&repository, &digest, store.due(), act).await? {
                DeletedManifest::Done { tags, .. } => {
                    let mut must = vec![gone];
                    must.extend(tags.iter().map(|tag| (Key::Tag(repository.clone(), tag.clone()), None)));
                    Ok(Some(Did { must, event: Some(What::ManifestDeleted { repository, digest, tags }) }))
                }
                DeletedManifest::Absent | DeletedManifest::NotHome(_) => Ok(None),
            }
        };
        self.step("delete a manifest".into(), may, intent).await;
    }

    async fn unlink(&mut self, repository: &str, digest: Digest) {
        let (act, store) = (self.act(), self.ground.store.clone());
        let repository: RepositoryName = repository.parse().unwrap();
        let may = vec![(Key::Link(repository.clone(), digest), None)];
        let must = may.clone();
        let intent = async move {
            let unlinked = store.meta().unlink_blob(&repository, &digest, store.due(), act).await?;
            let did = Did { must, event: Some(What::BlobUnlinked { repository, digest }) };
            Ok((unlinked == UnlinkedBlob::Done).then_some(did))
        };
        self.step("unlink a blob".into(), may, intent).await;
    }

    /// Links GC may take, once their leases are over: those no manifest needs for certain.
    fn loose_links(&self) -> Vec<(Key, Value)> {
        let allowed = self.past.allowed(usize::MAX);
        let mut pinned = BTreeSet::new();
        for (key, values) in &allowed {
            if let Key::Manifest(repository, digest) = key
                && !values.contains(&None)
            {
                pinned.extend(self.past.needs[digest].iter().map(|blob| Key::Link(repository.clone(), *blob)));
            }
        }
        let loose = allowed.into_keys().filter(|key| matches!(key, Key::Link(..)) && !pinned.contains(key));
        loose.map(|key| (key, None)).collect()
    }

    async fn collect(&mut self) {
        let store = self.ground.store.clone();
        let may = self.loose_links();
        let loose = may.clone();
        let intent = async move {
            store.collect_garbage(false, &|| false).await?;
            let mut must = Vec::new();
            for (key, _) in loose {
                let Key::Link(repository, digest) = &key else { continue };
                // What is gone now stays gone; what waits for a lease may still go.
                if store.meta().blob(repository, digest).await?.is_none() {
                    must.push((key, None));
                }
            }
            Ok(Some(Did { must, event: None }))
        };
        self.step("collect garbage".into(), may, intent).await;
    }

    async fn drain(&mut self) {
        let store = self.ground.store.clone();
        let (begin, name) = (self.disk.op_count(), "drain events to the audit log");
        let answer = tokio::time::timeout(ANSWER, self.ground.audit.drain(store.meta())).await;
        let error = answer.unwrap_or_else(|_| panic!("{name}: no answer")).err().map(|error| error.to_string());
        self.past.steps.push(Step {
            name: name.into(),
            request: format!("step {}", self.past.steps.len()),
            span: (begin, self.disk.op_count()),
            answered: if error.is_none() { Answered::Promised } else { Answered::Failed },
            error,
            may: Vec::new(),
            must: Vec::new(),
            event: None,
        });
    }

    async fn snapshot(&mut self) {
        let (snapshots, now) = (self.ground.snapshots.clone(), self.clock.now());
        let intent = async move {
            snapshots.take(now).await?;
            Ok(Some(Did { must: Vec::new(), event: None }))
        };
        self.step("take a snapshot".into(), Vec::new(), intent).await;
    }

    /// Bits of a blob rot, and a scrub finds them.
    async fn rot_and_scrub(&mut self, repository: &str, digest: Digest) {
        if self.disk.flip_bit(&path_of(&digest), 1, 0).is_err() {
            return;
        }
        self.past.bent.insert(digest, (self.disk.op_count(), usize::MAX));
        let (store, scope) = (self.ground.store.clone(), self.scope.clone());
        let key = Key::Link(repository.parse().unwrap(), digest);
        let scrub = Scrub::new(store, std::sync::Arc::new(self.clock.clone()), scope, u64::MAX);
        let (may, must) = (vec![(key.clone(), None)], vec![(key, None)]);
        let intent = async move {
            let report = scrub.run().await?;
            let did = Did { must, event: None };
            Ok((report.quarantined == 1).then_some(did))
        };
        self.step("scrub".into(), may, intent).await;
    }

    /// The day.
    pub(super) async fn work(&mut self) {
        let (small, large, other, litter, rotten) =
            (content(1, 900), content(2, 150_000), content(3, 5_000), content(4, 70_000), content(5, 2_000));
        self.project("team").await;
        let config = self.blob("team/app", Algorithm::Sha256, &small, 1).await;
        let layer = self.blob("team/app", Algorithm::Sha256, &large, 3).await;
        let first = self.publish("team/app", "first", &["v1", "latest"], &[config, layer]).await;
        self.snapshot().await;
        let long = self.blob("team/app", Algorithm::Sha512, &other, 2).await;
        let litter = self.blob("team/app", Algorithm::Sha256, &litter, 1).await;
        let second = self.publish("team/app", "second", &["v2", "latest"], &[config, long]).await;
        self.drain().await;
        self.mount("team/app", "team/copy", layer).await;
        self.publish("team/copy", "copied", &["v1"], &[layer]).await;
        self.delete_tag("team/app", "v1").await;
        let rotten_digest = self.blob("team/app", Algorithm::Sha256, &rotten, 1).await;
        self.rot_and_scrub("team/app", rotten_digest).await;
        // Rot that was not put aside is not known of: a push finds the blob there and mends nothing.
        let is_known = self.past.steps.last().is_some_and(|step| step.answered == Answered::Promised);
        self.blob("team/app", Algorithm::Sha256, &rotten, 1).await;
        let end = self.disk.op_count();
        if is_known
            && self.past.steps.last().is_some_and(|step| step.answered == Answered::Promised)
            && let Some(bent) = self.past.bent.get_mut(&rotten_digest)
        {
            bent.1 = end;
        }
        self.publish("team/app", "third", &["v3"], &[rotten_digest]).await;
        self.unlink("team/app", litter).await;
        self.delete_manifest("team/app", first).await;
        self.clock.advance(Duration::from_secs(3 * 3600));
        self.collect().await;
        self.drain().await;
        // The same bytes again after they were taken; a tag that moves back; a push that changes nothing.
        self.blob("team/app", Algorithm::Sha256, &large, 1).await;
        self.publish("team/app", "first", &["latest"], &[config, layer]).await;
        self.publish("team/app", "second", &["v2"], &[config, long]).await;
        self.delete_manifest("team/copy", Digest::sha256(b"{\"is\":\"copied\"}")).await;
        self.delete_manifest("team/app", second).await;
        self.clock.advance(Duration::from_secs(3 * 3600));
        self.collect().await;
        self.clock.advance(Duration::from_secs(3 * 3600));
        self.collect().await;
        self.snapshot().await;
        self.drain().await;
    }
}

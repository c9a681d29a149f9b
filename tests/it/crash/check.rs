//! What must hold on a disk that a crash left: the contract of `docs/durability.md`, as one function.
//!
//! Owns nothing. It reads through the node's own storage, opened on that disk, and the audit log as a person would.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use node::app::Ground;
use node::storage::audit::handle::anchor;
use node::storage::audit::log::segments;
use node::storage::audit::{Entry, Told, verify};
use node::storage::meta::check::rows_follow_records;
use node::storage::meta::{BlobRow, Page};
use protocol::record::Parcel;
use protocol::seam::{Access, FileSystem};
use protocol::{Digest, Reference, RepositoryName};

use super::past::{Key, Past, Value, path_of, tree_path_of};

/// Bytes above which a blob has a tree beside it.
const GROUP: u64 = 64 * 1024;

type Verdict<T = ()> = Result<T, String>;

fn unless(holds: bool, violation: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(violation()) }
}

fn text(error: impl std::fmt::Display) -> String {
    format!("can't be read: {error}")
}

fn everything() -> Page {
    Page { after: None, limit: 1000 }
}

fn read_file(fs: &dyn FileSystem, path: &Path) -> Verdict<Option<Vec<u8>>> {
    match fs.open(path, Access::Read) {
        Ok(file) => {
            let len = usize::try_from(file.len().map_err(text)?).map_err(text)?;
            let mut bytes = vec![0; len];
            if file.read_full_at(&mut bytes, 0).map_err(text)? < len {
                return Err(format!("{} ends early", path.display()));
            }
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(text(error)),
    }
}

/// One look at what a crash left.
pub(super) struct Look<'a> {
    pub(super) ground: &'a Ground,
    pub(super) fs: &'a dyn FileSystem,
    pub(super) past: &'a Past,
    pub(super) after: usize,
}

impl Look<'_> {
    /// Everything but the audit log.
    pub(super) async fn at_content(&self) -> Verdict {
        let allowed = self.past.allowed(self.after);
        for (key, values) in &allowed {
            let found = self.found(key).await.map_err(|error| format!("{key:?} {error}"))?;
            unless(values.contains(&found), || format!("{key:?} is {found:?}; it may be {values:?}"))?;
        }
        self.rows().await?;
        self.records().await?;
        self.graphs(&allowed).await?;
        self.project_bytes(&allowed).await
    }

    async fn found(&self, key: &Key) -> Verdict<Value> {
        let meta = self.ground.store.meta();
        match key {
            Key::Project(name) => {
                let project = meta.project(name).await.map_err(text)?;
                Ok(project.map(|project| Digest::sha256(project.name.as_str().as_bytes())))
            }
            Key::Link(repository, digest) => {
                let row = meta.blob(repository, digest).await.map_err(text)?;
                let Some(row) = row.filter(|row| row.quarantined.is_none()) else { return Ok(None) };
                self.bytes(digest, &row)?;
                Ok(Some(*digest))
            }
            Key::Manifest(repository, digest) => self.manifest(repository, &Reference::Digest(*digest)).await,
            Key::Tag(repository, tag) => self.manifest(repository, &Reference::Tag(tag.clone())).await,
        }
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Verdict<Value> {
        let stored = self.ground.store.meta().manifest(repository, reference).await.map_err(text)?;
        let Some(stored) = stored else { return Ok(None) };
        unless(Digest::sha256(&stored.bytes) == stored.digest, || format!("{} has other bytes", stored.digest))?;
        Ok(Some(stored.digest))
    }

    /// A row's bytes are there, right, and have their tree.
    fn bytes(&self, digest: &Digest, row: &BlobRow) -> Verdict {
        if self.past.is_bent(digest, self.after) {
            return Ok(());
        }
        let bytes = read_file(self.fs, &path_of(digest))?;
        let bytes = bytes.ok_or_else(|| format!("a row points at {digest}, whose bytes are missing"))?;
        unless(Digest::of(digest.algorithm(), &bytes) == *digest, || format!("{digest} has other bytes"))?;
        unless(row.size == bytes.len() as u64, || format!("{digest} has another length than its row"))?;
        if row.size > GROUP {
            let tree = read_file(self.fs, &tree_path_of(digest))?;
            let right = self.past.trees.get(digest).is_none_or(|right| tree.as_ref() == Some(right));
            unless(tree.is_some() && right, || format!("the tree of {digest} is lost or wrong"))?;
        }
        Ok(())
    }

    /// Projects, tags and manifests are what the records say, and nothing was said twice in one place.
    async fn records(&self) -> Verdict {
        let meta = self.ground.store.meta();
        let report = rows_follow_records(meta).await.map_err(text)?;
        unless(report.differences.is_empty(), || format!("rows and records differ: {:?}", report.differences))?;
        let all = meta.records(None, 100_000).await.map_err(text)?.items;
        let places: BTreeSet<_> = all.iter().filter_map(|held| held.record.body()).map(|body| body.position).collect();
        unless(places.len() == all.len(), || "two records stand at one place".into())?;
        for held in &all {
            let parcel = Parcel::parse(held.record.as_bytes().to_vec()).and_then(Parcel::open);
            unless(parcel.is_ok(), || format!("{:?} is not signed", held.record))?;
        }
        Ok(())
    }

    async fn rows(&self) -> Verdict {
        let held = self.ground.store.meta().all_held(None, 1000).await.map_err(text)?;
        for (digest, row) in held.items.iter().filter(|(_, row)| row.quarantined.is_none()) {
            self.bytes(digest, row)?;
        }
        Ok(())
    }

    /// Tags name manifests, and manifests have their blobs.
    async fn graphs(&self, allowed: &BTreeMap<Key, BTreeSet<Value>>) -> Verdict {
        let meta = self.ground.store.meta();
        for repository in meta.repositories(everything()).await.map_err(text)?.items {
            let tags = meta.tags(&repository, everything()).await.map_err(text)?;
            for tag in tags.into_iter().flat_map(|listing| listing.items) {
                let named = self.manifest(&repository, &Reference::Tag(tag.clone())).await?;
                let named = named.ok_or_else(|| format!("the tag {repository}:{tag} dangles"))?;
                let there = self.manifest(&repository, &Reference::Digest(named)).await?;
                unless(there.is_some(), || format!("{repository}:{tag} names {named}, which is not there"))?;
            }
        }
        for key in allowed.keys() {
            let Key::Manifest(repository, digest) = key else { continue };
            if self.found(key).await?.is_none() {
                continue;
            }
            for blob in &self.past.needs[digest] {
                let row = meta.blob(repository, blob).await.map_err(text)?;
                let row = row.ok_or_else(|| format!("{digest} lost its blob {blob} in {repository}"))?;
                self.bytes(blob, &row)?;
            }
        }
        Ok(())
    }

    /// The sum of what is published in the project, each content once: manifests, and blobs that these need.
    async fn project_bytes(&self, allowed: &BTreeMap<Key, BTreeSet<Value>>) -> Verdict {
        let meta = self.ground.store.meta();
        let mut held: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
        for key in allowed.keys() {
            let (repository, digest) = match key {
                Key::Manifest(repository, digest) | Key::Link(repository, digest) => (repository, digest),
                Key::Project(_) | Key::Tag(..) => continue,
            };
            let held = held.entry(repository.project_str()).or_default();
            if matches!(key, Key::Link(..)) || self.found(key).await?.is_none() {
                continue;
            }
            held.insert(*digest);
            for blob in meta.pinned_blobs(repository, digest).await.map_err(text)? {
                if meta.blob(repository, &blob).await.map_err(text)?.is_some() {
                    held.insert(blob);
                }
            }
        }
        for (project, digests) in held {
            let sum: u64 = digests.iter().map(|digest| self.past.sizes[digest]).sum();
            let told = meta.project_bytes(&project.parse().map_err(text)?).await.map_err(text)?;
            unless(told == sum, || format!("{project} is said to hold {told} bytes and holds {sum}"))?;
        }
        Ok(())
    }

    /// Once the outbox is drained, the log has every event of what was promised exactly once, in order and without
    /// holes, and none that was made up.
    pub(super) fn at_audit_log(&self) -> Verdict {
        let dir = Path::new("/data/audit");
        let mut names: Vec<String> = self.fs.list(dir).map_err(text)?.into_iter().map(|entry| entry.name).collect();
        // What a cut tore is put aside, and is no part of the log.
        names.retain(|name| !name.contains(".torn-"));
        names.sort_unstable();
        let mut events: Vec<Entry> = Vec::new();
        for name in names {
            let bytes = read_file(self.fs, &dir.join(&name))?.unwrap_or_default();
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let entry: Entry = serde_json::from_slice(line).map_err(|error| {
                    format!("audit/{name} has a line that is no entry ({error}): {}", line.escape_ascii())
                })?;
                events.extend(entry.event.is_some().then_some(entry));
            }
        }
        for (at, event) in events.iter().enumerate() {
            let (expected, found) = (at as u64 + 1, event.event.unwrap_or_default());
            unless(found == expected, || format!("event {found} stands where {expected} belongs"))?;
        }
        let mut scopes = BTreeMap::new();
        let mut told = events.iter().filter(|event| event.act.request.starts_with("step ")).peekable();
        for step in &self.past.steps {
            let mut matching = 0;
            while let Some(event) = told.next_if(|event| *event.act.request == *step.request) {
                matching += 1;
                if let Some(what) = &step.event {
                    let told = Told { scope: None, ..event.told.clone() };
                    unless(told == Told::of(what), || format!("the event of {} tells another thing", step.name))?;
                    // Nobody deletes a project in this day: all that is told of one is told of the same scope.
                    let known =
                        event.told.project.clone().map(|project| *scopes.entry(project).or_insert(event.told.scope));
                    let scope = event.told.scope;
                    unless(scope.is_some() == known.is_some() && known.is_none_or(|known| known == scope), || {
                        format!("the event of {} tells of another project of that name", step.name)
                    })?;
                }
            }
            let right = if step.promised_at(self.after) {
                matching == usize::from(step.event.is_some())
            } else if step.perhaps_at(self.after) {
                matching <= 1
            } else {
                matching == 0
            };
            unless(right, || format!("{matching} events tell of {} ({})", step.request, step.name))?;
        }
        unless(told.next().is_none(), || "an event is out of order or made up".into())
    }

    /// The log is chained, and ends no earlier than the metadata knows.
    pub(super) async fn at_audit_chain(&self) -> Verdict {
        let (dir, fs) = (Path::new("/data/audit"), self.fs);
        let anchor = anchor(self.ground.store.meta()).await.map_err(text)?;
        let files = segments(fs, dir).map_err(text)?;
        let found = verify(fs, dir, &files, anchor).map_err(text)?;
        unless(found.broken.is_none() && found.unfinished == 0, || format!("the audit log is broken: {found:?}"))
    }
}

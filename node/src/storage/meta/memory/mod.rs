//! An engine that forgets: all state under one mutex, for tests of what stands above, and to hold the embedded engine
//! against in the contract suite.
//!
//! Owns everything it knows; a crash, like a drop, loses all of it. Written to be obviously right: what can be found
//! out by looking at everything is not kept. So projects and tags are found out from the records at each question.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::identity::{NodeKey, NodeSecret};
use protocol::record::{Held as Kept, HybridTime, RecordSet, ScopeId};
use protocol::seam::Entropy;
use protocol::trust::Trust;
use protocol::view::{InMemory, View};
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag, Timestamp};

use super::author::Pen;
use super::{
    Act, Amend, Amended, Answer, ArtifactOrder, ArtifactView, Author, BlobRow, Candidate, ChooseHead, Chosen, Conflict,
    Counts, DecideTag, Decided, DeletedManifest, DeletedRepository, DeletedTag, DeletedTo, Entry, Event,
    FindRepositories, LinkBlob, Listing, Membership, MetaError, MetaStore, MountBlob, Page, Project, ProjectTotals,
    PublishManifest, Published, Pulled, RecordAt, Referrer, RepositoryOrder, RepositoryView, Shown, Slice,
    StoredManifest, TagVersion, TagView, Taken, TextRoom, Topic, UnlinkedBlob, Verdict, What,
};

mod collect;
mod entries;
mod publish;
mod records;
mod shelf;

/// The engine. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryMeta(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    author: Author,
    pen: Pen,
    records: RecordSet,
    trust: Trust,
    view: View<InMemory>,
    settings: BTreeMap<&'static str, Vec<u8>>,
    /// What is in repositories.
    repositories: BTreeMap<RepositoryName, Repository>,
    /// Those something was pushed to.
    known: BTreeMap<RepositoryName, shelf::Known>,
    /// The last number given to a repository, an artifact or a tag.
    ids: u32,
    held: BTreeMap<Digest, Held>,
    candidates: BTreeSet<Candidate>,
    outbox: BTreeMap<u64, Event>,
    next_event: u64,
    entries: entries::Entries,
    local: BTreeMap<String, Vec<u8>>,
    /// What the next links answer instead of being done, for tests.
    refusals: Vec<MetaError>,
}

impl Default for State {
    fn default() -> Self {
        let author = nobody();
        let pen = author.take_up(HybridTime::default());
        let trust = Trust::evaluate(author.membership().root, std::iter::empty());
        let view = View::new(author.mesh(), InMemory::default());
        Self {
            author,
            pen,
            records: RecordSet::default(),
            trust,
            view,
            settings: BTreeMap::new(),
            repositories: BTreeMap::new(),
            known: BTreeMap::new(),
            ids: 0,
            held: BTreeMap::new(),
            candidates: BTreeSet::new(),
            outbox: BTreeMap::new(),
            next_event: 0,
            entries: entries::Entries::default(),
            local: BTreeMap::new(),
            refusals: Vec::new(),
        }
    }
}

/// Numbers that differ and are the same in every run: an engine that forgets has no secrets.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, out: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::SeqCst);
        blake3::Hasher::new().update(&n.to_be_bytes()).finalize_xof().fill(out);
    }
}

/// An author anyone could be, the same one each time.
pub(crate) fn nobody() -> Author {
    Author::root(NodeSecret::from_seed([7; 32]), Arc::new(Counted::default()))
}

#[derive(Debug, Default)]
struct Repository {
    manifests: BTreeMap<Digest, Manifest>,
    /// Linked blobs and the end of their leases.
    links: BTreeMap<Digest, Timestamp>,
}

#[derive(Debug)]
struct Manifest {
    stored: StoredManifest,
    subject: Option<Digest>,
    referrer: Referrer,
    pins: BTreeSet<Digest>,
    id: u32,
    pushed: Timestamp,
    pulled: Option<Timestamp>,
    /// With its blobs and children, in bytes.
    total: u64,
}

#[derive(Debug)]
struct Held {
    row: BlobRow,
    /// While nobody holds it: not to be freed before.
    keep: Timestamp,
}

impl Repository {
    fn holds(&self, digest: &Digest) -> bool {
        self.links.contains_key(digest) || self.manifests.contains_key(digest)
    }

    fn pinned_by(&self, digest: &Digest) -> Option<Digest> {
        self.manifests.iter().find(|(_, manifest)| manifest.pins.contains(digest)).map(|(by, _)| *by)
    }
}

impl State {
    fn repository(&self, name: &RepositoryName) -> Option<&Repository> {
        self.repositories.get(name)
    }

    fn has_project(&self, name: &RepositoryName) -> bool {
        self.scope(&name.project()).is_some()
    }

    fn is_held(&self, digest: &Digest) -> bool {
        self.repositories.values().any(|repository| repository.holds(digest))
    }

    fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Option<BlobRow> {
        self.repository(repository)?.links.get(digest)?;
        self.held.get(digest).map(|held| held.row.clone())
    }

    fn tell(&mut self, act: &Act, what: What) {
        let scope = self.scope_told(&what);
        self.tell_in(scope, act, what);
    }

    fn scope_told(&self, what: &What) -> Option<ScopeId> {
        self.scope(&what.project()?)
    }

    fn tell_in(&mut self, scope: Option<ScopeId>, act: &Act, what: What) {
        let seq = self.next_event.max(1);
        self.next_event = seq + 1;
        self.outbox.insert(seq, Event { seq, act: act.clone(), what, scope });
    }

    fn nominate(&mut self, due: Timestamp, digest: &Digest, repository: Option<&RepositoryName>) {
        self.candidates.insert(Candidate { due, digest: *digest, repository: repository.cloned() });
    }

    fn hold(&mut self, digest: &Digest, fresh: BlobRow) -> BlobRow {
        let held = self.held.entry(*digest).or_insert(Held { row: fresh.clone(), keep: Timestamp(0) });
        if held.row.quarantined.is_some() {
            held.row = fresh;
        }
        held.keep = Timestamp(0);
        held.row.clone()
    }

    /// Keeps bytes until `due` if nobody holds them any more.
    fn orphan(&mut self, digest: &Digest, due: Timestamp) {
        if self.is_held(digest) {
            return;
        }
        if let Some(held) = self.held.get_mut(digest) {
            held.keep = held.keep.max(due);
        }
        self.nominate(due, digest, None);
    }

    fn lease(&mut self, repository: &RepositoryName, digest: &Digest, until: Timestamp) {
        let lease = self.repositories.entry(repository.clone()).or_default().links.entry(*digest).or_insert(until);
        *lease = until.max(*lease);
        let lease = *lease;
        self.nominate(lease, digest, Some(repository));
    }
}

/// Cuts a page out of everything, given in order with the names to page by.
fn page<T>(all: impl Iterator<Item = (String, T)>, page: &Page) -> Listing<T> {
    page_while(all, page, |_| true)
}

/// A page that also ends before the first item that does not fit.
fn page_while<T>(all: impl Iterator<Item = (String, T)>, page: &Page, mut fits: impl FnMut(&T) -> bool) -> Listing<T> {
    let mut listing = Listing { items: Vec::new(), more: false };
    for (_, item) in all.filter(|(name, _)| page.after.as_ref().is_none_or(|after| name > after)) {
        if listing.items.len() == page.limit || !fits(&item) {
            listing.more = true;
            break;
        }
        listing.items.push(item);
    }
    listing
}

impl MemoryMeta {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next links fail, one with each of these.
    #[cfg(test)]
    pub(crate) fn refuse(&self, errors: impl IntoIterator<Item = MetaError>) {
        self.state().refusals.extend(errors);
    }

    fn answer<'a, T: Send + 'a>(&self, ask: impl FnOnce(&mut State) -> T) -> Answer<'a, T> {
        self.try_answer(|state| Ok(ask(state)))
    }

    fn try_answer<'a, T: Send + 'a>(&self, ask: impl FnOnce(&mut State) -> Result<T, MetaError>) -> Answer<'a, T> {
        Box::pin(ready(ask(&mut self.state())))
    }
}

impl MetaStore for MemoryMeta {
    fn setting(&self, name: &'static str) -> Answer<'_, Option<Vec<u8>>> {
        self.answer(|state| state.settings.get(name).cloned())
    }

    fn put_setting(&self, name: &'static str, value: Vec<u8>) -> Answer<'_, ()> {
        self.answer(|state| drop(state.settings.insert(name, value)))
    }

    fn project<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, Option<Project>> {
        self.answer(|state| state.project(name))
    }

    fn create_project(&self, project: Project, act: Act) -> Answer<'_, bool> {
        self.try_answer(|state| state.create_project(&project, &act))
    }

    fn projects(&self, want: Page) -> Answer<'_, Listing<Project>> {
        self.answer(|state| {
            let all =
                state.project_names().into_iter().filter_map(|name| Some((name.to_string(), state.project(&name)?)));
            page(all, &want)
        })
    }

    fn project_bytes<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, u64> {
        self.answer(|state| state.published(name).values().sum())
    }

    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, Option<StoredManifest>> {
        self.answer(|state| {
            let digest = match reference {
                Reference::Tag(tag) => state.tag(repository, tag)?,
                Reference::Digest(digest) => *digest,
            };
            Some(state.repository(repository)?.manifests.get(&digest)?.stored.clone())
        })
    }

    fn pinned_blobs<'a>(&'a self, repository: &'a RepositoryName, manifest: &'a Digest) -> Answer<'a, Vec<Digest>> {
        self.answer(|state| {
            let found = state.repository(repository).and_then(|content| content.manifests.get(manifest));
            found.into_iter().flat_map(|manifest| manifest.pins.iter().copied()).collect()
        })
    }

    fn named_by<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<Digest>> {
        self.answer(|state| state.named_by(repository, digest))
    }

    fn blob<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<BlobRow>> {
        self.answer(|state| state.blob(repository, digest))
    }

    fn held<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Option<BlobRow>> {
        self.answer(|state| state.held.get(digest).map(|held| held.row.clone()))
    }

    fn all_held(&self, after: Option<Digest>, limit: usize) -> Answer<'_, Listing<(Digest, BlobRow)>> {
        let want = Page { after: after.map(|digest| digest.to_string()), limit };
        self.answer(|state| page(state.held.iter().map(|(d, held)| (d.to_string(), (*d, held.row.clone()))), &want))
    }

    fn blob_repositories<'a>(&'a self, digest: &'a Digest, limit: usize) -> Answer<'a, Vec<RepositoryName>> {
        self.answer(|state| {
            let linking = state.repositories.iter().filter(|(_, content)| content.links.contains_key(digest));
            linking.map(|(name, _)| name.clone()).take(limit).collect()
        })
    }

    fn tags<'a>(&'a self, repository: &'a RepositoryName, want: Page) -> Answer<'a, Option<Listing<Tag>>> {
        self.answer(|state| {
            state.known.get(repository)?;
            let tags = state.tags(repository);
            Some(page(tags.keys().map(|tag| (tag.to_string(), tag.clone())), &want))
        })
    }

    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        limit: usize,
    ) -> Answer<'a, Vec<TagVersion>> {
        self.answer(|state| {
            let mut all = state.history(repository, tag);
            all.truncate(limit);
            all
        })
    }

    fn repositories(&self, want: Page) -> Answer<'_, Listing<RepositoryName>> {
        self.answer(|state| page(state.known.keys().map(|name| (name.to_string(), name.clone())), &want))
    }

    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a MediaType>,
        want: Page,
    ) -> Answer<'a, Listing<Referrer>> {
        self.answer(|state| {
            let manifests = state.repository(repository).into_iter().flat_map(|content| content.manifests.values());
            let referring = manifests.filter(|manifest| manifest.subject.as_ref() == Some(subject));
            let entries = referring.map(|manifest| &manifest.referrer).filter(|entry| {
                artifact_type.is_none_or(|artifact_type| entry.artifact_type.as_ref() == Some(artifact_type))
            });
            let mut room = TextRoom::default();
            let all = entries.map(|entry| (entry.digest.to_string(), entry.clone()));
            page_while(all, &want, |entry| room.takes(entry))
        })
    }

    fn link_blob(&self, link: LinkBlob) -> Answer<'_, bool> {
        if let Some(refusal) = self.state().refusals.pop() {
            return Box::pin(ready(Err(refusal)));
        }
        self.answer(|state| {
            if !state.has_project(&link.repository) {
                return false;
            }
            let fresh = BlobRow { size: link.size, root: link.root, committed: link.act.at, quarantined: None };
            state.note_repository(&link.repository, link.act.at);
            state.hold(&link.digest, fresh);
            state.lease(&link.repository, &link.digest, link.lease);
            true
        })
    }

    fn mount_blob(&self, mount: MountBlob) -> Answer<'_, Option<BlobRow>> {
        self.answer(|state| {
            let row = state.blob(&mount.from, &mount.digest).filter(|row| row.quarantined.is_none())?;
            if !state.has_project(&mount.to) {
                return None;
            }
            state.note_repository(&mount.to, mount.act.at);
            state.hold(&mount.digest, row.clone());
            state.lease(&mount.to, &mount.digest, mount.lease);
            Some(row)
        })
    }

    fn publish_manifest(&self, publish: PublishManifest) -> Answer<'_, Published> {
        self.try_answer(|state| state.publish(publish))
    }

    fn delete_tag<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedTag> {
        self.try_answer(|state| state.delete_tag(repository, tag, due, &act))
    }

    fn delete_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedManifest> {
        self.try_answer(|state| state.delete_manifest(repository, digest, due, &act))
    }

    fn unlink_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, UnlinkedBlob> {
        self.answer(|state| state.unlink(repository, digest, due, &act))
    }

    fn hold_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        until: Timestamp,
        extend: Timestamp,
    ) -> Answer<'a, Option<BlobRow>> {
        self.answer(|state| {
            let row = state.blob(repository, digest)?;
            let content = state.repository(repository)?;
            let leased = content.links.get(digest).is_some_and(|lease| *lease >= until);
            if row.quarantined.is_none() && !leased && content.pinned_by(digest).is_none() {
                state.lease(repository, digest, extend);
            }
            Some(row)
        })
    }

    fn candidates(&self, now: Timestamp, after: Option<Candidate>, limit: usize) -> Answer<'_, Vec<Candidate>> {
        self.answer(|state| {
            let rest =
                state.candidates.iter().filter(|candidate| after.as_ref().is_none_or(|after| *candidate > after));
            rest.filter(|candidate| candidate.due <= now).take(limit).cloned().collect()
        })
    }

    fn judge<'a>(&'a self, candidate: &'a Candidate, now: Timestamp) -> Answer<'a, Verdict> {
        self.answer(|state| state.judge(candidate, now))
    }

    fn collect<'a>(&'a self, candidate: &'a Candidate, now: Timestamp) -> Answer<'a, Verdict> {
        self.answer(|state| state.collect(candidate, now))
    }

    fn quarantine<'a>(&'a self, digest: &'a Digest, act: Act) -> Answer<'a, ()> {
        self.answer(|state| {
            let Some(held) = state.held.get_mut(digest).filter(|held| held.row.quarantined.is_none()) else { return };
            held.row.quarantined = Some(act.at);
            state.tell(&act, What::BlobQuarantined { digest: *digest });
        })
    }

    fn outbox(&self, limit: usize) -> Answer<'_, Vec<Event>> {
        self.answer(|state| state.outbox.values().take(limit).cloned().collect())
    }

    fn raise_events(&self, at_least: u64) -> Answer<'_, ()> {
        self.answer(|state| state.next_event = state.next_event.max(at_least))
    }

    fn acknowledge(&self, seq: u64) -> Answer<'_, ()> {
        self.answer(|state| state.outbox.retain(|at, _| *at > seq))
    }

    fn entries(&self, after: u64, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.answer(|state| state.entries.since(after, limit))
    }

    fn amend(&self, amend: Amend) -> Answer<'_, Amended> {
        self.try_answer(|state| state.amend(amend))
    }

    fn local(&self, name: String) -> Answer<'_, Option<Vec<u8>>> {
        self.answer(|state| state.local.get(&name).cloned())
    }

    fn take_in(&self, heard: Vec<Kept>, due: Timestamp) -> Answer<'_, Taken> {
        self.try_answer(|state| state.take_in(heard, due))
    }

    fn conflicts(&self, limit: usize) -> Answer<'_, Vec<Conflict>> {
        self.answer(|state| state.conflicts().into_iter().take(limit).collect())
    }

    fn decide_tag(&self, decide: DecideTag) -> Answer<'_, Decided> {
        self.try_answer(|state| state.decide_tag(&decide))
    }

    fn choose_head(&self, choose: ChooseHead) -> Answer<'_, Chosen> {
        self.try_answer(|state| state.choose_head(&choose))
    }

    fn deleted_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> Answer<'a, Option<MediaType>> {
        self.answer(|state| state.deleted_manifest(repository, digest))
    }

    fn membership(&self) -> Arc<Membership> {
        Arc::clone(self.state().author.membership())
    }

    fn author(&self) -> NodeKey {
        self.state().author.key()
    }

    fn records(&self, after: Option<RecordAt>, limit: usize) -> Answer<'_, Listing<Kept>> {
        self.answer(|state| {
            let mut all: Vec<Kept> = state.records.iter().cloned().collect();
            all.sort_by_key(RecordAt::of);
            all.retain(|held| after.is_none_or(|after| RecordAt::of(held) > after));
            let more = all.len() > limit;
            all.truncate(limit);
            Listing { items: all, more }
        })
    }

    fn heads<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Vec<Kept>> {
        self.answer(|state| state.heads(topic))
    }

    fn repository<'a>(&'a self, name: &'a RepositoryName) -> Answer<'a, Option<RepositoryView>> {
        self.answer(|state| state.repository_view(name))
    }

    fn repository_by_id(&self, id: u32) -> Answer<'_, Option<RepositoryView>> {
        self.answer(|state| state.all_repositories().into_iter().find(|view| view.id == id))
    }

    fn describe_repository<'a>(&'a self, name: &'a RepositoryName, description: String, act: Act) -> Answer<'a, bool> {
        self.answer(|state| state.describe_repository(name, description, &act))
    }

    fn delete_repository<'a>(
        &'a self,
        name: &'a RepositoryName,
        step: (&'a DeletedTo, usize),
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedRepository> {
        self.try_answer(|state| state.delete_repository(name, step, due, &act))
    }

    fn shown_repositories<'a>(
        &'a self,
        project: Option<&'a ProjectName>,
        order: RepositoryOrder,
        slice: Slice,
    ) -> Answer<'a, Shown<RepositoryView>> {
        self.answer(|state| state.shown_repositories(project, order, slice))
    }

    fn find_repositories(&self, find: FindRepositories) -> Answer<'_, Shown<RepositoryView>> {
        self.answer(|state| state.find_repositories(&find))
    }

    fn artifacts<'a>(
        &'a self,
        repository: &'a RepositoryName,
        order: ArtifactOrder,
        slice: Slice,
    ) -> Answer<'a, Option<Shown<ArtifactView>>> {
        self.answer(|state| state.artifacts(repository, order, slice))
    }

    fn artifact<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, Option<ArtifactView>> {
        self.answer(|state| {
            let digest = match reference {
                Reference::Tag(tag) => state.tag(repository, tag)?,
                Reference::Digest(digest) => *digest,
            };
            Some(state.repository(repository)?.manifests.get(&digest)?.view())
        })
    }

    fn tags_of<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        limit: usize,
    ) -> Answer<'a, Vec<TagView>> {
        self.answer(|state| {
            let tags = state.tag_views(repository).into_iter();
            tags.filter(|tag| tag.digest == *digest).take(limit).collect()
        })
    }

    fn shown_tags<'a>(&'a self, repository: &'a RepositoryName, slice: Slice) -> Answer<'a, Option<Shown<TagView>>> {
        self.answer(|state| state.shown_tags(repository, slice))
    }

    fn project_totals<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, ProjectTotals> {
        self.answer(|state| {
            let repositories = state.known.keys().filter(|repository| repository.project() == *name).count() as u64;
            ProjectTotals { bytes: state.published(name).values().sum(), repositories }
        })
    }

    fn note_pulls(&self, pulls: Vec<Pulled>) -> Answer<'_, ()> {
        self.answer(|state| state.note_pulls(&pulls))
    }

    fn counts(&self) -> Answer<'_, Counts> {
        self.answer(|state| {
            let count = |n: usize| n as u64;
            Counts {
                projects: count(state.project_names().len()),
                repositories: count(state.known.len()),
                manifests: state.repositories.values().map(|content| count(content.manifests.len())).sum(),
                tags: state.known.keys().map(|name| count(state.tags(name).len())).sum(),
                blobs: count(state.held.len()),
                bytes: state.held.values().map(|held| held.row.size).sum(),
                candidates: count(state.candidates.len()),
                outbox: count(state.outbox.len()),
            }
        })
    }
}

//! An engine that forgets: all state under one mutex, for tests of what stands above, and to hold the embedded engine
//! against in the contract suite.
//!
//! Owns everything it knows; a crash, like a drop, loses all of it. Written to be obviously right: what can be found
//! out by looking at everything is not kept. So projects and tags are found out from the records at each question.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::identity::NodeSecret;
use protocol::record::{HybridTime, RecordSet, ScopeId};
use protocol::seam::Entropy;
use protocol::trust::Trust;
use protocol::view::{InMemory, View};
use protocol::{Digest, RepositoryName, Timestamp};

use super::author::Pen;
use super::{Act, Answer, Author, BlobRow, Candidate, Event, Listing, MetaError, Page, Referrer, StoredManifest, What};

mod answers;
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

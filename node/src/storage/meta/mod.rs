//! What is known: the contract of the metadata engines.
//!
//! [`MetaStore`] speaks intents, not tables: each method is one thing the product wants to have happened, whole or not
//! at all. The invariants stand here, at each intent, and one suite (`contract.rs`) holds every engine to them.
//!
//! Engines: [`redb`] (embedded, the default) and [`memory`] (for tests of what stands above).
//!
//! **Durability**: when an intent that writes returns `Ok`, its effects survive a power cut. Many waiting intents may
//! share one synced transaction (group commit).
//! **Reads** see the last committed state and never wait for a writer.
//! **Records**: projects, manifests and tags are what the live versions of signed records say ([`protocol::record`]). An
//! intent that changes them writes records, each following the heads of its topic, and the rows that follow from them in
//! the same transaction; nothing else writes those rows ([`check`] holds one against the other). Blobs, links, leases and
//! candidates are what this site holds, and no records.
//! **Time** comes in with each intent; no engine reads a clock.

mod author;
pub mod check;
#[cfg(test)]
mod contract;
mod engine;
pub mod entry;
mod event;
mod intent;
pub mod memory;
pub mod redb;
mod rows;
mod shelf;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use protocol::manifest;
use protocol::record::value::Value;
use protocol::record::{Held, HybridTime, Kind, RecordId, ScopeId};
use protocol::{ContentRoot, Digest, MediaType, ProjectName, RepositoryName, Timestamp};
use serde::{Deserialize, Serialize};

pub use author::{Author, Membership};
pub use engine::MetaStore;
pub use entry::{Amend, Amended, Entry, Write};
pub use event::{Event, Governed, GovernedKind, Operation, What};
pub use intent::{
    Choice, ChooseHead, Chosen, DecideTag, Decided, DeletedManifest, DeletedTag, LinkBlob, MountBlob, Needed,
    PublishManifest, Published, Taken, UnlinkedBlob,
};
pub use protocol::view::Topic;
pub use shelf::{
    ArtifactOrder, ArtifactView, DeletedRepository, DeletedTo, FindRepositories, MAX_ID, ProjectTotals, Pulled,
    RepositoryKey, RepositoryOrder, RepositoryView, Shown, Slice, TagView, Wanted, delete_in_steps,
};

#[cfg(test)]
pub(crate) use memory::nobody as tests_author;

/// The answer of an intent, on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, MetaError>> + Send + 'a>>;

/// Why the metadata engine could not do what was asked. Facts about the content asked for are values, not errors.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetaError {
    /// The store takes no writes: an earlier sync failed. Cleared only by a restart.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// No room on the disk for the transaction; nothing was written.
    #[error("no room left on the disk for metadata")]
    Full,
    /// More waiting intents than the queue holds.
    #[error("too many writes are waiting")]
    Busy,
    /// A row that can't be read back. Run `portolan rebuild-index`.
    #[error("metadata is damaged: {0}")]
    Damaged(String),
    /// The engine failed.
    #[error("the metadata engine failed: {0}")]
    Engine(String),
}

/// Who did something, when, and under which request: written to the audit trail with what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The principal's name.
    pub actor: Arc<str>,
    /// Wall-clock time.
    pub at: Timestamp,
    /// Request id, to find the log lines.
    pub request: Arc<str>,
    /// How the actor was known.
    pub via: Via,
}

/// By what an actor was known, and from where the request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// What was shown.
    pub credential: Credential,
    /// The client's address; none for the machine's own operator and for what the node does by itself.
    pub address: Option<IpAddr>,
}

/// What an actor showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// Nothing; or the node acts by itself.
    #[default]
    None,
    /// A person's password.
    Password,
    /// A robot's secret.
    RobotSecret,
    /// A token of the token service.
    Token,
    /// A browser's session.
    Session,
    /// The socket in the data directory.
    Socket,
}

/// A project: the unit of ownership and policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// Whether anyone may pull.
    pub public: bool,
    /// Whether a manifest may name content that is not here.
    pub sparse: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// A blob this site holds, as a repository sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRow {
    /// Its length in bytes.
    pub size: u64,
    /// The BLAKE3 root, proven: this site hashed the whole blob.
    pub root: ContentRoot,
    /// When its bytes became durable here.
    pub committed: Timestamp,
    /// Set when a scrub found the bytes damaged: the blob counts as absent until it is pushed again.
    pub quarantined: Option<Timestamp>,
}

/// A manifest as a repository holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: Digest,
    /// The media type under which it was pushed and is served.
    pub media_type: MediaType,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// One entry of a referrers listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// The referring manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
    /// Its artifact type.
    pub artifact_type: Option<MediaType>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Most bytes of annotations on one page of referrers, as JSON: what a manifest may have in all. A thousand manifests
/// may each bring as much, and a page is in memory.
pub const REFERRERS_TEXT: usize = manifest::MAX_BYTES;

/// What is left of [`REFERRERS_TEXT`] while a page fills.
#[derive(Debug, Default)]
struct TextRoom {
    used: Option<usize>,
}

impl TextRoom {
    /// Whether the page goes on with this entry; it does with a first one, however long.
    fn takes(&mut self, entry: &Referrer) -> bool {
        // Four quotes, a colon and a comma for each.
        let text: usize = entry.annotations.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        let used = self.used.map_or(text, |used| used + text);
        let fits = self.used.is_none() || used <= REFERRERS_TEXT;
        self.used = Some(used);
        fits
    }
}

/// A part of a sorted listing: what comes after a name, and how many of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The last name of the page before; need not exist. Listings are in the order of bytes (ASCII).
    pub after: Option<String>,
    /// Most items; at least 1.
    pub limit: usize,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Whether more follow.
    pub more: bool,
}

/// Something GC may have to take, once `due`: a link nobody may need any more, or bytes nobody holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Not before.
    pub due: Timestamp,
    /// What.
    pub digest: Digest,
    /// The repository whose link is meant; `None`: the bytes, held by no repository.
    pub repository: Option<RepositoryName>,
}

/// What GC would do, or did, with a [`Candidate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Needed: pinned by a live manifest, or not there any more. The candidate is dropped.
    Needed,
    /// A lease runs until then. The candidate waits.
    Leased(Timestamp),
    /// The link goes; other repositories hold the bytes.
    Unlink,
    /// The link goes and so do the row and the bytes: nobody holds them.
    Free {
        /// Bytes that become free.
        size: u64,
    },
}

/// One version in the history of a tag, as its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagVersion {
    /// What the tag named from then on; `None`: it was removed.
    pub digest: Option<Digest>,
    /// Who.
    pub actor: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// The record.
    pub record: RecordId,
}

impl TagVersion {
    /// Reads the record of a tag.
    ///
    /// # Errors
    /// What is wrong with it: it speaks of something else, or its value is not here.
    pub fn read(held: &Held) -> Result<Self, &'static str> {
        let body = held.record.body().ok_or("the record is of a later format")?;
        let value = held.value.as_deref().map(|value| Value::read(body.kind, value));
        let Some(Ok(Value::Tagged(tagged))) = value else { return Err("the record does not speak of a tag") };
        let (actor, at) = (body.actor.as_str().into(), held.record.time().moment());
        Ok(Self { digest: tagged.digest, actor, at, record: held.record.id() })
    }
}

/// The media type a manifest was pushed under, when this version of it says one.
pub(crate) fn pushed_as(held: &Held) -> Option<MediaType> {
    match Value::read(held.record.body()?.kind, held.value.as_deref()?) {
        Ok(Value::Pushed(pushed)) => Some(pushed.media_type),
        _ => None,
    }
}

/// Where a record stands in the order of all: by scope, time and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordAt {
    /// Its scope.
    pub scope: ScopeId,
    /// Its time.
    pub time: HybridTime,
    /// Its name.
    pub id: RecordId,
}

impl RecordAt {
    /// Where this one stands.
    #[must_use]
    pub fn of(held: &Held) -> Self {
        Self { scope: held.record.scope(), time: held.record.time(), id: held.record.id() }
    }
}

/// A topic of which several versions stand beside each other, until someone chooses.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// What they are about.
    pub topic: Topic,
    /// The versions, the one in force first, at most [`MAX_HEADS`].
    pub heads: Vec<Held>,
    /// How many there are.
    pub count: u64,
}

/// What a topic is called in lists: `repository:tag`, `repository@digest`, or the key as it stands.
#[must_use]
pub fn called(topic: &Topic) -> String {
    let key = &topic.key;
    let tag = key.as_tag().map(|(repository, tag)| format!("{repository}:{tag}"));
    let manifest = || key.as_manifest().map(|(repository, digest)| format!("{repository}@{digest}"));
    let tag = tag.filter(|_| topic.kind == Kind::TAG);
    tag.or_else(|| manifest().filter(|_| topic.kind == Kind::MANIFEST))
        .unwrap_or_else(|| key.as_bytes().escape_ascii().to_string())
}

/// Most versions of a [`Conflict`] that are shown: as many as one record can settle.
pub const MAX_HEADS: usize = protocol::record::MAX_PREV;

/// Counts, for status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Projects.
    pub projects: u64,
    /// Repositories with at least one push.
    pub repositories: u64,
    /// Manifests, counted once for each repository that holds them.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs and manifests held, counted once.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Candidates GC has to look at.
    pub candidates: u64,
    /// Events not yet written to the audit log.
    pub outbox: u64,
}

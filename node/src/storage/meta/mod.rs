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
use protocol::identity::NodeKey;
use protocol::manifest;
use protocol::record::value::Value;
use protocol::record::{Held, HybridTime, Kind, RecordId, ScopeId};
use protocol::{ContentRoot, Digest, MediaType, ProjectName, Reference, RepositoryName, Tag, Timestamp};
use serde::{Deserialize, Serialize};

pub use author::{Author, Membership};
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

/// The contract of a metadata engine. See the module for durability, reads and time.
pub trait MetaStore: std::fmt::Debug + Send + Sync + 'static {
    /// A small value kept with the metadata under a name of this node's choosing (format version, password verifier).
    fn setting(&self, name: &'static str) -> Answer<'_, Option<Vec<u8>>>;

    /// Keeps or replaces such a value.
    fn put_setting(&self, name: &'static str, value: Vec<u8>) -> Answer<'_, ()>;

    /// A project.
    fn project<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, Option<Project>>;

    /// Makes a project; `false` when one of that name is there, which then stays as it is.
    fn create_project(&self, project: Project, act: Act) -> Answer<'_, bool>;

    /// Projects by name.
    fn projects(&self, page: Page) -> Answer<'_, Listing<Project>>;

    /// Bytes a project uses: of the manifests in its repositories and the blobs that are linked in one and pinned by a
    /// manifest of it, each digest once. What was uploaded and never published does not count.
    fn project_bytes<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, u64>;

    /// The manifest a reference names in a repository.
    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, Option<StoredManifest>>;

    /// The blobs a manifest of a repository pins, here or not, ascending; none when the repository does not hold it.
    fn pinned_blobs<'a>(&'a self, repository: &'a RepositoryName, manifest: &'a Digest) -> Answer<'a, Vec<Digest>>;

    /// A live manifest of a repository that names another as its child, the least of them.
    fn named_by<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<Digest>>;

    /// A blob as part of a repository: `None` when the repository does not link it, whoever else may.
    fn blob<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<BlobRow>>;

    /// The row of bytes this site holds, whoever links them.
    fn held<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Option<BlobRow>>;

    /// Every row of bytes held, by digest, after one; for scrub and for finding orphans.
    fn all_held(&self, after: Option<Digest>, limit: usize) -> Answer<'_, Listing<(Digest, BlobRow)>>;

    /// Repositories that link a blob, at most `limit`, by name.
    fn blob_repositories<'a>(&'a self, digest: &'a Digest, limit: usize) -> Answer<'a, Vec<RepositoryName>>;

    /// Tags of a repository by name; `None` when nothing was ever pushed to it.
    fn tags<'a>(&'a self, repository: &'a RepositoryName, page: Page) -> Answer<'a, Option<Listing<Tag>>>;

    /// Versions of a tag, newest first, at most `limit`, from their records: every push of a tag makes one, also when
    /// it changes nothing, and so does a delete.
    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        limit: usize,
    ) -> Answer<'a, Vec<TagVersion>>;

    /// Repositories to which something (a blob, a mount, a manifest) was pushed, by name. They stay when it is gone.
    fn repositories(&self, page: Page) -> Answer<'_, Listing<RepositoryName>>;

    /// Manifests of a repository whose subject is `subject`, by digest (the text form orders the pages), only those of
    /// `artifact_type` when one is given. A page ends early, with more to follow, before its annotations exceed
    /// [`REFERRERS_TEXT`]; a first entry is there whatever its length.
    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a MediaType>,
        page: Page,
    ) -> Answer<'a, Listing<Referrer>>;

    /// Links durable bytes into a repository: writes the row of the bytes when it is new or quarantined (which ends the
    /// quarantine; else it stays as it is), the link and the lease, and notes a GC candidate due when the lease ends. A
    /// lease is only ever made longer. `false`, and nothing written, when the project is not there.
    fn link_blob(&self, link: LinkBlob) -> Answer<'_, bool>;

    /// As [`MetaStore::link_blob`] for bytes `from` links; `None`, and nothing written, when `from` does not link them
    /// (any more), they are quarantined, or the project of `to` is not there.
    fn mount_blob(&self, mount: MountBlob) -> Answer<'_, Option<BlobRow>>;

    /// Writes the records that say so (one of the manifest, one of each tag), manifest, tags, referrers entry, the
    /// project's bytes, pins on everything it names and an event for audit and peers, in one transaction. A push of a manifest that is there already writes its tags
    /// and event all the same, and pins optional blobs that came since. The bytes of the manifest become held as those
    /// of a linked blob do, but are no blob of the repository. Of a tag named twice the first counts. What is missing is
    /// told before what has the wrong length, each digest once. Children stay while the manifest is alive. Refused when it
    /// adds anything to what its project uses and that exceeds the quota; a blob that comes after the (sparse) manifest
    /// that pins it counts from then on, and is not refused.
    fn publish_manifest(&self, publish: PublishManifest) -> Answer<'_, Published>;

    /// Removes a tag. What nothing else keeps goes as by [`MetaStore::delete_manifest`].
    fn delete_tag<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedTag>;

    /// Deletes a manifest and the tags that name it. It goes at once, unless a live manifest of the repository names it:
    /// then it goes with the last of these, and is served until then. With it go its referrers entry and its pins; what
    /// it named, and its own bytes when no repository holds them any more, become GC candidates due at `due`, and are
    /// leased until then, whatever older candidates say: a pusher who was told shortly before that a blob exists relies
    /// on `due` lying far enough ahead. A blob that another manifest of the repository pins stays pinned and is no
    /// candidate.
    fn delete_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedManifest>;

    /// Removes a blob from a repository unless a live manifest of it needs it; bytes that nobody holds any more become
    /// a GC candidate due at `due`.
    fn unlink_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, UnlinkedBlob>;

    /// A blob as a pusher sees it, who will rely on it: as [`MetaStore::blob`], and the link stays at least until
    /// `until`. A pinned blob needs nothing written (deleting what pins it leaves it until `due`); one that nothing
    /// pins, and whose lease ends before `until`, gets a lease to `extend` in a synced transaction. A quarantined one is
    /// shown as it is, without a lease.
    fn hold_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        until: Timestamp,
        extend: Timestamp,
    ) -> Answer<'a, Option<BlobRow>>;

    /// GC candidates that are due at `now`, in their order (due, digest, repository), after one, at most `limit`.
    /// Changes nothing.
    fn candidates(&self, now: Timestamp, after: Option<Candidate>, limit: usize) -> Answer<'_, Vec<Candidate>>;

    /// What [`MetaStore::collect`] would answer. Changes nothing.
    fn judge<'a>(&'a self, candidate: &'a Candidate, now: Timestamp) -> Answer<'a, Verdict>;

    /// Judges a candidate and carries the verdict out, in one transaction. A candidate is a hint, also one that is not
    /// (any more) noted: links, pins, holders and leases decide. After [`Verdict::Free`] the row is gone and the caller
    /// removes the bytes; it holds the digest's lock meanwhile.
    fn collect<'a>(&'a self, candidate: &'a Candidate, now: Timestamp) -> Answer<'a, Verdict>;

    /// Marks bytes as damaged: see [`BlobRow::quarantined`]. Nothing happens when they are not held, or marked already.
    fn quarantine<'a>(&'a self, digest: &'a Digest, act: Act) -> Answer<'a, ()>;

    /// The oldest events not yet acknowledged, at most `limit`.
    fn outbox(&self, limit: usize) -> Answer<'_, Vec<Event>>;

    /// The next event gets a position no lower than `at_least`: after a rebuild from an older copy, the audit log holds
    /// events this store does not know, and takes none of their positions again. Never lowers it.
    fn raise_events(&self, at_least: u64) -> Answer<'_, ()>;

    /// Forgets events up to and including `seq`: they are durable elsewhere.
    fn acknowledge(&self, seq: u64) -> Answer<'_, ()>;

    /// What is in force about who may do what: every topic whose entry changed after `after`, once, in the order of
    /// their last changes, at most `limit`. After 0: all there ever was.
    fn entries(&self, after: u64, limit: usize) -> Answer<'_, Vec<Entry>>;

    /// Changes what is in force, when nothing changed since its author looked.
    fn amend(&self, amend: Amend) -> Answer<'_, Amended>;

    /// What an [`Amend`] kept for this node alone under a name.
    fn local(&self, name: String) -> Answer<'_, Option<Vec<u8>>>;

    /// Takes in records that others signed, whose signatures the caller has checked, with the values that are here. Those
    /// of authors who never had a grant are left out, and told. What nothing keeps any more by them goes as by
    /// [`MetaStore::delete_manifest`]. Again is no harm, and may bring a value that was missing.
    fn take_in(&self, heard: Vec<Held>, due: Timestamp) -> Answer<'_, Taken>;

    /// Topics with more than one head that is no delete, at most `limit`. Goes through all topics.
    fn conflicts(&self, limit: usize) -> Answer<'_, Vec<Conflict>>;

    /// Lets a tag name what a person chose, by a record that covers all heads; with the row and an event.
    fn decide_tag(&self, decide: DecideTag) -> Answer<'_, Decided>;

    /// Settles a conflict about anything but a tag: one of its heads is said again, over all of them; with an event.
    fn choose_head(&self, choose: ChooseHead) -> Answer<'_, Chosen>;

    /// The media type under which a manifest was last pushed that is deleted now; `None`: it is not deleted.
    fn deleted_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> Answer<'a, Option<MediaType>>;

    /// The mesh this node is in.
    fn membership(&self) -> Arc<Membership>;

    /// Who signs what is said here.
    fn author(&self) -> NodeKey;

    /// Every record here, in the order of [`RecordAt`], after one.
    fn records(&self, after: Option<RecordAt>, limit: usize) -> Answer<'_, Listing<Held>>;

    /// The heads of a topic, the live one first, deletes last; none when nothing was said of it.
    fn heads<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Vec<Held>>;

    /// A repository.
    fn repository<'a>(&'a self, name: &'a RepositoryName) -> Answer<'a, Option<RepositoryView>>;

    /// The repository that has a number.
    fn repository_by_id(&self, id: u32) -> Answer<'_, Option<RepositoryView>>;

    /// Says of a repository what people say of it, with an event; `false` when it is not there.
    fn describe_repository<'a>(&'a self, name: &'a RepositoryName, description: String, act: Act) -> Answer<'a, bool>;

    /// Deletes all tags and manifests of a repository by their records, as [`MetaStore::delete_manifest`] does, and
    /// forgets it with what people said of it; with one event. Links stay until their leases end. It is not forgotten
    /// when something in it stays: what another project of the same name holds, what was pushed meanwhile. A step of it:
    /// what follows the first of the pair, at most so many tags and manifests as the second says, in one transaction.
    /// The first step has the event, of the repository as it is then. See [`delete_in_steps`].
    fn delete_repository<'a>(
        &'a self,
        name: &'a RepositoryName,
        step: (&'a DeletedTo, usize),
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedRepository>;

    /// Repositories, of one project or of all. Costs what is left out and what is shown, not the total.
    fn shown_repositories<'a>(
        &'a self,
        project: Option<&'a ProjectName>,
        order: RepositoryOrder,
        slice: Slice,
    ) -> Answer<'a, Shown<RepositoryView>>;

    /// Repositories looked for. Goes through all names of the projects looked in; reads the rows of what is shown, and of
    /// all that is found when they are ordered by [`RepositoryKey::Updated`].
    fn find_repositories(&self, find: FindRepositories) -> Answer<'_, Shown<RepositoryView>>;

    /// The artifacts of a repository; `None` when it is not there. Costs what is left out and what is shown.
    fn artifacts<'a>(
        &'a self,
        repository: &'a RepositoryName,
        order: ArtifactOrder,
        slice: Slice,
    ) -> Answer<'a, Option<Shown<ArtifactView>>>;

    /// The artifact a reference names in a repository.
    fn artifact<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, Option<ArtifactView>>;

    /// The tags that name a manifest, by name, at most `limit`.
    fn tags_of<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        limit: usize,
    ) -> Answer<'a, Vec<TagView>>;

    /// The tags of a repository by name; `None` when it is not there. Costs what is left out and what is shown.
    fn shown_tags<'a>(&'a self, repository: &'a RepositoryName, slice: Slice) -> Answer<'a, Option<Shown<TagView>>>;

    /// What a project has, in figures. Costs no scan.
    fn project_totals<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, ProjectTotals>;

    /// Adds pulls that were seen; those of what is gone are left out. A time is only ever raised.
    fn note_pulls(&self, pulls: Vec<Pulled>) -> Answer<'_, ()>;

    /// Counts for status and metrics. Costs no scan.
    fn counts(&self) -> Answer<'_, Counts>;
}

//! The embedded metadata engine: one redb file.
//!
//! Owns the file and the thread that writes to it; nobody else may open it. Writes go through the `writer`, many to one
//! synced transaction; reads look at the last committed state on the calling thread. A crash loses only what was not
//! answered; opening the file again takes milliseconds, whatever its size (quick repair).
//!
//! After a failed write or sync the store is read-only until the node restarts ([`crate::storage::Health`]): writes are
//! refused, reads go on over what was committed. A write that found no room fails its group alone.

pub(in crate::storage) mod backend;
mod entries;
mod failure;
mod fill;
mod follow;
mod intents;
mod publish;
mod reads;
mod records;
mod set;
mod shared;
mod shelf;
mod snapshot;
mod tables;
mod take;
mod writer;
mod writing;

#[cfg(test)]
mod fill_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
pub(super) mod memory_disk;
#[cfg(test)]
mod tests;

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::identity::NodeKey;
use protocol::record::Held;
use protocol::seam::{Access, FileSystem};
use protocol::trust::Trust;
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag, Timestamp};

use self::failure::Failure;
use self::reads::Hold;
use self::shared::Shared;
use self::tables::{FORMAT, FORMAT_SETTING, View};
use self::writer::Queue;
use super::{
    Act, Amend, Amended, Answer, ArtifactOrder, ArtifactView, Author, BlobRow, Candidate, ChooseHead, Chosen, Conflict,
    Counts, DecideTag, Decided, DeletedManifest, DeletedRepository, DeletedTag, DeletedTo, Entry, Event,
    FindRepositories, LinkBlob, Listing, Membership, MetaError, MetaStore, MountBlob, Page, Project, ProjectTotals,
    PublishManifest, Published, Pulled, RecordAt, Referrer, RepositoryOrder, RepositoryView, Shown, Slice,
    StoredManifest, TagVersion, TagView, Taken, Topic, UnlinkedBlob, Verdict,
};
use crate::storage::Health;
use crate::workers::Scope;

pub use fill::Fill;
pub use snapshot::{newest_good, prune, snapshots};
pub use writer::COMMIT_ROOM;

/// Pages kept in memory while a database is made: it is nearly empty.
const NEW_CACHE: usize = 1024 * 1024;

/// What the engine is opened with.
#[derive(Clone, Debug)]
pub struct OpenRedb {
    /// The disk.
    pub fs: Arc<dyn FileSystem>,
    /// The database file; created, with its tables, when it is not there. Its directory must be.
    pub path: PathBuf,
    /// Bytes of pages kept in memory.
    pub cache: usize,
    /// Whether commits survive a power cut. Off for tests and throw-away nodes alone.
    pub sync: bool,
    /// Falls when a write fails; writes are refused once it has fallen, whatever failed.
    pub health: Health,
    /// Who writes the records.
    pub author: Author,
    /// The owner of the writer. When it stops, the writer finishes what is queued and takes no more: stop it after
    /// the scope of the work that writes.
    pub scope: Scope,
}

/// The embedded engine. See the module.
#[derive(Clone, Debug)]
pub struct RedbMeta {
    shared: Arc<Shared>,
    queue: Queue,
    fs: Arc<dyn FileSystem>,
    sync: bool,
}

impl RedbMeta {
    /// Opens the database, made when it is not there, and starts its writer. Blocks on the disk.
    ///
    /// # Errors
    /// [`MetaError::Full`] when there is no room, [`MetaError::Damaged`] when it can't be read, [`MetaError::Engine`]
    /// when the disk fails or a newer program wrote it.
    pub fn open(options: OpenRedb) -> Result<Self, MetaError> {
        Self::open_after(options, 0)
    }

    /// As [`RedbMeta::open`], and as if [`MetaStore::raise_events`] had been called before any other intent: no event
    /// gets the position of one that came up to `last_event`. When the database does not know that event, it is an older
    /// copy: its author begins a new incarnation.
    ///
    /// # Errors
    /// As [`RedbMeta::open`].
    pub fn open_after(options: OpenRedb, last_event: u64) -> Result<Self, MetaError> {
        let OpenRedb { fs, path, cache, sync, health, author, scope } = options;
        if fs.file_len(&path).map_err(|error| opening(&path, &error))?.is_none() {
            make(&*fs, &path, sync, &author)?;
        }
        let file = backend::open_file(&*fs, &path, sync).map_err(|error| opening(&path, &error))?;
        let shared = Arc::new(Shared::open(file, sync, cache, health, author, last_event)?);
        let queue = writer::start(Arc::clone(&shared), Arc::clone(&fs), path.clone(), scope)
            .map_err(|error| opening(&path, &error))?;
        Ok(Self { shared, queue, fs, sync })
    }

    /// A read, done at once on this thread.
    fn read<T: Send + 'static>(&self, read: impl FnOnce(&View) -> Result<T, Failure>) -> Answer<'static, T> {
        let answer = self.shared.view().and_then(|view| read(&view)).map_err(MetaError::from);
        Box::pin(ready(answer))
    }

    /// Makes the row of a blob unreadable, for tests of what stands above.
    #[cfg(test)]
    pub(crate) async fn damage_held(&self, digest: &Digest) {
        let key = digest.to_key();
        self.write(move |writing| writing.tables.held.put_raw(&key, b"\x09")).await.unwrap();
    }

    /// A write without much of a row.
    fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut writing::Writing<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.queue.write(0, work))
    }
}

fn opening(path: &Path, error: &std::io::Error) -> MetaError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return MetaError::Full;
    }
    MetaError::Engine(format!("{}: {error}", path.display()))
}

/// Makes the database under another name and gives it its own once it is whole: the engine takes a file that a crash
/// left half made for no database at all.
fn make(fs: &dyn FileSystem, path: &Path, sync: bool, author: &Author) -> Result<(), MetaError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let failed = |error: std::io::Error| opening(&new, &error);
    if fs.file_len(&new).map_err(failed)?.is_some() {
        fs.remove_file(&new).map_err(failed)?;
    }
    let file = fs.open(&new, Access::CreateNew).map_err(failed)?;
    let database = redb::Builder::new()
        .set_cache_size(NEW_CACHE)
        .create_with_backend(backend::OnDisk::new(file, sync))
        .map_err(Failure::from)?;
    prepare(&database, author, 0)?;
    // Its end is synced, too.
    database.close().map_err(Failure::from)?;
    fs.rename_no_replace(&new, path).map_err(failed)?;
    if sync {
        fs.sync_dir(backend::parent(path)).map_err(failed)?;
    }
    Ok(())
}

/// Checks format and author, or makes all tables of a new database; events go on after `last_event`. Gives back who may
/// write what.
fn prepare(database: &redb::Database, author: &Author, last_event: u64) -> Result<Arc<Trust>, MetaError> {
    let transaction = shared::begin_write(database)?;
    let nobody = Arc::new(Trust::evaluate(author.membership().root, std::iter::empty()));
    let mut writing = writing::Writing::begin(&transaction, author, nobody)?;
    let settings = &mut writing.tables.settings;
    match settings.raw(FORMAT_SETTING.as_bytes()).map_err(MetaError::from)? {
        Some(format) => check_format(&format)?,
        None => settings.put_raw(FORMAT_SETTING.as_bytes(), FORMAT.to_string().as_bytes())?,
    }
    check_author(&mut writing)?;
    writing.trust_again()?;
    // What proves this node's right is there before it writes anything by it.
    let chain = &author.membership().chain;
    if !chain.is_empty() {
        writing.take_in(chain, Timestamp(0))?;
    }
    if last_event >= writing.totals.next_event.max(1) {
        writing.pen = writing.author.take_up(writing.pen.last);
    }
    writing.raise_events(last_event.saturating_add(1));
    let ended = writing.end()?;
    let done = if ended.changed {
        transaction.commit().map_err(Failure::from)
    } else {
        transaction.abort().map_err(Failure::from)
    };
    done?;
    Ok(ended.trust)
}

/// Refuses records that this node did not sign: it can't go on with them.
fn check_author(writing: &mut writing::Writing<'_>) -> Result<(), MetaError> {
    let key = writing.author.key();
    match writing.tables.author.get::<NodeKey>(tables::KEY)? {
        Some(known) if known == key => Ok(()),
        Some(known) => Err(MetaError::Engine(format!(
            "the metadata was written by the node with the key {known}, and this one has {key}: put the key (in \
             identity/) and the metadata of one node together"
        ))),
        None => Ok(writing.tables.author.put(tables::KEY, &key)?),
    }
}

/// Refuses what a newer program wrote, and what was written before the first release.
fn check_format(found: &[u8]) -> Result<(), MetaError> {
    let format: Option<u32> = tables::text(found).and_then(|text| text.parse().ok());
    match format {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => Err(MetaError::Engine(format!(
            "the metadata has format {newer}, this program knows up to {FORMAT}: use a newer Portolan"
        ))),
        Some(older @ 1..FORMAT) => Err(MetaError::Engine(format!(
            "the metadata has format {older}, which no released version wrote: this program does not read it. \
             `portolan rebuild-index` starts from the blobs"
        ))),
        Some(_) | None => Err(MetaError::Damaged(format!("format {} is none", found.escape_ascii()))),
    }
}

impl MetaStore for RedbMeta {
    fn setting(&self, name: &'static str) -> Answer<'_, Option<Vec<u8>>> {
        self.read(|view| view.setting(name))
    }

    fn put_setting(&self, name: &'static str, value: Vec<u8>) -> Answer<'_, ()> {
        self.write(move |writing| writing.tables.settings.put_raw(name.as_bytes(), &value))
    }

    fn project<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, Option<Project>> {
        self.read(|view| view.project(name))
    }

    fn create_project(&self, project: Project, act: Act) -> Answer<'_, bool> {
        self.write(move |writing| writing.create_project(&project, &act))
    }

    fn projects(&self, page: Page) -> Answer<'_, Listing<Project>> {
        self.read(|view| view.project_page(&page))
    }

    fn project_bytes<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, u64> {
        self.read(|view| view.project_bytes(name))
    }

    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, Option<StoredManifest>> {
        self.read(|view| view.manifest(repository, reference))
    }

    fn pinned_blobs<'a>(&'a self, repository: &'a RepositoryName, manifest: &'a Digest) -> Answer<'a, Vec<Digest>> {
        self.read(|view| view.pinned_blobs(repository, manifest))
    }

    fn named_by<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<Digest>> {
        self.read(|view| view.named_by(repository, digest))
    }

    fn blob<'a>(&'a self, repository: &'a RepositoryName, digest: &'a Digest) -> Answer<'a, Option<BlobRow>> {
        self.read(|view| view.blob(repository, digest))
    }

    fn held<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Option<BlobRow>> {
        self.read(|view| view.held_row(digest))
    }

    fn all_held(&self, after: Option<Digest>, limit: usize) -> Answer<'_, Listing<(Digest, BlobRow)>> {
        self.read(|view| view.all_held(after.as_ref(), limit))
    }

    fn blob_repositories<'a>(&'a self, digest: &'a Digest, limit: usize) -> Answer<'a, Vec<RepositoryName>> {
        self.read(|view| view.blob_repositories(digest, limit))
    }

    fn tags<'a>(&'a self, repository: &'a RepositoryName, page: Page) -> Answer<'a, Option<Listing<Tag>>> {
        self.read(|view| view.tag_page(repository, &page))
    }

    fn tag_history<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        limit: usize,
    ) -> Answer<'a, Vec<TagVersion>> {
        self.read(|view| view.tag_history(repository, tag, limit))
    }

    fn repositories(&self, page: Page) -> Answer<'_, Listing<RepositoryName>> {
        self.read(|view| view.repository_page(&page))
    }

    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a MediaType>,
        page: Page,
    ) -> Answer<'a, Listing<Referrer>> {
        self.read(|view| view.referrer_page(repository, subject, artifact_type, &page))
    }

    fn link_blob(&self, link: LinkBlob) -> Answer<'_, bool> {
        self.write(move |writing| writing.link_blob(&link))
    }

    fn mount_blob(&self, mount: MountBlob) -> Answer<'_, Option<BlobRow>> {
        self.write(move |writing| writing.mount_blob(&mount))
    }

    fn publish_manifest(&self, publish: PublishManifest) -> Answer<'_, Published> {
        let weight = publish.bytes.len();
        Box::pin(self.queue.write(weight, move |writing| writing.publish_manifest(&publish)))
    }

    fn delete_tag<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedTag> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.write(move |writing| writing.delete_tag(&repository, &tag, due, &act))
    }

    fn delete_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedManifest> {
        let (repository, digest) = (repository.clone(), *digest);
        self.write(move |writing| writing.delete_manifest(&repository, &digest, due, &act))
    }

    fn unlink_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, UnlinkedBlob> {
        let (repository, digest) = (repository.clone(), *digest);
        self.write(move |writing| writing.unlink_blob(&repository, &digest, due, &act))
    }

    fn hold_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        until: Timestamp,
        extend: Timestamp,
    ) -> Answer<'a, Option<BlobRow>> {
        match self.shared.view().and_then(|view| view.hold(repository, digest, until)) {
            Ok(Hold::Known(answer)) => Box::pin(ready(Ok(answer))),
            Ok(Hold::Extend) => {
                let (repository, digest) = (repository.clone(), *digest);
                self.write(move |writing| writing.hold_blob(&repository, &digest, until, extend))
            }
            Err(failure) => Box::pin(ready(Err(failure.into()))),
        }
    }

    fn candidates(&self, now: Timestamp, after: Option<Candidate>, limit: usize) -> Answer<'_, Vec<Candidate>> {
        self.read(|view| view.due(now, after.as_ref(), limit))
    }

    fn judge<'a>(&'a self, candidate: &'a Candidate, now: Timestamp) -> Answer<'a, Verdict> {
        self.read(|view| view.verdict(candidate, now))
    }

    fn collect<'a>(&'a self, candidate: &'a Candidate, now: Timestamp) -> Answer<'a, Verdict> {
        let candidate = candidate.clone();
        self.write(move |writing| writing.collect(&candidate, now))
    }

    fn quarantine<'a>(&'a self, digest: &'a Digest, act: Act) -> Answer<'a, ()> {
        let digest = *digest;
        self.write(move |writing| writing.quarantine(&digest, &act))
    }

    fn outbox(&self, limit: usize) -> Answer<'_, Vec<Event>> {
        self.read(|view| view.events(limit))
    }

    fn raise_events(&self, at_least: u64) -> Answer<'_, ()> {
        self.write(move |writing| {
            writing.raise_events(at_least);
            Ok(())
        })
    }

    fn acknowledge(&self, seq: u64) -> Answer<'_, ()> {
        self.write(move |writing| writing.tables.outbox.remove_through(&tables::position(seq)))
    }

    fn entries(&self, after: u64, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.read(|view| view.entries_since(after, limit))
    }

    fn amend(&self, amend: Amend) -> Answer<'_, Amended> {
        self.write(move |writing| writing.amend(&amend))
    }

    fn local(&self, name: String) -> Answer<'_, Option<Vec<u8>>> {
        self.read(|view| view.local(&name))
    }

    fn take_in(&self, heard: Vec<Held>, due: Timestamp) -> Answer<'_, Taken> {
        let value = |held: &Held| held.value.as_ref().map_or(0, |value| value.len());
        let weight = heard.iter().map(|held| held.record.as_bytes().len() + value(held)).sum();
        Box::pin(self.queue.write(weight, move |writing| writing.take_in(&heard, due)))
    }

    fn conflicts(&self, limit: usize) -> Answer<'_, Vec<Conflict>> {
        self.read(|view| view.conflicts(limit))
    }

    fn decide_tag(&self, decide: DecideTag) -> Answer<'_, Decided> {
        self.write(move |writing| writing.decide_tag(&decide))
    }

    fn choose_head(&self, choose: ChooseHead) -> Answer<'_, Chosen> {
        self.write(move |writing| writing.choose_head(&choose))
    }

    fn deleted_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> Answer<'a, Option<MediaType>> {
        self.read(|view| view.deleted_manifest(repository, digest))
    }

    fn membership(&self) -> Arc<Membership> {
        Arc::clone(self.shared.author.membership())
    }

    fn author(&self) -> NodeKey {
        self.shared.author.key()
    }

    fn records(&self, after: Option<RecordAt>, limit: usize) -> Answer<'_, Listing<Held>> {
        self.read(|view| view.record_page(after.as_ref(), limit))
    }

    fn heads<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Vec<Held>> {
        self.read(|view| view.heads(topic))
    }

    fn repository<'a>(&'a self, name: &'a RepositoryName) -> Answer<'a, Option<RepositoryView>> {
        self.read(|view| view.repository(name))
    }

    fn repository_by_id(&self, id: u32) -> Answer<'_, Option<RepositoryView>> {
        self.read(|view| view.repository_by_id(id))
    }

    fn describe_repository<'a>(&'a self, name: &'a RepositoryName, description: String, act: Act) -> Answer<'a, bool> {
        let name = name.clone();
        self.write(move |writing| writing.describe_repository(&name, &description, &act))
    }

    fn delete_repository<'a>(
        &'a self,
        name: &'a RepositoryName,
        (from, most): (&'a DeletedTo, usize),
        due: Timestamp,
        act: Act,
    ) -> Answer<'a, DeletedRepository> {
        let (name, from) = (name.clone(), from.clone());
        self.write(move |writing| writing.delete_repository(&name, (&from, most), due, &act))
    }

    fn shown_repositories<'a>(
        &'a self,
        project: Option<&'a ProjectName>,
        order: RepositoryOrder,
        slice: Slice,
    ) -> Answer<'a, Shown<RepositoryView>> {
        self.read(|view| view.shown_repositories(project, order, slice))
    }

    fn find_repositories(&self, find: FindRepositories) -> Answer<'_, Shown<RepositoryView>> {
        self.read(|view| view.find_repositories(&find))
    }

    fn artifacts<'a>(
        &'a self,
        repository: &'a RepositoryName,
        order: ArtifactOrder,
        slice: Slice,
    ) -> Answer<'a, Option<Shown<ArtifactView>>> {
        self.read(|view| view.artifacts(repository, order, slice))
    }

    fn artifact<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, Option<ArtifactView>> {
        self.read(|view| view.artifact(repository, reference))
    }

    fn tags_of<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        limit: usize,
    ) -> Answer<'a, Vec<TagView>> {
        self.read(|view| view.tags_naming(repository, digest, limit))
    }

    fn shown_tags<'a>(&'a self, repository: &'a RepositoryName, slice: Slice) -> Answer<'a, Option<Shown<TagView>>> {
        self.read(|view| view.shown_tags(repository, slice))
    }

    fn project_totals<'a>(&'a self, name: &'a ProjectName) -> Answer<'a, ProjectTotals> {
        self.read(|view| view.project_totals(name))
    }

    fn note_pulls(&self, pulls: Vec<Pulled>) -> Answer<'_, ()> {
        self.write(move |writing| writing.note_pulls(&pulls))
    }

    fn counts(&self) -> Answer<'_, Counts> {
        self.read(View::counts)
    }
}

//! What an engine of the metadata does: one trait, of which each method is one transaction or one look. Owns no state.

use std::sync::Arc;

use protocol::identity::NodeKey;
use protocol::record::Held;
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag, Timestamp};

use super::{
    Act, Amend, Amended, Answer, ArtifactOrder, ArtifactView, BlobRow, Candidate, ChooseHead, Chosen, Conflict, Counts,
    DecideTag, Decided, DeletedManifest, DeletedRepository, DeletedTag, DeletedTo, Entry, Event, FindRepositories,
    LinkBlob, Listing, Membership, MountBlob, Page, Project, ProjectTotals, PublishManifest, Published, Pulled,
    RecordAt, Referrer, RepositoryOrder, RepositoryView, Shown, Slice, StoredManifest, TagVersion, TagView, Taken,
    Topic, UnlinkedBlob, Verdict,
};

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
    /// [`super::REFERRERS_TEXT`]; a first entry is there whatever its length.
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
    /// The first step has the event, of the repository as it is then. See [`super::delete_in_steps`].
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
    /// all that is found when they are ordered by [`super::RepositoryKey::Updated`].
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

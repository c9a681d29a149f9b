//! The engine as it is asked: each method of the contract, under the one lock. Owns no state.

use std::future::ready;
use std::sync::Arc;

use protocol::identity::NodeKey;
use protocol::record::Held as Kept;
use protocol::{Digest, MediaType, ProjectName, Reference, RepositoryName, Tag, Timestamp};

use super::super::{
    Act, Amend, Amended, Answer, ArtifactOrder, ArtifactView, BlobRow, Candidate, ChooseHead, Chosen, Conflict, Counts,
    DecideTag, Decided, DeletedManifest, DeletedRepository, DeletedTag, DeletedTo, Entry, Event, FindRepositories,
    LinkBlob, Listing, Membership, MetaStore, MountBlob, Page, Project, ProjectTotals, PublishManifest, Published,
    Pulled, RecordAt, Referrer, RepositoryOrder, RepositoryView, Shown, Slice, StoredManifest, TagVersion, TagView,
    Taken, TextRoom, Topic, UnlinkedBlob, Verdict, What,
};
use super::{MemoryMeta, page, page_while};

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

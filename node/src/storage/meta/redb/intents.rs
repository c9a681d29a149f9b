//! The intents on projects, blobs, candidates and events, within one write transaction. Owns no state.
//!
//! Each first finds out whether it can be done, and writes only then: a refused intent leaves the transaction it shares
//! with others as it was.

use protocol::view::Topic;
use protocol::{Digest, RepositoryName, Timestamp};

use super::failure::Failure;
use super::tables::{self, Kind};
use super::writing::Writing;
use crate::storage::meta::rows::{HeldRow, LinkRow};
use crate::storage::meta::{Act, BlobRow, Candidate, LinkBlob, MountBlob, Project, UnlinkedBlob, Verdict, What};

impl Writing<'_> {
    /// See [`crate::storage::meta::MetaStore::create_project`].
    pub(super) fn create_project(&mut self, project: &Project, act: &Act) -> Result<bool, Failure> {
        let key = project.name.as_str().as_bytes();
        if self.tables.projects.has(key)? {
            return Ok(false);
        }
        let (scope, value) = self.author.project(project);
        self.say(Topic::project(scope), Some(&value), act.at, act)?;
        self.tell(act, What::ProjectCreated { project: project.name.clone(), public: project.public })?;
        Ok(true)
    }

    /// See [`crate::storage::meta::MetaStore::link_blob`].
    pub(super) fn link_blob(&mut self, link: &LinkBlob) -> Result<bool, Failure> {
        if !self.has_project(&link.repository)? {
            return Ok(false);
        }
        let fresh = BlobRow { size: link.size, root: link.root, committed: link.act.at, quarantined: None };
        self.link(&link.repository, &link.digest, fresh, link.lease, link.act.at)?;
        Ok(true)
    }

    /// See [`crate::storage::meta::MetaStore::mount_blob`].
    pub(super) fn mount_blob(&mut self, mount: &MountBlob) -> Result<Option<BlobRow>, Failure> {
        let Some((_, blob)) = self.tables.linked(&mount.from, &mount.digest)? else { return Ok(None) };
        if blob.quarantined.is_some() || !self.has_project(&mount.to)? {
            return Ok(None);
        }
        self.link(&mount.to, &mount.digest, blob, mount.lease, mount.act.at).map(Some)
    }

    fn link(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        fresh: BlobRow,
        lease: Timestamp,
        at: Timestamp,
    ) -> Result<BlobRow, Failure> {
        self.note_repository(repository, at)?;
        let blob = self.hold(repository, digest, Kind::Blob, fresh)?;
        self.lease(repository, digest, lease)?;
        Ok(blob)
    }

    /// Writes a link, or makes its lease longer: a promise once made is not cut short.
    pub(super) fn lease(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        until: Timestamp,
    ) -> Result<(), Failure> {
        let key = tables::item(repository, digest);
        let old: Option<LinkRow> = self.tables.links.get(&key)?;
        let lease = old.map_or(until, |old| old.lease.max(until));
        self.tables.links.put(&key, &LinkRow { lease })?;
        self.nominate(lease, digest, Some(repository))
    }

    /// See [`crate::storage::meta::MetaStore::hold_blob`]: the part that writes.
    pub(super) fn hold_blob(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        until: Timestamp,
        extend: Timestamp,
    ) -> Result<Option<BlobRow>, Failure> {
        let Some((link, blob)) = self.tables.linked(repository, digest)? else { return Ok(None) };
        let stays =
            blob.quarantined.is_some() || link.lease >= until || self.tables.pinned_by(repository, digest)?.is_some();
        if !stays {
            self.lease(repository, digest, extend)?;
        }
        Ok(Some(blob))
    }

    /// See [`crate::storage::meta::MetaStore::unlink_blob`].
    pub(super) fn unlink_blob(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        due: Timestamp,
        act: &Act,
    ) -> Result<UnlinkedBlob, Failure> {
        if self.tables.linked(repository, digest)?.is_none() {
            return Ok(UnlinkedBlob::Absent);
        }
        if let Some(by) = self.tables.pinned_by(repository, digest)? {
            return Ok(UnlinkedBlob::Pinned { by });
        }
        self.tables.links.remove(&tables::item(repository, digest))?;
        if !self.let_go(repository, digest, Kind::Blob)? {
            self.orphan(digest, due)?;
        }
        self.tell(act, What::BlobUnlinked { repository: repository.clone(), digest: *digest })?;
        Ok(UnlinkedBlob::Done)
    }

    /// See [`crate::storage::meta::MetaStore::collect`].
    pub(super) fn collect(&mut self, candidate: &Candidate, now: Timestamp) -> Result<Verdict, Failure> {
        let verdict = self.tables.judge(candidate, now)?;
        self.tables.candidates.remove(&tables::candidate(candidate))?;
        match verdict {
            Verdict::Needed => {}
            Verdict::Leased(until) => self.nominate(until, &candidate.digest, candidate.repository.as_ref())?,
            Verdict::Unlink | Verdict::Free { .. } => self.take(candidate)?,
        }
        Ok(verdict)
    }

    /// Takes what was judged to be garbage.
    fn take(&mut self, candidate: &Candidate) -> Result<(), Failure> {
        let digest = &candidate.digest;
        let held = match &candidate.repository {
            Some(repository) => {
                self.tables.links.remove(&tables::item(repository, digest))?;
                self.let_go(repository, digest, Kind::Blob)?
            }
            None => false,
        };
        if !held {
            let key = digest.to_key();
            let row: HeldRow = self.tables.held.promised(&key)?;
            self.tables.held.remove(&key)?;
            self.totals.bytes = self.totals.bytes.saturating_sub(row.blob.size);
        }
        Ok(())
    }

    /// See [`crate::storage::meta::MetaStore::quarantine`].
    pub(super) fn quarantine(&mut self, digest: &Digest, act: &Act) -> Result<(), Failure> {
        let key = digest.to_key();
        let Some(mut row) = self.tables.held.get::<HeldRow>(&key)? else { return Ok(()) };
        if row.blob.quarantined.is_some() {
            return Ok(());
        }
        row.blob.quarantined = Some(act.at);
        self.tables.held.put(&key, &row)?;
        self.tell(act, What::BlobQuarantined { digest: *digest })?;
        Ok(())
    }
}

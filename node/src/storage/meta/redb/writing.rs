//! One write transaction, as the intents see it: what several of them do alike.
//!
//! Owns the figures kept up in [`Totals`], the author's pen and what is trusted, while the transaction runs; nothing of
//! them survives when that is not committed.

use std::sync::Arc;

use protocol::record::ScopeId;
use protocol::trust::Trust;
use protocol::{Digest, RepositoryName, Timestamp};
use redb::{ReadableTable, WriteTransaction};

use super::failure::Failure;
use super::tables::{self, CLOCK, Kind, PEN, TOTALS, Tables, Writable};
use crate::storage::meta::author::{Author, Pen};
use crate::storage::meta::rows::{HeldRow, LinkRow, ProjectRow, Totals, UsageRow};
use crate::storage::meta::{Act, BlobRow, Candidate, Event, Verdict, What};

/// All tables, open for writing, the totals, and who writes.
#[derive(Debug)]
pub(super) struct Writing<'t> {
    pub(super) tables: Tables<Writable<'t>>,
    pub(super) totals: Totals,
    pub(super) author: &'t Author,
    pub(super) pen: Pen,
    /// Who may write what, by the acts of trust in this transaction.
    pub(super) trust: Arc<Trust>,
    before: (Totals, Option<Pen>),
}

/// What a transaction leaves behind when it is committed.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whether there is anything to commit.
    pub(super) changed: bool,
    /// What is trusted from then on.
    pub(super) trust: Arc<Trust>,
}

impl<'t> Writing<'t> {
    /// Opens what a transaction works on.
    pub(super) fn begin(
        transaction: &'t WriteTransaction,
        author: &'t Author,
        trust: Arc<Trust>,
    ) -> Result<Self, Failure> {
        let tables = Tables::write(transaction)?;
        let totals = tables.totals.get(TOTALS)?.unwrap_or_default();
        let before: Option<Pen> = tables.author.get(PEN)?;
        let pen = match before {
            Some(pen) => pen,
            // A new store, or one that lost sight of what it wrote: a new life begins.
            None => author.take_up(tables.author.get(CLOCK)?.unwrap_or_default()),
        };
        Ok(Self { tables, totals, author, pen, trust, before: (totals, before) })
    }

    /// Closes it.
    pub(super) fn end(mut self) -> Result<Ended, Failure> {
        if self.totals != self.before.0 {
            self.tables.totals.put(TOTALS, &self.totals)?;
        }
        if Some(self.pen) != self.before.1 {
            self.tables.author.put(PEN, &self.pen)?;
            self.tables.author.put(CLOCK, &self.pen.last)?;
        }
        Ok(Ended { changed: self.tables.changed(), trust: self.trust })
    }

    /// Whether the project of a repository is there.
    pub(super) fn has_project(&self, repository: &RepositoryName) -> Result<bool, Failure> {
        self.tables.projects.has(repository.project_str().as_bytes())
    }

    /// The scope of a repository's records, whose project is there.
    pub(super) fn scope_of(&self, repository: &RepositoryName) -> Result<ScopeId, Failure> {
        Ok(self.tables.projects.promised::<ProjectRow>(repository.project_str().as_bytes())?.scope)
    }

    /// Notes that something was pushed to a repository.
    pub(super) fn note_repository(&mut self, name: &RepositoryName, at: Timestamp) -> Result<(), Failure> {
        let key = name.as_str().as_bytes();
        if self.tables.repositories.has(key)? { Ok(()) } else { self.make_repository(name, at) }
    }

    /// Notes an event, of the project that has the name now.
    pub(super) fn tell(&mut self, act: &Act, what: What) -> Result<(), Failure> {
        let scope = self.scope_told(&what)?;
        self.tell_in(scope, act, what)
    }

    /// The scope of the project that has the name now.
    pub(super) fn scope_told(&self, what: &What) -> Result<Option<ScopeId>, Failure> {
        what.project().map_or(Ok(None), |project| self.meant(&project))
    }

    /// Notes an event of a project with this scope.
    pub(super) fn tell_in(&mut self, scope: Option<ScopeId>, act: &Act, what: What) -> Result<(), Failure> {
        let seq = self.totals.next_event.max(1);
        self.totals.next_event = seq + 1;
        self.tables.outbox.put(&tables::position(seq), &Event { seq, act: act.clone(), what, scope })
    }

    /// Lets the next event have a position no lower than `at_least`.
    pub(super) fn raise_events(&mut self, at_least: u64) {
        self.totals.next_event = self.totals.next_event.max(at_least);
    }

    /// Notes a candidate.
    pub(super) fn nominate(
        &mut self,
        due: Timestamp,
        digest: &Digest,
        repository: Option<&RepositoryName>,
    ) -> Result<(), Failure> {
        let key = tables::candidate(&Candidate { due, digest: *digest, repository: repository.cloned() });
        self.tables.candidates.mark(&key)
    }

    /// Makes a repository a holder of bytes that are durable. The row of the bytes is written when it is new or ends a
    /// quarantine; else it stays as it is.
    pub(super) fn hold(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        kind: Kind,
        fresh: BlobRow,
    ) -> Result<BlobRow, Failure> {
        let key = digest.to_key();
        let old: Option<HeldRow> = self.tables.held.get(&key)?;
        let blob = match &old {
            Some(row) if row.blob.quarantined.is_none() => row.blob.clone(),
            Some(_) | None => fresh,
        };
        let row = HeldRow { blob: blob.clone(), keep: Timestamp(0) };
        if old.as_ref() != Some(&row) {
            self.tables.held.put(&key, &row)?;
        }
        if old.is_none() {
            self.totals.bytes += blob.size;
        }
        let holder = tables::holder(digest, kind, repository);
        if !self.tables.holders.has(&holder)? {
            self.tables.holders.mark(&holder)?;
            // A blob counts from when a manifest pins it; one that comes after its manifest, at once.
            if kind == Kind::Manifest || self.tables.pins.any(&tables::item(repository, digest))? {
                self.count(repository, digest, blob.size)?;
            }
        }
        Ok(blob)
    }

    /// Ends what [`Writing::hold`] began; whether anybody still holds the bytes.
    pub(super) fn let_go(&mut self, repository: &RepositoryName, digest: &Digest, kind: Kind) -> Result<bool, Failure> {
        let row: HeldRow = self.tables.held.promised(&digest.to_key())?;
        if self.tables.holders.remove(&tables::holder(digest, kind, repository))?
            && (kind == Kind::Manifest || self.tables.pins.any(&tables::item(repository, digest))?)
        {
            self.discount(repository, digest, row.blob.size)?;
        }
        self.tables.is_held(digest)
    }

    /// Keeps bytes nobody holds any more until `due`, when GC looks at them.
    pub(super) fn orphan(&mut self, digest: &Digest, due: Timestamp) -> Result<(), Failure> {
        let key = digest.to_key();
        let mut row: HeldRow = self.tables.held.promised(&key)?;
        row.keep = row.keep.max(due);
        self.tables.held.put(&key, &row)?;
        self.nominate(due, digest, None)
    }

    /// Notes that something is published in a repository: as a manifest, or as a linked blob that one pins.
    pub(super) fn count(&mut self, repository: &RepositoryName, digest: &Digest, size: u64) -> Result<(), Failure> {
        let key = tables::counted(repository.project_str(), digest);
        let times = self.tables.counted.number(&key)?.unwrap_or_default();
        if times == 0 {
            self.change_usage(repository, |usage| usage.bytes = usage.bytes.saturating_add(size))?;
        }
        self.tables.counted.put_raw(&key, &(times + 1).to_be_bytes())
    }

    /// Ends what [`Writing::count`] noted.
    pub(super) fn discount(&mut self, repository: &RepositoryName, digest: &Digest, size: u64) -> Result<(), Failure> {
        let key = tables::counted(repository.project_str(), digest);
        match self.tables.counted.number(&key)?.unwrap_or_default() {
            0 => Err(self.tables.counted.damaged(&key, "what was published is not counted")),
            1 => {
                self.tables.counted.remove(&key)?;
                self.change_usage(repository, |usage| usage.bytes = usage.bytes.saturating_sub(size))
            }
            times => self.tables.counted.put_raw(&key, &(times - 1).to_be_bytes()),
        }
    }

    /// Changes what the project of a repository uses.
    pub(super) fn change_usage(
        &mut self,
        repository: &RepositoryName,
        change: impl FnOnce(&mut UsageRow),
    ) -> Result<(), Failure> {
        let key = repository.project_str().as_bytes();
        let mut usage: UsageRow = self.tables.usage.get(key)?.unwrap_or_default();
        change(&mut usage);
        self.tables.usage.put(key, &usage)
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Tables<T> {
    /// A blob of a repository: its link, and the row of its bytes.
    pub(super) fn linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(LinkRow, BlobRow)>, Failure> {
        let Some(link) = self.links.get::<LinkRow>(&tables::item(repository, digest))? else { return Ok(None) };
        let held: HeldRow = self.held.promised(&digest.to_key())?;
        Ok(Some((link, held.blob)))
    }

    /// A manifest of the repository that needs a blob.
    pub(super) fn pinned_by(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Digest>, Failure> {
        let prefix = tables::item(repository, digest);
        match self.pins.first(&prefix)? {
            Some(by) => match Digest::from_key(&by) {
                Some(by) => Ok(Some(by)),
                None => Err(self.pins.damaged(&prefix, "the pinning digest can't be read")),
            },
            None => Ok(None),
        }
    }

    /// Whether any repository holds bytes.
    pub(super) fn is_held(&self, digest: &Digest) -> Result<bool, Failure> {
        Ok(self.holders.any(&tables::holders(digest, Kind::Blob))?
            || self.holders.any(&tables::holders(digest, Kind::Manifest))?)
    }

    /// What is to be done with a candidate. The candidate is a hint: links, pins and leases decide.
    pub(super) fn judge(&self, candidate: &Candidate, now: Timestamp) -> Result<Verdict, Failure> {
        let digest = &candidate.digest;
        match &candidate.repository {
            Some(repository) => self.judge_link(repository, digest, now),
            None => match self.held.get::<HeldRow>(&digest.to_key())? {
                None => Ok(Verdict::Needed),
                Some(_) if self.is_held(digest)? => Ok(Verdict::Needed),
                Some(row) if row.keep > now => Ok(Verdict::Leased(row.keep)),
                Some(row) => Ok(Verdict::Free { size: row.blob.size }),
            },
        }
    }

    fn judge_link(&self, repository: &RepositoryName, digest: &Digest, now: Timestamp) -> Result<Verdict, Failure> {
        let Some((link, blob)) = self.linked(repository, digest)? else { return Ok(Verdict::Needed) };
        if self.pinned_by(repository, digest)?.is_some() {
            return Ok(Verdict::Needed);
        }
        if link.lease > now {
            return Ok(Verdict::Leased(link.lease));
        }
        let shared = self.other_holder(repository, digest)?;
        Ok(if shared { Verdict::Unlink } else { Verdict::Free { size: blob.size } })
    }

    /// Whether the bytes of a linked blob are held by anyone but this link.
    fn other_holder(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Failure> {
        let mut other = self.holders.any(&tables::holders(digest, Kind::Manifest))?;
        if !other {
            self.holders.scan(&tables::holders(digest, Kind::Blob), None, |name, _| {
                other = name != repository.as_str().as_bytes();
                Ok(!other)
            })?;
        }
        Ok(other)
    }
}

//! Removing old entries so that what is left still proves itself. Owns no state.
//!
//! A purge goes in this order, and a crash anywhere leaves a log that verifies:
//! 1. of each file in which entries go, but not all, a copy is written beside it, `<first position>.part`, in which a mark
//!    stands for them: which positions, and the chain value of the last, so that the line after it follows as before;
//! 2. an entry `purge_audit` says who purged by which rules, and for each file either the hash of the copy or, when all of
//!    it goes, the positions and the chain values before and after. It begins a new file and is synced and anchored;
//! 3. the copies take the places of the files, the others are removed.
//!
//! After a crash before 3 the old files are there, whole, and follow by themselves; the purge comes again when it is due.
//! Entries about purges are never purged: they are what the rest is proven by.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::Timestamp;
use protocol::seam::{Access, File};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::AuditError;
use super::entry::{Chain, Draft, Entry, Follows, Line, Stone, Told, read, split};
use super::lines::{Lines, Next};
use super::log::{AuditLog, Segment, segments};
use super::words::{EventType, Resource};
use crate::storage::meta::{Act, MetaStore, Operation};

/// Most files one purge touches; what is left goes with the next.
const FILES: usize = 256;

/// What goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeRules {
    /// Entries older than this.
    pub before: Timestamp,
    /// Of these types; with none, nothing goes.
    pub types: BTreeSet<EventType>,
    /// Only count.
    pub dry_run: bool,
}

impl PurgeRules {
    fn take(&self, entry: &Entry) -> bool {
        let of = entry.told.event_type();
        entry.act.at < self.before && !of.is_own() && self.types.contains(&of)
    }
}

/// What went, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// Entries looked at.
    pub examined: u64,
    /// Entries removed.
    pub purged: u64,
    /// Files removed.
    pub files_removed: u64,
    /// Files written anew.
    pub files_rewritten: u64,
}

/// What an entry about a purge says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// Its first position.
    pub(super) first: u64,
    /// Its last.
    pub(super) to: u64,
    /// The chain value before it.
    pub(super) follows: Chain,
    /// That of its last line.
    pub(super) chain: Chain,
    /// The last event of the store up to its end.
    pub(super) event: u64,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    /// It is removed.
    Gone,
    /// Another takes its place: the hash of that.
    Kept(Chain),
}

/// What a line says of files, when it is an entry about a purge.
pub(super) fn signed(line: &[u8]) -> Vec<Signed> {
    let needle = b"\"operation\":\"purge\"";
    if !line.windows(needle.len()).any(|part| part == needle) {
        return Vec::new();
    }
    match read(line) {
        Ok(Line::Entry(entry)) => of_entry(&entry),
        Ok(Line::Stone(_)) | Err(_) => Vec::new(),
    }
}

/// What an entry says of files, when it is one about a purge.
pub(super) fn of_entry(entry: &Entry) -> Vec<Signed> {
    if entry.told.operation != Operation::Purge || entry.told.kind != Resource::Audit {
        return Vec::new();
    }
    let files = entry.told.after.as_ref().and_then(|after| after.get("files"));
    files.and_then(|files| serde_json::from_value(files.clone()).ok()).unwrap_or_default()
}

/// A file as a purge would leave it.
struct Planned {
    signed: Signed,
    examined: u64,
    purged: u64,
}

impl AuditLog {
    /// Removes what `rules` say, in the name of `act`.
    ///
    /// # Errors
    /// [`AuditError`]; nothing was removed unless the last step, putting files in place, failed.
    pub async fn purge(
        &mut self,
        rules: &PurgeRules,
        act: Act,
        meta: &dyn MetaStore,
    ) -> Result<PurgeReport, AuditError> {
        self.purge_unless(rules, act, meta, &|| false).await
    }

    /// The same, unless `stop` says so before anything was removed.
    ///
    /// # Errors
    /// [`AuditError::Stopped`]; else as [`AuditLog::purge`].
    pub async fn purge_unless(
        &mut self,
        rules: &PurgeRules,
        act: Act,
        meta: &dyn MetaStore,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<PurgeReport, AuditError> {
        self.drain(meta).await?;
        let mut report = PurgeReport::default();
        let mut plan = Vec::new();
        if rules.types.is_empty() {
            return Ok(report);
        }
        for segment in segments(&*self.fs, &self.dir)? {
            if stop() {
                return Err(AuditError::Stopped);
            }
            let planned = self.plan(&segment, rules)?;
            report.examined += planned.examined;
            if planned.purged == 0 {
                continue;
            }
            report.purged += planned.purged;
            match planned.signed.fate {
                Fate::Gone => report.files_removed += 1,
                Fate::Kept(_) => report.files_rewritten += 1,
            }
            plan.push(planned.signed);
            if plan.len() == FILES {
                break;
            }
        }
        if rules.dry_run || plan.is_empty() {
            return Ok(report);
        }
        if stop() {
            return Err(AuditError::Stopped);
        }
        self.fs.sync_dir(&self.dir)?;
        let told = Told {
            before: Some(json!({
                "older_than": rules.before,
                "types": rules.types.iter().map(|of| of.name()).collect::<Vec<_>>(),
                "purged": report.purged,
            })),
            after: Some(json!({ "files": plan })),
            ..Told::done(Operation::Purge, Resource::Audit, "audit")
        };
        self.rotate();
        self.append(vec![Entry::new(0, None, Draft { act, told })])?;
        self.anchor(meta).await?;
        for signed in &plan {
            let path = self.dir.join(Segment::name(signed.first));
            match signed.fate {
                Fate::Gone => self.fs.remove_file(&path)?,
                Fate::Kept(_) => self.fs.rename(&self.part(signed.first), &path)?,
            }
        }
        self.fs.sync_dir(&self.dir)?;
        Ok(report)
    }

    fn part(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:020}.part"))
    }

    /// Goes through a file and writes what would be left of it beside it, unless that is all or nothing of it.
    fn plan(&self, segment: &Segment, rules: &PurgeRules) -> Result<Planned, AuditError> {
        let file = self.fs.open(&self.dir.join(Segment::name(segment.first)), Access::Read)?;
        let mut planned = survey(&file, segment, rules)?;
        if planned.purged == 0 || planned.signed.fate == Fate::Gone || rules.dry_run {
            return Ok(planned);
        }
        let copy = self.fs.open(&self.part(segment.first), Access::Create)?;
        copy.set_len(0)?;
        let mut left = Left { file: copy, at: 0, hash: blake3::Hasher::new(), buffer: Vec::new(), stone: None };
        each(&file, segment, |line, read, follows, event| {
            match read {
                Line::Stone(stone) => left.remove(*stone),
                Line::Entry(entry) if rules.take(entry) => {
                    left.remove(Stone { purged: entry.seq, to: entry.seq, follows, event, chain: entry.chain })
                }
                Line::Entry(_) => left.keep(line)?,
            }
            Ok(())
        })?;
        planned.signed.fate = Fate::Kept(left.end()?);
        Ok(planned)
    }
}

/// What would go of a file.
fn survey(file: &Arc<dyn File>, segment: &Segment, rules: &PurgeRules) -> Result<Planned, AuditError> {
    let nothing = Chain::default();
    let (mut first, mut kept) = (None, 0_u64);
    let signed = Signed { first: segment.first, to: 0, follows: nothing, chain: nothing, event: 0, fate: Fate::Gone };
    let mut planned = Planned { signed, examined: 0, purged: 0 };
    each(file, segment, |_, read, follows, event| {
        first.get_or_insert(follows.chain);
        let (to, chain) = match read {
            Line::Stone(stone) => (stone.to, stone.chain),
            Line::Entry(entry) => {
                planned.examined += 1;
                let goes = rules.take(entry);
                planned.purged += u64::from(goes);
                kept += u64::from(!goes);
                (entry.seq, entry.chain)
            }
        };
        planned.signed = Signed { to, chain, event, ..planned.signed };
        Ok(())
    })?;
    planned.signed.follows = first.unwrap_or_default();
    if kept > 0 {
        planned.signed.fate = Fate::Kept(nothing);
    }
    Ok(planned)
}

/// Calls `with` each line, what it follows, and the last event up to it. A file that does not follow is not purged:
/// the evidence stays.
fn each(
    file: &Arc<dyn File>,
    segment: &Segment,
    mut with: impl FnMut(&[u8], &Line, Follows, u64) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let damaged = |seq: u64, why: &str| AuditError::Damaged(format!("entry {seq}: {why}"));
    let mut lines = Lines::new(Arc::clone(file), 0, segment.len);
    let mut before: Option<(u64, Follows)> = None;
    loop {
        let seq = before.map_or(segment.first, |(seq, _)| seq + 1);
        let line = match lines.next()? {
            Next::Line(line) => line,
            Next::End => return Ok(()),
            Next::Torn => return Err(damaged(seq, "the line has no end")),
        };
        let (content, chain) = split(&line).map_err(|why| damaged(seq, why))?;
        let read = read(&line).map_err(|why| damaged(seq, why))?;
        let (follows, to, event) = match (&read, before) {
            (Line::Stone(stone), _) if stone.purged == seq => (stone.follows, stone.to, stone.event),
            (Line::Entry(entry), _) if entry.seq == seq => {
                let follows = before.map(|(_, follows)| follows).or(entry.follows);
                let follows = follows.ok_or_else(|| damaged(seq, "the file does not say what it follows"))?;
                if follows.chain.next(content) != chain {
                    return Err(damaged(seq, "the line was changed"));
                }
                (follows, seq, entry.event.unwrap_or(follows.event))
            }
            (Line::Stone(_) | Line::Entry(_), _) => return Err(damaged(seq, "the line stands in the wrong place")),
        };
        with(&line, &read, follows, event)?;
        before = Some((to, Follows { chain, event }));
    }
}

/// What is left of a file, on its way to the disk.
struct Left {
    file: Arc<dyn File>,
    at: u64,
    hash: blake3::Hasher,
    buffer: Vec<u8>,
    /// What was removed last, until something else follows.
    stone: Option<Stone>,
}

impl Left {
    fn remove(&mut self, stone: Stone) {
        self.stone = Some(match self.stone {
            Some(before) => Stone { purged: before.purged, follows: before.follows, ..stone },
            None => stone,
        });
    }

    fn keep(&mut self, line: &[u8]) -> Result<(), AuditError> {
        if let Some(stone) = self.stone.take() {
            self.buffer.extend(stone.line()?);
        }
        self.buffer.extend_from_slice(line);
        if self.buffer.len() > 1 << 20 {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.hash.update(&self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest and syncs; the hash of all.
    fn end(mut self) -> Result<Chain, AuditError> {
        if let Some(stone) = self.stone.take() {
            self.buffer.extend(stone.line()?);
        }
        self.write()?;
        self.file.sync()?;
        Ok(Chain::of(&self.hash))
    }
}

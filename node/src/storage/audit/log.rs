//! Appending to the log, and what a crash left of it.
//!
//! An append is one write and one sync; then the head (position and chain value) is anchored in the metadata, where who
//! can only change files can't follow; then the outbox forgets. A crash in between writes events again: the log knows the
//! last event it holds and leaves those out. At open the last file is walked: what does not follow is a batch that was
//! never synced, and is cut. If there are whole lines in it, they are kept beside, `<first position>.torn-<offset>`, for
//! what was cut might be no crash but someone's doing: the anchor tells. When the log ends before its anchor, that is said
//! in the log itself by an entry `break_audit`, which [`super::verify()`] reports from then on.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::Timestamp;
use protocol::seam::{Access, EntryKind, File, FileSystem};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::AuditError;
use super::entry::{Chain, Draft, Entry, Follows, Line, Told, read, split};
use super::lines::{LONGEST, Lines, Next};
use super::sink::AuditSink;
use super::words::Resource;
use crate::storage::health::Health;
use crate::storage::meta::{Act, MetaStore, Operation};

/// The setting the head is anchored in.
pub const HEAD: &str = "audit.head";

/// A new file is begun after so many bytes.
const SEGMENT: u64 = 64 << 20;

/// Events, and entries of the sink, moved in one go.
const BATCH: usize = 512;

/// The end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Position of the last entry; 0 when there is none.
    pub seq: u64,
    /// Its chain value.
    pub chain: Chain,
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position of the first entry that was written to it.
    pub first: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Segment {
    /// Its name in the directory.
    #[must_use]
    pub fn name(first: u64) -> String {
        format!("{first:020}.jsonl")
    }
}

/// The files of the log in `dir`, in order; none when there is no directory.
///
/// # Errors
/// What the disk says.
pub fn segments(fs: &dyn FileSystem, dir: &Path) -> io::Result<Vec<Segment>> {
    let listed = match fs.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        outcome => outcome?,
    };
    let files = listed.into_iter().filter(|found| found.kind == EntryKind::File);
    let mut segments: Vec<_> = files
        .filter_map(|found| {
            let first: u64 = found.name.strip_suffix(".jsonl")?.parse().ok()?;
            (Segment::name(first) == found.name).then_some(Segment { first, len: found.len })
        })
        .collect();
    segments.sort_unstable_by_key(|segment| segment.first);
    Ok(segments)
}

/// The files entries end up in. One owner, one writer.
#[derive(Debug)]
pub struct AuditLog {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    health: Health,
    sink: AuditSink,
    open: Option<Open>,
    head: Head,
    /// The last event of the store that is in the log.
    last: u64,
    /// The time of the last entry.
    latest: Timestamp,
    /// What the metadata knows of the head; `None` until that was asked.
    anchored: Option<Head>,
}

#[derive(Debug)]
struct Open {
    file: Arc<dyn File>,
    len: u64,
}

impl AuditLog {
    /// Opens the log in `dir`, made if absent, and finds its end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(fs: Arc<dyn FileSystem>, dir: PathBuf, health: Health) -> Result<Self, AuditError> {
        fs.create_dir_all(&dir)?;
        if let Some(parent) = dir.parent() {
            fs.sync_dir(parent)?;
        }
        drop_leftovers(&*fs, &dir)?;
        let sink = AuditSink::new();
        let mut log = Self {
            fs,
            dir,
            health,
            sink,
            open: None,
            head: Head::default(),
            last: 0,
            latest: Timestamp(0),
            anchored: None,
        };
        // Newest first: the last file may have been made just before a crash and hold nothing.
        for segment in segments(&*log.fs, &log.dir)?.iter().rev() {
            if log.recover(segment)? {
                break;
            }
        }
        Ok(log)
    }

    /// The position of the last event of the store in the log; 0 when there is none.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The end of the log.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Where entries come in that are no events of the store.
    #[must_use]
    pub const fn sink(&self) -> &AuditSink {
        &self.sink
    }

    /// Moves what waits in the outbox and in the sink into the log; returns how many entries that made.
    ///
    /// # Errors
    /// [`AuditError`]; what could not be written waits on.
    pub async fn drain(&mut self, meta: &dyn MetaStore) -> Result<u64, AuditError> {
        self.settle(meta).await?;
        let mut moved = 0;
        loop {
            let events = meta.outbox(BATCH).await?;
            let newest = events.last().map(|event| event.seq);
            let mut waiting: Vec<Entry> = events
                .iter()
                .filter(|event| event.seq > self.last)
                .map(|event| Entry::of(0, event))
                .filter(|entry| self.sink.writes(entry.told.event_type()))
                .collect();
            let notes = self.sink.take(BATCH);
            if newest.is_none() && notes.is_empty() {
                self.anchor(meta).await?;
                return Ok(moved);
            }
            waiting.extend(notes.iter().cloned().map(|draft| Entry::new(0, None, draft)));
            match self.append(waiting) {
                Ok(new) => moved += new,
                Err(error) => {
                    self.sink.give_back(notes);
                    return Err(error);
                }
            }
            // One may be durable without the other: an anchor is a lower bound, and events that come again are known.
            let forgotten = async {
                match newest {
                    Some(newest) => Ok(meta.acknowledge(newest).await?),
                    None => Ok(()),
                }
            };
            if newest.is_some_and(|newest| newest > self.last) {
                // Switched off, all of them: they are not in the log, and are not to come again.
                self.last = newest.unwrap_or(self.last);
            }
            let head = self.head;
            let (anchored, forgotten) = tokio::join!(put_head(meta, head), forgotten);
            forgotten.and(anchored)?;
            self.anchored = Some(head);
        }
    }

    /// Asks the metadata, once, where the log ended last. If it ends earlier now, or otherwise, that is said in it.
    ///
    /// # Errors
    /// [`AuditError`].
    async fn settle(&mut self, meta: &dyn MetaStore) -> Result<(), AuditError> {
        if self.anchored.is_some() {
            return Ok(());
        }
        let known = match meta.setting(HEAD).await? {
            None => Head::default(),
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        if known.seq > self.head.seq || (known.seq == self.head.seq && known.chain != self.head.chain) {
            tracing::error!(known = known.seq, found = self.head.seq, "the audit log was cut or changed");
            let told = Told {
                before: Some(json!({ "known": known, "found": self.head })),
                ..Told::done(Operation::Break, Resource::Audit, "audit")
            };
            self.head.seq = known.seq;
            // Not in the file that ends elsewhere: the gap between the two shows, too.
            self.open = None;
            self.append(vec![Entry::new(
                0,
                None,
                Draft { act: of_the_node(self.latest.max(self.sink.latest())), told },
            )])?;
        }
        self.anchored = Some(known);
        self.anchor(meta).await
    }

    /// Has the metadata know the head.
    pub(super) async fn anchor(&mut self, meta: &dyn MetaStore) -> Result<(), AuditError> {
        if self.anchored != Some(self.head) {
            put_head(meta, self.head).await?;
            self.anchored = Some(self.head);
        }
        Ok(())
    }

    /// The next entry begins a new file.
    pub(super) fn rotate(&mut self) {
        self.open = None;
    }

    /// Numbers, chains, writes and syncs entries; returns how many.
    pub(super) fn append(&mut self, entries: Vec<Entry>) -> Result<u64, AuditError> {
        if let Some(fallen) = self.health.read_only() {
            return Err(AuditError::ReadOnly(fallen.cause.clone()));
        }
        if entries.is_empty() {
            return Ok(0);
        }
        let new = entries.len() as u64;
        let fresh = self.open.as_ref().is_none_or(|open| open.len >= SEGMENT);
        let (mut head, mut last, mut latest, mut lines) = (self.head, self.last, self.latest, Vec::new());
        for (n, mut entry) in entries.into_iter().enumerate() {
            entry.seq = head.seq + 1;
            entry.follows = (fresh && n == 0).then_some(Follows { chain: head.chain, event: last });
            lines.extend(entry.seal(head.chain)?);
            head = Head { seq: entry.seq, chain: entry.chain };
            last = entry.event.unwrap_or(last);
            latest = entry.act.at;
        }
        let open = match self.open.take() {
            Some(open) if !fresh => open,
            _ => create(&*self.fs, &self.dir, self.head.seq + 1)?,
        };
        if let Err(error) = open.file.write_all_at(&lines, open.len) {
            // Half a line may be there: cut it off, and go on in the same file once there is room. If that fails too,
            // the next write goes over it. A file that holds nothing is begun again, for its first line is special.
            let _ = open.file.set_len(open.len);
            self.open = (open.len > 0).then_some(open);
            return Err(error.into());
        }
        if let Err(error) = open.file.sync() {
            self.health.fail(format!("sync of the audit log: {error}"));
            return Err(error.into());
        }
        self.open = Some(Open { len: open.len + lines.len() as u64, ..open });
        (self.head, self.last, self.latest) = (head, last, latest);
        Ok(new)
    }

    /// Walks the newest file, cuts what does not follow, and goes on at its end. `false`: it holds no line.
    fn recover(&mut self, segment: &Segment) -> Result<bool, AuditError> {
        let path = self.dir.join(Segment::name(segment.first));
        let file = self.fs.open(&path, Access::Write)?;
        let walked = walk(&file)?;
        let len = file.len()?;
        let Some((head, last)) = walked.head else {
            // It would stand in the way of the file before, which goes on.
            if walked.keep {
                let aside = free_name(&*self.fs, &self.dir, segment.first, 0)?;
                tracing::warn!(file = %aside, "a file of the audit log holds none of its lines; it is put aside");
                self.fs.rename(&path, &self.dir.join(aside))?;
            } else {
                self.fs.remove_file(&path)?;
            }
            self.fs.sync_dir(&self.dir)?;
            return Ok(false);
        };
        if walked.end < len {
            if walked.keep {
                keep_beside(&*self.fs, &self.dir, segment.first, &file, walked.end..len)?;
            }
            file.set_len(walked.end)?;
        }
        (self.head, self.last, self.latest) = (head, last, walked.latest);
        self.open = Some(Open { file, len: walked.end });
        Ok(true)
    }
}

/// Who the node's own entries name.
pub(super) fn of_the_node(at: Timestamp) -> Act {
    Act { actor: "portolan".into(), at, request: "audit".into(), via: Default::default() }
}

async fn put_head(meta: &dyn MetaStore, head: Head) -> Result<(), AuditError> {
    Ok(meta.put_setting(HEAD, serde_json::to_vec(&head)?).await?)
}

/// What a walk through a file found.
struct Walked {
    /// Where what follows from the first line ends.
    end: u64,
    /// The last line's position and chain value, and the last event of the store.
    head: Option<(Head, u64)>,
    /// The last entry's time.
    latest: Timestamp,
    /// Whether what does not follow is more than the rest of one line that was being written: whole lines, whoever
    /// wrote them.
    keep: bool,
}

fn walk(file: &Arc<dyn File>) -> io::Result<Walked> {
    let mut lines = Lines::new(Arc::clone(file), 0, file.len()?);
    let mut walked = Walked { end: 0, head: None, latest: Timestamp(0), keep: false };
    loop {
        match lines.next()? {
            Next::Line(line) => match follow(walked.head, &line) {
                Some((head, last, at)) => {
                    walked.head = Some((head, last));
                    walked.latest = at;
                    walked.end = lines.at();
                }
                None => {
                    walked.keep = true;
                    return Ok(walked);
                }
            },
            // No line is so long: so much without an end is not ours.
            Next::Torn => {
                walked.keep = file.len()?.saturating_sub(walked.end) > LONGEST as u64;
                return Ok(walked);
            }
            Next::End => return Ok(walked),
        }
    }
}

/// Where the log stands after a line, when it follows.
fn follow(before: Option<(Head, u64)>, line: &[u8]) -> Option<(Head, u64, Timestamp)> {
    let (content, chain) = split(line).ok()?;
    match (before, read(line).ok()?) {
        (None, Line::Entry(entry)) => {
            let follows = entry.follows?;
            let right = follows.chain.next(content) == chain;
            right.then_some((Head { seq: entry.seq, chain }, entry.event.unwrap_or(follows.event), entry.act.at))
        }
        (Some((head, last)), Line::Entry(entry)) => {
            let right = entry.seq == head.seq + 1 && head.chain.next(content) == chain;
            right.then_some((Head { seq: entry.seq, chain }, entry.event.unwrap_or(last), entry.act.at))
        }
        // What a purge left; whether it may is for verify to say.
        (_, Line::Stone(stone)) => Some((Head { seq: stone.to, chain }, stone.event, Timestamp(0))),
    }
}

/// A name for what is put aside that nothing has yet: an earlier crash may have left something of the same place.
fn free_name(fs: &dyn FileSystem, dir: &Path, first: u64, at: u64) -> io::Result<String> {
    let taken: BTreeSet<String> = fs.list(dir)?.into_iter().map(|found| found.name).collect();
    let bare = format!("{first:020}.torn-{at}");
    let more = (2_u64..).map(|n| format!("{bare}-{n}"));
    let mut names = std::iter::once(bare.clone()).chain(more);
    names.find(|name| !taken.contains(name)).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

fn keep_beside(
    fs: &dyn FileSystem,
    dir: &Path,
    first: u64,
    file: &Arc<dyn File>,
    part: std::ops::Range<u64>,
) -> Result<(), AuditError> {
    let name = free_name(fs, dir, first, part.start)?;
    tracing::warn!(file = %name, "the audit log held lines that do not follow; they are kept beside");
    let copy = fs.open(&dir.join(name), Access::Create)?;
    let (mut buffer, mut at) = (vec![0; 256 * 1024], part.start);
    while at < part.end {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        copy.write_all_at(&buffer[..read], at - part.start)?;
        at += read as u64;
    }
    copy.sync()?;
    fs.sync_dir(dir)?;
    Ok(())
}

/// Files a purge had written and not put in place yet: it is done again when it is due again.
fn drop_leftovers(fs: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    for found in fs.list(dir)?.iter().filter(|found| found.name.ends_with(".part")) {
        fs.remove_file(&dir.join(&found.name))?;
    }
    Ok(())
}

fn create(fs: &dyn FileSystem, dir: &Path, first: u64) -> Result<Open, AuditError> {
    // `Create`, not `CreateNew`: a crash may have left an empty file of this name.
    let file = fs.open(&dir.join(Segment::name(first)), Access::Create)?;
    file.set_len(0)?;
    fs.sync_dir(dir)?;
    Ok(Open { file, len: 0 })
}

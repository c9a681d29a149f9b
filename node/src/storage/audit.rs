//! The audit log: what was done, by whom, in the order it was committed.
//!
//! An event is written in the transaction of what it tells (the outbox of [`MetaStore`]), so none is lost and none is
//! made up. [`AuditLog::drain`] moves events from there into append-only files, `audit/<first seq>.jsonl`, one JSON
//! object a line, synced before the outbox forgets them. A crash between the two writes events again: the log knows the
//! sequence number it waits for and leaves out what is older. A torn last line is cut at open.
//!
//! State: this file owns the directory `audit/`. Nothing reads it back but people and `portolan audit`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::seam::{Access, EntryKind, File, FileSystem};

use super::health::Health;
use super::meta::{Event, MetaError, MetaStore};

/// A new file is begun after so many bytes.
const SEGMENT: u64 = 64 << 20;

/// Events moved in one go.
const BATCH: usize = 512;

/// Longest tail read to find the last whole line; events are far shorter.
const TAIL: u64 = 1 << 20;

/// Why events could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk.
    #[error("the audit log can't be written: {0}")]
    Io(#[from] io::Error),
    /// The outbox.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// An event that can't be written as JSON.
    #[error("an event can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The store takes no writes.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
}

/// The files events end up in. One owner, one writer.
#[derive(Debug)]
pub struct AuditLog {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    health: Health,
    segment: Option<Segment>,
    /// The sequence number of the first event not in the log. The first event there ever is has 0.
    next: u64,
}

#[derive(Debug)]
struct Segment {
    file: Arc<dyn File>,
    len: u64,
}

impl AuditLog {
    /// Opens the log in `dir`, made if absent, and finds the last event in it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(fs: Arc<dyn FileSystem>, dir: PathBuf, health: Health) -> Result<Self, AuditError> {
        fs.create_dir_all(&dir)?;
        if let Some(parent) = dir.parent() {
            fs.sync_dir(parent)?;
        }
        let mut names: Vec<String> =
            fs.list(&dir)?.into_iter().filter(|e| e.kind == EntryKind::File).map(|e| e.name).collect();
        names.sort_unstable();
        let mut log = Self { fs, dir, health, segment: None, next: 0 };
        // Newest first: the last file may have been made just before a crash and hold nothing.
        for name in names.iter().rev() {
            let Some(first) = name.strip_suffix(".jsonl").and_then(|stem| stem.parse::<u64>().ok()) else { continue };
            let file = log.fs.open(&log.dir.join(name), Access::Write)?;
            let (len, last) = recover(&*file)?;
            log.next = last.map_or(first, |last| last + 1);
            log.segment = Some(Segment { file, len });
            break;
        }
        Ok(log)
    }

    /// The sequence number of the first event not in the log yet.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Moves what waits in the outbox into the log; returns how many events.
    ///
    /// # Errors
    /// [`AuditError`]; events stay in the outbox until they are durable here.
    pub async fn drain(&mut self, meta: &dyn MetaStore) -> Result<u64, AuditError> {
        let mut moved = 0;
        loop {
            let events = meta.outbox(BATCH).await?;
            let Some(newest) = events.last().map(|event| event.seq) else { return Ok(moved) };
            moved += self.append(&events)?;
            meta.acknowledge(newest).await?;
        }
    }

    fn append(&mut self, events: &[Event]) -> Result<u64, AuditError> {
        if let Some(fallen) = self.health.read_only() {
            return Err(AuditError::ReadOnly(fallen.cause.clone()));
        }
        let mut lines = Vec::new();
        let mut new = 0;
        for event in events.iter().filter(|event| event.seq >= self.next) {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
            new += 1;
        }
        let (Some(first), Some(newest)) = (events.iter().find(|e| e.seq >= self.next), events.last()) else {
            return Ok(0);
        };
        let segment = match self.segment.take() {
            Some(segment) if segment.len < SEGMENT => segment,
            _ => create(&*self.fs, &self.dir, first.seq)?,
        };
        if let Err(error) = segment.file.write_all_at(&lines, segment.len) {
            // The next try begins at the same place and writes over what is there of this one: another file would leave
            // half a line in the middle of the log, and some events twice.
            self.segment = Some(segment);
            return Err(error.into());
        }
        if let Err(error) = segment.file.sync() {
            self.health.fail(format!("sync of the audit log: {error}"));
            return Err(error.into());
        }
        self.segment = Some(Segment { len: segment.len + lines.len() as u64, ..segment });
        self.next = newest.seq + 1;
        Ok(new)
    }
}

fn create(fs: &dyn FileSystem, dir: &Path, first: u64) -> Result<Segment, AuditError> {
    // `Create`, not `CreateNew`: a crash may have left an empty file of this name.
    let file = fs.open(&dir.join(format!("{first:020}.jsonl")), Access::Create)?;
    file.set_len(0)?;
    fs.sync_dir(dir)?;
    Ok(Segment { file, len: 0 })
}

/// Cuts a torn last line; returns the length and the last event's sequence number.
fn recover(file: &dyn File) -> Result<(u64, Option<u64>), AuditError> {
    let len = file.len()?;
    let start = len.saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(len - start).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while filled < tail.len() {
        match file.read_at(&mut tail[filled..], start + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    tail.truncate(filled);
    // A crash may leave zeros or half a line behind what was synced: keep whole lines that read as events.
    let mut end = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    while end > 0 {
        let begin = tail[..end - 1].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if let Ok(event) = serde_json::from_slice::<Event>(&tail[begin..end]) {
            file.set_len(start + end as u64)?;
            return Ok((start + end as u64, Some(event.seq)));
        }
        end = begin;
    }
    file.set_len(start)?;
    Ok((start, None))
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use simulations::SimDisk;
    use simulations::disk::{Fault, Injection, OpKind};

    use super::*;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::meta::{Act, Project};

    async fn create(meta: &MemoryMeta, name: &str) {
        let act = Act { actor: "tester".into(), at: Timestamp(1), request: name.into() };
        let project = Project { name: name.parse().unwrap(), public: false, sparse: false, created: act.at };
        assert!(meta.create_project(project, act).await.unwrap());
    }

    fn open(disk: &SimDisk) -> AuditLog {
        AuditLog::open(disk.file_system(), "/audit".into(), Health::new()).unwrap()
    }

    /// The requests told of, in the order of the files.
    fn told(disk: &SimDisk) -> Vec<String> {
        let lines = disk.contents().into_values().flat_map(|bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<Event>(line).unwrap().act.request.to_string())
                .collect::<Vec<_>>()
        });
        lines.collect()
    }

    #[tokio::test]
    async fn the_very_first_event_is_told_too() {
        let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
        create(&meta, "first").await;
        assert_eq!(open(&disk).drain(&meta).await.unwrap(), 1);
        create(&meta, "second").await;
        assert_eq!(open(&disk).drain(&meta).await.unwrap(), 1);
        assert_eq!(told(&disk), ["first", "second"]);
    }

    #[tokio::test]
    async fn a_write_cut_short_leaves_neither_half_a_line_nor_an_event_twice() {
        let (disk, meta) = (SimDisk::new(), MemoryMeta::default());
        let mut log = open(&disk);
        create(&meta, "first").await;
        log.drain(&meta).await.unwrap();
        for name in ["second", "third", "fourth"] {
            create(&meta, name).await;
        }
        disk.inject(Injection { kind: Some(OpKind::Write), nth: 1, fault: Fault::ShortWrite });
        log.drain(&meta).await.unwrap_err();
        log.drain(&meta).await.unwrap();
        assert_eq!(told(&disk), ["first", "second", "third", "fourth"]);
    }
}

//! The audit log: what was done, by whom, in the order it was committed.
//!
//! An event is written in the transaction of what it tells (the outbox of [`MetaStore`]), so none is lost and none is
//! made up. [`AuditLog::drain`] moves events from there into append-only files, `audit/<first seq>.jsonl`, one JSON
//! object a line, synced before the outbox forgets them. A crash between the two writes events again: the log knows the
//! last sequence number it holds and leaves those out. A torn last line is cut at open.
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
    last: u64,
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
        let mut log = Self { fs, dir, health, segment: None, last: 0 };
        // Newest first: the last file may have been made just before a crash and hold nothing.
        for name in names.iter().rev() {
            let Some(first) = name.strip_suffix(".jsonl").and_then(|stem| stem.parse::<u64>().ok()) else { continue };
            let file = log.fs.open(&log.dir.join(name), Access::Write)?;
            let (len, last) = recover(&*file)?;
            log.last = last.unwrap_or(first.saturating_sub(1));
            log.segment = Some(Segment { file, len });
            break;
        }
        Ok(log)
    }

    /// The sequence number of the last event in the log; 0 when there is none.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
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
        for event in events.iter().filter(|event| event.seq > self.last) {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
            new += 1;
        }
        let (Some(first), Some(newest)) = (events.iter().find(|e| e.seq > self.last), events.last()) else {
            return Ok(0);
        };
        let segment = match self.segment.take() {
            Some(segment) if segment.len < SEGMENT => segment,
            _ => create(&*self.fs, &self.dir, first.seq)?,
        };
        if let Err(error) = segment.file.write_all_at(&lines, segment.len) {
            // Half a line may be there: cut it off, and go on in the same file once there is room. If that fails too,
            // the next write goes over it.
            let _ = segment.file.set_len(segment.len);
            self.segment = Some(segment);
            return Err(error.into());
        }
        if let Err(error) = segment.file.sync() {
            self.health.fail(format!("sync of the audit log: {error}"));
            return Err(error.into());
        }
        self.segment = Some(Segment { len: segment.len + lines.len() as u64, ..segment });
        self.last = newest.seq;
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

    use super::*;
    use crate::storage::meta::memory::MemoryMeta;
    use crate::storage::meta::{Act, Project};
    use crate::world::faulty::{Call, Faulty};
    use crate::world::scratch::Scratch;

    fn open(disk: &Faulty, dir: &Scratch) -> AuditLog {
        AuditLog::open(Arc::new(disk.clone()), dir.path("audit"), Health::new()).unwrap()
    }

    async fn make(meta: &MemoryMeta, name: &str) {
        let project = Project { name: name.parse().unwrap(), public: false, sparse: false, created: Timestamp(1) };
        let act = Act { actor: "alice".into(), at: Timestamp(1), request: "r".into(), via: Default::default() };
        assert!(meta.create_project(project, act).await.unwrap());
    }

    /// Files, and the positions of the events in them.
    fn written(dir: &Scratch) -> Vec<Vec<u64>> {
        let files = std::fs::read_dir(dir.path("audit")).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let lines = |text: String| text.lines().map(|l| serde_json::from_str::<Event>(l).unwrap().seq).collect();
        files.into_iter().map(|file| lines(std::fs::read_to_string(file).unwrap())).collect()
    }

    #[tokio::test]
    async fn every_event_reaches_the_log_once_and_after_a_rebuild_too() {
        let (disk, dir, meta) = (Faulty::default(), Scratch::new(), MemoryMeta::default());
        make(&meta, "a").await;
        make(&meta, "b").await;
        assert_eq!(open(&disk, &dir).drain(&meta).await.unwrap(), 2, "the very first one as well");
        let mut log = open(&disk, &dir);
        assert_eq!(log.drain(&meta).await.unwrap(), 0);
        let rebuilt = MemoryMeta::default();
        rebuilt.raise_events(log.last() + 1).await.unwrap();
        make(&rebuilt, "c").await;
        assert_eq!(log.drain(&rebuilt).await.unwrap(), 1);
        assert_eq!(written(&dir), [[1, 2, 3]]);
    }

    #[tokio::test]
    async fn a_failed_write_leaves_no_half_line_and_the_log_goes_on_in_its_file() {
        let (disk, dir, meta) = (Faulty::default(), Scratch::new(), MemoryMeta::default());
        let mut log = open(&disk, &dir);
        make(&meta, "a").await;
        log.drain(&meta).await.unwrap();
        make(&meta, "b").await;
        disk.tear(true);
        disk.fail(Call::Write, "audit", 0, io::ErrorKind::StorageFull);
        assert!(log.drain(&meta).await.is_err());
        assert_eq!(written(&dir), [[1]]);
        disk.heal();
        assert_eq!(log.drain(&meta).await.unwrap(), 1);
        assert_eq!(written(&dir), [[1, 2]]);
    }
}

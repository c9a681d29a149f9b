//! Walking the whole log: whether it is what was written. Changes nothing.
//!
//! Every line must follow from the one before. Where a purge removed lines, the log says so in entries of its own
//! (`purge_audit`, see [`super::purge`]): a file with marks of a purge must be, byte for byte, one that such an entry
//! names, and a file that is gone must be named with the chain values before and after it. Those entries are lines like
//! all others, so who invents one breaks the chain; the end is held against the anchor in the metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use protocol::seam::{Access, FileSystem};
use serde::{Deserialize, Serialize};

use super::AuditError;
use super::entry::{Chain, Line, read, split};
use super::lines::{Lines, Next};
use super::log::{Head, Segment};
use super::purge::{Fate, Signed};
use super::words::Resource;
use crate::storage::meta::Operation;

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Files.
    pub files: u64,
    /// Entries.
    pub entries: u64,
    /// Entries a purge removed.
    pub purged: u64,
    /// The end of the log.
    pub head: Head,
    /// Where the log begins, when a purge cut its beginning.
    pub begins_after: Option<Cut>,
    /// Bytes at the end that a crash left unfinished and the next start cuts.
    pub unfinished: u64,
    /// The first place where the chain breaks.
    pub broken: Option<Broken>,
}

/// A beginning that a purge removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The last position removed.
    pub seq: u64,
    /// Its chain value.
    pub chain: Chain,
    /// Who purged.
    pub by: String,
}

/// A place where the log is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The file.
    pub file: String,
    /// The line in it, from 1; 0: the file as a whole.
    pub line: u64,
    /// The position that was expected there.
    pub seq: u64,
    /// What is wrong.
    pub why: String,
}

/// What the purges signed off.
#[derive(Debug, Default)]
struct Purges {
    /// Files that are gone, by their first position.
    gone: BTreeMap<u64, (Signed, String)>,
    /// What files with marks may be, by first position.
    kept: BTreeSet<(u64, Chain)>,
}

/// Walks the log in `dir`: these files, as long as they were then. `anchor` is what the metadata knows of its end.
///
/// # Errors
/// What the disk says. A broken chain is a finding, not an error.
pub fn verify(
    fs: &dyn FileSystem,
    dir: &Path,
    segments: &[Segment],
    anchor: Option<Head>,
) -> Result<Verified, AuditError> {
    let purges = purges(fs, dir, segments)?;
    let mut walk = Walk { purges, anchor, event: 0, found: Verified::default() };
    for (n, segment) in segments.iter().enumerate() {
        let file = fs.open(&dir.join(Segment::name(segment.first)), Access::Read)?;
        let lines = Lines::new(file, 0, segment.len);
        if let Some(broken) = walk.file(segment, lines, n + 1 == segments.len())? {
            walk.found.broken = Some(broken);
            return Ok(walk.found);
        }
    }
    walk.end(segments);
    Ok(walk.found)
}

/// What entries about purges say. Whether to believe them the walk shows.
fn purges(fs: &dyn FileSystem, dir: &Path, segments: &[Segment]) -> io::Result<Purges> {
    let mut purges = Purges::default();
    for segment in segments {
        let file = fs.open(&dir.join(Segment::name(segment.first)), Access::Read)?;
        let mut lines = Lines::new(file, 0, segment.len);
        while let Next::Line(line) = lines.next()? {
            for signed in super::purge::signed(&line) {
                match signed.fate {
                    Fate::Gone => drop(purges.gone.insert(signed.first, (signed, who(&line)))),
                    Fate::Kept(digest) => drop(purges.kept.insert((signed.first, digest))),
                }
            }
        }
    }
    Ok(purges)
}

fn who(line: &[u8]) -> String {
    match read(line) {
        Ok(Line::Entry(entry)) => entry.act.actor.as_ref().to_owned(),
        Ok(Line::Stone(_)) | Err(_) => String::new(),
    }
}

struct Walk {
    purges: Purges,
    anchor: Option<Head>,
    event: u64,
    found: Verified,
}

impl Walk {
    /// Goes over files a purge removed, up to the position a file begins with; what is wrong with the gap otherwise.
    fn over_gone(&mut self, first: u64) -> Result<(), String> {
        while self.found.head.seq + 1 < first {
            let next = self.found.head.seq + 1;
            let Some((signed, by)) = self.purges.gone.get(&next) else {
                return Err(format!("entries {next} to {} are missing, and no purge removed them", first - 1));
            };
            if signed.follows != self.found.head.chain {
                return Err(format!("what comes before entry {next}, removed by a purge, was changed"));
            }
            let head = Head { seq: signed.to, chain: signed.chain };
            if self.found.entries == 0 {
                self.found.begins_after = Some(Cut { seq: head.seq, chain: head.chain, by: by.clone() });
            }
            self.found.purged += signed.to + 1 - signed.first;
            self.found.head = head;
            self.event = signed.event;
        }
        Ok(())
    }

    fn file(&mut self, segment: &Segment, mut lines: Lines, last: bool) -> io::Result<Option<Broken>> {
        let name = Segment::name(segment.first);
        let broken = |line, seq, why: String| Some(Broken { file: name.clone(), line, seq, why });
        if segment.len == 0 && last {
            // Made just before a crash.
            return Ok(None);
        }
        if let Err(why) = self.over_gone(segment.first) {
            return Ok(broken(0, self.found.head.seq + 1, why));
        }
        if segment.first != self.found.head.seq + 1 {
            return Ok(broken(0, self.found.head.seq + 1, "the file begins with another position".into()));
        }
        self.found.files += 1;
        let (mut number, mut hash, mut marked) = (0, blake3::Hasher::new(), false);
        loop {
            let expected = self.found.head.seq + 1;
            let at = lines.at();
            let line = match lines.next()? {
                Next::Line(line) => line,
                Next::End => break,
                Next::Torn => {
                    if last && self.anchor.is_none_or(|anchor| anchor.seq < expected) {
                        self.found.unfinished = segment.len - at;
                        break;
                    }
                    return Ok(broken(number + 1, expected, "the line has no end".into()));
                }
            };
            number += 1;
            hash.update(&line);
            match self.line(&line, number == 1) {
                Ok(stone) => marked |= stone,
                Err(why) => return Ok(broken(number, expected, why)),
            }
        }
        if marked && !self.purges.kept.contains(&(segment.first, Chain::of(&hash))) {
            return Ok(broken(0, segment.first, "entries were removed from this file, and not by a purge".into()));
        }
        Ok(None)
    }

    /// Follows one line; whether it is the mark of a purge.
    fn line(&mut self, line: &[u8], first: bool) -> Result<bool, String> {
        let (content, chain) = split(line)?;
        let before = self.found.head;
        let (head, follows) = match read(line)? {
            Line::Entry(entry) => {
                if before.chain.next(content) != chain {
                    return Err("the line was changed, or does not follow the one before".into());
                }
                if entry.told.operation == Operation::Break && entry.told.kind == Resource::Audit {
                    return Err("the log was found cut or changed when the node started; see `before`".into());
                }
                if entry.follows.is_some() != first || entry.seq != before.seq + 1 {
                    return Err("the line stands in the wrong place".into());
                }
                let follows = entry.follows;
                self.event = match entry.event {
                    Some(event) if event <= self.event => {
                        return Err(format!("event {event} of the store is told again"));
                    }
                    event => event.or(follows.map(|follows| follows.event)).unwrap_or(self.event),
                };
                self.found.entries += 1;
                (Head { seq: entry.seq, chain }, follows)
            }
            Line::Stone(stone) => {
                if stone.purged != before.seq + 1 || stone.to < stone.purged {
                    return Err("the mark of a purge stands in the wrong place".into());
                }
                self.found.purged += stone.to + 1 - stone.purged;
                self.event = stone.event;
                (Head { seq: stone.to, chain }, Some(stone.follows))
            }
        };
        if follows.is_some_and(|follows| follows.chain != before.chain) {
            return Err("the line follows another one than the one before".into());
        }
        self.found.head = head;
        match self.anchor {
            Some(anchor) if anchor.seq == head.seq && anchor.chain != head.chain => {
                Err("the end of the log is not the one the metadata knows".into())
            }
            Some(_) | None => Ok(matches!(line.get(2), Some(b'p'))),
        }
    }

    fn end(&mut self, segments: &[Segment]) {
        let head = self.found.head;
        let Some(anchor) = self.anchor.filter(|anchor| anchor.seq > head.seq) else { return };
        let file = segments.last().map(|last| Segment::name(last.first)).unwrap_or_default();
        let why = format!("the log ends here; the metadata knows entries up to {}", anchor.seq);
        self.found.broken = Some(Broken { file, line: 0, seq: head.seq + 1, why });
    }
}

/// Reads the files as they are now and walks them.
///
/// # Errors
/// As [`verify()`].
pub fn verify_now(fs: &Arc<dyn FileSystem>, dir: &Path, anchor: Option<Head>) -> Result<Verified, AuditError> {
    verify(&**fs, dir, &super::log::segments(&**fs, dir)?, anchor)
}

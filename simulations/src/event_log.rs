//! What happened, in order: the only thing the invariants see and the thing two runs are compared by.
//!
//! Each entry is one line of JSON; the hash covers all lines, so two runs of one seed are the same if and only if their
//! hashes are. The world owns the log; it is printed on failure and gone with the process.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::network::{CopyId, Link, Loss, NodeId};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A message was sent; it flies in these copies.
    Sent {
        /// Over which link.
        link: Link,
        /// Its copies.
        copies: Vec<CopyId>,
    },
    /// A message was lost before it flew.
    NotSent {
        /// Over which link.
        link: Link,
        /// Why.
        why: Loss,
    },
    /// A copy arrived.
    Delivered {
        /// Over which link.
        link: Link,
        /// Which.
        copy: CopyId,
    },
    /// A copy was lost on the way.
    Lost {
        /// Over which link.
        link: Link,
        /// Which.
        copy: CopyId,
        /// Why.
        why: Loss,
    },
    /// A link was cut.
    Cut {
        /// Which direction.
        link: Link,
    },
    /// A link was joined again.
    Joined {
        /// Which direction.
        link: Link,
    },
    /// A link was clogged.
    Clogged {
        /// Which direction.
        link: Link,
    },
    /// A link runs again.
    Unclogged {
        /// Which direction.
        link: Link,
    },
    /// A wall clock jumped.
    ClockJumped {
        /// Whose.
        node: NodeId,
        /// What it shows now, in milliseconds since 1970.
        wall_ms: u64,
    },
    /// From here on nothing more is broken, and everything must come right.
    Healed,
    /// A node asked another for an answer.
    Asked {
        /// Who.
        node: NodeId,
        /// The number of the question; each is asked once, however often it is sent.
        question: u64,
    },
    /// The answer arrived.
    Answered {
        /// Who had asked.
        node: NodeId,
        /// The number of the question.
        question: u64,
    },
    /// A node told its client that an object is stored.
    Acknowledged {
        /// Which node.
        node: NodeId,
        /// The object's name: the hash of its bytes.
        name: String,
    },
    /// Storing an object failed.
    Refused {
        /// Which node.
        node: NodeId,
        /// The object's name.
        name: String,
        /// What the disk said.
        error: String,
    },
    /// A disk was told to fail an operation.
    DiskFault {
        /// Whose disk.
        node: NodeId,
    },
    /// A node went down.
    Down {
        /// Which.
        node: NodeId,
        /// Whether the page cache went with it.
        power_cut: bool,
        /// Operations of the disk it got to.
        ops: usize,
    },
    /// A node came back.
    Recovered {
        /// Which.
        node: NodeId,
        /// The objects it found: name, and the hash of the bytes under it.
        found: BTreeMap<String, String>,
    },
    /// A site told its client that a record is written.
    Wrote {
        /// Which site.
        node: NodeId,
        /// The record.
        record: String,
    },
    /// A site did not write what its client asked for.
    Declined {
        /// Which site.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// A site let others see a record of its own.
    Said {
        /// Which site.
        node: NodeId,
        /// The life of its counter.
        life: u64,
        /// The place in it.
        seq: u64,
        /// The record.
        record: String,
    },
    /// A site began a new life of its counter.
    Began {
        /// Which site.
        node: NodeId,
        /// The life.
        life: u64,
    },
    /// A site went down and lost what was not synced.
    Crashed {
        /// Which site.
        node: NodeId,
    },
    /// A site is up again.
    Opened {
        /// Which site.
        node: NodeId,
        /// Its own records that it found.
        found: Vec<String>,
    },
    /// An older state was put back under a site.
    SetBack {
        /// Which site.
        node: NodeId,
        /// It noticed nothing: its memory went back too.
        alive: bool,
        /// Acknowledged records that no other site had on its disk.
        lost: Vec<String>,
    },
    /// A site is gone for good.
    Gone {
        /// Which site.
        node: NodeId,
        /// Acknowledged records that no other site had on its disk.
        lost: Vec<String>,
    },
    /// A site joined.
    JoinedMesh {
        /// Which site.
        node: NodeId,
    },
    /// A site whose clock was put right took back what it wrote in its future, and wrote it again.
    SteppedBack {
        /// Which site.
        node: NodeId,
        /// What was taken back.
        withdrawn: Vec<String>,
        /// What stands for it, each in the place of the one above.
        written: Vec<String>,
    },
    /// The root or an authority ended another site, or part of what it wrote; it is none of those that must agree from here on.
    EndedSite {
        /// Whom.
        node: NodeId,
        /// How.
        how: String,
    },
    /// The root or an authority said something of trust that ends no site: it suspended another, lifted that, endorsed
    /// records, or gave a site another grant.
    Spoke {
        /// Who.
        node: NodeId,
        /// What.
        what: String,
    },
    /// A site found that a peer does wrong.
    Accused {
        /// Who found it.
        node: NodeId,
        /// Of whom.
        peer: NodeId,
        /// Whether that peer is meant to do wrong.
        misbehaves: bool,
        /// What.
        why: String,
    },
    /// A site's kept view was compared with the one of all its records.
    Checked {
        /// Which site.
        node: NodeId,
        /// Whether they were the same.
        sound: bool,
    },
    /// What all sites together hold, at the end.
    Union {
        /// The hash of all records.
        records: String,
        /// The hash of the live view.
        view: String,
        /// Topics with two heads.
        conflicts: Vec<String>,
    },
    /// What a site holds and shows, at the end.
    Shows {
        /// Which site.
        node: NodeId,
        /// How many records it has.
        count: usize,
        /// The hash of all records.
        records: String,
        /// The hash of the live view.
        view: String,
        /// Topics it shows as conflicts.
        conflicts: Vec<String>,
        /// Acknowledged records that are not found here although nothing took their place.
        unfound: Vec<String>,
        /// Whether it lives in a life that others hold a different record of, or more than it does.
        behind: bool,
    },
    /// The end of the run.
    Ended,
}

/// An event and its moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Microseconds of virtual time.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// The line that is hashed and printed.
    #[must_use]
    pub fn line(&self) -> String {
        // Nothing in an event can fail to be written as JSON; were it so, the error text would differ from every line.
        serde_json::to_string(self).unwrap_or_else(|error| format!("{error}: {self:?}"))
    }
}

/// All events of a run.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    entries: Vec<Entry>,
    hasher: blake3::Hasher,
}

impl EventLog {
    /// Adds an event.
    pub fn push(&mut self, at: Duration, event: Event) {
        let entry = Entry { at_us: u64::try_from(at.as_micros()).unwrap_or(u64::MAX), event };
        self.hasher.update(entry.line().as_bytes()).update(b"\n");
        self.entries.push(entry);
    }

    /// The events so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The hash of all lines.
    #[must_use]
    pub fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// The first place where two logs differ, if they do.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let same = self.entries.iter().zip(&other.entries).take_while(|(a, b)| a == b).count();
        (same < self.entries.len().max(other.entries.len())).then_some(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_what_and_when() {
        let log = |at, event| {
            let mut log = EventLog::default();
            log.push(Duration::from_micros(at), event);
            log
        };
        let one = log(1, Event::Healed);
        assert_eq!(one.hash(), log(1, Event::Healed).hash());
        assert_ne!(one.hash(), log(2, Event::Healed).hash());
        assert_ne!(one.hash(), log(1, Event::Ended).hash());
        assert_eq!(one.first_difference(&one), None);
        assert_eq!(one.first_difference(&EventLog::default()), Some(0));
    }

    #[test]
    fn a_line_reads_well() {
        let link = Link { from: NodeId(0), to: NodeId(1) };
        let entry = Entry { at_us: 5, event: Event::Delivered { link, copy: CopyId(3) } };
        assert_eq!(entry.line(), r#"{"at_us":5,"event":"delivered","link":{"from":0,"to":1},"copy":3}"#);
    }
}

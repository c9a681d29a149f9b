//! A small object store: write to a temporary file, sync, rename to the hash of the bytes, sync the directory, only
//! then acknowledge.
//!
//! One step is one call to the disk, so that a power cut can come between any two. Each safeguard can be left out: the
//! scenarios prove that the invariants notice. A crash loses the object at hand and what the disk had not promised;
//! what is acknowledged is on the disk, by the protocol.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::seam::{Access, File, FileSystem};
use serde::Deserialize;

use crate::disk::SimDisk;
use crate::rng::Rng;

const INCOMING: &str = "/store/incoming";
const OBJECTS: &str = "/store/objects";

/// Which safeguards the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Safeguards {
    /// The bytes are synced before the rename.
    pub sync_file: bool,
    /// The directory is synced before the acknowledgement.
    pub sync_directory: bool,
    /// After a failed sync nothing is acknowledged before the store has been recovered; without this, the sync is tried
    /// again.
    pub distrust_failed_sync: bool,
}

impl Default for Safeguards {
    fn default() -> Self {
        Self { sync_file: true, sync_directory: true, distrust_failed_sync: true }
    }
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More steps to go.
    UnderWay,
    /// The object is stored; its name.
    Acknowledged(String),
}

#[derive(Debug)]
enum Stage {
    Idle,
    Created(Arc<dyn File>),
    Written(Arc<dyn File>),
    Synced,
    Renamed,
}

/// A store and the object it is storing.
#[derive(Debug)]
pub struct Store {
    disk: SimDisk,
    safeguards: Safeguards,
    rng: Rng,
    next: u64,
    stage: Stage,
    bytes: Vec<u8>,
}

impl Store {
    /// Makes an empty store.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(disk: SimDisk, safeguards: Safeguards, rng: Rng) -> io::Result<Self> {
        for directory in [INCOMING, OBJECTS] {
            disk.create_dir_all(Path::new(directory))?;
        }
        for directory in ["/", "/store"] {
            disk.sync_dir(Path::new(directory))?;
        }
        Ok(Self { disk, safeguards, rng, next: 0, stage: Stage::Idle, bytes: Vec::new() })
    }

    /// The disk it is on.
    #[must_use]
    pub const fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The name of the object at hand.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&self.bytes)
    }

    /// Makes the next call of the protocol.
    ///
    /// # Errors
    /// What the disk says; the object is not stored, and the store must be recovered.
    pub fn step(&mut self) -> io::Result<Progress> {
        let object = Path::new(OBJECTS).join(self.name());
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => {
                self.draw_object();
                Stage::Created(self.disk.open(&self.incoming(), Access::CreateNew)?)
            }
            Stage::Created(file) => {
                file.write_all_at(&self.bytes, 0)?;
                Stage::Written(file)
            }
            Stage::Written(file) => {
                if self.safeguards.sync_file {
                    self.insist(|| file.sync())?;
                }
                Stage::Synced
            }
            Stage::Synced => {
                self.disk.rename(&self.incoming(), &object)?;
                Stage::Renamed
            }
            Stage::Renamed => {
                if self.safeguards.sync_directory {
                    self.insist(|| self.disk.sync_dir(Path::new(OBJECTS)))?;
                }
                return Ok(Progress::Acknowledged(self.name()));
            }
        };
        Ok(Progress::UnderWay)
    }

    /// Starts again on what a crash left; the objects found, with the hash of the bytes under each name.
    ///
    /// # Errors
    /// What the disk says.
    pub fn recover(&mut self, disk: SimDisk) -> io::Result<BTreeMap<String, String>> {
        self.disk = disk;
        self.stage = Stage::Idle;
        for left_over in self.disk.list(Path::new(INCOMING))? {
            self.disk.remove_file(&Path::new(INCOMING).join(left_over.name))?;
        }
        let mut found = BTreeMap::new();
        for object in self.disk.list(Path::new(OBJECTS))? {
            let file = self.disk.open(&Path::new(OBJECTS).join(&object.name), Access::Read)?;
            let mut bytes = vec![0; usize::try_from(object.len).unwrap_or(usize::MAX)];
            file.read_at(&mut bytes, 0)?;
            found.insert(object.name, name_of(&bytes));
        }
        Ok(found)
    }

    fn insist(&self, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match sync() {
            Err(_) if !self.safeguards.distrust_failed_sync => sync(),
            result => result,
        }
    }

    fn draw_object(&mut self) {
        // Up to three blocks, so that torn objects are common; never empty, so that every name is new.
        let len = 64 + self.rng.index(12_000);
        self.bytes = vec![0; len];
        self.rng.fill(&mut self.bytes);
        self.next += 1;
    }

    fn incoming(&self) -> PathBuf {
        Path::new(INCOMING).join(self.next.to_string())
    }
}

fn name_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::disk::{Fault, Injection, OpKind};

    /// Stores two objects; for each moment, what had been acknowledged, and how many operations it took.
    fn stored(safeguards: Safeguards, faults: &[Injection]) -> (SimDisk, Vec<(usize, String)>) {
        let disk = SimDisk::new();
        let mut store = Store::create(disk.clone(), safeguards, Rng::from_seed(1)).unwrap();
        faults.iter().for_each(|&fault| disk.inject(fault));
        disk.record();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 2 {
            match store.step() {
                Ok(Progress::Acknowledged(name)) => acknowledged.push((disk.op_count(), name)),
                Ok(Progress::UnderWay) => {}
                Err(_) => break,
            }
        }
        (disk, acknowledged)
    }

    /// Which of the two promises some legal crash breaks: (an acknowledged object is gone, a name holds other bytes).
    fn broken(safeguards: Safeguards, faults: &[Injection]) -> (bool, bool) {
        let (disk, acknowledged) = stored(safeguards, faults);
        let (mut gone, mut other) = (false, false);
        for state in disk.crash_states(2000) {
            let mut store = Store::create(SimDisk::new(), safeguards, Rng::from_seed(2)).unwrap();
            let found = store.recover(state.disk).unwrap();
            gone |= acknowledged.iter().any(|(ops, name)| *ops <= state.after && !found.contains_key(name));
            other |= found.iter().any(|(name, hash)| name != hash);
        }
        (gone, other)
    }

    const FAILED_SYNC: Injection = Injection { kind: Some(OpKind::Sync), nth: 1, fault: Fault::Io };
    const FAILED_SYNC_DIR: Injection = Injection { kind: Some(OpKind::SyncDir), nth: 1, fault: Fault::Io };

    #[test]
    fn the_whole_protocol_keeps_both_promises_in_every_legal_crash() {
        assert_eq!(broken(Safeguards::default(), &[]), (false, false));
        assert_eq!(broken(Safeguards::default(), &[FAILED_SYNC]), (false, false));
        assert_eq!(broken(Safeguards::default(), &[FAILED_SYNC_DIR]), (false, false));
    }

    #[test]
    fn without_the_directory_sync_an_acknowledged_object_can_be_gone() {
        assert_eq!(broken(Safeguards { sync_directory: false, ..Safeguards::default() }, &[]), (true, false));
    }

    #[test]
    fn without_the_file_sync_a_name_can_hold_other_bytes() {
        assert_eq!(broken(Safeguards { sync_file: false, ..Safeguards::default() }, &[]), (false, true));
    }

    #[test]
    fn trusting_a_sync_after_it_failed_breaks_both() {
        let trusting = Safeguards { distrust_failed_sync: false, ..Safeguards::default() };
        assert_eq!(broken(trusting, &[]), (false, false));
        assert_eq!(broken(trusting, &[FAILED_SYNC]), (false, true));
        assert_eq!(broken(trusting, &[FAILED_SYNC_DIR]), (true, false));
    }

    #[test]
    fn every_operation_may_fail_and_nothing_false_is_promised() {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let mut nth = 1;
            loop {
                let faults = [Injection { kind: None, nth, fault }];
                let (_, acknowledged) = stored(Safeguards::default(), &faults);
                assert_eq!(broken(Safeguards::default(), &faults), (false, false), "{fault:?} at {nth}");
                if acknowledged.len() == 2 {
                    break;
                }
                nth += 1;
            }
            assert_eq!(nth, 11, "five operations for each of two objects");
        }
    }

    #[test]
    fn a_killed_process_loses_no_acknowledged_object_whatever_is_left_out() {
        let none = Safeguards { sync_file: false, sync_directory: false, distrust_failed_sync: false };
        let (disk, acknowledged) = stored(none, &[]);
        let mut store = Store::create(SimDisk::new(), none, Rng::from_seed(3)).unwrap();
        let found: BTreeSet<String> = store.recover(disk.kill()).unwrap().into_keys().collect();
        assert_eq!(found, acknowledged.into_iter().map(|(_, name)| name).collect());
    }
}

//! Room on the disk: when uploads are refused, and the ballast that lets deletes and GC commit on a full one.
//!
//! [`Room`] owns one file, `ballast`, that only takes room. A crash loses nothing: the file is there or is not, and
//! the next start makes it again when it can.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::seam::{Access, Clock, FileSystem, Space};

use super::meta::redb::COMMIT_ROOM;

/// How long one look at the disk is good for. Short against the time it takes to fill a disk.
const FRESH: Duration = Duration::from_millis(500);

/// When uploads are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Length of the ballast file; zero: none.
    pub ballast: u64,
    /// Refuse uploads from this share of the disk used, in percent.
    pub refuse_uploads_at: u8,
    /// Refuse uploads when less than this is left.
    pub keep_free: u64,
}

/// Room on the disk at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomStatus {
    /// Size in bytes.
    pub total: u64,
    /// Bytes left.
    pub available: u64,
    /// Why uploads are refused at the moment, if they are.
    pub refusing_uploads: Option<String>,
    /// Whether the ballast file is in place.
    pub ballast: bool,
}

/// The gate before uploads. Cheap to clone; all clones share one look at the disk.
#[derive(Clone, Debug)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fs: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    limits: RoomLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Option<(Duration, Space)>,
    ballast: bool,
}

impl Room {
    /// The gate for the file system that holds `dir`. Makes the ballast file there, or goes without one when there is
    /// no room for it.
    ///
    /// # Errors
    /// When the file system does not say how much room it has.
    pub fn open(fs: Arc<dyn FileSystem>, dir: PathBuf, limits: RoomLimits, clock: Arc<dyn Clock>) -> io::Result<Self> {
        fs.space(&dir)?;
        let room = Self(Arc::new(Inner { fs, clock, dir, limits, state: Mutex::default() }));
        if let Err(error) = room.restore_ballast() {
            tracing::warn!(%error, "no ballast file: deletes may fail when the disk is full");
        }
        Ok(room)
    }

    /// Whether an upload may begin or go on; else the reason, for people.
    ///
    /// # Errors
    /// The reason.
    pub fn admit(&self) -> Result<(), String> {
        match self.look(false) {
            Ok(space) => self.refusal(space).map_or(Ok(()), Err),
            // Whether there is room the write itself will tell.
            Err(_) => Ok(()),
        }
    }

    /// Gives the ballast's room up, for deletes and GC. Returns whether there was any to give.
    ///
    /// # Errors
    /// What the file system says.
    pub fn release_ballast(&self) -> io::Result<bool> {
        let mut state = self.state();
        if !state.ballast {
            return Ok(false);
        }
        self.0.fs.remove_file(&self.ballast())?;
        state.ballast = false;
        state.seen = None;
        tracing::warn!("the disk is full: the ballast file was given up");
        Ok(true)
    }

    /// Gives the ballast up when there is less room than a whole group of commits needs. Returns whether it did.
    ///
    /// # Errors
    /// What the file system says.
    pub fn release_when_low(&self) -> io::Result<bool> {
        if self.look(true)?.available >= COMMIT_ROOM {
            return Ok(false);
        }
        self.release_ballast()
    }

    /// Takes the ballast's room again when the disk has that much to spare. Returns whether it is in place.
    ///
    /// # Errors
    /// What the file system says.
    pub fn restore_ballast(&self) -> io::Result<bool> {
        let len = self.0.limits.ballast;
        let path = self.ballast();
        if len == 0 {
            return Ok(false);
        }
        let here = self.0.fs.file_len(&path)? == Some(len);
        let space = self.look(true)?;
        let mut state = self.state();
        if !here {
            let spare = space.available.saturating_sub(self.0.limits.keep_free);
            if spare < len {
                state.ballast = false;
                return Ok(false);
            }
            let file = self.0.fs.open(&path, Access::Create);
            if let Err(error) = file.and_then(|file| file.allocate(len).and_then(|()| file.set_len(len))) {
                // Half a ballast is none: give back what was taken.
                let _ = self.0.fs.remove_file(&path);
                state.ballast = false;
                return Err(error);
            }
        }
        state.ballast = true;
        state.seen = None;
        Ok(true)
    }

    /// Room at a glance, looked at now.
    ///
    /// # Errors
    /// What the file system says.
    pub fn status(&self) -> io::Result<RoomStatus> {
        let space = self.look(true)?;
        Ok(RoomStatus {
            total: space.total,
            available: space.available,
            refusing_uploads: self.refusal(space),
            ballast: self.state().ballast,
        })
    }

    fn ballast(&self) -> PathBuf {
        self.0.dir.join("ballast")
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, anew: bool) -> io::Result<Space> {
        let now = self.0.clock.monotonic();
        let fresh = |seen: &(Duration, Space)| (now.saturating_sub(seen.0) < FRESH).then_some(seen.1);
        if let Some(space) = self.state().seen.as_ref().and_then(fresh).filter(|_| !anew) {
            return Ok(space);
        }
        let space = self.0.fs.space(&self.0.dir)?;
        self.state().seen = Some((now, space));
        Ok(space)
    }

    fn refusal(&self, space: Space) -> Option<String> {
        let limits = &self.0.limits;
        if space.available < limits.keep_free {
            let (left, keep) = (space.available >> 20, limits.keep_free >> 20);
            return Some(format!("the disk has {left} MiB left and {keep} MiB are kept free"));
        }
        let used = u128::from(space.total.saturating_sub(space.available)) * 100;
        let percent = used.checked_div(u128::from(space.total)).unwrap_or(0);
        (percent >= u128::from(limits.refuse_uploads_at)).then(|| {
            format!("the disk is {percent} % full and uploads are refused from {} % on", limits.refuse_uploads_at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::RealClock;
    use crate::world::faulty::Faulty;
    use crate::world::scratch::Scratch;

    const GIB: u64 = 1 << 30;

    fn room(disk: &Faulty, dir: &Scratch) -> Room {
        let limits = RoomLimits { ballast: 1 << 20, refuse_uploads_at: 95, keep_free: 64 << 20 };
        Room::open(Arc::new(disk.clone()), dir.root().into(), limits, Arc::new(RealClock::new())).unwrap()
    }

    #[test]
    fn uploads_are_refused_past_either_mark() {
        let (disk, dir) = (Faulty::default(), Scratch::new());
        for (total, available, refused) in [
            (100 * GIB, 50 * GIB, None),
            (100 * GIB, 6 * GIB, None),
            (100 * GIB, 5 * GIB, Some("95 % full")),
            (GIB / 2, 60 << 20, Some("64 MiB are kept free")),
            (0, 0, Some("kept free")),
        ] {
            disk.set_space(Some(Space { total, available }));
            let answer = room(&disk, &dir).admit();
            match refused {
                None => assert_eq!(answer, Ok(())),
                Some(why) => assert!(answer.unwrap_err().contains(why), "{why}"),
            }
        }
    }

    #[test]
    fn one_look_serves_many_questions() {
        let (disk, dir) = (Faulty::default(), Scratch::new());
        disk.set_space(Some(Space { total: 100 * GIB, available: 50 * GIB }));
        let room = room(&disk, &dir);
        room.admit().unwrap();
        disk.set_space(Some(Space { total: 100 * GIB, available: 0 }));
        assert!(room.status().unwrap().refusing_uploads.is_some(), "a status looks anew");
        assert!(room.admit().is_err(), "and all share the look");
    }

    #[test]
    fn the_ballast_is_given_up_and_taken_again() {
        let (disk, dir) = (Faulty::default(), Scratch::new());
        let room = room(&disk, &dir);
        assert_eq!(disk.file_len(&dir.path("ballast")).unwrap(), Some(1 << 20));
        assert!(room.status().unwrap().ballast);
        assert!(room.release_ballast().unwrap());
        assert!(!room.release_ballast().unwrap());
        assert_eq!(disk.file_len(&dir.path("ballast")).unwrap(), None);
        disk.set_space(Some(Space { total: 100 * GIB, available: 64 << 20 }));
        assert!(!room.restore_ballast().unwrap(), "no room to spare");
        disk.set_space(None);
        assert!(room.restore_ballast().unwrap());
        assert!(room.status().unwrap().ballast);
        disk.set_space(Some(Space { total: 100 * GIB, available: COMMIT_ROOM }));
        assert!(!room.release_when_low().unwrap(), "a whole group of commits has room");
        disk.set_space(Some(Space { total: 100 * GIB, available: COMMIT_ROOM - 1 }));
        assert!(room.release_when_low().unwrap(), "before the first one is refused");
    }
}

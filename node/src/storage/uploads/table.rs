//! Which sessions there are and who writes to each: the state all of this room shares.
//!
//! The table is in memory; sidecars are its copy on disk, read once, at start. A crash loses what the last sidecar of
//! a session does not say.
//!
//! A [`Claim`] is the exclusive right to one session, and the duty to leave its files as they should be. It travels
//! with whoever writes: `Writer` → `Pen` → `Staged`.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::seam::{Access, Clock, Entropy, EntryKind, File, FileSystem};
use protocol::{Algorithm, Timestamp};
use tokio::sync::{Notify, oneshot};

use super::record::{Origin, Record};
use super::session::{Begin, SessionInfo, UploadId};
use super::{OpenUploads, UploadError, UploadLimits};
use crate::storage::{Health, Room};
use crate::workers::Scope;

/// Longest sidecar read: names, two hash states and a tree of 2^40 groups fit ten times.
const SIDECAR_MAX: u64 = 64 * 1024;

/// A session without a byte that nobody had for so long may be given up for a new one of the same principal. Longer
/// than any client waits between POST and its first byte, short enough that clients that hang up lock nobody out.
const FORGOTTEN: Duration = Duration::from_secs(5 * 60);

/// What all uploads of a node share.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    scope: Scope,
    pub(super) health: Health,
    pub(super) room: Room,
    pub(super) limits: UploadLimits,
    table: Mutex<Table>,
    /// Told whenever a claim ends.
    pub(super) released: Notify,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<UploadId, Entry>,
    by_principal: HashMap<Arc<str>, u64>,
    turns: u64,
}

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    once: bool,
    in_use: Option<InUse>,
    /// When it was last let go, by the monotonic clock: a wall clock that is set must not make it look forgotten.
    rests_since: Duration,
}

#[derive(Debug)]
struct InUse {
    turn: u64,
    /// Its writer was dropped; what it began on the disk is ending.
    draining: bool,
}

/// A new session, claimed.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) claim: Claim,
    pub(super) record: Arc<Record>,
    /// The forgotten session that made place for it: out of the table, its files still to be discarded. Merely dropped,
    /// it leaves them to the next start, as a crash does.
    pub(super) given_up: Option<Claim>,
}

/// What came of asking for a session.
#[derive(Debug)]
pub(super) enum Claimed {
    Here(Claim, Arc<Record>),
    /// Wait for [`Home::released`] and ask again.
    Draining,
}

impl Table {
    fn insert(&mut self, entry: Entry) {
        *self.by_principal.entry(Arc::clone(&entry.record.info.principal)).or_default() += 1;
        self.sessions.insert(entry.record.info.id.clone(), entry);
    }

    /// Takes out the principal's longest forgotten session, if there is one. Looks at every session, so it is for a
    /// principal at its limit only.
    fn take_forgotten(&mut self, principal: &str, now: Duration) -> Option<Arc<Record>> {
        let forgotten = self.sessions.iter().filter(|(_, entry)| {
            &*entry.record.info.principal == principal
                && entry.record.info.offset == 0
                && entry.in_use.is_none()
                && now.saturating_sub(entry.rests_since) >= FORGOTTEN
        });
        let (_, id) = forgotten.map(|(id, entry)| (entry.rests_since, id)).min()?;
        let id = id.clone();
        self.remove(&id).map(|entry| entry.record)
    }

    fn remove(&mut self, id: &UploadId) -> Option<Entry> {
        let entry = self.sessions.remove(id)?;
        let principal = &entry.record.info.principal;
        if let Some(count) = self.by_principal.get_mut(principal) {
            *count -= 1;
            if *count == 0 {
                self.by_principal.remove(principal);
            }
        }
        Some(entry)
    }

    fn turn(&mut self) -> InUse {
        self.turns += 1;
        InUse { turn: self.turns, draining: false }
    }
}

impl Home {
    /// Takes up the sessions an earlier process left, and removes every other file.
    pub(super) fn open(open: OpenUploads) -> io::Result<Self> {
        let OpenUploads { fs, dir, clock, entropy, scope, health, room, limits } = open;
        fs.create_dir_all(&dir)?;
        let (table, released) = (Mutex::default(), Notify::new());
        let home = Self { fs, dir, clock, entropy, scope, health, room, limits, table, released };
        home.recover()?;
        Ok(home)
    }

    fn recover(&self) -> io::Result<()> {
        let files: HashMap<String, u64> = self
            .fs
            .list(&self.dir)?
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::File)
            .map(|entry| (entry.name, entry.len))
            .collect();
        let now = self.clock.now();
        for name in files.keys().filter(|name| name.ends_with(".session")) {
            let Some(record) = self.read_sidecar(name) else { continue };
            let whole = record.info.offset <= files.get(record.info.id.as_str()).copied().unwrap_or(0);
            if whole && record.info.expires > now {
                let rests_since = self.clock.monotonic();
                let record = Arc::new(record);
                self.table().insert(Entry { record, once: false, in_use: None, rests_since });
            }
        }
        for name in files.keys() {
            if !self.belongs(name) {
                tracing::debug!(%name, "removing what an upload left");
                self.fs.remove_file(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Whether a file is of a session that goes on. A file that is no upload's at all is left alone.
    fn belongs(&self, name: &str) -> bool {
        let (stem, kind) = name.split_once('.').unwrap_or((name, ""));
        let Ok(id) = stem.parse::<UploadId>() else { return true };
        let table = self.table();
        let Some(entry) = table.sessions.get(&id) else { return false };
        match kind {
            "session" => true,
            // At offset 0 there is nothing in it worth keeping, and the name may be a second one of a blob.
            "" => entry.record.info.offset > 0,
            // The tree is made again from the bytes.
            _ => false,
        }
    }

    fn read_sidecar(&self, name: &str) -> Option<Record> {
        let id = name.strip_suffix(".session")?.parse().ok()?;
        let file = self.fs.open(&self.dir.join(name), Access::Read).ok()?;
        let len = file.len().ok().filter(|len| *len <= SIDECAR_MAX)?;
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        // Cut short meanwhile, it is no whole sidecar: its seal tells.
        file.read_full_at(&mut bytes, 0).ok()?;
        let mut record = Record::decode(id, &bytes)?;
        if record.info.offset == 0 {
            // Nothing to take over: the file is made anew.
            record.origin = Origin::Ours;
        }
        Some(record)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs blocking work. What comes of it is dropped before the scope counts the work as done, also when nobody waits
    /// any more: claims are given back by then.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
    ) -> Result<T, UploadError> {
        let (tell, mut told) = oneshot::channel();
        self.scope.run_blocking(name, move || drop(tell.send(work()))).await?;
        told.try_recv().map_err(io::Error::other)?
    }

    fn new_id(&self) -> UploadId {
        UploadId::random(&*self.entropy)
    }

    pub(super) fn data_path(&self, id: &UploadId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    pub(super) fn path(&self, id: &UploadId, kind: &str) -> PathBuf {
        self.dir.join(format!("{id}.{kind}"))
    }

    /// # Errors
    /// [`UploadError::ReadOnly`].
    pub(super) fn check_health(&self) -> Result<(), UploadError> {
        self.health.read_only().map_or(Ok(()), |why| Err(UploadError::ReadOnly(why.cause.clone())))
    }

    /// # Errors
    /// [`UploadError::ReadOnly`], [`UploadError::Full`].
    pub(super) fn check_room(&self) -> Result<(), UploadError> {
        self.check_health()?;
        self.room.admit().map_err(UploadError::Full)
    }

    /// When a session begun at `created` is given up, if nothing happens to it from now on.
    pub(super) fn expiry(&self, created: Timestamp) -> Timestamp {
        self.clock.now().plus(self.limits.idle).min(created.plus(self.limits.age))
    }

    /// Registers a new session, claimed by the caller. A principal at its limit gets in for the longest forgotten of
    /// its own: clients that hang up after POST would else lock it out until those expire.
    pub(super) fn register(self: &Arc<Self>, begin: Begin, once: bool) -> Result<Registered, UploadError> {
        self.check_room()?;
        let created = self.clock.now();
        let record = Arc::new(Record::new(self.new_id(), begin, created, self.expiry(created)));
        let rests_since = self.clock.monotonic();
        let mut table = self.table();
        let principal = &record.info.principal;
        let own = table.by_principal.get(principal).copied().unwrap_or(0) >= self.limits.per_principal;
        // One that takes the place of another adds none.
        if table.sessions.len() as u64 >= self.limits.sessions.saturating_add(own.into()) {
            return Err(UploadError::TooMany { limit: self.limits.sessions });
        }
        let given_up = if own {
            let forgotten = table.take_forgotten(principal, rests_since);
            let forgotten = forgotten.ok_or(UploadError::TooMany { limit: self.limits.per_principal })?;
            Some(Claim::new(self, &forgotten, false, 0))
        } else {
            None
        };
        let in_use = table.turn();
        let claim = Claim::new(self, &record, once, in_use.turn);
        table.insert(Entry { record: Arc::clone(&record), once, in_use: Some(in_use), rests_since });
        Ok(Registered { claim, record, given_up })
    }

    /// A claim on files that are no session: nothing finds them, and they go when it is dropped.
    pub(super) fn loose(self: &Arc<Self>, algorithm: Algorithm) -> Result<(Claim, Arc<Record>), UploadError> {
        // Nobody ever sees whose it is and where it goes.
        let repository = "staged".parse().map_err(io::Error::other)?;
        let begin = Begin { principal: "".into(), repository, algorithm };
        let now = self.clock.now();
        let record = Arc::new(Record::new(self.new_id(), begin, now, now));
        Ok((Claim::new(self, &record, true, 0), record))
    }

    pub(super) fn info(&self, id: &UploadId) -> Result<SessionInfo, UploadError> {
        let now = self.clock.now();
        let table = self.table();
        let entry = table.sessions.get(id).filter(|entry| !entry.once && !entry.expired(now));
        entry.map(|entry| entry.record.info.clone()).ok_or(UploadError::Unknown)
    }

    /// Claims a session nobody is writing to.
    pub(super) fn claim(self: &Arc<Self>, id: &UploadId, expired: bool) -> Result<Claimed, UploadError> {
        let now = self.clock.now();
        let mut table = self.table();
        let in_use = table.turn();
        let entry = table.sessions.get_mut(id).filter(|entry| !entry.once && entry.expired(now) == expired);
        let entry = entry.ok_or(UploadError::Unknown)?;
        match &entry.in_use {
            Some(InUse { draining: true, .. }) => return Ok(Claimed::Draining),
            Some(InUse { draining: false, .. }) => return Err(UploadError::Busy),
            None => {}
        }
        let claim = Claim::new(self, &entry.record, false, in_use.turn);
        entry.in_use = Some(in_use);
        Ok(Claimed::Here(claim, Arc::clone(&entry.record)))
    }

    /// Sessions that are over and that nobody writes to.
    pub(super) fn expired(&self) -> Vec<UploadId> {
        let now = self.clock.now();
        let table = self.table();
        table.sessions.iter().filter(|(_, entry)| entry.expired(now)).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.table().sessions.len() as u64
    }

    /// Writes a session's sidecar: in one piece when there is none yet, else beside it and over it.
    pub(super) fn write_sidecar(&self, record: &Record, first: bool) -> Result<(), UploadError> {
        let bytes = record.encode().map_err(io::Error::other)?;
        let path = self.path(&record.info.id, "session");
        if first {
            let file = self.fs.open(&path, Access::CreateNew);
            return file.and_then(|file| file.write_all_at(&bytes, 0)).map_err(UploadError::disk);
        }
        let new = self.path(&record.info.id, "session-new");
        let file = self.fs.open(&new, Access::Create).map_err(UploadError::disk)?;
        file.set_len(0)?;
        file.write_all_at(&bytes, 0).map_err(UploadError::disk)?;
        self.fs.rename(&new, &path).map_err(UploadError::disk)
    }

    fn remove(&self, path: PathBuf) {
        match self.fs.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // The next start removes what no sidecar speaks for.
                tracing::warn!(path = %path.display(), %error, "could not remove a file of an upload");
            }
            _ => {}
        }
    }
}

impl Entry {
    fn expired(&self, now: Timestamp) -> bool {
        self.in_use.is_none() && self.record.info.expires <= now
    }
}

/// The exclusive right to a session. Dropped, it leaves the session as its last checkpoint says; of a session that
/// lives for one request it leaves nothing.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) home: Arc<Home>,
    id: UploadId,
    turn: u64,
    once: bool,
    /// Whether the request at hand counts whole or not at all.
    whole: bool,
    /// Whether files may exist that go when a session of one request goes.
    touched: bool,
    /// The file being written: what a request that breaks off wrote behind the checkpoint is of no use to anybody.
    written: Option<Arc<dyn File>>,
    settled: bool,
}

impl Claim {
    fn new(home: &Arc<Home>, record: &Record, once: bool, turn: u64) -> Self {
        Self {
            home: Arc::clone(home),
            id: record.info.id.clone(),
            turn,
            once,
            whole: once,
            touched: false,
            written: None,
            settled: false,
        }
    }

    pub(super) const fn turn(&self) -> u64 {
        self.turn
    }

    pub(super) const fn is_once(&self) -> bool {
        self.once
    }

    /// Whether a request that breaks off may leave what came of it so far.
    pub(super) const fn takes_parts(&self) -> bool {
        !self.whole
    }

    /// From now on a request counts whole or not at all.
    pub(super) const fn take_whole(&mut self) {
        self.whole = true;
    }

    /// From now on there are files.
    pub(super) const fn touch(&mut self) {
        self.touched = true;
    }

    /// From now on `data` grows. It must be this session's own file, and not a second name of a blob.
    pub(super) fn writes_to(&mut self, data: &Arc<dyn File>) {
        self.written = Some(Arc::clone(data));
    }

    /// The file is whole and may become a blob: from now on it is not cut.
    pub(super) fn wrote(&mut self) {
        self.written = None;
    }

    /// Gives back the room that bytes behind the checkpoint take.
    fn cut(&self) {
        let Some(data) = &self.written else { return };
        let Some(offset) = self.home.table().sessions.get(&self.id).map(|entry| entry.record.info.offset) else {
            return;
        };
        if data.len().is_ok_and(|len| len > offset)
            && let Err(error) = data.set_len(offset)
        {
            tracing::warn!(upload = %self.id, %error, "bytes behind the checkpoint of an upload keep their room");
        }
    }

    /// Replaces what is known of the session.
    pub(super) fn update(&self, record: Arc<Record>) {
        if let Some(entry) = self.home.table().sessions.get_mut(&self.id) {
            entry.record = record;
        }
    }

    /// The bytes have moved away: the session is over.
    pub(super) fn forget(mut self) {
        self.end(false);
    }

    /// The session is over, and so are its bytes.
    pub(super) fn discard(mut self) {
        self.end(true);
    }

    fn end(&mut self, remove: bool) {
        if !self.once {
            // First of all: without its sidecar, the next start removes whatever a crash now leaves.
            self.home.remove(self.home.path(&self.id, "session"));
        }
        if remove {
            self.home.remove(self.home.data_path(&self.id));
            self.home.remove(self.home.path(&self.id, "tree"));
        }
        self.home.table().remove(&self.id);
        self.settled = true;
        self.home.released.notify_waiters();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.once {
            self.end(self.touched);
            return;
        }
        // Before it is let go: then another may write.
        self.cut();
        let now = self.home.clock.monotonic();
        if let Some(entry) = self.home.table().sessions.get_mut(&self.id) {
            entry.in_use = None;
            entry.rests_since = now;
        }
        self.home.released.notify_waiters();
    }
}

/// Tells the table that a writer is gone while what it began on the disk goes on.
pub(super) fn drain(home: &Home, id: &UploadId, turn: u64) {
    let mut table = home.table();
    if let Some(in_use) = table.sessions.get_mut(id).and_then(|entry| entry.in_use.as_mut())
        && in_use.turn == turn
    {
        in_use.draining = true;
    }
}

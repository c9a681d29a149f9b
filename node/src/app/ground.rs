//! Opening a data directory: the lock, the engines, what an earlier process left.
//!
//! Also the ground on which crash tests stand: they open it on a simulated disk.

use super::*;

/// What is kept, opened and recovered. Also the ground on which crash tests stand.
#[derive(Debug)]
pub struct Ground {
    /// The facade.
    pub store: Arc<Store>,
    /// Room on the disk.
    pub room: Room,
    /// Copies of the metadata.
    pub snapshots: Snapshots,
    /// Whether it takes writes.
    pub health: Health,
    /// What is done now and then with it, by hand in tests.
    pub audit: AuditLog,
    /// Owner of the writer of the metadata: stopped last.
    pub engines: Scope,
    /// Held while the data directory is in use.
    pub(super) _lock: Arc<dyn File>,
}

/// What it means that there is no metadata.
#[derive(Clone, Copy, Debug)]
pub(super) enum Absent {
    /// A new node; with content beside it, a mistake.
    MeansFresh,
    /// A rebuild makes it from the content.
    MadeAgain,
}

impl Ground {
    /// Opens a data directory, made if absent, and recovers what an earlier process left. Work on it runs in `scope`,
    /// which is to be stopped before [`Ground::engines`].
    ///
    /// # Errors
    /// [`ServeError`]; [`ServeError::NoMetadata`] when there is content and no metadata.
    pub fn open(config: &Config, world: &World, scope: &Scope) -> Result<Self, ServeError> {
        Self::open_with(config, world, scope, Absent::MeansFresh)
    }

    pub(super) fn open_with(config: &Config, world: &World, scope: &Scope, absent: Absent) -> Result<Self, ServeError> {
        let World { fs, clock, entropy } = world;
        let data = &config.storage.data;
        let unusable = |error: io::Error| ServeError::Data(data.display().to_string(), error);
        let lock = lock(&**fs, data)?;
        check_metadata(&**fs, data, absent)?;
        make_directories(&**fs, data).map_err(unusable)?;
        let signed = fs.file_len(&data.join(METADATA)).map_err(unusable)?.is_some();
        let author = identity::open(&**fs, data, entropy, clock.now(), signed)?;
        let health = Health::new();
        let engines = Scope::new();
        // Before the metadata, which may be an older copy: events it tells from now on come after those in the log.
        let audit = AuditLog::open(Arc::clone(fs), data.join("audit"), health.clone())?;
        let options = OpenRedb {
            fs: Arc::clone(fs),
            path: data.join(METADATA),
            cache: usize::try_from(config.storage.metadata_cache.0).unwrap_or(usize::MAX),
            sync: config.storage.sync == config::Sync::On,
            health: health.clone(),
            author,
            scope: engines.clone(),
        };
        let meta = Arc::new(RedbMeta::open_after(options, audit.last())?);
        let room =
            Room::open(Arc::clone(fs), data.clone(), room_limits(config), Arc::clone(clock)).map_err(unusable)?;
        let blobs = FileBlobs::open(Arc::clone(fs), data, Arc::clone(clock), scope.clone(), health.clone());
        let uploads = Uploads::recover(OpenUploads {
            fs: Arc::clone(fs),
            dir: data.join("uploads"),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            scope: scope.clone(),
            health: health.clone(),
            room: room.clone(),
            limits: upload_limits(config),
        })
        .map_err(unusable)?;
        let snapshots = Snapshots {
            meta: Arc::clone(&meta),
            fs: Arc::clone(fs),
            dir: data.join("snapshots"),
            kept: config.storage.snapshots_kept as usize,
            scope: scope.clone(),
        };
        let engines_of_store = Engines {
            meta,
            blobs: Arc::new(blobs.map_err(unusable)?),
            uploads,
            health: health.clone(),
            room: room.clone(),
        };
        let store = Arc::new(Store::new(engines_of_store, leases(config), Arc::clone(clock)));
        Ok(Self { store, room, snapshots, health, audit, engines, _lock: lock })
    }
}

/// Refuses to begin anew beside content, unless that is what is asked for.
fn check_metadata(fs: &dyn FileSystem, data: &Path, absent: Absent) -> Result<(), ServeError> {
    let shown = || data.display().to_string();
    match absent {
        Absent::MeansFresh if lost_metadata(fs, data).map_err(|error| ServeError::Data(shown(), error))? => {
            Err(ServeError::NoMetadata(shown()))
        }
        Absent::MeansFresh | Absent::MadeAgain => Ok(()),
    }
}

/// Whether the metadata is missing though there was some: a rebuild set it aside, or there are blobs. The database has
/// its durable name before the first blob is written, so a first start that crashed is never taken for that.
fn lost_metadata(fs: &dyn FileSystem, data: &Path) -> io::Result<bool> {
    if fs.file_len(&data.join(METADATA))?.is_some() {
        return Ok(false);
    }
    let set_aside = list(fs, data)?.iter().any(|entry| entry.name.starts_with(SET_ASIDE));
    Ok(set_aside || holds_file(fs, &data.join("blobs"))?)
}

fn holds_file(fs: &dyn FileSystem, dir: &Path) -> io::Result<bool> {
    for entry in list(fs, dir)? {
        let found = match entry.kind {
            EntryKind::Directory => holds_file(fs, &dir.join(&entry.name))?,
            EntryKind::File => true,
            EntryKind::Other => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A directory that is not there holds nothing.
fn list(fs: &dyn FileSystem, dir: &Path) -> io::Result<Vec<DirEntry>> {
    match fs.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        outcome => outcome,
    }
}

pub(super) fn lock(fs: &dyn FileSystem, data: &Path) -> Result<Arc<dyn File>, ServeError> {
    let shown = data.display().to_string();
    fs.create_dir_all(data).map_err(|error| ServeError::Data(shown.clone(), error))?;
    fs.lock(&data.join("lock")).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            ServeError::Locked(shown)
        } else {
            ServeError::Data(shown, error)
        }
    })
}

/// Directories whose owners expect them, and their names made durable.
pub(super) fn make_directories(fs: &dyn FileSystem, data: &Path) -> io::Result<()> {
    for name in ["snapshots", "uploads"] {
        fs.create_dir_all(&data.join(name))?;
    }
    fs.sync_dir(data)?;
    match data.parent() {
        Some(parent) if parent.as_os_str().is_empty() => fs.sync_dir(Path::new(".")),
        Some(parent) => fs.sync_dir(parent),
        None => Ok(()),
    }
}

fn room_limits(config: &Config) -> RoomLimits {
    RoomLimits {
        ballast: config.storage.ballast.0,
        refuse_uploads_at: config.storage.refuse_uploads_at,
        keep_free: config.storage.keep_free.0,
    }
}

fn upload_limits(config: &Config) -> UploadLimits {
    UploadLimits {
        max_blob: config.limits.blob.0,
        sessions: config.limits.uploads.into(),
        per_principal: config.limits.uploads_per_principal.into(),
        idle: config.limits.upload_idle.0,
        age: config.limits.upload_age.0,
    }
}

fn leases(config: &Config) -> Leases {
    Leases { blob: config.gc.blob_lease.0, exists: config.gc.exists_lease.0, trash: config.gc.trash_ttl.0 }
}

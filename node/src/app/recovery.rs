//! `portolan rebuild-index`: the metadata anew, from the newest good snapshot and the blobs.

use super::ground::{Absent, lock, make_directories};
use super::*;

/// Makes the index again, while no node runs: from the newest good snapshot, then from the blobs.
///
/// # Errors
/// [`ServeError`].
pub fn rebuild_index(config: &Config, world: &World) -> Result<String, ServeError> {
    start_over(config, world)?;
    runtime()?.block_on(async {
        let scope = Scope::new();
        let ground = Ground::open_with(config, world, &scope, Absent::MadeAgain)?;
        let directory = Directory::open(Arc::clone(&ground.store), scope.clone()).await?;
        directory.make_library(&*world.entropy).await?;
        let rebuild = Rebuild::new(Arc::clone(&ground.store), scope.clone());
        let rebuild = rebuild.map_err(|error| MetaError::Engine(error.to_string()))?;
        let report = rebuild.run().await?;
        scope.stop(WORKERS_END).await;
        ground.engines.stop(WORKERS_END).await;
        Ok(report.to_string())
    })
}

/// Sets the metadata aside and puts the newest good snapshot, if there is one, in its place. The copy is whole and
/// durable before the old one loses its name; a crash in between leaves a directory no node starts on, and the next
/// rebuild begins anew.
fn start_over(config: &Config, world: &World) -> Result<(), ServeError> {
    let (fs, data) = (&*world.fs, &config.storage.data);
    let unusable = |error: io::Error| ServeError::Data(data.display().to_string(), error);
    let _lock = lock(fs, data)?;
    make_directories(fs, data).map_err(unusable)?;
    let snapshot = newest_good(fs, &data.join("snapshots"))?;
    // Before anything is moved: records of a copy are of no use without the key that signed them.
    identity::open(fs, data, &world.entropy, world.clock.now(), snapshot.is_some())?;
    let part = data.join(format!("{METADATA}.part"));
    if let Some(snapshot) = &snapshot {
        copy(fs, snapshot, &part).map_err(unusable)?;
    }
    let (meta, aside) = (data.join(METADATA), data.join(format!("{SET_ASIDE}{:020}", world.clock.now().0)));
    if fs.file_len(&meta).map_err(unusable)?.is_some() {
        fs.rename(&meta, &aside).map_err(unusable)?;
    }
    if snapshot.is_some() {
        fs.rename(&part, &meta).map_err(unusable)?;
    }
    fs.sync_dir(data).map_err(unusable)
}

/// Copies a file and syncs the copy's bytes.
fn copy(fs: &dyn FileSystem, from: &Path, to: &Path) -> io::Result<()> {
    let (source, target) = (fs.open(from, Access::Read)?, fs.open(to, Access::Create)?);
    target.set_len(0)?;
    let (mut buffer, mut at) = (vec![0; 1 << 20], 0);
    loop {
        let read = source.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        target.write_all_at(&buffer[..read], at)?;
        at += read as u64;
    }
    target.sync()
}

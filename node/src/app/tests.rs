//! Opening, rebuilding, and what runs now and then.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;

use super::turns::{SOON, Work};
use super::*;
use crate::world::scratch::Scratch;
use crate::world::stepped::Stepped;

fn config(dir: &Scratch) -> Config {
    let mut config = Config::default();
    config.storage.data = dir.path("data");
    config.storage.ballast.0 = 0;
    config
}

async fn opens(config: &Config) -> Result<(), ServeError> {
    let scope = Scope::new();
    let ground = Ground::open(config, &World::real(), &scope)?;
    scope.stop(WORKERS_END).await;
    ground.engines.stop(WORKERS_END).await;
    Ok(())
}

/// Moves all events to the audit log; the last one's position.
async fn audited(config: &Config) -> u64 {
    let scope = Scope::new();
    let mut ground = Ground::open(config, &World::real(), &scope).unwrap();
    ground.audit.drain(ground.store.meta()).await.unwrap();
    scope.stop(WORKERS_END).await;
    ground.engines.stop(WORKERS_END).await;
    ground.audit.last()
}

#[tokio::test]
async fn content_without_metadata_is_no_new_node() {
    let dir = Scratch::new();
    let config = config(&dir);
    let file = |name: &str| config.storage.data.join(name);
    opens(&config).await.unwrap();
    std::fs::remove_file(file(METADATA)).unwrap();
    opens(&config).await.unwrap();
    for witness in ["blobs/sha256/ab/abcd", "meta.redb.before-00000000000000000001"] {
        std::fs::remove_file(file(METADATA)).unwrap();
        std::fs::write(file(witness), b"x").unwrap();
        let refused = opens(&config).await.unwrap_err();
        assert!(matches!(refused, ServeError::NoMetadata(_)), "{refused}");
        assert!(refused.to_string().contains("portolan rebuild-index"));
        assert!(!file(METADATA).exists());
        std::fs::remove_file(file(witness)).unwrap();
        opens(&config).await.unwrap();
    }
}

#[test]
fn a_rebuild_replaces_the_metadata_only_by_a_whole_copy() {
    let dir = Scratch::new();
    let config = config(&dir);
    let file = |name: &str| config.storage.data.join(name);
    let snapshot = || {
        runtime().unwrap().block_on(async {
            let scope = Scope::new();
            let ground = Ground::open(&config, &World::real(), &scope).unwrap();
            let directory = Directory::open(Arc::clone(&ground.store), scope.clone()).await.unwrap();
            directory.make_library(&*World::real().entropy).await.unwrap();
            ground.snapshots.take(World::real().clock.now()).await.unwrap();
            scope.stop(WORKERS_END).await;
            ground.engines.stop(WORKERS_END).await;
        });
    };
    snapshot();
    std::fs::write(file(METADATA), b"damaged").unwrap();
    // The copy can't be written: the old file stays where it is.
    std::fs::create_dir(file("meta.redb.part")).unwrap();
    rebuild_index(&config, &World::real()).unwrap_err();
    assert_eq!(std::fs::read(file(METADATA)).unwrap(), b"damaged");
    std::fs::remove_dir(file("meta.redb.part")).unwrap();
    rebuild_index(&config, &World::real()).unwrap();
    assert!(!file("meta.redb.part").exists());
    let last = runtime().unwrap().block_on(audited(&config));
    assert!(last > 1, "the rebuild is in the log, after what was there");
    // The records of the snapshot are of no use without the key that signed them.
    let (key, kept) = (file("identity/node.key"), file("elsewhere"));
    std::fs::rename(&key, &kept).unwrap();
    let before = std::fs::read(file(METADATA)).unwrap();
    let refused = rebuild_index(&config, &World::real()).unwrap_err();
    assert!(matches!(refused, ServeError::Identity(IdentityError::Missing(_))), "{refused}");
    assert!(std::fs::read(file(METADATA)).unwrap() == before && !key.exists(), "nothing was moved or made");
    std::fs::rename(&kept, &key).unwrap();
    // Neither snapshot nor metadata, but an older one set aside.
    std::fs::remove_file(file(METADATA)).unwrap();
    std::fs::remove_dir_all(file("snapshots")).unwrap();
    rebuild_index(&config, &World::real()).unwrap();
    assert_eq!(runtime().unwrap().block_on(audited(&config)), last + 2, "both projects were made again");
}

#[test]
fn a_period_goes_on_over_a_restart() {
    let hours = |n: u64| Duration::from_secs(n * 3600);
    assert_eq!(left_of(hours(720), None), SOON, "nobody knows when, so it is due");
    assert_eq!(left_of(hours(720), Some(hours(700))), hours(20));
    assert_eq!(left_of(hours(720), Some(hours(9000))), SOON);
    assert_eq!(left_of(Duration::from_secs(5), None), Duration::from_secs(5), "never later than the period");
}

#[tokio::test]
async fn a_turn_that_panics_is_not_the_last() {
    let (scope, turns) = (Scope::new(), AtomicU32::new(0));
    let (tell, mut begun) = mpsc::unbounded_channel();
    let work: Work = Box::new(move || {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        let _ = tell.send(turn);
        Box::pin(async move { assert!(turn > 1, "on purpose") })
    });
    let hour = Duration::from_secs(3600);
    repeat(&scope, Arc::new(Stepped::default()), Turn { name: "test", period: hour, first: hour }, work);
    while begun.recv().await.unwrap() < 3 {}
    assert_eq!(scope.stop(Duration::from_secs(5)).await, 0);
    assert_eq!(scope.panics(), 2);
}

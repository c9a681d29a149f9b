//! Listings over a store that was filled in bulk: what they show, and, when asked, how long that takes.

use std::sync::Arc;
use std::time::Duration;

use protocol::seam::Clock;
use protocol::{Reference, Timestamp};

use super::{Fill, OpenRedb, RedbMeta};
use crate::storage::Health;
use crate::storage::meta::{Act, ArtifactOrder, FindRepositories, MetaStore, RepositoryOrder, Slice, tests_author};
use crate::workers::Scope;
use crate::world::RealClock;
use crate::world::scratch::Scratch;

fn act() -> Act {
    Act { actor: "tester".into(), at: Timestamp(1000), request: "r".into(), via: Default::default() }
}

async fn filled(dir: &Scratch, fill: Fill) -> RedbMeta {
    let options = OpenRedb {
        fs: Arc::new(crate::world::RealDisk),
        path: dir.path("meta.redb"),
        cache: 256 << 20,
        sync: false,
        health: Health::new(),
        author: tests_author(),
        scope: Scope::new(),
    };
    let meta = RedbMeta::open(options).unwrap();
    meta.fill(fill, &act()).await.unwrap();
    meta
}

#[tokio::test]
async fn what_was_filled_in_bulk_is_listed() {
    let dir = Scratch::new();
    let meta = filled(&dir, Fill { projects: 60, repositories: 3, artifacts: 4 }).await;
    let (project, repository) = (Fill::project(59).unwrap(), Fill::repository(59, 2).unwrap());
    let slice = Slice { offset: 1, limit: 2 };
    let shown = meta.shown_repositories(Some(&project), RepositoryOrder::Name, slice).await.unwrap();
    assert_eq!((shown.items.last().unwrap().name.clone(), shown.total), (repository.clone(), 3));
    let artifacts = meta.artifacts(&repository, ArtifactOrder::Newest, slice).await.unwrap().unwrap();
    assert_eq!(artifacts.total, 4);
    let second = meta.artifact(&repository, &Reference::Tag("v2".parse().unwrap())).await.unwrap().unwrap();
    assert_eq!(artifacts.items[0], second, "newest first");
    let bytes = meta.manifest(&repository, &Reference::Digest(second.digest)).await.unwrap().unwrap().bytes;
    assert_eq!(bytes.len() as u64, second.size);
    let counts = meta.counts().await.unwrap();
    assert_eq!((counts.projects, counts.repositories, counts.manifests, counts.tags), (60, 180, 720, 720));
    assert_eq!(meta.project_bytes(&project).await.unwrap() * 60, counts.bytes);
}

/// Times one read many times over and prints the worst but one in a hundred.
async fn time<F: Future<Output = ()>>(name: &str, times: u32, read: impl Fn(u32) -> F) {
    let (clock, mut taken) = (RealClock::new(), Vec::<Duration>::new());
    for n in 0..times {
        let start = clock.monotonic();
        read(n).await;
        taken.push(clock.monotonic() - start);
    }
    taken.sort_unstable();
    let at = |percent: usize| taken[(taken.len() * percent / 100).min(taken.len() - 1)];
    println!("{name:<44} p50 {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
}

/// `cargo test --release -p node --lib listings_of_a_large_store -- --ignored --nocapture`; `PORTOLAN_FILL` is the number
/// of projects, 10,000 (and a million artifacts) when it is not set.
#[tokio::test]
#[ignore = "a measurement: a million artifacts, some gigabytes"]
async fn listings_of_a_large_store() {
    let dir = Scratch::new();
    let clock = RealClock::new();
    let start = clock.monotonic();
    let projects = std::env::var("PORTOLAN_FILL").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let meta = filled(&dir, Fill { projects, repositories: 10, artifacts: 10 }).await;
    let size = std::fs::metadata(dir.path("meta.redb")).unwrap().len();
    println!("filled in {:.1?}, {} MiB", clock.monotonic() - start, size >> 20);
    let meta = &meta;
    let page = |page: u64, limit| Slice { offset: page * limit as u64, limit };
    use RepositoryOrder::{Name, Newest};
    for order in [Name, Newest] {
        time(&format!("repositories of a project, 10, {order:?}"), 2000, |n| async move {
            let project = Fill::project(n * 7 % projects).unwrap();
            let shown = meta.shown_repositories(Some(&project), order, page(0, 10)).await.unwrap();
            assert_eq!((shown.items.len(), shown.total), (10, 10));
        })
        .await;
        for at in [0, u64::from(projects) / 20 - 1] {
            time(&format!("all repositories, page {} of 100, {order:?}", at + 1), 200, |_| async move {
                let shown = meta.shown_repositories(None, order, page(at, 100)).await.unwrap();
                assert_eq!((shown.items.len(), shown.total), (100, u64::from(projects) * 10));
            })
            .await;
        }
    }
    time("artifacts of a repository, newest 10", 2000, |n| async move {
        let repository = Fill::repository(n * 7 % projects, n % 10).unwrap();
        let shown = meta.artifacts(&repository, ArtifactOrder::Newest, page(0, 10)).await.unwrap().unwrap();
        assert_eq!((shown.items.len(), shown.total), (10, 10));
    })
    .await;
    time("the same, with tags and manifest bytes", 2000, |n| async move {
        let repository = Fill::repository(n * 7 % projects, n % 10).unwrap();
        let shown = meta.artifacts(&repository, ArtifactOrder::Newest, page(0, 10)).await.unwrap().unwrap();
        for artifact in shown.items {
            assert_eq!(meta.tags_of(&repository, &artifact.digest, 100).await.unwrap().len(), 1);
            meta.manifest(&repository, &Reference::Digest(artifact.digest)).await.unwrap().unwrap();
        }
    })
    .await;
    for (contains, found) in [("p00099/team", 10), ("nothing", 0), ("app-07", u64::from(projects))] {
        time(&format!("repositories containing {contains}, page of 10"), 100, |_| async move {
            let find = FindRepositories::containing(contains.into(), page(0, 10));
            assert_eq!(meta.find_repositories(find).await.unwrap().total, found);
        })
        .await;
    }
    time("counts", 200, |_| async move {
        assert_eq!(meta.counts().await.unwrap().manifests, u64::from(projects) * 100);
    })
    .await;
}

//! Links, mounts, holds and quarantine.

use super::{Site, act, all, at, blob, checks, manifest, needed, repository, root};
use crate::storage::meta::{BlobRow, Published, UnlinkedBlob, What};

checks! {
    a_link_needs_its_project
    a_linked_blob_is_seen_there_alone
    a_mount_needs_source_and_project
    repositories_of_a_blob_come_by_name
    a_second_link_keeps_the_row_and_never_shortens_the_lease
    a_push_ends_a_quarantine
    quarantine_is_noted_once
    unlinking_takes_the_link_at_once
    bytes_of_a_project_count_once
    a_quota_counts_what_a_push_adds
    holding_extends_only_what_is_about_to_go
    held_bytes_are_listed_by_digest
}

async fn a_link_needs_its_project(site: Site) {
    assert!(!site.link("p/a", "x", 50).await);
    assert_eq!(site.meta.counts().await.unwrap(), Default::default(), "nothing was written");
    assert!(site.meta.repositories(all()).await.unwrap().items.is_empty());
    assert!(site.meta.held(&blob("x")).await.unwrap().is_none());
}

async fn a_linked_blob_is_seen_there_alone(site: Site) {
    site.project("p").await;
    assert!(site.link("p/a", "x", 50).await);
    let row = BlobRow { size: 1, root: root(b"x"), committed: at(5), quarantined: None };
    assert_eq!(site.meta.blob(&repository("p/a"), &blob("x")).await.unwrap(), Some(row.clone()));
    assert_eq!(site.meta.blob(&repository("p/b"), &blob("x")).await.unwrap(), None);
    assert_eq!(site.meta.held(&blob("x")).await.unwrap(), Some(row));
    assert!(site.meta.tags(&repository("p/a"), all()).await.unwrap().is_some(), "something was pushed");
    assert!(site.meta.tags(&repository("p/b"), all()).await.unwrap().is_none());
}

async fn a_mount_needs_source_and_project(site: Site) {
    site.project("p").await;
    assert_eq!(site.mount("p/a", "p/b", "x", 50).await, None);
    site.link("p/a", "x", 50).await;
    assert_eq!(site.mount("p/a", "q/b", "x", 50).await, None, "no project");
    assert_eq!(site.mount("p/b", "p/c", "x", 50).await, None, "held, but not by the source");
    assert!(!site.has_blob("p/c", "x").await && site.meta.tags(&repository("p/c"), all()).await.unwrap().is_none());
    let row = site.mount("p/a", "p/b", "x", 60).await.unwrap();
    assert_eq!((row.size, row.committed), (1, at(5)));
    assert!(site.has_blob("p/b", "x").await);
    let due = site.due(60).await;
    assert!(due.iter().any(|c| c.due == at(60) && c.repository == Some(repository("p/b"))), "{due:?}");
    site.meta.quarantine(&blob("x"), act(7)).await.unwrap();
    assert_eq!(site.mount("p/a", "p/c", "x", 60).await, None, "damaged bytes are not spread");
}

async fn repositories_of_a_blob_come_by_name(site: Site) {
    site.project("p").await;
    for repo in ["p/c", "p/a", "p/a/b", "p/b"] {
        site.link(repo, "x", 50).await;
    }
    // Held as a manifest is not linked.
    site.published(manifest("p/d", "x")).await;
    let names = |limit| async move {
        let repositories = site.meta.blob_repositories(&blob("x"), limit).await.unwrap();
        (repositories.iter().map(ToString::to_string).collect::<Vec<_>>(), site)
    };
    let (found, site) = names(10).await;
    assert_eq!(found, ["p/a", "p/a/b", "p/b", "p/c"]);
    assert_eq!(site.meta.blob_repositories(&blob("x"), 2).await.unwrap().len(), 2);
}

async fn a_second_link_keeps_the_row_and_never_shortens_the_lease(site: Site) {
    site.project("p").await;
    site.link_at("p/a", "x", 50, 5).await;
    site.link_at("p/a", "x", 30, 6).await;
    assert_eq!(site.meta.held(&blob("x")).await.unwrap().unwrap().committed, at(5));
    for candidate in site.due(40).await {
        let verdict = site.meta.judge(&candidate, at(40)).await.unwrap();
        assert_eq!(verdict, crate::storage::meta::Verdict::Leased(at(50)));
    }
}

async fn a_push_ends_a_quarantine(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.meta.quarantine(&blob("x"), act(7)).await.unwrap();
    assert_eq!(site.meta.blob(&repository("p/a"), &blob("x")).await.unwrap().unwrap().quarantined, Some(at(7)));
    site.link_at("p/b", "x", 50, 8).await;
    let row = site.meta.blob(&repository("p/a"), &blob("x")).await.unwrap().unwrap();
    assert_eq!((row.quarantined, row.committed), (None, at(8)), "for everyone who links it");
    site.published(manifest("p/a", "m")).await;
    site.meta.quarantine(&blob("m"), act(7)).await.unwrap();
    site.published(manifest("p/a", "m")).await;
    assert_eq!(site.meta.held(&blob("m")).await.unwrap().unwrap().quarantined, None);
}

async fn quarantine_is_noted_once(site: Site) {
    site.meta.quarantine(&blob("x"), act(7)).await.unwrap();
    assert!(site.events().await.is_empty(), "not held, nothing to mark");
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.meta.quarantine(&blob("x"), act(7)).await.unwrap();
    site.meta.quarantine(&blob("x"), act(9)).await.unwrap();
    assert_eq!(site.meta.held(&blob("x")).await.unwrap().unwrap().quarantined, Some(at(7)));
    let events = site.events().await;
    assert_eq!(events[1..].iter().map(|e| &e.what).collect::<Vec<_>>(), [&What::BlobQuarantined { digest: blob("x") }]);
}

async fn unlinking_takes_the_link_at_once(site: Site) {
    site.project("p").await;
    let (a, x) = (repository("p/a"), blob("x"));
    assert_eq!(site.meta.unlink_blob(&a, &x, at(90), act(7)).await.unwrap(), UnlinkedBlob::Absent);
    site.link("p/a", "x", 50).await;
    site.link("p/b", "x", 50).await;
    assert_eq!(site.meta.unlink_blob(&a, &x, at(90), act(7)).await.unwrap(), UnlinkedBlob::Done);
    assert!(!site.has_blob("p/a", "x").await && site.has_blob("p/b", "x").await);
    let bytes_due = |due: Vec<crate::storage::meta::Candidate>| due.iter().filter(|c| c.repository.is_none()).count();
    assert_eq!(bytes_due(site.due(1000).await), 0, "still held");
    site.meta.unlink_blob(&repository("p/b"), &x, at(90), act(8)).await.unwrap();
    assert!(site.meta.held(&x).await.unwrap().is_some(), "GC takes the bytes, nobody else");
    assert_eq!((bytes_due(site.due(89).await), bytes_due(site.due(90).await)), (0, 1));
    let unlinked = site.events().await.into_iter().filter(|e| matches!(e.what, What::BlobUnlinked { .. })).count();
    assert_eq!(unlinked, 2);
}

async fn bytes_of_a_project_count_once(site: Site) {
    for project in ["p", "p-q"] {
        site.project(project).await;
    }
    site.link("p/a", "four", 50).await;
    site.link("p/b", "four", 50).await;
    site.link("p-q/a", "four", 50).await;
    site.published(manifest("p/a", "eightchr")).await;
    site.published(manifest("p/b", "eightchr")).await;
    assert_eq!(site.bytes_of("p").await, 8, "what no manifest names is not published");
    for repo in ["p/a", "p/b"] {
        let mut push = manifest(repo, "names");
        push.blobs = vec![needed("four"), needed("four")];
        site.published(push).await;
    }
    // The same bytes as blob and as manifest.
    site.published(manifest("p/c", "four")).await;
    assert_eq!((site.bytes_of("p").await, site.bytes_of("p-q").await, site.bytes_of("x").await), (17, 0, 0));
    for (repo, name, left) in [("p/a", "names", 17), ("p/b", "names", 12), ("p/c", "four", 8)] {
        site.meta.delete_manifest(&repository(repo), &blob(name), at(90), act(8)).await.unwrap();
        assert_eq!(site.bytes_of("p").await, left, "{repo}");
    }
    site.link("p-q/a", "four", 50).await;
    let mut push = manifest("p-q/a", "late");
    (push.sparse, push.blobs) = (true, vec![needed("later")]);
    site.published(push).await;
    assert_eq!(site.bytes_of("p-q").await, 4);
    site.link("p-q/a", "later", 50).await;
    assert_eq!(site.bytes_of("p-q").await, 9, "counted when it comes");
    site.meta.delete_manifest(&repository("p/a"), &blob("eightchr"), at(90), act(8)).await.unwrap();
    site.meta.delete_manifest(&repository("p/b"), &blob("eightchr"), at(90), act(8)).await.unwrap();
    assert_eq!(site.bytes_of("p").await, 0);
}

async fn holding_extends_only_what_is_about_to_go(site: Site) {
    site.project("p").await;
    let (a, x) = (repository("p/a"), blob("x"));
    assert_eq!(site.meta.hold_blob(&a, &x, at(60), at(80)).await.unwrap(), None);
    site.link("p/a", "x", 50).await;
    let hold = |until, extend| site.meta.hold_blob(&a, &x, at(until), at(extend));
    assert!(hold(50, 80).await.unwrap().is_some());
    assert!(site.due(1000).await.iter().all(|c| c.due == at(50)), "the lease was long enough");
    assert!(hold(51, 80).await.unwrap().is_some());
    let link = site.due(50).await.remove(0);
    assert_eq!(site.meta.judge(&link, at(50)).await.unwrap(), crate::storage::meta::Verdict::Leased(at(80)));
    let mut push = manifest("p/a", "m");
    push.blobs = vec![needed("x")];
    site.published(push).await;
    let before = site.meta.counts().await.unwrap();
    assert!(hold(500, 900).await.unwrap().is_some(), "pinned");
    assert_eq!(site.meta.counts().await.unwrap(), before);
    assert!(site.due(1000).await.iter().all(|c| c.due <= at(80)));
    assert_eq!(site.meta.hold_blob(&repository("p/b"), &x, at(1), at(2)).await.unwrap(), None, "not linked there");
}

async fn held_bytes_are_listed_by_digest(site: Site) {
    site.project("p").await;
    for name in ["a", "b", "c", "d"] {
        site.link("p/a", name, 50).await;
    }
    site.published(manifest("p/a", "m")).await;
    let whole = site.meta.all_held(None, 10).await.unwrap();
    assert_eq!((whole.items.len(), whole.more), (5, false));
    assert!(whole.items.is_sorted_by_key(|(digest, _)| *digest));
    let first = site.meta.all_held(None, 2).await.unwrap();
    assert_eq!((&first.items[..], first.more), (&whole.items[..2], true));
    let rest = site.meta.all_held(Some(first.items[1].0), 3).await.unwrap();
    assert_eq!((&rest.items[..], rest.more), (&whole.items[2..], false));
}

async fn a_quota_counts_what_a_push_adds(site: Site) {
    site.project("p").await;
    site.link("p/a", "four", 50).await;
    site.link("p/b", "four", 50).await;
    let mut push = manifest("p/a", "m");
    (push.blobs, push.quota) = (vec![needed("four")], Some(4));
    let before = site.meta.counts().await.unwrap();
    assert_eq!(site.publish(push.clone()).await, Published::OverQuota { used: 0, adds: 5, limit: 4 });
    assert_eq!((site.meta.counts().await.unwrap(), site.bytes_of("p").await), (before, 0), "nothing is written");
    push.quota = Some(5);
    site.published(push.clone()).await;
    let mut other = manifest("p/b", "mm");
    (other.blobs, other.optional_blobs, other.quota) = (vec![needed("four")], vec![blob("absent")], Some(6));
    assert_eq!(site.publish(other.clone()).await, Published::OverQuota { used: 5, adds: 2, limit: 6 }, "four is there");
    other.quota = Some(7);
    site.published(other).await;
    push.quota = Some(1);
    site.published(push.clone()).await;
    push.repository = repository("p/b");
    assert_eq!(site.publish(push).await, Published::Done { created: true }, "what adds nothing is never refused");
    assert_eq!(site.bytes_of("p").await, 7);
}

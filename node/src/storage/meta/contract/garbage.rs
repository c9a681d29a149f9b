//! Candidates, their judgement and their collection.

use super::{Site, act, at, blob, checks, manifest, needed, repository};
use crate::storage::meta::{Candidate, Verdict};

checks! {
    a_link_nobody_needs_is_freed_after_its_lease
    a_shared_blob_is_unlinked_only
    a_pinned_blob_is_needed
    a_candidate_waits_for_a_longer_lease
    unpinned_blobs_stay_until_due_whatever_older_candidates_say
    a_second_manifest_keeps_the_pin
    bytes_of_a_deleted_manifest_are_freed_when_due
    what_came_back_is_needed
    judging_and_listing_change_nothing
    candidates_are_paged_in_their_order
    a_longer_lease_outlives_the_due_time
}

fn of_link(due: u64, repo: &str, name: &str) -> Candidate {
    Candidate { due: at(due), digest: blob(name), repository: Some(repository(repo)) }
}

fn of_bytes(due: u64, name: &str) -> Candidate {
    Candidate { due: at(due), digest: blob(name), repository: None }
}

impl Site {
    async fn collect(&self, candidate: &Candidate, now: u64) -> Verdict {
        let judged = self.meta.judge(candidate, at(now)).await.unwrap();
        let verdict = self.meta.collect(candidate, at(now)).await.unwrap();
        assert_eq!(judged, verdict, "what is judged is what is done");
        verdict
    }

    async fn pin(&self, repo: &str, name: &str, blobs: &[&str]) {
        let mut push = manifest(repo, name);
        push.blobs = blobs.iter().map(|blob| needed(blob)).collect();
        self.published(push).await;
    }
}

async fn a_link_nobody_needs_is_freed_after_its_lease(site: Site) {
    site.project("p").await;
    site.link("p/a", "four", 50).await;
    assert_eq!(site.due(49).await, []);
    let due = site.due(50).await;
    assert_eq!(due, [of_link(50, "p/a", "four")]);
    assert_eq!(site.collect(&due[0], 50).await, Verdict::Free { size: 4 });
    assert!(site.meta.held(&blob("four")).await.unwrap().is_none() && !site.has_blob("p/a", "four").await);
    assert_eq!((site.bytes_of("p").await, site.due(1000).await), (0, vec![]));
    assert_eq!(site.collect(&due[0], 51).await, Verdict::Needed, "gone already");
}

async fn a_shared_blob_is_unlinked_only(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.link("p/b", "x", 60).await;
    assert_eq!(site.collect(&of_link(50, "p/a", "x"), 55).await, Verdict::Unlink);
    assert!(!site.has_blob("p/a", "x").await && site.has_blob("p/b", "x").await);
    assert_eq!(site.collect(&of_link(60, "p/b", "x"), 60).await, Verdict::Free { size: 1 });
    site.link("p/a", "m", 70).await;
    site.published(manifest("p/a", "m")).await;
    assert_eq!(site.collect(&of_link(70, "p/a", "m"), 70).await, Verdict::Unlink, "a manifest has the same bytes");
    assert!(site.meta.held(&blob("m")).await.unwrap().is_some());
}

async fn a_pinned_blob_is_needed(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.pin("p/a", "m", &["x"]).await;
    assert_eq!(site.collect(&of_link(50, "p/a", "x"), 50).await, Verdict::Needed);
    assert_eq!(site.due(1000).await, [], "the candidate is dropped");
    assert!(site.has_blob("p/a", "x").await);
}

async fn a_candidate_waits_for_a_longer_lease(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.meta.hold_blob(&repository("p/a"), &blob("x"), at(60), at(80)).await.unwrap();
    assert_eq!(site.collect(&of_link(50, "p/a", "x"), 50).await, Verdict::Leased(at(80)));
    assert_eq!((site.due(79).await, site.due(80).await), (vec![], vec![of_link(80, "p/a", "x")]));
    assert_eq!(site.collect(&of_link(80, "p/a", "x"), 80).await, Verdict::Free { size: 1 });
}

async fn unpinned_blobs_stay_until_due_whatever_older_candidates_say(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.pin("p/a", "m", &["x"]).await;
    site.meta.delete_manifest(&repository("p/a"), &blob("m"), at(200), act(100)).await.unwrap();
    assert!(site.has_blob("p/a", "x").await);
    assert_eq!(site.collect(&of_link(50, "p/a", "x"), 100).await, Verdict::Leased(at(200)));
    assert_eq!(site.due(199).await, []);
    assert!(site.due(200).await.contains(&of_link(200, "p/a", "x")));
    assert_eq!(site.collect(&of_link(200, "p/a", "x"), 200).await, Verdict::Free { size: 1 });
}

async fn a_second_manifest_keeps_the_pin(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.link("p/a", "y", 50).await;
    site.pin("p/a", "m", &["x", "y"]).await;
    site.pin("p/a", "n", &["x"]).await;
    for name in ["x", "y"] {
        assert_eq!(site.collect(&of_link(50, "p/a", name), 50).await, Verdict::Needed);
    }
    site.meta.delete_manifest(&repository("p/a"), &blob("m"), at(200), act(100)).await.unwrap();
    let due = site.due(1000).await;
    let links: Vec<_> = due.iter().filter(|candidate| candidate.repository.is_some()).collect();
    assert_eq!(links, [&of_link(200, "p/a", "y")]);
}

async fn bytes_of_a_deleted_manifest_are_freed_when_due(site: Site) {
    site.project("p").await;
    site.published(manifest("p/a", "four")).await;
    let delete = |due, now| {
        let meta = std::sync::Arc::clone(&site.meta);
        async move { meta.delete_manifest(&repository("p/a"), &blob("four"), at(due), act(now)).await.unwrap() }
    };
    delete(50, 20).await;
    site.published(manifest("p/a", "four")).await;
    delete(90, 40).await;
    assert_eq!(site.collect(&of_bytes(50, "four"), 60).await, Verdict::Leased(at(90)), "the later promise holds");
    assert_eq!(site.due(90).await, [of_bytes(90, "four")]);
    assert_eq!(site.collect(&of_bytes(90, "four"), 90).await, Verdict::Free { size: 4 });
    assert_eq!(site.meta.held(&blob("four")).await.unwrap(), None);
    assert_eq!(site.meta.counts().await.unwrap().bytes, 0);
}

async fn what_came_back_is_needed(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    site.meta.unlink_blob(&repository("p/a"), &blob("x"), at(90), act(20)).await.unwrap();
    site.link_at("p/b", "x", 95, 30).await;
    assert_eq!(site.collect(&of_bytes(90, "x"), 100).await, Verdict::Needed);
    assert_eq!(site.collect(&of_link(50, "p/a", "x"), 100).await, Verdict::Needed, "that link is gone");
    assert!(site.has_blob("p/b", "x").await);
    assert_eq!(site.collect(&of_link(95, "p/b", "x"), 100).await, Verdict::Free { size: 1 });
}

async fn judging_and_listing_change_nothing(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 50).await;
    let before = site.meta.counts().await.unwrap();
    for candidate in site.due(50).await {
        assert_eq!(site.meta.judge(&candidate, at(50)).await.unwrap(), Verdict::Free { size: 1 });
    }
    assert_eq!(site.meta.counts().await.unwrap(), before);
    assert!(site.has_blob("p/a", "x").await && site.due(50).await.len() == 1);
}

async fn candidates_are_paged_in_their_order(site: Site) {
    site.project("p").await;
    for (repo, name, lease) in [("p/a", "x", 50), ("p/b", "x", 50), ("p/a", "y", 40), ("p/a", "z", 50)] {
        site.link(repo, name, lease).await;
    }
    site.published(manifest("p/a", "m")).await;
    site.meta.delete_manifest(&repository("p/a"), &blob("m"), at(50), act(20)).await.unwrap();
    let whole = site.due(50).await;
    assert!(whole.len() == 5 && whole.is_sorted(), "{whole:?}");
    let mut paged = Vec::new();
    loop {
        let next = site.meta.candidates(at(50), paged.last().cloned(), 2).await.unwrap();
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, whole);
}

async fn a_longer_lease_outlives_the_due_time(site: Site) {
    site.project("p").await;
    site.link("p/a", "x", 500).await;
    site.pin("p/a", "m", &["x"]).await;
    site.meta.delete_manifest(&repository("p/a"), &blob("m"), at(200), act(100)).await.unwrap();
    assert!(site.due(499).await.iter().all(|candidate| candidate.repository.is_none()));
    assert_eq!(site.collect(&of_link(500, "p/a", "x"), 300).await, Verdict::Leased(at(500)));
    assert_eq!(site.due(500).await.last(), Some(&of_link(500, "p/a", "x")));
}

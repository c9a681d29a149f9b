//! Manifests, tags and referrers.

use protocol::{Digest, Reference};

use super::{Site, act, all, at, blob, checks, manifest, needed, page, repository, tag};
use crate::storage::meta::{DeletedManifest, DeletedTag, Needed, Page, Published, REFERRERS_TEXT, UnlinkedBlob, What};

checks! {
    a_manifest_is_found_by_digest_and_tag
    a_refused_manifest_writes_nothing
    missing_content_is_named_once_each
    a_claimed_length_must_be_true
    a_manifest_needs_what_it_names_unless_sparse
    a_repeated_push_writes_tags_and_event
    a_tag_that_has_to_be_new_is_made_once
    a_tag_moves_and_its_history_tells
    tags_are_paged_in_the_order_of_bytes
    deleting_a_tag_leaves_the_manifest
    deleting_a_manifest_takes_its_tags_along
    a_manifest_deleted_here_stays_elsewhere
    a_pinned_blob_can_not_be_unlinked
    optional_blobs_are_pinned_whenever_they_come
    referrers_are_filtered_and_paged
    a_page_of_referrers_ends_before_its_annotations_are_too_long
}

async fn a_manifest_is_found_by_digest_and_tag(site: Site) {
    site.project("p").await;
    let mut push = manifest("p/a", "m");
    push.tags = vec![tag("t")];
    assert_eq!(site.publish(push.clone()).await, Published::Done { created: true });
    for reference in [Reference::Digest(push.digest), Reference::Tag(tag("t"))] {
        let found = site.meta.manifest(&repository("p/a"), &reference).await.unwrap().unwrap();
        assert_eq!((found.digest, &found.media_type, &found.bytes), (push.digest, &push.media_type, &push.bytes));
        assert_eq!(site.meta.manifest(&repository("p/b"), &reference).await.unwrap(), None);
    }
    let missing = Reference::Tag(tag("u"));
    assert_eq!(site.meta.manifest(&repository("p/a"), &missing).await.unwrap(), None);
    let held = site.meta.held(&push.digest).await.unwrap().unwrap();
    assert_eq!((held.size, held.root, held.committed), (1, push.root, at(10)), "its bytes are held like a blob's");
    assert_eq!(site.meta.blob(&repository("p/a"), &push.digest).await.unwrap(), None, "but it is no blob");
}

async fn a_refused_manifest_writes_nothing(site: Site) {
    let mut push = manifest("p/a", "m");
    push.tags = vec![tag("t")];
    assert_eq!(site.publish(push.clone()).await, Published::NoProject);
    assert_eq!(site.meta.counts().await.unwrap(), Default::default());
    site.project("p").await;
    let before = site.meta.counts().await.unwrap();
    push.blobs = vec![needed("x")];
    assert!(matches!(site.publish(push.clone()).await, Published::Missing { .. }));
    assert_eq!(site.meta.counts().await.unwrap(), before);
    assert_eq!(site.meta.held(&push.digest).await.unwrap(), None);
    assert_eq!(site.meta.tags(&repository("p/a"), all()).await.unwrap(), None);
}

async fn missing_content_is_named_once_each(site: Site) {
    site.project("p").await;
    site.link("p/a", "here", 50).await;
    site.link("p/a", "damaged", 50).await;
    site.link("p/b", "elsewhere", 50).await;
    site.meta.quarantine(&blob("damaged"), act(6)).await.unwrap();
    site.published(manifest("p/a", "manifest")).await;
    let mut push = manifest("p/a", "m");
    push.blobs = ["z", "here", "damaged", "elsewhere", "z", "manifest"].map(needed).to_vec();
    push.children = vec![blob("here"), blob("manifest"), blob("child"), blob("child")];
    let missing = Published::Missing {
        blobs: ["z", "damaged", "elsewhere", "manifest"].map(blob).to_vec(),
        children: vec![blob("here"), blob("child")],
    };
    assert_eq!(site.publish(push).await, missing, "a manifest is no blob and a blob no manifest");
}

async fn a_claimed_length_must_be_true(site: Site) {
    site.project("p").await;
    site.link("p/a", "four", 50).await;
    let mut push = manifest("p/a", "m");
    push.blobs = vec![Needed { digest: blob("four"), size: 5 }];
    let wrong = Published::WrongSize { digest: blob("four"), claimed: 5, actual: 4 };
    assert_eq!(site.publish(push.clone()).await, wrong);
    assert_eq!(site.meta.held(&push.digest).await.unwrap(), None);
    push.blobs.push(needed("gone"));
    assert!(matches!(site.publish(push).await, Published::Missing { .. }), "what is missing is told first");
}

async fn a_manifest_needs_what_it_names_unless_sparse(site: Site) {
    site.project("p").await;
    let mut index = manifest("p/a", "index");
    index.children = vec![blob("m"), blob("n")];
    assert!(matches!(site.publish(index.clone()).await, Published::Missing { .. }));
    site.published(manifest("p/a", "m")).await;
    site.published(manifest("p/b", "n")).await;
    let missing = Published::Missing { blobs: vec![], children: vec![blob("n")] };
    assert_eq!(site.publish(index.clone()).await, missing, "another repository's does not count");
    index.sparse = true;
    assert_eq!(site.publish(index).await, Published::Done { created: true });
    let mut image = manifest("p/a", "image");
    (image.sparse, image.blobs) = (true, vec![needed("later")]);
    let by = site.published(image).await;
    site.link("p/a", "later", 20).await;
    let unlinked = site.meta.unlink_blob(&repository("p/a"), &blob("later"), at(90), act(20)).await.unwrap();
    assert_eq!(unlinked, UnlinkedBlob::Pinned { by }, "what comes later stays");
}

async fn a_tag_that_has_to_be_new_is_made_once(site: Site) {
    site.project("p").await;
    let mut push = manifest("p/a", "m");
    (push.tags, push.tags_are_new) = (vec![tag("t")], true);
    assert_eq!(site.publish(push.clone()).await, Published::Done { created: true });
    let before = site.events().await.len();
    assert_eq!(site.publish(push.clone()).await, Published::TagExists(tag("t")), "also when it names the same");
    push.tags = vec![tag("u"), tag("t")];
    assert_eq!(site.publish(push.clone()).await, Published::TagExists(tag("t")), "all or none");
    assert_eq!(site.events().await.len(), before);
    site.meta.delete_tag(&repository("p/a"), &tag("t"), at(90), act(20)).await.unwrap();
    assert_eq!(site.publish(push).await, Published::Done { created: false });
}

async fn a_repeated_push_writes_tags_and_event(site: Site) {
    site.project("p").await;
    let mut push = manifest("p/a", "m");
    push.tags = vec![tag("t"), tag("t")];
    site.published(push.clone()).await;
    (push.tags, push.act) = (vec![tag("u"), tag("t")], act(20));
    assert_eq!(site.publish(push.clone()).await, Published::Done { created: false });
    let tags = site.meta.tags(&repository("p/a"), all()).await.unwrap().unwrap();
    assert_eq!(tags.items, [tag("t"), tag("u")]);
    let pushed: Vec<_> = site.events().await.into_iter().skip(1).map(|event| (event.act.at, event.what)).collect();
    let what = |tags| What::ManifestPushed { repository: repository("p/a"), digest: push.digest, tags };
    assert_eq!(pushed, [(at(10), what(vec![tag("t")])), (at(20), what(vec![tag("u"), tag("t")]))]);
    let history = site.meta.tag_history(&repository("p/a"), &tag("t"), 9).await.unwrap();
    let told: Vec<_> = history.iter().map(|version| (version.at, version.digest, &*version.actor)).collect();
    let digest = Some(push.digest);
    assert_eq!(told, [(at(20), digest, "tester"), (at(10), digest, "tester")], "each push is a version");
}

async fn a_tag_moves_and_its_history_tells(site: Site) {
    site.project("p").await;
    for (name, now) in [("m", 10), ("n", 20), ("m", 30)] {
        let mut push = manifest("p/a", name);
        (push.tags, push.act) = (vec![tag("t")], act(now));
        site.published(push).await;
    }
    site.meta.delete_tag(&repository("p/a"), &tag("t"), at(90), act(40)).await.unwrap();
    let history = site.meta.tag_history(&repository("p/a"), &tag("t"), 9).await.unwrap();
    let told: Vec<_> = history.iter().map(|version| (version.at, version.digest)).collect();
    let (m, n) = (Some(blob("m")), Some(blob("n")));
    assert_eq!(told, [(at(40), None), (at(30), m), (at(20), n), (at(10), m)], "newest first");
    assert_eq!(site.meta.tag_history(&repository("p/a"), &tag("t"), 2).await.unwrap(), history[..2]);
    assert!(site.meta.tag_history(&repository("p/a"), &tag("u"), 9).await.unwrap().is_empty());
    let deleted = site.meta.delete_manifest(&repository("p/a"), &blob("n"), at(90), act(50)).await.unwrap();
    assert_eq!(deleted, DeletedManifest::Done { tags: vec![], kept_by: None }, "the tag had moved away from it");
}

async fn tags_are_paged_in_the_order_of_bytes(site: Site) {
    site.project("p").await;
    let mut push = manifest("p/a", "m");
    push.tags = ["b", "B", "_", "1.0", "10", "1-0", "a"].map(tag).to_vec();
    site.published(push).await;
    // A neighbour whose name continues this one's.
    let mut push = manifest("p/a/b", "m");
    push.tags = vec![tag("A")];
    site.published(push).await;
    let tags = |want: Page| {
        let meta = std::sync::Arc::clone(&site.meta);
        async move {
            let listing = meta.tags(&repository("p/a"), want).await.unwrap().unwrap();
            (listing.items.iter().map(ToString::to_string).collect::<Vec<_>>(), listing.more)
        }
    };
    let all_of_them = ["1-0", "1.0", "10", "B", "_", "a", "b"].map(String::from).to_vec();
    assert_eq!(tags(all()).await, (all_of_them.clone(), false));
    assert_eq!(tags(page("10", 2)).await, (all_of_them[3..5].to_vec(), true));
    assert_eq!(tags(page("_", 2)).await, (all_of_them[5..].to_vec(), false));
    assert_eq!(tags(page("\u{0}weird", 1)).await, (all_of_them[..1].to_vec(), true));
    assert_eq!(tags(page("zz", 1)).await, (vec![], false));
}

async fn deleting_a_tag_leaves_the_manifest(site: Site) {
    site.project("p").await;
    let mut push = manifest("p/a", "m");
    push.tags = vec![tag("t"), tag("u")];
    let digest = site.published(push).await;
    let a = repository("p/a");
    assert_eq!(site.meta.delete_tag(&a, &tag("x"), at(90), act(20)).await.unwrap(), DeletedTag::Absent);
    assert_eq!(site.meta.delete_tag(&repository("p/b"), &tag("t"), at(90), act(20)).await.unwrap(), DeletedTag::Absent);
    assert_eq!(site.meta.delete_tag(&a, &tag("t"), at(90), act(20)).await.unwrap(), DeletedTag::Done(digest));
    assert_eq!(site.meta.manifest(&a, &Reference::Tag(tag("t"))).await.unwrap(), None);
    assert!(site.meta.manifest(&a, &Reference::Digest(digest)).await.unwrap().is_some());
    assert_eq!(site.meta.tags(&a, all()).await.unwrap().unwrap().items, [tag("u")]);
    let told = site.events().await.pop().unwrap().what;
    assert_eq!(told, What::TagDeleted { repository: a, tag: tag("t"), digest });
}

async fn deleting_a_manifest_takes_its_tags_along(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    let mut push = manifest("p/a", "m");
    (push.tags, push.subject) = (vec![tag("u"), tag("t")], Some(blob("subject")));
    let digest = site.published(push).await;
    let mut other = manifest("p/a", "n");
    other.tags = vec![tag("n")];
    site.published(other).await;
    let done = DeletedManifest::Done { tags: vec![tag("t"), tag("u")], kept_by: None };
    assert_eq!(site.meta.delete_manifest(&a, &digest, at(90), act(20)).await.unwrap(), done, "by name");
    assert_eq!(site.meta.delete_manifest(&a, &digest, at(90), act(21)).await.unwrap(), DeletedManifest::Absent);
    for reference in [Reference::Digest(digest), Reference::Tag(tag("t"))] {
        assert_eq!(site.meta.manifest(&a, &reference).await.unwrap(), None);
    }
    assert_eq!(site.meta.tags(&a, all()).await.unwrap().unwrap().items, [tag("n")]);
    assert!(site.meta.referrers(&a, &blob("subject"), None, all()).await.unwrap().items.is_empty());
    let history = site.meta.tag_history(&a, &tag("t"), 9).await.unwrap();
    assert_eq!(history.iter().map(|version| version.digest).collect::<Vec<_>>(), [None, Some(digest)]);
    let told = site.events().await.pop().unwrap().what;
    assert_eq!(told, What::ManifestDeleted { repository: a, digest, tags: vec![tag("t"), tag("u")] });
    assert_eq!(site.due(89).await, [], "its bytes wait");
    assert_eq!(site.due(90).await.iter().map(|c| (c.digest, &c.repository)).collect::<Vec<_>>(), [(digest, &None)]);
}

async fn a_manifest_deleted_here_stays_elsewhere(site: Site) {
    site.project("p").await;
    let digest = site.published(manifest("p/a", "m")).await;
    site.published(manifest("p/b", "m")).await;
    site.meta.delete_manifest(&repository("p/a"), &digest, at(90), act(20)).await.unwrap();
    let found = site.meta.manifest(&repository("p/b"), &Reference::Digest(digest)).await.unwrap();
    assert_eq!(&found.unwrap().bytes[..], b"m");
    assert!(site.due(1000).await.is_empty(), "p/b holds it");
    site.meta.delete_manifest(&repository("p/b"), &digest, at(90), act(20)).await.unwrap();
    site.published(manifest("p/c", "m")).await;
    let found = site.meta.manifest(&repository("p/c"), &Reference::Digest(digest)).await.unwrap();
    assert_eq!(&found.unwrap().bytes[..], b"m", "pushed again before GC came");
}

async fn a_pinned_blob_can_not_be_unlinked(site: Site) {
    site.project("p").await;
    let (a, x) = (repository("p/a"), blob("x"));
    site.link("p/a", "x", 50).await;
    site.link("p/b", "x", 50).await;
    let mut digests = Vec::new();
    for name in ["m", "n"] {
        let mut push = manifest("p/a", name);
        push.blobs = vec![needed("x"), needed("x")];
        digests.push(site.published(push).await);
    }
    for _ in 0..2 {
        match site.meta.unlink_blob(&a, &x, at(90), act(20)).await.unwrap() {
            UnlinkedBlob::Pinned { by } => {
                assert!(digests.contains(&by));
                site.meta.delete_manifest(&a, &by, at(90), act(21)).await.unwrap();
                digests.retain(|digest| *digest != by);
            }
            other @ (UnlinkedBlob::Done | UnlinkedBlob::Absent) => panic!("{other:?}"),
        }
    }
    let b = site.meta.unlink_blob(&repository("p/b"), &x, at(90), act(22)).await.unwrap();
    assert_eq!(b, UnlinkedBlob::Done, "nothing pins it there");
    assert_eq!(site.meta.unlink_blob(&a, &x, at(90), act(22)).await.unwrap(), UnlinkedBlob::Done);
}

async fn optional_blobs_are_pinned_whenever_they_come(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    site.link("p/a", "here", 50).await;
    let mut push = manifest("p/a", "m");
    push.optional_blobs = vec![blob("here"), blob("later")];
    let digest = site.published(push.clone()).await;
    let (here, later) = (blob("here"), blob("later"));
    let unlink = |digest| site.meta.unlink_blob(&a, digest, at(90), act(20));
    assert_eq!(unlink(&here).await.unwrap(), UnlinkedBlob::Pinned { by: digest });
    site.link("p/a", "later", 50).await;
    assert_eq!(unlink(&later).await.unwrap(), UnlinkedBlob::Pinned { by: digest });
}

async fn referrers_are_filtered_and_paged(site: Site) {
    site.project("p").await;
    let a = repository("p/a");
    let subject = Digest::of(protocol::Algorithm::Sha512, b"subject");
    let mut expected: Vec<(Digest, &str)> = Vec::new();
    for (name, kind) in [("1", "a/sig"), ("2", "a/sbom"), ("3", "a/sig"), ("4", "a/sig")] {
        let mut push = manifest("p/a", name);
        push.subject = Some(subject);
        push.artifact_type = Some(kind.parse().unwrap());
        push.annotations = [("k".to_owned(), name.to_owned())].into();
        expected.push((site.published(push).await, kind));
    }
    let mut elsewhere = manifest("p/b", "5");
    elsewhere.subject = Some(subject);
    site.published(elsewhere).await;
    expected.sort_by_key(|(digest, _)| digest.to_string());
    let digests = |listing: crate::storage::meta::Listing<crate::storage::meta::Referrer>| {
        (listing.items.iter().map(|entry| entry.digest).collect::<Vec<_>>(), listing.more)
    };
    let whole: Vec<_> = expected.iter().map(|(digest, _)| *digest).collect();
    let found = site.meta.referrers(&a, &subject, None, all()).await.unwrap();
    assert!(found.items.iter().all(|entry| entry.size == 1 && entry.annotations.len() == 1));
    assert_eq!(digests(found), (whole.clone(), false));
    let next = page(&whole[0].to_string(), 2);
    assert_eq!(digests(site.meta.referrers(&a, &subject, None, next).await.unwrap()), (whole[1..3].to_vec(), true));
    let signatures: Vec<_> = expected.iter().filter(|(_, kind)| *kind == "a/sig").map(|(digest, _)| *digest).collect();
    let kind = "a/sig".parse().unwrap();
    let filtered = |want| site.meta.referrers(&a, &subject, Some(&kind), want);
    assert_eq!(digests(filtered(Page { after: None, limit: 2 }).await.unwrap()), (signatures[..2].to_vec(), true));
    let next = page(&signatures[1].to_string(), 2);
    assert_eq!(digests(filtered(next).await.unwrap()), (signatures[2..].to_vec(), false), "more counts what matches");
    assert_eq!(digests(site.meta.referrers(&a, &blob("x"), None, all()).await.unwrap()), (vec![], false));
}

async fn a_page_of_referrers_ends_before_its_annotations_are_too_long(site: Site) {
    site.project("p").await;
    let (a, long) = (repository("p/a"), blob("long"));
    let mut whole = Vec::new();
    for (name, len) in [("6", 3), ("7", 3), ("8", 3), ("9", 9)] {
        let mut push = manifest("p/a", name);
        push.subject = Some(long);
        push.annotations = [("k".to_owned(), "v".repeat(len * (REFERRERS_TEXT / 8)))].into();
        whole.push((site.published(push).await, len));
    }
    whole.sort_by_key(|(digest, _)| digest.to_string());
    let (mut shown, mut after) = (Vec::new(), None);
    loop {
        let found = site.meta.referrers(&a, &long, None, Page { after, limit: 100 }).await.unwrap();
        let text: usize = found.items.iter().map(|entry| entry.annotations["k"].len()).sum();
        assert!(text <= REFERRERS_TEXT || found.items.len() == 1, "{text}");
        after = found.items.last().map(|entry| entry.digest.to_string());
        shown.extend(found.items.iter().map(|entry| entry.digest));
        if !found.more {
            break;
        }
    }
    assert_eq!(shown, whole.iter().map(|(digest, _)| *digest).collect::<Vec<_>>(), "page by page, and none missing");
}

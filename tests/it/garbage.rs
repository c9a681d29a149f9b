//! Garbage collection beside pushes: it frees what nobody needs, and loses nothing anybody was promised.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tests::image::digest_of;
use tests::node::{Setup, TestNode};
use tests::web::Web;
use tests::{push, wait};

/// Leases short enough to be waited for, long enough for a push.
fn impatient() -> TestNode {
    let config = "[gc]\nblob_lease = \"300ms\"\nexists_lease = \"300ms\"\ntrash_ttl = \"100ms\"\n";
    TestNode::with(Setup { config: config.into(), ..Setup::default() })
}

fn gc(web: &Web, dry_run: bool) -> Value {
    web.send("POST", &format!("/api/v2.0/mesh/node/gc?dry_run={dry_run}"), &[], &[]).expect(200).json()
}

fn status(web: &Web) -> Value {
    web.get("/api/v2.0/mesh/node/status").expect(200).json()
}

#[test]
fn what_no_manifest_names_any_more_is_freed_and_the_rest_stays() {
    let node = impatient();
    let web = node.admin();
    let kept = push::image(&web, "shop/app", "kept", "kept");
    let gone = push::image(&web, "shop/app", "gone", "gone");
    let shared = push::blob(&web, "shop/app", &kept.layers[0]);
    let loose = push::blob(&web, "shop/app", b"nobody ever names this");
    let before = status(&web)["counts"]["blobs"].as_u64().unwrap();
    web.send("DELETE", &format!("/v2/shop/app/manifests/{}", gone.digest), &[], &[]).expect(202);
    // A dry run says what would go, and changes nothing.
    let planned = wait::until("garbage to be due", Duration::from_secs(20), || {
        let report = gc(&web, true);
        (report["freed"].as_u64() == Some(4)).then_some(report)
    });
    assert_eq!(status(&web)["counts"]["blobs"].as_u64().unwrap(), before);
    let done = gc(&web, false);
    assert_eq!(done["freed"], planned["freed"]);
    assert_eq!(done["freed_bytes"], planned["freed_bytes"]);
    assert_eq!(status(&web)["counts"]["blobs"].as_u64().unwrap(), before - 4);
    for digest in [&loose, &digest_of(&gone.config), &digest_of(&gone.layers[0])] {
        web.get(&format!("/v2/shop/app/blobs/{digest}")).expect(404);
    }
    for digest in [&shared, &digest_of(&kept.config)] {
        web.get(&format!("/v2/shop/app/blobs/{digest}")).expect(200);
    }
    web.get("/v2/shop/app/manifests/kept").expect(200);
    // The bytes wait in the trash, then go for good.
    wait::until("the trash to be empty", Duration::from_secs(20), || {
        gc(&web, false);
        let trash = std::fs::read_dir(node.data().join("trash")).map(|entries| entries.count()).unwrap_or(0);
        (trash == 0).then_some(())
    });
    // What was freed can be pushed again.
    push::image(&web, "shop/app", "gone", "gone");
    assert_eq!(web.get("/v2/shop/app/manifests/gone").expect(200).body, gone.manifest);
}

#[test]
fn a_manifest_without_a_tag_is_no_garbage() {
    let node = impatient();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "only", "only");
    web.send("DELETE", "/v2/shop/app/manifests/only", &[], &[]).expect(202);
    // Something else is due: once that is gone, this had its turn too.
    push::blob(&web, "shop/app", b"a loose blob");
    wait::until("garbage to be collected", Duration::from_secs(20), || {
        (gc(&web, false)["freed"].as_u64() > Some(0)).then_some(())
    });
    web.get(&format!("/v2/shop/app/manifests/{}", image.digest)).expect(200);
    web.get(&format!("/v2/shop/app/blobs/{}", digest_of(&image.layers[0]))).expect(200);
}

#[test]
fn a_part_of_an_index_that_is_deleted_goes_with_the_index() {
    let node = impatient();
    let web = node.admin();
    let part = push::image(&web, "shop/app", "part", "part");
    let child = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": part.digest, "size": part.manifest.len()
    });
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [child] }).to_string();
    let kind = [("content-type", media_type)];
    web.send("PUT", "/v2/shop/app/manifests/multi", &kind, index.as_bytes()).expect(201);
    let path = format!("/v2/shop/app/manifests/{}", part.digest);
    let told = web.send("DELETE", &path, &[], &[]).expect(202);
    assert!(told.header("warning").contains(&digest_of(index.as_bytes())), "{told:?}");
    web.get("/v2/shop/app/manifests/part").expect(404);
    web.get(&path).expect(200);
    // Something else is due: once that is gone, this had its turn too.
    push::blob(&web, "shop/app", b"a loose blob");
    wait::until("garbage to be collected", Duration::from_secs(20), || {
        (gc(&web, false)["freed"].as_u64() > Some(0)).then_some(())
    });
    web.get(&format!("/v2/shop/app/blobs/{}", digest_of(&part.layers[0]))).expect(200);
    let path_of_index = format!("/v2/shop/app/manifests/{}", digest_of(index.as_bytes()));
    assert_eq!(web.send("DELETE", &path_of_index, &[], &[]).expect(202).header("warning"), "");
    web.get(&path).expect(404);
    wait::until("all of it to be collected", Duration::from_secs(20), || {
        gc(&web, false);
        (status(&web)["counts"]["blobs"].as_u64() == Some(0)).then_some(())
    });
}

#[test]
fn a_blob_two_repositories_hold_stays_for_the_second() {
    let node = impatient();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "1", "both");
    push::image(&web, "other/app", "1", "both");
    web.send("DELETE", &format!("/v2/shop/app/manifests/{}", image.digest), &[], &[]).expect(202);
    let layer = digest_of(&image.layers[0]);
    wait::until("the link to be collected", Duration::from_secs(20), || {
        gc(&web, false);
        (web.get(&format!("/v2/shop/app/blobs/{layer}")).status == 404).then_some(())
    });
    web.get(&format!("/v2/other/app/blobs/{layer}")).expect(200);
    web.get("/v2/other/app/manifests/1").expect(200);
}

/// Pushes images that share layers and deletes older ones; returns the digests left and how often it was told that a
/// layer exists.
fn churn(web: &Web, worker: usize, rounds: usize, told: &AtomicU64) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    for round in 0..rounds {
        let repository = format!("soak/app{}", worker % 2);
        let shared = format!("layer shared by many {}", round % 3).repeat(40).into_bytes();
        let config = format!("{{\"worker\":{worker},\"round\":{round}}}").into_bytes();
        push::blob(web, &repository, &config);
        let exists =
            web.send("HEAD", &format!("/v2/{repository}/blobs/{}", digest_of(&shared)), &[], &[]).status == 200;
        if exists {
            told.fetch_add(1, Ordering::Relaxed);
        } else {
            push::blob(web, &repository, &shared);
        }
        let body = push::image_manifest(&config, &[&shared]).to_string().into_bytes();
        // Told that the layer exists, or having pushed it just now: the manifest must be taken.
        push::manifest(web, &repository, &format!("w{worker}"), &body).expect(201);
        left.push(format!("{repository}/manifests/{}", digest_of(&body)));
        if left.len() > 2 {
            let old = left.remove(0);
            web.send("DELETE", &format!("/v2/{old}"), &[], &[]).expect(202);
        }
    }
    left
}

#[test]
fn pushes_beside_collections_lose_nothing() {
    let node = {
        // Leases of the order of a push: collection comes as close as it may.
        let config = "[gc]\nblob_lease = \"5s\"\nexists_lease = \"1500ms\"\ntrash_ttl = \"1ms\"\n";
        TestNode::with(Setup { config: config.into(), ..Setup::default() })
    };
    let web = node.admin();
    let (done, told, cycles) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let left: Vec<String> = std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                gc(&web, false);
                cycles.fetch_add(1, Ordering::Relaxed);
            }
        });
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (web, told) = (&web, &told);
                scope.spawn(move || churn(web, worker, 120, told))
            })
            .collect();
        let left = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        collector.join().unwrap();
        left
    });
    assert!(told.load(Ordering::Relaxed) > 50, "layers were hardly ever shared");
    assert!(cycles.load(Ordering::Relaxed) > 20, "the collector hardly ran");
    for manifest in left {
        let body = web.get(&format!("/v2/{manifest}")).expect(200).json();
        let repository = manifest.split("/manifests/").next().unwrap();
        for descriptor in body["layers"].as_array().unwrap().iter().chain([&body["config"]]) {
            let digest = descriptor["digest"].as_str().unwrap();
            let got = web.get(&format!("/v2/{repository}/blobs/{digest}")).expect(200);
            assert_eq!(digest_of(&got.body), digest);
        }
    }
}

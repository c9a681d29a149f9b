//! Looking after a node: scrub, snapshots, rebuilding the index, a full disk, start and drain, the command line.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::image::digest_of;
use tests::node::{ADMIN, PASSWORD, Setup, TestNode};
use tests::{push, tools, wait};

fn blob_file(node: &TestNode, digest: &str) -> PathBuf {
    let hex = digest.strip_prefix("sha256:").unwrap();
    node.data().join("blobs/sha256").join(&hex[..2]).join(hex)
}

#[test]
fn a_scrub_takes_damaged_bytes_out_of_service_and_a_push_brings_them_back() {
    let mut node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "1", "app");
    let healthy = push::image(&web, "shop/app", "2", "healthy");
    let digest = digest_of(&image.layers[0]);
    let target = format!("/v2/shop/app/blobs/{digest}");
    let file = blob_file(&node, &digest);
    let mut bytes = fs::read(&file).unwrap();
    assert_eq!(bytes, image.layers[0]);
    bytes[100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    // A file without a row, as a crash between rename and commit leaves one.
    let orphan = blob_file(&node, &digest_of(b"orphan"));
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, b"orphan").unwrap();
    let report = web.send("POST", "/api/v2.0/mesh/node/scrub", &[], &[]).expect(200).json();
    assert_eq!((report["quarantined"].as_u64(), report["orphans"].as_u64()), (Some(1), Some(1)), "{report}");
    let refused = web.get(&target).expect(404);
    assert!(refused.text().contains("push it again"), "{}", refused.text());
    assert!(!orphan.exists());
    assert_eq!(fs::read_dir(node.data().join("quarantine")).unwrap().count(), 1);
    web.get(&format!("/v2/shop/app/blobs/{}", digest_of(&healthy.layers[0]))).expect(200);
    // Still so after a restart; a push of the same bytes heals it.
    node.stop();
    node.restart();
    let web = node.admin();
    web.get(&target).expect(404);
    push::blob(&web, "shop/app", &image.layers[0]);
    assert_eq!(web.get(&target).expect(200).body, image.layers[0]);
}

#[test]
fn the_index_is_built_again_from_a_snapshot_and_the_blobs() {
    let mut node = TestNode::plain();
    let web = node.admin();
    let old = push::image(&web, "shop/app", "old", "old");
    web.send("POST", "/api/v2.0/mesh/node/snapshot", &[], &[]).expect(200);
    let new = push::image(&web, "shop/app", "new", "new");
    let index = push::index(&[&new.manifest]).to_string().into_bytes();
    push::manifest(&web, "shop/app", "multi", &index).expect(201);
    node.stop();
    fs::write(node.data().join("meta.redb"), b"this is no database").unwrap();
    let rebuilt = node.cli(&["rebuild-index", "--yes"]).expect_success();
    assert!(rebuilt.everything().contains("lost-found/recovered"), "{}", rebuilt.everything());
    assert!(rebuilt.everything().contains("differs in 0 places"), "{}", rebuilt.everything());
    node.restart();
    let web = node.admin();
    assert_eq!(web.get("/v2/shop/app/manifests/old").expect(200).body, old.manifest);
    web.get("/v2/shop/app/manifests/new").expect(404);
    for (digest, body) in [(&new.digest, &new.manifest), (&digest_of(&index), &index)] {
        let got = web.get(&format!("/v2/lost-found/recovered/manifests/{digest}")).expect(200);
        assert_eq!(got.body, *body);
    }
    let layer = digest_of(&new.layers[0]);
    assert_eq!(web.get(&format!("/v2/lost-found/recovered/blobs/{layer}")).expect(200).body, new.layers[0]);
    // What came back can be given its place again without sending a byte.
    let mount = format!("/v2/shop/app/blobs/uploads/?mount={layer}&from=lost-found/recovered");
    web.send("POST", &mount, &[], &[]).expect(201);
}

#[test]
fn the_index_is_built_again_from_the_blobs_alone() {
    let mut node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "1", "app");
    node.kill9();
    fs::remove_file(node.data().join("meta.redb")).unwrap();
    let _ = fs::remove_dir_all(node.data().join("snapshots"));
    assert!(!node.try_launch(), "an empty node beside the content would take all of it for orphans");
    assert!(node.log().contains("portolan rebuild-index"), "{}", node.log());
    node.cli(&["rebuild-index", "--yes"]).expect_success();
    node.restart();
    let got = node.admin().get(&format!("/v2/lost-found/recovered/manifests/{}", image.digest)).expect(200);
    assert_eq!(got.body, image.manifest);
}

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, and the story is named as skipped, where a test may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new(tools::require("mount"))
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        if !mounted.status.success() {
            tools::skip("a test may not mount a file system here");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new(tools::require("umount")).arg(self.path()).status();
    }
}

#[test]
fn on_a_full_disk_pulls_deletes_and_collection_work_and_uploads_are_refused() {
    let Some(disk) = SmallDisk::mount("96m") else { return };
    let config = "[storage]\nballast = \"8MiB\"\nkeep_free = \"4MiB\"\nrefuse_uploads_at = 100\n\
                  [gc]\nblob_lease = \"200ms\"\nexists_lease = \"200ms\"\ntrash_ttl = \"1ms\"\n";
    let data = Some(disk.path().to_owned());
    let mut node = TestNode::with(Setup { config: config.into(), data, ..Setup::default() });
    let web = node.admin();
    let kept = push::image(&web, "shop/app", "kept", "kept");
    let mut pushed = Vec::new();
    let refused = (0..200u32)
        .find_map(|n| {
            let layer: Vec<u8> = (0..1u32 << 20).map(|at| (at.wrapping_mul(n + 7) >> 3) as u8).collect();
            let begun = web.send("POST", "/v2/shop/app/blobs/uploads/", &[], &[]);
            if begun.status != 202 {
                return Some(begun);
            }
            let to = push::with_query(begun.header("Location"), &format!("digest={}", digest_of(&layer)));
            let put = web.send("PUT", &to, &[], &layer);
            if put.status != 201 {
                return Some(put);
            }
            pushed.push(layer);
            None
        })
        .expect("the disk fills");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(!refused.header("Retry-After").is_empty());
    assert!(pushed.len() > 20, "refused too early: {}", pushed.len());
    // The rest of the disk is taken by someone else, to the last byte.
    let filler = disk.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    assert_eq!(web.get("/v2/shop/app/manifests/kept").expect(200).body, kept.manifest);
    let bytes = web.get(&format!("/v2/shop/app/blobs/{}", digest_of(&pushed[3]))).expect(200).body;
    assert_eq!(bytes, pushed[3]);
    // Deletes and collection commit: the ballast gives them room.
    for layer in &pushed {
        web.send("DELETE", &format!("/v2/shop/app/blobs/{}", digest_of(layer)), &[], &[]).expect(202);
    }
    wait::until("room to come back", Duration::from_secs(30), || {
        web.send("POST", "/api/v2.0/mesh/node/gc", &[], &[]).expect(200);
        (web.send("POST", "/v2/shop/app/blobs/uploads/", &[], &[]).status == 202).then_some(())
    });
    push::image(&web, "shop/app", "again", "again");
    assert_eq!(web.get("/v2/shop/app/manifests/kept").expect(200).body, kept.manifest);
    fs::remove_file(filler).unwrap();
    // And across a restart.
    node.stop();
    node.restart();
    node.admin().get("/v2/shop/app/manifests/again").expect(200);
    node.stop();
}

#[test]
fn a_stop_lets_running_requests_finish_and_a_second_one_does_not_wait() {
    let mut node = TestNode::with(Setup { config: "[http]\ndrain = \"60s\"\n".into(), ..Setup::default() });
    let location = push::begin(&node.admin(), "shop/app");
    let path = location.split("/v2/").nth(1).map(|rest| format!("/v2/{rest}")).unwrap();
    let open_request = |node: &TestNode| {
        use base64::Engine as _;
        let basic = base64::prelude::BASE64_STANDARD.encode(format!("{ADMIN}:{PASSWORD}"));
        let mut stream = std::net::TcpStream::connect(&node.registry().host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = format!(
            "PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The node has the request in hand once it asks for the body.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        stream
    };
    let mut running = open_request(&node);
    node.signal_term();
    wait::until("the node to accept no more", Duration::from_secs(20), || {
        std::net::TcpStream::connect(&node.registry().host).is_err().then_some(())
    });
    assert!(!node.has_ended(), "it waits for what runs");
    running.write_all(b"ten bytes.").unwrap();
    let mut answer = String::new();
    let _ = running.read_to_string(&mut answer);
    assert!(answer.contains("HTTP/1.1 202"), "{answer}");
    drop(running);
    node.await_orderly_end();
    // A second signal does not wait.
    node.restart();
    let location = push::begin(&node.admin(), "shop/app");
    assert!(!location.is_empty());
    let held = open_request(&node);
    node.signal_term();
    wait::until("the node to accept no more", Duration::from_secs(20), || {
        std::net::TcpStream::connect(&node.registry().host).is_err().then_some(())
    });
    node.signal_term();
    node.await_end();
    drop(held);
    node.restart();
    node.admin().get("/v2/").expect(200);
}

#[test]
fn two_nodes_do_not_share_a_data_directory() {
    let node = TestNode::plain();
    let second = node.cli(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!second.succeeded());
    assert!(second.everything().contains("lock") || second.everything().contains("another"), "{}", second.everything());
}

#[test]
fn the_command_line_talks_to_the_node_of_its_data_directory() {
    let node = TestNode::plain();
    push::image(&node.admin(), "shop/app", "1", "app");
    let status = node.cli(&["status", "--output", "json"]).expect_success();
    let status: serde_json::Value = serde_json::from_str(&status.stdout()).expect("JSON");
    assert_eq!(status["node"]["counts"]["tags"], 1);
    node.cli(&["status"]).expect_success();
    let gc: serde_json::Value =
        serde_json::from_str(&node.cli(&["gc", "--dry-run", "--output", "json"]).expect_success().stdout())
            .expect("JSON");
    assert!(gc["examined"].is_u64());
    node.cli(&["scrub"]).expect_success();
    node.cli(&["project", "create", "made-here", "--public"]).expect_success();
    let again = node.cli(&["project", "create", "made-here"]);
    assert_eq!(again.code(), Some(5), "conflict: {}", again.everything());
    assert!(node.cli(&["project", "list"]).expect_success().stdout().contains("made-here"));
    let doctor = node.cli(&["doctor", "--output", "json"]);
    let checks: serde_json::Value = serde_json::from_str(&doctor.stdout()).expect("JSON");
    assert!(checks.to_string().contains("\"ok\""), "{checks}");
}

#[test]
fn the_history_of_a_tag_is_told_and_a_delete_undone() {
    let mut node = TestNode::plain();
    let web = node.admin();
    let (one, two) = (push::image(&web, "shop/app", "v1", "one"), push::image(&web, "shop/app", "v1", "two"));
    web.send("DELETE", "/v2/shop/app/manifests/v1", &[], &[]).expect(202);
    node.kill9();
    node.restart();
    let history = node.cli(&["tag", "history", "shop/app:v1", "--output", "json"]).expect_success();
    let versions: serde_json::Value = serde_json::from_str(&history.stdout()).unwrap();
    let told: Vec<_> = versions.as_array().unwrap().iter().map(|version| version["digest"].as_str()).collect();
    assert_eq!(told, [None, Some(&*two.digest), Some(&*one.digest)], "{versions}");
    assert_eq!(versions[0]["actor"], "admin");
    node.cli(&["undelete", "shop/app:v1"]).expect_success();
    let web = node.admin();
    assert_eq!(web.get("/v2/shop/app/manifests/v1").expect(200).body, two.manifest);
    assert_eq!(node.cli(&["undelete", "shop/app:v1"]).code(), Some(5), "it is not deleted any more");
    web.send("DELETE", &format!("/v2/shop/app/manifests/{}", two.digest), &[], &[]).expect(202);
    assert_eq!(node.cli(&["undelete", "shop/app:v1"]).code(), Some(5), "it would name nothing");
    node.cli(&["undelete", &format!("shop/app@{}", two.digest)]).expect_success();
    assert_eq!(web.get(&format!("/v2/shop/app/manifests/{}", two.digest)).expect(200).body, two.manifest);
    web.get("/v2/shop/app/manifests/v1").expect(404);
    node.cli(&["undelete", "shop/app:v1"]).expect_success();
    web.get("/v2/shop/app/manifests/v1").expect(200);
    assert_eq!(node.cli(&["tag", "history", "shop/app:v2"]).code(), Some(3));
    let conflicts = node.cli(&["conflicts", "list", "--output", "json"]).expect_success();
    assert_eq!(conflicts.stdout().trim(), "[]");
    let settled = node.cli(&["conflicts", "resolve", "shop/app:v1", &one.digest]);
    assert_eq!(settled.code(), Some(5), "there is none: {}", settled.everything());
}

#[test]
fn a_node_does_not_go_on_without_its_key() {
    let mut node = TestNode::plain();
    push::image(&node.admin(), "shop/app", "v1", "one");
    node.kill9();
    let key = node.data().join("identity/node.key");
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(!node.try_launch(), "with another key it would contradict what it wrote");
    assert!(node.log().contains("identity/node.key") && node.log().contains("put the file back"), "{}", node.log());
    fs::write(&key, bytes).unwrap();
    node.restart();
    node.admin().get("/v2/shop/app/manifests/v1").expect(200);
}

#[test]
fn a_command_without_a_node_says_so() {
    let mut node = TestNode::plain();
    node.stop();
    let status = node.cli(&["status"]);
    assert_eq!(status.code(), Some(6), "unreachable: {}", status.everything());
    assert!(status.everything().contains("portolan serve"), "it says what to do: {}", status.everything());
}

#[test]
fn health_and_metrics_tell_what_is_going_on() {
    let node = TestNode::plain();
    push::image(&node.admin(), "shop/app", "1", "app");
    node.web().get("/livez").expect(200);
    node.web().get("/readyz").expect(200);
    let metrics = node.web().get("/metrics").expect(200);
    assert!(
        metrics.header("Content-Type").starts_with("application/openmetrics-text")
            || metrics.header("Content-Type").starts_with("text/plain")
    );
    let text = metrics.text();
    for family in ["requests", "blobs", "bytes"] {
        assert!(text.contains(family), "no {family} in:\n{text}");
    }
    let answer = node.web().send("GET", "/v2/", &[("X-Request-Id", "story-1234")], &[]).expect(401);
    assert_eq!(answer.header("X-Request-Id"), "story-1234");
}

#[test]
fn a_listener_of_its_own_serves_telemetry() {
    let node =
        TestNode::with(Setup { config: "[http]\ntelemetry_listen = \"127.0.0.1:0\"\n".into(), ..Setup::default() });
    // On the main listener there is none of it then, but for the probes the story's own kit waits on.
    node.web().get("/metrics").expect(404);
    let listed = node.admin().get("/api/v2.0/mesh/node/status").expect(200).json();
    let addresses = listed["listen"].as_array().unwrap();
    let telemetry = addresses.iter().filter_map(|a| a.as_str()).find(|a| !a.contains(&node.registry().host)).unwrap();
    let address = if telemetry.contains("://") { telemetry.to_owned() } else { format!("http://{telemetry}") };
    tests::web::Web::new(&address, None).get("/metrics").expect(200);
}

#[test]
fn every_example_of_configuration_starts_a_node() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "toml") {
            let text = fs::read_to_string(&file).unwrap();
            let node = TestNode::with(Setup { config: text, ..Setup::default() });
            node.admin().get("/v2/").expect(200);
        }
    }
}

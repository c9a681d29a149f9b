//! Content that is not what it is said to be, and digests that would be paths.

use std::fs;

use serde_json::json;
use tests::image::digest_of;
use tests::node::TestNode;
use tests::push;

use super::{encoded, raw, status_of};

#[test]
fn a_manifest_with_two_readings_is_refused() {
    let node = TestNode::plain();
    let admin = node.admin();
    let image = push::image(&admin, "shop/app", "1", "app");
    let mut both = push::image_manifest(&image.config, &[]);
    both["manifests"] = json!([]);
    let twice = String::from_utf8(image.manifest.clone()).unwrap().replacen('{', "{\"layers\":[],", 1);
    for body in [both.to_string(), twice] {
        for kind in [push::MANIFEST, push::INDEX] {
            let refused =
                admin.send("PUT", "/v2/shop/app/manifests/x", &[("Content-Type", kind)], body.as_bytes()).expect(400);
            assert_eq!(push::error_code(&refused), "MANIFEST_INVALID");
        }
    }
    // A type in the header that the body contradicts.
    let headers = [("Content-Type", push::INDEX)];
    admin.send("PUT", "/v2/shop/app/manifests/x", &headers, &image.manifest).expect(400);
    admin.get("/v2/shop/app/manifests/x").expect(404);
}

#[test]
fn no_digest_becomes_a_path() {
    let node = TestNode::plain();
    fs::write(node.data().join("planted"), "planted").unwrap();
    let basic = encoded();
    for digest in [
        "sha256:../../planted",
        "sha256:..%2f..%2fplanted",
        "sha256:%2e%2e%2f%2e%2e%2fplanted",
        "../planted",
        "sha256:/etc/passwd",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000/../../planted",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        for place in ["blobs", "manifests", "referrers"] {
            let request = format!(
                "GET /v2/library/x/{place}/{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(&node, request.as_bytes());
            assert!([400, 404].contains(&status_of(&answer)), "{place}/{digest}: {answer}");
            assert!(!answer.contains("planted\n"), "{answer}");
        }
    }
    // Nor does a session id.
    for id in ["..%2f..%2fplanted", "../../planted", "0000000000000000000000000000000g"] {
        let answer = node.admin().get(&format!("/v2/library/x/blobs/uploads/{id}"));
        assert_eq!(answer.status, 404, "{id}");
    }
}

#[test]
fn nothing_is_stored_under_a_digest_it_does_not_have() {
    let node = TestNode::plain();
    let admin = node.admin();
    let wrong = digest_of(b"something else");
    let single = format!("/v2/shop/app/blobs/uploads/?digest={wrong}");
    admin.send("POST", &single, &[("Content-Type", "application/octet-stream")], b"bytes").expect(400);
    let to = push::with_query(&push::begin(&admin, "shop/app"), &format!("digest={wrong}"));
    admin.send("PUT", &to, &[], b"bytes").expect(400);
    let config = b"{}".to_vec();
    push::blob(&admin, "shop/app", &config);
    let body = push::image_manifest(&config, &[]).to_string();
    let refused = push::manifest(&admin, "shop/app", &wrong, body.as_bytes()).expect(400);
    assert_eq!(push::error_code(&refused), "DIGEST_INVALID");
    admin.get(&format!("/v2/shop/app/blobs/{wrong}")).expect(404);
    admin.get(&format!("/v2/shop/app/manifests/{wrong}")).expect(404);
}

#[test]
fn the_digest_decides_when_tag_and_digest_are_given() {
    let node = TestNode::plain();
    let admin = node.admin();
    let first = push::image(&admin, "shop/app", "stable", "first");
    let second = push::image(&admin, "shop/app", "other", "second");
    // The body of one under the digest of the other, with a tag: refused, and the tag stays.
    let target = format!("/v2/shop/app/manifests/{}?tag=stable", first.digest);
    admin.send("PUT", &target, &[("Content-Type", push::MANIFEST)], &second.manifest).expect(400);
    assert_eq!(admin.get("/v2/shop/app/manifests/stable").expect(200).body, first.manifest);
}

//! Who may: objects of others, ways around the question, and secrets that show.

use std::fs;
use std::io::{Read, Write};

use serde_json::json;
use tests::image::digest_of;
use tests::node::{Setup, TestNode};
use tests::push;

use super::{all_files, connect, encoded, raw, status_of};

#[test]
fn unknown_and_privileged_fields_are_refused() {
    let node = TestNode::plain();
    for body in [
        json!({"project_name": "a", "administrator": true}),
        json!({"project_name": "a", "metadata": {"public": "true", "admin": "true"}}),
        json!({"project_name": "a", "created": 0}),
        json!({"project_name": "A B"}),
        json!({"project_name": "a/b"}),
        json!([]),
    ] {
        node.admin().post_json("/api/v2.0/projects", &body).expect(400);
    }
    // A field that clients send back although it can't be set is read and not obeyed.
    node.admin().post_json("/api/v2.0/projects", &json!({"project_name": "b", "owner_id": 99})).expect(201);
    assert_eq!(node.admin().get("/api/v2.0/projects/b").expect(200).json()["owner_name"], "admin");
    let names = node.admin().get("/api/v2.0/projects?page_size=100").expect(200).text();
    assert!(!names.contains("\"a\""), "{names}");
}

#[test]
fn each_route_has_one_path() {
    let node = TestNode::plain();
    push::image(&node.admin(), "shop/app", "1", "app");
    let basic = format!("Authorization: Basic {}\r\n", encoded());
    for target in [
        "//v2/_catalog",
        "/v2//_catalog",
        "/v2/./_catalog",
        "/x/../v2/_catalog",
        "/v2/_catalog/",
        "/V2/_catalog",
        "/v2/%5fcatalog",
        "/v2%2f_catalog",
        "/v2/shop%2fapp/tags/list",
        "/v2/shop/../shop/app/tags/list",
        "/v2/shop//app/tags/list",
        "/v2/shop/app/manifests/../manifests/1",
        "/v2/shop/app/blobs/..%2f..%2fnode.key",
        "v2/_catalog",
        "/registry/v2/_catalog",
        "/api/v2.0//projects",
        "/api/v2.0/projects/../projects",
    ] {
        for credentials in ["", basic.as_str()] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{credentials}Connection: close\r\n\r\n");
            let status = status_of(&raw(&node, request.as_bytes()));
            assert!([400, 404].contains(&status), "{target}: {status}");
        }
    }
}

#[test]
fn a_blob_is_readable_only_through_a_repository_that_links_it() {
    let node = TestNode::plain();
    let admin = node.admin();
    push::image(&admin, "shop/app", "1", "mine");
    let secret = push::image(&admin, "secret/app", "1", "secret");
    for content in [&secret.layers[0], &secret.config, &secret.manifest] {
        let target = format!("/v2/shop/app/blobs/{}", digest_of(content));
        for (method, headers) in [("HEAD", vec![]), ("GET", vec![]), ("GET", vec![("Range", "bytes=0-3")])] {
            admin.send(method, &target, &headers, &[]).expect(404);
        }
    }
    admin.get(&format!("/v2/shop/app/manifests/{}", secret.digest)).expect(404);
}

#[test]
fn a_deleted_blob_stays_deleted_when_it_is_pushed_elsewhere() {
    let node = TestNode::plain();
    let admin = node.admin();
    let digest = push::blob(&admin, "shop/app", b"once here");
    let here = format!("/v2/shop/app/blobs/{digest}");
    admin.get(&here).expect(200);
    admin.send("DELETE", &here, &[], &[]).expect(202);
    push::blob(&admin, "other/app", b"once here");
    admin.get(&here).expect(404);
    admin.send("HEAD", &here, &[], &[]).expect(404);
}

#[test]
fn no_route_answers_without_being_asked_who() {
    let node = TestNode::plain();
    let admin = node.admin();
    let image = push::image(&admin, "shop/app", "1", "app");
    let blob = digest_of(&image.config);
    let open = ["/livez", "/readyz", "/metrics", "/service/token", "/api/v2.0/ping"];
    for target in open {
        assert!(node.web().get(target).status < 400, "{target}");
    }
    for target in [
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/shop/app/tags/list".to_owned(),
        "/v2/shop/app/manifests/1".to_owned(),
        format!("/v2/shop/app/blobs/{blob}"),
        format!("/v2/shop/app/referrers/{}", image.digest),
        "/v2/shop/app/blobs/uploads/00000000000000000000000000000000".to_owned(),
        "/api/v2.0/projects/shop".to_owned(),
        "/api/v2.0/projects/shop/repositories/app/artifacts".to_owned(),
        "/api/v2.0/users".to_owned(),
        "/api/v2.0/mesh/node/status".to_owned(),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let status = node.web().send(method, &target, &[], &[]).status;
            assert!([401, 404, 405].contains(&status), "{method} {target}: {status}");
        }
    }
}

#[test]
fn a_token_is_no_password() {
    let node = TestNode::plain();
    let answer = node.admin().get("/service/token?service=portolan&scope=registry:catalog:*").expect(200).json();
    let token = answer["token"].as_str().unwrap();
    node.web().signed_in("admin", token).get("/v2/_catalog").expect(401);
    let cookie = format!("token={token}; session={token}");
    node.web().send("GET", "/v2/_catalog", &[("Cookie", &cookie)], &[]).expect(401);
    let query = format!("/v2/_catalog?access_token={token}");
    node.web().get(&query).expect(401);
}

#[test]
fn referrers_name_nothing_of_other_repositories() {
    let node = TestNode::plain();
    let admin = node.admin();
    let subject = push::image(&admin, "shop/app", "1", "subject");
    push::blob(&admin, "secret/app", &subject.config);
    let mut body = push::image_manifest(&subject.config, &[]);
    body["subject"] = json!({"mediaType": push::MANIFEST, "digest": subject.digest, "size": subject.manifest.len()});
    push::manifest(&admin, "secret/app", "about", body.to_string().as_bytes()).expect(201);
    let listed = admin.get(&format!("/v2/shop/app/referrers/{}", subject.digest)).expect(200).json();
    assert_eq!(listed["manifests"].as_array().map(Vec::len), Some(0), "{listed}");
}

#[test]
fn the_answer_to_the_unauthorised_does_not_depend_on_the_body() {
    let node = TestNode::plain();
    let target = format!("/v2/shop/app/blobs/uploads/?digest={}", digest_of(b""));
    for (name, body) in [
        ("none", "Content-Length: 0\r\n\r\n".to_owned()),
        ("some", "Content-Length: 5\r\n\r\nabcde".to_owned()),
        // Said to be huge and never sent: the answer comes all the same.
        ("huge", "Content-Length: 99999999999\r\n\r\n".to_owned()),
        ("chunked", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_owned()),
        ("expected", "Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n".to_owned()),
    ] {
        let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}");
        let mut stream = connect(&node);
        stream.write_all(request.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 401", "{name}");
    }
}

#[test]
fn hostile_hosts_do_not_reach_the_challenge() {
    let node = TestNode::plain();
    for host in ["evil.example/x", "a\"b", "a b", "user@evil", "evil,other"] {
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(&node, request.as_bytes());
        assert!(status_of(&answer) == 400 || !answer.contains(host), "{host}: {answer}");
    }
    let request = "GET /v2/ HTTP/1.1\r\nHost: good.example:5000\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let answer = raw(&node, request.as_bytes());
    assert!(answer.contains("realm=\"http://good.example:5000/service/token\""), "{answer}");
    let answer =
        raw(&node, b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\tb{}<script>\r\nConnection: close\r\n\r\n");
    assert!(!answer.contains("<script>"), "{answer}");
}

#[test]
fn secrets_show_nowhere() {
    let canary = "canary-Zq7-never-shown";
    let setup = Setup {
        environment: vec![("PORTOLAN_ADMIN_PASSWORD".into(), canary.into())],
        config: "[log]\nfilter = \"trace\"\n".into(),
        ..Setup::default()
    };
    let node = TestNode::with(setup);
    let admin = node.web().signed_in("admin", canary);
    push::image(&admin, "shop/app", "1", "app");
    let token = admin.get("/service/token?service=portolan").expect(200).json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    node.web().send("GET", "/v2/", &[("Authorization", &bearer)], &[]).expect(200);
    node.web().signed_in("admin", &format!("wrong-{canary}")).get("/v2/").expect(401);
    let status = admin.get("/api/v2.0/mesh/node/status").expect(200).text();
    let metrics = node.web().get("/metrics").expect(200).text();
    let basic = {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(format!("admin:{canary}"))
    };
    for (place, text) in [("log", node.log()), ("status", status), ("metrics", metrics)] {
        for secret in [canary, token.as_str(), basic.as_str()] {
            assert!(!text.contains(secret), "a secret shows in the {place}");
        }
    }
    let mut files = Vec::new();
    all_files(&node.data(), &mut files);
    for file in files {
        let bytes = fs::read(&file).unwrap_or_default();
        assert!(!contains(&bytes, canary.as_bytes()), "the password lies in {}", file.display());
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn what_the_node_keeps_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = TestNode::plain();
    push::image(&node.admin(), "shop/app", "1", "app");
    let mut stack = vec![node.data()];
    while let Some(path) = stack.pop() {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
        if path.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
}

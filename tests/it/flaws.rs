//! Flaws others shipped, each kept out by a test. `docs/security/flaws.md` maps every published id to one of these, to
//! a test beside the code, or to the reason it can't apply yet; the last test here keeps that table honest.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tests::image::digest_of;
use tests::node::{PASSWORD, Setup, TestNode};
use tests::{push, wait};

/// A raw request on a connection of its own: what HTTP libraries would not send. Returns all that came back.
fn raw(node: &TestNode, request: &[u8]) -> String {
    let mut stream = connect(node);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A node that closes with unread input may reset: what came before counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(node: &TestNode) -> TcpStream {
    let stream = TcpStream::connect(node.registry().host.as_str()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[test]
fn unknown_and_privileged_fields_are_refused() {
    let node = TestNode::plain();
    for body in [
        json!({"project_name": "a", "owner_id": 1}),
        json!({"project_name": "a", "metadata": {"public": "true", "admin": "true"}}),
        json!({"project_name": "a", "created": 0}),
        json!({"project_name": "A B"}),
        json!({"project_name": "a/b"}),
        json!([]),
    ] {
        node.admin().post_json("/api/v2.0/projects", &body).expect(400);
    }
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

/// `admin:PASSWORD` as Basic wants it.
fn encoded() -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(format!("admin:{PASSWORD}"))
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
        "/api/v2.0/projects".to_owned(),
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

fn all_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all_files(&entry.path(), into);
        } else if kind.is_file() {
            into.push(entry.path());
        }
    }
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

#[test]
fn bodies_have_limits() {
    let node = TestNode::with(Setup { config: "[limits]\nblob = \"1MiB\"\n".into(), ..Setup::default() });
    let admin = node.admin();
    let huge = vec![b' '; 4 * 1024 * 1024 + 1];
    let refused = admin.send("PUT", "/v2/shop/app/manifests/x", &[("Content-Type", push::MANIFEST)], &huge);
    assert_eq!(refused.status, 413);
    let blob = vec![7; 1024 * 1024 + 1];
    let to = push::with_query(&push::begin(&admin, "shop/app"), &format!("digest={}", digest_of(&blob)));
    assert_eq!(admin.send("PUT", &to, &[], &blob).status, 413);
    // Without a length, too.
    let basic = encoded();
    let mut stream = connect(&node);
    let head = format!(
        "PUT /v2/shop/app/manifests/x HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        push::MANIFEST
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..65 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    let mut start = [0; 12];
    if stream.read_exact(&mut start).is_ok() {
        assert_eq!(&start, b"HTTP/1.1 413");
    }
    admin.get("/v2/shop/app/manifests/x").expect(404);
}

#[test]
fn every_route_has_a_body_limit() {
    let node = TestNode::plain();
    let admin = node.admin();
    let large = vec![b'x'; 8 << 20];
    for (method, target) in [
        ("POST", "/api/v2.0/projects"),
        ("POST", "/service/token"),
        ("POST", "/api/v2.0/mesh/node/gc"),
        ("POST", "/v2/_catalog"),
    ] {
        // Refused, or the connection closed on a body nobody reads; never taken in.
        if let Some(answer) = admin.try_send(method, target, &[("Content-Type", "application/json")], &large) {
            assert!(answer.status >= 400 || target.ends_with("/gc"), "{method} {target}: {}", answer.status);
        }
    }
    admin.get("/v2/").expect(200);
}

#[test]
fn a_compressed_body_is_not_unpacked() {
    let node = TestNode::plain();
    let admin = node.admin();
    // gzip of 1 MiB of zeros would be about 1 KiB; any gzip header will do to see that nobody looks inside.
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let headers = [("Content-Type", push::MANIFEST), ("Content-Encoding", "gzip")];
    let refused = admin.send("PUT", "/v2/shop/app/manifests/x", &headers, packed);
    assert!([400, 415].contains(&refused.status), "{}", refused.status);
    // A blob's bytes are kept as they came, whatever the header says.
    let digest = digest_of(packed);
    let to = push::with_query(&push::begin(&admin, "shop/app"), &format!("digest={digest}"));
    admin.send("PUT", &to, &[], packed).expect(201);
    let got = admin.send("GET", &format!("/v2/shop/app/blobs/{digest}"), &[("Accept-Encoding", "gzip")], &[]);
    assert_eq!(got.header("Content-Encoding"), "");
    assert_eq!(got.body, packed);
}

#[test]
fn deep_json_is_refused() {
    let node = TestNode::plain();
    let deep = format!("{{\"schemaVersion\":2,\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let refused = push::manifest(&node.admin(), "shop/app", "x", deep.as_bytes()).expect(400);
    assert_eq!(push::error_code(&refused), "MANIFEST_INVALID");
    let project = format!("{{\"project_name\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let refused =
        node.admin().send("POST", "/api/v2.0/projects", &[("Content-Type", "application/json")], project.as_bytes());
    assert!([400, 413].contains(&refused.status));
}

/// One HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// GET / on `x`, by the static table of HPACK alone (RFC 7541 appendix A).
const GET_ROOT: [u8; 6] = [0x82, 0x86, 0x84, 0x01, 0x01, b'x'];

fn http2(node: &TestNode) -> TcpStream {
    let mut stream = connect(node);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).unwrap();
    stream
}

/// Sends frames until the node closes the connection; panics when it takes them all.
fn is_cut_off(mut stream: TcpStream, name: &str, mut frames: impl FnMut(u32) -> Vec<u8>) {
    let mut sink = vec![0; 1 << 16];
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    for n in 0..200_000 {
        if stream.write_all(&frames(n)).is_err() {
            return;
        }
        if n % 256 == 0 {
            match stream.read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }
    panic!("{name}: the node took 200,000 frames");
}

#[test]
fn http2_floods_are_cut_off() {
    let node = TestNode::plain();
    is_cut_off(http2(&node), "rapid reset", |n| {
        let stream = 2 * n + 1;
        let mut bytes = frame(1, 0x5, stream, &GET_ROOT);
        bytes.extend(frame(3, 0, stream, &8u32.to_be_bytes()));
        bytes
    });
    is_cut_off(http2(&node), "continuation flood", |n| {
        if n == 0 { frame(1, 0x1, 1, &GET_ROOT) } else { frame(9, 0, 1, &[0x01, 0x01, b'x'].repeat(300)) }
    });
    // The node still serves.
    node.admin().get("/v2/").expect(200);
}

#[test]
fn a_stalled_handshake_is_ended() {
    let limits = "[limits]\nhead_timeout = \"500ms\"\n";
    let tls = TestNode::with(Setup { tls: true, config: limits.into(), ..Setup::default() });
    let plain = TestNode::with(Setup { config: limits.into(), ..Setup::default() });
    for (name, node, said) in [
        ("no handshake", &tls, &b""[..]),
        ("half a handshake", &tls, &b"\x16\x03\x01\x02\x00\x01"[..]),
        ("no request", &plain, &b""[..]),
        ("half a head", &plain, &b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: "[..]),
    ] {
        let mut stream = connect(node);
        stream.write_all(said).unwrap();
        let mut rest = Vec::new();
        // The node ends it: end of stream or a reset, long before our own limit of 30 s.
        let ended = stream.read_to_end(&mut rest);
        assert!(!matches!(&ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{name}: still open");
    }
    plain.admin().get("/v2/").expect(200);
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let limits = "[limits]\nidle_timeout = \"500ms\"\n";
    let node = TestNode::with(Setup { config: limits.into(), ..Setup::default() });
    let location = push::begin(&node.admin(), "shop/app");
    let path = location.split("/v2/").nth(1).map(|rest| format!("/v2/{rest}")).unwrap();
    let mut stream = connect(&node);
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\nContent-Length: 1000\r\n\r\nten bytes.",
        encoded()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(!matches!(&ended, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "still open");
    // The session is free again, with no more than was acknowledged or checkpointed.
    wait::until("the session to be free", Duration::from_secs(20), || {
        let answer = node.admin().send("PATCH", &path, &[], b"");
        (answer.status == 202).then_some(())
    });
}

#[test]
fn connections_are_bounded_and_given_back() {
    let node = TestNode::with(Setup { config: "[limits]\nconnections_per_address = 8\n".into(), ..Setup::default() });
    let held: Vec<TcpStream> = (0..64).map(|_| connect(&node)).collect();
    let refused = held.iter().filter(|stream| {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        matches!(stream.peek(&mut [0]), Ok(0) | Err(_))
            && !matches!(stream.peek(&mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(refused.count() >= 48, "more than the limit were taken");
    drop(held);
    wait::until("a connection to be free", Duration::from_secs(20), || {
        node.admin().try_send("GET", "/v2/", &[], &[]).filter(|answer| answer.status == 200)
    });
}

#[test]
fn metrics_carry_no_names() {
    let node = TestNode::plain();
    let admin = node.admin();
    for n in 0..20 {
        admin.get(&format!("/v2/canary-{n}/app/manifests/canary-{n}"));
        node.web().signed_in(&format!("canary-{n}"), "x").get("/v2/");
        admin.get(&format!("/canary-{n}"));
        raw(&node, b"CANARY /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    let metrics = node.web().get("/metrics").expect(200).text();
    assert!(metrics.contains("# TYPE"), "{metrics}");
    assert!(!metrics.to_lowercase().contains("canary"), "a name became a label:\n{metrics}");
    assert!(metrics.lines().count() < 2000);
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

/// The published ids of the classes this issue answers for.
const IDS: &str = "CVE-2019-16097 CVE-2019-16919 CVE-2019-19023 CVE-2022-31666 CVE-2022-31667 CVE-2022-31668 CVE-2022-31669 \
CVE-2022-31670 CVE-2022-31671 CVE-2024-22278 CVE-2020-29662 CVE-2019-19030 CVE-2020-13794 CVE-2022-46463 CVE-2026-31801 \
CVE-2025-23208 CVE-2024-39897 CVE-2026-35172 CVE-2026-41888 CVE-2026-32589 pulp_container-1286 openshift-origin-9819 \
artifact-keeper-3261 artifact-keeper-3269 artifact-keeper-3316 GHSA-9rqp-mgmw-5879 GHSA-4j4m-fchf-gr9r CVE-2026-33343 \
CVE-2026-73499 CVE-2024-41110 CVE-2026-34040 CVE-2026-26205 CVE-2026-33186 CVE-2026-58440 CVE-2025-55190 \
CVE-2025-24976 CVE-2026-33322 CVE-2026-28699 CVE-2025-68941 CVE-2025-68944 CVE-2026-56654 CVE-2025-62506 CVE-2026-55987 \
GHSA-7qjx-gp9h-65qj CVE-2022-31034 CVE-2023-20902 CVE-2025-59350 CVE-2026-32595 CVE-2026-41263 CVE-2026-33419 \
CVE-2017-14623 CVE-2024-9683 RUSTSEC-2026-0199 CVE-2026-4404 CVE-2023-27584 CVE-2024-5891 \
CVE-2021-41190 GHSA-qq97-vm5h-rrhg GHSA-5j5w-g665-5m35 CVE-2024-37032 CVE-2026-7020 CVE-2024-3727 artifact-keeper-3116 \
nora-581 nora-587 GHSA-qxv7-p3mq-88fv GHSA-qv35-3gw6-8q4j CVE-2021-21272 CVE-2026-50162 CVE-2026-50163 CVE-2026-40090 \
CVE-2021-3762 RUSTSEC-2025-0111 RUSTSEC-2026-0067 RUSTSEC-2026-0068 RUSTSEC-2025-0168 CVE-2026-53488 \
CVE-2017-11468 CVE-2023-2253 RUSTSEC-2022-0055 CVE-2023-25153 CVE-2026-54448 CVE-2023-30551 CVE-2026-48702 CVE-2023-44487 \
RUSTSEC-2023-0034 RUSTSEC-2024-0003 RUSTSEC-2024-0332 RUSTSEC-2026-0258 CVE-2026-73500 CVE-2026-26999 CVE-2026-27571 \
CVE-2024-40634 CVE-2025-59537 RUSTSEC-2026-0009 CVE-2022-24713 RUSTSEC-2024-0437 CVE-2026-49835";

#[test]
fn every_published_flaw_has_its_test_or_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/security/flaws.md")).unwrap();
    let mut sources = Vec::new();
    for dir in ["protocol/src", "node/src", "tests/it"] {
        all_files(&root.join(dir), &mut sources);
    }
    let code: String = sources.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
    let mut listed = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [ids, _what, test, reason] = cells[..] else { panic!("a row has four cells: {row}") };
        listed.extend(ids.split(", ").map(str::to_owned));
        assert!(!test.is_empty() || reason.len() > 20, "neither test nor reason: {row}");
        for name in test.split(", ").filter(|name| !name.is_empty()) {
            let function = name.trim_matches('`').rsplit("::").next().unwrap();
            assert!(code.contains(&format!("fn {function}(")), "no test is called {name}");
        }
    }
    let wanted: BTreeSet<String> = IDS.split_whitespace().map(str::to_owned).collect();
    let missing: Vec<_> = wanted.difference(&listed).collect();
    assert!(missing.is_empty(), "flaws without a row: {missing:?}");
}

//! Too much of something: bodies, depth, frames, connections, time, labels.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tests::image::digest_of;
use tests::node::{Setup, TestNode};
use tests::{push, wait};

use super::{connect, encoded, raw};

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

/// Whether a ping is answered; else the connection has ended.
fn ping(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut sent = stream.write_all(&frame(6, 0, 0, &[7; 8])).is_ok();
    while sent && !bytes.windows(8).any(|eight| eight == [7; 8]) {
        let mut part = [0; 1024];
        match stream.read(&mut part) {
            Ok(read @ 1..) => bytes.extend_from_slice(&part[..read]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("neither answered nor ended"),
            Ok(0) | Err(_) => sent = false,
        }
    }
    sent
}

#[test]
fn a_connection_that_only_pings_is_idle() {
    let node = TestNode::with(Setup { config: "[limits]\nidle_timeout = \"500ms\"\n".into(), ..Setup::default() });
    let mut stream = http2(&node);
    stream.write_all(&frame(1, 0x5, 1, &GET_ROOT)).unwrap();
    let mut answered = 0;
    wait::until("its end: pings ask for nothing", Duration::from_secs(20), || {
        if !ping(&mut stream) {
            return Some(());
        }
        answered += 1;
        None
    });
    assert!(answered > 1, "they were answered before");
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

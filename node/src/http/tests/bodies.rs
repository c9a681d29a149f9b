//! Bodies of requests: bounded, read once their sender is let in, and never waited for for ever.

use std::time::Duration;

use protocol::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::asking::{PILOT, basic_of};
use super::{Answer, Edge, basic, quick};

#[tokio::test]
async fn bodies_are_bounded_and_authorised_before_they_are_read() {
    let edge = Edge::start().await;
    let huge = format!("Content-Length: {}\r\n", 5 << 20);
    for target in ["/v2/a/b/manifests/x", "/v2/a/b/blobs/uploads/?digest=sha256:00"] {
        let method = if target.contains("manifests") { "PUT" } else { "POST" };
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n{huge}\r\n");
        assert_eq!(edge.raw(request).await.status, 401, "{target}");
    }
    let request = format!("PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}{huge}\r\n", basic());
    assert_eq!(edge.raw(request).await.status, 413);
    let chunked = format!(
        "PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        basic(),
        5 << 20,
        "x".repeat(5 << 20)
    );
    let mut stream = edge.connect().await;
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let sent = async {
        let _ = write.write_all(chunked.as_bytes()).await;
    };
    let got = async {
        let _ = read.read_to_end(&mut answer).await;
    };
    tokio::join!(sent, got);
    assert_eq!(Answer::read(&answer).status, 413);
}

#[tokio::test]
async fn a_refusal_reaches_one_who_is_still_sending() {
    let edge = Edge::start().await;
    let mut stream = edge.connect().await;
    let head = "PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The refusal is there by now, and the whole body is sent before it is looked at, as simple clients do.
    stream.readable().await.unwrap();
    for _ in 0..10 {
        stream.write_all(&[b'x'; 100_000]).await.unwrap();
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answer::read(&bytes).status, 401);
}

#[tokio::test]
async fn one_who_waits_for_100_continue_gets_it_once_let_in() {
    let edge = Edge::start().await;
    let digest = Digest::sha256(b"hello");
    let mut stream = edge.connect().await;
    let head = format!(
        "POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n{}\r\n",
        basic()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 25];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(Answer::read(&rest).status, 201);
}

#[tokio::test]
async fn a_body_that_stalls_ends_its_request() {
    let edge = Edge::with(quick()).await;
    let begun = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    let location = begun.header("location").unwrap().to_owned();
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{}\r\nabc", basic());
    let answer = edge.raw(head).await;
    assert_eq!(answer.status, 408);
    // The session is free again.
    assert_eq!(edge.admin("PATCH", &location, "", b"abc").await.status, 202);
}

/// Waits for an answer, and sends one more byte each time none has come for a while, well within the time one piece
/// may take; whether the answer is 408 before 25 bytes.
async fn trickled(edge: &Edge, head: String) -> bool {
    let mut stream = edge.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..25 {
        if tokio::time::timeout(Duration::from_millis(200), stream.readable()).await.is_ok() {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            return Answer::read(&bytes).status == 408;
        }
        stream.write_all(b"x").await.unwrap();
    }
    false
}

#[tokio::test]
async fn a_body_that_trickles_ends_its_request() {
    let edge = Edge::with(quick()).await;
    let begun = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    let location = begun.header("location").unwrap().to_owned();
    let rest = "HTTP/1.1\r\nHost: x\r\nContent-Length: 10000";
    assert!(trickled(&edge, format!("POST /service/token {rest}\r\n\r\n")).await, "without log-in");
    assert!(trickled(&edge, format!("POST /api/v2.0/projects {rest}\r\n{}\r\n", basic())).await);
    assert!(trickled(&edge, format!("PUT /v2/a/b/manifests/x {rest}\r\n{}\r\n", basic())).await);
    assert!(trickled(&edge, format!("PATCH {location} {rest}\r\n{}\r\n", basic())).await);
}

#[tokio::test]
async fn who_lost_a_right_while_sending_a_body_does_nothing_by_it() {
    let edge = Edge::start().await;
    let ann = edge.enrol("ann").await;
    let power = |is: bool| serde_json::json!({ "sysadmin_flag": is });
    let of_ann = format!("/users/{ann}/sysadmin");
    let robot = serde_json::json!({ "name": "spy", "level": "system", "duration": -1, "permissions": [
        { "kind": "system", "namespace": "/", "access": [{ "resource": "user", "action": "list" }] },
    ] });
    let undelete = serde_json::json!({ "repository": "shop/app", "tag": "1" });
    let label = serde_json::json!({ "name": "hers", "scope": "g" });
    for (method, target, body, kept) in [
        // For administrators, over the system, and one whose handler asks itself.
        ("POST", "/api/v2.0/mesh/node/undelete", undelete, 404),
        ("PUT", "/api/v2.0/configurations", serde_json::json!({ "session_timeout": 61 }), 200),
        ("POST", "/api/v2.0/labels", label, 201),
        ("POST", "/api/v2.0/robots", robot, 201),
    ] {
        for still in [false, true] {
            assert_eq!(edge.order("PUT", &of_ann, power(true)).await.status, 200);
            let body = body.to_string();
            let (head, length) = (basic_of("ann", PILOT), body.len());
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\
                 Content-Length: {length}\r\n{head}\r\n"
            );
            let mut stream = edge.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            // She is let in by now: the body is asked for.
            let mut go = [0; 25];
            stream.read_exact(&mut go).await.unwrap();
            assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(edge.order("PUT", &of_ann, power(still)).await.status, 200);
            stream.write_all(body.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            let status = Answer::read(&bytes).status;
            assert_eq!(status, if still { kept } else { 403 }, "{method} {target} {still}");
        }
    }
}

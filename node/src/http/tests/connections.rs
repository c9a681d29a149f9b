//! Connections: their number, their idleness, and how they end.

use std::time::Duration;

use protocol::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Edge, basic, quick};
use crate::http::body::tests::pattern;
use crate::world::until::until;

/// Whether the other side ends the connection within five seconds.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await.is_ok()
}

#[tokio::test]
async fn connections_that_do_nothing_are_ended() {
    let edge = Edge::with(quick()).await;
    let mut silent = edge.connect().await;
    let mut half_preface = edge.connect().await;
    half_preface.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut half_head = edge.connect().await;
    half_head.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut kept = edge.connect().await;
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut fifth = edge.connect().await;
    assert!(ends(&mut fifth).await, "over the bound of one address");
    for (name, stream) in
        [("silent", &mut silent), ("preface", &mut half_preface), ("head", &mut half_head), ("kept", &mut kept)]
    {
        assert!(ends(stream).await, "{name}");
    }
}

#[tokio::test]
async fn an_answer_nobody_reads_is_given_up() {
    let edge = Edge::with(quick()).await;
    let bytes = pattern(7 << 20);
    let digest = edge.push_blob("open/app", &bytes).await;
    until("the end of the push", || edge.app.metrics().connections.get() == 0).await;
    let mut stream = edge.connect().await;
    let many = format!("GET /v2/open/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(8);
    stream.write_all(many.as_bytes()).await.unwrap();
    let connections = &edge.app.metrics().connections;
    until("the one connection", || connections.get() == 1).await;
    let began = tokio::time::Instant::now();
    until("its end, as nobody read", || connections.get() == 0).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "not at once");
    assert!(edge.app.metrics().render().contains(r#"refused_connections_total{outcome="stalled"} 1"#));
}

#[tokio::test]
async fn draining_finishes_what_runs_and_takes_nothing_new() {
    let edge = Edge::with(quick()).await;
    let digest = Digest::sha256(b"hello");
    let mut running = edge.connect().await;
    let head = format!(
        "POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n{}\r\nhel",
        basic()
    );
    running.write_all(head.as_bytes()).await.unwrap();
    until("the request", || edge.app.metrics().in_flight.get() == 1).await;
    let stop = edge.scope.stop(Duration::from_secs(5));
    let rest = async {
        let refused = async { while TcpStream::connect(edge.address).await.is_ok() {} };
        assert!(tokio::time::timeout(Duration::from_secs(5), refused).await.is_ok(), "nothing new is taken");
        running.write_all(b"lo").await.unwrap();
        let mut bytes = Vec::new();
        running.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Answer::read(&bytes).status, 201);
    };
    let (left, ()) = tokio::join!(stop, rest);
    assert_eq!(left, 0);
}

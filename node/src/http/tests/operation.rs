//! What an operator sees: ids, health, numbers, projects, upkeep, and the socket of the machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Edge, open_meta, upkeep};
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::redb::RedbMeta;
use crate::storage::uploads::tests::Yard;
use crate::workers::Scope;
use crate::world::RealClock;
use crate::world::scratch::Scratch;

#[tokio::test]
async fn ids_methods_namespaces_and_unknown_paths() {
    let edge = Edge::start().await;
    let answer = edge.admin("GET", "/v2/", "X-Request-Id: my-id\r\n", b"").await;
    assert_eq!(answer.header("x-request-id"), Some("my-id"));
    let odd = edge.admin("GET", "/v2/", "X-Request-Id: a b\r\n", b"").await;
    assert_ne!(odd.header("x-request-id"), Some("a b"));
    let wrong = edge.admin("POST", "/v2/a/b/tags/list", "", b"").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    for target in
        ["/", "/v2", "/v2/x", "//v2/", "/v2//_catalog", "/service/token/", "/api/v2.0/x", "/v2/a%2Fb/tags/list"]
    {
        let answer = edge.admin("GET", target, "", b"").await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["code"]), (404, &"UNSUPPORTED".into()), "{target}");
    }
    let digest = edge.push_blob("a/b", b"x").await;
    for (ns, status) in [("docker.io", 404), ("reg.example", 200)] {
        assert_eq!(edge.admin("GET", &format!("/v2/a/b/blobs/{digest}?ns={ns}"), "", b"").await.status, status);
    }
    let referrers = edge.admin("GET", &format!("/v2/a/b/referrers/{digest}?ns=docker.io"), "", b"").await;
    assert_eq!((referrers.status, &referrers.json()["manifests"]), (200, &serde_json::json!([])), "none are here");
}

#[tokio::test]
async fn health_and_numbers_need_no_log_in() {
    let edge = Edge::start().await;
    assert_eq!(edge.send("GET", "/livez", "", b"").await.status, 200);
    assert_eq!(edge.send("GET", "/readyz", "", b"").await.body, b"ready\n");
    edge.health.fail("test");
    let ready = edge.send("GET", "/readyz", "", b"").await;
    assert_eq!((ready.status, ready.body.as_slice()), (200, b"ready, read-only\n".as_slice()));
    let refused = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("60")));
    edge.app.readiness().draining();
    assert_eq!(edge.send("GET", "/readyz", "", b"").await.status, 503);
    let numbers = edge.send("GET", "/metrics", "", b"").await;
    assert!(String::from_utf8_lossy(&numbers.body).contains("portolan_http_requests_total{route=\"uploads\""));
}

#[tokio::test]
async fn projects_are_made_once_and_by_administrators() {
    let edge = Edge::start().await;
    let body = br#"{"project_name":"shop","metadata":{"public":"true"}}"#;
    assert_eq!(edge.send("POST", "/api/v2.0/projects", "", body).await.status, 401);
    let made = edge.admin("POST", "/api/v2.0/projects", "", body).await;
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v2.0/projects/1")));
    assert_eq!(edge.admin("POST", "/api/v2.0/projects", "", body).await.status, 409);
    let foreign = edge.admin("POST", "/api/v2.0/projects", "Origin: https://evil.example\r\n", body).await;
    assert_eq!(foreign.status, 403);
    let page = edge.admin("GET", "/api/v2.0/projects?page=2&page_size=1", "", b"").await;
    assert_eq!((page.json()[0]["name"].clone(), page.header("x-total-count")), ("shop".into(), Some("2")));
    assert_eq!(edge.admin("GET", "/api/v2.0/projects?page=3&page_size=1", "", b"").await.json(), serde_json::json!([]));
    for target in ["gc?dry_run=true", "gc", "scrub", "snapshot"] {
        let done = edge.admin("POST", &format!("/api/v2.0/mesh/node/{target}"), "", b"").await;
        assert_eq!(done.status, 200, "{target}: {done:?}");
    }
    let status = edge.admin("GET", "/api/v2.0/mesh/node/status", "", b"").await;
    assert_eq!(status.json()["counts"]["projects"], 2);
    assert_eq!(edge.send("GET", "/api/v2.0/ping", "", b"").await.body, b"Pong");
}

#[tokio::test]
async fn the_operators_socket_needs_no_password() {
    let edge = Edge::start().await;
    let mut stream = tokio::net::UnixStream::connect(edge.dir.path("s")).await.unwrap();
    stream.write_all(b"GET /v2/_catalog HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answer::read(&bytes).status, 200);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(edge.dir.path("s")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn when_upkeep_was_done_is_known_after_a_restart() {
    let (dir, scope, yard) = (Scratch::new(), Scope::new(), Yard::new());
    let meta = Arc::new(open_meta(&dir, &yard.health));
    let blobs = Arc::new(MemoryBlobs::new(Arc::new(RealClock::new())));
    let store = yard.store(Arc::<RedbMeta>::clone(&meta), blobs);
    let first = upkeep(&store, Arc::clone(&meta), &dir, &scope);
    assert_eq!((first.scrub_age().await, first.snapshot_age()), (None, None));
    assert!(first.scrub().await.unwrap().complete);
    first.snapshot().await.unwrap();
    let second = upkeep(&store, meta, &dir, &scope);
    let recent = |age: Option<Duration>| age.is_some_and(|age| age < Duration::from_secs(60));
    assert!(recent(second.scrub_age().await) && recent(second.snapshot_age()));
}

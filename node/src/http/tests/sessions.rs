//! Sessions of browsers: how they begin, what a page of another site can't do with them, and how they end.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Edge, PASSWORD, basic};
use crate::config::{Config, Tls};
use crate::world::scratch::Scratch;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// The log-ins and log-outs the audit log tells of: who, what, whether it was done; the newest first.
async fn told(edge: &Edge) -> Vec<(String, String, bool)> {
    edge.drain().await;
    let path = "/api/v2.0/auditlog-exts?q=operation%3D%7Blogin%20logout%7D";
    let answer = edge.admin("GET", path, "", b"").await.json();
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
    let told = answer.as_array().unwrap().iter();
    told.map(|one| (text(one, "username"), text(one, "operation"), one["operation_result"] == true)).collect()
}

async fn log_in(edge: &Edge, headers: &str, password: &str) -> Answer {
    let form = format!("principal=admin&password={}", password.replace(' ', "+"));
    edge.send("POST", "/c/login", &format!("{FORM}{headers}"), form.as_bytes()).await
}

/// The cookie of an answer, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let pair = answer.header("set-cookie").unwrap().split(';').next().unwrap();
    format!("Cookie: other=1; {pair}\r\n")
}

#[tokio::test]
async fn a_session_begins_under_a_new_name_and_the_one_of_before_ends() {
    let edge = Edge::start().await;
    let planted = log_in(&edge, "Cookie: sid=planted\r\n", PASSWORD).await;
    assert_eq!(planted.status, 200);
    let set = planted.header("set-cookie").unwrap();
    assert!(!set.contains("planted") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    let first = cookie(&planted);
    assert_eq!(edge.send("GET", "/api/v2.0/users/current", &first, b"").await.json()["username"], "admin");
    assert_eq!(edge.send("GET", "/api/v2.0/users/current", "Cookie: sid=planted\r\n", b"").await.status, 401);
    let second = cookie(&log_in(&edge, &first, PASSWORD).await);
    assert_ne!(first, second);
    assert_eq!(edge.send("GET", "/api/v2.0/users/current", &first, b"").await.status, 401);
    assert_eq!(edge.send("GET", "/v2/", &second, b"").await.status, 401, "it is for browsers alone");
    let out = edge.send("GET", "/c/log_out", &second, b"").await;
    assert!(out.header("set-cookie").unwrap().contains("sid=; ") && out.head.contains("Max-Age=0"));
    assert_eq!(edge.send("GET", "/api/v2.0/users/current", &second, b"").await.status, 401);
}

#[tokio::test]
async fn what_changes_something_needs_the_second_token_and_our_own_page() {
    let edge = Edge::start().await;
    let session = cookie(&log_in(&edge, "", PASSWORD).await);
    let other = log_in(&edge, "", PASSWORD).await.header("x-harbor-csrf-token").unwrap().to_owned();
    let own = edge.send("GET", "/api/v2.0/users/current", &session, b"").await;
    let own = own.header("x-harbor-csrf-token").unwrap().to_owned();
    let body = br#"{"group_name":"crew","group_type":3}"#;
    let post = async |headers: String| edge.send("POST", "/api/v2.0/usergroups", &headers, body).await.status;
    assert_eq!(post(session.clone()).await, 403, "none");
    assert_eq!(post(format!("{session}X-Harbor-CSRF-Token: {other}\r\n")).await, 403, "of another session");
    let right = format!("{session}X-Harbor-CSRF-Token: {own}\r\n");
    assert_eq!(post(format!("{right}Origin: https://evil.example\r\n")).await, 403, "from another page");
    assert_eq!(post(format!("{right}Origin: http://reg.example\r\n")).await, 201);
    assert_eq!(log_in(&edge, "Origin: https://evil.example\r\n", PASSWORD).await.status, 403);
}

#[tokio::test]
async fn a_wrong_password_begins_nothing_and_a_new_one_ends_all() {
    let edge = Edge::start().await;
    let wrong = log_in(&edge, "", "wrong").await;
    assert_eq!((wrong.status, wrong.header("set-cookie"), wrong.header("www-authenticate")), (401, None, None));
    let session = cookie(&log_in(&edge, "", PASSWORD).await);
    let body = format!(r#"{{"old_password":"{PASSWORD}","new_password":"Boat-Swain-4711"}}"#);
    let set = edge.send("PUT", "/api/v2.0/users/1/password", &basic(), body.as_bytes()).await;
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(edge.send("GET", "/api/v2.0/users/current", &session, b"").await.status, 401);
    assert_eq!(log_in(&edge, "", PASSWORD).await.status, 401);
    for _ in 0..6 {
        log_in(&edge, "", "wrong").await;
    }
    let slow = log_in(&edge, "", "wrong").await;
    assert_eq!((slow.status, slow.header("retry-after").is_some()), (429, true));
}

#[tokio::test]
async fn the_audit_log_tells_who_came_by_the_form_who_failed_and_who_left() {
    let edge = Edge::start().await;
    let session = cookie(&log_in(&edge, "", PASSWORD).await);
    log_in(&edge, "", "wrong").await;
    edge.send("GET", "/c/log_out", &session, b"").await;
    edge.send("GET", "/c/log_out", &session, b"").await;
    let admin = |operation: &str, done| ("admin".to_owned(), operation.to_owned(), done);
    let want = [admin("logout", true), admin("login", false), admin("login", true)];
    assert_eq!(told(&edge).await, want, "who left already does not leave again");
}

/// A certificate for `localhost` that is its own authority, good until 2126, and the key that goes with it: for tests alone.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

/// Sends a request over TLS and reads to the end of the connection.
async fn over_tls(edge: &Edge, request: &str) -> Answer {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect(name, edge.connect().await).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Whether the end is said in TLS's own words or not does not matter here.
    let _ = stream.read_to_end(&mut bytes).await;
    Answer::read(&bytes)
}

#[tokio::test]
async fn the_cookie_of_a_session_is_secure_over_tls_and_not_over_plain_loopback() {
    let dir = Scratch::new();
    let (cert, key) = (dir.path("certificate.pem"), dir.path("key.pem"));
    std::fs::write(&cert, CERTIFICATE).unwrap();
    std::fs::write(&key, KEY).unwrap();
    let mut config = Config::default();
    config.http.tls = Some(Tls { cert, key });
    let edge = Edge::with(config).await;
    let form = format!("principal=admin&password={}", PASSWORD.replace(' ', "+"));
    let length = form.len();
    let head =
        format!("POST /c/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n");
    let answer = over_tls(&edge, &format!("{head}{FORM}\r\n{form}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let attributes = |answer: &Answer| -> Vec<String> {
        answer.header("set-cookie").unwrap().split("; ").skip(1).map(str::to_owned).collect()
    };
    assert!(attributes(&answer).contains(&"Secure".to_owned()), "{answer:?}");
    let plain = log_in(&Edge::start().await, "", PASSWORD).await;
    assert_eq!(plain.status, 200);
    assert!(!attributes(&plain).contains(&"Secure".to_owned()), "no browser would send it back: {plain:?}");
}

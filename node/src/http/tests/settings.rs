//! What a node says of itself, and settings that take effect.

use serde_json::{Value, json};

use super::Edge;

const HERE: &str = "/api/v2.0/configurations";

async fn set(edge: &Edge, value: Value) -> u16 {
    edge.admin("PUT", HERE, "", value.to_string().as_bytes()).await.status
}

#[tokio::test]
async fn a_node_tells_strangers_little_and_the_others_more() {
    let edge = Edge::start().await;
    assert_eq!(edge.send("GET", "/api/v2.0/ping", "", b"").await.body, b"Pong");
    let stranger = edge.send("GET", "/api/v2.0/systeminfo", "", b"").await.json();
    let keys: Vec<_> = stranger.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["auth_mode", "banner_message", "oidc_provider_name", "primary_auth_mode", "self_registration"]);
    let admin = edge.admin("GET", "/api/v2.0/systeminfo", "", b"").await.json();
    assert!(admin["harbor_version"].as_str().unwrap().contains(env!("CARGO_PKG_VERSION")));
    assert_eq!((&admin["registry_url"], &admin["read_only"]), (&json!("reg.example"), &json!(false)));
    let volumes = edge.admin("GET", "/api/v2.0/systeminfo/volumes", "", b"").await.json();
    assert!(volumes["storage"][0]["total"].as_u64().unwrap() > 0);
    assert_eq!(edge.send("GET", "/api/v2.0/systeminfo/volumes", "", b"").await.status, 401);
    assert_eq!(edge.admin("GET", "/api/v2.0/systeminfo/getcert", "", b"").await.status, 404);
    assert_eq!(edge.admin("GET", "/api/v2.0/internalconfig", "", b"").await.status, 401);
    assert_eq!(edge.send("GET", "/api/v2.0/mesh/openapi.json", "", b"").await.json()["openapi"], "3.1.0");
    edge.push_blob("secret/app", b"x").await;
    let numbers = edge.admin("GET", "/api/v2.0/statistics", "", b"").await.json();
    assert_eq!((&numbers["public_project_count"], &numbers["private_project_count"]), (&json!(1), &json!(1)));
    assert_eq!((&numbers["total_repo_count"], &numbers["total_storage_consumption"]), (&json!(1), &json!(1)));
    assert_eq!(edge.send("GET", "/api/v2.0/statistics", "", b"").await.status, 401);
}

#[tokio::test]
async fn a_part_that_is_not_well_is_named() {
    let edge = Edge::start().await;
    let well = edge.send("GET", "/api/v2.0/health", "", b"").await.json();
    assert_eq!((&well["status"], well["components"].as_array().unwrap().len()), (&json!("healthy"), 4));
    edge.health.fail("a cause with /secret/paths");
    let ill = edge.send("GET", "/api/v2.0/health", "", b"").await;
    assert_eq!((ill.status, &ill.json()["status"]), (200, &json!("unhealthy")));
    assert!(!String::from_utf8_lossy(&ill.body).contains("/secret/"), "causes are not for strangers");
}

#[tokio::test]
async fn settings_are_kept_and_take_effect() {
    let edge = Edge::start().await;
    let shown = edge.admin("GET", HERE, "", b"").await.json();
    assert_eq!(shown["auth_mode"], json!({ "value": "db_auth", "editable": false }));
    assert_eq!(shown["robot_name_prefix"], json!({ "value": "robot$", "editable": true }));
    assert_eq!(shown["token_expiration"], json!({ "value": 5, "editable": false }));
    assert_eq!(shown["ldap_url"], json!({ "value": "", "editable": false }));
    for bad in [
        json!({ "auth_mode": "horoscope" }),
        json!({ "token_expiration": -5 }),
        json!({ "read_only": "perhaps" }),
        json!({ "no_such_item": 1 }),
        json!({ "self_registration": true, "storage_per_project": 0 }),
    ] {
        assert_eq!(set(&edge, bad.clone()).await, 400, "{bad}");
    }
    assert_eq!(edge.admin("PUT", HERE, "", b"{").await.status, 400);
    assert_eq!(edge.send("PUT", HERE, "", b"{}").await.status, 401);
    assert_eq!(edge.admin("GET", HERE, "", b"").await.json(), shown, "nothing of all that was kept");
    assert_eq!(set(&edge, json!({ "storage_per_project": 4096, "banner_message": "hello" })).await, 200);
    let registry = &edge.app.parts.registry;
    assert_eq!(registry.quota_of(&"open".parse().unwrap()), Some(4096));
    assert_eq!(edge.send("GET", "/api/v2.0/systeminfo", "", b"").await.json()["banner_message"], "hello");
    assert_eq!(set(&edge, json!({ "quota_per_project_enable": false })).await, 200);
    assert_eq!(registry.quota_of(&"open".parse().unwrap()), None);
}

#[tokio::test]
async fn types_switched_off_are_not_written_from_then_on() {
    let edge = Edge::start().await;
    assert_eq!(set(&edge, json!({ "disabled_audit_log_event_types": "login_user,pull_artifact" })).await, 200);
    edge.admin("GET", "/service/token", "", b"").await;
    edge.drain().await;
    let logins = edge.admin("GET", "/api/v2.0/auditlog-exts?q=operation=login", "", b"").await;
    assert_eq!(logins.json(), json!([]));
    assert_eq!(set(&edge, json!({ "disabled_audit_log_event_types": "" })).await, 200);
    edge.admin("GET", "/service/token", "", b"").await;
    edge.drain().await;
    let logins = edge.admin("GET", "/api/v2.0/auditlog-exts?q=operation=login", "", b"").await;
    assert_eq!(logins.header("x-total-count"), Some("1"));
    let changes = edge.admin("GET", "/api/v2.0/auditlog-exts?q=resource_type=configuration", "", b"").await;
    assert_eq!(changes.header("x-total-count"), Some("2"), "what was changed is told: {changes:?}");
}

#[tokio::test]
async fn while_everything_is_read_only_nothing_changes_until_that_is_ended() {
    let edge = Edge::start().await;
    edge.push_blob("open/app", b"x").await;
    assert_eq!(set(&edge, json!({ "read_only": true })).await, 200);
    let digest = protocol::Digest::sha256(b"x");
    let path = format!("/v2/open/app/blobs/{digest}");
    for (method, target) in
        [("POST", "/v2/open/app/blobs/uploads/"), ("DELETE", &*path), ("POST", "/api/v2.0/projects")]
    {
        let refused = edge.admin(method, target, "", b"{}").await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["code"]), (403, &json!("DENIED")), "{target}");
    }
    assert_eq!(edge.admin("GET", &path, "", b"").await.body, b"x");
    assert_eq!(edge.admin("GET", "/service/token", "", b"").await.status, 200);
    assert_eq!(edge.admin("POST", "/api/v2.0/mesh/node/gc?dry_run=true", "", b"").await.status, 200);
    assert_eq!(edge.admin("GET", "/api/v2.0/systeminfo", "", b"").await.json()["read_only"], true);
    assert_eq!(set(&edge, json!({ "read_only": false })).await, 200);
    assert_eq!(edge.admin("DELETE", &path, "", b"").await.status, 202);
}

//! Whole projects, deleted at once and brought back, by administrators alone.

use serde_json::json;

use super::Edge;

const API: &str = "/api/v2.0";

impl Edge {
    async fn done(&self, method: &str, target: &str) -> u16 {
        self.admin(method, &format!("{API}{target}"), "", b"").await.status
    }
}

#[tokio::test]
async fn a_full_project_is_deleted_at_once_and_brought_back_with_all_it_held() {
    let edge = Edge::start().await;
    let config = edge.push_blob("shop/till", b"{}").await;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let body = json!({
        "schemaVersion": 2, "mediaType": kind, "layers": [],
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
    });
    let (body, tag) = (body.to_string().into_bytes(), "/v2/shop/till/manifests/1");
    assert_eq!(edge.admin("PUT", tag, &format!("Content-Type: {kind}\r\n"), &body).await.status, 201);
    let before = edge.admin("GET", &format!("{API}/projects/shop"), "", b"").await.json();
    assert_eq!(edge.done("DELETE", "/projects/shop").await, 412, "by Harbor's route it stays");
    assert_eq!(edge.done("POST", "/mesh/projects/shop/undelete").await, 409, "it is there");
    for (method, target) in [("DELETE", "/mesh/projects/shop"), ("POST", "/mesh/projects/shop/undelete")] {
        assert_eq!(edge.send(method, &format!("{API}{target}"), "", b"").await.status, 401, "{target}");
    }
    assert_eq!(edge.done("DELETE", "/mesh/projects/shop").await, 200);
    assert_eq!(edge.done("DELETE", "/mesh/projects/shop").await, 404);
    assert_eq!(edge.done("GET", "/projects/shop").await, 404);
    assert_ne!(edge.admin("GET", tag, "", b"").await.status, 200);
    let back = edge.admin("POST", &format!("{API}/mesh/projects/shop/undelete"), "", b"").await;
    assert_eq!((back.status, back.json()), (200, json!({ "manifests": 1, "lost": 0 })));
    assert_eq!(edge.done("POST", "/mesh/projects/shop/undelete").await, 409, "nothing is left to bring back");
    let after = edge.admin("GET", &format!("{API}/projects/shop"), "", b"").await.json();
    assert_eq!((&after["project_id"], &after["repo_count"]), (&before["project_id"], &json!(1)));
    let artifacts =
        edge.admin("GET", &format!("{API}/projects/shop/repositories/till/artifacts"), "", b"").await.json();
    assert_eq!(artifacts[0]["tags"][0]["name"], "1");
    assert_eq!(edge.admin("GET", tag, "", b"").await.body, body);
    for absent in ["never", "NEVER"] {
        assert_eq!(edge.done("POST", &format!("/mesh/projects/{absent}/undelete")).await, 404, "{absent}");
        assert_eq!(edge.done("DELETE", &format!("/mesh/projects/{absent}")).await, 404, "{absent}");
    }
}

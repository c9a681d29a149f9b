//! Labels on artifacts: put on, found by, taken off, and gone with what they were on.

use serde_json::{Value, json};

use super::Edge;
use super::asking::number;

const AT: &str = "/projects/shop/repositories/till/artifacts";

impl Edge {
    async fn make_label(&self, body: Value) -> u64 {
        number(&self.order("POST", "/labels", body).await)
    }

    async fn tagged(&self, tag: &str) {
        let config = self.push_blob("shop/till", tag.as_bytes()).await;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let body = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": [],
            "config": { "mediaType": "text/plain", "digest": config, "size": tag.len() },
        });
        let (target, kind) = (format!("/v2/shop/till/manifests/{tag}"), format!("Content-Type: {kind}\r\n"));
        assert_eq!(self.admin("PUT", &target, &kind, body.to_string().as_bytes()).await.status, 201);
    }

    /// The names of the labels on an artifact.
    async fn labels_on(&self, tag: &str) -> Vec<String> {
        let one = self.order("GET", &format!("{AT}/{tag}?with_label=true"), Value::Null).await;
        assert_eq!(one.status, 200, "{one:?}");
        one.json()["labels"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }

    /// How many artifacts a list has.
    async fn found(&self, query: &str) -> usize {
        let list = self.order("GET", &format!("{AT}?{query}"), Value::Null).await;
        assert_eq!(list.status, 200, "{list:?}");
        list.json().as_array().unwrap().len()
    }
}

#[tokio::test]
async fn a_label_is_on_an_artifact_until_it_is_taken_off_or_either_goes() {
    let edge = Edge::start().await;
    for tag in ["1", "2"] {
        edge.tagged(tag).await;
    }
    let project = |name: &'static str| {
        let edge = &edge;
        async move { edge.order("GET", &format!("/projects/{name}"), Value::Null).await.json()["project_id"].clone() }
    };
    let fragile = edge.make_label(json!({ "name": "fragile", "scope": "g" })).await;
    let own = edge.make_label(json!({ "name": "own", "scope": "p", "project_id": project("shop").await })).await;
    assert_eq!(edge.order("POST", "/projects", json!({ "project_name": "other" })).await.status, 201);
    let foreign =
        edge.make_label(json!({ "name": "foreign", "scope": "p", "project_id": project("other").await })).await;
    let (one, two) = (format!("{AT}/1/labels"), format!("{AT}/2/labels"));
    for (target, id, status) in [
        (&one, fragile, 200),
        (&one, own, 200),
        (&one, own, 409),
        (&two, own, 200),
        (&one, foreign, 404),
        (&one, 99, 404),
    ] {
        assert_eq!(edge.order("POST", target, json!({ "id": id })).await.status, status, "{target} {id}");
    }
    assert_eq!(edge.order("POST", &one, json!({})).await.status, 400);
    assert_eq!(edge.order("POST", &format!("{AT}/none/labels"), json!({ "id": own })).await.status, 404);
    assert_eq!(edge.labels_on("1").await, ["fragile", "own"]);
    assert_eq!(
        edge.order("GET", &format!("{AT}/1"), Value::Null).await.json()["labels"],
        json!([]),
        "nobody asked for them"
    );
    assert_eq!(edge.found(&format!("q=labels%3D({own}%20{fragile})")).await, 1);
    assert_eq!(edge.found(&format!("q=labels%3D({own})&with_label=true")).await, 2);
    for status in [200, 404] {
        assert_eq!(edge.order("DELETE", &format!("{one}/{fragile}"), Value::Null).await.status, status);
    }
    assert_eq!(
        (edge.labels_on("1").await, edge.labels_on("2").await),
        (vec!["own".to_owned()], vec!["own".to_owned()])
    );
    assert_eq!(edge.order("DELETE", &format!("{AT}/2"), Value::Null).await.status, 200);
    edge.tagged("2").await;
    assert_eq!(edge.labels_on("2").await, [""; 0], "a deleted artifact begins anew");
    assert_eq!(edge.order("DELETE", &format!("/labels/{own}"), Value::Null).await.status, 200);
    assert_eq!((edge.labels_on("1").await, edge.found(&format!("q=labels%3D({own})")).await), (vec![], 0));
}

#[tokio::test]
async fn labels_come_back_with_their_project() {
    let edge = Edge::start().await;
    edge.tagged("1").await;
    let label = edge.make_label(json!({ "name": "fragile", "scope": "g" })).await;
    assert_eq!(edge.order("POST", &format!("{AT}/1/labels"), json!({ "id": label })).await.status, 200);
    assert_eq!(edge.order("DELETE", "/mesh/projects/shop", Value::Null).await.status, 200);
    assert_eq!(edge.order("POST", "/mesh/projects/shop/undelete", Value::Null).await.status, 200);
    assert_eq!(edge.labels_on("1").await, ["fragile"]);
}

#[tokio::test]
async fn a_label_goes_although_a_deleted_project_still_has_it() {
    let edge = Edge::start().await;
    edge.tagged("1").await;
    let label = edge.make_label(json!({ "name": "fragile", "scope": "g" })).await;
    assert_eq!(edge.order("POST", &format!("{AT}/1/labels"), json!({ "id": label })).await.status, 200);
    assert_eq!(edge.order("DELETE", "/mesh/projects/shop", Value::Null).await.status, 200);
    assert_eq!(edge.order("DELETE", &format!("/labels/{label}"), Value::Null).await.status, 200);
    assert_eq!(edge.order("POST", "/mesh/projects/shop/undelete", Value::Null).await.status, 200);
    assert_eq!(edge.labels_on("1").await, [""; 0]);
}

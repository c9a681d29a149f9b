//! Who is let in, and what the others are told.

use protocol::Digest;

use super::{Edge, PASSWORD, basic};

#[tokio::test]
async fn who_shows_nothing_is_asked_to_log_in_wherever_something_is() {
    let edge = Edge::start().await;
    for (target, scope) in [
        ("/v2/", ""),
        ("/v2/_catalog", ",scope=\"registry:catalog:*\""),
        ("/v2/secret/app/tags/list", ",scope=\"repository:secret/app:pull\""),
        ("/v2/secret/app/manifests/x", ",scope=\"repository:secret/app:pull\""),
    ] {
        let answer = edge.send("GET", target, "", b"").await;
        assert_eq!(answer.status, 401, "{target}");
        let want = format!("Bearer realm=\"http://reg.example/service/token\",service=\"portolan\"{scope}");
        assert_eq!(answer.header("www-authenticate"), Some(want.as_str()), "{target}");
        assert_eq!(answer.json()["errors"][0]["code"], "UNAUTHORIZED");
    }
    let wrong = edge.send("GET", "/v2/", "Authorization: Basic eDp5\r\n", b"").await;
    assert_eq!(wrong.status, 401);
    let twice = edge.send("GET", "/v2/", &format!("{}{}", basic(), basic()), b"").await;
    assert_eq!(twice.status, 401, "two opinions are none");
    assert_eq!(edge.admin("GET", "/v2/", "", b"").await.status, 200);
}

#[tokio::test]
async fn absent_and_forbidden_look_the_same() {
    let edge = Edge::start().await;
    let digest = edge.push_blob("secret/app", b"secret").await;
    let mut seen = Vec::new();
    for name in ["secret/app", "absent/app"] {
        let answer = edge.send("GET", &format!("/v2/{name}/blobs/{digest}"), "X-Request-Id: r\r\n", b"").await;
        let head: Vec<_> = answer.head.lines().filter(|line| !line.starts_with("date")).collect();
        seen.push((head.join("\n").replace(name, "NAME"), answer.body));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_token_opens_what_it_names_and_nothing_else() {
    let edge = Edge::start().await;
    edge.push_blob("a/b", b"x").await;
    let answer =
        edge.admin("GET", "/service/token?service=portolan&scope=repository:a/b:pull&scope=junk", "", b"").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let digest = Digest::sha256(b"x");
    assert_eq!(edge.send("GET", &format!("/v2/a/b/blobs/{digest}"), &bearer, b"").await.body, b"x");
    let denied = edge.send("DELETE", &format!("/v2/a/b/blobs/{digest}"), &bearer, b"").await;
    assert_eq!(denied.status, 401);
    assert!(denied.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\""));
    assert_eq!(edge.send("GET", "/service/token", &bearer, b"").await.status, 401, "tokens make no tokens");
    assert_eq!(edge.send("GET", "/api/v2.0/projects", &bearer, b"").await.status, 401);
    let form =
        format!("grant_type=password&username=admin&password={}&scope=registry:catalog:*", PASSWORD.replace(' ', "+"));
    assert_eq!(edge.send("POST", "/service/token", "", form.as_bytes()).await.status, 200);
    assert_eq!(edge.send("POST", "/service/token", "", b"grant_type=refresh_token").await.status, 400);
}

#[tokio::test]
async fn the_anonymous_read_what_is_public() {
    let edge = Edge::start().await;
    let digest = edge.push_blob("open/app", b"for all").await;
    let token = edge.send("GET", "/service/token?scope=repository:open/app:pull,push", "", b"").await.json();
    let bearer = format!("Authorization: Bearer {}\r\n", token["token"].as_str().unwrap());
    assert_eq!(edge.send("GET", &format!("/v2/open/app/blobs/{digest}"), &bearer, b"").await.body, b"for all");
    assert_eq!(edge.send("POST", "/v2/open/app/blobs/uploads/", &bearer, b"").await.status, 401);
}

#[tokio::test]
async fn a_token_too_narrow_for_a_mount_is_told_which_would_do() {
    let edge = Edge::start().await;
    let digest = edge.push_blob("a/b", b"layer").await;
    let token = async |scopes: &str| {
        let answer = edge.admin("GET", &format!("/service/token?{scopes}"), "", b"").await.json();
        format!("Authorization: Bearer {}\r\n", answer["token"].as_str().unwrap())
    };
    let target = format!("/v2/c/d/blobs/uploads/?mount={digest}&from=a/b");
    let narrow = edge.send("POST", &target, &token("scope=repository:c/d:pull,push").await, b"").await;
    assert_eq!(narrow.status, 401);
    let help = narrow.header("www-authenticate").unwrap();
    assert!(
        help.contains(r#"scope="repository:c/d:pull,push repository:a/b:pull",error="insufficient_scope""#),
        "{help}"
    );
    let wide = token("scope=repository:c/d:pull,push+repository:a/b:pull").await;
    assert_eq!(edge.send("POST", &target, &wide, b"").await.status, 201);
}

//! Who may do what: anonymous, the administrator by password and by token, and what neither learns.

use serde_json::Value;
use tests::image::digest_of;
use tests::node::{ADMIN, PASSWORD, Setup, TestNode};
use tests::push;
use tests::web::{Answer, Web};

/// Asks the token service.
fn token(web: &Web, scopes: &[&str]) -> String {
    let scopes: String = scopes.iter().map(|scope| format!("&scope={scope}")).collect();
    let answer = web.get(&format!("/service/token?service=portolan{scopes}")).expect(200).json();
    assert!(answer["expires_in"].as_u64().is_some_and(|s| (60..=300).contains(&s)), "{answer}");
    assert_eq!(answer["token"], answer["access_token"]);
    answer["token"].as_str().unwrap().to_owned()
}

fn with_token(web: &Web, token: &str, method: &str, target: &str, body: &[u8]) -> Answer {
    let bearer = format!("Bearer {token}");
    web.send(method, target, &[("Authorization", &bearer), ("Content-Type", push::MANIFEST)], body)
}

/// All of an answer that a client can see and that may tell two apart.
fn shape(answer: &Answer, hide: &[&str]) -> (u16, Vec<(String, String)>, String) {
    let clean = |text: &str| hide.iter().fold(text.to_owned(), |text, word| text.replace(word, "NAME"));
    let request = answer.header("X-Request-Id").to_owned();
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), clean(value.to_str().unwrap())))
        .collect();
    headers.sort();
    (answer.status, headers, clean(&answer.text()).replace(&request, "ID"))
}

#[test]
fn the_base_answers_with_a_challenge_that_leads_to_a_token() {
    let node = TestNode::plain();
    let anonymous = node.web();
    let refused = anonymous.get("/v2/").expect(401);
    let challenge = refused.header("WWW-Authenticate").to_owned();
    let address = node.registry().address();
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(challenge.contains(&format!("realm=\"{address}/service/token\"")), "{challenge}");
    assert!(challenge.contains("service=\"portolan\""), "{challenge}");
    let admin = token(&node.admin(), &[]);
    with_token(&anonymous, &admin, "GET", "/v2/", &[]).expect(200);
    node.admin().get("/v2/").expect(200);
    anonymous.signed_in(ADMIN, "wrong").get("/v2/").expect(401);
    anonymous.signed_in("nobody", PASSWORD).get("/v2/").expect(401);
    anonymous.signed_in(ADMIN, "").get("/v2/").expect(401);
    anonymous.signed_in(ADMIN, "wrong").get("/service/token?service=portolan").expect(401);
}

#[test]
fn library_is_pulled_by_anyone_and_pushed_by_no_one_else() {
    let node = TestNode::plain();
    let image = push::image(&node.admin(), "library/tool", "1", "tool");
    let anonymous = node.web();
    for target in ["/v2/library/tool/manifests/1", "/v2/tool/manifests/1", "/v2/library/tool/tags/list"] {
        anonymous.get(target).expect(200);
    }
    let blob = format!("/v2/library/tool/blobs/{}", digest_of(&image.config));
    anonymous.get(&blob).expect(200);
    let free = token(&anonymous, &["repository:library/tool:pull,push"]);
    with_token(&anonymous, &free, "GET", "/v2/library/tool/manifests/1", &[]).expect(200);
    for (method, target) in [
        ("POST", "/v2/library/tool/blobs/uploads/"),
        ("PUT", "/v2/library/tool/manifests/2"),
        ("DELETE", "/v2/library/tool/manifests/1"),
        ("DELETE", blob.as_str()),
    ] {
        let refused = anonymous.send(method, target, &[("Content-Type", push::MANIFEST)], &image.manifest).expect(401);
        assert_eq!(push::error_code(&refused), "UNAUTHORIZED", "{method} {target}");
        with_token(&anonymous, &free, method, target, &image.manifest).expect(401);
    }
}

#[test]
fn an_administrators_push_makes_a_private_project() {
    let node = TestNode::plain();
    push::image(&node.admin(), "fresh/app", "1", "app");
    node.web().get("/v2/fresh/app/manifests/1").expect(401);
    let listed = node.admin().get("/api/v2.0/projects?page_size=100").expect(200).json();
    let fresh =
        listed.as_array().unwrap().iter().find(|p| p["name"] == "fresh").expect("the project is listed").clone();
    assert_eq!(fresh["metadata"]["public"], "false");
}

#[test]
fn where_projects_are_made_by_hand_a_push_makes_none() {
    let setup = Setup { config: "[projects]\ncreate = \"explicit\"\n".into(), ..Setup::default() };
    let node = TestNode::with(setup);
    let refused = node.admin().send("POST", "/v2/fresh/app/blobs/uploads/", &[], &[]).expect(404);
    assert_eq!(push::error_code(&refused), "NAME_UNKNOWN");
    push::project(&node.admin(), "fresh", false);
    push::image(&node.admin(), "fresh/app", "1", "app");
}

#[test]
fn a_token_opens_what_its_scope_names_and_nothing_else() {
    let node = TestNode::plain();
    let admin = node.admin();
    let image = push::image(&admin, "shop/app", "1", "app");
    push::image(&admin, "shop/other", "1", "other");
    let anonymous = node.web();
    let pull = token(&admin, &["repository:shop/app:pull"]);
    with_token(&anonymous, &pull, "GET", "/v2/shop/app/manifests/1", &[]).expect(200);
    for (method, target) in [
        ("GET", "/v2/shop/other/manifests/1"),
        ("PUT", "/v2/shop/app/manifests/2"),
        ("POST", "/v2/shop/app/blobs/uploads/"),
        ("DELETE", "/v2/shop/app/manifests/1"),
        ("GET", "/v2/_catalog"),
        ("GET", "/api/v2.0/users"),
        ("GET", "/api/v2.0/configurations"),
        ("POST", "/api/v2.0/projects"),
    ] {
        let refused = with_token(&anonymous, &pull, method, target, &image.manifest);
        assert_eq!(refused.status, 401, "{method} {target}");
    }
    let refused = with_token(&anonymous, &pull, "GET", "/v2/shop/other/manifests/1", &[]).expect(401);
    assert!(refused.header("WWW-Authenticate").contains("insufficient_scope"), "{:?}", refused.headers);
    assert!(refused.header("WWW-Authenticate").contains("scope=\"repository:shop/other:pull\""));
    // A token makes no token.
    let bearer = format!("Bearer {pull}");
    let wider = "/service/token?service=portolan&scope=repository:shop/app:pull,push,delete";
    anonymous.send("GET", wider, &[("Authorization", &bearer)], &[]).expect(401);
    let catalog = token(&admin, &["registry:catalog:*"]);
    with_token(&anonymous, &catalog, "GET", "/v2/_catalog", &[]).expect(200);
}

#[test]
fn one_who_may_not_read_can_not_tell_absent_from_forbidden() {
    let node = TestNode::plain();
    let admin = node.admin();
    let image = push::image(&admin, "secret/there", "1", "there");
    let layer = digest_of(&image.layers[0]);
    let anonymous = node.web();
    let free = token(&anonymous, &["repository:secret/there:pull", "repository:secret/gone:pull"]);
    for (method, path) in [
        ("GET", "manifests/1".to_owned()),
        ("HEAD", "manifests/1".to_owned()),
        ("GET", format!("manifests/{}", image.digest)),
        ("GET", format!("blobs/{layer}")),
        ("HEAD", format!("blobs/{layer}")),
        ("GET", "tags/list".to_owned()),
        ("GET", format!("referrers/{}", image.digest)),
        ("POST", "blobs/uploads/".to_owned()),
        ("GET", "blobs/uploads/00000000000000000000000000000000".to_owned()),
        ("DELETE", "manifests/1".to_owned()),
    ] {
        for token in [None, Some(&free)] {
            let ask = |name: &str| {
                let target = format!("/v2/secret/{name}/{path}");
                match token {
                    Some(token) => with_token(&anonymous, token, method, &target, &[]),
                    None => anonymous.send(method, &target, &[], &[]),
                }
            };
            let (there, gone) = (ask("there"), ask("gone"));
            assert_eq!(there.status, 401, "{method} {path}");
            assert_eq!(shape(&there, &["there"]), shape(&gone, &["gone"]), "{method} {path}");
            let other = anonymous.send(method, &format!("/v2/absent/there/{path}"), &[], &[]);
            assert_eq!(other.status, there.status);
        }
    }
}

#[test]
fn a_mount_tells_nothing_about_a_source_one_may_not_read() {
    let node = TestNode::plain();
    let admin = node.admin();
    let secret = push::blob(&admin, "secret/app", b"secret layer");
    let web = node.web();
    let mount = |token: &str, digest: &str, from: &str| {
        let target = format!("/v2/shop/app/blobs/uploads/?mount={digest}&from={from}");
        with_token(&web, token, "POST", &target, &[])
    };
    // A token made for the target alone is told to ask for both, whatever there is at the source.
    let pusher = token(&admin, &["repository:shop/app:pull,push"]);
    let forbidden = shape(&mount(&pusher, &secret, "secret/app"), &["secret/app"]);
    assert_eq!(forbidden.0, 401);
    assert_eq!(forbidden, shape(&mount(&pusher, &digest_of(b"nothing"), "secret/app"), &["secret/app"]));
    assert_eq!(forbidden, shape(&mount(&pusher, &secret, "secret/none"), &["secret/none"]));
    let challenge = mount(&pusher, &secret, "secret/app").header("WWW-Authenticate").to_owned();
    assert!(challenge.contains("repository:secret/app:pull"), "{challenge}");
    // A token that was asked for the source and holds no right to read it (here: only to delete) falls back to an upload.
    let strip = |answer: Answer| {
        let session = answer.header("Docker-Upload-UUID").to_owned();
        shape(&answer, &[&session])
    };
    let scopes = ["repository:shop/app:pull,push", "repository:secret/app:delete", "repository:secret/none:delete"];
    let other = token(&admin, &scopes);
    let forbidden = strip(mount(&other, &secret, "secret/app"));
    assert_eq!(forbidden.0, 202);
    assert_eq!(forbidden, strip(mount(&other, &digest_of(b"nothing"), "secret/app")));
    assert_eq!(forbidden, strip(mount(&other, &secret, "secret/none")));
    // With the right to read it, it is mounted.
    let both = token(&admin, &["repository:shop/app:pull,push", "repository:secret/app:pull"]);
    mount(&both, &secret, "secret/app").expect(201);
}

#[test]
fn a_new_password_ends_the_tokens_of_the_old_one() {
    let mut node = TestNode::plain();
    let old = token(&node.admin(), &["registry:catalog:*"]);
    with_token(&node.web(), &old, "GET", "/v2/_catalog", &[]).expect(200);
    // The same password across a restart ends nothing.
    node.stop();
    node.restart();
    with_token(&node.web(), &old, "GET", "/v2/_catalog", &[]).expect(200);
    node.stop();
    node.setup_mut().environment.push(("PORTOLAN_ADMIN_PASSWORD".into(), "another one".into()));
    node.restart();
    with_token(&node.web(), &old, "GET", "/v2/_catalog", &[]).expect(401);
    node.admin().get("/v2/").expect(401);
    node.web().signed_in(ADMIN, "another one").get("/v2/").expect(200);
}

#[test]
fn the_first_start_shows_a_password_once_and_it_works() {
    let mut node = TestNode::with(Setup { made_up_password: true, ..Setup::default() });
    let said = node.log();
    let password = said
        .lines()
        .find_map(|line| {
            line.split("password").nth(1)?.split(|c: char| !c.is_ascii_alphabetic()).find(|w| w.len() == 24)
        })
        .unwrap_or_else(|| panic!("no password in what the node said:\n{said}"))
        .to_owned();
    node.web().signed_in(ADMIN, &password).get("/v2/").expect(200);
    node.stop();
    node.restart();
    assert_eq!(node.log().matches(&password).count(), 1, "it is shown once");
    node.web().signed_in(ADMIN, &password).get("/v2/").expect(200);
}

#[test]
fn a_session_belongs_to_its_repository() {
    let node = TestNode::plain();
    let web = node.admin();
    let location = push::begin(&web, "shop/app");
    let elsewhere = location.replace("/v2/shop/app/", "/v2/shop/other/");
    assert_ne!(location, elsewhere);
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        let target = if method == "PUT" {
            push::with_query(&elsewhere, &format!("digest={}", digest_of(b"")))
        } else {
            elsewhere.clone()
        };
        let refused = web.send(method, &target, &[], &[]).expect(404);
        assert_eq!(push::error_code(&refused), "BLOB_UPLOAD_UNKNOWN", "{method}");
    }
    web.get(&location).expect(204);
    node.web().get(&location).expect(401);
}

#[test]
fn administration_is_the_administrators() {
    let node = TestNode::plain();
    for (method, target) in [
        ("GET", "/api/v2.0/users"),
        ("POST", "/api/v2.0/projects"),
        ("GET", "/api/v2.0/mesh/node/status"),
        ("POST", "/api/v2.0/mesh/node/gc"),
        ("POST", "/api/v2.0/mesh/node/scrub"),
        ("POST", "/api/v2.0/mesh/node/snapshot"),
        ("GET", "/api/v2.0/mesh/node/history?repository=library/app&tag=v1"),
        ("GET", "/api/v2.0/mesh/node/conflicts"),
        ("POST", "/api/v2.0/mesh/node/conflicts"),
        ("POST", "/api/v2.0/mesh/node/undelete"),
    ] {
        let refused = node.web().send(method, target, &[("Content-Type", "application/json")], b"{}");
        assert_eq!(refused.status, 401, "{method} {target}");
        let body: Value = refused.json();
        assert!(body["errors"][0]["message"].is_string());
    }
    let status = node.admin().get("/api/v2.0/mesh/node/status").expect(200).json();
    assert!(status["version"].is_string(), "{status}");
}

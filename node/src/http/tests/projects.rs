//! Projects, their settings, members, quotas and labels, as the accounts around them find them.

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Answer, Edge};
use crate::auth::Secret;
use crate::directory::Profile;
use crate::storage::meta::{Act, Via};

const THEIRS: &str = "Deck-Hand-4711";

impl Edge {
    /// Makes an account that may nothing yet.
    async fn person(&self, name: &str) {
        let verifier = self.app.parts.authenticator.new_verifier(&Secret::new(THEIRS), None).await.unwrap();
        let profile = Profile { email: format!("{name}@example.org"), ..Profile::default() };
        let at = self.app.parts.clock.now();
        let act = Act { actor: "test".into(), at, request: "test".into(), via: Via::default() };
        let directory = self.app.parts.registry.directory();
        directory.change(&act, |draft| draft.create_user(name, &profile, false, verifier.clone())).await.unwrap();
    }

    /// As an administrator (`admin`), as nobody (``), or as a person.
    async fn by(&self, name: &str, method: &str, target: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let target = format!("/api/v2.0{target}");
        match name {
            "admin" => self.admin(method, &target, "", &body).await,
            "" => self.send(method, &target, "", &body).await,
            _ => {
                let basic = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{THEIRS}"));
                self.send(method, &target, &format!("Authorization: Basic {basic}\r\n"), &body).await
            }
        }
    }

    async fn get_by(&self, name: &str, target: &str) -> Answer {
        self.by(name, "GET", target, &Value::Null).await
    }

    /// Makes a project; gives back its id.
    async fn project(&self, name: &str, public: bool) -> u64 {
        let body = json!({ "project_name": name, "public": public });
        located(&self.by("admin", "POST", "/projects", &body).await)
    }

    /// Makes someone a member; gives back the id of the membership.
    async fn member(&self, project: &str, name: &str, role: u32) -> u64 {
        let body = json!({ "role_id": role, "member_user": { "username": name } });
        located(&self.by("admin", "POST", &format!("/projects/{project}/members"), &body).await)
    }

    async fn label(&self, body: Value) -> u64 {
        located(&self.by("admin", "POST", "/labels", &body).await)
    }
}

fn located(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.header("location").unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

fn names(answer: &Answer) -> Vec<String> {
    answer.json().as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_of_projects_shows_each_account_what_it_may_see() {
    let edge = Edge::start().await;
    edge.person("eve").await;
    // "open", which anyone may see, is there.
    for name in ["hidden", "ours"] {
        edge.project(name, false).await;
    }
    edge.member("ours", "eve", 5).await;
    for (who, seen) in [("", vec!["open"]), ("eve", vec!["open", "ours"]), ("admin", vec!["hidden", "open", "ours"])] {
        let answer = edge.get_by(who, "/projects").await;
        assert_eq!(
            (names(&answer), answer.header("x-total-count")),
            (seen.iter().map(ToString::to_string).collect(), Some(seen.len().to_string().as_str())),
            "{who}"
        );
    }
    let private = edge.get_by("", "/projects?public=false").await;
    assert_eq!((private.status, private.json()), (200, json!([])));
    assert_eq!(names(&edge.get_by("eve", "/projects?q=name%3D%7BhidDen%20hidden%20ours%7D").await), ["ours"]);
    assert_eq!(names(&edge.get_by("admin", "/projects?sort=-name&owner=admin&name=R").await), ["ours"]);
    let one = edge.get_by("eve", "/projects/ours").await.json();
    assert_eq!((&one["current_user_role_id"], &one["current_user_role_ids"]), (&json!(5), &json!([5])));
    assert_eq!(
        edge.get_by("eve", "/projects/hidden").await.json(),
        edge.get_by("eve", "/projects/absent").await.json()
    );
}

#[tokio::test]
async fn what_a_project_is_told_to_be_is_checked_and_stays() {
    let edge = Edge::start().await;
    for bad in [
        json!({ "project_name": "UPPER" }),
        json!({ "project_name": "x", "metadata": { "public": "perhaps" } }),
        json!({ "project_name": "x", "metadata": { "severity": "dreadful" } }),
        json!({ "project_name": "x", "metadata": { "retention_id": "5" } }),
        json!({ "project_name": "x", "registry_id": 0 }),
        json!({ "project_name": "x", "storage_limit": -2 }),
        json!({ "project_name": "x", "owner": "eve" }),
        json!({ "project_name": "x", "cve_allowlist": { "items": [{ "cve_id": "" }] } }),
    ] {
        assert_eq!(edge.by("admin", "POST", "/projects", &bad).await.status, 400, "{bad}");
    }
    edge.project("shop", false).await;
    let set = json!({ "metadata": { "severity": "High", "auto_scan": "1", "sparse": "true" },
        "cve_allowlist": { "items": [{ "cve_id": "CVE-2026-1" }], "expires_at": 7 } });
    assert_eq!(edge.by("admin", "PUT", "/projects/shop", &set).await.status, 200);
    let set = json!({ "metadata": { "public": "true" } });
    assert_eq!(edge.by("admin", "PUT", "/projects/shop", &set).await.status, 200);
    let one = edge.get_by("", "/projects/shop").await.json();
    assert_eq!(one["metadata"], json!({ "public": "true", "severity": "high", "auto_scan": "true", "sparse": "true" }));
    assert_eq!(
        (&one["cve_allowlist"]["items"], &one["cve_allowlist"]["expires_at"]),
        (&json!([{ "cve_id": "CVE-2026-1" }]), &json!(7))
    );
    let all = edge.get_by("admin", "/projects/shop/metadatas/").await.json();
    assert_eq!(all, one["metadata"], "the other way shows the same");
    let path = "/projects/shop/metadatas";
    for (method, target, body, status) in [
        ("POST", format!("{path}/"), json!({ "severity": "low" }), 409),
        ("POST", format!("{path}/"), json!({ "prevent_vul": "T" }), 200),
        ("POST", format!("{path}/"), json!({ "cve_allowlist": "{}" }), 400),
        ("PUT", format!("{path}/public"), json!({ "sparse": "false" }), 400),
        ("DELETE", format!("{path}/public"), Value::Null, 200),
        ("DELETE", format!("{path}/cve_allowlist"), Value::Null, 200),
    ] {
        assert_eq!(edge.by("admin", method, &target, &body).await.status, status, "{method} {target} {body}");
    }
    assert_eq!(edge.get_by("", "/projects/shop").await.status, 401, "it is private again");
    assert_eq!(edge.get_by("admin", &format!("{path}/prevent_vul")).await.json(), json!({ "prevent_vul": "true" }));
    assert_eq!(edge.get_by("admin", &format!("{path}/bananas")).await.json(), json!({}));
    let list = &edge.get_by("admin", "/projects/shop").await.json()["cve_allowlist"]["items"];
    assert_eq!(list, &json!([{ "cve_id": "CVE-2026-1" }]), "it has a way of its own");
}

#[tokio::test]
async fn a_project_with_repositories_is_not_deleted() {
    let edge = Edge::start().await;
    edge.project("shop", false).await;
    let deletable = edge.get_by("admin", "/projects/shop/_deletable").await;
    assert_eq!(deletable.json(), json!({ "deletable": true, "message": "" }));
    edge.push_blob("shop/app", b"x").await;
    let manifest = {
        let blob = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "size": 1, "digest": protocol::Digest::sha256(b"x") });
        json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": blob, "layers": [] })
    };
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    let pushed = edge.admin("PUT", "/v2/shop/app/manifests/1", kind, manifest.to_string().as_bytes()).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    assert_eq!(edge.get_by("admin", "/projects/shop/_deletable").await.json()["deletable"], false);
    let refused = edge.by("admin", "DELETE", "/projects/shop", &Value::Null).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["code"]), (412, &json!("PRECONDITION")));
    let summary = edge.get_by("admin", "/projects/shop/summary").await.json();
    assert_eq!((&summary["repo_count"], &summary["project_admin_count"]), (&json!(1), &json!(1)));
    assert!(summary["quota"]["used"]["storage"].as_u64().unwrap() > 0 && summary["quota"]["hard"]["storage"] == -1);
}

#[tokio::test]
async fn cve_2019_16097_nobody_is_given_more_by_fields_that_are_not_theirs_to_set() {
    let edge = Edge::start().await;
    edge.person("eve").await;
    let body = json!({ "project_name": "mine", "storage_limit": 1_u64 << 40, "owner_id": 1, "owner_name": "admin", "current_user_role_id": 1, "project_id": 1 });
    let made = located(&edge.by("eve", "POST", "/projects", &body).await);
    let one = edge.get_by("eve", "/projects/mine").await.json();
    assert_eq!((&one["owner_name"], &one["project_id"]), (&json!("eve"), &json!(made)));
    let quota = edge.get_by("admin", &format!("/quotas/{made}")).await.json();
    assert_eq!((&quota["hard"]["storage"], &quota["ref"]["name"]), (&json!(-1), &json!("mine")));
    assert_eq!(
        edge.by("eve", "PUT", &format!("/quotas/{made}"), &json!({ "hard": { "storage": 5 } })).await.status,
        403
    );
    edge.project("shop", false).await;
    let id = edge.member("shop", "eve", 3).await;
    let unknown = json!({ "role_id": 1, "member_user": { "username": "eve", "sysadmin_flag": true } });
    assert_eq!(edge.by("admin", "POST", "/projects/shop/members", &unknown).await.status, 400);
    assert_eq!(
        edge.by("eve", "PUT", &format!("/projects/shop/members/{id}"), &json!({ "role_id": 1 })).await.status,
        403
    );
}

#[tokio::test]
async fn cve_2024_22278_a_maintainer_changes_no_settings_whatever_the_route() {
    let edge = Edge::start().await;
    edge.person("mia").await;
    edge.project("shop", false).await;
    edge.member("shop", "mia", 4).await;
    for (method, target, body) in [
        ("PUT", "/projects/shop", json!({ "metadata": { "public": "true" } })),
        ("PUT", "/projects/shop", json!({ "public": true })),
        ("POST", "/projects/shop/metadatas/", json!({ "auto_scan": "true" })),
        ("PUT", "/projects/shop/metadatas/public", json!({ "public": "true" })),
        ("DELETE", "/projects/shop/metadatas/public", Value::Null),
        ("DELETE", "/projects/shop", Value::Null),
        ("GET", "/projects/shop/_deletable", Value::Null),
        ("POST", "/projects/shop/members", json!({ "role_id": 1, "member_user": { "username": "mia" } })),
        (
            "POST",
            "/mesh/projects/shop/grants",
            json!({ "repository": "**", "entity_type": "u", "entity_name": "mia", "role_id": 1 }),
        ),
    ] {
        assert_eq!(edge.by("mia", method, target, &body).await.status, 403, "{method} {target}");
    }
    assert_eq!(edge.get_by("mia", "/projects/shop/metadatas/public").await.json(), json!({ "public": "false" }));
}

#[tokio::test]
async fn cve_2022_31667_ids_of_another_projects_members_grants_and_labels_are_nobodys_here() {
    let edge = Edge::start().await;
    edge.person("eve").await;
    edge.person("ann").await;
    let (ours, theirs) = (edge.project("ours", false).await, edge.project("theirs", false).await);
    edge.member("ours", "eve", 1).await;
    let member = edge.member("theirs", "ann", 3).await;
    let body = json!({ "repository": "team/**", "entity_type": "u", "entity_name": "ann", "role_id": 2 });
    let grant = located(&edge.by("admin", "POST", "/mesh/projects/theirs/grants", &body).await);
    let label = edge.label(json!({ "name": "fragile", "scope": "p", "project_id": theirs })).await;
    // The administrator may touch both projects: it is the pair of ids that makes no sense.
    for who in ["eve", "admin"] {
        for (method, target) in [
            ("GET", format!("/projects/ours/members/{member}")),
            ("PUT", format!("/projects/ours/members/{member}")),
            ("DELETE", format!("/projects/{ours}/members/{member}")),
            ("DELETE", format!("/projects/ours/members/{grant}")),
            ("DELETE", format!("/mesh/projects/ours/grants/{grant}")),
            ("DELETE", format!("/mesh/projects/ours/grants/{member}")),
        ] {
            let body = if method == "PUT" { json!({ "role_id": 1 }) } else { Value::Null };
            assert_eq!(edge.by(who, method, &target, &body).await.status, 404, "{who} {method} {target}");
        }
    }
    for (method, target) in [
        ("GET", format!("/projects/theirs/members/{grant}")),
        ("DELETE", format!("/projects/theirs/members/{grant}")),
        ("DELETE", format!("/mesh/projects/theirs/grants/{member}")),
    ] {
        assert_eq!(edge.by("admin", method, &target, &Value::Null).await.status, 404, "{method} {target}");
    }
    for (method, body) in [("GET", Value::Null), ("PUT", json!({ "name": "x" })), ("DELETE", Value::Null)] {
        let foreign = edge.by("eve", method, &format!("/labels/{label}"), &body).await;
        let absent = edge.by("eve", method, "/labels/999999", &body).await;
        assert_eq!((foreign.status, foreign.body), (404, absent.body), "{method}");
        assert_eq!(edge.by("", method, &format!("/labels/{label}"), &body).await.status, 401, "{method}");
        assert_eq!(edge.by("", method, "/labels/999999", &body).await.status, 401, "{method}");
    }
    assert_eq!(edge.get_by("eve", &format!("/labels?scope=p&project_id={theirs}")).await.status, 404);
    let stolen = json!({ "name": "x", "scope": "p", "project_id": theirs });
    assert_eq!(edge.by("eve", "POST", "/labels", &stolen).await.status, 404);
    assert_eq!(edge.get_by("ann", &format!("/labels/{label}")).await.json()["name"], "fragile");
    assert_eq!(edge.get_by("admin", &format!("/projects/theirs/members/{member}")).await.json()["role_name"], "guest");
}

#[tokio::test]
async fn a_role_is_given_by_who_administers_the_project_or_may_as_much() {
    let edge = Edge::start().await;
    for name in ["chief", "eve", "ann"] {
        edge.person(name).await;
    }
    edge.project("shop", false).await;
    let chief = edge.member("shop", "chief", 1).await;
    // A role of the installation's own that may name members, and little else.
    let registry = &edge.app.parts.registry;
    let at = edge.app.parts.clock.now();
    let act = Act { actor: "test".into(), at, request: "test".into(), via: Via::default() };
    let held = ["project:read", "member:create", "member:update", "member:delete", "member:list", "member:read"];
    let permissions: std::collections::BTreeSet<String> = held.iter().map(ToString::to_string).collect();
    let role =
        registry.directory().change(&act, |draft| draft.put_role("clerk", permissions.clone(), "")).await.unwrap();
    let eve = edge.member("shop", "eve", role).await;
    let give = |role: u32| json!({ "role_id": role, "member_user": { "username": "ann" } });
    let path = "/projects/shop/members";
    for role in [1, 2, 3, 4, 5] {
        assert_eq!(edge.by("eve", "POST", path, &give(role)).await.status, 403, "{role}");
        assert_eq!(edge.by("eve", "PUT", &format!("{path}/{eve}"), &json!({ "role_id": role })).await.status, 403);
    }
    let (above, clerk) = (format!("{path}/{chief}"), json!({ "role_id": role }));
    assert_eq!(edge.by("eve", "PUT", &above, &clerk).await.status, 403, "nobody lowers who may do more");
    assert_eq!(edge.by("eve", "DELETE", &above, &Value::Null).await.status, 403, "nor removes them");
    assert_eq!(edge.get_by("admin", &above).await.json()["role_id"], 1);
    let ann = located(&edge.by("eve", "POST", path, &give(role)).await);
    assert_eq!(edge.get_by("eve", &format!("{path}/{ann}")).await.json()["role_name"], "clerk");
    for role in [5, 2, 1, role] {
        assert_eq!(edge.by("chief", "PUT", &format!("{path}/{ann}"), &json!({ "role_id": role })).await.status, 200);
    }
    for none in [json!(0), json!(role + 1), json!(-1), Value::Null] {
        let body = json!({ "role_id": none });
        assert_eq!(edge.by("chief", "PUT", &format!("{path}/{ann}"), &body).await.status, 400, "{none}");
    }
    for (body, status) in [
        (json!({ "role_id": 3, "member_user": { "username": "ann" } }), 409),
        (json!({ "role_id": 3, "member_user": { "username": "nobody" } }), 404),
        (json!({ "role_id": 3, "member_user": { "user_id": 4_000_000_000_u32 } }), 400),
        (json!({ "role_id": 3, "member_group": { "group_name": "none" } }), 404),
        (json!({ "role_id": 3 }), 400),
    ] {
        assert_eq!(edge.by("chief", "POST", path, &body).await.status, status, "{body}");
    }
}

#[tokio::test]
async fn a_right_over_some_repositories_shows_no_other() {
    let edge = Edge::start().await;
    edge.person("ann").await;
    edge.project("shop", false).await;
    edge.push_blob("shop/team/app", b"x").await;
    let digest = edge.push_blob("shop/other", b"x").await;
    let body = json!({ "repository": "team/*", "entity_type": "u", "entity_name": "ann", "role_id": 3 });
    let grant = located(&edge.by("admin", "POST", "/mesh/projects/shop/grants", &body).await);
    let listed = edge.get_by("admin", "/mesh/projects/shop/grants").await.json();
    assert_eq!(
        (&listed[0]["repository"], &listed[0]["role_name"], &listed[0]["id"]),
        (&json!("team/*"), &json!("guest"), &json!(grant))
    );
    assert_eq!(
        edge.get_by("admin", "/projects/shop/members").await.json().as_array().unwrap().len(),
        1,
        "she is no member"
    );
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("ann:{THEIRS}"));
    let basic = format!("Authorization: Basic {basic}\r\n");
    let pull = |name: &str| format!("/v2/shop/{name}/blobs/{digest}");
    assert_eq!(edge.send("GET", &pull("team/app"), &basic, b"").await.status, 200);
    assert_ne!(edge.send("GET", &pull("other"), &basic, b"").await.status, 200);
    let one = edge.get_by("ann", "/projects/shop").await.json();
    assert_eq!(one["current_user_role_ids"], json!([]), "{one}");
    assert_eq!(edge.get_by("ann", "/projects/shop/members").await.status, 403);
    assert_eq!(
        edge.by("admin", "DELETE", &format!("/mesh/projects/shop/grants/{grant}"), &Value::Null).await.status,
        200
    );
    assert_ne!(edge.send("GET", &pull("team/app"), &basic, b"").await.status, 200);
    for bad in [
        json!({ "repository": "", "entity_type": "u", "entity_name": "ann", "role_id": 3 }),
        json!({ "repository": "*", "entity_type": "x", "entity_name": "ann", "role_id": 3 }),
    ] {
        assert_eq!(edge.by("admin", "POST", "/mesh/projects/shop/grants", &bad).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn quotas_are_ordered_and_set_by_who_may() {
    let edge = Edge::start().await;
    for (name, limit) in [("a", 5), ("b", -1), ("c", 9)] {
        let body = json!({ "project_name": name, "storage_limit": limit });
        assert_eq!(edge.by("admin", "POST", "/projects", &body).await.status, 201);
    }
    edge.push_blob("b/app", b"some bytes").await;
    let order = |answer: &Answer| -> Vec<String> {
        answer.json().as_array().unwrap().iter().map(|one| one["ref"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(order(&edge.get_by("admin", "/quotas?sort=-hard.storage&page_size=2").await), ["c", "a"]);
    assert_eq!(edge.get_by("admin", "/quotas?reference=registry").await.json(), json!([]));
    let id =
        edge.get_by("admin", "/quotas?reference=project&sort=-hard.storage").await.json()[0]["id"].as_u64().unwrap();
    assert_eq!(order(&edge.get_by("admin", &format!("/quotas?reference_id={id}")).await), ["c"]);
    for (body, status) in [
        (json!({ "hard": { "storage": 0 } }), 400),
        (json!({ "hard": { "storage": -2 } }), 400),
        (json!({ "hard": { "count": 5 } }), 400),
        (json!({ "hard": { "storage": 5, "count": 5 } }), 400),
        (json!({}), 400),
        (json!({ "hard": { "storage": 77 } }), 200),
    ] {
        assert_eq!(edge.by("admin", "PUT", &format!("/quotas/{id}"), &body).await.status, status, "{body}");
    }
    assert_eq!(edge.get_by("admin", &format!("/quotas/{id}")).await.json()["hard"], json!({ "storage": 77 }));
    assert_eq!(edge.by("", "PUT", &format!("/quotas/{id}"), &json!({ "hard": { "storage": 1 } })).await.status, 401);
}

#[tokio::test]
async fn labels_stand_where_they_were_made() {
    let edge = Edge::start().await;
    edge.person("eve").await;
    let shop = edge.project("shop", false).await;
    edge.member("shop", "eve", 4).await;
    let global = edge.label(json!({ "name": "fragile", "color": "#FF0000", "scope": "g" })).await;
    let own = json!({ "name": "crate", "scope": "p", "project_id": shop });
    let own = located(&edge.by("eve", "POST", "/labels", &own).await);
    assert_eq!(edge.by("eve", "POST", "/labels", &json!({ "name": "x", "scope": "g" })).await.status, 403);
    assert_eq!(names(&edge.get_by("eve", "/labels?scope=g").await), ["fragile"]);
    assert_eq!(names(&edge.get_by("eve", &format!("/labels?scope=p&project_id={shop}&name=RAT")).await), ["crate"]);
    for bad in ["/labels", "/labels?scope=x", "/labels?scope=p"] {
        assert_eq!(edge.get_by("admin", bad).await.status, 400, "{bad}");
    }
    // What clients send back about its place is not obeyed.
    let moved = json!({ "name": "box", "description": "d", "scope": "g", "project_id": 1 });
    assert_eq!(edge.by("eve", "PUT", &format!("/labels/{own}"), &moved).await.status, 200);
    let one = edge.get_by("eve", &format!("/labels/{own}")).await.json();
    assert_eq!((&one["name"], &one["scope"], &one["project_id"]), (&json!("box"), &json!("p"), &json!(shop)));
    assert_eq!(edge.by("eve", "PUT", &format!("/labels/{own}"), &json!({})).await.status, 400);
    assert_eq!(edge.by("eve", "DELETE", &format!("/labels/{global}"), &Value::Null).await.status, 403);
    for status in [200, 404] {
        assert_eq!(edge.by("eve", "DELETE", &format!("/labels/{own}"), &Value::Null).await.status, status);
    }
}

#[tokio::test]
async fn which_names_are_taken_is_told_to_who_could_find_out_by_making_one() {
    let edge = Edge::start().await;
    edge.person("eve").await;
    edge.project("secret", false).await;
    let head = "/projects?project_name=secret";
    assert_eq!(edge.by("eve", "HEAD", head, &Value::Null).await.status, 200);
    assert_eq!(edge.by("", "HEAD", head, &Value::Null).await.status, 401);
    let at = edge.app.parts.clock.now();
    let act = Act { actor: "test".into(), at, request: "test".into(), via: Via::default() };
    let settings = [("project_creation_restriction".to_owned(), "\"adminonly\"".to_owned())].into();
    edge.app.parts.registry.directory().change(&act, |draft| draft.configure(&settings)).await.unwrap();
    assert_eq!(edge.by("eve", "HEAD", head, &Value::Null).await.status, 404);
    assert_eq!(edge.by("eve", "POST", "/projects", &json!({ "project_name": "x" })).await.status, 403);
    assert_eq!(edge.by("eve", "HEAD", "/projects?project_name=open", &Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_right_that_ends_while_a_body_is_on_its_way_is_over() {
    let edge = Edge::start().await;
    edge.person("eve").await;
    edge.project("ours", false).await;
    let membership = edge.member("ours", "eve", 1).await;
    let body = json!({ "metadata": { "public": "true" } }).to_string();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("eve:{THEIRS}"));
    let head = format!(
        "PUT /api/v2.0/projects/ours HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nExpect: 100-continue\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = edge.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    // The body is asked for: eve was found to have the right.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let out = edge.by("admin", "DELETE", &format!("/projects/ours/members/{membership}"), &Value::Null).await;
    assert_eq!(out.status, 200, "{out:?}");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(Answer::read(&answer).status, 403);
    let project = edge.get_by("admin", "/projects/ours").await.json();
    assert_eq!(project["metadata"]["public"], "false");
}

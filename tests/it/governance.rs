//! People, robots and what they may: what ends, ends at once; what one may not see can't be told from what is not there;
//! secrets show nowhere; a quota is exact.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use tests::image::digest_of;
use tests::node::{Setup, TestNode};
use tests::push;
use tests::web::{Answer, Web};

const PILOT: &str = "Passw0rd-of-the-pilot";

/// Makes a person, by the administrator.
fn person(admin: &Web, name: &str) -> u64 {
    let user = json!({
        "username": name, "email": format!("{name}@shop.example"), "realname": name, "password": PILOT,
    });
    let made = admin.post_json("/api/v2.0/users", &user).expect(201);
    made.header("Location").rsplit('/').next().and_then(|id| id.parse().ok()).expect("a user has a number")
}

/// Makes a person a member of a project.
fn member(admin: &Web, project: &str, name: &str, role: u64) -> String {
    let body = json!({"role_id": role, "member_user": {"username": name}});
    let made = admin.post_json(&format!("/api/v2.0/projects/{project}/members"), &body).expect(201);
    made.header("Location").to_owned()
}

fn put(web: &Web, target: &str, body: &Value) -> Answer {
    web.send("PUT", target, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

fn delete(web: &Web, target: &str) -> Answer {
    web.send("DELETE", target, &[], &[])
}

fn token(web: &Web, scope: &str) -> String {
    let answer = web.get(&format!("/service/token?service=portolan&scope={scope}")).expect(200).json();
    answer["token"].as_str().expect("a token").to_owned()
}

fn with_token(node: &TestNode, token: &str, target: &str) -> u16 {
    node.web().send("GET", target, &[("Authorization", &format!("Bearer {token}"))], &[]).status
}

#[test]
fn what_ends_a_right_ends_it_at_once_for_tokens_too() {
    let node = TestNode::plain();
    let admin = node.admin();
    push::project(&admin, "shop", false);
    push::image(&admin, "shop/app", "1", "app");
    let ann = person(&admin, "ann");
    let membership = member(&admin, "shop", "ann", 2);
    let web = node.web().signed_in("ann", PILOT);
    let manifest = "/v2/shop/app/manifests/1";
    web.get(manifest).expect(200);
    let held = token(&web, "repository:shop/app:pull,push");
    assert_eq!(with_token(&node, &held, manifest), 200);

    // A lesser role: the token goes on pulling and pushes no more.
    put(&admin, &membership, &json!({"role_id": 3})).expect(200);
    let bearer = format!("Bearer {held}");
    let pushed = node.web().send("POST", "/v2/shop/app/blobs/uploads/", &[("Authorization", &bearer)], &[]);
    assert_eq!(pushed.status, 401);
    assert_eq!(with_token(&node, &held, manifest), 200);
    // No role: neither the token nor the password.
    delete(&admin, &membership).expect(200);
    assert_eq!(with_token(&node, &held, manifest), 401);
    assert!(matches!(web.get(manifest).status, 401 | 403));
    member(&admin, "shop", "ann", 3);
    assert_eq!(with_token(&node, &held, manifest), 200, "the account is the same");
    // A new password ends what was logged in before.
    let changed = json!({"new_password": "Passw0rd-of-tomorrow"});
    put(&admin, &format!("/api/v2.0/users/{ann}/password"), &changed).expect(200);
    assert_eq!(with_token(&node, &held, manifest), 401);
    web.get(manifest).expect(401);
    let web = node.web().signed_in("ann", "Passw0rd-of-tomorrow");
    let held = token(&web, "repository:shop/app:pull");
    // Shut out: by token, by password, and no new token.
    put(&admin, &format!("/api/v2.0/mesh/users/{ann}/disabled"), &json!({"disabled": true})).expect(200);
    assert_eq!(with_token(&node, &held, manifest), 401);
    web.get(manifest).expect(401);
    web.get("/service/token?service=portolan").expect(401);
    // Let in again: what was ended stays ended.
    put(&admin, &format!("/api/v2.0/mesh/users/{ann}/disabled"), &json!({"disabled": false})).expect(200);
    assert_eq!(with_token(&node, &held, manifest), 401);
    web.get(manifest).expect(200);
    // Deleted, and one of the same name made: another account.
    let held = token(&web, "repository:shop/app:pull");
    delete(&admin, &format!("/api/v2.0/users/{ann}")).expect(200);
    assert_eq!(with_token(&node, &held, manifest), 401);
    assert_ne!(person(&admin, "ann"), ann, "a number is never given out twice");
    assert_eq!(with_token(&node, &held, manifest), 401);
    assert!(matches!(node.web().signed_in("ann", PILOT).get(manifest).status, 401 | 403), "with no role yet");
}

fn robot(admin: &Web, level: &str, name: &str, permissions: &Value) -> (u64, String, String) {
    let body = json!({
        "name": name, "level": level, "duration": -1, "disable": false, "description": "", "permissions": permissions,
    });
    let made = admin.post_json("/api/v2.0/robots", &body).expect(201).json();
    let text = |key: &str| made[key].as_str().expect(key).to_owned();
    (made["id"].as_u64().expect("an id"), text("name"), text("secret"))
}

fn pulls(project: &str) -> Value {
    json!([{"kind": "project", "namespace": project, "access": [{"resource": "repository", "action": "pull"}]}])
}

#[test]
fn a_robot_does_what_it_was_given_and_nothing_after_its_end() {
    let node = TestNode::plain();
    let admin = node.admin();
    for project in ["shop", "bank"] {
        push::project(&admin, project, false);
        push::image(&admin, &format!("{project}/app"), "1", project);
    }
    let (id, name, secret) = robot(&admin, "project", "puller", &pulls("shop"));
    assert_eq!(name, "robot$shop+puller");
    let web = node.web().signed_in(&name, &secret);
    let manifest = "/v2/shop/app/manifests/1";
    web.get(manifest).expect(200);
    assert_ne!(web.get("/v2/bank/app/manifests/1").status, 200);
    assert_ne!(web.send("POST", "/v2/shop/app/blobs/uploads/", &[], &[]).status, 202);
    // Its token holds no more than it does, whatever it asks for.
    let held = token(&web, "repository:shop/app:pull,push,delete&scope=repository:bank/app:pull");
    assert_eq!(with_token(&node, &held, manifest), 200);
    assert_eq!(with_token(&node, &held, "/v2/bank/app/manifests/1"), 401);
    let refreshed =
        admin.send("PATCH", &format!("/api/v2.0/robots/{id}"), &[("Content-Type", "application/json")], b"{}");
    let fresh = refreshed.expect(200).json()["secret"].as_str().expect("a new secret").to_owned();
    web.get(manifest).expect(401);
    assert_eq!(with_token(&node, &held, manifest), 401);
    let web = node.web().signed_in(&name, &fresh);
    web.get(manifest).expect(200);
    let held = token(&web, "repository:shop/app:pull");
    delete(&admin, &format!("/api/v2.0/robots/{id}")).expect(200);
    web.get(manifest).expect(401);
    assert_eq!(with_token(&node, &held, manifest), 401);
    // One of a project goes with it.
    let (_, name, secret) = robot(&admin, "project", "again", &pulls("shop"));
    let web = node.web().signed_in(&name, &secret);
    web.get(manifest).expect(200);
    delete(&admin, "/api/v2.0/projects/shop/repositories/app").expect(200);
    delete(&admin, "/api/v2.0/projects/shop").expect(200);
    web.get("/v2/").expect(401);
}

#[test]
fn nobody_makes_a_robot_that_may_more_than_they_do() {
    let node = TestNode::plain();
    let admin = node.admin();
    for project in ["shop", "bank"] {
        push::project(&admin, project, false);
    }
    person(&admin, "ann");
    member(&admin, "shop", "ann", 1);
    let web = node.web().signed_in("ann", PILOT);
    let ask = |level: &str, permissions: Value| {
        let body = json!({"name": "x", "level": level, "duration": 1, "permissions": permissions});
        web.post_json("/api/v2.0/robots", &body).status
    };
    assert_eq!(ask("project", pulls("shop")), 201);
    for (level, permissions) in [
        ("project", pulls("bank")),
        ("system", pulls("shop")),
        ("system", pulls("*")),
        (
            "project",
            json!([{"kind": "system", "namespace": "/", "access": [{"resource": "user", "action": "create"}]}]),
        ),
    ] {
        let status = ask(level, permissions.clone());
        assert!(matches!(status, 400 | 401 | 403 | 404), "{level} {permissions}: {status}");
    }
}

/// All of an answer that may tell two apart.
fn shape(answer: &Answer, hide: &str) -> (u16, BTreeSet<(String, String)>, String) {
    let clean = |text: &str| text.replace(hide, "NAME");
    let request = answer.header("X-Request-Id").to_owned();
    let headers = answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), clean(value.to_str().unwrap_or_default())));
    (answer.status, headers.collect(), clean(&answer.text()).replace(&request, "ID"))
}

#[test]
fn one_who_logged_in_can_not_tell_absent_from_forbidden_either() {
    let node = TestNode::plain();
    let admin = node.admin();
    push::project(&admin, "there", false);
    let image = push::image(&admin, "there/app", "1", "app");
    let layer = digest_of(&image.layers[0]);
    person(&admin, "eve");
    push::project(&admin, "eves", false);
    member(&admin, "eves", "eve", 1);
    let (_, name, secret) = robot(&admin, "project", "r", &pulls("eves"));
    let registry = |project: &str| {
        vec![
            ("HEAD", format!("/v2/{project}/app/manifests/1")),
            ("GET", format!("/v2/{project}/app/manifests/{}", image.digest)),
            ("HEAD", format!("/v2/{project}/app/blobs/{layer}")),
            ("GET", format!("/v2/{project}/app/blobs/{layer}")),
            ("GET", format!("/v2/{project}/app/referrers/{}", image.digest)),
            ("GET", format!("/v2/{project}/app/tags/list")),
            ("GET", format!("/v2/{project}/app/blobs/uploads/00000000000000000000000000000000")),
            ("POST", format!("/v2/{project}/app/blobs/uploads/")),
        ]
    };
    let api = |project: &str| {
        let below = [
            "",
            "/summary",
            "/_deletable",
            "/members",
            "/metadatas/public",
            "/repositories",
            "/artifacts",
            "/repositories/app",
            "/repositories/app/artifacts",
            "/repositories/app/artifacts/1",
            "/repositories/app/artifacts/1/tags",
            "/repositories/app/artifacts/1/accessories",
            "/logs",
        ];
        let reads = below.iter().map(|path| ("GET", format!("/api/v2.0/projects/{project}{path}")));
        let writes = [
            ("DELETE", format!("/api/v2.0/projects/{project}")),
            ("DELETE", format!("/api/v2.0/projects/{project}/repositories/app")),
        ];
        reads.chain(writes).collect::<Vec<_>>()
    };
    for web in [node.web().signed_in("eve", PILOT), node.web().signed_in(&name, &secret), node.web()] {
        let all = |project: &str| [registry(project), api(project)].concat();
        for ((method, there), (_, gone)) in all("there").into_iter().zip(all("gone")) {
            let (there, gone) = (web.send(method, &there, &[], &[]), web.send(method, &gone, &[], &[]));
            assert!(matches!(there.status, 401 | 403 | 404), "{method} {there:?}");
            assert_eq!(shape(&there, "there"), shape(&gone, "gone"), "{method}");
        }
        // A mount from what one may not read begins an upload, as one from what is not there does.
        if web.get("/api/v2.0/users/current").status == 200 {
            let mount = |project: &str| {
                let target = format!("/v2/eves/app/blobs/uploads/?mount={layer}&from={project}/app");
                web.send("POST", &target, &[], &[]).status
            };
            assert_eq!((mount("there"), mount("gone")), (202, 202));
        }
        let found = web.get("/api/v2.0/search?q=there");
        if found.status == 200 {
            assert_eq!(found.json(), web.get("/api/v2.0/search?q=gone").json(), "search tells nothing");
        }
    }
}

#[test]
fn a_quota_is_exact_under_many_pushes_at_once() {
    let node = TestNode::plain();
    let admin = node.admin();
    push::project(&admin, "shop", false);
    let project = admin.get("/api/v2.0/projects/shop").expect(200).json()["project_id"].as_u64().expect("an id");
    // Each image is as large as any other.
    let first = push::image(&admin, "shop/app", "measure", "image 00");
    let quota = format!("/api/v2.0/quotas/{project}");
    let used = || admin.get(&quota).expect(200).json()["used"]["storage"].as_i64().expect("a number");
    let each = used();
    let bytes = first.manifest.len() + first.config.len() + first.layers[0].len();
    assert_eq!(each, i64::try_from(bytes).unwrap(), "what an image takes is its manifest and its blobs");
    let fit = 20;
    put(&admin, &quota, &json!({"hard": {"storage": each * (1 + fit)}})).expect(200);
    let outcomes: Vec<u16> = std::thread::scope(|scope| {
        let pushes: Vec<_> = (1..=64)
            .map(|n| {
                let admin = &admin;
                scope.spawn(move || {
                    let (repository, seed) = (format!("shop/app-{n}"), format!("image {n:02}"));
                    let config = json!({"architecture": "amd64", "os": "linux", "seed": seed}).to_string().into_bytes();
                    let layer = format!("layer of {seed}").repeat(50).into_bytes();
                    push::blob(admin, &repository, &config);
                    push::blob(admin, &repository, &layer);
                    let body = push::image_manifest(&config, &[&layer]).to_string().into_bytes();
                    push::manifest(admin, &repository, "1", &body).status
                })
            })
            .collect();
        pushes.into_iter().map(|push| push.join().expect("a push")).collect()
    });
    let done = outcomes.iter().filter(|status| **status == 201).count();
    assert_eq!(i64::try_from(done).unwrap(), fit, "{outcomes:?}");
    assert!(outcomes.iter().all(|status| matches!(status, 201 | 403)), "{outcomes:?}");
    assert_eq!(used(), each * (1 + fit));
    // What is pushed again takes nothing; what is deleted makes room.
    push::manifest(&admin, "shop/app", "again", &first.manifest).expect(201);
    delete(&admin, &format!("/v2/shop/app/manifests/{}", first.digest)).expect(202);
    assert_eq!(used(), each * fit);
}

#[test]
fn secrets_planted_everywhere_show_nowhere() {
    let (password, wrong) = ("Canary-Qx7-of-a-person", "Canary-Zz9-that-is-wrong");
    let setup = Setup { config: "[log]\nfilter = \"trace\"\n".into(), ..Setup::default() };
    let node = TestNode::with(setup);
    let admin = node.admin();
    push::project(&admin, "shop", false);
    push::image(&admin, "shop/app", "1", "app");
    let user = json!({"username": "ann", "email": "ann@shop.example", "realname": "Ann", "password": password});
    admin.post_json("/api/v2.0/users", &user).expect(201);
    member(&admin, "shop", "ann", 1);
    let (id, name, secret) = robot(&admin, "system", "r", &pulls("*"));
    let ann = node.web().signed_in("ann", password);
    let form = |password: &str| format!("principal=ann&password={password}");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let session = node.web().send("POST", "/c/login", &kind, form(password).as_bytes()).expect(200);
    let cookie = session.header("Set-Cookie").split(';').next().unwrap_or_default().to_owned();
    let sid = cookie.split_once('=').expect("a cookie").1.to_owned();
    node.web().send("POST", "/c/login", &kind, form(wrong).as_bytes()).expect(401);
    node.web().signed_in("ann", wrong).get("/v2/").expect(401);
    let held = token(&ann, "repository:shop/app:pull");
    with_token(&node, &held, "/v2/shop/app/manifests/1");
    node.web().signed_in(&name, &secret).get("/v2/").expect(200);
    let mut secrets = vec![password.to_owned(), wrong.into(), secret, sid, held];
    let changed = json!({"old_password": password, "new_password": "Canary-Yy8-of-tomorrow"});
    let current = ann.get("/api/v2.0/users/current").expect(200).json()["user_id"].as_u64().expect("an id");
    put(&ann, &format!("/api/v2.0/users/{current}/password"), &changed).expect(200);
    secrets.push("Canary-Yy8-of-tomorrow".into());
    // Everything that can be read, by who may read everything.
    let document = admin.get("/api/v2.0/mesh/openapi.json").expect(200).json();
    let mut places = vec![("log".to_owned(), node.log()), ("metrics".into(), node.web().get("/metrics").text())];
    let values = [
        ("{project_name_or_id}", "shop"),
        ("{project_name}", "shop"),
        ("{repository_name}", "app"),
        ("{reference}", "1"),
        ("{addition}", "build_history"),
        ("{meta_name}", "public"),
        ("{robot_id}", &id.to_string()),
        ("{user_id}", &current.to_string()),
    ];
    let paths = document["paths"].as_object().expect("paths");
    for (path, item) in paths.iter().filter(|(_, item)| item.get("get").is_some()) {
        let filled = values.iter().fold(path.clone(), |path, (variable, value)| path.replace(variable, value));
        let filled = filled.split('{').fold(String::new(), |done, part| match part.split_once('}') {
            Some((_, rest)) => format!("{done}1{rest}"),
            None => format!("{done}{part}"),
        });
        let target = if filled.starts_with("/api/") { filled } else { format!("/api/v2.0{filled}") };
        let _ = item;
        places.push((target.clone(), admin.get(&format!("{target}?q=&page_size=100")).text()));
        places.push((format!("{target} (plain)"), admin.get(&target).text()));
    }
    assert!(places.len() > 60, "only {} places were looked at", places.len());
    for (place, text) in &places {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret shows in {place}");
        }
    }
    let mut folders = vec![node.data()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap_or_default();
            for secret in &secrets {
                let shows = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!shows, "a secret lies in {}", entry.path().display());
            }
        }
    }
}

#[test]
fn the_command_line_says_why_someone_is_denied() {
    let node = TestNode::plain();
    let admin = node.admin();
    push::project(&admin, "shop", false);
    push::image(&admin, "shop/app", "1", "app");
    let ann = person(&admin, "ann");
    let why = |action: &str| {
        let arguments = ["why", "denied", "shop/app:1", "--as", "ann", "--action", action, "--output", "json"];
        let finished = node.cli(&arguments);
        let told: Value = serde_json::from_str(&finished.stdout()).expect("JSON");
        (finished.code(), told["allowed"].clone(), told["steps"].to_string())
    };
    let asked = |action: &str| {
        let target = format!("/api/v2.0/mesh/why?action={action}&image=shop/app&principal=ann");
        let told = admin.get(&target).expect(200).json();
        (told["allowed"].clone(), told["steps"].to_string())
    };
    let same = |action: &str, code: i32, allowed: bool, says: &str| {
        let (ended, may, steps) = why(action);
        assert_eq!((ended, &may), (Some(code), &json!(allowed)), "{action}: {steps}");
        assert!(steps.contains(says), "{action}: {steps}");
        assert_eq!(asked(action), (may, steps), "{action}: the command line says what the interface says");
        // And what happens is what was said.
        let web = node.web().signed_in("ann", PILOT);
        let done = match action {
            "pull" => web.get("/v2/shop/app/manifests/1").status == 200,
            _ => web.send("POST", "/v2/shop/app/blobs/uploads/", &[], &[]).status == 202,
        };
        assert_eq!(done, allowed, "{action}");
    };
    same("pull", 4, false, "none in shop");
    member(&admin, "shop", "ann", 3);
    same("pull", 0, true, "role guest allows it");
    same("push", 4, false, "role guest does not allow it");
    put(&admin, &format!("/api/v2.0/mesh/users/{ann}/disabled"), &json!({"disabled": true})).expect(200);
    same("pull", 4, false, "is shut out");
}

#[test]
fn an_exported_log_is_the_log_line_by_line() {
    let mut node = TestNode::plain();
    let admin = node.admin();
    push::project(&admin, "shop", false);
    push::image(&admin, "shop/app", "1", "app");
    person(&admin, "ann");
    admin.get("/v2/shop/app/manifests/1").expect(200);
    let export = |node: &TestNode, more: &[&str]| {
        let arguments = [&["audit", "export"], more].concat();
        node.cli(&arguments).expect_success().stdout()
    };
    let lines = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    let running = export(&node, &[]);
    assert!(!lines(&running).is_empty(), "also while the node runs");
    node.stop();
    let whole = export(&node, &[]);
    assert!(whole.contains("\"shop/app:1\"") && whole.contains("\"ann\"") && !whole.contains(PILOT), "{whole}");
    assert!(whole.starts_with(&running), "what was written stays as it was");
    let mut files: Vec<_> =
        fs::read_dir(node.data().join("audit")).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let kept: String = files.iter().map(|file| fs::read_to_string(file).expect("text")).collect();
    assert_eq!(whole, kept, "byte by byte, so that the chain can be followed");
    let count = |more: &[&str]| lines(&export(&node, more)).len();
    let all = lines(&whole).len();
    assert_eq!((count(&["--since", "2001-01-01"]), count(&["--until", "2001-01-01"])), (all, 0));
    assert_eq!((count(&["--since", "2999-01-01T00:00:00Z"]), count(&["--until", "2999-01-01T00:00:00Z"])), (0, all));
    for bad in [["--since", "yesterday"], ["--until", "2026-13-01"]] {
        node.cli(&[&["audit", "export"][..], &bad].concat()).expect_failure();
    }
}

//! Who signs in, and what they may then: the administrator, a person who is a guest, a robot of the system, a robot of
//! a project; with each client's own way to present credentials. What was taken away is gone at the next pull.

use serde_json::{Value, json};
use tests::{
    clients::{
        crane, crane::Crane, docker, helm, helm::Helm, oras, oras::Oras, podman, podman::Podman, skopeo, skopeo::Skopeo,
    },
    dockerd::{Dockerd, PROGRAMS},
    image::{LOADED_NAME, images},
    node::{ADMIN, PASSWORD, Registry, TestNode},
    push,
    web::Web,
};

const PROJECT: &str = "harbourside";
const PERSON: &str = "deckhand";
const PERSONS_PASSWORD: &str = "Deck-Hand-4711";

/// Who there is, besides the administrator.
struct Crew {
    admin: Web,
    person: u64,
    /// Of the system; may pull everywhere.
    puller: Robot,
    /// Of the project; may push and pull there.
    pusher: Robot,
}

struct Robot {
    id: u64,
    name: String,
    secret: String,
}

impl Crew {
    /// Makes them over the API, in Harbor's shapes, with a project where the person is a guest.
    fn aboard(node: &TestNode) -> Self {
        let admin = node.admin();
        push::project(&admin, PROJECT, false);
        push::project(&admin, "elsewhere", false);
        let person = json!({
            "username": PERSON, "email": "deckhand@example.org", "realname": "A Deckhand", "password": PERSONS_PASSWORD,
        });
        let made = admin.post_json("/api/v2.0/users", &person).expect(201);
        let person = id_in(made.header("Location"));
        let member = json!({"role_id": 3, "member_user": {"username": PERSON}});
        admin.post_json(&format!("/api/v2.0/projects/{PROJECT}/members"), &member).expect(201);
        let puller = robot(&admin, "system", "puller", "*", &["pull", "list"]);
        assert_eq!(puller.name, "robot$puller");
        let pusher = robot(&admin, "project", "pusher", PROJECT, &["pull", "push", "list"]);
        assert_eq!(pusher.name, format!("robot${PROJECT}+pusher"));
        Self { admin, person, puller, pusher }
    }

    fn disable(&self, robot: &Robot) {
        let path = format!("/api/v2.0/robots/{}", robot.id);
        let mut now: Value = self.admin.get(&path).expect(200).json();
        now["disable"] = json!(true);
        put(&self.admin, &path, &now);
    }

    /// A new secret, made by the registry.
    fn refresh(&self, robot: &Robot) -> String {
        let path = format!("/api/v2.0/robots/{}", robot.id);
        let headers = [("Content-Type", "application/json")];
        let answer = self.admin.send("PATCH", &path, &headers, br#"{"secret": ""}"#).expect(200).json();
        let secret = answer["secret"].as_str().expect("a new secret is told once").to_owned();
        assert_ne!(secret, robot.secret);
        secret
    }

    fn dismiss(&self) {
        self.admin.send("DELETE", &format!("/api/v2.0/users/{}", self.person), &[], &[]).expect(200);
    }
}

fn robot(admin: &Web, level: &str, name: &str, namespace: &str, actions: &[&str]) -> Robot {
    let access: Vec<Value> = actions.iter().map(|action| json!({"resource": "repository", "action": action})).collect();
    let permission = json!({"kind": "project", "namespace": namespace, "access": access});
    let body = json!({"name": name, "level": level, "duration": -1, "permissions": [permission]});
    let made = admin.post_json("/api/v2.0/robots", &body).expect(201).json();
    let text = |field: &str| made[field].as_str().expect("a robot has a name and a secret").to_owned();
    Robot { id: made["id"].as_u64().expect("a robot has an id"), name: text("name"), secret: text("secret") }
}

fn put(web: &Web, path: &str, body: &Value) {
    web.send("PUT", path, &[("Content-Type", "application/json")], body.to_string().as_bytes()).expect(200);
}

fn id_in(location: &str) -> u64 {
    let last = location.rsplit('/').next().and_then(|id| id.parse().ok());
    last.unwrap_or_else(|| panic!("no id in Location {location:?}"))
}

/// An image that the administrator pushed by plain requests, and a copy where nobody else may look.
fn image_there(crew: &Crew) -> String {
    push::image(&crew.admin, "elsewhere/app", "1", "elsewhere");
    push::image(&crew.admin, &format!("{PROJECT}/there"), "1", "there").digest
}

macro_rules! both {
    ($client:ident, $programs:expr, $story:ident) => {
        mod $client {
            #[test]
            fn real_client_over_http() {
                super::super::tell(&$programs, tests::node::TestNode::plain, super::$story);
            }

            #[test]
            fn real_client_over_tls() {
                super::super::tell(&$programs, tests::node::TestNode::tls, super::$story);
            }
        }
    };
}

both!(with_crane, [super::crane::PROGRAM], crane_story);
both!(with_skopeo, [super::skopeo::PROGRAM], skopeo_story);
both!(with_podman, [super::podman::PROGRAM], podman_story);
both!(with_oras, [super::oras::PROGRAM], oras_story);
both!(with_helm, [super::helm::PROGRAM], helm_story);
both!(with_docker, [super::PROGRAMS[0], super::PROGRAMS[1], super::PROGRAMS[2], super::docker::PROGRAM], docker_story);
both!(with_basic_and_tokens, ["setpriv"], flows_story);

/// Every way in over plain requests: basic, and a token asked for with the same credentials.
fn flows_story(node: &TestNode, _registry: &Registry) {
    let crew = Crew::aboard(node);
    image_there(&crew);
    let manifest = format!("/v2/{PROJECT}/there/manifests/1");
    let upload = format!("/v2/{PROJECT}/there/blobs/uploads/");
    let token = |user: &str, password: &str, actions: &str| {
        let scope = format!("/service/token?service=portolan&scope=repository:{PROJECT}/there:{actions}");
        let answer = node.web().signed_in(user, password).get(&scope);
        (answer.status == 200).then(|| answer.json()["token"].as_str().expect("a token").to_owned())
    };
    let by_token = |token: &str, method: &str, path: &str| {
        let bearer = format!("Bearer {token}");
        node.web().send(method, path, &[("Authorization", bearer.as_str())], &[]).status
    };
    let crowd = [
        (ADMIN, PASSWORD, true),
        (PERSON, PERSONS_PASSWORD, false),
        (crew.puller.name.as_str(), crew.puller.secret.as_str(), false),
        (crew.pusher.name.as_str(), crew.pusher.secret.as_str(), true),
    ];
    let mut tokens = Vec::new();
    for (user, password, pushes) in crowd {
        let web = node.web().signed_in(user, password);
        assert_eq!(web.get("/v2/").status, 200, "{user}");
        assert_eq!(web.get(&manifest).status, 200, "{user}");
        assert_eq!(web.send("POST", &upload, &[], &[]).status == 202, pushes, "{user}");
        assert!(token(user, "Wrong-Password-1", "pull").is_none(), "{user}");
        let held = token(user, password, "pull,push").unwrap_or_else(|| panic!("no token for {user}"));
        assert_eq!(by_token(&held, "GET", &manifest), 200, "{user}");
        assert_eq!(by_token(&held, "POST", &upload) == 202, pushes, "{user}");
        tokens.push(held);
    }
    // The person and the project's robot see nothing of another project.
    for (user, password) in [(PERSON, PERSONS_PASSWORD), (&crew.pusher.name, &crew.pusher.secret)] {
        assert_ne!(node.web().signed_in(user, password).get("/v2/elsewhere/app/manifests/1").status, 200, "{user}");
    }
    // What was handed out ends with whom it was handed to: tokens too, at once.
    crew.dismiss();
    crew.disable(&crew.puller);
    let fresh = crew.refresh(&crew.pusher);
    for (at, (user, password, _)) in crowd.iter().enumerate().skip(1) {
        assert_eq!(node.web().signed_in(user, password).get(&manifest).status, 401, "{user}");
        assert!(token(user, password, "pull").is_none(), "{user}");
        assert_eq!(by_token(&tokens[at], "GET", &manifest), 401, "{user}");
    }
    assert_eq!(node.web().signed_in(&crew.pusher.name, &fresh).get(&manifest).status, 200);
    assert_eq!(by_token(&tokens[0], "GET", &manifest), 200);
}

fn crane_story(node: &TestNode, registry: &Registry) {
    let crew = Crew::aboard(node);
    let there = image_there(&crew);
    let (name, mine) = (format!("{PROJECT}/there:1"), format!("{PROJECT}/mine:1"));
    let layout = &images().single.layout;
    let signed_in = |user: &str, password: &str| {
        let crane = Crane::at(registry);
        crane.login(user, password);
        crane
    };
    let admin = signed_in(ADMIN, PASSWORD);
    let person = signed_in(PERSON, PERSONS_PASSWORD);
    let puller = signed_in(&crew.puller.name, &crew.puller.secret);
    let pusher = signed_in(&crew.pusher.name, &crew.pusher.secret);
    for crane in [&admin, &person, &puller, &pusher] {
        assert_eq!(crane.digest(&name), there);
    }
    for crane in [&person, &puller] {
        crane.attempt_push(layout, &mine).expect_failure();
    }
    pusher.push(layout, &mine);
    for crane in [&person, &pusher] {
        crane.attempt("digest", "elsewhere/app:1").expect_failure();
        crane.attempt_push(layout, "elsewhere/app:2").expect_failure();
    }
    puller.digest("elsewhere/app:1");

    crew.dismiss();
    crew.disable(&crew.puller);
    let fresh = crew.refresh(&crew.pusher);
    for crane in [&person, &puller, &pusher] {
        crane.attempt("digest", &name).expect_failure();
    }
    assert_eq!(signed_in(&crew.pusher.name, &fresh).digest(&name), there);
    assert_eq!(admin.digest(&name), there);
}

fn skopeo_story(node: &TestNode, registry: &Registry) {
    let crew = Crew::aboard(node);
    image_there(&crew);
    let name = format!("{PROJECT}/there:1");
    let skopeo = |user: &str, password: &str| {
        let skopeo = Skopeo::at(registry);
        skopeo.login(user, password).expect_success();
        skopeo
    };
    Skopeo::at(registry).login(&crew.puller.name, "Wrong-Password-1").expect_failure();
    let person = skopeo(PERSON, PERSONS_PASSWORD);
    let puller = skopeo(&crew.puller.name, &crew.puller.secret);
    let pusher = skopeo(&crew.pusher.name, &crew.pusher.secret);
    for one in [&person, &puller, &pusher] {
        one.raw(&name);
    }
    pusher.push(&images().single.oci(), &format!("{PROJECT}/mine:1"), false);
    for one in [&person, &pusher] {
        one.ask(&["inspect", "--raw"], "elsewhere/app:1").expect_failure();
    }
    crew.dismiss();
    crew.disable(&crew.puller);
    let fresh = crew.refresh(&crew.pusher);
    for one in [&person, &puller, &pusher] {
        one.ask(&["inspect", "--raw"], &name).expect_failure();
    }
    skopeo(&crew.pusher.name, &fresh).raw(&name);
}

fn podman_story(node: &TestNode, registry: &Registry) {
    let crew = Crew::aboard(node);
    let name = format!("{PROJECT}/mine:1");
    let pusher = Podman::at(registry);
    pusher.login(&crew.pusher.name, &crew.pusher.secret).expect_success();
    let image = pusher.load(&images().archive, LOADED_NAME);
    pusher.push(&image, &name);
    let signed_in = |user: &str, password: &str| {
        let podman = Podman::at(registry);
        podman.login(user, "Wrong-Password-1").expect_failure();
        podman.login(user, password).expect_success();
        podman
    };
    let person = signed_in(PERSON, PERSONS_PASSWORD);
    let puller = signed_in(&crew.puller.name, &crew.puller.secret);
    for podman in [&person, &puller] {
        podman.pull(&name).expect_success();
    }
    crew.dismiss();
    crew.disable(&crew.puller);
    for podman in [&person, &puller] {
        podman.pull(&name).expect_failure();
    }
    pusher.pull(&name).expect_success();
    crew.refresh(&crew.pusher);
    pusher.pull(&name).expect_failure();
}

fn oras_story(node: &TestNode, registry: &Registry) {
    let crew = Crew::aboard(node);
    let name = format!("{PROJECT}/manual:1");
    let signed_in = |user: &str, password: &str| {
        let oras = Oras::at(registry);
        oras.login(user, "Wrong-Password-1").expect_failure();
        oras.login(user, password).expect_success();
        oras
    };
    let pusher = signed_in(&crew.pusher.name, &crew.pusher.secret);
    pusher.write("manual.txt", "pull the lever\n");
    pusher.push(&name, "application/vnd.example.manual", "manual.txt");
    let person = signed_in(PERSON, PERSONS_PASSWORD);
    let puller = signed_in(&crew.puller.name, &crew.puller.secret);
    for oras in [&person, &puller, &pusher] {
        oras.fetch(&name).expect_success();
    }
    crew.dismiss();
    crew.disable(&crew.puller);
    crew.refresh(&crew.pusher);
    for oras in [&person, &puller, &pusher] {
        oras.fetch(&name).expect_failure();
    }
}

fn helm_story(node: &TestNode, registry: &Registry) {
    let crew = Crew::aboard(node);
    let signed_in = |user: &str, password: &str| {
        let helm = Helm::at(registry);
        helm.login(user, "Wrong-Password-1").expect_failure();
        helm.login(user, password).expect_success();
        helm
    };
    let pusher = signed_in(&crew.pusher.name, &crew.pusher.secret);
    let chart = pusher.package("harbour", "1.2.0");
    pusher.push(&chart, &format!("{PROJECT}/charts"));
    let name = format!("{PROJECT}/charts/harbour");
    let person = signed_in(PERSON, PERSONS_PASSWORD);
    let puller = signed_in(&crew.puller.name, &crew.puller.secret);
    for helm in [&person, &puller, &pusher] {
        helm.pull(&name, "1.2.0", "pulled").expect_success();
    }
    crew.dismiss();
    crew.disable(&crew.puller);
    crew.refresh(&crew.pusher);
    for helm in [&person, &puller, &pusher] {
        helm.pull(&name, "1.2.0", "again").expect_failure();
    }
}

fn docker_story(node: &TestNode, registry: &Registry) {
    let crew = Crew::aboard(node);
    let name = format!("{PROJECT}/mine:1");
    let pushing = Dockerd::start(registry, None);
    let pusher = pushing.docker(registry);
    pusher.load(&images().archive, LOADED_NAME, &name);
    pusher.login(&crew.pusher.name, "Wrong-Password-1").expect_failure();
    pusher.login(&crew.pusher.name, &crew.pusher.secret).expect_success();
    pusher.push(&name).expect_success();
    pusher.tag(&name, "elsewhere/app:2");
    pusher.push("elsewhere/app:2").expect_failure();

    // One engine, one set of credentials a client.
    let pulling = Dockerd::start(registry, None);
    let signed_in = |user: &str, password: &str| {
        let docker = pulling.docker(registry);
        docker.login(user, password).expect_success();
        docker
    };
    let person = signed_in(PERSON, PERSONS_PASSWORD);
    let puller = signed_in(&crew.puller.name, &crew.puller.secret);
    for docker in [&person, &puller] {
        docker.pull(&name).expect_success();
        docker.tag(&name, &format!("{PROJECT}/theirs:1"));
        docker.push(&format!("{PROJECT}/theirs:1")).expect_failure();
    }
    crew.dismiss();
    crew.disable(&crew.puller);
    crew.refresh(&crew.pusher);
    for docker in [&person, &puller, &pusher] {
        docker.pull(&name).expect_failure();
    }
}

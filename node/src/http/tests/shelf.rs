//! Repositories, artifacts and tags as people look at them, and who sees what of them.

use protocol::record::governed::{Entity, MemberKey};
use protocol::{Digest, Timestamp};
use serde_json::{Value, json};

use super::{Answer, Edge};
use crate::auth::Secret;
use crate::directory::Profile;
use crate::policy::roles::GUEST;
use crate::storage::meta::Act;

const API: &str = "/api/v2.0";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SECRET: &str = "Correct-Horse-1";

impl Edge {
    async fn get(&self, target: &str) -> Answer {
        self.admin("GET", &format!("{API}{target}"), "", b"").await
    }

    async fn status(&self, method: &str, target: &str, body: &Value) -> u16 {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.admin(method, &format!("{API}{target}"), "", &body).await.status
    }

    async fn put_manifest(&self, name: &str, tag: Option<&str>, kind: &str, body: &Value) -> Digest {
        let body = body.to_string().into_bytes();
        let digest = Digest::sha256(&body);
        let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
        let header = format!("Content-Type: {kind}\r\n");
        let pushed = self.admin("PUT", &format!("/v2/{name}/manifests/{reference}"), &header, &body).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        digest
    }

    async fn push_image(&self, name: &str, tag: Option<&str>, seed: &str) -> Digest {
        let history = json!([{ "created_by": format!("COPY {seed} /") }]);
        let config = json!({ "os": "linux", "architecture": "amd64", "history": history }).to_string();
        let size = config.len();
        let config = self.push_blob(name, config.as_bytes()).await;
        let body = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": size },
        });
        self.put_manifest(name, tag, MANIFEST, &body).await
    }

    async fn push_accessory(&self, name: &str, subject: &Digest) -> Digest {
        let empty = self.push_blob(name, b"{}").await;
        let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 });
        let body = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.report",
            "config": empty, "layers": [],
            "subject": { "mediaType": MANIFEST, "digest": subject, "size": 1 },
        });
        self.put_manifest(name, None, MANIFEST, &body).await
    }

    /// A person who is a guest of these parts of projects (`None`: of the whole).
    async fn guest(&self, name: &str, parts: &[(&str, Option<&str>)]) {
        let verifier = self.app.parts.authenticator.new_verifier(&Secret::new(SECRET), None).await.unwrap();
        let act = Act { actor: "test".into(), at: Timestamp(5), request: "r".into(), via: Default::default() };
        let profile = Profile { email: format!("{name}@example.org"), real_name: name.into(), comment: String::new() };
        let directory = self.app.parts.registry.directory();
        let made = directory.change(&act, |draft| draft.create_user(name, &profile, false, verifier.clone())).await;
        let id = made.unwrap();
        for (project, pattern) in parts {
            let key = MemberKey { entity: Entity::User(id), repositories: pattern.map(str::to_owned) };
            let project = project.parse().unwrap();
            directory.change(&act, |draft| draft.add_member(&project, &key, GUEST)).await.unwrap();
        }
    }

    async fn as_person(&self, name: &str, method: &str, target: &str) -> Answer {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{SECRET}"));
        self.send(method, target, &format!("Authorization: Basic {encoded}\r\n"), b"").await
    }
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let all = answer.json();
    all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn digests(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let all = answer.json();
    all.as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn repositories_are_listed_in_any_order_described_and_deleted() {
    let edge = Edge::start().await;
    for name in ["shop/b", "shop/a/deep", "shop/c", "tools/b"] {
        edge.push_image(name, Some("1"), name).await;
    }
    let of_shop = "/projects/shop/repositories";
    assert_eq!(names(&edge.get(of_shop).await), ["shop/c", "shop/a/deep", "shop/b"], "the last made first");
    assert_eq!(names(&edge.get(&format!("{of_shop}?sort=name")).await), ["shop/a/deep", "shop/b", "shop/c"]);
    assert_eq!(names(&edge.get(&format!("{of_shop}?sort=-name&page=2&page_size=2")).await), ["shop/a/deep"]);
    let page = edge.get(&format!("{of_shop}?page=2&page_size=1")).await;
    assert_eq!((names(&page), page.header("x-total-count")), (vec!["shop/a/deep".into()], Some("3")));
    assert!(page.header("link").unwrap().contains("rel=\"prev\""));
    let found = edge.get(&format!("{of_shop}?q=name%3D~DEEP")).await;
    assert_eq!((names(&found), found.header("x-total-count")), (vec!["shop/a/deep".into()], Some("1")));
    assert_eq!(names(&edge.get("/repositories?q=name%3D~/b&sort=name").await), ["shop/b", "tools/b"]);

    let deep = "/projects/shop/repositories/a%252Fdeep";
    assert_eq!(edge.status("PUT", deep, &json!({ "description": "a <b>till</b>" })).await, 200);
    assert_eq!(edge.status("PUT", deep, &json!({ "descripton": "" })).await, 400, "an unknown field");
    let shown = edge.get(deep).await.json();
    assert_eq!(shown["description"], "a &lt;b&gt;till&lt;/b&gt;");
    assert_eq!((&shown["name"], &shown["artifact_count"]), (&json!("shop/a/deep"), &json!(1)));
    assert_eq!(names(&edge.get(&format!("{of_shop}?sort=-update_time&page_size=1")).await), ["shop/a/deep"]);
    assert_eq!(edge.status("DELETE", deep, &Value::Null).await, 200);
    for method in ["GET", "DELETE"] {
        assert_eq!(edge.status(method, deep, &Value::Null).await, 404, "{method}");
    }
    assert_eq!(edge.status("GET", "/projects/none/repositories", &Value::Null).await, 404);
}

#[tokio::test]
async fn an_artifact_tells_what_its_manifest_and_config_say() {
    let edge = Edge::start().await;
    let image = edge.push_image("shop/till", Some("1.0"), "till").await;
    let child = edge.push_image("shop/till", None, "child").await;
    let report = edge.push_accessory("shop/till", &image).await;
    let platform = json!({ "os": "linux", "architecture": "arm64" });
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        { "mediaType": MANIFEST, "digest": child, "size": 1, "platform": platform },
    ] });
    // A child is as long as it is.
    let size = edge.admin("GET", &format!("/v2/shop/till/manifests/{child}"), "", b"").await.body.len();
    let mut body = body;
    body["manifests"][0]["size"] = size.into();
    let index = edge.put_manifest("shop/till", Some("both"), INDEX, &body).await;
    let at = "/projects/shop/repositories/till/artifacts";

    let list = edge.get(at).await;
    assert_eq!((digests(&list), list.header("x-total-count")), (vec![index.to_string(), image.to_string()], Some("2")));
    assert_eq!(list.json()[1]["accessories"][0]["digest"], report.to_string());
    let bare = edge.get(&format!("{at}?with_tag=false&with_accessory=false")).await.json();
    assert_eq!((&bare[1]["tags"], &bare[1]["accessories"]), (&json!([]), &json!([])));

    let shown = edge.get(&format!("{at}/1.0")).await.json();
    assert_eq!(shown["digest"], image.to_string());
    assert_eq!(
        (&shown["type"], &shown["media_type"]),
        (&json!("IMAGE"), &json!("application/vnd.oci.image.config.v1+json"))
    );
    assert_eq!(shown["extra_attrs"], json!({ "os": "linux", "architecture": "amd64" }));
    assert_eq!(shown["tags"][0]["name"], "1.0");
    let history = shown["addition_links"]["build_history"]["href"].as_str().unwrap();
    let history = edge.admin("GET", history, "", b"").await;
    assert_eq!((history.status, &history.json()[0]["created_by"]), (200, &json!("COPY till /")));

    let shown = edge.get(&format!("{at}/{index}")).await.json();
    let reference = &shown["references"][0];
    assert_eq!((&reference["child_digest"], &reference["platform"]["architecture"]), (&json!(child), &json!("arm64")));
    assert!(reference["child_id"].as_i64().unwrap() > 0 && reference["parent_id"] == shown["id"]);
    assert_eq!(edge.get(&format!("{at}/both/accessories")).await.json(), json!([]));
    let accessories = edge.get(&format!("{at}/1.0/accessories")).await.json();
    assert_eq!((&accessories[0]["type"], accessories.as_array().unwrap().len()), (&json!("subject.accessory"), 1));
    for (addition, status) in [
        ("both/additions/build_history", 400),
        ("1.0/additions/bananas", 422),
        ("1.0/additions/values.yaml", 400),
        ("none/additions/build_history", 404),
        ("none", 404),
        ("a:b", 404),
    ] {
        assert_eq!(edge.get(&format!("{at}/{addition}")).await.status, status, "{addition}");
    }

    for (q, expected) in [
        ("tags%3D1.0", vec![image]),
        ("tags%3D~ot", vec![index]),
        ("tags%3Dnil", vec![]),
        ("tags%3D*", vec![index, image]),
        ("base%3D*", vec![index, report, child, image]),
        ("base%3D*,tags%3Dnil", vec![report, child]),
        ("media_type%3Dapplication/vnd.oci.image.config.v1%2Bjson", vec![image]),
        ("media_type%3D~image.config.v1%2Bj", vec![image]),
        ("labels%3D(1%202)", vec![]),
    ] {
        let found = edge.get(&format!("{at}?q={}", q.replace('%', "%25"))).await;
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(digests(&found), expected, "{q}");
        assert_eq!(found.header("x-total-count"), Some(expected.len().to_string().as_str()), "{q}");
    }
    assert_eq!(digests(&edge.get(&format!("{at}?sort=push_time")).await), [image.to_string(), index.to_string()]);
    for bad in ["base%3Dx", "labels%3D1", "tags%3D(a)"] {
        assert_eq!(edge.get(&format!("{at}?q={bad}")).await.status, 400, "{bad}");
    }
    let of_project = edge.get("/projects/shop/artifacts?page_size=1&page=2").await;
    assert_eq!((digests(&of_project), of_project.header("x-total-count")), (vec![image.to_string()], Some("2")));
    assert_eq!(edge.get("/projects/shop/artifacts?latest_in_repository=true").await.status, 400);
    let latest = "/projects/shop/artifacts?latest_in_repository=true&q=artifact_type%3D~oci";
    assert_eq!(edge.get(latest).await.json()[0]["repository_name"], "shop/till");
}

#[tokio::test]
async fn tags_are_made_once_listed_and_deleted_where_they_belong() {
    let edge = Edge::start().await;
    let image = edge.push_image("shop/till", Some("a"), "till").await;
    edge.push_image("shop/till", Some("other"), "other").await;
    let at = "/projects/shop/repositories/till/artifacts";
    let make = async |reference: &str, tag: &str| {
        edge.status("POST", &format!("{at}/{reference}/tags"), &json!({ "name": tag })).await
    };
    assert_eq!(make(&image.to_string(), "b").await, 201);
    assert_eq!(make("a", "b").await, 409);
    assert_eq!(make("a", "other").await, 409, "and it still names the other one");
    assert_eq!((make("none", "c").await, make("a", "not/a/tag").await, make("a", "").await), (404, 400, 400));
    let names = |answer: Answer| names(&answer);
    assert_eq!(names(edge.get(&format!("{at}/a/tags?sort=name")).await), ["a", "b"]);
    assert_eq!(names(edge.get(&format!("{at}/a/tags?sort=-name&page_size=1")).await), ["b"]);
    assert_eq!(names(edge.get(&format!("{at}/a/tags?q=name%3D~B")).await), ["b"]);
    let pulled = edge.admin("GET", "/v2/shop/till/manifests/b", "", b"").await;
    assert_eq!(Digest::sha256(&pulled.body), image);
    let remove = async |tag: &str| edge.status("DELETE", &format!("{at}/{image}/tags/{tag}"), &Value::Null).await;
    assert_eq!((remove("other").await, remove("b").await, remove("b").await), (404, 200, 404));
    assert_eq!(names(edge.get(&format!("{at}/{image}/tags")).await), ["a"]);
}

#[tokio::test]
async fn a_deleted_artifact_takes_along_what_speaks_about_it_and_what_it_was_made_of() {
    let edge = Edge::start().await;
    let image = edge.push_image("shop/till", Some("1"), "till").await;
    let child = edge.push_image("shop/till", None, "child").await;
    let sizes = [image, child].map(|digest| format!("/v2/shop/till/manifests/{digest}"));
    let mut manifests = Vec::new();
    for (digest, target) in [image, child].iter().zip(&sizes) {
        let size = edge.admin("GET", target, "", b"").await.body.len();
        manifests.push(json!({ "mediaType": MANIFEST, "digest": digest, "size": size }));
    }
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let kept = edge.push_image("shop/till", None, "kept").await;
    let about_kept = edge.push_accessory("shop/till", &kept).await;
    let size = edge.admin("GET", &format!("/v2/shop/till/manifests/{kept}"), "", b"").await.body.len();
    for (tag, also) in [("both", Some(&body)), ("keeper", None)] {
        let mut manifests = also.map_or(json!([]), |body| body["manifests"].clone());
        manifests.as_array_mut().unwrap().push(json!({ "mediaType": MANIFEST, "digest": kept, "size": size }));
        let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        edge.put_manifest("shop/till", Some(tag), INDEX, &body).await;
    }
    let index = edge.get("/projects/shop/repositories/till/artifacts/both").await.json();
    let index: Digest = index["digest"].as_str().unwrap().parse().unwrap();
    let report = edge.push_accessory("shop/till", &index).await;
    let about_report = edge.push_accessory("shop/till", &report).await;
    let at = "/projects/shop/repositories/till/artifacts";
    for needed in [child.to_string(), "1".to_owned()] {
        let refused = edge.admin("DELETE", &format!("{API}{at}/{needed}"), "", b"").await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["code"]), (412, &json!("PRECONDITION")), "{needed}");
    }
    assert_eq!(edge.get(&format!("{at}/1")).await.status, 200, "its tag stays as well");
    assert_eq!(edge.status("DELETE", &format!("{at}/both"), &Value::Null).await, 200);
    for (digest, status) in
        [(index, 404), (report, 404), (about_report, 404), (child, 404), (image, 200), (kept, 200), (about_kept, 200)]
    {
        assert_eq!(edge.get(&format!("{at}/{digest}")).await.status, status, "{digest}");
    }
    assert_eq!(edge.status("DELETE", &format!("{at}/both"), &Value::Null).await, 404);
    let of_registry = edge.admin("DELETE", &format!("/v2/shop/till/manifests/{kept}"), "", b"").await;
    assert_eq!(of_registry.status, 202, "registry clients delete in any order");
    assert_eq!(edge.status("DELETE", &format!("{at}/1"), &Value::Null).await, 200, "no index needs it any more");
}

#[tokio::test]
async fn a_copy_is_whole_can_be_repeated_and_needs_the_right_to_read_its_source() {
    let edge = Edge::start().await;
    let child = edge.push_image("shop/till", None, "child").await;
    let size = edge.admin("GET", &format!("/v2/shop/till/manifests/{child}"), "", b"").await.body.len();
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        { "mediaType": MANIFEST, "digest": child, "size": size },
    ] });
    let index = edge.put_manifest("shop/till", Some("both"), INDEX, &body).await;
    edge.put_manifest("shop/till", Some("second"), INDEX, &body).await;
    let report = edge.push_accessory("shop/till", &child).await;
    let target = format!("{API}/projects/open/repositories/copied%252Ftill/artifacts");
    for _ in 0..2 {
        let copied = edge.admin("POST", &format!("{target}?from=shop/till:both"), "", b"").await;
        assert_eq!((copied.status, copied.header("location")), (201, Some(format!("{target}/both").as_str())));
    }
    let tags = edge.admin("GET", &format!("{target}/{index}/tags"), "", b"").await.json();
    assert_eq!((tags[0]["name"].as_str(), tags.as_array().unwrap().len()), (Some("both"), 1), "that tag alone");
    for digest in [index, child, report] {
        let pulled = edge.send("GET", &format!("/v2/open/copied/till/manifests/{digest}"), "", b"").await;
        assert_eq!(pulled.status, 200, "{digest}");
    }
    let config = json!({ "os": "linux", "architecture": "amd64", "history": [{ "created_by": "COPY child /" }] });
    let config = Digest::sha256(config.to_string().as_bytes());
    assert_eq!(edge.send("GET", &format!("/v2/open/copied/till/blobs/{config}"), "", b"").await.status, 200);
    for (from, status) in [
        (format!("shop/till@{index}"), 201),
        (format!("shop/till@{report}"), 403),
        ("shop/till:none".to_owned(), 404),
        ("shop/none:both".to_owned(), 404),
        ("none/till:both".to_owned(), 404),
        ("NOT%20A%20REFERENCE".to_owned(), 400),
        (String::new(), 400),
    ] {
        assert_eq!(edge.admin("POST", &format!("{target}?from={from}"), "", b"").await.status, status, "{from}");
    }
    // One who may write there and not read here is told what one is told of what is not there.
    edge.guest("eve", &[("open", None)]).await;
    let maintainer = MemberKey { entity: Entity::User(2), repositories: Some("**".into()) };
    let act = Act { actor: "test".into(), at: Timestamp(6), request: "r".into(), via: Default::default() };
    let open = "open".parse().unwrap();
    let directory = edge.app.parts.registry.directory();
    let id = directory.read(|book| book.user("eve").unwrap().is.id);
    let maintainer = MemberKey { entity: Entity::User(id), ..maintainer };
    directory.change(&act, |draft| draft.add_member(&open, &maintainer, 4)).await.unwrap();
    let own = edge.as_person("eve", "POST", &format!("{target}?from=open/copied/till:both")).await;
    assert_eq!(own.status, 201);
    for from in ["shop/till:both", "none/till:both"] {
        assert_eq!(edge.as_person("eve", "POST", &format!("{target}?from={from}")).await.status, 404, "{from}");
    }
}

#[tokio::test]
async fn everyone_sees_what_is_theirs_and_no_more() {
    let edge = Edge::start().await;
    for name in ["open/app", "shop/app", "shop/team/app", "shop/team/deep/app", "tools/app"] {
        edge.push_image(name, Some("1"), name).await;
    }
    edge.guest("ann", &[("shop", Some("team/*"))]).await;
    edge.guest("bob", &[("tools", None)]).await;
    let all = format!("{API}/repositories?sort=name");
    let anonymous = edge.send("GET", &all, "", b"").await;
    assert_eq!((names(&anonymous), anonymous.header("x-total-count")), (vec!["open/app".into()], Some("1")));
    let seen = edge.as_person("ann", "GET", &all).await;
    assert_eq!(
        (names(&seen), seen.header("x-total-count")),
        (vec!["open/app".into(), "shop/team/app".into()], Some("2"))
    );
    assert_eq!(names(&edge.as_person("bob", "GET", &all).await), ["open/app", "tools/app"]);
    let newest = edge.as_person("bob", "GET", &format!("{API}/repositories?page_size=1")).await;
    assert_eq!((names(&newest), newest.header("x-total-count")), (vec!["tools/app".into()], Some("2")));

    let of_shop = format!("{API}/projects/shop/repositories");
    assert_eq!(names(&edge.as_person("ann", "GET", &of_shop).await), ["shop/team/app"]);
    assert_eq!(edge.as_person("bob", "GET", &of_shop).await.status, 404);
    assert_eq!(edge.send("GET", &of_shop, "", b"").await.status, 401);
    for (path, status) in [("team%252Fapp", 200), ("app", 403), ("team%252Fdeep%252Fapp", 403), ("none", 403)] {
        for below in ["", "/artifacts"] {
            let answer = edge.as_person("ann", "GET", &format!("{of_shop}/{path}{below}")).await;
            assert_eq!(answer.status, status, "{path}{below}");
        }
    }
    let artifacts = format!("{API}/projects/shop/artifacts");
    let seen = edge.as_person("ann", "GET", &artifacts).await.json();
    assert_eq!((&seen[0]["repository_name"], seen.as_array().unwrap().len()), (&json!("shop/team/app"), 1));
    assert_eq!(edge.as_person("bob", "GET", &artifacts).await.status, 404);
    let of_open = format!("{API}/projects/open/artifacts");
    assert_eq!(edge.send("GET", &of_open, "", b"").await.status, 401, "for accounts alone");

    for (who, projects, repositories) in [
        (None, vec!["open"], vec!["open/app"]),
        (Some("ann"), vec!["open", "shop"], vec!["open/app", "shop/team/app"]),
        (Some("bob"), vec!["open", "tools"], vec!["open/app", "tools/app"]),
    ] {
        let ask = |word: &str| format!("{API}/search?q={word}");
        let search = async |word: &str| match who {
            None => edge.send("GET", &ask(word), "", b"").await.json(),
            Some(who) => edge.as_person(who, "GET", &ask(word)).await.json(),
        };
        let listed = |found: &Value, key: &str| -> Vec<String> {
            found.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(listed(&search("APP").await["repository"], "repository_name"), repositories, "{who:?}");
        assert_eq!(listed(&search("o").await["project"], "name"), projects, "{who:?}");
    }
    assert_eq!(edge.send("GET", &format!("{API}/search"), "", b"").await.status, 422);
}

#[tokio::test]
async fn the_catalog_shows_what_one_may_pull_in_full_pages() {
    let edge = Edge::start().await;
    for name in ["aaa/hidden", "mine/a", "mine/b", "nnn/hidden", "shop/app", "shop/team/app", "zzz/hidden"] {
        edge.push_blob(name, b"x").await;
    }
    edge.guest("ann", &[("mine", None), ("shop", Some("team/*"))]).await;
    let page = async |target: &str| {
        let answer = edge.as_person("ann", "GET", target).await;
        (answer.json()["repositories"].clone(), answer.header("link").is_some())
    };
    assert_eq!(page("/v2/_catalog").await, (json!(["mine/a", "mine/b", "shop/team/app"]), false));
    assert_eq!(page("/v2/_catalog?n=2").await, (json!(["mine/a", "mine/b"]), true));
    assert_eq!(page("/v2/_catalog?n=2&last=mine/b").await, (json!(["shop/team/app"]), false));
    edge.guest("eve", &[]).await;
    let nothing = edge.as_person("eve", "GET", "/v2/_catalog").await;
    assert_eq!((nothing.status, &nothing.json()["repositories"]), (200, &json!([])));
    let everything = edge.admin("GET", "/v2/_catalog", "", b"").await.json();
    assert_eq!(everything["repositories"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_chart_shows_its_values_its_readme_and_what_it_needs() {
    let edge = Edge::start().await;
    let files: [(&str, &[u8]); 3] =
        [("shop/Chart.yaml", b"name: shop"), ("shop/values.yaml", b"replicas: 2\n"), ("shop/README.md", b"# Shop")];
    let chart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    let needed = json!([{ "name": "till", "version": "1.2.3", "repository": "oci://example.org/charts" }]);
    let push = async |tag: &str, archive: Vec<u8>| {
        let config = json!({ "name": "shop", "version": "0.1.0", "dependencies": needed }).to_string();
        let config_digest = edge.push_blob("open/charts/shop", config.as_bytes()).await;
        let layer = edge.push_blob("open/charts/shop", &archive).await;
        let body = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config_digest, "size": config.len() },
            "layers": [{ "mediaType": chart, "digest": layer, "size": archive.len() }],
        });
        edge.put_manifest("open/charts/shop", Some(tag), MANIFEST, &body).await
    };
    push("0.1.0", crate::registry::chart::tests::packed(&files)).await;
    let at = "/projects/open/repositories/charts%252Fshop/artifacts";
    let shown = edge.get(&format!("{at}/0.1.0")).await.json();
    assert_eq!((&shown["type"], &shown["extra_attrs"]["version"]), (&json!("CHART"), &json!("0.1.0")));
    for (addition, kind, body) in [
        ("values.yaml", "text/plain; charset=utf-8", "replicas: 2\n".to_owned()),
        ("readme.md", "text/markdown; charset=utf-8", "# Shop".to_owned()),
        ("dependencies", "application/json; charset=utf-8", needed.to_string()),
    ] {
        let href = shown["addition_links"][addition]["href"].as_str().unwrap();
        let got = edge.admin("GET", href, "", b"").await;
        assert_eq!((got.status, got.header("content-type")), (200, Some(kind)), "{got:?}");
        assert_eq!(String::from_utf8(got.body).unwrap(), body);
    }
    assert_eq!(shown["addition_links"].as_object().unwrap().len(), 3);
    assert_eq!(edge.get(&format!("{at}/0.1.0/additions/build_history")).await.status, 400);
    assert_eq!(edge.get(&format!("{at}/0.1.0/additions/files")).await.status, 400);
    // What is no archive is nobody's fault of ours.
    push("0.2.0", b"no archive".to_vec()).await;
    assert_eq!(edge.get(&format!("{at}/0.2.0/additions/values.yaml")).await.status, 404);
    assert_eq!(edge.get(&format!("{at}/0.2.0/additions/dependencies")).await.status, 200);
    // One without the file has an empty one, as Harbor says it.
    push("0.3.0", crate::registry::chart::tests::packed(&files[..1])).await;
    let empty = edge.get(&format!("{at}/0.3.0/additions/readme.md")).await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
}

#[tokio::test]
async fn of_those_who_make_a_tag_at_once_one_makes_it() {
    let edge = Edge::start().await;
    let digests =
        [edge.push_image("open/app", Some("a"), "a").await, edge.push_image("open/app", Some("b"), "b").await];
    for round in 0..20 {
        let make = |digest: Digest| {
            let target = format!("/projects/open/repositories/app/artifacts/{digest}/tags");
            let body = json!({ "name": format!("v{round}") });
            let edge = &edge;
            async move { edge.status("POST", &target, &body).await }
        };
        let (one, two, three) = tokio::join!(make(digests[0]), make(digests[1]), make(digests[0]));
        let mut made = [one, two, three];
        made.sort_unstable();
        assert_eq!(made, [201, 409, 409], "round {round}");
    }
}

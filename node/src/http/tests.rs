//! The edge over real connections: a server on a loopback port, engines that forget behind it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use protocol::seam::{Clock, Entropy, FileSystem};
use protocol::{Digest, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{AppState, Parts, Server, Settings};
use crate::auth::{AuthRules, Authenticator, OpenAuth, Secret};
use crate::config::{Config, Create, Period};
use crate::policy::Gate;
use crate::registry::maintenance::{Upkeep, UpkeepParts};
use crate::registry::{Registry, Rules};
use crate::storage::blobs::memory::MemoryBlobs;
use crate::storage::meta::redb::{OpenRedb, RedbMeta};
use crate::storage::meta::{Act, MetaStore, Project};
use crate::storage::snapshots::Snapshots;
use crate::storage::store::Store;
use crate::storage::uploads::tests::Yard;
use crate::storage::{Health, Room, RoomLimits};
use crate::telemetry::Metrics;
use crate::workers::Scope;
use crate::world::scratch::Scratch;
use crate::world::until::until;
use crate::world::{RealClock, RealDisk, RealEntropy};

const PASSWORD: &str = "correct horse";

/// A node's edge on a loopback port.
struct Edge {
    address: std::net::SocketAddr,
    app: Arc<AppState>,
    scope: Scope,
    health: Health,
    dir: Scratch,
    _yard: Yard,
}

/// Its writer has a scope of its own, which outlives the requests.
fn open_meta(dir: &Scratch, health: &Health) -> RedbMeta {
    RedbMeta::open(OpenRedb {
        fs: Arc::new(RealDisk),
        path: dir.path("meta.redb"),
        cache: 1 << 20,
        sync: false,
        health: health.clone(),
        scope: Scope::new(),
    })
    .unwrap()
}

fn upkeep(store: &Arc<Store>, meta: Arc<RedbMeta>, dir: &Scratch, scope: &Scope) -> Arc<Upkeep> {
    let (clock, fs): (Arc<dyn Clock>, Arc<dyn FileSystem>) = (Arc::new(RealClock::new()), Arc::new(RealDisk));
    let snapshots = Snapshots { meta, fs: Arc::clone(&fs), dir: dir.path("snapshots"), kept: 3, scope: scope.clone() };
    fs.create_dir_all(&snapshots.dir).unwrap();
    let limits = RoomLimits { ballast: 0, refuse_uploads_at: 99, keep_free: 1 << 20 };
    let room = Room::open(fs, dir.root().into(), limits, Arc::clone(&clock)).unwrap();
    let (store, data) = (Arc::clone(store), dir.root().display().to_string());
    Upkeep::new(UpkeepParts { store, room, snapshots, scrub_rate: 1 << 30, clock, scope: scope.clone(), data })
}

async fn public_project(meta: &dyn MetaStore) {
    let act = Act { actor: "test".into(), at: Timestamp(1), request: "r".into() };
    let project = Project { name: "open".parse().unwrap(), public: true, sparse: false, created: Timestamp(1) };
    assert!(meta.create_project(project, act).await.unwrap());
}

impl Edge {
    async fn start() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(mut config: Config) -> Self {
        config.http.listen = "127.0.0.1:0".into();
        let (dir, scope) = (Scratch::new(), Scope::new());
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(RealEntropy);
        let yard = Yard::new();
        let health = yard.health.clone();
        let meta = Arc::new(open_meta(&dir, &health));
        let blobs = Arc::new(MemoryBlobs::new(Arc::clone(&clock)));
        let store = yard.store(Arc::<RedbMeta>::clone(&meta), blobs);
        public_project(store.meta()).await;
        let rules =
            AuthRules { token_ttl: Duration::from_secs(300), cache_ttl: Duration::from_secs(3600), password_checks: 2 };
        let auth = OpenAuth {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            tasks: scope.clone(),
            rules,
        };
        let (authenticator, _) = Authenticator::open(auth, Some(Secret::new(PASSWORD))).await.unwrap();
        let rules = Rules { create: Create::Push, page: config.limits.page as usize };
        let app = AppState::new(Parts {
            registry: Registry::new(
                Arc::clone(&store),
                scope.clone(),
                Arc::clone(&clock),
                rules,
                upkeep(&store, meta, &dir, &scope),
            ),
            gate: Gate::new(store),
            authenticator: Arc::new(authenticator),
            health: health.clone(),
            scope: scope.clone(),
            metrics: Arc::new(Metrics::new()),
            clock: Arc::clone(&clock),
            entropy,
            settings: Settings::new(&config.http, &config.limits),
        });
        let server = Server::bind(&config.http, &config.limits, Some(&dir.path("s")), clock).await.unwrap();
        let address = server.bound().main;
        server.serve(&app, &scope);
        app.readiness().ready();
        Self { address, app, scope, health, dir, _yard: yard }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request as it stands and reads to the end of the connection.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let _ = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
        Answer::read(&bytes)
    }

    /// A request with `headers` (each ending in CRLF) and a body of known length.
    async fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let length = if body.is_empty() && method == "GET" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: reg.example\r\nConnection: close\r\n{length}{headers}\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        self.raw(request).await
    }

    /// As the administrator.
    async fn admin(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        self.send(method, target, &format!("{}{headers}", basic()), body).await
    }

    async fn push_blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let pushed = self.admin("POST", &format!("/v2/{name}/blobs/uploads/?digest={digest}"), "", bytes).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        digest
    }
}

fn basic() -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("admin:{PASSWORD}"));
    format!("Authorization: Basic {encoded}\r\n")
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

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
async fn a_blob_in_chunks_and_out_of_order() {
    let edge = Edge::start().await;
    let begun = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    assert_eq!((begun.status, begun.header("range")), (202, Some("0-0")));
    let location = begun.header("location").unwrap().to_owned();
    assert!(location.ends_with(begun.header("docker-upload-uuid").unwrap()));
    let first = edge.admin("PATCH", &location, "Content-Range: 0-4\r\n", b"hello").await;
    assert_eq!((first.status, first.header("range")), (202, Some("0-4")));
    for method in ["PATCH", "PUT"] {
        let target = format!("{location}?digest={}", Digest::sha256(b"hello world"));
        let odd = edge.admin(method, &target, "Content-Range: 9-10\r\n", b"ld").await;
        assert_eq!(
            (odd.status, odd.header("range"), odd.header("location")),
            (416, Some("0-4"), Some(location.as_str()))
        );
    }
    let status = edge.admin("GET", &location, "", b"").await;
    assert_eq!((status.status, status.header("range")), (204, Some("0-4")));
    let chunked = "Transfer-Encoding: chunked\r\n";
    let streamed = format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}{chunked}\r\n3\r\n wo\r\n0\r\n\r\n",
        basic()
    );
    assert_eq!(edge.raw(streamed).await.header("range"), Some("0-7"));
    let wrong = edge.admin("PUT", &format!("{location}?digest={}", Digest::sha256(b"no")), "", b"rld").await;
    assert_eq!((wrong.status, &wrong.json()["errors"][0]["code"]), (400, &"DIGEST_INVALID".into()));
    let digest = Digest::sha256(b"hello world");
    let status = edge.admin("GET", &location, "", b"").await;
    let last: &[u8] = if status.header("range") == Some("0-7") { b"rld" } else { b"" };
    let done = edge.admin("PUT", &format!("{location}?digest={digest}"), "", last).await;
    assert_eq!((done.status, done.header("location")), (201, Some(format!("/v2/a/b/blobs/{digest}").as_str())));
    let got = edge.admin("GET", done.header("location").unwrap(), "", b"").await;
    assert_eq!(
        (got.body.as_slice(), got.header("docker-content-digest")),
        (b"hello world".as_slice(), Some(digest.to_string().as_str()))
    );
    assert_eq!(edge.admin("GET", &location, "", b"").await.status, 404);
    let other = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    let location = other.header("location").unwrap();
    assert_eq!(edge.admin("GET", &location.replace("/a/b/", "/a/c/"), "", b"").await.status, 404);
    assert_eq!(edge.admin("DELETE", location, "", b"").await.status, 204);
    assert_eq!(edge.admin("DELETE", location, "", b"").await.status, 404);
}

#[tokio::test]
async fn ranges_conditions_and_large_blobs() {
    let edge = Edge::start().await;
    let bytes = super::body::tests::pattern(1_000_000);
    let digest = edge.push_blob("a/b", &bytes).await;
    let target = format!("/v2/a/b/blobs/{digest}");
    let whole = edge.admin("GET", &target, "", b"").await;
    assert!(whole.status == 200 && whole.body == bytes && whole.header("content-length") == Some("1000000"));
    let etag = whole.header("etag").unwrap().to_owned();
    let head = edge.admin("HEAD", &target, "", b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("1000000"), 0));
    let part = edge.admin("GET", &target, "Range: bytes=999990-\r\n", b"").await;
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 999990-999999/1000000")));
    assert_eq!(part.body, bytes[999_990..]);
    let odd = edge.admin("GET", &target, "Range: bytes=1000000-\r\n", b"").await;
    assert_eq!((odd.status, odd.header("content-range")), (416, Some("bytes */1000000")));
    let known = edge.admin("GET", &target, &format!("If-None-Match: W/{etag}\r\n"), b"").await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(known.header("cache-control"), whole.header("cache-control"), "RFC 9110 15.4.5");
    assert_eq!(edge.admin("DELETE", &target, "", b"").await.status, 202);
    assert_eq!(edge.admin("GET", &target, "", b"").await.status, 404);
}

#[tokio::test]
async fn manifests_tags_and_referrers() {
    let edge = Edge::start().await;
    let config = edge.push_blob("a/b", b"{}").await;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let body = |extra: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/x.config","digest":"{config}","size":2}},"layers":[]{extra}}}"#
        )
    };
    let plain = body("");
    let digest = Digest::sha256(plain.as_bytes());
    let header = format!("Content-Type: {kind}\r\n");
    let target = format!("/v2/a/b/manifests/{digest}?tag=1&tag=2&tag=3");
    let pushed = edge.admin("PUT", &target, &header, plain.as_bytes()).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    assert_eq!(pushed.head.lines().filter(|line| line.starts_with("oci-tag: ")).count(), 3);
    let got = edge.admin("GET", "/v2/a/b/manifests/2", "Accept: text/html\r\n", b"").await;
    assert_eq!((got.status, got.header("content-type"), got.body.as_slice()), (200, Some(kind), plain.as_bytes()));

    let page = edge.admin("GET", "/v2/a/b/tags/list?n=2", "", b"").await;
    assert_eq!(page.json()["tags"], serde_json::json!(["1", "2"]));
    assert_eq!(page.header("link"), Some("</v2/a/b/tags/list?n=2&last=2>; rel=\"next\""));
    let page = edge.admin("GET", "/v2/a/b/tags/list?n=2&last=2", "", b"").await;
    assert_eq!((page.json()["tags"].clone(), page.header("link")), (serde_json::json!(["3"]), None));
    let none = edge.admin("GET", "/v2/a/b/tags/list?n=0", "", b"").await;
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (serde_json::json!([]), None));
    assert_eq!(edge.admin("GET", "/v2/a/b/tags/list?n=x", "", b"").await.status, 400);
    assert_eq!(edge.admin("GET", "/v2/_catalog", "", b"").await.json()["repositories"], serde_json::json!(["a/b"]));

    let about = body(&format!(
        r#","artifactType":"application/x.sig","subject":{{"mediaType":"{kind}","digest":"{digest}","size":1}}"#
    ));
    let pushed = edge.admin("PUT", "/v2/a/b/manifests/sig", &header, about.as_bytes()).await;
    assert_eq!(pushed.header("oci-subject"), Some(digest.to_string().as_str()));
    let listed =
        edge.admin("GET", &format!("/v2/a/b/referrers/{digest}?artifactType=application/x.sig"), "", b"").await;
    assert_eq!((listed.status, listed.header("oci-filters-applied")), (200, Some("artifactType")));
    assert_eq!(listed.json()["manifests"][0]["artifactType"], "application/x.sig");
    let other =
        edge.admin("GET", &format!("/v2/a/b/referrers/{digest}?artifactType=application/x.other"), "", b"").await;
    assert_eq!(other.json()["manifests"], serde_json::json!([]));
    assert_eq!(edge.admin("GET", "/v2/a/b/referrers/sha256:zz", "", b"").await.status, 400);

    let missing = plain.replace(&config.to_string(), &Digest::sha256(b"absent").to_string());
    let refused = edge.admin("PUT", "/v2/a/b/manifests/x", &header, missing.as_bytes()).await;
    assert_eq!((refused.status, refused.json()["errors"][0]["code"].clone()), (404, "MANIFEST_BLOB_UNKNOWN".into()));
    let pinned = edge.admin("DELETE", &format!("/v2/a/b/blobs/{config}"), "", b"").await;
    assert_eq!((pinned.status, pinned.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(edge.admin("DELETE", "/v2/a/b/manifests/1", "", b"").await.status, 202);
    assert_eq!(edge.admin("GET", "/v2/a/b/manifests/1", "", b"").await.status, 404);
    assert_eq!(edge.admin("DELETE", &format!("/v2/a/b/manifests/{digest}"), "", b"").await.status, 202);
    assert_eq!(edge.admin("GET", "/v2/a/b/manifests/2", "", b"").await.status, 404);
}

#[tokio::test]
async fn mounts_and_their_fallback() {
    let edge = Edge::start().await;
    let digest = edge.push_blob("a/b", b"layer").await;
    for query in [format!("mount={digest}&from=a/b"), format!("mount={digest}")] {
        let mounted = edge.admin("POST", &format!("/v2/c/d/blobs/uploads/?{query}"), "", b"").await;
        assert_eq!(
            (mounted.status, mounted.header("location")),
            (201, Some(format!("/v2/c/d/blobs/{digest}").as_str()))
        );
    }
    let absent = Digest::sha256(b"absent");
    for query in [format!("mount={absent}&from=a/b"), format!("mount={digest}&from=..%2Fx"), format!("mount={absent}")]
    {
        assert_eq!(
            edge.admin("POST", &format!("/v2/c/d/blobs/uploads/?{query}"), "", b"").await.status,
            202,
            "{query}"
        );
    }
    assert_eq!(edge.admin("POST", "/v2/c/d/blobs/uploads/?mount=md5:00", "", b"").await.status, 400);
}

#[tokio::test]
async fn bodies_are_bounded_and_authorised_before_they_are_read() {
    let edge = Edge::start().await;
    let huge = format!("Content-Length: {}\r\n", 5 << 20);
    for target in ["/v2/a/b/manifests/x", "/v2/a/b/blobs/uploads/?digest=sha256:00"] {
        let method = if target.contains("manifests") { "PUT" } else { "POST" };
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n{huge}\r\n");
        assert_eq!(edge.raw(request).await.status, 401, "{target}");
    }
    let request = format!("PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}{huge}\r\n", basic());
    assert_eq!(edge.raw(request).await.status, 413);
    let chunked = format!(
        "PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        basic(),
        5 << 20,
        "x".repeat(5 << 20)
    );
    let mut stream = edge.connect().await;
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let sent = async {
        let _ = write.write_all(chunked.as_bytes()).await;
    };
    let got = async {
        let _ = read.read_to_end(&mut answer).await;
    };
    tokio::join!(sent, got);
    assert_eq!(Answer::read(&answer).status, 413);
}

#[tokio::test]
async fn a_refusal_reaches_one_who_is_still_sending() {
    let edge = Edge::start().await;
    let mut stream = edge.connect().await;
    let head = "PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The refusal is there by now, and the whole body is sent before it is looked at, as simple clients do.
    stream.readable().await.unwrap();
    for _ in 0..10 {
        stream.write_all(&[b'x'; 100_000]).await.unwrap();
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answer::read(&bytes).status, 401);
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

#[tokio::test]
async fn one_who_waits_for_100_continue_gets_it_once_let_in() {
    let edge = Edge::start().await;
    let digest = Digest::sha256(b"hello");
    let mut stream = edge.connect().await;
    let head = format!(
        "POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n{}\r\n",
        basic()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 25];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(Answer::read(&rest).status, 201);
}

#[tokio::test]
async fn ids_methods_namespaces_and_unknown_paths() {
    let edge = Edge::start().await;
    let answer = edge.admin("GET", "/v2/", "X-Request-Id: my-id\r\n", b"").await;
    assert_eq!(answer.header("x-request-id"), Some("my-id"));
    let odd = edge.admin("GET", "/v2/", "X-Request-Id: a b\r\n", b"").await;
    assert_ne!(odd.header("x-request-id"), Some("a b"));
    let wrong = edge.admin("POST", "/v2/a/b/tags/list", "", b"").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    for target in
        ["/", "/v2", "/v2/x", "//v2/", "/v2//_catalog", "/service/token/", "/api/v2.0/x", "/v2/a%2Fb/tags/list"]
    {
        let answer = edge.admin("GET", target, "", b"").await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["code"]), (404, &"UNSUPPORTED".into()), "{target}");
    }
    let digest = edge.push_blob("a/b", b"x").await;
    for (ns, status) in [("docker.io", 404), ("reg.example", 200)] {
        assert_eq!(edge.admin("GET", &format!("/v2/a/b/blobs/{digest}?ns={ns}"), "", b"").await.status, status);
    }
    let referrers = edge.admin("GET", &format!("/v2/a/b/referrers/{digest}?ns=docker.io"), "", b"").await;
    assert_eq!((referrers.status, &referrers.json()["manifests"]), (200, &serde_json::json!([])), "none are here");
}

#[tokio::test]
async fn health_and_numbers_need_no_log_in() {
    let edge = Edge::start().await;
    assert_eq!(edge.send("GET", "/livez", "", b"").await.status, 200);
    assert_eq!(edge.send("GET", "/readyz", "", b"").await.body, b"ready\n");
    edge.health.fail("test");
    let ready = edge.send("GET", "/readyz", "", b"").await;
    assert_eq!((ready.status, ready.body.as_slice()), (200, b"ready, read-only\n".as_slice()));
    let refused = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("60")));
    edge.app.readiness().draining();
    assert_eq!(edge.send("GET", "/readyz", "", b"").await.status, 503);
    let numbers = edge.send("GET", "/metrics", "", b"").await;
    assert!(String::from_utf8_lossy(&numbers.body).contains("portolan_http_requests_total{route=\"uploads\""));
}

#[tokio::test]
async fn projects_are_made_once_and_by_administrators() {
    let edge = Edge::start().await;
    let body = br#"{"project_name":"shop","metadata":{"public":"true"}}"#;
    assert_eq!(edge.send("POST", "/api/v2.0/projects", "", body).await.status, 401);
    let made = edge.admin("POST", "/api/v2.0/projects", "", body).await;
    assert_eq!((made.status, made.header("location")), (201, Some("/api/v2.0/projects/shop")));
    assert_eq!(edge.admin("POST", "/api/v2.0/projects", "", body).await.status, 409);
    let foreign = edge.admin("POST", "/api/v2.0/projects", "Origin: https://evil.example\r\n", body).await;
    assert_eq!(foreign.status, 403);
    let page = edge.admin("GET", "/api/v2.0/projects?page=2&page_size=1", "", b"").await;
    assert_eq!((page.json()[0]["name"].clone(), page.header("x-total-count")), ("shop".into(), Some("2")));
    assert_eq!(edge.admin("GET", "/api/v2.0/projects?page=3&page_size=1", "", b"").await.json(), serde_json::json!([]));
    for target in ["gc?dry_run=true", "gc", "scrub", "snapshot"] {
        let done = edge.admin("POST", &format!("/api/v2.0/mesh/node/{target}"), "", b"").await;
        assert_eq!(done.status, 200, "{target}: {done:?}");
    }
    let status = edge.admin("GET", "/api/v2.0/mesh/node/status", "", b"").await;
    assert_eq!(status.json()["counts"]["projects"], 2);
    assert_eq!(edge.send("GET", "/api/v2.0/ping", "", b"").await.body, b"Pong");
}

#[tokio::test]
async fn the_operators_socket_needs_no_password() {
    let edge = Edge::start().await;
    let mut stream = tokio::net::UnixStream::connect(edge.dir.path("s")).await.unwrap();
    stream.write_all(b"GET /v2/_catalog HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answer::read(&bytes).status, 200);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(edge.dir.path("s")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

fn quick() -> Config {
    let mut config = Config::default();
    config.limits.head_timeout = Period(Duration::from_millis(300));
    config.limits.idle_timeout = Period(Duration::from_millis(500));
    config.limits.connections_per_address = 4;
    config.http.drain = Period(Duration::from_millis(500));
    config
}

/// Whether the other side ends the connection within five seconds.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await.is_ok()
}

#[tokio::test]
async fn connections_that_do_nothing_are_ended() {
    let edge = Edge::with(quick()).await;
    let mut silent = edge.connect().await;
    let mut half_preface = edge.connect().await;
    half_preface.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut half_head = edge.connect().await;
    half_head.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut kept = edge.connect().await;
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut fifth = edge.connect().await;
    assert!(ends(&mut fifth).await, "over the bound of one address");
    for (name, stream) in
        [("silent", &mut silent), ("preface", &mut half_preface), ("head", &mut half_head), ("kept", &mut kept)]
    {
        assert!(ends(stream).await, "{name}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_ends_its_request() {
    let edge = Edge::with(quick()).await;
    let begun = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    let location = begun.header("location").unwrap().to_owned();
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{}\r\nabc", basic());
    let answer = edge.raw(head).await;
    assert_eq!(answer.status, 408);
    // The session is free again.
    assert_eq!(edge.admin("PATCH", &location, "", b"abc").await.status, 202);
}

/// Waits for an answer, and sends one more byte each time none has come for a while, well within the time one piece
/// may take; whether the answer is 408 before 25 bytes.
async fn trickled(edge: &Edge, head: String) -> bool {
    let mut stream = edge.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..25 {
        if tokio::time::timeout(Duration::from_millis(200), stream.readable()).await.is_ok() {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            return Answer::read(&bytes).status == 408;
        }
        stream.write_all(b"x").await.unwrap();
    }
    false
}

#[tokio::test]
async fn a_body_that_trickles_ends_its_request() {
    let edge = Edge::with(quick()).await;
    let begun = edge.admin("POST", "/v2/a/b/blobs/uploads/", "", b"").await;
    let location = begun.header("location").unwrap().to_owned();
    let rest = "HTTP/1.1\r\nHost: x\r\nContent-Length: 10000";
    assert!(trickled(&edge, format!("POST /service/token {rest}\r\n\r\n")).await, "without log-in");
    assert!(trickled(&edge, format!("POST /api/v2.0/projects {rest}\r\n{}\r\n", basic())).await);
    assert!(trickled(&edge, format!("PUT /v2/a/b/manifests/x {rest}\r\n{}\r\n", basic())).await);
    assert!(trickled(&edge, format!("PATCH {location} {rest}\r\n{}\r\n", basic())).await);
}

/// One HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[tokio::test]
async fn a_connection_that_only_pings_is_idle() {
    let edge = Edge::with(quick()).await;
    let mut stream = edge.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // GET / on `x`, by the static table of HPACK alone (RFC 7541 appendix A).
    stream.write_all(&frame(1, 5, 1, &[0x82, 0x86, 0x84, 0x01, 0x01, b'x'])).await.unwrap();
    // One ping after the other: each is sent when the one before was answered.
    let (ping, mut answered) = (frame(6, 0, 0, &[7; 8]), 0);
    let pings = async {
        let mut bytes = Vec::new();
        while stream.write_all(&ping).await.is_ok() {
            while !bytes.windows(8).any(|part| part == [7; 8]) {
                if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                    return;
                }
            }
            bytes.clear();
            answered += 1;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), pings).await;
    assert!(ended.is_ok(), "pings ask for nothing");
    assert!(answered > 1, "they were answered before");
}

#[tokio::test]
async fn when_upkeep_was_done_is_known_after_a_restart() {
    let (dir, scope, yard) = (Scratch::new(), Scope::new(), Yard::new());
    let meta = Arc::new(open_meta(&dir, &yard.health));
    let blobs = Arc::new(MemoryBlobs::new(Arc::new(RealClock::new())));
    let store = yard.store(Arc::<RedbMeta>::clone(&meta), blobs);
    let first = upkeep(&store, Arc::clone(&meta), &dir, &scope);
    assert_eq!((first.scrub_age().await, first.snapshot_age()), (None, None));
    assert!(first.scrub().await.unwrap().complete);
    first.snapshot().await.unwrap();
    let second = upkeep(&store, meta, &dir, &scope);
    let recent = |age: Option<Duration>| age.is_some_and(|age| age < Duration::from_secs(60));
    assert!(recent(second.scrub_age().await) && recent(second.snapshot_age()));
}

#[tokio::test]
async fn an_answer_nobody_reads_is_given_up() {
    let edge = Edge::with(quick()).await;
    let bytes = super::body::tests::pattern(7 << 20);
    let digest = edge.push_blob("open/app", &bytes).await;
    until("the end of the push", || edge.app.metrics().connections.get() == 0).await;
    let mut stream = edge.connect().await;
    let many = format!("GET /v2/open/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(8);
    stream.write_all(many.as_bytes()).await.unwrap();
    let connections = &edge.app.metrics().connections;
    until("the one connection", || connections.get() == 1).await;
    let began = tokio::time::Instant::now();
    until("its end, as nobody read", || connections.get() == 0).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "not at once");
    assert!(edge.app.metrics().render().contains(r#"refused_connections_total{outcome="stalled"} 1"#));
}

#[tokio::test]
async fn draining_finishes_what_runs_and_takes_nothing_new() {
    let edge = Edge::with(quick()).await;
    let digest = Digest::sha256(b"hello");
    let mut running = edge.connect().await;
    let head = format!(
        "POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n{}\r\nhel",
        basic()
    );
    running.write_all(head.as_bytes()).await.unwrap();
    until("the request", || edge.app.metrics().in_flight.get() == 1).await;
    let stop = edge.scope.stop(Duration::from_secs(5));
    let rest = async {
        let refused = async { while TcpStream::connect(edge.address).await.is_ok() {} };
        assert!(tokio::time::timeout(Duration::from_secs(5), refused).await.is_ok(), "nothing new is taken");
        running.write_all(b"lo").await.unwrap();
        let mut bytes = Vec::new();
        running.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(Answer::read(&bytes).status, 201);
    };
    let (left, ()) = tokio::join!(stop, rest);
    assert_eq!(left, 0);
}

//! Blobs, manifests, tags and referrers, as a client sees them come and go.

use std::collections::BTreeSet;

use protocol::Digest;

use super::{Edge, basic};
use crate::http::body::tests::pattern;

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
    let bytes = pattern(1_000_000);
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
async fn long_referrers_come_page_by_page() {
    let edge = Edge::start().await;
    let (config, subject) = (edge.push_blob("a/b", b"{}").await, Digest::sha256(b"subject"));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let mut pushed = BTreeSet::new();
    for n in 0..5 {
        // Each character takes six bytes as JSON, and one where lengths are counted.
        let note = format!("{n}{}", "\\u0001".repeat(250_000));
        let about = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"a/x","digest":"{config}","size":2}},"layers":[],"subject":{{"mediaType":"{kind}","digest":"{subject}","size":1}},"annotations":{{"note":"{note}"}}}}"#
        );
        let target = format!("/v2/a/b/manifests/{n}");
        let answer = edge.admin("PUT", &target, &format!("Content-Type: {kind}\r\n"), about.as_bytes()).await;
        assert_eq!(answer.status, 201, "{}", answer.head);
        pushed.insert(Digest::sha256(about.as_bytes()).to_string());
    }
    let (mut target, mut listed, mut pages) = (format!("/v2/a/b/referrers/{subject}"), BTreeSet::new(), 0);
    loop {
        let page = edge.admin("GET", &target, "", b"").await;
        assert!(page.status == 200 && page.body.len() <= 4 << 20, "{}", page.head);
        for entry in page.json()["manifests"].as_array().unwrap() {
            assert!(listed.insert(entry["digest"].as_str().unwrap().to_owned()), "none twice");
        }
        pages += 1;
        let Some(link) = page.header("link") else { break };
        target = link.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap().0.to_owned();
    }
    assert_eq!((listed, pages), (pushed, 3));
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
async fn a_pull_counts_when_the_manifest_was_given() {
    let edge = Edge::start().await;
    let kind = "application/vnd.oci.image.index.v1+json";
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[]}}"#);
    let header = format!("Content-Type: {kind}\r\n");
    assert_eq!(edge.admin("PUT", "/v2/a/b/manifests/t", &header, body.as_bytes()).await.status, 201);
    let digest = Digest::sha256(body.as_bytes());
    for (method, reference, condition, status) in [
        ("GET", "t".to_owned(), String::new(), 200),
        ("GET", digest.to_string(), String::new(), 200),
        ("HEAD", "t".to_owned(), String::new(), 200),
        ("GET", "t".to_owned(), format!("If-None-Match: \"{digest}\"\r\n"), 304),
        ("GET", "u".to_owned(), String::new(), 404),
    ] {
        let answer = edge.admin(method, &format!("/v2/a/b/manifests/{reference}"), &condition, b"").await;
        assert_eq!(answer.status, status, "{method} {reference}");
    }
    let at = "/api/v2.0/projects/a/repositories/b";
    let artifact = || async { edge.admin("GET", &format!("{at}/artifacts/{digest}"), "", b"").await.json() };
    assert_eq!(artifact().await["pull_time"], "0001-01-01T00:00:00.000Z", "never");
    edge.app.parts.registry.note_pulls().await.unwrap();
    assert_eq!(edge.admin("GET", at, "", b"").await.json()["pull_count"], 2);
    let artifact = artifact().await;
    for time in [&artifact["pull_time"], &artifact["tags"][0]["pull_time"]] {
        assert!(time.as_str().is_some_and(|time| !time.starts_with("0001")), "{artifact}");
    }
}

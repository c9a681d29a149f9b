//! The OCI API where the conformance program does not look: pages, conditions, ranges, sessions, error bodies.
//!
//! Each story names the sentence of the specification or of `docs/api.md` it holds the node to.

use serde_json::json;
use tests::image::digest_of;
use tests::node::TestNode;
use tests::push;
use tests::web::Web;

fn names(answer: &tests::web::Answer, key: &str) -> Vec<String> {
    answer.json()[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

/// The target of `Link: <…>; rel="next"`.
fn next(answer: &tests::web::Answer) -> Option<String> {
    let link = answer.header("Link");
    let target = link.strip_prefix('<')?.split('>').next()?;
    assert!(link.contains("rel=\"next\""), "{link}");
    Some(target.to_owned())
}

/// Follows pages to the end; returns their sizes and every name.
fn walk(web: &Web, first: &str, key: &str) -> (Vec<usize>, Vec<String>) {
    let (mut sizes, mut all, mut target) = (Vec::new(), Vec::new(), Some(first.to_owned()));
    while let Some(page) = target {
        let answer = web.get(&page).expect(200);
        let items = names(&answer, key);
        sizes.push(items.len());
        all.extend(items);
        target = next(&answer);
        assert!(sizes.len() < 100, "pages end");
    }
    (sizes, all)
}

#[test]
fn tags_come_sorted_in_pages_that_link_to_the_next() {
    let node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "v0", "app");
    for tag in ["b", "a", "Z", "_x", "v10", "v2"] {
        push::manifest(&web, "shop/app", tag, &image.manifest).expect(201);
    }
    let sorted = ["Z", "_x", "a", "b", "v0", "v10", "v2"];
    let (sizes, all) = walk(&web, "/v2/shop/app/tags/list?n=3", "tags");
    assert_eq!((sizes, all), (vec![3, 3, 1], sorted.map(String::from).to_vec()));
    let (sizes, _) = walk(&web, "/v2/shop/app/tags/list", "tags");
    assert_eq!(sizes, [7], "all on one page while they fit");
    // `last` need not be a tag.
    assert_eq!(names(&web.get("/v2/shop/app/tags/list?last=b0&n=2").expect(200), "tags"), ["v0", "v10"]);
    assert_eq!(names(&web.get("/v2/shop/app/tags/list?last=zzz").expect(200), "tags"), Vec::<String>::new());
    assert_eq!(names(&web.get("/v2/shop/app/tags/list?n=0").expect(200), "tags"), Vec::<String>::new());
    // A huge n is cut to the node's limit, not refused and not obeyed (CVE-2023-2253).
    web.get("/v2/shop/app/tags/list?n=18446744073709551615").expect(200);
    for bad in ["-1", "x", "1e3", ""] {
        let answer = web.get(&format!("/v2/shop/app/tags/list?n={bad}")).expect(400);
        assert_eq!(push::error_code(&answer), "UNSUPPORTED", "{bad}");
    }
    assert_eq!(push::error_code(&web.get("/v2/shop/nothing/tags/list").expect(404)), "NAME_UNKNOWN");
}

#[test]
fn the_catalog_comes_in_pages_and_only_to_those_who_logged_in() {
    let node = TestNode::plain();
    let web = node.admin();
    for repository in ["b/two", "a/one", "b/one", "library/solo"] {
        push::image(&web, repository, "1", repository);
    }
    let (sizes, all) = walk(&web, "/v2/_catalog?n=3", "repositories");
    assert_eq!((sizes, all), (vec![3, 1], ["a/one", "b/one", "b/two", "library/solo"].map(String::from).to_vec()));
    node.web().get("/v2/_catalog").expect(401);
}

#[test]
fn referrers_are_filtered_and_paged() {
    let node = TestNode::plain();
    let web = node.admin();
    let subject = push::image(&web, "shop/app", "1", "subject");
    let mut made = Vec::new();
    for n in 0..5 {
        let kind = if n % 2 == 0 { "application/vnd.test.sbom" } else { "application/vnd.test.signature" };
        let mut body = push::image_manifest(&subject.config, &[]);
        body["artifactType"] = json!(kind);
        body["subject"] =
            json!({"mediaType": push::MANIFEST, "digest": subject.digest, "size": subject.manifest.len()});
        body["annotations"] = json!({"n": n.to_string()});
        let body = body.to_string().into_bytes();
        let answer = push::manifest(&web, "shop/app", &digest_of(&body), &body).expect(201);
        assert_eq!(answer.header("OCI-Subject"), subject.digest);
        made.push((digest_of(&body), kind));
    }
    let list = format!("/v2/shop/app/referrers/{}", subject.digest);
    let digests = |target: &str| -> (Vec<String>, Option<String>) {
        let answer = web.get(target).expect(200);
        assert_eq!(answer.header("Content-Type"), push::INDEX);
        let body = answer.json();
        (
            body["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap().to_owned()).collect(),
            next(&answer),
        )
    };
    let (all, more) = digests(&list);
    assert_eq!((all.len(), more), (5, None));
    let answer = web.get(&format!("{list}?artifactType=application/vnd.test.sbom")).expect(200);
    assert_eq!(answer.header("OCI-Filters-Applied"), "artifactType");
    assert_eq!(answer.json()["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(answer.json()["manifests"][0]["annotations"]["n"].as_str().map(str::len), Some(1));
    // Pages of a filtered listing stay filtered.
    let (mut seen, mut target) = (Vec::new(), Some(format!("{list}?artifactType=application/vnd.test.sbom&n=2")));
    while let Some(page) = target {
        let (items, more) = digests(&page);
        assert!(items.len() <= 2);
        seen.extend(items);
        target = more;
    }
    seen.sort();
    let mut wanted: Vec<String> = made.iter().filter(|m| m.1.ends_with("sbom")).map(|m| m.0.clone()).collect();
    wanted.sort();
    assert_eq!(seen, wanted);
    // Nothing refers to it: an empty index, not an error.
    let (none, _) = digests(&format!("/v2/shop/app/referrers/{}", digest_of(b"nothing")));
    assert!(none.is_empty());
    web.get("/v2/shop/app/referrers/sha256:short").expect(400);
    // A deleted referrer is gone from the list.
    web.send("DELETE", &format!("/v2/shop/app/manifests/{}", made[0].0), &[], &[]).expect(202);
    assert_eq!(digests(&list).0.len(), 4);
}

#[test]
fn a_blob_is_read_in_ranges() {
    let node = TestNode::plain();
    let web = node.admin();
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let digest = push::blob(&web, "shop/app", &bytes);
    let target = format!("/v2/shop/app/blobs/{digest}");
    let whole = web.get(&target).expect(200);
    assert_eq!(whole.body, bytes);
    assert_eq!(whole.header("Accept-Ranges"), "bytes");
    assert_eq!(whole.header("ETag"), format!("\"{digest}\""));
    let ranged = |range: &str| web.send("GET", &target, &[("Range", range)], &[]);
    let part = ranged("bytes=65530-131100").expect(206);
    assert_eq!(part.header("Content-Range"), "bytes 65530-131100/300000");
    assert_eq!(part.body, bytes[65530..=131_100]);
    assert_eq!(ranged("bytes=-10").expect(206).body, bytes[299_990..]);
    let beyond = ranged("bytes=300000-").expect(416);
    assert_eq!(beyond.header("Content-Range"), "bytes */300000");
    // If-Range with another validator: the whole blob.
    let old = web.send("GET", &target, &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")], &[]).expect(200);
    assert_eq!(old.body.len(), bytes.len());
    let same = format!("\"{digest}\"");
    web.send("GET", &target, &[("Range", "bytes=0-1"), ("If-Range", &same)], &[]).expect(206);
    // RFC 9110 14.6: several ranges come as multipart/byteranges.
    let several = ranged("bytes=0-3,100-104,-2").expect(206);
    let kind = several.header("Content-Type").to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("several parts").trim_matches('"');
    let text = String::from_utf8_lossy(&several.body).into_owned();
    assert_eq!(text.matches(&format!("--{boundary}")).count(), 4, "three parts and the end");
    for part in ["bytes 0-3/300000", "bytes 100-104/300000", "bytes 299998-299999/300000"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(several.body.windows(5).any(|w| w == &bytes[100..=104]));
    // HEAD tells the same without bytes.
    let head = web.send("HEAD", &target, &[], &[]).expect(200);
    assert_eq!((head.header("Content-Length"), head.body.len()), ("300000", 0));
    assert_eq!(head.header("Docker-Content-Digest"), digest);
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "1", "app");
    for target in [
        "/v2/shop/app/manifests/1".to_owned(),
        format!("/v2/shop/app/manifests/{}", image.digest),
        format!("/v2/shop/app/blobs/{}", digest_of(&image.config)),
    ] {
        let first = web.get(&target).expect(200);
        let etag = first.header("ETag").to_owned();
        for given in [etag.clone(), format!("\"x\", {etag}"), format!("W/{etag}"), "*".to_owned()] {
            let again = web.send("GET", &target, &[("If-None-Match", &given)], &[]).expect(304);
            assert!(again.body.is_empty());
            assert_eq!(again.header("ETag"), etag);
        }
        web.send("GET", &target, &[("If-None-Match", "\"x\"")], &[]).expect(200);
    }
}

#[test]
fn a_session_takes_chunks_in_order_and_says_where_it_is() {
    let node = TestNode::plain();
    let web = node.admin();
    let bytes: Vec<u8> = (0..10_000u32).map(|n| (n % 249) as u8).collect();
    let location = push::begin(&web, "shop/app");
    assert!(!location.contains('?'), "the session stands in the path: {location}");
    let patch = |at: usize, end: usize| {
        let range = format!("{at}-{}", end - 1);
        web.send(
            "PATCH",
            &location,
            &[("Content-Range", &range), ("Content-Type", "application/octet-stream")],
            &bytes[at..end],
        )
    };
    let first = patch(0, 4000).expect(202);
    assert_eq!(first.header("Range"), "0-3999");
    let wrong = patch(5000, 6000).expect(416);
    assert_eq!(wrong.header("Range"), "0-3999");
    assert!(!wrong.header("Location").is_empty());
    let status = web.get(&location).expect(204);
    assert_eq!(status.header("Range"), "0-3999");
    patch(4000, 9000).expect(202);
    let digest = digest_of(&bytes);
    // The wrong digest loses nothing: the session goes on.
    let to = push::with_query(&location, &format!("digest={}", digest_of(b"other")));
    let refused = web.send("PUT", &to, &[], &[]).expect(400);
    assert_eq!(push::error_code(&refused), "DIGEST_INVALID");
    assert_eq!(web.get(&location).expect(204).header("Range"), "0-8999");
    let to = push::with_query(&location, &format!("digest={digest}"));
    web.send("PUT", &to, &[("Content-Range", "100-1099")], &bytes[9000..]).expect(416);
    let made = web.send("PUT", &to, &[("Content-Range", "9000-9999")], &bytes[9000..]).expect(201);
    assert_eq!(made.header("Docker-Content-Digest"), digest);
    assert_eq!(web.get(made.header("Location")).expect(200).body, bytes);
    web.get(&location).expect(404);
}

#[test]
fn a_session_can_be_given_up() {
    let node = TestNode::plain();
    let web = node.admin();
    let location = push::begin(&web, "shop/app");
    web.send("PATCH", &location, &[], b"some bytes").expect(202);
    web.send("DELETE", &location, &[], &[]).expect(204);
    assert_eq!(push::error_code(&web.get(&location).expect(404)), "BLOB_UPLOAD_UNKNOWN");
    web.send("DELETE", &location, &[], &[]).expect(404);
}

#[test]
fn a_session_survives_kill_9_at_its_last_answered_byte() {
    let mut node = TestNode::plain();
    let web = node.admin();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 241) as u8).collect();
    let location = push::begin(&web, "shop/app");
    web.send("PATCH", &location, &[], &bytes[..1_234_567]).expect(202);
    node.kill9();
    node.restart();
    let web = node.admin();
    let path = location.split("/v2/").nth(1).map(|rest| format!("/v2/{rest}")).unwrap();
    assert_eq!(web.get(&path).expect(204).header("Range"), "0-1234566");
    web.send("PATCH", &path, &[("Content-Range", "1234567-2999999")], &bytes[1_234_567..]).expect(202);
    let to = push::with_query(&path, &format!("digest={}", digest_of(&bytes)));
    web.send("PUT", &to, &[], &[]).expect(201);
    assert_eq!(web.get(&format!("/v2/shop/app/blobs/{}", digest_of(&bytes))).expect(200).body, bytes);
}

#[test]
fn both_algorithms_name_blobs_and_manifests() {
    let node = TestNode::plain();
    let web = node.admin();
    let body = b"named by sha512".to_vec();
    let long = protocol::Digest::of(protocol::Algorithm::Sha512, &body).to_string();
    // Told beforehand, and found out at the end.
    for query in ["?digest-algorithm=sha512", ""] {
        let begun = web.send("POST", &format!("/v2/shop/app/blobs/uploads/{query}"), &[], &[]).expect(202);
        let to = push::with_query(begun.header("Location"), &format!("digest={long}"));
        let made = web.send("PUT", &to, &[], &body).expect(201);
        assert_eq!(made.header("Docker-Content-Digest"), long);
        assert_eq!(web.get(&format!("/v2/shop/app/blobs/{long}")).expect(200).body, body);
    }
    let odd = web.send("POST", "/v2/shop/app/blobs/uploads/?digest-algorithm=md5", &[], &[]).expect(400);
    push::error_code(&odd);
    let config = b"{}".to_vec();
    push::blob(&web, "shop/app", &config);
    let manifest = push::image_manifest(&config, &[]).to_string().into_bytes();
    let name = protocol::Digest::of(protocol::Algorithm::Sha512, &manifest).to_string();
    let made = push::manifest(&web, "shop/app", &name, &manifest).expect(201);
    assert_eq!(made.header("Docker-Content-Digest"), name);
    assert_eq!(web.get(&format!("/v2/shop/app/manifests/{name}")).expect(200).body, manifest);
}

#[test]
fn a_manifest_keeps_its_exact_bytes_docker_schema_2_too() {
    let node = TestNode::plain();
    let web = node.admin();
    let config = br#"{"architecture":"amd64"}"#.to_vec();
    push::blob(&web, "shop/app", &config);
    let odd_spacing = format!(
        "{{ \"schemaVersion\":2,\n\t\"mediaType\": \"application/vnd.docker.distribution.manifest.v2+json\", \"config\": {{\"mediaType\":\"application/vnd.docker.container.image.v1+json\",\"size\":{},\"digest\":\"{}\"}},\"layers\":[ ], \"x\": 1.0 }}\n",
        config.len(),
        digest_of(&config)
    );
    let made = push::manifest(&web, "shop/app", "docker", odd_spacing.as_bytes()).expect(201);
    assert_eq!(made.header("Docker-Content-Digest"), digest_of(odd_spacing.as_bytes()));
    // Whatever the client says it accepts: the bytes are what they are.
    let got = web.send("GET", "/v2/shop/app/manifests/docker", &[("Accept", push::MANIFEST)], &[]).expect(200);
    assert_eq!(got.body, odd_spacing.as_bytes());
    assert_eq!(got.header("Content-Type"), "application/vnd.docker.distribution.manifest.v2+json");
    let schema1 = br#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[]}"#;
    let headers = [("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")];
    let refused = web.send("PUT", "/v2/shop/app/manifests/old", &headers, schema1).expect(400);
    assert_eq!(push::error_code(&refused), "MANIFEST_INVALID");
    assert!(refused.text().contains("schema 1"), "{}", refused.text());
}

#[test]
fn one_push_may_set_many_tags() {
    let node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "seed", "seed");
    let tags: Vec<String> = (0..12).map(|n| format!("tag=t{n}")).collect();
    let target = format!("/v2/shop/app/manifests/{}?{}", image.digest, tags.join("&"));
    let made = web.send("PUT", &target, &[("Content-Type", push::MANIFEST)], &image.manifest).expect(201);
    let said: Vec<&str> = made.headers.get_all("OCI-Tag").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(said.len(), 12);
    assert_eq!(names(&web.get("/v2/shop/app/tags/list").expect(200), "tags").len(), 13);
    let too_many: Vec<String> = (0..200).map(|n| format!("tag=x{n}")).collect();
    let target = format!("/v2/shop/app/manifests/{}?{}", image.digest, too_many.join("&"));
    let refused = web.send("PUT", &target, &[("Content-Type", push::MANIFEST)], &image.manifest);
    assert!(matches!(refused.status, 400 | 414 | 431), "{}", refused.status);
    assert_eq!(names(&web.get("/v2/shop/app/tags/list").expect(200), "tags").len(), 13, "all or nothing");
}

#[test]
fn a_manifest_is_taken_only_when_all_it_names_is_here() {
    let node = TestNode::plain();
    let web = node.admin();
    let config = b"{}".to_vec();
    push::blob(&web, "shop/app", &config);
    let missing = b"never pushed".to_vec();
    let body = push::image_manifest(&config, &[&missing]).to_string().into_bytes();
    let refused = push::manifest(&web, "shop/app", "1", &body).expect(404);
    assert_eq!(push::error_code(&refused), "MANIFEST_BLOB_UNKNOWN");
    assert!(refused.text().contains(&digest_of(&missing)), "the answer says which");
    web.get("/v2/shop/app/manifests/1").expect(404);
    // A blob of another repository does not count.
    push::blob(&web, "other/app", &missing);
    push::manifest(&web, "shop/app", "1", &body).expect(404);
    // A descriptor with the wrong length is no description of the blob.
    let mut lying = push::image_manifest(&config, &[]);
    lying["config"]["size"] = json!(3);
    assert_eq!(
        push::error_code(&push::manifest(&web, "shop/app", "1", lying.to_string().as_bytes()).expect(400)),
        "MANIFEST_INVALID"
    );
    // An index wants its children, unless the project lets it be sparse.
    let absent = push::image_manifest(&config, &[]).to_string().into_bytes();
    let index = push::index(&[&absent]).to_string().into_bytes();
    push::manifest(&web, "shop/app", "multi", &index).expect(404);
    let sparse = json!({"project_name": "thin", "metadata": {"public": "false", "sparse": "true"}});
    web.post_json("/api/v2.0/projects", &sparse).expect(201);
    push::manifest(&web, "thin/app", "multi", &index).expect(201);
}

#[test]
fn a_blob_that_a_manifest_needs_is_not_deleted() {
    let node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "shop/app", "1", "app");
    let layer = format!("/v2/shop/app/blobs/{}", digest_of(&image.layers[0]));
    let refused = web.send("DELETE", &layer, &[], &[]).expect(405);
    assert_eq!(push::error_code(&refused), "UNSUPPORTED");
    assert!(refused.text().contains(&image.digest), "the answer says which manifest");
    web.send("DELETE", &format!("/v2/shop/app/manifests/{}", image.digest), &[], &[]).expect(202);
    web.get("/v2/shop/app/manifests/1").expect(404);
    web.send("DELETE", &layer, &[], &[]).expect(202);
    web.get(&layer).expect(404);
}

#[test]
fn errors_are_said_in_the_form_of_the_specification() {
    let node = TestNode::plain();
    let web = node.admin();
    let cases = [
        ("GET", "/v2/UPPER/manifests/1", 400, "NAME_INVALID"),
        ("GET", "/v2/shop/app/manifests/.bad", 400, "MANIFEST_INVALID"),
        ("GET", "/v2/shop/app/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/shop/app/blobs/sha256:zz", 400, "DIGEST_INVALID"),
        (
            "GET",
            "/v2/shop/app/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            404,
            "BLOB_UNKNOWN",
        ),
        ("GET", "/v2/shop/app/blobs/uploads/00000000000000000000000000000000", 404, "BLOB_UPLOAD_UNKNOWN"),
    ];
    for (method, target, status, code) in cases {
        let answer = web.send(method, target, &[], &[]).expect(status);
        assert_eq!(answer.header("Content-Type"), "application/json", "{target}");
        let said = push::error_code(&answer);
        // A malformed reference may be told as either of the two the specification offers.
        let also = code == "MANIFEST_INVALID" && ["TAG_INVALID", "MANIFEST_UNKNOWN"].contains(&said.as_str());
        assert!(said == code || also, "{target}: {said}");
        assert!(!answer.header("X-Request-Id").is_empty());
    }
    let wrong_method = web.send("POST", "/v2/shop/app/manifests/1", &[], b"{}").expect(405);
    assert!(wrong_method.header("Allow").contains("GET"));
}

#[test]
fn a_name_of_one_word_belongs_to_library() {
    let node = TestNode::plain();
    let web = node.admin();
    let image = push::image(&web, "nginx", "1", "nginx");
    assert_eq!(web.get("/v2/library/nginx/manifests/1").expect(200).body, image.manifest);
    // Anyone may pull it: the project library is public.
    assert_eq!(node.web().get("/v2/nginx/manifests/1").expect(200).body, image.manifest);
}

#[test]
fn the_main_listener_asks_no_upstream() {
    let node = TestNode::plain();
    let web = node.admin();
    push::image(&web, "nginx", "1", "local");
    // `ns` names an upstream: a local repository of the same name must not answer for it.
    web.get("/v2/nginx/manifests/1?ns=docker.io").expect(404);
}

#[test]
fn a_mount_links_a_blob_without_sending_it() {
    let node = TestNode::plain();
    let web = node.admin();
    let bytes = b"shared layer".to_vec();
    let digest = push::blob(&web, "shop/base", &bytes);
    let mount = |query: &str| web.send("POST", &format!("/v2/shop/app/blobs/uploads/?mount={digest}{query}"), &[], &[]);
    let made = mount("&from=shop/base").expect(201);
    assert_eq!(made.header("Docker-Content-Digest"), digest);
    assert_eq!(web.get(&format!("/v2/shop/app/blobs/{digest}")).expect(200).body, bytes);
    // Without a source: from wherever the caller may read.
    web.send("POST", &format!("/v2/other/app/blobs/uploads/?mount={digest}"), &[], &[]).expect(201);
    let nothing = digest_of(b"nobody has this");
    let session = web.send("POST", &format!("/v2/shop/app/blobs/uploads/?mount={nothing}&from=shop/base"), &[], &[]);
    assert!(!session.expect(202).header("Location").is_empty());
}

//! What was acknowledged survives the node: killed at once, stopped in order, in the middle of an upload.

use std::{io::Write as _, net::TcpStream, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tests::{
    clients::crane::{self, Crane},
    dockerd::{Dockerd, PROGRAMS},
    image::{LOADED_NAME, digest_of, images},
    node::{ADMIN, PASSWORD, TestNode},
    tools, wait,
    web::{Answer, Web},
};

const NAME: &str = "shop/till/app:1.0";
const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

/// The main story: what one engine pushed, another one pulls from the killed and restarted node, digest for digest.
#[test]
fn an_image_survives_kill_9_between_two_engines() {
    if !tools::present(&PROGRAMS) {
        return;
    }
    let mut node = TestNode::plain();
    let registry = node.registry();
    let pushing = Dockerd::start(&registry, None);
    let docker = pushing.docker(&registry);
    docker.load(&images().archive, LOADED_NAME, NAME);
    docker.login(ADMIN, PASSWORD).expect_success();
    docker.push(NAME).expect_success();

    node.kill9();
    docker.push(NAME).expect_failure();
    node.restart();

    let pulling = Dockerd::start(&registry, None);
    let other = pulling.docker(&registry);
    other.login(ADMIN, PASSWORD).expect_success();
    other.pull(NAME).expect_success();
    assert_eq!(other.digests(NAME), docker.digests(NAME));
    assert_eq!(other.id(NAME), docker.id(NAME));
    assert_eq!(other.layers(NAME), docker.layers(NAME));
    // Writing the archive reads every file of every layer.
    assert!(other.save(NAME).exists());
}

/// Tags, indexes, deletions and repositories are after a kill what they were before it.
#[test]
fn every_acknowledged_change_survives_kill_9() {
    if !tools::present(&[crane::PROGRAM]) {
        return;
    }
    let mut node = TestNode::plain();
    let crane = Crane::at(&node.registry());
    crane.login(ADMIN, PASSWORD);
    crane.push(&images().single.layout, NAME);
    node.kill9();
    node.restart();
    crane.validate(NAME);

    crane.push(&images().multi.layout, "shop/till/app:multi");
    crane.tag(NAME, "latest");
    node.kill9();
    node.restart();
    assert_eq!(crane.tags("shop/till/app"), ["1.0", "latest", "multi"]);
    crane.validate("shop/till/app:multi");

    crane.delete(&format!("shop/till/app@{}", images().multi.digest));
    node.kill9();
    node.restart();
    crane.attempt("digest", "shop/till/app:multi").expect_failure();
    assert_eq!(crane.digest("shop/till/app:latest"), images().single.digest);
}

/// The polite signal ends the node in order, and the next start finds everything.
#[test]
fn an_orderly_stop_loses_nothing() {
    if !tools::present(&[crane::PROGRAM]) {
        return;
    }
    let mut node = TestNode::tls();
    let crane = Crane::at(&node.registry());
    crane.login(ADMIN, PASSWORD);
    crane.push(&images().single.layout, NAME);
    node.stop();
    node.restart();
    crane.validate(NAME);
    assert_eq!(crane.tags("shop/till/app"), ["1.0"]);
}

/// An upload whose node is killed goes on from the offset that the restarted node reports.
#[test]
fn an_upload_resumes_after_kill_9() {
    let mut node = TestNode::plain();
    let upload = Upload::begin(&node.admin());
    let first = upload.content.len() / 3;
    let location = upload.patch(&node.admin(), &upload.location, 0, first);

    node.kill9();
    node.restart();
    let admin = node.admin();
    let (location, offset) = upload.status(&admin, &location);
    // Never more than what was sent; less only for what was not durable yet.
    assert!(offset <= first, "the node reports {offset} of {first}");
    let location = upload.patch(&admin, &location, offset, upload.content.len() - offset);
    upload.finish(&admin, &location);
}

/// An upload whose connection breaks goes on from the offset that the node reports.
#[test]
fn an_upload_resumes_after_a_broken_connection() {
    let node = TestNode::plain();
    let admin = node.admin();
    let upload = Upload::begin(&admin);
    let first = upload.content.len() / 3;
    upload.patch_broken(&node, first);

    // The node may take a moment to notice that nothing more comes.
    let resumed = wait::until("the broken request to end", Duration::from_secs(30), || {
        let (location, offset) = upload.try_status(&admin, &upload.location)?;
        assert!(offset <= first, "the node reports {offset}, {first} were sent");
        upload.try_patch(&admin, &location, offset, upload.content.len() - offset)
    });
    upload.finish(&admin, &resumed);
}

/// A chunk out of order is refused, and the upload goes on.
#[test]
fn a_chunk_out_of_order_does_no_harm() {
    let node = TestNode::plain();
    let admin = node.admin();
    let upload = Upload::begin(&admin);
    let half = upload.content.len() / 2;
    let location = upload.patch(&admin, &upload.location, 0, half);
    let refusal = upload.send_chunk(&admin, &location, half + 1, 10).expect("an answer");
    refusal.expect(416);
    let (location, offset) = upload.status(&admin, &location);
    assert_eq!(offset, half);
    let location = upload.patch(&admin, &location, half, upload.content.len() - half);
    upload.finish(&admin, &location);
}

/// An upload session seen by its client. The largest layer of the real image is what goes up.
struct Upload {
    content: Vec<u8>,
    digest: String,
    location: String,
}

impl Upload {
    fn begin(web: &Web) -> Self {
        let blobs = images().single.layers.iter().map(|layer| images().single.blob(layer));
        let content = blobs.max_by_key(Vec::len).expect("the image has layers");
        let answer = web.send("POST", "/v2/shop/till/app/blobs/uploads/", &[], &[]).expect(202);
        Self { digest: digest_of(&content), content, location: answer.header("Location").to_owned() }
    }

    fn try_patch(&self, web: &Web, location: &str, from: usize, count: usize) -> Option<String> {
        let answer = self.send_chunk(web, location, from, count)?;
        (answer.status == 202).then(|| answer.header("Location").to_owned())
    }

    fn patch(&self, web: &Web, location: &str, from: usize, count: usize) -> String {
        let answer = self.send_chunk(web, location, from, count).expect("an answer").expect(202);
        assert_eq!(answer.header("Range"), format!("0-{}", from + count - 1));
        answer.header("Location").to_owned()
    }

    fn send_chunk(&self, web: &Web, location: &str, from: usize, count: usize) -> Option<Answer> {
        let chunk = &self.content[from..from + count];
        let range = format!("{from}-{}", from + count - 1);
        web.try_send("PATCH", location, &[OCTETS, ("Content-Range", &range)], chunk)
    }

    /// Announces the whole content, sends `count` bytes of it and hangs up.
    fn patch_broken(&self, node: &TestNode, count: usize) {
        let host = node.registry().host;
        let target = self.location.strip_prefix(&node.registry().address()).unwrap_or(&self.location);
        let user = BASE64_STANDARD.encode(format!("{ADMIN}:{PASSWORD}"));
        let head = format!(
            "PATCH {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {user}\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
            self.content.len()
        );
        let mut connection = TcpStream::connect(&host).expect("the node accepts");
        connection.write_all(head.as_bytes()).expect("the head is sent");
        connection.write_all(&self.content[..count]).expect("the first part is sent");
        connection.shutdown(std::net::Shutdown::Both).expect("the connection ends");
    }

    /// Where the session goes on, and from which offset.
    fn status(&self, web: &Web, location: &str) -> (String, usize) {
        self.try_status(web, location).expect("the session is there")
    }

    fn try_status(&self, web: &Web, location: &str) -> Option<(String, usize)> {
        let answer = Some(web.get(location)).filter(|answer| answer.status == 204)?;
        let location = answer.header("Location").to_owned();
        // `0-0` and a missing header both stand for a session without bytes in some registries.
        let last: usize = answer.header("Range").rsplit('-').next().and_then(|last| last.parse().ok()).unwrap_or(0);
        Some((location, if last == 0 { 0 } else { last + 1 }))
    }

    fn finish(&self, web: &Web, location: &str) {
        let separator = if location.contains('?') { '&' } else { '?' };
        let closed = format!("{location}{separator}digest={}", self.digest);
        web.send("PUT", &closed, &[OCTETS], &[]).expect(201);
        let blob = web.get(&format!("/v2/shop/till/app/blobs/{}", self.digest)).expect(200);
        assert_eq!(digest_of(&blob.body), self.digest);
    }
}

//! kill -9 at a hundred points: nothing acknowledged is lost, and no tag dangles.
//!
//! The node runs on a disk that kills its process at a chosen change (`tests/killed`): named kinds and places first, then
//! changes and moments drawn from a seed. One data directory lives through all of it, so recovery is killed too, and what
//! was acknowledged in the first round must still be there after the last. The page cache survives a killed process, so
//! this shows the restart; power cuts are shown in `crash.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use simulations::Rng;
use tests::image::digest_of;
use tests::node::{Setup, TestNode};
use tests::push;
use tests::web::{Answer, Web};

/// Rounds in one run; `PORTOLAN_KILLS` asks for more.
const ROUNDS: usize = 100;

/// Named points: every kind of change that a push, a delete, GC or a snapshot makes, before and after, at several turns.
const POINTS: [&str; 15] = [
    "open uploads",
    "write uploads",
    "sync uploads",
    "rename uploads",
    "remove uploads",
    "rename blobs",
    "sync_dir blobs",
    "write meta",
    "sync meta",
    "rename trash",
    "write audit",
    "sync audit",
    "write snapshots",
    "sync snapshots",
    "rename snapshots",
];

/// Rounds between two looks at everything ever acknowledged; in between, at what is new.
const FULL_CHECK: usize = 20;

/// What the client knows for certain, and what it can't know because the answer never came.
#[derive(Default)]
struct Known {
    /// What each tag may name: the last acknowledged push and every later one without an answer. `None`: deleted.
    tags: BTreeMap<String, Vec<Option<String>>>,
    /// Manifests acknowledged and not deleted since, with their blobs.
    images: BTreeMap<String, Vec<String>>,
    /// Those of them not looked at since.
    fresh: BTreeSet<String>,
    /// Manifests whose delete was asked for.
    deleted: Vec<String>,
    acknowledged: usize,
}

impl Known {
    /// Notes an answer, or its absence.
    fn note_push(&mut self, tag: &str, digest: &str, blobs: Vec<String>, answered: bool) {
        let may = self.tags.entry(tag.to_owned()).or_insert_with(|| vec![None]);
        if answered {
            may.clear();
            self.images.insert(digest.to_owned(), blobs);
            self.fresh.insert(digest.to_owned());
            self.deleted.retain(|deleted| deleted != digest);
            self.acknowledged += 1;
        }
        may.push(Some(digest.to_owned()));
    }

    fn note_delete(&mut self, digest: &str, answered: bool) {
        self.images.remove(digest);
        self.deleted.push(digest.to_owned());
        for may in self.tags.values_mut() {
            if may.iter().flatten().any(|named| named == digest) {
                if answered && may.len() == 1 {
                    may.clear();
                }
                may.push(None);
            }
        }
    }
}

/// One client's work until the node is gone: pushes over old and new tags, deletes, GC, snapshots.
/// Returns whether the node was there to the end.
fn work(web: &Web, rng: &mut Rng, known: &mut Known, round: usize) -> bool {
    for step in 0..40 {
        let seed = format!("round {round} step {step}");
        let went = match rng.below(10) {
            0..=6 => push_one(web, rng, known, &seed),
            7 => delete_one(web, rng, known),
            8 => web.try_send("POST", "/api/v2.0/mesh/node/gc", &[], &[]).is_some(),
            _ => web.try_send("POST", "/api/v2.0/mesh/node/snapshot", &[], &[]).is_some(),
        };
        if !went {
            return false;
        }
    }
    true
}

fn send(web: &Web, method: &str, target: &str, body: &[u8]) -> Option<Answer> {
    web.try_send(method, target, &[("Content-Type", push::MANIFEST)], body)
}

fn push_blob(web: &Web, bytes: &[u8], chunked: bool) -> Option<String> {
    let begun = send(web, "POST", "/v2/kill/app/blobs/uploads/", &[])?.expect(202);
    let mut location = begun.header("Location").to_owned();
    let digest = digest_of(bytes);
    let mut rest = bytes;
    if chunked {
        let half = bytes.len() / 2;
        location = send(web, "PATCH", &location, &bytes[..half])?.expect(202).header("Location").to_owned();
        rest = &bytes[half..];
    }
    send(web, "PUT", &push::with_query(&location, &format!("digest={digest}")), rest)?.expect(201);
    Some(digest)
}

/// Pushes one image under one of a few tags; `false` when the node is gone.
fn push_one(web: &Web, rng: &mut Rng, known: &mut Known, seed: &str) -> bool {
    let config = format!("{{\"seed\":\"{seed}\"}}").into_bytes();
    // Some layers are shared between images, some are larger than one group of the tree.
    let layer = match rng.below(3) {
        0 => format!("shared {}", rng.below(4)).into_bytes(),
        1 => seed.as_bytes().to_vec(),
        _ => seed.as_bytes().repeat(9_000),
    };
    let tag = format!("t{}", rng.below(6));
    let body = push::image_manifest(&config, &[&layer]).to_string().into_bytes();
    let digest = digest_of(&body);
    let Some(first) = push_blob(web, &config, false) else { return false };
    let Some(second) = push_blob(web, &layer, rng.chance(0.5)) else { return false };
    let answer = send(web, "PUT", &format!("/v2/kill/app/manifests/{tag}"), &body);
    let answered = answer.is_some_and(|answer| {
        answer.expect(201);
        true
    });
    known.note_push(&tag, &digest, vec![first, second], answered);
    answered
}

fn delete_one(web: &Web, rng: &mut Rng, known: &mut Known) -> bool {
    let digests: Vec<String> = known.images.keys().cloned().collect();
    if digests.len() < 4 {
        return true;
    }
    let digest = digests[rng.index(digests.len())].clone();
    let answer = send(web, "DELETE", &format!("/v2/kill/app/manifests/{digest}"), &[]);
    known.note_delete(&digest, answer.is_some());
    answer.is_some_and(|answer| {
        answer.expect(202);
        true
    })
}

/// Everything acknowledged is there, whole, and no tag dangles.
fn check(node: &TestNode, known: &mut Known, full: bool, context: &str) {
    let web = node.admin();
    let fresh = std::mem::take(&mut known.fresh);
    for (digest, blobs) in known.images.iter().filter(|(digest, _)| full || fresh.contains(*digest)) {
        let manifest = web.get(&format!("/v2/kill/app/manifests/{digest}"));
        assert_eq!(manifest.status, 200, "{context}: the manifest {digest} is lost");
        assert_eq!(digest_of(&manifest.body), *digest, "{context}");
        for blob in blobs {
            let got = web.get(&format!("/v2/kill/app/blobs/{blob}"));
            assert_eq!(got.status, 200, "{context}: the blob {blob} of {digest} is lost");
            assert_eq!(digest_of(&got.body), *blob, "{context}: other bytes");
        }
    }
    for (tag, may) in &mut known.tags {
        let got = web.get(&format!("/v2/kill/app/manifests/{tag}"));
        let named = (got.status == 200).then(|| digest_of(&got.body));
        assert!(may.contains(&named), "{context}: {tag} names {named:?} ({}), not one of {may:?}", got.status);
        if let Some(digest) = &named {
            whole(&web, digest, &got, context);
        }
        // What it names now is what it names, until someone moves it.
        *may = vec![named];
    }
    let listed = web.get("/v2/kill/app/tags/list?n=1000");
    let tags =
        if listed.status == 200 { listed.json()["tags"].as_array().cloned().unwrap_or_default() } else { vec![] };
    for tag in tags {
        let tag = tag.as_str().unwrap();
        assert_eq!(web.get(&format!("/v2/kill/app/manifests/{tag}")).status, 200, "{context}: the tag {tag} dangles");
    }
}

/// A manifest that is there has everything it names, acknowledged or not.
fn whole(web: &Web, digest: &str, manifest: &Answer, context: &str) {
    let body: Value = manifest.json();
    let layers = body["layers"].as_array().cloned().unwrap_or_default();
    for descriptor in layers.iter().chain([&body["config"]]) {
        let blob = descriptor["digest"].as_str().unwrap();
        let got = web.send("HEAD", &format!("/v2/kill/app/blobs/{blob}"), &[], &[]);
        assert_eq!(got.status, 200, "{context}: {digest} names {blob}, which is not here");
    }
}

/// The point of a round: named ones first, then any change, then a moment of the client's choosing.
fn point(round: usize, rng: &mut Rng) -> String {
    let after = if rng.chance(0.5) { " after" } else { "" };
    if round < POINTS.len() * 2 {
        return format!("{}:{}{after}", POINTS[round % POINTS.len()], 1 + rng.below(4));
    }
    let from = if rng.chance(0.3) { "from-start " } else { "" };
    format!("{from}any:{}{after}", 1 + rng.below(200))
}

#[test]
fn a_hundred_kills_lose_nothing_acknowledged() {
    let rounds = std::env::var("PORTOLAN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("PORTOLAN_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut rng = Rng::from_seed(seed);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_portolan-killed"));
    // Short leases, so that GC has something to do while the node is being killed.
    let config =
        "[gc]\nblob_lease = \"2s\"\nexists_lease = \"200ms\"\ntrash_ttl = \"100ms\"\n[storage]\nballast = \"1MiB\"\n";
    let setup = Setup { program: Some(program), config: config.into(), ..Setup::default() };
    let mut node = TestNode::with(setup);
    let mut known = Known::default();
    let (mut struck, mut at_start, mut missed) = (0, 0, Vec::new());
    for round in 0..rounds {
        let at = point(round, &mut rng);
        let context = format!("seed {seed}, round {round}, killed at {at:?}");
        let mut hit = true;
        node.kill9();
        node.setup_mut().environment = vec![("PORTOLAN_KILL_AT".into(), at.clone())];
        if node.try_launch() {
            hit = !work(&node.admin(), &mut rng, &mut known, round);
            if hit {
                node.await_end();
                struck += 1;
            }
        } else {
            at_start += 1;
        }
        if !hit {
            node.kill9();
        }
        node.setup_mut().environment.clear();
        assert!(node.try_launch(), "{context}: the node does not start again:\n{}", node.log());
        check(&node, &mut known, round % FULL_CHECK == FULL_CHECK - 1 || round + 1 == rounds, &context);
        if !hit {
            missed.push(at);
        }
    }
    assert!(known.acknowledged > rounds, "too little was acknowledged to prove anything: {}", known.acknowledged);
    assert!(struck + at_start >= rounds * 3 / 4, "the points hardly strike; these never came: {missed:?}");
    println!(
        "{rounds} kills, {struck} at chosen points of the work, {at_start} of the start, the rest when the work was done; {} pushes acknowledged, {} images kept, none lost",
        known.acknowledged,
        known.images.len()
    );
    // Nothing of all this is left to be found damaged.
    let scrub = node.admin().send("POST", "/api/v2.0/mesh/node/scrub", &[], &[]).expect(200).json();
    assert_eq!((scrub["quarantined"].as_u64(), scrub["missing"].as_u64()), (Some(0), Some(0)), "{scrub}");
    node.stop();
}

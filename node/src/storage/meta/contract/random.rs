//! Random histories over a small world, told to both engines: every answer and every read has to be the same.

use std::fmt::Debug;

use proptest::prelude::*;
use protocol::Reference;

use super::{Site, act, at, blob, manifest, needed, repository, tag};
use crate::storage::meta::check;
use crate::storage::meta::{
    Answer, ArtifactOrder, FindRepositories, LinkBlob, MetaError, MetaStore, MountBlob, Page, Project, PublishManifest,
    Pulled, RepositoryOrder, Slice, delete_in_steps,
};

const PROJECTS: [&str; 2] = ["p", "q"];
const REPOSITORIES: [&str; 4] = ["p/a", "p/b", "p/a/b", "q/a"];
/// Contents that come as blobs. `mb` comes as a manifest, too.
const BLOBS: [&str; 4] = ["x", "yy", "zzz", "mb"];
/// Contents that come as manifests. What each names follows from its content, as in life.
const MANIFESTS: [&str; 5] = ["ma", "mb", "mc", "index", "signature"];
const TAGS: [&str; 3] = ["t", "T", "u"];
const SETTINGS: [&str; 2] = ["one", "two"];

/// One intent; numbers choose from the world above.
#[derive(Clone, Debug)]
enum Step {
    Setting(usize, u8),
    Project(usize),
    Link {
        repo: usize,
        blob: usize,
        lease: u64,
    },
    Mount {
        from: usize,
        to: usize,
        blob: usize,
        lease: u64,
    },
    Publish {
        repo: usize,
        manifest: usize,
        tags: Vec<usize>,
        sparse: bool,
        lie: bool,
        quota: Option<u64>,
    },
    DeleteTag {
        repo: usize,
        tag: usize,
    },
    DeleteManifest {
        repo: usize,
        manifest: usize,
        due: u64,
    },
    Unlink {
        repo: usize,
        blob: usize,
        due: u64,
    },
    Hold {
        repo: usize,
        blob: usize,
        until: u64,
        more: u64,
    },
    /// The n-th candidate that is due then, or one made up.
    Collect {
        now: u64,
        nth: usize,
    },
    CollectAny {
        now: u64,
        repo: Option<usize>,
        blob: usize,
        due: u64,
    },
    Quarantine(usize),
    Acknowledge(u64),
    Describe(usize),
    DeleteRepository {
        repo: usize,
        due: u64,
    },
    Pulls {
        repo: usize,
        manifest: usize,
        tag: Option<usize>,
        last: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (repo, blob, manifest) = (0..REPOSITORIES.len(), 0..BLOBS.len(), 0..MANIFESTS.len());
    let time = 0..40_u64;
    prop_oneof![
        1 => (0..SETTINGS.len(), any::<u8>()).prop_map(|(name, value)| Step::Setting(name, value)),
        2 => (0..PROJECTS.len()).prop_map(Step::Project),
        8 => (repo.clone(), blob.clone(), time.clone()).prop_map(|(repo, blob, lease)| Step::Link { repo, blob, lease }),
        3 => (repo.clone(), repo.clone(), blob.clone(), time.clone())
            .prop_map(|(from, to, blob, lease)| Step::Mount { from, to, blob, lease }),
        10 => (repo.clone(), manifest.clone(), prop::collection::vec(0..TAGS.len(), 0..3), any::<bool>(), 0..8,
                prop::option::weighted(0.3, 0..20_u64))
            .prop_map(|(repo, manifest, tags, sparse, lie, quota)| {
                Step::Publish { repo, manifest, tags, sparse, lie: lie == 0, quota }
            }),
        2 => (repo.clone(), 0..TAGS.len()).prop_map(|(repo, tag)| Step::DeleteTag { repo, tag }),
        1 => repo.clone().prop_map(Step::Describe),
        1 => (repo.clone(), time.clone()).prop_map(|(repo, due)| Step::DeleteRepository { repo, due }),
        2 => (repo.clone(), manifest.clone(), prop::option::of(0..TAGS.len()), time.clone())
            .prop_map(|(repo, manifest, tag, last)| Step::Pulls { repo, manifest, tag, last }),
        4 => (repo.clone(), manifest, time.clone())
            .prop_map(|(repo, manifest, due)| Step::DeleteManifest { repo, manifest, due }),
        3 => (repo.clone(), blob.clone(), time.clone()).prop_map(|(repo, blob, due)| Step::Unlink { repo, blob, due }),
        3 => (repo.clone(), blob.clone(), time.clone(), 0..10_u64)
            .prop_map(|(repo, blob, until, more)| Step::Hold { repo, blob, until, more }),
        8 => (time.clone(), 0..4_usize).prop_map(|(now, nth)| Step::Collect { now, nth }),
        2 => (time.clone(), prop::option::of(repo), blob, time)
            .prop_map(|(now, repo, blob, due)| Step::CollectAny { now, repo, blob, due }),
        1 => (0..BLOBS.len() + MANIFESTS.len()).prop_map(Step::Quarantine),
        1 => (0..60_u64).prop_map(Step::Acknowledge),
    ]
}

/// A manifest of the world.
fn publish(repo: usize, which: usize, tags: &[usize], sparse: bool, lie: bool, now: u64) -> PublishManifest {
    let mut publish = manifest(REPOSITORIES[repo], MANIFESTS[which]);
    publish.tags = tags.iter().map(|n| tag(TAGS[*n])).collect();
    (publish.sparse, publish.act) = (sparse, act(now));
    match MANIFESTS[which] {
        "ma" => publish.blobs = vec![needed("x"), needed("yy"), needed("x")],
        "mb" => (publish.blobs, publish.optional_blobs) = (vec![needed("yy")], vec![blob("zzz")]),
        "index" => publish.children = vec![blob("ma"), blob("mb"), blob("x")],
        "signature" => {
            (publish.subject, publish.blobs) = (Some(blob("ma")), vec![needed("zzz")]);
            publish.artifact_type = Some("a/sig".parse().unwrap());
        }
        _ => publish.subject = Some(blob("ma")),
    }
    if let Some(needed) = publish.blobs.first_mut().filter(|_| lie) {
        needed.size += 1;
    }
    publish
}

/// An answer as text, to be compared.
async fn told<T: Debug>(answer: Answer<'_, T>) -> String {
    let answer: Result<T, MetaError> = answer.await;
    format!("{:?}", answer.unwrap())
}

async fn apply(meta: &dyn MetaStore, step: &Step, now: u64) -> String {
    let repo = |n: usize| repository(REPOSITORIES[n]);
    match step {
        Step::Setting(name, value) => told(meta.put_setting(SETTINGS[*name], vec![*value])).await,
        Step::Project(n) => {
            let name = PROJECTS[*n].parse().unwrap();
            let project = Project { name, public: now.is_multiple_of(2), sparse: false, created: at(now) };
            told(meta.create_project(project, act(now))).await
        }
        Step::Link { repo: r, blob: b, lease } => {
            let (size, root) = (BLOBS[*b].len() as u64, super::root(BLOBS[*b].as_bytes()));
            let (repository, digest, lease) = (repo(*r), blob(BLOBS[*b]), at(*lease));
            told(meta.link_blob(LinkBlob { repository, digest, size, root, lease, act: act(now) })).await
        }
        Step::Mount { from, to, blob: b, lease } => {
            let (from, to, digest) = (repo(*from), repo(*to), blob(BLOBS[*b]));
            told(meta.mount_blob(MountBlob { from, to, digest, lease: at(*lease), act: act(now) })).await
        }
        Step::Publish { repo: r, manifest, tags, sparse, lie, quota } => {
            let intent = PublishManifest { quota: *quota, ..publish(*r, *manifest, tags, *sparse, *lie, now) };
            told(meta.publish_manifest(intent)).await
        }
        Step::DeleteTag { repo: r, tag: t } => told(meta.delete_tag(&repo(*r), &tag(TAGS[*t]), at(90), act(now))).await,
        Step::DeleteManifest { repo: r, manifest, due } => {
            told(meta.delete_manifest(&repo(*r), &blob(MANIFESTS[*manifest]), at(*due), act(now))).await
        }
        Step::Unlink { repo: r, blob: b, due } => {
            told(meta.unlink_blob(&repo(*r), &blob(BLOBS[*b]), at(*due), act(now))).await
        }
        Step::Hold { repo: r, blob: b, until, more } => {
            told(meta.hold_blob(&repo(*r), &blob(BLOBS[*b]), at(*until), at(*until + *more))).await
        }
        Step::Collect { now, nth } => match meta.candidates(at(*now), None, 9).await.unwrap().get(*nth) {
            Some(candidate) => collect(meta, candidate, *now).await,
            None => String::new(),
        },
        Step::CollectAny { now, repo: r, blob: b, due } => {
            let (due, digest, repository) = (at(*due), blob(BLOBS[*b]), r.map(repo));
            collect(meta, &super::Candidate { due, digest, repository }, *now).await
        }
        Step::Quarantine(n) => {
            let name = BLOBS.iter().chain(&MANIFESTS).nth(*n).unwrap();
            told(meta.quarantine(&blob(name), act(now))).await
        }
        Step::Acknowledge(seq) => told(meta.acknowledge(*seq)).await,
        Step::Describe(r) => told(meta.describe_repository(&repo(*r), format!("by {now}"), act(now))).await,
        Step::DeleteRepository { repo: r, due } => {
            format!("{:?}", delete_in_steps(meta, &repo(*r), 2, at(*due), &act(now)).await.unwrap())
        }
        Step::Pulls { repo: r, manifest, tag: t, last } => {
            let (repository, digest) = (repo(*r), blob(MANIFESTS[*manifest]));
            let pulled = Pulled { repository, digest, tag: t.map(|n| tag(TAGS[n])), count: *last, last: at(*last) };
            told(meta.note_pulls(vec![pulled])).await
        }
    }
}

async fn collect(meta: &dyn MetaStore, candidate: &super::Candidate, now: u64) -> String {
    let judged = told(meta.judge(candidate, at(now))).await;
    let done = told(meta.collect(candidate, at(now))).await;
    assert_eq!(judged, done);
    format!("{candidate:?} {done}")
}

/// Everything the engine tells of itself.
async fn state(meta: &dyn MetaStore) -> Vec<String> {
    let (whole, small) = (|| Page { after: None, limit: 99 }, || Page { after: Some("p/a".into()), limit: 1 });
    let mut told_all = vec![
        told(meta.counts()).await,
        told(meta.outbox(999)).await,
        told(meta.candidates(at(20), None, 99)).await,
        told(meta.candidates(at(99), None, 2)).await,
        told(meta.projects(whole())).await,
        told(meta.projects(small())).await,
        told(meta.repositories(whole())).await,
        told(meta.repositories(small())).await,
        told(meta.all_held(None, 99)).await,
        told(meta.all_held(Some(blob("x")), 2)).await,
    ];
    for slice in [WHOLE, PART] {
        told_all.push(told(meta.shown_repositories(None, RepositoryOrder::Newest, slice)).await);
        let find = FindRepositories::containing("/a".into(), slice);
        told_all.push(told(meta.find_repositories(find)).await);
    }
    for name in SETTINGS {
        told_all.push(told(meta.setting(name)).await);
    }
    for name in PROJECTS {
        let name = name.parse().unwrap();
        told_all.push(told(meta.project(&name)).await);
        told_all.push(told(meta.project_totals(&name)).await);
        told_all.push(told(meta.shown_repositories(Some(&name), RepositoryOrder::Newest, WHOLE)).await);
        told_all.push(told(meta.shown_repositories(Some(&name), RepositoryOrder::Name, PART)).await);
    }
    for name in BLOBS.iter().chain(&MANIFESTS) {
        told_all.push(told(meta.held(&blob(name))).await);
        told_all.push(told(meta.blob_repositories(&blob(name), 2)).await);
    }
    for name in REPOSITORIES {
        repository_state(meta, name, &mut told_all).await;
    }
    told_all
}

const WHOLE: Slice = Slice { offset: 0, limit: 99 };
const PART: Slice = Slice { offset: 1, limit: 1 };

async fn repository_state(meta: &dyn MetaStore, name: &str, told_all: &mut Vec<String>) {
    let name = repository(name);
    told_all.push(told(meta.tags(&name, Page { after: None, limit: 99 })).await);
    told_all.push(told(meta.tags(&name, Page { after: Some("a".into()), limit: 1 })).await);
    for t in TAGS {
        let history = meta.tag_history(&name, &tag(t), 3).await.unwrap();
        let history: Vec<_> = history.iter().map(|version| (version.digest, &*version.actor, version.at)).collect();
        told_all.push(format!("{history:?}"));
        told_all.push(told(meta.manifest(&name, &Reference::Tag(tag(t)))).await);
    }
    for content in BLOBS.iter().chain(&MANIFESTS) {
        told_all.push(told(meta.blob(&name, &blob(content))).await);
        told_all.push(told(meta.manifest(&name, &Reference::Digest(blob(content)))).await);
    }
    told_all.push(told(meta.repository(&name)).await);
    for slice in [WHOLE, PART] {
        told_all.push(told(meta.artifacts(&name, ArtifactOrder::Newest, slice)).await);
        told_all.push(told(meta.artifacts(&name, ArtifactOrder::Digest, slice)).await);
        told_all.push(told(meta.shown_tags(&name, slice)).await);
    }
    for content in MANIFESTS {
        told_all.push(told(meta.tags_of(&name, &blob(content), 2)).await);
    }
    let kind = "a/sig".parse().unwrap();
    for (kind, limit) in [(None, 99), (Some(&kind), 99), (None, 1)] {
        told_all.push(told(meta.referrers(&name, &blob("ma"), kind, Page { after: None, limit })).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_tell_the_same_history(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (memory, redb) = (Site::memory().meta, Site::redb().meta);
            for site in [&memory, &redb] {
                apply(&**site, &Step::Project(0), 0).await;
            }
            for (now, step) in (1..).zip(&steps) {
                assert_eq!(apply(&*memory, step, now).await, apply(&*redb, step, now).await, "{step:?}");
                let (one, other) = (state(&*memory).await, state(&*redb).await);
                for (one, other) in one.iter().zip(&other) {
                    assert_eq!(one, other, "after {step:?}");
                }
                for site in [&memory, &redb] {
                    let report = check::rows_follow_records(&**site).await.unwrap();
                    assert_eq!(report.differences, [""; 0], "after {step:?}");
                }
            }
        });
    }
}

//! Random histories among the others and the engines: both tell the same, rows follow the records of all, and what the
//! embedded engine keeps of the view is what follows from all records.

use proptest::prelude::*;
use protocol::ledger::Ledger;
use protocol::record::governed::Member;
use protocol::record::value::{Pushed, Settings, TagMode, Value};
use protocol::record::{Held, Kind, RecordKey, ScopeId};
use protocol::trust::{Compromise, Lists, Revocation, Target, Verdict, list_digest};
use protocol::{Reference, RepositoryName};

use super::super::{Project, Site, act, all, at, blob, manifest, repository, root, tag};
use super::{Others, hear, meet, scope_of, tell};
use crate::storage::meta::check::rows_follow_records;
use crate::storage::meta::{
    Amend, ArtifactOrder, Entry, MetaStore, RepositoryView, Slice, TagView, Taken, Topic, Write, delete_in_steps,
};

const NAMES: [&str; 4] = ["m", "n", "index", "o"];
const REPOSITORIES: [&str; 3] = ["p/a", "p/b", "q/a"];

fn pushed(name: &str) -> Pushed {
    let children = if name == "index" { vec![blob("m"), blob("n")] } else { Vec::new() };
    Pushed {
        media_type: "application/vnd.oci.image.manifest.v1+json".parse().unwrap(),
        size: name.len() as u64,
        root: root(name.as_bytes()),
        children,
        subject: None,
        blobs: Vec::new(),
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Among the others.
    There(There),
    /// At the engine itself.
    Here(Here),
    /// The engine and a ledger meet.
    Meet(usize),
    /// The engine hears a part of what a ledger holds, in an order of its own.
    Part(usize, u64),
}

/// What happens among the others.
#[derive(Clone, Copy, Debug)]
enum There {
    /// Two ledgers meet.
    Gossip(usize, usize),
    Tag(usize, usize, Option<usize>),
    Push(usize, usize, usize),
    Delete(usize, usize, usize),
    Project(usize, bool),
    Close(usize),
    Member(usize, Option<u32>),
    Reopen(usize),
    Mode(usize, bool),
    Judge(usize, u8),
}

/// What is asked of the engine.
#[derive(Clone, Copy, Debug)]
enum Here {
    Push(usize, usize, bool),
    Delete(usize, usize),
    Project(bool),
    DeleteTag(usize),
    Member(Option<u32>),
    Close,
    Reopen,
    DeleteRepository(usize),
}

fn there() -> impl Strategy<Value = There> {
    let (who, repo, what) = (0..3_usize, 0..REPOSITORIES.len(), 0..NAMES.len());
    prop_oneof![
        2 => (who.clone(), who.clone()).prop_map(|(one, other)| There::Gossip(one, other)),
        6 => (who.clone(), repo.clone(), prop::option::weighted(0.8, what.clone()))
            .prop_map(|(who, repo, what)| There::Tag(who, repo, what)),
        5 => (who.clone(), repo.clone(), what.clone()).prop_map(|(who, repo, what)| There::Push(who, repo, what)),
        4 => (who.clone(), repo, what).prop_map(|(who, repo, what)| There::Delete(who, repo, what)),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, q)| There::Project(who, q)),
        1 => who.clone().prop_map(There::Close),
        2 => (who.clone(), prop::option::of(1..4_u32)).prop_map(|(who, role)| There::Member(who, role)),
        1 => who.clone().prop_map(There::Reopen),
        1 => (who, any::<bool>()).prop_map(|(who, home)| There::Mode(who, home)),
        1 => (1..3_usize, 0..3_u8).prop_map(|(whom, how)| There::Judge(whom, how)),
    ]
}

fn here() -> impl Strategy<Value = Here> {
    let (repo, what) = (0..REPOSITORIES.len(), 0..NAMES.len());
    prop_oneof![
        6 => (repo.clone(), what.clone(), any::<bool>()).prop_map(|(repo, what, tags)| Here::Push(repo, what, tags)),
        3 => (repo.clone(), what).prop_map(|(repo, what)| Here::Delete(repo, what)),
        2 => any::<bool>().prop_map(Here::Project),
        1 => repo.clone().prop_map(Here::DeleteTag),
        1 => repo.prop_map(Here::DeleteRepository),
        2 => prop::option::of(1..4_u32).prop_map(Here::Member),
        1 => Just(Here::Close),
        1 => Just(Here::Reopen),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize).prop_map(Step::Meet),
        4 => (0..3_usize, any::<u64>()).prop_map(|(who, seed)| Step::Part(who, seed)),
        23 => there().prop_map(Step::There),
        12 => here().prop_map(Step::Here),
    ]
}

/// What does not work where it stands is left out: a ledger refuses what would be void.
fn apply(others: &mut Others, step: There, now: u64) {
    let scope = |ledger: &Ledger, repo: usize| scope_of(ledger, repository(REPOSITORIES[repo]).project_str());
    match step {
        There::Gossip(one, other) => {
            let from = others.ledger(one).clone();
            tell(&from, others.ledger(other));
        }
        There::Tag(who, repo, what) => {
            let ledger = others.ledger(who);
            let Some(scope) = scope(ledger, repo) else { return };
            let digest = what.map(|what| blob(NAMES[what]));
            let _ = ledger.tag(scope, &repository(REPOSITORIES[repo]), &tag("t"), digest, "other", at(now));
        }
        There::Push(who, repo, what) => {
            let ledger = others.ledger(who);
            let (Some(scope), name) = (scope(ledger, repo), NAMES[what]) else { return };
            let _ = ledger.push(scope, &repository(REPOSITORIES[repo]), &blob(name), &pushed(name), "other", at(now));
        }
        There::Delete(who, repo, what) => {
            let ledger = others.ledger(who);
            let Some(scope) = scope(ledger, repo) else { return };
            let name = repository(REPOSITORIES[repo]);
            let _ = ledger.delete_manifest(scope, &name, &blob(NAMES[what]), "other", at(now));
        }
        There::Project(who, q) => {
            let name = if q { "q" } else { "p" }.parse().unwrap();
            let created = at(now);
            let settings = Settings::new(created, q, true);
            let nonce = [u8::try_from(now % 256).unwrap(); 16];
            let _ = others.ledger(who).create_project(&name, nonce, settings, "other", created);
        }
        There::Close(who) => {
            let ledger = others.ledger(who);
            let Some(scope) = scope(ledger, 0) else { return };
            let _ = ledger.close_project(scope, "other", at(now));
        }
        There::Reopen(who) => {
            let ledger = others.ledger(who);
            let Some(scope) = ledger.view().named(&"p".parse().unwrap()).closed.first().copied() else { return };
            let _ = ledger.reopen_project(scope, "other", at(now));
        }
        There::Member(who, role) => {
            let ledger = others.ledger(who);
            let Some(scope) = scope(ledger, 0) else { return };
            let _ = ledger.set_member(scope, "u1", role.map(member).as_ref(), "other", at(now));
        }
        There::Mode(who, home) => {
            let ledger = others.ledger(who);
            let Some(scope) = scope(ledger, 0) else { return };
            let mode = if home { TagMode::Home("site 8".into()) } else { TagMode::Converge };
            let _ = ledger.set_mode(scope, mode, "other", at(now));
        }
        There::Judge(whom, how) => judge(others, whom, how, now),
    }
}

fn judge(others: &mut Others, whom: usize, how: u8, now: u64) {
    let node = others.sites[whom - 1].key();
    let scopes: Vec<ScopeId> = others.operator.set().scopes().collect();
    let verdict = match how {
        0 => Verdict::Retired { farewell: None },
        1 => Verdict::Narrowed { last: vec![] },
        _ => {
            let by = others.operator.key();
            let lists = Lists { by, list: now, count: 0, digest: list_digest(&[]) };
            let scopes = scopes.into_iter().map(|scope| (scope, lists.clone())).collect();
            Verdict::Compromised(Compromise { since: at(0), scopes, endorsers: vec![] })
        }
    };
    let revocation = Revocation { target: Target::Node(node), verdict };
    others.operator.revoke(&revocation, "operator", at(now)).unwrap();
}

/// A part of a ledger's records, in an order that the seed decides.
fn part(ledger: &Ledger, seed: u64) -> Vec<Held> {
    let rank = |held: &Held| blake3::keyed_hash(&[0; 32], &[&seed.to_be_bytes(), &held.record.id().0[..]].concat());
    let mut all: Vec<_> = ledger.set().iter().map(|held| (*rank(held).as_bytes(), held.clone())).collect();
    all.sort_by_key(|(rank, _)| *rank);
    let keep = all.len() / 2;
    all.into_iter().take(keep).map(|(_, held)| held).collect()
}

fn member(role: u32) -> Member {
    Member { roles: [role].into(), ..Member::default() }
}

/// Changes what is in force, on whatever it is now.
async fn amend(meta: &dyn MetaStore, now: u64, write: impl FnOnce(Option<ScopeId>) -> Option<Write>) -> String {
    let entries = meta.entries(0, 9999).await.unwrap();
    let means_p =
        |entry: &&Entry| matches!(&entry.value, Some(Value::Project(project)) if project.name.as_str() == "p");
    let scope = entries.iter().find(means_p).map(|entry| entry.topic.scope);
    let last = entries.last().map_or(0, |entry| entry.at);
    let Some(write) = write(scope) else { return String::new() };
    let (due, act) = (at(now + 30), act(now));
    format!("{:?}", meta.amend(Amend { at: last, writes: vec![write], local: vec![], tell: vec![], due, act }).await)
}

async fn ask(meta: &dyn MetaStore, step: Here, now: u64) -> String {
    let told = match step {
        Here::Push(repo, what, tags) => {
            let mut push = manifest(REPOSITORIES[repo], NAMES[what]);
            push.children = pushed(NAMES[what]).children;
            (push.sparse, push.act, push.due) = (true, act(now), at(now + 30));
            push.tags = if tags { vec![tag("t")] } else { vec![] };
            format!("{:?}", meta.publish_manifest(push).await)
        }
        Here::Delete(repo, what) => {
            let (repo, digest) = (repository(REPOSITORIES[repo]), blob(NAMES[what]));
            format!("{:?}", meta.delete_manifest(&repo, &digest, at(now + 30), act(now)).await)
        }
        Here::DeleteTag(repo) => {
            let repo = repository(REPOSITORIES[repo]);
            format!("{:?}", meta.delete_tag(&repo, &tag("t"), at(now + 30), act(now)).await)
        }
        Here::Member(role) => {
            let topic = |scope| Topic { scope, kind: Kind::MEMBER, key: RecordKey::named("u1") };
            let write = |topic| match role {
                Some(role) => Write::Put(topic, Value::Member(member(role)).encode()),
                None => Write::Delete(topic),
            };
            amend(meta, now, |scope| scope.map(topic).map(write)).await
        }
        Here::Close => amend(meta, now, |_| Some(Write::Close { project: "p".parse().unwrap(), full: true })).await,
        Here::Reopen => amend(meta, now, |_| Some(Write::Reopen("p".parse().unwrap()))).await,
        Here::DeleteRepository(repo) => {
            let repo = repository(REPOSITORIES[repo]);
            format!("{:?}", delete_in_steps(meta, &repo, 2, at(now + 30), &act(now)).await)
        }
        Here::Project(q) => {
            let name = if q { "q" } else { "p" }.parse().unwrap();
            let project = Project { name, public: false, sparse: true, created: at(now) };
            format!("{:?}", meta.create_project(project, act(now)).await)
        }
    };
    assert!(!told.contains("Err("), "{told}");
    told
}

/// What listings show of a repository, but for numbers: those are given in the order in which an engine looks.
async fn shelf(meta: &dyn MetaStore, name: &RepositoryName) -> Vec<String> {
    let whole = Slice { offset: 0, limit: 99 };
    let view = meta.repository(name).await.unwrap();
    let mut told = vec![format!("{:?}", view.map(|view| RepositoryView { id: 0, ..view }))];
    for order in [ArtifactOrder::Newest, ArtifactOrder::Digest] {
        let shown = meta.artifacts(name, order, whole).await.unwrap();
        let shown = shown.map(|shown| {
            assert_eq!(shown.items.len() as u64, shown.total);
            shown.items.into_iter().map(|artifact| (artifact.digest, artifact.pushed, artifact.total)).collect()
        });
        let mut shown: Vec<_> = shown.unwrap_or_default();
        shown.sort_unstable();
        told.push(format!("{shown:?}"));
    }
    let tags = meta.shown_tags(name, whole).await.unwrap();
    let tag = |tag: TagView| (tag.name, tag.digest, tag.pushed);
    told.push(format!("{:?}", tags.map(|tags| (tags.items.into_iter().map(tag).collect::<Vec<_>>(), tags.total))));
    told.push(format!("{:?}", meta.project_totals(&name.project()).await));
    told
}

/// What the engine tells of its world.
async fn state(meta: &dyn MetaStore) -> Vec<String> {
    let mut told = Vec::new();
    for name in REPOSITORIES.map(repository) {
        told.push(format!("{:?}", meta.project(&name.project()).await));
        told.push(format!("{:?}", meta.tags(&name, all()).await));
        told.extend(shelf(meta, &name).await);
        for digest in NAMES.map(blob) {
            told.push(format!("{:?}", meta.manifest(&name, &Reference::Digest(digest)).await));
            told.push(format!("{:?}", meta.deleted_manifest(&name, &digest).await));
        }
    }
    let conflicts = meta.conflicts(99).await.unwrap();
    let ids = |heads: &[Held]| heads.iter().map(|held| held.record.id()).collect::<Vec<_>>();
    told.extend(conflicts.iter().map(|one| format!("{:?} {} {:?}", one.topic, one.count, ids(&one.heads))));
    let entries = meta.entries(0, 9999).await.unwrap();
    let mut entries: Vec<String> =
        entries.iter().filter_map(|entry| Some(format!("{:?} {:?}", entry.topic, entry.value.as_ref()?))).collect();
    entries.sort_unstable();
    told.extend(entries);
    told.push(format!("{:?}", meta.candidates(at(10_000), None, 999).await));
    told
}

/// How many histories: `PROPTEST_CASES`, or as many as take some seconds.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_follow_the_records_of_all(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (memory, redb) = (Site::memory().meta, Site::redb_engine());
            let mut others = Others::new();
            for (now, step) in (2..).zip(&steps) {
                if let Step::There(step) = *step {
                    apply(&mut others, step, now);
                }
                let mut told = Vec::new();
                for meta in [&*memory, &redb as &dyn MetaStore] {
                    let answer = match *step {
                        Step::There(_) => String::new(),
                        Step::Here(step) => ask(meta, step, now).await,
                        Step::Meet(who) => {
                            let mut ledger = others.ledger(who).clone();
                            let taken = format!("{:?}", sorted(meet(meta, &mut ledger).await));
                            if told.len() == 1 {
                                *others.ledger(who) = ledger;
                            }
                            taken
                        }
                        Step::Part(who, seed) => {
                            format!("{:?}", sorted(hear(meta, part(others.ledger(who), seed)).await))
                        }
                    };
                    told.push((answer, state(meta).await));
                    let report = rows_follow_records(meta).await.unwrap();
                    assert_eq!(report.differences, [""; 0], "after {step:?}");
                }
                assert_eq!(told[0], told[1], "after {step:?}");
                redb.kept_is_from_scratch();
            }
        });
    }
}

fn sorted(mut taken: Taken) -> Taken {
    taken.taken.sort_unstable();
    taken.strangers.sort_unstable();
    taken
}

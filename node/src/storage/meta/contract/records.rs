//! Records: what intents write, and that the rows are what the records say.

use protocol::record::value::{Life, Value};
use protocol::record::{Held, Kind, Parcel, RecordId, ScopeId};
use protocol::{Digest, ProjectName, Reference};

use super::{Site, act, at, blob, checks, manifest, needed, repository, tag};
use crate::storage::meta::check::rows_follow_records;
use crate::storage::meta::{Choice, DecideTag, Decided, DeletedTag, Published, RecordAt, Topic, What, tests_author};

checks! {
    each_intent_writes_the_records_that_justify_its_rows
    an_intent_without_effect_writes_no_record
    a_version_follows_all_heads_of_its_topic
    records_are_signed_by_the_node_and_paged_by_time
    an_index_with_too_many_children_is_refused_by_name
    a_deleted_tag_comes_back_when_someone_says_so
}

impl Site {
    async fn records(&self) -> Vec<Held> {
        let all = self.meta.records(None, 10_000).await.unwrap();
        assert!(!all.more);
        all.items
    }

    /// The kinds of the records written since there were so many, in the order of writing.
    async fn written_since(&self, before: usize) -> Vec<String> {
        let mut records = self.records().await;
        records.sort_by_key(|held| held.record.body().unwrap().position.seq);
        let told = |held: &Held| {
            let body = held.record.body().unwrap();
            let value = held.value.as_deref().map(|value| Value::read(body.kind, value).unwrap());
            let deletes = match &value {
                Some(Value::Tagged(tagged)) => tagged.digest.is_none(),
                Some(_) => false,
                None => true,
            };
            format!("{}{}", if deletes { "-" } else { "+" }, body.kind)
        };
        records[before..].iter().map(told).collect()
    }

    async fn scope(&self, project: &str) -> ScopeId {
        let name: ProjectName = project.parse().unwrap();
        let of_it = |held: &&Held| {
            let value = held.value.as_deref().map(|value| Value::read(Kind::PROJECT, value));
            held.record.body().unwrap().kind == Kind::PROJECT
                && matches!(value, Some(Ok(Value::Project(project))) if project.name == name)
        };
        self.records().await.iter().find(of_it).unwrap().record.scope()
    }

    async fn check(&self) {
        assert_eq!(rows_follow_records(&*self.meta).await.unwrap().differences, [""; 0]);
    }
}

async fn each_intent_writes_the_records_that_justify_its_rows(site: Site) {
    site.project("p").await;
    assert_eq!(site.written_since(0).await, ["+project"]);
    site.link("p/a", "x", 50).await;
    assert_eq!(site.records().await.len(), 1, "what a site holds is no record");
    let mut push = manifest("p/a", "m");
    (push.tags, push.blobs) = (vec![tag("t"), tag("u")], vec![needed("x")]);
    site.published(push.clone()).await;
    assert_eq!(site.written_since(1).await, ["+manifest", "+tag", "+tag"]);
    site.check().await;
    push.tags.truncate(1);
    site.published(push.clone()).await;
    assert_eq!(site.written_since(4).await, ["+manifest", "+tag"], "also when nothing changes");
    site.meta.delete_tag(&repository("p/a"), &tag("u"), at(90), act(20)).await.unwrap();
    assert_eq!(site.written_since(6).await, ["-tag"]);
    site.check().await;
    site.meta.delete_manifest(&repository("p/a"), &push.digest, at(90), act(30)).await.unwrap();
    assert_eq!(site.written_since(7).await, ["-tag", "-manifest"]);
    site.check().await;
    site.published(push).await;
    site.check().await;
    assert_eq!(rows_follow_records(&*site.meta).await.unwrap().records, 11);
}

async fn an_intent_without_effect_writes_no_record(site: Site) {
    site.project("p").await;
    site.project("p").await;
    let mut push = manifest("p/a", "m");
    (push.tags, push.blobs) = (vec![tag("t")], vec![needed("x")]);
    assert!(matches!(site.publish(push).await, Published::Missing { .. }));
    let a = repository("p/a");
    assert_eq!(site.meta.delete_tag(&a, &tag("t"), at(90), act(20)).await.unwrap(), DeletedTag::Absent);
    site.meta.delete_manifest(&a, &blob("m"), at(90), act(20)).await.unwrap();
    assert_eq!(site.records().await.len(), 1);
    site.check().await;
}

async fn a_version_follows_all_heads_of_its_topic(site: Site) {
    site.project("p").await;
    for (name, now) in [("m", 10), ("n", 20)] {
        let mut push = manifest("p/a", name);
        (push.tags, push.act) = (vec![tag("t")], act(now));
        site.published(push).await;
    }
    site.meta.delete_tag(&repository("p/a"), &tag("t"), at(90), act(30)).await.unwrap();
    let topic = Topic::tag(site.scope("p").await, &repository("p/a"), &tag("t"));
    let history = site.meta.tag_history(&repository("p/a"), &tag("t"), 9).await.unwrap();
    let ids: Vec<RecordId> = history.iter().map(|version| version.record).collect();
    let heads = site.meta.heads(&topic).await.unwrap();
    assert_eq!(heads.iter().map(|head| head.record.id()).collect::<Vec<_>>(), ids[..1]);
    let records = site.records().await;
    let prev = |id: &RecordId| {
        records.iter().find(|held| held.record.id() == *id).unwrap().record.body().unwrap().prev.clone()
    };
    assert_eq!((prev(&ids[0]), prev(&ids[1]), prev(&ids[2])), (vec![ids[1]], vec![ids[2]], vec![]));
    let elsewhere = Topic::tag(ScopeId([1; 32]), &repository("p/a"), &tag("t"));
    assert!(site.meta.heads(&elsewhere).await.unwrap().is_empty());
}

async fn records_are_signed_by_the_node_and_paged_by_time(site: Site) {
    for name in ["p", "q"] {
        site.project(name).await;
        let mut push = manifest(&format!("{name}/a"), "m");
        push.tags = vec![tag("t"), tag("u")];
        site.published(push).await;
    }
    let records = site.records().await;
    assert!(records.is_sorted_by_key(RecordAt::of) && records.len() == 8);
    let author = tests_author();
    for held in &records {
        let opened = Parcel::parse(held.record.as_bytes().to_vec()).unwrap().open().unwrap();
        let body = opened.body().unwrap();
        assert_eq!((opened.author(), body.grant, &*body.actor), (author.key(), RecordId::NONE, "tester"));
        opened.check_value(held.value.as_deref()).unwrap();
        if let Some(Ok(Value::Project(project))) = held.value.as_deref().map(|value| Value::read(body.kind, value)) {
            assert_eq!(ScopeId::project(&author.mesh(), &project.name, &project.nonce), opened.scope());
            assert!(matches!(project.life, Life::Open(settings) if settings.epoch == 0));
        }
    }
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = site.meta.records(after, 3).await.unwrap();
        after = page.items.last().map(RecordAt::of);
        paged.extend(page.items.iter().map(|held| held.record.id()));
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, records.iter().map(|held| held.record.id()).collect::<Vec<_>>());
}

async fn an_index_with_too_many_children_is_refused_by_name(site: Site) {
    site.project("p").await;
    let mut index = manifest("p/a", "index");
    (index.sparse, index.tags) = (true, vec![tag("t")]);
    index.children = (0..1025_u64).map(|n| Digest::sha256(&n.to_be_bytes())).collect();
    assert_eq!(site.publish(index.clone()).await, Published::TooManyChildren);
    assert_eq!(site.meta.tags(&repository("p/a"), super::all()).await.unwrap(), None, "nothing was written");
    index.children.pop();
    site.published(index).await;
    site.check().await;
}

async fn a_deleted_tag_comes_back_when_someone_says_so(site: Site) {
    site.project("p").await;
    let (a, t) = (repository("p/a"), tag("t"));
    let decide = |choice, ms| {
        let (repository, tag) = (a.clone(), t.clone());
        site.meta.decide_tag(DecideTag { repository, tag, choice, due: at(90), act: act(ms) })
    };
    assert_eq!(decide(Choice::Last, 5).await.unwrap(), Decided::Unknown);
    for name in ["m", "n"] {
        let mut push = manifest("p/a", name);
        push.tags = vec![t.clone()];
        site.published(push).await;
    }
    assert_eq!(decide(Choice::Last, 20).await.unwrap(), Decided::Settled, "it is there");
    assert_eq!(decide(Choice::Head(blob("m")), 20).await.unwrap(), Decided::Settled, "there is no conflict");
    assert!(site.meta.conflicts(9).await.unwrap().is_empty());
    site.meta.delete_tag(&a, &t, at(90), act(30)).await.unwrap();
    assert_eq!(decide(Choice::Last, 40).await.unwrap(), Decided::Done(blob("n")));
    let found = site.meta.manifest(&a, &Reference::Tag(t.clone())).await.unwrap();
    assert_eq!(found.map(|manifest| manifest.digest), Some(blob("n")));
    let history = site.meta.tag_history(&a, &t, 2).await.unwrap();
    assert_eq!(history.iter().map(|version| version.digest).collect::<Vec<_>>(), [Some(blob("n")), None]);
    let told = site.events().await.pop().unwrap().what;
    assert_eq!(told, What::TagDecided { repository: a.clone(), tag: t.clone(), digest: blob("n") });
    let deleted = |name| {
        let (a, digest) = (a.clone(), blob(name));
        let meta = std::sync::Arc::clone(&site.meta);
        async move { meta.deleted_manifest(&a, &digest).await.unwrap() }
    };
    assert_eq!((deleted("n").await, deleted("never").await), (None, None));
    site.meta.delete_manifest(&a, &blob("n"), at(90), act(50)).await.unwrap();
    assert_eq!(deleted("n").await, Some(manifest("p/a", "n").media_type));
    assert_eq!(decide(Choice::Last, 60).await.unwrap(), Decided::ManifestGone(blob("n")));
    site.check().await;
}

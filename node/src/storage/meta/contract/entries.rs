//! Entries: what is in force, in the order it came to be so, and changes that are done only on what was seen.

use protocol::record::governed::{Member, User};
use protocol::record::value::{Life, Project, Settings, Value};
use protocol::record::{Kind, MeshId, RecordKey, ScopeId};
use protocol::view::Topic;

use super::{Site, act, at, checks, manifest, tag};
use crate::storage::meta::{Amend, Amended, Entry, Published, What, Write};

checks! {
    what_is_in_force_is_told_in_the_order_it_changed
    a_change_decided_on_something_older_is_not_done
    a_project_is_closed_with_what_is_in_it_and_opened_again
    only_an_empty_project_is_closed_unless_told_otherwise
    what_this_node_keeps_for_itself_is_kept_with_the_change
}

fn user(name: &str) -> Topic {
    let mesh = MeshId::of(&crate::storage::meta::tests_author().key());
    Topic { scope: ScopeId::mesh_wide(&mesh), kind: Kind::USER, key: RecordKey::named(name) }
}

fn is(id: u32) -> Value {
    Value::User(User { id, ..User::default() })
}

impl Site {
    async fn entries_after(&self, after: u64) -> Vec<Entry> {
        self.meta.entries(after, 1000).await.unwrap()
    }

    async fn amend(&self, at_change: u64, writes: Vec<Write>) -> Amended {
        let amend = Amend { at: at_change, writes, local: vec![], tell: vec![], due: at(90), act: act(20) };
        self.meta.amend(amend).await.unwrap()
    }

    /// On whatever is the last change.
    async fn amend_now(&self, writes: Vec<Write>) -> Amended {
        let last = self.entries_after(0).await.last().map_or(0, |entry| entry.at);
        self.amend(last, writes).await
    }
}

async fn what_is_in_force_is_told_in_the_order_it_changed(site: Site) {
    assert_eq!(site.entries_after(0).await, []);
    let (ann, ben) = (user("ann"), user("ben"));
    let put = |topic: &Topic, id| Write::Put(topic.clone(), is(id).encode());
    assert_eq!(site.amend(0, vec![put(&ann, 1), put(&ben, 2)]).await, Amended::Done);
    let entry = |at, topic: &Topic, value| Entry { at, topic: topic.clone(), value };
    assert_eq!(site.entries_after(0).await, [entry(1, &ann, Some(is(1))), entry(2, &ben, Some(is(2)))]);
    assert_eq!(site.amend(2, vec![put(&ann, 3)]).await, Amended::Done);
    assert_eq!(site.entries_after(0).await, [entry(2, &ben, Some(is(2))), entry(3, &ann, Some(is(3)))]);
    assert_eq!(site.meta.entries(0, 1).await.unwrap(), [entry(2, &ben, Some(is(2)))]);
    // The same again is no change; a delete is one.
    assert_eq!(site.amend(3, vec![put(&ann, 3)]).await, Amended::Done);
    assert_eq!(site.amend(3, vec![Write::Delete(ben.clone())]).await, Amended::Done);
    assert_eq!(site.entries_after(3).await, [entry(4, &ben, None)]);
    site.project("p").await;
    let made = site.entries_after(4).await;
    assert!(matches!(&made[..], [Entry { at: 5, value: Some(Value::Project(_)), .. }]), "{made:?}");
}

async fn a_change_decided_on_something_older_is_not_done(site: Site) {
    let put = |id| vec![Write::Put(user("ann"), is(id).encode())];
    assert_eq!(site.amend(7, put(1)).await, Amended::Stale);
    assert_eq!(site.amend(0, put(1)).await, Amended::Done);
    assert_eq!(site.amend(0, put(2)).await, Amended::Stale);
    assert_eq!(site.entries_after(0).await[0].value, Some(is(1)));
}

async fn a_project_is_closed_with_what_is_in_it_and_opened_again(site: Site) {
    site.project("p").await;
    let pushed = site.published(super::PublishManifest { tags: vec![tag("t")], ..manifest("p/r", "m") }).await;
    let before = site.entries_after(0).await.pop().unwrap();
    let member = Topic { scope: before.topic.scope, kind: Kind::MEMBER, key: RecordKey::named("u1") };
    let said = Value::Member(Member { id: 1, roles: [2].into(), ..Member::default() });
    assert_eq!(site.amend_now(vec![Write::Put(member, said.encode())]).await, Amended::Done);

    let close = Write::Close { project: "p".parse().unwrap(), full: true };
    assert_eq!(site.amend_now(vec![close.clone()]).await, Amended::Done);
    assert_eq!(site.entries_after(0).await.pop().unwrap().value, None);
    assert_eq!(site.meta.project(&"p".parse().unwrap()).await.unwrap(), None);
    assert_eq!(site.publish(manifest("p/r", "n")).await, Published::NoProject);
    assert_eq!(site.amend_now(vec![close]).await, Amended::Unknown, "there is none to close any more");

    let reopen = Write::Reopen("p".parse().unwrap());
    assert_eq!(site.amend_now(vec![reopen.clone()]).await, Amended::Done);
    let after = site.entries_after(0).await.pop().unwrap();
    assert_eq!(after.topic, before.topic, "the same project, not another of that name");
    let settings = |entry: &Entry| match &entry.value {
        Some(Value::Project(Project { life: Life::Open(settings), .. })) => settings.clone(),
        other => panic!("{other:?}"),
    };
    let reopens = settings(&after).reopens;
    assert!(reopens.is_some());
    assert_eq!(settings(&after), Settings { reopens, ..settings(&before) });
    assert_eq!(site.amend_now(vec![reopen]).await, Amended::Unknown, "it is open");
    assert_eq!(site.amend_now(vec![Write::Reopen("q".parse().unwrap())]).await, Amended::Unknown);
    // Its tag names what it named; its bytes went with the close, as nobody needed them, unless they are pushed again.
    assert_eq!(site.published(manifest("p/r", "m")).await, pushed);
}

async fn only_an_empty_project_is_closed_unless_told_otherwise(site: Site) {
    site.project("p").await;
    site.published(manifest("p/r", "m")).await;
    site.published(manifest("p/s", "m")).await;
    site.project("p-q").await;
    let close = |name: &str| Write::Close { project: name.parse().unwrap(), full: false };
    assert_eq!(site.amend_now(vec![close("p")]).await, Amended::Full(2));
    assert!(site.meta.project(&"p".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(site.amend_now(vec![close("p-q")]).await, Amended::Done);
    assert!(site.meta.project(&"p-q".parse().unwrap()).await.unwrap().is_none());
}

async fn what_this_node_keeps_for_itself_is_kept_with_the_change(site: Site) {
    let local = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(|value| value.as_bytes().to_vec()))];
    let amend = |at_change, local| Amend {
        at: at_change,
        writes: vec![Write::Put(user("ann"), is(1).encode())],
        local,
        tell: vec![What::BlobQuarantined { digest: protocol::Digest::sha256(b"told") }],
        due: at(90),
        act: act(20),
    };
    assert_eq!(site.meta.amend(amend(0, local("a", Some("secret")))).await.unwrap(), Amended::Done);
    assert_eq!(site.meta.local("a".into()).await.unwrap().as_deref(), Some(&b"secret"[..]));
    assert_eq!(site.events().await.len(), 1);
    assert_eq!(site.meta.amend(amend(0, local("a", None))).await.unwrap(), Amended::Stale);
    assert!(site.meta.local("a".into()).await.unwrap().is_some(), "nothing of it was done");
    assert_eq!(site.meta.amend(amend(1, local("a", None))).await.unwrap(), Amended::Done);
    assert_eq!(site.meta.local("a".into()).await.unwrap(), None);
    assert_eq!(site.meta.setting("a").await.unwrap(), None);
}

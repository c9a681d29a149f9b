//! Records of other sites: what an engine makes of them is what `protocol` does, whatever comes in which order.
//!
//! The others are ledgers of `protocol`, the real machines: an operator, who holds the node's own key in a life of its
//! own and lets sites in and out, and two sites that write what they like.

use std::sync::Arc;

use protocol::identity::{NodeKey, NodeSecret};
use protocol::ledger::{Identity, Ledger, Say};
use protocol::record::value::{Life, TagMode, Value};
use protocol::record::{Action, Held, Incarnation, Kind, RecordId, RecordKey, ScopeId};
use protocol::trust::{Compromise, Grant, IdBlock, Lists, Over, Revocation, Right, Target, Verdict, list_digest};
use protocol::view::Topic;
use protocol::{Digest, Reference, Timestamp};

use super::{Site, act, at, blob, checks, manifest, repository, tag};
use crate::storage::meta::check::rows_follow_records;
use crate::storage::meta::{
    Author, Choice, ChooseHead, Chosen, DecideTag, Decided, DeletedManifest, DeletedTag, MetaStore, Published, Taken,
    What, tests_author,
};

mod random;

checks! {
    a_site_nobody_let_in_is_not_listened_to
    two_sites_push_one_tag_and_someone_chooses
    a_manifest_goes_with_the_last_that_names_it
    what_a_compromised_site_said_is_taken_back
    tags_of_a_project_with_a_home_are_written_there
    a_project_closed_elsewhere_is_gone_and_comes_back_with_its_tags
    a_value_that_was_missing_comes_later
    settings_that_contradict_each_other_are_settled_by_a_choice
}

/// The operator and two sites.
#[derive(Clone)]
struct Others {
    operator: Ledger,
    sites: Vec<Ledger>,
}

fn secret(n: u8) -> NodeSecret {
    NodeSecret::from_seed([n; 32])
}

fn grant_of(n: u8, actions: &[Action]) -> Grant {
    Grant {
        node: secret(n).key(),
        site: format!("site {n}"),
        labels: [].into(),
        rights: actions.iter().map(|action| Right { action: *action, over: Over::Everything }).collect(),
        ids: IdBlock::default(),
        not_before: Timestamp(0),
        not_after: Timestamp(u64::MAX),
        serial: 1,
    }
}

impl Others {
    fn new() -> Self {
        let root = tests_author().key();
        // The seed of the author of the tests.
        let identity = Identity { secret: secret(7), root, grant: RecordId::NONE };
        assert_eq!(identity.secret.key(), root);
        let mut operator = Ledger::open(identity, [], Incarnation(1000));
        let mut let_in = |n: u8| {
            let grant = grant_of(n, &[Action::Push, Action::Tag, Action::Delete, Action::Administer]);
            let grant = operator.grant(&grant, "operator", at(1)).unwrap();
            Identity { secret: secret(n), root, grant }
        };
        let identities = [let_in(8), let_in(9)];
        let sites = (1..).zip(identities).map(|(life, identity)| Ledger::open(identity, [], Incarnation(life)));
        let mut sites: Vec<Ledger> = sites.collect();
        for site in &mut sites {
            tell(&operator, site);
        }
        Self { operator, sites }
    }

    fn ledger(&mut self, n: usize) -> &mut Ledger {
        match n {
            0 => &mut self.operator,
            n => &mut self.sites[n - 1],
        }
    }
}

/// One ledger hears all that another holds.
fn tell(from: &Ledger, to: &mut Ledger) {
    for held in from.set().iter() {
        to.take(held.record.clone(), held.value.clone(), at(100_000));
    }
    to.wake(at(100_000));
}

async fn all_of(meta: &dyn MetaStore) -> Vec<Held> {
    meta.records(None, 100_000).await.unwrap().items
}

/// The engine and a ledger hear all that the other holds.
async fn meet(meta: &dyn MetaStore, ledger: &mut Ledger) -> Taken {
    let taken = hear(meta, ledger.set().iter().cloned().collect()).await;
    for held in all_of(meta).await {
        ledger.take(held.record, held.value, at(100_000));
    }
    ledger.wake(at(100_000));
    taken
}

async fn hear(meta: &dyn MetaStore, heard: Vec<Held>) -> Taken {
    meta.take_in(heard, at(500)).await.unwrap()
}

fn scope_of(ledger: &Ledger, project: &str) -> Option<ScopeId> {
    ledger.view().named(&project.parse().unwrap()).meant()
}

impl Site {
    /// A project with the manifests `m` and `n`, the tag `t` at `m`, and others who know of it.
    async fn among_others(&self) -> (Others, ScopeId) {
        let mut others = Others::new();
        self.project("p").await;
        for name in ["m", "n"] {
            let mut push = manifest("p/a", name);
            push.tags = if name == "m" { vec![tag("t")] } else { vec![] };
            self.published(push).await;
        }
        for n in 0..3 {
            meet(&*self.meta, others.ledger(n)).await;
        }
        let scope = scope_of(&others.operator, "p").unwrap();
        (others, scope)
    }

    async fn names(&self, name: &str) -> Option<Digest> {
        let found = self.meta.manifest(&repository("p/a"), &Reference::Tag(tag(name))).await.unwrap();
        found.map(|manifest| manifest.digest)
    }

    async fn serves(&self, name: &str) -> bool {
        self.meta.manifest(&repository("p/a"), &Reference::Digest(blob(name))).await.unwrap().is_some()
    }

    async fn sound(&self) {
        assert_eq!(rows_follow_records(&*self.meta).await.unwrap().differences, [""; 0]);
    }
}

async fn a_site_nobody_let_in_is_not_listened_to(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let identity = Identity { secret: secret(50), root: tests_author().key(), grant: RecordId::NONE };
    let mut stranger = Ledger::open(identity, [], Incarnation(5));
    tell(&others.operator, &mut stranger);
    // The ledger does not let it write what would be void; a liar has no such scruples.
    let value = crate::storage::meta::author::tagged(Some(blob("n")), 0);
    let act = act(50);
    let author = Author::root(secret(50), Arc::new(crate::world::RealEntropy));
    let mut pen = author.take_up(Default::default());
    let topic = Topic::tag(scope, &repository("p/a"), &tag("t"));
    let record = author.write(&mut pen, topic, Some(&value), &[], &act).unwrap();
    let heard = vec![Held { record: record.clone(), value: Some(value.into()) }];
    assert_eq!(hear(&*site.meta, heard.clone()).await.strangers, [record.id()]);
    assert_eq!((site.names("t").await, all_of(&*site.meta).await.len()), (Some(blob("m")), 6));
    // Let in by a grant that comes beside it, it is heard; under no grant it says nothing all the same.
    let grant = grant_of(50, &[]);
    others.operator.grant(&grant, "operator", at(60)).unwrap();
    let heard = heard.into_iter().chain(others.operator.set().iter().cloned()).collect();
    let taken = hear(&*site.meta, heard).await;
    assert!(taken.taken.contains(&record.id()) && taken.strangers.is_empty());
    assert_eq!(site.names("t").await, Some(blob("m")), "void");
    site.sound().await;
}

async fn two_sites_push_one_tag_and_someone_chooses(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let (a, t) = (repository("p/a"), tag("t"));
    others.sites[0].tag(scope, &a, &t, Some(blob("n")), "one", at(50)).unwrap();
    others.sites[1].tag(scope, &a, &t, Some(blob("absent")), "two", at(60)).unwrap();
    for n in [2, 1] {
        meet(&*site.meta, others.ledger(n)).await;
    }
    let conflicts = site.meta.conflicts(9).await.unwrap();
    assert_eq!(conflicts.iter().map(|conflict| (conflict.count, conflict.heads.len())).collect::<Vec<_>>(), [(2, 2)]);
    assert_eq!(conflicts[0].topic, Topic::tag(scope, &a, &t));
    assert_eq!(site.names("t").await, None, "the greater names what is not here");
    assert_eq!(
        site.meta.tags(&a, super::all()).await.unwrap().unwrap().items,
        std::slice::from_ref(&t),
        "the tag is known"
    );
    // The loser is pinned, though nothing else keeps it.
    let gone = site.meta.delete_manifest(&a, &blob("n"), at(90), act(70)).await.unwrap();
    assert_eq!(gone, DeletedManifest::Done { tags: vec![], kept_by: None });
    assert!(site.serves("n").await);
    let decide = |name| {
        let (repository, tag, choice) = (a.clone(), t.clone(), Choice::Head(blob(name)));
        site.meta.decide_tag(DecideTag { repository, tag, choice, due: at(90), act: act(80) })
    };
    assert_eq!(decide("m").await.unwrap(), Decided::NoHead);
    assert_eq!(decide("absent").await.unwrap(), Decided::ManifestGone(blob("absent")));
    assert_eq!(decide("n").await.unwrap(), Decided::Done(blob("n")));
    assert!(site.meta.conflicts(9).await.unwrap().is_empty());
    assert_eq!(site.names("t").await, Some(blob("n")));
    assert_eq!(site.meta.delete_tag(&a, &t, at(90), act(85)).await.unwrap(), DeletedTag::Done(blob("n")));
    assert!(!site.serves("n").await, "nothing keeps it any more");
    // Every site sees the same.
    for n in 0..3 {
        let ledger = others.ledger(n);
        meet(&*site.meta, ledger).await;
        assert_eq!(ledger.tagged(scope, &a, &t), None);
    }
    site.sound().await;
}

async fn a_manifest_goes_with_the_last_that_names_it(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let a = repository("p/a");
    let mut index = manifest("p/a", "index");
    index.children = vec![blob("m"), blob("n")];
    site.published(index).await;
    meet(&*site.meta, others.ledger(1)).await;
    let kept_by = Some(blob("index"));
    assert_eq!(site.meta.named_by(&a, &blob("m")).await.unwrap(), kept_by);
    assert_eq!(site.meta.named_by(&a, &blob("index")).await.unwrap(), None);
    let gone = site.meta.delete_manifest(&a, &blob("m"), at(90), act(20)).await.unwrap();
    assert_eq!(gone, DeletedManifest::Done { tags: vec![tag("t")], kept_by });
    let again = site.meta.delete_manifest(&a, &blob("m"), at(90), act(21)).await.unwrap();
    assert_eq!(again, DeletedManifest::Done { tags: vec![], kept_by });
    assert!(site.serves("m").await);
    assert_eq!(site.meta.deleted_manifest(&a, &blob("m")).await.unwrap(), Some(manifest("p/a", "m").media_type));
    site.sound().await;
    // Another site deletes the index: that takes along what nothing else keeps, and leaves the rest.
    others.sites[0].delete_manifest(scope, &a, &blob("index"), "one", at(50)).unwrap();
    meet(&*site.meta, others.ledger(1)).await;
    assert_eq!((site.serves("index").await, site.serves("m").await, site.serves("n").await), (false, false, true));
    site.sound().await;
}

async fn what_a_compromised_site_said_is_taken_back(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let (a, t) = (repository("p/a"), tag("t"));
    others.sites[0].tag(scope, &a, &t, Some(blob("n")), "thief", at(50)).unwrap();
    others.sites[0].delete_manifest(scope, &a, &blob("m"), "thief", at(51)).unwrap();
    meet(&*site.meta, others.ledger(1)).await;
    assert_eq!((site.names("t").await, site.serves("m").await), (Some(blob("n")), false));
    meet(&*site.meta, others.ledger(0)).await;
    let thief: NodeKey = secret(8).key();
    let lists = Lists { by: tests_author().key(), list: 1, count: 0, digest: list_digest(&[]) };
    let verdict = Compromise { since: at(40), scopes: [(scope, lists)].into(), endorsers: vec![] };
    let revocation = Revocation { target: Target::Node(thief), verdict: Verdict::Compromised(verdict) };
    others.operator.revoke(&revocation, "operator", at(60)).unwrap();
    meet(&*site.meta, others.ledger(0)).await;
    let kept = site.meta.tag_history(&a, &t, 9).await.unwrap();
    assert_eq!(kept.len(), 2, "what it said is kept and shown");
    site.sound().await;
    // The name is back; the bytes went with the delete and come by a push.
    assert_eq!(site.names("t").await, None);
    site.published(manifest("p/a", "m")).await;
    assert_eq!(site.names("t").await, Some(blob("m")));
    site.sound().await;
}

async fn tags_of_a_project_with_a_home_are_written_there(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let (a, t) = (repository("p/a"), tag("t"));
    others.operator.set_mode(scope, TagMode::Home("site 8".into()), "operator", at(50)).unwrap();
    meet(&*site.meta, others.ledger(0)).await;
    let mut push = manifest("p/a", "n");
    push.tags = vec![t.clone()];
    let home = "site 8".to_owned();
    assert_eq!(site.publish(push.clone()).await, Published::NotHome(home.clone()));
    let deleted = site.meta.delete_tag(&a, &t, at(90), act(60)).await.unwrap();
    assert_eq!(deleted, DeletedTag::NotHome(home.clone()));
    let deleted = site.meta.delete_manifest(&a, &blob("m"), at(90), act(60)).await.unwrap();
    assert_eq!(deleted, DeletedManifest::NotHome(home));
    push.tags.clear();
    site.published(push.clone()).await;
    meet(&*site.meta, others.ledger(1)).await;
    others.sites[0].tag(scope, &a, &t, Some(blob("n")), "home", at(70)).unwrap();
    meet(&*site.meta, others.ledger(1)).await;
    assert_eq!(site.names("t").await, Some(blob("n")));
    // Open to all again, in a later epoch: what is pushed here is live.
    others.operator.set_mode(scope, TagMode::Converge, "operator", at(80)).unwrap();
    meet(&*site.meta, others.ledger(0)).await;
    let mut push = manifest("p/a", "m");
    (push.tags, push.act) = (vec![t], act(90));
    site.published(push).await;
    assert_eq!(site.names("t").await, Some(blob("m")));
    site.sound().await;
}

async fn a_project_closed_elsewhere_is_gone_and_comes_back_with_its_tags(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let name = "p".parse().unwrap();
    others.sites[0].close_project(scope, "one", at(50)).unwrap();
    let mut unseen = manifest("p/a", "unseen");
    unseen.tags = vec![tag("u")];
    site.published(unseen).await;
    meet(&*site.meta, others.ledger(1)).await;
    assert_eq!(site.meta.project(&name).await.unwrap(), None);
    assert_eq!(site.names("u").await, None, "no tag of a project that is gone");
    assert!(site.serves("unseen").await, "nothing goes while pushes were unseen");
    assert_eq!(site.publish(manifest("p/a", "m")).await, Published::NoProject);
    site.sound().await;
    others.sites[0].reopen_project(scope, "one", at(60)).unwrap();
    meet(&*site.meta, others.ledger(1)).await;
    assert!(site.meta.project(&name).await.unwrap().is_some());
    assert_eq!((site.names("u").await, site.names("t").await), (Some(blob("unseen")), Some(blob("m"))));
    site.sound().await;
    // Closed by who saw it all: now it goes.
    others.sites[0].close_project(scope, "one", at(70)).unwrap();
    meet(&*site.meta, others.ledger(1)).await;
    assert!(!site.serves("unseen").await && !site.serves("m").await);
    site.sound().await;
    // One made again under the name has nothing of the old one.
    assert!(site.project("p").await);
    assert!(site.meta.tags(&repository("p/a"), super::all()).await.unwrap().unwrap().items.is_empty());
    site.sound().await;
}

async fn a_value_that_was_missing_comes_later(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let (a, t) = (repository("p/a"), tag("t"));
    let id = others.sites[0].tag(scope, &a, &t, Some(blob("n")), "one", at(50)).unwrap();
    let said = others.sites[0].set().iter().find(|held| held.record.id() == id).cloned().unwrap();
    let bare = Held { value: None, ..said.clone() };
    let wrong = Held { value: Some(b"another".as_slice().into()), ..said.clone() };
    for held in [bare.clone(), wrong, bare] {
        hear(&*site.meta, vec![held]).await;
        assert_eq!(site.names("t").await, Some(blob("m")));
        site.sound().await;
    }
    assert_eq!(hear(&*site.meta, vec![said.clone()]).await.taken, [id]);
    assert_eq!(site.names("t").await, Some(blob("n")));
    assert_eq!(hear(&*site.meta, vec![said]).await, Taken::default(), "again is no harm");
    site.sound().await;
}

async fn settings_that_contradict_each_other_are_settled_by_a_choice(site: Site) {
    let (mut others, scope) = site.among_others().await;
    let mut said = Vec::new();
    for (n, public) in [(0, false), (1, true)] {
        let ledger = &mut others.sites[n];
        let project = ledger.view().topic(&Topic::project(scope)).live.and_then(|id| ledger.read(&id));
        let Some(Value::Project(mut project)) = project else { panic!("{project:?}") };
        let Life::Open(settings) = &mut project.life else { panic!("it is open") };
        (settings.public, settings.sparse) = (public, true);
        let say = Say::value(scope, Kind::PROJECT, RecordKey::single(), &project, "other");
        said.push(ledger.write(say, at(50 + n as u64)).unwrap());
    }
    for n in [1, 2] {
        meet(&*site.meta, others.ledger(n)).await;
    }
    let name = "p".parse().unwrap();
    let is_public = async || site.meta.project(&name).await.unwrap().unwrap().public;
    assert!(!is_public().await, "the stricter is in force");
    let choose = |record| site.meta.choose_head(ChooseHead { record, due: at(90), act: act(60) });
    let listed = site.meta.conflicts(9).await.unwrap();
    assert_eq!(listed.iter().map(|one| (&one.topic, one.count)).collect::<Vec<_>>(), [(&Topic::project(scope), 2)]);
    assert_eq!(choose(RecordId([1; 32])).await.unwrap(), Chosen::Unknown);
    let t = Topic::tag(scope, &repository("p/a"), &tag("t"));
    let tagged = site.meta.heads(&t).await.unwrap()[0].record.id();
    assert_eq!(choose(tagged).await.unwrap(), Chosen::Tag(repository("p/a"), tag("t")));
    assert_eq!(choose(said[1]).await.unwrap(), Chosen::Done);
    assert!(is_public().await && site.meta.conflicts(9).await.unwrap().is_empty());
    assert_eq!(choose(said[1]).await.unwrap(), Chosen::Settled);
    assert!(matches!(site.events().await.pop().unwrap().what, What::ConflictSettled { .. }));
    site.sound().await;
}

#[tokio::test]
async fn scopes_that_come_to_nothing_cost_pushes_nothing() {
    let redb = Arc::new(Site::redb_engine());
    let site = Site { meta: Arc::clone(&redb) as Arc<dyn MetaStore> };
    let (mut others, _) = site.among_others().await;
    // Let in, and allowed nothing.
    others.operator.grant(&grant_of(50, &[]), "operator", at(60)).unwrap();
    meet(&*site.meta, &mut others.operator).await;
    let author = Author::root(secret(50), Arc::new(crate::world::RealEntropy));
    let mut pen = author.take_up(Default::default());
    let mut heard = Vec::new();
    let root = tests_author();
    for n in 0..50 {
        let project = super::Project { name: "p".parse().unwrap(), public: true, sparse: true, created: at(0) };
        let (scope, value) = root.project(&project);
        let tagged = crate::storage::meta::author::tagged(Some(blob("n")), 0);
        let tag = Topic::tag(scope, &repository("p/a"), &tag("t"));
        for (topic, value) in [(Topic::project(scope), value), (tag, tagged)] {
            let record = author.write(&mut pen, topic, Some(&value), &[], &act(70 + n)).unwrap();
            heard.push(Held { record, value: Some(value.into()) });
        }
    }
    assert_eq!(hear(&*site.meta, heard).await.taken.len(), 100);
    assert_eq!((redb.held_scopes("p"), site.names("t").await), (1, Some(blob("m"))));
    site.sound().await;
}

//! What stories are about, and what one sees of it at a site.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ledger::Ledger;
use protocol::record::value::Pushed;
use protocol::record::{Kind, RecordId, RecordKey, Records, ScopeId};
use protocol::trust::Void;
use protocol::view::{Topic, TopicView};
use protocol::{ContentRoot, Digest, RepositoryName, Tag};

pub(crate) fn repository() -> RepositoryName {
    "app/web".parse().unwrap()
}

pub(crate) fn image(name: &str) -> Digest {
    Digest::sha256(name.as_bytes())
}

pub(crate) fn tag_topic(scope: ScopeId, tag: &str) -> Topic {
    let tag: Tag = tag.parse().unwrap();
    Topic { scope, kind: Kind::TAG, key: RecordKey::tag(&repository(), &tag) }
}

pub(crate) fn manifest_topic(scope: ScopeId, digest: &Digest) -> Topic {
    Topic { scope, kind: Kind::MANIFEST, key: RecordKey::manifest(&repository(), digest) }
}

/// What a tag names.
pub(crate) fn named(ledger: &Ledger, scope: ScopeId, tag: &str) -> Option<Digest> {
    ledger.tagged(scope, &repository(), &tag.parse().unwrap())
}

pub(crate) fn view_of(ledger: &Ledger, scope: ScopeId, tag: &str) -> TopicView {
    ledger.view().topic(&tag_topic(scope, tag))
}

/// Why a record is void at a site; `None`: it counts.
pub(crate) fn void(ledger: &Ledger, id: &RecordId) -> Option<Void> {
    let record = ledger.set().get(id).expect("it is in the set").record;
    let topic = Topic::of(&record).expect("it is of a known kind");
    let standing = ledger.view().versions(ledger.set(), &topic).into_iter().find(|version| version.rank.id == *id);
    standing.expect("it is in the view").void
}

/// Every void record of a site.
pub(crate) fn voids(ledger: &Ledger) -> BTreeMap<RecordId, Void> {
    let topics: BTreeSet<Topic> = ledger.set().iter().filter_map(|held| Topic::of(&held.record)).collect();
    topics.iter().flat_map(|topic| ledger.view().voids(ledger.set(), topic)).collect()
}

pub(crate) fn pushed(size: u64, children: &[Digest]) -> Pushed {
    Pushed {
        media_type: protocol::MediaType::from_header("application/vnd.oci.image.manifest.v1+json").unwrap(),
        size,
        root: ContentRoot([3; 32]),
        children: children.to_vec(),
        subject: None,
        blobs: Vec::new(),
    }
}

//! What a site shows, in a form that can be compared, and whether a record is accounted for in it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::canonical;
use protocol::record::{Kind, RecordId, RecordSet, Records, ScopeId};
use protocol::trust::Void;
use protocol::view::{InMemory, Kept, Topic, View};

/// A set and its view, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) records: String,
    pub(super) view: String,
    pub(super) conflicts: Vec<String>,
}

/// The name of a record in the log.
pub(super) fn short(id: &RecordId) -> String {
    id.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Shown {
    /// What is shown of a set. With `arrivals` the head that came last is taken for the live one, which is wrong.
    pub(super) fn of(set: &RecordSet, view: &View<InMemory>, arrivals: Option<&BTreeMap<RecordId, u64>>) -> Self {
        let (mut records, mut shown, mut conflicts) = (blake3::Hasher::new(), blake3::Hasher::new(), Vec::new());
        for held in set.iter() {
            records.update(&held.record.id().0);
        }
        let scopes: Vec<ScopeId> = set.scopes().collect();
        for scope in scopes {
            shown.update(&scope.0).update(&canonical::encode(&view.facts(&scope)));
            for kind in Kind::ALL {
                for (key, mut topic_view) in view.kept().topics(&scope, *kind, &[]) {
                    let topic = Topic { scope, kind: *kind, key };
                    if let Some(arrivals) = arrivals {
                        let heads = view.kept().heads(&topic, false, 64);
                        topic_view.live = heads.iter().map(|rank| rank.id).max_by_key(|id| arrivals.get(id));
                    }
                    if topic_view.is_conflict() {
                        conflicts.push(name_of(&topic));
                    }
                    shown.update(&canonical::encode(&topic)).update(&canonical::encode(&topic_view));
                }
            }
        }
        Self { records: hex(&records), view: hex(&shown), conflicts }
    }
}

/// The name of a topic in the log.
pub(super) fn name_of(topic: &Topic) -> String {
    let hash = blake3::hash(&canonical::encode(topic)).to_hex();
    format!("{:?} {}", topic.kind, &hash[..8])
}

fn hex(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Why a record is not found although it was acknowledged; `None`: it is live, or something accounts for it.
pub(super) fn unaccounted(set: &RecordSet, view: &View<InMemory>, id: &RecordId, judged: bool) -> Option<&'static str> {
    let Some(held) = set.get(id) else { return Some("is not there") };
    // Of a kind nobody here knows there is nothing more to say.
    let topic = Topic::of(&held.record).filter(|topic| topic.kind.is_known())?;
    let Some(standing) = view.kept().version(id) else { return Some("has no standing") };
    match standing.void {
        Some(Void::Epoch | Void::NotHome) => None,
        Some(Void::Revoked(_) | Void::NotEndorsed(_) | Void::Suspended(_) | Void::NoGrant | Void::NoRight)
            if judged =>
        {
            None
        }
        Some(_) => Some("is void"),
        None if standing.head && standing.deletes => None,
        None if standing.head => {
            let live = view.topic(&topic).live.and_then(|live| view.kept().version(&live));
            let beaten = live.is_some_and(|live| live.rank >= standing.rank && !live.deletes);
            (!beaten).then_some("is a head that nothing beats, and not live")
        }
        None => (!is_followed(set, view, &topic, id)).then_some("is covered by nothing"),
    }
}

/// Whether a valid record follows this one, by another way than the view finds out.
fn is_followed(set: &RecordSet, view: &View<InMemory>, topic: &Topic, id: &RecordId) -> bool {
    let versions = set.versions(&topic.scope, topic.kind, &topic.key);
    let (mut next, mut seen) = (vec![*id], BTreeSet::new());
    while let Some(id) = next.pop() {
        let Some(held) = set.get(&id) else { continue };
        let Some(place) = held.record.body().map(|body| body.position) else { continue };
        let later = versions.iter().copied().filter(|other| {
            set.get(other).is_some_and(|other| {
                let theirs = other.record.body().map(|body| body.position);
                let same_life = theirs.is_some_and(|at| at.incarnation == place.incarnation && at.seq > place.seq);
                other.record.author() == held.record.author() && same_life
            })
        });
        for follower in set.followers(&id).into_iter().chain(later).filter(|follower| versions.contains(follower)) {
            if view.kept().version(&follower).is_some_and(|standing| standing.void.is_none()) {
                return true;
            }
            if seen.insert(follower) {
                next.push(follower);
            }
        }
    }
    false
}

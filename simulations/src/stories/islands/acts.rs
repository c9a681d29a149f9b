//! What people do at a site of [`Islands`], and what a captured node does there.

use std::sync::Arc;

use protocol::Timestamp;
use protocol::ledger::Say;
use protocol::record::value::{Pushed, Settings, TagMode};
use protocol::record::{Draft, Held, HybridTime, Incarnation, Position, RecordId, ScopeId};
use protocol::trust::{Compromise, Endorsement, Lists, MAX_ENDORSED, Revocation, Target, Verdict, list_digest};
use protocol::view::Topic;

use super::{Islands, image, key, repository, secret};

/// A record as a captured node writes it: whatever it likes.
pub(crate) struct Forged<'a> {
    pub(crate) topic: Topic,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) at: u64,
    pub(crate) place: (u64, u64),
    pub(crate) prev: Vec<RecordId>,
}

impl Islands {
    pub(crate) fn project(&mut self, at: &'static str, nonce: u8) -> ScopeId {
        let settings = Settings::new(Timestamp(self.now), true, false);
        let name = "app".parse().unwrap();
        self.act(at, |ledger, now| ledger.create_project(&name, [nonce; 16], settings, "admin", now)).unwrap()
    }

    /// Pushes nothing but a tag.
    pub(crate) fn tag(&mut self, at: &str, scope: ScopeId, tag: &str, content: &str) -> RecordId {
        let (tag, digest) = (tag.parse().unwrap(), image(content));
        self.act(at, |ledger, now| ledger.tag(scope, &repository(), &tag, Some(digest), "ci", now)).unwrap()
    }

    pub(crate) fn untag(&mut self, at: &str, scope: ScopeId, tag: &str) -> RecordId {
        let tag = tag.parse().unwrap();
        self.act(at, |ledger, now| ledger.tag(scope, &repository(), &tag, None, "ci", now)).unwrap()
    }

    pub(crate) fn push(&mut self, at: &str, scope: ScopeId, content: &str, pushed: &Pushed) -> RecordId {
        let digest = image(content);
        self.act(at, |ledger, now| ledger.push(scope, &repository(), &digest, pushed, "ci", now)).unwrap()
    }

    pub(crate) fn mode(&mut self, at: &str, scope: ScopeId, mode: TagMode) -> RecordId {
        self.act(at, |ledger, now| ledger.set_mode(scope, mode, "admin", now)).unwrap()
    }

    /// A record outside the rules of writing, signed by the node all the same; it holds it then.
    pub(crate) fn forge(&mut self, by: &'static str, forged: Forged<'_>) -> RecordId {
        let held = self.forged(by, forged);
        let now = self.now_at(by);
        let site = self.site_mut(by);
        site.ledger.take(held.record.clone(), held.value, now);
        site.disk.extend(site.ledger.entries());
        held.record.id()
    }

    pub(crate) fn forged(&self, by: &'static str, forged: Forged<'_>) -> Held {
        let Topic { scope, kind, key } = forged.topic;
        let draft = Draft {
            scope,
            time: HybridTime::at(Timestamp(forged.at)),
            kind,
            key,
            value: forged.value,
            position: Position { incarnation: Incarnation(forged.place.0), seq: forged.place.1 },
            grant: self.sites[by].identity.grant,
            actor: "mallory",
            prev: forged.prev,
        };
        let record = draft.sign(&secret(by)).unwrap();
        Held { record, value: forged.value.map(Arc::from) }
    }

    pub(crate) fn revoke(&mut self, by: &str, who: &str, verdict: Verdict) -> RecordId {
        let revocation = Revocation { target: Target::Node(key(who)), verdict };
        self.act(by, |ledger, now| ledger.revoke(&revocation, "admin", now)).unwrap()
    }

    /// Writes endorsement lists of these records, and what a verdict says of them.
    pub(crate) fn endorse(
        &mut self,
        by: &str,
        who: &str,
        scope: ScopeId,
        records: &[RecordId],
    ) -> (Vec<RecordId>, Lists) {
        let mut records = records.to_vec();
        records.sort_unstable();
        let list = self.now;
        let mut parts: Vec<Vec<RecordId>> = records.chunks(MAX_ENDORSED).map(<[RecordId]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let write = |islands: &mut Self, records| {
            let endorsement = Endorsement { node: key(who), list, records };
            islands.act(by, |ledger, now| ledger.endorse(scope, &endorsement, "admin", now)).unwrap()
        };
        let ids: Vec<RecordId> = parts.into_iter().map(|records| write(self, records)).collect();
        let lists = Lists { by: key(by), list, count: u32::try_from(ids.len()).unwrap(), digest: list_digest(&ids) };
        (ids, lists)
    }

    pub(crate) fn compromised(
        &mut self,
        by: &str,
        who: &str,
        scopes: impl IntoIterator<Item = (ScopeId, Lists)>,
        endorsers: &[&str],
    ) -> RecordId {
        let endorsers = endorsers.iter().map(|name| key(name)).collect();
        let compromise = Compromise { since: Timestamp(self.now), scopes: scopes.into_iter().collect(), endorsers };
        self.revoke(by, who, Verdict::Compromised(compromise))
    }

    /// What this node wrote in a scope, as far as a site holds it.
    pub(crate) fn written_by(&self, at: &str, who: &str, scope: ScopeId) -> Vec<RecordId> {
        let own = |held: &&Held| held.record.author() == key(who) && held.record.scope() == scope;
        self.at(at).set().iter().filter(own).map(|held| held.record.id()).collect()
    }

    pub(crate) fn act_value<T: serde::Serialize>(&mut self, at: &str, topic: &Topic, value: &T) -> RecordId {
        let say = Say::value(topic.scope, topic.kind, topic.key.clone(), value, "admin");
        self.act(at, |ledger, now| ledger.write(say, now)).unwrap()
    }
}

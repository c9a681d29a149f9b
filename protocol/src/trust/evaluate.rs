//! From the acts of trust to what each node's records are worth, level by level.
//!
//! The root is level 0; an act under a grant of level n that counts makes grants of level n + 1. An act affects nodes
//! whose level is greater than its own alone, so everything an act of level n depends on is settled when level n is
//! looked at. Within a level suspensions come first, then endorsements, then grants and revocations; nothing depends on
//! a later one of these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::standing::{Counted, Ending, Extent, Judged, Standing, upto};
use super::{Compromise, Endorsement, Grant, Lists, Revocation, Target, Trust, Verdict, Void};
use crate::identity::NodeKey;
use crate::record::value::Value;
use crate::record::{Action, Held, Incarnation, Kind, MeshId, Position, Record, RecordId, ScopeId};

/// Most grants between a node and the root.
pub const MAX_LEVEL: u32 = 8;

/// A record that bears on trust, read.
struct Act {
    record: Record,
    grant: RecordId,
    prev: Vec<RecordId>,
    value: Value,
}

/// The acts, sorted by what they say.
#[derive(Default)]
struct Acts {
    grants: Vec<Act>,
    revocations: Vec<Act>,
    suspensions: Vec<Act>,
    endorsements: Vec<Act>,
    farewells: BTreeMap<RecordId, Act>,
    /// Suspensions that the root's word follows, however far back.
    lifted: BTreeSet<RecordId>,
}

/// An endorsement that counts, of a node in a scope.
struct Endorsed<'a> {
    id: RecordId,
    by: NodeKey,
    level: u32,
    what: &'a Endorsement,
}

struct Evaluation<'a> {
    trust: Trust,
    acts: &'a Acts,
    endorsed: BTreeMap<(NodeKey, ScopeId), Vec<Endorsed<'a>>>,
    /// The endorsements among them.
    counted: BTreeSet<RecordId>,
    /// Suspensions and revocations that count, with their levels: a later level may let in whom they are about.
    said: Vec<(&'a Act, u32)>,
}

impl Trust {
    /// What follows from these records; others than acts of trust are passed over. Their order does not matter.
    #[must_use]
    pub fn evaluate<'a>(root: NodeKey, records: impl IntoIterator<Item = &'a Held>) -> Self {
        let mesh = MeshId::of(&root);
        let mut acts = Acts::read(&ScopeId::trust(&mesh), records);
        acts.lifted = acts.lifted_by(&root);
        let trust = Self { root, mesh, grants: BTreeMap::new(), nodes: BTreeMap::new(), known: acts.known(&root) };
        let (endorsed, counted) = (BTreeMap::new(), BTreeSet::new());
        let mut evaluation = Evaluation { trust, acts: &acts, endorsed, counted, said: Vec::new() };
        for level in 0..MAX_LEVEL {
            evaluation.level(level);
            // Nobody is left who could say more.
            if !evaluation.trust.grants.values().any(|counted| counted.level == level + 1) {
                break;
            }
        }
        evaluation.trust
    }
}

impl Acts {
    fn read<'a>(trust_scope: &ScopeId, records: impl IntoIterator<Item = &'a Held>) -> Self {
        let mut acts = Self::default();
        for held in records {
            let Some(body) = held.record.body() else { continue };
            if body.kind != Kind::ENDORSEMENT && held.record.scope() != *trust_scope {
                continue;
            }
            let Some(Ok(value)) = held.value.as_deref().map(|value| Value::read(body.kind, value)) else { continue };
            let record = held.record.clone();
            let act = Act { record, grant: body.grant, prev: body.prev.clone(), value };
            match body.kind {
                Kind::GRANT => acts.grants.push(act),
                Kind::REVOCATION => acts.revocations.push(act),
                Kind::SUSPENSION => acts.suspensions.push(act),
                Kind::ENDORSEMENT => acts.endorsements.push(act),
                Kind::FAREWELL => {
                    acts.farewells.insert(act.record.id(), act);
                }
                _ => {}
            }
        }
        let accused = acts.accused();
        acts.endorsements.retain(|act| matches!(&act.value, Value::Endorsement(what) if accused.contains(&what.node)));
        for some in [&mut acts.grants, &mut acts.revocations, &mut acts.suspensions, &mut acts.endorsements] {
            some.sort_unstable_by_key(|act| act.record.id());
        }
        acts
    }

    /// Nodes that anyone calls compromised, with the right or without: endorsing others comes to nothing.
    fn accused(&self) -> BTreeSet<NodeKey> {
        let granted = self.grants.iter().filter_map(|act| {
            let Value::Grant(grant) = &act.value else { return None };
            Some((act.record.id(), grant.node))
        });
        let granted: BTreeMap<RecordId, NodeKey> = granted.collect();
        let accused = self.revocations.iter().filter_map(|act| {
            let Value::Revocation(Revocation { target, verdict: Verdict::Compromised(_) }) = &act.value else {
                return None;
            };
            match target {
                Target::Node(node) => Some(*node),
                Target::Grant(grant) => granted.get(grant).copied(),
            }
        });
        accused.collect()
    }

    /// The root's word names the heads it saw; it lifts what those follow as well: by name, or by a smaller place in the
    /// same life.
    fn lifted_by(&self, root: &NodeKey) -> BTreeSet<RecordId> {
        let mut by_id: BTreeMap<RecordId, (&Act, NodeKey, Position)> = BTreeMap::new();
        let mut places: BTreeMap<(NodeKey, NodeKey, Incarnation), BTreeSet<(u64, RecordId)>> = BTreeMap::new();
        let mut open = Vec::new();
        for act in &self.suspensions {
            let (Value::Suspension(suspension), Some(body)) = (&act.value, act.record.body()) else { continue };
            let (id, author) = (act.record.id(), act.record.author());
            by_id.insert(id, (act, suspension.node, body.position));
            let line = (suspension.node, author, body.position.incarnation);
            places.entry(line).or_default().insert((body.position.seq, id));
            if author == *root && suspension.lifted {
                open.push(id);
            }
        }
        let mut lifted = BTreeSet::new();
        while let Some(id) = open.pop() {
            let Some((act, node, position)) = by_id.get(&id).filter(|_| lifted.insert(id)) else { continue };
            open.extend(act.prev.iter().filter(|prev| by_id.get(prev).is_some_and(|(_, of, _)| of == node)));
            if let Some(line) = places.get_mut(&(*node, act.record.author(), position.incarnation)) {
                let after = line.split_off(&(position.seq, RecordId([0; 32])));
                open.extend(std::mem::replace(line, after).into_iter().map(|(_, id)| id));
            }
        }
        lifted
    }

    /// Nodes that ever had a grant chaining to the root, whatever became of it: whose records are taken in at all.
    fn known(&self, root: &NodeKey) -> BTreeSet<NodeKey> {
        let mut by_issuer: BTreeMap<NodeKey, Vec<NodeKey>> = BTreeMap::new();
        for act in &self.grants {
            if let Value::Grant(grant) = &act.value {
                by_issuer.entry(act.record.author()).or_default().push(grant.node);
            }
        }
        let mut known = BTreeSet::from([*root]);
        let mut next = vec![*root];
        while let Some(issuer) = next.pop() {
            next.extend(by_issuer.get(&issuer).into_iter().flatten().filter(|node| known.insert(**node)));
        }
        known
    }
}

impl<'a> Evaluation<'a> {
    fn level(&mut self, level: u32) {
        let acts = self.acts;
        for act in &acts.suspensions {
            // A suspension is never itself suspended, or two authorities that accuse each other would both go on.
            if self.counts(act, level, &|void| matches!(void, Void::Suspended(_))) {
                self.said.push((act, level));
                self.suspend(act, level);
            }
        }
        // Those of nodes in good standing first: only they may vouch for a node of their own level.
        let (sound, ended): (Vec<_>, Vec<_>) =
            acts.endorsements.iter().partition(|act| !self.trust.is_compromised(&act.record.author()));
        self.endorse_all(&sound, level);
        self.endorse_all(&ended, level);
        for act in &acts.grants {
            if self.counts(act, level, &|_| false) {
                self.grant(act, level);
            }
        }
        for act in &acts.revocations {
            if self.counts(act, level, &|_| false) {
                self.said.push((act, level));
            }
        }
        // Those of earlier levels again: they may be about nodes and grants that are there only now.
        for (act, level) in self.said.clone() {
            self.suspend(act, level);
            self.revoke(act, level);
        }
    }

    /// Whether an act is of this level and counts, but for reasons that are excused.
    fn counts(&self, act: &Act, level: u32, excused: &dyn Fn(Void) -> bool) -> bool {
        if act.record.author() == self.trust.root {
            return level == 0;
        }
        let of_level = self.trust.grants.get(&act.grant).is_some_and(|counted| counted.level == level);
        of_level
            && match self.trust.weigh(&act.record, Some(Action::Issue), None) {
                Ok(()) => true,
                Err(void) => excused(void),
            }
    }

    fn grant(&mut self, act: &Act, level: u32) {
        let Value::Grant(grant) = &act.value else { return };
        if grant.node == self.trust.root {
            return;
        }
        let id = act.record.id();
        let issuer = (level > 0).then_some(act.grant);
        let counted = Counted { grant: Arc::new(Grant::clone(grant)), level: level + 1, issuer };
        let standing = self.trust.nodes.entry(grant.node).or_insert_with(|| Standing::at(level + 1));
        standing.grants.insert(id);
        self.trust.grants.insert(id, counted);
    }

    fn suspend(&mut self, act: &Act, level: u32) {
        let Value::Suspension(suspension) = &act.value else { return };
        let lifted = self.acts.lifted.contains(&act.record.id());
        let Some(standing) = self.trust.nodes.get_mut(&suspension.node) else { return };
        if !suspension.lifted && !lifted && level <= standing.level {
            standing.suspended.insert(act.record.id(), upto(&suspension.last));
        }
    }

    /// Whether it is part of a list that a verdict names by an author who could not endorse by right.
    fn is_named_list(&self, act: &Act, level: u32) -> bool {
        let Value::Endorsement(what) = &act.value else { return false };
        let by = act.record.author();
        let of_level = self.trust.nodes.get(&by).is_some_and(|standing| standing.level <= level);
        let Some(standing) = self.trust.nodes.get(&what.node) else { return false };
        of_level
            && !self.trust.is_compromised(&by)
            && standing.endings.values().any(|ending| {
                let lists = ending.compromise().and_then(|verdict| verdict.scopes.get(&act.record.scope()));
                lists.is_some_and(|lists| lists.by == by && lists.list == what.list)
            })
    }

    /// Takes in those that count. Whether one does hangs on none of the others, so the nodes they are about are judged
    /// again once.
    fn endorse_all(&mut self, acts: &[&'a Act], level: u32) {
        let mut nodes = BTreeSet::new();
        for act in acts {
            let (id, by, scope) = (act.record.id(), act.record.author(), act.record.scope());
            let Value::Endorsement(what) = &act.value else { continue };
            let is_new = !self.counted.contains(&id);
            let counts = || (level > 0 && self.is_named_list(act, level)) || self.counts(act, level, &|_| false);
            if is_new && counts() {
                self.counted.insert(id);
                self.endorsed.entry((what.node, scope)).or_default().push(Endorsed { id, by, level, what });
                nodes.insert(what.node);
            }
        }
        // Verdicts that are known already get their lists filled; later ones look back at `endorsed`.
        nodes.iter().for_each(|node| self.judge_again(node));
    }

    fn revoke(&mut self, act: &Act, level: u32) {
        let Value::Revocation(revocation) = &act.value else { return };
        let node = match revocation.target {
            Target::Node(node) => Some(node),
            Target::Grant(grant) => self.trust.grants.get(&grant).map(|counted| counted.grant.node),
        };
        let Some(node) = node else { return };
        let is_known = |standing: &Standing| standing.endings.contains_key(&act.record.id());
        if self.trust.nodes.get(&node).is_some_and(is_known) {
            return;
        }
        let extent = match &revocation.verdict {
            Verdict::Retired { farewell: None } => Extent::Everything,
            Verdict::Retired { farewell: Some(id) } => self.farewell(id, &node),
            Verdict::Narrowed { last } => Extent::UpTo(upto(last)),
            Verdict::Compromised(compromise) => Extent::Endorsed(compromise.clone(), BTreeMap::new()),
        };
        // Who may issue for some projects alone ends nothing but what he began.
        let below = (level > 0 && !self.trust.issues_everywhere(&act.grant)).then_some(act.grant);
        let by_root = level == 0;
        let ending = Ending { level, by_root, author: act.record.author(), target: revocation.target, below, extent };
        let Some(standing) = self.trust.nodes.get_mut(&node) else { return };
        if level < standing.level {
            standing.endings.insert(act.record.id(), ending);
            self.judge_again(&node);
        }
    }

    fn farewell(&self, id: &RecordId, node: &NodeKey) -> Extent {
        match self.acts.farewells.get(id) {
            Some(Act { record, value: Value::Farewell(farewell), .. }) if record.author() == *node => {
                Extent::UpTo(upto(&farewell.last))
            }
            // Not here yet, or not the node's own word: nothing is cut off by it.
            _ => Extent::Everything,
        }
    }

    /// Fills in what is endorsed of a node, for each verdict and scope.
    fn judge_again(&mut self, node: &NodeKey) {
        let Some(standing) = self.trust.nodes.get(node) else { return };
        let level = standing.level;
        let mut judged: Vec<(RecordId, BTreeMap<ScopeId, Judged>)> = Vec::new();
        for (id, ending) in &standing.endings {
            let Some(compromise) = ending.compromise() else { continue };
            let scopes = compromise.scopes.iter();
            let of = |(scope, lists): (&ScopeId, &Lists)| {
                (*scope, self.judged(node, level, ending, compromise, scope, lists))
            };
            judged.push((*id, scopes.map(of).collect()));
        }
        let Some(standing) = self.trust.nodes.get_mut(node) else { return };
        for (id, scopes) in judged {
            if let Some(Ending { extent: Extent::Endorsed(_, known), .. }) = standing.endings.get_mut(&id) {
                *known = scopes;
            }
        }
    }

    fn judged(
        &self,
        node: &NodeKey,
        level: u32,
        ending: &Ending,
        compromise: &Compromise,
        scope: &ScopeId,
        lists: &Lists,
    ) -> Judged {
        let here = || self.endorsed.get(&(*node, *scope)).into_iter().flatten();
        let listed: Vec<&Endorsed<'_>> =
            here().filter(|one| one.by == lists.by && one.what.list == lists.list).collect();
        let ids: Vec<RecordId> = listed.iter().map(|one| one.id).collect();
        let complete = ids.len() == lists.count as usize && list_digest(&ids) == lists.digest;
        let may = |one: &&Endorsed<'_>| {
            let above = one.level < level || one.by == ending.author;
            let named = ending.by_root && compromise.endorsers.contains(&one.by);
            above || (named && !self.trust.is_compromised(&one.by))
        };
        let by_right = here().filter(may);
        // Of an author named for his lists alone, the lists count and nothing else.
        let by_name = listed.iter().copied().filter(|_| complete);
        let records = by_right.chain(by_name).flat_map(|one| one.what.records.iter().copied()).collect();
        Judged { complete, endorsed: Arc::new(records) }
    }
}

/// The digest by which a verdict names the lists of a scope: BLAKE3 over the ids of their records, ascending.
#[must_use]
pub fn list_digest(ids: &[RecordId]) -> [u8; 32] {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("portolan endorsement lists 1");
    for id in &ids {
        hasher.update(&id.0);
    }
    *hasher.finalize().as_bytes()
}

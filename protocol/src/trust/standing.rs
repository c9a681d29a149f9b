//! What the evaluation found out of each grant and node, and the questions it answers. Owned by [`Trust`]; replaced as a
//! whole when an act of trust comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Compromise, Grant, IdBlock, Judge, Over, Right, Target, Trust, Void};
use crate::identity::NodeKey;
use crate::record::value::Value;
use crate::record::{Action, Incarnation, Kind, MeshId, Position, Record, RecordId, ScopeId};
use crate::{ProjectName, Timestamp};

/// Last places by incarnation.
pub(super) type UpTo = BTreeMap<Incarnation, u64>;

/// A grant that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) grant: Arc<Grant>,
    pub(super) level: u32,
    /// The grant its issuer used; `None`: the root.
    pub(super) issuer: Option<RecordId>,
}

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) level: u32,
    pub(super) grants: BTreeSet<RecordId>,
    pub(super) endings: BTreeMap<RecordId, Ending>,
    pub(super) suspended: BTreeMap<RecordId, UpTo>,
}

/// A revocation that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) level: u32,
    pub(super) by_root: bool,
    pub(super) author: NodeKey,
    pub(super) target: Target,
    /// It ends only what was issued under this grant.
    pub(super) below: Option<RecordId>,
    pub(super) extent: Extent,
}

/// What stands of a node's records after an ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Everything,
    UpTo(UpTo),
    Endorsed(Compromise, BTreeMap<ScopeId, Judged>),
}

/// A scope of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// Whether the lists the verdict names are here. Until then it voids nothing.
    pub(super) complete: bool,
    pub(super) endorsed: Arc<BTreeSet<RecordId>>,
}

/// How a node is received when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// As a peer, under this grant.
    Full(RecordId),
    /// To get a new grant and to hand over what it wrote.
    RenewOnly,
    /// Not at all.
    Refused,
}

impl Standing {
    pub(super) const fn at(level: u32) -> Self {
        Self { level, grants: BTreeSet::new(), endings: BTreeMap::new(), suspended: BTreeMap::new() }
    }
}

impl Ending {
    pub(super) const fn compromise(&self) -> Option<&Compromise> {
        match &self.extent {
            Extent::Endorsed(compromise, _) => Some(compromise),
            Extent::Everything | Extent::UpTo(_) => None,
        }
    }
}

pub(super) fn upto(last: &[Position]) -> UpTo {
    let mut upto = UpTo::new();
    for position in last {
        let seq = upto.entry(position.incarnation).or_default();
        *seq = position.seq.max(*seq);
    }
    upto
}

fn reaches(upto: &UpTo, position: Position) -> bool {
    upto.get(&position.incarnation).is_some_and(|&last| position.seq <= last)
}

impl Over {
    fn covers(&self, scope: &ScopeId, project: Option<&ProjectName>) -> bool {
        match self {
            Self::Everything => true,
            Self::Scope(own) => own == scope,
            Self::Projects(pattern) => project.is_some_and(|name| match pattern.strip_suffix('*') {
                Some(prefix) => name.as_str().starts_with(prefix),
                None => name.as_str() == pattern,
            }),
        }
    }
}

/// What a record is to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Nothing.
    None,
    /// One of the acts trust is evaluated from, which changes nothing as things stand.
    Later,
    /// One of the acts; trust is to be evaluated anew.
    Now,
}

impl Trust {
    /// What a record is to trust. An endorsement says nothing of a node until a verdict falls on it, which is of the
    /// trust scope and looks back at all of them: so an archive of lists costs one evaluation, and not one each.
    #[must_use]
    pub fn bearing(&self, record: &Record, value: Option<&[u8]>) -> Bearing {
        if record.scope() == ScopeId::trust(&self.mesh) {
            return Bearing::Now;
        }
        if record.body().is_none_or(|body| body.kind != Kind::ENDORSEMENT) {
            return Bearing::None;
        }
        match value.map(|value| Value::read(Kind::ENDORSEMENT, value)) {
            Some(Ok(Value::Endorsement(endorsement))) if self.is_compromised(&endorsement.node) => Bearing::Now,
            Some(_) | None => Bearing::Later,
        }
    }

    /// The root all trust begins at.
    #[must_use]
    pub const fn root(&self) -> &NodeKey {
        &self.root
    }

    /// The mesh of that root.
    #[must_use]
    pub const fn mesh(&self) -> &MeshId {
        &self.mesh
    }

    /// Whether the node ever had a grant chaining to the root. Records of others wait outside the set.
    #[must_use]
    pub fn is_known(&self, node: &NodeKey) -> bool {
        self.known.contains(node)
    }

    /// A grant that counts.
    #[must_use]
    pub fn grant(&self, id: &RecordId) -> Option<&Grant> {
        self.grants.get(id).map(|counted| &*counted.grant)
    }

    /// The grants of a node that count.
    pub fn grants_of(&self, node: &NodeKey) -> impl Iterator<Item = RecordId> {
        self.nodes.get(node).into_iter().flat_map(|standing| standing.grants.iter().copied())
    }

    /// Nodes whose records may be worth something else than before, by this trust or the earlier one.
    #[must_use]
    pub fn changed_since(&self, earlier: &Self) -> BTreeSet<NodeKey> {
        let nodes: BTreeSet<&NodeKey> = self.nodes.keys().chain(earlier.nodes.keys()).collect();
        let differs = |node: &&NodeKey| {
            let (own, other) = (self.nodes.get(*node), earlier.nodes.get(*node));
            own != other
                || own.is_some_and(|standing| standing.grants.iter().any(|id| self.chain(id).ne(earlier.chain(id))))
        };
        // A verdict on one node lets another endorse, whose own standing does not show it.
        let asked: BTreeSet<NodeKey> = self.asked().symmetric_difference(&earlier.asked()).map(|(_, by)| *by).collect();
        nodes.into_iter().filter(differs).copied().chain(asked).collect()
    }

    /// Whom verdicts name as the author of their lists, and in which scopes.
    fn asked(&self) -> BTreeSet<(ScopeId, NodeKey)> {
        let verdicts =
            self.nodes.values().flat_map(|standing| standing.endings.values().filter_map(Ending::compromise));
        verdicts.flat_map(|verdict| verdict.scopes.iter().map(|(scope, lists)| (*scope, lists.by))).collect()
    }

    /// A grant and those it was issued under, up to the root's; an issuer's grant that does not count ends it early,
    /// which can't be for one that does.
    fn chain(&self, id: &RecordId) -> impl Iterator<Item = &Counted> {
        std::iter::successors(self.grants.get(id), |counted| self.grants.get(counted.issuer.as_ref()?))
    }

    /// Whether a grant allows this, and so does every grant it descends from: rights only narrow.
    #[must_use]
    pub fn allows(&self, grant: &RecordId, action: Action, scope: &ScopeId, project: Option<&ProjectName>) -> bool {
        let everywhere = *scope == ScopeId::trust(&self.mesh);
        let own = |right: &Right| right.action == action && (everywhere || right.over.covers(scope, project));
        self.grants.contains_key(grant) && self.chain(grant).all(|counted| counted.grant.rights.iter().any(own))
    }

    pub(super) fn issues_everywhere(&self, grant: &RecordId) -> bool {
        let right = Right { action: Action::Issue, over: Over::Everything };
        self.chain(grant).all(|counted| counted.grant.rights.contains(&right))
    }

    /// The numeric ids a grant may give out: its own as far as they lie within its issuer's.
    #[must_use]
    pub fn ids(&self, grant: &RecordId) -> IdBlock {
        let (mut first, mut end) = (0, 1 << 31);
        for counted in self.chain(grant) {
            let block = counted.grant.ids;
            first = first.max(u64::from(block.first));
            end = end.min(u64::from(block.first) + u64::from(block.count));
        }
        let number = |value: u64| u32::try_from(value).unwrap_or(0);
        if self.grants.contains_key(grant) && first < end {
            IdBlock { first: number(first), count: number(end - first) }
        } else {
            IdBlock::default()
        }
    }

    /// Whether any verdict says so, its lists here or not.
    #[must_use]
    pub fn is_compromised(&self, node: &NodeKey) -> bool {
        self.nodes.get(node).is_some_and(|standing| standing.endings.values().any(|end| end.compromise().is_some()))
    }

    /// How to receive a node. `flagged`: it said two different things at one place, and has not begun anew since.
    #[must_use]
    pub fn handshake(&self, node: &NodeKey, now: Timestamp, flagged: bool) -> Handshake {
        let Some(standing) = self.nodes.get(node) else { return Handshake::Refused };
        let ended = |id: &RecordId| {
            let hits = |ending: &&Ending| match ending.target {
                Target::Node(_) => self.is_below(id, ending.below),
                Target::Grant(grant) => grant == *id && self.is_below(id, ending.below),
            };
            standing.endings.values().any(|ending| hits(&ending))
        };
        let mut lapsed = false;
        for id in standing.grants.iter().filter(|id| !ended(id)) {
            let Some(grant) = self.grant(id) else { continue };
            if grant.not_before <= now && now <= grant.not_after && !flagged {
                return Handshake::Full(*id);
            }
            lapsed |= grant.not_before <= now;
        }
        if lapsed { Handshake::RenewOnly } else { Handshake::Refused }
    }

    fn is_below(&self, id: &RecordId, above: Option<RecordId>) -> bool {
        above.is_none_or(|above| self.chain(id).any(|counted| counted.issuer == Some(above)))
    }

    /// What rights, endings and suspensions say of a record.
    pub(super) fn weigh(
        &self,
        record: &Record,
        action: Option<Action>,
        project: Option<&ProjectName>,
    ) -> Result<(), Void> {
        let body = record.body().ok_or(Void::Format)?;
        let (author, scope) = (record.author(), record.scope());
        if author == self.root {
            return Ok(());
        }
        let counted = self.grants.get(&body.grant).ok_or(Void::NoGrant)?;
        if counted.grant.node != author {
            return Err(Void::OthersGrant);
        }
        let standing = self.nodes.get(&author).ok_or(Void::NoGrant)?;
        if let Some(action) = action
            && !self.allows(&body.grant, action, &scope, project)
            && !self.is_asked_to_endorse(record, body.kind)
        {
            return Err(Void::NoRight);
        }
        for (id, ending) in &standing.endings {
            let hits = match ending.target {
                Target::Node(_) => true,
                Target::Grant(grant) => grant == body.grant,
            };
            if hits && self.is_below(&body.grant, ending.below) {
                ending.stands(*id, record, body.position)?;
            }
        }
        if matches!(body.kind, Kind::GRANT | Kind::REVOCATION | Kind::ENDORSEMENT)
            && let Some((id, _)) = standing.suspended.iter().find(|(_, upto)| !reaches(upto, body.position))
        {
            return Err(Void::Suspended(*id));
        }
        Ok(())
    }

    /// A scope no authority may read is endorsed by whom the verdict names, who need not be one.
    fn is_asked_to_endorse(&self, record: &Record, kind: Kind) -> bool {
        let named = |ending: &Ending| {
            let lists = ending.compromise().and_then(|verdict| verdict.scopes.get(&record.scope()));
            lists.is_some_and(|lists| lists.by == record.author())
        };
        let sound = !self.is_compromised(&record.author());
        let mut endings = self.nodes.values().flat_map(|standing| standing.endings.values());
        kind == Kind::ENDORSEMENT && sound && endings.any(named)
    }
}

impl Ending {
    fn stands(&self, id: RecordId, record: &Record, position: Position) -> Result<(), Void> {
        match &self.extent {
            Extent::Everything => Ok(()),
            Extent::UpTo(upto) if reaches(upto, position) => Ok(()),
            Extent::UpTo(_) => Err(Void::Revoked(id)),
            Extent::Endorsed(_, scopes) => match scopes.get(&record.scope()) {
                Some(judged) if judged.complete && !judged.endorsed.contains(&record.id()) => {
                    Err(Void::NotEndorsed(id))
                }
                // Not named, or the lists are still on their way: nothing is lost meanwhile.
                Some(_) | None => Ok(()),
            },
        }
    }
}

impl Judge for Trust {
    fn judge(&self, record: &Record, action: Option<Action>, project: Option<&ProjectName>) -> Result<(), Void> {
        self.weigh(record, action, project)
    }

    fn site(&self, grant: &RecordId) -> Option<&str> {
        self.grant(grant).map(|grant| grant.site.as_str())
    }

    fn is_judged(&self, scope: &ScopeId) -> bool {
        let mut endings = self.nodes.values().flat_map(|standing| standing.endings.values());
        endings.all(|ending| match &ending.extent {
            Extent::Everything | Extent::UpTo(_) => true,
            Extent::Endorsed(_, scopes) => scopes.get(scope).is_some_and(|judged| judged.complete),
        })
    }
}

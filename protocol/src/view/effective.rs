//! What is in force while heads contradict each other: in what guards access, the stricter. No state.

use std::collections::BTreeSet;

use super::{Kept, Rank, Topic, View};
use crate::record::governed::{CustomRole, Member, Robot, User};
use crate::record::value::{Denial, Life, Project, Value};
use crate::record::{Kind, RecordId, Records};

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// By what it competes.
    pub rank: Rank,
    /// Its value; `None`: a delete.
    pub value: Option<Value>,
}

/// What the heads of a topic come to; `None`: nothing, or deleted. Membership, role, robot, user state, visibility and
/// denial follow the stricter; everything else the greatest head that is no delete.
#[must_use]
pub fn effective(kind: Kind, mut heads: Vec<Said>) -> Option<Value> {
    heads.sort_by_key(|head| head.rank);
    match kind {
        Kind::MEMBER => member(&heads),
        Kind::ROBOT => robot(&heads),
        Kind::ROLE => role(&heads),
        Kind::USER => user(&heads),
        Kind::PROJECT => project(&heads),
        Kind::DENIAL => denial(&heads),
        _ => heads.into_iter().rev().find_map(|head| head.value),
    }
}

/// The values of all heads, least first, when each is of one type and none is a delete.
fn all<'h, T>(heads: &'h [Said], of: impl Fn(&'h Value) -> Option<&'h T>) -> Option<Vec<&'h T>> {
    let values: Option<Vec<&T>> = heads.iter().map(|head| of(head.value.as_ref()?)).collect();
    values.filter(|values| !values.is_empty())
}

/// What each of the roles said allows; a removal takes all rights.
fn member(heads: &[Said]) -> Option<Value> {
    let members = all(heads, |value| if let Value::Member(member) = value { Some(member) } else { None })?;
    let roles = members.iter().flat_map(|member| member.roles.iter().copied()).collect();
    Some(Value::Member(Member { roles, ..(*members.last()?).clone() }))
}

/// Only what all permit, until the earliest end; a delete takes all.
fn robot(heads: &[Said]) -> Option<Value> {
    let robots = all(heads, |value| if let Value::Robot(robot) = value { Some(robot) } else { None })?;
    let (first, rest) = robots.split_first()?;
    let mut permissions: BTreeSet<&String> = first.permissions.iter().collect();
    for robot in rest {
        permissions.retain(|permission| robot.permissions.contains(permission));
    }
    Some(Value::Robot(Robot {
        permissions: permissions.into_iter().cloned().collect(),
        disabled: robots.iter().any(|robot| robot.disabled),
        expires: robots.iter().filter_map(|robot| robot.expires).min(),
        generation: robots.iter().map(|robot| robot.generation).max()?,
        ..(*robots.last()?).clone()
    }))
}

/// Only what all permit; a delete takes all.
fn role(heads: &[Said]) -> Option<Value> {
    let roles = all(heads, |value| if let Value::Role(role) = value { Some(role) } else { None })?;
    let (first, rest) = roles.split_first()?;
    let mut permissions = first.permissions.clone();
    for role in rest {
        permissions.retain(|permission| role.permissions.contains(permission));
    }
    Some(Value::Role(CustomRole { permissions, ..(*roles.last()?).clone() }))
}

/// Administrator if all say so, shut out if any does; a delete takes all.
fn user(heads: &[Said]) -> Option<Value> {
    let users = all(heads, |value| if let Value::User(user) = value { Some(user) } else { None })?;
    Some(Value::User(User {
        administrator: users.iter().all(|user| user.administrator),
        disabled: users.iter().any(|user| user.disabled),
        generation: users.iter().map(|user| user.generation).max()?,
        ..(*users.last()?).clone()
    }))
}

/// The greatest, but private if any is. Whether it is closed is not asked here: that is no matter of heads.
fn project(heads: &[Said]) -> Option<Value> {
    let mut open = heads.iter().filter_map(|head| match &head.value {
        Some(Value::Project(Project { name, nonce, life: Life::Open(settings) })) => Some((name, nonce, settings)),
        _ => None,
    });
    let public = open.clone().all(|(_, _, settings)| settings.public);
    let (name, nonce, settings) = open.next_back()?;
    let mut settings = settings.clone();
    settings.public = public;
    Some(Value::Project(Project { name: name.clone(), nonce: *nonce, life: Life::Open(settings) }))
}

/// Denied if any says so; a delete lifts nothing it did not know of.
fn denial(heads: &[Said]) -> Option<Value> {
    let denials = heads.iter().rev().filter_map(|head| match &head.value {
        Some(Value::Denial(denial)) => Some(denial),
        _ => None,
    });
    let strictest: Option<&Denial> = denials.clone().find(|denial| denial.denied).or_else(|| denials.clone().next());
    strictest.cloned().map(Value::Denial)
}

impl<K: Kept> View<K> {
    /// What is in force for a topic. A head whose value is not here says nothing; none of the kinds where the stricter
    /// counts may lack it.
    #[must_use]
    pub fn in_force(&self, records: &impl Records, topic: &Topic) -> Option<Value> {
        let deletes = self.kept().heads(topic, true, usize::MAX);
        let deletes = deletes.into_iter().map(|rank| Said { rank, value: None });
        let others = self.kept().heads(topic, false, usize::MAX).into_iter();
        let others =
            others.filter_map(|rank| Some(Said { rank, value: Some(value_of(records, topic.kind, &rank.id)?) }));
        effective(topic.kind, deletes.chain(others).collect())
    }
}

/// The value of a record, as far as it is here.
pub(super) fn value_of(records: &impl Records, kind: Kind, id: &RecordId) -> Option<Value> {
    Value::read(kind, records.get(id)?.value.as_deref()?).ok()
}

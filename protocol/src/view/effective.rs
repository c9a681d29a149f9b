//! What is in force while heads contradict each other: in what guards access, the stricter. No state.

use std::collections::BTreeSet;

use super::{Kept, Rank, Topic, View};
use crate::record::value::{Denial, Life, Member, Project, Robot, User, Value};
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
        Kind::USER => user(&heads),
        Kind::PROJECT => project(&heads),
        Kind::DENIAL => denial(&heads),
        _ => heads.into_iter().rev().find_map(|head| head.value),
    }
}

/// Least role; a removal takes all rights.
fn member(heads: &[Said]) -> Option<Value> {
    let roles = heads.iter().map(|head| match &head.value {
        Some(Value::Member(member)) => Some(member.role),
        _ => None,
    });
    let least = roles.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    Some(Value::Member(Member { role: least }))
}

/// Only what all permit, until the earliest end; a delete takes all.
fn robot(heads: &[Said]) -> Option<Value> {
    let robots: Option<Vec<&Robot>> = heads
        .iter()
        .map(|head| match &head.value {
            Some(Value::Robot(robot)) => Some(robot),
            _ => None,
        })
        .collect();
    let robots = robots?;
    let (first, rest) = robots.split_first()?;
    let mut permissions: BTreeSet<&String> = first.permissions.iter().collect();
    for robot in rest {
        permissions.retain(|permission| robot.permissions.contains(permission));
    }
    Some(Value::Robot(Robot {
        permissions: permissions.into_iter().cloned().collect(),
        disabled: robots.iter().any(|robot| robot.disabled),
        expires: robots.iter().filter_map(|robot| robot.expires).min(),
    }))
}

/// Administrator if all say so, shut out if any does; a delete takes all.
fn user(heads: &[Said]) -> Option<Value> {
    let users: Option<Vec<&User>> = heads
        .iter()
        .map(|head| match &head.value {
            Some(Value::User(user)) => Some(user),
            _ => None,
        })
        .collect();
    let users = users.filter(|users| !users.is_empty())?;
    Some(Value::User(User {
        administrator: users.iter().all(|user| user.administrator),
        disabled: users.iter().any(|user| user.disabled),
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

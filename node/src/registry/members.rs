//! Members of projects, and rights over some repositories of one. Both are memberships, the second limited by a pattern;
//! neither is found under the other's name, nor one of another project (CVE-2022-31667 and the like).

use std::sync::Arc;

use protocol::Timestamp;
use protocol::record::governed::{Entity, Member, MemberKey};

use super::Registry;
use super::projects::still;
use crate::directory::{Book, DirectoryError, Draft};
use crate::policy::roles::{ROLES, role_name, role_permissions};
use crate::policy::{Permission, ProjectPermit, rights};

/// A membership as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its id.
    pub id: u32,
    /// Who.
    pub entity: Entity,
    /// Their name.
    pub name: Arc<str>,
    /// A pattern over the repositories it is limited to; `None`: all of the project.
    pub repositories: Option<String>,
    /// The role. Of several, which only contradicting versions leave, the weakest: they may do no more than it allows.
    pub role: u32,
    /// The name of the role; empty when it was deleted.
    pub role_name: Arc<str>,
    /// What the role allows.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created: Timestamp,
}

/// Whom to make a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A person by id.
    User(u32),
    /// A person by name.
    UserNamed(String),
    /// A group by id.
    Group(u32),
    /// A group by name.
    GroupNamed(String),
    /// A group by its distinguished name in a directory.
    GroupOf(String),
}

impl Who {
    fn find(&self, book: &Book) -> Result<Entity, DirectoryError> {
        let absent = |what: &str, id: &u32| DirectoryError::Invalid(format!("there is no {what} {id}"));
        match self {
            Self::User(id) => book.user_by_id(*id).map(|_| Entity::User(*id)).ok_or_else(|| absent("user", id)),
            Self::Group(id) => book.group_by_id(*id).map(|_| Entity::Group(*id)).ok_or_else(|| absent("group", id)),
            Self::UserNamed(name) => {
                book.user(name).map(|user| Entity::User(user.is.id)).ok_or(DirectoryError::Absent("user"))
            }
            Self::GroupNamed(name) => {
                book.group(name).map(|group| Entity::Group(group.is.id)).ok_or(DirectoryError::Absent("group"))
            }
            Self::GroupOf(dn) => {
                let mut named = book.groups().filter(|group| group.is.dn.eq_ignore_ascii_case(dn));
                named.next().map(|group| Entity::Group(group.is.id)).ok_or(DirectoryError::Absent("group"))
            }
        }
    }
}

/// The place of a role among the others: the built-in ones by falling power, then those that someone named.
pub(super) fn place(role: u32) -> usize {
    ROLES.iter().position(|built_in| *built_in == role).unwrap_or(ROLES.len())
}

/// The roles a person has in a project, the strongest first.
#[must_use]
pub(super) fn roles_of(book: &Book, project: &protocol::record::ScopeId, user: u32) -> Vec<u32> {
    let whole = book.memberships(project, user).filter(|(key, _)| key.repositories.is_none());
    let mut roles: Vec<u32> = whole.filter_map(|(_, member)| weakest(member)).collect();
    roles.sort_unstable_by_key(|role| (place(*role), *role));
    roles.dedup();
    roles
}

/// The role that says how a member is counted and shown.
pub(super) fn weakest(member: &Member) -> Option<u32> {
    member.roles.iter().copied().max_by_key(|role| (place(*role), *role))
}

fn shown(book: &Book, key: &MemberKey, member: &Member) -> Option<Membership> {
    let name = match key.entity {
        Entity::User(id) => book.user_by_id(id).map(|user| &user.name),
        Entity::Group(id) => book.group_by_id(id).map(|group| &group.name),
    };
    let role = weakest(member)?;
    let custom = book.role_by_id(role);
    let role_name = role_name(role).map(Into::into).or_else(|| custom.map(|custom| Arc::clone(&custom.name)));
    let read = |text: &String| text.split_once(':').and_then(|(what, verb)| Permission::from_words(what, verb));
    let named = custom.into_iter().flat_map(|custom| &custom.is.permissions).filter_map(read);
    Some(Membership {
        id: member.id,
        entity: key.entity,
        // An account that is gone leaves nothing; one that another site deleted may, for a moment.
        name: Arc::clone(name?),
        repositories: key.repositories.clone(),
        role,
        role_name: role_name.unwrap_or_default(),
        permissions: role_permissions(role).iter().copied().chain(named).collect(),
        created: member.created,
    })
}

/// Whether a role is there and may be given by the holder of the permit.
fn check_role(draft: &Draft<'_>, permit: &ProjectPermit, role: u32) -> Result<(), DirectoryError> {
    if role_name(role).is_none() && draft.book.role_by_id(role).is_none() {
        return Err(DirectoryError::Invalid(format!("there is no role {role}")));
    }
    if !rights::may_appoint(draft.book, permit.holder(), role, permit.name()) {
        return Err(DirectoryError::Refused("only who administers the project gives more than they may do".into()));
    }
    Ok(())
}

/// Whether the holder of the permit may change or end a membership: nobody takes from others what they could not give.
fn check_held(draft: &Draft<'_>, permit: &ProjectPermit, id: u32) -> Result<(), DirectoryError> {
    let Some((_, member)) = draft.book.member_by_id(&permit.project().scope, id) else { return Ok(()) };
    let may = |role: &u32| rights::may_unseat(draft.book, permit.holder(), *role, permit.name());
    if member.roles.iter().all(may) {
        return Ok(());
    }
    Err(DirectoryError::Refused("only who administers the project changes members who may do more than they".into()))
}

/// The membership `id` of a project if it is of the kind that was asked for.
fn find(book: &Book, permit: &ProjectPermit, id: u32, limited: bool) -> Result<Membership, DirectoryError> {
    let found = book.member_by_id(&permit.project().scope, id);
    let found = found.filter(|(key, _)| key.repositories.is_some() == limited);
    found.and_then(|(key, member)| shown(book, key, member)).ok_or(DirectoryError::Absent("member"))
}

impl Registry {
    /// The members of a project, or (`limited`) who has a right over some repositories, by name.
    #[must_use]
    pub fn memberships(&self, permit: &ProjectPermit, limited: bool) -> Vec<Membership> {
        let mut all: Vec<_> = self.directory.read(|book| {
            let members = book.members(&permit.project().scope);
            let members = members.filter(|(key, _)| key.repositories.is_some() == limited);
            members.filter_map(|(key, member)| shown(book, key, member)).collect()
        });
        all.sort_by(|a, b| (&a.name, &a.repositories, a.id).cmp(&(&b.name, &b.repositories, b.id)));
        all
    }

    /// A member by id.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn membership(&self, permit: &ProjectPermit, id: u32) -> Result<Membership, DirectoryError> {
        self.directory.read(|book| find(book, permit, id, false))
    }

    /// Makes someone a member, or gives them a role in the repositories of a pattern; gives back the id.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`DirectoryError::Refused`] for a role that allows more than the giver may do, unless the
    /// giver administers the project.
    pub async fn add_member(
        &self,
        permit: &ProjectPermit,
        who: &Who,
        repositories: Option<String>,
        role: u32,
        request: &Arc<str>,
    ) -> Result<u32, DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            still(draft.book, permit)?;
            let key = MemberKey { entity: who.find(draft.book)?, repositories: repositories.clone() };
            let id = draft.add_member(permit.name(), &key, role)?;
            check_role(draft, permit, role)?;
            Ok(id)
        };
        self.directory.change(&act, decide).await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// As [`Registry::add_member`]; [`DirectoryError::Refused`] also for a member who may do more than the changer.
    pub async fn change_member(
        &self,
        permit: &ProjectPermit,
        id: u32,
        role: u32,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            still(draft.book, permit)?;
            find(draft.book, permit, id, false)?;
            check_held(draft, permit, id)?;
            check_role(draft, permit, role)?;
            draft.change_member(permit.name(), id, role)
        };
        self.directory.change(&act, decide).await
    }

    /// Ends a membership, or (`limited`) a right over some repositories.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`]; [`DirectoryError::Refused`] for a member who may do more than the remover.
    pub async fn remove_member(
        &self,
        permit: &ProjectPermit,
        id: u32,
        limited: bool,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            still(draft.book, permit)?;
            find(draft.book, permit, id, limited)?;
            check_held(draft, permit, id)?;
            draft.remove_member(permit.name(), id)
        };
        self.directory.change(&act, decide).await
    }
}

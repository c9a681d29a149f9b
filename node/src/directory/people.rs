//! People, groups and memberships: what may be changed about them. Decides only.

use std::collections::BTreeSet;

use protocol::ProjectName;
use protocol::record::Kind;
use protocol::record::governed::{Entity, Group, Member, MemberKey, User};
use protocol::record::value::Value;

use super::DirectoryError;
use super::book::Book;
use super::draft::{Draft, IdOf, Told};
use super::entry::{Named, ProjectEntry, UserEntry};
use crate::storage::meta::GovernedKind;

/// The id of the administrator that every node has.
pub const USER_ADMIN: u32 = 1;

/// Most bytes of a name or a line about a person, as Harbor has it.
const MAX_TEXT: usize = 255;
/// Most groups, members of a group, and people this node keeps in memory.
const MAX_PEOPLE: usize = 200_000;

/// Names under which the audit log tells of what nobody with an account did, and uploads know who began them.
const RESERVED: [&str; 3] = ["anonymous", "operator", "portolan"];

/// What is known of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Where to reach the person.
    pub email: String,
    /// What the person is called.
    pub real_name: String,
    /// Free text.
    pub comment: String,
}

/// Under which name this node keeps how a person's password is checked: by what is one person's for good. An id may turn
/// out to be said of two, and a name is free again when its person is deleted.
pub(super) fn verifier_name(name: &str, user: &User) -> String {
    format!("verifier.{}.{name}", user.created.0)
}

/// What a user was and is, for the audit trail.
pub(super) fn told<'a>(name: &'a str, before: Option<&'a User>, after: Option<&'a User>) -> Told<'a, User> {
    Told { kind: GovernedKind::User, name, project: None, before, after }
}

fn check_user_name(name: &str) -> Result<(), DirectoryError> {
    // `:` would end the name in basic authentication, `$` and `+` make robots' names.
    let forbidden = |c: char| c.is_control() || ",~#\"'%\\/:*?<>|$+ ".contains(c);
    if name.is_empty() || name.len() > MAX_TEXT || name.contains(forbidden) {
        return Err(DirectoryError::Invalid(format!(
            "a user name has 1 to {MAX_TEXT} characters, no spaces and none of ,~#\"'%\\/:*?<>|$+"
        )));
    }
    if RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(DirectoryError::Invalid(format!("{name} is a name this node uses itself")));
    }
    Ok(())
}

fn check_profile(profile: &Profile, is_email_wanted: bool) -> Result<(), DirectoryError> {
    let is_email = |text: &str| {
        let parts = text.split_once('@');
        parts.is_some_and(|(user, host)| {
            !user.is_empty() && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
        }) && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
            && text.matches('@').count() == 1
    };
    let Profile { email, real_name, comment } = profile;
    if email.len() > MAX_TEXT || !(is_email(email) || (email.is_empty() && !is_email_wanted)) {
        return Err(DirectoryError::Invalid("email is an address like ann@example.com".into()));
    }
    for (what, text) in [("realname", real_name), ("comment", comment)] {
        if text.len() > MAX_TEXT || text.contains(char::is_control) {
            return Err(DirectoryError::Invalid(format!("{what} has at most {MAX_TEXT} characters")));
        }
    }
    Ok(())
}

impl Book {
    fn user_or(&self, id: u32) -> Result<&UserEntry, DirectoryError> {
        self.user_by_id(id).ok_or(DirectoryError::Absent("user"))
    }

    /// Whether an address is another person's.
    fn is_taken(&self, email: &str, but: u32) -> bool {
        !email.is_empty() && self.users().any(|user| user.is.id != but && user.is.email.eq_ignore_ascii_case(email))
    }
}

impl Draft<'_> {
    /// Makes a person's account; gives back its id. `verifier`: how this node checks the password.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`].
    pub fn create_user(
        &mut self,
        name: &str,
        profile: &Profile,
        administrator: bool,
        verifier: Vec<u8>,
    ) -> Result<u32, DirectoryError> {
        check_user_name(name)?;
        check_profile(profile, name != "admin")?;
        if self.book.users().len() >= MAX_PEOPLE {
            return Err(DirectoryError::Refused(format!("this mesh has {MAX_PEOPLE} people, the most there may be")));
        }
        // Two names that differ by case alone would be one person to every reader.
        if self.book.is_user_said(name) || self.book.users().any(|user| user.name.eq_ignore_ascii_case(name)) {
            return Err(DirectoryError::Exists(format!("user {name}")));
        }
        if self.book.is_taken(&profile.email, 0) {
            return Err(DirectoryError::Exists(format!("a user with the address {}", profile.email)));
        }
        let Profile { email, real_name, comment } = profile.clone();
        let id = self.id(IdOf::User)?;
        let (created, updated) = (self.now, self.now);
        let user =
            User { id, generation: 1, administrator, disabled: false, email, real_name, comment, created, updated };
        self.tell(&told(name, None, Some(&user)));
        self.keep(verifier_name(name, &user), Some(verifier));
        self.put(self.mesh_wide(Kind::USER, name), &Value::User(user));
        Ok(id)
    }

    /// Changes a person's account. What ends rights or log-ins raises the generation.
    fn change_user(&mut self, id: u32, change: impl FnOnce(&mut User)) -> Result<(), DirectoryError> {
        let old = self.book.user_or(id)?;
        let mut user = old.is.clone();
        change(&mut user);
        if user == old.is {
            return Ok(());
        }
        user.updated = self.now;
        self.tell(&told(&old.name, Some(&old.is), Some(&user)));
        self.put(self.mesh_wide(Kind::USER, &old.name), &Value::User(user));
        Ok(())
    }

    /// Changes what is known of a person.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`], [`DirectoryError::Absent`].
    pub fn describe_user(&mut self, id: u32, profile: &Profile) -> Result<(), DirectoryError> {
        check_profile(profile, id != USER_ADMIN)?;
        if self.book.is_taken(&profile.email, id) {
            return Err(DirectoryError::Exists(format!("a user with the address {}", profile.email)));
        }
        let Profile { email, real_name, comment } = profile.clone();
        self.change_user(id, |user| {
            (user.email, user.real_name, user.comment) = (email, real_name, comment);
        })
    }

    /// Makes a person an administrator of the system, or no more.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`] for the built-in administrator, [`DirectoryError::Absent`].
    pub fn set_administrator(&mut self, id: u32, administrator: bool) -> Result<(), DirectoryError> {
        if id == USER_ADMIN && !administrator {
            return Err(DirectoryError::Refused("the built-in administrator stays one".into()));
        }
        self.change_user(id, |user| {
            user.generation += u64::from(user.administrator && !administrator);
            user.administrator = administrator;
        })
    }

    /// Shuts a person out, or lets them in again.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`] for the built-in administrator, [`DirectoryError::Absent`].
    pub fn set_disabled(&mut self, id: u32, disabled: bool) -> Result<(), DirectoryError> {
        if id == USER_ADMIN && disabled {
            return Err(DirectoryError::Refused("the built-in administrator can't be shut out".into()));
        }
        self.change_user(id, |user| {
            user.generation += u64::from(disabled && !user.disabled);
            user.disabled = disabled;
        })
    }

    /// Keeps how a new password is checked, which ends every log-in of before.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn set_verifier(&mut self, id: u32, verifier: Vec<u8>) -> Result<(), DirectoryError> {
        self.change_user(id, |user| user.generation += 1)?;
        let user = self.book.user_or(id)?;
        self.keep(verifier_name(&user.name, &user.is), Some(verifier));
        Ok(())
    }

    /// Deletes a person's account, with its memberships. The id is not given out again.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`] for the built-in administrator, [`DirectoryError::Absent`].
    pub fn delete_user(&mut self, id: u32) -> Result<(), DirectoryError> {
        if id == USER_ADMIN {
            return Err(DirectoryError::Refused("the built-in administrator can't be deleted".into()));
        }
        let user = self.book.user_or(id)?;
        self.tell(&told(&user.name, Some(&user.is), None));
        self.delete(self.mesh_wide(Kind::USER, &user.name));
        self.keep(verifier_name(&user.name, &user.is), None);
        self.end_memberships(Entity::User(id));
        let groups: Vec<_> = self.book.groups_naming(id).collect();
        for group in groups {
            let mut members = group.is.members.clone();
            members.remove(&id);
            self.put_group(&group.name, Some(&group.is), Group { members, updated: self.now, ..group.is.clone() });
        }
        Ok(())
    }

    pub(super) fn end_memberships(&mut self, entity: Entity) {
        let projects: Vec<_> = self.book.projects().collect();
        for project in projects {
            let theirs = self.book.members(&project.scope).filter(|(key, _)| key.entity == entity);
            for (key, _) in theirs {
                self.delete(protocol::view::Topic { scope: project.scope, kind: Kind::MEMBER, key: key.to_key() });
            }
        }
    }

    /// Makes a group; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`].
    pub fn create_group(&mut self, name: &str, origin: u8, dn: &str) -> Result<u32, DirectoryError> {
        check_group(name, origin, dn)?;
        if self.book.groups().len() >= MAX_PEOPLE {
            return Err(DirectoryError::Refused(format!("this mesh has {MAX_PEOPLE} groups, the most there may be")));
        }
        let same_dn = |group: &&super::GroupEntry| !dn.is_empty() && group.is.dn.eq_ignore_ascii_case(dn);
        if self.book.is_group_said(name) || self.book.groups().any(|group| same_dn(&group)) {
            return Err(DirectoryError::Exists(format!("group {name}")));
        }
        let id = self.id(IdOf::Group)?;
        let (created, updated) = (self.now, self.now);
        let group = Group { id, origin, dn: dn.to_owned(), members: BTreeSet::new(), created, updated };
        self.put_group(name, None, group);
        Ok(id)
    }

    pub(super) fn put_group(&mut self, name: &str, before: Option<&Group>, group: Group) {
        self.tell(&Told { kind: GovernedKind::Group, name, project: None, before, after: Some(&group) });
        self.put(self.mesh_wide(Kind::GROUP, name), &Value::Group(group));
    }

    /// Gives a group another name.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`], [`DirectoryError::Absent`].
    pub fn rename_group(&mut self, id: u32, name: &str) -> Result<(), DirectoryError> {
        let old = self.book.group_by_id(id).ok_or(DirectoryError::Absent("group"))?;
        check_group(name, old.is.origin, &old.is.dn)?;
        if *old.name == *name {
            return Ok(());
        }
        if self.book.is_group_said(name) {
            return Err(DirectoryError::Exists(format!("group {name}")));
        }
        self.delete(self.mesh_wide(Kind::GROUP, &old.name));
        self.put_group(name, Some(&old.is), Group { updated: self.now, ..old.is.clone() });
        Ok(())
    }

    /// Says which local people belong to a group.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`]: the group, or a person.
    pub fn set_group_members(&mut self, id: u32, members: BTreeSet<u32>) -> Result<(), DirectoryError> {
        let old = self.book.group_by_id(id).ok_or(DirectoryError::Absent("group"))?;
        if members.iter().any(|member| self.book.user_by_id(*member).is_none()) {
            return Err(DirectoryError::Absent("user"));
        }
        if members.len() > MAX_GROUP {
            return Err(DirectoryError::Invalid(format!("a group has at most {MAX_GROUP} local members")));
        }
        if old.is.members != members {
            self.put_group(&old.name, Some(&old.is), Group { members, updated: self.now, ..old.is.clone() });
        }
        Ok(())
    }

    /// Deletes a group, with its memberships.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn delete_group(&mut self, id: u32) -> Result<(), DirectoryError> {
        let group = self.book.group_by_id(id).ok_or(DirectoryError::Absent("group"))?;
        let before = Some(&group.is);
        self.tell(&Told { kind: GovernedKind::Group, name: &group.name, project: None, before, after: None });
        self.delete(self.mesh_wide(Kind::GROUP, &group.name));
        self.end_memberships(Entity::Group(id));
        Ok(())
    }

    /// Makes someone a member of a project, or of the repositories that a pattern names; gives back the id of the
    /// membership. That the role exists is the caller's to know.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`], [`DirectoryError::Absent`], [`DirectoryError::Invalid`].
    pub fn add_member(&mut self, project: &ProjectName, key: &MemberKey, role: u32) -> Result<u32, DirectoryError> {
        let project = self.book.project(project).ok_or(DirectoryError::Absent("project"))?;
        let name = self.name_of(&key.entity)?;
        if let Some(pattern) = &key.repositories {
            check_pattern(pattern)?;
        }
        if self.book.member(&project.scope, key).is_some() {
            return Err(DirectoryError::Exists(format!("this membership of {name}")));
        }
        if self.book.members(&project.scope).count() >= MAX_MEMBERS {
            return Err(DirectoryError::Invalid(format!("a project has at most {MAX_MEMBERS} memberships")));
        }
        let id = self.id(IdOf::Member)?;
        let member = Member { id, roles: [role].into(), created: self.now, updated: self.now };
        self.put_member(project, key, &name, (None, Some(member)));
        Ok(id)
    }

    /// Gives a membership another role.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn change_member(&mut self, project: &ProjectName, id: u32, role: u32) -> Result<(), DirectoryError> {
        let project = self.book.project(project).ok_or(DirectoryError::Absent("project"))?;
        let (key, old) = self.book.member_by_id(&project.scope, id).ok_or(DirectoryError::Absent("member"))?;
        let name = self.name_of(&key.entity).unwrap_or_default();
        let roles = [role].into();
        if old.roles != roles {
            let member = Member { roles, updated: self.now, ..(**old).clone() };
            self.put_member(project, key, &name, (Some(old), Some(member)));
        }
        Ok(())
    }

    /// Ends a membership.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn remove_member(&mut self, project: &ProjectName, id: u32) -> Result<(), DirectoryError> {
        let project = self.book.project(project).ok_or(DirectoryError::Absent("project"))?;
        let (key, old) = self.book.member_by_id(&project.scope, id).ok_or(DirectoryError::Absent("member"))?;
        let name = self.name_of(&key.entity).unwrap_or_default();
        self.put_member(project, key, &name, (Some(old), None));
        Ok(())
    }

    fn put_member(
        &mut self,
        project: &ProjectEntry,
        key: &MemberKey,
        name: &str,
        (before, after): (Option<&Member>, Option<Member>),
    ) {
        let told =
            Told { kind: GovernedKind::Member, name, project: Some(&project.name), before, after: after.as_ref() };
        self.tell(&told);
        let topic = protocol::view::Topic { scope: project.scope, kind: Kind::MEMBER, key: key.to_key() };
        match after {
            Some(member) => self.put(topic, &Value::Member(member)),
            None => self.delete(topic),
        }
    }

    fn name_of(&self, entity: &Entity) -> Result<String, DirectoryError> {
        let user = |id| self.book.user_by_id(id).map(|user| &user.name).ok_or(DirectoryError::Absent("user"));
        let group = |id| self.book.group_by_id(id).map(|group| &group.name).ok_or(DirectoryError::Absent("group"));
        let name = match entity {
            Entity::User(id) => user(*id)?,
            Entity::Group(id) => group(*id)?,
        };
        Ok(name.to_string())
    }
}

/// Most local members of a group, so that its record has room for them.
const MAX_GROUP: usize = 10_000;
/// Most memberships of a project.
const MAX_MEMBERS: usize = 10_000;

fn check_group(name: &str, origin: u8, dn: &str) -> Result<(), DirectoryError> {
    if name.is_empty() || name.len() > MAX_TEXT || name.contains(char::is_control) {
        return Err(DirectoryError::Invalid(format!("a group name has 1 to {MAX_TEXT} characters")));
    }
    if !(1..=3).contains(&origin) {
        return Err(DirectoryError::Invalid("group_type is 1 (LDAP), 2 (HTTP) or 3 (OIDC)".into()));
    }
    if dn.len() > 512 || dn.contains(char::is_control) || (origin == 1 && !dn.contains('=')) {
        return Err(DirectoryError::Invalid("ldap_group_dn is a distinguished name".into()));
    }
    Ok(())
}

/// A pattern over repositories: `*` stands for any part of one path component, `**` for any number of them.
fn check_pattern(pattern: &str) -> Result<(), DirectoryError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*".contains(c);
    if pattern.is_empty() || pattern.len() > 255 || !pattern.chars().all(good) || pattern.matches('*').count() > 8 {
        return Err(DirectoryError::Invalid(
            "repositories is a pattern of at most 255 characters: lower-case letters, digits, . _ - /, and up to 8 times *"
                .into(),
        ));
    }
    Ok(())
}

impl Named<User> {
    /// Whether this is the administrator every node has.
    #[must_use]
    pub const fn is_built_in(&self) -> bool {
        self.is.id == USER_ADMIN
    }
}

//! People and groups: the rules of their accounts. What the directory decides of each is decided there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Registry;
use crate::auth::{AuthError, Authenticator, Secret, WeakPassword, check_rules};
use crate::directory::{DirectoryError, Profile};
use crate::policy::{AdminPermit, CreateUser, PersonPermit, SystemPermit};

/// Most characters of a comment, as Harbor has it.
const MAX_COMMENT: usize = 30;

/// Why an account was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The directory is against it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The password is too easy.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// The password is the one of before.
    #[error("the new password is the old one: choose another")]
    Same,
    /// The password of before is another.
    #[error("the old password is wrong")]
    WrongPassword,
    /// A password could not be checked or kept.
    #[error(transparent)]
    Auth(AuthError),
}

impl From<AuthError> for PeopleError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid => Self::WrongPassword,
            other @ (AuthError::Busy | AuthError::Slow(_) | AuthError::Meta(_) | AuthError::Directory(_)) => {
                Self::Auth(other)
            }
        }
    }
}

/// A person who shall have an account.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// The name.
    pub name: String,
    /// What is known of the person.
    pub profile: Profile,
    /// The password.
    pub password: Secret,
}

/// A password someone wants.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// The one of before: wanted of who changes their own.
    pub old: Option<Secret>,
    /// The one from now on.
    pub new: Secret,
}

/// Where a request came from, and its id.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The authenticator that checks passwords.
    pub auth: &'a Authenticator,
    /// Whose share of the places where passwords are checked it takes.
    pub party: Option<IpAddr>,
    /// The request.
    pub request: &'a Arc<str>,
}

fn check_profile(profile: &Profile) -> Result<(), DirectoryError> {
    if profile.real_name.is_empty() {
        return Err(DirectoryError::Invalid("realname is missing".into()));
    }
    if profile.comment.chars().count() > MAX_COMMENT {
        return Err(DirectoryError::Invalid(format!("comment has at most {MAX_COMMENT} characters")));
    }
    Ok(())
}

impl Registry {
    /// Makes a person's account, which is no administrator's; gives back its id.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn create_person(
        &self,
        permit: &CreateUser,
        new: &NewPerson,
        asker: Asker<'_>,
    ) -> Result<u32, PeopleError> {
        check_profile(&new.profile)?;
        check_rules(&new.password)?;
        // Hashing is dear: what will be refused anyway is refused before.
        self.directory.consider(|draft| draft.create_user(&new.name, &new.profile, false, Vec::new()))?;
        let verifier = asker.auth.new_verifier(&new.password, asker.party).await?;
        let act = self.act(permit.actor(), asker.request);
        let make = self.directory.change(&act, |draft| {
            draft.create_user(&new.name, &new.profile, false, verifier.clone()).map_err(PeopleError::from)
        });
        make.await
    }

    /// Changes what is known of a person.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn describe_person(
        &self,
        permit: &PersonPermit,
        profile: &Profile,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        check_profile(profile)?;
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.describe_user(permit.user(), profile)).await
    }

    /// Deletes another person's account.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete_person(&self, permit: &PersonPermit, request: &Arc<str>) -> Result<(), DirectoryError> {
        if permit.is_own() {
            return Err(DirectoryError::Refused("nobody deletes their own account: ask another administrator".into()));
        }
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.delete_user(permit.user())).await
    }

    /// Makes a person an administrator of the system, or no more.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn set_administrator(
        &self,
        permit: &AdminPermit,
        user: u32,
        administrator: bool,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.set_administrator(user, administrator)).await
    }

    /// Shuts another person out, or lets them in again.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn set_disabled(
        &self,
        permit: &PersonPermit,
        disabled: bool,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        if permit.is_own() {
            return Err(DirectoryError::Refused("nobody shuts themselves out: ask another administrator".into()));
        }
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.set_disabled(permit.user(), disabled)).await
    }

    /// Sets a password, which ends every log-in of before. Who sets their own shows the one of before.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub async fn set_password(
        &self,
        permit: &PersonPermit,
        password: &NewPassword,
        asker: Asker<'_>,
    ) -> Result<(), PeopleError> {
        let (user, NewPassword { old, new }) = (permit.user(), password);
        check_rules(new)?;
        let generation = |book: &crate::directory::Book| book.user_by_id(user).map(|user| user.is.generation);
        let before = self.directory.read(generation).ok_or(DirectoryError::Absent("user"))?;
        if permit.is_own() {
            let old = old.as_ref().ok_or(PeopleError::WrongPassword)?;
            asker.auth.check_password(user, old, asker.party).await?;
            if old == new {
                return Err(PeopleError::Same);
            }
        } else if asker.auth.is_password(user, new, asker.party).await? {
            return Err(PeopleError::Same);
        }
        let verifier = asker.auth.new_verifier(new, asker.party).await?;
        let act = self.act(permit.actor(), asker.request);
        let set = self.directory.change(&act, |draft| {
            // The old password was shown for the account as it was then.
            if permit.is_own() && generation(draft.book).is_some_and(|now| now != before) {
                return Err(PeopleError::WrongPassword);
            }
            draft.set_verifier(user, verifier.clone()).map_err(PeopleError::from)
        });
        set.await
    }

    /// Makes a group; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn create_group(
        &self,
        permit: &SystemPermit,
        name: &str,
        (origin, dn): (u8, &str),
        request: &Arc<str>,
    ) -> Result<u32, DirectoryError> {
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.create_group(name, origin, dn)).await
    }

    /// Gives a group another name.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn rename_group(
        &self,
        permit: &SystemPermit,
        group: u32,
        name: &str,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.rename_group(group, name)).await
    }

    /// Deletes a group, with its memberships.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete_group(
        &self,
        permit: &SystemPermit,
        group: u32,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        self.directory.change(&act, |draft| draft.delete_group(group)).await
    }

    /// Says by name who belongs to a group.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`DirectoryError::Invalid`] names who has no account.
    pub async fn set_group_members(
        &self,
        permit: &SystemPermit,
        group: u32,
        names: &[String],
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let set = self.directory.change(&act, |draft| {
            let id = |name: &String| {
                let user = draft.book.user(name).map(|user| user.is.id);
                user.ok_or_else(|| DirectoryError::Invalid(format!("there is no user {name}")))
            };
            let members = names.iter().map(id).collect::<Result<BTreeSet<_>, _>>()?;
            draft.set_group_members(group, members)
        });
        set.await
    }
}

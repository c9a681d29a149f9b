//! Robots: who may give them what.
//!
//! What is given to a robot is the giver's own to give, so that nobody reaches by a robot what they have no right to
//! themselves (CVE-2019-16919); that holds for a secret too, which is all that its robot may do.

use std::sync::Arc;

use protocol::ProjectName;

use super::Registry;
use super::projects::still;
use crate::auth::{Authenticator, Kind, Secret, robot_secret_kept};
use crate::directory::{self, Book, DirectoryError, RobotChange, RobotEntry};
use crate::policy::rights::{EVERYWHERE, SYSTEM, may_hand_on, robot_permission};
use crate::policy::roles::{PROJECT_VOCABULARY, SYSTEM_VOCABULARY};
use crate::policy::{Permission, RobotPermit};

/// Fewest characters of a secret that someone chose: what is kept of it is a plain hash, which must not be worth trying.
const MIN_SECRET: usize = 32;
/// Most characters of one.
const MAX_SECRET: usize = 128;

/// Something a robot shall be able to do, at a place of its record: `/`, `*`, or a project's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gift {
    /// The place.
    pub namespace: String,
    /// What.
    pub permission: Permission,
}

/// A robot someone wants.
#[derive(Clone, Debug)]
pub struct NewRobot {
    /// Its name, without prefix and project.
    pub name: String,
    /// What it shall be able to do.
    pub gifts: Vec<Gift>,
    /// How many days it lives; `None`: for ever.
    pub days: Option<u32>,
    /// Free text.
    pub description: String,
    /// Whether it is shut out at first.
    pub disabled: bool,
}

/// What is to be different about a robot.
#[derive(Clone, Debug, Default)]
pub struct RobotWish {
    /// What it shall be able to do; `None`: as before.
    pub gifts: Option<Vec<Gift>>,
    /// How many days it lives.
    pub days: Option<Option<u32>>,
    /// Free text.
    pub description: Option<String>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
}

/// How a record names the account that made a robot: by its id, which is nobody else's ever.
fn creator_word(kind: Kind) -> String {
    match kind {
        Kind::User(id) => format!("u{id}"),
        Kind::Robot(id) => format!("r{id}"),
        // The operator acts for the administrator; nobody who did not log in makes robots.
        Kind::Operator | Kind::Anonymous => format!("u{}", directory::USER_ADMIN),
    }
}

/// The account that made a robot, by a letter for its kind and its id.
#[must_use]
pub fn creator(robot: &RobotEntry) -> Option<Kind> {
    let (kind, id) = robot.is.is.creator.split_at_checked(1)?;
    let id = id.parse().ok()?;
    match kind {
        "u" => Some(Kind::User(id)),
        "r" => Some(Kind::Robot(id)),
        _ => None,
    }
}

/// Whether a chosen secret is fit to be one.
///
/// # Errors
/// [`DirectoryError::Invalid`] with the reason.
fn check_secret(secret: &Secret) -> Result<(), DirectoryError> {
    let text = secret.reveal();
    let has = |which: fn(char) -> bool| text.chars().any(which);
    let is_mixed = has(|c| c.is_ascii_uppercase()) && has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_digit());
    if (MIN_SECRET..=MAX_SECRET).contains(&text.chars().count()) && is_mixed {
        return Ok(());
    }
    Err(DirectoryError::Invalid(format!(
        "a secret has {MIN_SECRET} to {MAX_SECRET} characters, with an upper-case letter, a lower-case letter and a digit; \
         leave it out and one is made"
    )))
}

/// Whether a robot of `project`, or of the system, can be given this.
fn check_gifts(project: Option<&ProjectName>, gifts: &[Gift]) -> Result<(), DirectoryError> {
    let invalid = |text: String| Err(DirectoryError::Invalid(text));
    for Gift { namespace, permission } in gifts {
        let vocabulary = if namespace == SYSTEM { SYSTEM_VOCABULARY } else { PROJECT_VOCABULARY };
        if !vocabulary.contains(permission) {
            return invalid(format!("{permission} is nothing a robot can be given there: see /permissions"));
        }
        if project.is_some_and(|own| own.as_str() != namespace) {
            return invalid("a robot of a project has permissions in that project alone".into());
        }
    }
    Ok(())
}

/// Whether `giver` may give all this, and each project is there.
fn check_giver<'g>(book: &Book, giver: Kind, gifts: impl IntoIterator<Item = &'g Gift>) -> Result<(), DirectoryError> {
    for Gift { namespace, permission } in gifts {
        if !may_hand_on(book, giver, *permission, namespace) {
            return Err(DirectoryError::Refused(format!(
                "this account does not hold {permission} in {namespace} itself, so it can't give it"
            )));
        }
        if namespace != SYSTEM && namespace != EVERYWHERE {
            let name = namespace.parse::<ProjectName>().ok();
            name.and_then(|name| book.project(&name)).ok_or(DirectoryError::Absent("project"))?;
        }
    }
    Ok(())
}

/// What a robot was given, from its record. What can't be read is no permission to anyone.
#[must_use]
pub fn gifts_of(robot: &RobotEntry) -> Vec<Gift> {
    let read = |text: &String| {
        let (namespace, permission) = text.split_once(' ')?;
        let (resource, action) = permission.split_once(':')?;
        let permission = Permission::from_words(resource, action)?;
        Some(Gift { namespace: namespace.to_owned(), permission })
    };
    robot.is.is.permissions.iter().filter_map(read).collect()
}

fn record(gifts: &[Gift]) -> Vec<String> {
    gifts.iter().map(|gift| robot_permission(&gift.namespace, gift.permission)).collect()
}

/// The robot of an id, if the permit is about where it belongs.
fn robot_of<'b>(book: &'b Book, permit: &RobotPermit, id: u32) -> Result<&'b RobotEntry, DirectoryError> {
    permit.within().map_or(Ok(()), |within| still(book, within))?;
    let scope = permit.project().map(|project| project.scope);
    book.robot_by_id(id).filter(|robot| robot.scope == scope).ok_or(DirectoryError::Absent("robot"))
}

impl Registry {
    /// Makes a robot; gives back its id and its secret, which is told this once.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn create_robot(
        &self,
        permit: &RobotPermit,
        auth: &Authenticator,
        new: NewRobot,
        request: &Arc<str>,
    ) -> Result<(u32, Secret), DirectoryError> {
        let project = permit.project().map(|project| project.name.clone());
        let NewRobot { name, gifts, days, description, disabled } = new;
        check_gifts(project.as_ref(), &gifts)?;
        let (secret, kept) = auth.new_robot_secret();
        let permissions = record(&gifts);
        let creator = creator_word(permit.holder());
        let asked =
            directory::NewRobot { name, project, permissions, days, description, disabled, creator, secret: kept };
        let act = self.act(permit.actor(), request);
        let make = self.directory.change(&act, |draft| {
            permit.within().map_or(Ok(()), |within| still(draft.book, within))?;
            check_giver(draft.book, permit.holder(), &gifts)?;
            draft.create_robot(&asked)
        });
        Ok((make.await?, secret))
    }

    /// Changes a robot. What is new among its permissions is the holder's to give.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn change_robot(
        &self,
        permit: &RobotPermit,
        id: u32,
        wish: &RobotWish,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let project = permit.project().map(|project| &project.name);
        let gifts = wish.gifts.as_deref();
        gifts.map_or(Ok(()), |gifts| check_gifts(project, gifts))?;
        let RobotWish { days, description, disabled, .. } = wish.clone();
        let change = RobotChange { permissions: gifts.map(record), days, description, disabled, secret: None };
        let act = self.act(permit.actor(), request);
        let change = self.directory.change(&act, |draft| {
            let held = gifts_of(robot_of(draft.book, permit, id)?);
            let new = gifts.unwrap_or_default().iter().filter(|gift| !held.contains(gift));
            check_giver(draft.book, permit.holder(), new)?;
            draft.change_robot(id, &change)
        });
        change.await
    }

    /// Gives a robot another secret: the chosen one, or one that is made and given back.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`DirectoryError::Refused`] for one who has less than the robot.
    pub async fn refresh_robot(
        &self,
        permit: &RobotPermit,
        auth: &Authenticator,
        (id, chosen): (u32, Option<Secret>),
        request: &Arc<str>,
    ) -> Result<Option<Secret>, DirectoryError> {
        let (made, kept) = match &chosen {
            Some(secret) => {
                check_secret(secret)?;
                (None, robot_secret_kept(secret))
            }
            None => {
                let (secret, kept) = auth.new_robot_secret();
                (Some(secret), kept)
            }
        };
        let change = RobotChange { secret: Some(kept), ..RobotChange::default() };
        let act = self.act(permit.actor(), request);
        let refresh = self.directory.change(&act, |draft| {
            let robot = robot_of(draft.book, permit, id)?;
            // Who has its secret is the robot.
            let gifts = gifts_of(robot);
            gifts.iter().try_for_each(|Gift { namespace, permission }| {
                let may = may_hand_on(draft.book, permit.holder(), *permission, namespace);
                let why = || DirectoryError::Refused("this robot may do more than this account".into());
                if may { Ok(()) } else { Err(why()) }
            })?;
            draft.change_robot(id, &change)
        });
        refresh.await?;
        Ok(made)
    }

    /// Deletes a robot.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete_robot(&self, permit: &RobotPermit, id: u32, request: &Arc<str>) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let delete = self.directory.change(&act, |draft| {
            robot_of(draft.book, permit, id)?;
            draft.delete_robot(id)
        });
        delete.await
    }
}

//! Robots: accounts for programs. Decides only; that permissions exist and are the creator's own to give is decided by
//! who calls.

use protocol::ProjectName;
use protocol::record::governed::Robot;
use protocol::record::value::Value;
use protocol::record::{Kind, ScopeId};
use protocol::{Timestamp, view::Topic};

use super::DirectoryError;
use super::book::Book;
use super::draft::{Draft, IdOf, Told};
use super::entry::RobotEntry;
use crate::storage::meta::GovernedKind;

/// Most permissions of a robot, so that its record has room for them.
pub const MAX_PERMISSIONS: usize = 1000;
/// Most robots this node keeps in memory.
const MAX_ROBOTS: usize = 200_000;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// A robot someone wants.
#[derive(Clone, Debug)]
pub struct NewRobot {
    /// Its name, without prefix and project.
    pub name: String,
    /// The project it belongs to; `None`: the system.
    pub project: Option<ProjectName>,
    /// "namespace resource:action", each once.
    pub permissions: Vec<String>,
    /// How many days it lives; `None`: for ever.
    pub days: Option<u32>,
    /// Free text.
    pub description: String,
    /// Whether it is shut out at first.
    pub disabled: bool,
    /// Who makes it.
    pub creator: String,
    /// SHA-256 of its secret.
    pub secret: [u8; 32],
}

/// What is to be different about a robot; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct RobotChange {
    /// What it may do where.
    pub permissions: Option<Vec<String>>,
    /// How many days it lives from when it was made; `Some(None)`: for ever.
    pub days: Option<Option<u32>>,
    /// Free text.
    pub description: Option<String>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
    /// SHA-256 of a new secret.
    pub secret: Option<[u8; 32]>,
}

impl Book {
    fn robot_or(&self, id: u32) -> Result<&RobotEntry, DirectoryError> {
        self.robot_by_id(id).ok_or(DirectoryError::Absent("robot"))
    }
}

fn check_name(name: &str) -> Result<(), DirectoryError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let ends = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.is_empty() || name.len() > 255 || !name.chars().all(good) || !ends(name) {
        return Err(DirectoryError::Invalid(
            "a robot's name has lower-case letters, digits, . _ - and begins with a letter or digit".into(),
        ));
    }
    Ok(())
}

fn check_permissions(permissions: &[String]) -> Result<(), DirectoryError> {
    if permissions.is_empty() || permissions.len() > MAX_PERMISSIONS {
        return Err(DirectoryError::Invalid(format!("a robot has 1 to {MAX_PERMISSIONS} permissions")));
    }
    Ok(())
}

fn check(days: Option<u32>, description: &str) -> Result<(), DirectoryError> {
    if days == Some(0) {
        return Err(DirectoryError::Invalid("duration is a number of days, at least 1, or -1 for ever".into()));
    }
    if description.len() > 1024 || description.contains(|c: char| c.is_control() && c != '\n') {
        return Err(DirectoryError::Invalid("description has at most 1024 characters".into()));
    }
    Ok(())
}

fn expires(created: Timestamp, days: Option<u32>) -> Option<Timestamp> {
    days.map(|days| Timestamp(created.0.saturating_add(u64::from(days).saturating_mul(DAY))))
}

impl Draft<'_> {
    /// Makes a robot; gives back its id.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Exists`], [`DirectoryError::Absent`]: the project.
    pub fn create_robot(&mut self, new: &NewRobot) -> Result<u32, DirectoryError> {
        check_name(&new.name)?;
        check_permissions(&new.permissions)?;
        check(new.days, &new.description)?;
        let scope = match &new.project {
            Some(name) => Some(self.book.project(name).ok_or(DirectoryError::Absent("project"))?.scope),
            None => None,
        };
        if self.book.is_robot_said(scope, &new.name) {
            return Err(DirectoryError::Exists(format!("robot {}", new.name)));
        }
        if self.book.robots().count() >= MAX_ROBOTS {
            return Err(DirectoryError::Refused(format!("this mesh has {MAX_ROBOTS} robots, the most there may be")));
        }
        let mut permissions = new.permissions.clone();
        permissions.sort_unstable();
        permissions.dedup();
        let id = self.id(IdOf::Robot)?;
        let robot = Robot {
            id,
            generation: 1,
            permissions,
            disabled: new.disabled,
            expires: expires(self.now, new.days),
            days: new.days,
            secret: new.secret,
            description: new.description.clone(),
            creator: new.creator.clone(),
            created: self.now,
            updated: self.now,
        };
        self.put_robot(scope, &new.name, None, Some(robot));
        Ok(id)
    }

    pub(super) fn put_robot(
        &mut self,
        scope: Option<ScopeId>,
        name: &str,
        before: Option<&Robot>,
        after: Option<Robot>,
    ) {
        let project = scope.and_then(|scope| self.book.project_of(&scope)).map(|project| project.name.clone());
        let (kind, after_told) = (GovernedKind::Robot, after.as_ref());
        self.tell(&Told { kind, name, project: project.as_ref(), before, after: after_told });
        let topic: Topic = Self::topic(scope.unwrap_or_else(|| self.book.mesh_wide()), Kind::ROBOT, name);
        match after {
            Some(robot) => self.put(topic, &Value::Robot(robot)),
            None => self.delete(topic),
        }
    }

    /// Changes a robot. What takes from it, and a new secret, ends its log-ins of before.
    ///
    /// # Errors
    /// [`DirectoryError::Invalid`], [`DirectoryError::Absent`].
    pub fn change_robot(&mut self, id: u32, change: &RobotChange) -> Result<(), DirectoryError> {
        let old = std::sync::Arc::clone(self.book.robot_or(id)?);
        let mut robot = old.is.is.clone();
        // One that lost all it had with a project can still be shut out.
        if let Some(permissions) = &change.permissions {
            check_permissions(permissions)?;
            robot.permissions.clone_from(permissions);
            robot.permissions.sort_unstable();
            robot.permissions.dedup();
        }
        if let Some(days) = change.days {
            (robot.days, robot.expires) = (days, expires(robot.created, days));
        }
        robot.description = change.description.clone().unwrap_or(robot.description);
        robot.disabled = change.disabled.unwrap_or(robot.disabled);
        robot.secret = change.secret.unwrap_or(robot.secret);
        check(robot.days, &robot.description)?;
        if robot == old.is.is {
            return Ok(());
        }
        robot.updated = self.now;
        robot.generation += 1;
        self.put_robot(old.scope, &old.is.name, Some(&old.is.is), Some(robot));
        Ok(())
    }

    /// Takes from the robots of the system what they may in a project that goes: one that is made later under its name is
    /// another.
    pub(super) fn forget_in_robots(&mut self, project: &ProjectName) {
        let namespace = format!("{project} ");
        let speaks_of_it = |robot: &&RobotEntry| {
            robot.scope.is_none() && robot.is.is.permissions.iter().any(|held| held.starts_with(&namespace))
        };
        let robots: Vec<RobotEntry> = self.book.robots().filter(speaks_of_it).cloned().collect();
        for robot in robots {
            let mut now = robot.is.is.clone();
            now.permissions.retain(|held| !held.starts_with(&namespace));
            (now.updated, now.generation) = (self.now, now.generation + 1);
            self.put_robot(None, &robot.is.name, Some(&robot.is.is), Some(now));
        }
    }

    /// Deletes a robot. The id is not given out again.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn delete_robot(&mut self, id: u32) -> Result<(), DirectoryError> {
        let old = std::sync::Arc::clone(self.book.robot_or(id)?);
        self.put_robot(old.scope, &old.is.name, Some(&old.is.is), None);
        Ok(())
    }
}

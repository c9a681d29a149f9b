//! What the book holds of each thing, and what names an account for good. No state.

use std::sync::Arc;

use protocol::record::ScopeId;
use protocol::record::governed::{CustomRole, Group, Label, Robot, User};
use protocol::record::value::Settings;
use protocol::{ProjectName, Timestamp};
use sha2::{Digest as _, Sha256};

use super::register::Numbered;

/// An open project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// Its name.
    pub name: ProjectName,
    /// Where the records of what is in it stand.
    pub scope: ScopeId,
    /// What opens the binding of its name.
    pub nonce: [u8; 16],
    /// How it is set.
    pub settings: Settings,
}

/// A person.
pub type UserEntry = Arc<Named<User>>;
/// A group.
pub type GroupEntry = Arc<Named<Group>>;
/// A role that someone named.
pub type RoleEntry = Arc<Named<CustomRole>>;
/// A robot.
pub type RobotEntry = Arc<Placed<Named<Robot>>>;
/// A label.
pub type LabelEntry = Arc<Placed<Label>>;

/// Something and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The name.
    pub name: Arc<str>,
    /// What is in force of it.
    pub is: T,
}

/// Something that belongs to a project, or to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The project's scope; `None`: the whole mesh.
    pub scope: Option<ScopeId>,
    /// What is there.
    pub is: T,
}

impl Named<User> {
    /// Names this account in this generation, whatever others have its id: what was logged in stands as long as this
    /// stays the same.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        stamp(None, &self.name, self.is.created, self.is.generation)
    }
}

impl Placed<Named<Robot>> {
    /// Names this robot in this generation, whatever others have its id.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        stamp(self.scope, &self.is.name, self.is.is.created, self.is.is.generation)
    }
}

fn stamp(scope: Option<ScopeId>, name: &str, created: Timestamp, generation: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(generation.to_be_bytes());
    hash.update(created.0.to_be_bytes());
    hash.update(scope.map_or([0; 32], |scope| scope.0));
    hash.update(name);
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Numbered for ProjectEntry {
    fn id(&self) -> u32 {
        self.settings.id
    }

    fn created(&self) -> Timestamp {
        self.settings.created
    }
}

macro_rules! numbered {
    ($($of:ty),*) => {$(
        impl Numbered for Named<$of> {
            fn id(&self) -> u32 {
                self.is.id
            }

            fn created(&self) -> Timestamp {
                self.is.created
            }
        }
    )*};
}

numbered!(User, Group, CustomRole, Robot);

impl<T> Numbered for Placed<T>
where
    T: Numbered,
{
    fn id(&self) -> u32 {
        self.is.id()
    }

    fn created(&self) -> Timestamp {
        self.is.created()
    }
}

//! What the matrix must say by the tables of roles alone: worked out without the gate.

use super::world::{Actor, ROLES, Scheme};
use crate::http::api::route::Need;
use crate::policy::roles::{PROJECT_VOCABULARY, PUBLIC_PROJECT, SYSTEM_VOCABULARY, role_permissions};
use crate::policy::{Permission, Resource, Verb};

/// Which project a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// Not one that is named by the path.
    None,
    /// A private one where the people have their roles.
    Own,
    /// A private one that is another's.
    Foreign,
    /// A public one where the people have their roles.
    Open,
    /// One that is not there.
    Absent,
    /// The own one, with the id of a thing in the foreign one.
    Swapped,
}

impl Object {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Own => "own",
            Self::Foreign => "foreign",
            Self::Open => "public",
            Self::Absent => "absent",
            Self::Swapped => "own, foreign id",
        }
    }

    pub(super) const fn project(self) -> &'static str {
        match self {
            Self::None | Self::Own | Self::Swapped => "own",
            Self::Foreign => "foreign",
            Self::Open => "open",
            Self::Absent => "absent",
        }
    }
}

/// What an answer says of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    LogIn,
    Absent,
    Forbidden,
    Allowed,
}

impl Says {
    /// Whether a status says that. Who may is told what became of it, which may be that a part is absent; never that
    /// they may not.
    pub(super) const fn is(self, status: u16) -> bool {
        match self {
            Self::LogIn => status == 401,
            Self::Absent => status == 404,
            Self::Forbidden => status == 403,
            Self::Allowed => status != 401 && status != 403 && (status < 500 || status == NOT_MADE),
        }
    }
}

/// What is answered where this node can't do yet what was asked, to those who may.
pub(super) const NOT_MADE: u16 = 501;

const SEE: Permission = Permission::new(Resource::Project, Verb::Read);
const LOOKER: [(Resource, Verb); 4] = [
    (Resource::Project, Verb::Read),
    (Resource::Repository, Verb::Pull),
    (Resource::Tag, Verb::List),
    (Resource::Label, Verb::Read),
];

/// What the table of needs means for someone; `None` where the handler asks by itself.
pub(super) fn expected(actor: &Actor, need: Need, object: Object, in_repository: bool) -> Option<Says> {
    if actor.scheme == Scheme::Bad {
        return (need != Need::Nothing).then_some(Says::LogIn);
    }
    // Held against what the anonymous are told.
    if need == Need::Handler || actor.scheme == Scheme::Ended {
        return None;
    }
    if need == Need::Nothing {
        return Some(Says::Allowed);
    }
    if matches!(actor.scheme, Scheme::Nothing | Scheme::Token) && !matches!(need, Need::Project(_)) {
        return Some(Says::LogIn);
    }
    Some(match need {
        Need::Nothing | Need::Handler => Says::Allowed,
        Need::LoggedIn => Says::Allowed,
        Need::Administrator => of(actor.who == "administrator"),
        Need::System(permission) => of(match actor.who {
            "administrator" => true,
            "robot of the system" => SYSTEM_VOCABULARY.contains(&permission),
            _ => false,
        }),
        Need::Project(permission) => in_project(actor, permission, object, in_repository),
    })
}

const fn of(may: bool) -> Says {
    if may { Says::Allowed } else { Says::Forbidden }
}

fn in_project(actor: &Actor, permission: Permission, object: Object, in_repository: bool) -> Says {
    if actor.scheme == Scheme::Token {
        return Says::LogIn;
    }
    let is_there = object != Object::Absent;
    let may = is_there && holds(actor, permission, object, in_repository);
    let sees = is_there && holds(actor, SEE, object, false);
    match (may, sees) {
        (true, _) => Says::Allowed,
        (false, _) if actor.scheme == Scheme::Nothing => Says::LogIn,
        (false, true) => Says::Forbidden,
        (false, false) => Says::Absent,
    }
}

fn holds(actor: &Actor, permission: Permission, object: Object, in_repository: bool) -> bool {
    let by_all = object == Object::Open && PUBLIC_PROJECT.contains(&permission);
    let is_member = matches!(object, Object::Own | Object::Open | Object::Swapped);
    let by_role = ROLES.iter().any(|(who, role)| {
        let theirs = *who == actor.who || (actor.who == "in-group" && *who == "guest");
        theirs && is_member && role_permissions(*role).contains(&permission)
    });
    let content = [
        Resource::Repository,
        Resource::Artifact,
        Resource::Tag,
        Resource::Accessory,
        Resource::ArtifactAddition,
        Resource::ArtifactLabel,
    ];
    let developer =
        || ROLES.iter().find(|(who, _)| *who == "developer").map_or(&[][..], |(_, role)| role_permissions(*role));
    let by_other = match actor.who {
        "administrator" => true,
        "custom" => {
            is_member && LOOKER.iter().any(|(resource, action)| permission == Permission::new(*resource, *action))
        }
        "grantee" => {
            let part = in_repository && content.contains(&permission.resource) && developer().contains(&permission);
            is_member && (part || permission == SEE)
        }
        "robot of the system" => PROJECT_VOCABULARY.contains(&permission),
        "robot of the project" => {
            matches!(object, Object::Own | Object::Swapped) && PROJECT_VOCABULARY.contains(&permission)
        }
        "robot that pulls" => {
            matches!(object, Object::Own | Object::Swapped)
                && permission == Permission::new(Resource::Repository, Verb::Pull)
        }
        _ => false,
    };
    by_all || by_role || by_other
}

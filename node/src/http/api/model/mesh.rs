//! Objects of the part of the interface that is our own: roles, grants per repository, groups kept here, explanations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::people::PermissionPair;
use super::{Ignored, Time};

/// A role of the installation's own, or one that is built in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Role {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    /// Whether it can't be changed.
    pub(crate) built_in: bool,
    pub(crate) permissions: Vec<PermissionPair>,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

/// A role to make or to change.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RoleReq {
    pub(crate) id: Option<Ignored>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) built_in: Option<Ignored>,
    pub(crate) permissions: Option<Vec<PairReq>>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
}

/// One thing a role allows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PairReq {
    pub(crate) resource: String,
    pub(crate) action: String,
}

/// A role of one account or group in some repositories of a project, beside its role there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Grant {
    pub(crate) id: i64,
    /// A pattern over the repository's name without the project.
    pub(crate) repository: String,
    pub(crate) entity_type: String,
    pub(crate) entity_id: i64,
    pub(crate) entity_name: String,
    pub(crate) role_id: i64,
    pub(crate) role_name: String,
    /// What the role allows; of it, what is about repositories counts.
    pub(crate) permissions: Vec<PermissionPair>,
    pub(crate) creation_time: Time,
}

/// Such a role, to give.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantReq {
    /// A pattern over the repository's name without the project.
    pub(crate) repository: String,
    /// `u` for a user, `g` for a group.
    pub(crate) entity_type: String,
    pub(crate) entity_name: String,
    pub(crate) role_id: i64,
}

/// The accounts in a group that is kept here, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupMembers {
    pub(crate) usernames: Vec<String>,
}

/// What came back with a project that was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Undeleted {
    /// Manifests that are served again.
    pub(crate) manifests: i64,
    /// Manifests whose bytes are not kept any more: they are served when they are pushed again.
    pub(crate) lost: i64,
}

/// Why someone may or may not do something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Why {
    pub(crate) principal: String,
    pub(crate) action: String,
    pub(crate) image: String,
    pub(crate) allowed: bool,
    /// What was looked at, in its order; the last one decided.
    pub(crate) steps: Vec<WhyStep>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct WhyStep {
    pub(crate) rule: String,
    pub(crate) outcome: String,
}

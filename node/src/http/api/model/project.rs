//! Projects, their metadata and their members, on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ignored, Time};

/// A project, as one who may see it sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Project {
    pub(crate) project_id: i64,
    pub(crate) owner_id: i64,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_id: Option<i64>,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
    pub(crate) deleted: bool,
    pub(crate) owner_name: String,
    pub(crate) togglable: bool,
    pub(crate) current_user_role_id: i64,
    pub(crate) current_user_role_ids: Vec<i64>,
    pub(crate) repo_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<ProjectMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cve_allowlist: Option<CveAllowlist>,
}

/// A project to make, or what to change about one. Clients send the whole object they were given back: what is
/// not theirs to set is read and not obeyed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProjectReq {
    pub(crate) project_name: Option<String>,
    pub(crate) public: Option<bool>,
    pub(crate) metadata: Option<ProjectMetadata>,
    pub(crate) cve_allowlist: Option<CveAllowlist>,
    pub(crate) storage_limit: Option<i64>,
    pub(crate) registry_id: Option<i64>,
    pub(crate) project_id: Option<Ignored>,
    pub(crate) owner_id: Option<Ignored>,
    pub(crate) name: Option<Ignored>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
    pub(crate) deleted: Option<Ignored>,
    pub(crate) owner_name: Option<Ignored>,
    pub(crate) togglable: Option<Ignored>,
    pub(crate) current_user_role_id: Option<Ignored>,
    pub(crate) current_user_role_ids: Option<Ignored>,
    pub(crate) repo_count: Option<Ignored>,
    pub(crate) chart_count: Option<Ignored>,
    pub(crate) count_limit: Option<Ignored>,
}

/// What is set about a project. Truth values and numbers are text here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProjectMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_content_trust: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_content_trust_cosign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prevent_vul: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auto_scan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auto_sbom_generation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reuse_sys_cve_allowlist: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_speed_kb: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_upstream_conn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_cache_local_on_not_found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_referrer_api: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_cache_filter_pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_cache_filter_kind: Option<String>,
    /// Ours: whether indexes may be kept without all of their children.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sparse: Option<String>,
}

/// The numbers of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProjectSummary {
    pub(crate) repo_count: i64,
    pub(crate) project_admin_count: i64,
    pub(crate) maintainer_count: i64,
    pub(crate) developer_count: i64,
    pub(crate) guest_count: i64,
    pub(crate) limited_guest_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<ProjectSummaryQuota>,
}

/// What a project may hold, and holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProjectSummaryQuota {
    pub(crate) hard: BTreeMap<String, i64>,
    pub(crate) used: BTreeMap<String, i64>,
}

/// Whether a project can be deleted, and why not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProjectDeletable {
    pub(crate) deletable: bool,
    pub(crate) message: String,
}

/// Vulnerabilities that are not counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CveAllowlist {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) items: Option<Vec<CveAllowlistItem>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) creation_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update_time: Option<Time>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CveAllowlistItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cve_id: Option<String>,
}

/// A member to add: a user or a group, and a role.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProjectMember {
    pub(crate) role_id: Option<i64>,
    pub(crate) member_user: Option<MemberUser>,
    pub(crate) member_group: Option<MemberGroup>,
    pub(crate) id: Option<Ignored>,
}

/// A user by number or name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MemberUser {
    pub(crate) user_id: Option<i64>,
    pub(crate) username: Option<String>,
}

/// A group by number, by name and kind, or by its name in a directory.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MemberGroup {
    pub(crate) id: Option<i64>,
    pub(crate) group_name: Option<String>,
    pub(crate) group_type: Option<i64>,
    pub(crate) ldap_group_dn: Option<String>,
}

/// The role a member gets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RoleRequest {
    pub(crate) role_id: Option<i64>,
    pub(crate) id: Option<Ignored>,
    pub(crate) member_group: Option<Ignored>,
    pub(crate) member_user: Option<Ignored>,
}

/// A member of a project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProjectMemberEntity {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) entity_name: String,
    pub(crate) role_name: String,
    pub(crate) role_id: i64,
    pub(crate) entity_id: i64,
    pub(crate) entity_type: String,
}

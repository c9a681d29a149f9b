//! Quotas, acts, numbers, health, schedules, on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Ignored, Time};

/// What something may hold, and holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Quota {
    pub(crate) id: i64,
    #[serde(rename = "ref")]
    pub(crate) reference: BTreeMap<String, Value>,
    pub(crate) hard: BTreeMap<String, i64>,
    pub(crate) used: BTreeMap<String, i64>,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

/// What something may hold from now on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuotaUpdateReq {
    pub(crate) hard: Option<BTreeMap<String, i64>>,
}

/// One act, as older clients read it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct AuditLog {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) resource: String,
    pub(crate) resource_type: String,
    pub(crate) operation: String,
    pub(crate) op_time: Time,
}

/// One act.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct AuditLogExt {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) resource: String,
    pub(crate) resource_type: String,
    pub(crate) operation: String,
    pub(crate) operation_description: String,
    pub(crate) operation_result: bool,
    pub(crate) op_time: Time,
}

/// A kind of act that is written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct AuditLogEventType {
    pub(crate) event_type: String,
}

/// How much there is, of what one may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Statistic {
    pub(crate) private_project_count: i64,
    pub(crate) private_repo_count: i64,
    pub(crate) public_project_count: i64,
    pub(crate) public_repo_count: i64,
    pub(crate) total_project_count: i64,
    pub(crate) total_repo_count: i64,
    pub(crate) total_storage_consumption: i64,
}

/// What a word was found in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct SearchResult {
    pub(crate) project: Vec<super::project::Project>,
    pub(crate) repository: Vec<SearchRepository>,
}

/// A repository a word was found in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct SearchRepository {
    pub(crate) project_id: i64,
    pub(crate) project_name: String,
    pub(crate) project_public: bool,
    pub(crate) repository_name: String,
    pub(crate) pull_count: i64,
    pub(crate) artifact_count: i64,
}

/// What this node is. Who did not log in is shown less.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct GeneralInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) banner_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) external_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) primary_auth_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project_creation_restriction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) self_registration: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) has_ca_root: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) harbor_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry_storage_provider_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notification_enable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc_provider_name: Option<String>,
}

/// Whether all is well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct OverallHealthStatus {
    pub(crate) status: String,
    pub(crate) components: Vec<ComponentHealthStatus>,
}

/// Whether one part is well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ComponentHealthStatus {
    pub(crate) name: String,
    pub(crate) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The disks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct SystemInfo {
    pub(crate) storage: Vec<Storage>,
}

/// One disk, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Storage {
    pub(crate) total: u64,
    pub(crate) free: u64,
}

/// When something runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ScheduleTime {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) cron: String,
    pub(crate) next_scheduled_time: Time,
}

/// When something shall run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScheduleTimeReq {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) cron: Option<String>,
    pub(crate) next_scheduled_time: Option<Ignored>,
}

/// Something that runs by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Schedule {
    pub(crate) id: i64,
    pub(crate) status: String,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<ScheduleTime>,
    pub(crate) parameters: BTreeMap<String, Value>,
}

/// Something that shall run by itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScheduleReq {
    pub(crate) id: Option<Ignored>,
    pub(crate) status: Option<Ignored>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
    pub(crate) schedule: Option<ScheduleTimeReq>,
    pub(crate) parameters: Option<BTreeMap<String, Value>>,
    pub(crate) job_name: Option<Ignored>,
    pub(crate) job_kind: Option<Ignored>,
    pub(crate) job_parameters: Option<Ignored>,
    pub(crate) job_status: Option<Ignored>,
    pub(crate) deleted: Option<Ignored>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ExecHistory {
    pub(crate) id: i64,
    pub(crate) job_name: String,
    pub(crate) job_kind: String,
    pub(crate) job_parameters: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<ScheduleTime>,
    pub(crate) job_status: String,
    pub(crate) deleted: bool,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

//! What is set about the whole installation, on the wire. An item is here when it exists; setting any other is refused.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One item: its value, and whether it can be set here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Item<T> {
    pub(crate) value: T,
    pub(crate) editable: bool,
}

/// Every item by its name, whatever its value is.
pub(crate) type InternalConfig = BTreeMap<String, Item<Value>>;

/// What to set; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Configurations {
    pub(crate) auth_mode: Option<String>,
    pub(crate) primary_auth_mode: Option<bool>,
    pub(crate) project_creation_restriction: Option<String>,
    pub(crate) read_only: Option<bool>,
    pub(crate) self_registration: Option<bool>,
    pub(crate) token_expiration: Option<i64>,
    pub(crate) robot_token_duration: Option<i64>,
    pub(crate) robot_name_prefix: Option<String>,
    pub(crate) notification_enable: Option<bool>,
    pub(crate) quota_per_project_enable: Option<bool>,
    pub(crate) storage_per_project: Option<i64>,
    pub(crate) audit_log_forward_endpoint: Option<String>,
    pub(crate) skip_audit_log_database: Option<bool>,
    pub(crate) session_timeout: Option<i64>,
    pub(crate) scanner_skip_update_pulltime: Option<bool>,
    pub(crate) banner_message: Option<String>,
    pub(crate) disabled_audit_log_event_types: Option<String>,
}

/// What is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ConfigurationsResponse {
    pub(crate) auth_mode: Item<String>,
    pub(crate) primary_auth_mode: Item<bool>,
    pub(crate) project_creation_restriction: Item<String>,
    pub(crate) read_only: Item<bool>,
    pub(crate) self_registration: Item<bool>,
    pub(crate) token_expiration: Item<i64>,
    pub(crate) robot_token_duration: Item<i64>,
    pub(crate) robot_name_prefix: Item<String>,
    pub(crate) notification_enable: Item<bool>,
    pub(crate) quota_per_project_enable: Item<bool>,
    pub(crate) storage_per_project: Item<i64>,
    pub(crate) audit_log_forward_endpoint: Item<String>,
    pub(crate) skip_audit_log_database: Item<bool>,
    pub(crate) session_timeout: Item<i64>,
    pub(crate) scanner_skip_update_pulltime: Item<bool>,
    pub(crate) banner_message: Item<String>,
    pub(crate) disabled_audit_log_event_types: Item<String>,
}

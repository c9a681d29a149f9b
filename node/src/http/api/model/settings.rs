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
    pub(crate) audit_log_forward_endpoint: Item<String>,
    pub(crate) auth_mode: Item<String>,
    pub(crate) banner_message: Item<String>,
    pub(crate) disabled_audit_log_event_types: Item<String>,
    pub(crate) http_authproxy_admin_groups: Item<String>,
    pub(crate) http_authproxy_admin_usernames: Item<String>,
    pub(crate) http_authproxy_endpoint: Item<String>,
    pub(crate) http_authproxy_server_certificate: Item<String>,
    pub(crate) http_authproxy_skip_search: Item<bool>,
    pub(crate) http_authproxy_tokenreview_endpoint: Item<String>,
    pub(crate) http_authproxy_verify_cert: Item<bool>,
    pub(crate) ldap_base_dn: Item<String>,
    pub(crate) ldap_filter: Item<String>,
    pub(crate) ldap_group_admin_dn: Item<String>,
    pub(crate) ldap_group_attach_parallel: Item<bool>,
    pub(crate) ldap_group_attribute_name: Item<String>,
    pub(crate) ldap_group_base_dn: Item<String>,
    pub(crate) ldap_group_membership_attribute: Item<String>,
    pub(crate) ldap_group_search_filter: Item<String>,
    pub(crate) ldap_group_search_scope: Item<i64>,
    pub(crate) ldap_scope: Item<i64>,
    pub(crate) ldap_search_dn: Item<String>,
    pub(crate) ldap_timeout: Item<i64>,
    pub(crate) ldap_uid: Item<String>,
    pub(crate) ldap_url: Item<String>,
    pub(crate) ldap_verify_cert: Item<bool>,
    pub(crate) notification_enable: Item<bool>,
    pub(crate) oidc_admin_group: Item<String>,
    pub(crate) oidc_auto_onboard: Item<bool>,
    pub(crate) oidc_client_id: Item<String>,
    pub(crate) oidc_endpoint: Item<String>,
    pub(crate) oidc_extra_redirect_parms: Item<String>,
    pub(crate) oidc_group_filter: Item<String>,
    pub(crate) oidc_groups_claim: Item<String>,
    pub(crate) oidc_logout: Item<bool>,
    pub(crate) oidc_name: Item<String>,
    pub(crate) oidc_scope: Item<String>,
    pub(crate) oidc_user_claim: Item<String>,
    pub(crate) oidc_verify_cert: Item<bool>,
    pub(crate) primary_auth_mode: Item<bool>,
    pub(crate) project_creation_restriction: Item<String>,
    pub(crate) quota_per_project_enable: Item<bool>,
    pub(crate) read_only: Item<bool>,
    pub(crate) robot_name_prefix: Item<String>,
    pub(crate) robot_token_duration: Item<i64>,
    pub(crate) scanner_skip_update_pulltime: Item<bool>,
    pub(crate) self_registration: Item<bool>,
    pub(crate) session_timeout: Item<i64>,
    pub(crate) skip_audit_log_database: Item<bool>,
    pub(crate) storage_per_project: Item<i64>,
    pub(crate) token_expiration: Item<i64>,
    pub(crate) uaa_client_id: Item<String>,
    pub(crate) uaa_endpoint: Item<String>,
    pub(crate) uaa_verify_cert: Item<bool>,
}

//! Accounts, groups and robots, on the wire. A password or secret a client sends is [`Hidden`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Hidden, Ignored, Time};

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct UserResp {
    pub(crate) email: String,
    pub(crate) realname: String,
    pub(crate) comment: String,
    pub(crate) user_id: i64,
    pub(crate) username: String,
    pub(crate) sysadmin_flag: bool,
    pub(crate) admin_role_in_auth: bool,
    /// Whether the account is shut out for now: ours, not Harbor's.
    pub(crate) disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc_user_meta: Option<OidcUserInfo>,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

/// What ties an account to its identity provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct OidcUserInfo {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) subiss: String,
    pub(crate) secret: String,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

/// A request about an account: clients send back all they know of one; these fields of it are obeyed, those named beside
/// them and those of every account are read and not obeyed.
macro_rules! account {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)+ } beside $($ignored:ident)+) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $(pub(crate) $field: $kind,)+
            $(pub(crate) $ignored: Option<Ignored>,)+
            pub(crate) location: Option<Ignored>,
            pub(crate) user_id: Option<Ignored>,
            pub(crate) update_time: Option<Ignored>,
            pub(crate) creation_time: Option<Ignored>,
            pub(crate) deleted: Option<Ignored>,
            pub(crate) admin_role_in_auth: Option<Ignored>,
            pub(crate) role_id: Option<Ignored>,
            pub(crate) role_name: Option<Ignored>,
            pub(crate) reset_uuid: Option<Ignored>,
            #[serde(rename = "Salt")]
            pub(crate) salt: Option<Ignored>,
        }
    };
}

account! {
    /// An account to make. Who makes it cannot make it an administrator by this (CVE-2019-16097): what clients send
    /// beyond an account of their own is read and not obeyed.
    UserCreationReq {
        email: Option<String>,
        realname: Option<String>,
        comment: Option<String>,
        password: Option<Hidden>,
        username: Option<String>,
    } beside new_password secret sysadmin_flag
}

/// Whether an account is shut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserDisabledFlag {
    pub(crate) disabled: bool,
}

account! {
    /// What people say about themselves.
    UserProfile {
        email: Option<String>,
        realname: Option<String>,
        comment: Option<String>,
    } beside new_password secret sysadmin_flag username password disabled
}

account! {
    /// Whether an account is an administrator.
    UserSysAdminFlag {
        sysadmin_flag: Option<bool>,
    } beside new_password secret username password email realname comment disabled
}

account! {
    /// A new password, and the old one.
    PasswordReq {
        old_password: Option<Hidden>,
        new_password: Option<Hidden>,
    } beside secret sysadmin_flag username password email realname comment disabled
}

/// A new secret for clients that cannot open a browser.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CliSecretReq {
    pub(crate) secret: Option<Hidden>,
}

/// An account, as everyone who logged in may find it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct UserSearchRespItem {
    pub(crate) user_id: i64,
    pub(crate) username: String,
}

/// A group of accounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct UserGroup {
    pub(crate) id: i64,
    pub(crate) group_name: String,
    pub(crate) group_type: i64,
    pub(crate) ldap_group_dn: String,
}

/// A group to make or to rename.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserGroupReq {
    pub(crate) id: Option<Ignored>,
    pub(crate) group_name: Option<String>,
    pub(crate) group_type: Option<i64>,
    pub(crate) ldap_group_dn: Option<String>,
}

/// A group, as everyone who logged in may find it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct UserGroupSearchItem {
    pub(crate) id: i64,
    pub(crate) group_name: String,
    pub(crate) group_type: i64,
}

/// An account for a program. Its secret is not in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Robot {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration: Option<i64>,
    pub(crate) editable: bool,
    pub(crate) disable: bool,
    pub(crate) expires_at: i64,
    pub(crate) permissions: Vec<RobotPermission>,
    pub(crate) creator_type: String,
    pub(crate) creator_ref: i64,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

/// An account for a program, to make.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RobotCreate {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) secret: Option<Hidden>,
    pub(crate) level: Option<String>,
    pub(crate) disable: Option<bool>,
    pub(crate) duration: Option<i64>,
    pub(crate) permissions: Option<Vec<RobotPermission>>,
    pub(crate) id: Option<Ignored>,
    pub(crate) editable: Option<Ignored>,
    pub(crate) expires_at: Option<Ignored>,
    pub(crate) creator_type: Option<Ignored>,
    pub(crate) creator_ref: Option<Ignored>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
}

/// What to change about an account for a program.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RobotReq {
    pub(crate) id: Option<Ignored>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) secret: Option<Ignored>,
    pub(crate) level: Option<String>,
    pub(crate) duration: Option<i64>,
    pub(crate) editable: Option<Ignored>,
    pub(crate) disable: Option<bool>,
    pub(crate) expires_at: Option<Ignored>,
    pub(crate) permissions: Option<Vec<RobotPermission>>,
    pub(crate) creator_type: Option<Ignored>,
    pub(crate) creator_ref: Option<Ignored>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
}

/// A new account for a program, with the secret that is shown once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RobotCreated {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) creation_time: Time,
    pub(crate) expires_at: i64,
}

/// A secret a robot shall have; absent: one is made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RobotSecReq {
    pub(crate) secret: Option<Hidden>,
}

/// The secret a robot has now; empty when the client chose it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RobotSec {
    pub(crate) secret: String,
}

/// What a robot may do in one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RobotPermission {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<Vec<Access>>,
}

/// One thing a robot may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<String>,
}

/// What robots can be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Permissions {
    pub(crate) system: Vec<PermissionPair>,
    pub(crate) project: Vec<PermissionPair>,
}

/// One thing that can be done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PermissionPair {
    pub(crate) resource: String,
    pub(crate) action: String,
}

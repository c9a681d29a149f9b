//! The table of routes: one entry for each operation. The document, the permission table and the router all read it.

use serde_json::Value;

use super::model::content::{Accessory, Artifact, Label, LabelReq, Repository, RepositoryReq, Tag, TagReq};
use super::model::mesh::{Grant, GrantReq, GroupMembers, Role, RoleReq, Undeleted, Why};
use super::model::people::{
    CliSecretReq, PasswordReq, PermissionPair, Permissions, Robot, RobotCreate, RobotCreated, RobotReq, RobotSec,
    RobotSecReq, UserCreationReq, UserDisabledFlag, UserGroup, UserGroupReq, UserGroupSearchItem, UserProfile,
    UserResp, UserSearchRespItem, UserSysAdminFlag,
};
use super::model::project::{
    Project, ProjectDeletable, ProjectMember, ProjectMemberEntity, ProjectReq, ProjectSummary, RoleRequest,
};
use super::model::settings::{Configurations, ConfigurationsResponse, InternalConfig};
use super::model::system::{
    AuditLog, AuditLogEventType, AuditLogExt, ExecHistory, GeneralInfo, OverallHealthStatus, Quota, QuotaUpdateReq,
    ScheduleReq, SearchResult, Statistic, SystemInfo,
};
use super::route::Need::{Administrator, Handler, LoggedIn, Nothing};
use super::route::{Param, Route, Words, delete, get, head, of, patch, post, put};
use super::route::{on_project as project, on_system as system};
use crate::policy::Resource as R;
use crate::policy::Verb::{Create, Delete, List, Read, Stop, Update};

const WITH: [Param; 7] = [
    Param::flag("with_tag"),
    Param::flag("with_label"),
    Param::flag("with_scan_overview"),
    Param::flag("with_sbom_overview"),
    Param::flag("with_immutable_status"),
    Param::flag("with_accessory"),
    Param::flag("with_inherited_accessory"),
];

/// Declares [`Operation`] and [`ROUTES`] from the same lines, so that neither can lack what the other has.
macro_rules! routes {
    ($($operation:ident = $id:literal: $route:expr;)+) => {
        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Operation {
            $(#[doc = concat!("`", $id, "`.")] $operation,)+
        }

        impl Operation {
            /// Harbor's `operationId`, or ours in the same manner.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$operation => $id,)+
                }
            }
        }

        /// Every route there is.
        pub(crate) const ROUTES: &[Route] = &[$($route.serves(Operation::$operation),)+];
    };
}

routes! {
    GetPing = "getPing":
        get("/ping", "ping", Nothing, "Answers \"Pong\".")
            .text();
    GetHealth = "getHealth":
        get("/health", "health", Nothing, "Whether the parts of this node are well.")
            .gives(of::<OverallHealthStatus>);
    GetSystemInfo = "getSystemInfo":
        get("/systeminfo", "systeminfo", Nothing, "What this node is; less for those who did not log in.")
            .gives(of::<GeneralInfo>);
    GetVolumes = "getVolumes":
        get("/systeminfo/volumes", "systeminfo", system(R::SystemVolumes, Read), "Size and room of the disks.")
            .gives(of::<SystemInfo>);
    GetCert = "getCert":
        get("/systeminfo/getcert", "systeminfo", Nothing, "The certificate of the authority clients should trust.")
            .file();
    Search = "search":
        get("/search", "search", Handler, "Finds projects and repositories one may see by a word.")
            .with(&[Param::needed("q")]).gives(of::<SearchResult>);
    GetStatistic = "getStatistic":
        get("/statistics", "statistic", LoggedIn, "How much there is of what one may see.")
            .gives(of::<Statistic>);
    ListProjects = "listProjects":
        get("/projects", "project", Handler, "Projects one may see.")
            .lists(of::<Project>).with(&[Param::text("name"), Param::flag("public"), Param::text("owner"), Param::flag("with_detail")]);
    HeadProject = "headProject":
        head("/projects", "project", LoggedIn, "Whether a project of a name is there.")
            .with(&[Param::needed("project_name")]);
    CreateProject = "createProject":
        post("/projects", "project", Handler, "Makes a project.")
            .takes(of::<ProjectReq>).creates();
    GetProject = "getProject":
        get("/projects/{project_name_or_id}", "project", project(R::Project, Read), "A project.")
            .gives(of::<Project>);
    UpdateProject = "updateProject":
        put("/projects/{project_name_or_id}", "project", project(R::Project, Update), "Changes a project.")
            .takes(of::<ProjectReq>);
    DeleteProject = "deleteProject":
        delete("/projects/{project_name_or_id}", "project", project(R::Project, Delete), "Deletes a project that has no repositories.");
    GetProjectDeletable = "getProjectDeletable":
        get("/projects/{project_name_or_id}/_deletable", "project", project(R::Project, Delete), "Whether a project can be deleted, and why not.")
            .gives(of::<ProjectDeletable>);
    GetProjectSummary = "getProjectSummary":
        get("/projects/{project_name_or_id}/summary", "project", project(R::Project, Read), "The numbers of a project.")
            .gives(of::<ProjectSummary>);
    ListArtifactsOfProject = "listArtifactsOfProject":
        get("/projects/{project_name_or_id}/artifacts", "project", Handler, "Artifacts of all repositories of a project that one may see.")
            .lists(of::<Artifact>).with(&WITH).with_flag("latest_in_repository");
    GetLogs = "getLogs":
        get("/projects/{project_name}/logs", "project", project(R::Log, List), "What was done in a project, as older clients read it.")
            .lists(of::<AuditLog>);
    GetLogExts = "getLogExts":
        get("/projects/{project_name}/auditlog-exts", "project", project(R::Log, List), "What was done in a project.")
            .lists(of::<AuditLogExt>);
    ListProjectMetadatas = "listProjectMetadatas":
        get("/projects/{project_name_or_id}/metadatas/", "projectMetadata", project(R::Metadata, List), "All that is set about a project.")
            .gives(of::<Words>);
    AddProjectMetadatas = "addProjectMetadatas":
        post("/projects/{project_name_or_id}/metadatas/", "projectMetadata", project(R::Metadata, Create), "Sets something about a project.")
            .takes(of::<Words>);
    GetProjectMetadata = "getProjectMetadata":
        get("/projects/{project_name_or_id}/metadatas/{meta_name}", "projectMetadata", project(R::Metadata, Read), "One thing that is set about a project.")
            .gives(of::<Words>);
    UpdateProjectMetadata = "updateProjectMetadata":
        put("/projects/{project_name_or_id}/metadatas/{meta_name}", "projectMetadata", project(R::Metadata, Update), "Changes one thing that is set about a project.")
            .takes(of::<Words>);
    DeleteProjectMetadata = "deleteProjectMetadata":
        delete("/projects/{project_name_or_id}/metadatas/{meta_name}", "projectMetadata", project(R::Metadata, Delete), "Takes back one thing that is set about a project.");
    ListProjectMembers = "listProjectMembers":
        get("/projects/{project_name_or_id}/members", "member", project(R::Member, List), "Members of a project.")
            .pages(of::<ProjectMemberEntity>).with(&[Param::text("entityname")]);
    CreateProjectMember = "createProjectMember":
        post("/projects/{project_name_or_id}/members", "member", project(R::Member, Create), "Adds a member to a project.")
            .takes(of::<ProjectMember>).creates();
    GetProjectMember = "getProjectMember":
        get("/projects/{project_name_or_id}/members/{mid}", "member", project(R::Member, Read), "A member of a project.")
            .gives(of::<ProjectMemberEntity>);
    UpdateProjectMember = "updateProjectMember":
        put("/projects/{project_name_or_id}/members/{mid}", "member", project(R::Member, Update), "Changes the role of a member.")
            .takes(of::<RoleRequest>);
    DeleteProjectMember = "deleteProjectMember":
        delete("/projects/{project_name_or_id}/members/{mid}", "member", project(R::Member, Delete), "Takes a member out of a project.");
    ListAllRepositories = "listAllRepositories":
        get("/repositories", "repository", Handler, "Repositories one may see.")
            .lists(of::<Repository>);
    ListRepositories = "listRepositories":
        get("/projects/{project_name}/repositories", "repository", Handler, "Repositories of a project that one may see.")
            .lists(of::<Repository>);
    GetRepository = "getRepository":
        get("/projects/{project_name}/repositories/{repository_name}", "repository", project(R::Repository, Read), "A repository.")
            .gives(of::<Repository>);
    UpdateRepository = "updateRepository":
        put("/projects/{project_name}/repositories/{repository_name}", "repository", project(R::Repository, Update), "Changes the description of a repository.")
            .takes(of::<RepositoryReq>);
    DeleteRepository = "deleteRepository":
        delete("/projects/{project_name}/repositories/{repository_name}", "repository", project(R::Repository, Delete), "Deletes a repository with all it holds.");
    ListArtifacts = "listArtifacts":
        get("/projects/{project_name}/repositories/{repository_name}/artifacts", "artifact", project(R::Artifact, List), "Artifacts of a repository.")
            .lists(of::<Artifact>).with(&WITH);
    CopyArtifact = "CopyArtifact":
        post("/projects/{project_name}/repositories/{repository_name}/artifacts", "artifact", project(R::Artifact, Create), "Copies an artifact from another repository; that one must be readable too.")
            .with(&[Param::needed("from")]).creates();
    GetArtifact = "getArtifact":
        get("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}", "artifact", project(R::Artifact, Read), "An artifact by tag or digest.")
            .gives(of::<Artifact>).with(&WITH).with_flag("with_signature");
    DeleteArtifact = "deleteArtifact":
        delete("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}", "artifact", project(R::Artifact, Delete), "Deletes an artifact with its tags.");
    CreateTag = "createTag":
        post("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags", "artifact", project(R::Tag, Create), "Makes a tag for an artifact.")
            .takes(of::<TagReq>).creates();
    ListTags = "listTags":
        get("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags", "artifact", project(R::Tag, List), "Tags of an artifact.")
            .lists(of::<Tag>).with(&[Param::flag("with_immutable_status")]);
    DeleteTag = "deleteTag":
        delete("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags/{tag_name}", "artifact", project(R::Tag, Delete), "Deletes a tag; the artifact stays.");
    ListAccessories = "listAccessories":
        get("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/accessories", "artifact", project(R::Accessory, List), "What says something about an artifact.")
            .lists(of::<Accessory>);
    GetAddition = "getAddition":
        get("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/additions/{addition}", "artifact", project(R::ArtifactAddition, Read), "More about an artifact: how it was built, its files.")
            .text();
    AddLabel = "addLabel":
        post("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels", "artifact", project(R::ArtifactLabel, Create), "Puts a label on an artifact.")
            .takes(of::<LabelReq>);
    RemoveLabel = "removeLabel":
        delete("/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels/{label_id}", "artifact", project(R::ArtifactLabel, Delete), "Takes a label off an artifact.");
    ListUsers = "listUsers":
        get("/users", "user", system(R::User, List), "Accounts.")
            .lists(of::<UserResp>);
    CreateUser = "createUser":
        post("/users", "user", Handler, "Makes an account: an administrator, or anyone where people may register themselves.")
            .takes(of::<UserCreationReq>).creates();
    GetCurrentUserInfo = "getCurrentUserInfo":
        get("/users/current", "user", LoggedIn, "Who one is.")
            .gives(of::<UserResp>);
    SearchUsers = "searchUsers":
        get("/users/search", "user", LoggedIn, "Finds accounts by a piece of their name.")
            .pages(of::<UserSearchRespItem>).with(&[Param::needed("username")]);
    GetCurrentUserPermissions = "getCurrentUserPermissions":
        get("/users/current/permissions", "user", LoggedIn, "What one may do.")
            .with(&[Param::text("scope"), Param::flag("relative")]).gives(of::<Vec<PermissionPair>>);
    GetUser = "getUser":
        get("/users/{user_id}", "user", Handler, "An account: one's own, or for an administrator any.")
            .gives(of::<UserResp>);
    UpdateUserProfile = "updateUserProfile":
        put("/users/{user_id}", "user", Handler, "Changes what an account says about itself.")
            .takes(of::<UserProfile>);
    DeleteUser = "deleteUser":
        delete("/users/{user_id}", "user", Handler, "Deletes an account.");
    SetUserSysAdmin = "setUserSysAdmin":
        put("/users/{user_id}/sysadmin", "user", Administrator, "Makes an account an administrator, or no longer one.")
            .takes(of::<UserSysAdminFlag>);
    UpdateUserPassword = "updateUserPassword":
        put("/users/{user_id}/password", "user", Handler, "Changes a password.")
            .takes(of::<PasswordReq>);
    SetCliSecret = "setCliSecret":
        put("/users/{user_id}/cli_secret", "user", Handler, "Changes the secret for clients that cannot open a browser.")
            .takes(of::<CliSecretReq>);
    ListUserGroups = "listUserGroups":
        get("/usergroups", "usergroup", system(R::UserGroup, List), "Groups.")
            .pages(of::<UserGroup>).with(&[Param::text("ldap_group_dn"), Param::text("group_name")]);
    CreateUserGroup = "createUserGroup":
        post("/usergroups", "usergroup", system(R::UserGroup, Create), "Makes a group.")
            .takes(of::<UserGroupReq>).creates();
    SearchUserGroups = "searchUserGroups":
        get("/usergroups/search", "usergroup", LoggedIn, "Finds groups by a piece of their name.")
            .pages(of::<UserGroupSearchItem>).with(&[Param::needed("groupname")]);
    GetUserGroup = "getUserGroup":
        get("/usergroups/{group_id}", "usergroup", system(R::UserGroup, Read), "A group.")
            .gives(of::<UserGroup>);
    UpdateUserGroup = "updateUserGroup":
        put("/usergroups/{group_id}", "usergroup", system(R::UserGroup, Update), "Renames a group.")
            .takes(of::<UserGroupReq>);
    DeleteUserGroup = "deleteUserGroup":
        delete("/usergroups/{group_id}", "usergroup", system(R::UserGroup, Delete), "Deletes a group.");
    ListRobot = "ListRobot":
        get("/robots", "robot", Handler, "Robots of the system, or of the project the query names.")
            .lists(of::<Robot>);
    CreateRobot = "CreateRobot":
        post("/robots", "robot", Handler, "Makes a robot; its secret is shown this once.")
            .takes(of::<RobotCreate>).gives(of::<RobotCreated>).creates();
    GetRobotByID = "GetRobotByID":
        get("/robots/{robot_id}", "robot", Handler, "A robot.")
            .gives(of::<Robot>);
    UpdateRobot = "UpdateRobot":
        put("/robots/{robot_id}", "robot", Handler, "Changes a robot.")
            .takes(of::<RobotReq>);
    RefreshSec = "RefreshSec":
        patch("/robots/{robot_id}", "robot", Handler, "Gives a robot a new secret.")
            .takes(of::<RobotSecReq>).gives(of::<RobotSec>);
    DeleteRobot = "DeleteRobot":
        delete("/robots/{robot_id}", "robot", Handler, "Deletes a robot.");
    GetPermissions = "getPermissions":
        get("/permissions", "permissions", Handler, "What robots can be given, for those who may make any.")
            .gives(of::<Permissions>);
    ListQuotas = "listQuotas":
        get("/quotas", "quota", system(R::Quota, List), "What projects may hold, and hold.")
            .pages(of::<Quota>).with(&[Param::text("reference"), Param::text("reference_id"), Param::text("sort")]);
    GetQuota = "getQuota":
        get("/quotas/{id}", "quota", system(R::Quota, Read), "What one project may hold, and holds.")
            .gives(of::<Quota>);
    UpdateQuota = "updateQuota":
        put("/quotas/{id}", "quota", system(R::Quota, Update), "Changes what a project may hold.")
            .takes(of::<QuotaUpdateReq>);
    ListLabels = "ListLabels":
        get("/labels", "label", Handler, "Labels of the system, or of the project the query names.")
            .lists(of::<Label>).with(&[Param::text("name"), Param::text("scope"), Param::number("project_id")]);
    CreateLabel = "CreateLabel":
        post("/labels", "label", Handler, "Makes a label.")
            .takes(of::<LabelReq>).creates();
    GetLabelByID = "GetLabelByID":
        get("/labels/{label_id}", "label", Handler, "A label.")
            .gives(of::<Label>);
    UpdateLabel = "UpdateLabel":
        put("/labels/{label_id}", "label", Handler, "Changes a label.")
            .takes(of::<LabelReq>);
    DeleteLabel = "DeleteLabel":
        delete("/labels/{label_id}", "label", Handler, "Deletes a label.");
    ListAuditLogs = "listAuditLogs":
        get("/audit-logs", "auditlog", Handler, "What was done in projects one administers, as older clients read it.")
            .lists(of::<AuditLog>);
    ListAuditLogExts = "listAuditLogExts":
        get("/auditlog-exts", "auditlog", Handler, "What was done: all for an administrator, else in projects one administers.")
            .lists(of::<AuditLogExt>);
    ListAuditLogEventTypes = "listAuditLogEventTypes":
        get("/auditlog-exts/events", "auditlog", system(R::AuditLog, List), "What kinds of acts are written down.")
            .gives(of::<Vec<AuditLogEventType>>);
    GetPurgeHistory = "getPurgeHistory":
        get("/system/purgeaudit", "purge", system(R::PurgeAudit, List), "Runs that deleted old acts.")
            .lists(of::<ExecHistory>);
    GetPurgeSchedule = "getPurgeSchedule":
        get("/system/purgeaudit/schedule", "purge", system(R::PurgeAudit, Read), "When old acts are deleted.")
            .gives(of::<ExecHistory>);
    CreatePurgeSchedule = "createPurgeSchedule":
        post("/system/purgeaudit/schedule", "purge", system(R::PurgeAudit, Create), "Sets when old acts are deleted, or deletes them now.")
            .takes(of::<ScheduleReq>).creates();
    UpdatePurgeSchedule = "updatePurgeSchedule":
        put("/system/purgeaudit/schedule", "purge", system(R::PurgeAudit, Update), "Changes when old acts are deleted.")
            .takes(of::<ScheduleReq>);
    GetPurgeJob = "getPurgeJob":
        get("/system/purgeaudit/{purge_id}", "purge", system(R::PurgeAudit, Read), "One such run.")
            .gives(of::<ExecHistory>);
    StopPurge = "stopPurge":
        put("/system/purgeaudit/{purge_id}", "purge", system(R::PurgeAudit, Stop), "Stops one such run.");
    GetPurgeJobLog = "getPurgeJobLog":
        get("/system/purgeaudit/{purge_id}/log", "purge", system(R::PurgeAudit, Read), "What one such run wrote.")
            .text();
    GetInternalconfig = "getInternalconfig":
        get("/internalconfig", "configure", Handler, "Every setting, also those of this node's own file.")
            .gives(of::<InternalConfig>);
    GetConfigurations = "getConfigurations":
        get("/configurations", "configure", system(R::Configuration, Read), "What is set about the installation.")
            .gives(of::<ConfigurationsResponse>);
    UpdateConfigurations = "updateConfigurations":
        put("/configurations", "configure", system(R::Configuration, Update), "Sets something about the installation.")
            .takes(of::<Configurations>);
    GetNodeStatus = "getNodeStatus":
        get("/mesh/node/status", "mesh", Administrator, "Counts and condition of this node.")
            .gives(of::<Value>);
    CollectGarbage = "collectGarbage":
        post("/mesh/node/gc", "mesh", Administrator, "Deletes what nothing refers to.")
            .with(&[Param::flag("dry_run")]).gives(of::<Value>);
    ScrubNode = "scrubNode":
        post("/mesh/node/scrub", "mesh", Administrator, "Reads everything back and compares it with its digest.")
            .gives(of::<Value>);
    SnapshotNode = "snapshotNode":
        post("/mesh/node/snapshot", "mesh", Administrator, "Writes the index of this node to a second place.")
            .gives(of::<Value>);
    GetTagHistory = "getTagHistory":
        get("/mesh/node/history", "mesh", Administrator, "What a tag named before.")
            .with(&[Param::needed("repository"), Param::needed("tag"), Param::number("limit")]).gives(of::<Value>);
    ListConflicts = "listConflicts":
        get("/mesh/node/conflicts", "mesh", Administrator, "Tags and records that sites disagree about.")
            .gives(of::<Value>);
    DecideConflict = "decideConflict":
        post("/mesh/node/conflicts", "mesh", Administrator, "Decides one disagreement.")
            .takes(of::<Value>).gives(of::<Value>);
    Undelete = "undelete":
        post("/mesh/node/undelete", "mesh", Administrator, "Brings back a tag or a manifest.")
            .takes(of::<Value>).gives(of::<Value>);
    VerifyAudit = "verifyAudit":
        post("/mesh/node/audit/verify", "mesh", Administrator, "Holds the audit log against its chain.")
            .gives(of::<Value>);
    ListRoles = "listRoles":
        get("/mesh/roles", "mesh", LoggedIn, "Roles, built in and the installation's own.")
            .lists(of::<Role>);
    CreateRole = "createRole":
        post("/mesh/roles", "mesh", Administrator, "Makes a role.")
            .takes(of::<RoleReq>).creates();
    GetRole = "getRole":
        get("/mesh/roles/{role_id}", "mesh", LoggedIn, "A role.")
            .gives(of::<Role>);
    UpdateRole = "updateRole":
        put("/mesh/roles/{role_id}", "mesh", Administrator, "Changes a role.")
            .takes(of::<RoleReq>);
    DeleteRole = "deleteRole":
        delete("/mesh/roles/{role_id}", "mesh", Administrator, "Deletes a role that nobody has.");
    ListGrants = "listGrants":
        get("/mesh/projects/{project_name_or_id}/grants", "mesh", project(R::Member, List), "Rights over single repositories of a project.")
            .lists(of::<Grant>);
    CreateGrant = "createGrant":
        post("/mesh/projects/{project_name_or_id}/grants", "mesh", project(R::Member, Create), "Gives a right over single repositories of a project.")
            .takes(of::<GrantReq>).creates();
    DeleteGrant = "deleteGrant":
        delete("/mesh/projects/{project_name_or_id}/grants/{grant_id}", "mesh", project(R::Member, Delete), "Takes such a right back.");
    DeleteFullProject = "deleteFullProject":
        delete("/mesh/projects/{project_name}", "mesh", Administrator, "Deletes a project with all that is in it, at once; it can be undone.");
    UndeleteProject = "undeleteProject":
        post("/mesh/projects/{project_name}/undelete", "mesh", Administrator, "Brings back the project of this name that was deleted last, with all that was in it and is still kept.")
            .gives(of::<Undeleted>);
    GetGroupMembers = "getGroupMembers":
        get("/mesh/usergroups/{group_id}/members", "mesh", system(R::UserGroup, Read), "The local accounts in a group.")
            .gives(of::<GroupMembers>);
    SetGroupMembers = "setGroupMembers":
        put("/mesh/usergroups/{group_id}/members", "mesh", system(R::UserGroup, Update), "Sets the local accounts in a group.")
            .takes(of::<GroupMembers>);
    SetUserDisabled = "setUserDisabled":
        put("/mesh/users/{user_id}/disabled", "mesh", Handler, "Shuts an account out, or lets it in again.")
            .takes(of::<UserDisabledFlag>);
    Why = "why":
        get("/mesh/why", "mesh", Handler, "Why someone may or may not do something with an image: oneself, or for those who administer it anyone.")
            .with(&[Param::text("principal"), Param::needed("action"), Param::needed("image")]).gives(of::<Why>);
    GetOpenapi = "getOpenapi":
        get("/mesh/openapi.json", "mesh", Nothing, "This document.")
            .gives(of::<Value>);
}

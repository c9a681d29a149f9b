//! Repositories, artifacts and what hangs on them, on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Ignored, Time};

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Repository {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) artifact_count: i64,
    pub(crate) pull_count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) creation_time: Option<Time>,
    pub(crate) update_time: Time,
}

/// What to change about a repository: its description.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RepositoryReq {
    pub(crate) id: Option<Ignored>,
    pub(crate) project_id: Option<Ignored>,
    pub(crate) name: Option<Ignored>,
    pub(crate) description: Option<String>,
    pub(crate) artifact_count: Option<Ignored>,
    pub(crate) pull_count: Option<Ignored>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
}

/// A manifest with what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Artifact {
    pub(crate) id: i64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) media_type: String,
    pub(crate) manifest_media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) project_id: i64,
    pub(crate) repository_id: i64,
    pub(crate) repository_name: String,
    pub(crate) digest: String,
    pub(crate) size: i64,
    pub(crate) icon: String,
    pub(crate) push_time: Time,
    pub(crate) pull_time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra_attrs: Option<BTreeMap<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) references: Vec<Reference>,
    pub(crate) tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) addition_links: Option<BTreeMap<String, AdditionLink>>,
    pub(crate) labels: Vec<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan_overview: Option<BTreeMap<String, NativeReportSummary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sbom_overview: Option<SbomOverview>,
    pub(crate) accessories: Vec<Accessory>,
    pub(crate) inherited_accessories: Vec<Accessory>,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Tag {
    pub(crate) id: i64,
    pub(crate) repository_id: i64,
    pub(crate) artifact_id: i64,
    pub(crate) name: String,
    pub(crate) push_time: Time,
    pub(crate) pull_time: Time,
    pub(crate) immutable: bool,
}

/// A tag to make: its name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TagReq {
    pub(crate) id: Option<Ignored>,
    pub(crate) repository_id: Option<Ignored>,
    pub(crate) artifact_id: Option<Ignored>,
    pub(crate) name: Option<String>,
    pub(crate) push_time: Option<Ignored>,
    pub(crate) pull_time: Option<Ignored>,
    pub(crate) immutable: Option<Ignored>,
}

/// A manifest that says something about another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Accessory {
    pub(crate) id: i64,
    pub(crate) artifact_id: i64,
    pub(crate) subject_artifact_id: i64,
    pub(crate) subject_artifact_digest: String,
    pub(crate) subject_artifact_repo: String,
    pub(crate) size: i64,
    pub(crate) digest: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) icon: String,
    pub(crate) creation_time: Time,
}

/// A child of an index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Reference {
    pub(crate) parent_id: i64,
    pub(crate) child_id: i64,
    pub(crate) child_digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) urls: Vec<String>,
}

/// What a child runs on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(rename = "os.version")]
    pub(crate) os_version: String,
    #[serde(rename = "os.features")]
    pub(crate) os_features: Vec<String>,
    pub(crate) variant: String,
}

/// Where more about an artifact is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct AdditionLink {
    pub(crate) href: String,
    pub(crate) absolute: bool,
}

/// What a scan found, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct NativeReportSummary {
    pub(crate) report_id: String,
    pub(crate) scan_status: String,
    pub(crate) severity: String,
    pub(crate) duration: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<VulnerabilitySummary>,
    pub(crate) start_time: Time,
    pub(crate) end_time: Time,
    pub(crate) complete_percent: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scanner: Option<Scanner>,
}

/// How many of what severity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct VulnerabilitySummary {
    pub(crate) total: i64,
    pub(crate) fixable: i64,
    pub(crate) summary: BTreeMap<String, i64>,
}

/// Where the list of contents of an artifact is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct SbomOverview {
    pub(crate) start_time: Time,
    pub(crate) end_time: Time,
    pub(crate) scan_status: String,
    pub(crate) sbom_digest: String,
    pub(crate) report_id: String,
    pub(crate) duration: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scanner: Option<Scanner>,
}

/// Who scanned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Scanner {
    pub(crate) name: String,
    pub(crate) vendor: String,
    pub(crate) version: String,
}

/// A label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Label {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) color: String,
    pub(crate) scope: String,
    pub(crate) project_id: i64,
    pub(crate) creation_time: Time,
    pub(crate) update_time: Time,
}

/// A label to make, to change or to put on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LabelReq {
    pub(crate) id: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) color: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) project_id: Option<i64>,
    pub(crate) creation_time: Option<Ignored>,
    pub(crate) update_time: Option<Ignored>,
    pub(crate) deleted: Option<Ignored>,
}

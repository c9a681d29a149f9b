//! What is set about a project under the names Harbor's clients know: which names there are and what they may hold. No
//! state.
//!
//! `public` and `sparse` are part of a project's settings; the rest are texts of its metadata. None of them names an
//! object by its id: that of a retention policy could be another project's (CVE-2022-31670).

use std::sync::Arc;

use protocol::record::governed::Metadata;
use protocol::record::value::Settings;

use super::Registry;
use super::projects::still;
use crate::directory::{DirectoryError, Draft, ProjectChange};
use crate::policy::ProjectPermit;

/// Whether anyone may pull.
pub const PUBLIC: &str = "public";
/// Whether a manifest may name content that is not here.
pub const SPARSE: &str = "sparse";
/// Where the vulnerabilities that are not counted are kept, as JSON. Has a way of its own and is none of the names.
pub const ALLOWLIST: &str = "cve_allowlist";

/// What one name may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Flag,
    Severity,
    Number,
    /// A number of things, or -1: any number.
    Count,
    /// Only of projects that stand for another registry.
    OfProxy,
}

const NAMES: [(&str, Holds); 14] = [
    (PUBLIC, Holds::Flag),
    (SPARSE, Holds::Flag),
    ("enable_content_trust", Holds::Flag),
    ("enable_content_trust_cosign", Holds::Flag),
    ("auto_sbom_generation", Holds::Flag),
    ("prevent_vul", Holds::Flag),
    ("auto_scan", Holds::Flag),
    ("reuse_sys_cve_allowlist", Holds::Flag),
    ("proxy_cache_local_on_not_found", Holds::Flag),
    ("proxy_referrer_api", Holds::Flag),
    ("severity", Holds::Severity),
    ("proxy_speed_kb", Holds::Number),
    ("max_upstream_conn", Holds::Count),
    ("proxy_cache_filter_pattern", Holds::OfProxy),
];

fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What `name` is set to by `value`, in the one spelling it is kept in.
///
/// # Errors
/// [`DirectoryError::Invalid`] for a name there is not, and for what it can't hold.
pub fn normal(name: &str, value: &str) -> Result<String, DirectoryError> {
    let Some((_, holds)) = NAMES.iter().find(|(known, _)| *known == name) else {
        return Err(DirectoryError::Invalid(format!("{name} can't be set about a project")));
    };
    let number = || value.parse::<i32>().ok();
    let kept = match holds {
        Holds::Flag => flag(value).map(|flag| flag.to_string()),
        Holds::Severity => {
            let severity = value.to_ascii_lowercase();
            matches!(severity.as_str(), "none" | "low" | "medium" | "high" | "critical").then_some(severity)
        }
        Holds::Number => number().map(|number| number.to_string()),
        Holds::Count => number().filter(|number| *number > 0 || *number == -1).map(|number| number.to_string()),
        Holds::OfProxy => None,
    };
    kept.ok_or_else(|| DirectoryError::Invalid(format!("{name} can't be {}", value.escape_default())))
}

/// Everything that is set, by name.
#[must_use]
pub fn all(settings: &Settings) -> Metadata {
    let known = |(name, _): &(&String, &String)| NAMES.iter().any(|(known, _)| known == name);
    let mut all: Metadata =
        settings.metadata.iter().filter(known).map(|(name, value)| (name.clone(), value.clone())).collect();
    all.insert(PUBLIC.to_owned(), settings.public.to_string());
    if settings.sparse {
        all.insert(SPARSE.to_owned(), settings.sparse.to_string());
    }
    all
}

impl ProjectChange {
    /// Also sets `name`; `None`: takes back what is set.
    ///
    /// # Errors
    /// As [`normal`].
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), DirectoryError> {
        let kept = value.map(|value| normal(name, value)).transpose()?;
        match name {
            PUBLIC => self.public = Some(kept.is_some_and(|kept| kept == "true")),
            SPARSE => self.sparse = Some(kept.is_some_and(|kept| kept == "true")),
            _ if NAMES.iter().any(|(known, _)| *known == name) => self.metadata.push((name.to_owned(), kept)),
            // Takes back nothing: what is kept beside the names is not for this way.
            _ => {}
        }
        Ok(())
    }
}

impl Registry {
    /// Sets something that is not set yet.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn add_metadata(
        &self,
        permit: &ProjectPermit,
        name: &str,
        value: &str,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let mut change = ProjectChange::default();
        change.set(name, Some(value))?;
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            still(draft.book, permit)?;
            let project = draft.book.project(permit.name()).ok_or(DirectoryError::Absent("project"))?;
            if all(&project.settings).contains_key(name) {
                return Err(DirectoryError::Exists(name.to_owned()));
            }
            draft.change_project(permit.name(), &change)
        };
        self.directory.change(&act, decide).await
    }

    /// Changes what is set about a project.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn change_project(
        &self,
        permit: &ProjectPermit,
        change: ProjectChange,
        request: &Arc<str>,
    ) -> Result<(), DirectoryError> {
        let act = self.act(permit.actor(), request);
        let decide = |draft: &mut Draft<'_>| {
            still(draft.book, permit)?;
            draft.change_project(permit.name(), &change)
        };
        self.directory.change(&act, decide).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_kept_in_one_spelling() {
        for (name, value, kept) in [
            ("public", "T", "true"),
            ("prevent_vul", "1", "true"),
            ("auto_scan", "False", "false"),
            ("severity", "High", "high"),
            ("proxy_speed_kb", "-1", "-1"),
            ("max_upstream_conn", "0010", "10"),
        ] {
            assert_eq!(normal(name, value).unwrap(), kept, "{name}");
        }
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for (name, value) in [
            ("public", "perhaps"),
            ("severity", "dreadful"),
            ("severity", "unknown"),
            ("max_upstream_conn", "0"),
            ("proxy_speed_kb", "2147483648"),
            ("proxy_cache_filter_pattern", "**"),
            ("bananas", "5"),
            ("owner", "eve"),
        ] {
            assert!(matches!(normal(name, value), Err(DirectoryError::Invalid(_))), "{name}={value}");
        }
    }

    #[test]
    fn cve_2022_31670_the_id_of_a_retention_policy_is_not_a_clients_to_set() {
        assert!(normal("retention_id", "7").is_err());
        assert!(ProjectChange::default().set("retention_id", Some("7")).is_err());
    }

    #[test]
    fn what_is_kept_beside_the_names_is_neither_shown_nor_changed_by_them() {
        let mut settings = Settings::new(protocol::Timestamp(1), false, false);
        settings.metadata.insert(ALLOWLIST.to_owned(), "{}".to_owned());
        assert_eq!(all(&settings), Metadata::from([("public".to_owned(), "false".to_owned())]));
        let mut change = ProjectChange::default();
        change.set(ALLOWLIST, None).unwrap();
        assert!(change.metadata.is_empty() && change.set(ALLOWLIST, Some("{}")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_kept_as_it_is(name in 0..NAMES.len(), value in ".{0,12}") {
            let name = NAMES[name].0;
            if let Ok(kept) = normal(name, &value) {
                prop_assert_eq!(normal(name, &kept).unwrap(), kept);
            }
        }
    }
}

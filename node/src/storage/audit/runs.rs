//! Runs of purges: how they are asked for, and what came of them. Owns no state.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::Timestamp;
use serde::{Deserialize, Serialize};

use super::purge::{PurgeReport, PurgeRules};
use super::schedule::ScheduleKind;
use super::words::EventType;

/// Longest retention in hours, as Harbor's.
pub const LONGEST_RETENTION: u32 = 240_000;

/// How a purge is asked for, in Harbor's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PurgeParameters {
    /// Hours an entry is kept.
    pub audit_retention_hour: u32,
    /// Types, with commas between them; `other` stands for those Harbor does not name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub include_event_types: String,
    /// Operations, with commas between them: every type of these.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub include_operations: String,
    /// Only count.
    pub dry_run: bool,
}

impl PurgeParameters {
    /// What they mean at a moment. Words nobody knows mean nothing, and with no type nothing goes.
    #[must_use]
    pub fn rules(&self, now: Timestamp) -> PurgeRules {
        let words = |text: &str| -> Vec<String> {
            text.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty()).collect()
        };
        let (named, operations) = (words(&self.include_event_types), words(&self.include_operations));
        let mut types: BTreeSet<_> = named.iter().filter_map(|name| EventType::parse(name)).collect();
        if named.iter().any(|name| name == "other") {
            types.extend(EventType::all().skip(EventType::HARBORS));
        }
        types.extend(EventType::all().filter(|of| operations.iter().any(|word| word == of.operation.name())));
        let kept = Duration::from_secs(u64::from(self.audit_retention_hour.min(LONGEST_RETENTION)) * 3600);
        let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        PurgeRules { before: Timestamp(now.0.saturating_sub(kept)), types, dry_run: self.dry_run }
    }
}

/// What came of a purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeState {
    /// It waits for its turn, or runs.
    Running,
    /// This.
    Done(PurgeReport),
    /// It was stopped before it removed anything.
    Stopped,
    /// This went wrong.
    Failed(String),
}

/// A purge that ran, or runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Its number, from 1.
    pub id: u64,
    /// Whether a schedule or a person asked for it.
    pub trigger: ScheduleKind,
    /// Who.
    pub by: String,
    /// How it was asked for.
    pub parameters: PurgeParameters,
    /// When it began.
    pub begun: Timestamp,
    /// When it ended; while it runs, when it began.
    pub ended: Timestamp,
    /// What came of it.
    pub state: PurgeState,
}

impl Purged {
    /// What it did, in lines for people: Harbor's log of a job.
    #[must_use]
    pub fn log(&self) -> String {
        let Self { id, by, parameters, begun, ended, state, .. } = self;
        let dry = if parameters.dry_run { " (dry run)" } else { "" };
        let head =
            format!("{begun} purge {id} of {by}{dry}: entries older than {} hours", parameters.audit_retention_hour);
        let types = [&*parameters.include_event_types, &*parameters.include_operations].join(" ");
        let end = match state {
            PurgeState::Running => "it is running".into(),
            PurgeState::Stopped => format!("{ended} stopped; nothing was removed"),
            PurgeState::Done(report) => format!(
                "{ended} {} entries looked at, {} purged; {} files removed, {} written anew",
                report.examined, report.purged, report.files_removed, report.files_rewritten
            ),
            PurgeState::Failed(error) => format!("{ended} failed: {error}"),
        };
        format!("{head}; of types: {types}\n{end}\n")
    }
}

//! What a run is like: how many nodes, what they do, what breaks.
//!
//! A scenario is a TOML file in `scenarios/`; a key it does not know is refused, so that a misspelt fault can't pass as
//! a run without faults. Scenarios are read once and never written.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::invariants::Invariant;
use crate::network::LinkQuality;
use crate::workload::commits::Safeguards;
use crate::workload::sites::SitesPlan;

/// The scenarios that come with this package.
const BUILT_IN: [(&str, &str); 26] = [
    ("commits", include_str!("../scenarios/commits.toml")),
    ("commits-trusting-a-failed-sync", include_str!("../scenarios/commits-trusting-a-failed-sync.toml")),
    ("commits-without-directory-sync", include_str!("../scenarios/commits-without-directory-sync.toml")),
    ("commits-without-file-sync", include_str!("../scenarios/commits-without-file-sync.toml")),
    ("partitions", include_str!("../scenarios/partitions.toml")),
    ("sites", include_str!("../scenarios/sites.toml")),
    ("sites-acknowledging-unsynced", include_str!("../scenarios/sites-acknowledging-unsynced.toml")),
    ("sites-churn", include_str!("../scenarios/sites-churn.toml")),
    ("sites-clocks", include_str!("../scenarios/sites-clocks.toml")),
    ("sites-clocks-hours", include_str!("../scenarios/sites-clocks-hours.toml")),
    ("sites-deaf-to-peers", include_str!("../scenarios/sites-deaf-to-peers.toml")),
    ("sites-hiding-conflicts", include_str!("../scenarios/sites-hiding-conflicts.toml")),
    ("sites-large", include_str!("../scenarios/sites-large.toml")),
    ("sites-liars", include_str!("../scenarios/sites-liars.toml")),
    ("sites-middle", include_str!("../scenarios/sites-middle.toml")),
    ("sites-never-judging-again", include_str!("../scenarios/sites-never-judging-again.toml")),
    ("sites-ranking-by-arrival", include_str!("../scenarios/sites-ranking-by-arrival.toml")),
    ("sites-refusing-the-unknown", include_str!("../scenarios/sites-refusing-the-unknown.toml")),
    ("sites-restored-without-a-new-life", include_str!("../scenarios/sites-restored-without-a-new-life.toml")),
    ("sites-revert", include_str!("../scenarios/sites-revert.toml")),
    ("sites-rollback", include_str!("../scenarios/sites-rollback.toml")),
    ("sites-sending-no-values", include_str!("../scenarios/sites-sending-no-values.toml")),
    ("sites-sending-unsynced", include_str!("../scenarios/sites-sending-unsynced.toml")),
    ("sites-verdicts", include_str!("../scenarios/sites-verdicts.toml")),
    ("sites-with-a-horizon", include_str!("../scenarios/sites-with-a-horizon.toml")),
    ("swizzle-clog", include_str!("../scenarios/swizzle-clog.toml")),
];

/// A kind of run; the seed makes it a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending; what `sim replay` is told.
    #[serde(skip)]
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Invariants that runs have to break, each in some seed, for a scenario that leaves something out on purpose.
    #[serde(default)]
    pub breaks: BTreeSet<Invariant>,
    /// How many nodes.
    pub nodes: u32,
    /// How long things go wrong.
    pub run_ms: u64,
    /// How long the world goes on after everything has been healed.
    pub heal_ms: u64,
    /// The links.
    #[serde(default)]
    pub link: LinkQuality,
    /// What breaks.
    #[serde(default)]
    pub faults: FaultPlan,
    /// Nodes ask each other.
    pub asking: Option<AskingPlan>,
    /// Nodes store objects.
    pub commits: Option<CommitsPlan>,
    /// Sites of a mesh write and exchange records.
    pub sites: Option<SitesPlan>,
}

/// How often what breaks, over the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    /// Nodes that lose power.
    pub power_cuts: u32,
    /// Processes that are killed.
    pub kills: u32,
    /// Disk operations that fail.
    pub disk_faults: u32,
    /// Links that are cut, in one direction.
    pub link_cuts: u32,
    /// The longest a link stays cut.
    pub cut_ms: u64,
    /// Rounds in which many links are clogged one by one and released in another order.
    pub swizzles: u32,
    /// How long a round takes.
    pub swizzle_ms: u64,
    /// Wall clocks that jump.
    pub clock_jumps: u32,
    /// How far at most, in either direction.
    pub clock_jump_ms: u64,
    /// After how long at most a site's clock is put right; 0: only when all is healed.
    pub clock_wrong_ms: u64,
    /// Sites that lose what is not synced.
    pub crashes: u32,
    /// Sites that are restored from an older state, and know that they were started.
    pub rollbacks: u32,
    /// Sites that are set back while they run, and notice nothing.
    pub reverts: u32,
    /// Sites that are gone for good.
    pub deaths: u32,
    /// Sites that are away.
    pub absences: u32,
    /// For how long at most.
    pub away_ms: u64,
    /// Sites that join late, the last ones.
    pub late: u32,
    /// Disks that are full.
    pub full_disks: u32,
    /// For how long at most.
    pub full_ms: u64,
    /// Acts of the root and of authorities: sites, authorities or single grants retired, narrowed, compromised;
    /// authorities suspended and spoken for; records endorsed; grants renewed.
    pub verdicts: u32,
    /// Sites that send nonsense: the ones behind the authorities.
    pub liars: u32,
    /// Sites that answer nothing: the ones behind the liars.
    pub silent: u32,
    /// Two boxes under one key: the ones behind the silent.
    pub equivocators: u32,
}

impl FaultPlan {
    /// Whether there are faults that only a node with a disk notices: without one they would pass unseen.
    const fn need_a_store(&self) -> bool {
        self.power_cuts > 0 || self.kills > 0 || self.disk_faults > 0
    }

    /// Whether there are faults that only sites notice.
    const fn need_sites(&self) -> bool {
        let states = self.crashes + self.rollbacks + self.reverts + self.full_disks;
        let places = self.deaths + self.absences + self.late + self.verdicts;
        states + places + self.misbehaving() > 0
    }

    /// How many sites do wrong on purpose.
    #[must_use]
    pub const fn misbehaving(&self) -> u32 {
        self.liars + self.silent + self.equivocators
    }
}

/// The workload [`crate::workload::asking`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskingPlan {
    /// A new question in every interval.
    pub every_ms: u64,
    /// An open question is sent again after this time.
    pub retry_ms: u64,
    /// How soon a question is answered once nothing is broken.
    pub answer_within_ms: u64,
}

/// The workload [`crate::workload::commits`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitsPlan {
    /// The longest time between two calls to the disk.
    pub step_ms: u64,
    /// How long a node is down after a crash.
    pub down_ms: u64,
    /// What the store does to be safe.
    #[serde(default)]
    pub safeguards: Safeguards,
}

/// A scenario that can't be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither built in nor a file that can be read.
    #[error("no scenario {name}: built in are {}", Scenario::names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Why it is not a file either.
        source: std::io::Error,
    },
    /// Not a scenario.
    #[error("scenario {name} can't be read")]
    Malformed {
        /// Which.
        name: String,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A number that makes no sense.
    #[error("scenario {name}: {key} must be {rule}")]
    OutOfRange {
        /// Which.
        name: String,
        /// The key.
        key: &'static str,
        /// What is allowed.
        rule: &'static str,
    },
}

impl Scenario {
    /// The names of the scenarios that are built in.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// A built-in scenario by name, or one from a file by path.
    ///
    /// # Errors
    /// When there is none, or it is not valid.
    pub fn load(name: &str) -> Result<Self, ScenarioError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let unknown = |source| ScenarioError::Unknown { name: name.to_owned(), source };
        Self::parse(name, &std::fs::read_to_string(Path::new(name)).map_err(unknown)?)
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// When it is not valid; unknown keys are refused.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let malformed = |source| ScenarioError::Malformed { name: name.to_owned(), source };
        let scenario = Self { name: name.to_owned(), ..toml::from_str(text).map_err(malformed)? };
        scenario.check()?;
        Ok(scenario)
    }

    /// How soon a question must be answered.
    #[must_use]
    pub fn answer_within(&self) -> Duration {
        self.asking.as_ref().map_or(Duration::MAX, |asking| Duration::from_millis(asking.answer_within_ms))
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let asking = self.asking.as_ref();
        let share = |share: f64| (0.0..=1.0).contains(&share);
        // An interval of nothing would keep the world at one moment for ever.
        let rules = [
            (self.nodes >= 1 && self.nodes <= 1000, "nodes", "from 1 to 1000"),
            (self.run_ms >= 1, "run_ms", "at least 1"),
            (asking.is_none_or(|asking| asking.every_ms >= 1), "asking.every_ms", "at least 1"),
            (asking.is_none_or(|asking| asking.retry_ms >= 1), "asking.retry_ms", "at least 1"),
            (self.commits.as_ref().is_none_or(|commits| commits.step_ms >= 1), "commits.step_ms", "at least 1"),
            (share(self.link.loss), "link.loss", "from 0 to 1"),
            (share(self.link.duplicate), "link.duplicate", "from 0 to 1"),
            (share(self.link.reorder), "link.reorder", "from 0 to 1"),
            (self.commits.is_some() || !self.faults.need_a_store(), "faults", "of links and clocks without [commits]"),
            (self.sites.is_some() || !self.faults.need_sites(), "faults", "of links, disks and clocks without [sites]"),
            (self.sites.as_ref().is_none_or(|sites| sites.act_ms >= 1), "sites.act_ms", "at least 1"),
            (self.sites.as_ref().is_none_or(|sites| sites.meet_ms >= 1), "sites.meet_ms", "at least 1"),
            (
                self.sites.as_ref().is_none_or(|sites| {
                    let others = self.faults.misbehaving().saturating_add(self.faults.late);
                    (1..=3).contains(&sites.authorities) && self.nodes > 1 + sites.authorities.saturating_add(others)
                }),
                "sites.authorities",
                "from 1 to 3, with the root, one honest site, the misbehaving and the late beside them",
            ),
            (self.link.bandwidth != Some(0), "link.bandwidth", "at least 1"),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            None => Ok(()),
            Some((_, key, rule)) => Err(ScenarioError::OutOfRange { name: self.name.clone(), key, rule }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "about = \"\"\nnodes = 2\nrun_ms = 10\nheal_ms = 10\n";

    #[test]
    fn every_file_is_built_in_and_valid() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(files, Scenario::names());
        for name in files {
            Scenario::load(&name).unwrap();
        }
    }

    #[test]
    fn an_unknown_key_is_refused_at_every_level() {
        assert!(Scenario::parse("small", SMALL).is_ok());
        for extra in [
            "power_cuts = 1",
            "[faults]\npowercuts = 1",
            "[link]\nlos = 0.1",
            "[asking]\nevery_ms = 1\nretry_ms = 1\nanswer_within_ms = 1\nx = 1",
            "[commits]\nstep_ms = 1\ndown_ms = 1\n[commits.safeguards]\nsync = true",
        ] {
            let text = format!("{SMALL}{extra}");
            assert!(matches!(Scenario::parse("x", &text), Err(ScenarioError::Malformed { .. })), "{extra}");
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for (text, wrong) in [
            (SMALL.replace("nodes = 2", "nodes = 0"), "nodes"),
            (format!("{SMALL}[link]\nloss = 1.5"), "link.loss"),
            (format!("{SMALL}[faults]\nkills = 1"), "faults"),
            (format!("{SMALL}[commits]\nstep_ms = 0\ndown_ms = 1"), "commits.step_ms"),
        ] {
            let error = Scenario::parse("x", &text).unwrap_err();
            assert!(matches!(error, ScenarioError::OutOfRange { key, .. } if key == wrong), "{error}");
        }
    }

    #[test]
    fn a_missing_scenario_names_those_there_are() {
        let error = Scenario::load("partition").unwrap_err().to_string();
        assert!(error.contains("commits, commits-") && error.contains("partitions, sites,"), "{error}");
    }
}

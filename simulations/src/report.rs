//! What is said about a run, or about all runs of a scenario.
//!
//! Plain values, made when a run is over; a failing one says how to have it again.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::invariants::Violation;
use crate::scenario::Scenario;
use crate::world::World;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How many events it had.
    pub events: usize,
    /// The hash of its event log.
    pub hash: String,
    /// How far the clock went.
    pub virtual_time: Duration,
    /// What did not hold.
    pub violation: Option<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, seed, events, hash, virtual_time, violation } = self;
        write!(f, "{scenario} seed {seed}: {events} events in {virtual_time:?}, log {}", &hash[..16])?;
        if let Some(violation) = violation {
            write!(f, "\n  {violation}\n  replay with: cargo sim replay {seed} {scenario}")?;
        }
        Ok(())
    }
}

/// All runs of one scenario.
#[derive(Clone, Debug)]
pub struct Verdict {
    scenario: Scenario,
    runs: usize,
    violations: Vec<Report>,
}

impl Verdict {
    /// Runs a scenario once for each seed.
    ///
    /// # Errors
    /// As [`World::new`].
    pub fn of(scenario: &Scenario, seeds: impl Iterator<Item = u64>) -> io::Result<Self> {
        let mut verdict = Self { scenario: scenario.clone(), runs: 0, violations: Vec::new() };
        for seed in seeds {
            let report = World::new(scenario.clone(), seed)?.run();
            verdict.runs += 1;
            if report.violation.is_some() {
                verdict.violations.push(report);
            }
        }
        Ok(verdict)
    }

    /// Runs in which something else did not hold than the scenario means to break.
    pub fn failures(&self) -> impl Iterator<Item = &Report> {
        let breaks = self.scenario.breaks;
        self.violations.iter().filter(move |report| report.violation.as_ref().map(|broken| broken.invariant) != breaks)
    }

    /// Whether every run held, or, for a scenario that leaves something out, only its invariant broke and at least once.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures().next().is_none() && (self.scenario.breaks.is_none() || !self.violations.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_good() { "ok" } else { "FAILED" };
        write!(f, "{word:6} {}: {} runs", self.scenario.name, self.runs)?;
        if let Some(breaks) = self.scenario.breaks {
            let expected = self.violations.len() - self.failures().count();
            write!(f, ", {expected} broke \"{breaks}\" as they must")?;
        }
        self.failures().try_for_each(|report| write!(f, "\n{report}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::Invariant;

    #[test]
    fn a_scenario_that_breaks_its_invariant_is_good_and_one_that_does_not_is_not() {
        let mut scenario = Scenario::load("commits-without-directory-sync").unwrap();
        let good = Verdict::of(&scenario, 0..10).unwrap();
        assert!(good.is_good(), "{good}");
        scenario.breaks = None;
        let bad = Verdict::of(&scenario, 0..10).unwrap();
        assert!(!bad.is_good());
        assert!(bad.to_string().contains("replay with: cargo sim replay "), "{bad}");
        let mut right = Scenario::load("commits").unwrap();
        right.breaks = Some(Invariant::ANameNeverHoldsOtherBytes);
        assert!(!Verdict::of(&right, 0..2).unwrap().is_good(), "an invariant that can't fail proves nothing");
    }
}

//! What is said about a run, or about all runs of a scenario.
//!
//! Plain values, made when a run is over; a failing one says how to have it again.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::invariants::{Invariant, Violation};
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

/// How many failing runs a verdict shows: one is mended at a time.
const SHOWN: usize = 5;

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

    /// Runs in which something did not hold that the scenario does not mean to break.
    pub fn failures(&self) -> impl Iterator<Item = &Report> {
        let meant =
            |report: &&Report| report.violation.as_ref().is_some_and(|v| self.scenario.breaks.contains(&v.invariant));
        self.violations.iter().filter(move |report| !meant(report))
    }

    /// Invariants the scenario means to break and no run broke: with the safeguard left out they can't be shown to fail.
    pub fn unbroken(&self) -> impl Iterator<Item = Invariant> {
        self.scenario.breaks.iter().copied().filter(|&invariant| self.count(invariant) == 0)
    }

    /// Whether every run held, or only what the scenario means to break did not, each at least once.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures().next().is_none() && self.unbroken().next().is_none()
    }

    fn count(&self, invariant: Invariant) -> usize {
        let broken = |report: &&Report| report.violation.as_ref().is_some_and(|v| v.invariant == invariant);
        self.violations.iter().filter(broken).count()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_good() { "ok" } else { "FAILED" };
        write!(f, "{word:6} {}: {} runs", self.scenario.name, self.runs)?;
        for &invariant in &self.scenario.breaks {
            write!(f, "\n       {} broke \"{invariant}\", as some must", self.count(invariant))?;
        }
        self.failures().take(SHOWN).try_for_each(|report| write!(f, "\n{report}"))?;
        match self.failures().count().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_that_breaks_its_invariant_is_good_and_one_that_does_not_is_not() {
        let mut scenario = Scenario::load("commits-without-directory-sync").unwrap();
        let good = Verdict::of(&scenario, 0..10).unwrap();
        assert!(good.is_good(), "{good}");
        scenario.breaks.clear();
        let bad = Verdict::of(&scenario, 0..10).unwrap();
        assert!(!bad.is_good());
        assert!(bad.to_string().contains("replay with: cargo sim replay "), "{bad}");
        let mut right = Scenario::load("commits").unwrap();
        right.breaks.insert(Invariant::ANameNeverHoldsOtherBytes);
        assert!(!Verdict::of(&right, 0..2).unwrap().is_good(), "an invariant that can't fail proves nothing");
    }
}

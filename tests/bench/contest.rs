//! Rounds in which the contestants take turns (A B C, A B C, …), so that what else the machine does falls on all of
//! them alike. A [`Field`] owns the running servers of one stage; a [`Series`] the samples of one of them.

use std::io;

use crate::load::Sample;
use crate::server::{Contestant, Ground, Server};

/// The servers of one stage; those that could not be started or filled are there with the reason.
pub(crate) struct Field(Vec<(Contestant, Result<Server, String>)>);

/// The samples of one contestant for one measurement, one a round.
pub(crate) struct Series {
    /// Whose.
    pub(crate) who: Contestant,
    /// In the order of the rounds.
    pub(crate) samples: Vec<Sample>,
    /// Why there are fewer samples than rounds.
    pub(crate) failure: Option<String>,
}

/// Median and extremes.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    /// The middle value (the mean of the middle two).
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Field {
    /// Starts the contestants, each on an empty directory.
    pub(crate) fn start(ground: &Ground, stage: &str, who: &[Contestant]) -> Self {
        let start = |who: &Contestant| {
            let server = Server::start(ground, stage, *who).map_err(|error| format!("not available: {error}"));
            complain(*who, &server);
            (*who, server)
        };
        Self(who.iter().map(start).collect())
    }

    /// Prepares each server; one that can't be prepared is out of the stage.
    pub(crate) fn prepare(&mut self, mut step: impl FnMut(&Server) -> io::Result<()>) {
        for (who, entry) in &mut self.0 {
            let Ok(server) = entry else { continue };
            if let Err(error) = step(server).and_then(|()| server.settle()) {
                *entry = Err(format!("could not be filled: {error}"));
                complain(*who, entry);
            }
        }
    }

    /// Measures `rounds` rounds of those contestants that `measured` lets through. One that fails is not asked again.
    pub(crate) fn rounds(
        &self,
        rounds: usize,
        measured: impl Fn(Contestant) -> bool,
        mut round: impl FnMut(usize, &Server) -> io::Result<Sample>,
    ) -> Vec<Series> {
        let mut all: Vec<Series> = self
            .0
            .iter()
            .filter(|(who, _)| measured(*who))
            .map(|(who, entry)| Series { who: *who, samples: Vec::new(), failure: entry.as_ref().err().cloned() })
            .collect();
        for number in 0..rounds {
            for series in all.iter_mut().filter(|series| series.failure.is_none()) {
                let server =
                    self.0.iter().find(|(who, _)| *who == series.who).and_then(|(_, entry)| entry.as_ref().ok());
                match server.map(|server| round(number, server)) {
                    Some(Ok(sample)) => series.samples.push(sample),
                    Some(Err(error)) => {
                        eprintln!("  {}: {error}", series.who.name());
                        series.failure = Some(format!("failed: {error}"));
                    }
                    None => {}
                }
            }
        }
        all
    }

    /// Ends the servers and removes what they stored.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.0.into_iter().filter_map(|(_, entry)| entry.ok()).try_for_each(Server::remove)
    }
}

fn complain(who: Contestant, entry: &Result<Server, String>) {
    if let Err(reason) = entry {
        eprintln!("  {}: {reason}", who.name());
    }
}

impl Series {
    /// The spread of a measure over the rounds.
    pub(crate) fn spread(&self, measure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().map(measure))
    }

    /// The spread of a measure divided by that of `other`, round by round: what disturbs a round disturbs both of its
    /// halves. `None` when either failed.
    pub(crate) fn over(&self, other: &Self, measure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        if self.failure.is_some() || other.failure.is_some() {
            return None;
        }
        Spread::of(self.samples.iter().zip(&other.samples).map(|(own, other)| measure(own) / measure(other)))
    }
}

/// Series for a second measurement taken within the rounds of `first`, from samples in the order they were taken.
pub(crate) fn beside(first: &[Series], samples: Vec<(Contestant, Sample)>) -> Vec<Series> {
    let mut second: Vec<Series> = first
        .iter()
        .map(|series| Series { who: series.who, samples: Vec::new(), failure: series.failure.clone() })
        .collect();
    for (who, sample) in samples {
        if let Some(series) = second.iter_mut().find(|series| series.who == who) {
            series.samples.push(sample);
        }
    }
    second
}

/// [`Series::over`] for two contestants of one measurement.
pub(crate) fn ratio(
    all: &[Series],
    ours: Contestant,
    theirs: Contestant,
    measure: impl Fn(&Sample) -> f64,
) -> Option<Spread> {
    let of = |who| all.iter().find(|series| series.who == who);
    of(ours)?.over(of(theirs)?, measure)
}

impl Spread {
    /// Of the values that are numbers; `None` when there is none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends_of_what_is_a_number() {
        let spread = Spread::of([4.0, f64::NAN, 1.0, 2.0, 3.0].into_iter()).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert!(Spread::of([f64::NAN].into_iter()).is_none());
    }
}

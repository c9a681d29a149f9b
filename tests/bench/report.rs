//! The result as markdown: first every bar with what was measured against it, then the figures behind them. A
//! [`Report`] owns the lines collected so far.

use std::fmt::Write as _;

use crate::contest::{Series, Spread};
use crate::load::Sample;

/// How a figure must compare with its bar.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    /// No less than.
    AtLeast(f64),
    /// No more than.
    AtMost(f64),
    /// More than.
    Above(f64),
    /// Less than.
    Below(f64),
}

/// What a row of the figures counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Bytes: MiB/s, processor seconds a GiB.
    Bytes,
    /// Requests: a second, processor microseconds each.
    Requests,
}

/// What has been measured so far.
#[derive(Default)]
pub(crate) struct Report {
    bars: String,
    figures: String,
    notes: Vec<String>,
}

impl Report {
    /// One bar. `None`: one of the sides could not be measured.
    pub(crate) fn bar(&mut self, what: &str, against: &str, bar: Bar, unit: &str, result: Option<Spread>) {
        let wanted = match bar {
            Bar::AtLeast(limit) => format!("≥ {limit}"),
            Bar::AtMost(limit) => format!("≤ {limit}"),
            Bar::Above(limit) => format!("> {limit}"),
            Bar::Below(limit) => format!("< {limit}"),
        };
        let (shown, verdict) = result.map_or(("not available".to_owned(), "–"), |spread| {
            let met = match bar {
                Bar::AtLeast(limit) => spread.median >= limit,
                Bar::AtMost(limit) => spread.median <= limit,
                Bar::Above(limit) => spread.median > limit,
                Bar::Below(limit) => spread.median < limit,
            };
            (ranged(spread), if met { "met" } else { "**not met**" })
        });
        // Writing to a String can't fail.
        let _ = writeln!(self.bars, "| {what} | {against} | {wanted}{unit} | {shown} | {verdict} |");
    }

    /// The figures of all contestants of one measurement.
    pub(crate) fn figures(&mut self, what: &str, unit: Unit, all: &[Series]) {
        for series in all {
            let (rate, cpu) = match unit {
                Unit::Bytes => {
                    (cell(series, Sample::mib_per_second, " MiB/s"), cell(series, Sample::cpu_per_gib, " s/GiB"))
                }
                Unit::Requests => {
                    (cell(series, Sample::per_second, " /s"), cell(series, Sample::cpu_us_per_request, " µs each"))
                }
            };
            let _ = writeln!(
                self.figures,
                "| {what} | {} | {rate} | {} | {} | {cpu} | {} |",
                series.who.name(),
                cell(series, Sample::p50, ""),
                cell(series, Sample::p99, ""),
                cell(series, Sample::anonymous_mib, ""),
            );
            if let Some(failure) = &series.failure {
                self.note(format!("{}: {failure}", series.who.name()));
            }
        }
    }

    /// A line below the tables. What has been said is not said again: a server that is missing is missing in many rows.
    pub(crate) fn note(&mut self, note: String) {
        let note = note.replace(['\n', '\r'], " ");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The whole, with the description of the machine in front.
    pub(crate) fn markdown(&self, machine: &str) -> String {
        let mut out = format!("{machine}\n");
        if !self.bars.is_empty() {
            let _ = write!(
                out,
                "| measurement | figure | bar | median [min–max] | |\n|---|---|---|---|---|\n{}\n",
                self.bars
            );
        }
        if !self.figures.is_empty() {
            let _ = write!(
                out,
                "| measurement | server | rate | p50 ms | p99 ms | processor | anonymous MiB, peak |\n\
                 |---|---|---|---|---|---|---|\n{}\n",
                self.figures
            );
        }
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        out
    }
}

fn cell(series: &Series, measure: impl Fn(&Sample) -> f64, unit: &str) -> String {
    match series.spread(measure) {
        Some(spread) => format!("{}{unit}", ranged(spread)),
        None if series.failure.is_some() => "not available".to_owned(),
        None => "–".to_owned(),
    }
}

/// Median and extremes; one figure when they are the same.
fn ranged(spread: Spread) -> String {
    if spread.min == spread.max {
        return short(spread.median);
    }
    format!("{} [{}–{}]", short(spread.median), short(spread.min), short(spread.max))
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_whether_the_median_met_it_and_what_is_missing_is_no_success() {
        let mut report = Report::default();
        let result = Spread::of([0.9, 1.0, 1.1].into_iter());
        report.bar("a", "x", Bar::AtLeast(0.95), " ×", result);
        report.bar("b", "x", Bar::AtMost(0.95), " ×", result);
        report.bar("c", "x", Bar::Below(0.95), " ×", None);
        let text = report.markdown("");
        assert!(text.contains("| a | x | ≥ 0.95 × | 1.00 [0.90–1.10] | met |"), "{text}");
        assert!(text.contains("| b | x | ≤ 0.95 × | 1.00 [0.90–1.10] | **not met** |"), "{text}");
        assert!(text.contains("| c | x | < 0.95 × | not available | – |"), "{text}");
    }
}

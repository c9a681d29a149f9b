//! `sim`: runs seeds of scenarios, replays one, compares two runs of one.
//!
//! Keeps nothing: a seed and a scenario are all there is to remember of a run. Ends with 1 when something failed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use simulations::event_log::EventLog;
use simulations::fleet::charter::Safeguards;
use simulations::fleet::scenarios::{self, Size};
use simulations::report::{Report, Verdict};
use simulations::scenario::Scenario;
use simulations::world::World;

/// Breaks a seeded world and looks whether what must hold still holds.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many seeds of one scenario, or of all.
    Run {
        /// How many seeds.
        #[arg(long, default_value_t = 50)]
        seeds: u64,
        /// The first of them.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// A built-in name or a path; all built-in ones without it.
        scenario: Option<String>,
    },
    /// Run fleets of sites and print what was counted, as a table.
    Fleet {
        /// One scenario; all without it.
        name: Option<String>,
        /// The large size.
        #[arg(long)]
        long: bool,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Run one seed and print its event log.
    Replay {
        /// The seed.
        seed: u64,
        /// A built-in name or a path.
        scenario: String,
    },
    /// Run one seed twice and compare the event logs.
    Compare {
        /// The seed.
        seed: u64,
        /// A built-in name or a path.
        scenario: String,
    },
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match perform(Arguments::parse().command, &mut out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nowhere is left to say it when this fails too.
            let _ = writeln!(io::stderr(), "sim: {}", chain(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn perform(command: Command, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    match command {
        Command::Run { seeds, from, scenario } => {
            let names =
                scenario.map_or_else(|| Scenario::names().into_iter().map(str::to_owned).collect(), |name| vec![name]);
            let mut good = true;
            for name in names {
                let verdict = Verdict::of(&Scenario::load(&name)?, from..from.saturating_add(seeds))?;
                writeln!(out, "{verdict}")?;
                good &= verdict.is_good();
            }
            Ok(good)
        }
        Command::Fleet { name, long, seed } => {
            let size = if long { Size::Long } else { Size::Small };
            let mut good = true;
            let chosen: Vec<_> =
                scenarios::ALL.iter().filter(|(known, ..)| name.as_ref().is_none_or(|name| name == known)).collect();
            if chosen.is_empty() {
                let known: Vec<&str> = scenarios::ALL.iter().map(|(name, ..)| *name).collect();
                return Err(format!("no such fleet: there are {}", known.join(", ")).into());
            }
            for (name, about, scenario) in chosen {
                writeln!(out, "\n{name}: {about} (seed {seed})")?;
                for finding in scenario(size, Safeguards::default(), seed) {
                    good &= finding.is_met();
                    writeln!(out, "{finding}")?;
                }
                out.flush()?;
            }
            Ok(good)
        }
        Command::Replay { seed, scenario } => {
            let (report, log) = run(&scenario, seed)?;
            for entry in log.entries() {
                writeln!(out, "{}", entry.line())?;
            }
            writeln!(out, "{report}")?;
            Ok(report.violation.is_none())
        }
        Command::Compare { seed, scenario } => {
            let ((first, log), (second, again)) = (run(&scenario, seed)?, run(&scenario, seed)?);
            writeln!(out, "{first}\n{second}")?;
            if let Some(at) = log.first_difference(&again) {
                let line = |log: &EventLog| log.entries().get(at).map_or("(the end)".to_owned(), |entry| entry.line());
                writeln!(out, "event {at} differs:\n  {}\n  {}", line(&log), line(&again))?;
            }
            Ok(first.hash == second.hash)
        }
    }
}

fn run(scenario: &str, seed: u64) -> Result<(Report, EventLog), Box<dyn Error>> {
    let mut world = World::new(Scenario::load(scenario)?, seed)?;
    let report = world.run();
    Ok((report, world.log().clone()))
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

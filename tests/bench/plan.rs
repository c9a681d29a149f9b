//! What to measure and how much of it: the command line, turned into a [`Plan`] once.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::PushStyle;
use crate::footprint::AT_ONCE;
use crate::machine;
use crate::push::LAYERS;
use crate::server::Ground;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
Measures Portolan side by side with nginx and docker-registry, in turns, and prints markdown.

Usage: cargo bench-node [OPTIONS]

  --rounds N         rounds of each measurement [5, with --quick 1]
  --seconds N        length of each timed pull measurement [4, with --quick 1]
  --only ROW[,ROW]   only these rows; may be repeated
  --records N        records of the row of that name [1000000, with --quick 20000]
  --quick            small sizes: shows that everything runs, not how fast it is
  --monolithic       push by POST and PUT in place of POST, PATCH and PUT
  --dir DIR          where the servers' directories go: a real disk, about 20 GiB of it free [target/bench]
  --portolan FILE    the binary to measure [target/release/portolan]
  --no-build         don't build it first

Rows: ";

/// A row that can be asked for by name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// Large blob, one connection.
    Large1,
    /// Large blob, 16 connections.
    Large16,
    /// Large blob, 64 connections.
    Large64,
    /// Small blob, 64 connections.
    Small,
    /// The same beside readers of cold blobs.
    Cold,
    /// Manifest by tag.
    Manifest,
    /// One very large blob pushed.
    PushLarge,
    /// Many small blobs pushed.
    PushSmall,
    /// A whole image, both ways.
    Image,
    /// Anonymous memory.
    Memory,
    /// Start to ready with many tags, and the binary's size.
    Start,
    /// What the metadata takes for its records.
    Records,
    /// What it costs to be someone.
    Rights,
    /// Lists of a large installation.
    Listings,
}

impl Row {
    /// Every row, in the order in which they are measured.
    pub(crate) const ALL: [Self; 14] = [
        Self::Large1,
        Self::Large16,
        Self::Large64,
        Self::Small,
        Self::Cold,
        Self::Manifest,
        Self::PushLarge,
        Self::PushSmall,
        Self::Image,
        Self::Memory,
        Self::Start,
        Self::Records,
        Self::Rights,
        Self::Listings,
    ];

    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Large1 => "large-1",
            Self::Large16 => "large-16",
            Self::Large64 => "large-64",
            Self::Small => "small",
            Self::Cold => "cold",
            Self::Manifest => "manifest",
            Self::PushLarge => "push-large",
            Self::PushSmall => "push-small",
            Self::Image => "image",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::Records => "records",
            Self::Rights => "rights",
            Self::Listings => "listings",
        }
    }
}

/// What to measure and how much of it.
pub(crate) struct Plan {
    /// Rounds of each measurement.
    pub(crate) rounds: usize,
    /// Length of each timed measurement.
    pub(crate) seconds: Duration,
    /// How blobs are pushed where that is measured.
    pub(crate) style: PushStyle,
    /// Length of the large blob that is pulled.
    pub(crate) large: usize,
    /// Length of the small blobs.
    pub(crate) small: usize,
    /// Length of a blob that is read cold.
    pub(crate) cold: usize,
    /// How many of those.
    pub(crate) cold_blobs: usize,
    /// Length of the large blob that is pushed.
    pub(crate) pushed: usize,
    /// How many small blobs a round pushes.
    pub(crate) pushes: usize,
    /// Length of a layer of the image.
    pub(crate) layer: usize,
    /// Length of a blob pushed in the memory row.
    pub(crate) weighed: usize,
    /// Tags of the start row.
    pub(crate) tags: usize,
    /// Records of the records row.
    pub(crate) records: usize,
    /// Build the node first.
    pub(crate) build: bool,
    /// The binary to measure, when not the usual one.
    pub(crate) portolan: Option<PathBuf>,
    /// Directory of the run, when not the usual one.
    pub(crate) dir: Option<PathBuf>,
    /// Whether the sizes are those of the bars.
    pub(crate) quick: bool,
    rows: Vec<Row>,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Plan {
    /// Reads the command line; `None` when help was asked for.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let (mut rounds, mut seconds, mut records, mut rows) = (None, None, None, Vec::new());
        let (mut quick, mut build, mut style) = (false, true, PushStyle::Streamed);
        let (mut portolan, mut dir) = (None, None);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--rounds" => rounds = Some(positive(&value()?)?),
                "--seconds" => seconds = Some(positive(&value()?)?),
                "--records" => records = Some(positive(&value()?)?),
                "--only" => {
                    for name in value()?.split(',') {
                        let row = Row::ALL.into_iter().find(|row| row.name() == name);
                        rows.push(row.ok_or_else(|| format!("no row is called {name}; there are {}", names()))?);
                    }
                }
                "--quick" => quick = true,
                "--monolithic" => style = PushStyle::Monolithic,
                "--no-build" => build = false,
                "--portolan" => portolan = Some(value()?.into()),
                "--dir" => dir = Some(value()?.into()),
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {arg}; see --help")),
            }
        }
        let scaled = |full: usize, quick_size: usize| if quick { quick_size } else { full };
        Ok(Some(Self {
            rounds: rounds.unwrap_or(scaled(5, 1)),
            seconds: Duration::from_secs(seconds.unwrap_or(scaled(4, 1)) as u64),
            style,
            large: scaled(512 * MIB, 32 * MIB),
            small: 64 * KIB,
            cold: scaled(4 * MIB, MIB),
            cold_blobs: scaled(256, 32),
            pushed: scaled(1024 * MIB, 64 * MIB),
            pushes: scaled(1000, 64),
            layer: scaled(16 * MIB, MIB),
            weighed: scaled(256 * MIB, 4 * MIB),
            tags: scaled(100_000, 1000),
            records: records.unwrap_or(scaled(1_000_000, 20_000)),
            build,
            portolan,
            dir,
            quick,
            rows: if rows.is_empty() { Row::ALL.to_vec() } else { rows },
        }))
    }

    /// Bytes the run has on the disk at its fullest: the four servers of the pull stage, all rounds of the push stage,
    /// one server's pushes of the memory row, or the records; and a tenth more.
    pub(crate) fn disk(&self) -> u64 {
        let pull = 4 * (self.large + self.cold * self.cold_blobs);
        let push = self.rounds * 3 * (self.pushed + self.small * self.pushes + LAYERS * self.layer);
        let memory = AT_ONCE * self.weighed;
        // Twice what the bar allows.
        let records = self.records * 2 * 1024;
        (pull.max(push).max(memory).max(records) / 10 * 11) as u64
    }

    /// Brings the machine's memory into the state it has after some time; a quick run is too short for it to matter.
    pub(crate) fn warm(&self, ground: &Ground) -> io::Result<()> {
        if self.quick {
            return Ok(());
        }
        eprintln!("filling the page cache");
        machine::fill_page_cache(&ground.dir)
    }

    /// Whether a row is to be measured.
    pub(crate) fn wants(&self, row: Row) -> bool {
        self.rows.contains(&row)
    }

    /// Whether any of these is.
    pub(crate) fn wants_any(&self, rows: &[Row]) -> bool {
        rows.iter().any(|row| self.wants(*row))
    }

    /// Says on the error output what comes next: a full run takes a while.
    pub(crate) fn announce(&self, row: Row) {
        eprintln!("{} ({} rounds)", row.name(), self.rounds);
    }

    /// A length in words.
    pub(crate) fn size(bytes: usize) -> String {
        match bytes {
            big if big >= 1024 * MIB => format!("{} GiB", big / MIB / 1024),
            middle if middle >= MIB => format!("{} MiB", middle / MIB),
            small => format!("{} KiB", small / KIB),
        }
    }
}

/// The names of all rows.
pub(crate) fn names() -> String {
    Row::ALL.map(Row::name).join(", ")
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{text} is no positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Option<Plan>, String> {
        Plan::from_args(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn rows_are_chosen_by_name_and_a_wrong_one_is_said() {
        let some = plan("--only small,cold --only start --rounds 3").unwrap().unwrap();
        assert!(some.wants(Row::Cold) && some.wants(Row::Start) && !some.wants(Row::Large1));
        assert_eq!(some.rounds, 3);
        assert!(Row::ALL.into_iter().all(|row| plan("--quick").unwrap().unwrap().wants(row)));
        assert!(plan("--only smal").is_err_and(|error| error.contains("smal;")));
        assert!(plan("--rounds 0").is_err() && plan("--rounds").is_err() && plan("-h").unwrap().is_none());
    }
}

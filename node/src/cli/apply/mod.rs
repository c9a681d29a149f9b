//! `portolan apply`: makes what governs an installation what a file says.
//!
//! [`mod@file`] reads what shall be, [`node`] what is, [`plan`] decides what to do, and [`node`] does it.

mod file;
mod node;
mod plan;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Session;
use super::connection::{Connection, unreadable};
use super::exit::Exit;
use super::failure::{Code, Failure};
use file::Written;
use node::Shown;
use plan::{Act, Desired, Kind, Step, is_empty};

/// A file larger than this is a mistake.
const MAX_FILE: u64 = 4 << 20;

/// Make projects, accounts and all that governs them what a file says.
///
/// Shows what it will do, asks, and does it. Doing it again does nothing. What the file does not name stays, unless
/// --prune. Passwords of new users and secrets of new robots are made, and shown this once.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The file: .toml, .json, else YAML; - for YAML or JSON on stdin.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Delete what is in a section of the file's and not named there.
    #[arg(long)]
    prune: bool,
}

impl Apply {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let desired = file::read(&content(&self.file)?, written(&self.file))?;
        let connection = session.connection()?;
        let steps = plan::plan(&node::current(&connection, &desired)?, &desired, self.prune);
        if self.dry_run || is_empty(&steps) {
            session.terminal.answer(&plan::text(&steps), &json!({ "plan": plan::data(&steps), "shown_once": [] }))?;
            return Ok(Exit::Ok);
        }
        if !session.global.yes {
            // Who is asked must see about what; stdout is for the outcome.
            session.terminal.warn(&format!("this will be done:\n{}", plan::text(&steps)));
        }
        session.sure(&format!("Do this at {}?", connection.name()))?;
        let mut shown = Vec::new();
        let done = carry_out(session, &connection, &desired, &steps, self.prune, &mut shown);
        // Secrets are shown even when a later step failed: nobody can ask for them again.
        let mut text = if session.global.yes { plan::text(&steps) } else { String::new() };
        for Shown { key, secret } in &shown {
            text.push_str(&format!("{key}: {}\n", secret.reveal()));
        }
        let secrets: Vec<_> =
            shown.iter().map(|one| json!({ "of": one.key.to_string(), "secret": one.secret })).collect();
        session.terminal.answer(&text, &json!({ "plan": plan::data(&steps), "shown_once": secrets }))?;
        done.map(|()| Exit::Ok)
    }
}

fn carry_out(
    session: &mut Session<'_>,
    connection: &Connection,
    desired: &Desired,
    steps: &[Step],
    prune: bool,
    shown: &mut Vec<Shown>,
) -> Result<(), Failure> {
    let mut one = |step: &Step, shown: &mut Vec<Shown>| {
        session.terminal.progress(&step.key.to_string());
        node::carry_out(connection, step, shown).map_err(|failure| {
            let cause = format!("{}: {}", step.key, failure.cause);
            Failure { cause, ..failure }.next("the same command again: what is done stays done")
        })
    };
    for step in steps.iter().filter(|step| step.act != Act::Leave) {
        one(step, shown)?;
    }
    // Whoever makes a project is its member. Where the file says who the members are, it is not for us to add one.
    let is_new = |step: &&Step| step.key.kind == Kind::Project && matches!(step.act, Act::Create(_));
    let new: BTreeSet<_> = steps.iter().filter(is_new).map(|step| Some(step.key.name.clone())).collect();
    if prune && !new.is_empty() {
        let again = plan::plan(&node::current(connection, desired)?, desired, prune);
        for step in again.iter().filter(|step| step.act == Act::Delete && new.contains(&step.key.project)) {
            one(step, shown)?;
        }
    }
    Ok(())
}

fn written(path: &Path) -> Written {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Written::Toml,
        Some("json") => Written::Json,
        Some(_) | None => Written::Yaml,
    }
}

fn content(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| unreadable(path, &error))?;
    if length as u64 > MAX_FILE {
        return Err(Failure::new(Code::Usage, format!("{} has more than 4 MiB", path.display())));
    }
    Ok(text)
}

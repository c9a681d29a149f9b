//! `cargo bench-node`: Portolan beside nginx and docker-registry, in turns, on this machine. Owns the directory of the
//! run, and with it everything the servers write; both are gone when it ends. The result, markdown for
//! `docs/benchmarks.md`, goes to the standard output, progress to the error output.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tables and progress are what this tool is for")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::plan::{Plan, USAGE, names};
use crate::report::Report;
use crate::server::Ground;

mod client;
mod contest;
mod data;
mod footprint;
mod http;
mod listings;
mod load;
mod machine;
mod plan;
mod process;
mod pull;
mod push;
mod records;
mod report;
mod rights;
mod server;
mod token;

fn main() -> ExitCode {
    if let Some(outcome) = records::child(std::env::args().skip(1)) {
        return outcome;
    }
    let plan = match Plan::from_args(std::env::args().skip(1)) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            println!("{USAGE}{}", names());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&plan) {
        Ok(markdown) => {
            println!("{markdown}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> io::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // Beside this binary's profile directory, wherever the build puts its target directory.
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().nth(2).map_or_else(|| root.join("target"), Path::to_path_buf);
    if plan.build && plan.portolan.is_none() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--release", "-p", "node"]).current_dir(&root).status()?;
        if !built.success() {
            return Err(io::Error::other("the node could not be built"));
        }
    }
    let parent = plan.dir.clone().unwrap_or_else(|| target.join("bench"));
    let dir = parent.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let dir = fs::canonicalize(dir)?;
    let ground = Ground { dir, portolan: plan.portolan.clone().unwrap_or_else(|| target.join("release/portolan")) };
    eprintln!("the servers' directories are below {}", ground.dir.display());
    let outcome = measure(&ground, plan);
    let removed = fs::remove_dir_all(&ground.dir);
    let markdown = outcome?;
    removed?;
    Ok(markdown)
}

fn measure(ground: &Ground, plan: &Plan) -> io::Result<String> {
    if machine::in_memory(&ground.dir) {
        return Err(io::Error::other(format!("{} is in memory: choose a disk with --dir", ground.dir.display())));
    }
    let free = rustix::fs::statvfs(&ground.dir).map(|disk| disk.f_bavail * disk.f_frsize)?;
    if free < plan.disk() {
        let (free, need) = (free >> 20, plan.disk() >> 20);
        return Err(io::Error::other(format!("{free} MiB free, {need} MiB needed: choose another disk with --dir")));
    }
    let mut machine = machine::describe(ground);
    let mut report = Report::default();
    pull::run(ground, plan, &mut report)?;
    push::run(ground, plan, &mut report)?;
    footprint::run(ground, plan, &mut report)?;
    records::run(ground, plan, &mut report)?;
    rights::run(ground, plan, &mut report)?;
    listings::run(ground, plan, &mut report)?;
    machine.push_str(&format!("- Load average at the end: {}\n- {} rounds", machine::load(), plan.rounds));
    if plan.quick {
        machine.push_str("; quick run: the sizes are too small to judge by");
    }
    machine.push('\n');
    Ok(report.markdown(&machine))
}

//! The command line as a whole: what parses, and how commands end.

use std::time::Duration;

use clap::CommandFactory;
use protocol::Timestamp;
use protocol::seam::Sleep;

use super::doctor::probe::tests::Names;
use super::terminal::tests::{Written, captured};
use super::*;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_000_000_000)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

fn host() -> Host {
    Host {
        clock: Arc::new(Noon),
        file_system: Arc::new(Names::default()),
        serve: Arc::new(|config| if config.http.listen == "127.0.0.1:1" { Err("taken".into()) } else { Ok(()) }),
        rebuild_index: Arc::new(|config| Ok(format!("rebuilt {}", config.storage.data.display()))),
    }
}

/// Runs a command line; how it ended, its stdout and its stderr.
fn portolan(line: &str) -> (Exit, String, String) {
    let cli = Cli::try_parse_from(["portolan"].into_iter().chain(line.split_whitespace())).unwrap();
    let (terminal, out, err): (Terminal, Written, Written) = captured(cli.global.output, cli.global.quiet);
    let exit = run(&cli, &host(), terminal);
    (exit, out.text(), err.text())
}

fn refused(line: &str) -> i32 {
    Cli::try_parse_from(["portolan"].into_iter().chain(line.split_whitespace())).unwrap_err().exit_code()
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn a_wrong_command_line_ends_with_usage() {
    for line in ["", "sevre", "gc --dryrun", "status --output yaml", "--server http://x --data d status", "project"] {
        assert_eq!(refused(line), i32::from(Exit::Usage.number()), "{line:?}");
    }
}

#[test]
fn flags_common_to_all_stand_anywhere() {
    assert_eq!(portolan("--output json version").1, portolan("version --output json").1);
    assert!(portolan("version").1.starts_with("portolan "));
}

#[test]
fn serving_ends_well_or_says_why() {
    assert_eq!(portolan("serve --listen 127.0.0.1:5001").0, Exit::Ok);
    let (exit, _, err) = portolan("serve --listen 127.0.0.1:1");
    assert_eq!((exit, err.as_str()), (Exit::Failure, "error E3001: taken\n  try: portolan doctor\n"));
}

#[test]
fn a_wrong_configuration_ends_with_usage_and_names_the_flag() {
    let (exit, out, err) = portolan("serve --listen nowhere");
    assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
    assert!(err.contains("error E1001") && err.contains("flag --listen: `http.listen`: \"nowhere\" is not"), "{err}");
}

#[test]
fn nobody_there_ends_with_unreachable() {
    for line in [
        "status",
        "gc --dry-run",
        "scrub",
        "snapshot",
        "project list",
        "project create team",
        "user list",
        "why denied a/b",
        "label list",
        "tag list a/b",
    ] {
        let (exit, out, err) = portolan(&format!("{line} --data /nowhere/at-all"));
        assert_eq!((exit, out.as_str()), (Exit::Unreachable, ""), "{line}");
        assert!(err.contains("error E2001: /nowhere/at-all/portolan.sock"), "{err}");
    }
}

#[test]
fn a_doctor_without_a_node_ends_with_degraded_and_programs_can_read_why() {
    let (exit, out, _) = portolan("doctor --data /nowhere/at-all --output json");
    assert_eq!(exit, Exit::Degraded);
    let checks: serde_json::Value = serde_json::from_str(&out).unwrap();
    let node = checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == "node").unwrap();
    assert_eq!(node["state"], "fail");
}

#[test]
fn the_configuration_is_shown_with_origins() {
    let (exit, out, _) = portolan("config show --origin --data /srv/p");
    assert_eq!(exit, Exit::Ok);
    let line = out.lines().find(|line| line.starts_with("storage.data ")).unwrap();
    assert!(line.contains("\"/srv/p\"") && line.ends_with("flag --data"), "{line}");
    let (_, json, _) = portolan("config show --origin --output json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["origins"]["http.listen"], "default");
    assert!(serde_json::from_str::<serde_json::Value>(&portolan("config schema").1).is_ok());
    assert_eq!(portolan("config validate").1, "valid\n");
}

#[test]
fn rebuilding_wants_a_yes() {
    let (exit, out, _) = portolan("rebuild-index --data /nowhere/at-all --yes");
    assert_eq!((exit, out.as_str()), (Exit::Ok, "rebuilt /nowhere/at-all\n"));
    let failure = portolan("rebuild-index --server http://127.0.0.1:1");
    assert_eq!(failure.0, Exit::Usage);
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (exit, out, _) = portolan(&format!("completions {shell}"));
        assert_eq!(exit, Exit::Ok);
        assert!(out.contains("portolan") && out.contains("rebuild-index"), "{shell}");
    }
}

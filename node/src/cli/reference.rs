//! `docs/cli.md`, from the commands themselves. A test keeps it current.

use std::fmt::Write;

use clap::CommandFactory;

use super::Cli;
use super::exit::Exit;
use super::failure::Code;

const WIDTH: usize = 100;

const PREFACE: &str = "# Command line

<!-- Made from the code: PORTOLAN_REWRITE_DOCS=1 cargo test -p node -->

A command acts on the node of this machine, as its operator, through the socket in its data directory
(`--data DIR`, or `storage.data` of the configuration), or on the node at `--server URL`. Passwords come from
`--password-file` (`-`: stdin) or the variable `PORTOLAN_PASSWORD`, never from a flag.

Data goes to stdout: tables for people, `--output json` for programs. Progress, warnings and errors go to stderr.
`NO_COLOR` is respected. An error has a code that stays, its cause in one line, and what to type next; with
`--output json` it is `{\"error\":{\"code\",\"cause\",\"next\"}}`.
";

/// `docs/cli.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = PREFACE.to_owned();
    out.push_str("\n## Exit codes\n| code | meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(out, "| {} | {} |", exit.number(), exit.meaning());
    }
    out.push_str("\n## Error codes\n| code | meaning | exit code |\n|---|---|---|\n");
    for code in Code::ALL {
        let _ = writeln!(out, "| {} | {} | {} |", code.number(), code.meaning(), code.exit().number());
    }
    out.push_str("\n## Commands\n");
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    write_command(&mut out, &mut root, "portolan", true);
    out
}

/// One command, then those under it. Flags all commands take stand at the root alone.
fn write_command(out: &mut String, command: &mut clap::Command, name: &str, root: bool) {
    let mut shown = command.clone();
    if !root {
        shown = shown.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    }
    let help = shown.render_help().to_string();
    let help: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(out, "\n### `{name}`\n```text\n{}\n```\n", help.join("\n"));
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let full = format!("{name} {}", sub.get_name());
        write_command(out, sub, &full, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reference::assert_written;

    #[test]
    fn the_reference_is_what_the_code_says() {
        assert_written("docs/cli.md", &markdown());
    }
}

//! `portolan doctor`: looks at this machine and its node, and says what to do.
//!
//! [`facts`] are gathered first, at the edge; [`checks`] are pure functions over them.

pub mod checks;
pub mod facts;
pub mod mounts;
pub mod probe;

use serde_json::json;

use super::Session;
use super::exit::Exit;
use super::failure::Failure;
use super::terminal::{Terminal, Tone};
use super::words::columns;
use checks::{Check, State};

/// `portolan doctor`.
pub(super) fn run(session: &mut Session<'_>) -> Result<Exit, Failure> {
    session.local_only()?;
    let facts = facts::gather(session);
    let checks = checks::all(&facts);
    session.terminal.answer(&text(&checks, &session.terminal), &json!({ "checks": checks }))?;
    Ok(exit(&checks))
}

fn exit(checks: &[Check]) -> Exit {
    if checks.iter().any(|check| check.state == State::Fail) { Exit::Degraded } else { Exit::Ok }
}

fn text(checks: &[Check], terminal: &Terminal) -> String {
    let (mut words, mut rows) = (Vec::new(), Vec::new());
    for check in checks {
        words.push(match check.state {
            State::Ok => terminal.word(Tone::Good, "ok  "),
            State::Warn => terminal.word(Tone::Doubtful, "warn"),
            State::Fail => terminal.word(Tone::Bad, "fail"),
        });
        rows.push(vec![check.name.to_owned(), check.cause.clone()]);
        let fix = check.fix.as_ref().map(|fix| format!("fix: {fix}"));
        for line in check.effect.iter().chain(&fix) {
            words.push(" ".repeat(4));
            rows.push(vec![String::new(), line.clone()]);
        }
    }
    // The words come last: their colours have a length, but no width.
    words.iter().zip(columns(&rows).lines()).map(|(word, line)| format!("{word}  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::terminal::Format;
    use super::super::terminal::tests::captured;
    use super::*;

    #[test]
    fn a_failed_check_ends_with_degraded_and_a_warning_does_not() {
        let warn = Check::warn("a", "cause", "effect", "fix");
        assert_eq!(exit(std::slice::from_ref(&warn)), Exit::Ok);
        assert_eq!(exit(&[warn, Check::fail("b", "cause", "effect", "fix")]), Exit::Degraded);
    }

    #[test]
    fn each_check_says_what_it_means_and_what_to_do() {
        let (terminal, ..) = captured(Format::Table, false);
        let checks = [Check::ok("config", "valid"), Check::warn("clock", "late", "tokens fail", "set it")];
        let expected = "\
ok    config  valid
warn  clock   late
              tokens fail
              fix: set it
";
        assert_eq!(text(&checks, &terminal), expected);
    }
}

//! Everything that is written for whoever called: data on stdout, progress, warnings and failures on stderr.
//!
//! No other module writes to either. Tests give it buffers.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::failure::{Code, Failure};

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// A word about a state, coloured where colours are wanted. The word alone says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Wrong.
    Bad,
}

/// Says something to whoever started the node: stdout, outside of any command's answer.
pub fn say(text: &str) {
    // A closed stdout is no reason not to serve.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Whoever called.
pub struct Terminal {
    format: Format,
    quiet: bool,
    colour: bool,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("format", &self.format).field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl Terminal {
    /// The process's own streams.
    #[must_use]
    pub fn standard(format: Format, quiet: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !no_colour && io::stdout().is_terminal();
        Self { format, quiet, colour, out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }

    /// Other streams, without colours.
    #[must_use]
    pub fn with(format: Format, quiet: bool, out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self { format, quiet, colour: false, out, err }
    }

    /// Writes an answer: `text` for people, `data` for programs.
    ///
    /// # Errors
    /// [`Code::Output`].
    pub fn answer(&mut self, text: &str, data: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(text),
            Format::Json => {
                let json = serde_json::to_string_pretty(data)
                    .map_err(|error| Failure::new(Code::Output, error.to_string()))?;
                self.text(&format!("{json}\n"))
            }
        }
    }

    /// Writes text that is the same for all.
    ///
    /// # Errors
    /// [`Code::Output`].
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            // Who closed the pipe has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Failure::new(Code::Output, error.to_string())),
        }
    }

    /// Says what is going on. Nothing when quiet.
    pub fn progress(&mut self, line: &str) {
        if !self.quiet {
            self.aside(line);
        }
    }

    /// Says what should be looked at. Even when quiet.
    pub fn warn(&mut self, line: &str) {
        self.aside(&format!("warning: {line}"));
    }

    /// Says why the command failed.
    pub fn failure(&mut self, failure: &Failure) {
        let text = match self.format {
            Format::Table => failure_text(failure),
            Format::Json => serde_json::json!({ "error": failure }).to_string(),
        };
        self.aside(&text);
    }

    /// A word about a state.
    #[must_use]
    pub fn word(&self, tone: Tone, word: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Doubtful => 33,
            Tone::Bad => 31,
        };
        if self.colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.into() }
    }

    /// Asks a question that wants a yes. Without somebody to ask, the answer is no.
    ///
    /// # Errors
    /// [`Code::Unconfirmed`].
    pub fn confirm(&mut self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        let refused = Failure::new(Code::Unconfirmed, format!("not confirmed: {question}"));
        if !io::stdin().is_terminal() {
            return Err(refused.next("the same command with --yes"));
        }
        self.aside(&format!("{question} Type yes to go on:"));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        if read.is_ok() && answer.trim() == "yes" { Ok(()) } else { Err(refused) }
    }

    /// A line beside the data. There is nobody to tell when stderr is gone.
    fn aside(&mut self, line: &str) {
        let _ = writeln!(self.err, "{line}");
    }
}

fn failure_text(failure: &Failure) -> String {
    let mut text = format!("error {}: {}", failure.code.number(), failure.cause);
    for line in &failure.details {
        let _ = write!(text, "\n  {line}");
    }
    if let Some(next) = &failure.next {
        let _ = write!(text, "\n  try: {next}");
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was written to one stream.
    #[derive(Clone, Default)]
    pub(crate) struct Written(Rc<RefCell<Vec<u8>>>);

    impl Written {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) fn captured(format: Format, quiet: bool) -> (Terminal, Written, Written) {
        let (out, err) = (Written::default(), Written::default());
        (Terminal::with(format, quiet, Box::new(out.clone()), Box::new(err.clone())), out, err)
    }

    #[test]
    fn data_goes_to_stdout_and_the_rest_beside_it() {
        let (mut terminal, out, err) = captured(Format::Table, false);
        terminal.answer("text\n", &1).unwrap();
        terminal.progress("working");
        terminal.warn("careful");
        assert_eq!(out.text(), "text\n");
        assert_eq!(err.text(), "working\nwarning: careful\n");
    }

    #[test]
    fn quiet_keeps_warnings_and_drops_progress() {
        let (mut terminal, _, err) = captured(Format::Json, true);
        terminal.progress("working");
        terminal.warn("careful");
        assert_eq!(err.text(), "warning: careful\n");
    }

    #[test]
    fn a_failure_has_its_code_its_cause_and_what_to_type_next() {
        let failure = Failure::new(Code::Unreachable, "nobody there").next("portolan serve");
        let (mut terminal, _, err) = captured(Format::Table, true);
        terminal.failure(&failure);
        assert_eq!(err.text(), "error E2001: nobody there\n  try: portolan serve\n");
        let (mut terminal, _, err) = captured(Format::Json, true);
        terminal.failure(&failure);
        assert_eq!(
            err.text(),
            "{\"error\":{\"cause\":\"nobody there\",\"code\":\"E2001\",\"next\":\"portolan serve\"}}\n"
        );
    }
}

//! What a command that failed tells: a stable code, the cause in one line, and what to type next.

use serde::Serialize;

use super::exit::Exit;
use crate::config::origin::ConfigError;

/// What kind of failure, with a number that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The configuration is wrong.
    Config,
    /// Flags that don't go together, or one that is missing.
    Usage,
    /// Nobody said yes.
    Unconfirmed,
    /// A file could not be read.
    Unreadable,
    /// The node can't be reached.
    Unreachable,
    /// The node did not answer in time.
    Late,
    /// No trust in the node's certificate, or it has none.
    Tls,
    /// Not logged in, or not allowed.
    Denied,
    /// What was named is not there.
    NotFound,
    /// It is there already.
    Conflict,
    /// The node refused, or failed.
    Refused,
    /// What answered does not speak like a node.
    Unexpected,
    /// The node could not serve.
    Serve,
    /// The index could not be made again.
    Rebuild,
    /// The answer could not be written out.
    Output,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Config,
        Self::Usage,
        Self::Unconfirmed,
        Self::Unreadable,
        Self::Unreachable,
        Self::Late,
        Self::Tls,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Refused,
        Self::Unexpected,
        Self::Serve,
        Self::Rebuild,
        Self::Output,
    ];

    /// The number, its meaning, and how the process ends.
    const fn facts(self) -> (&'static str, &'static str, Exit) {
        match self {
            Self::Config => ("E1001", "the configuration is wrong", Exit::Usage),
            Self::Usage => ("E1002", "flags that don't go together, or one that is missing", Exit::Usage),
            Self::Unconfirmed => ("E1003", "the question was not answered with yes", Exit::Usage),
            Self::Unreadable => ("E1004", "a file can't be read", Exit::Failure),
            Self::Unreachable => ("E2001", "the node can't be reached", Exit::Unreachable),
            Self::Late => ("E2002", "the node did not answer in time", Exit::Unreachable),
            Self::Tls => ("E2003", "the node's certificate is not believed, or it speaks no TLS", Exit::Unreachable),
            Self::Denied => ("E2004", "not logged in, or not allowed", Exit::Denied),
            Self::NotFound => ("E2005", "what was named is not there", Exit::NotFound),
            Self::Conflict => ("E2006", "it is there already, or changed meanwhile", Exit::Conflict),
            Self::Refused => ("E2007", "the node refused, or failed", Exit::Failure),
            Self::Unexpected => ("E2008", "what answered does not speak like a node", Exit::Failure),
            Self::Serve => ("E3001", "the node could not serve", Exit::Failure),
            Self::Rebuild => ("E3002", "the index could not be made again", Exit::Failure),
            Self::Output => ("E9001", "the answer could not be written out", Exit::Failure),
        }
    }

    /// The number: `E2001`.
    #[must_use]
    pub const fn number(self) -> &'static str {
        self.facts().0
    }

    /// What it means, for the reference.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.facts().1
    }

    /// How the process ends.
    #[must_use]
    pub const fn exit(self) -> Exit {
        self.facts().2
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.number())
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What kind.
    pub code: Code,
    /// The cause, in one line.
    pub cause: String,
    /// More lines, where one thing is not all that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to type next.
    pub next: Option<String>,
}

impl Failure {
    /// A failure without advice.
    #[must_use]
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        Self { code, cause: cause.into(), details: Vec::new(), next: None }
    }

    /// The same, with what to type next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A configuration that was refused.
    #[must_use]
    pub fn config(errors: &[ConfigError]) -> Self {
        let cause = match errors.len() {
            1 => "one thing is wrong with the configuration".into(),
            count => format!("{count} things are wrong with the configuration"),
        };
        let details = errors.iter().map(ToString::to_string).collect();
        Self { details, ..Self::new(Code::Config, cause) }.next("portolan config schema")
    }
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their source.
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_number_of_its_own() {
        let mut numbers: Vec<_> = Code::ALL.into_iter().map(Code::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Code::ALL.len());
        assert!(numbers.iter().all(|number| number.starts_with('E') && number.len() == 5));
    }

    #[test]
    fn codes_end_the_process_as_scripts_expect() {
        assert_eq!(Code::Config.exit(), Exit::Usage);
        assert_eq!(Code::NotFound.exit(), Exit::NotFound);
        assert_eq!(Code::Denied.exit(), Exit::Denied);
        assert_eq!(Code::Conflict.exit(), Exit::Conflict);
        assert_eq!(Code::Unreachable.exit(), Exit::Unreachable);
        assert_eq!(Code::Late.exit(), Exit::Unreachable);
    }
}

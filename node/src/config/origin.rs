//! Where a value came from, and what is wrong with it.

use std::fmt;

use serde::{Serialize, Serializer};

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of byte `offset` in `text`.
    #[must_use]
    pub fn of(path: &str, text: &str, offset: usize) -> Self {
        let bytes = &text.as_bytes()[..offset.min(text.len())];
        let before = String::from_utf8_lossy(bytes);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { path: path.into(), line, column }
    }
}

/// Where a value came from. Later ones win.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(Place),
    /// A file of the drop-in directory.
    DropIn(Place),
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag(String),
}

impl Origin {
    /// The place in a text, if it was one.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::File(place) | Self::DropIn(place) => Some(place),
            Self::Default | Self::Env(_) | Self::Flag(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "file {}:{}", place.path, place.line),
            Self::DropIn(place) => write!(f, "drop-in {}:{}", place.path, place.line),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// Where it stands.
    pub origin: Origin,
    /// The key, when it is about one.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What was likely meant, or what to do.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.place() {
            Some(place) => write!(f, "{}:{}:{}: ", place.path, place.line, place.column)?,
            None => write!(f, "{}: ", self.origin)?,
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.problem)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\nä = 2\n";
        assert_eq!((Place::of("f", text, 0).line, Place::of("f", text, 0).column), (1, 1));
        let second = Place::of("f", text, 9);
        assert_eq!((second.line, second.column), (2, 3));
        // An offset outside of the text, or within a character, is no reason to fall over.
        assert_eq!(Place::of("f", text, 7).line, 2);
        assert_eq!(Place::of("f", text, 999).line, 3);
    }
}

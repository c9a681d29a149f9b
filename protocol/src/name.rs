//! Project and repository names.
//!
//! Grammar: distribution-spec, "Pulling manifests": `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`,
//! at most 255 characters. The first component is the project, the unit of ownership, quota and policy; a name of one
//! component is read as one of the project `library`, as Docker users expect.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The project that exists from the start and holds names of one component.
pub const LIBRARY: &str = "library";

/// Why a string is no repository or project name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all, or nothing between two slashes.
    #[error("a name has no empty component")]
    Empty,
    /// Longer than 255 characters.
    #[error("a name has at most {max} characters, this one has {found}", max = RepositoryName::MAX)]
    TooLong {
        /// The number of characters found.
        found: usize,
    },
    /// A character or a separator in a place the grammar does not allow.
    #[error(
        "a name component is lower-case letters and digits, joined by one '.', one or two '_', or any number of '-'"
    )]
    Grammar,
    /// A project name with a slash in it.
    #[error("a project name has no '/'")]
    Slash,
}

/// Checks one component against `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn check_component(component: &str) -> Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::Empty);
    }
    let bytes = component.as_bytes();
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut at = 0;
    loop {
        let start = at;
        while at < bytes.len() && word(bytes[at]) {
            at += 1;
        }
        if at == start {
            return Err(NameError::Grammar);
        }
        if at == bytes.len() {
            return Ok(());
        }
        let run = bytes[at..].iter().take_while(|b| **b == bytes[at]).count();
        match bytes[at] {
            b'.' if run == 1 => {}
            b'_' if run <= 2 => {}
            b'-' => {}
            _ => return Err(NameError::Grammar),
        }
        at += run;
    }
}

/// The first component of a repository name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectName(Arc<str>);

impl ProjectName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The project [`LIBRARY`].
    #[must_use]
    pub fn library() -> Self {
        Self(LIBRARY.into())
    }
}

impl FromStr for ProjectName {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.contains('/') {
            return Err(NameError::Slash);
        }
        if s.len() > RepositoryName::MAX {
            return Err(NameError::TooLong { found: s.len() });
        }
        check_component(s)?;
        Ok(Self(s.into()))
    }
}

/// A repository name: a project, a slash and a path of at least one component.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName {
    text: Arc<str>,
    project: usize,
}

impl RepositoryName {
    /// Longest accepted name, in characters, project included.
    pub const MAX: usize = 255;

    /// The whole name, `project/path`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> ProjectName {
        ProjectName(self.project_str().into())
    }

    /// The project as text, without an allocation.
    #[must_use]
    pub fn project_str(&self) -> &str {
        &self.text[..self.project]
    }

    /// What follows the project.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.project + 1..]
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let text: Arc<str> = if s.contains('/') { s.into() } else { format!("{LIBRARY}/{s}").into() };
        if text.len() > Self::MAX {
            return Err(NameError::TooLong { found: text.len() });
        }
        text.split('/').try_for_each(check_component)?;
        let project = text.find('/').ok_or(NameError::Empty)?;
        Ok(Self { text, project })
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_type;

text_type!(ProjectName);
text_type!(RepositoryName);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_docker_style_name_belongs_to_library() {
        let name: RepositoryName = "nginx".parse().unwrap();
        assert_eq!(name.as_str(), "library/nginx");
        assert_eq!((name.project_str(), name.path()), ("library", "nginx"));
    }

    #[test]
    fn the_grammar_of_the_specification_holds() {
        for good in ["a/b", "a/b/c", "a.b/c_d", "a__b/c", "a---b/c", "0/1", "a/b-c.d_e__f"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "A/b", "a/B", "a..b/c", "a___b/c", "a/-b", "a/b-", "a/b_", "a/.b", "a/..",
            "../a", "a/b:c", "a/b@c", "a b/c", "a/é", "a/b\0", "a/b\n", "a%2fb/c", "a-_b/c",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn length_is_bounded_with_the_project_counted() {
        assert!(format!("p/{}", "a".repeat(253)).parse::<RepositoryName>().is_ok());
        assert_eq!(format!("p/{}", "a".repeat(254)).parse::<RepositoryName>(), Err(NameError::TooLong { found: 256 }));
        assert!("a".repeat(248).parse::<RepositoryName>().is_err(), "library/ counts too");
    }

    proptest! {
        #[test]
        fn generated_names_parse(text in "[a-z0-9]{1,9}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,3}(/[a-z0-9]{1,9}((\\.|_|__|-)[a-z0-9]{1,5}){0,2}){1,4}") {
            let name: RepositoryName = text.parse().unwrap();
            prop_assert_eq!(name.as_str(), text);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,300}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                let in_library = format!("library/{text}");
                prop_assert!(name.as_str() == text || name.as_str() == in_library);
                prop_assert!(!name.as_str().contains("..") && name.as_str().is_ascii());
            }
        }
    }
}

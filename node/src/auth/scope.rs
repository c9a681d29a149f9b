//! The scopes of a token, as the Docker token specification writes them: `repository:NAME:pull,push`.

use std::fmt;
use std::str::FromStr;

use protocol::RepositoryName;

use super::{Action, Scope};

/// Longest scope looked at: a name, a type and actions.
pub(super) const MAX_SCOPE: usize = 512;

/// Not a scope this node knows. Clients may ask for others; they are left out of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope this node knows: write repository:NAME:pull,push,delete or registry:catalog:*")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_SCOPE {
            return Err(ScopeError);
        }
        let (kind, rest) = text.split_once(':').ok_or(ScopeError)?;
        let (name, actions) = rest.rsplit_once(':').ok_or(ScopeError)?;
        match kind {
            "registry" if name == "catalog" => Ok(Self::Catalog),
            // `repository(class)` is an old form some clients still send.
            "repository" | "repository(plugin)" => {
                let name: RepositoryName = name.parse().map_err(|_| ScopeError)?;
                let mut known: Vec<Action> = Vec::new();
                for word in actions.split(',') {
                    let asked: &[Action] = match word {
                        "*" => &[Action::Pull, Action::Push, Action::Delete],
                        one => match Action::from_word(one) {
                            Some(Action::Pull) => &[Action::Pull],
                            Some(Action::Push) => &[Action::Push],
                            Some(Action::Delete) => &[Action::Delete],
                            None => &[],
                        },
                    };
                    known.extend(asked);
                }
                known.sort_unstable();
                known.dedup();
                Ok(Self::Repository { name, actions: known })
            }
            _ => Err(ScopeError),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog => f.write_str("registry:catalog:*"),
            Self::Repository { name, actions } => {
                write!(f, "repository:{name}:")?;
                for (at, action) in actions.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{}", action.as_str())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_written() {
        for (asked, read) in [
            ("repository:a/b:pull", "repository:a/b:pull"),
            ("repository:nginx:push,pull", "repository:library/nginx:pull,push"),
            ("repository:a/b:*", "repository:a/b:pull,push,delete"),
            ("repository:a/b:pull,fly", "repository:a/b:pull"),
            ("registry:catalog:*", "registry:catalog:*"),
        ] {
            assert_eq!(asked.parse::<Scope>().unwrap().to_string(), read);
        }
        for bad in ["", "repository", "repository:a/b", "repository:A:pull", "registry:other:*", "x:y:z"] {
            assert!(bad.parse::<Scope>().is_err(), "{bad}");
        }
        assert!(format!("repository:{}:pull", "a".repeat(600)).parse::<Scope>().is_err());
    }
}

//! `portolan why denied`: what decided whether somebody may do something with an image.

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::Session;
use super::exit::Exit;
use super::failure::Failure;
use super::wire::{API, image, rows, segment, word};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Act {
    /// Pull.
    Pull,
    /// Push.
    Push,
    /// Delete.
    Delete,
}

#[derive(Debug, Subcommand)]
pub(super) enum Why {
    /// Whether somebody may pull, push or delete an image, and every rule that was looked at. Ends with 4 when not.
    Denied {
        /// PROJECT/REPOSITORY, with or without :TAG or @DIGEST.
        image: String,
        /// The user or robot; without it, oneself.
        #[arg(long = "as", value_name = "USER|ROBOT")]
        principal: Option<String>,
        /// What they want to do.
        #[arg(long, value_name = "ACTION", default_value = "pull")]
        action: Act,
    },
}

impl Why {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let why: Value = session.connection()?.get(&self.path())?;
        session.terminal.answer(&text(&why), &why)?;
        Ok(if why["allowed"] == true { Exit::Ok } else { Exit::Denied })
    }

    fn path(&self) -> String {
        let Self::Denied { image: name, principal, action } = self;
        let action = match action {
            Act::Pull => "pull",
            Act::Push => "push",
            Act::Delete => "delete",
        };
        // A tag or digest changes nothing about who may: the repository decides.
        let of = image(name).map_or(name.as_str(), |(of, _)| of);
        let mut path = format!("{API}/mesh/why?action={action}&image={}", segment(of));
        if let Some(principal) = principal {
            path.push_str(&format!("&principal={}", segment(principal)));
        }
        path
    }
}

fn text(why: &Value) -> String {
    let verdict = if why["allowed"] == true { "may" } else { "may not" };
    let steps = why["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    format!(
        "{} {verdict} {} {}\n\n{}",
        word(why, "/principal"),
        word(why, "/action"),
        word(why, "/image"),
        rows(&[("RULE", "/rule"), ("OUTCOME", "/outcome")], steps)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_node_is_asked_about_a_repository_and_a_principal() {
        let why = Why::Denied { image: "team/a:v1".into(), principal: Some("robot$team+ci".into()), action: Act::Push };
        assert_eq!(why.path(), "/api/v2.0/mesh/why?action=push&image=team%2Fa&principal=robot%24team%2Bci");
        let why = Why::Denied { image: "team/a".into(), principal: None, action: Act::Pull };
        assert_eq!(why.path(), "/api/v2.0/mesh/why?action=pull&image=team%2Fa");
    }

    #[test]
    fn every_rule_is_told_in_its_order() {
        let why = json!({
            "principal": "eve", "action": "push", "image": "team/a", "allowed": false,
            "steps": [{ "rule": "administrator", "outcome": "no" }, { "rule": "member", "outcome": "guest: no push" }],
        });
        let text = text(&why);
        assert!(text.starts_with("eve may not push team/a\n") && text.ends_with("guest: no push\n"), "{text}");
    }
}

//! `portolan settings`: what is set about the whole installation. The node's own file is `portolan config`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::wire::{API, word};
use super::words::table;

/// Where they are.
pub(super) const PATH: &str = "/configurations";

#[derive(Debug, Subcommand)]
pub(super) enum Settings {
    /// What is set, and whether it can be changed here.
    Show,
    /// Set something.
    Set {
        /// What, and to what: self_registration=false.
        #[arg(value_name = "KEY=VALUE", required = true)]
        pairs: Vec<String>,
    },
}

impl Settings {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::Show => {
                let items: Value = node.get(&format!("{API}{PATH}"))?;
                session.terminal.answer(&text(&items), &items)?;
                Ok(Exit::Ok)
            }
            Self::Set { pairs } => {
                let document = parse(pairs)?;
                node.put(&format!("{API}{PATH}"), &document)?;
                session.done(&pairs.join("\n"), &document)
            }
        }
    }
}

fn text(items: &Value) -> String {
    let row = |(name, item): (&String, &Value)| {
        let editable = if item["editable"] == true { "yes" } else { "no" };
        vec![name.clone(), word(item, "/value"), editable.to_owned()]
    };
    let rows: Vec<_> = items.as_object().into_iter().flatten().map(row).collect();
    table(&["SETTING", "VALUE", "EDITABLE"], &rows)
}

/// `KEY=VALUE`, split at its first `=`.
///
/// # Errors
/// [`Code::Usage`].
pub(super) fn key_value(text: &str) -> Result<(&str, &str), Failure> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.ok_or_else(|| Failure::new(Code::Usage, format!("{text:?} sets nothing")).next("KEY=VALUE"))
}

/// Switches and numbers are what they look like; all else is text.
fn parse(pairs: &[String]) -> Result<Value, Failure> {
    let mut document = json!({});
    for text in pairs {
        let (key, value) = key_value(text)?;
        document[key] = match (value.parse::<bool>(), value.parse::<i64>()) {
            (Ok(switch), _) => json!(switch),
            (_, Ok(number)) => json!(number),
            _ => json!(value),
        };
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let pairs = ["self_registration=false", "token_expiration=30", "banner_message=a=b"].map(str::to_owned);
        let document = json!({ "self_registration": false, "token_expiration": 30, "banner_message": "a=b" });
        assert_eq!(parse(&pairs).unwrap(), document);
        assert_eq!(parse(&["=x".into()]).unwrap_err().code, Code::Usage);
    }

    #[test]
    fn settings_are_shown_by_name() {
        let items = json!({ "read_only": { "value": false, "editable": true } });
        assert_eq!(text(&items), "SETTING    VALUE  EDITABLE\nread_only  false  yes\n");
    }
}

//! `portolan config`.

use clap::Subcommand;
use serde_json::json;

use super::Session;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::words::table;
use crate::config::keys;
use crate::config::load::Loaded;

#[derive(Debug, Subcommand)]
pub(super) enum Configuration {
    /// The values in effect.
    Show {
        /// Where each value came from.
        #[arg(long)]
        origin: bool,
    },
    /// Name everything that is wrong.
    Validate,
    /// The JSON schema, for editors.
    Schema,
}

impl Configuration {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        session.local_only()?;
        match self {
            Self::Show { origin } => show(session, *origin)?,
            Self::Validate => {
                session.configuration(Vec::new())?;
                session.terminal.answer("valid\n", &json!({ "valid": true }))?;
            }
            Self::Schema => {
                let schema = serde_json::to_string_pretty(&keys::schema()).map_err(unwritable)?;
                session.terminal.text(&format!("{schema}\n"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn show(session: &mut Session<'_>, origin: bool) -> Result<(), Failure> {
    let loaded = session.configuration(Vec::new())?;
    let text = if origin { origins(&loaded)? } else { toml::to_string(&loaded.config).map_err(unwritable)? };
    let data = if origin {
        json!({ "config": loaded.config, "origins": loaded.origins })
    } else {
        json!({ "config": loaded.config })
    };
    session.terminal.answer(&text, &data)
}

fn origins(loaded: &Loaded) -> Result<String, Failure> {
    let values = toml::Value::try_from(&loaded.config).map_err(unwritable)?;
    let value = |path: &str| path.split('.').try_fold(&values, |value, name| value.get(name)).map(ToString::to_string);
    let rows: Vec<_> = loaded
        .origins
        .iter()
        .map(|(path, origin)| vec![path.clone(), value(path).unwrap_or_default(), origin.to_string()])
        .collect();
    Ok(table(&["KEY", "VALUE", "ORIGIN"], &rows))
}

fn unwritable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Output, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse_text;

    #[test]
    fn each_value_is_shown_with_its_origin() {
        let loaded = parse_text("[limits]\npage = 7\n").unwrap();
        let text = origins(&loaded).unwrap();
        let line = |key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("limits.page "), "limits.page 7 file config.toml:2");
        assert_eq!(line("http.listen "), "http.listen \"127.0.0.1:5000\" default");
    }
}

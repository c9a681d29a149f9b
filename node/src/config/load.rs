//! Where values come from, and in which order they win: flag > environment > drop-in > file > default.
//!
//! The core is pure: [`load`] gets texts, variables and flags that were read already and answers with the
//! configuration and the origin of each value, or with everything that is wrong, not just the first thing. Reading
//! files and the environment is the thin edge in [`super::read`].

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Key, Kind};
use super::origin::{ConfigError, Origin, Place};
use super::{Config, check};

/// What an environment variable that sets a key begins with.
pub const ENV_PREFIX: &str = "PORTOLAN__";

/// A text, and the name of the file it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The file, as it was named.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// A flag of the command line that sets a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag: `--listen`.
    pub name: &'static str,
    /// The key it sets: `http.listen`.
    pub key: &'static str,
    /// What was given.
    pub value: String,
}

/// Everything values may come from, read already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<Text>,
    /// The files of the drop-in directory, in any order: they win by the order of their names.
    pub drop_ins: Vec<Text>,
    /// Environment variables; those without [`ENV_PREFIX`] are not looked at.
    pub env: Vec<(String, String)>,
    /// Flags.
    pub flags: Vec<Flag>,
}

/// The origin of each key that has a value.
pub type Origins = BTreeMap<String, Origin>;

/// A configuration that passed every check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where each came from.
    pub origins: Origins,
}

/// Makes the configuration from its sources.
///
/// # Errors
/// Everything that is wrong, in the order of the sources.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<ConfigError>> {
    let mut gather = Gather::default();
    if let Some(file) = &sources.file {
        gather.text(file, &Origin::File);
    }
    let mut drop_ins: Vec<_> = sources.drop_ins.iter().collect();
    drop_ins.sort_by(|a, b| a.path.cmp(&b.path));
    for drop_in in drop_ins {
        gather.text(drop_in, &Origin::DropIn);
    }
    gather.env(&sources.env);
    for flag in &sources.flags {
        gather.set(flag.key, toml::Value::String(flag.value.clone()), Origin::Flag(flag.name.into()));
    }
    gather.finish()
}

/// Makes the configuration from the text of one file.
///
/// # Errors
/// As [`load`].
pub fn parse_text(text: &str) -> Result<Loaded, Vec<ConfigError>> {
    let file = Text { path: "config.toml".into(), text: text.into() };
    load(&Sources { file: Some(file), ..Sources::default() })
}

/// What was gathered so far: for each key the value that wins, and everything wrong.
#[derive(Default)]
struct Gather {
    values: BTreeMap<String, toml::Value>,
    origins: Origins,
    errors: Vec<ConfigError>,
}

impl Gather {
    fn text(&mut self, text: &Text, origin: &dyn Fn(Place) -> Origin) {
        let (table, syntax) = DeTable::parse_recoverable(&text.text);
        let place = |offset| Place::of(&text.path, &text.text, offset);
        let mut broken = Vec::new();
        for error in &syntax {
            let place = place(error.span().map_or(0, |span| span.start));
            broken.push(place.line);
            self.error(origin(place), None, format!("not TOML: {}", error.message()), None);
        }
        // What the parser made of a broken line says nothing about what was meant there.
        self.table("", table.get_ref(), &|offset| {
            let place = place(offset);
            if broken.contains(&place.line) { None } else { Some(origin(place)) }
        });
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>, origin: &dyn Fn(usize) -> Option<Origin>) {
        for (name, value) in table {
            let full = if path.is_empty() { name.get_ref().to_string() } else { format!("{path}.{}", name.get_ref()) };
            let Some(here) = origin(name.span().start) else { continue };
            match (keys::all().key(&full), value.get_ref()) {
                (Some(_), _) => match plain(value) {
                    Some(value) => self.set(&full, value, here),
                    None => self.wrong_form(&full, here),
                },
                (None, DeValue::Table(inner)) if keys::all().is_section(&full) => self.table(&full, inner, origin),
                (None, _) if keys::all().is_section(&full) => {
                    self.error(here, Some(full), "is a table, not a value".into(), None);
                }
                (None, _) => self.unknown(here, full, |name| name.into()),
            }
        }
    }

    fn env(&mut self, variables: &[(String, String)]) {
        let mut ours: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
        ours.sort();
        for (name, text) in ours {
            let path = name[ENV_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Env(name.clone());
            match keys::all().key(&path) {
                Some(key) => self.set(&path, scalar(key, text), origin),
                None => self.unknown(origin, path, env_name),
            }
        }
    }

    fn set(&mut self, path: &str, value: toml::Value, origin: Origin) {
        let Some(key) = keys::all().key(path) else { return };
        match key.kind.accept(&value) {
            Ok(()) => {
                self.values.insert(path.into(), value);
                self.origins.insert(path.into(), origin);
            }
            Err(problem) => self.error(origin, Some(path.into()), problem, None),
        }
    }

    fn wrong_form(&mut self, path: &str, origin: Origin) {
        let words = keys::all().key(path).map(|key| key.kind.words()).unwrap_or_default();
        self.error(origin, Some(path.into()), format!("takes {words}, not a list, a table or a date"), None);
    }

    fn unknown(&mut self, origin: Origin, path: String, spell: impl Fn(&str) -> String) {
        let hint = keys::all().nearest(&path).map(|name| format!("did you mean `{}`?", spell(name)));
        self.error(origin, Some(path), "no such key".into(), hint);
    }

    fn error(&mut self, origin: Origin, key: Option<String>, problem: String, hint: Option<String>) {
        self.errors.push(ConfigError { origin, key, problem, hint });
    }

    /// A table of which one key is given wants all that it requires.
    fn check_required(&mut self) {
        for section in &keys::all().sections {
            let prefix = format!("{}.", section.path);
            let given =
                self.origins.iter().find(|(path, _)| path.starts_with(&prefix)).map(|(_, origin)| origin.clone());
            let (Some(origin), false) = (given, section.required.is_empty()) else { continue };
            for name in &section.required {
                let path = format!("{prefix}{name}");
                let refused = self.errors.iter().any(|error| error.key.as_ref() == Some(&path));
                if !self.values.contains_key(&path) && !refused {
                    self.error(
                        origin.clone(),
                        Some(path),
                        format!("must be set too, since [{}] is", section.path),
                        None,
                    );
                }
            }
        }
    }

    fn finish(mut self) -> Result<Loaded, Vec<ConfigError>> {
        self.check_required();
        let config = self.build();
        let mut origins: Origins = keys::all()
            .keys
            .iter()
            .filter(|key| key.default.is_some())
            .map(|key| (key.path.clone(), Origin::Default))
            .collect();
        origins.extend(self.origins);
        // Rules between keys are checked beside everything else that is wrong; they see defaults for refused values.
        let refused: Vec<_> = self.errors.iter().filter_map(|error| error.key.clone()).collect();
        let broken = check::check(&config, &origins);
        self.errors
            .extend(broken.into_iter().filter(|error| error.key.as_ref().is_none_or(|key| !refused.contains(key))));
        if self.errors.is_empty() { Ok(Loaded { config, origins }) } else { Err(self.errors) }
    }

    /// The values as a [`Config`]. Each was checked by its key, so this fails only when the schema and the types
    /// disagree, or when a required key is missing, which is an error already.
    fn build(&mut self) -> Config {
        let mut root = toml::Table::new();
        for (path, value) in &self.values {
            insert(&mut root, path, value.clone());
        }
        match root.try_into() {
            Ok(config) => config,
            Err(error) => {
                if self.errors.is_empty() {
                    self.error(Origin::Default, None, toml::de::Error::message(&error).into(), None);
                }
                Config::default()
            }
        }
    }
}

fn insert(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.into(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                insert(inner, rest, value);
            }
        }
    }
}

/// A value without its place; `None` for lists, tables and dates, which no key takes.
fn plain(value: &Spanned<DeValue<'_>>) -> Option<toml::Value> {
    match value.get_ref() {
        DeValue::String(text) => Some(toml::Value::String(text.to_string())),
        DeValue::Integer(number) => {
            // A number that fits nothing stays visible in the refusal.
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Some(parsed.map_or_else(|_| toml::Value::String(number.to_string()), toml::Value::Integer))
        }
        DeValue::Float(number) => number.as_str().parse().ok().map(toml::Value::Float),
        DeValue::Boolean(on) => Some(toml::Value::Boolean(*on)),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The text of a variable as a value: what TOML reads in it, else the text itself. For a key that takes text, what is
/// not quoted is text, even when it looks like a number.
fn scalar(key: &Key, text: &str) -> toml::Value {
    let as_text = || toml::Value::String(text.into());
    let takes_text = !matches!(key.kind, Kind::Switch | Kind::Number(_));
    match DeValue::parse(text).ok().as_ref().and_then(plain) {
        Some(value) if value.is_str() || !takes_text => value,
        Some(_) | None => as_text(),
    }
}

/// The variable that sets a key.
#[must_use]
pub fn env_name(path: &str) -> String {
    format!("{ENV_PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

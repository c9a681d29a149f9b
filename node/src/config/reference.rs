//! What is written from the keys: `docs/configuration.md` and `config/node.example.toml`.
//!
//! A test compares both with what is committed; `PORTOLAN_REWRITE_DOCS=1 cargo test -p node` writes them anew.

use std::fmt::Write;

use super::keys::{self, Key, Kind, Section};
use super::load::env_name;

const PREFACE: &str = "# Configuration

<!-- Made from the code: PORTOLAN_REWRITE_DOCS=1 cargo test -p node -->

A node needs no configuration: without any it listens on the loopback address and keeps its data in `portolan-data`.

Values come from five places; the later one wins:
1. the default, as below;
2. one TOML file: `--config FILE`, or the variable `PORTOLAN_CONFIG`;
3. the files `FILE.d/*.toml`, in the order of their names;
4. environment variables: `PORTOLAN__SECTION__KEY`, two underscores for each dot. A value is read as TOML where it is
   TOML, else as text, so nothing needs quotes;
5. flags: `--data`, `--listen`.

`portolan config show --origin` prints each value and where it came from. `portolan config validate` names everything
that is wrong, with file, line and column. `portolan config schema` prints a JSON schema for editors. An unknown key is
an error. Secrets are not configuration. Changes take effect at the next start.

Sizes are a whole number with `B`, `KiB`, `MiB`, `GiB` or `TiB`; lengths of time one with `ms`, `s`, `m`, `h` or `d`.
";

const EXAMPLE_PREFACE: &str = "# Every key of a node, with its default or an example. Uncomment what you change.
# Made from the code: PORTOLAN_REWRITE_DOCS=1 cargo test -p node
";

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = PREFACE.to_owned();
    for section in sections() {
        let _ = write!(out, "\n## `[{}]`\n{}\n", section.path, section.doc);
        if !section.required.is_empty() {
            let _ = writeln!(out, "All or none of: `{}`.", section.required.join("`, `"));
        }
        out.push_str("\n| key | takes | default | meaning |\n|---|---|---|---|\n");
        for key in keys::all().keys_of(&section.path) {
            let default = key.default.as_ref().map_or_else(|| "unset".into(), |default| format!("`{default}`"));
            let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.path, key.kind.words(), meaning(key));
        }
    }
    out.push_str("\n## Variables\n| variable | key |\n|---|---|\n");
    for key in &keys::all().keys {
        let _ = writeln!(out, "| `{}` | `{}` |", env_name(&key.path), key.path);
    }
    out
}

/// `config/node.example.toml`: documents are `# text`, keys are `#key = value`.
#[must_use]
pub fn example() -> String {
    let mut out = EXAMPLE_PREFACE.to_owned();
    for section in sections() {
        // The header of a table that wants all its keys would be wrong without them.
        let mark = if section.required.is_empty() { "" } else { "#" };
        let _ = write!(out, "\n# {}\n{mark}[{}]\n", section.doc, section.path);
        for key in keys::all().keys_of(&section.path) {
            let value = key.default.as_ref().or(key.example.as_ref()).map_or("\"\"", String::as_str);
            let _ = write!(out, "# {}\n#{} = {value}\n", meaning(key), keys::leaf(&key.path));
        }
    }
    out
}

fn sections() -> impl Iterator<Item = &'static Section> {
    keys::all().sections.iter().filter(|section| !section.path.is_empty())
}

fn meaning(key: &Key) -> String {
    let mut text = key.doc.clone();
    if let Kind::Choice(choices) = &key.kind {
        for (name, doc) in choices {
            let _ = write!(text, " `{name}`: {doc}");
        }
    }
    text
}

/// Fails when the file at `path` (from the repository's root) is not `expected`; rewrites it when asked to.
#[cfg(test)]
pub(crate) fn assert_written(path: &str, expected: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("PORTOLAN_REWRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is stale: run PORTOLAN_REWRITE_DOCS=1 cargo test -p node, and commit it");
}

#[cfg(test)]
mod tests {
    use super::super::load::parse_text;
    use super::super::{Config, Tls};
    use super::*;

    #[test]
    fn the_reference_is_what_the_code_says() {
        assert_written("docs/configuration.md", &markdown());
        assert_written("config/node.example.toml", &example());
    }

    #[test]
    fn the_example_as_it_stands_is_the_defaults() {
        assert_eq!(parse_text(&example()).unwrap().config, Config::default());
    }

    #[test]
    fn the_example_uncommented_sets_every_key_to_its_default() {
        let uncommented: String = example()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        let loaded = parse_text(&uncommented).unwrap();
        assert!(keys::all().keys.iter().all(|key| loaded.origins[&key.path].place().is_some()));
        let mut config = loaded.config;
        assert!(matches!(config.http.tls.take(), Some(Tls { .. })));
        assert!(config.http.public_url.take().is_some() && config.http.telemetry_listen.take().is_some());
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_configuration_for_developers_loads() {
        parse_text(include_str!("../../../config/node.dev.toml")).unwrap();
    }
}

//! Which keys there are, and what each one takes.
//!
//! Everything is read from the JSON schema of [`Config`], once; nothing is written down twice. The loader checks texts
//! against it, and the reference is made from it.

use std::sync::LazyLock;

use serde_json::Value;

use super::{ByteSize, Config, Period};

/// What a key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, paths too.
    Text,
    /// `true` or `false`.
    Switch,
    /// A whole number from zero to this.
    Number(i64),
    /// A [`ByteSize`].
    Size,
    /// A [`Period`].
    Period,
    /// One of these texts, each with its meaning.
    Choice(Vec<(String, String)>),
}

/// A key that has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its full name: `http.listen`.
    pub path: String,
    /// What it takes.
    pub kind: Kind,
    /// What it means.
    pub doc: String,
    /// Its default, as TOML; `None` when unset means something of its own, or when it must be given.
    pub default: Option<String>,
    /// A value to show where there is no default, as TOML.
    pub example: Option<String>,
}

/// A table of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its full name: `http.tls`; empty for the whole.
    pub path: String,
    /// What it is about.
    pub doc: String,
    /// Keys that must be given once one of the table is.
    pub required: Vec<String>,
}

/// All that may be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The tables, each before the tables in it.
    pub sections: Vec<Section>,
    /// The keys, by section, then by name.
    pub keys: Vec<Key>,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let schema = schemars::schema_for!(Config).to_value();
    let mut keys = Keys::default();
    Walk { root: &schema, out: &mut keys }.visit("", &schema);
    keys
});

/// All that may be set.
#[must_use]
pub fn all() -> &'static Keys {
    &KEYS
}

/// The JSON schema of the configuration, for editors.
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

impl Keys {
    /// The key of that full name.
    #[must_use]
    pub fn key(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    /// Whether there is a table of that full name.
    #[must_use]
    pub fn is_section(&self, path: &str) -> bool {
        self.sections.iter().any(|section| section.path == path)
    }

    /// The keys that stand directly in a section.
    pub fn keys_of<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| parent(&key.path) == section)
    }

    /// The known name an unknown one was most likely meant to be.
    #[must_use]
    pub fn nearest(&self, unknown: &str) -> Option<&str> {
        let names = || self.keys.iter().map(|key| key.path.as_str()).chain(self.section_names());
        // A right name in a wrong table is a likelier slip than a typing error.
        let moved = names().find(|name| leaf(name) == leaf(unknown) && parent(name) != parent(unknown));
        let distance = |name: &str| strsim::damerau_levenshtein(name, unknown);
        let typed = names().map(|name| (distance(name), name)).min()?;
        let bound = (leaf(unknown).chars().count() / 3).max(2);
        if typed.0 <= bound { Some(typed.1) } else { moved }
    }

    fn section_names(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|section| section.path.as_str()).filter(|path| !path.is_empty())
    }
}

impl Kind {
    /// What the key takes, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Switch => "true or false".into(),
            Self::Number(most) => format!("a whole number from 0 to {most}"),
            Self::Size => "a size such as \"64MiB\"".into(),
            Self::Period => "a length of time such as \"24h\"".into(),
            Self::Choice(choices) => {
                let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
                format!("one of {}", names.join(", "))
            }
        }
    }

    /// Whether the key takes `value`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn accept(&self, value: &toml::Value) -> Result<(), String> {
        let right = match self {
            Self::Text => value.is_str(),
            Self::Switch => value.is_bool(),
            Self::Number(most) => value.as_integer().is_some_and(|number| (0..=*most).contains(&number)),
            Self::Size => return self.accept_unit(value, |text| text.parse::<ByteSize>().map(drop)),
            Self::Period => return self.accept_unit(value, |text| text.parse::<Period>().map(drop)),
            Self::Choice(choices) => value.as_str().is_some_and(|text| choices.iter().any(|(name, _)| name == text)),
        };
        if right { Ok(()) } else { Err(self.refusal(value)) }
    }

    fn accept_unit<E: std::fmt::Display>(
        &self,
        value: &toml::Value,
        parse: impl Fn(&str) -> Result<(), E>,
    ) -> Result<(), String> {
        let Some(text) = value.as_str() else { return Err(self.refusal(value)) };
        parse(text).map_err(|error| format!("{text:?} is not {}: {error}", self.words()))
    }

    fn refusal(&self, value: &toml::Value) -> String {
        format!("takes {}, not {} {value}", self.words(), value.type_str())
    }
}

/// The table a full name stands in; empty for the outermost.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The last part of a full name.
#[must_use]
pub fn leaf(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, leaf)| leaf)
}

/// A walk through the schema.
struct Walk<'a> {
    root: &'a Value,
    out: &'a mut Keys,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, path: &str, node: &'a Value) {
        let target = self.resolve(node);
        let Some(properties) = target["properties"].as_object() else {
            self.out.keys.push(key(path, node, target));
            return;
        };
        let required = target["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.out.sections.push(Section {
            path: path.into(),
            doc: doc(node, target),
            required: required.map(Into::into).collect(),
        });
        // Keys before tables, as TOML wants them written.
        let (tables, keys): (Vec<_>, Vec<_>) =
            properties.iter().partition(|(_, property)| self.resolve(property)["properties"].is_object());
        for (name, property) in keys.into_iter().chain(tables) {
            let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.visit(&full, property);
        }
    }

    /// What a node stands for: references followed, the `null` of an optional one left out.
    fn resolve(&self, node: &'a Value) -> &'a Value {
        let alternatives = node["anyOf"].as_array().into_iter().flatten();
        let node = alternatives.into_iter().find(|one| one["type"] != "null").unwrap_or(node);
        let pointer = node["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(node)
    }
}

fn doc(node: &Value, target: &Value) -> String {
    node["description"].as_str().or(target["description"].as_str()).unwrap_or_default().replace('\n', " ")
}

fn key(path: &str, node: &Value, target: &Value) -> Key {
    Key {
        path: path.into(),
        kind: kind(node, target),
        doc: doc(node, target),
        default: node.get("default").filter(|value| !value.is_null()).map(Value::to_string),
        example: node["examples"][0].as_str().map(|text| format!("{text:?}")),
    }
}

fn kind(node: &Value, target: &Value) -> Kind {
    match node["$ref"].as_str() {
        Some("#/$defs/ByteSize") => return Kind::Size,
        Some("#/$defs/Period") => return Kind::Period,
        Some(_) | None => {}
    }
    if let Some(choices) = choices(target) {
        return Kind::Choice(choices);
    }
    match (target["type"].as_str(), target["format"].as_str()) {
        (Some("boolean"), _) => Kind::Switch,
        (Some("integer"), Some("uint8")) => Kind::Number(u8::MAX.into()),
        (Some("integer"), Some("uint16")) => Kind::Number(u16::MAX.into()),
        (Some("integer"), Some("uint32")) => Kind::Number(u32::MAX.into()),
        (Some("integer"), _) => Kind::Number(i64::MAX),
        _ => Kind::Text,
    }
}

/// The texts an enumeration allows. Variants with a doc come as `oneOf`, those without as `enum`.
fn choices(target: &Value) -> Option<Vec<(String, String)>> {
    let documented = target["oneOf"].as_array().into_iter().flatten();
    let plain = target["enum"].as_array().into_iter().flatten();
    let documented = documented.filter_map(|one| Some((one["const"].as_str()?.to_owned(), doc(one, one))));
    let plain = plain.filter_map(|one| Some((one.as_str()?.to_owned(), String::new())));
    let all: Vec<_> = documented.chain(plain).collect();
    if all.is_empty() { None } else { Some(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_defaults_is_a_known_key() {
        fn flatten(path: &str, value: &toml::Value, out: &mut Vec<String>) {
            match value.as_table() {
                Some(table) => table.iter().for_each(|(name, value)| {
                    flatten(&format!("{path}{}{name}", if path.is_empty() { "" } else { "." }), value, out);
                }),
                None => out.push(path.into()),
            }
        }
        let mut paths = Vec::new();
        flatten("", &toml::Value::try_from(Config::default()).unwrap(), &mut paths);
        for path in paths {
            assert!(all().key(&path).is_some_and(|key| key.default.is_some()), "{path}");
        }
    }

    #[test]
    fn every_key_and_section_has_a_doc() {
        for key in &all().keys {
            assert!(!key.doc.is_empty(), "{}", key.path);
            assert!(key.default.is_some() || key.example.is_some(), "{} has nothing to show", key.path);
        }
        assert!(all().sections.iter().all(|section| !section.doc.is_empty()));
    }

    #[test]
    fn kinds_come_from_the_types() {
        let kind = |path: &str| all().key(path).unwrap().kind.clone();
        assert_eq!(kind("http.plain"), Kind::Switch);
        assert_eq!(kind("http.listen"), Kind::Text);
        assert_eq!(kind("http.public_url"), Kind::Text);
        assert_eq!(kind("http.tls.cert"), Kind::Text);
        assert_eq!(kind("storage.refuse_uploads_at"), Kind::Number(255));
        assert_eq!(kind("limits.page"), Kind::Number(u32::MAX.into()));
        assert_eq!(kind("storage.ballast"), Kind::Size);
        assert_eq!(kind("gc.every"), Kind::Period);
        assert!(matches!(kind("log.format"), Kind::Choice(choices) if choices.len() == 2));
    }

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        assert_eq!(all().nearest("http.listne"), Some("http.listen"));
        assert_eq!(all().nearest("htpp"), Some("http"));
        assert_eq!(all().nearest("storage.listen"), Some("http.listen"));
        assert_eq!(all().nearest("gc.blob_leese"), Some("gc.blob_lease"));
        assert_eq!(all().nearest("entirely.else_where"), None);
    }
}

//! A first, strict look at JSON a client sent.
//!
//! Two readers that disagree about one body are a class of flaw of their own (CVE-2021-41190): a duplicate key is read
//! differently by different parsers, and a deep or wide document costs the reader, not the sender. So a document is
//! walked once, before anything interprets it, with duplicate keys refused and depth and number of values bounded.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Bounds on a JSON document.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Deepest nesting of objects and arrays.
    pub depth: usize,
    /// Most values, keys included, in the whole document.
    pub values: usize,
}

/// Members whose names a document's readers act on.
///
/// Readers written in Go, which most clients are, take `Layers` for `layers` and let the later of the two win. So a
/// name that equals a known one in all but case would be one document to us and another to them.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The names, as they must be spelt.
    pub known: &'static [&'static str],
    /// Those among them whose values have members of these names in turn. Other values hold keys of their own (the
    /// annotations `A` and `a` are two), and are not looked at.
    pub inside: &'static [&'static str],
}

impl Names {
    const NONE: Self = Self { known: &[], inside: &[] };

    fn misspell(self, key: &str) -> bool {
        !self.known.contains(&key) && self.known.iter().any(|name| folded(name).eq(folded(key)))
    }

    fn below(self, key: &str) -> Self {
        if self.inside.contains(&key) { self } else { Self::NONE }
    }
}

/// The characters without their case. Two letters outside ASCII fold to letters within.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    })
}

/// Why a document was refused before anyone read its meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

/// Checks that `bytes` is one well-formed JSON document within `limits` in which no object names a key twice.
///
/// # Errors
/// [`JsonError`] with the reason and, from the parser, line and column.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), JsonError> {
    check_names(bytes, limits, Names::NONE)
}

/// As [`check`], and that the members of `names` are spelt as they stand there.
///
/// # Errors
/// As [`check`].
pub fn check_names(bytes: &[u8], limits: Limits, names: Names) -> Result<(), JsonError> {
    let mut left = limits.values;
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    Walk { depth: limits.depth, left: &mut left, names }
        .deserialize(&mut parser)
        .and_then(|()| parser.end())
        .map_err(|e| JsonError(e.to_string()))
}

struct Walk<'a> {
    depth: usize,
    left: &'a mut usize,
    names: Names,
}

impl Walk<'_> {
    fn spend<E: serde::de::Error>(&mut self) -> Result<(), E> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| E::custom("too many values"))?;
        Ok(())
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        self.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        while seq.next_element_seed(Walk { depth, left: &mut *self.left, names: self.names })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<Key>()? {
            self.spend()?;
            if self.names.misspell(&key.0) {
                return Err(serde::de::Error::custom("a key differs from a known one only in upper and lower case"));
            }
            let names = self.names.below(&key.0);
            if !seen.insert(key) {
                return Err(serde::de::Error::custom("a key stands twice in one object"));
            }
            map.next_value_seed(Walk { depth, left: &mut *self.left, names })?;
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { depth: 4, values: 20 };

    #[test]
    fn plain_documents_pass() {
        for good in ["{}", "[]", "null", "1.5", r#"{"a":[1,{"b":[true]}]}"#, r#"{"a":1,"b":{"a":2}}"#] {
            assert!(check(good.as_bytes(), LIMITS).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_key_named_twice_is_refused_however_it_is_spelt() {
        for bad in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"x":{"y":1,"y":1}}]"#] {
            assert!(check(bad.as_bytes(), LIMITS).unwrap_err().to_string().contains("twice"), "{bad}");
        }
    }

    #[test]
    fn a_known_name_in_another_case_is_refused_where_names_are_known() {
        const NAMES: Names = Names { known: &["layers", "links", "config"], inside: &["layers"] };
        for bad in [r#"{"Layers":1}"#, r#"{"layer\u017f":1}"#, r#"{"lin\u212as":1}"#, r#"{"layers":[{"CONFIG":1}]}"#] {
            assert!(check_names(bad.as_bytes(), LIMITS, NAMES).unwrap_err().to_string().contains("case"), "{bad}");
            assert!(check(bad.as_bytes(), LIMITS).is_ok(), "{bad}");
        }
        for good in
            [r#"{"layers":[{"config":1}]}"#, r#"{"config":{"Layers":1}}"#, r#"{"other":{"Layers":1,"layers":1}}"#]
        {
            assert!(check_names(good.as_bytes(), LIMITS, NAMES).is_ok(), "{good}");
        }
    }

    #[test]
    fn depth_and_width_are_bounded() {
        assert!(check(b"[[[[[1]]]]]", LIMITS).unwrap_err().to_string().contains("deeply"));
        let wide = format!("[{}]", vec!["1"; 30].join(","));
        assert!(check(wide.as_bytes(), LIMITS).unwrap_err().to_string().contains("too many"));
    }

    #[test]
    fn what_follows_the_document_is_refused() {
        assert!(check(b"{} {}", LIMITS).is_err());
        assert!(check(b"{\"a\":\xff}", LIMITS).is_err());
    }
}

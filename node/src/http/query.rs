//! The query of a URL: pairs of text, decoded once, bounded.
//!
//! A parameter that may stand once and stands twice is refused rather than guessed at: two readers of one URL must not
//! disagree about it.

use std::borrow::Cow;

/// Most pairs read.
const MAX_PAIRS: usize = 256;

/// Why a query can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// More pairs than are worth reading.
    #[error("the query has more than {MAX_PAIRS} parameters")]
    TooMany,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the query is not percent-encoded UTF-8")]
    Encoding,
    /// A parameter that may stand once stands twice.
    #[error("the parameter {0} stands more than once")]
    Twice(&'static str),
}

/// The decoded pairs, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads what follows the `?` (or a form body, which has the same syntax).
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn parse(text: Option<&'a str>) -> Result<Self, QueryError> {
        let mut pairs = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(QueryError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may stand once.
    ///
    /// # Errors
    /// [`QueryError::Twice`].
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, QueryError> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(QueryError::Twice(name)) } else { Ok(first) }
    }

    /// Every pair, in its order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Every value of a parameter.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| &**value)
    }
}

/// Takes one percent-encoding off; `+` is a space.
///
/// # Errors
/// [`QueryError::Encoding`].
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, QueryError> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (bytes.next().and_then(nibble), bytes.next().and_then(nibble));
                high.zip(low).map(|(h, l)| h << 4 | l).ok_or(QueryError::Encoding)?
            }
            other => other,
        });
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| QueryError::Encoding)
}

const fn nibble(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

/// Appends `value` so that it is one value of a query, whatever it holds.
pub fn encode(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_decoded_once() {
        let query = Query::parse(Some("digest=sha256%3Aab&tag=a&tag=b&x=%2541&empty")).unwrap();
        assert_eq!(query.one("digest"), Ok(Some("sha256:ab")));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(query.one("x"), Ok(Some("%41")));
        assert_eq!(query.one("empty"), Ok(Some("")));
        assert_eq!(query.one("none"), Ok(None));
        assert_eq!(query.one("tag"), Err(QueryError::Twice("tag")));
    }

    #[test]
    fn nonsense_and_floods_are_refused() {
        for bad in ["a=%", "a=%1", "a=%zz", "a=%ff"] {
            assert_eq!(Query::parse(Some(bad)), Err(QueryError::Encoding), "{bad}");
        }
        assert_eq!(Query::parse(Some(&"a&".repeat(257))), Err(QueryError::TooMany));
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(value in ".{0,60}") {
            let mut text = String::from("v=");
            encode(&mut text, &value);
            prop_assert!(text.is_ascii());
            let query = Query::parse(Some(&text)).unwrap();
            prop_assert_eq!(query.one("v").unwrap().unwrap(), value);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,200}") {
            let _ = Query::parse(Some(&text));
        }
    }
}

//! Sizes and periods as people write them: `64MiB`, `24h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes: a whole number with `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time: a whole number with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Why a text is no size or period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No number, no unit, or another unit.
    #[error("write a whole number and one of {0}, for example {1}")]
    Form(&'static str, &'static str),
    /// The number is too large.
    #[error("the number is too large")]
    TooLarge,
}

const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const PERIODS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<Result<u64, UnitError>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    if number.is_empty() {
        return None;
    }
    Some(number.parse::<u64>().ok().and_then(|n| n.checked_mul(*scale)).ok_or(UnitError::TooLarge))
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, scale)| value != 0 && value.is_multiple_of(*scale))
        .or(units.last())
        .map_or_else(|| value.to_string(), |(name, scale)| format!("{}{name}", value / scale))
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        parse(s, &SIZES).unwrap_or(Err(UnitError::Form("B, KiB, MiB, GiB, TiB", "64MiB"))).map(Self)
    }
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let ms = parse(s, &PERIODS).unwrap_or(Err(UnitError::Form("ms, s, m, h, d", "24h")))?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(self.0, &SIZES))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &PERIODS))
    }
}

macro_rules! as_text {
    ($name:ident, $describe:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $describe, "pattern": $pattern })
            }
        }
    };
}

as_text!(ByteSize, "A number of bytes, for example 64MiB", "^[0-9]+ ?(B|KiB|MiB|GiB|TiB)$");
as_text!(Period, "A length of time, for example 24h", "^[0-9]+ ?(ms|s|m|h|d)$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["0B", "1B", "64MiB", "3TiB", "1500KiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["0ms", "15s", "90s", "24h", "30d", "1500ms"] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
        }
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for bad in ["", "64", "MiB", "-1MiB", "1.5GiB", "64mb", "99999999999TiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
        assert!("5".parse::<Period>().unwrap_err().to_string().contains("24h"));
    }
}

//! The objects of the administration interface as clients know them: field names, types and optionality are Harbor's.
//!
//! What a client sends has only optional fields and refuses unknown ones, so that nothing is skipped silently
//! (CVE-2019-16097). Fields clients send back although they can't be set by them are named too, as [`Ignored`].
//! Nothing here is stored.

pub(crate) mod content;
pub(crate) mod mesh;
pub(crate) mod people;
pub(crate) mod project;
pub(crate) mod settings;
pub(crate) mod system;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use protocol::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// A field a client may send and that is not obeyed, whatever it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Ignored {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ignored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Read and not obeyed.", "deprecated": true })
    }
}

/// A password or secret a client sent. Never shown, never sent.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "password", "writeOnly" = true))]
pub(crate) struct Hidden(String);

impl Hidden {
    /// The secret itself: for comparing and hashing only.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A point in time, or never; in text UTC with milliseconds, and never is the first day of the year 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(Option<Duration>);

impl Time {
    /// What stands for "never".
    pub(crate) const NEVER: Self = Self(None);

    /// A time by its distance from 1970.
    pub(crate) const fn at(since_epoch: Duration) -> Self {
        Self(Some(since_epoch))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.and_then(|since| {
            let nanos = i128::try_from(since.as_nanos()).ok()?;
            OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
        });
        let Some(at) = at else { return f.write_str("0001-01-01T00:00:00.000Z") };
        let (date, time) = (at.date(), at.time());
        write!(f, "{:04}-{:02}-{:02}T", date.year(), u8::from(date.month()), date.day())?;
        write!(f, "{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time.millisecond())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Clients may send a time back; what it was is ours to know.
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self::NEVER)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "examples": ["2006-01-02T15:04:05.000Z"] })
    }
}

/// A time of the records on the wire.
pub(crate) const fn time(at: Timestamp) -> Time {
    Time::at(Duration::from_millis(at.0))
}

/// A number of things on the wire.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let at = Time::at(Duration::from_millis(1_136_214_245_678));
        assert_eq!(at.to_string(), "2006-01-02T15:04:05.678Z");
        assert_eq!(Time::at(Duration::ZERO).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(serde_json::to_value(Time::NEVER).unwrap(), json!("0001-01-01T00:00:00.000Z"));
        assert_eq!(Time::at(Duration::MAX).to_string(), Time::NEVER.to_string(), "no such year");
    }

    #[test]
    fn a_whole_project_can_be_sent_back_and_only_what_may_be_set_is_read() {
        let project = project::Project { project_id: 7, owner_name: "eve".into(), ..Default::default() };
        let mut sent = serde_json::to_value(project).unwrap();
        sent["metadata"] = json!({ "public": "true" });
        let read: project::ProjectReq = serde_json::from_value(sent).unwrap();
        assert_eq!(read.metadata.unwrap().public.as_deref(), Some("true"));
        assert_eq!((read.public, read.storage_limit), (None, None));
    }

    #[test]
    fn a_new_account_is_no_administrator_whatever_was_sent() {
        let sent = json!({ "username": "eve", "password": "Passw0rd", "sysadmin_flag": true, "user_id": 1 });
        let read: people::UserCreationReq = serde_json::from_value(sent).unwrap();
        assert_eq!(read.sysadmin_flag, Some(Ignored));
        assert_eq!(read.password.as_ref().map(Hidden::reveal), Some("Passw0rd"));
        assert!(!format!("{read:?}").contains("Passw0rd"));
    }

    #[test]
    fn an_unknown_field_is_named() {
        let sent = json!({ "username": "eve", "is_admin": true });
        let error = serde_json::from_value::<people::UserCreationReq>(sent).unwrap_err().to_string();
        assert!(error.contains("is_admin"), "{error}");
    }

    #[test]
    fn fields_that_clash_with_words_of_the_language_keep_their_names() {
        let platform = content::Platform { os_version: "10".into(), ..Default::default() };
        assert_eq!(serde_json::to_value(platform).unwrap()["os.version"], "10");
        assert!(serde_json::to_value(system::Quota::default()).unwrap().get("ref").is_some());
        assert!(serde_json::to_value(content::Accessory::default()).unwrap().get("type").is_some());
    }
}

//! What is set for the whole mesh: which items there are, what they may be, and what follows from them. No state: the
//! directory holds them; an item nobody set has its default.
//!
//! Items that Harbor knows and this node has no use for (directories of accounts, proxies) are shown with what they are
//! here and can't be changed; so can't those that are this node's own configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Registry;
use crate::directory::{Book, DirectoryError};
use crate::policy::SystemPermit;
use crate::storage::audit::EventType;

/// What an item is while nobody set it.
#[derive(Clone, Copy, Debug)]
enum Default {
    Flag(bool),
    Number(i64),
    Text(&'static str),
}

/// What an item may be.
#[derive(Clone, Copy, Debug)]
enum Range {
    /// What it is: it can't be set here.
    Fixed,
    /// Any truth value.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number between these.
    Number(i64, i64),
    /// A number of bytes, or -1: no bound.
    Bytes,
    /// Text of at most so many characters.
    Text(usize),
    /// How names of robots begin.
    Prefix,
    /// Types of entries of the audit log, with commas between them.
    EventTypes,
}

struct Item {
    name: &'static str,
    default: Default,
    range: Range,
}

const fn item(name: &'static str, default: Default, range: Range) -> Item {
    Item { name, default, range }
}

const fn no(name: &'static str) -> Item {
    item(name, Default::Flag(false), Range::Fixed)
}

const fn none(name: &'static str) -> Item {
    item(name, Default::Text(""), Range::Fixed)
}

const fn zero(name: &'static str) -> Item {
    item(name, Default::Number(0), Range::Fixed)
}

/// The setting that makes everything read-only.
const READ_ONLY: &str = "read_only";
/// The setting that says which types the audit log does not write.
const EVENTS_OFF: &str = "disabled_audit_log_event_types";
/// How long a token is good, in minutes: this node's configuration says so.
const TOKEN_MINUTES: &str = "token_expiration";

/// Minutes of a year.
const YEAR: i64 = 365 * 24 * 60;

/// All there are, by name.
const ITEMS: [Item; 54] = [
    none("audit_log_forward_endpoint"),
    item("auth_mode", Default::Text("db_auth"), Range::Fixed),
    item("banner_message", Default::Text(""), Range::Text(4096)),
    item(EVENTS_OFF, Default::Text(""), Range::EventTypes),
    none("http_authproxy_admin_groups"),
    none("http_authproxy_admin_usernames"),
    none("http_authproxy_endpoint"),
    none("http_authproxy_server_certificate"),
    no("http_authproxy_skip_search"),
    none("http_authproxy_tokenreview_endpoint"),
    no("http_authproxy_verify_cert"),
    none("ldap_base_dn"),
    none("ldap_filter"),
    none("ldap_group_admin_dn"),
    no("ldap_group_attach_parallel"),
    none("ldap_group_attribute_name"),
    none("ldap_group_base_dn"),
    none("ldap_group_membership_attribute"),
    none("ldap_group_search_filter"),
    zero("ldap_group_search_scope"),
    zero("ldap_scope"),
    none("ldap_search_dn"),
    zero("ldap_timeout"),
    none("ldap_uid"),
    none("ldap_url"),
    no("ldap_verify_cert"),
    no("notification_enable"),
    none("oidc_admin_group"),
    no("oidc_auto_onboard"),
    none("oidc_client_id"),
    none("oidc_endpoint"),
    none("oidc_extra_redirect_parms"),
    none("oidc_group_filter"),
    none("oidc_groups_claim"),
    no("oidc_logout"),
    none("oidc_name"),
    none("oidc_scope"),
    none("oidc_user_claim"),
    no("oidc_verify_cert"),
    no("primary_auth_mode"),
    item("project_creation_restriction", Default::Text("everyone"), Range::Word(&["everyone", "adminonly"])),
    item("quota_per_project_enable", Default::Flag(true), Range::Flag),
    item(READ_ONLY, Default::Flag(false), Range::Flag),
    item("robot_name_prefix", Default::Text(crate::auth::ROBOT_PREFIX), Range::Prefix),
    item("robot_token_duration", Default::Number(30), Range::Number(1, 36_500)),
    no("scanner_skip_update_pulltime"),
    item("self_registration", Default::Flag(false), Range::Flag),
    item("session_timeout", Default::Number(60), Range::Number(1, YEAR)),
    no("skip_audit_log_database"),
    item("storage_per_project", Default::Number(-1), Range::Bytes),
    zero(TOKEN_MINUTES),
    none("uaa_client_id"),
    none("uaa_endpoint"),
    no("uaa_verify_cert"),
];

/// The names of all items, in their order.
#[cfg(test)]
pub(crate) fn configuration_items() -> impl Iterator<Item = &'static str> {
    ITEMS.iter().map(|item| item.name)
}

/// An item as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Whether it can be set here.
    pub editable: bool,
}

/// Why something was not set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// There is no such item.
    #[error("there is no item {0}")]
    Unknown(String),
    /// It can't be that.
    #[error("{name}: {why}")]
    Invalid {
        /// The item.
        name: &'static str,
        /// Why.
        why: String,
    },
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl Default {
    fn value(self) -> Value {
        match self {
            Self::Flag(flag) => json!(flag),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }
}

impl Item {
    fn value(&self, book: &Book, token_minutes: i64) -> Value {
        match self.range {
            Range::Fixed if self.name == TOKEN_MINUTES => json!(token_minutes),
            Range::Fixed => self.default.value(),
            Range::Flag
            | Range::Word(_)
            | Range::Number(..)
            | Range::Bytes
            | Range::Text(_)
            | Range::Prefix
            | Range::EventTypes => {
                let set = book.configured(self.name).and_then(|text| serde_json::from_str(text).ok());
                // What another version wrote and this one does not know is not obeyed.
                set.filter(|value| self.range.refuse(value).is_none()).unwrap_or_else(|| self.default.value())
            }
        }
    }
}

impl Range {
    /// Why an item can't be this; `None`: it can.
    fn refuse(self, value: &Value) -> Option<String> {
        let unless = |good: bool, why: &str| (!good).then(|| why.to_owned());
        match self {
            Self::Fixed => Some("it can't be changed here".into()),
            Self::Flag => unless(value.is_boolean(), "it is true or false"),
            Self::Word(words) => {
                let known = value.as_str().is_some_and(|text| words.contains(&text));
                (!known).then(|| format!("it is one of {}", words.join(", ")))
            }
            Self::Number(least, most) => {
                let good = value.as_i64().is_some_and(|number| (least..=most).contains(&number));
                (!good).then(|| format!("it is a number from {least} to {most}"))
            }
            Self::Bytes => {
                let good = value.as_i64().is_some_and(|number| number == -1 || number > 0);
                unless(good, "it is a number of bytes, or -1 for no bound")
            }
            Self::Text(most) => {
                let good = value.as_str().is_some_and(|text| text.chars().count() <= most);
                (!good).then(|| format!("it is text of at most {most} characters"))
            }
            Self::Prefix => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "$._-@!#".contains(c);
                let good = value.as_str().is_some_and(|t| !t.is_empty() && t.len() <= 64 && t.chars().all(plain));
                unless(good, "it is 1 to 64 letters, digits and $ . _ - @ ! #")
            }
            Self::EventTypes => match value.as_str() {
                Some(text) => unknown_type(text).map(|name| format!("there is no type {name}")),
                None => Some("it is text".into()),
            },
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn unknown_type(text: &str) -> Option<&str> {
    words(text).find(|name| EventType::parse(name).is_none())
}

/// What is to be stored of what someone wants set: only what changes.
fn decide(
    book: &Book,
    token_minutes: i64,
    wanted: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, String>, ConfigurationError> {
    let mut settings = BTreeMap::new();
    for (name, value) in wanted {
        let item = ITEMS.iter().find(|item| item.name == name);
        let item = item.ok_or_else(|| ConfigurationError::Unknown(name.clone()))?;
        if item.value(book, token_minutes) == *value {
            continue;
        }
        if let Some(why) = item.range.refuse(value) {
            return Err(ConfigurationError::Invalid { name: item.name, why });
        }
        settings.insert(name.clone(), value.to_string());
    }
    Ok(settings)
}

impl Registry {
    /// Every item. `token_minutes`: how long this node's tokens are good.
    #[must_use]
    pub fn configuration(&self, _permit: &SystemPermit, token_minutes: i64) -> Vec<Configured> {
        self.directory.read(|book| {
            let shown = |item: &Item| {
                let editable = !matches!(item.range, Range::Fixed);
                Configured { name: item.name, value: item.value(book, token_minutes), editable }
            };
            ITEMS.iter().map(shown).collect()
        })
    }

    /// Sets items; what is not named stays, and so does everything when one can't be set. What is there already may be
    /// said again, also of what can't be changed.
    ///
    /// # Errors
    /// [`ConfigurationError`].
    pub async fn configure(
        &self,
        permit: &SystemPermit,
        token_minutes: i64,
        wanted: &BTreeMap<String, Value>,
        request: &Arc<str>,
    ) -> Result<(), ConfigurationError> {
        let act = self.act(permit.actor(), request);
        self.directory
            .change(&act, |draft| {
                let settings = decide(draft.book, token_minutes, wanted)?;
                Ok::<_, ConfigurationError>(draft.configure(&settings)?)
            })
            .await?;
        self.obey_configuration();
        Ok(())
    }

    /// One item that everyone may know, for what a node says of itself.
    #[must_use]
    pub fn configured(&self, name: &str) -> Option<Value> {
        let item = ITEMS.iter().find(|item| item.name == name)?;
        Some(self.directory.read(|book| item.value(book, 0)))
    }

    /// Whether nothing may be changed at the moment: someone set it so.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.directory.read(|book| book.configured_flag(READ_ONLY)) == Some(true)
    }

    /// Has what is kept in memory follow the settings: which types the audit log writes. To be called at the start and
    /// whenever the directory changed; changes by other sites come like that, too.
    pub fn obey_configuration(&self) {
        let off = self.directory.read(|book| book.configured_text(EVENTS_OFF)).unwrap_or_default();
        let off: BTreeSet<EventType> = words(&off).filter_map(EventType::parse).collect();
        if off != self.audit_sink().switched_off() {
            self.audit_sink().switch_off(off);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::directory::Book;

    fn book() -> Book {
        let author = crate::storage::meta::tests_author();
        Book::new(protocol::record::MeshId::of(&author.key()))
    }

    fn set(name: &str, value: Value) -> Result<BTreeMap<String, String>, String> {
        decide(&book(), 30, &BTreeMap::from([(name.to_owned(), value)])).map_err(|error| error.to_string())
    }

    #[test]
    fn every_item_is_there_once_by_name() {
        assert!(ITEMS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for item in &ITEMS {
            let default = item.default.value();
            assert!(matches!(item.range, Range::Fixed) || item.range.refuse(&default).is_none(), "{}", item.name);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        for (name, bad) in [
            ("project_creation_restriction", json!("nobody")),
            ("read_only", json!("perhaps")),
            ("robot_token_duration", json!(0)),
            ("session_timeout", json!(-5)),
            ("storage_per_project", json!(-2)),
            ("storage_per_project", json!(0)),
            ("robot_name_prefix", json!("a:b")),
            ("robot_name_prefix", json!("")),
            ("banner_message", json!("x".repeat(4097))),
            ("disabled_audit_log_event_types", json!("pull_artifact,fly_artifact")),
            ("disabled_audit_log_event_types", json!("purge_audit")),
            ("auth_mode", json!("ldap_auth")),
            ("token_expiration", json!(-5)),
            ("ldap_url", json!("ldap://x")),
            ("no_such_thing", json!(1)),
        ] {
            let error = set(name, bad).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn what_is_so_already_may_be_said_again() {
        for (name, value) in [("auth_mode", json!("db_auth")), ("token_expiration", json!(30)), ("ldap_url", json!(""))]
        {
            assert_eq!(set(name, value), Ok(BTreeMap::new()), "{name}");
        }
        assert_eq!(set("read_only", json!(true)).unwrap()["read_only"], "true");
        assert_eq!(set("robot_name_prefix", json!("bot_")).unwrap()["robot_name_prefix"], "\"bot_\"");
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in ".{0,80}", item in 0..ITEMS.len()) {
            let _ = set(ITEMS[item].name, json!(text));
        }
    }
}

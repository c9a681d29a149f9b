//! What a line of the audit log says. Owns no state: pure text.
//!
//! A line is one JSON object that ends in `,"chain":"<64 hex digits>"}`. The chain value is BLAKE3 over the chain value
//! of the line before and the bytes of this one up to that ending, so nobody has to agree on how JSON is written.

use std::fmt;
use std::str::FromStr;

use protocol::ProjectName;
use protocol::record::{RecordId, ScopeId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::words::{EventType, Resource};
use crate::storage::meta::{Act, Event, Operation, What};

/// Longest name of a resource, in characters.
const NAME: usize = 512;

/// Longest value of `before` and `after`, in bytes of JSON.
const VALUE: usize = 4096;

/// What stands between a line's content and its chain value.
const CHAIN: &[u8] = b",\"chain\":\"";

/// Bytes after the content: [`CHAIN`], 64 digits, and `"}` with the end of the line.
const ENDING: usize = CHAIN.len() + 64 + 3;

/// The value that stands for a line and all lines before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain([u8; 32]);

/// Text that is no chain value.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a chain value has 64 hex digits, small letters")]
pub struct NotAChain;

impl Chain {
    /// The value of a line with this content after one with `self`.
    #[must_use]
    pub fn next(self, content: &[u8]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.0).update(content);
        Self(*hash.finalize().as_bytes())
    }

    /// The hash of a file, to name it by.
    #[must_use]
    pub fn of(hash: &blake3::Hasher) -> Self {
        Self(*hash.finalize().as_bytes())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Chain {
    type Err = NotAChain;

    fn from_str(text: &str) -> Result<Self, NotAChain> {
        let digits = text.as_bytes();
        if digits.len() != 64 || digits.iter().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotAChain);
        }
        blake3::Hash::from_hex(digits).map(|hash| Self(*hash.as_bytes())).map_err(|_| NotAChain)
    }
}

impl TryFrom<String> for Chain {
    type Error = NotAChain;

    fn try_from(text: String) -> Result<Self, NotAChain> {
        text.parse()
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> Self {
        chain.to_string()
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused, with a short code: `DENIED`, `UNAUTHORIZED`.
    Refused(String),
}

/// What was done to what, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What was done.
    pub operation: Operation,
    /// To what kind of thing.
    pub kind: Resource,
    /// To which.
    pub resource: String,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The scope of that project: by it, and not by the name, it is known whose it is. Entries of earlier builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "scope_as_text")]
    pub scope: Option<ScopeId>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

mod scope_as_text {
    use super::{Deserialize, Deserializer, RecordId, ScopeId, Serializer};

    #[expect(clippy::ref_option, reason = "so serde calls it")]
    pub(super) fn serialize<S: Serializer>(scope: &Option<ScopeId>, serializer: S) -> Result<S::Ok, S::Error> {
        match scope {
            Some(scope) => serializer.collect_str(scope),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ScopeId>, D::Error> {
        // Hashes are written alike, whatever they name.
        let read = |text: String| text.parse().map(|RecordId(hash)| ScopeId(hash)).map_err(serde::de::Error::custom);
        Option::<String>::deserialize(deserializer)?.map(read).transpose()
    }
}

impl Told {
    /// Something done, without values.
    #[must_use]
    pub fn done(operation: Operation, kind: Resource, resource: impl Into<String>) -> Self {
        let resource = short(resource.into());
        Self {
            operation,
            kind,
            resource,
            project: None,
            scope: None,
            outcome: Outcome::Done,
            before: None,
            after: None,
        }
    }

    /// The same, in a project.
    #[must_use]
    pub fn within(self, project: ProjectName, scope: Option<ScopeId>) -> Self {
        Self { project: Some(project), scope, ..self }
    }

    /// The same, refused with a short code.
    #[must_use]
    pub fn refused(self, code: &str) -> Self {
        Self { outcome: Outcome::Refused(short(code.to_owned())), ..self }
    }

    /// What an event of the store tells.
    #[must_use]
    pub fn of(what: &What) -> Self {
        let here = |project: &str, told: Self| Self { project: project.parse().ok(), ..told };
        match what {
            What::ProjectCreated { project, public } => {
                let told = Self::done(Operation::Create, Resource::Project, project.as_str());
                let told = here(project.as_str(), told);
                Self { after: Some(serde_json::json!({ "public": public })), ..told }
            }
            What::ManifestPushed { repository, digest, tags } => {
                let name = match tags.first() {
                    Some(tag) => format!("{repository}:{tag}"),
                    None => format!("{repository}:{digest}"),
                };
                let told = here(repository.project_str(), Self::done(Operation::Create, Resource::Artifact, name));
                Self { after: bounded(serde_json::json!({ "digest": digest, "tags": tags })), ..told }
            }
            What::TagDeleted { repository, tag, digest } => {
                let told = Self::done(Operation::Delete, Resource::Tag, format!("{repository}:{tag}"));
                let told = here(repository.project_str(), told);
                Self { before: Some(serde_json::json!({ "digest": digest })), ..told }
            }
            What::ManifestDeleted { repository, digest, tags } => {
                let told = Self::done(Operation::Delete, Resource::Artifact, format!("{repository}:{digest}"));
                let told = here(repository.project_str(), told);
                Self { before: bounded(serde_json::json!({ "tags": tags })), ..told }
            }
            What::BlobUnlinked { repository, digest } => {
                let told = Self::done(Operation::Delete, Resource::Blob, format!("{repository}:{digest}"));
                here(repository.project_str(), told)
            }
            What::BlobQuarantined { digest } => Self::done(Operation::Quarantine, Resource::Blob, digest.to_string()),
            What::TagDecided { repository, tag, digest } => {
                let told = Self::done(Operation::Update, Resource::Tag, format!("{repository}:{tag}"));
                let told = here(repository.project_str(), told);
                Self { after: Some(serde_json::json!({ "digest": digest })), ..told }
            }
            What::ConflictSettled { about, record } => {
                let told = Self::done(Operation::Update, Resource::Conflict, about.as_str());
                Self { after: Some(serde_json::json!({ "record": record })), ..told }
            }
            What::RepositoryDescribed { repository } => {
                let told = Self::done(Operation::Update, Resource::Repository, repository.as_str());
                here(repository.project_str(), told)
            }
            What::RepositoryDeleted { repository, manifests, tags } => {
                let told = Self::done(Operation::Delete, Resource::Repository, repository.as_str());
                let told = here(repository.project_str(), told);
                Self { before: Some(serde_json::json!({ "manifests": manifests, "tags": tags })), ..told }
            }
            What::Governed(governed) => {
                let kind = Resource::from(governed.kind);
                let value = |text: &Option<String>| text.as_deref().and_then(|text| shown(kind, text));
                Self {
                    project: governed.project.clone(),
                    before: value(&governed.before),
                    after: value(&governed.after),
                    ..Self::done(governed.operation, kind, governed.name.as_str())
                }
            }
        }
    }

    /// Its type, as Harbor names it: `create_artifact`.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        EventType { operation: self.operation, kind: self.kind }
    }
}

/// What is to become an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who, when, how known, from where, under which request.
    pub act: Act,
    /// What.
    pub told: Told,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position: 1 or more, grows by one with each entry, never reused.
    pub seq: u64,
    /// In the first entry of a file: what came before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// The position of the store's event it tells of; none for what was no transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// Who, when, how known, from where, under which request.
    pub act: Act,
    /// What.
    pub told: Told,
    /// The value that stands for this line and all before it.
    #[serde(default, skip_serializing)]
    pub chain: Chain,
}

/// What the first entry of a file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follows {
    /// The chain value of the last line of the file before.
    pub chain: Chain,
    /// The last event of the store that is in the log before it.
    pub event: u64,
}

/// What stands where a purge removed entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stone {
    /// The first one removed.
    pub purged: u64,
    /// The last one.
    pub to: u64,
    /// What the first one followed.
    pub follows: Follows,
    /// The last event of the store up to here.
    pub event: u64,
    /// The chain value of the last one removed.
    #[serde(default, skip_serializing)]
    pub chain: Chain,
}

/// A line as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An entry.
    Entry(Box<Entry>),
    /// A place where entries were.
    Stone(Stone),
}

/// A line's content and chain value, or why it is none. The end of the line belongs to it.
///
/// # Errors
/// What is wrong.
pub fn split(line: &[u8]) -> Result<(&[u8], Chain), &'static str> {
    let at = line.len().checked_sub(ENDING).ok_or("the line is too short")?;
    let (content, ending) = line.split_at(at);
    let digits = ending.strip_prefix(CHAIN).and_then(|rest| rest.strip_suffix(b"\"}\n"));
    let chain = digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|text| text.parse().ok());
    Ok((content, chain.ok_or("the line does not end in a chain value")?))
}

/// Reads a line.
///
/// # Errors
/// What is wrong.
pub fn read(line: &[u8]) -> Result<Line, &'static str> {
    if line.starts_with(b"{\"purged\":") {
        return serde_json::from_slice(line).map(Line::Stone).map_err(|_| "the line is no mark of a purge");
    }
    serde_json::from_slice(line).map(|entry| Line::Entry(Box::new(entry))).map_err(|_| "the line is no entry")
}

/// Ends a line: `content` as JSON without its last brace, then the chain value.
fn end(mut content: Vec<u8>, chain: Chain) -> Vec<u8> {
    content.extend_from_slice(CHAIN);
    content.extend_from_slice(chain.to_string().as_bytes());
    content.extend_from_slice(b"\"}\n");
    content
}

impl Entry {
    /// The entry of a draft, without its chain value.
    #[must_use]
    pub fn new(seq: u64, event: Option<u64>, draft: Draft) -> Self {
        Self { seq, follows: None, event, act: draft.act, told: draft.told, chain: Chain::default() }
    }

    /// The entry of an event of the store.
    #[must_use]
    pub fn of(seq: u64, event: &Event) -> Self {
        let told = Told { scope: event.scope, ..Told::of(&event.what) };
        Self::new(seq, Some(event.seq), Draft { act: event.act.clone(), told })
    }

    /// Writes the line and sets the chain value, which follows `before`.
    ///
    /// # Errors
    /// What can't be written as JSON.
    pub fn seal(&mut self, before: Chain) -> Result<Vec<u8>, serde_json::Error> {
        let mut content = serde_json::to_vec(self)?;
        content.pop();
        self.chain = before.next(&content);
        Ok(end(content, self.chain))
    }
}

impl Stone {
    /// Its line.
    ///
    /// # Errors
    /// What can't be written as JSON.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut content = serde_json::to_vec(self)?;
        content.pop();
        Ok(end(content, self.chain))
    }
}

fn short(text: String) -> String {
    match text.char_indices().nth(NAME) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A value that is small enough; of a larger one, how large it was.
fn bounded(value: Value) -> Option<Value> {
    let length = value.to_string().len();
    Some(if length <= VALUE { value } else { serde_json::json!({ "left_out_bytes": length }) })
}

/// A value as the log may show it. What is no JSON can't be looked into: of kinds that have secrets it is left out.
fn shown(kind: Resource, text: &str) -> Option<Value> {
    let Ok(mut value) = serde_json::from_str(text) else {
        return if kind.has_secrets() { None } else { bounded(Value::String(text.to_owned())) };
    };
    mask(&mut value);
    bounded(value)
}

/// Hides what is called like a secret. Numbers and truth values are none: `token_expiration`.
fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let name = name.to_ascii_lowercase();
                let secret =
                    ["password", "secret", "token", "credential", "private", "salt"].iter().any(|w| name.contains(w));
                match member {
                    Value::String(text) if secret && !text.is_empty() => *text = "***".into(),
                    Value::Array(_) | Value::Object(_) if secret => *member = Value::String("***".into()),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                    Value::Array(_) | Value::Object(_) => mask(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::meta::{Governed, GovernedKind};

    fn governed(kind: GovernedKind, after: &str) -> Option<Value> {
        let (operation, name) = (Operation::Update, "x".to_owned());
        let governed = Governed { kind, operation, name, project: None, before: None, after: Some(after.into()) };
        Told::of(&What::Governed(Box::new(governed))).after
    }

    #[test]
    fn secrets_never_reach_the_log_and_large_values_are_counted_only() {
        let after =
            r#"{"ldap_search_password":"x","deep":[{"robotSecret":"y"}],"token_expiration":30,"credentials":{"a":1}}"#;
        let shown = governed(GovernedKind::Configuration, after).unwrap();
        let hidden = r#"{"credentials":"***","deep":[{"robotSecret":"***"}],"ldap_search_password":"***","token_expiration":30}"#;
        assert_eq!(shown, serde_json::from_str::<Value>(hidden).unwrap());
        assert_eq!(governed(GovernedKind::User, "password=x"), None);
        assert_eq!(governed(GovernedKind::Label, "red"), Some("red".into()));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5000));
        assert_eq!(governed(GovernedKind::Label, &large), Some(serde_json::json!({ "left_out_bytes": 5008 })));
    }
}

//! A change while it is decided: what is said of which topic, what is told of it, which ids are given out. Reads the book
//! and changes nothing.

use std::collections::BTreeMap;

use protocol::record::value::Value;
use protocol::record::{Kind, RecordKey, ScopeId};
use protocol::view::Topic;
use protocol::{ProjectName, Timestamp};
use serde::Serialize;

use super::DirectoryError;
use super::book::Book;
use crate::storage::meta::{Act, Amend, Governed, GovernedKind, Operation, What, Write};

/// Things with an id. Each kind counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named as what it is")]
pub enum IdOf {
    Project,
    User,
    Group,
    Member,
    Robot,
    Role,
    Label,
}

impl IdOf {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Project, Self::User, Self::Group, Self::Member, Self::Robot, Self::Role, Self::Label];

    /// Under which name this node keeps the last one it gave out.
    pub(super) fn local(self) -> String {
        format!("last-id.{}", self.name())
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::User => "user",
            Self::Group => "group",
            Self::Member => "member",
            Self::Robot => "robot",
            Self::Role => "role",
            Self::Label => "label",
        }
    }

    /// The first one of a kind is one more than this: ids up to it are built in.
    const fn floor(self) -> u32 {
        match self {
            // Harbor's roles.
            Self::Role => 5,
            Self::Project | Self::User | Self::Group | Self::Member | Self::Robot | Self::Label => 0,
        }
    }
}

/// A change while it is decided.
#[derive(Debug)]
pub struct Draft<'b> {
    /// What is in force.
    pub book: &'b Book,
    /// Now.
    pub now: Timestamp,
    writes: Vec<Write>,
    local: BTreeMap<String, Option<Vec<u8>>>,
    given: BTreeMap<IdOf, u32>,
    tell: Vec<What>,
}

/// What something was and is, for the audit trail.
#[derive(Debug)]
pub(super) struct Told<'a, T> {
    pub(super) kind: GovernedKind,
    pub(super) name: &'a str,
    pub(super) project: Option<&'a ProjectName>,
    pub(super) before: Option<&'a T>,
    pub(super) after: Option<&'a T>,
}

impl<'b> Draft<'b> {
    pub(super) const fn new(book: &'b Book, now: Timestamp) -> Self {
        Self { book, now, writes: Vec::new(), local: BTreeMap::new(), given: BTreeMap::new(), tell: Vec::new() }
    }

    /// The change; `None` when nothing is to be done.
    pub(super) fn amend(self, due: Timestamp, act: Act) -> Option<Amend> {
        if self.writes.is_empty() && self.local.is_empty() {
            return None;
        }
        let mut local: Vec<_> = self.local.into_iter().collect();
        let ids = self.given.iter().map(|(of, last)| (of.local(), postcard::to_stdvec(last).ok()));
        local.extend(ids);
        Some(Amend { at: self.book.last(), writes: self.writes, local, tell: self.tell, due, act })
    }

    /// A new id, of this site's block: other sites have blocks of their own, so no two give out the same.
    pub(super) fn id(&mut self, of: IdOf) -> Result<u32, DirectoryError> {
        let block = self.book.block();
        let last = self.given.get(&of).copied().or_else(|| self.book.last_id(of));
        let next = last.map_or(Some(block.first), |last| last.checked_add(1)).map(|next| next.max(of.floor() + 1));
        let none = || DirectoryError::Refused("this site has no further id for this".into());
        let id = next.filter(|id| block.contains(*id)).ok_or_else(none)?;
        self.given.insert(of, id);
        Ok(id)
    }

    /// A topic of the whole mesh.
    pub(super) fn mesh_wide(&self, kind: Kind, name: &str) -> Topic {
        Self::topic(self.book.mesh_wide(), kind, name)
    }

    pub(super) fn topic(scope: ScopeId, kind: Kind, name: &str) -> Topic {
        Topic { scope, kind, key: RecordKey::named(name) }
    }

    /// Says something of a topic.
    pub(super) fn put(&mut self, topic: Topic, value: &Value) {
        self.writes.push(Write::Put(topic, value.encode()));
    }

    /// Deletes a topic.
    pub(super) fn delete(&mut self, topic: Topic) {
        self.writes.push(Write::Delete(topic));
    }

    /// Closes or opens a project.
    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Keeps something for this node alone, or removes it.
    pub(super) fn keep(&mut self, name: String, value: Option<Vec<u8>>) {
        self.local.insert(name, value);
    }

    /// Tells of it. What it was and is stand there as JSON, without what is secret.
    pub(super) fn tell<T: Serialize>(&mut self, told: &Told<'_, T>) {
        let operation = match (told.before, told.after) {
            (None, _) => Operation::Create,
            (Some(_), Some(_)) => Operation::Update,
            (Some(_), None) => Operation::Delete,
        };
        self.tell.push(What::Governed(Box::new(Governed {
            kind: told.kind,
            operation,
            name: told.name.to_owned(),
            project: told.project.cloned(),
            before: told.before.and_then(shown),
            after: told.after.and_then(shown),
        })));
    }
}

/// Longest text of what something was or is.
const MAX_SHOWN: usize = 4096;

/// As JSON, without secrets. Of what is too long the longest parts are left out, with a mark that says how long they were.
fn shown<T: Serialize>(value: &T) -> Option<String> {
    let mut value = serde_json::to_value(value).ok()?;
    if let Some(fields) = value.as_object_mut() {
        for secret in ["secret", "nonce"] {
            fields.remove(secret);
        }
    }
    loop {
        let text = value.to_string();
        if text.len() <= MAX_SHOWN {
            return Some(text);
        }
        let mark = |length: usize| serde_json::json!({ "left_out_bytes": length });
        let lengths = value.as_object_mut().into_iter().flatten().map(|(_, part)| (part.to_string().len(), part));
        match lengths.max_by_key(|(length, _)| *length) {
            Some((length, part)) if length > mark(length).to_string().len() => *part = mark(length),
            Some(_) | None => return Some(mark(text.len()).to_string()),
        }
    }
}

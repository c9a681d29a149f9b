//! Entries: what is in force about who may do what, as the records say. Owns no state; the engines keep them.
//!
//! An engine keeps one entry for each topic of a [`GOVERNED`] kind, and one for each project that its name means. It
//! numbers every change of one, so that whoever holds all of them in memory asks for what came since. An [`Amend`] is
//! decided on what was read at some number and done only if that is still the last: it needs no lock over both.

use protocol::ProjectName;
use protocol::Timestamp;
use protocol::record::value::Value;
use protocol::record::{Kind, ScopeId};
use protocol::view::Topic;

use super::{Act, What};

/// The kinds whose topics have an entry; beside them, projects have one.
pub const GOVERNED: [Kind; 9] = [
    Kind::USER,
    Kind::GROUP,
    Kind::CONFIGURATION,
    Kind::MEMBER,
    Kind::ROBOT,
    Kind::ROLE,
    Kind::QUOTA,
    Kind::LABEL,
    Kind::LABELLED,
];

/// What is in force of a topic, as of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of the change: 1 or more, one more than that of the change before, whatever it was about.
    pub at: u64,
    /// What it is about. A project's is [`Topic::project`] of the scope that its name means.
    pub topic: Topic,
    /// What is in force; `None`: nothing any more.
    pub value: Option<Value>,
}

/// One write of an [`Amend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Says this of a topic.
    Put(Topic, Vec<u8>),
    /// Deletes a topic.
    Delete(Topic),
    /// Closes the project of this name, and with it everything in it.
    Close {
        /// Which.
        project: ProjectName,
        /// Also when it has repositories.
        full: bool,
    },
    /// Opens again the project of this name that was closed last.
    Reopen(ProjectName),
}

/// Intent: change what is in force, all or nothing.
#[derive(Clone, Debug)]
pub struct Amend {
    /// The number of the last change its author knew of.
    pub at: u64,
    /// What is said.
    pub writes: Vec<Write>,
    /// What this node keeps for itself, by name, in the same transaction: how passwords are checked, the last id given
    /// out. `None` removes.
    pub local: Vec<(String, Option<Vec<u8>>)>,
    /// What is told of it.
    pub tell: Vec<What>,
    /// As in [`super::PublishManifest`].
    pub due: Timestamp,
    /// Who and when.
    pub act: Act,
}

/// What came of an [`Amend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amended {
    /// Done.
    Done,
    /// Something changed since; read again and decide again. Nothing was written.
    Stale,
    /// The project has so many repositories. Nothing was written.
    Full(u64),
    /// No such project is open, or was ever closed. Nothing was written.
    Unknown,
}

/// Whether a topic of this kind has an entry.
#[must_use]
pub fn is_governed(kind: Kind) -> bool {
    GOVERNED.contains(&kind)
}

/// The key of an entry: the order of kinds, scopes and keys.
#[must_use]
pub(super) fn key(topic: &Topic) -> Vec<u8> {
    [&topic.kind.0.to_be_bytes()[..], &topic.scope.0, topic.key.as_bytes()].concat()
}

/// Reads what [`key`] wrote.
#[must_use]
pub(super) fn read_key(key: &[u8]) -> Option<Topic> {
    let (kind, rest) = key.split_first_chunk::<2>()?;
    let (scope, key) = rest.split_first_chunk::<32>()?;
    let key = protocol::record::RecordKey::from_bytes(key.to_vec())?;
    Some(Topic { scope: ScopeId(*scope), kind: Kind(u16::from_be_bytes(*kind)), key })
}

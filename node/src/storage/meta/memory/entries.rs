//! Entries of the engine that forgets: after each change all of them are found out anew and held against what was.

use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::Value;
use protocol::view::Topic;

use super::State;
use crate::storage::meta::MetaError;
use crate::storage::meta::entry::{Amend, Amended, Entry, Write, is_governed, key};

/// All entries, and the number of the last change.
#[derive(Debug, Default)]
pub(super) struct Entries {
    last: u64,
    rows: BTreeMap<Vec<u8>, Entry>,
}

impl Entries {
    pub(super) fn since(&self, after: u64, limit: usize) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.rows.values().filter(|entry| entry.at > after).cloned().collect();
        entries.sort_by_key(|entry| entry.at);
        entries.truncate(limit);
        entries
    }

    fn put(&mut self, topic: Topic, value: Option<Value>) {
        let key = key(&topic);
        if self.rows.get(&key).and_then(|entry| entry.value.as_ref()) == value.as_ref() {
            return;
        }
        self.last += 1;
        self.rows.insert(key, Entry { at: self.last, topic, value });
    }
}

impl State {
    /// Notes what is in force since.
    pub(super) fn note_entries(&mut self) {
        let governed = self.records.iter().filter_map(|held| Topic::of(&held.record));
        let mut topics: BTreeSet<Topic> = governed.filter(|topic| is_governed(topic.kind)).collect();
        let meant: BTreeSet<Topic> =
            self.project_names().iter().filter_map(|name| self.scope(name)).map(Topic::project).collect();
        let known = self.entries.rows.values().map(|entry| entry.topic.clone());
        let gone: Vec<Topic> = known.filter(|topic| !is_governed(topic.kind) && !meant.contains(topic)).collect();
        topics.extend(meant);
        for topic in gone {
            self.entries.put(topic, None);
        }
        for topic in topics {
            let value = self.view.in_force(&self.records, &topic);
            self.entries.put(topic, value);
        }
    }

    pub(super) fn amend(&mut self, amend: Amend) -> Result<Amended, MetaError> {
        if self.entries.last != amend.at {
            return Ok(Amended::Stale);
        }
        let mut says = Vec::new();
        for write in &amend.writes {
            says.push(match write {
                Write::Put(topic, value) => (topic.clone(), Some(value.clone())),
                Write::Delete(topic) => (topic.clone(), None),
                Write::Close { project, full } => {
                    let repositories = self.known.keys().filter(|name| name.project() == *project).count();
                    let Some(scope) = self.scope(project) else { return Ok(Amended::Unknown) };
                    if repositories > 0 && !full {
                        return Ok(Amended::Full(repositories as u64));
                    }
                    let Some(project) = self.view.closing(&self.records, &scope) else { return Ok(Amended::Unknown) };
                    (Topic::project(scope), Some(Value::Project(project).encode()))
                }
                Write::Reopen(name) => match self.view.reopening(&self.records, name) {
                    Some((scope, project)) => (Topic::project(scope), Some(Value::Project(project).encode())),
                    None => return Ok(Amended::Unknown),
                },
            });
        }
        let before: Vec<_> = amend.tell.iter().map(|what| self.scope_told(what)).collect();
        for (topic, value) in says {
            self.say(topic, value.as_deref(), amend.due, &amend.act)?;
        }
        for (what, before) in amend.tell.into_iter().zip(before) {
            let scope = before.or_else(|| self.scope_told(&what));
            self.tell_in(scope, &amend.act, what);
        }
        for (name, value) in amend.local {
            match value {
                Some(value) => drop(self.local.insert(name, value)),
                None => drop(self.local.remove(&name)),
            }
        }
        Ok(Amended::Done)
    }
}

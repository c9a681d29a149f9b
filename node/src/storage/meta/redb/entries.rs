//! Entries: what is in force about who may do what, kept as rows. Owns no state.
//!
//! A row follows from the heads of its topic; [`super::follow`] says which changed. Rows of what is in force no more stay,
//! empty, so that whoever asks for what changed since hears of it.

use protocol::ProjectName;
use protocol::record::ScopeId;
use protocol::record::value::{Project, Value};
use protocol::view::{Changed, Topic};

use super::failure::Failure;
use super::tables::{self, View};
use super::writing::Writing;
use crate::storage::meta::entry::{self, Amend, Amended, Entry, Write, is_governed};
use crate::storage::meta::rows::{EntryRow, ProjectRow};

/// What is said of a topic; `None`: it is deleted.
type Word = (Topic, Option<Vec<u8>>);

impl Writing<'_> {
    /// Brings the entries in line with the topics that changed.
    pub(super) fn follow_entries(&mut self, changed: &Changed) -> Result<(), Failure> {
        for topic in changed.topics.iter().filter(|topic| is_governed(topic.kind)) {
            let value = self.view(|view, set, _| view.in_force(set, topic))?;
            self.put_entry(topic, value.as_ref())?;
        }
        Ok(())
    }

    /// Brings the entry of a project in line: what its name means now, after what it meant before.
    pub(super) fn follow_project_entry(
        &mut self,
        before: Option<ScopeId>,
        now: Option<ScopeId>,
    ) -> Result<(), Failure> {
        if let Some(before) = before.filter(|before| Some(*before) != now) {
            self.put_entry(&Topic::project(before), None)?;
        }
        let Some(now) = now.map(Topic::project) else { return Ok(()) };
        let value = self.view(|view, set, _| view.in_force(set, &now))?;
        self.put_entry(&now, value.as_ref())
    }

    fn put_entry(&mut self, topic: &Topic, value: Option<&Value>) -> Result<(), Failure> {
        let key = entry::key(topic);
        let value = value.map(Value::encode);
        let before: Option<EntryRow> = self.tables.entries.get(&key)?;
        if before.as_ref().and_then(|row| row.value.as_ref()) == value.as_ref() {
            return Ok(());
        }
        if let Some(row) = before {
            self.tables.entry_changes.remove(&tables::position(row.at))?;
        }
        self.totals.entries += 1;
        let at = self.totals.entries;
        self.tables.entry_changes.put_raw(&tables::position(at), &key)?;
        self.tables.entries.put(&key, &EntryRow { at, value })
    }

    /// See [`crate::storage::meta::MetaStore::amend`].
    pub(super) fn amend(&mut self, amend: &Amend) -> Result<Amended, Failure> {
        if self.totals.entries != amend.at {
            return Ok(Amended::Stale);
        }
        // What may be refused is found out before the first write.
        let mut says: Vec<Word> = Vec::new();
        for write in &amend.writes {
            says.push(match write {
                Write::Put(topic, value) => (topic.clone(), Some(value.clone())),
                Write::Delete(topic) => (topic.clone(), None),
                Write::Close { project, full } => match self.closing(project, *full)? {
                    Ok(says) => says,
                    Err(refused) => return Ok(refused),
                },
                Write::Reopen(name) => match self.view(|view, set, _| view.reopening(set, name))? {
                    Some((scope, project)) => said(scope, project),
                    None => return Ok(Amended::Unknown),
                },
            });
        }
        // A project that ends has its scope before, one that begins has it after.
        let before: Vec<_> = amend.tell.iter().map(|what| self.scope_told(what)).collect::<Result<_, _>>()?;
        for (topic, value) in says {
            self.say(topic, value.as_deref(), amend.due, &amend.act)?;
        }
        for (what, before) in amend.tell.iter().zip(before) {
            let scope = before.map_or_else(|| self.scope_told(what), |scope| Ok(Some(scope)))?;
            self.tell_in(scope, &amend.act, what.clone())?;
        }
        for (name, value) in &amend.local {
            let key = local(name);
            match value {
                Some(value) => self.tables.settings.put_raw(key.as_bytes(), value)?,
                None => drop(self.tables.settings.remove(key.as_bytes())?),
            }
        }
        Ok(Amended::Done)
    }

    /// What closes a project, with a census of what is in it.
    fn closing(&mut self, name: &ProjectName, full: bool) -> Result<Result<Word, Amended>, Failure> {
        let Some(scope) = self.meant(name)? else { return Ok(Err(Amended::Unknown)) };
        let prefix = tables::join(&[name.as_str().as_bytes(), b"/"]);
        let mut repositories = 0;
        self.tables.repositories.scan(&prefix, None, |_, _| {
            repositories += 1;
            Ok(true)
        })?;
        if repositories > 0 && !full {
            return Ok(Err(Amended::Full(repositories)));
        }
        let closing = self.view(|view, set, _| view.closing(set, &scope))?;
        Ok(closing.map(|project| said(scope, project)).ok_or(Amended::Unknown))
    }

    pub(super) fn meant(&self, name: &ProjectName) -> Result<Option<ScopeId>, Failure> {
        let row: Option<ProjectRow> = self.tables.projects.get(name.as_str().as_bytes())?;
        Ok(row.map(|row| row.scope))
    }
}

fn said(scope: ScopeId, project: Project) -> Word {
    (Topic::project(scope), Some(Value::Project(project).encode()))
}

impl View {
    /// See [`crate::storage::meta::MetaStore::entries`].
    pub(super) fn entries_since(&self, after: u64, limit: usize) -> Result<Vec<Entry>, Failure> {
        let (changes, rows) = (self.entry_changes()?, self.entries()?);
        let mut entries = Vec::new();
        changes.scan(&[], Some(&tables::position(after)), |at, key| {
            let row: EntryRow = rows.promised(key)?;
            let topic = entry::read_key(key).ok_or_else(|| rows.damaged(key, "the topic can't be read"))?;
            let value = row.value.map(|value| Value::read(topic.kind, &value));
            let value = value.transpose().map_err(|error| rows.damaged(key, &error.to_string()))?;
            if tables::position(row.at) != at {
                return Err(rows.damaged(key, "the row tells of another change"));
            }
            entries.push(Entry { at: row.at, topic, value });
            Ok(entries.len() < limit)
        })?;
        Ok(entries)
    }

    /// See [`crate::storage::meta::MetaStore::local`].
    pub(super) fn local(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.setting(&local(name))
    }
}

/// Where a value of this name stands among the settings.
fn local(name: &str) -> String {
    format!("local.{name}")
}

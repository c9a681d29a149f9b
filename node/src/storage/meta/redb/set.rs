//! The records of one write transaction and the view kept of them, as the machines of the mesh see them.
//!
//! Owns the first failure it met, and what it remembers of the topic it was last asked about. The machines know no
//! failure: what met one counts as absent, and whoever used this asks [`Set::end`] before relying on what came out.

use std::cell::RefCell;
use std::collections::BTreeSet;

use protocol::ProjectName;
use protocol::identity::NodeKey;
use protocol::record::{Held, Kind, Position, RecordId, RecordKey, Records, ScopeId};
use protocol::view::{Kept, Line, ProjectFacts, Rank, Standing, Topic, TopicView};

use super::failure::Failure;
use super::records::{self, NumberRow, VersionRow};
use super::tables::{self, Rows, Tables, Writable};

/// The set and its view. See the module.
#[derive(Debug)]
pub(super) struct Set<'a, 't>(RefCell<Open<'a, 't>>);

#[derive(Debug)]
struct Open<'a, 't> {
    tables: &'a mut Tables<Writable<'t>>,
    numbers: &'a mut u64,
    /// The topic last asked about, and its number: one insert asks about it a dozen times.
    last: Option<(Topic, u64)>,
    failure: Option<Failure>,
}

impl<'t> Tables<Writable<'t>> {
    /// The number of a record, given to it when it has none.
    pub(super) fn number(&mut self, id: &RecordId, numbers: &mut u64) -> Result<NumberRow, Failure> {
        if let Some(row) = self.numbers.get(&id.0)? {
            return Ok(row);
        }
        let row = NumberRow { number: next(numbers), place: None };
        self.numbers.put(&id.0, &row)?;
        Ok(row)
    }

    /// The number of a topic, given to it when it has none.
    pub(super) fn topic(&mut self, topic: &Topic, numbers: &mut u64) -> Result<u64, Failure> {
        numbered(&mut self.topics, &records::topic(topic), numbers)
    }

    /// The number of an author, given to it when it has none.
    pub(super) fn author(&mut self, author: &NodeKey, numbers: &mut u64) -> Result<u64, Failure> {
        numbered(&mut self.authors, &author.0, numbers)
    }

    fn ids(&self, numbers: &[u64]) -> Result<Vec<RecordId>, Failure> {
        numbers.iter().map(|number| Ok(self.library().promised(*number)?.record.id())).collect()
    }

    fn behind(&self, table: &Rows<Writable<'t>>, prefix: &[u8]) -> Result<Vec<RecordId>, Failure> {
        self.ids(&table.numbers_behind(prefix)?)
    }

    fn topics_of(&self, author: &NodeKey) -> Result<Vec<(ScopeId, Kind, RecordKey)>, Failure> {
        let Some(author) = self.author_number(author)? else { return Ok(Vec::new()) };
        let mut topics = BTreeSet::new();
        self.places.scan(&author.to_be_bytes(), None, |rest, _| {
            let number = rest.get(16..).and_then(records::read_number);
            let number = number.ok_or_else(|| self.places.damaged(rest, "the place can't be read"))?;
            let record = self.library().promised(number)?.record;
            topics.extend(record.body().map(|body| (record.scope(), body.kind, body.key.clone())));
            Ok(true)
        })?;
        Ok(topics.into_iter().collect())
    }

    /// The keys of a kind in a scope, ascending.
    fn keys(&self, scope: &ScopeId, kind: Kind) -> Result<Vec<RecordKey>, Failure> {
        let page = self.topics.page(&records::of_kind(scope, kind), None, usize::MAX, |key, _| {
            RecordKey::from_bytes(key.to_vec()).map(Some).ok_or_else(|| "the topic can't be read".into())
        })?;
        Ok(page.items)
    }

    /// The topics of a kind in a scope whose key starts with these bytes, ascending, with what holds of them.
    fn views(&self, scope: &ScopeId, kind: Kind, prefix: &[u8]) -> Result<Vec<(RecordKey, TopicView)>, Failure> {
        let prefix = tables::join(&[&records::of_kind(scope, kind), prefix]);
        let page = self.topics.page(&prefix, None, usize::MAX, |rest, number| {
            let key = records::read_topic(&tables::join(&[&prefix, rest])).ok_or("the topic can't be read")?.key;
            Ok(Some((key, records::read_number(number).ok_or("its number can't be read")?)))
        })?;
        let mut views = Vec::new();
        for (key, number) in page.items {
            // A topic has a number before its first record is in the view.
            views.extend(self.kept.view_of(number)?.map(|view| (key, view)));
        }
        Ok(views)
    }
}

fn numbered(table: &mut Rows<Writable<'_>>, key: &[u8], numbers: &mut u64) -> Result<u64, Failure> {
    if let Some(number) = table.number(key)? {
        return Ok(number);
    }
    let number = next(numbers);
    table.put_raw(key, &number.to_be_bytes())?;
    Ok(number)
}

/// The next number.
pub(super) const fn next(numbers: &mut u64) -> u64 {
    *numbers += 1;
    *numbers
}

impl<'a, 't> Set<'a, 't> {
    /// The set in these tables; `numbers` counts what was given out.
    pub(super) const fn new(tables: &'a mut Tables<Writable<'t>>, numbers: &'a mut u64) -> Self {
        Self(RefCell::new(Open { tables, numbers, last: None, failure: None }))
    }

    /// Whether everything could be read and written.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.0.into_inner().failure.map_or(Ok(()), Err)
    }

    fn with<V: Default>(&self, work: impl FnOnce(&mut Open<'a, 't>) -> Result<V, Failure>) -> V {
        let open = &mut *self.0.borrow_mut();
        work(open).unwrap_or_else(|failure| {
            open.failure.get_or_insert(failure);
            V::default()
        })
    }
}

impl Open<'_, '_> {
    fn number(&mut self, topic: &Topic) -> Result<Option<u64>, Failure> {
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| last == topic) {
            return Ok(Some(*number));
        }
        let number = self.tables.topics.number(&records::topic(topic))?;
        self.last = number.map(|number| (topic.clone(), number));
        Ok(number)
    }

    /// As [`Open::number`], given when there is none.
    fn made(&mut self, topic: &Topic) -> Result<u64, Failure> {
        match self.number(topic)? {
            Some(number) => Ok(number),
            None => self.tables.topic(topic, self.numbers),
        }
    }

    /// The keys of a line begin with this; `None` when there is none.
    fn line(&mut self, line: &Line) -> Result<Option<Vec<u8>>, Failure> {
        let (Some(topic), Some(author)) = (self.number(&line.topic)?, self.tables.author_number(&line.author)?) else {
            return Ok(None);
        };
        Ok(Some(records::line(topic, author, line.incarnation)))
    }

    /// The key of a version; `None` when it is not here.
    fn version(&self, id: &RecordId) -> Result<Option<Vec<u8>>, Failure> {
        let row: Option<NumberRow> = self.tables.numbers.get(&id.0)?;
        Ok(row.and_then(|row| Some(records::version(&row.place?, row.number))))
    }
}

impl Records for Set<'_, '_> {
    fn get(&self, id: &RecordId) -> Option<Held> {
        self.with(|open| open.tables.library().get(id))
    }

    fn versions(&self, scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<RecordId> {
        let topic = Topic { scope: *scope, kind, key: key.clone() };
        self.with(|open| {
            let Some(number) = open.number(&topic)? else { return Ok(Vec::new()) };
            let versions = open.tables.kept.versions_of(number)?;
            open.tables.ids(&versions.iter().map(|(_, number)| *number).collect::<Vec<_>>())
        })
    }

    fn followers(&self, id: &RecordId) -> Vec<RecordId> {
        self.with(|open| {
            let Some(NumberRow { number, .. }) = open.tables.numbers.get(&id.0)? else { return Ok(Vec::new()) };
            open.tables.behind(&open.tables.followers, &number.to_be_bytes())
        })
    }

    fn keys(&self, scope: &ScopeId, kind: Kind) -> Vec<RecordKey> {
        self.with(|open| open.tables.keys(scope, kind))
    }

    fn written_by(&self, author: &NodeKey) -> Vec<(ScopeId, Kind, RecordKey)> {
        self.with(|open| open.tables.topics_of(author))
    }

    fn at(&self, author: &NodeKey, position: Position) -> Vec<RecordId> {
        self.with(|open| match open.tables.author_number(author)? {
            Some(author) => open.tables.behind(&open.tables.places, &records::places(author, position)),
            None => Ok(Vec::new()),
        })
    }
}

impl Kept for &Set<'_, '_> {
    fn topic(&self, topic: &Topic) -> Option<TopicView> {
        self.with(|open| match open.number(topic)? {
            Some(number) => open.tables.kept.view_of(number),
            None => Ok(None),
        })
    }

    fn put_topic(&mut self, topic: &Topic, view: TopicView) {
        self.with(|open| {
            let key = records::view(open.made(topic)?);
            open.tables.kept.put(&key, &view)
        });
    }

    fn topics(&self, scope: &ScopeId, kind: Kind, prefix: &[u8]) -> Vec<(RecordKey, TopicView)> {
        self.with(|open| open.tables.views(scope, kind, prefix))
    }

    fn version(&self, id: &RecordId) -> Option<Standing> {
        self.with(|open| {
            let Some(key) = open.version(id)? else { return Ok(None) };
            Ok(open.tables.kept.promised::<VersionRow>(&key)?.standing(*id))
        })
    }

    fn put_version(&mut self, id: &RecordId, standing: Standing) {
        self.with(|open| match open.version(id)? {
            Some(key) => open.tables.kept.put(&key, &VersionRow::of(&standing)),
            None => Err(open.tables.numbers.damaged(&id.0, "the record has no place")),
        });
    }

    fn heads(&self, topic: &Topic, deletes: bool, most: usize) -> Vec<Rank> {
        self.with(|open| match open.number(topic)? {
            Some(number) => open.tables.kept.heads_of(number, deletes, most),
            None => Ok(Vec::new()),
        })
    }

    fn put_head(&mut self, topic: &Topic, deletes: bool, rank: Rank, is_head: bool) {
        self.with(|open| {
            let key = records::head(open.made(topic)?, deletes, &rank);
            if is_head { open.tables.kept.mark(&key) } else { open.tables.kept.remove(&key).map(drop) }
        });
    }

    fn place_below(&self, line: &Line, seq: u64) -> Option<u64> {
        self.with(|open| {
            let Some(line) = open.line(line)? else { return Ok(None) };
            let below = open.tables.kept.last_below(&line, &seq.to_be_bytes())?;
            Ok(below.and_then(|place| records::read_number(place.get(..8)?)))
        })
    }

    fn is_followed(&self, line: &Line, seq: u64) -> bool {
        // None has the last number, so this is behind all at the place itself.
        let after = tables::join(&[&seq.to_be_bytes(), &[u8::MAX; 8]]);
        self.with(|open| match open.line(line)? {
            Some(line) => open.tables.kept.any_after(&line, &after),
            None => Ok(false),
        })
    }

    /// Nothing: a record is found under its place from when it is kept. One that is not in the view yet makes whoever
    /// asks compute the topic as a whole, and it with it.
    fn put_place(&mut self, _: &Line, _: u64) {}

    fn project(&self, scope: &ScopeId) -> Option<ProjectFacts> {
        self.with(|open| open.tables.facts.get(&scope.0))
    }

    fn put_project(&mut self, scope: &ScopeId, facts: ProjectFacts) {
        self.with(|open| {
            if let Some(name) = &facts.name {
                open.tables.names.mark(&tables::named(name, scope))?;
            }
            open.tables.facts.put(&scope.0, &facts)
        });
    }

    fn named(&self, name: &ProjectName) -> Vec<ScopeId> {
        self.with(|open| Ok(open.tables.names.page(&tables::names(name), None, usize::MAX, tables::read_named)?.items))
    }
}

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
use super::records::{self, NumberRow, Seen, TopicRow};
use super::tables::{self, Rows, Tables, Writable};
use crate::storage::meta::rows;

/// The set and its view. See the module.
#[derive(Debug)]
pub(super) struct Set<'a, 't>(RefCell<Open<'a, 't>>);

#[derive(Debug)]
struct Open<'a, 't> {
    tables: &'a mut Tables<Writable<'t>>,
    numbers: &'a mut u64,
    /// The topic last asked about: one insert asks about it a dozen times.
    last: Option<(Topic, TopicRow)>,
    failure: Option<Failure>,
}

impl<'t> Tables<Writable<'t>> {
    /// The number of a record, given to it when it has none.
    pub(super) fn number(&mut self, id: &RecordId, numbers: &mut u64) -> Result<NumberRow, Failure> {
        if let Some(row) = self.numbers.get(&id.0)? {
            return Ok(row);
        }
        let row = NumberRow { number: next(numbers), seen: None };
        self.numbers.put(&id.0, &row)?;
        Ok(row)
    }

    /// The row of a topic, made when there is none.
    pub(super) fn topic(&mut self, topic: &Topic, numbers: &mut u64) -> Result<TopicRow, Failure> {
        let key = records::topic(topic);
        if let Some(row) = self.topics.get(&key)? {
            return Ok(row);
        }
        let row = TopicRow { number: next(numbers), view: TopicView::default() };
        self.topics.put(&key, &row)?;
        Ok(row)
    }

    /// The number of an author, given to it when it has none.
    pub(super) fn author(&mut self, author: &NodeKey, numbers: &mut u64) -> Result<u64, Failure> {
        if let Some(number) = self.author_number(author)? {
            return Ok(number);
        }
        let number = next(numbers);
        self.authors.put_raw(&author.0, &number.to_be_bytes())?;
        Ok(number)
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

    /// The topics of a kind in a scope whose key starts with these bytes, ascending, with what holds of them.
    fn views(&self, scope: &ScopeId, kind: Kind, prefix: &[u8]) -> Result<Vec<(RecordKey, TopicView)>, Failure> {
        let prefix = tables::join(&[&records::of_kind(scope, kind), prefix]);
        let page = self.topics.page(&prefix, None, usize::MAX, |rest, row| {
            let key = records::read_topic(&tables::join(&[&prefix, rest])).ok_or("the topic can't be read")?.key;
            Ok(Some((key, rows::decode::<TopicRow>(row)?.view)))
        })?;
        Ok(page.items)
    }
}

const fn next(numbers: &mut u64) -> u64 {
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
    fn row(&mut self, topic: &Topic) -> Result<Option<TopicRow>, Failure> {
        if let Some((_, row)) = self.last.as_ref().filter(|(last, _)| last == topic) {
            return Ok(Some(row.clone()));
        }
        let row: Option<TopicRow> = self.tables.topics.get(&records::topic(topic))?;
        self.last = row.clone().map(|row| (topic.clone(), row));
        Ok(row)
    }

    /// As [`Open::row`], made when there is none.
    fn made(&mut self, topic: &Topic) -> Result<TopicRow, Failure> {
        if let Some(row) = self.row(topic)? {
            return Ok(row);
        }
        self.tables.topic(topic, self.numbers)
    }

    /// The keys of a line begin with this; `None` when there is none.
    fn line(&mut self, line: &Line) -> Result<Option<Vec<u8>>, Failure> {
        let (Some(row), Some(author)) = (self.row(&line.topic)?, self.tables.author_number(&line.author)?) else {
            return Ok(None);
        };
        Ok(Some(records::line(row.number, author, line.incarnation)))
    }
}

impl Records for Set<'_, '_> {
    fn get(&self, id: &RecordId) -> Option<Held> {
        self.with(|open| open.tables.library().get(id))
    }

    fn versions(&self, scope: &ScopeId, kind: Kind, key: &RecordKey) -> Vec<RecordId> {
        let topic = Topic { scope: *scope, kind, key: key.clone() };
        self.with(|open| {
            let Some(row) = open.row(&topic)? else { return Ok(Vec::new()) };
            open.tables.ids(&open.tables.versions.versions_of(row.number, usize::MAX)?)
        })
    }

    fn followers(&self, id: &RecordId) -> Vec<RecordId> {
        self.with(|open| {
            let Some(NumberRow { number, .. }) = open.tables.numbers.get(&id.0)? else { return Ok(Vec::new()) };
            open.tables.behind(&open.tables.followers, &number.to_be_bytes())
        })
    }

    fn keys(&self, scope: &ScopeId, kind: Kind) -> Vec<RecordKey> {
        let views = self.with(|open| open.tables.views(scope, kind, &[]));
        views.into_iter().map(|(key, _)| key).collect()
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
        // A row is made with the first record of a topic, before that is in the view.
        let view = self.with(|open| Ok(open.row(topic)?.map(|row| row.view)));
        view.filter(|view| *view != TopicView::default())
    }

    fn put_topic(&mut self, topic: &Topic, view: TopicView) {
        self.with(|open| {
            let row = TopicRow { view, ..open.made(topic)? };
            open.tables.topics.put(&records::topic(topic), &row)?;
            open.last = Some((topic.clone(), row));
            Ok(())
        });
    }

    fn topics(&self, scope: &ScopeId, kind: Kind, prefix: &[u8]) -> Vec<(RecordKey, TopicView)> {
        let mut views = self.with(|open| open.tables.views(scope, kind, prefix));
        views.retain(|(_, view)| *view != TopicView::default());
        views
    }

    fn version(&self, id: &RecordId) -> Option<Standing> {
        self.with(|open| {
            let row: Option<NumberRow> = open.tables.numbers.get(&id.0)?;
            Ok(row.and_then(|row| row.seen).map(|seen| seen.standing(*id)))
        })
    }

    fn put_version(&mut self, id: &RecordId, standing: Standing) {
        self.with(|open| {
            let row = open.tables.number(id, open.numbers)?;
            open.tables.numbers.put(&id.0, &NumberRow { seen: Some(Seen::of(&standing)), ..row })
        });
    }

    fn heads(&self, topic: &Topic, deletes: bool, most: usize) -> Vec<Rank> {
        self.with(|open| match open.row(topic)? {
            Some(row) => open.tables.head_rows.heads_of(row.number, deletes, most),
            None => Ok(Vec::new()),
        })
    }

    fn put_head(&mut self, topic: &Topic, deletes: bool, rank: Rank, is_head: bool) {
        self.with(|open| {
            let key = records::head(open.made(topic)?.number, deletes, &rank);
            if is_head { open.tables.head_rows.mark(&key) } else { open.tables.head_rows.remove(&key).map(drop) }
        });
    }

    fn place_below(&self, line: &Line, seq: u64) -> Option<u64> {
        self.with(|open| {
            let Some(line) = open.line(line)? else { return Ok(None) };
            let below = open.tables.lines.last_below(&line, &seq.to_be_bytes())?;
            Ok(below.as_deref().and_then(records::read_number))
        })
    }

    fn is_followed(&self, line: &Line, seq: u64) -> bool {
        self.with(|open| match open.line(line)? {
            Some(line) => open.tables.lines.any_after(&line, &seq.to_be_bytes()),
            None => Ok(false),
        })
    }

    fn put_place(&mut self, line: &Line, seq: u64) {
        self.with(|open| {
            let topic = open.made(&line.topic)?.number;
            let author = open.tables.author(&line.author, open.numbers)?;
            let line = records::line(topic, author, line.incarnation);
            open.tables.lines.mark(&tables::join(&[&line, &seq.to_be_bytes()]))
        });
    }

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
        self.with(|open| {
            let page = open.tables.names.page(&tables::names(name), None, usize::MAX, |scope, _| {
                let scope = scope.try_into().map_err(|_| "the scope can't be read")?;
                Ok(Some(ScopeId(scope)))
            })?;
            Ok(page.items)
        })
    }
}

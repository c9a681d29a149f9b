//! Records come in: what this node says, and what it hears. Owns no state.
//!
//! Both take the same way: the record's rows, the view of its topic, then the rows that follow from the view
//! ([`super::follow`]), all in the transaction that makes the record durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::Timestamp;
use protocol::identity::NodeKey;
use protocol::record::{Held, Record, RecordId};
use protocol::trust::{Bearing, Trust};
use protocol::view::{Stale, Topic, View};

use super::failure::Failure;
use super::records::{self, NumberRow, Place, VersionRow};
use super::set::{Set, next};
use super::writing::Writing;
use crate::storage::meta::{Act, Taken};

impl Writing<'_> {
    /// Asks the view, or changes it.
    pub(super) fn view<V>(
        &mut self,
        work: impl FnOnce(&mut View<&Set<'_, '_>>, &Set<'_, '_>, &Trust) -> V,
    ) -> Result<V, Failure> {
        let set = Set::new(&mut self.tables, &mut self.totals.numbers);
        let value = work(&mut View::new(*self.trust.mesh(), &set), &set, &self.trust);
        set.end()?;
        Ok(value)
    }

    /// Writes a version of a topic that follows all its heads. What is not needed any more by it stays until `due`.
    pub(super) fn say(
        &mut self,
        topic: Topic,
        value: Option<&[u8]>,
        due: Timestamp,
        act: &Act,
    ) -> Result<RecordId, Failure> {
        let prev = self.view(|view, _, _| view.resolve(&topic))?;
        let record = self
            .author
            .write(&mut self.pen, topic, value, &prev, act)
            .map_err(|error| Failure::Damaged(format!("a record can't be written: {error}")))?;
        let id = record.id();
        self.keep(&record, value)?;
        let changed = self.view(|view, set, trust| view.insert_all(set, trust, &[id]))?;
        self.follow(&changed, due)?;
        Ok(id)
    }

    /// See [`crate::storage::meta::MetaStore::take_in`].
    pub(super) fn take_in(&mut self, heard: &[Held], due: Timestamp) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        let mut rest: Vec<&Held> = heard.iter().collect();
        loop {
            let (known, strangers): (Vec<&Held>, Vec<&Held>) =
                rest.into_iter().partition(|held| self.trust.is_known(&held.record.author()));
            let bears_on_trust = self.take_known(&known, due, &mut taken)?;
            if strangers.is_empty() || !bears_on_trust {
                taken.strangers = strangers.iter().map(|held| held.record.id()).collect();
                return Ok(taken);
            }
            // A grant among them may have let others in.
            rest = strangers;
        }
    }

    /// Takes in records of authors that ever had a grant; whether any bears on trust.
    fn take_known(&mut self, heard: &[&Held], due: Timestamp, taken: &mut Taken) -> Result<bool, Failure> {
        let (mut fresh, mut bears_on_trust) = (Vec::new(), false);
        for held in heard {
            let id = held.record.id();
            // A value that is not the record's own is no value; another peer may have it.
            let value = held.value.as_deref().filter(|value| held.record.check_value(Some(value)).is_ok());
            match self.tables.library().get(&id)? {
                Some(known) if known.value.is_some() || value.is_none() => continue,
                Some(_) | None => self.keep(&held.record, value)?,
            }
            fresh.push(id);
            let bearing = self.trust.bearing(&held.record, value);
            if bearing != Bearing::None {
                self.tables.acts.mark(&id.0)?;
            }
            bears_on_trust |= bearing == Bearing::Now;
            self.learn(&held.record);
        }
        let authors = if bears_on_trust { self.trust_again()? } else { BTreeSet::new() };
        let changed = self.view(|view, set, trust| {
            // What is new first: judging anew would take it in without a look at what follows it.
            let mut changed = view.insert_all(set, trust, &fresh);
            if !authors.is_empty() {
                let again = view.rejudge(set, trust, &Stale { authors, ..Stale::default() });
                changed.topics.extend(again.topics);
                changed.projects.extend(again.projects);
            }
            changed
        })?;
        taken.taken.extend(fresh);
        self.follow(&changed, due)?;
        Ok(bears_on_trust)
    }

    /// Times go on after every record that is here; and one of this node's own, of this life, that it does not know of
    /// means that it lost sight of what it wrote: a new life begins.
    fn learn(&mut self, record: &Record) {
        self.pen.last = self.pen.last.max(record.time());
        let is_ahead = record
            .body()
            .is_some_and(|body| body.position.incarnation == self.pen.incarnation && body.position.seq > self.pen.seq);
        if is_ahead && record.author() == self.author.key() {
            self.pen = self.author.take_up(self.pen.last);
        }
    }

    /// Evaluates trust anew; gives back whose records may be worth something else now.
    pub(super) fn trust_again(&mut self) -> Result<BTreeSet<NodeKey>, Failure> {
        let acts = self.tables.acts.page(&[], None, usize::MAX, |id, _| {
            let id = id.try_into().map_err(|_| "the record's name can't be read")?;
            Ok(Some(RecordId(id)))
        })?;
        let library = self.tables.library();
        let acts: Vec<Held> = acts.items.iter().map(|id| library.promised_id(id)).collect::<Result<_, _>>()?;
        let trust = Trust::evaluate(*self.trust.root(), &acts);
        let changed = trust.changed_since(&self.trust);
        self.trust = Arc::new(trust);
        Ok(changed)
    }

    /// Writes the rows of a record; those that are there when only its value is new.
    fn keep(&mut self, record: &Record, value: Option<&[u8]>) -> Result<(), Failure> {
        let (id, numbers) = (record.id(), &mut self.totals.numbers);
        let known: Option<NumberRow> = self.tables.numbers.get(&id.0)?;
        let number = known.map_or_else(|| next(numbers), |row| row.number);
        self.tables.records.put_raw(&number.to_be_bytes(), &records::stored(record, value))?;
        self.tables.moments.mark(&records::moment(&record.scope(), record.time(), &id))?;
        let is_placed = known.is_some_and(|row| row.place.is_some());
        let Some(body) = record.body().filter(|_| !is_placed) else {
            return self.tables.numbers.put(&id.0, &known.unwrap_or(NumberRow { number, place: None }));
        };
        let topic = Topic { scope: record.scope(), kind: body.kind, key: body.key.clone() };
        let topic = self.tables.topic(&topic, numbers)?;
        let author = self.tables.author(&record.author(), numbers)?;
        let place = Place { topic, author, position: body.position };
        self.tables.numbers.put(&id.0, &NumberRow { number, place: Some(place) })?;
        let version = VersionRow { time: record.time(), seen: None };
        self.tables.kept.put(&records::version(&place, number), &version)?;
        self.tables.places.mark(&records::place(author, body.position, number))?;
        for prev in &body.prev {
            let prev = self.tables.number(prev, numbers)?.number;
            self.tables.followers.mark(&records::follower(prev, number))?;
        }
        Ok(())
    }
}

//! What the engine keeps of the view is the view computed from all records, row by row.

use protocol::record::{RecordSet, Records as _};
use protocol::trust::Trust;
use protocol::view::{Kept as _, Topic, View};

use super::RedbMeta;
use super::writing::Writing;

impl RedbMeta {
    /// Compares every row of the kept view, and what is trusted, with what follows from all records.
    pub(in crate::storage::meta) fn kept_is_from_scratch(&self) {
        let mut all = RecordSet::default();
        for held in self.shared.view().unwrap().record_page(None, usize::MAX).unwrap().items {
            all.insert(held.record, held.value).unwrap();
        }
        let root = self.shared.author.key();
        let trust = Trust::evaluate(root, all.iter());
        assert_eq!(*self.shared.trust(), trust);
        let scratch = View::from_scratch(*trust.mesh(), &all, &trust);
        let transaction = self.shared.begin_write().unwrap();
        let mut writing = Writing::begin(&transaction, &self.shared.author, self.shared.trust()).unwrap();
        let compared = writing.view(|view, set, _| {
            for held in all.iter() {
                let (record, id) = (&held.record, held.record.id());
                assert_eq!(view.kept().version(&id), scratch.kept().version(&id), "{record:?}");
                assert_eq!(set.get(&id).unwrap().value, held.value);
                assert_eq!(sorted(set.followers(&id)), all.followers(&id));
                assert_eq!(set.written_by(&record.author()), all.written_by(&record.author()));
                let body = record.body().unwrap();
                assert_eq!(sorted(set.at(&record.author(), body.position)), all.at(&record.author(), body.position));
                let Some(topic) = Topic::of(record) else { continue };
                let (scope, kind) = (&topic.scope, topic.kind);
                assert_eq!(sorted(set.versions(scope, kind, &topic.key)), all.versions(scope, kind, &topic.key));
                assert_eq!(set.keys(scope, kind), all.keys(scope, kind));
                assert_eq!(view.topic(&topic), scratch.topic(&topic), "{topic:?}");
                for deletes in [false, true] {
                    let kept = view.kept().heads(&topic, deletes, usize::MAX);
                    assert_eq!(kept, scratch.kept().heads(&topic, deletes, usize::MAX));
                }
                assert_eq!(view.kept().topics(scope, kind, &[]), scratch.kept().topics(scope, kind, &[]));
                assert_eq!(view.facts(scope), scratch.facts(scope));
                if let Some(name) = view.facts(scope).name {
                    assert_eq!(view.kept().named(&name), scratch.kept().named(&name));
                }
                let line =
                    protocol::view::Line { topic, author: record.author(), incarnation: body.position.incarnation };
                let seq = body.position.seq;
                assert_eq!(view.kept().place_below(&line, seq), scratch.kept().place_below(&line, seq));
                assert_eq!(view.kept().is_followed(&line, seq), scratch.kept().is_followed(&line, seq));
            }
        });
        compared.unwrap();
        drop(writing);
        transaction.abort().unwrap();
    }
}

impl RedbMeta {
    /// How many scopes a push to a project has to look at.
    pub(in crate::storage::meta) fn held_scopes(&self, project: &str) -> usize {
        let transaction = self.shared.begin_read().unwrap();
        let table = super::tables::View(transaction).held_scopes().unwrap();
        let names = super::tables::names(&project.parse().unwrap());
        table.page(&names, None, usize::MAX, super::tables::read_named).unwrap().items.len()
    }
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all
}

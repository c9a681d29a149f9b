//! Things that have a name and an id. The name is the key of their record, so of one name there is one; the id is said by
//! the record, and two sites of which one broke the rules may say the same of two things. State: the book owns one register
//! of each kind.
//!
//! The earlier of the two has the id (by the time it was made, then by name: every site sees it alike). The later is kept
//! aside: it is nobody until it has another id. What refers to such an id by number alone means nobody knows which of them:
//! [`Register::is_contested`] is for those who have to leave it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::Timestamp;

/// What has an id.
pub(super) trait Numbered {
    /// Its id.
    fn id(&self) -> u32;
    /// When it was made.
    fn created(&self) -> Timestamp;
}

/// Things of one kind.
#[derive(Debug)]
pub(super) struct Register<K, T> {
    there: BTreeMap<K, Arc<T>>,
    ids: BTreeMap<u32, K>,
    /// Those whose id is another's.
    aside: BTreeMap<K, Arc<T>>,
    /// The same by id, the earliest first.
    rivals: BTreeMap<u32, BTreeSet<(Timestamp, K)>>,
}

impl<K, T> Default for Register<K, T> {
    fn default() -> Self {
        Self { there: BTreeMap::new(), ids: BTreeMap::new(), aside: BTreeMap::new(), rivals: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, T: Numbered> Register<K, T> {
    /// Takes in what is in force of a key; `None`: nothing any more. Gives back what was.
    pub(super) fn take(&mut self, key: &K, entry: Option<Arc<T>>) -> Option<Arc<T>> {
        let old = self.remove(key);
        if let Some(entry) = entry {
            self.insert(key.clone(), entry);
        }
        old
    }

    fn insert(&mut self, key: K, entry: Arc<T>) {
        let id = entry.id();
        let holder = self.ids.get(&id).and_then(|holder| Some((holder.clone(), self.there.get(holder)?.created())));
        match holder {
            Some((holder, made)) if (made, &holder) < (entry.created(), &key) => self.set_aside(key, entry),
            Some((holder, _)) => {
                if let Some(later) = self.there.remove(&holder) {
                    self.set_aside(holder, later);
                }
                self.let_in(key, entry);
            }
            None => self.let_in(key, entry),
        }
    }

    fn let_in(&mut self, key: K, entry: Arc<T>) {
        self.ids.insert(entry.id(), key.clone());
        self.there.insert(key, entry);
    }

    fn set_aside(&mut self, key: K, entry: Arc<T>) {
        self.rivals.entry(entry.id()).or_default().insert((entry.created(), key.clone()));
        self.aside.insert(key, entry);
    }

    fn remove(&mut self, key: &K) -> Option<Arc<T>> {
        if let Some(old) = self.take_from_aside(key) {
            return Some(old);
        }
        let old = self.there.remove(key)?;
        self.ids.remove(&old.id());
        let next = self.rivals.get(&old.id()).and_then(|rivals| Some(rivals.first()?.1.clone()));
        if let Some(next) = next
            && let Some(entry) = self.take_from_aside(&next)
        {
            self.let_in(next, entry);
        }
        Some(old)
    }

    fn take_from_aside(&mut self, key: &K) -> Option<Arc<T>> {
        let entry = self.aside.remove(key)?;
        if let Some(rivals) = self.rivals.get_mut(&entry.id()) {
            rivals.remove(&(entry.created(), key.clone()));
            if rivals.is_empty() {
                self.rivals.remove(&entry.id());
            }
        }
        Some(entry)
    }

    /// What has this key and its id to itself, or before the others.
    pub(super) fn get(&self, key: &K) -> Option<&Arc<T>> {
        self.there.get(key)
    }

    /// Whether there is something of this key, also if its id is another's.
    pub(super) fn is_said(&self, key: &K) -> bool {
        self.there.contains_key(key) || self.aside.contains_key(key)
    }

    /// What has this id.
    pub(super) fn by_id(&self, id: u32) -> Option<&Arc<T>> {
        self.there.get(self.ids.get(&id)?)
    }

    /// Whether more than one say they have it.
    pub(super) fn is_contested(&self, id: u32) -> bool {
        self.rivals.contains_key(&id)
    }

    /// All that have their id.
    pub(super) fn all(&self) -> std::collections::btree_map::Values<'_, K, Arc<T>> {
        self.there.values()
    }

    /// Each id that more than one have, and who: the one that counts first.
    pub(super) fn contested(&self) -> impl Iterator<Item = (u32, Vec<&Arc<T>>)> {
        self.rivals.iter().map(|(id, rivals)| {
            let later = rivals.iter().filter_map(|(_, key)| self.aside.get(key));
            (*id, self.by_id(*id).into_iter().chain(later).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Thing(u32, u64);

    impl Numbered for Thing {
        fn id(&self) -> u32 {
            self.0
        }

        fn created(&self) -> Timestamp {
            Timestamp(self.1)
        }
    }

    type Things = Register<u8, Thing>;

    fn seen(register: &Things) -> (Vec<(u8, u32)>, Vec<u32>) {
        let all = register.there.iter().map(|(key, thing)| (*key, thing.0)).collect();
        (all, register.contested().map(|(id, _)| id).collect())
    }

    #[test]
    fn the_earlier_has_the_id_and_the_later_follows_when_it_goes() {
        let mut register = Things::default();
        register.take(&2, Some(Arc::new(Thing(9, 20))));
        register.take(&1, Some(Arc::new(Thing(9, 30))));
        assert_eq!(seen(&register), (vec![(2, 9)], vec![9]));
        register.take(&3, Some(Arc::new(Thing(9, 10))));
        assert_eq!((seen(&register), register.is_said(&2)), ((vec![(3, 9)], vec![9]), true));
        let all: Vec<_> = register.contested().flat_map(|(_, things)| things).map(|thing| thing.1).collect();
        assert_eq!(all, [10, 20, 30]);
        register.take(&3, None);
        assert_eq!(seen(&register), (vec![(2, 9)], vec![9]));
        register.take(&1, Some(Arc::new(Thing(8, 30))));
        assert_eq!(seen(&register), (vec![(1, 8), (2, 9)], vec![]));
        assert!(register.aside.is_empty() && register.rivals.is_empty());
    }

    proptest! {
        /// In whatever order sites hear of it, they see the same.
        #[test]
        fn what_is_seen_does_not_depend_on_the_order(
            steps in proptest::collection::vec((0u8..6, proptest::option::of((1u32..4, 0u64..3))), 1..30)
        ) {
            let mut register = Things::default();
            let mut last = BTreeMap::new();
            for (key, thing) in steps {
                let thing = thing.map(|(id, made)| Thing(id, made));
                let old = register.take(&key, thing.clone().map(Arc::new));
                prop_assert_eq!(old.map(|old| (*old).clone()), last.remove(&key).flatten());
                last.insert(key, thing);
            }
            let mut again = Things::default();
            for (key, thing) in last.iter().rev() {
                again.take(key, thing.clone().map(Arc::new));
            }
            prop_assert_eq!(seen(&register), seen(&again));
            for (key, thing) in last.iter().filter_map(|(key, thing)| Some((key, thing.as_ref()?))) {
                prop_assert!(register.is_said(key));
                let same = last.iter().filter(|(_, other)| other.as_ref().is_some_and(|other| other.0 == thing.0)).count();
                prop_assert_eq!(register.is_contested(thing.0), same > 1);
                prop_assert!(register.by_id(thing.0).is_some());
            }
        }
    }
}

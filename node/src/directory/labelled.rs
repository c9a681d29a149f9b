//! Which manifests have which labels: what is in force of it, and what may be changed about it. Decides only; the book owns
//! the [`Labelled`].

use std::collections::{BTreeMap, BTreeSet};

use protocol::record::governed::{Labelled as Word, LabelledKey};
use protocol::record::value::Value;
use protocol::record::{Kind, ScopeId};
use protocol::view::Topic;
use protocol::{Digest, RepositoryName};

use super::DirectoryError;
use super::draft::{Draft, Told};
use crate::storage::meta::GovernedKind;

/// Most labels on one manifest.
pub const MAX_ON_ONE: usize = 100;
/// Most labels on the manifests of a project, all told. They are held in memory, some hundred bytes each.
pub const MAX_IN_PROJECT: usize = 100_000;

/// Which manifests have which labels.
#[derive(Debug, Default)]
pub struct Labelled {
    on: BTreeMap<ScopeId, Labels>,
}

#[derive(Debug, Default)]
struct Labels {
    count: usize,
    of: BTreeMap<RepositoryName, BTreeMap<Digest, BTreeSet<u32>>>,
}

impl Labelled {
    pub(super) fn take(&mut self, scope: ScopeId, key: LabelledKey, is_on: bool) {
        let LabelledKey { repository, digest, label } = key;
        let labels = self.on.entry(scope).or_default();
        if is_on {
            let new = labels.of.entry(repository).or_default().entry(digest).or_default().insert(label);
            labels.count += usize::from(new);
        } else if let Some(digests) = labels.of.get_mut(&repository) {
            if let Some(ids) = digests.get_mut(&digest) {
                labels.count -= usize::from(ids.remove(&label));
                if ids.is_empty() {
                    digests.remove(&digest);
                }
            }
            if digests.is_empty() {
                labels.of.remove(&repository);
            }
        }
        if self.on.get(&scope).is_some_and(|labels| labels.count == 0) {
            self.on.remove(&scope);
        }
    }

    /// The ids of the labels on a manifest.
    pub fn on(&self, scope: ScopeId, repository: &RepositoryName, digest: &Digest) -> impl Iterator<Item = u32> {
        let ids = self.on.get(&scope).and_then(|labels| labels.of.get(repository)?.get(digest));
        ids.into_iter().flatten().copied()
    }

    /// Every manifest of a repository that has a label.
    pub fn manifests(&self, scope: &ScopeId, repository: &RepositoryName) -> impl Iterator<Item = &Digest> {
        self.on.get(scope).and_then(|labels| labels.of.get(repository)).into_iter().flat_map(BTreeMap::keys)
    }

    /// Where a label is in the scopes that are `open`: at most `most` places of it.
    fn places(&self, label: u32, open: impl Fn(&ScopeId) -> bool, most: usize) -> Vec<(ScopeId, LabelledKey)> {
        let all = self
            .on
            .iter()
            .filter(|(scope, _)| open(scope))
            .flat_map(|(scope, labels)| labels.of.iter().map(move |of| (scope, of)));
        let all = all.flat_map(|(scope, (repository, digests))| {
            let with = digests.iter().filter(|(_, ids)| ids.contains(&label));
            with.map(|(digest, _)| (*scope, LabelledKey { repository: repository.clone(), digest: *digest, label }))
        });
        all.take(most).collect()
    }
}

impl Draft<'_> {
    /// Puts a label on a manifest. That the manifest is there is the caller's to know.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`]: the project, or the label, also when it is another project's;
    /// [`DirectoryError::Exists`]; [`DirectoryError::Refused`] for too many.
    pub fn put_label_on(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        label: u32,
    ) -> Result<(), DirectoryError> {
        let (topic, name) = self.labelling(repository, digest, label)?;
        let scope = topic.scope;
        let on: BTreeSet<u32> = self.book.labelled().on(scope, repository, digest).collect();
        if on.contains(&label) {
            return Err(DirectoryError::Exists(format!("the label {name} of {repository}@{digest}")));
        }
        if on.len() >= MAX_ON_ONE {
            return Err(DirectoryError::Refused(format!("a manifest has at most {MAX_ON_ONE} labels")));
        }
        if self.book.labelled().on.get(&scope).is_some_and(|labels| labels.count >= MAX_IN_PROJECT) {
            return Err(DirectoryError::Refused(format!("a project has at most {MAX_IN_PROJECT} labels on manifests")));
        }
        self.tell_labelled(repository, digest, (None, Some(&name)));
        self.put(topic, &Value::Labelled(Word { at: self.now }));
        Ok(())
    }

    /// Takes a label off a manifest.
    ///
    /// # Errors
    /// [`DirectoryError::Absent`].
    pub fn take_label_off(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        label: u32,
    ) -> Result<(), DirectoryError> {
        let (topic, name) = self.labelling(repository, digest, label)?;
        if !self.book.labelled().on(topic.scope, repository, digest).any(|on| on == label) {
            return Err(DirectoryError::Absent("label on this artifact"));
        }
        self.tell_labelled(repository, digest, (Some(&name), None));
        self.delete(topic);
        Ok(())
    }

    /// Takes all labels off a manifest that was deleted. Nothing is told: the delete was.
    pub fn forget_labels_of(&mut self, repository: &RepositoryName, digest: &Digest) {
        let Some(scope) = self.book.project(&repository.project()).map(|project| project.scope) else { return };
        for label in self.book.labelled().on(scope, repository, digest) {
            let key = LabelledKey { repository: repository.clone(), digest: *digest, label };
            self.delete(Topic { scope, kind: Kind::LABELLED, key: key.to_key() });
        }
    }

    /// Takes a label that goes off the manifests it is on, at most `most`; gives back how many.
    pub fn forget_places_of(&mut self, label: u32, most: usize) -> usize {
        let places = {
            // Nothing is said in a project that is closed: asked again and again, its places would never end.
            let open = |scope: &ScopeId| self.book.project_of(scope).is_some();
            self.book.labelled().places(label, open, most)
        };
        for (scope, key) in &places {
            self.delete(Topic { scope: *scope, kind: Kind::LABELLED, key: key.to_key() });
        }
        places.len()
    }

    fn labelling(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        label: u32,
    ) -> Result<(Topic, String), DirectoryError> {
        let project = self.book.project(&repository.project()).ok_or(DirectoryError::Absent("project"))?;
        let theirs = |found: &&super::LabelEntry| found.scope.is_none_or(|scope| scope == project.scope);
        let found = self.book.label(label).filter(theirs).ok_or(DirectoryError::Absent("label"))?;
        let key = LabelledKey { repository: repository.clone(), digest: *digest, label };
        Ok((Topic { scope: project.scope, kind: Kind::LABELLED, key: key.to_key() }, found.is.name.clone()))
    }

    fn tell_labelled(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        (before, after): (Option<&String>, Option<&String>),
    ) {
        let (name, project) = (format!("{repository}@{digest}"), repository.project());
        let (kind, name) = (GovernedKind::Label, name.as_str());
        self.tell(&Told { kind, name, project: Some(&project), before, after });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_off_leaves_nothing_behind() {
        let (scope, mut labelled) = (ScopeId([1; 32]), Labelled::default());
        let key = |label| LabelledKey { repository: "shop/till".parse().unwrap(), digest: Digest::sha256(b"x"), label };
        for label in [1, 2, 2] {
            labelled.take(scope, key(label), true);
        }
        let LabelledKey { repository, digest, .. } = key(0);
        assert_eq!(labelled.on(scope, &repository, &digest).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            (labelled.on[&scope].count, labelled.places(2, |_| true, 9).len(), labelled.places(2, |_| true, 0).len()),
            (2, 1, 0)
        );
        for label in [1, 1, 2, 3] {
            labelled.take(scope, key(label), false);
        }
        assert!(labelled.on.is_empty() && labelled.places(2, |_| true, 9).is_empty());
    }
}

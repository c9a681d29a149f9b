//! The rows that follow from the view: projects, tags, and which manifests are held. Owns no state.
//!
//! Nothing else writes these rows, so that what is served is what the records say, whoever said it. A manifest's row is
//! made when its bytes come ([`super::publish`]); here it is decided whether it stays. It does while it is *alive*, by
//! the definition of [`View::pinned`] in `protocol`: it has an undeleted version of its own, a tag names it (also by a
//! head that lost), or a manifest does that is alive. Who names whom is kept both ways, so that a record costs what it
//! touches. Names are taken from the records' claims; two authors who lie can name each other's manifests in a circle,
//! which then stay: too much is held, never too little.
//!
//! Two open projects of one name are a conflict: the name means the one made first, its tags are served, and what the
//! other holds is held. So is, until someone answers, what stands in a project that was deleted while pushes were unseen, or
//! whose making turned out to count for nothing ([`View::is_let_go`]).

use std::collections::{BTreeMap, BTreeSet};

use protocol::record::value::{Life, Value};
use protocol::record::{Kind as RecordKind, RecordId, Records as _, ScopeId};
use protocol::view::{Changed, Kept as _, Topic, View};
use protocol::{Digest, ProjectName, RepositoryName, Tag, Timestamp};

use super::failure::Failure;
use super::set::Set;
use super::tables::{self, Kind};
use super::writing::Writing;
use crate::storage::meta::Project;
use crate::storage::meta::rows::{ManifestRow, PartsRow, ProjectRow, TagRow};

/// Why a manifest is looked at again. The greater includes the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Something else that named it, or names it now: of no matter to one that lives by itself.
    Named,
    /// What is said of itself, or where it stands.
    Said,
}

/// What one change leads to, while it is followed.
#[derive(Debug, Default)]
struct Open {
    manifests: BTreeMap<(RepositoryName, Digest), Cause>,
    /// The scopes under a project's name of which everything is held on to, for those that were asked about.
    scopes: BTreeMap<ProjectName, Vec<ScopeId>>,
}

impl Open {
    fn look_at(&mut self, repository: &RepositoryName, digest: Digest, cause: Cause) {
        let known = self.manifests.entry((repository.clone(), digest)).or_insert(cause);
        *known = cause.max(*known);
    }
}

impl Writing<'_> {
    /// Brings the rows in line with what changed; what is not alive any more is leased until `due`.
    pub(super) fn follow(&mut self, changed: &Changed, due: Timestamp) -> Result<(), Failure> {
        let mut open = Open::default();
        let touched: BTreeSet<ScopeId> =
            changed.topics.iter().map(|topic| topic.scope).chain(changed.projects.iter().copied()).collect();
        for scope in touched {
            self.follow_scope(scope, changed, &mut open)?;
        }
        for topic in &changed.topics {
            if let Some((repository, tag)) = topic.key.as_tag().filter(|_| topic.kind == RecordKind::TAG) {
                self.follow_tag(&repository, &tag, &mut open)?;
            } else if let Some((repository, digest)) = topic.key.as_manifest()
                && topic.kind == RecordKind::MANIFEST
            {
                open.look_at(&repository, digest, Cause::Said);
            }
        }
        self.follow_entries(changed)?;
        self.settle(open, due)
    }

    /// Follows what a scope is: its project's row, and whether everything in it is held on to. It is when the project is
    /// open, or anything in it ever counted, and it is not let go of. That is kept, because finding it out of a closed one
    /// counts all that is in it, and because anyone with a grant can make scopes under a name: where nothing counts, pushes
    /// to the project of that name must not look.
    fn follow_scope(&mut self, scope: ScopeId, changed: &Changed, open: &mut Open) -> Result<(), Failure> {
        let found = self.view(|view, set, _| {
            let facts = view.facts(&scope);
            let is_let_go = facts.is_closed() && view.is_let_go(set, &scope);
            let is_open = facts.is_open();
            facts.name.map(|name| (name, is_open, is_let_go))
        })?;
        let Some((name, is_open, is_let_go)) = found else { return Ok(()) };
        let key = tables::named(&name, &scope);
        let was = self.tables.held_scopes.has(&key)?;
        let is_held = !is_let_go && (was || is_open || self.anything_counts(scope, changed)?);
        if is_held && !was {
            self.tables.held_scopes.mark(&key)?;
        } else if was && !is_held {
            self.tables.held_scopes.remove(&key)?;
        }
        let speaks_of_project = changed.projects.contains(&scope) || changed.topics.contains(&Topic::project(scope));
        let means_another = (is_held || was) && speaks_of_project && self.follow_project(&name)?;
        if means_another || is_held != was {
            open.scopes.remove(&name);
            self.look_at_all(&name, open)?;
        }
        Ok(())
    }

    /// The row of the project a name means; whether it means another than before.
    fn follow_project(&mut self, name: &ProjectName) -> Result<bool, Failure> {
        let scopes = self.held_under(name)?;
        let meant = self.view(|view, set, _| {
            let meant = view.open_among(&scopes).first().copied()?;
            Some((meant, shown(view, set, meant)?))
        })?;
        let key = name.as_str().as_bytes();
        let before = self.tables.projects.get::<ProjectRow>(key)?.map(|row| row.scope);
        let scope = meant.as_ref().map(|(scope, _)| *scope);
        self.follow_project_entry(before, scope)?;
        match meant {
            Some((scope, project)) => self.tables.projects.put(key, &ProjectRow { project, scope })?,
            None => drop(self.tables.projects.remove(key)?),
        }
        Ok(before != scope)
    }

    /// Whether any of the tags and manifests of a scope that changed says something; any of all, when its name may have
    /// become known only now.
    fn anything_counts(&mut self, scope: ScopeId, changed: &Changed) -> Result<bool, Failure> {
        if changed.projects.contains(&scope) {
            return self.view(|view, _, _| !view.repositories(&scope).is_empty());
        }
        let of_content = |topic: &&Topic| matches!(topic.kind, RecordKind::TAG | RecordKind::MANIFEST);
        let mut topics = changed.topics.iter().filter(|topic| topic.scope == scope).filter(of_content);
        self.view(|view, _, _| topics.any(|topic| view.topic(topic).heads > 0))
    }

    /// Looks again at every tag and manifest under a name, of whatever scope.
    fn look_at_all(&mut self, name: &ProjectName, open: &mut Open) -> Result<(), Failure> {
        let scopes = self.view(|view, _, _| view.kept().named(name))?;
        let (tags, manifests) = self.view(|_, set, _| {
            let keys = |kind| scopes.iter().flat_map(move |scope| set.keys(scope, kind));
            let tags: BTreeSet<_> = keys(RecordKind::TAG).filter_map(|key| key.as_tag()).collect();
            let manifests: BTreeSet<_> = keys(RecordKind::MANIFEST).filter_map(|key| key.as_manifest()).collect();
            (tags, manifests)
        })?;
        for (repository, tag) in tags {
            self.follow_tag(&repository, &tag, open)?;
        }
        for (repository, digest) in manifests {
            open.look_at(&repository, digest, Cause::Said);
        }
        Ok(())
    }

    /// What a tag names, by its heads in the project its name means.
    fn follow_tag(&mut self, repository: &RepositoryName, tag: &Tag, open: &mut Open) -> Result<(), Failure> {
        let scope = self.tables.projects.get::<ProjectRow>(repository.project_str().as_bytes())?.map(|row| row.scope);
        let (live, mut losers) = match scope {
            Some(scope) => self.view(|view, set, _| named_by(view, set, &Topic::tag(scope, repository, tag)))?,
            None => (None, BTreeSet::new()),
        };
        losers.extend(self.named_elsewhere(repository, tag, scope, open)?);
        let (old, live) = self.put_tag(repository, tag, live)?;
        let lost = self.tables.losers.digests(&tables::losers(repository, tag))?;
        for digest in lost.difference(&losers) {
            self.tables.losers.remove(&tables::loser(repository, tag, digest))?;
            self.tables.losers_of.remove(&tables::tag_of(repository, digest, tag))?;
        }
        for digest in losers.difference(&lost) {
            self.tables.losers.mark(&tables::loser(repository, tag, digest))?;
            self.tables.losers_of.mark(&tables::tag_of(repository, digest, tag))?;
        }
        let moved = [old, live].into_iter().flatten().filter(|_| old != live);
        for digest in moved.chain(lost.symmetric_difference(&losers).copied()) {
            open.look_at(repository, digest, Cause::Named);
        }
        Ok(())
    }

    /// Writes what a tag names, and since when; gives back what it named before, and what it does now.
    fn put_tag(
        &mut self,
        repository: &RepositoryName,
        tag: &Tag,
        live: Option<(Digest, Timestamp)>,
    ) -> Result<(Option<Digest>, Option<Digest>), Failure> {
        let key = tables::tag(repository, tag);
        let row: Option<TagRow> = self.tables.tags.get(&key)?;
        let (old, new) = (row.as_ref().map(|row| row.digest), live.map(|(digest, _)| digest));
        if let Some((digest, pushed)) = live
            && row.as_ref().map(|row| (row.digest, row.pushed)) != live
        {
            // By a record of another site, the first word of it.
            self.note_repository(repository, Timestamp(0))?;
            let (id, pulled) = match &row {
                Some(row) => (row.id, row.pulled),
                None => (self.next_id()?, None),
            };
            self.tables.tags.put(&key, &TagRow { digest, id, pushed, pulled })?;
        }
        if old == new {
            return Ok((old, new));
        }
        if let Some(old) = &old {
            self.tables.tags_of.remove(&tables::tag_of(repository, old, tag))?;
            self.shelve(repository, old)?;
        }
        match &new {
            Some(digest) => {
                self.tables.tags_of.mark(&tables::tag_of(repository, digest, tag))?;
                self.shelve(repository, digest)?;
            }
            None => drop(self.tables.tags.remove(&key)?),
        }
        self.change_repository(repository, |row| {
            row.tags = (row.tags + u64::from(old.is_none())).saturating_sub(u64::from(new.is_none()));
        })?;
        Ok((old, new))
    }

    /// What a tag names in other scopes under the name of its project that are held on to.
    fn named_elsewhere(
        &mut self,
        repository: &RepositoryName,
        tag: &Tag,
        meant: Option<ScopeId>,
        open: &mut Open,
    ) -> Result<BTreeSet<Digest>, Failure> {
        let others = self.scopes(repository, open)?.into_iter().filter(|scope| Some(*scope) != meant);
        let mut named = BTreeSet::new();
        for scope in others {
            let (live, losers) = self.view(|view, set, _| named_by(view, set, &Topic::tag(scope, repository, tag)))?;
            named.extend(live.map(|(digest, _)| digest).into_iter().chain(losers));
        }
        Ok(named)
    }

    /// The scopes under a project's name of which everything is held on to.
    fn scopes(&mut self, repository: &RepositoryName, open: &mut Open) -> Result<Vec<ScopeId>, Failure> {
        let name = repository.project();
        if let Some(scopes) = open.scopes.get(&name) {
            return Ok(scopes.clone());
        }
        let scopes = self.held_under(&name)?;
        open.scopes.insert(name, scopes.clone());
        Ok(scopes)
    }

    fn held_under(&self, name: &ProjectName) -> Result<Vec<ScopeId>, Failure> {
        Ok(self.tables.held_scopes.page(&tables::names(name), None, usize::MAX, tables::read_named)?.items)
    }

    /// Decides of each of these whether it is alive, and of all whose life hangs on it.
    fn settle(&mut self, mut open: Open, due: Timestamp) -> Result<(), Failure> {
        while let Some(((repository, digest), cause)) = open.manifests.pop_first() {
            let scopes = self.scopes(&repository, &mut open)?;
            let is_own = self.view(|view, _, _| {
                let lives = |scope: &ScopeId| view.topic(&Topic::manifest(*scope, &repository, &digest)).live.is_some();
                scopes.iter().any(lives)
            })?;
            if is_own && cause == Cause::Named {
                continue;
            }
            let named = if is_own || self.is_named(&repository, &digest)? {
                self.names(&scopes, &repository, &digest)?
            } else {
                if self.tables.manifests.has(&tables::item(&repository, &digest))? {
                    self.drop_manifest(&repository, &digest, due)?;
                }
                BTreeSet::new()
            };
            let before = self.tables.children.digests(&tables::item(&repository, &digest))?;
            for child in before.symmetric_difference(&named) {
                let (down, up) = (tables::pin(&repository, &digest, child), tables::pin(&repository, child, &digest));
                if named.contains(child) {
                    self.tables.children.mark(&down)?;
                    self.tables.parents.mark(&up)?;
                } else {
                    self.tables.children.remove(&down)?;
                    self.tables.parents.remove(&up)?;
                }
                self.shelve(&repository, child)?;
                open.look_at(&repository, *child, Cause::Named);
            }
        }
        Ok(())
    }

    /// Whether a tag or a live manifest names it.
    fn is_named(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Failure> {
        let key = tables::item(repository, digest);
        Ok(self.tables.tags_of.any(&key)? || self.tables.losers_of.any(&key)? || self.tables.parents.any(&key)?)
    }

    /// The manifests that the heads of a manifest name; when it has none, what described it last.
    fn names(
        &mut self,
        scopes: &[ScopeId],
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BTreeSet<Digest>, Failure> {
        self.view(|view, set, _| {
            let mut named = BTreeSet::new();
            for scope in scopes {
                let topic = Topic::manifest(*scope, repository, digest);
                let mut says: Vec<RecordId> = view.heads(&topic);
                if says.is_empty() {
                    says.extend(view.topic(&topic).said.map(|rank| rank.id));
                }
                for id in says {
                    if let Some(Value::Pushed(pushed)) = read(set, &topic, &id) {
                        named.extend(pushed.children);
                    }
                }
            }
            named
        })
    }

    /// Removes a manifest from its repository, with what it holds there.
    fn drop_manifest(&mut self, repository: &RepositoryName, digest: &Digest, due: Timestamp) -> Result<(), Failure> {
        let key = tables::item(repository, digest);
        let row: ManifestRow = self.tables.manifests.promised(&key)?;
        let parts: PartsRow = self.tables.parts.promised(&key)?;
        if let Some(subject) = &row.subject {
            self.tables.referrers.remove(&tables::referrer(repository, subject, digest))?;
        }
        self.put_on_shelf(repository, &row, digest, false)?;
        self.change_repository(repository, |row| row.manifests = row.manifests.saturating_sub(1))?;
        self.tables.manifests.remove(&key)?;
        self.tables.parts.remove(&key)?;
        for blob in &parts.blobs {
            self.unpin(repository, blob, digest, due)?;
        }
        if !self.let_go(repository, digest, Kind::Manifest)? {
            self.orphan(digest, due)?;
        }
        if !self.tables.holders.any(&tables::holders(digest, Kind::Manifest))? {
            self.tables.manifest_bytes.remove(&digest.to_key())?;
        }
        Ok(())
    }

    /// Ends the pin of a manifest on a blob. When it was the last, the link is leased until `due`: older candidates of
    /// it may be due before, and whoever was told that the blob exists relies on that time.
    fn unpin(
        &mut self,
        repository: &RepositoryName,
        blob: &Digest,
        by: &Digest,
        due: Timestamp,
    ) -> Result<(), Failure> {
        let was_pinned = self.tables.pins.remove(&tables::pin(repository, blob, by))?;
        if self.tables.pinned_by(repository, blob)?.is_none()
            && let Some((_, row)) = self.tables.linked(repository, blob)?
        {
            if was_pinned {
                self.discount(repository, blob, row.size)?;
            }
            self.lease(repository, blob, due)?;
        }
        Ok(())
    }
}

/// A project as it is shown: what is in force of it.
fn shown(view: &View<&Set<'_, '_>>, set: &Set<'_, '_>, scope: ScopeId) -> Option<Project> {
    let Some(Value::Project(project)) = view.in_force(set, &Topic::project(scope)) else { return None };
    let Life::Open(settings) = project.life else { return None };
    let (public, sparse, created) = (settings.public, settings.sparse, settings.created);
    Some(Project { name: project.name, public, sparse, created })
}

/// What the live version of a tag names, and since when, and what its other heads name.
fn named_by(
    view: &View<&Set<'_, '_>>,
    set: &Set<'_, '_>,
    topic: &Topic,
) -> (Option<(Digest, Timestamp)>, BTreeSet<Digest>) {
    let heads = view.heads(topic);
    let mut named = heads.iter().filter_map(|id| {
        let held = set.get(id)?;
        match Value::read(topic.kind, held.value.as_deref()?) {
            Ok(Value::Tagged(tagged)) => Some((tagged.digest?, held.record.time().moment())),
            _ => None,
        }
    });
    let live = named.next();
    let losers = named.map(|(digest, _)| digest).filter(|digest| live.is_none_or(|(live, _)| live != *digest));
    (live, losers.collect())
}

fn read(set: &Set<'_, '_>, topic: &Topic, id: &RecordId) -> Option<Value> {
    Value::read(topic.kind, set.get(id)?.value.as_deref()?).ok()
}

//! What listings show: the numbers, the shelf of artifacts and the counts of each repository, written and read.
//!
//! Owns no state. An artifact is on the shelf of its repository when it speaks about no other manifest, and a tag names it
//! or no live manifest does; whoever changes one of these puts it there or takes it away, so that a page and its total
//! cost no scan.

use protocol::record::value::TagMode;
use protocol::record::{Kind, ScopeId};
use protocol::view::Topic;
use protocol::{Digest, ProjectName, Reference, RepositoryName, Tag, Timestamp};

use super::failure::Failure;
use super::records;
use super::tables::{self, View};
use super::writing::Writing;
use crate::storage::meta::rows::{self, ManifestRow, RepositoryRow, TagRow, UsageRow};
use crate::storage::meta::{
    Act, ArtifactOrder, ArtifactView, DeletedRepository, DeletedTo, FindRepositories, Listing, MAX_ID, ProjectTotals,
    Pulled, RepositoryKey, RepositoryOrder, RepositoryView, Shown, Slice, TagView, What, author,
};

impl Writing<'_> {
    /// The next number.
    pub(super) fn next_id(&mut self) -> Result<u32, Failure> {
        if self.totals.ids >= MAX_ID {
            return Err(Failure::Damaged(format!(
                "all {MAX_ID} numbers of repositories, artifacts and tags are used up"
            )));
        }
        self.totals.ids += 1;
        Ok(self.totals.ids)
    }

    /// Makes the rows of a repository that has none.
    pub(super) fn make_repository(&mut self, name: &RepositoryName, at: Timestamp) -> Result<(), Failure> {
        let id = self.next_id()?;
        let row = RepositoryRow {
            since: at,
            id,
            updated: at,
            description: String::new(),
            artifacts: 0,
            manifests: 0,
            tags: 0,
            pulls: 0,
            pulled: None,
        };
        let text = name.as_str().as_bytes();
        self.tables.repositories.put(text, &row)?;
        self.tables.repository_ids.put_raw(&tables::repository_id(id), text)?;
        let of_project = tables::project_repository(name.project_str(), id);
        self.tables.project_repositories.put_raw(&of_project, text)?;
        self.change_usage(name, |usage| usage.repositories += 1)
    }

    /// Removes them.
    fn forget_repository(&mut self, name: &RepositoryName, id: u32) -> Result<(), Failure> {
        self.tables.repositories.remove(name.as_str().as_bytes())?;
        self.tables.repository_ids.remove(&tables::repository_id(id))?;
        self.tables.project_repositories.remove(&tables::project_repository(name.project_str(), id))?;
        self.change_usage(name, |usage| usage.repositories = usage.repositories.saturating_sub(1))
    }

    /// Changes the row of a repository; whether it has one.
    pub(super) fn change_repository(
        &mut self,
        name: &RepositoryName,
        change: impl FnOnce(&mut RepositoryRow),
    ) -> Result<bool, Failure> {
        let key = name.as_str().as_bytes();
        let Some(mut row) = self.tables.repositories.get(key)? else { return Ok(false) };
        change(&mut row);
        self.tables.repositories.put(key, &row)?;
        Ok(true)
    }

    /// Puts an artifact on the shelf, or takes it away, as what names it says.
    pub(super) fn shelve(&mut self, repository: &RepositoryName, digest: &Digest) -> Result<(), Failure> {
        let key = tables::item(repository, digest);
        let Some(row) = self.tables.manifests.get::<ManifestRow>(&key)? else { return Ok(()) };
        let stands = row.subject.is_none() && (self.tables.tags_of.any(&key)? || !self.tables.parents.any(&key)?);
        self.put_on_shelf(repository, &row, digest, stands)
    }

    /// Puts an artifact on the shelf, or takes it away.
    pub(super) fn put_on_shelf(
        &mut self,
        repository: &RepositoryName,
        row: &ManifestRow,
        digest: &Digest,
        stands: bool,
    ) -> Result<(), Failure> {
        let key = tables::shelved(repository, row.pushed, row.id);
        if self.tables.shelf.has(&key)? == stands {
            return Ok(());
        }
        if stands {
            self.tables.shelf.put_raw(&key, &digest.to_key())?;
        } else {
            self.tables.shelf.remove(&key)?;
        }
        self.change_repository(repository, |row| {
            row.artifacts = (row.artifacts + u64::from(stands)).saturating_sub(u64::from(!stands));
        })?;
        Ok(())
    }

    /// See [`crate::storage::meta::MetaStore::describe_repository`].
    pub(super) fn describe_repository(
        &mut self,
        name: &RepositoryName,
        description: &str,
        act: &Act,
    ) -> Result<bool, Failure> {
        let there = self.change_repository(name, |row| {
            row.description = description.to_owned();
            row.updated = row.updated.max(act.at);
        })?;
        if there {
            self.tell(act, What::RepositoryDescribed { repository: name.clone() })?;
        }
        Ok(there)
    }

    /// See [`crate::storage::meta::MetaStore::delete_repository`].
    pub(super) fn delete_repository(
        &mut self,
        name: &RepositoryName,
        (from, most): (&DeletedTo, usize),
        due: Timestamp,
        act: &Act,
    ) -> Result<DeletedRepository, Failure> {
        let row: Option<RepositoryRow> = self.tables.repositories.get(name.as_str().as_bytes())?;
        // What a deleted project still holds is not for anyone to see.
        let Some(RepositoryRow { id, manifests, tags, .. }) = row else {
            return Ok(DeletedRepository::Absent);
        };
        if !self.has_project(name)? {
            return Ok(DeletedRepository::Absent);
        }
        let scope = self.scope_of(name)?;
        let mode = if tags > 0 { self.view(|view, set, _| view.tag_mode(set, &scope))? } else { None };
        let epoch = match mode {
            Some((TagMode::Home(site), _)) => return Ok(DeletedRepository::NotHome(site)),
            Some((TagMode::Converge, epoch)) => epoch,
            None => 0,
        };
        if *from == DeletedTo::Nothing {
            self.tell(act, What::RepositoryDeleted { repository: name.clone(), manifests, tags })?;
        }
        let most = most.max(1);
        let (named, after) = match from {
            DeletedTo::Nothing => (self.tags_after(name, None, most)?, None),
            DeletedTo::Tag(tag) => (self.tags_after(name, Some(tag), most)?, None),
            DeletedTo::Manifest(digest) => (Listing { items: Vec::new(), more: false }, Some(digest)),
        };
        for tag in &named.items {
            self.say(Topic::tag(scope, name, tag), Some(&author::tagged(None, epoch)), due, act)?;
        }
        let left = most - named.items.len();
        if let Some(last) = named.items.last().filter(|_| named.more || left == 0) {
            return Ok(DeletedRepository::More(DeletedTo::Tag(last.clone())));
        }
        let said = self.manifests_said_after(scope, name, after, left)?;
        for digest in &said.items {
            let topic = Topic::manifest(scope, name, digest);
            if self.view(|view, _, _| view.topic(&topic).live.is_some())? {
                self.say(topic, None, due, act)?;
            }
        }
        if let Some(last) = said.items.last().filter(|_| said.more) {
            return Ok(DeletedRepository::More(DeletedTo::Manifest(*last)));
        }
        if !self.tables.manifests.any(&tables::repository(name))? {
            self.forget_repository(name, id)?;
        }
        Ok(DeletedRepository::Done)
    }

    fn tags_after(&self, name: &RepositoryName, after: Option<&Tag>, most: usize) -> Result<Listing<Tag>, Failure> {
        let after = after.map(|tag| tag.as_str().as_bytes());
        self.tables.tags.page(&tables::repository(name), after, most, |tag, _| tag_name(tag).map(Some))
    }

    /// The manifests of a repository that records speak about, alive or not.
    fn manifests_said_after(
        &self,
        scope: ScopeId,
        name: &RepositoryName,
        after: Option<&Digest>,
        most: usize,
    ) -> Result<Listing<Digest>, Failure> {
        let prefix = tables::join(&[&records::of_kind(&scope, Kind::MANIFEST), &tables::repository(name)]);
        let after = after.map(|digest| records::topic(&Topic::manifest(scope, name, digest)));
        let after = after.as_ref().and_then(|key| key.strip_prefix(prefix.as_slice()));
        self.tables.topics.page(&prefix, after, most, |rest, _| {
            let topic = records::read_topic(&tables::join(&[&prefix, rest]));
            let manifest = topic.and_then(|topic| topic.key.as_manifest());
            manifest.map(|(_, digest)| Some(digest)).ok_or_else(|| "the topic can't be read".into())
        })
    }

    /// See [`crate::storage::meta::MetaStore::note_pulls`].
    pub(super) fn note_pulls(&mut self, pulls: &[Pulled]) -> Result<(), Failure> {
        for Pulled { repository, digest, tag, count, last } in pulls {
            let key = tables::item(repository, digest);
            let Some(mut row) = self.tables.manifests.get::<ManifestRow>(&key)? else { continue };
            row.pulled = row.pulled.max(Some(*last));
            self.tables.manifests.put(&key, &row)?;
            self.change_repository(repository, |row| {
                row.pulls = row.pulls.saturating_add(*count);
                row.pulled = row.pulled.max(Some(*last));
            })?;
            let Some(tag) = tag else { continue };
            let key = tables::tag(repository, tag);
            let Some(mut row) = self.tables.tags.get::<TagRow>(&key)? else { continue };
            row.pulled = row.pulled.max(Some(*last));
            self.tables.tags.put(&key, &row)?;
        }
        Ok(())
    }
}

impl View {
    pub(super) fn repository(&self, name: &RepositoryName) -> Result<Option<RepositoryView>, Failure> {
        let row = self.repositories()?.get(name.as_str().as_bytes())?;
        Ok(row.map(|row| shown(name.clone(), row)))
    }

    pub(super) fn repository_by_id(&self, id: u32) -> Result<Option<RepositoryView>, Failure> {
        let (table, key) = (self.repository_ids()?, tables::repository_id(id));
        let Some(name) = table.raw(&key)? else { return Ok(None) };
        let name = repository_name(&name).map_err(|why| table.damaged(&key, &why))?;
        self.repository(&name)
    }

    pub(super) fn shown_repositories(
        &self,
        project: Option<&ProjectName>,
        order: RepositoryOrder,
        slice: Slice,
    ) -> Result<Shown<RepositoryView>, Failure> {
        let repositories = self.repositories()?;
        let total = match project {
            Some(project) => self.project_totals(project)?.repositories,
            None => repositories.count()?,
        };
        let items = match order {
            RepositoryOrder::Name => {
                let prefix = project.map_or_else(Vec::new, |name| tables::join(&[name.as_str().as_bytes(), b"/"]));
                repositories.slice(&prefix, slice, |rest, value| {
                    Ok(shown(repository_name(&tables::join(&[&prefix, rest]))?, rows::decode(value)?))
                })?
            }
            RepositoryOrder::Newest => {
                let name = |_: &[u8], name: &[u8]| repository_name(name);
                let names = match project {
                    Some(project) => {
                        self.project_repositories()?.slice(&tables::project_prefix(project.as_str()), slice, name)?
                    }
                    None => self.repository_ids()?.slice(&[], slice, name)?,
                };
                let view = |name: RepositoryName| {
                    let row = repositories.promised(name.as_str().as_bytes())?;
                    Ok(shown(name, row))
                };
                names.into_iter().map(view).collect::<Result<_, Failure>>()?
            }
        };
        Ok(Shown { items, total })
    }

    pub(super) fn find_repositories(&self, find: &FindRepositories) -> Result<Shown<RepositoryView>, Failure> {
        let slice = find.slice;
        if find.by == RepositoryKey::Name && !find.descending {
            return self.find_by_name(find);
        }
        let mut found = self.found(find)?;
        let total = found.len() as u64;
        let start = usize::try_from(slice.offset).unwrap_or(usize::MAX).min(found.len());
        let end = start.saturating_add(slice.limit).min(found.len());
        let order = |a: &Found, b: &Found| if find.descending { b.cmp(a) } else { a.cmp(b) };
        // No more is put in order than is shown.
        if start > 0 && start < found.len() {
            found.select_nth_unstable_by(start, order);
        }
        if end > start && end < found.len() {
            found[start..].select_nth_unstable_by(end - start, order);
        }
        let shown_part = &mut found[start..end];
        shown_part.sort_unstable_by(order);
        let table = self.repositories()?;
        let view = |found: &Found| {
            let name = repository_name(&found.2).map_err(|why| table.damaged(&found.2, &why))?;
            let row = table.promised(&found.2)?;
            Ok(shown(name, row))
        };
        let items = shown_part.iter().map(view).collect::<Result<_, Failure>>()?;
        Ok(Shown { items, total })
    }

    /// The names that are looked for, with what orders them.
    fn found(&self, find: &FindRepositories) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        let prefixes = |end: &[u8]| match &find.projects {
            None => vec![Vec::new()],
            Some(projects) => projects.iter().map(|name| tables::join(&[name.as_str().as_bytes(), end])).collect(),
        };
        let wanted = |name: &[u8]| tables::text(name).is_some_and(|name| find.takes(name));
        match find.by {
            RepositoryKey::Created => {
                let table = self.project_repositories()?;
                for prefix in prefixes(b"\0") {
                    table.scan(&prefix, None, |rest, name| {
                        // The key ends by the number, the last one first.
                        if wanted(name)
                            && let Some(id) = rest.last_chunk::<4>()
                        {
                            found.push(Found(Timestamp(0), u32::MAX - u32::from_be_bytes(*id), name.into()));
                        }
                        Ok(true)
                    })?;
                }
            }
            by @ (RepositoryKey::Name | RepositoryKey::Updated) => {
                let table = self.repositories()?;
                for prefix in prefixes(b"/") {
                    table.scan(&prefix, None, |rest, value| {
                        let name = tables::join(&[&prefix, rest]);
                        if wanted(&name) {
                            let (at, id) = match by {
                                RepositoryKey::Updated => {
                                    let row: RepositoryRow =
                                        rows::decode(value).map_err(|why| table.damaged(&name, &why))?;
                                    (row.updated, row.id)
                                }
                                RepositoryKey::Name | RepositoryKey::Created => (Timestamp(0), 0),
                            };
                            found.push(Found(at, id, name.into()));
                        }
                        Ok(true)
                    })?;
                }
            }
        }
        Ok(found)
    }

    fn find_by_name(&self, find: &FindRepositories) -> Result<Shown<RepositoryView>, Failure> {
        let FindRepositories { projects, slice, .. } = find;
        let table = self.repositories()?;
        let (mut items, mut total, mut name) = (Vec::new(), 0_u64, Vec::new());
        let mut look = |prefix: &[u8]| {
            table.scan(prefix, None, |rest, value| {
                name.clear();
                name.extend_from_slice(prefix);
                name.extend_from_slice(rest);
                if tables::text(&name).is_some_and(|name| find.takes(name)) {
                    if total >= slice.offset && items.len() < slice.limit {
                        let view = repository_name(&name).and_then(|name| Ok(shown(name, rows::decode(value)?)));
                        items.push(view.map_err(|why| table.damaged(&name, &why))?);
                    }
                    total += 1;
                }
                Ok(true)
            })
        };
        match projects {
            None => look(&[])?,
            Some(projects) => {
                // In the order of the rows: a project's name ends by a slash there.
                let mut prefixes: Vec<Vec<u8>> =
                    projects.iter().map(|name| tables::join(&[name.as_str().as_bytes(), b"/"])).collect();
                prefixes.sort_unstable();
                for prefix in prefixes {
                    look(&prefix)?;
                }
            }
        }
        Ok(Shown { items, total })
    }

    pub(super) fn artifacts(
        &self,
        repository: &RepositoryName,
        order: ArtifactOrder,
        slice: Slice,
    ) -> Result<Option<Shown<ArtifactView>>, Failure> {
        let row: Option<RepositoryRow> = self.repositories()?.get(repository.as_str().as_bytes())?;
        let Some(row) = row else { return Ok(None) };
        let (prefix, manifests) = (tables::repository(repository), self.manifests()?);
        Ok(Some(match order {
            ArtifactOrder::Newest => {
                let digests = self.shelf()?.slice(&prefix, slice, |_, digest| {
                    Digest::from_key(digest).ok_or_else(|| "the digest can't be read".into())
                })?;
                let view =
                    |digest: Digest| Ok(artifact(digest, manifests.promised(&tables::item(repository, &digest))?));
                let items = digests.into_iter().map(view).collect::<Result<_, Failure>>()?;
                Shown { items, total: row.artifacts }
            }
            ArtifactOrder::Digest => {
                let items = manifests.slice(&prefix, slice, |digest, row| {
                    let digest = Digest::from_key(digest).ok_or("the digest can't be read")?;
                    Ok(artifact(digest, rows::decode(row)?))
                })?;
                Shown { items, total: row.manifests }
            }
        }))
    }

    pub(super) fn artifact(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ArtifactView>, Failure> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => match self.tags()?.get::<TagRow>(&tables::tag(repository, tag))? {
                Some(row) => row.digest,
                None => return Ok(None),
            },
        };
        let row = self.manifests()?.get(&tables::item(repository, &digest))?;
        Ok(row.map(|row| artifact(digest, row)))
    }

    pub(super) fn tags_naming(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<TagView>, Failure> {
        let names =
            self.tags_of()?.page(&tables::item(repository, digest), None, limit, |tag, _| tag_name(tag).map(Some))?;
        let tags = self.tags()?;
        let view = |name: Tag| {
            let row = tags.promised(&tables::tag(repository, &name))?;
            Ok(tag_view(name, row))
        };
        names.items.into_iter().map(view).collect()
    }

    pub(super) fn shown_tags(
        &self,
        repository: &RepositoryName,
        slice: Slice,
    ) -> Result<Option<Shown<TagView>>, Failure> {
        let row: Option<RepositoryRow> = self.repositories()?.get(repository.as_str().as_bytes())?;
        let Some(row) = row else { return Ok(None) };
        let items = self.tags()?.slice(&tables::repository(repository), slice, |tag, row| {
            Ok(tag_view(tag_name(tag)?, rows::decode(row)?))
        })?;
        Ok(Some(Shown { items, total: row.tags }))
    }

    pub(super) fn project_totals(&self, name: &ProjectName) -> Result<ProjectTotals, Failure> {
        let UsageRow { bytes, repositories } = self.usage()?.get(name.as_str().as_bytes())?.unwrap_or_default();
        Ok(ProjectTotals { bytes, repositories })
    }
}

/// A repository that was looked for: what orders it, its number when that orders it, its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found(Timestamp, u32, Box<[u8]>);

fn repository_name(name: &[u8]) -> Result<RepositoryName, String> {
    tables::text(name).and_then(|name| name.parse().ok()).ok_or_else(|| "the repository can't be read".into())
}

fn tag_name(tag: &[u8]) -> Result<Tag, String> {
    tables::text(tag).and_then(|tag| tag.parse().ok()).ok_or_else(|| "the tag can't be read".into())
}

fn shown(name: RepositoryName, row: RepositoryRow) -> RepositoryView {
    let RepositoryRow { since, id, updated, description, artifacts, manifests, tags, pulls, pulled } = row;
    RepositoryView {
        id,
        name,
        created: since,
        updated,
        description,
        artifacts,
        manifests,
        tags,
        pulls,
        last_pull: pulled,
    }
}

fn artifact(digest: Digest, row: ManifestRow) -> ArtifactView {
    let ManifestRow { media_type, size, subject, id, pushed, pulled, artifact_type, total } = row;
    ArtifactView { id, digest, media_type, artifact_type, subject, size, total, pushed, pulled }
}

fn tag_view(name: Tag, row: TagRow) -> TagView {
    let TagRow { digest, id, pushed, pulled } = row;
    TagView { id, name, digest, pushed, pulled }
}

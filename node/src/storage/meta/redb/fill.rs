//! A made-up world in bulk, to measure listings over: rows alone, without the records they follow from elsewhere.
//!
//! Owns no state. A store filled so is for reading; [`crate::storage::meta::check`] rightly finds fault with it.

use bytes::Bytes;
use protocol::{ContentRoot, Digest, ProjectName, RepositoryName, Tag, Timestamp};

use super::failure::Failure;
use super::tables::{self, Kind};
use super::writing::Writing;
use super::{Act, MetaError, RedbMeta};
use crate::storage::meta::rows::{HeldRow, ManifestRow, PartsRow, RepositoryRow, TagRow};
use crate::storage::meta::{BlobRow, Project};

/// Projects written in one intent.
const BATCH: u32 = 50;

/// How much there shall be.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// Projects, called `p` and five digits or more.
    pub projects: u32,
    /// Repositories of each, called `team/app-` and two digits or more.
    pub repositories: u32,
    /// Artifacts of each of these, with one tag each, called `v` and a number.
    pub artifacts: u32,
}

impl Fill {
    /// The name of a project, counted from 0.
    ///
    /// # Errors
    /// [`MetaError::Engine`] when the number makes none.
    pub fn project(n: u32) -> Result<ProjectName, MetaError> {
        named(&format!("p{n:05}"))
    }

    /// The name of a repository of it, counted from 0.
    ///
    /// # Errors
    /// [`MetaError::Engine`] when the numbers make none.
    pub fn repository(project: u32, n: u32) -> Result<RepositoryName, MetaError> {
        named(&format!("p{project:05}/team/app-{n:02}"))
    }
}

fn named<T: std::str::FromStr>(name: &str) -> Result<T, MetaError> {
    name.parse().map_err(|_| MetaError::Engine(format!("{name} is no name")))
}

impl RedbMeta {
    /// Fills a store that is new. Not safe against a crash: throw away what was left half filled.
    ///
    /// # Errors
    /// [`MetaError`] when it can't be written.
    pub async fn fill(&self, fill: Fill, act: &Act) -> Result<(), MetaError> {
        let mut from = 0;
        while from < fill.projects {
            let to = fill.projects.min(from + BATCH);
            let act = act.clone();
            self.write(move |writing| (from..to).try_for_each(|n| writing.fill_project(n, fill, &act))).await?;
            from = to;
        }
        Ok(())
    }
}

fn told(error: MetaError) -> Failure {
    Failure::Damaged(error.to_string())
}

impl Writing<'_> {
    fn fill_project(&mut self, n: u32, fill: Fill, act: &Act) -> Result<(), Failure> {
        let name = Fill::project(n).map_err(told)?;
        let project = Project { name, public: true, sparse: false, created: act.at };
        self.create_project(&project, act)?;
        for r in 0..fill.repositories {
            let name = Fill::repository(n, r).map_err(told)?;
            self.make_repository(&name, act.at)?;
            let (mut bytes, key) = (0, name.as_str().as_bytes());
            for a in 0..fill.artifacts {
                bytes += self.fill_artifact(&name, a, act)?;
            }
            let row: RepositoryRow = self.tables.repositories.promised(key)?;
            let count = u64::from(fill.artifacts);
            let row = RepositoryRow { artifacts: count, manifests: count, tags: count, ..row };
            self.tables.repositories.put(key, &row)?;
            self.totals.bytes += bytes;
            self.change_usage(&name, |usage| usage.bytes += bytes)?;
        }
        Ok(())
    }

    /// The rows of one artifact; its length.
    fn fill_artifact(&mut self, name: &RepositoryName, a: u32, act: &Act) -> Result<u64, Failure> {
        let bytes = Bytes::from(format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"name":"{name}:{a}"}}}}"#
        ));
        let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
        let (key, digest_key) = (tables::item(name, &digest), digest.to_key());
        let pushed = Timestamp(act.at.0 + u64::from(a));
        let row = ManifestRow {
            media_type: protocol::manifest::ManifestKind::Index.media_type(),
            size,
            subject: None,
            id: self.next_id()?,
            pushed,
            pulled: None,
            artifact_type: None,
            total: size,
        };
        self.tables.manifests.put(&key, &row)?;
        self.tables.parts.put(&key, &PartsRow::default())?;
        self.tables.manifest_bytes.put_raw(&digest_key, &bytes)?;
        let blob = BlobRow { size, root: ContentRoot([0; 32]), committed: pushed, quarantined: None };
        self.tables.held.put(&digest_key, &HeldRow { blob, keep: Timestamp(0) })?;
        self.tables.holders.mark(&tables::holder(&digest, Kind::Manifest, name))?;
        self.tables.counted.put_raw(&tables::counted(name.project_str(), &digest), &1_u64.to_be_bytes())?;
        self.tables.shelf.put_raw(&tables::shelved(name, pushed, row.id), &digest_key)?;
        let tag: Tag = named(&format!("v{a}")).map_err(told)?;
        let row = TagRow { digest, id: self.next_id()?, pushed, pulled: None };
        self.tables.tags.put(&tables::tag(name, &tag), &row)?;
        self.tables.tags_of.mark(&tables::tag_of(name, &digest, &tag))?;
        Ok(size)
    }
}

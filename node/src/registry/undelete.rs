//! A project that was deleted, brought back with what was in it. Its records say what that was; the rows of its manifests
//! went when it was deleted, and are made again of bytes that are still kept. No state.

use std::sync::Arc;

use protocol::record::{Held, HybridTime, Kind, RecordId};
use protocol::view::Topic;
use protocol::{Digest, Manifest, ProjectName, Reference, RepositoryName, manifest};

use super::projects::still_administers;
use super::{Fault, Registry};
use crate::directory::DirectoryError;
use crate::policy::AdminPermit;
use crate::storage::meta::{Act, PublishManifest, Published, RecordAt, pushed_as};
use crate::storage::store::Small;

/// Records read at once.
const PAGE: usize = 256;

/// What came back with a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undeleted {
    /// Manifests that are served again.
    pub manifests: u64,
    /// Manifests whose bytes, or those of what they name, are not kept any more: they are served when they are pushed
    /// again.
    pub lost: u64,
}

impl Registry {
    /// Opens again the project of this name that was deleted last. Of one that is open, brings back what an earlier try
    /// that was cut short left.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`] for one that lacks nothing; [`DirectoryError`].
    pub async fn undelete_project(
        &self,
        permit: &AdminPermit,
        name: &ProjectName,
        request: &Arc<str>,
    ) -> Result<Undeleted, DirectoryError> {
        let act = self.act(permit.actor(), request);
        let open = self.directory.change(&act, |draft| {
            still_administers(draft.book, permit)?;
            draft.undelete_project(name)
        });
        let opened = open.await;
        if !matches!(opened, Ok(()) | Err(DirectoryError::Exists(_))) {
            return opened.map(|()| Undeleted::default());
        }
        let (this, name) = (self.clone(), name.clone());
        let work = async move { this.bring_back(&name, &act).await };
        // It goes on when the client hangs up meanwhile.
        let back = self.scope.run("bring a project back", work).await.map_err(Fault::from).and_then(|back| back);
        let back = back.map_err(|fault| crate::storage::meta::MetaError::Engine(fault.to_string()))?;
        match opened {
            Err(exists) if back.manifests == 0 => Err(exists),
            Ok(()) | Err(_) => Ok(back),
        }
    }

    async fn bring_back(&self, name: &ProjectName, act: &Act) -> Result<Undeleted, Fault> {
        let mut back = Undeleted::default();
        let Some(scope) = self.directory.read(|book| book.project(name).map(|project| project.scope)) else {
            return Ok(back);
        };
        let mut after = RecordAt { scope, time: HybridTime::default(), id: RecordId([0; 32]) };
        loop {
            let page = self.store.meta().records(Some(after), PAGE).await?;
            for held in &page.items {
                after = RecordAt::of(held);
                if after.scope != scope {
                    return Ok(back);
                }
                if let Some((repository, digest, topic)) = manifest_of(held)
                    && let Some(is_back) = self.bring_manifest(&repository, &digest, &topic, act).await?
                {
                    if is_back { back.manifests += 1 } else { back.lost += 1 }
                }
            }
            if !page.more {
                return Ok(back);
            }
        }
    }

    /// Whether a manifest that its records call alive is served again; `None`: it is already, or is not to be.
    async fn bring_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        topic: &Topic,
        act: &Act,
    ) -> Result<Option<bool>, Fault> {
        let meta = self.store.meta();
        if meta.manifest(repository, &Reference::Digest(*digest)).await?.is_some() {
            return Ok(None);
        }
        let live = meta.heads(topic).await?.into_iter().next().and_then(|held| pushed_as(&held));
        let Some(media_type) = live else { return Ok(None) };
        let read = self.store.read_small(digest, manifest::MAX_BYTES as u64, &self.scope).await?;
        let Small::Whole(body) = read else { return Ok(Some(false)) };
        let Ok(parsed) = Manifest::parse(&body, Some(&media_type)) else { return Ok(Some(false)) };
        self.store.make_room();
        let publish = PublishManifest::of(repository, *digest, &parsed, body, self.store.due(), act.clone());
        // The children of an index may come after it. All of it was within its quota when it went.
        let sparse = !publish.children.is_empty();
        let published = self.store.publish(PublishManifest { sparse, ..publish }).await?;
        Ok(Some(matches!(published, Published::Done { .. })))
    }
}

/// What a record of a manifest is about.
fn manifest_of(held: &Held) -> Option<(RepositoryName, Digest, Topic)> {
    let topic = Topic::of(&held.record).filter(|topic| topic.kind == Kind::MANIFEST)?;
    let (repository, digest) = topic.key.as_manifest()?;
    Some((repository, digest, topic))
}

//! What the product does: the rules of a registry, without HTTP.
//!
//! Every method takes a permit of [`crate::policy`] that proves the caller may do just that, here. What is answered is
//! a value or an error enum of its own file; [`crate::http`] turns them into status codes.

mod blobs;
pub mod maintenance;
mod manifests;
mod projects;
mod pulls;
mod records;
mod referrers;
mod shelf;
mod tags;
mod uploads;

use std::sync::Arc;

use protocol::ProjectName;
use protocol::seam::Clock;

use crate::config::Create;
use crate::storage::Store;
use crate::storage::meta::{Act, MetaError, Project};
use crate::storage::store::StoreError;
use crate::workers::{Lost, Scope};

use self::pulls::PullLog;

pub use blobs::{Blob, BlobError};
pub use maintenance::Upkeep;
pub use manifests::{ManifestError, Push, Pushed};
pub use projects::{NewProject, ProjectError};
pub use records::{Contested, RecordsError, Said};
pub use referrers::Referrers;
pub use shelf::{Artifact, MAX_DESCRIPTION, ShelfError};
pub use tags::TagError;
pub use uploads::{Mounted, Received, UploadError};

pub use crate::storage::blobs::OpenBlob;
pub use crate::storage::meta::{Listing, Page, Referrer, StoredManifest};
pub use crate::storage::uploads::{SessionInfo, UploadId, Writer};

/// Why something failed that is nobody's fault but ours, or the disk's.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task that carried the work.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl From<MetaError> for Fault {
    fn from(error: MetaError) -> Self {
        Self::Store(error.into())
    }
}

/// What may be set about a registry's rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How projects come to be.
    pub create: Create,
    /// Most items a page has.
    pub page: usize,
}

/// The registry of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Arc<Store>,
    scope: Scope,
    clock: Arc<dyn Clock>,
    rules: Rules,
    upkeep: Arc<Upkeep>,
    pulls: Arc<PullLog>,
}

impl Registry {
    /// A registry over `store`, whose work runs in `scope`.
    #[must_use]
    pub fn new(store: Arc<Store>, scope: Scope, clock: Arc<dyn Clock>, rules: Rules, upkeep: Arc<Upkeep>) -> Self {
        Self { store, scope, clock, rules, upkeep, pulls: Arc::default() }
    }

    /// Notes the pulls that were counted since the last time: to be called now and then, and before the store closes.
    ///
    /// # Errors
    /// [`Fault`]; what could not be noted is tried again with the next.
    pub async fn note_pulls(&self) -> Result<(), Fault> {
        Ok(self.pulls.flush(self.store.meta()).await?)
    }

    fn act(&self, actor: &Arc<str>, request: &Arc<str>) -> Act {
        Act { actor: Arc::clone(actor), at: self.clock.now(), request: Arc::clone(request), via: Default::default() }
    }

    fn page(&self, after: Option<String>, limit: Option<usize>) -> Page {
        Page { after, limit: limit.unwrap_or(self.rules.page).clamp(1, self.rules.page) }
    }

    /// The project a push goes to: made, private, when it is missing and the rules let a push make it.
    async fn project_for_push(&self, name: &ProjectName, act: &Act) -> Result<Option<Project>, Fault> {
        if let Some(project) = self.store.meta().project(name).await? {
            return Ok(Some(project));
        }
        if self.rules.create == Create::Explicit {
            return Ok(None);
        }
        let project = Project { name: name.clone(), public: false, sparse: false, created: act.at };
        self.store.meta().create_project(project, act.clone()).await?;
        Ok(self.store.meta().project(name).await?)
    }
}

//! What the product does: the rules of a registry, without HTTP.
//!
//! Every method takes a permit of [`crate::policy`] that proves the caller may do just that, here. What is answered is
//! a value or an error enum of its own file; [`crate::http`] turns them into status codes.

mod artifacts;
mod audit;
mod blobs;
pub(crate) mod chart;
mod configuration;
mod copy;
mod describe;
mod labels;
pub mod maintenance;
mod manifests;
mod members;
pub mod metadata;
mod people;
mod projects;
mod pulls;
mod quotas;
mod records;
mod referrers;
mod robots;
mod roles;
mod shelf;
mod statistics;
mod tags;
mod undelete;
mod uploads;

use std::sync::Arc;

use protocol::ProjectName;
use protocol::seam::{Clock, Entropy};

use crate::auth::Actor;
use crate::config::Create;
use crate::directory::{Directory, DirectoryError};
use crate::storage::Store;
use crate::storage::meta::{Act, MetaError, Project};
use crate::storage::store::StoreError;
use crate::workers::{Lost, Scope};

use self::pulls::PullLog;

pub use artifacts::{Artifact, Candidate, LIST_ARTIFACTS, MAX_LOOKED, READ_ARTIFACT, Survey, With};
pub use audit::{Asked, Refusal};
pub use blobs::{Blob, BlobError};
pub use chart::ChartPart;
#[cfg(test)]
pub(crate) use configuration::configuration_items;
pub use configuration::{ConfigurationError, Configured};
pub use copy::{PULL, Source};
pub use describe::{Child, Described, Platform, accessory_kind};
pub use labels::LabelPermit;
pub use maintenance::Upkeep;
pub use manifests::{ManifestError, Push, Pushed};
pub use members::{Membership, Who};
pub use people::{Asker, NewPassword, NewPerson, PeopleError};
pub use projects::{AboutProject, NewProject};
pub use quotas::Allowed;
pub use records::{Contested, RecordsError, Said};
pub use referrers::Referrers;
pub use robots::{Gift, NewRobot, RobotWish, creator, gifts_of};
pub use roles::{RoleError, RoleText};
pub use shelf::{LIST_REPOSITORIES, MAX_DESCRIPTION, Repositories, ShelfError};
pub use statistics::Statistics;
pub use tags::TagError;
pub use undelete::Undeleted;
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

/// What a registry is made of.
#[derive(Clone, Debug)]
pub struct OpenRegistry {
    /// What is here.
    pub store: Arc<Store>,
    /// Who and what is governed.
    pub directory: Arc<Directory>,
    /// Where its work runs.
    pub scope: Scope,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What may be set.
    pub rules: Rules,
    /// What runs now and then.
    pub upkeep: Arc<Upkeep>,
}

/// The registry of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Arc<Store>,
    directory: Arc<Directory>,
    scope: Scope,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    rules: Rules,
    upkeep: Arc<Upkeep>,
    pulls: Arc<PullLog>,
    unpacking: Arc<tokio::sync::Semaphore>,
}

impl Registry {
    /// A registry made of these.
    #[must_use]
    pub fn new(parts: OpenRegistry) -> Self {
        let OpenRegistry { store, directory, scope, clock, entropy, rules, upkeep } = parts;
        let unpacking = Arc::new(tokio::sync::Semaphore::new(chart::AT_ONCE));
        Self { store, directory, scope, clock, entropy, rules, upkeep, pulls: Arc::default(), unpacking }
    }

    /// Who and what is governed.
    #[must_use]
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Notes the pulls that were counted since the last time: to be called now and then, and before the store closes.
    ///
    /// # Errors
    /// [`Fault`]; what could not be noted is tried again with the next.
    pub async fn note_pulls(&self) -> Result<(), Fault> {
        Ok(self.pulls.flush(self.store.meta()).await?)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> protocol::Timestamp {
        self.clock.now()
    }

    #[cfg(test)]
    pub(crate) const fn upkeep_for_tests(&self) -> &Arc<Upkeep> {
        &self.upkeep
    }

    pub(crate) fn act(&self, actor: &Actor, request: &Arc<str>) -> Act {
        let (name, request) = (Arc::clone(&actor.name), Arc::clone(request));
        Act { actor: name, at: self.clock.now(), request, via: actor.via }
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
        let made = self.make_project(act, NewProject::named(name.clone()), None).await;
        match made {
            // Another push was faster.
            Ok(_) | Err(DirectoryError::Exists(_)) => Ok(self.store.meta().project(name).await?),
            Err(DirectoryError::Meta(error)) => Err(error.into()),
            Err(error) => Err(MetaError::Engine(error.to_string()).into()),
        }
    }
}

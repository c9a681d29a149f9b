//! Tags and the catalog: sorted, paged listings.

use std::sync::Arc;

use protocol::{RepositoryName, Tag};

use super::{Fault, Registry};
use crate::policy::{CatalogPermit, Delete, Permit, Pull};
use crate::storage::meta::{DeletedTag, Listing};

/// Why there are no tags to list or delete.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// Nothing was ever pushed to the repository.
    #[error("nothing was ever pushed to this repository")]
    UnknownRepository,
    /// No such tag.
    #[error("this repository has no such tag")]
    Unknown,
    /// Tags of the project are written elsewhere.
    #[error("tags of this project are written at {0} alone: delete it there")]
    NotHome(String),
    /// Not the client's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Registry {
    /// A page of the tags of a repository, in ASCII order.
    ///
    /// # Errors
    /// [`TagError::UnknownRepository`].
    pub async fn tags(
        &self,
        permit: &Permit<Pull>,
        after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Listing<Tag>, TagError> {
        let page = self.page(after, limit);
        let tags = self.store.meta().tags(permit.repository(), page).await.map_err(Fault::from)?;
        tags.ok_or(TagError::UnknownRepository)
    }

    /// Removes a tag; the manifest it named stays.
    ///
    /// # Errors
    /// [`TagError::Unknown`].
    pub async fn delete_tag(&self, permit: &Permit<Delete>, tag: &Tag, request: &Arc<str>) -> Result<(), TagError> {
        let act = self.act(permit.actor(), request);
        self.store.make_room();
        let due = self.store.due();
        match self.store.meta().delete_tag(permit.repository(), tag, due, act).await.map_err(Fault::from)? {
            DeletedTag::Done(_) => Ok(()),
            DeletedTag::Absent => Err(TagError::Unknown),
            DeletedTag::NotHome(site) => Err(TagError::NotHome(site)),
        }
    }

    /// A page of the repositories, in ASCII order.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn catalog(
        &self,
        _permit: &CatalogPermit,
        after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Listing<RepositoryName>, Fault> {
        Ok(self.store.meta().repositories(self.page(after, limit)).await?)
    }
}

//! Tags and the catalog: sorted, paged listings.

use std::sync::Arc;

use protocol::{RepositoryName, Tag};

use super::copy::PULL;
use super::{Fault, Registry};
use crate::policy::{CatalogPermit, Delete, Gate, Permit, Pull};
use crate::storage::meta::{DeletedTag, Listing};

/// Names read in one go while a page of the catalog fills.
const LOOKED_AT_ONCE: usize = 1000;

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

    /// A page of the repositories that the holder of the permit may pull from, in ASCII order.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn catalog(
        &self,
        permit: &CatalogPermit,
        gate: &Gate,
        after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Listing<RepositoryName>, Fault> {
        let mut page = self.page(after, limit);
        let sight = gate.sight(permit.principal(), PULL, None);
        if sight.is_everything() {
            return Ok(self.store.meta().repositories(page).await?);
        }
        let mut seen = Listing { items: Vec::new(), more: false };
        let wanted = std::mem::replace(&mut page.limit, LOOKED_AT_ONCE);
        while !sight.is_nothing() {
            let listing = self.store.meta().repositories(page.clone()).await?;
            page.after = listing.items.last().map(|name| name.as_str().to_owned());
            for name in listing.items.into_iter().filter(|name| sight.has(name)) {
                if seen.items.len() == wanted {
                    seen.more = true;
                    return Ok(seen);
                }
                seen.items.push(name);
            }
            if !listing.more {
                break;
            }
        }
        Ok(seen)
    }
}

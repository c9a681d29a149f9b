//! Referrers: the manifests that speak about another.

use protocol::{Digest, MediaType};

use super::{Fault, Registry};
use crate::policy::{Permit, Pull};
use crate::storage::meta::{Listing, Referrer};

/// A page of referrers.
#[derive(Clone, Debug)]
pub struct Referrers {
    /// The entries.
    pub listing: Listing<Referrer>,
    /// Whether the artifact type asked for was applied.
    pub filtered: bool,
}

impl Registry {
    /// A page of the manifests whose subject is `subject`, which need not be here. Empty when there are none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn referrers(
        &self,
        permit: &Permit<Pull>,
        subject: &Digest,
        artifact_type: Option<&MediaType>,
        after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Referrers, Fault> {
        let page = self.page(after, limit);
        let listing = self.store.meta().referrers(permit.repository(), subject, artifact_type, page).await?;
        Ok(Referrers { listing, filtered: artifact_type.is_some() })
    }
}

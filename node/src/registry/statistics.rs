//! How much there is, of what one may see. No state.

use super::{Fault, Registry};
use crate::auth::Principal;
use crate::policy::rights::{self, On};
use crate::policy::{Permission, Resource, SystemPermit, Verb};
use crate::registry::maintenance::DiskStatus;

/// Numbers of projects and repositories, and of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Projects anyone may see.
    pub public_projects: u64,
    /// Their repositories.
    pub public_repositories: u64,
    /// The others one may see.
    pub private_projects: u64,
    /// Their repositories.
    pub private_repositories: u64,
    /// Bytes of all blobs, each once: for those who see everything.
    pub bytes: u64,
}

impl Registry {
    /// The numbers of what `principal` may see.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn statistics(&self, principal: &Principal) -> Result<Statistics, Fault> {
        const SEE: Permission = Permission::new(Resource::Project, Verb::Read);
        let kind = principal.kind();
        let (seen, sees_all) = self.directory.read(|book| {
            let may = |name| rights::allows(book, kind, SEE, On::Project(name));
            let seen = book.projects().filter(|project| may(&project.name));
            let seen: Vec<_> = seen.map(|project| (project.name.clone(), project.settings.public)).collect();
            (seen, rights::is_administrator(book, kind))
        });
        let mut found = Statistics::default();
        for (name, public) in seen {
            let (projects, repositories) = match public {
                true => (&mut found.public_projects, &mut found.public_repositories),
                false => (&mut found.private_projects, &mut found.private_repositories),
            };
            *projects += 1;
            *repositories += self.store.meta().project_totals(&name).await?.repositories;
        }
        if sees_all {
            found.bytes = self.store.meta().counts().await?.bytes;
        }
        Ok(found)
    }

    /// What anyone may know of this node's condition: whether there is no room for uploads, and whether the audit log
    /// can't be written.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn condition(&self) -> Result<(bool, bool), Fault> {
        let full = self.upkeep.status().await?.disk.refusing_uploads.is_some();
        Ok((full, self.upkeep.audit().is_failing()))
    }

    /// The disk.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn volumes(&self, _permit: &SystemPermit) -> Result<DiskStatus, Fault> {
        Ok(self.upkeep.status().await?.disk)
    }
}

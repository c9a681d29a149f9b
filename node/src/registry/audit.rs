//! The audit log as it is asked and purged, and what is noted in it that is no change of the store. No state.

use std::sync::Arc;

use protocol::record::ScopeId;
use protocol::{Digest, ProjectName, Reference, RepositoryName};
use serde_json::json;

use super::Registry;
use crate::auth::{Actor, Principal};
use crate::policy::rights::{self, On};
use crate::policy::{Permission, Permit, ProjectPermit, Pull, Resource as Of, SystemPermit, Verb};
use crate::storage::audit::{
    AuditError, Draft, EventType, Filter, Found, Order, PurgeParameters, Purged, Resource, Schedule, ScheduleKind, Told,
};
use crate::storage::meta::Operation;

/// Longest name of someone who only said who they are, in characters.
const CLAIMED: usize = 255;

/// Which entries, in which order.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Which; the projects are set by who asks.
    pub filter: Filter,
    /// Which first.
    pub order: Order,
    /// How many are left out at the beginning.
    pub offset: u64,
    /// Most entries.
    pub limit: usize,
}

impl Registry {
    /// Entries of all projects and of none.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn acts(&self, _permit: &SystemPermit, asked: Asked) -> Result<Found, AuditError> {
        let Asked { filter, order, offset, limit } = asked;
        self.upkeep.audit().page(Filter { projects: None, ..filter }, order, offset, limit).await
    }

    /// Entries of one project.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn acts_in(&self, permit: &ProjectPermit, asked: Asked) -> Result<Found, AuditError> {
        self.acts_of(vec![permit.project().scope], asked).await
    }

    /// Entries of the projects whose log `principal` may read: none of no project.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn acts_seen_by(&self, principal: &Principal, asked: Asked) -> Result<Found, AuditError> {
        const LIST: Permission = Permission::new(Of::Log, Verb::List);
        let projects = self.directory.read(|book| {
            let may = |name: &ProjectName| rights::allows(book, principal.kind(), LIST, On::Project(name));
            book.projects().filter(|project| may(&project.name)).map(|project| project.scope).collect::<Vec<_>>()
        });
        if projects.is_empty() {
            return Ok(Found { complete: true, ..Found::default() });
        }
        self.acts_of(projects, asked).await
    }

    async fn acts_of(&self, projects: Vec<ScopeId>, asked: Asked) -> Result<Found, AuditError> {
        let Asked { filter, order, offset, limit } = asked;
        self.upkeep.audit().page(Filter { projects: Some(projects), ..filter }, order, offset, limit).await
    }

    /// Has old entries removed; says at once which run that is.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn begin_purge(
        &self,
        permit: &SystemPermit,
        parameters: PurgeParameters,
        request: &Arc<str>,
    ) -> Result<Purged, AuditError> {
        let act = self.act(permit.actor(), request);
        self.upkeep.audit().begin_purge(parameters, ScheduleKind::Manual, act).await
    }

    /// The purges that ran, the newest first.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn purges(&self, _permit: &SystemPermit) -> Result<Vec<Purged>, AuditError> {
        self.upkeep.audit().purges().await
    }

    /// Has a purge end before it removes anything; whether there is such a purge.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn stop_purge(&self, _permit: &SystemPermit, id: u64) -> Result<bool, AuditError> {
        self.upkeep.audit().stop_purge(id).await
    }

    /// When purges run by themselves.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn purge_schedule(&self, _permit: &SystemPermit) -> Result<Schedule, AuditError> {
        self.upkeep.audit().schedule().await
    }

    /// Sets when purges run by themselves; the cron text was read by the caller.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn set_purge_schedule(
        &self,
        permit: &SystemPermit,
        kind: ScheduleKind,
        cron: String,
        parameters: PurgeParameters,
        request: &Arc<str>,
    ) -> Result<(), AuditError> {
        let before = self.upkeep.audit().schedule().await?;
        self.upkeep.audit().set_schedule(kind, cron.clone(), parameters).await?;
        let told = Told {
            before: Some(json!({ "type": before.kind, "cron": before.cron })),
            after: Some(json!({ "type": kind, "cron": cron })),
            ..Told::done(Operation::Update, Resource::Configuration, "audit_log_purge_schedule")
        };
        self.audit_sink().note(Draft { act: self.act(permit.actor(), request), told });
        Ok(())
    }

    /// Notes that someone came in: by a password, for a token or a session of a browser.
    pub fn note_login(&self, actor: &Actor, request: &Arc<str>) {
        let told = Told::done(Operation::Login, Resource::User, actor.name.as_ref());
        self.audit_sink().note(Draft { act: self.act(actor, request), told });
    }

    /// Notes that someone showed a wrong password, under the name they said. The name is anything.
    pub fn note_failed_login(&self, name: &str, actor: &Actor, request: &Arc<str>) {
        let name: Arc<str> = name.chars().take(CLAIMED).collect::<String>().into();
        let told = Told::done(Operation::Login, Resource::User, name.as_ref()).refused("UNAUTHORIZED");
        let act = self.act(&Actor { name, via: actor.via }, request);
        self.audit_sink().note(Draft { act, told });
    }

    /// Notes that someone left: ended a session of a browser.
    pub fn note_logout(&self, actor: &Actor, request: &Arc<str>) {
        let told = Told::done(Operation::Logout, Resource::User, actor.name.as_ref());
        self.audit_sink().note(Draft { act: self.act(actor, request), told });
    }

    /// Notes that someone got a manifest.
    pub fn note_pull(&self, permit: &Permit<Pull>, reference: &Reference, digest: &Digest, request: &Arc<str>) {
        if !self.audit_sink().writes(EventType { operation: Operation::Pull, kind: Resource::Artifact }) {
            return;
        }
        let repository = permit.repository();
        let name = match reference {
            Reference::Tag(tag) => format!("{repository}:{tag}"),
            Reference::Digest(digest) => format!("{repository}:{digest}"),
        };
        let told = Told::done(Operation::Pull, Resource::Artifact, name);
        let told = self.told_in(repository, told);
        let told = Told { after: Some(json!({ "digest": digest })), ..told };
        self.audit_sink().note(Draft { act: self.act(permit.actor(), request), told });
    }

    /// The same, told of the project that has the name now; of none when there is no such project.
    fn told_in(&self, repository: &RepositoryName, told: Told) -> Told {
        let name = repository.project();
        match self.directory.read(|book| book.project(&name).map(|project| project.scope)) {
            Some(scope) => told.within(name, Some(scope)),
            None => told,
        }
    }

    /// Notes that something that would change something was refused.
    pub fn note_refusal(&self, refusal: Refusal<'_>, actor: &Actor, request: &Arc<str>) {
        let Refusal { operation, kind, path, repository, route, code } = refusal;
        let mut told = Told::done(operation, kind, path).refused(code);
        told.after = Some(json!({ "route": route }));
        // Of a project that is there: its administrators are to know; names anyone may make up are no lists of the index.
        if let Some(repository) = repository {
            told = self.told_in(repository, told);
        }
        self.audit_sink().note(Draft { act: self.act(actor, request), told });
    }
}

/// Something that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// What would have been done.
    pub operation: Operation,
    /// With what kind of thing.
    pub kind: Resource,
    /// Where.
    pub path: &'a str,
    /// The repository of a registry client's request.
    pub repository: Option<&'a RepositoryName>,
    /// The label of the route.
    pub route: &'a str,
    /// The code of the error.
    pub code: &'a str,
}

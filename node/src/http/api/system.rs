//! What this node is, how it is set, and the document of this interface. No state.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ask::Ask;
use super::error;
use super::model::settings::{InternalConfig, Item};
use super::model::system::{ComponentHealthStatus, GeneralInfo, OverallHealthStatus, Statistic, Storage, SystemInfo};
use super::model::{number, time};
use super::openapi;
use super::table::Operation as Op;
use crate::http::Response;
use crate::http::call::Call;
use crate::http::challenge::Challenge;
use crate::http::error::Error;
use crate::registry::ConfigurationError;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of Harbor's interface that is followed, and of what: clients look at what comes first.
const FOLLOWS: &str = "v2.15.0-portolan";

/// Answers the operations of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the dispatcher gives each file its own operations")]
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    match operation {
        Op::GetPing => Ok(Ask::text("Pong")),
        Op::GetHealth => health(ask.call).await,
        Op::GetSystemInfo => info(ask.call),
        Op::GetVolumes => volumes(ask).await,
        Op::GetCert => Err(error::not_found("a certificate of an authority of this node's own")),
        Op::GetStatistic => statistics(ask).await,
        Op::GetConfigurations => configurations(ask),
        Op::UpdateConfigurations => configure(ask).await,
        // Harbor has it for its own services, which show a secret of theirs; here are none.
        Op::GetInternalconfig => {
            Err(Error::unauthorized(Challenge::administration(), "this is for services of the installation itself"))
        }
        Op::GetOpenapi => Ask::json(&openapi::document(VERSION)),
        _ => Err(error::no_route()),
    }
}

/// Whether the parts are well, without saying more to strangers than that.
async fn health(call: &Call) -> Result<Response, Error> {
    let parts = &call.app.parts;
    let (full, audit) = call.registry().condition().await?;
    let component = |name: &str, wrong: Option<&str>| ComponentHealthStatus {
        name: name.into(),
        status: if wrong.is_some() { "unhealthy".into() } else { "healthy".into() },
        error: wrong.map(Into::into),
    };
    let components = vec![
        component("core", call.app.readiness().not_ready()),
        component("database", parts.health.read_only().map(|_| "the store takes no writes")),
        component("registry", full.then_some("there is no room for uploads")),
        component("audit", audit.then_some("the audit log can't be written")),
    ];
    let well = components.iter().all(|component| component.error.is_none());
    Ask::json(&OverallHealthStatus { status: if well { "healthy" } else { "unhealthy" }.into(), components })
}

fn info(call: &Call) -> Result<Response, Error> {
    let text = |name| call.registry().configured(name).and_then(|value| value.as_str().map(ToOwned::to_owned));
    let flag = |name| call.registry().configured(name).and_then(|value| value.as_bool());
    let mut info = GeneralInfo {
        auth_mode: text("auth_mode"),
        primary_auth_mode: flag("primary_auth_mode"),
        self_registration: flag("self_registration"),
        banner_message: text("banner_message"),
        oidc_provider_name: text("oidc_name"),
        ..GeneralInfo::default()
    };
    if !call.principal.is_anonymous() && call.principal.scope_allows_administration() {
        let base = call.base();
        info.current_time = Some(time(call.app.clock().now()));
        info.registry_url = Some(base.split_once("://").map_or(base.as_str(), |(_, host)| host).to_owned());
        info.external_url = Some(base);
        info.project_creation_restriction = text("project_creation_restriction");
        info.has_ca_root = Some(false);
        info.harbor_version = Some(format!("{FOLLOWS}-{VERSION}"));
        info.registry_storage_provider_name = Some("filesystem".into());
        info.read_only = Some(call.registry().is_read_only() || call.app.parts.health.read_only().is_some());
        info.notification_enable = flag("notification_enable");
    }
    Ask::json(&info)
}

async fn volumes(ask: &Ask<'_>) -> Result<Response, Error> {
    let disk = ask.call.registry().volumes(ask.system()?).await?;
    Ask::json(&SystemInfo { storage: vec![Storage { total: disk.total, free: disk.available }] })
}

async fn statistics(ask: &Ask<'_>) -> Result<Response, Error> {
    let found = ask.call.registry().statistics(ask.principal()).await?;
    Ask::json(&Statistic {
        private_project_count: number(found.private_projects),
        private_repo_count: number(found.private_repositories),
        public_project_count: number(found.public_projects),
        public_repo_count: number(found.public_repositories),
        total_project_count: number(found.private_projects + found.public_projects),
        total_repo_count: number(found.private_repositories + found.public_repositories),
        total_storage_consumption: number(found.bytes),
    })
}

/// How long this node's tokens are good, in minutes, the last one begun.
fn token_minutes(call: &Call) -> i64 {
    i64::try_from(call.authenticator().token_ttl().as_secs().div_ceil(60)).unwrap_or(i64::MAX)
}

fn configurations(ask: &Ask<'_>) -> Result<Response, Error> {
    let items = ask.call.registry().configuration(ask.system()?, token_minutes(ask.call));
    let items = items.into_iter().map(|one| (one.name.to_owned(), Item { value: one.value, editable: one.editable }));
    Ask::json(&items.collect::<InternalConfig>())
}

async fn configure(ask: &mut Ask<'_>) -> Result<Response, Error> {
    let wanted: BTreeMap<String, Value> = ask.read().await?;
    let registry = ask.call.registry();
    registry.configure(ask.system()?, token_minutes(ask.call), &wanted, &ask.call.id).await.map_err(
        |error| match error {
            ConfigurationError::Unknown(_) | ConfigurationError::Invalid { .. } => {
                error::bad_request(error.to_string())
            }
            ConfigurationError::Directory(error) => error.into(),
        },
    )?;
    Ok(Ask::done())
}

#[cfg(test)]
mod tests {
    use super::super::model::settings::{Configurations, ConfigurationsResponse};

    #[test]
    fn the_document_names_the_items_there_are() {
        let shown = serde_json::to_value(ConfigurationsResponse::default()).unwrap();
        let named: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
        assert_eq!(named, crate::registry::configuration_items().collect::<Vec<_>>());
        let schema = schemars::schema_for!(Configurations).to_value();
        let settable = schema["properties"].as_object().unwrap();
        assert!(settable.keys().all(|name| named.contains(name)), "{settable:?}");
    }
}

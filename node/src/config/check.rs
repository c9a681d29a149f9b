//! Rules no single key's type can say: ranges, and what must fit together.

use std::net::SocketAddr;
use std::time::Duration;

use super::load::Origins;
use super::origin::{ConfigError, Origin};
use super::{ByteSize, Config, Period};

/// The longest a bearer token may live: it can't be taken back before.
const MAX_TOKEN_TTL: Duration = Duration::from_secs(300);
/// A ballast below this frees too little for a delete to commit, above this it is waste.
const BALLAST: (u64, u64) = (1 << 20, 4 << 30);
/// More than this kept free is a mistake in the unit.
const MAX_KEEP_FREE: u64 = 1 << 40;

/// Every rule that `config` breaks.
#[must_use]
pub(super) fn check(config: &Config, origins: &Origins) -> Vec<ConfigError> {
    let mut check = Check { origins, errors: Vec::new() };
    check.listeners(config);
    check.storage(config);
    check.times(config);
    check.limits(config);
    check.log(config);
    check.errors
}

/// Whether `address` can only be reached from this machine.
#[must_use]
pub fn is_loopback(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

struct Check<'a> {
    origins: &'a Origins,
    errors: Vec<ConfigError>,
}

impl Check<'_> {
    fn refuse(&mut self, key: &str, problem: impl Into<String>, hint: Option<&str>) {
        self.errors.push(ConfigError {
            origin: self.origins.get(key).cloned().unwrap_or(Origin::Default),
            key: Some(key.into()),
            problem: problem.into(),
            hint: hint.map(Into::into),
        });
    }

    fn listeners(&mut self, config: &Config) {
        let http = &config.http;
        self.address("http.listen", &http.listen);
        if let Some(telemetry) = &http.telemetry_listen {
            self.address("http.telemetry_listen", telemetry);
            if *telemetry == http.listen && !telemetry.ends_with(":0") {
                self.refuse("http.telemetry_listen", "is the address of http.listen", Some("leave it out to share it"));
            }
        }
        let open = http.listen.parse::<SocketAddr>().is_ok() && !is_loopback(&http.listen);
        if open && http.tls.is_none() && !http.plain {
            self.refuse(
                "http.listen",
                "an address other machines reach wants TLS",
                Some("set http.tls.cert and http.tls.key, or http.plain = true behind a proxy that adds TLS"),
            );
        }
        if let Some(url) = &http.public_url {
            self.public_url(url);
        }
    }

    fn address(&mut self, key: &str, text: &str) {
        if text.parse::<SocketAddr>().is_err() {
            self.refuse(key, format!("{text:?} is not ADDRESS:PORT"), Some("for example 127.0.0.1:5000 or [::]:5000"));
        }
    }

    fn public_url(&mut self, text: &str) {
        let good = text.parse::<http::Uri>().is_ok_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https")) && url.path() == "/" && url.query().is_none()
        });
        if !good {
            let hint = Some("for example https://registry.example.org");
            self.refuse("http.public_url", format!("{text:?} is not a URL without a path"), hint);
        }
    }

    fn storage(&mut self, config: &Config) {
        let storage = &config.storage;
        if storage.data.as_os_str().is_empty() {
            self.refuse("storage.data", "is empty", None);
        }
        if !(1..=100).contains(&storage.refuse_uploads_at) {
            self.refuse("storage.refuse_uploads_at", "takes a percentage from 1 to 100", None);
        }
        if !(BALLAST.0..=BALLAST.1).contains(&storage.ballast.0) {
            let (least, most) = (ByteSize(BALLAST.0), ByteSize(BALLAST.1));
            self.refuse("storage.ballast", format!("takes a size from {least} to {most}"), None);
        }
        if storage.keep_free.0 > MAX_KEEP_FREE {
            self.refuse("storage.keep_free", format!("takes a size up to {}", ByteSize(MAX_KEEP_FREE)), None);
        }
        self.size("storage.metadata_cache", storage.metadata_cache);
        self.period("storage.snapshot_every", storage.snapshot_every);
        self.number("storage.snapshots_kept", storage.snapshots_kept);
        self.size("scrub.rate", config.scrub.rate);
    }

    fn times(&mut self, config: &Config) {
        let (gc, auth) = (&config.gc, &config.auth);
        self.period("gc.every", gc.every);
        self.period("gc.blob_lease", gc.blob_lease);
        self.period("gc.exists_lease", gc.exists_lease);
        self.period("auth.token_ttl", auth.token_ttl);
        if auth.token_ttl.0 > MAX_TOKEN_TTL {
            self.refuse("auth.token_ttl", format!("takes at most {}", Period(MAX_TOKEN_TTL)), None);
        }
    }

    fn limits(&mut self, config: &Config) {
        let limits = &config.limits;
        self.number("limits.connections", limits.connections);
        self.number("limits.connections_per_address", limits.connections_per_address);
        self.period("limits.head_timeout", limits.head_timeout);
        self.period("limits.idle_timeout", limits.idle_timeout);
        self.size("limits.blob", limits.blob);
        self.number("limits.uploads", limits.uploads);
        self.number("limits.uploads_per_principal", limits.uploads_per_principal);
        self.period("limits.upload_idle", limits.upload_idle);
        self.period("limits.upload_age", limits.upload_age);
        self.number("limits.page", limits.page);
        self.number("limits.password_checks", limits.password_checks);
    }

    fn log(&mut self, config: &Config) {
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.filter) {
            let hint = Some("for example info, or info,node::storage=debug");
            self.refuse("log.filter", format!("{:?}: {error}", config.log.filter), hint);
        }
    }

    fn number(&mut self, key: &str, value: u32) {
        if value == 0 {
            self.refuse(key, "must not be zero", None);
        }
    }

    fn size(&mut self, key: &str, value: ByteSize) {
        if value.0 == 0 {
            self.refuse(key, "must not be zero", None);
        }
    }

    fn period(&mut self, key: &str, value: Period) {
        if value.0.is_zero() {
            self.refuse(key, "must not be zero", None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        change(&mut config);
        check(&config, &Origins::new()).into_iter().filter_map(|error| error.key).collect()
    }

    #[test]
    fn the_defaults_break_no_rule() {
        assert!(broken(|_| {}).is_empty());
    }

    #[test]
    fn an_open_listener_wants_tls_or_a_word() {
        assert_eq!(broken(|config| config.http.listen = "0.0.0.0:5000".into()), ["http.listen"]);
        assert!(broken(|config| config.http.listen = "[::1]:5000".into()).is_empty());
        assert!(
            broken(|config| {
                config.http.listen = "0.0.0.0:5000".into();
                config.http.plain = true;
            })
            .is_empty()
        );
        assert_eq!(broken(|config| config.http.listen = "localhost".into()), ["http.listen"]);
    }

    #[test]
    fn ranges_hold() {
        assert_eq!(broken(|config| config.auth.token_ttl = Period(Duration::from_secs(301))), ["auth.token_ttl"]);
        assert_eq!(broken(|config| config.storage.refuse_uploads_at = 101), ["storage.refuse_uploads_at"]);
        assert_eq!(broken(|config| config.storage.refuse_uploads_at = 0), ["storage.refuse_uploads_at"]);
        assert_eq!(broken(|config| config.storage.ballast = ByteSize(1)), ["storage.ballast"]);
        assert_eq!(broken(|config| config.storage.keep_free = ByteSize(u64::MAX)), ["storage.keep_free"]);
        assert_eq!(broken(|config| config.gc.blob_lease = Period(Duration::ZERO)), ["gc.blob_lease"]);
        assert_eq!(broken(|config| config.limits.page = 0), ["limits.page"]);
        assert_eq!(broken(|config| config.http.public_url = Some("example.org".into())), ["http.public_url"]);
        assert_eq!(broken(|config| config.log.filter = "info,=,".into()), ["log.filter"]);
    }

    #[test]
    fn what_may_be_zero_may() {
        assert!(
            broken(|config| {
                config.scrub.every = Period(Duration::ZERO);
                config.gc.trash_ttl = Period(Duration::ZERO);
                config.auth.credential_cache = Period(Duration::ZERO);
                config.storage.keep_free = ByteSize(0);
                config.http.drain = Period(Duration::ZERO);
            })
            .is_empty()
        );
    }
}

//! What an operator may set, as types.
//!
//! A key's name, meaning, unit and default stand at its field: the reference (`docs/configuration.md`), the JSON schema
//! and `portolan config show` are made from here. Where values come from, and in which order they win, is in
//! [`load`].

mod check;
pub mod keys;
pub mod load;
pub mod origin;
pub mod read;
pub mod reference;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::is_loopback;
pub use units::{ByteSize, Period};

/// The whole configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Listeners.
    pub http: Http,
    /// The disk.
    pub storage: Storage,
    /// Garbage collection.
    pub gc: Gc,
    /// Scrub: reading every byte again to find rot.
    pub scrub: Scrub,
    /// Projects.
    pub projects: Projects,
    /// Who may log in, and how long a token lives.
    pub auth: Auth,
    /// Bounds on what clients may use.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
}

/// Listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port of the main listener. One that is not loopback wants `http.tls`, or `http.plain = true`.
    pub listen: String,
    /// Serve without TLS on an address that is not loopback: only behind a proxy that adds it.
    pub plain: bool,
    /// The URL clients use, when it differs from what they put into `Host` (behind a proxy).
    #[schemars(example = "https://registry.example.org")]
    pub public_url: Option<String>,
    /// A listener of its own, plain HTTP, for `/livez`, `/readyz` and `/metrics`. Unset: they are on the main one.
    #[schemars(example = "127.0.0.1:5001")]
    pub telemetry_listen: Option<String>,
    /// TLS from files.
    pub tls: Option<Tls>,
    /// How long running requests may take to end after a stop was asked for.
    pub drain: Period,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5000".into(),
            plain: false,
            public_url: None,
            telemetry_listen: None,
            tls: None,
            drain: Period(Duration::from_secs(30)),
        }
    }
}

/// TLS from files. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, PEM, the node's own first.
    #[schemars(example = "/etc/portolan/tls.crt")]
    pub cert: PathBuf,
    /// Its private key, PEM.
    #[schemars(example = "/etc/portolan/tls.key")]
    pub key: PathBuf,
}

/// When data is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// Before anything is acknowledged: what the durability contract promises.
    #[default]
    On,
    /// Never: a power cut loses acknowledged pushes. For measuring what durability costs, and nothing else.
    Off,
}

/// The disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The data directory.
    pub data: PathBuf,
    /// When data is forced to the disk.
    pub sync: Sync,
    /// Memory for the metadata engine's page cache.
    pub metadata_cache: ByteSize,
    /// A file that only takes room, given up when the disk is full so that deletes and GC can still commit.
    pub ballast: ByteSize,
    /// Refuse uploads when more than this share of the disk is used, in percent.
    pub refuse_uploads_at: u8,
    /// Refuse uploads when less than this is left, whatever the share.
    pub keep_free: ByteSize,
    /// How often a consistent copy of the metadata is made.
    pub snapshot_every: Period,
    /// How many such copies are kept.
    pub snapshots_kept: u32,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data: "portolan-data".into(),
            sync: Sync::On,
            metadata_cache: ByteSize(16 << 20),
            ballast: ByteSize(32 << 20),
            refuse_uploads_at: 95,
            keep_free: ByteSize(64 << 20),
            snapshot_every: Period(Duration::from_secs(3600)),
            snapshots_kept: 3,
        }
    }
}

/// Garbage collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gc {
    /// How often it runs.
    pub every: Period,
    /// How long a pushed or mounted blob waits for a manifest that names it.
    pub blob_lease: Period,
    /// How long a blob stays after a pusher was told that it exists.
    pub exists_lease: Period,
    /// How long removed bytes stay in the trash.
    pub trash_ttl: Period,
}

impl Default for Gc {
    fn default() -> Self {
        Self {
            every: Period(Duration::from_secs(600)),
            blob_lease: Period(Duration::from_secs(24 * 3600)),
            exists_lease: Period(Duration::from_secs(3600)),
            trash_ttl: Period(Duration::from_secs(24 * 3600)),
        }
    }
}

/// Scrub: reading every byte again to find rot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scrub {
    /// How often every blob is read. Zero: never by itself.
    pub every: Period,
    /// Most bytes read in a second.
    pub rate: ByteSize,
}

impl Default for Scrub {
    fn default() -> Self {
        Self { every: Period(Duration::from_secs(30 * 24 * 3600)), rate: ByteSize(16 << 20) }
    }
}

/// How projects come to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Create {
    /// An administrator's push makes a missing project, private.
    #[default]
    Push,
    /// Only the administration API makes projects.
    Explicit,
}

/// Projects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Projects {
    /// How projects come to be.
    pub create: Create,
}

/// Who may log in, and how long a token lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// How long a bearer token is good; at most five minutes.
    pub token_ttl: Period,
    /// How long a verified password is remembered.
    pub credential_cache: Period,
}

impl Default for Auth {
    fn default() -> Self {
        Self { token_ttl: Period(Duration::from_secs(300)), credential_cache: Period(Duration::from_secs(60)) }
    }
}

/// Bounds on what clients may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections, all listeners together.
    pub connections: u32,
    /// Open connections from one address.
    pub connections_per_address: u32,
    /// Time for a TLS handshake, and for the head of a request.
    pub head_timeout: Period,
    /// Time without a byte on a body, either way, after which the connection is closed.
    pub idle_timeout: Period,
    /// Largest blob.
    pub blob: ByteSize,
    /// Upload sessions, all together.
    pub uploads: u32,
    /// Upload sessions of one principal. At this limit a new one takes the place of an empty one unused for 5 minutes.
    pub uploads_per_principal: u32,
    /// Time without a request after which an upload session is given up.
    pub upload_idle: Period,
    /// Time after which an upload session is given up whatever happens.
    pub upload_age: Period,
    /// Most items a page of a listing has.
    pub page: u32,
    /// Log-in attempts that are checked at the same time.
    pub password_checks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 1024,
            head_timeout: Period(Duration::from_secs(15)),
            idle_timeout: Period(Duration::from_secs(60)),
            blob: ByteSize(64 << 30),
            uploads: 4096,
            uploads_per_principal: 1024,
            upload_idle: Period(Duration::from_secs(24 * 3600)),
            upload_age: Period(Duration::from_secs(7 * 24 * 3600)),
            page: 1000,
            password_checks: 2,
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Which lines: a level, or `tracing` directives.
    pub filter: String,
    /// How they look.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

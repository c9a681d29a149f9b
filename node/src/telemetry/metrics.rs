//! Numbers for Prometheus, with labels of few values: route templates, methods, classes of status.
//!
//! Counters are owned here and grow by calls from the rooms above; gauges of the store are read at each scrape from a
//! callback the application gives ([`Metrics::watch`]).

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A word from the program itself, as a label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word(pub &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Word,
    method: Word,
    status: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Word,
}

/// Gauges of the store, read at each scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Blobs and manifests held.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests, by repository.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Repositories.
    pub repositories: u64,
    /// Candidates garbage collection has to look at.
    pub gc_candidates: u64,
    /// Open upload sessions.
    pub uploads_open: u64,
    /// Size of the file system in bytes.
    pub disk_total: u64,
    /// Bytes left on it.
    pub disk_available: u64,
    /// Whether the store takes no writes.
    pub read_only: bool,
    /// Tasks that panicked so far.
    pub task_panics: u64,
}

type Callback = Box<dyn Fn() -> Gauges + Send + Sync>;
type Level = Gauge<u64, AtomicU64>;

/// All numbers of one node.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram, fn() -> Histogram>,
    auth: Family<OutcomeLabel, Counter>,
    refused: Family<OutcomeLabel, Counter>,
    /// Requests being answered.
    pub in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Bytes of request bodies.
    pub bytes_in: Counter,
    /// Bytes of response bodies.
    pub bytes_out: Counter,
    /// Upload sessions begun.
    pub uploads_begun: Counter,
    /// Blobs received whole.
    pub uploads_finished: Counter,
    /// Blobs mounted from another repository.
    pub mounts: Counter,
    /// Blob downloads begun, ranges included.
    pub blobs_served: Counter,
    /// Manifests served.
    pub manifests_served: Counter,
    gc_runs: Counter,
    gc_freed: Counter,
    gc_freed_bytes: Counter,
    scrub_blobs: Counter,
    scrub_bytes: Counter,
    scrub_damaged: Counter,
    store: StoreLevels,
    callback: OnceLock<Callback>,
}

#[derive(Default)]
struct StoreLevels {
    blobs: Level,
    bytes: Level,
    manifests: Level,
    tags: Level,
    repositories: Level,
    gc_candidates: Level,
    uploads_open: Level,
    disk_total: Level,
    disk_available: Level,
    read_only: Level,
    task_panics: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn duration_buckets() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Numbers that start at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("portolan"),
            requests: Family::default(),
            durations: Family::new_with_constructor(duration_buckets),
            auth: Family::default(),
            refused: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            uploads_begun: Counter::default(),
            uploads_finished: Counter::default(),
            mounts: Counter::default(),
            blobs_served: Counter::default(),
            manifests_served: Counter::default(),
            gc_runs: Counter::default(),
            gc_freed: Counter::default(),
            gc_freed_bytes: Counter::default(),
            scrub_blobs: Counter::default(),
            scrub_bytes: Counter::default(),
            scrub_damaged: Counter::default(),
            store: StoreLevels::default(),
            callback: OnceLock::new(),
        };
        metrics.register_http();
        metrics.register_upkeep();
        metrics.register_store();
        metrics
    }

    fn register_http(&mut self) {
        let r = &mut self.registry;
        r.register("http_requests", "Requests answered, by route, method and class of status", self.requests.clone());
        r.register("http_head_seconds", "Time to the head of the answer, by route", self.durations.clone());
        r.register("http_in_flight", "Requests being answered", self.in_flight.clone());
        r.register("http_connections", "Open connections", self.connections.clone());
        r.register("http_refused_connections", "Connections not served, by reason", self.refused.clone());
        r.register("http_received_bytes", "Bytes of request bodies", self.bytes_in.clone());
        r.register("http_sent_bytes", "Bytes of response bodies", self.bytes_out.clone());
        r.register("auth_attempts", "Credentials looked at, by outcome", self.auth.clone());
        r.register("uploads_begun", "Upload sessions begun", self.uploads_begun.clone());
        r.register("uploads_finished", "Blobs received whole", self.uploads_finished.clone());
        r.register("blob_mounts", "Blobs mounted from another repository", self.mounts.clone());
        r.register("blobs_served", "Blob downloads begun", self.blobs_served.clone());
        r.register("manifests_served", "Manifests served", self.manifests_served.clone());
    }

    fn register_upkeep(&mut self) {
        let r = &mut self.registry;
        r.register("gc_runs", "Garbage collections that ended", self.gc_runs.clone());
        r.register("gc_freed_blobs", "Blobs freed by garbage collection", self.gc_freed.clone());
        r.register("gc_freed_bytes", "Bytes freed by garbage collection", self.gc_freed_bytes.clone());
        r.register("scrub_blobs", "Blobs read by scrubs", self.scrub_blobs.clone());
        r.register("scrub_bytes", "Bytes read by scrubs", self.scrub_bytes.clone());
        r.register("scrub_damaged", "Blobs found damaged by scrubs", self.scrub_damaged.clone());
    }

    fn register_store(&mut self) {
        let (r, s) = (&mut self.registry, &self.store);
        r.register("store_blobs", "Blobs and manifests held", s.blobs.clone());
        r.register("store_bytes", "Bytes held", s.bytes.clone());
        r.register("store_manifests", "Manifests, by repository", s.manifests.clone());
        r.register("store_tags", "Tags", s.tags.clone());
        r.register("store_repositories", "Repositories", s.repositories.clone());
        r.register("gc_candidates", "Candidates garbage collection has to look at", s.gc_candidates.clone());
        r.register("uploads_open", "Open upload sessions", s.uploads_open.clone());
        r.register("disk_total_bytes", "Size of the file system", s.disk_total.clone());
        r.register("disk_available_bytes", "Bytes left on the file system", s.disk_available.clone());
        r.register("store_read_only", "1 while the store takes no writes", s.read_only.clone());
        r.register("task_panics", "Tasks that panicked: each is a fault of the program", s.task_panics.clone());
    }

    /// Where the gauges of the store come from. The first callback stays.
    pub fn watch(&self, callback: impl Fn() -> Gauges + Send + Sync + 'static) {
        let _ = self.callback.set(Box::new(callback));
    }

    /// Counts an answered request.
    pub fn request(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        let labels = RequestLabels { route: Word(route), method: Word(method), status: Word(class(status)) };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&RouteLabel { route: Word(route) }).observe(took.as_secs_f64());
    }

    /// Counts an authentication: `anonymous`, `accepted`, `refused`, `busy`, `failed`.
    pub fn authentication(&self, outcome: &'static str) {
        self.auth.get_or_create(&OutcomeLabel { outcome: Word(outcome) }).inc();
    }

    /// Counts a connection that was not served: `address_limit`, `handshake`, `idle`, `stalled`.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&OutcomeLabel { outcome: Word(reason) }).inc();
    }

    /// Counts a garbage collection that ended.
    pub fn garbage_collected(&self, blobs: u64, bytes: u64) {
        self.gc_runs.inc();
        self.gc_freed.inc_by(blobs);
        self.gc_freed_bytes.inc_by(bytes);
    }

    /// Counts what a scrub has read since the last call.
    pub fn scrubbed(&self, blobs: u64, bytes: u64, damaged: u64) {
        self.scrub_blobs.inc_by(blobs);
        self.scrub_bytes.inc_by(bytes);
        self.scrub_damaged.inc_by(damaged);
    }

    /// Everything in the text format of OpenMetrics.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(callback) = self.callback.get() {
            self.store.set(callback());
        }
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a string fails only if an encoder does, and ours don't.
        let _ = prometheus_client::encoding::text::encode(&mut out, &self.registry);
        out
    }
}

impl StoreLevels {
    fn set(&self, now: Gauges) {
        self.blobs.set(now.blobs);
        self.bytes.set(now.bytes);
        self.manifests.set(now.manifests);
        self.tags.set(now.tags);
        self.repositories.set(now.repositories);
        self.gc_candidates.set(now.gc_candidates);
        self.uploads_open.set(now.uploads_open);
        self.disk_total.set(now.disk_total);
        self.disk_available.set(now.disk_available);
        self.read_only.set(u64::from(now.read_only));
        self.task_panics.inner().store(now.task_panics, Ordering::Relaxed);
    }
}

const fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_gauges_are_rendered_with_plain_labels() {
        let metrics = Metrics::new();
        metrics.request("blob", "GET", 206, Duration::from_millis(3));
        metrics.authentication("refused");
        metrics.watch(|| Gauges { blobs: 7, read_only: true, task_panics: 2, ..Gauges::default() });
        let text = metrics.render();
        assert!(text.contains(r#"portolan_http_requests_total{route="blob",method="GET",status="2xx"} 1"#), "{text}");
        assert!(text.contains("portolan_store_blobs 7"), "{text}");
        assert!(text.contains("portolan_store_read_only 1"), "{text}");
        assert!(text.contains("portolan_task_panics_total 2"), "{text}");
        assert!(text.contains(r#"portolan_auth_attempts_total{outcome="refused"} 1"#), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}

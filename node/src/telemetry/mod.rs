//! What a node tells about itself: logs, request ids, numbers.
//!
//! Nothing here knows HTTP or the registry; those call in. Metrics carry labels with few values only, never a string a
//! client chose (CVE-2026-49835).

pub mod logs;
pub mod metrics;
pub mod request_id;

pub use metrics::{Gauges, Metrics};
pub use request_id::RequestIds;

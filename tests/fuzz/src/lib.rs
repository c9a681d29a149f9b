//! What hostile bytes must never bring the parsers to. One function a parser: it takes any bytes, and panics when the
//! parser breaks a promise. libFuzzer calls them through `fuzz_targets/`, and `replay.rs` calls them with every file of
//! `corpus/` on machines that have no libFuzzer.
//!
//! "No panic" alone proves little, so each target holds the parser against a second opinion: a grammar written down in
//! another way than the parser's, what comes back when the result is written and read again, or both.

#![allow(clippy::panic, reason = "a target's one way to say that a promise is broken is to panic with the evidence")]

use std::str;

mod administration;
mod documents;
mod edges;
mod neighbours;
mod peers;
mod records;
mod words;

pub use administration::{api_route, q};
pub use documents::{json, manifest};
pub use edges::{config, credentials, query, route};
pub use neighbours::neighbour;
pub use peers::reconcile;
pub use records::{record, value};
pub use words::{digest, media_type, name, range, reference, scope, upload_id};

/// A function that judges what a parser made of any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its binary and of its folder in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("api_route", api_route),
    ("config", config),
    ("credentials", credentials),
    ("digest", digest),
    ("json", json),
    ("manifest", manifest),
    ("media_type", media_type),
    ("name", name),
    ("neighbour", neighbour),
    ("q", q),
    ("query", query),
    ("range", range),
    ("record", record),
    ("reconcile", reconcile),
    ("reference", reference),
    ("route", route),
    ("scope", scope),
    ("upload_id", upload_id),
    ("value", value),
];

/// The parsers take text: other bytes never reach them.
fn text(data: &[u8]) -> Option<&str> {
    str::from_utf8(data).ok()
}

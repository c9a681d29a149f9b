//! Sites of a mesh: each runs the real ledger and the real reconciliation, and people who use it.
//!
//! [`Mesh`] owns the sites. A site's state is its ledger in memory and its entries on a disk of which only a prefix is
//! synced. It syncs before it acknowledges a write and before it sends a record of its own; a crash takes the rest, a
//! restore takes more. Each of these safeguards, and of those that make sites agree, can be left out: the scenarios
//! prove that the invariants notice.

mod acts;
mod durable;
mod judging;
mod meeting;
mod mesh;
mod shown;
mod site;
mod verdicts;
mod wire;

use serde::Deserialize;

pub use mesh::Mesh;

/// Sites that write and exchange records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitesPlan {
    /// Authorities beside the root, which is node 0.
    pub authorities: u32,
    /// Names of projects people think of.
    pub projects: u32,
    /// The longest time between two acts at a site.
    pub act_ms: u64,
    /// The longest time between two meetings a site begins.
    pub meet_ms: u64,
    /// The longest time between a write and its acknowledgement.
    pub ack_ms: u64,
    /// How long a site is down after a crash.
    pub down_ms: u64,
    /// What sites do to be safe and to agree.
    #[serde(default)]
    pub safeguards: Safeguards,
}

/// Which safeguards the sites have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Safeguards {
    /// What is acknowledged is synced before.
    pub sync_before_ack: bool,
    /// A site's own records are synced before they are sent.
    pub sync_before_send: bool,
    /// A site begins a new life of its counter at every start.
    pub life_at_start: bool,
    /// A site that hears it is behind begins a new life.
    pub begin_when_told: bool,
    /// Records of any age are taken in; without it, none that is older than a minute.
    pub take_old: bool,
    /// Records of kinds this version does not know are taken in.
    pub take_unknown: bool,
    /// Heads are ranked by what they say; without it, by when they came.
    pub rank_by_record: bool,
    /// A verdict changes what was judged before.
    pub rejudge: bool,
    /// A site also shows conflicts that it won.
    pub show_won_conflicts: bool,
    /// Records are sent with their values.
    pub send_values: bool,
}

impl Default for Safeguards {
    fn default() -> Self {
        Self {
            sync_before_ack: true,
            sync_before_send: true,
            life_at_start: true,
            begin_when_told: true,
            take_old: true,
            take_unknown: true,
            rank_by_record: true,
            rejudge: true,
            show_won_conflicts: true,
            send_values: true,
        }
    }
}

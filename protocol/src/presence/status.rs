//! What a site says about itself, and which of two statements is the newer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{MAX_ADDRESS, MAX_ADDRESSES, MAX_ERROR, MAX_VERSION};
use crate::Timestamp;
use crate::identity::{NodeKey, NodeSecret};
use crate::signed::Signed;

const CONTEXT: &str = "portolan presence status 1";

/// One life of a site: from start to stop of its process. A later start is a later life; the number tells two apart that
/// began in the same millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Life {
    /// When it began, by the site's own clock.
    pub start: Timestamp,
    /// Drawn at its beginning.
    pub number: u64,
}

impl Life {
    /// The least life that is newer than `other`, for a site whose clock stood further ahead in an earlier life.
    #[must_use]
    pub const fn after(other: Self, number: u64) -> Self {
        Self { start: Timestamp(other.start.0.saturating_add(1)), number }
    }
}

/// What the site holds, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records of the mesh.
    pub records: u64,
    /// Repositories.
    pub repositories: u64,
    /// Manifests.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs.
    pub blobs: u64,
}

impl Counts {
    const fn all(&self) -> [u64; 5] {
        [self.records, self.repositories, self.manifests, self.tags, self.blobs]
    }
}

/// What the caller tells of its site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// Version of the software, at most [`MAX_VERSION`] bytes.
    pub version: String,
    /// Bytes used on the disk that holds the data.
    pub disk_used: u64,
    /// Bytes of that disk.
    pub disk_total: u64,
    /// What it holds.
    pub counts: Counts,
    /// Seconds since it last agreed with another site on all records both may see.
    pub lag: u64,
    /// The last error that an operator should know, at most [`MAX_ERROR`] bytes; empty for none.
    pub last_error: String,
    /// When its certificate ends.
    pub certificate_end: Timestamp,
    /// Where it may be reached, at most [`MAX_ADDRESSES`] of at most [`MAX_ADDRESS`] bytes. Hints, nothing is trusted.
    pub addresses: Vec<String>,
}

/// Fields that are too long for a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status has a version of at most 32 bytes, an error of 128, and 4 addresses of 64")]
pub struct TooLong;

impl Fields {
    /// Whether they fit into a status.
    pub(super) fn fit(&self) -> bool {
        self.version.len() <= MAX_VERSION
            && self.last_error.len() <= MAX_ERROR
            && self.addresses.len() <= MAX_ADDRESSES
            && self.addresses.iter().all(|address| address.len() <= MAX_ADDRESS)
    }

    /// Whether somebody who reads along would want to know of the change at once.
    pub(super) fn differs_noticeably(&self, from: &Self) -> bool {
        let words = |fields: &Self| {
            (fields.version.clone(), fields.last_error.clone(), fields.addresses.clone(), fields.certificate_end)
        };
        words(self) != words(from)
            || self.disk_total != from.disk_total
            || self.disk_used.abs_diff(from.disk_used) > self.disk_total / 100
            || self.counts.all().iter().zip(from.counts.all()).any(|(new, old)| new.abs_diff(old) > old / 100)
            || is_slow(self.lag) != is_slow(from.lag)
    }
}

const fn is_slow(lag: u64) -> bool {
    lag > 600
}

/// What ails a site, as bits: all that is told of it beyond its region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ills(pub u8);

impl Ills {
    /// It has a last error.
    pub const ERROR: Self = Self(1);
    /// Nine tenths of its disk are used.
    pub const DISK: Self = Self(2);
    /// It has not agreed with anyone for ten minutes.
    pub const LAG: Self = Self(4);
    /// Its certificate ends within a week.
    pub const CERTIFICATE: Self = Self(8);

    /// Nothing ails it.
    #[must_use]
    pub const fn is_well(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a site says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Who.
    pub site: NodeKey,
    /// In which life.
    pub life: Life,
    /// Its number in that life, from 1.
    pub seq: u64,
    /// When, by the site's own clock.
    pub wall: Timestamp,
    /// What.
    pub fields: Fields,
}

impl Status {
    /// The order of the statuses of a site: an older one never takes the place of a newer.
    #[must_use]
    pub const fn order(&self) -> (Life, u64) {
        (self.life, self.seq)
    }

    /// What ails the site.
    #[must_use]
    pub fn ills(&self) -> Ills {
        let fields = &self.fields;
        let week = Duration::from_secs(7 * 24 * 3600);
        let bits = [
            (!fields.last_error.is_empty(), Ills::ERROR),
            (fields.disk_total > 0 && fields.disk_used / 9 > fields.disk_total / 10, Ills::DISK),
            (is_slow(fields.lag), Ills::LAG),
            (fields.certificate_end < self.wall.plus(week), Ills::CERTIFICATE),
        ];
        Ills(bits.iter().filter(|(is, _)| *is).fold(0, |all, (_, ill)| all | ill.0))
    }

    pub(super) fn sign(self, secret: &NodeSecret) -> Signed<Self> {
        Signed::new(self, CONTEXT, secret)
    }
}

pub(super) fn is_genuine(signed: &Signed<Status>) -> bool {
    signed.is_by(&signed.said.site, CONTEXT)
}

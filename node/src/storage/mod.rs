//! Where a node keeps what it promised to keep.
//!
//! Three engines behind seams, and one facade over them:
//! - [`meta`]: what is known (projects, manifests, tags, links, leases): [`meta::MetaStore`];
//! - [`blobs`]: the bytes, immutable, named by digest: [`blobs::BlobStore`];
//! - [`uploads`]: bytes on their way in, always on the local disk.
//!
//! Beside them, [`identity`]: the key this node signs its records with.
//!
//! [`Store`] joins them and owns the order in which they become durable: bytes first, rows second. Nothing above this
//! room knows redb, a path or a file name; nothing below it knows HTTP or who is asking.
//!
//! What a crash loses: nothing that was acknowledged as the durability contract says (`docs/durability.md`). Bytes
//! without a row may remain; rows without bytes may not.

pub mod audit;
pub mod blobs;
#[cfg(test)]
mod crash_tests;
pub mod health;
pub mod identity;
mod locks;
pub mod meta;
mod reading;
pub mod rebuild;
pub mod room;
pub mod scrub;
pub mod snapshots;
pub mod store;
pub mod uploads;

pub use health::{Health, ReadOnly};
pub use room::{Room, RoomLimits, RoomStatus};
pub use store::Store;

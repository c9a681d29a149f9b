//! What Portolan decides.
//!
//! This crate holds the words of the OCI distribution specification as types whose invalid values cannot exist, and
//! the pure machines of the mesh. It performs no I/O, reads no clock and draws no randomness: time, entropy, the disk
//! and the network are inputs, described as traits in [`seam`] and implemented elsewhere. A test on this crate's
//! dependency tree and the lints in `protocol/.clippy.toml` keep it so.

pub mod broadcast;
pub mod byte_range;
pub mod canonical;
pub mod descriptor;
pub mod digest;
pub mod draw;
pub mod holdings;
pub mod identity;
pub mod json;
pub mod ledger;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod overlay;
pub mod presence;
pub mod reconcile;
pub mod record;
pub mod reference;
pub mod roster;
pub mod seam;
pub mod signed;
pub mod time;
pub mod tree;
pub mod trust;
pub mod view;

pub use byte_range::{ByteRange, RangeSet};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher};
pub use manifest::{Manifest, ManifestKind};
pub use media_type::MediaType;
pub use name::{ProjectName, RepositoryName};
pub use reference::{Reference, Tag};
pub use time::Timestamp;
pub use tree::ContentRoot;

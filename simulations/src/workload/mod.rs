//! What the world keeps its nodes busy with.
//!
//! Small real workloads that exercise the disk and the network of the simulation itself: each owns its state, and a
//! crash of its node takes what its file says.

pub mod asking;
pub mod commits;
pub mod sites;

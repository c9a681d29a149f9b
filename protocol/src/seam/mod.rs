//! The seams: what the world gives to Portolan, as traits.
//!
//! Nothing in Portolan asks the operating system for time, randomness or files except through these. The daemon passes
//! in the real world, a test passes in one that it steps, breaks and replays from a seed. They stand in `protocol`
//! because both `node` and `simulations` implement them and neither may know the other; no implementation lives here.

mod clock;
mod disk;

pub use clock::{Clock, Entropy, Sleep};
pub use disk::{Access, DirEntry, EntryKind, File, FileSystem, Space};

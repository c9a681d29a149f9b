//! What Portolan carries.
//!
//! The I/O shell around the mesh's machines in `protocol`: it owns endpoints, links and their tasks. It knows no
//! database, and of HTTP no more than that links travel in it where UDP does not pass.
//!
//! - [`certificate`]: who is at the other end, proven by TLS.
//! - [`link`]: a connection to a peer whose key is proven; by QUIC, TCP, or in memory.
//! - [`hello`]: the first exchange of a link: who may come in, under which version.
//! - [`endpoint`]: the one door to the network: dials, accepts, caps, drops.
//! - [`ports`]: what a node has to offer for a mesh to run on it.

pub mod certificate;
pub mod endpoint;
mod guard;
pub mod hello;
pub mod link;
mod pace;
pub mod ports;
#[cfg(test)]
mod stage;
mod tasks;

pub use pace::Pace;

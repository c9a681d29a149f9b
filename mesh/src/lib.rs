//! What Portolan carries.
//!
//! The I/O shell around the mesh's machines in `protocol`: it will own endpoints, peers and transfers. It knows no HTTP
//! and no database. Today it holds its ports only: what a node has to offer for a mesh to run on it.

pub mod ports;

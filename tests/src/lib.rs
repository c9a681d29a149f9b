//! The kit that stories about a whole node are told with: the node itself, real images, real clients and engines.
//!
//! Everything here starts real programs and talks to them over sockets; nothing reaches into `node`'s insides.
//! Whatever a value of this crate started or wrote ends with that value: processes are killed, directories removed.
//! The one thing kept between runs is the cache of built images (see [`image`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the kit's way to fail a story is to panic with the whole evidence; there is no caller to recover"
)]

pub mod clients;
pub mod containerd;
pub mod dockerd;
pub mod image;
pub mod node;
pub mod process;
pub mod push;
pub mod tls;
pub mod tools;
pub mod wait;
pub mod web;

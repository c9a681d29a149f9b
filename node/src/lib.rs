//! What a Portolan node serves.
//!
//! Rooms, from the top; imports only go down this list, and a test keeps it so:
//! 1. edges: [`http`], [`cli`]
//! 2. what the product does: [`registry`]
//! 3. gates: [`policy`], and under it [`auth`]
//! 4. who and what is governed: [`directory`]
//! 5. ground: [`storage`], [`workers`]
//! 6. [`telemetry`], and under it [`config`] and [`world`]
//!
//! [`app`] is the only file that sees everything: it wires the rooms together.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod directory;
pub mod http;
pub mod policy;
pub mod registry;
pub mod storage;
pub mod telemetry;
pub mod workers;
pub mod world;

//! Stories against a whole node, told with real clients. One binary, one module per story; owns nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a story fails by panicking with its evidence, in its steps as in its test function"
)]

mod access;
mod api;
mod clients;
mod conformance;
mod crash;
mod flaws;
mod garbage;
mod governance;
mod harbor;
mod house;
mod kill;
mod operation;
mod restart;

//! The named scenarios of the mesh's records, one test each, on the real machines: [`protocol::ledger::Ledger`] with its
//! set, trust, view, waiting room and clock. [`islands`] is the kit: sites that hand records over as bytes, each with a
//! clock and a disk of its own, and a `Story`, which tells what was written again in every order that matters.

mod absence;
mod authorities;
mod clocks;
mod compromise;
mod endings;
mod islands;
mod projects;
mod settings;
mod tags;

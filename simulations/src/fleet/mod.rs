//! A fleet: thousands of sites in virtual time, each with the real machines that make records spread.
//!
//! Where a [`World`](crate::World) breaks few sites in every way and holds their whole state against the rules, a fleet
//! counts: how soon a record is everywhere, how often it is sent in vain, what a site at rest says, who hears of what.
//! Its sites run the real overlay, broadcast, presence and reconciliation, and send each other the bytes those make; what
//! they hold are numbers into one [`Archive`](archive::Archive), or they would not fit into one machine.
//!
//! A link between two sites is what a QUIC connection is to them: ordered, lossless until it is cut, with a delay, and a
//! sender whose uplink takes its time. Bytes are counted with what packets and acknowledgements add ([`network::wire`]).

pub mod archive;
pub mod capture;
pub mod charter;
mod liars;
pub mod meeting;
pub mod network;
pub mod scenarios;
pub mod site;
pub mod watch;
pub mod world;

pub use world::Fleet;

//! The frame of the administration interface (`/api/v2.0`): which routes there are and who may use them, how lists are
//! asked for, what bodies look like, and the document that says all this.
//!
//! [`dispatch`] finds out whom a request is from and that they may, by the table alone, before the handler of its operation
//! is called with the permit. Nothing here keeps state.

mod ask;
mod audit;
mod content;
pub(in crate::http) mod dispatch;
pub(crate) mod error;
pub(crate) mod model;
mod node;
pub(crate) mod openapi;
pub(crate) mod paged;
mod people;
mod projects;
pub(crate) mod q;
pub(crate) mod rights;
mod robots;
pub(crate) mod route;
mod sorted;
mod system;
pub(crate) mod table;

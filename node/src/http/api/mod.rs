//! The frame of the administration interface (`/api/v2.0`): which routes there are and who may use them, how lists are
//! asked for, what bodies look like, and the document that says all this.
//!
//! Nothing here handles a request or keeps state; handlers are matched over [`route::Operation`].

pub(crate) mod error;
pub(crate) mod model;
pub(crate) mod openapi;
pub(crate) mod paged;
pub(crate) mod q;
pub(crate) mod rights;
pub(crate) mod route;
pub(crate) mod table;

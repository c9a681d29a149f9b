//! Pages that the store has cut already, answered as all lists are.

use serde::Serialize;

use crate::http::Response;
use crate::http::api::ask::Ask;
use crate::http::api::paged::{Page, Paged};
use crate::http::error::Error;

/// The answer with the items of a page and the number of all there are.
pub(super) fn respond<T: Serialize>(ask: &Ask<'_>, page: Page, items: Vec<T>, total: u64) -> Result<Response, Error> {
    Paged { items, total, page }.respond(&ask.call.head.uri)
}

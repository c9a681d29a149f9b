//! Accounts of people, and groups. No state.

use super::ask::Ask;
use super::error;
use super::table::Operation as Op;
use crate::http::Response;
use crate::http::error::Error;

/// Answers the operations of this file.
pub(super) async fn answer(operation: Op, ask: &mut Ask<'_>) -> Result<Response, Error> {
    let _ = (operation, ask);
    Err(error::no_route())
}

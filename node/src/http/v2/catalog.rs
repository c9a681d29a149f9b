//! `GET /v2/_catalog`: repositories, for those who may see them.

use serde_json::json;

use super::super::Response;
use super::super::call::Call;
use super::super::error::Error;
use super::super::page::{self, Asked};
use super::json as answer;

pub(super) async fn get(call: &Call) -> Result<Response, Error> {
    let permit = call.permit_catalog()?;
    let asked = Asked::read(&call.query()?, call.app.parts.settings.page)?;
    if asked.is_empty() {
        return Ok(answer("application/json", br#"{"repositories":[]}"#.to_vec()));
    }
    let listing = call.registry().catalog(&permit, call.gate(), asked.last.clone(), asked.n).await?;
    let body = json!({ "repositories": listing.items }).to_string();
    let mut response = answer("application/json", body.into_bytes());
    if let (true, Some(last)) = (listing.more, listing.items.last()) {
        page::link(response.headers_mut(), call.path(), asked.n, last.as_str(), &[]);
    }
    Ok(response)
}

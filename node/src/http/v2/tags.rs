//! `GET …/tags/list`.

use protocol::RepositoryName;
use serde_json::json;

use super::super::Response;
use super::super::call::Call;
use super::super::error::Error;
use super::super::page::{self, Asked};
use super::json as answer;
use crate::policy::Pull;

pub(super) async fn get(call: &Call, name: &RepositoryName) -> Result<Response, Error> {
    let permit = call.permit::<Pull>(name)?;
    let asked = Asked::read(&call.query()?, call.app.parts.settings.page)?;
    // Also for a page of nothing: whether the repository is there is part of the answer.
    let listing = call.registry().tags(&permit, asked.last.clone(), asked.n).await?;
    let items = if asked.is_empty() { &[] } else { listing.items.as_slice() };
    let body = json!({ "name": name, "tags": items }).to_string();
    let mut response = answer("application/json", body.into_bytes());
    if let (true, Some(last)) = (listing.more, items.last()) {
        page::link(response.headers_mut(), call.path(), asked.n, last.as_str(), &[]);
    }
    Ok(response)
}

//! `GET …/referrers/<digest>`: an image index of what speaks about a manifest; empty when nothing does.

use http::{HeaderName, HeaderValue};
use protocol::media_type::OCI_INDEX;
use protocol::{Descriptor, Digest, MediaType, RepositoryName};

use super::super::Response;
use super::super::call::Call;
use super::super::error::Error;
use super::super::page::{self, Asked};
use super::json as answer;
use crate::policy::Pull;
use crate::registry::{Listing, Referrer};

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// A page is an image index, and clients read no index of more than 4 MiB.
const MAX_BODY: usize = 3 << 20;

pub(super) async fn get(call: &Call, name: &RepositoryName, subject: &Digest) -> Result<Response, Error> {
    let permit = call.permit::<Pull>(name).await?;
    let query = call.query()?;
    let asked = Asked::read(&query, call.app.parts.settings.page)?;
    // A `+` that a client forgot to encode arrives as a space, which no media type has.
    let filter = query.one("artifactType")?.filter(|text| !text.is_empty()).map(|text| text.replace(' ', "+"));
    let media_type = filter.as_deref().map(str::parse::<MediaType>);
    // A filter that is no media type fits nothing.
    let nothing = asked.is_empty() || matches!(media_type, Some(Err(_)));
    let listing = if nothing {
        Listing { items: Vec::new(), more: false }
    } else {
        let media_type = media_type.and_then(Result::ok);
        call.registry().referrers(&permit, subject, media_type.as_ref(), asked.last.clone(), asked.n).await?.listing
    };
    let (body, shown) = index(&listing)?;
    let mut response = answer(OCI_INDEX, body);
    if filter.is_some() {
        response.headers_mut().insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    let more = listing.more || shown < listing.items.len();
    if let (true, Some(last)) = (more, listing.items[..shown].last()) {
        let kept: Vec<_> = filter.as_deref().map(|text| ("artifactType", text)).into_iter().collect();
        page::link(response.headers_mut(), call.path(), asked.n, &last.digest.to_string(), &kept);
    }
    Ok(response)
}

/// The index of nothing.
pub(super) fn none() -> Result<Response, Error> {
    let (body, _) = index(&Listing { items: Vec::new(), more: false })?;
    Ok(answer(OCI_INDEX, body))
}

/// The index, and how many of the items it holds: at least one, if there are any.
fn index(listing: &Listing<Referrer>) -> Result<(Vec<u8>, usize), Error> {
    let mut body = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":["#).into_bytes();
    let mut shown = 0;
    for item in &listing.items {
        let text = serde_json::to_vec(&descriptor(item)).map_err(Error::internal)?;
        if shown > 0 {
            if body.len() + text.len() > MAX_BODY {
                break;
            }
            body.push(b',');
        }
        body.extend_from_slice(&text);
        shown += 1;
    }
    body.extend_from_slice(b"]}");
    Ok((body, shown))
}

fn descriptor(referrer: &Referrer) -> Descriptor {
    Descriptor {
        media_type: referrer.media_type.clone(),
        digest: referrer.digest,
        size: referrer.size,
        artifact_type: referrer.artifact_type.clone(),
        annotations: referrer.annotations.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(n: u32, note: usize) -> Referrer {
        Referrer {
            digest: Digest::sha256(&n.to_be_bytes()),
            media_type: "application/vnd.oci.image.manifest.v1+json".parse().unwrap(),
            size: 7,
            artifact_type: Some("application/x.sig".parse().unwrap()),
            annotations: [("k".to_owned(), "v".repeat(note))].into(),
        }
    }

    #[test]
    fn an_index_is_well_formed_and_bounded() {
        let (body, shown) = index(&Listing { items: vec![], more: false }).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((shown, value["manifests"].as_array().unwrap().len()), (0, 0));
        assert_eq!(value["schemaVersion"], 2);

        let items = (0..10).map(|n| referrer(n, 1 << 20)).collect();
        let (body, shown) = index(&Listing { items, more: false }).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(shown, 2);
        assert_eq!(value["manifests"][1]["artifactType"], "application/x.sig");
        assert!(index(&Listing { items: vec![referrer(1, 5 << 20)], more: false }).unwrap().1 == 1);
    }
}

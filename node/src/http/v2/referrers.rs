//! `GET …/referrers/<digest>`: an image index of what speaks about a manifest; empty when nothing does.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use protocol::manifest::MAX_BYTES;
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

/// A page is an image index, and clients read no index of more.
const MAX_BODY: usize = MAX_BYTES;

/// What stands behind the entries.
const END: &[u8] = b"]}";

pub(super) async fn get(call: &Call, name: &RepositoryName, subject: &Digest) -> Result<Response, Error> {
    let permit = call.permit::<Pull>(name)?;
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

/// The index, and how many of the items it holds: at least one, if there are any. Annotations that are too long for a
/// page of their own are left out: a page nobody can read would end the listing for everyone.
fn index(listing: &Listing<Referrer>) -> Result<(Vec<u8>, usize), Error> {
    let mut body = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":["#).into_bytes();
    let mut shown = 0;
    for item in &listing.items {
        let mut text = serde_json::to_vec(&descriptor(item)).map_err(Error::internal)?;
        let fits = |len: usize| body.len() + 1 + len + END.len() <= MAX_BODY;
        if shown > 0 {
            if !fits(text.len()) {
                break;
            }
            body.push(b',');
        } else if !fits(text.len()) {
            let bare = Descriptor { annotations: BTreeMap::new(), ..descriptor(item) };
            text = serde_json::to_vec(&bare).map_err(Error::internal)?;
        }
        body.extend_from_slice(&text);
        shown += 1;
    }
    body.extend_from_slice(END);
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
        assert_eq!(shown, 3);
        assert_eq!(value["manifests"][1]["artifactType"], "application/x.sig");
    }

    #[test]
    fn no_page_is_longer_than_a_manifest_may_be() {
        let page = |items: Vec<Referrer>| index(&Listing { items, more: false }).unwrap();
        let alone = page(vec![referrer(1, 0)]).0.len();
        // Filled up to the last byte, and one byte more.
        for (over, shown) in [(0, 2), (1, 1)] {
            let entry = alone - page(vec![]).0.len();
            let second = referrer(2, MAX_BODY - alone - entry - 1 + over);
            let (body, found) = page(vec![referrer(1, 0), second]);
            assert_eq!((found, body.len()), (shown, if over == 0 { MAX_BODY } else { alone }));
        }
        let (body, shown) = page(vec![referrer(1, MAX_BODY), referrer(2, 0)]);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((shown, value["manifests"][0].get("annotations")), (2, None), "one too long stands without them");
    }
}

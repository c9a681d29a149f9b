//! From a blob and the conditions of a request to the head and the pieces of an answer. Pure: no file is touched.

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use protocol::{ByteRange, Digest, RangeSet};

use super::super::body::Piece;
use super::super::error::Error;
use super::etag;

/// `Cache-Control` of every answer about a blob.
pub(super) const CACHE: &str = "private, max-age=31536000, immutable";

/// What is sent of a blob.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) pieces: Vec<Piece>,
}

/// Headers of every answer about a blob.
pub(super) fn describe(headers: &mut HeaderMap, length: u64) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Not `public`: who may read it is asked each time.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
}

/// Plans the answer for a blob of `size` bytes. `boundary` separates the parts when there are several: text that the
/// blob can't be made to contain, so it is asked for only then.
///
/// # Errors
/// 416 when no part of the range lies inside the blob.
pub(super) fn plan(
    digest: &Digest,
    size: u64,
    range: Option<&str>,
    if_range: Option<&str>,
    boundary: impl FnOnce() -> String,
) -> Result<Plan, Error> {
    // A range of another version is none; a date never fits, since blobs have no other validator than their digest.
    let range = range.filter(|_| if_range.is_none_or(|tag| tag.trim() == etag(digest)));
    let asked = range.map_or(RangeSet::Whole, |range| RangeSet::parse(range, size));
    let mut headers = HeaderMap::with_capacity(12);
    let (status, pieces) = match asked {
        RangeSet::Unsatisfiable => return Err(Error::range(size)),
        RangeSet::Whole => {
            describe(&mut headers, size);
            (StatusCode::OK, whole(size))
        }
        RangeSet::Parts(parts) => match parts.as_slice() {
            [part] => {
                describe(&mut headers, part.len());
                if let Ok(value) = HeaderValue::try_from(content_range(*part, size)) {
                    headers.insert(CONTENT_RANGE, value);
                }
                (StatusCode::PARTIAL_CONTENT, vec![Piece::Part(*part)])
            }
            parts => (StatusCode::PARTIAL_CONTENT, several(&mut headers, parts, size, &boundary())),
        },
    };
    Ok(Plan { status, headers, pieces })
}

fn whole(size: u64) -> Vec<Piece> {
    match size.checked_sub(1) {
        Some(end) => vec![Piece::Part(ByteRange { start: 0, end })],
        None => Vec::new(),
    }
}

fn content_range(part: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end)
}

/// `multipart/byteranges` (RFC 9110 14.6).
fn several(headers: &mut HeaderMap, parts: &[ByteRange], size: u64, boundary: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    let mut separator = format!("--{boundary}\r\n");
    for part in parts {
        let range = content_range(*part, size);
        let head = format!("{separator}Content-Type: application/octet-stream\r\nContent-Range: {range}\r\n\r\n");
        pieces.push(Piece::Text(head.into()));
        pieces.push(Piece::Part(*part));
        separator = format!("\r\n--{boundary}\r\n");
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    describe(headers, pieces.iter().map(Piece::len).sum());
    if let Ok(kind) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, kind);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::blocks::Blocks;
    use super::super::super::body::Body;
    use super::super::super::body::tests::{MemoryFile, pattern};
    use super::*;
    use crate::workers::Scope;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    fn of(size: u64, range: &str, if_range: Option<&str>) -> Result<Plan, u16> {
        let digest = Digest::sha256(b"x");
        plan(&digest, size, Some(range), if_range, || "B".into()).map_err(|e| e.status().as_u16())
    }

    async fn sent(plan: Plan, bytes: &[u8]) -> Vec<u8> {
        let file = Arc::new(MemoryFile { bytes: bytes.to_vec(), cold: false });
        let body = Body::file(file, plan.pieces, &Blocks::default(), &Scope::new());
        body.collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn the_cases_of_the_conformance_suite() {
        let bytes = pattern(100);
        for (range, want, said) in [
            ("bytes=10-19", 10..20, "bytes 10-19/100"),
            ("bytes=90-", 90..100, "bytes 90-99/100"),
            ("bytes=-5", 95..100, "bytes 95-99/100"),
            ("bytes=95-200", 95..100, "bytes 95-99/100"),
        ] {
            let plan = of(100, range, None).unwrap();
            assert_eq!(plan.status, 206, "{range}");
            assert_eq!(plan.headers[CONTENT_RANGE], said);
            assert_eq!(plan.headers[CONTENT_LENGTH], want.len().to_string());
            assert_eq!(sent(plan, &bytes).await, bytes[want], "{range}");
        }
        assert_eq!(of(100, "bytes=20-10", None).unwrap_err(), 416);
        assert_eq!(of(100, "bytes=100-", None).unwrap_err(), 416);
        assert_eq!(of(0, "bytes=0-0", None).unwrap_err(), 416);
    }

    #[tokio::test]
    async fn several_ranges_make_a_multipart_body() {
        let bytes = pattern(100);
        let plan = of(100, "bytes=0-1,50-52", None).unwrap();
        assert_eq!(plan.headers[CONTENT_TYPE], "multipart/byteranges; boundary=B");
        let length: usize = plan.headers[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        let body = sent(plan, &bytes).await;
        assert_eq!(body.len(), length);
        let want = [
            b"--B\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-1/100\r\n\r\n".as_slice(),
            &bytes[0..2],
            b"\r\n--B\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 50-52/100\r\n\r\n",
            &bytes[50..53],
            b"\r\n--B--\r\n",
        ];
        assert_eq!(body, want.concat());
    }

    #[test]
    fn a_range_of_another_version_is_none() {
        let ours = etag(&Digest::sha256(b"x"));
        assert_eq!(of(10, "bytes=0-0", Some(&ours)).unwrap().status, 206);
        for other in ["\"y\"", "W/\"x\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(of(10, "bytes=0-0", Some(other)).unwrap().status, 200, "{other}");
        }
    }

    #[test]
    fn an_empty_blob_has_no_pieces() {
        let plan = plan(&Digest::sha256(b""), 0, None, None, String::new).unwrap();
        assert!(plan.status == 200 && plan.pieces.is_empty() && plan.headers[CONTENT_LENGTH] == "0");
    }

    proptest! {
        #[test]
        fn the_length_said_is_the_length_sent(range in "bytes=[0-9, -]{0,30}", size in 0u64..500) {
            if let Ok(plan) = of(size, &range, None) {
                let sum: u64 = plan.pieces.iter().map(Piece::len).sum();
                prop_assert_eq!(plan.headers[CONTENT_LENGTH].to_str().unwrap(), sum.to_string());
            }
        }
    }
}

//! The `Range` header of a blob request (RFC 9110 section 14) and the `Content-Range` of an upload chunk.

/// Most ranges one request may name. More are answered with the whole blob, as RFC 9110 14.2 allows: many small
/// ranges cost the server more than they save the client.
pub const MAX_RANGES: usize = 64;

/// One satisfiable range of a blob: `start..=end`, both inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// Last byte, included.
    pub end: u64,
}

impl ByteRange {
    /// Number of bytes, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.end - self.start + 1
    }
}

/// What a `Range` header asks of a blob of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSet {
    /// The whole blob: no header, another unit, a malformed one (RFC 9110 14.2 lets the server ignore it), or more
    /// ranges than are worth answering.
    Whole,
    /// These parts, in the order asked for, never empty.
    Parts(Vec<ByteRange>),
    /// Well formed, and nothing of it lies inside the blob: 416.
    Unsatisfiable,
}

impl RangeSet {
    /// Reads the header's value for a blob of `size` bytes.
    ///
    /// An inverted range (`9-3`) makes the header invalid under RFC 9110; the OCI conformance suite wants 416 for it,
    /// and so do we: it can only be a mistake, and the whole blob would hide it.
    #[must_use]
    pub fn parse(header: &str, size: u64) -> Self {
        let Some(specs) = header.trim().strip_prefix("bytes=") else { return Self::Whole };
        let mut parts = Vec::new();
        let mut count = 0;
        for spec in specs.split(',') {
            let spec = spec.trim();
            if spec.is_empty() {
                continue;
            }
            count += 1;
            if count > MAX_RANGES {
                return Self::Whole;
            }
            let Some((start, end)) = spec.split_once('-') else { return Self::Whole };
            let Some(part) = Self::part(start.trim(), end.trim(), size) else { return Self::Whole };
            parts.extend(part);
        }
        if count == 0 {
            return Self::Whole;
        }
        if parts.is_empty() {
            return Self::Unsatisfiable;
        }
        // Overlapping ranges that ask for more than the blob itself are an attack on the server's uplink.
        let asked: u128 = parts.iter().map(|p: &ByteRange| u128::from(p.len())).sum();
        if parts.len() > 1 && asked > u128::from(size) {
            return Self::Whole;
        }
        Self::Parts(parts)
    }

    /// `None`: malformed. `Some(None)`: outside the blob.
    fn part(start: &str, end: &str, size: u64) -> Option<Option<ByteRange>> {
        if start.is_empty() {
            let suffix = number(end)?;
            return Some(
                (suffix > 0 && size > 0).then(|| ByteRange { start: size.saturating_sub(suffix), end: size - 1 }),
            );
        }
        let start = number(start)?;
        let end = if end.is_empty() { u64::MAX } else { number(end)? };
        Some((start < size && start <= end).then(|| ByteRange { start, end: end.min(size - 1) }))
    }
}

/// Digits only: `u64::from_str` would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than a u64 holds still mean "far past the end".
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Reads the `Content-Range` of an upload chunk, `start-end` (distribution-spec, "Pushing a blob in chunks"), with
/// `bytes ` before it and `/size` behind it tolerated as RFC 9110 writes them.
#[must_use]
pub fn parse_chunk(header: &str) -> Option<ByteRange> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split('/').next().unwrap_or_default();
    let (start, end) = text.split_once('-')?;
    let (start, end) = (number(start.trim())?, number(end.trim())?);
    (start <= end && end < u64::MAX).then_some(ByteRange { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(header: &str, size: u64) -> Vec<(u64, u64)> {
        match RangeSet::parse(header, size) {
            RangeSet::Parts(parts) => parts.iter().map(|p| (p.start, p.end)).collect(),
            other @ (RangeSet::Whole | RangeSet::Unsatisfiable) => panic!("{header}: {other:?}"),
        }
    }

    #[test]
    fn the_forms_of_the_rfc() {
        assert_eq!(parts("bytes=0-0", 10), [(0, 0)]);
        assert_eq!(parts("bytes=2-", 10), [(2, 9)]);
        assert_eq!(parts("bytes=-3", 10), [(7, 9)]);
        assert_eq!(parts("bytes=-30", 10), [(0, 9)]);
        assert_eq!(parts("bytes=5-99", 10), [(5, 9)]);
        assert_eq!(parts("bytes=0-1, 4-5 ,-1", 10), [(0, 1), (4, 5), (9, 9)]);
        assert_eq!(parts("bytes=0-99999999999999999999999", 10), [(0, 9)]);
    }

    #[test]
    fn outside_is_416_and_nonsense_is_ignored() {
        for outside in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=5-3", "bytes=99999999999999999999-"] {
            assert_eq!(RangeSet::parse(outside, 10), RangeSet::Unsatisfiable, "{outside}");
        }
        assert_eq!(RangeSet::parse("bytes=0-0", 0), RangeSet::Unsatisfiable);
        for odd in ["", "bytes=", "bytes=a-b", "items=0-1", "bytes=+1-2", "bytes=1", "bytes=--1", "bytes=0x0-1"] {
            assert_eq!(RangeSet::parse(odd, 10), RangeSet::Whole, "{odd}");
        }
    }

    #[test]
    fn many_or_overlapping_ranges_get_the_whole_blob() {
        let many = format!("bytes={}", vec!["0-0"; MAX_RANGES + 1].join(","));
        assert_eq!(RangeSet::parse(&many, 1 << 30), RangeSet::Whole);
        assert_eq!(RangeSet::parse("bytes=0-9,0-9", 10), RangeSet::Whole);
    }

    #[test]
    fn chunks_are_read_in_both_spellings() {
        assert_eq!(parse_chunk("0-99"), Some(ByteRange { start: 0, end: 99 }));
        assert_eq!(parse_chunk("bytes 0-99/*"), Some(ByteRange { start: 0, end: 99 }));
        for bad in ["", "99", "9-3", "a-b", "-5", "5-", "0-18446744073709551615"] {
            assert_eq!(parse_chunk(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parts_always_lie_inside(header in "bytes=[0-9, -]{0,40}", size in 0u64..1000) {
            if let RangeSet::Parts(parts) = RangeSet::parse(&header, size) {
                prop_assert!(!parts.is_empty());
                for p in parts { prop_assert!(p.start <= p.end && p.end < size); }
            }
        }

        #[test]
        fn any_text_is_answered(header in ".{0,200}", size: u64) {
            let _ = RangeSet::parse(&header, size);
            let _ = parse_chunk(&header);
        }
    }
}

//! As much of DER as a certificate of ours needs: tag, length, content. Holds no state.
//!
//! Written by hand because it is a page long: what we write is one fixed shape, and what we read is walked over without
//! recursion, in borrowed slices.

/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// SET.
pub(super) const SET: u8 = 0x31;
/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// BOOLEAN.
pub(super) const BOOLEAN: u8 = 0x01;
/// BIT STRING.
pub(super) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(super) const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(super) const OID: u8 = 0x06;
/// UTF8String.
pub(super) const UTF8: u8 = 0x0c;
/// UTCTime.
pub(super) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub(super) const GENERAL_TIME: u8 = 0x18;

/// `[n]`, constructed.
pub(super) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// One value: its tag, the length of its parts, its parts.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    let bytes = len.to_be_bytes();
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match (len, u8::try_from(digits.len())) {
        (0..0x80, _) => out.extend(u8::try_from(len)),
        (_, Ok(count)) => {
            out.push(0x80 | count);
            out.extend(digits);
        }
        (_, Err(_)) => {}
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Values one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next value: tag, content, and all its bytes. `None` at the end, and for what is no DER.
    pub(super) fn any(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let whole = self.0;
        let (&tag, rest) = whole.split_first()?;
        // Tags of several bytes have no place in a certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let len = if first < 0x80 {
            usize::from(first)
        } else {
            let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            // The shortest form only, and no more than certificates have.
            if digits.is_empty() || digits.len() > 3 || digits.first() == Some(&0) {
                return None;
            }
            let len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
            if len < 0x80 {
                return None;
            }
            len
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content, whole.get(..whole.len() - rest.len())?))
    }

    /// The next value, which must have this tag: its content.
    pub(super) fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        Some(self.whole(tag)?.0)
    }

    /// The next value, which must have this tag: its content, and all its bytes.
    pub(super) fn whole(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (found, content, whole) = self.any()?;
        (found == tag).then_some((content, whole))
    }

    /// The next value if it has this tag; nothing is taken otherwise.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.next(tag) } else { None }
    }

    /// `()` when nothing is left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// The content of the one value these bytes are.
pub(super) fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader(bytes);
    let content = reader.next(tag)?;
    reader.end()?;
    Some(content)
}

/// The bytes of a BIT STRING's content, which must be whole.
pub(super) fn bits(content: &[u8]) -> Option<&[u8]> {
    content.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes)
}

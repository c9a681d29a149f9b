//! The `Authorization` header: what a request brought to say who it is (RFC 7617, RFC 6750). Pure.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::auth::{Credentials, Secret};

/// Longest header looked at, in bytes.
pub const MAX: usize = 8 * 1024;

/// A header that names no credentials we can read. What it held is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Authorization header can't be read: send Basic with base64 of name:password, or Bearer with a token")]
pub struct Malformed;

/// Reads the header's value.
///
/// # Errors
/// [`Malformed`] for another scheme, broken base64, text that is not UTF-8, no colon, or too long a header.
pub fn parse(header: &[u8]) -> Result<Credentials, Malformed> {
    if header.len() > MAX {
        return Err(Malformed);
    }
    let text = std::str::from_utf8(header).map_err(|_| Malformed)?.trim_matches([' ', '\t']);
    let (scheme, rest) = text.split_once(' ').ok_or(Malformed)?;
    let rest = rest.trim_start_matches([' ', '\t']);
    if scheme.eq_ignore_ascii_case("basic") {
        basic(rest)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        bearer(rest)
    } else {
        Err(Malformed)
    }
}

fn basic(encoded: &str) -> Result<Credentials, Malformed> {
    // Some clients leave the padding out.
    let bytes = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).map_err(|_| Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Malformed)?;
    let (name, password) = text.split_once(':').ok_or(Malformed)?;
    if name.is_empty() && password.is_empty() {
        // What clients with an empty configuration send: nobody.
        return Ok(Credentials::None);
    }
    if text.contains('\0') {
        return Err(Malformed);
    }
    Ok(Credentials::Basic { name: name.to_owned(), password: Secret::new(password) })
}

fn bearer(token: &str) -> Result<Credentials, Malformed> {
    let good = !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    if good { Ok(Credentials::Bearer(Secret::new(token))) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_schemes_in_any_case() {
        let admin = Credentials::Basic { name: "admin".into(), password: Secret::new("a:b c") };
        let encoded = STANDARD.encode("admin:a:b c");
        for header in [format!("Basic {encoded}"), format!("bAsIc   {}", encoded.trim_end_matches('='))] {
            assert_eq!(parse(header.as_bytes()), Ok(admin.clone()), "{header}");
        }
        assert_eq!(parse(b"Bearer a.b-c_d~e+/="), Ok(Credentials::Bearer(Secret::new("a.b-c_d~e+/="))));
        assert_eq!(parse(b"Basic Og=="), Ok(Credentials::None));
    }

    #[test]
    fn anything_else_is_malformed() {
        for bad in ["", "Basic", "Basic ", "Basic !!", "Basic YWJj", "Digest x", "Bearer ", "Bearer a b", "Bearer ä"] {
            assert_eq!(parse(bad.as_bytes()), Err(Malformed), "{bad:?}");
        }
        assert_eq!(parse(format!("Bearer {}", "a".repeat(MAX)).as_bytes()), Err(Malformed));
        assert_eq!(parse(format!("Basic {}", STANDARD.encode("a\0b:c")).as_bytes()), Err(Malformed));
        assert_eq!(parse(b"Basic \xff"), Err(Malformed));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let credentials = parse(format!("Basic {}", STANDARD.encode("admin:hunter2")).as_bytes()).unwrap();
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn name_and_password_read_back(name in "[^:\0]{1,20}", password in "[^\0]{1,20}") {
            let header = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
            prop_assert_eq!(parse(header.as_bytes()), Ok(Credentials::Basic { name, password: Secret::new(password) }));
        }
    }
}

//! Pages of a listing: `n`, `last`, and the `Link` to the next one (RFC 8288).

use http::header::LINK;
use http::{HeaderMap, HeaderValue};

use super::error::Error;
use super::query::{self, Query};

/// Longest `last`: a repository name or a digest.
const MAX_LAST: usize = 512;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Most items, when it said so. Zero is a page without items.
    pub n: Option<usize>,
    /// The last item of the page before.
    pub last: Option<String>,
}

impl Asked {
    /// Reads `n` and `last`; `most` is the largest page there is.
    ///
    /// # Errors
    /// 400 for an `n` that is no number, and for an absurd `last`.
    pub fn read(query: &Query<'_>, most: usize) -> Result<Self, Error> {
        let n = match query.one("n")? {
            None => None,
            Some(text) => Some(number(text).ok_or_else(bad_n)?.min(most)),
        };
        let last = query.one("last")?.filter(|text| !text.is_empty());
        if last.is_some_and(|text| text.len() > MAX_LAST) {
            return Err(Error::bad("UNSUPPORTED", "last is longer than any name"));
        }
        Ok(Self { n, last: last.map(str::to_owned) })
    }

    /// Whether the page asked for holds nothing whatever there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == Some(0)
    }
}

/// Digits only; what no machine number holds is still a large page.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

fn bad_n() -> Error {
    Error::bad("UNSUPPORTED", "n is the number of items wanted: write it in digits")
}

/// Adds the `Link` to the page after `last`. `more` parameters stand in it as they were asked for.
pub fn link(headers: &mut HeaderMap, path: &str, n: Option<usize>, last: &str, more: &[(&str, &str)]) {
    let mut url = format!("<{path}?");
    if let Some(n) = n {
        url.push_str(&format!("n={n}&"));
    }
    for (name, value) in more {
        url.push_str(name);
        url.push('=');
        query::encode(&mut url, value);
        url.push('&');
    }
    url.push_str("last=");
    query::encode(&mut url, last);
    url.push_str(">; rel=\"next\"");
    if let Ok(value) = HeaderValue::try_from(url) {
        headers.insert(LINK, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked, u16> {
        Asked::read(&Query::parse(Some(text)).unwrap(), 100).map_err(|e| e.status().as_u16())
    }

    #[test]
    fn numbers_are_bounded_and_nonsense_refused() {
        assert_eq!(asked(""), Ok(Asked { n: None, last: None }));
        assert_eq!(asked("n=5&last=b"), Ok(Asked { n: Some(5), last: Some("b".into()) }));
        assert_eq!(asked("n=99999999999999999999999"), Ok(Asked { n: Some(100), last: None }));
        assert!(asked("n=0").unwrap().is_empty());
        for bad in ["n=", "n=-1", "n=+1", "n=a", "n=1&n=2", "n=1.5"] {
            assert_eq!(asked(bad), Err(400), "{bad}");
        }
        assert_eq!(asked(&format!("last={}", "a".repeat(513))), Err(400));
    }

    #[test]
    fn the_link_names_the_next_page() {
        let mut headers = HeaderMap::new();
        link(&mut headers, "/v2/a/b/tags/list", Some(2), "v1", &[]);
        assert_eq!(headers[LINK], "</v2/a/b/tags/list?n=2&last=v1>; rel=\"next\"");
        link(&mut headers, "/v2/a/referrers/x", None, "sha256:ab", &[("artifactType", "a/b+c>\"")]);
        assert_eq!(headers[LINK], "</v2/a/referrers/x?artifactType=a/b%2Bc%3E%22&last=sha256:ab>; rel=\"next\"");
    }
}

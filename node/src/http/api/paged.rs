//! Pages of a list, counted from 1, with the number of all items and the way to the pages before and after.

use std::cmp::Ordering;

use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderName, HeaderValue, Uri};
use serde::Serialize;

use super::error;
use super::q::{MAX_PAGE_SIZE, PAGE_SIZE};
use crate::http::Response;
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::query::{self, Query};

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    pub(crate) number: u64,
    /// Most items of it, at most [`MAX_PAGE_SIZE`].
    pub(crate) size: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { number: 1, size: PAGE_SIZE }
    }
}

impl Page {
    /// Reads `page` and `page_size`. No page is before the first; no size (0 or -1) is the largest.
    ///
    /// # Errors
    /// 422 for what is no number, and for a larger page than there is.
    pub(crate) fn read(query: &Query<'_>) -> Result<Self, Error> {
        let number = number(query, "page")?.unwrap_or(1);
        let size = number_of_items(number_or_default(query)?)?;
        Ok(Self { number: u64::try_from(number).unwrap_or(1).max(1), size })
    }

    /// Number of items before this page.
    pub(crate) const fn before(self) -> u64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// The page of a list that comes in its order: looks at each item once and keeps no more than the page.
    pub(crate) fn of<T>(self, items: impl IntoIterator<Item = T>) -> Paged<T> {
        let mut paged = Paged { items: Vec::new(), total: 0, page: self };
        for item in items {
            if paged.total >= self.before() && (paged.items.len() as u64) < self.size {
                paged.items.push(item);
            }
            paged.total += 1;
        }
        paged
    }

    /// The page of a list in another order. Orders no more items than it shows; equals keep the order they come in.
    pub(crate) fn sorted<T>(
        self,
        items: impl IntoIterator<Item = T>,
        mut compare: impl FnMut(&T, &T) -> Ordering,
    ) -> Paged<T> {
        let mut all: Vec<(usize, T)> = items.into_iter().enumerate().collect();
        let total = all.len() as u64;
        let mut by = |a: &(usize, T), b: &(usize, T)| compare(&a.1, &b.1).then(a.0.cmp(&b.0));
        let start = usize::try_from(self.before()).unwrap_or(usize::MAX).min(all.len());
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if start > 0 && start < all.len() {
            all.select_nth_unstable_by(start, &mut by);
        }
        let mut rest = all.split_off(start);
        if size > 0 && size < rest.len() {
            rest.select_nth_unstable_by(size, &mut by);
        }
        rest.truncate(size);
        rest.sort_unstable_by(&mut by);
        Paged { items: rest.into_iter().map(|(_, item)| item).collect(), total, page: self }
    }
}

fn number(query: &Query<'_>, name: &'static str) -> Result<Option<i64>, Error> {
    let Some(text) = query.one(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse().map_err(|_| error::unprocessable(format!("{name} in query must be of type int64")))?;
    Ok(Some(number))
}

fn number_or_default(query: &Query<'_>) -> Result<i64, Error> {
    Ok(number(query, "page_size")?.unwrap_or_else(|| i64::try_from(PAGE_SIZE).unwrap_or(1)))
}

fn number_of_items(asked: i64) -> Result<u64, Error> {
    match u64::try_from(asked) {
        Ok(0) | Err(_) => Ok(MAX_PAGE_SIZE),
        Ok(size) if size <= MAX_PAGE_SIZE => Ok(size),
        Ok(_) => {
            Err(error::unprocessable(format!("page_size in query should be less than or equal to {MAX_PAGE_SIZE}")))
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paged<T> {
    /// The items of the page.
    pub(crate) items: Vec<T>,
    /// Number of items of the whole list.
    pub(crate) total: u64,
    /// Which page it is.
    pub(crate) page: Page,
}

impl<T> Paged<T> {
    /// The same page with each item shown as something else.
    pub(crate) fn map<U>(self, show: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(show).collect(), total: self.total, page: self.page }
    }

    /// The `Link` to the pages before and after; `None` when there are none.
    pub(crate) fn link(&self, uri: &Uri) -> Option<String> {
        let before = (self.page.number > 1 && self.page.before() < self.total).then(|| self.page.number - 1);
        let after = (self.page.before().saturating_add(self.page.size) < self.total).then(|| self.page.number + 1);
        let links = [(before, "prev"), (after, "next")].into_iter().filter_map(|(number, relation)| {
            number.map(|number| format!("<{}>; rel=\"{relation}\"", page_url(uri, number, self.page.size)))
        });
        let links: Vec<_> = links.collect();
        (!links.is_empty()).then(|| links.join(" , "))
    }
}

impl<T: Serialize> Paged<T> {
    /// The answer, to the request for `uri`.
    ///
    /// # Errors
    /// 500 when an item can't be written as JSON.
    pub(crate) fn respond(&self, uri: &Uri) -> Result<Response, Error> {
        let body = serde_json::to_vec(&self.items).map_err(Error::internal)?;
        let mut response = Response::new(Body::full(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(X_TOTAL_COUNT, HeaderValue::from(self.total));
        if let Some(link) = self.link(uri).and_then(|link| HeaderValue::try_from(link).ok()) {
            headers.insert(LINK, link);
        }
        Ok(response)
    }
}

/// The same question about another page, its parameters by their names.
fn page_url(uri: &Uri, number: u64, size: u64) -> String {
    let asked = Query::parse(uri.query()).unwrap_or_default();
    let mut pairs: Vec<(&str, String)> = asked
        .pairs()
        .filter(|(name, _)| !matches!(*name, "page" | "page_size"))
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    pairs.push(("page", number.to_string()));
    pairs.push(("page_size", size.to_string()));
    pairs.sort();
    let mut url = uri.path().to_owned();
    for (n, (name, value)) in pairs.iter().enumerate() {
        url.push(if n == 0 { '?' } else { '&' });
        query::encode(&mut url, name);
        url.push('=');
        query::encode(&mut url, value);
    }
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str) -> Result<(u64, u64), u16> {
        let read = Page::read(&Query::parse(Some(text)).unwrap());
        read.map(|page| (page.number, page.size)).map_err(|error| error.status().as_u16())
    }

    #[test]
    fn pages_have_a_size_whatever_is_asked() {
        assert_eq!(page(""), Ok((1, 10)));
        assert_eq!(page("page=3&page_size=100"), Ok((3, 100)));
        assert_eq!(page("page_size=0"), Ok((1, 100)));
        assert_eq!(page("page_size=-1&page=-2"), Ok((1, 100)));
        for bad in ["page_size=101", "page=x", "page_size=1.5", "page=9223372036854775808"] {
            assert_eq!(page(bad), Err(422), "{bad}");
        }
        assert_eq!(page("page=1&page=2"), Err(400));
    }

    #[test]
    fn a_far_page_of_a_long_list_keeps_one_page() {
        let paged = Page { number: 5000, size: 20 }.of(0..100_000_u32);
        assert_eq!((paged.total, paged.items.first(), paged.items.len()), (100_000, Some(&99_980), 20));
        assert_eq!(paged.items.capacity().min(64), paged.items.capacity(), "no room for the list was made");
        let beyond = Page { number: u64::MAX, size: 100 }.of(0..10);
        assert_eq!((beyond.items.len(), beyond.total), (0, 10));
    }

    #[test]
    fn the_links_lead_to_the_neighbours_with_the_same_question() {
        let uri: Uri = "/api/v2.0/projects?q=name%3D~a%26b&page=2".parse().unwrap();
        let link = |number, total: u64| Page { number, size: 10 }.of(0..total).link(&uri);
        let url = |number| format!("</api/v2.0/projects?page={number}&page_size=10&q=name%3D~a%26b>");
        assert_eq!(link(2, 30), Some(format!("{}; rel=\"prev\" , {}; rel=\"next\"", url(1), url(3))));
        assert_eq!(link(3, 30), Some(format!("{}; rel=\"prev\"", url(2))));
        assert_eq!(link(1, 11), Some(format!("{}; rel=\"next\"", url(2))));
        assert_eq!(link(1, 10), None);
        assert_eq!(link(9, 30), None, "a page behind the end has no neighbours");
    }

    #[test]
    fn the_answer_says_how_many_there_are() {
        let uri: Uri = "/api/v2.0/labels".parse().unwrap();
        let response = Page::default().of(0..25).respond(&uri).unwrap();
        assert_eq!(response.headers()["x-total-count"], "25");
        assert!(response.headers().contains_key(LINK));
    }

    proptest! {
        #[test]
        fn a_sorted_page_is_the_page_of_the_sorted_list(
            items in proptest::collection::vec(0_u8..9, 0..60), number in 1_u64..8, size in 1_u64..12,
        ) {
            let items: Vec<_> = items.into_iter().enumerate().collect();
            let mut whole = items.clone();
            whole.sort_by_key(|(_, key)| *key);
            let page = Page { number, size };
            prop_assert_eq!(page.sorted(items, |a, b| a.1.cmp(&b.1)), page.of(whole));
        }
    }
}

//! How a client asks for a list: `q` (which items), `sort` (in what order), `page` and `page_size` (which of them).
//!
//! `q` is `key=value` terms between commas. A value is exact, `~fuzzy`, a range `[from~to]`, any of `{a b}` or all of
//! `(a b)`; a `\` before an exact value takes a first special character as it is. Keys a list does not know are passed
//! over, as Harbor does. What is fit to be asked is for the handlers: they give each item's [`Field`]s.

use protocol::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error;
use crate::http::error::Error;
use crate::http::query;

/// Longest `q` and longest `sort`, in bytes.
const MAX_LENGTH: usize = 4096;
/// Most terms of a `q`, values of a term, and keys of a `sort`.
const MAX_TERMS: usize = 64;
/// Items of a page when nothing is said.
pub(crate) const PAGE_SIZE: u64 = 10;
/// Most items of a page.
pub(crate) const MAX_PAGE_SIZE: u64 = 100;

/// What a property of an item holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// Text.
    Text(&'a str),
    /// A number.
    Number(i64),
    /// A truth value.
    Flag(bool),
    /// A time, in milliseconds since 1970.
    Time(i64),
    /// Several texts: labels, tags.
    Set(&'a [&'a str]),
}

impl Field<'_> {
    /// A time of the records.
    pub(crate) fn at(at: Timestamp) -> Self {
        Self::Time(i64::try_from(at.0).unwrap_or(i64::MAX))
    }
}

/// What a term wants of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This.
    Exact(String),
    /// This in it, in letters of any case.
    Fuzzy(String),
    /// No less than the one, no more than the other; one of them may be absent.
    Range(Option<String>, Option<String>),
    /// One of these.
    Any(Vec<String>),
    /// All of these: a question only to a [`Field::Set`].
    All(Vec<String>),
}

/// A `q` that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter(Vec<(String, Pattern)>);

impl Filter {
    /// Reads a `q`, which the query's own encoding was taken from already. Harbor takes a second one from it, so this
    /// does too.
    ///
    /// # Errors
    /// 400 for what is no `q`, or a longer one than is worth reading.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut terms: Vec<(String, Pattern)> = Vec::new();
        if text.is_empty() {
            return Ok(Self(terms));
        }
        if text.len() > MAX_LENGTH {
            return Err(error::bad_request(format!("q has at most {MAX_LENGTH} bytes")));
        }
        // A plus the first decoding left is one: media types have them.
        let kept = text.replace('+', "%2B");
        let decoded = query::decode(&kept);
        let text = decoded.as_deref().unwrap_or(text);
        for term in text.split(',') {
            let Some((key, value)) = term.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty())
            else {
                return Err(error::bad_request("q is key=value terms between commas, and none of them is empty"));
            };
            let pattern = pattern(value).ok_or_else(|| error::bad_request(format!("q: no such value: {value}")))?;
            // The later one counts.
            terms.retain(|(other, _)| other != key);
            terms.push((key.to_owned(), pattern));
            if terms.len() > MAX_TERMS {
                return Err(error::bad_request(format!("q has at most {MAX_TERMS} terms")));
            }
        }
        Ok(Self(terms))
    }

    /// What is wanted of `key`, for what a handler finds by other means than looking at each item.
    pub(crate) fn get(&self, key: &str) -> Option<&Pattern> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, pattern)| pattern)
    }

    /// All terms, in the order of their last mention.
    pub(crate) fn terms(&self) -> impl Iterator<Item = (&str, &Pattern)> {
        self.0.iter().map(|(key, pattern)| (&**key, pattern))
    }

    /// Whether everything matches.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an item is wanted. `field` gives its properties by name; `None`: there is no such property.
    pub(crate) fn matches<'a>(&self, mut field: impl FnMut(&str) -> Option<Field<'a>>) -> bool {
        self.0.iter().all(|(key, pattern)| field(key).is_none_or(|field| pattern.accepts(field)))
    }
}

impl Pattern {
    /// Whether a property is as wanted.
    pub(crate) fn accepts(&self, field: Field<'_>) -> bool {
        match self {
            Self::Exact(wanted) => equals(field, wanted),
            Self::Fuzzy(wanted) => contains(field, wanted),
            Self::Range(from, to) => {
                let above = from.as_ref().is_none_or(|from| order(field, from).is_some_and(|order| order.is_ge()));
                above && to.as_ref().is_none_or(|to| order(field, to).is_some_and(|order| order.is_le()))
            }
            Self::Any(wanted) => wanted.iter().any(|wanted| equals(field, wanted)),
            Self::All(wanted) => match field {
                Field::Set(_) => wanted.iter().all(|wanted| equals(field, wanted)),
                Field::Text(_) | Field::Number(_) | Field::Flag(_) | Field::Time(_) => true,
            },
        }
    }
}

fn equals(field: Field<'_>, wanted: &str) -> bool {
    match field {
        Field::Flag(held) => flag(wanted) == Some(held),
        Field::Set(held) => held.contains(&wanted),
        Field::Text(_) | Field::Number(_) | Field::Time(_) => {
            order(field, wanted).is_some_and(std::cmp::Ordering::is_eq)
        }
    }
}

/// How a property stands to a value; `None` when the two can't be compared.
fn order(field: Field<'_>, value: &str) -> Option<std::cmp::Ordering> {
    match field {
        Field::Text(held) => Some(held.cmp(value)),
        Field::Number(held) => Some(held.cmp(&value.parse().ok()?)),
        Field::Time(held) => Some(held.cmp(&time(value)?)),
        Field::Flag(_) | Field::Set(_) => None,
    }
}

fn contains(field: Field<'_>, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    match field {
        Field::Text(held) => held.to_lowercase().contains(&wanted),
        Field::Number(held) => held.to_string().contains(&wanted),
        Field::Set(held) => held.iter().any(|held| held.to_lowercase().contains(&wanted)),
        Field::Flag(_) | Field::Time(_) => false,
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "t" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// A time in text, UTC, in milliseconds since 1970.
pub(crate) fn time(text: &str) -> Option<i64> {
    let bare = text.strip_suffix('Z').unwrap_or(text).replacen(' ', "T", 1);
    let at = OffsetDateTime::parse(&format!("{bare}Z"), &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

fn pattern(value: &str) -> Option<Pattern> {
    if let Some(rest) = value.strip_prefix('~') {
        return (!rest.is_empty()).then(|| Pattern::Fuzzy(rest.to_owned()));
    }
    if let Some(rest) = value.strip_prefix('[') {
        let (from, to) = rest.strip_suffix(']')?.split_once('~').filter(|(_, to)| !to.contains('~'))?;
        let (from, to) = (bound(from), bound(to));
        return (from.is_some() || to.is_some()).then_some(Pattern::Range(from, to));
    }
    if let Some(rest) = value.strip_prefix('{') {
        return list(rest.strip_suffix('}')?).map(Pattern::Any);
    }
    if let Some(rest) = value.strip_prefix('(') {
        return list(rest.strip_suffix(')')?).map(Pattern::All);
    }
    Some(Pattern::Exact(value.strip_prefix('\\').unwrap_or(value).to_owned()))
}

fn bound(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| bare(text).to_owned())
}

fn list(text: &str) -> Option<Vec<String>> {
    let values: Vec<_> = text.split(' ').map(bare).filter(|v| !v.is_empty()).map(str::to_owned).collect();
    (values.len() <= MAX_TERMS).then_some(values)
}

fn bare(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// One key of a `sort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    /// The property.
    pub(crate) key: String,
    /// Largest first.
    pub(crate) descending: bool,
}

/// Reads a `sort`. Keys a list does not know are for it to pass over, as Harbor does.
///
/// # Errors
/// 400 for a longer one than is worth reading.
pub(crate) fn sort(text: &str) -> Result<Vec<SortKey>, Error> {
    let keys: Vec<_> = text.split(',').filter(|key| !key.is_empty()).take(MAX_TERMS + 1).collect();
    if text.len() > MAX_LENGTH || keys.len() > MAX_TERMS {
        return Err(error::bad_request(format!("sort has at most {MAX_TERMS} keys")));
    }
    let key = |text: &str| match text.strip_prefix('-') {
        Some(key) => SortKey { key: key.to_owned(), descending: true },
        None => SortKey { key: text.to_owned(), descending: false },
    };
    Ok(keys.into_iter().map(key).collect())
}

/// Everything a client said about the list it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// Which items.
    pub(crate) filter: Filter,
    /// In what order; empty: the list's own.
    pub(crate) sort: Vec<SortKey>,
    /// Which of them.
    pub(crate) page: super::paged::Page,
}

impl ListQuery {
    /// Reads `q`, `sort`, `page` and `page_size`.
    ///
    /// # Errors
    /// 400 and 422 as for each of them.
    pub(crate) fn read(query: &query::Query<'_>) -> Result<Self, Error> {
        Ok(Self {
            filter: Filter::parse(query.one("q")?.unwrap_or_default())?,
            sort: sort(query.one("sort")?.unwrap_or_default())?,
            page: super::paged::Page::read(query)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Result<Filter, u16> {
        Filter::parse(text).map_err(|error| error.status().as_u16())
    }

    fn accepts(value: &str, field: Field<'_>) -> bool {
        filter(&format!("k={value}")).unwrap().matches(|key| (key == "k").then_some(field))
    }

    #[test]
    fn text_is_matched_exactly_or_by_a_piece() {
        assert!(accepts("Library", Field::Text("Library")) && !accepts("library", Field::Text("Library")));
        assert!(accepts("~BRA", Field::Text("Library")) && !accepts("~x", Field::Text("Library")));
        assert!(accepts("\\~a", Field::Text("~a")), "a special character as it is");
        assert!(accepts("{a b}", Field::Text("b")) && !accepts("{a b}", Field::Text("c")));
        assert!(accepts("{'a' \"b\"}", Field::Text("b")));
        assert!(!accepts("{}", Field::Text("")), "one of none");
        assert!(accepts("[b~c]", Field::Text("bx")) && !accepts("[b~c]", Field::Text("d")));
    }

    #[test]
    fn numbers_truth_values_and_times_are_compared_as_such() {
        assert!(accepts("[9~10]", Field::Number(10)) && !accepts("[9~]", Field::Number(8)));
        assert!(accepts("{1 2}", Field::Number(2)) && !accepts("x", Field::Number(0)));
        assert!(accepts("true", Field::Flag(true)) && !accepts("true", Field::Flag(false)));
        assert!(!accepts("maybe", Field::Flag(false)));
        let at = Field::Time(1_586_399_760_000);
        assert!(accepts("[2020-04-09 02:36:00~]", at) && accepts("[~2020-04-09T02:36:00]", at));
        assert!(!accepts("[2020-04-09 02:36:01~2021-01-01 00:00:00]", at));
        assert!(accepts("2020-04-09T02:36:00Z", at) && !accepts("yesterday", at));
    }

    #[test]
    fn all_of_a_list_is_a_question_to_a_set() {
        let set = Field::Set(&["1", "2"]);
        assert!(accepts("(1 2)", set) && !accepts("(1 3)", set) && accepts("{1 3}", set));
        assert!(accepts("(1 2)", Field::Text("x")), "passed over elsewhere, as Harbor does");
    }

    #[test]
    fn terms_are_joined_unknown_keys_passed_over_and_the_later_of_two_counts() {
        let read = filter("name=~a,unknown=1,public=true,public=false").unwrap();
        assert_eq!(read.get("public"), Some(&Pattern::Exact("false".into())));
        let field = |name: &'static str| {
            move |key: &str| match key {
                "name" => Some(Field::Text(name)),
                "public" => Some(Field::Flag(false)),
                _ => None,
            }
        };
        assert!(read.matches(field("Abc")) && !read.matches(field("x")));
        assert!(filter("").unwrap().is_empty());
    }

    #[test]
    fn a_second_encoding_is_taken_off() {
        assert_eq!(filter("tags%3Dnil").unwrap().get("tags"), Some(&Pattern::Exact("nil".into())));
        assert_eq!(filter("a=x%2By").unwrap().get("a"), Some(&Pattern::Exact("x+y".into())));
        assert_eq!(filter("a=x+y").unwrap().get("a"), Some(&Pattern::Exact("x+y".into())));
        assert_eq!(filter("a=100%").unwrap().get("a"), Some(&Pattern::Exact("100%".into())));
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for bad in
            [",", "a", "=", "a=", "=b", "a=1,", "a=~", "a=[", "a=[]", "a=[~]", "a=[1~2~3]", "a=[1]", "a={1", "a=(1"]
        {
            assert_eq!(filter(bad), Err(400), "{bad}");
        }
        assert_eq!(filter(&format!("a={}", "x".repeat(MAX_LENGTH))), Err(400));
        let many: Vec<_> = (0..=MAX_TERMS).map(|n| format!("k{n}=1")).collect();
        assert_eq!(filter(&many.join(",")), Err(400));
        assert_eq!(filter(&format!("a={{{}}}", "1 ".repeat(MAX_TERMS + 1))), Err(400));
    }

    #[test]
    fn sorting_is_by_several_keys() {
        let key = |key: &str, descending| SortKey { key: key.into(), descending };
        assert_eq!(sort("-update_time,name").unwrap(), [key("update_time", true), key("name", false)]);
        assert_eq!(sort("").unwrap(), []);
        assert_eq!(sort(&"a,".repeat(MAX_TERMS + 1)).unwrap_err().status(), 400);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "[a-c=~,\\[\\]{}()\\\\%0-9 \"']{0,60}", held in ".{0,20}", number: i64) {
            if let Ok(read) = Filter::parse(&text) {
                for field in [Field::Text(&held), Field::Number(number), Field::Time(number), Field::Set(&[&held])] {
                    let _ = read.matches(|_| Some(field));
                }
            }
            let _ = sort(&text);
        }
    }
}

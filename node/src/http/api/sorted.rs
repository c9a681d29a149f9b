//! Pages of what is held in memory, as `q` and `sort` ask for them. Pure.

use std::cmp::Ordering;

use super::paged::Paged;
use super::q::{Field, ListQuery};

/// The page of those `items` that are wanted, in the order that is wanted; equals, and all when no order is, as they
/// come. `field` gives an item's properties by name; a key it does not know is passed over.
pub(crate) fn page<T>(
    asked: &ListQuery,
    items: impl Iterator<Item = T>,
    field: impl for<'i> Fn(&'i T, &str) -> Option<Field<'i>>,
) -> Paged<T> {
    let wanted = items.filter(|item| asked.filter.matches(|key| field(item, key)));
    if asked.sort.is_empty() {
        return asked.page.of(wanted);
    }
    asked.page.sorted(wanted, |a, b| {
        let orders = asked.sort.iter().map(|by| {
            let order = compare(field(a, &by.key), field(b, &by.key));
            if by.descending { order.reverse() } else { order }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    })
}

fn compare(a: Option<Field<'_>>, b: Option<Field<'_>>) -> Ordering {
    match (a, b) {
        (Some(Field::Text(a)), Some(Field::Text(b))) => a.cmp(b),
        (Some(Field::Number(a) | Field::Time(a)), Some(Field::Number(b) | Field::Time(b))) => a.cmp(&b),
        (Some(Field::Flag(a)), Some(Field::Flag(b))) => a.cmp(&b),
        (Some(Field::Set(a)), Some(Field::Set(b))) => a.cmp(b),
        (_, _) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query::Query;

    #[test]
    fn a_list_is_filtered_and_ordered_by_several_keys() {
        let items = [("b", 1), ("a", 2), ("c", 1), ("d", 3)];
        let names = |query: &str| {
            let asked = ListQuery::read(&Query::parse(Some(query)).unwrap()).unwrap();
            let page = page(&asked, items.into_iter(), |item, key| match key {
                "name" => Some(Field::Text(item.0)),
                "number" => Some(Field::Number(item.1)),
                _ => None,
            });
            (page.items.iter().map(|item| item.0).collect::<String>(), page.total)
        };
        assert_eq!(names(""), ("bacd".into(), 4));
        assert_eq!(names("sort=number,-name"), ("cbad".into(), 4));
        assert_eq!(names("sort=-name&page_size=2&page=2"), ("ba".into(), 4));
        assert_eq!(names("q=number%3D1&sort=nothing"), ("bc".into(), 2));
    }
}

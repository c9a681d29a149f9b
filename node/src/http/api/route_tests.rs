//! Paths: each resource has one, and any text is judged.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::policy::roles::{PROJECT_ADMIN, PROJECT_VOCABULARY, SYSTEM_VOCABULARY, role_permissions};

fn get(path: &str) -> Result<Matched, u16> {
    find(&Method::GET, &format!("{PREFIX}{path}")).map_err(|error| error.status().as_u16())
}

fn operation(path: &str) -> &'static str {
    get(path).map_or("none", |matched| matched.route.operation.as_str())
}

/// A path of a template, with a plain word in each variable segment.
fn sample(template: &str) -> String {
    let segments: Vec<_> = template.split('/').map(|s| if s.starts_with('{') { "x1" } else { s }).collect();
    segments.join("/")
}

#[test]
fn every_route_of_the_table_is_found_under_its_own_path() {
    for route in ROUTES {
        let path = format!("{PREFIX}{}", sample(route.path));
        let matched = find(&route.method.parse().unwrap(), &path).unwrap();
        assert_eq!(matched.route.operation, route.operation, "{path}");
        assert!(route.variables().all(|name| matched.param(name) == Some("x1")));
    }
}

#[test]
fn the_table_names_each_operation_and_each_resource_once() {
    let operations: BTreeSet<_> = ROUTES.iter().map(|route| route.operation.as_str()).collect();
    let resources: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, sample(route.path))).collect();
    assert_eq!((operations.len(), resources.len()), (ROUTES.len(), ROUTES.len()));
}

#[test]
fn a_right_in_a_project_needs_a_path_that_names_one() {
    for route in ROUTES {
        match route.need {
            Need::Project(right) => {
                assert!(route.variables().any(|name| name.starts_with("project_name")), "{}", route.path);
                let known = PROJECT_VOCABULARY.contains(&right) || role_permissions(PROJECT_ADMIN).contains(&right);
                assert!(known, "{right}");
            }
            Need::System(right) => {
                // Robots can't be given the configuration: that is the administrator's.
                let known = SYSTEM_VOCABULARY.contains(&right) || right.resource == Resource::Configuration;
                assert!(known, "{right}");
            }
            Need::Nothing | Need::LoggedIn | Need::Administrator | Need::Handler => {}
        }
    }
}

#[test]
fn what_needs_no_login_is_a_short_list() {
    let open: Vec<_> = ROUTES.iter().filter(|route| route.need == Need::Nothing).collect();
    let names: Vec<_> = open.iter().map(|route| route.operation.as_str()).collect();
    assert_eq!(names, ["getPing", "getHealth", "getSystemInfo", "getCert", "getOpenapi"]);
    assert!(open.iter().all(|route| route.method == "GET"));
}

#[test]
fn no_two_places_are_the_same_but_for_the_names_of_their_variables() {
    for places in PLACES.iter() {
        assert!(places.windows(2).all(|pair| pair[0].parts < pair[1].parts), "{places:?}");
    }
}

#[test]
fn fixed_words_go_before_variables() {
    assert_eq!(operation("/users/current"), "getCurrentUserInfo");
    assert_eq!(operation("/users/3"), "getUser");
    assert_eq!(operation("/usergroups/search"), "searchUserGroups");
    assert_eq!(operation("/system/purgeaudit/schedule"), "getPurgeSchedule");
    assert_eq!(operation("/system/purgeaudit/7"), "getPurgeJob");
}

#[test]
fn a_repository_keeps_its_slashes_encoded_once_or_twice() {
    for text in ["a%252Fb%252Fc", "a%2Fb%2Fc", "a%252fb%252fc", "a%2fb%2Fc"] {
        let matched = get(&format!("/projects/p/repositories/{text}/artifacts/sha256%3Aab")).unwrap();
        assert_eq!(matched.param("repository_name"), Some("a/b/c"), "{text}");
        assert_eq!(matched.param("reference"), Some("sha256:ab"));
    }
    let matched = get("/projects/p/repositories/a/artifacts/sha256:ab").unwrap();
    assert_eq!((matched.param("repository_name"), matched.param("reference")), (Some("a"), Some("sha256:ab")));
}

#[test]
fn only_metadata_may_end_in_a_slash() {
    assert_eq!(operation("/projects/p/metadatas/"), "listProjectMetadatas");
    assert_eq!(operation("/projects/p/metadatas"), "listProjectMetadatas");
    assert_eq!(get("/projects/p/metadatas//").unwrap_err(), 404);
    assert_eq!(get("/projects/p/members/").unwrap_err(), 404);
}

#[test]
fn aliases_of_a_path_are_nothing() {
    for alias in [
        "",
        "/",
        "//projects",
        "/projects/",
        "/Projects",
        "/projects//",
        "/projects/.",
        "/projects/..",
        "/projects/%2e%2e",
        "/projects/%2E",
        "/projects/../users",
        "/projects/p/../q/members",
        "/projects/p%2Fmembers",
        "/projects/a%2Fb/members",
        "/projects/%70",
        "/projects/p%00",
        "/projects/p%0a",
        "/projects/p%5C..%5Cq",
        "/projects/%",
        "/projects/%2",
        "/projects/%zz",
        "/projects/%ff",
        "/%70rojects",
        "/projects;x=1",
        "/projects/p/repositories/a/b",
        "/projects/p/repositories/%2e%2e%2Fq",
        "/projects/p/repositories/a%252F..%252Fb",
        "/projects/p/repositories/a%2F",
        "/projects/p/repositories/%2Fa",
        "/projects/p/repositories/a%2F%2Fb",
        "/projects/p/repositories/a%25252Fb",
        "/projects/p/repositories/%2561",
        "/projects/p/repositories/",
        "/ping/",
        "/ping/x",
    ] {
        assert_eq!(get(alias).unwrap_err(), 404, "{alias}");
    }
    for path in ["/api/v2.0projects", "/api/v2/projects", "/api/v2.0", "/projects", ""] {
        assert_eq!(find(&Method::GET, path).unwrap_err().status(), 404, "{path}");
    }
    assert_eq!(get(&format!("/projects/{}", "a".repeat(5000))).unwrap_err(), 404);
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let error = find(&Method::DELETE, "/api/v2.0/projects").unwrap_err();
    assert_eq!(error.status(), 405);
    assert_eq!(error.headers()[0].1, "GET, HEAD, POST");
    for (method, path) in [(Method::POST, "/ping"), (Method::DELETE, "/users/current"), (Method::TRACE, "/robots/1")] {
        let error = find(&method, &format!("{PREFIX}{path}")).unwrap_err();
        assert_eq!(error.status(), 405, "{method} {path}");
    }
}

#[test]
fn digits_are_a_number_unless_the_header_says_they_are_a_name() {
    let project = |path: &str, said: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for text in said {
            headers.append(X_IS_RESOURCE_NAME, http::HeaderValue::from_static(text));
        }
        get(path).unwrap().project(&headers).map_err(|error| error.status().as_u16())
    };
    let name = |text: &str| Ok(Some(ProjectKey::Name(text.into())));
    assert_eq!(project("/projects/12", &[]), Ok(Some(ProjectKey::Id(12))));
    assert_eq!(project("/projects/12", &["false"]), Ok(Some(ProjectKey::Id(12))));
    assert_eq!(project("/projects/12", &["true"]), name("12"));
    assert_eq!(project("/projects/012", &[]), name("012"));
    assert_eq!(project("/projects/99999999999999999999", &[]), name("99999999999999999999"));
    assert_eq!(project("/projects/a1", &[]), name("a1"));
    assert_eq!(project("/projects/12/repositories", &[]), name("12"), "this path takes names only");
    assert_eq!(project("/users/12", &[]), Ok(None));
    assert_eq!(project("/projects/12", &["yes"]), Err(422));
    assert_eq!(project("/projects/12", &["true", "false"]), Err(422));
}

#[test]
fn numbers_in_paths_are_positive_and_plain() {
    let id = |text: &str| get(&format!("/users/{text}")).unwrap().id("user_id").map_err(|e| e.status().as_u16());
    assert_eq!(id("7"), Ok(7));
    for bad in ["0", "-1", "+1", "07", "x", "1.0", "9223372036854775808"] {
        assert_eq!(id(bad), Err(422), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_path_is_judged(path in ".{0,80}") {
        let _ = find(&Method::GET, &path);
        let _ = find(&Method::PUT, &format!("{PREFIX}/projects/{path}"));
        let _ = find(&Method::GET, &format!("{PREFIX}/projects/p/repositories/{path}/artifacts/{path}"));
    }

    #[test]
    fn what_a_segment_holds_is_never_a_way_out(text in "[a%2eEfFcC5/.]{1,24}") {
        let found = find(&Method::GET, &format!("{PREFIX}/projects/{text}/repositories/{text}"));
        if let Ok(matched) = found {
            prop_assert!(matched.param("project_name").is_none_or(|p| !p.contains('/') && p != ".."));
            let repository = matched.param("repository_name").unwrap_or("a");
            prop_assert!(repository.split('/').all(|part| !matches!(part, "" | "." | "..")));
        }
    }
}

//! `docs/reference/permissions.md`: who may use which route, and what each role holds, from the tables themselves.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::openapi::need;
use super::route::{Need, PREFIX};
use super::table::ROUTES;
use crate::policy::Permission;
use crate::policy::roles::{PROJECT_VOCABULARY, PUBLIC_PROJECT, ROLES, SYSTEM_VOCABULARY, role_name, role_permissions};

const PREFACE: &str = "# Who may do what

<!-- Made from the code: PORTOLAN_REWRITE_DOCS=1 cargo test -p node -->

The system administrator may do everything. A robot may do what it was given, and no more than that.
";

/// The document.
pub(crate) fn markdown() -> String {
    let mut out = PREFACE.to_owned();
    let columns: Vec<_> = ROLES.iter().filter_map(|role| role_name(*role)).collect();
    let header = |out: &mut String, first: &str| {
        let _ = writeln!(out, "| {first} | {} | anyone, if public |", columns.join(" | "));
        let _ = writeln!(out, "|---|{}---|", "---|".repeat(columns.len()));
    };

    out.push_str("\n## Routes\n");
    let _ = writeln!(out, "Below `{PREFIX}`. A mark: the role in the project is enough.\n");
    header(&mut out, "route | takes");
    // One column more than the roles have.
    out = out.replacen("|---|", "|---|---|", 1);
    for route in ROUTES {
        let marks = match route.need {
            Need::Project(right) => cells(right),
            Need::Nothing | Need::LoggedIn | Need::Administrator | Need::System(_) | Need::Handler => {
                " |".repeat(ROLES.len() + 1)
            }
        };
        let _ = writeln!(out, "| `{} {}` | {} |{marks}", route.method, route.path, need(route.need));
    }

    out.push_str("\n## Roles in a project\n\n");
    header(&mut out, "permission");
    let rights: BTreeSet<Permission> =
        ROLES.iter().flat_map(|role| role_permissions(*role)).chain(PROJECT_VOCABULARY).copied().collect();
    for right in rights {
        let _ = writeln!(out, "| `{right}` |{}", cells(right));
    }
    for (title, vocabulary) in [("in a project", PROJECT_VOCABULARY), ("over the system", SYSTEM_VOCABULARY)] {
        let words: Vec<_> = vocabulary.iter().map(|right| format!("`{right}`")).collect();
        let _ = writeln!(out, "\n## What a robot can be given {title}\n\n{}", words.join("\n"));
    }
    out
}

fn cells(right: Permission) -> String {
    let roles = ROLES.iter().map(|role| role_permissions(*role));
    let mark = |held: &[Permission]| if held.contains(&right) { " x |" } else { " |" };
    roles.chain([PUBLIC_PROJECT]).map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reference::assert_written;

    #[test]
    fn the_reference_is_what_the_code_says() {
        assert_written("docs/reference/permissions.md", &markdown());
    }

    #[test]
    fn every_table_row_has_the_columns_of_its_header() {
        let text = markdown();
        let mut width = 0;
        for line in text.lines() {
            let bars = line.matches('|').count();
            if bars == 0 {
                width = 0;
            } else if width == 0 {
                width = bars;
            } else {
                assert_eq!(bars, width, "{line}");
            }
        }
    }
}

//! `portolan quota`, and the quota of one project.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::wire::{API, number, project, word};
use super::words::{bytes, table};

#[derive(Debug, Subcommand)]
pub(super) enum Quotas {
    /// What the projects may hold, and hold.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum OfProject {
    /// What the project may hold, and holds.
    Show {
        /// The project.
        project: String,
    },
    /// Change what the project may hold.
    Set {
        /// The project.
        project: String,
        /// A size such as 10GiB, or none.
        #[arg(value_name = "SIZE|none")]
        size: String,
    },
}

impl Quotas {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let Self::List = self;
        let quotas = session.connection()?.list(&format!("{API}/quotas"))?;
        session.terminal.answer(&text(&quotas), &quotas)?;
        Ok(Exit::Ok)
    }
}

impl OfProject {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let node = session.connection()?;
        match self {
            Self::Show { project } => {
                let quota = find(&node, project)?;
                session.terminal.answer(&text(std::slice::from_ref(&quota)), &quota)?;
                Ok(Exit::Ok)
            }
            Self::Set { project, size } => {
                let limit = parse(size)?;
                set(&node, project, limit)?;
                session.done(&shown(limit), &json!({ "name": project, "quota": limit }))
            }
        }
    }
}

/// The quota of a project.
///
/// # Errors
/// [`Failure`].
pub(super) fn find(node: &Connection, name: &str) -> Result<Value, Failure> {
    let id = number(&node.get::<Value>(&project(name))?, "/project_id")?;
    let quotas = node.list(&format!("{API}/quotas?reference=project&reference_id={id}"))?;
    let none = || Failure::new(Code::NotFound, format!("the project {name} has no quota you may see"));
    quotas.into_iter().next().ok_or_else(none)
}

/// Changes what a project may hold; -1 is without end.
///
/// # Errors
/// [`Failure`].
pub(super) fn set(node: &Connection, name: &str, limit: i64) -> Result<(), Failure> {
    let id = number(&find(node, name)?, "/id")?;
    node.put(&format!("{API}/quotas/{id}"), &json!({ "hard": { "storage": limit } }))
}

/// A size in bytes, such as `10GiB`; `none` is -1, without end.
///
/// # Errors
/// [`Code::Usage`].
pub(super) fn parse(text: &str) -> Result<i64, Failure> {
    if text == "none" {
        return Ok(-1);
    }
    let wrong = || Failure::new(Code::Usage, format!("{text:?} is no size")).next("10GiB, 500MB, or none");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit: i64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "PiB" => 1 << 50,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let count: i64 = count.parse().map_err(|_| wrong())?;
    count.checked_mul(unit).filter(|size| *size > 0).ok_or_else(wrong)
}

/// A limit in words.
pub(super) fn shown(limit: i64) -> String {
    u64::try_from(limit).map_or_else(|_| "none".to_owned(), bytes)
}

fn text(quotas: &[Value]) -> String {
    let size = |quota: &Value, pointer: &str| quota.pointer(pointer).and_then(Value::as_i64).map(shown);
    let row = |quota: &Value| {
        vec![
            word(quota, "/ref/name"),
            size(quota, "/used/storage").unwrap_or_default(),
            size(quota, "/hard/storage").unwrap_or_default(),
        ]
    };
    table(&["PROJECT", "USED", "MAY HOLD"], &quotas.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::connection::tests::canned;
    use super::*;

    #[test]
    fn sizes_are_as_people_write_them() {
        assert_eq!(parse("10GiB").unwrap(), 10 << 30);
        assert_eq!((parse("none").unwrap(), parse("500MB").unwrap(), parse("7").unwrap()), (-1, 500_000_000, 7));
        for bad in ["", "0", "-1", "10gib", "GiB", "9999999PiB", "1.5GiB"] {
            assert_eq!(parse(bad).unwrap_err().code, Code::Usage, "{bad}");
        }
    }

    #[test]
    fn a_quota_is_found_by_its_project() {
        let quotas = r#"[{"id":9,"ref":{"name":"team"},"hard":{"storage":-1},"used":{"storage":2048}}]"#;
        let (node, client) = canned(&[(200, r#"{"project_id":4}"#), (200, quotas), (200, "")]);
        set(&node, "team", 10).unwrap();
        let asked = client.asked.lock().unwrap().clone();
        assert_eq!(asked[1], "GET /api/v2.0/quotas?reference=project&reference_id=4&page=1&page_size=100");
        assert_eq!(asked[2], r#"PUT /api/v2.0/quotas/9 {"hard":{"storage":10}}"#);
        let quotas: Vec<Value> = serde_json::from_str(quotas).unwrap();
        assert_eq!(text(&quotas), "PROJECT  USED     MAY HOLD\nteam     2.0 KiB  none\n");
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_refused(text in ".{0,24}") {
            prop_assert!(parse(&text).is_ok_and(|size| size > 0 || size == -1) || parse(&text).is_err());
        }
    }
}
